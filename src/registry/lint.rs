//! What is wrong with a registry beyond the shape of its entries: files, references, duplicates.
//!
//! Every rule has a stable id, documented in `docs/lints.md`. Plan lint asks the same questions about the entries its
//! plan uses.

use std::path::Path;

use foldhash::{HashMap, HashMapExt as _, HashSet};

use super::check::Sink;
use super::entry::{Probe, Profile};
use super::find::Files;
use super::index::Lookup;
use super::place::{Base, Place};
use super::profile_text::{CompiledText, compile_file, compile_text};
use super::read::{Reading, Registry};
use crate::base::position::escape;
use crate::base::spelling::did_you_mean;
use crate::base::tree::Node;
use crate::sbpl::{Params, Policy};
use crate::vocab::driver::PROCESS_INHERITANCE;
use crate::vocab::{CompiledFilter, Finding, Operation, Platform, world_platform};

/// What lint says about one registry.
#[derive(Debug, Clone, Default)]
pub struct RegistryReport {
    /// Everything found: documents, then probes, then profiles, each in file order.
    pub findings: Vec<Finding>,
    /// Every file that was looked at.
    pub files: Vec<Place>,
    /// The profile texts that not every lint was asked of.
    pub incomplete: Vec<Place>,
}

/// Reads and lints one registry; what keeps it from being read is a finding too.
#[must_use]
pub fn lint_files(id: Option<&str>, files: Files, lookup: &Lookup) -> RegistryReport {
    let documents = vec![files.probes.clone(), files.profiles.clone()];
    match super::read::read(id, files, lookup) {
        Ok(reading) => lint_registry(&reading),
        Err(refusal) => RegistryReport { findings: refusal.findings, files: documents, ..RegistryReport::default() },
    }
}

/// Everything that is wrong with one registry.
#[must_use]
pub fn lint_registry(reading: &Reading) -> RegistryReport {
    let registry = &reading.registry;
    let referenced = referenced_probes(registry);
    let names = registry.documents.each_ref().map(|document| document.place.to_string());
    let mut sink = Sink::new(&names[0]);
    sink.extend(&reading.findings);
    check_world(registry, &mut sink);
    for id in ids(registry, 0) {
        sink.extend(reading.probe_findings.get(id).into_iter().flatten());
        if let Some(probe) = registry.probes.get(id) {
            lint_probe(probe, &mut sink);
        }
        if !referenced.contains(id) {
            let pointer = format!("/probes/{}", escape(id));
            sink.warning("orphan-probe", &pointer, format!("no profile refers to probe {id:?}")).help =
                Some("refer to it in probe_refs of a profile, or remove it".to_owned());
        }
    }
    let mut files: Vec<Place> = registry.documents.iter().map(|document| document.place.clone()).collect();
    let mut incomplete = Vec::new();
    let mut findings = sink.into_findings();
    for id in ids(registry, 1) {
        findings.extend(reading.profile_findings.get(id).into_iter().flatten().cloned());
        if let Some(profile) = registry.profiles.get(id) {
            let report = lint_profile(registry, profile, None);
            findings.extend(report.findings);
            if !report.complete {
                incomplete.extend(report.place.clone());
            }
            files.extend(report.place);
        }
    }
    for document in &registry.documents {
        document.add_positions(&mut findings);
    }
    RegistryReport { findings, files, incomplete }
}

/// A world that no host can have keeps every plan of the registry from running.
fn check_world(registry: &Registry, sink: &mut Sink<'_>) {
    let world = &registry.world_id;
    if !world.is_empty() && !names_a_world(world) {
        sink.warning("unknown-world", "/world_id", format!("world_id {world:?} is of no system known here")).help =
            Some(WORLDS.to_owned());
    }
}

/// Which worlds a document may name.
pub const WORLDS: &str = "name a family (linux, linux-debian, macos, sonoma), an exact world, or host";

/// Whether a document bound to `world` can be about some host.
#[must_use]
pub fn names_a_world(world: &str) -> bool {
    world == "host" || (world_platform(world).is_some() && !world.ends_with('-'))
}

/// What is wrong with a well-formed probe; `sink` is about the probe registry.
pub fn lint_probe(probe: &Probe, sink: &mut Sink<'_>) {
    let id = &probe.probe_id;
    let at = |rest: &str| format!("/probes/{}/{rest}", escape(id));
    if !probe.operation.is_known() {
        let message = format!("probe {id:?} names the unknown operation {:?}", probe.operation.as_str());
        sink.warning("unknown-operation", &at("operation"), message).help =
            did_you_mean(probe.operation.as_str(), Operation::names());
    }
    if probe.target.is_empty() || probe.target.contains('\0') {
        let message = format!("target of probe {id:?} is empty or holds a NUL character");
        sink.error("unusable-target", &at("target"), message);
    }
    if probe.name.is_empty() {
        sink.error("unusable-name", &at("name"), format!("name of probe {id:?} is empty"));
    }
    if let Some(driver) = probe.driver.as_deref().filter(|driver| !DRIVERS.contains(driver)) {
        let message = format!("probe {id:?} asks for the unknown driver {driver:?}");
        sink.warning("unknown-driver", &at("driver"), message).help = Some(format!("known are {}", DRIVERS.join(", ")));
    }
    let Some(name) = probe.filter_name.as_deref() else { return };
    match (CompiledFilter::from_name(name), probe.filter_type) {
        (None, _) => {
            let message = format!("filter_name of probe {id:?} is {name:?}, which no filter is called");
            sink.warning("unknown-filter", &at("filter_name"), message).help =
                Some("name the filter as compiled profiles do, for instance global-name".to_owned());
        }
        (Some(filter), Some(number)) if number != i64::from(filter.number()) => {
            let message = format!("filter_type of probe {id:?} is {number}, but {name:?} is {}", filter.number());
            sink.warning("filter-number", &at("filter_type"), message).help =
                Some("leave filter_type out: the name says it".to_owned());
        }
        _ => {}
    }
}

