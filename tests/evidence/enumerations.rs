//! Every value that the normaliser can give to a member of a closed list of words, from rows written by hand; and the values
//! that nothing here can give, with the reason.

use std::collections::BTreeSet;

use runtime::analysis::{MetadataHead, ReadError, normalise_metadata};
use runtime::event::{Controls, Normaliser, RowPlace};
use serde_json::{Value, json};

use crate::suite::{expect, runtime, text};

const MAC: &str = "sonoma-14.4.1-23E224-arm64-dyld-2c0602c5";

/// Member of an event and every value that the formats give it.
const LISTS: &[(&str, &[&str])] = &[
    ("/runtime_status", &["success", "errno", "blocked"]),
    ("/failure_stage", &["preflight", "apply", "bootstrap", "probe"]),
    (
        "/failure_kind",
        &[
            "preflight_apply_gate_signature",
            "apply_already_sandboxed",
            "sandbox_init_failed",
            "sandbox_apply_failed",
            "apply_failed",
            "bootstrap_deny_process_exec",
            "bootstrap_exec_failed",
            "probe_timeout",
            "probe_nonzero_exit",
            "probe_errno",
            "probe_syscall_errno",
        ],
    ),
    ("/apply_report/err_class", &["ok", "already_sandboxed", "errno_eperm", "errno_eacces", "errno_other", "unknown"]),
    (
        "/apply_report/err_class_source",
        &[
            "none",
            "errbuf_regex",
            "errno_only",
            "errbuf_present",
            "legacy_stderr_regex:none",
            "legacy_stderr_regex:errbuf_regex",
            "legacy_stderr_regex:errno_only",
            "legacy_stderr_regex:errbuf_present",
        ],
    ),
    ("/apply_report/api", &["sandbox_init", "sandbox_apply"]),
    (
        "/observed_path_source",
        &[
            "fd_path",
            "error",
            "unavailable",
            "not_attempted",
            "unsandboxed_fd_path",
            "unsandboxed_error",
            "supervisor_resolution",
        ],
    ),
    ("/normalized_path_source", &["observed_path", "alias_map", "requested_path"]),
    ("/policy_layers/platform_policy/source", &["baseline", "baseline_missing"]),
    ("/policy_layers/platform_policy/decision", &["allow", "deny", "unknown"]),
    ("/policy_layers/process_policy/decision", &["allow", "deny", "unknown"]),
    ("/policy_layers/effective_decision", &["allow", "deny", "unknown"]),
    ("/policy_layers/attribution", &["platform_policy", "process_policy", "allow", "unknown"]),
    ("/file_confounder/classification", &["unix_permissions", "sandbox_or_mac", "other_errno"]),
    ("/file_confounder/attribution", &["unix_acl", "app_sandbox", "mac", "sandbox_or_mac", "unknown"]),
    ("/service_confounder/status", &["missing_service"]),
    ("/service_confounder/baseline_state", &["missing", "present"]),
    ("/tcc_confounder/baseline_status", &["allow", "deny", "prompt_or_timeout", "unknown"]),
    ("/tcc_confounder/scenario_status", &["allow", "deny", "prompt_or_timeout", "unknown"]),
    ("/tcc_confounder/attribution", &["tcc_or_platform", "sandbox_or_other", "allow", "unknown"]),
    ("/seatbelt_callouts/0/decision", &["allow", "deny", "error"]),
    ("/seatbelt_callouts/0/stage", &["pre_syscall", "preflight", "bootstrap_exec"]),
    ("/seatbelt_callouts/0/api", &["sandbox_check", "sandbox_check_by_audit_token"]),
    ("/seatbelt_callouts/0/token_status", &["pid", "ok", "task_info_failed"]),
    (
        "/seatbelt_callouts/0/no_report_reason",
        &[
            "symbol_missing",
            "flag_zero",
            "unknown",
            "unsupported_filter_type",
            "token_unavailable",
            "not_applicable",
            "legacy",
        ],
    ),
    ("/seatbelt_callouts/0/canonicalization", &["raw", "canonical"]),
    (
        "/seatbelt_callouts/0/canonical_flag_reason",
        &["not_requested", "symbol_missing", "flag_zero", "unknown", "unsupported_filter_type"],
    ),
    (
        "/preflight/classification",
        &["no_known_apply_gate_signature", "likely_apply_gated_for_harness_identity", "invalid", "unsupported"],
    ),
    ("/outcome", &["allow", "deny", "not_observed", "error"]),
    ("/intended_op_proof/proves", &["asked", "decided"]),
    ("/errno_source", &["probe_details", "exit_status", "apply_marker"]),
];

