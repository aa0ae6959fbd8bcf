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
pub(super) mod tests {
    use super::*;
    use crate::event::observation::{Effect, Fault};
    use crate::vocab::{FailureKind, FailureStage};

    pub(crate) fn probe(operation: &str, expected: Decision) -> ProbeFacts {
        ProbeFacts {
            profile_id: "demo:a".into(),
            name: "p".into(),
            expectation_id: "demo:a:p".into(),
            operation: operation.into(),
            driver: None,
            syscall: None,
            attr_payload: None,
            performed: Some(operation.trim_end_matches('*').into()),
            target: "${FIXTURES}/x".into(),
            resolved_target: "/f/x".into(),
            intended_target: Some("/f/x".into()),
            links_met: Vec::new(),
            expected,
            anchor_ctx_id: None,
            filter: None,
        }
    }

    pub(crate) fn record(operation: &str, decision: Decision) -> DecisionRecord {
        DecisionRecord {
            operation: operation.into(),
            target: "/f/x".into(),
            decision,
            rule: None,
            undecided: None,
            errno: None,
            pid: 1,
            process: None,
            syscall: "openat".into(),
            at_unix_s: 1.0,
        }
    }

    pub(crate) fn effect(errno: i32) -> Option<Effect> {
        Some(Effect { errno, ..Effect::done("open", serde_json::Map::new()) })
    }

    pub(crate) fn runner() -> RunnerInfo {
        RunnerInfo {
            entrypoint: "runtime_worker",
            apply_model: "self_apply",
            apply_timing: "pre_syscall",
            preexisting_sandbox_suspected: false,
            entrypoint_path: "runtime".into(),
            entrypoint_sha256: String::new(),
            tool_build_id: String::new(),
        }
    }

    fn row(expected: Decision, seen: Observation) -> ResultRow {
        classify(&probe("file-read-data", expected), seen, &runner())
    }

    #[test]
    fn what_was_there_before_is_told_from_what_was_not_looked_at() {
        for (inherited, precreate, said) in [
            (None, false, json!([[], [], false, false])),
            (Some(vec![]), false, json!([[], [], false, true])),
            (Some(vec![9]), false, json!([[9], [], true, true])),
            (Some(vec![]), true, json!([[], ["file_precreate"], true, true])),
        ] {
            let seen = Observation { inherited_fds: inherited, precreate, effect: effect(0), ..Observation::default() };
            let row = classify(&probe("file-read-data", Decision::Allow), seen, &runner());
            let of = |key: &str| row.runtime_result.resource_hygiene[key].clone();
            let found = [of("pass_fds"), of("preopen_hints"), of("preopen_detected"), of("measured")];
            assert_eq!(json!(found), said);
        }
    }

    #[test]
    fn a_record_decides_and_an_errno_does_not() {
        for (decision, errno, expected, matches) in [
            (Decision::Allow, 0, Decision::Allow, true),
            (Decision::Deny, 1, Decision::Deny, true),
            (Decision::Deny, 1, Decision::Allow, false),
            // Unreadable by file mode under a profile that allows: not a policy deny.
            (Decision::Allow, 13, Decision::Deny, false),
            (Decision::Allow, 13, Decision::Allow, true),
        ] {
            let seen = Observation {
                effect: effect(errno),
                records: vec![record("file-read-data", decision)],
                ..Observation::default()
            };
            let row = row(expected, seen);
            assert_eq!((row.actual, row.matches), (Some(decision), Some(matches)), "{decision} {errno} {expected}");
            assert_eq!(row.runtime_result.errno, (errno != 0).then_some(errno));
            assert_eq!(row.runtime_result.intended_op_witnessed, Some(true));
        }
    }

    #[test]
    fn without_a_record_nothing_is_observed_however_the_call_ended() {
        for errno in [0, 1, 13] {
            let row = row(Decision::Deny, Observation { effect: effect(errno), ..Observation::default() });
            assert_eq!((row.actual, row.matches), (None, None));
            assert_eq!(row.runtime_result.intended_op_witnessed, Some(false));
            assert!(row.not_observed.is_some());
        }
        let metadata = Observation {
            effect: effect(1),
            records: vec![record("file-read-metadata", Decision::Deny)],
            ..Observation::default()
        };
        assert!(row(Decision::Deny, metadata).not_observed.unwrap().contains("file-read-metadata"));
    }