/// The names that a probe's `driver` may have.
const DRIVERS: &[&str] = &[
    "native",
    PROCESS_INHERITANCE,
    "file_probe",
    "mach_probe",
    "metadata_runner",
    "sandbox_check_probe",
    "sandbox_iokit_probe",
    "sandbox_mach_probe",
    "xpc_probe",
];

/// What lint says about one profile.
#[derive(Debug)]
pub struct ProfileReport {
    /// What is wrong with its file, its text and its references. JSON documents have no positions yet.
    pub findings: Vec<Finding>,
    /// The compiled policy; `None` for blobs and for texts that do not compile.
    pub policy: Option<Policy>,
    /// The profile's file, where it is.
    pub place: Option<Place>,
    /// Whether every lint was asked of all of the text.
    pub complete: bool,
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
    let text = match &place {
        Some(place) if !profile.is_blob_declared_as_sbpl() => compile_text(registry, profile, place, params),
        _ => CompiledText::none(Vec::new()),
    };
    findings.extend(text.findings);
    ProfileReport { findings, policy: text.policy, place, complete: text.complete }
}

/// Lints an SBPL text that no registry holds; messages call it `subject`. The findings, and whether every lint was asked.
#[must_use]
pub fn lint_text(
    place: &Place,
    subject: &str,
    params: Option<&Params>,
    platform: Option<Platform>,
) -> (Vec<Finding>, bool) {
    let text = compile_file(place, subject, &[], params, platform);
    (text.findings, text.complete)
}

/// The profile's file, when it is there.
fn check_file(registry: &Registry, profile: &Profile, pointer: &str, sink: &mut Sink<'_>) -> Option<Place> {
    let (id, path) = (&profile.profile_id, &profile.profile_path);
    let at = format!("{pointer}/profile_path");
    if profile.is_blob_declared_as_sbpl() {
        let message = format!("profile {id:?} has mode \"sbpl\" but its path {path:?} names a compiled blob");
        sink.error("profile-mode", &format!("{pointer}/mode"), message);
    }
    let what = format!("profile_path {path:?} of profile {id:?}");
    named_file(&registry.base, path, &what, ("profile-file-missing", &at), sink)
}

/// The file that a document names with `path`, which messages call `what`, when it is there and may be read. The finding about one
/// that is absent has an id of its own.
pub fn named_file(
    base: &Base,
    path: &str,
    what: &str,
    (missing, at): (&str, &str),
    sink: &mut Sink<'_>,
) -> Option<Place> {
    match base.resolve(path) {
        Err(error) => {
            sink.error("path-leaves-bound", at, format!("{what}: {error}"));
            None
        }
        Ok(place) if place.link().is_some() => {
            let link = place.link().map(Path::display)?;
            let message = format!("{what}: {link} is a symbolic link, and what it leads to may lie anywhere");
            sink.error("path-leaves-bound", at, message).help = Some("put the file itself there".to_owned());
            None
        }
        Ok(place) if !place.is_file() => {
            sink.error(missing, at, format!("{what} names no file")).help = Some(format!("looked for {place}"));
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
    let mut expectations: HashMap<&str, &str> = HashMap::with_capacity(profile.probe_refs.len());
    let mut names: HashMap<&str, &str> = HashMap::with_capacity(profile.probe_refs.len());
    for (number, reference) in profile.probe_refs.iter().enumerate() {
        let at = format!("{pointer}/probe_refs/{number}");
        let Some(probe) = registry.probes.get(reference.as_str()) else {
            // A probe that exists but is broken has findings of its own.
            if !registry.has_probe(reference) {
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
    let entries = registry.documents[document].root().get(key).and_then(Node::as_object);
    entries.into_iter().flatten().map(|(id, _)| id)
}

/// Every probe id a profile refers to, also profiles that are broken elsewhere.
fn referenced_probes(registry: &Registry) -> HashSet<&str> {
    let profiles = registry.documents[1].root().get("profiles").and_then(Node::as_object);
    let lists = profiles.into_iter().flatten().filter_map(|(_, profile)| profile.get("probe_refs"));
    lists.filter_map(Node::as_array).flatten().filter_map(Node::as_str).collect()
}
