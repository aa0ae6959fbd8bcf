//! Passing over the members of objects that all look alike.
//!
//! The events of a document have the same members in nearly the same order, written the same way. So what stood between two values
//! the last time (a comma, white space, a key, a colon) is compared as a whole before it is read letter by letter. Only plain
//! text is understood: no escapes, no unknown or repeated key. Whatever else stands there is left to a parser that says what
//! is wrong with it: [`skim`] then answers `None`, also when the text ends early.

use crate::base::scan::{begins_with, passed, plain, space};

/// What stands where a member's value should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'t> {
    /// A string without escapes.
    Text(&'t str),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// A number, an array or an object, which is JSON.
    Other,
}

/// How members followed each other so far.
pub(super) struct Order {
    /// For the start and for each known key: what came next, from the end of the value before to the start of the next, and the
    /// number of its key.
    next: Vec<(String, usize)>,
}

impl Order {
    /// Nothing is known yet about objects of `keys` keys, at most 128: those seen are bits of a number.
    pub(super) fn new(keys: usize) -> Self {
        Self { next: vec![(String::new(), 0); keys + 1] }
    }
}

/// The most values within each other.
const DEPTH: usize = 64;

/// Reads the object that `text` begins with; hands each member to `member` with the number that `number_of` gives its key; the
/// number of bytes it takes.
pub(super) fn skim<'t>(
    text: &'t str,
    order: &mut Order,
    number_of: impl Fn(&str) -> Option<usize>,
    mut member: impl FnMut(usize, Value<'t>),
) -> Option<usize> {
    let bytes = text.as_bytes();
    if *bytes.first()? != b'{' {
        return None;
    }
    let (mut at, mut last, mut seen) = (1, order.next.len() - 1, 0u128);
    loop {
        let (before, number) = &order.next[last];
        let number = if !before.is_empty() && begins_with(&bytes[at..], before.as_bytes()) {
            // What is known may come from a text that ended within the white space.
            at = space(bytes, at + before.len());
            *number
        } else {
            let start = at;
            at = space(bytes, at);
            if *bytes.get(at)? == b'}' {
                return Some(at + 1);
            }
            if seen != 0 {
                at = space(bytes, passed(bytes, at, b',')?);
            }
            let end = plain(bytes, passed(bytes, at, b'"')?)?;
            let number = number_of(text.get(at + 1..end)?)?;
            at = space(bytes, passed(bytes, space(bytes, end + 1), b':')?);
            order.next[last] = (text.get(start..at)?.to_owned(), number);
            number
        };
        if seen & (1 << number) != 0 {
            return None;
        }
        seen |= 1 << number;
        last = number;
        let (end, value) = value(text, at, DEPTH)?;
        member(number, value);
        at = end;
    }
}

/// The value that begins at `at`, and where it ends.
fn value(text: &str, at: usize, depth: usize) -> Option<(usize, Value<'_>)> {
    let bytes = text.as_bytes();
    Some(match *bytes.get(at)? {
        b'"' => {
            let end = plain(bytes, at + 1)?;
            (end + 1, Value::Text(text.get(at + 1..end)?))
        }
        b't' if bytes[at..].starts_with(b"true") => (at + 4, Value::Bool(true)),
        b'f' if bytes[at..].starts_with(b"false") => (at + 5, Value::Bool(false)),
        b'n' if bytes[at..].starts_with(b"null") => (at + 4, Value::Null),
        b'{' | b'[' => (list(text, at, depth.checked_sub(1)?)?, Value::Other),
        b'0'..=b'9' | b'-' => (number(bytes, at)?, Value::Other),
        _ => return None,
    })
}