/// What no row makes the normaliser say, and why.
const UNREACHABLE: &[(&str, &str, &str)] =
    &[("/service_confounder/baseline_state", "present", "a confounder is given only when both lanes miss the service")];

/// A row of the earlier tool; `change` adds to it.
pub(crate) fn row(change: Value) -> Value {
    let mut row = json!({
        "name": "r", "expectation_id": "p:r", "operation": "file-read-data", "path": "/tmp/a", "expected": "allow",
        "actual": "allow", "match": true, "exit_code": 0, "stdout": "", "stderr": "", "command": ["x"],
        "probe_details": null, "runtime_result": {"status": "success"},
    });
    row.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    row
}

fn marker(fields: Value) -> String {
    let mut marker = json!({"tool": "sbpl-apply", "marker_schema_version": 1, "stage": "apply", "mode": "sbpl",
        "api": "sandbox_init", "rc": 0, "errno": 0, "pid": 1});
    marker.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    format!("{marker}\n")
}

fn failed_apply(fields: Value) -> Value {
    row(
        json!({"actual": null, "match": null, "exit_code": 1, "stderr": marker(fields), "runtime_result": {"status": "errno"}}),
    )
}

fn callout(fields: Value) -> Value {
    let mut callout = json!({"tool": "seatbelt-callout", "marker_schema_version": 2, "stage": "pre_syscall",
        "api": "sandbox_check", "operation": "file-read-data", "filter_type": 0, "argument": "/tmp/a", "decision": "allow",
        "rc": 0, "errno": 0, "token_status": "pid", "canonicalization": "raw", "canonical_flag_reason": "not_requested"});
    callout.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    row(json!({"runtime_result": {"status": "success", "intended_op_witnessed": true, "seatbelt_callouts": [callout]}}))
}

fn refused(errno: i64, actual: &str) -> Value {
    row(json!({"actual": actual, "exit_code": 1, "probe_details": {"errno": errno},
        "runtime_result": {"status": "errno", "errno": errno, "failure_stage": "probe", "failure_kind": "probe_errno"}}))
}

pub(crate) fn control(status: Value, more: Value) -> Option<Value> {
    let mut control = json!({"name": "baseline:p:r", "profile_id": "p", "probe_name": "r", "operation": "file-read-data",
        "target": "/tmp/a", "status": status, "exit_code": 0});
    control.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Some(control)
}

