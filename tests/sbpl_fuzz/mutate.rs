//! Mutations of texts: bytes, tokens and stretches, alone and in rows.

use super::Random;

/// The longest text handed on, in bytes.
const MAX_BYTES: usize = 32 << 10;

const TOKENS: [&str; 44] = [
    "(",
    ")",
    "'",
    "`",
    ",",
    ",@",
    "\"",
    "#\"",
    ";",
    "\n",
    "\\",
    "\\x00",
    "\\x41",
    "#o0777",
    "#t",
    "#f",
    "#if",
    "(version 1)",
    "(version 3)",
    "(allow ",
    "(deny ",
    "default",
    "file-read*",
    "(literal \"/a\")",
    "(subpath \"/\")",
    "(regex #\"^/[a-z]*$\")",
    "(regex #\"(a|b){2,3}\")",
    "(require-all ",
    "(require-not ",
    "(with-filter ",
    "(define f ",
    "(define (f . x) ",
    "(lambda (x) ",
    "(let loop ((n 9)) ",
    "(if (param \"HOME\") ",
    "(import \"base.sb\")",
    "(import \"none.sb\")",
    "9223372036854775807",
    "-1",
    "(extension \"e\")",
    "\u{e9}",
    "\u{0}",
    "\u{1f600}",
    "(string-append ",
];

/// One text of the corpus after one to eight mutations.
pub(crate) fn mutate(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut text = random.pick(corpus).clone();
    // Long texts are cut, so that mutations are dense.
    if text.len() > 2_000 && random.below(4) > 0 {
        let from = random.below(text.len() - 1_000);
        let mut cut = b"(version 1)\n".to_vec();
        cut.extend(&text[from..from + 1_000]);
        text = cut;
    }
    for _ in 0..=random.below(8) {
        once(&mut text, corpus, random);
        text.truncate(MAX_BYTES);
    }
    text
}

/// A stretch of up to `most` bytes.
fn stretch(text: &[u8], most: usize, random: &mut Random) -> std::ops::Range<usize> {
    let from = random.below(text.len() + 1);
    from..text.len().min(from + 1 + random.below(most))
}

fn once(text: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(text.len() + 1);
    match random.below(9) {
        0 => {
            if let Some(byte) = text.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            if let Some(byte) = text.get_mut(at) {
                *byte = u8::try_from(random.below(256)).unwrap_or(0);
            }
        }
        2 => {
            let range = stretch(text, 20, random);
            text.drain(range);
        }
        3 => {
            let range = stretch(text, 200, random);
            let copy = text[range].to_vec();
            text.splice(at..at, copy);
        }
        4 => {
            let other = random.pick(corpus);
            let range = stretch(other, 300, random);
            text.splice(at..at, other[range].iter().copied());
        }
        5 | 6 => {
            let token = random.pick(&TOKENS).bytes();
            text.splice(at..at, token);
        }
        7 => {
            // A parenthesis goes or changes sides.
            let places: Vec<usize> =
                (0..text.len()).filter(|&place| matches!(text[place], b'(' | b')' | b'"')).collect();
            if places.is_empty() {
                return;
            }
            let place = *random.pick(&places);
            if random.below(2) == 0 {
                text.remove(place);
            } else {
                text[place] = *random.pick(b"()\"");
            }
        }
        _ => {
            let token = random.pick(&TOKENS).repeat(1 + random.below(300));
            text.splice(at..at, token.into_bytes());
        }
    }
}
