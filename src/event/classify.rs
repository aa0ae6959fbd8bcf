//! From what was observed to a row: which decision may be claimed, and which may not.
//!
//! Where the enforcement layer leaves records, the only source of a decision is its record about this very call. An errno beside
//! an allowing record is a fact about the machine (file modes, missing objects), not a decision. Seatbelt leaves none: there
//! [`super::seatbelt`] says what the call, the system's answers and the control show together.

use serde_json::json;

use crate::denial::DecisionRecord;
use crate::vocab::{Decision, Operation};

use super::observation::{Observation, SIGNALLED, STARTED_PID};
use super::row::{ApplyReport, MADE_PROCESS, ProbeFacts, ResultRow, RunnerInfo, RuntimeResult, SELF_PROCESS};
use super::seatbelt;

/// What the records say about one probe.
#[derive(Default)]
struct Judged {
    decision: Option<Decision>,
    source: Option<&'static str>,
    witness: Option<usize>,
    undecided: Option<String>,
    not_observed: Option<String>,
}

/// Makes the row of one probe in the scenario lane.
#[must_use]
pub fn classify(probe: &ProbeFacts, seen: Observation, runner: &RunnerInfo) -> ResultRow {
    let judged = judge(probe, &seen);
    let witnessed = seen.fault.is_none().then_some(judged.witness.is_some() || judged.source.is_some_and(is_seatbelt));
    let (decision, undecided, not_observed) = (judged.decision, judged.undecided, judged.not_observed);
    let errno = seen.effect.as_ref().map(|effect| effect.errno).filter(|&errno| errno != 0);
    ResultRow {
        name: probe.name.clone(),
        expectation_id: probe.expectation_id.clone(),
        anchor_ctx_id: probe.anchor_ctx_id.clone(),
        operation: probe.operation.clone(),
        path: probe.target.clone(),
        expected: probe.expected,
        actual: decision,
        matches: decision.map(|actual| actual == probe.expected),
        runtime_result: runtime_result(&seen, errno, witnessed, runner),
        violation_summary: (errno == Some(EPERM)).then_some("EPERM"),
        exit_code: seen.exit_status,
        stdout: String::new(),
        probe_details: seen.effect.as_ref().map(|effect| json!(effect)),
        cmd_started_at_unix_s: seen.started_at_unix_s,
        cmd_finished_at_unix_s: seen.finished_at_unix_s,
        cmd_duration_s: seen.duration_s,
        error: seen.fault.as_ref().map(|fault| fault.message.clone()),
        error_kind: seen.fault.as_ref().map(|fault| fault.word.clone()),
        decision_source: decision.and(judged.source),
        resolved_target: probe.resolved_target.clone(),
        performed_operation: probe.performed.clone(),
        errno_name: seen.effect.as_ref().and_then(|effect| effect.errno_name.clone()),
        effect_seen: seen.effect_seen(),
        listener: seen.listener,
        signal: seen.signal,
        timeout: seen.timed_out,
        undecided,
        not_observed,
        command: seen.command,
        stderr: seen.stderr,
        decision_records: seen.records,
        own_record: judged.witness,
        decision_records_dropped: seen.records_dropped,
        links_met: probe.links_met.clone(),
        observer: None,
    }
}

/// EPERM is 1 on Linux and macOS alike.
const EPERM: i32 = 1;

