//! The fixture set: the files a plan's probes act on, as data (`SPEC.md`, section "Fixture sets").
//!
//! A set is built in a private directory for every run and lane; targets name it as `${FIXTURES}`, profiles as
//! `(param "FIXTURES")`. Parents are declared before their children, so a builder goes through the entries in order and
//! applies directory modes last, in reverse.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use crate::base::rel_path::RelPath;
use crate::fixture::{FixtureEntry, FixtureKind, FixtureSet};
use crate::registry::check::{self, Field, Kind, Sink, optional, required};
use crate::registry::{Document, DocumentError, Place, Refusal};
use crate::vocab::{Finding, Severity};

/// Schema tag of a fixture set.
pub const FIXTURES_TAG: &str = "runtime-tools.fixture_set.v0.1";

/// How targets name the directory a set is built in.
pub const FIXTURES_VARIABLE: &str = "${FIXTURES}";

const FIELDS: &[Field] = &[required("schema_version", Kind::Text), required("entries", Kind::Array)];

const KINDS: &[&str] = &["directory", "file", "symlink", "fifo", "noop_program"];

const ENTRY_FIELDS: &[Field] = &[
    required("path", Kind::Text),
    required("kind", Kind::Word("fixture-kind", KINDS)),
    optional("mode", Kind::Text),
    optional("content", Kind::Text),
    optional("target", Kind::Text),
];

