//! Reading one registry: two documents become typed entries, and everything wrong with them becomes findings.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use indexmap::IndexMap;
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::check::{self, Field, Lazy, Sink, id_problem};
use super::document::{Document, Refusal};
use super::entry::{
    PROBE_FIELDS, PROBE_REGISTRY_FIELDS, PROBES_TAG, PROFILE_FIELDS, PROFILE_REGISTRY_FIELDS, PROFILES_TAG, Probe,
    Profile,
};
use super::find::{Files, RegistryError, Source, Used};
use super::index::Lookup;
use super::place::{Base, Place};
use crate::base::position::escape;
use crate::base::tree::Node;
use crate::vocab::{Finding, Severity, worlds_agree};

/// Entries of a registry by id, in file order.
pub type Entries<T> = IndexMap<String, T, RandomState>;

/// A registry: probes and profiles by id, in file order.
#[derive(Debug, Clone)]
pub struct Registry {
    /// The registry's id.
    pub id: String,
    /// The world it is bound to: an exact id, a family, or `host`.
    pub world_id: String,
    /// Probes by id.
    pub probes: Entries<Probe>,
    /// Profiles by id.
    pub profiles: Entries<Profile>,
    /// How it was found, and its files.
    pub used: Used,
    /// The documents it was read from: probes, then profiles.
    pub documents: [Document; 2],
    /// Base of the paths in the profile registry.
    pub base: Base,
    /// The probes and the profiles that are left out because of errors.
    refused: [HashSet<String>; 2],
}

/// A registry as far as it is usable, with everything that is wrong with the rest.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The usable part. Entries with errors are left out.
    pub registry: Registry,
    /// Findings about the documents as a whole.
    pub findings: Vec<Finding>,
    /// Findings by probe id.
    pub probe_findings: IndexMap<String, Vec<Finding>>,
    /// Findings by profile id.
    pub profile_findings: IndexMap<String, Vec<Finding>>,
}

/// Reads a registry that must be free of errors.
///
/// # Errors
/// [`Refusal`] with every finding.
pub fn load(id: Option<&str>, files: Files, lookup: &Lookup) -> Result<Registry, RegistryError> {
    let reading = read(id, files, lookup)?;
    let mut findings = reading.findings;
    findings.extend(reading.probe_findings.into_values().flatten());
    findings.extend(reading.profile_findings.into_values().flatten());
    Refusal::unless_clean(findings)?;
    Ok(reading.registry)
}

/// Reads both files once. `id` is what the index or the plan calls the registry; the files must agree with it.
///
/// # Errors
/// [`Refusal`] when a file cannot be read or carries another schema tag; both files are looked at.
pub fn read(id: Option<&str>, files: Files, lookup: &Lookup) -> Result<Reading, Refusal> {
    let open = |place: &Place, key| {
        let mut findings = Vec::new();
        (open(place, key, &mut findings), findings)
    };
    let ((probes, mut findings), (profiles, more)) =
        side_by_side(&files, || open(&files.probes, "probes"), || open(&files.profiles, "profiles"));
    findings.extend(more);
    join(id, [probes, profiles], files.used(lookup), lookup, findings)
}

/// Like [`read`] for one of several plans: a registry that `lookup` has read already is not read again.
///
/// # Errors
/// As [`read`].
pub fn read_shared(id: Option<&str>, files: Files, lookup: &Lookup) -> Result<Arc<Reading>, Refusal> {
    let key = (id.map(str::to_owned), files.used(lookup), files.canonical());
    let kept = || lookup.registries.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(reading) = kept().get(&key) {
        return Ok(Arc::clone(reading));
    }
    let reading = Arc::new(read(id, files, lookup)?);
    kept().insert(key, Arc::clone(&reading));
    Ok(reading)
}

type Readings = HashMap<(Option<String>, Used, [Place; 2]), Arc<Reading>>;

/// The registries that a command has read, by what they were asked for as.
#[derive(Debug, Clone, Default)]
pub struct SharedReadings(Arc<Mutex<Readings>>);

/// From this size of a probe registry on, work is spread over the processors: for less, a second thread costs more than
/// it does.
const LARGE_BYTES: u64 = 1024 * 1024;

/// Does two things that do not depend on each other, at the same time where the registry in `files` is large.
pub fn side_by_side<A: Send, B: Send>(
    files: &Files,
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    if files.probes.size_bytes() < LARGE_BYTES { (one(), other()) } else { rayon::join(one, other) }
}