fn judge(probe: &ProbeFacts, seen: &Observation) -> Judged {
    let silent = |not_observed: String| Judged { not_observed: Some(not_observed), ..Judged::default() };
    if let Some(fault) = &seen.fault {
        return silent(format!("the probe gave no result: {}", fault.word));
    }
    let Some(performed) = &probe.performed else {
        return silent("no driver performs this operation here".to_owned());
    };
    if let Some(answers) = &seen.seatbelt {
        let Some(effect) = &seen.effect else { return silent("the call did not say what came of it".to_owned()) };
        return match seatbelt::claim(performed, effect, &answers.callouts, None) {
            Ok((decision, source)) => Judged { decision: Some(decision), source: Some(source), ..Judged::default() },
            Err(why) => silent(why),
        };
    }
    let Some(own) = own_record(probe, performed, seen) else {
        return silent(match seen.records.iter().rfind(|record| record.decision == Decision::Deny) {
            Some(earlier) => format!("the call was refused earlier, by {}", named(earlier)),
            None => "the enforcement layer recorded no decision about this call".to_owned(),
        });
    };
    let record = &seen.records[own];
    let not_observed = |text: String, undecided: Option<String>| Judged {
        decision: None,
        source: None,
        witness: Some(own),
        undecided,
        not_observed: Some(text),
    };
    if record.undecided.is_some() {
        return not_observed("the profile could not be evaluated for this access".into(), record.undecided.clone());
    }
    match refused_besides(seen, own) {
        Some(other) => not_observed(
            format!("{} was allowed, but the same call was refused by {}", record.operation, named(other)),
            other.undecided.clone(),
        ),
        None => Judged {
            decision: Some(record.decision),
            source: Some("linux_supervisor"),
            witness: Some(own),
            undecided: None,
            not_observed: None,
        },
    }
}

/// What a record is about: an operation, on an object if it has one.
fn named(record: &DecisionRecord) -> String {
    match record.target.as_str() {
        "" => record.operation.clone(),
        target => format!("{} on {target}", record.operation),
    }
}

fn is_seatbelt(source: &str) -> bool {
    source.starts_with("seatbelt_")
}

/// Judges again the rows under Seatbelt of which nothing could be claimed, now that it is known what the same calls did without
/// a policy; and takes back what the control contradicts.
pub fn settle(profile_id: &str, rows: &mut [ResultRow], baseline: &[super::BaselineRow]) {
    for row in rows.iter_mut().filter(|row| row.error.is_none()) {
        let done = super::control(baseline, profile_id, &row.expectation_id).and_then(super::BaselineRow::succeeded);
        let result = &mut row.runtime_result;
        let (performed, callouts) = (row.performed_operation.as_deref(), result.seatbelt_callouts.as_ref());
        let claimed = seatbelt::claim_of_stored(performed, row.probe_details.as_ref(), callouts, done);
        let Some(claimed) = claimed else { continue };
        result.intended_op_witnessed = Some(claimed.is_ok());
        let (decision, source, why) = match claimed {
            Ok((decision, source)) => (Some(decision), Some(source), None),
            Err(why) => (None, None, Some(why)),
        };
        (row.actual, row.decision_source, row.not_observed) = (decision, source, why);
        row.matches = decision.map(|actual| actual == row.expected);
    }
}

/// The record about the probe's own call: its operation on the object its target names. A record about a link on the way,
/// or about what a started program did later, is not one.
fn own_record(probe: &ProbeFacts, performed: &str, seen: &Observation) -> Option<usize> {
    let performed = Operation::new(performed);
    let own = |record: &DecisionRecord| {
        let by_the_right_one = !probe.is_inherited() || is_by_started_program(seen, record);
        let recorded = Operation::new(record.operation.as_str());
        by_the_right_one
            && (performed.covers(&recorded) || recorded.covers(&performed))
            && is_on_target(probe, seen, record)
    };
    match failed(seen) {
        // The worker goes on after a failed call only to report it, so the last word on the target is this call's.
        true => seen.records.iter().rposition(own),
        // An image that was started may repeat what started it.
        false => seen.records.iter().position(own),
    }
}

/// Whether the decision is about the process that the probe started, after it executed the other program: about nobody else
/// does a probe of inheritance say anything.
fn is_by_started_program(seen: &Observation, record: &DecisionRecord) -> bool {
    let started = seen.effect.as_ref().and_then(|effect| effect.details.get(STARTED_PID)?.as_i64());
    let is_exec = |other: &DecisionRecord| {
        other.pid == record.pid && other.decision == Decision::Allow && other.operation.starts_with("process-exec")
    };
    started == Some(i64::from(record.pid)) && seen.records.iter().any(is_exec)
}