fn rows() -> Vec<(Value, Option<Value>)> {
    let none = json!({});
    let private = |change: Value| {
        let mut row = row(change);
        row["path"] = json!("/Users/ann/Documents/x");
        row
    };
    let lookup = |present: Value| {
        row(json!({"operation": "mach-lookup", "path": "com.example", "probe_details": {"service_present": present}}))
    };
    let own = |decision: &str| {
        row(
            json!({"actual": decision, "resolved_target": "/f/x", "own_record": 0, "decision_source": "linux_supervisor",
            "decision_records_dropped": 0, "decision_records": [{"operation": "file-read-data", "target": "/f/x",
            "decision": decision}], "runtime_result": {"status": "success", "intended_op_witnessed": true}}),
        )
    };
    let stderr = |text: &str| row(json!({"stderr": text}));
    let applied = marker(json!({})) + &marker(json!({"stage": "applied"}));
    let exec = |errno: i64| applied.clone() + &marker(json!({"stage": "exec", "rc": -1, "errno": errno}));
    let mut rows = vec![
        (row(none.clone()), control(json!("allow"), none.clone())),
        (row(json!({"actual": "deny"})), control(json!("allow"), none.clone())),
        (row(json!({"actual": null})), control(json!("deny"), none.clone())),
        (row(json!({"actual": null, "runtime_result": {"status": "success", "intended_op_witnessed": false}})), None),
        (row(json!({"actual": "deny", "exit_code": 2, "runtime_result": {"status": "errno", "errno": 2}})), None),
        (own("allow"), None),
        (own("deny"), None),
        (
            row(json!({"runtime_result": {"status": "blocked", "failure_stage": "preflight",
            "failure_kind": "preflight_apply_gate_signature"}})),
            None,
        ),
        (failed_apply(json!({"rc": -1, "errbuf": "already in a sandbox"})), None),
        (failed_apply(json!({"rc": -1, "errno": 1})), None),
        (failed_apply(json!({"rc": -1, "errno": 13})), None),
        (failed_apply(json!({"rc": -1, "errno": 2, "api": "sandbox_apply"})), None),
        (failed_apply(json!({"rc": -1, "errbuf": "no luck"})), None),
        (failed_apply(json!({"rc": -1, "api": null})), None),
        (
            row(json!({"actual": null, "exit_code": 1, "stderr": marker(json!({"rc": -1, "errno": 1})),
            "runtime_result": {"status": "errno", "errno": 1}})),
            None,
        ),
        (
            row(json!({"actual": null, "exit_code": 1, "runtime_result": {"status": "errno"},
            "stderr": "sandbox_init failed: Operation not permitted\n"})),
            None,
        ),
        (
            row(json!({"actual": null, "exit_code": 1, "runtime_result": {"status": "errno"},
            "stderr": "sandbox_apply: no\n"})),
            None,
        ),
        (
            row(json!({"actual": null, "exit_code": 1, "runtime_result": {"status": "errno"},
            "stderr": "sandbox_init failed: already has a sandbox\n"})),
            None,
        ),
        (
            row(json!({"actual": null, "exit_code": 1, "runtime_result": {"status": "errno"},
            "stderr": "sandbox_init failed:\n"})),
            None,
        ),
        (row(json!({"exit_code": 127, "stderr": exec(1), "runtime_result": {"status": "errno"}})), None),
        (row(json!({"exit_code": 127, "stderr": exec(2), "runtime_result": {"status": "errno"}})), None),
        (
            row(json!({"exit_code": null, "error": "timeout", "error_kind": "timeout", "actual": "deny",
            "runtime_result": {"status": "errno", "failure_stage": "probe", "failure_kind": "probe_timeout"}})),
            None,
        ),
        (
            row(json!({"exit_code": 3, "runtime_result": {"status": "errno", "errno": 3, "failure_stage": "probe",
            "failure_kind": "probe_nonzero_exit"}})),
            None,
        ),
        (row(json!({"exit_code": 3, "runtime_result": {"status": "errno"}})), None),
        (refused(13, "deny"), None),
        (refused(1, "deny"), None),
        (refused(1, "allow"), control(json!("deny"), none.clone())),
        (refused(1, "allow"), None),
        (refused(2, "allow"), None),
        (stderr("F_GETPATH:/private/tmp/a\n"), None),
        (stderr("F_GETPATH_ERROR:2\n"), None),
        (stderr("F_GETPATH_UNAVAILABLE\n"), None),
        (row(json!({"path": "/elsewhere"})), None),
        (
            row(
                json!({"path_observation": {"observed_path": "/private/tmp/a", "observed_path_source": "unsandboxed_fd_path"}}),
            ),
            None,
        ),
        (row(json!({"path_observation": {"observed_path": null, "observed_path_source": "unsandboxed_error"}})), None),
        (lookup(json!(false)), control(json!("deny"), json!({"probe_details": {"service_present": false}}))),
        (private(none.clone()), control(json!("allow"), none.clone())),
        (private(json!({"actual": "deny"})), control(json!("allow"), none.clone())),
        (private(json!({"actual": "deny"})), control(json!("deny"), none.clone())),
        (
            private(json!({"actual": null, "error": "timeout", "exit_code": null, "error_kind": "timeout",
            "runtime_result": {"status": "errno", "failure_stage": "probe", "failure_kind": "probe_timeout"}})),
            control(json!(null), json!({"error": "timeout"})),
        ),
        (private(json!({"actual": null})), None),
    ];
    for decision in ["allow", "deny", "error"] {
        rows.push((callout(json!({"decision": decision})), None));
    }
    for stage in ["preflight", "bootstrap_exec"] {
        rows.push((callout(json!({"stage": stage})), None));
    }
    for status in ["ok", "task_info_failed"] {
        rows.push((callout(json!({"token_status": status, "api": "sandbox_check_by_audit_token"})), None));
    }
    for reason in
        ["symbol_missing", "flag_zero", "unknown", "unsupported_filter_type", "token_unavailable", "not_applicable"]
    {
        // The two lists share all but two words.
        let no_flag = matches!(reason, "token_unavailable" | "not_applicable");
        let flag_reason = if no_flag { "not_requested" } else { reason };
        rows.push((
            callout(
                json!({"no_report_reason": reason, "canonical_flag_reason": flag_reason, "canonicalization": "canonical"}),
            ),
            None,
        ));
    }
    rows.push((callout(json!({"marker_schema_version": 1})), None));
    rows
}