/// Like [`read`], of documents that are read already: probes, then profiles.
///
/// # Errors
/// [`Refusal`] when one carries another schema tag.
pub fn of_documents(
    id: Option<&str>,
    documents: [Document; 2],
    source: Source,
    lookup: &Lookup,
) -> Result<Reading, Refusal> {
    let [probes, profiles] = [0, 1].map(|at: usize| documents[at].place.clone());
    let used = Files { probes, profiles, source }.used(lookup);
    join(id, documents.map(Some), used, lookup, Vec::new())
}

fn join(
    id: Option<&str>,
    documents: [Option<Document>; 2],
    used: Used,
    lookup: &Lookup,
    mut findings: Vec<Finding>,
) -> Result<Reading, Refusal> {
    let [probes, profiles] = documents;
    let probes = probes.and_then(|document| check_top(document, PROBES_TAG, PROBE_REGISTRY_FIELDS, &mut findings));
    let profiles =
        profiles.and_then(|document| check_top(document, PROFILES_TAG, PROFILE_REGISTRY_FIELDS, &mut findings));
    let (Some(probes), Some(profiles)) = (probes, profiles) else { return Err(Refusal { findings }) };

    let (probe_entries, probe_findings) = entries::<Probe>(&probes, "probes", PROBE_FIELDS, "probe_id", "probe");
    let (profile_entries, profile_findings) =
        entries::<Profile>(&profiles, "profiles", PROFILE_FIELDS, "profile_id", "profile");
    let stored = |document: &Document, key: &str| document.root().get(key).and_then(Node::as_str).map(str::to_owned);
    let inner_id = stored(&probes, "registry_id").or_else(|| stored(&profiles, "registry_id"));
    findings.extend(agreement(id.or(inner_id.as_deref()), &probes, &profiles));
    probes.add_positions(&mut findings);
    profiles.add_positions(&mut findings);

    let base = Base::of(&profiles.place, lookup.root());
    // What is left out has an error, so it is among the findings.
    let refused = [
        probe_findings.keys().filter(|id| !probe_entries.contains_key(*id)).cloned().collect(),
        profile_findings.keys().filter(|id| !profile_entries.contains_key(*id)).cloned().collect(),
    ];
    let registry = Registry {
        id: id.map(str::to_owned).or(inner_id).unwrap_or_default(),
        world_id: stored(&probes, "world_id").or_else(|| stored(&profiles, "world_id")).unwrap_or_default(),
        probes: probe_entries,
        profiles: profile_entries,
        used,
        documents: [probes, profiles],
        base,
        refused,
    };
    Ok(Reading { registry, findings, probe_findings, profile_findings })
}

impl Registry {
    /// A probe's descriptor exactly as its document has it.
    #[must_use]
    pub fn raw_probe(&self, id: &str) -> Option<Value> {
        Some(self.documents[0].root().get("probes")?.get(id)?.to_value())
    }

    /// A profile's descriptor exactly as its document has it.
    #[must_use]
    pub fn raw_profile(&self, id: &str) -> Option<Value> {
        Some(self.documents[1].root().get("profiles")?.get(id)?.to_value())
    }

    /// Whether the probe registry has the probe, also when it is broken.
    #[must_use]
    pub fn has_probe(&self, id: &str) -> bool {
        self.probes.contains_key(id) || self.refused[0].contains(id)
    }

    /// Whether the profile registry has the profile, also when it is broken.
    #[must_use]
    pub fn has_profile(&self, id: &str) -> bool {
        self.profiles.contains_key(id) || self.refused[1].contains(id)
    }
}

/// Opens one of the two documents.
fn open(place: &Place, entries_key: &'static str, findings: &mut Vec<Finding>) -> Option<Document> {
    if !place.is_file() {
        let text = format!("the {} registry is absent or not a regular file", entries_key.trim_end_matches('s'));
        findings.push(Finding::new("registry-file-missing", Severity::Error, &place.to_string(), text));
        return None;
    }
    match Document::read(place) {
        Ok(document) => Some(document),
        Err(error) => {
            findings.push(error.finding());
            None
        }
    }
}

/// Checks tag and top level of one of the two documents.
fn check_top(document: Document, tag: &str, fields: &[Field], findings: &mut Vec<Finding>) -> Option<Document> {
    let name = document.place.to_string();
    let mut sink = Sink::new(&name);
    let tagged = check::has_tag(document.root(), tag, &mut sink);
    if tagged {
        check::object(document.root(), fields, Severity::Warning, "the registry", "", &mut sink);
    }
    let mut found = sink.into_findings();
    document.add_positions(&mut found);
    findings.extend(found);
    tagged.then_some(document)
}

