//! JSON as the documents need it: strict bounded reading, byte-exact writing.
//!
//! Reading refuses what makes two readers disagree: invalid UTF-8, duplicate keys, numbers that do not fit, excessive
//! depth or size. Writing follows the stored formats: two-space indent, insertion order, ASCII only (`\u` and four digits in
//! lower-case hex, surrogate pairs beyond the BMP), no trailing newline. `SPEC.md` section "JSON" is the contract.

use std::io;
use std::path::Path;

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::tree::Tree;

/// The largest document read into memory unless a caller says otherwise: 64 MiB.
pub const MAX_DOCUMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Why a text is not an acceptable JSON document.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The document is larger than allowed; it was not parsed.
    #[error("the document has {size_bytes} bytes; at most {limit_bytes} are read")]
    TooLarge {
        /// Size of the document in bytes.
        size_bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The bytes are not UTF-8.
    #[error("invalid UTF-8 at byte {offset} (line {line})")]
    Utf8 {
        /// Offset of the first bad byte, from 0.
        offset: usize,
        /// Line of the first bad byte, from 1.
        line: usize,
    },
    /// Syntax error, duplicate key, excessive depth (over 128) or a number out of range.
    #[error("{message} at line {line} column {column}")]
    Syntax {
        /// What is wrong.
        message: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1 (0 when the position is the start of the document).
        column: usize,
    },
}

impl JsonError {
    /// Line and column (from 1) where known.
    #[must_use]
    pub fn position(&self) -> Option<(usize, usize)> {
        match self {
            Self::TooLarge { .. } => None,
            Self::Utf8 { line, .. } => Some((*line, 1)),
            Self::Syntax { line, column, .. } => Some((*line, *column)),
        }
    }

    pub(crate) fn from_utf8(error: &std::string::FromUtf8Error) -> Self {
        let offset = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count();
        Self::Utf8 { offset, line }
    }

    pub(super) fn from_serde(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let suffix = format!(" at line {} column {}", error.line(), error.column());
        Self::Syntax {
            message: text.strip_suffix(&suffix).unwrap_or(&text).to_owned(),
            line: error.line(),
            column: error.column(),
        }
    }
}

/// Parses one JSON document of at most [`MAX_DOCUMENT_BYTES`], keeping key order and refusing duplicate keys.
///
/// # Errors
/// See [`JsonError`].
pub fn read(bytes: &[u8]) -> Result<Value, JsonError> {
    Ok(Tree::parse(bytes.to_vec())?.root().to_value())
}

/// Writes `value` with two-space indent, insertion order, ASCII only, no trailing newline.
#[must_use]
pub fn to_pretty(value: &impl Serialize) -> String {
    write_with(value, Ascii(PrettyFormatter::with_indent(b"  ")))
}

/// Like [`to_pretty`] with keys sorted by code point at every depth.
#[must_use]
pub fn to_pretty_sorted(value: &impl Serialize) -> String {
    to_pretty(&sorted(to_value(value)))
}

/// Writes `value` on one line with `", "` and `": "` as separators and keys sorted by code point at every depth.
///
/// This is the text that `plan_digest` hashes and the line form of `mismatch_packets.jsonl`. Floats follow Python's
/// `repr` (shortest digits, forced `.0`, exponent from 1e16 and below 1e-4).
#[must_use]
pub fn to_line_sorted(value: &impl Serialize) -> String {
    write_with(&sorted(to_value(value)), Ascii(LineFormatter))
}

/// For `#[serde(serialize_with)]` of a path that a document shows: the text it is, with U+FFFD for bytes that are no UTF-8.
/// A path on its own is refused by serde when it is no text, and a file's name may be any bytes.
///
/// # Errors
/// The serializer's.
pub fn shown_path<S: Serializer>(path: impl AsRef<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.as_ref().display())
}

/// Converts to a [`Value`], keeping insertion order.
///
/// Every type we serialise is made of structs, maps with text keys, lists and scalars ([`shown_path`] for paths), so this
/// cannot fail.
#[must_use]
pub fn to_value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("documents have text keys and finite numbers")
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        scalar => scalar,
    }
}

fn write_with(value: &impl Serialize, formatter: impl Formatter) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    value.serialize(&mut serializer).expect("writing to memory cannot fail; keys are text");
    String::from_utf8(bytes).expect("the formatter writes ASCII only")
}

/// Adds ASCII escaping and Python float text to another formatter.
struct Ascii<F>(F);

