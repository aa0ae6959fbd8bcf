//! Strict reading of what programs write: strings without escapes, whole numbers from 0, objects of few members.
//!
//! Whatever else stands in a text is left to the reader that knows everything, and that says what is wrong with it: [`read`]
//! then answers `None`. Whatever is read here, that one reads as the same.

use super::build::{Building, MANY, small};
use super::slot::Slot;
use crate::base::scan::{passed, plain, space};

/// The most values within each other.
const DEPTH: usize = 64;

/// Reads the whole text; what was added before a `None` is of no use.
pub(super) fn read(building: &mut Building<'_>) -> Option<()> {
    let bytes = building.text.as_bytes();
    let end = value(building, space(bytes, 0), DEPTH)?;
    (space(bytes, end) == bytes.len()).then_some(())
}

/// Adds the value that begins at `at`; where it ends.
fn value(building: &mut Building<'_>, at: usize, depth: usize) -> Option<usize> {
    let bytes = building.text.as_bytes();
    let word = |word: &str| bytes[at..].starts_with(word.as_bytes()).then(|| at + word.len());
    let (slot, end) = match *bytes.get(at)? {
        b'"' => return string(building, at),
        b'{' | b'[' => return list(building, at, depth.checked_sub(1)?),
        b'0'..=b'9' => return number(building, at),
        b'n' => (Slot::Null, word("null")?),
        b't' => (Slot::Bool(true), word("true")?),
        b'f' => (Slot::Bool(false), word("false")?),
        _ => return None,
    };
    building.push(slot);
    Some(end)
}

fn string(building: &mut Building<'_>, at: usize) -> Option<usize> {
    let bytes = building.text.as_bytes();
    let start = passed(bytes, at, b'"')?;
    let end = plain(bytes, start)?;
    building.push(Slot::Plain { start: small(start), len: small(end - start) });
    Some(end + 1)
}

/// At most 19 digits, which 64 bits hold.
fn number(building: &mut Building<'_>, at: usize) -> Option<usize> {
    let bytes = building.text.as_bytes();
    let (mut end, mut number) = (at, 0u64);
    while let Some(digit @ b'0'..=b'9') = bytes.get(end) {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        end += 1;
    }
    let digits = end - at;
    building.push_whole(number);
    (digits == 1 || (digits <= 19 && bytes[at] != b'0')).then_some(end)
}

/// An array or an object.
fn list(building: &mut Building<'_>, at: usize, depth: usize) -> Option<usize> {
    let bytes = building.text.as_bytes();
    let first = building.slots.len();
    building.push(Slot::Null);
    let is_object = bytes[at] == b'{';
    let close = if is_object { b'}' } else { b']' };
    let (mut at, mut count) = (space(bytes, at + 1), 0);
    while count > 0 || *bytes.get(at)? != close {
        if is_object {
            let key = string(building, at)?;
            if count == MANY || building.is_repeated(first) {
                return None;
            }
            at = space(bytes, passed(bytes, space(bytes, key), b':')?);
        }
        at = space(bytes, value(building, at, depth)?);
        count += 1;
        match *bytes.get(at)? {
            b',' => at = space(bytes, at + 1),
            end if end == close => break,
            _ => return None,
        }
    }
    let (count, end) = (small(count), small(building.slots.len()));
    let slot = if is_object { Slot::Object { count, end } } else { Slot::Array { count, end } };
    building.slots[first] = slot.into();
    Some(at + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::build::{read_any, read_quickly};

    /// What both readers make of a text.
    fn both(text: &str) -> (Option<Value>, Option<Value>) {
        (read_quickly(text), read_any(text))
    }

    #[test]
    fn what_programs_write_is_read_as_the_other_reader_reads_it() {
        for text in [
            "{}",
            "[]",
            " [ ] ",
            "{\"a\":{}}",
            "\t{ \"a\" : [ 1 , 0,true,false , null, \"x\" ] ,\r\n\"b\":{\"a\":\"\", \"é\":[[],{}]} }\n",
            "18446744073709551",
            "9999999999999999999",
            "[10, 9007199254740993]",
            "\"\u{7f}é\"",
            "null",
        ] {
            let (quick, any) = both(text);
            assert!(quick.is_some() && quick == any, "{text}: {quick:?} {any:?}");
        }
    }

    #[test]
    fn whatever_else_stands_there_is_left_to_the_other_reader() {
        let deep = "[".repeat(65) + &"]".repeat(65);
        let wide = format!("{{{}}}", (0..25).map(|at| format!("\"k{at}\":1")).collect::<Vec<_>>().join(","));
        for text in [
            "",
            " ",
            "{",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1",
            "{\"a\":1,}",
            "{,}",
            "{1:2}",
            "{\"a\":1,\"a\":2}",
            "{\"a\":1,\"b\":[1,{\"a\":3}],\"a\":2}",
            "[1}",
            "{\"a\":1]",
            "[1 2]",
            "[] []",
            "[]x",
            "\"\\u0041\"",
            "{\"\\n\":1}",
            "\"a\nb\"",
            "\"a",
            "-1",
            "1.5",
            "1e3",
            "01",
            "00",
            "1.",
            "tru",
            "nulll",
            "truefalse",
            "18446744073709551615",
            "99999999999999999999999",
            "\u{feff}{}",
            "\u{a0}{}",
            "'a'",
            "+1",
            &deep,
            &wide,
        ] {
            assert_eq!(read_quickly(text), None, "{text}");
        }
    }

    const PIECES: [&str; 18] =
        ["{", "}", "[", "]", ",", ":", "\"a\"", "\"b\"", "\"", "\\", "1", "0", "-", ".", "null", "true", " ", "\n"];

    fn json() -> impl Strategy<Value = String> {
        proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn it_accepts_nothing_that_the_other_reader_refuses_or_reads_otherwise(text in json()) {
            let (quick, any) = both(&text);
            prop_assert!(quick.is_none() || quick == any, "{}: {:?} {:?}", text, quick, any);
        }

        /// A document with a few characters changed.
        #[test]
        fn nor_when_a_document_is_damaged(at in 0usize..200, with in "[\\x00-\\x7fé]{0,2}", length in 0usize..4) {
            let text = "{\n  \"artifacts\": [\n    {\"path\": \"out/r/a\", \"file_size\": 10, \"sha256\": \"00\", \
                \"schema_version\": null, \"name\": \"a\"},\n    {\"path\": \"out/r/b\"}\n  ],\n  \"missing\": []\n}";
            let start = at.min(text.len());
            let end = (start + length).min(text.len());
            let text = format!("{}{with}{}", &text[..start], &text[end..]);
            let (quick, any) = both(&text);
            prop_assert!(quick.is_none() || quick == any, "{}: {:?} {:?}", text, quick, any);
        }
    }
}