    #[test]
    fn a_record_about_another_object_is_not_this_calls() {
        // A link on the way to the target was refused: the target itself was never decided.
        let link = DecisionRecord { target: "/f".into(), ..record("file-read-data", Decision::Deny) };
        let seen = Observation { effect: effect(1), records: vec![link.clone()], ..Observation::default() };
        let refused = row(Decision::Deny, seen);
        assert_eq!((refused.actual, refused.own_record), (None, None));
        assert_eq!(refused.runtime_result.intended_op_witnessed, Some(false));
        assert_eq!(refused.not_observed.as_deref(), Some("the call was refused earlier, by file-read-data on /f"));
        // The twin: with a record on the target there is an observation, wherever it stands.
        let records = vec![link, record("file-read-data", Decision::Allow)];
        let seen = Observation { effect: effect(0), records, ..Observation::default() };
        let seen = row(Decision::Allow, seen);
        assert_eq!((seen.actual, seen.own_record), (Some(Decision::Allow), Some(1)));
    }

    #[test]
    fn an_exec_is_judged_by_its_own_call_and_not_by_what_the_image_does() {
        let exec = |records: Vec<DecisionRecord>, errno: i32| {
            let probe =
                ProbeFacts { performed: Some("process-exec*".into()), ..probe("process-exec*", Decision::Allow) };
            classify(&probe, Observation { effect: effect(errno), records, ..Observation::default() }, &runner())
        };
        let allowed = record("process-exec*", Decision::Allow);
        let later = record("process-exec*", Decision::Deny);
        let interpreter =
            DecisionRecord { target: "/bin/sh".into(), ..record("process-exec-interpreter", Decision::Deny) };
        let unreadable = DecisionRecord { undecided: Some("unreadable".into()), ..later.clone() };
        assert_eq!(exec(vec![allowed.clone(), later], 0).actual, Some(Decision::Allow));
        let refused = exec(vec![allowed.clone(), interpreter], 1);
        assert_eq!((refused.actual, refused.own_record), (None, Some(0)));
        assert!(refused.not_observed.unwrap().ends_with("refused by process-exec-interpreter on /bin/sh"));
        let undecided = exec(vec![allowed, unreadable], 1);
        assert_eq!((undecided.actual, undecided.undecided.as_deref()), (None, Some("unreadable")));
    }

    #[test]
    fn the_own_process_directory_is_known_by_the_callers_number() {
        let facts = ProbeFacts {
            intended_target: Some("/proc/self/status".into()),
            ..probe("file-read-data", Decision::Allow)
        };
        for (target, actual) in [("/proc/1/status", Some(Decision::Allow)), ("/proc/2/status", None)] {
            let record = DecisionRecord { target: target.into(), ..record("file-read-data", Decision::Allow) };
            let seen = Observation { effect: effect(0), records: vec![record], ..Observation::default() };
            assert_eq!(classify(&facts, seen, &runner()).actual, actual, "{target}");
        }
    }

    #[test]
    fn what_nothing_here_can_perform_is_not_observed_and_no_success() {
        let facts = ProbeFacts { performed: None, ..probe("mach-lookup", Decision::Deny) };
        let row = classify(&facts, Observation::default(), &runner());
        assert_eq!((row.actual, row.matches, row.error), (None, None, None));
        assert_eq!((row.runtime_result.status, row.runtime_result.apply_report), ("blocked", None));
        assert_eq!(row.not_observed.as_deref(), Some("no driver performs this operation here"));
    }

    #[test]
    fn a_fault_is_an_error_row_even_beside_a_record() {
        let fault = Fault {
            stage: FailureStage::Probe,
            kind: Some(FailureKind::ProbeTimeout),
            word: "timeout".into(),
            message: "no answer within 10 s".into(),
        };
        let seen = Observation {
            fault: Some(fault),
            timed_out: true,
            records: vec![record("file-read-data", Decision::Deny)],
            ..Observation::default()
        };
        let row = row(Decision::Deny, seen);
        assert_eq!((row.actual, row.matches, row.runtime_result.status), (None, None, "blocked"));
        assert_eq!(row.runtime_result.failure_kind, Some(FailureKind::ProbeTimeout));
        assert_eq!(row.runtime_result.intended_op_witnessed, None);
        assert_eq!(row.error_kind.as_deref(), Some("timeout"));
    }

