//! Checking the shape of a document against a table of its fields, collecting every finding.
//!
//! The tables stand next to the types they describe; a value that passes its table deserialises into its type.

pub use super::sink::Sink;
use super::view::View;
use crate::base::digest::Sha256Hex;
use crate::base::position::escape;
use crate::base::spelling::{self, did_you_mean};
use crate::vocab::Severity;

/// What a field may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A string that is usable as an id, see [`id_problem`].
    Id,
    /// A string, or null.
    OptionalText,
    /// An integer of 64 bits, or null.
    OptionalInteger,
    /// An array of strings.
    TextList,
    /// An array of ids.
    IdList,
    /// A number of things: an integer from 0.
    Count,
    /// true or false.
    Flag,
    /// A SHA-256 digest: 64 lower-case hexadecimal digits.
    Sha256,
    /// An object; its members are checked elsewhere or free.
    Object,
    /// The same, or null.
    OptionalObject,
    /// An array; its members are checked elsewhere.
    Array,
    /// One word of a list; the first text is the finding's id.
    Word(&'static str, &'static [&'static str]),
    /// An array of words of a list; the first text is the finding's id.
    WordList(&'static str, &'static [&'static str]),
    /// An object with boolean members of these names only.
    Lanes,
}

/// The lanes a document may name, in the order of the formats.
pub const LANES: &[&str] = &["baseline", "scenario", "oracle"];

/// The controls a document may name.
pub const CONTROLS: &[&str] = &["baseline", "allow_default", "deny_default"];

/// One field of an object.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key.
    pub key: &'static str,
    /// Whether it must be present.
    pub required: bool,
    /// What it may hold.
    pub kind: Kind,
}

/// A field that must be present.
#[must_use]
pub const fn required(key: &'static str, kind: Kind) -> Field {
    Field { key, required: true, kind }
}

/// A field that may be absent.
#[must_use]
pub const fn optional(key: &'static str, kind: Kind) -> Field {
    Field { key, required: false, kind }
}

/// The value's kind as a reader calls it.
#[must_use]
pub fn kind_name<'v>(value: impl Into<View<'v>>) -> &'static str {
    value.into().kind_name()
}

/// Checks `value` against `fields`; unknown keys get the severity `unknown`. `what` names the object in messages.
///
/// Whether it is an object at all is the answer, whatever else was found.
pub fn object<'v>(
    value: impl Into<View<'v>>,
    fields: &[Field],
    unknown: Severity,
    what: &str,
    pointer: &str,
    sink: &mut Sink<'_>,
) -> bool {
    object_at(value.into(), fields, unknown, &|| what.to_owned(), &|| pointer.to_owned(), sink)
}

/// A text that is only made when a finding needs it: most entries of a large document have none.
pub type Lazy<'a> = &'a dyn Fn() -> String;

/// The largest number of fields of an object.
const MAX_FIELDS: usize = 32;

/// Like [`object`], for one of many.
pub fn object_at(
    value: View<'_>,
    fields: &[Field],
    unknown: Severity,
    what: Lazy<'_>,
    pointer: Lazy<'_>,
    sink: &mut Sink<'_>,
) -> bool {
    let View::Object(members) = value else {
        sink.error("wrong-type", &pointer(), format!("{} is {}, expected an object", what(), value.kind_name()));
        return false;
    };
    let mut given: [Option<View<'_>>; MAX_FIELDS] = [const { None }; MAX_FIELDS];
    let mut next = 0;
    for (key, value) in members {
        // Most documents have their keys in the order of the table.
        let inner = fields[next..].iter().position(|field| field.key == key).map(|index| next + index);
        match inner.or_else(|| fields[..next].iter().position(|field| field.key == key)) {
            Some(index) => {
                given[index] = Some(value);
                next = index + 1;
            }
            None => {
                let at = format!("{}/{}", pointer(), escape(key));
                let finding = sink.add("unknown-key", unknown, &at, format!("{} has the unknown key {key:?}", what()));
                finding.help = nearest(key, fields).map(|known| format!("did you mean {known:?}?"));
            }
        }
    }
    for (field, value) in fields.iter().zip(given) {
        match value {
            Some(value) => {
                check_kind(value, (field.key, field.kind), what, &|| format!("{}/{}", pointer(), field.key), sink);
            }
            None if field.required => {
                let message = format!("{} lacks the key {:?}", what(), field.key);
                sink.error("missing-key", &pointer(), message).help = Some(format!("add {}", expected(field.kind)));
            }
            None => {}
        }
    }
    true
}

/// Checks that the document's `schema_version` is exactly `tag`; nothing else of a foreign document means anything.
pub fn has_tag<'v>(value: impl Into<View<'v>>, tag: &str, sink: &mut Sink<'_>) -> bool {
    let value = value.into();
    let View::Object(mut members) = value else {
        sink.error("wrong-type", "", format!("the document is {}, expected an object", value.kind_name()));
        return false;
    };
    match members.find(|(key, _)| *key == "schema_version").map(|(_, value)| value) {
        Some(View::String(found)) if found == tag => true,
        Some(View::String(found)) => {
            sink.error("schema-tag", "/schema_version", format!("schema_version is {found:?}, expected {tag:?}"));
            false
        }
        Some(other) => {
            let message = format!("schema_version is {}, expected the string {tag:?}", other.kind_name());
            sink.error("schema-tag", "/schema_version", message);
            false
        }
        None => {
            sink.error("schema-tag", "", format!("schema_version is absent, expected {tag:?}"));
            false
        }
    }
}

