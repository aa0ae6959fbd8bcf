//! Which decision may be claimed of an observation, one observation a case.

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
        let probe = ProbeFacts { performed: Some("process-exec*".into()), ..probe("process-exec*", Decision::Allow) };
        classify(&probe, Observation { effect: effect(errno), records, ..Observation::default() }, &runner())
    };
    let allowed = record("process-exec*", Decision::Allow);
    let later = record("process-exec*", Decision::Deny);
    let interpreter = DecisionRecord { target: "/bin/sh".into(), ..record("process-exec-interpreter", Decision::Deny) };
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
    let facts =
        ProbeFacts { intended_target: Some("/proc/self/status".into()), ..probe("file-read-data", Decision::Allow) };
    for (target, actual) in [("/proc/1/status", Some(Decision::Allow)), ("/proc/2/status", None)] {
        let record = DecisionRecord { target: target.into(), ..record("file-read-data", Decision::Allow) };
        let seen = Observation { effect: effect(0), records: vec![record], ..Observation::default() };
        assert_eq!(classify(&facts, seen, &runner()).actual, actual, "{target}");
    }
}

#[test]
fn a_refusal_of_what_has_no_object_is_named_without_one() {
    let fork = DecisionRecord { target: String::new(), ..record("process-fork", Decision::Deny) };
    let seen = Observation { effect: effect(1), records: vec![fork], ..Observation::default() };
    let row = row(Decision::Allow, seen);
    assert_eq!(row.not_observed.as_deref(), Some("the call was refused earlier, by process-fork"));
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
    let undecided = DecisionRecord { undecided: Some("extension".into()), ..record("file-read-data", Decision::Deny) };
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

        let controls_stored = [json!(baseline[0])];
        let controls = Controls::of(&controls_stored);
        let normaliser = Normaliser { world_id: "sonoma-14.4.1-23E224-arm64", run_id: None, controls: &controls };
        let place = RowPlace { profile_id: "demo:a", preflight: &json!(null), position: 0, matrix: None };
        let mut stored = json!(row);
        let outcome = |stored: &serde_json::Value| normaliser.event(place, stored)["outcome"].clone();
        assert_eq!(outcome(&stored), decision.map_or(json!("not_observed"), |decision| json!(decision)), "{case}");
        // Every claim of its event is borne by the row and its control, and not without them.
        let event = normaliser.event(place, &stored);
        let documents = json!({"row": stored, "control": controls_stored[0]});
        let fetch = |place: &str, documents: &serde_json::Value| {
            let (document, pointer) = place.split_once('#')?;
            let (at, base) = match document {
                "runtime_results.json" => ("/row", "/demo:a/probes/0"),
                _ => ("/control", "/results/0"),
            };
            documents.pointer(&format!("{at}{}", pointer.strip_prefix(base)?)).cloned()
        };
        let unsupported = |documents: &serde_json::Value| {
            let claims = crate::event::claims(&event, |place| fetch(place, documents));
            claims.into_iter().filter(|claim| !claim.supported).map(|claim| claim.claim).collect::<Vec<_>>()
        };
        assert_eq!(unsupported(&documents), [""; 0], "{case}");
        let nothing = json!({"row": {}, "control": documents["control"]});
        assert_eq!(unsupported(&nothing).contains(&"/actual"), decision.is_some(), "{case}");
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
    let without = |seen: Observation| baseline_row(&probe, Observation { seatbelt: None, ..seen });
    // The system does not say which path it opened.
    let nameless = || {
        let mut seen = opened();
        let names = json!({
            "opened_path": null, "opened_path_errno": 2, "opened_path_nofirmlink": null, "opened_path_nofirmlink_errno": 2,
        });
        seen.effect.as_mut().unwrap().details = names.as_object().unwrap().clone();
        seen
    };
    let baseline = [without(opened()), without(nameless())];
    let rows = [opened(), on_a_mac(1, Some(1)), nameless()].map(|seen| classify(&probe, seen, &runner()));
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
            ("unsandboxed_error", "unsandboxed_error", false),
            ("probe_fgetpath:present", "probe_fgetpath_nofirmlink:present", true),
            ("probe_fgetpath:missing", "probe_fgetpath_nofirmlink:missing", false),
            ("probe_fgetpath:error", "probe_fgetpath_nofirmlink:error", false),
        ]
    );
    assert_eq!(records[0].observed_path.as_deref(), Some("/private/f/x"));
    assert_eq!(records[2].observed_path_nofirmlink.as_deref(), Some("/System/Volumes/Data/private/f/x"));
}