/// Where the array or object ends that begins at `at`.
fn list(text: &str, at: usize, depth: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_object = *bytes.get(at)? == b'{';
    let close = if is_object { b'}' } else { b']' };
    let mut at = space(bytes, at + 1);
    if *bytes.get(at)? == close {
        return Some(at + 1);
    }
    loop {
        if is_object {
            let end = plain(bytes, passed(bytes, at, b'"')?)?;
            at = space(bytes, passed(bytes, space(bytes, end + 1), b':')?);
        }
        at = space(bytes, value(text, at, depth)?.0);
        match *bytes.get(at)? {
            b',' => at = space(bytes, at + 1),
            end if end == close => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Where a whole number ends; others are left to the parser, and so is one that may go on behind the text.
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let first = at + usize::from(bytes[at] == b'-');
    let digits = bytes[first..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let end = first + digits;
    let is_whole = (1..=15).contains(&digits) && (digits == 1 || bytes[first] != b'0');
    (is_whole && !matches!(bytes.get(end)?, b'.' | b'e' | b'E')).then_some(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;

    const KEYS: [&str; 4] = ["a", "b", "operation", "x y"];

    /// Length, and the members with what is told of their values.
    fn skimmed(text: &str, order: &mut Order) -> Option<(usize, Vec<(String, Json)>)> {
        let mut members = Vec::new();
        let number_of = |key: &str| KEYS.iter().position(|known| *known == key);
        let length = skim(text, order, number_of, |number, value| {
            let value = match value {
                Value::Text(text) => text.into(),
                Value::Bool(flag) => flag.into(),
                Value::Null => Json::Null,
                Value::Other => "other".into(),
            };
            members.push((KEYS[number].to_owned(), value));
        })?;
        Some((length, members))
    }

    /// The same by the parser.
    fn parsed(text: &str) -> Option<(usize, Vec<(String, Json)>)> {
        let mut objects = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Map<String, Json>>();
        let object = objects.next()?.ok()?;
        let told = |value: Json| match value {
            Json::Number(_) | Json::Array(_) | Json::Object(_) => "other".into(),
            plain => plain,
        };
        Some((objects.byte_offset(), object.into_iter().map(|(key, value)| (key, told(value))).collect()))
    }

    #[test]
    fn members_are_told_in_any_order_and_layout() {
        let mut order = Order::new(KEYS.len());
        for text in [
            r#"{"a": "text", "b": true, "operation": null}, next"#,
            r#"{"a": "text", "b": false, "operation": null}"#,
            r#"{ "b" :-12 , "a":[1, {"q": []}, "s"], "x y": {"a": {"a": 0}}}"#,
            "{\n  \"a\": \"\u{e9}\u{7f}\",\n  \"b\": {}\n}",
            r#"{"a": "text", "b": true}"#,
            r#"{"b": "0123456789012345678901234567890123456789"}"#,
        ] {
            let found = skimmed(text, &mut order);
            assert!(found.is_some() && found == parsed(text), "{text}: {found:?}");
        }
    }

    #[test]
    fn a_text_that_ends_early_leaves_nothing_behind_that_hinders() {
        let text = "{\n  \"a\" :  \"text\",\n  \"b\": {\"q\": [1, true]},\n  \"operation\": null\n}";
        for end in 0..text.len() {
            let mut order = Order::new(KEYS.len());
            assert_eq!(skimmed(&text[..end], &mut order), None, "{end}");
            assert_eq!(skimmed(text, &mut order), parsed(text), "{end}");
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_parser() {
        for text in [
            "",
            "{",
            "x",
            r#"{"a": 1"#,
            r#"{"a": 1,}"#,
            r#"{"a": 1 "b": 2}"#,
            r#"{"a": 1, "a": 2}"#,
            r#"{"c": 1}"#,
            r#"{"a": "\n"}"#,
            r#"{"\u0061": 1}"#,
            "{\"a\": \"\n\"}",
            r#"{"a": 01}"#,
            r#"{"a": 1.5}"#,
            r#"{"a": -}"#,
            r#"{"a": tru}"#,
            r#"{"a": [1,]}"#,
            r#"{"a": {"q" 1}}"#,
            r#"{"a": 1]"#,
            r#"{,"a": 1}"#,
            r#"{"a": "b}"#,
            r#"{"a": 1x}"#,
        ] {
            assert_eq!(skimmed(text, &mut Order::new(KEYS.len())), None, "{text}");
            // Nor after an object that looks much the same.
            let mut order = Order::new(KEYS.len());
            assert!(skimmed(r#"{"a": 1, "b": 2}"#, &mut order).is_some());
            assert_eq!(skimmed(text, &mut order), None, "{text}");
        }
    }

    /// Text that is JSON nearly always.
    fn texts() -> impl Strategy<Value = String> {
        let word = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ", ",
            ":",
            ": ",
            "\"a\"",
            "\"b\"",
            "\"operation\"",
            "\"x y\"",
            "\"a\": ",
            ", \"b\": ",
            "1",
            "-7",
            "1.5",
            "true",
            "null",
            "\"\\n\"",
            "\"text of some length\"",
            " ",
            "\n",
            "\u{e9}",
            "\"",
            "0",
        ]);
        prop::collection::vec(word, 0..24).prop_map(|words| format!("{{{}", words.concat()))
    }

    proptest! {
        #[test]
        fn whatever_is_told_the_parser_tells_as_well(texts in prop::collection::vec(texts(), 1..4)) {
            let mut order = Order::new(KEYS.len());
            let _ = skimmed(r#"{"a": 1, "b": 2}"#, &mut order);
            for text in texts {
                if let Some(found) = skimmed(&text, &mut order) {
                    prop_assert_eq!(Some(found), parsed(&text), "{}", text);
                }
            }
        }
    }
}
