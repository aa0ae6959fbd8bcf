//! The order of one run, and its record on every way out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Value, json};

use super::claim::claim;
use super::layout::{self, Layout, Phase};
use super::learn::Learner;
use super::lint::{self, lint_profile};
use super::live::{self, LiveLog};
use super::minimise::{self, End, Shrunk};
use super::progress::{Event, Observer};
use super::provenance::Provenance;
use super::record;
use super::rule::NetworkRules;
use super::seed::{DYLD_SUPPORT, Seed};
use super::target::Target;
use super::trace::{self, Supervisor, Traced};
use super::{Completeness, ShrinkError, Verdict, preflight};
use crate::base::cancel::Cancel;
use crate::base::digest::Sha256Hex;
use crate::os::fs::{exists, read_bounded};
use crate::os::workspace;
use crate::sbpl::{self, MAX_SOURCE_BYTES, NoImports, Source};
use crate::unified_log::Capturing;
use crate::vocab::Platform;

/// Whose refusals count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DenyScope {
    /// Every process of the host, where the source of refusals is a log of the host.
    All,
    /// The target's first process.
    Pid,
    /// The target's first process and its descendants.
    Tree,
}

/// How refusals are read from the system's live log.
#[derive(Debug, Clone)]
pub struct Live {
    /// Programs that are replaced.
    pub stand_in_tools: BTreeMap<String, PathBuf>,
    /// Limit for a sentinel to be seen.
    pub limit: Duration,
}

/// Everything a run is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory of the run: new, empty, or one of an earlier run, which this one replaces.
    pub out: PathBuf,
    /// What stored paths are relative to.
    pub root: PathBuf,
    /// The profile to work on; that of the run's directory without one.
    pub profile: Option<PathBuf>,
    /// The program.
    pub target: Target,
    /// Successes in a row that end a trace, at least 1.
    pub success_streak: u32,
    /// Most iterations of a trace.
    pub max_iterations: u32,
    /// Whose refusals count.
    pub deny_scope: DenyScope,
    /// Set where refusals are read from the system's live log; otherwise the supervisor tells them.
    pub live: Option<Live>,
    /// Whether a new profile holds what loads a program.
    pub seed_dyld: bool,
    /// Whether that is an import where the system has a text for it.
    pub import_dyld_support: bool,
    /// What happens to network accesses.
    pub network_rules: NetworkRules,
    /// Whether made-up names become rules.
    pub generalize: bool,
    /// Whether a trace that may have missed something is no success.
    pub require_complete: bool,
    /// Most runs at a time while shrinking.
    pub jobs: usize,
    /// Try every element that is kept once more under the very result.
    pub prove: bool,
    /// Search without looking at what the target asked for.
    pub blind: bool,
    /// Go on with what an interrupted search found out.
    pub resume: bool,
    /// Do not begin to shrink when more runs might be needed.
    pub max_runs: Option<usize>,
    /// The host.
    pub world_id: String,
    /// The wall clock.
    pub clock: fn() -> SystemTime,
}

/// What a command answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// `run.json` as written.
    pub record: Value,
    /// Whether everything that was asked for succeeded.
    pub success: bool,
    /// Parameters under which the profile was run, for showing how to use it.
    pub params: Vec<(String, String)>,
}

/// Which halves of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Trace,
    Shrink,
    Workflow,
}

/// Learns a profile. It is made when it is not there, and extended otherwise.
///
/// # Errors
/// [`ShrinkError`]; `run.json` says so too, but for a directory that is not used ([`super::ClaimError`]).
pub fn trace_profile(options: &Options, cancel: &Cancel, observer: &mut dyn Observer) -> Result<Outcome, ShrinkError> {
    run(Command::Trace, options, cancel, observer)
}

/// Shrinks a profile.
///
/// # Errors
/// As [`trace_profile`].
pub fn shrink_profile(options: &Options, cancel: &Cancel, observer: &mut dyn Observer) -> Result<Outcome, ShrinkError> {
    run(Command::Shrink, options, cancel, observer)
}

