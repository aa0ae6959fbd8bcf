//! SHA-256 digests as 64 lower-case hexadecimal characters.

use std::fmt;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest, shown and stored as 64 lower-case hexadecimal characters. Held as its 32 bytes: a large bundle has tens of
/// thousands.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256Hex([u8; 32]);

/// A text that is not 64 lower-case hexadecimal characters.
#[derive(Debug, thiserror::Error)]
#[error("not a SHA-256 digest (64 lower-case hexadecimal characters)")]
pub struct NotADigest;

impl Sha256Hex {
    /// Hashes `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest that a finished state of eight words stands for.
    #[must_use]
    pub fn from_words(words: [u32; 8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(words.map(u32::to_be_bytes).as_flattened());
        Self(bytes)
    }

    /// Hashes everything `reader` yields in 128 KiB steps; returns the digest and the number of bytes.
    ///
    /// # Errors
    /// The reader's own error.
    pub fn of_reader(mut reader: impl Read) -> io::Result<(Self, u64)> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0u8; 128 * 1024];
        let mut size_bytes = 0u64;
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    hasher.update(&buffer[..n]);
                    size_bytes += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok((Self(hasher.finalize().into()), size_bytes))
    }

    /// Reads a digest as a user writes it.
    ///
    /// # Errors
    /// [`NotADigest`].
    pub fn parse(text: &str) -> Result<Self, NotADigest> {
        let characters = <[u8; 64]>::try_from(text.as_bytes()).map_err(|_| NotADigest)?;
        let mut values = [0; 64];
        let mut all = 0;
        // No early end: so the compiler looks at many at once.
        for (value, digit) in values.iter_mut().zip(characters) {
            let (number, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
            let of_letter = if letter < 6 { letter + 10 } else { 0xff };
            *value = if number < 10 { number } else { of_letter };
            all |= *value;
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(values.as_chunks().0) {
            *byte = high << 4 | low;
        }
        if all < 16 { Ok(Self(bytes)) } else { Err(NotADigest) }
    }
}

fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    text
}

impl TryFrom<String> for Sha256Hex {
    type Error = NotADigest;
    fn try_from(text: String) -> Result<Self, NotADigest> {
        Self::parse(&text)
    }
}

impl From<Sha256Hex> for String {
    fn from(digest: Sha256Hex) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&hex(&self.0)).expect("digits are ASCII"))
    }
}

impl fmt::Debug for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256Hex({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_vectors() {
        // FIPS 180-4 examples.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256Hex::of(b"").to_string(), empty);
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let (digest, size) = Sha256Hex::of_reader(&b"abc"[..]).unwrap();
        assert_eq!((digest.to_string().as_str(), size), (abc, 3));
    }

    #[test]
    fn only_lower_case_hex_of_the_right_length_is_a_digest() {
        for bad in ["", "ab", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65)] {
            assert!(Sha256Hex::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        for at in 0..64 {
            let mut text = [b'0'; 64];
            for byte in 0..=u8::MAX {
                text[at] = byte;
                let Ok(text) = std::str::from_utf8(&text) else { continue };
                let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                let read = Sha256Hex::parse(text).ok().map(|digest| digest.to_string());
                assert_eq!(read.as_deref(), is_digit.then_some(text));
            }
        }
    }
}
