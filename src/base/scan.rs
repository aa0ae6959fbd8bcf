//! Steps through the text of JSON that is written plainly: without escapes.

/// The place behind `byte`, which must stand at `at`.
#[inline]
pub(crate) fn passed(bytes: &[u8], at: usize, byte: u8) -> Option<usize> {
    (*bytes.get(at)? == byte).then_some(at + 1)
}

/// The place behind white space.
#[inline]
pub(crate) fn space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Whether `bytes` begin with `start`. Written out, because not every C library's memcmp(3) compares more than a byte at a time.
#[inline]
pub(crate) fn begins_with(bytes: &[u8], start: &[u8]) -> bool {
    let Some(bytes) = bytes.get(..start.len()) else { return false };
    let (words, rest) = bytes.as_chunks::<16>();
    let (start_words, start_rest) = start.as_chunks::<16>();
    let same = |(a, b): (&[u8; 16], &[u8; 16])| u128::from_ne_bytes(*a) == u128::from_ne_bytes(*b);
    if !words.iter().zip(start_words).all(same) {
        return false;
    }
    // What is left of a text that is long enough is compared with some of what is before it.
    match (bytes.last_chunk::<16>(), start.last_chunk::<16>()) {
        (Some(end), Some(start_end)) => same((end, start_end)),
        _ => rest.iter().zip(start_rest).all(|(a, b)| a == b),
    }
}

/// Where the quote stands that ends a string without escapes, from its first character on.
#[inline]
pub(crate) fn plain(bytes: &[u8], mut at: usize) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 128;
    // Bit 7 of each byte that is zero, and maybe of some behind the first (so only the lowest counts).
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    while let Some(word) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(word.try_into().ok()?);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let found = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control;
        if found != 0 {
            at += found.trailing_zeros() as usize / 8;
            return (bytes[at] == b'"').then_some(at);
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return Some(at),
            b'\\' | ..0x20 => return None,
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_begins_with_another_or_does_not() {
        let text: Vec<u8> = (0..70).collect();
        for length in 0..=text.len() {
            let mut start = text[..length].to_vec();
            assert!(begins_with(&text, &start), "{length}");
            for place in 0..length {
                start[place] ^= 1;
                assert!(!begins_with(&text, &start), "{length}, {place}");
                start[place] ^= 1;
            }
            start.push(200);
            assert!(!begins_with(&text, &start) && !begins_with(&text[..length], &start), "{length}");
        }
    }

    #[test]
    fn a_string_ends_at_its_quote_and_is_plain_or_not() {
        for length in 0..40 {
            let text = "x".repeat(length);
            let rest = "y\"".repeat(10);
            assert_eq!(plain(format!("{text}\"").as_bytes(), 0), Some(length));
            assert_eq!(plain(format!("{text}\"{rest}").as_bytes(), 0), Some(length));
            assert_eq!(plain(format!("{text}é~\x7f\"{rest}").as_bytes(), 0), Some(length + 4));
            for bad in ["\\", "\n", "\0", "\x1f"] {
                assert_eq!(plain(format!("{text}{bad}{rest}").as_bytes(), 0), None, "{length} {bad:?}");
            }
            assert_eq!(plain(text.as_bytes(), 0), None);
        }
    }
}