    #[test]
    fn undecided_is_enforced_as_deny_but_not_observed() {
        let undecided =
            DecisionRecord { undecided: Some("extension".into()), ..record("file-read-data", Decision::Deny) };
        let seen = Observation { effect: effect(1), records: vec![undecided], ..Observation::default() };
        let row = row(Decision::Deny, seen);
        assert_eq!((row.actual, row.undecided.as_deref()), (None, Some("extension")));
    }

    #[test]
    fn a_signal_is_judged_by_the_process_it_was_sent_to() {
        let sent_to = |pid: i32| {
            let mut sent = effect(1);
            sent.as_mut().unwrap().details.insert(SIGNALLED.into(), json!(pid));
            sent
        };
        let to = |target: &str| DecisionRecord { target: target.into(), ..record("signal", Decision::Deny) };
        for (intended, records, own) in [
            (SELF_PROCESS, vec![to("process 1")], Some(0)),
            (SELF_PROCESS, vec![to("process 2")], None),
            (MADE_PROCESS, vec![to("process 1"), to("process 7")], Some(1)),
            (MADE_PROCESS, vec![to("process 8"), to("group 7")], None),
            ("process 5", vec![to("process 5")], Some(0)),
            ("process 5", vec![to("process 55")], None),
        ] {
            let facts = ProbeFacts { intended_target: Some(intended.into()), ..probe("signal", Decision::Deny) };
            let seen = Observation { effect: sent_to(7), records, ..Observation::default() };
            assert_eq!(classify(&facts, seen, &runner()).own_record, own, "{intended}");
        }
        let facts = ProbeFacts { intended_target: Some(MADE_PROCESS.into()), ..probe("signal", Decision::Deny) };
        let seen = Observation { effect: sent_to(1), records: vec![to("process 1")], ..Observation::default() };
        assert_eq!(classify(&facts, seen, &runner()).own_record, None, "itself is not one it made");
    }

    #[test]
    fn a_refusal_in_the_same_call_counts_wherever_it_stands() {
        let allowed = || record("sysctl-read", Decision::Allow);
        let refused = || DecisionRecord { target: "/proc/sys/a".into(), ..record("file-read-data", Decision::Deny) };
        let earlier_call = || DecisionRecord { syscall: "execve".into(), ..refused() };
        for (records, decision) in [
            (vec![allowed()], Some(Decision::Allow)),
            (vec![refused(), allowed()], None),
            (vec![allowed(), refused()], None),
            (vec![earlier_call(), allowed()], Some(Decision::Allow)),
        ] {
            let seen = Observation { effect: effect(1), records, ..Observation::default() };
            let row = classify(&probe("sysctl-read", Decision::Allow), seen, &runner());
            assert_eq!(row.actual, decision, "{:?}", row.decision_records);
        }
    }

    /// A row of a Mac: read with `errno`, and what `sandbox_check` answered about the path.
    fn on_a_mac(errno: i32, rc: Option<i32>) -> Observation {
        use crate::event::callout::SeatbeltAnswers;
        let request = seatbelt::tests::request();
        let callouts = rc.map(|rc| seatbelt::tests::callout("file-read-data", Some("/f/x"), rc)).into_iter().collect();
        let mut effect = effect(errno);
        if errno == 0 {
            let details = json!({
                "opened_path": "/private/f/x", "opened_path_errno": null,
                "opened_path_nofirmlink": "/System/Volumes/Data/private/f/x", "opened_path_nofirmlink_errno": null,
            });
            effect.as_mut().unwrap().details = details.as_object().unwrap().clone();
        }
        Observation {
            effect,
            seatbelt: Some(SeatbeltAnswers { request, callouts, not_asked: Vec::new() }),
            ..Observation::default()
        }
    }