/// Learns a profile from nothing and shrinks it.
///
/// # Errors
/// As [`trace_profile`].
pub fn workflow_profile(
    options: &Options,
    cancel: &Cancel,
    observer: &mut dyn Observer,
) -> Result<Outcome, ShrinkError> {
    run(Command::Workflow, options, cancel, observer)
}

/// What the phases found, for the record.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) completeness: Option<Completeness>,
    pub(super) traced: Option<Traced>,
    pub(super) shrunk: Option<Box<Shrunk>>,
    pub(super) shrink_status: Option<&'static str>,
    pub(super) error: Option<String>,
    pub(super) wider: Option<Value>,
    pub(super) runs: usize,
}

fn run(
    command: Command,
    options: &Options,
    cancel: &Cancel,
    observer: &mut dyn Observer,
) -> Result<Outcome, ShrinkError> {
    let _held = claim(&options.out)?;
    let layout = Layout::of(&options.out, &options.root)?;
    let start = (options.clock)();
    let mut findings = Findings::default();
    // Whoever kills this process finds a record that says so. It is the mark of the directory too, so nothing is made before it.
    layout::write(&layout.path("run.json"), record::unfinished(command, &layout, options, start).as_bytes())?;
    let begun = layout.make_directories().map_err(ShrinkError::from);
    let done = begun.and_then(|()| phases(command, options, &layout, cancel, observer, &mut findings));
    if let Err(error) = &done {
        findings.error = Some(crate::base::error_chain(error));
        if findings.shrink_status.is_none() {
            // The first error counts.
            let _ = skip(&layout, &mut findings, if is_interrupt(error) { "trace_interrupted" } else { "trace_error" });
        }
    }
    let success = matches!(done, Ok(true));
    let document = record::document(command, &layout, options, (start, (options.clock)()), &findings, success);
    layout::write_record(&layout.path("run.json"), &document)?;
    layout.remove_jobs()?;
    done?;
    let params = options.target.params_in(&layout.path("out")).into_iter().collect();
    Ok(Outcome { record: document, success, params })
}

fn phases(
    command: Command,
    options: &Options,
    layout: &Layout,
    cancel: &Cancel,
    observer: &mut dyn Observer,
    findings: &mut Findings,
) -> Result<bool, ShrinkError> {
    let working = options.profile.clone().unwrap_or_else(|| layout.trace_profile());
    if command == Command::Shrink {
        return shrink_phase(options, layout, &working, cancel, observer, findings);
    }
    clean(command, layout)?;
    let (text, provenance) = starting_point(command, options, layout, &working)?;
    let place = layout.place(Phase::Trace, 0)?;
    let mut learner = Learner::new(text, provenance, options.network_rules, options.target.places(&place.work));
    let mut supervisor = Supervisor { target: &options.target, place: &place, expected: None, cancel };
    let steps = trace::Steps {
        success_streak: options.success_streak.max(1),
        max_iterations: options.max_iterations,
        generalize: options.generalize,
    };
    let trial = trace::Trial { layout, profile: &working, target: &options.target, work: &place.work };
    let traced = match &options.live {
        None => trace::trace(&mut supervisor, &mut learner, steps, &trial, observer)?,
        Some(live) => {
            let directory = live::directory(&layout.path("jobs/log"))?;
            let how = Capturing { stand_in_tools: live.stand_in_tools.clone(), directory, limit: live.limit };
            let (target, scope) = (&options.target, options.deny_scope);
            let mut log = LiveLog { target, place: &place, how, scope, expected: None, cancel };
            trace::trace(&mut log, &mut learner, steps, &trial, observer)?
        }
    };
    findings.runs += traced.runs as usize;
    findings.completeness = Some(traced.completeness.clone());
    let complete = traced.completeness.verdict == Verdict::Complete;
    let succeeded = traced.succeeded() && (complete || !options.require_complete);
    let status = traced.status;
    findings.traced = Some(traced);
    write_lint(layout, Phase::Trace, &learner.text, options, &place.work)?;
    // A profile that was never run missed nothing.
    if !complete && !matches!(status, "profile_invalid" | "preflight_failed") {
        let reasons = findings.completeness.as_ref().map(|own| own.reasons.join("; ")).unwrap_or_default();
        observer.event(&Event::Warning { text: format!("the trace may have missed something: {reasons}") });
    }
    if command == Command::Trace {
        skip(layout, findings, "trace_only")?;
        return Ok(succeeded);
    }
    if !succeeded {
        let reason = if status == "success" { "trace_incomplete".to_owned() } else { format!("trace_{status}") };
        skip(layout, findings, &reason)?;
        return Ok(false);
    }
    shrink_phase(options, layout, &working, cancel, observer, findings)
}