/// Checks one value that stands under `key` in the object that messages call `what`.
pub fn value<'v>(
    value: impl Into<View<'v>>,
    (key, kind): (&str, Kind),
    what: &str,
    pointer: &str,
    sink: &mut Sink<'_>,
) {
    check_kind(value.into(), (key, kind), &|| what.to_owned(), &|| pointer.to_owned(), sink);
}

fn check_kind(value: View<'_>, (key, kind): (&str, Kind), what: Lazy<'_>, pointer: Lazy<'_>, sink: &mut Sink<'_>) {
    let wrong = |sink: &mut Sink<'_>, key: &str, at: &str, found: &str, expected: &str| {
        sink.error("wrong-type", at, format!("{key} of {} is {found}, expected {expected}", what()));
    };
    match (kind, value) {
        (Kind::Text | Kind::OptionalText, View::String(_))
        | (Kind::OptionalText | Kind::OptionalInteger | Kind::OptionalObject, View::Null)
        | (Kind::Object | Kind::OptionalObject, View::Object(_))
        | (Kind::Flag, View::Bool(_))
        | (Kind::Array, View::Array(_)) => {}
        (Kind::OptionalInteger, View::Number(number)) if number.is_i64() => {}
        (Kind::Count, View::Number(number)) if number.is_u64() => {}
        (Kind::Sha256, View::String(digest)) if Sha256Hex::parse(digest).is_ok() => {}
        (Kind::Id, View::String(id)) => check_id(id, &|| key.to_owned(), what, pointer, sink),
        (Kind::TextList | Kind::IdList | Kind::WordList(..), View::Array(members)) => {
            for (index, member) in members.enumerate() {
                let at: Lazy<'_> = &|| format!("{}/{index}", pointer());
                let member_key: Lazy<'_> = &|| format!("member {index} of {key}");
                match (kind, member) {
                    (Kind::IdList, View::String(id)) => check_id(id, member_key, what, at, sink),
                    (Kind::WordList(id, words), View::String(word)) => {
                        check_word(word, id, words, member_key, what, at, sink);
                    }
                    (_, View::String(_)) => {}
                    (_, other) => wrong(sink, &member_key(), &at(), other.kind_name(), "a string"),
                }
            }
        }
        (Kind::Word(id, words), View::String(word)) => {
            check_word(word, id, words, &|| key.to_owned(), what, pointer, sink);
        }
        (Kind::Lanes, View::Object(lanes)) => {
            for (lane, value) in lanes {
                let at = || format!("{}/{}", pointer(), escape(lane));
                if !LANES.contains(&lane) {
                    let message = format!("{key} of {} names the unknown lane {lane:?}", what());
                    sink.error("unknown-lane", &at(), message).help = Some(format!("lanes are {}", LANES.join(", ")));
                } else if !matches!(value, View::Bool(_)) {
                    wrong(sink, &format!("{key}.{lane}"), &at(), value.kind_name(), "true or false");
                }
            }
        }
        (kind, other) => wrong(sink, key, &pointer(), other.kind_name(), expected(kind)),
    }
}

fn check_word(
    word: &str,
    id: &str,
    words: &[&str],
    key: Lazy<'_>,
    what: Lazy<'_>,
    pointer: Lazy<'_>,
    sink: &mut Sink<'_>,
) {
    if !words.contains(&word) {
        let message = format!("{} of {} is {word:?}, expected one of {}", key(), what(), words.join(", "));
        sink.error(id, &pointer(), message).help = did_you_mean(word, words.iter().copied());
    }
}

fn check_id(id: &str, key: Lazy<'_>, what: Lazy<'_>, pointer: Lazy<'_>, sink: &mut Sink<'_>) {
    if let Some(problem) = id_problem(id) {
        sink.error("unusable-id", &pointer(), format!("{} of {} {problem}", key(), what()));
    }
}

/// The longest id accepted, in bytes.
pub const MAX_ID_BYTES: usize = 1024;

