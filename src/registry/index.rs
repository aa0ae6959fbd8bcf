//! The registry index: which registries exist, by id (`SPEC.md`, section "Registry index").

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::check::{self, Field, Kind, Sink, optional, required};
use super::document::{Document, DocumentError, Refusal};
use super::place::{Base, Place, StoredPathError};
use super::read::SharedReadings;
use crate::os::input;
use crate::vocab::{Finding, Severity};

/// Schema tag of the index.
pub const INDEX_TAG: &str = "runtime-tools.registry_index.v0.1";

/// Where the project keeps its index, relative to the root.
pub const INDEX_PATH: &str = "plans/registry/index.json";

/// The fields of the index; its schema is made from these and [`INDEX_ENTRY_FIELDS`].
pub const INDEX_FIELDS: &[Field] = &[required("schema_version", Kind::Text), required("registries", Kind::Array)];

/// The fields of one entry of the index.
pub const INDEX_ENTRY_FIELDS: &[Field] = &[
    required("id", Kind::Id),
    optional("description", Kind::OptionalText),
    required("probes", Kind::Text),
    required("profiles", Kind::Text),
];

/// One registry of the index.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct IndexEntry {
    /// The registry's id.
    pub id: String,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Path of the probe registry as written.
    pub probes: String,
    /// Path of the profile registry as written.
    pub profiles: String,
}

/// A read index: its usable entries in file order, and what is wrong with the rest.
#[derive(Debug, Clone)]
pub struct Index {
    /// Where it was read from.
    pub place: Place,
    /// The base of its paths.
    pub base: Base,
    /// Usable entries; of several with one id only the first.
    pub entries: Vec<IndexEntry>,
    /// What was found; errors do not keep the usable entries from being used by listings and lints.
    pub findings: Vec<Finding>,
}

/// What a listing says about one registry: the entry with paths relative to the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistryListing {
    /// The registry's id.
    pub id: String,
    /// The probe registry.
    pub probes: String,
    /// The profile registry.
    pub profiles: String,
    /// What it is for.
    pub description: Option<String>,
}

/// What a caller may say about where registries are looked up.
#[derive(Debug, Clone, Default)]
pub struct Lookup {
    /// The root for root-relative paths; else the nearest ancestor of each document with `.git` or `AGENTS.md`.
    pub root: Option<PathBuf>,
    /// An index file that replaces the project's.
    pub index: Option<PathBuf>,
    /// Directory whose root holds the project's index; usually the plan's or the working directory.
    pub start: PathBuf,
    /// The index, once it was read: however many registries a command asks for, it is read once.
    pub read: ReadOnce,
    /// The registries read so far; shared by the look-ups of one command.
    pub registries: SharedReadings,
}

/// An index that may have been read already.
#[derive(Debug, Clone, Default)]
pub struct ReadOnce(OnceLock<Arc<Index>>);

impl Lookup {
    /// Where the index is: the given file, else the one under the root, else the shipped one inside the binary.
    #[must_use]
    pub fn index_place(&self) -> Place {
        if let Some(path) = &self.index {
            return Place::Disk(path.clone());
        }
        let root = self.root.clone().unwrap_or_else(|| super::place::root_of(&self.start));
        let path = root.join(INDEX_PATH);
        if input::is_file(&path) { Place::Disk(path) } else { Place::Embedded(INDEX_PATH.to_owned()) }
    }

    /// The root given by the caller.
    #[must_use]
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }
}

impl Index {
    /// The index that `lookup` leads to, read at the first call. Broken entries become findings, never silence.
    ///
    /// # Errors
    /// The file cannot be read or is not JSON.
    pub fn read(lookup: &Lookup) -> Result<Arc<Self>, DocumentError> {
        match lookup.read.0.get() {
            Some(index) => Ok(Arc::clone(index)),
            None => {
                let index = Arc::new(Self::read_now(lookup)?);
                Ok(Arc::clone(lookup.read.0.get_or_init(|| index)))
            }
        }
    }

    fn read_now(lookup: &Lookup) -> Result<Self, DocumentError> {
        let document = Document::read(&lookup.index_place())?;
        let name = document.place.to_string();
        let mut sink = Sink::new(&name);
        let base = Base::of(&document.place, lookup.root());
        let entries = entries(document.value(), &base, &mut sink);
        let mut findings = sink.into_findings();
        document.add_positions(&mut findings);
        Ok(Self { place: document.place, base, entries, findings })
    }