/// Takes away what an earlier session left in its directory. Only names of our own are touched.
fn clean(command: Command, layout: &Layout) -> Result<(), ShrinkError> {
    for name in ["phases/trace", "phases/shrink", "out", "jobs"] {
        workspace::remove_tree(&layout.path(name))?;
    }
    if command == Command::Workflow {
        workspace::remove_tree(&layout.path("profiles"))?;
        if exists(&layout.rules()) {
            crate::os::fs::remove(&layout.rules())?;
        }
    } else if exists(&layout.shrunk_profile()) {
        crate::os::fs::remove(&layout.shrunk_profile())?;
    }
    Ok(layout.make_directories()?)
}

/// The profile a trace begins with, and what is known about its rules.
fn starting_point(
    command: Command,
    options: &Options,
    layout: &Layout,
    working: &Path,
) -> Result<(String, Provenance), ShrinkError> {
    if command == Command::Trace && exists(working) {
        let text = read_text(working)?;
        let provenance = match layout::read_document(&layout.rules()) {
            Some(document) => Provenance::read(&document)
                .map_err(|reason| ShrinkError::Provenance { path: layout.rules().display().to_string(), reason })?,
            None => Provenance::default(),
        };
        return Ok((text, provenance));
    }
    Ok((seed(options).text(), Provenance::default()))
}

/// The seed of a new profile on this system.
pub(super) fn seed(options: &Options) -> Seed<'static> {
    Seed {
        loader: options.seed_dyld,
        import: options.import_dyld_support,
        import_present: exists(Path::new(DYLD_SUPPORT)),
        system: std::env::consts::OS,
    }
}

pub(super) fn read_text(path: &Path) -> Result<String, ShrinkError> {
    let bytes = read_bounded(path, MAX_SOURCE_BYTES as u64)?;
    String::from_utf8(bytes).map_err(|_| ShrinkError::NotText { path: path.display().to_string() })
}

/// Writes the lint of a phase's profile; gives the first error, if there is one.
fn write_lint(
    layout: &Layout,
    phase: Phase,
    text: &str,
    options: &Options,
    work: &Path,
) -> Result<Option<String>, ShrinkError> {
    let params = options.target.params_in(work);
    let source = Source::new(format!("{}.sb", if phase == Phase::Trace { "trace" } else { "shrunk" }), text);
    let found = lint_profile(&source, &params, &NoImports, Platform::of_this_build().unwrap_or(Platform::MacOs));
    let lines: String = found.lines().iter().map(|line| format!("{line}\n")).collect();
    layout::write(&layout.phase(phase, "validation/lint.txt"), lines.as_bytes())?;
    let first = found.errors().next().map(|own| format!("line {}: {}", own.line.unwrap_or(0), own.message));
    Ok(first.or_else(|| (!found.complete).then(|| "not all of the profile could be looked at".to_owned())))
}

/// Whether somebody asked to stop.
pub(super) fn is_interrupt(error: &ShrinkError) -> bool {
    matches!(error, ShrinkError::Target(super::TargetError::Interrupted))
}