pub(crate) fn event(row: &Value, control: Option<&Value>, preflight: &Value) -> Value {
    let controls: Vec<Value> = control.cloned().into_iter().collect();
    let controls = Controls::of(&controls);
    let normaliser = Normaliser { world_id: MAC, run_id: Some("r"), controls: &controls };
    normaliser.event(RowPlace { profile_id: "p", preflight, position: 0, matrix: None }, row)
}

#[test]
fn every_value_is_given_by_a_row_or_has_a_reason_why_not() {
    let mut seen: BTreeSet<(&str, String)> = BTreeSet::new();
    let mut note = |event: &Value| {
        assert!(event.get("error_kind") != Some(&json!("malformed_row")), "{event:#}");
        for (member, _) in LISTS {
            if let Some(value) = event.pointer(member).and_then(Value::as_str) {
                seen.insert((member, value.to_owned()));
            }
        }
    };
    for (row, control) in rows() {
        note(&event(&row, control.as_ref(), &Value::Null));
    }
    for event in metadata(&metadata_document()) {
        note(&event);
    }
    for class in ["no_known_apply_gate_signature", "likely_apply_gated_for_harness_identity", "invalid", "unsupported"]
    {
        note(&event(&row(json!({})), None, &json!({"classification": class})));
    }
    for &(member, values) in LISTS {
        for value in values {
            let why = UNREACHABLE.iter().find(|(m, v, _)| (m, v) == (&member, value));
            match (seen.contains(&(member, (*value).to_owned())), why) {
                (true, None) => println!("reached: {member} {value}"),
                (false, Some((.., why))) => println!("not reachable: {member} {value}: {why}"),
                (true, Some(_)) => panic!("{member} {value} is said to be unreachable"),
                (false, None) => panic!("no row makes {member} {value}"),
            }
        }
        // And nothing else: a word that no list has is a mistake.
        for (_, value) in seen.iter().filter(|(m, _)| *m == member) {
            assert!(values.contains(&value.as_str()), "{member} has {value}, which is in no list");
        }
    }
}

#[test]
fn an_errno_is_named_by_the_system_it_comes_from() {
    let named = |errno: i64| event(&refused(errno, "allow"), None, &Value::Null)["errno_name"].clone();
    assert_eq!([named(35), named(61), named(13)], [json!("EAGAIN"), json!("ECONNREFUSED"), json!("EACCES")]);
}

/// What the earlier tool's metadata runner reports, one call a row.
fn metadata_document() -> Value {
    let result = |path: &str, more: Value| {
        let mut result = json!({"profile_id": "meta", "operation": "file-read-metadata", "requested_path": path,
            "syscall": "lstat", "attr_payload": null, "status": "ok", "errno": 0, "errno_name": null, "message": null,
            "apply_mode": "sbpl", "apply_rc": 0, "apply_errno": 0, "apply_errbuf": null, "stderr": ""});
        result.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        result
    };
    let failed =
        json!({"status": "op_failed", "errno": 1, "errno_name": "EPERM", "message": "no", "attr_payload": "cmn"});
    json!({"world_id": MAC, "results": [
        result("/tmp/a", json!({})),
        result("/tmp/b", failed),
        result("/tmp/c", json!({"status": "apply_failed", "apply_rc": -1, "apply_errno": 1, "apply_mode": "blob"})),
        result("/tmp/d", json!({"failure_stage": "preflight"})),
        result("/tmp/e", json!({"status": "apply_failed", "apply_rc": -1, "apply_errbuf": "already in a sandbox"})),
        result("/tmp/f", json!({"status": "invalid_op", "errno": 1, "syscall": null})),
        7,
    ]})
}