/// Why a text cannot be an id: ids are free text, but must be printable and must not read as a parent directory.
#[must_use]
pub fn id_problem(id: &str) -> Option<String> {
    if id.is_empty() {
        return Some("is empty".to_owned());
    }
    if id.len() > MAX_ID_BYTES {
        return Some(format!("has {} bytes, at most {MAX_ID_BYTES} are allowed", id.len()));
    }
    if let Some(character) = id.chars().find(|c| c.is_control()) {
        return Some(format!("holds the control character {character:?}"));
    }
    if matches!(id, "." | "..") || id.starts_with("../") || id.starts_with("./") {
        return Some(format!("is {id:?}, which reads as a relative path"));
    }
    None
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Id | Kind::Word(..) => "a string",
        Kind::OptionalText => "a string or null",
        Kind::OptionalInteger => "an integer or null",
        Kind::TextList | Kind::IdList | Kind::WordList(..) => "an array of strings",
        Kind::Count => "an integer from 0",
        Kind::Flag => "true or false",
        Kind::Sha256 => "64 lower-case hexadecimal digits",
        Kind::Object | Kind::Lanes => "an object",
        Kind::OptionalObject => "an object or null",
        Kind::Array => "an array",
    }
}

/// The known key that `key` is meant to be: it differs only in case, separators or a plural, or in one or two characters.
fn nearest(key: &str, fields: &[Field]) -> Option<&'static str> {
    let squash = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let wanted = squash(key);
    let keys = || fields.iter().map(|field| field.key);
    let same = keys().find(|known| {
        let known = squash(known);
        known == wanted || known.strip_suffix('s') == Some(&wanted) || wanted.strip_suffix('s') == Some(&known)
    });
    same.or_else(|| spelling::nearest(key, keys()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const FIELDS: &[Field] = &[
        required("id", Kind::Id),
        required("word", Kind::Word("bad-word", &["a", "b"])),
        optional("list", Kind::TextList),
        optional("words", Kind::WordList("bad-word", &["a", "b"])),
        optional("lanes", Kind::Lanes),
        optional("text", Kind::OptionalText),
        optional("number", Kind::OptionalInteger),
    ];

    fn check(value: &Value) -> Vec<(String, String)> {
        let mut sink = Sink::new("f");
        object(value, FIELDS, Severity::Error, "thing", "/x", &mut sink);
        sink.into_findings().into_iter().map(|f| (f.id, f.pointer.unwrap_or_default())).collect()
    }

    #[test]
    fn a_good_object_passes() {
        let good = json!({"id": "a:b/c*", "word": "a", "list": ["x"], "words": [], "lanes": {"oracle": false},
            "text": null, "number": 7});
        assert_eq!(check(&good), []);
    }

    #[test]
    fn every_wrong_value_is_found_at_its_place() {
        let good = json!({"id": "i", "word": "a"});
        for (key, value, id, pointer) in [
            ("id", json!(7), "wrong-type", "/x/id"),
            ("id", json!(""), "unusable-id", "/x/id"),
            ("id", json!("a\u{1}"), "unusable-id", "/x/id"),
            ("id", json!(".."), "unusable-id", "/x/id"),
            ("id", json!("x".repeat(1025)), "unusable-id", "/x/id"),
            ("word", json!("c"), "bad-word", "/x/word"),
            ("word", json!([]), "wrong-type", "/x/word"),
            ("list", json!("x"), "wrong-type", "/x/list"),
            ("list", json!(["x", 1]), "wrong-type", "/x/list/1"),
            ("words", json!(["a", "z"]), "bad-word", "/x/words/1"),
            ("lanes", json!({"oracle": 1}), "wrong-type", "/x/lanes/oracle"),
            ("lanes", json!({"o/racle": true}), "unknown-lane", "/x/lanes/o~1racle"),
            ("lanes", json!([]), "wrong-type", "/x/lanes"),
            ("text", json!(1), "wrong-type", "/x/text"),
            ("number", json!(true), "wrong-type", "/x/number"),
            ("number", json!(1.5), "wrong-type", "/x/number"),
            ("extra", json!(1), "unknown-key", "/x/extra"),
        ] {
            let mut bad = good.clone();
            bad[key] = value;
            assert_eq!(check(&bad), [(id.to_owned(), pointer.to_owned())], "{key}");
        }
        assert_eq!(check(&json!({"id": "i"})), [("missing-key".to_owned(), "/x".to_owned())]);
        assert_eq!(check(&json!([])), [("wrong-type".to_owned(), "/x".to_owned())]);
    }

    #[test]
    fn near_misses_are_suggested() {
        assert_eq!(nearest("Lists", FIELDS), Some("list"));
        assert_eq!(nearest("lane", FIELDS), Some("lanes"));
        assert_eq!(nearest("txet", FIELDS), Some("text"));
        assert_eq!(nearest("zzz", FIELDS), None);
    }
}