fn skip(layout: &Layout, findings: &mut Findings, reason: &str) -> Result<(), ShrinkError> {
    findings.shrink_status = Some("skipped");
    shrink_status(layout, &json!({"status": "skipped", "reason": reason}))
}

fn shrink_status(layout: &Layout, status: &Value) -> Result<(), ShrinkError> {
    let mut status = status.clone();
    status["schema_version"] = json!("runtime-tools.shrink_status.v0.1");
    Ok(layout::write_sorted(&layout.phase(Phase::Shrink, "status.json"), &status)?)
}

/// Shrinking with the checks before and after it, each with its own word.
fn shrink_phase(
    options: &Options,
    layout: &Layout,
    working: &Path,
    cancel: &Cancel,
    observer: &mut dyn Observer,
    findings: &mut Findings,
) -> Result<bool, ShrinkError> {
    let done = gates(options, layout, working, cancel, observer, findings);
    // A profile that is not there has its own word already.
    if let Some(error) = done.as_ref().err().filter(|error| !matches!(error, ShrinkError::NoProfile { .. })) {
        let reason = if is_interrupt(error) { "interrupted" } else { "error" };
        findings.shrink_status = Some("shrink_failed");
        let message = crate::base::error_chain(error);
        shrink_status(layout, &json!({"status": "shrink_failed", "reason": reason, "error": message}))?;
    }
    done
}