/// So many entries are read at a time, on all processors: what is made of them is held twice until it is put in its place.
const PART: usize = 512;

type Checked<T> = (Entries<T>, IndexMap<String, Vec<Finding>>);

/// Checks every entry of one document and keeps those without errors.
fn entries<T: DeserializeOwned + Send>(
    document: &Document,
    key: &str,
    fields: &[Field],
    id_key: &str,
    noun: &str,
) -> Checked<T> {
    let file = document.place.to_string();
    let listed: Vec<(&str, Node<'_>)> =
        document.root().get(key).and_then(Node::as_object).into_iter().flatten().collect();
    let mut usable = Entries::with_capacity_and_hasher(listed.len(), RandomState::default());
    let mut findings: IndexMap<String, Vec<Finding>> = IndexMap::new();
    let read = |&(id, value): &(&str, Node<'_>)| {
        let pointer: Lazy<'_> = &|| format!("/{key}/{}", escape(id));
        let mut sink = Sink::new(&file);
        check_entry(id, value, fields, id_key, noun, pointer, &mut sink);
        let mut entry = None;
        if !sink.has_error_since(0) {
            match T::deserialize(value) {
                Ok(read) => entry = Some(read),
                Err(error) => {
                    sink.error("wrong-type", &pointer(), format!("{noun} {id:?} cannot be read: {error}"));
                }
            }
        }
        (entry, sink.into_findings())
    };
    let mut keep = |id: &str, (entry, found): (Option<T>, Vec<Finding>)| {
        if let Some(entry) = entry {
            usable.insert(id.to_owned(), entry);
        }
        if !found.is_empty() {
            findings.insert(id.to_owned(), found);
        }
    };
    for part in listed.chunks(PART) {
        // Entries do not depend on each other; for a few of them a second thread is not worth its start.
        if part.len() < PART {
            part.iter().for_each(|entry| keep(entry.0, read(entry)));
        } else {
            let read: Vec<_> = part.par_iter().map(read).collect();
            part.iter().zip(read).for_each(|((id, _), read)| keep(id, read));
        }
    }
    document.add_positions(findings.values_mut().flatten());
    (usable, findings)
}

fn check_entry(
    id: &str,
    value: Node<'_>,
    fields: &[Field],
    id_key: &str,
    noun: &str,
    pointer: Lazy<'_>,
    sink: &mut Sink<'_>,
) {
    let what: Lazy<'_> = &|| format!("{noun} {id:?}");
    if let Some(problem) = check::id_problem(id) {
        sink.error("unusable-id", &pointer(), format!("the key of {} {problem}", what()));
    }
    check::object_at(value.into(), fields, Severity::Error, what, pointer, sink);
    if let Some(inner) = value.get(id_key).and_then(Node::as_str).filter(|inner| *inner != id) {
        sink.error(
            "id-mismatch",
            &format!("{}/{id_key}", pointer()),
            format!("{id_key} is {inner:?}, but the key is {id:?}"),
        );
    }
}

/// Whether the two documents agree with each other and with the id they were asked for by.
fn agreement(id: Option<&str>, probes: &Document, profiles: &Document) -> Vec<Finding> {
    let mut findings = Vec::new();
    // What cannot be an id at all is a finding already.
    let stored = |document: &Document, key: &str| {
        document.root().get(key).and_then(Node::as_str).filter(|id| id_problem(id).is_none()).map(str::to_owned)
    };
    for document in [probes, profiles] {
        let inner = stored(document, "registry_id");
        if let (Some(id), Some(inner)) = (id, inner)
            && id != inner
        {
            let text = format!("registry_id is {inner:?}, but the registry is asked for as {id:?}");
            let finding = Finding::new("registry-id-mismatch", Severity::Error, &document.place.to_string(), text);
            findings.push(finding.at("/registry_id"));
        }
    }
    if let (Some(a), Some(b)) = (stored(probes, "world_id"), stored(profiles, "world_id"))
        && !worlds_agree(&a, &b)
    {
        let text = format!("world_id is {b:?}, but the probe registry says {a:?}");
        let finding = Finding::new("world-mismatch", Severity::Error, &profiles.place.to_string(), text);
        findings.push(finding.at("/world_id"));
    }
    findings
}
