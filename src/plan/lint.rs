//! Everything that is wrong with a plan, its registry as far as the plan uses it, its profiles and its fixtures.
//!
//! Collects; never stops at the first finding and never fails. Rules and ids: `docs/lints.md`.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};
use serde_json::Value;

use super::compile::Filters;
use super::document::{self, Plan};
use super::fixtures::{self, Legible};
use super::frozen::check_frozen;
use super::used::Use;
use crate::base::digest::Sha256Hex;
use crate::base::position::escape;
use crate::fixture::FixtureSet;
use crate::registry::check::{CONTROLS, Sink, id_problem, kind_name};
use crate::registry::{self, Document, Files, Lookup, Place, Reading, RegistryError, Used};
use crate::vocab::{Finding, Lane, Severity, world_platform};

/// What lint says about one plan.
#[derive(Debug, Clone, Default)]
pub struct PlanReport {
    /// Everything found, in the order plan, registry, profiles.
    pub findings: Vec<Finding>,
    /// Which registry was used; `None` when the plan could not be read that far.
    pub registry: Option<Used>,
    /// Every file that was looked at: plan, fixtures, registry, profile texts.
    pub files: Vec<Place>,
    /// The files that were not looked at as a whole.
    pub incomplete: Vec<Place>,
    /// The registry as it was read, for callers who go on with it.
    pub reading: Option<Arc<Reading>>,
}

/// Lints the plan in `document`.
#[must_use]
pub fn lint_plan(document: Document, lookup: &Lookup) -> PlanReport {
    lint_run(document, &Filters::default(), None, lookup)
}

/// Lints the plan in `document` for a run with `filters`: what they name must be there. The whole plan is looked at all the
/// same. That its compiled digest is not `frozen` is a finding too.
#[must_use]
pub fn lint_run(document: Document, filters: &Filters, frozen: Option<&Sha256Hex>, lookup: &Lookup) -> PlanReport {
    let mut report = PlanReport { files: vec![document.place.clone()], ..PlanReport::default() };
    let (plan, findings) = document::read_usable(document);
    report.findings = findings;
    let Some(plan) = plan else { return report };

    let file = plan.place().to_string();
    let mut sink = Sink::new(&file);
    check_plan(&plan, &mut sink);
    let (preflight, fixtures) = check_paths(&plan, lookup, &mut sink);
    report.findings.extend(sink.into_findings());
    report.files.extend(fixtures.iter().chain(&preflight).cloned());
    let files = registry_files(&plan, lookup);
    let read_fixtures = || fixtures.map(|place| read_fixtures(&place));
    let (fixtures, read) = match files {
        None => (read_fixtures(), None),
        Some(Err(error)) => (read_fixtures(), Some(Err(error))),
        Some(Ok(files)) => {
            let id = usable_id(&plan);
            let (fixtures, reading) =
                registry::side_by_side(&files, read_fixtures, || registry::read_shared(id, files.clone(), lookup));
            (fixtures, Some(reading.map_err(RegistryError::from)))
        }
    };
    let (fixtures, found) = fixtures.unwrap_or_default();
    report.findings.extend(found);
    if let Some(place) = &preflight {
        let platform = plan.world_id.as_deref().and_then(world_platform);
        let params = FixtureSet::empty().sample_parameters();
        let (found, complete) = registry::lint_text(place, "apply_preflight_profile", Some(&params), platform);
        report.findings.extend(found);
        report.incomplete.extend(preflight.filter(|_| !complete));
    }
    if let Some(frozen) = frozen {
        let registry = read.as_ref().and_then(|read| read.as_ref().ok()).map(|reading| &reading.registry);
        report.findings.extend(check_frozen(
            &plan,
            registry,
            fixtures.as_ref().and_then(Legible::sound),
            lookup,
            frozen,
        ));
    }
    match read {
        None => {}
        Some(Err(error)) => report.findings.extend(error.findings(&file, "/registry_id")),
        Some(Ok(reading)) => {
            report.registry = Some(reading.registry.used.clone());
            report.files.extend(reading.registry.documents.iter().map(|document| document.place.clone()));
            Use::new(&plan, &reading, fixtures.as_ref()).lint(filters, &mut report);
            for document in &reading.registry.documents {
                document.add_positions(&mut report.findings);
            }
            report.reading = Some(reading);
        }
    }
    accept(&plan, &mut report.findings);
    plan.document.add_positions(&mut report.findings);
    report
}

