//! Reading a plan's fixture set: the document of [`crate::fixture`], checked completely before anything is built.
//!
//! Targets name the directory a set is built in as `${FIXTURES}`, profiles as `(param "FIXTURES")`. What the checks
//! guarantee: every path stays beneath that directory, nothing is declared twice, nothing stands below a file or a link,
//! and every link names something beneath the directory. Contract: `SPEC.md` section "Fixtures".

use foldhash::HashMap;
use serde::Deserialize;

use crate::base::rel_path::RelPath;
use crate::base::tree::Node;
use crate::fixture::{FixtureEntry, FixtureKind, FixturePort, FixtureSet, Mode, PortName, SCHEMA_VERSION};
use crate::registry::check::{self, Field, Kind, Lazy, Sink, optional, required};
use crate::registry::{Document, DocumentError, Place, Refusal};
use crate::vocab::{Finding, Severity};

/// How targets name the directory a set is built in.
pub const FIXTURES_VARIABLE: &str = "${FIXTURES}";

/// The fields of a fixture set; its schema is made from these and the two tables below.
pub const FIXTURE_SET_FIELDS: &[Field] =
    &[required("schema_version", Kind::Text), required("entries", Kind::Array), optional("ports", Kind::Array)];

const KINDS: &[&str] = &[
    "directory",
    "file",
    "symlink",
    "fifo",
    "noop_program",
    "open_program",
    "unix_listener",
    "hard_link",
    "bind_mount",
];

const PORT_KINDS: &[&str] = &["tcp_listener", "tcp_closed"];

/// The fields of a port.
pub const PORT_FIELDS: &[Field] =
    &[required("name", Kind::Text), required("kind", Kind::Word("fixture-kind", PORT_KINDS))];

/// The fields of an entry.
pub const ENTRY_FIELDS: &[Field] = &[
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
    let (read, findings) = read(&Document::read(place)?);
    Refusal::unless_clean(findings)?;
    Ok(read.map_or_else(FixtureSet::empty, |read| read.set))
}

/// A fixture set as far as it can be read.
#[derive(Debug)]
pub struct Legible {
    /// The entries and ports that have no errors.
    pub set: FixtureSet,
    /// The paths of those entries that have, as far as they can be told; an empty one may be any.
    pub unsure: Vec<String>,
    /// Whether every port could be read.
    pub all_ports: bool,
    /// Whether there is no error in the whole set.
    is_sound: bool,
}

impl Legible {
    /// The set, when there is nothing wrong with it.
    #[must_use]
    pub fn sound(&self) -> Option<&FixtureSet> {
        self.is_sound.then_some(&self.set)
    }
}

/// Checks a document as a fixture set: what can be read of it, and every finding. `None`: it is no list of entries at all.
#[must_use]
pub fn read(document: &Document) -> (Option<Legible>, Vec<Finding>) {
    let file = document.place.to_string();
    let mut sink = Sink::new(&file);
    let read = read_value(document.root(), &mut sink);
    let mut findings = sink.into_findings();
    document.add_positions(&mut findings);
    (read, findings)
}