/// Why there is no fixture set.
#[derive(Debug, thiserror::Error)]
pub enum FixturesError {
    /// The file cannot be read or is not JSON.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The document is not an acceptable fixture set.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Reads the fixture set at `place`.
///
/// # Errors
/// See [`FixturesError`]; a refusal holds every finding.
pub fn load_fixtures(place: &Place) -> Result<FixtureSet, FixturesError> {
    let (set, findings) = read(&Document::read(place)?);
    Refusal::unless_clean(findings)?;
    Ok(set)
}

/// Checks a document as a fixture set: its usable entries, and every finding.
#[must_use]
pub fn read(document: &Document) -> (FixtureSet, Vec<Finding>) {
    let file = document.place.to_string();
    let mut sink = Sink::new(&file);
    let set = read_value(&document.value, &mut sink);
    let mut findings = sink.into_findings();
    document.add_positions(&mut findings);
    (set, findings)
}

fn read_value(value: &Value, sink: &mut Sink<'_>) -> FixtureSet {
    let mut set = FixtureSet::default();
    let mut declared = HashMap::new();
    if !check::has_tag(value, FIXTURES_TAG, sink) {
        return set;
    }
    let map = check::object(value, FIELDS, Severity::Warning, "the fixture set", "", sink);
    let entries = map.and_then(|map| map.get("entries")).and_then(Value::as_array);
    for (number, value) in entries.into_iter().flatten().enumerate() {
        let pointer = format!("/entries/{number}");
        let mark = sink.len();
        check::object(value, ENTRY_FIELDS, Severity::Error, "a fixture entry", &pointer, sink);
        if sink.has_error_since(mark) {
            continue;
        }
        let typed = TypedEntry::deserialize(value).expect("the field table admits only what the type can hold");
        if let Some(entry) = check_entry(typed, &declared, &pointer, sink) {
            declared.insert(entry.path.as_str().to_owned(), entry.kind == FixtureKind::Directory);
            set.entries.push(entry);
        }
    }
    set
}

#[derive(Deserialize)]
struct TypedEntry {
    path: String,
    kind: String,
    #[serde(default)]
    mode: Option<String>,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    target: Option<String>,
}

/// Paths declared so far, and whether each is a directory.
type Declared = HashMap<String, bool>;

fn check_entry(typed: TypedEntry, earlier: &Declared, pointer: &str, sink: &mut Sink<'_>) -> Option<FixtureEntry> {
    let mark = sink.len();
    let path = match RelPath::try_from(typed.path.as_str()) {
        Ok(path) => path,
        Err(error) => {
            sink.error("fixture-path", &format!("{pointer}/path"), format!("path {:?} {error}", typed.path));
            return None;
        }
    };
    check_position(&path, earlier, pointer, sink);
    let kind = check_content(&typed, &path, pointer, sink);
    let default_mode =
        if matches!(kind, Some(FixtureKind::Directory | FixtureKind::NoopProgram)) { 0o755 } else { 0o644 };
    let mode = match typed.mode.as_deref() {
        None => default_mode,
        Some(text) => match parse_mode(text) {
            Some(mode) => mode,
            None => {
                let message = format!("mode of {path} is {text:?}, expected octal text from \"0000\" to \"0777\"");
                sink.error("fixture-mode", &format!("{pointer}/mode"), message);
                default_mode
            }
        },
    };
    let kind = kind.filter(|_| !sink.has_error_since(mark))?;
    Some(FixtureEntry { path, kind, mode })
}

/// The parent must be a directory declared before, and nothing may be declared twice.
fn check_position(path: &RelPath, earlier: &Declared, pointer: &str, sink: &mut Sink<'_>) {
    let at = format!("{pointer}/path");
    if earlier.contains_key(path.as_str()) {
        sink.error("fixture-duplicate", &at, format!("{path} is declared twice"));
    }
    if let Some((parent, _)) = path.as_str().rsplit_once('/') {
        match earlier.get(parent) {
            Some(true) => {}
            Some(false) => {
                sink.error("fixture-parent", &at, format!("{path} stands below {parent}, which is not a directory"));
            }
            None => {
                sink.error(
                    "fixture-parent",
                    &at,
                    format!("{path} stands below {parent}, which is not declared before it"),
                )
                .help = Some(format!("declare the directory {parent} first"));
            }
        }
    }
}

fn check_content(typed: &TypedEntry, path: &RelPath, pointer: &str, sink: &mut Sink<'_>) -> Option<FixtureKind> {
    if typed.content.is_some() && typed.kind != "file" {
        let message = format!("content of {path}: only a file has content, this is a {}", typed.kind);
        sink.error("fixture-content", &format!("{pointer}/content"), message);
    }
    if typed.target.is_some() != (typed.kind == "symlink") {
        let message = format!("{path} is a {}: exactly the symbolic links have a target", typed.kind);
        sink.error("fixture-target", pointer, message);
        return None;
    }
    match typed.kind.as_str() {
        "directory" => Some(FixtureKind::Directory),
        "file" => Some(FixtureKind::File(typed.content.clone().unwrap_or_default())),
        "fifo" => Some(FixtureKind::Fifo),
        "noop_program" => Some(FixtureKind::NoopProgram),
        _ => {
            let target = typed.target.clone().unwrap_or_default();
            if !stays_beneath(path, &target) {
                let message = format!("target {target:?} of {path} leaves the fixture directory");
                sink.error("fixture-target", &format!("{pointer}/target"), message);
            }
            Some(FixtureKind::Symlink(target))
        }
    }
}

/// Whether a link at `path` with this text names something beneath the fixture directory, judged by text.
fn stays_beneath(path: &RelPath, target: &str) -> bool {
    if target.is_empty() || target.starts_with('/') || target.chars().any(char::is_control) {
        return false;
    }
    let mut depth = path.components().count() - 1;
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." if depth == 0 => return false,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

/// Octal text of three or four digits, 0 to 0o777: no set-id or sticky bits.
fn parse_mode(text: &str) -> Option<u32> {
    if !(3..=4).contains(&text.len()) || !text.bytes().all(|b| matches!(b, b'0'..=b'7')) {
        return None;
    }
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777)
}

impl FixtureSet {
    /// The entry declared at a path beneath the fixture directory.
    #[must_use]
    pub fn entry(&self, path: &str) -> Option<&FixtureEntry> {
        self.entries.iter().find(|entry| entry.path.as_str() == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_entries(entries: Value) -> (FixtureSet, Vec<String>) {
        let mut sink = Sink::new("fixtures.json");
        let set = read_value(&json!({"schema_version": FIXTURES_TAG, "entries": entries}), &mut sink);
        (set, sink.into_findings().into_iter().map(|f| format!("{} {}", f.id, f.pointer.unwrap_or_default())).collect())
    }

    #[test]
    fn a_tree_of_every_kind_is_read() {
        let (set, findings) = read_entries(json!([
            {"path": "d", "kind": "directory", "mode": "0700"},
            {"path": "d/f", "kind": "file", "mode": "000", "content": "x"},
            {"path": "d/l", "kind": "symlink", "target": "../d/f"},
            {"path": "p", "kind": "fifo", "mode": "0600"},
            {"path": "n", "kind": "noop_program"},
        ]));
        assert_eq!(findings, [""; 0]);
        assert_eq!(set.entry("d/f").unwrap().kind, FixtureKind::File("x".into()));
        assert_eq!(set.entries.iter().map(|e| e.mode).collect::<Vec<_>>(), [0o700, 0, 0o644, 0o600, 0o755]);
    }

    #[test]
    fn nothing_leaves_the_tree_and_nothing_is_ambiguous() {
        let file = |path: &str| json!({"path": path, "kind": "file"});
        let link = |target: &str| json!({"path": "l", "kind": "symlink", "target": target});
        for (entry, finding) in [
            (file("../x"), "fixture-path /entries/1/path"),
            (file("/x"), "fixture-path /entries/1/path"),
            (file("a\u{0}b"), "fixture-path /entries/1/path"),
            (file("d"), "fixture-duplicate /entries/1/path"),
            (file("e/x"), "fixture-parent /entries/1/path"),
            (link("/etc/passwd"), "fixture-target /entries/1/target"),
            (link("../x"), "fixture-target /entries/1/target"),
            (link("d/../../x"), "fixture-target /entries/1/target"),
            (json!({"path": "l", "kind": "symlink"}), "fixture-target /entries/1"),
            (json!({"path": "x", "kind": "file", "target": "d"}), "fixture-target /entries/1"),
            (json!({"path": "x", "kind": "socket"}), "fixture-kind /entries/1/kind"),
            (json!({"path": "x", "kind": "fifo", "content": ""}), "fixture-content /entries/1/content"),
            (json!({"path": "x", "kind": "file", "mode": "4755"}), "fixture-mode /entries/1/mode"),
            (json!({"path": "x", "kind": "file", "mode": "rw"}), "fixture-mode /entries/1/mode"),
            (json!({"path": "x", "kind": "file", "mode": 420}), "wrong-type /entries/1/mode"),
            (json!({"path": "x", "kind": "file", "owner": "root"}), "unknown-key /entries/1/owner"),
            (json!({"kind": "file"}), "missing-key /entries/1"),
            (json!(7), "wrong-type /entries/1"),
        ] {
            let (set, findings) = read_entries(json!([{"path": "d", "kind": "directory"}, entry]));
            assert_eq!(findings, [finding], "{entry}");
            assert_eq!(set.entries.len(), 1, "{entry}");
        }
        let (_, findings) = read_entries(json!([file("f"), file("f/x")]));
        assert_eq!(findings, ["fixture-parent /entries/1/path"]);
    }
}