fn gates(
    options: &Options,
    layout: &Layout,
    working: &Path,
    cancel: &Cancel,
    observer: &mut dyn Observer,
    findings: &mut Findings,
) -> Result<bool, ShrinkError> {
    let end = |findings: &mut Findings, word: &'static str, reason: &str, more: Value| {
        findings.shrink_status = Some(word);
        let mut status = json!({"status": word, "reason": reason});
        if let (Some(fields), Some(more)) = (status.as_object_mut(), more.as_object()) {
            fields.extend(more.clone());
        }
        shrink_status(layout, &status)
    };
    if !exists(working) {
        end(findings, "skipped", "missing_trace_profile", json!({}))?;
        return Err(ShrinkError::NoProfile { path: working.display().to_string() });
    }
    let text = read_text(working)?;
    if working != layout.trace_profile() {
        layout::write(&layout.trace_profile(), text.as_bytes())?;
    }
    let name = layout.stored(working);
    let (scan, code) = preflight::record(&text, &name, &options.world_id);
    let scan_path = layout.phase(Phase::Shrink, "validation/preflight_scan.json");
    layout::write(&scan_path, crate::base::json::to_pretty(&scan).as_bytes())?;
    if code != 0 {
        let why = &scan[0]["findings"][0];
        end(findings, "preflight_failed", "preflight_failed", json!({"preflight_rc": code, "why": why}))?;
        return Ok(false);
    }
    let work = layout.place(Phase::Shrink, 0)?.work;
    let params = options.target.params_in(&work);
    let source = Source::new(name, text);
    let before = lint::compile(&source, &params).map_err(|found| ShrinkError::Profile(found.to_string()))?;
    if let Some(why) = write_lint(layout, Phase::Trace, &source.text, options, &work)? {
        end(findings, "lint_failed", "trace_profile", json!({"why": why}))?;
        return Ok(false);
    }
    // The books of this search begin here; what an interrupted one found out is in a file of its own.
    layout::write(&layout.phase(Phase::Shrink, "metrics.jsonl"), b"")?;
    let steps = minimise::Steps {
        jobs: options.jobs,
        prove: options.prove,
        // What the target asks for is told by the supervisor only.
        blind: options.blind || options.target.sandbox_exec.is_some(),
        resume: options.resume,
        max_runs: options.max_runs,
    };
    let ended = minimise::shrink(&options.target, &source, steps, layout, cancel, observer)?;
    let (shrunk, confirmed) = match ended {
        End::PreFailed { first, second, why } => {
            let mut more = json!({"pre_shrink_rc1": first, "preflight_rc": 0});
            if let Some(second) = second {
                more["pre_shrink_rc2"] = json!(second);
            }
            if let Some(why) = why {
                more["why"] = json!(why);
            }
            end(findings, "pre_shrink_failed", "pre_shrink_failed", more)?;
            return Ok(false);
        }
        End::Done(shrunk) => (shrunk, true),
        End::PostFailed { shrunk } => (shrunk, false),
    };
    findings.runs += shrunk.runs;
    let after = lint::compile(&Source::new("shrunk.sb", shrunk.text.as_str()), &params)
        .map_err(|found| ShrinkError::Profile(found.to_string()))?;
    let compared = sbpl::diff(&before, &after);
    findings.wider = Some(json!({
        "wider": compared.wider.len(), "narrower": compared.narrower.len(), "undecided_wider": compared.may_widen(),
    }));
    write_decisions(layout, &shrunk)?;
    let removed = shrunk.decided.iter().filter(|own| own.decision == "removed").count();
    let mut more = json!({
        "pre_shrink_rc1": shrunk.before.0, "pre_shrink_rc2": shrunk.before.1, "preflight_rc": 0,
        "post_shrink_fresh_rc": shrunk.fresh, "removed": removed,
        "kept": shrunk.decided.len() - removed, "runs": shrunk.runs, "bound": shrunk.bound, "flaky": shrunk.flaky,
        "output_same": shrunk.output_same,
        "one_minimal": one_minimal(&shrunk),
        "diff": findings.wider,
    });
    // Absent when there was no second run.
    if let (Some(status), Some(fields)) = (shrunk.repeat, more.as_object_mut()) {
        fields.insert("post_shrink_repeat_rc".to_owned(), json!(status));
    }
    let widened = !compared.wider.is_empty();
    let flaky = !shrunk.flaky.is_empty();
    let lint_error = write_lint(layout, Phase::Shrink, &shrunk.text, options, &work)?;
    if let (Some(why), Some(fields)) = (&lint_error, more.as_object_mut()) {
        fields.insert("why".to_owned(), json!(why));
    }
    findings.shrunk = Some(shrunk);
    let (word, reason) = match (widened, lint_error.is_none(), confirmed) {
        (true, ..) => ("shrink_failed", "wider_than_input"),
        (_, false, _) => ("lint_failed", "shrunk_profile"),
        (.., false) => ("post_shrink_failed", "post_shrink_failed"),
        _ => ("success", "success"),
    };
    end(findings, word, reason, more)?;
    if flaky {
        observer.event(&Event::Warning { text: "the target is flaky: see `flaky` in run.json".to_owned() });
    }
    Ok(word == "success")
}

/// How far one-minimality was shown: `proved` when taking any kept element out of the very result was seen to fail, `inferred` when
/// some only in a run that got the same answers, `carried` when some only in a larger profile.
pub(super) fn one_minimal(shrunk: &Shrunk) -> &'static str {
    let any = |word: &str| shrunk.decided.iter().any(|own| own.shown_on == Some(word));
    match (any("larger_profile"), any("same_answers")) {
        (true, _) => "carried",
        (false, true) => "inferred",
        (false, false) => "proved",
    }
}

fn write_decisions(layout: &Layout, shrunk: &Shrunk) -> Result<(), ShrinkError> {
    let decisions = json!({
        "schema_version": "runtime-tools.shrink_decisions.v0.1", "elements": shrunk.decided,
        "profile_sha256": Sha256Hex::of(shrunk.text.as_bytes()),
    });
    layout::write_sorted(&layout.phase(Phase::Shrink, "decisions.json"), &decisions)?;
    if let Some(mut provenance) = layout::read_document(&layout.rules()).and_then(|own| Provenance::read(&own).ok()) {
        provenance.mark_kept(|rule| shrunk.text.lines().any(|line| line == rule));
        layout::write_sorted(&layout.rules(), &provenance.document())?;
    }
    Ok(())
}