fn read_value(value: Node<'_>, sink: &mut Sink<'_>) -> Option<Legible> {
    let mut set = FixtureSet::empty();
    let mut unsure = Vec::new();
    let mut declared = Declared::default();
    let start = sink.len();
    if !check::has_tag(value, SCHEMA_VERSION, sink) {
        return None;
    }
    check::object(value, FIXTURE_SET_FIELDS, Severity::Warning, "the fixture set", "", sink);
    if sink.has_error_since(start) {
        return None;
    }
    let entries = value.get("entries").and_then(Node::as_array);
    set.entries.reserve(entries.as_ref().map_or(0, ExactSizeIterator::len));
    for (number, value) in entries.into_iter().flatten().enumerate() {
        let pointer: Lazy<'_> = &|| format!("/entries/{number}");
        let mark = sink.len();
        check::object_at(value.into(), ENTRY_FIELDS, Severity::Error, &|| "a fixture entry".to_owned(), pointer, sink);
        let entry = if sink.has_error_since(mark) { None } else { Some(FixtureEntry::deserialize(value)) };
        let parts = match &entry {
            Some(Ok(entry)) => Parts::of(entry),
            // One wrong field hides nothing about the others.
            _ => Parts::read(value, pointer, sink),
        };
        let path = value.get("path").and_then(Node::as_str).filter(|_| parts.path.is_some());
        if let Some(path) = path {
            declared.check(path, parts.kind.is_none_or(|kind| kind == FixtureKind::Directory), pointer, sink);
        }
        check_content(&parts, &set.entries, &unsure, pointer, sink);
        match entry {
            Some(Err(error)) if !sink.has_error_since(mark) => {
                sink.error("wrong-type", &pointer(), format!("a fixture entry cannot be read: {error}"));
            }
            Some(Ok(entry)) if !sink.has_error_since(mark) => set.entries.push(entry),
            _ => unsure.push(meant(value.get("path").and_then(Node::as_str).unwrap_or_default())),
        }
    }
    let ports = value.get("ports").and_then(Node::as_array);
    let mark = sink.len();
    for (number, value) in ports.into_iter().flatten().enumerate() {
        if let Some(port) = read_port(value, &format!("/ports/{number}"), &set.ports, sink) {
            set.ports.push(port);
        }
    }
    let (all_ports, is_sound) = (!sink.has_error_since(mark), !sink.has_error_since(start));
    Some(Legible { set, unsure, all_ports, is_sound })
}

/// The path that a text is meant to be, which may hold what no path of a fixture holds.
fn meant(text: &str) -> String {
    text.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect::<Vec<_>>().join("/")
}

fn read_port(value: Node<'_>, pointer: &str, before: &[FixturePort], sink: &mut Sink<'_>) -> Option<FixturePort> {
    let mark = sink.len();
    check::object(value, PORT_FIELDS, Severity::Error, "a port", pointer, sink);
    let at = format!("{pointer}/name");
    match value.get("name").and_then(Node::as_str).map(|name| PortName::try_from(name.to_owned())) {
        Some(Err(error)) => {
            sink.error("fixture-port", &at, error.to_string());
        }
        Some(Ok(name)) if before.iter().any(|other| other.name == name) => {
            sink.error("fixture-duplicate", &at, format!("the port {name} is declared twice"));
        }
        _ => {}
    }
    if sink.has_error_since(mark) {
        return None;
    }
    Some(FixturePort::deserialize(value).expect("the checks admit only what the type can hold"))
}

/// What could be read of an entry, field by field.
struct Parts<'e> {
    path: Option<RelPath>,
    kind: Option<FixtureKind>,
    has_mode: bool,
    has_content: bool,
    has_target: bool,
    /// The target, when it is a text.
    target: Option<&'e str>,
}

impl<'e> Parts<'e> {
    fn of(entry: &'e FixtureEntry) -> Self {
        Self {
            path: Some(entry.path.clone()),
            kind: Some(entry.kind),
            has_mode: entry.mode.is_some(),
            has_content: entry.content.is_some(),
            has_target: entry.target.is_some(),
            target: entry.target.as_deref(),
        }
    }

    /// The parts of an entry that cannot be read as a whole; says which of its texts cannot be what they are to be.
    fn read(value: Node<'e>, pointer: Lazy<'_>, sink: &mut Sink<'_>) -> Self {
        let text = |key: &str| value.get(key).and_then(Node::as_str);
        let has = |key: &str| value.get(key).is_some();
        let path = text("path").map(|path| RelPath::try_from(path.to_owned()));
        if let Some(Err(error)) = &path {
            sink.error("fixture-path", &format!("{}/path", pointer()), format!("the fixture's path {error}"));
        }
        if let Some(Err(error)) = text("mode").map(|mode| Mode::try_from(mode.to_owned())) {
            sink.error("fixture-mode", &format!("{}/mode", pointer()), error.to_string());
        }
        Self {
            path: path.and_then(Result::ok),
            kind: value.get("kind").and_then(|kind| FixtureKind::deserialize(kind).ok()),
            has_mode: has("mode"),
            has_content: has("content"),
            has_target: has("target"),
            target: text("target"),
        }
    }
}