fn is_on_target(probe: &ProbeFacts, seen: &Observation, record: &DecisionRecord) -> bool {
    let Some(intended) = &probe.intended_target else { return true };
    match intended.as_str() {
        SELF_PROCESS => record.target == format!("process {}", record.pid),
        MADE_PROCESS => {
            let made = seen.effect.as_ref().and_then(|effect| effect.details.get(SIGNALLED)?.as_i64());
            made.is_some_and(|pid| pid != i64::from(record.pid) && record.target == format!("process {pid}"))
        }
        _ => match intended.strip_prefix("/proc/self") {
            // The link's text is the number of whoever reads it.
            Some(rest) => record.target == format!("/proc/{}{rest}", record.pid),
            None => record.target == *intended,
        },
    }
}

/// A refusal of something else in the same call, such as a script's interpreter, or the file that a kernel setting is: the
/// operation was then allowed and yet not done.
fn refused_besides(seen: &Observation, own: usize) -> Option<&DecisionRecord> {
    let record = &seen.records[own];
    let besides = |other: &&DecisionRecord| {
        other.decision == Decision::Deny
            && other.pid == record.pid
            && other.syscall == record.syscall
            && other.errno == record.errno
    };
    seen.records.iter().find(besides).filter(|_| failed(seen) && record.decision == Decision::Allow)
}

fn failed(seen: &Observation) -> bool {
    seen.effect.as_ref().is_some_and(super::Effect::failed)
}

fn runtime_result(
    seen: &Observation,
    errno: Option<i32>,
    witnessed: Option<bool>,
    runner: &RunnerInfo,
) -> RuntimeResult {
    let fault = seen.fault.as_ref();
    let applied = seen.effect.is_some();
    let failed_probe = fault.is_none() && failed(seen);
    let inherited = seen.inherited_fds.as_deref().unwrap_or_default();
    let hints: &[&str] = if seen.precreate { &["file_precreate"] } else { &[] };
    RuntimeResult {
        // `errno` is the format's word for a call that failed, whatever it failed with.
        status: match (fault, failed_probe) {
            (Some(_), _) => "blocked",
            (None, true) => "errno",
            (None, false) if applied => "success",
            (None, false) => "blocked",
        },
        errno,
        runtime_result_schema_version: 1,
        tool_marker_schema_version: 2,
        failure_stage: fault.map(|f| f.stage).or(failed_probe.then_some(crate::vocab::FailureStage::Probe)),
        failure_kind: fault.and_then(|f| f.kind).or(failed_probe.then_some(crate::vocab::FailureKind::ProbeErrno)),
        apply_report: apply_report(seen, applied),
        runner_info: Some(runner.clone()),
        seatbelt_callouts: seen.seatbelt.as_ref().map(|answers| json!(answers.callouts)),
        intended_op_witnessed: witnessed,
        sandbox_check_request: seen.seatbelt.as_ref().map(|answers| json!(answers.request)),
        resource_hygiene: json!({
            "apply_model": runner.apply_model, "apply_timing": runner.apply_timing,
            "preexisting_sandbox_suspected": runner.preexisting_sandbox_suspected,
            "close_fds": true, "pass_fds": inherited, "preopen_hints": hints,
            "preopen_detected": !(inherited.is_empty() && hints.is_empty()),
            "measured": seen.inherited_fds.is_some(),
        }),
    }
}

/// What applies profiles on the system this was built for.
pub const APPLY_API: &str = if cfg!(target_os = "macos") { "sandbox_init" } else { "linux_supervisor" };

fn apply_report(seen: &Observation, applied: bool) -> Option<ApplyReport> {
    if let Some(applied) = &seen.applied {
        return Some(applied.report());
    }
    let fault = seen.fault.as_ref().filter(|fault| fault.stage == crate::vocab::FailureStage::Apply);
    match (fault, applied) {
        (Some(fault), _) => Some(ApplyReport {
            api: APPLY_API.to_owned(),
            rc: -1,
            errno: 0,
            errbuf: Some(fault.message.clone()),
            err_class: "unknown",
            err_class_source: "errbuf_present",
        }),
        (None, true) => Some(ApplyReport {
            api: APPLY_API.to_owned(),
            rc: 0,
            errno: 0,
            errbuf: None,
            err_class: "ok",
            err_class_source: "none",
        }),
        (None, false) => None,
    }
}

#[cfg(test)]
pub(super) mod tests;