fn metadata(document: &Value) -> Vec<Value> {
    let text = document.to_string();
    let controls = Controls::default();
    let normaliser = Normaliser { world_id: "unknown", run_id: None, controls: &controls };
    let head = MetadataHead::read(text.as_bytes()).0.unwrap();
    let mut events = Vec::new();
    let (made, _) = normalise_metadata(&normaliser, &head, text.as_bytes(), |event| {
        events.extend((event["error_kind"] != "malformed_row").then_some(event));
        Ok::<_, ReadError>(())
    });
    made.unwrap();
    events
}

#[test]
fn the_metadata_runners_rows_are_read_by_the_same_rules() {
    let events = metadata(&metadata_document());
    let of = |key: &str| events.iter().map(|event| event[key].clone()).collect::<Vec<_>>();
    // `actual` is by the earlier rule: whatever was not done was refused. What it is worth stands beside it.
    let deny = || json!("deny");
    assert_eq!(of("actual"), [json!("allow"), deny(), deny(), json!(null), deny(), deny()]);
    assert_eq!(of("outcome"), ["allow", "deny", "error", "error", "error", "not_observed"].map(Value::from));
    assert_eq!(of("runtime_status"), ["success", "errno", "errno", "blocked", "errno", "errno"].map(Value::from));
    let kinds = [
        json!(null),
        json!("probe_syscall_errno"),
        json!("sandbox_apply_failed"),
        json!("preflight_apply_gate_signature"),
        json!("apply_already_sandboxed"),
        json!("probe_syscall_errno"),
    ];
    assert_eq!(of("failure_kind"), kinds);
    let stages = [json!(null), json!("probe"), json!("apply"), json!("preflight"), json!("apply"), json!("probe")];
    assert_eq!(of("failure_stage"), stages);
    let eperm = || json!("EPERM");
    assert_eq!(of("violation_summary"), [json!(null), eperm(), eperm(), json!(null), json!(null), eperm()]);
    assert_eq!(events[0]["expectation_id"], "meta|file-read-metadata|/tmp/a|lstat|payload");
    assert_eq!(events[1]["expectation_id"], "meta|file-read-metadata|/tmp/b|lstat|cmn");
    assert_eq!(events[5]["expectation_id"], "meta|file-read-metadata|/tmp/f");
    assert_eq!(events[1]["probe_name"], "lstat:cmn");
    assert_eq!(
        (&events[0]["notes"], &events[1]["notes"]),
        (&json!("probe=lstat"), &json!("probe=lstat:cmn; message=no"))
    );
    assert_eq!((&events[1]["errno"], &events[1]["errno_name"]), (&json!(1), &json!("EPERM")));
    assert_eq!(events[0]["apply_report"]["api"], "sandbox_init");
    assert!(events.iter().all(|event| event["harness"] == "metadata-runner" && event["world_id"] == MAC));
    assert!(events.iter().all(|event| event.get("match").is_none() && event.get("expected").is_none()), "{events:#?}");
}

#[test]
fn a_metadata_document_is_normalised_by_the_command_and_another_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (document, out) = (dir.path().join("metadata.json"), dir.path().join("events.json"));
    let arguments = ["normalise-events", "--metadata", document.to_str().unwrap(), "--out", out.to_str().unwrap()];
    std::fs::write(&document, metadata_document().to_string()).unwrap();
    let done = runtime(&arguments);
    expect(&done, 0);
    assert!(text(&done).contains("7 events, 1 of rows that cannot be read"), "{}", text(&done));
    let written: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(written.as_array().unwrap().len(), 7);
    std::fs::remove_file(&out).unwrap();
    std::fs::write(&document, "{}").unwrap();
    let refused = runtime(&arguments);
    expect(&refused, 3);
    assert!(text(&refused).contains("metadata.json") && !out.exists(), "{}", text(&refused));
}