/// Paths so far: whether each is a directory, and whether it was declared or only implied by what stands below it.
#[derive(Default)]
struct Declared<'t> {
    paths: HashMap<&'t str, (bool, bool)>,
    /// The directory of the last path: entries of one directory mostly follow each other.
    parent: &'t str,
}

impl<'t> Declared<'t> {
    /// Nothing is declared twice, and nothing stands below anything but a directory.
    fn check(&mut self, path: &'t str, is_directory: bool, pointer: Lazy<'_>, sink: &mut Sink<'_>) {
        let at = || format!("{}/path", pointer());
        match self.paths.get(path) {
            Some((_, true)) => {
                sink.error("fixture-duplicate", &at(), format!("{path} is declared twice"));
            }
            Some(_) if !is_directory => {
                sink.error("fixture-parent", &at(), format!("{path} has entries below it, so it must be a directory"));
            }
            _ => {}
        }
        let own = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let ends = path.match_indices('/').map(|(end, _)| end).filter(|_| own != self.parent);
        for parent in ends.map(|end| &path[..end]) {
            match self.paths.get(parent) {
                Some((true, _)) => {}
                Some((false, _)) => {
                    let message = format!("{path} stands below {parent}, which is not a directory");
                    sink.error("fixture-parent", &at(), message);
                    return;
                }
                None => {
                    self.paths.insert(parent, (true, false));
                }
            }
        }
        self.parent = own;
        self.paths.insert(path, (is_directory, true));
    }
}

/// What content, target and mode mean for the kind; an entry whose kind could not be read has a finding about that.
fn check_content(
    parts: &Parts<'_>,
    before: &[FixtureEntry],
    unsure: &[String],
    pointer: Lazy<'_>,
    sink: &mut Sink<'_>,
) {
    let Some(kind) = parts.kind else { return };
    let path = parts.path.as_ref().map_or("the entry", RelPath::as_str);
    if parts.has_content && kind != FixtureKind::File {
        sink.error(
            "fixture-content",
            &format!("{}/content", pointer()),
            format!("{path} is not a file and has no content"),
        );
    }
    let at = || format!("{}/target", pointer());
    let needs_target = matches!(kind, FixtureKind::Symlink | FixtureKind::HardLink | FixtureKind::BindMount);
    match (parts.target, kind) {
        _ if needs_target && !parts.has_target => {
            sink.error("fixture-target", &pointer(), format!("{path} is a link or a mount and has no target"));
        }
        _ if !needs_target && parts.has_target => {
            let message = format!("{path} is not a link or a mount and has no target");
            sink.error("fixture-target", &at(), message);
        }
        (Some(target), FixtureKind::Symlink)
            if parts.path.as_ref().is_some_and(|path| !stays_beneath(path, target)) =>
        {
            let message = format!("target {target:?} of {path} leaves the fixture directory");
            sink.error("fixture-target", &at(), message);
        }
        (Some(target), FixtureKind::HardLink | FixtureKind::BindMount) if !unsure.iter().any(|own| own == target) => {
            let aim = before.iter().find(|other| other.path.as_str() == target);
            if !aim.is_some_and(|aim| can_have(kind, aim.kind)) {
                let what = if kind == FixtureKind::HardLink { "file" } else { "file or directory" };
                let message = format!("target {target:?} of {path} is no {what} among the entries before it");
                sink.error("fixture-target", &at(), message);
            }
        }
        _ => {}
    }
    if parts.has_mode && matches!(kind, FixtureKind::HardLink | FixtureKind::BindMount) {
        let message = format!("{path} has the mode of its target and none of its own");
        sink.error("fixture-mode", &format!("{}/mode", pointer()), message);
    }
}

