//! What is wrong with a registry beyond the shape of its entries: files, references, duplicates.
//!
//! Every rule has a stable id, documented in `docs/lints.md`. Plan lint asks the same questions about the entries its
//! plan uses.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::check::Sink;
use super::entry::{Probe, Profile};
use super::index::Lookup;
use super::place::Place;
use super::profile_text::{CompiledText, compile_text};
use super::read::{Files, Reading, Registry};
use crate::base::position::escape;
use crate::sbpl::{Params, Policy};
use crate::vocab::Finding;

/// Reads and lints one registry; what keeps it from being read is a finding too.
#[must_use]
pub fn lint_files(id: Option<&str>, files: Files, lookup: &Lookup) -> Vec<Finding> {
    match super::read::read(id, files, lookup) {
        Ok(reading) => lint_registry(&reading),
        Err(refusal) => refusal.findings,
    }
}

/// Everything that is wrong with one registry: documents, then probes, then profiles, each in file order.
#[must_use]
pub fn lint_registry(reading: &Reading) -> Vec<Finding> {
    let registry = &reading.registry;
    let referenced = referenced_probes(registry);
    let mut findings = reading.findings.clone();
    for id in ids(registry, 0) {
        findings.extend(reading.probe_findings.get(id).into_iter().flatten().cloned());
        if let Some(probe) = registry.probes.get(id) {
            findings.extend(lint_probe(registry, probe));
        }
        if !referenced.contains(id) {
            let file = registry.documents[0].place.to_string();
            let mut sink = Sink::new(&file);
            let pointer = format!("/probes/{}", escape(id));
            sink.warning("orphan-probe", &pointer, format!("no profile refers to probe {id:?}"));
            findings.extend(sink.into_findings());
        }
    }
    for id in ids(registry, 1) {
        findings.extend(reading.profile_findings.get(id).into_iter().flatten().cloned());
        if let Some(profile) = registry.profiles.get(id) {
            findings.extend(lint_profile(registry, profile, None).findings);
        }
    }
    for document in &registry.documents {
        document.add_positions(&mut findings);
    }
    findings
}

/// What is wrong with a well-formed probe. Findings have no positions yet.
#[must_use]
pub fn lint_probe(registry: &Registry, probe: &Probe) -> Vec<Finding> {
    let file = registry.documents[0].place.to_string();
    let mut sink = Sink::new(&file);
    let pointer = format!("/probes/{}", escape(&probe.probe_id));
    if !probe.operation.is_known() {
        let message = format!("probe {:?} names the unknown operation {:?}", probe.probe_id, probe.operation.as_str());
        sink.warning("unknown-operation", &format!("{pointer}/operation"), message);
    }
    if probe.target.is_empty() || probe.target.contains('\0') {
        let message = format!("target of probe {:?} is empty or holds a NUL character", probe.probe_id);
        sink.error("unusable-target", &format!("{pointer}/target"), message);
    }
    if probe.name.is_empty() {
        sink.error("unusable-name", &format!("{pointer}/name"), format!("name of probe {:?} is empty", probe.probe_id));
    }
    sink.into_findings()
}

/// What lint says about one profile.
#[derive(Debug)]
pub struct ProfileReport {
    /// What is wrong with its file, its text and its references. JSON documents have no positions yet.
    pub findings: Vec<Finding>,
    /// The compiled policy; `None` for blobs and for texts that do not compile.
    pub policy: Option<Policy>,
}

/// Lints a well-formed profile: its file, the text in it, and its references. `params` is what the runs of a plan give to
/// profiles, where there is one.
#[must_use]
pub fn lint_profile(registry: &Registry, profile: &Profile, params: Option<&Params>) -> ProfileReport {
    let file = registry.documents[1].place.to_string();
    let mut sink = Sink::new(&file);
    let pointer = format!("/profiles/{}", escape(&profile.profile_id));
    let place = check_file(registry, profile, &pointer, &mut sink);
    check_references(registry, profile, &pointer, &mut sink);
    let mut findings = sink.into_findings();
    let text = match place {
        Some(place) if !profile.is_blob_declared_as_sbpl() => compile_text(registry, profile, &place, params),
        _ => CompiledText::default(),
    };
    findings.extend(text.findings);
    ProfileReport { findings, policy: text.policy }
}

/// The profile's file, when it is there.
fn check_file(registry: &Registry, profile: &Profile, pointer: &str, sink: &mut Sink<'_>) -> Option<Place> {
    let (id, path) = (&profile.profile_id, &profile.profile_path);
    let at = format!("{pointer}/profile_path");
    if profile.is_blob_declared_as_sbpl() {
        let message = format!("profile {id:?} has mode \"sbpl\" but its path {path:?} names a compiled blob");
        sink.error("profile-mode", &format!("{pointer}/mode"), message);
    }
    match registry.base.resolve(path) {
        Err(error) => {
            sink.error("path-leaves-bound", &at, format!("profile_path {path:?} of profile {id:?}: {error}"));
            None
        }
        Ok(place) if !place.is_file() => {
            sink.error("profile-file-missing", &at, format!("profile_path {path:?} of profile {id:?} names no file"))
                .help = Some(format!("looked for {place}"));
            None
        }
        Ok(place) => Some(place),
    }
}

fn check_references(registry: &Registry, profile: &Profile, pointer: &str, sink: &mut Sink<'_>) {
    let id = &profile.profile_id;
    if profile.probe_refs.is_empty() {
        sink.error(
            "profile-without-probes",
            &format!("{pointer}/probe_refs"),
            format!("profile {id:?} names no probe"),
        );
    }
    let mut expectations: HashMap<&str, &str> = HashMap::new();
    let mut names: HashMap<&str, &str> = HashMap::new();
    for (number, reference) in profile.probe_refs.iter().enumerate() {
        let at = format!("{pointer}/probe_refs/{number}");
        let Some(probe) = registry.probes.get(reference.as_str()) else {
            // A probe that exists but is broken has findings of its own.
            if registry.raw_probe(reference).is_none() {
                sink.error("unknown-probe", &at, format!("profile {id:?} refers to the unknown probe {reference:?}"));
            }
            continue;
        };
        if let Some(earlier) = expectations.insert(probe.expectation_id(), reference) {
            let message = if earlier == reference {
                format!("profile {id:?} refers to probe {reference:?} twice")
            } else {
                let expectation = probe.expectation_id();
                format!("probes {earlier:?} and {reference:?} of profile {id:?} share the expectation {expectation:?}")
            };
            sink.error("duplicate-expectation", &at, message);
        } else if let Some(earlier) = names.insert(&probe.name, reference) {
            let message =
                format!("probes {earlier:?} and {reference:?} of profile {id:?} share the name {:?}", probe.name);
            sink.warning("duplicate-name", &at, message);
        }
    }
}

/// Ids of one document's entries in file order, broken ones included.
fn ids(registry: &Registry, document: usize) -> impl Iterator<Item = &str> {
    let key = ["probes", "profiles"][document];
    let entries = registry.documents[document].value.get(key).and_then(Value::as_object);
    entries.into_iter().flat_map(|map| map.keys().map(String::as_str))
}

/// Every probe id a profile refers to, also profiles that are broken elsewhere.
fn referenced_probes(registry: &Registry) -> HashSet<&str> {
    let profiles = registry.documents[1].value.get("profiles").and_then(Value::as_object);
    let lists = profiles.into_iter().flat_map(|map| map.values()).filter_map(|profile| profile.get("probe_refs"));
    lists.filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect()
}