    #[test]
    fn a_row_under_seatbelt_is_settled_by_its_control_and_judged_again_by_who_reads_it() {
        use crate::event::{Controls, Normaliser, RowPlace, baseline_row};
        let probe = probe("file-read-data", Decision::Deny);
        for (errno, rc, control, decision, source) in [
            (1, Some(1), 0, Some(Decision::Deny), Some(seatbelt::BY_CALLOUT)),
            (1, None, 0, Some(Decision::Deny), Some(seatbelt::BY_CONTROL)),
            (1, None, 1, None, None),
            (1, Some(0), 0, None, None),
            (0, Some(0), 0, Some(Decision::Allow), Some(seatbelt::BY_EFFECT)),
            (0, Some(1), 0, None, None),
        ] {
            let mut rows = vec![classify(&probe, on_a_mac(errno, rc), &runner())];
            let seen = Observation { effect: effect(control), ..Observation::default() };
            let baseline = vec![baseline_row(&probe, seen)];
            settle("demo:a", &mut rows, &baseline);
            let row = &rows[0];
            let case = format!("{errno} {rc:?} {control}");
            assert_eq!((row.actual, row.decision_source), (decision, source), "{case}");
            assert_eq!(row.matches, decision.map(|actual| actual == Decision::Deny), "{case}");
            assert_eq!((row.not_observed.is_none(), row.own_record), (decision.is_some(), None), "{case}");
            assert_eq!(row.runtime_result.intended_op_witnessed, Some(decision.is_some()), "{case}");

            let controls = [json!(baseline[0])];
            let controls = Controls::of(&controls);
            let normaliser = Normaliser { world_id: "sonoma-14.4.1-23E224-arm64", run_id: None, controls: &controls };
            let place = RowPlace { profile_id: "demo:a", preflight: &json!(null), position: 0, matrix: None };
            let mut stored = json!(row);
            let outcome = |stored: &serde_json::Value| normaliser.event(place, stored)["outcome"].clone();
            assert_eq!(outcome(&stored), decision.map_or(json!("not_observed"), |decision| json!(decision)), "{case}");
            // The twin: a row that claims something else than was seen is not believed.
            let other = if decision == Some(Decision::Allow) { "deny" } else { "allow" };
            stored["actual"] = json!(other);
            assert_ne!(outcome(&stored), json!(other), "{case}");
        }
    }

    #[test]
    fn both_names_of_an_open_file_stand_in_its_witnesses() {
        use crate::event::{baseline_row, path_witnesses};
        let probe = probe("file-read-data", Decision::Allow);
        let opened = || on_a_mac(0, Some(0));
        let baseline = [baseline_row(&probe, Observation { seatbelt: None, ..opened() })];
        let rows = [opened(), on_a_mac(1, Some(1))].map(|seen| classify(&probe, seen, &runner()));
        let profile = crate::event::ProfileResults {
            status: "ok",
            profile_path: String::new(),
            base_profile_path: String::new(),
            preflight: None,
            probes: rows.into(),
            notes: None,
            schema_version: "",
            run_id: String::new(),
            base_profile_sha256: String::new(),
            applied_profile_sha256: String::new(),
            overlays: Vec::new(),
        };
        let results = [("demo:a".to_owned(), profile)].into_iter().collect();
        let records = path_witnesses("sonoma-14.4.1-23E224-arm64", "r", "p", &results, &baseline).records;
        let told: Vec<_> = records
            .iter()
            .map(|record| {
                (
                    record.observed_path_source,
                    record.observed_path_nofirmlink_source,
                    record.canonicalization.nofirmlink_differs,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("unsandboxed_fd_path", "unsandboxed_fd_path", true),
                ("probe_fgetpath:present", "probe_fgetpath_nofirmlink:present", true),
                ("probe_fgetpath:missing", "probe_fgetpath_nofirmlink:missing", false),
            ]
        );
        assert_eq!(records[0].observed_path.as_deref(), Some("/private/f/x"));
        assert_eq!(records[1].observed_path_nofirmlink.as_deref(), Some("/System/Volumes/Data/private/f/x"));
    }
}