/// Whether a link or a mount of the one kind can lead to an entry of the other.
fn can_have(kind: FixtureKind, target: FixtureKind) -> bool {
    match target {
        FixtureKind::File | FixtureKind::NoopProgram | FixtureKind::OpenProgram => true,
        FixtureKind::Fifo | FixtureKind::UnixListener | FixtureKind::HardLink => kind == FixtureKind::HardLink,
        FixtureKind::Directory => kind == FixtureKind::BindMount,
        FixtureKind::Symlink | FixtureKind::BindMount => false,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tree::Tree;
    use serde_json::{Value, json};

    fn tree(document: &Value) -> Tree {
        Tree::parse(document.to_string().into_bytes()).unwrap()
    }

    fn read_entries(entries: &Value) -> (FixtureSet, Vec<String>) {
        let mut sink = Sink::new("fixtures.json");
        let document = json!({"schema_version": SCHEMA_VERSION, "entries": entries});
        let set = read_value(tree(&document).root(), &mut sink).unwrap().set;
        (set, sink.into_findings().into_iter().map(|f| format!("{} {}", f.id, f.pointer.unwrap_or_default())).collect())
    }

    #[test]
    fn a_tree_of_every_kind_is_read() {
        let (set, findings) = read_entries(&json!([
            {"path": "d/e/f", "kind": "file", "mode": "000", "content": "x"},
            {"path": "d", "kind": "directory", "mode": "0700"},
            {"path": "d/l", "kind": "symlink", "target": "../d/f"},
            {"path": "p", "kind": "fifo", "mode": "0600"},
            {"path": "n", "kind": "noop_program"},
            {"path": "h", "kind": "hard_link", "target": "d/e/f"},
            {"path": "m", "kind": "bind_mount", "target": "d"},
            {"path": "o", "kind": "bind_mount", "target": "n"},
        ]));
        assert_eq!(findings, [""; 0]);
        assert_eq!(set.entries.len(), 8);
        assert_eq!(set.entries[0].mode.map(Mode::bits), Some(0));
    }

    #[test]
    fn nothing_leaves_the_tree_and_nothing_is_ambiguous() {
        let file = |path: &str| json!({"path": path, "kind": "file"});
        let link = |target: &str| json!({"path": "l", "kind": "symlink", "target": target});
        for (entry, finding) in [
            (file("../x"), "fixture-path /entries/1/path"),
            (file("/x"), "fixture-path /entries/1/path"),
            (file(""), "fixture-path /entries/1/path"),
            (file("a\u{0}b"), "fixture-path /entries/1/path"),
            (file("d"), "fixture-parent /entries/1/path"),
            (file("d/f"), "fixture-duplicate /entries/1/path"),
            (file("d/f/x"), "fixture-parent /entries/1/path"),
            (link("/etc/passwd"), "fixture-target /entries/1/target"),
            (link("../x"), "fixture-target /entries/1/target"),
            (link("d/../../x"), "fixture-target /entries/1/target"),
            (link(""), "fixture-target /entries/1/target"),
            (json!({"path": "l", "kind": "symlink"}), "fixture-target /entries/1"),
            (json!({"path": "x", "kind": "file", "target": "d"}), "fixture-target /entries/1/target"),
            (json!({"path": "h", "kind": "hard_link"}), "fixture-target /entries/1"),
            (json!({"path": "h", "kind": "hard_link", "target": "d"}), "fixture-target /entries/1/target"),
            (json!({"path": "h", "kind": "hard_link", "target": "absent"}), "fixture-target /entries/1/target"),
            (json!({"path": "h", "kind": "hard_link", "target": "../d/f"}), "fixture-target /entries/1/target"),
            (
                json!({"path": "h", "kind": "hard_link", "target": "d/f", "mode": "0600"}),
                "fixture-mode /entries/1/mode",
            ),
            (json!({"path": "m", "kind": "bind_mount", "target": "/etc"}), "fixture-target /entries/1/target"),
            (json!({"path": "m", "kind": "bind_mount"}), "fixture-target /entries/1"),
            (
                json!({"path": "m", "kind": "bind_mount", "target": "d/f", "mode": "0600"}),
                "fixture-mode /entries/1/mode",
            ),
            (json!({"path": "x", "kind": "tcp_listener"}), "fixture-kind /entries/1/kind"),
            (json!({"path": "x", "kind": "fifo", "content": ""}), "fixture-content /entries/1/content"),
            (json!({"path": "x", "kind": "file", "mode": "4755"}), "fixture-mode /entries/1/mode"),
            (json!({"path": "x", "kind": "file", "mode": "rw"}), "fixture-mode /entries/1/mode"),
            (json!({"path": "x", "kind": "file", "mode": 420}), "wrong-type /entries/1/mode"),
            (json!({"path": "x", "kind": "file", "owner": "root"}), "unknown-key /entries/1/owner"),
            (json!({"kind": "file"}), "missing-key /entries/1"),
            (json!(7), "wrong-type /entries/1"),
        ] {
            let (set, findings) = read_entries(&json!([{"path": "d/f", "kind": "file"}, entry]));
            assert_eq!(findings, [finding], "{entry}");
            assert_eq!(set.entries.len(), 1, "{entry}");
        }
    }

    #[test]
    fn one_wrong_field_hides_nothing_about_the_others() {
        for (entries, expected) in [
            (
                json!([{"path": "../x", "kind": "fil", "mode": "9999", "content": 5}]),
                &[
                    "fixture-kind /entries/0/kind",
                    "wrong-type /entries/0/content",
                    "fixture-path /entries/0/path",
                    "fixture-mode /entries/0/mode",
                ][..],
            ),
            (
                json!([{"path": "../x", "kind": "fifo", "mode": 9, "content": "", "target": ""}]),
                &[
                    "wrong-type /entries/0/mode",
                    "fixture-path /entries/0/path",
                    "fixture-content /entries/0/content",
                    "fixture-target /entries/0/target",
                ],
            ),
            // An entry with an error is there all the same: once, with what stands below it and what leads to it.
            (
                json!([{"path": "d", "kind": "x"}, {"path": "d/f", "kind": "file"}, {"path": "d", "kind": "file", "mode": "8"},
                    {"path": "f", "kind": "file", "mode": "8"}, {"path": "h", "kind": "hard_link", "target": "f"},
                    {"path": "f/x", "kind": "file"}]),
                &[
                    "fixture-kind /entries/0/kind",
                    "fixture-mode /entries/2/mode",
                    "fixture-duplicate /entries/2/path",
                    "fixture-mode /entries/3/mode",
                    "fixture-parent /entries/5/path",
                ],
            ),
        ] {
            assert_eq!(read_entries(&entries).1, expected, "{entries}");
        }
    }

    #[test]
    fn ports_have_names_of_their_own() {
        let read = |ports: Value| {
            let mut sink = Sink::new("fixtures.json");
            let document = json!({"schema_version": SCHEMA_VERSION, "entries": [], "ports": ports});
            let set = read_value(tree(&document).root(), &mut sink).unwrap().set;
            let found = sink.into_findings().into_iter();
            (set, found.map(|f| format!("{} {}", f.id, f.pointer.unwrap_or_default())).collect::<Vec<_>>())
        };
        let port = |name: &str, kind: &str| json!({"name": name, "kind": kind});
        let (set, findings) = read(json!([port("A", "tcp_listener"), port("B_2", "tcp_closed")]));
        assert_eq!(findings, [""; 0]);
        let names: Vec<String> = set.sample_parameters().into_keys().collect();
        assert_eq!(names, ["FIXTURES", "PORT_A", "PORT_B_2"]);
        for (bad, finding) in [
            (port("A", "tcp_closed"), "fixture-duplicate /ports/1/name"),
            (port("a", "tcp_closed"), "fixture-port /ports/1/name"),
            (port("", "tcp_closed"), "fixture-port /ports/1/name"),
            (port("X}", "tcp_closed"), "fixture-port /ports/1/name"),
            (port("B", "udp"), "fixture-kind /ports/1/kind"),
            (json!({"name": "B"}), "missing-key /ports/1"),
            (json!({"name": "B", "kind": "tcp_closed", "port": 80}), "unknown-key /ports/1/port"),
            (json!([]), "wrong-type /ports/1"),
        ] {
            let (set, findings) = read(json!([port("A", "tcp_listener"), bad]));
            assert_eq!(findings, [finding], "{bad}");
            assert_eq!(set.ports.len(), 1, "{bad}");
        }
        let both = read(json!([port("a", "udp")])).1;
        assert_eq!(both, ["fixture-kind /ports/0/kind", "fixture-port /ports/0/name"]);
    }
}