/// Warnings that the plan accepts become notes with its reason: they are still said, and nobody is asked to act on them.
fn accept(plan: &Plan, findings: &mut Vec<Finding>) {
    for (id, reason) in &plan.accepted_lints {
        let mut met = false;
        for finding in findings.iter_mut().filter(|f| f.id == *id && f.severity == Severity::Warning) {
            finding.severity = Severity::Note;
            finding.help = Some(format!("the plan accepts it: {reason}"));
            met = true;
        }
        if !met {
            let message = format!("accepted_lints names {id:?}, and no such warning was found");
            let finding = Finding::new("accepted-lint", Severity::Warning, &plan.place().to_string(), message);
            let at = format!("/accepted_lints/{}", escape(id));
            findings.push(finding.at(at).help("remove it; errors and notes are not accepted"));
        }
    }
}

/// The registry's id as the plan says it; what cannot be an id is a finding already.
fn usable_id(plan: &Plan) -> Option<&str> {
    Some(plan.registry_id.as_str()).filter(|id| id_problem(id).is_none())
}

/// Where the plan's registry is. Without a usable id only the one beside the plan can be meant.
fn registry_files(plan: &Plan, lookup: &Lookup) -> Option<Result<Files, RegistryError>> {
    match usable_id(plan) {
        Some(id) => Some(registry::for_plan(plan.place(), id, lookup)),
        None => registry::sibling(plan.place(), lookup).map(Ok),
    }
}

/// What the plan alone tells.
fn check_plan(plan: &Plan, sink: &mut Sink<'_>) {
    let listed = plan.document.value().get("profiles").and_then(Value::as_array);
    if listed.is_some_and(Vec::is_empty) {
        sink.error("plan-without-profiles", "/profiles", "the plan names no profile");
    }
    let mut seen = HashMap::new();
    for (number, id) in usable_ids(plan) {
        if let Some(first) = seen.insert(id, number) {
            let message = format!("profile {id:?} is named twice (first at /profiles/{first})");
            sink.error("duplicate-profile", &format!("/profiles/{number}"), message);
        }
    }
    check_controls(plan, sink);
    if let Some(world) = plan.world_id.as_deref().filter(|world| !registry::names_a_world(world)) {
        sink.warning("unknown-world", "/world_id", format!("world_id {world:?} is of no system known here")).help =
            Some(registry::WORLDS.to_owned());
    }
    if ![Lane::Scenario, Lane::Baseline, Lane::Oracle].into_iter().any(|lane| plan.lanes.has(lane)) {
        sink.warning("no-lane", "/lanes", "every lane is off, so a run observes nothing");
    }
}

/// Controls are recorded with a run; one that is misspelled would say something that nobody meant.
fn check_controls(plan: &Plan, sink: &mut Sink<'_>) {
    for (control, value) in &plan.controls {
        let at = format!("/controls/{}", escape(control));
        if !CONTROLS.contains(&control.as_str()) {
            sink.warning("unknown-control", &at, format!("controls names the unknown control {control:?}")).help =
                Some(format!("controls are {}", CONTROLS.join(", ")));
        } else if !value.is_boolean() {
            let message = format!("the control {control:?} is {}, expected true or false", kind_name(value));
            sink.warning("control-value", &at, message);
        }
    }
}

/// The profile ids that are ids, with their positions; the others have findings of their own.
pub(super) fn usable_ids(plan: &Plan) -> impl Iterator<Item = (usize, &str)> {
    let numbered = plan.profiles.iter().map(String::as_str).enumerate();
    numbered.filter(|(_, id)| id_problem(id).is_none())
}

/// The files the plan itself names, where they are: preflight profile and fixture set.
fn check_paths(plan: &Plan, lookup: &Lookup, sink: &mut Sink<'_>) -> (Option<Place>, Option<Place>) {
    let base = plan.base(lookup.root());
    let mut file = |path: &Option<String>, key: &str, missing: &str| {
        let path = path.as_ref()?;
        registry::named_file(&base, path, &format!("{key} {path:?}"), (missing, &format!("/{key}")), sink)
    };
    let preflight = file(&plan.apply_preflight_profile, "apply_preflight_profile", "preflight-file-missing");
    (preflight, file(&plan.fixtures, "fixtures", "fixtures-file-missing"))
}

/// The fixture set as far as it can be read.
fn read_fixtures(place: &Place) -> (Option<Legible>, Vec<Finding>) {
    match Document::read(place) {
        Ok(document) => fixtures::read(&document),
        Err(error) => (None, vec![error.finding()]),
    }
}
