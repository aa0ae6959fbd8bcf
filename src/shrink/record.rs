//! `run.json`: what was asked, what came of it, where it lies.

use std::path::PathBuf;
use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::layout::{self, Layout, Phase};
use super::session::{Command, Findings, Options, one_minimal, seed};
use crate::base::json as document;
use crate::base::time::unix_seconds;
use crate::os::fs::exists;

/// Schema tag. v0.1: the keys of the reference, and ours beside them.
pub(super) const SCHEMA: &str = "runtime-tools.shrink_run.v0.1";

/// What the record of a run says until it has ended.
pub(super) const UNFINISHED: &str = "the run has not ended, or was killed";

/// The record of a run that has not ended.
pub(super) fn unfinished(command: Command, layout: &Layout, options: &Options, start: SystemTime) -> String {
    let findings = Findings { error: Some(UNFINISHED.to_owned()), ..Findings::default() };
    document::to_pretty_sorted(&record(command, layout, options, (start, None), &findings, false)) + "\n"
}

/// The record of a run that has ended. Status words are read from the files of the phases, so that the two never differ.
pub(super) fn document(
    command: Command,
    layout: &Layout,
    options: &Options,
    (start, end): (SystemTime, SystemTime),
    findings: &Findings,
    success: bool,
) -> Value {
    record(command, layout, options, (start, Some(end)), findings, success)
}

/// The record; without an end the files of the phases are not looked at: they are those of an earlier run.
fn record(
    command: Command,
    layout: &Layout,
    options: &Options,
    (start, end): (SystemTime, Option<SystemTime>),
    findings: &Findings,
    success: bool,
) -> Value {
    let own = |path: PathBuf| Some(path).filter(|_| end.is_some());
    let status = |phase: Phase| {
        let written = own(layout.phase(phase, "status.json")).and_then(|path| layout::read_document(&path));
        written.unwrap_or(json!({}))
    };
    let lines_of = |path: PathBuf| own(path).and_then(|path| layout::lines_of(&path));
    let (trace, shrink) = (status(Phase::Trace), status(Phase::Shrink));
    let word = |status: &Value| status.get("status").cloned().unwrap_or(json!("unknown"));
    let stored = |phase: Phase, name: &str| layout.stored(&layout.phase(phase, name));
    let shrunk_exists = own(layout.shrunk_profile()).is_some_and(|path| exists(&path)) && command != Command::Trace;
    let or_null = |status: &Value, key: &str| status.get(key).cloned().unwrap_or(Value::Null);
    let enforcement = findings.traced.as_ref().and_then(|traced| traced.report.as_ref()).map(|report| {
        json!({
            "platform": report.platform, "backstop": report.backstop, "missing_layers": report.layers.missing,
            "kernel_release": report.layers.kernel_release,
        })
    });
    json!({
        "schema_version": SCHEMA,
        "tool": {"name": "runtime", "version": env!("CARGO_PKG_VERSION")},
        "command": match command {
            Command::Trace => "trace",
            Command::Shrink => "shrink",
            Command::Workflow => "workflow",
        },
        "world_id": options.world_id,
        "success": success,
        "error": findings.error,
        "stand_in_tools": options.live.iter().flat_map(|live| live.stand_in_tools.keys()).collect::<Vec<_>>(),
        "knobs": knobs(options),
        "target": options.target.document(),
        "paths": {
            "run_dir": layout.stored(layout.out()),
            "profiles": {
                "trace": layout.stored(&layout.trace_profile()),
                "shrunk": shrunk_exists.then(|| layout.stored(&layout.shrunk_profile())),
            },
            "phases": {"trace": stored(Phase::Trace, ""), "shrink": stored(Phase::Shrink, "")},
            "artifacts": {"bin_dir": layout.stored(&layout.path("artifacts/bin"))},
            "rules": layout.stored(&layout.rules()),
        },
        "trace": {
            "status": if command == Command::Shrink { json!("unknown") } else { word(&trace) },
            "reason": or_null(&trace, "reason"),
            "status_path": stored(Phase::Trace, "status.json"),
            "metrics_path": stored(Phase::Trace, "metrics.jsonl"),
            "iterations": lines_of(layout.phase(Phase::Trace, "metrics.jsonl")),
            "profile_lines": lines_of(layout.trace_profile()),
            "bad_rules": lines_of(layout.phase(Phase::Trace, "bad_rules.txt")),
            "issue_dir": findings.traced.as_ref().and_then(|traced| traced.issue_dir.clone()),
            "completeness": findings.completeness,
            // A profile that is none has the message of its compiler.
            "why": trace.get("why").or(trace.get("message")),
            "foreign": findings.traced.as_ref().map(|traced| &traced.foreign),
        },
        "shrink": {
            "status": word(&shrink),
            "reason": or_null(&shrink, "reason"),
            "why": or_null(&shrink, "why"),
            "status_path": stored(Phase::Shrink, "status.json"),
            "metrics_path": stored(Phase::Shrink, "metrics.jsonl"),
            "removed": or_null(&shrink, "removed"),
            "kept": or_null(&shrink, "kept"),
            "profile_lines": shrunk_exists.then(|| lines_of(layout.shrunk_profile())).flatten(),
            "post_shrink_fresh_rc": or_null(&shrink, "post_shrink_fresh_rc"),
            "post_shrink_repeat_rc": or_null(&shrink, "post_shrink_repeat_rc"),
            "runs": or_null(&shrink, "runs"),
            "bound": or_null(&shrink, "bound"),
            "one_minimal": findings.shrunk.as_deref().map(one_minimal),
            "flaky": or_null(&shrink, "flaky"),
            "output_same": or_null(&shrink, "output_same"),
            "diff": findings.wider,
        },
        "runs": findings.runs,
        "enforcement": enforcement,
        "timing": timing(start, end.unwrap_or(start)),
    })
}

fn knobs(options: &Options) -> Value {
    let program = options.target.argv.first().map(std::path::Path::new);
    let fixture =
        program.and_then(|path| path.file_name()).map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let seed = seed(options);
    let scope_of_source = if options.live.is_none() { json!("tree") } else { json!(options.deny_scope) };
    json!({
        "fixture": fixture,
        "seed_dyld": u8::from(options.seed_dyld),
        "import_dyld_support": u8::from(options.import_dyld_support),
        "dyld_support_present": u8::from(seed.import_present),
        "loader_set": seed.loader_set(),
        "dyld_log": 0,
        "allow_fixture_exec": u8::from(!cfg!(target_os = "linux")),
        "network_rules": options.network_rules,
        "success_streak": options.success_streak,
        "deny_scope": options.deny_scope,
        "deny_scope_effective": scope_of_source,
        "deny_sigstop": 0,
        "generalize": options.generalize,
        "require_complete": options.require_complete,
        "jobs": options.jobs,
    })
}

fn timing(start: SystemTime, end: SystemTime) -> Value {
    let duration = end.duration_since(start).unwrap_or_default().as_secs_f64();
    json!({
        "start_epoch": (unix_seconds(start) * 1000.0).round() / 1000.0, "start_utc": utc(start),
        "end_epoch": (unix_seconds(end) * 1000.0).round() / 1000.0, "end_utc": utc(end),
        "duration_s": (duration * 1000.0).round() / 1000.0,
    })
}

/// `YYYY-MM-DDThh:mm:ssZ`.
fn utc(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