    /// The entry of a registry.
    #[must_use]
    pub fn entry(&self, id: &str) -> Option<&IndexEntry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// The places of an entry's two files: probes, profiles.
    ///
    /// # Errors
    /// A path that leaves its bound, see [`StoredPathError`].
    pub fn places(&self, entry: &IndexEntry) -> Result<(Place, Place), StoredPathError> {
        Ok((self.base.resolve(&entry.probes)?, self.base.resolve(&entry.profiles)?))
    }

    /// The usable registries in index order.
    #[must_use]
    pub fn list(&self) -> Vec<RegistryListing> {
        let shown = |stored: &str| match self.base.resolve(stored) {
            Ok(place) => self.base.relative(&place),
            Err(_) => stored.to_owned(),
        };
        let entries = self.entries.iter();
        entries
            .map(|entry| RegistryListing {
                id: entry.id.clone(),
                probes: shown(&entry.probes),
                profiles: shown(&entry.profiles),
                description: entry.description.clone(),
            })
            .collect()
    }

    /// Refuses an index with errors: what a caller needs who wants every registry.
    ///
    /// # Errors
    /// Every finding, when one of them is an error.
    pub fn refuse_errors(&self) -> Result<(), Refusal> {
        Refusal::unless_clean(self.findings.clone()).map(|_| ())
    }
}

fn entries(value: &Value, base: &Base, sink: &mut Sink<'_>) -> Vec<IndexEntry> {
    if !check::has_tag(value, INDEX_TAG, sink) {
        return Vec::new();
    }
    check::object(value, INDEX_FIELDS, Severity::Warning, "the index", "", sink);
    let listed = value.get("registries").and_then(Value::as_array);
    let mut entries: Vec<IndexEntry> = Vec::new();
    let mut seen = HashSet::new();
    for (number, value) in listed.into_iter().flatten().enumerate() {
        let pointer = format!("/registries/{number}");
        let mark = sink.len();
        check::object(value, INDEX_ENTRY_FIELDS, Severity::Warning, "an index entry", &pointer, sink);
        if sink.has_error_since(mark) {
            continue;
        }
        let Ok(entry) = IndexEntry::deserialize(value) else {
            sink.error("wrong-type", &pointer, "an index entry cannot be read");
            continue;
        };
        for (key, path) in [("probes", &entry.probes), ("profiles", &entry.profiles)] {
            if let Err(error) = base.resolve(path) {
                let message = format!("{key} {path:?} of registry {:?}: {error}", entry.id);
                sink.error("path-leaves-bound", &format!("{pointer}/{key}"), message);
            }
        }
        if !seen.insert(entry.id.clone()) {
            let message = format!("registry {:?} is listed twice; only the first entry is used", entry.id);
            sink.error("duplicate-registry", &format!("{pointer}/id"), message);
        } else {
            entries.push(entry);
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> (Vec<String>, Vec<String>) {
        let mut sink = Sink::new("index.json");
        let base = Base::of(&Place::Disk("/w/index.json".into()), Some(Path::new("/w")));
        let ids = entries(value, &base, &mut sink).into_iter().map(|entry| entry.id).collect();
        (ids, sink.into_findings().into_iter().map(|f| format!("{} {}", f.id, f.pointer.unwrap_or_default())).collect())
    }

    #[test]
    fn broken_entries_are_reported_and_the_rest_is_used() {
        let good = json!({"id": "a", "probes": "p", "profiles": "q"});
        let index = json!({"schema_version": INDEX_TAG, "registries": [good, {"id": "b", "probes": "p"}, good, 7]});
        let (ids, findings) = read(&index);
        assert_eq!(ids, ["a"]);
        assert_eq!(
            findings,
            ["missing-key /registries/1", "duplicate-registry /registries/2/id", "wrong-type /registries/3"]
        );
        assert_eq!(read(&json!({"schema_version": "x"})).1, ["schema-tag /schema_version"]);
        assert_eq!(read(&json!({"schema_version": INDEX_TAG})).1, ["missing-key "]);
    }

    #[test]
    fn without_a_project_the_shipped_index_is_used() {
        let directory = tempfile::tempdir().unwrap();
        let lookup = Lookup { start: directory.path().to_path_buf(), ..Lookup::default() };
        assert_eq!(lookup.index_place(), Place::Embedded(INDEX_PATH.to_owned()));
        let index = Index::read(&lookup).unwrap();
        assert_eq!(index.findings, []);
        assert!(index.entry("linux-baseline").is_some());
    }
}