impl<F: Formatter> Formatter for Ascii<F> {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(python_float(value).as_bytes())
    }
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for c in fragment.chars() {
            if matches!(c, ' '..='~') {
                writer.write_all(&[c as u8])?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }
    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }
    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }
    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }
    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }
    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }
    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }
    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

/// One line with a space after every comma and colon.
struct LineFormatter;

impl Formatter for LineFormatter {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }
    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }
    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// What the formats' first writer took for "nothing there": null, false, zero, and empty texts and containers.
#[must_use]
pub fn is_falsy(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Writes `value` on one line without spaces, in insertion order, ASCII only: the form of machine streams.
#[must_use]
pub fn to_line(value: &impl Serialize) -> String {
    write_with(value, Ascii(CompactFormatter))
}

/// The text Python's `repr` gives a finite float: shortest digits that round-trip.
fn python_float(value: f64) -> String {
    if value == 0.0 {
        return if value.is_sign_negative() { "-0.0".into() } else { "0.0".into() };
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("LowerExp always writes an exponent");
    let exponent: i32 = exponent.parse().expect("LowerExp writes a decimal exponent");
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        if plain.contains('.') { plain } else { plain + ".0" }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.abs())
    }
}

/// The JSON pointers of leaves that differ, or that only one of the two has.
#[must_use]
pub fn differences(found: &Value, expected: &Value) -> Vec<String> {
    let mut different = Vec::new();
    compare("", Some(found), Some(expected), &mut different);
    different
}

fn compare(at: &str, found: Option<&Value>, expected: Option<&Value>, different: &mut Vec<String>) {
    match (found, expected) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let more = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(more) {
                compare(&format!("{at}/{key}"), a.get(key), b.get(key), different);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for index in 0..a.len().max(b.len()) {
                compare(&format!("{at}/{index}"), a.get(index), b.get(index), different);
            }
        }
        (a, b) if a == b => {}
        _ => different.push(at.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pretty_is_two_spaces_insertion_order_ascii_and_no_newline() {
        let value = json!({"b": [1, {}], "a": "é\u{1F512}\u{7f}\t\"/\\", "c": []});
        let expected = "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": \"\\u00e9\\ud83d\\udd12\\u007f\\t\\\"/\\\\\",\n  \"c\": []\n}";
        assert_eq!(to_pretty(&value), expected);
        assert!(to_pretty_sorted(&value).starts_with("{\n  \"a\""));
    }

    #[test]
    fn lines_are_sorted_with_spaces_and_python_floats() {
        let value = json!({"z": {"b": 1, "a": 1.0}, "f": [1e16, 1.5e-5, 123456.75, -0.0, 1e-4, 5e-324, 1e22]});
        let text = r#"{"f": [1e+16, 1.5e-05, 123456.75, -0.0, 0.0001, 5e-324, 1e+22], "z": {"a": 1.0, "b": 1}}"#;
        assert_eq!(to_line_sorted(&value), text);
        assert_eq!(to_line(&json!({"z": 1, "a": [1, 2]})), r#"{"z":1,"a":[1,2]}"#);
    }

    #[test]
    fn reading_keeps_order_and_gives_positions() {
        assert_eq!(to_line(&read(br#"{"b": 1, "a": null}"#).unwrap()), r#"{"b":1,"a":null}"#);
        for (text, needle, line) in [
            ("{\"a\": 1,\n \"a\": 2}", "duplicate key \"a\"", 2),
            ("{\"a\": {\"x\": 1, \"x\": 1}}", "duplicate key \"x\"", 1),
            ("{\"a\": 1,}", "trailing comma", 1),
            ("[1] 2", "trailing characters", 1),
            ("[123456789012345678901234567890]", "number out of range", 1),
            ("[1e999]", "number out of range", 1),
            ("\n\n{", "EOF", 3),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(needle), "{text}: {error}");
            assert_eq!(error.position().unwrap().0, line, "{text}: {error}");
        }
    }

    #[test]
    fn depth_utf8_and_size_are_bounded() {
        let deep = "[".repeat(100_000);
        assert!(read(deep.as_bytes()).unwrap_err().to_string().contains("recursion limit"));
        let error = read(b"{\n\"a\": \"\xff\"}").unwrap_err();
        assert_eq!(error.to_string(), "invalid UTF-8 at byte 8 (line 2)");
        let big = vec![b' '; usize::try_from(MAX_DOCUMENT_BYTES).unwrap() + 1];
        assert!(matches!(read(&big), Err(JsonError::TooLarge { .. })));
    }
}
