//! Rows of the earlier tool: versions 0 to 2 give the same verdicts as it did, and what it could not know is said beside them.

use runtime::analysis::{ExpectedProbes, Preflights, ReadError, normalise_results};
use runtime::event::{Controls, Normaliser};
use serde_json::{Value, json};

const WORLD: &str = "sonoma-14.4.1-23E224-arm64-dyld-2c0602c5";

pub(crate) fn normalise(results: Value, baseline: Value) -> Vec<Value> {
    normalise_text(&results.to_string(), baseline).unwrap()
}

fn normalise_text(results: &str, baseline: Value) -> Result<Vec<Value>, ReadError> {
    let controls = Controls::of(baseline.as_array().unwrap());
    let normaliser = Normaliser { world_id: WORLD, run_id: None, controls: &controls };
    let preflights = Preflights::read(results.as_bytes()).0?;
    let mut events = Vec::new();
    let (made, read) =
        normalise_results(&normaliser, &ExpectedProbes::default(), &preflights, results.as_bytes(), |event| {
            events.push(event);
            Ok::<_, ReadError>(())
        });
    assert_eq!(read.unwrap().1, results.len() as u64);
    made.map(|()| events)
}

/// The same probe as each version of results and markers stored it.
fn stored(version: u64) -> Value {
    let mut apply = json!({"tool": "sbpl-apply", "stage": "apply", "mode": "sbpl", "api": "sandbox_init", "rc": 0, "errno": 0,
        "err_class": "ok", "err_class_source": "none", "pid": 7});
    let mut applied =
        json!({"tool": "sbpl-apply", "stage": "applied", "mode": "sbpl", "api": "sandbox_init", "rc": 0, "pid": 7});
    let mut callout = json!({"tool": "seatbelt-callout", "stage": "pre_syscall", "api": "sandbox_check",
        "operation": "file-read-data", "filter_type": 0, "argument": "/tmp/a", "rc": 1, "errno": 0, "decision": "deny"});
    if version > 0 {
        for marker in [&mut apply, &mut applied] {
            marker["marker_schema_version"] = json!(1);
        }
        callout["marker_schema_version"] = json!(version);
    }
    let stderr = format!("{apply}\n{applied}\n{callout}\nF_GETPATH_ERROR:1\nopen: Operation not permitted\n");
    let mut result = json!({"status": "errno", "errno": 2, "intended_op_witnessed": true, "failure_stage": "probe",
        "failure_kind": "probe_nonzero_exit"});
    if version > 0 {
        result["runtime_result_schema_version"] = json!(1);
        result["tool_marker_schema_version"] = json!(version);
    }
    json!({"demo:a": {"status": "ok", "probes": [{
        "name": "r1", "expectation_id": "demo:a:r1", "operation": "file-read-data", "path": "/tmp/a", "expected": "deny",
        "actual": "deny", "match": true, "runtime_result": result, "command": ["sandbox_reader", "p.sb", "/tmp/a"],
        "exit_code": 2, "stdout": "", "stderr": stderr, "probe_details": null,
    }]}})
}

#[test]
fn every_version_gives_the_same_verdict() {
    let baseline = json!([{"name": "baseline:demo:a:r1", "profile_id": "demo:a", "probe_name": "r1",
        "operation": "file-read-data", "target": "/tmp/a", "status": "allow", "exit_code": 0}]);
    let events: Vec<Value> = (0..=2).map(|version| normalise(stored(version), baseline.clone()).remove(0)).collect();
    for event in &events {
        assert_eq!(
            (&event["actual"], &event["match"], &event["intended_op_witnessed"]),
            (&json!("deny"), &json!(true), &json!(true))
        );
        assert_eq!(event["policy_layers"]["attribution"], "process_policy");
        assert_eq!((&event["failure_stage"], &event["failure_kind"]), (&json!("probe"), &json!("probe_nonzero_exit")));
        assert_eq!(event["apply_report"]["err_class"], "ok");
        assert_eq!(
            (&event["normalized_path"], &event["normalized_path_source"]),
            (&json!("/private/tmp/a"), &json!("alias_map"))
        );
        assert_eq!(event["stderr"], "F_GETPATH_ERROR:1\nopen: Operation not permitted\n");
        assert_eq!(event["sandbox_check_prepass"]["decision"], "deny");
        assert_eq!(event["sandbox_check_prepass"]["filter_type_name"], "path");
        // Beside its own words: the errno is an exit status, the witness shows that somebody asked.
        assert_eq!((&event["outcome"], &event["errno_source"]), (&json!("not_observed"), &json!("exit_status")));
        assert_eq!(event["intended_op_proof"]["proves"], "asked");
    }
    assert_eq!(events[0]["sandbox_check_prepass"]["no_report_reason"], "legacy");
    assert_eq!(events[2]["sandbox_check_prepass"]["no_report_reason"], json!(null));
}

#[test]
fn a_timeout_that_was_stored_as_deny_keeps_its_words_and_is_an_error() {
    let mut results = stored(1);
    let row = &mut results["demo:a"]["probes"][0];
    row["exit_code"] = json!(null);
    row["error"] = json!("timeout");
    row["error_kind"] = json!("timeout");
    row["runtime_result"]["failure_kind"] = json!("probe_timeout");
    row["stderr"] = json!("");
    let event = normalise(results, json!([])).remove(0);
    assert_eq!((&event["actual"], &event["outcome"]), (&json!("deny"), &json!("error")));
    assert_eq!(event["failure_kind"], "probe_timeout");
}

#[test]
fn a_row_that_breaks_an_invariant_is_an_error_and_takes_no_other_with_it() {
    let good = stored(1)["demo:a"]["probes"][0].clone();
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut row = good.clone();
        change(&mut row);
        row
    };
    let line = |value: Value| json!(format!("{value}\n"));
    for (row, why) in [
        (json!(7), "not an object"),
        (broken(&|row| row["runtime_result"] = json!([])), "runtime_result is not an object"),
        (
            broken(&|row| row["runtime_result"]["runtime_result_schema_version"] = json!(2)),
            "runtime_result_schema_version is 2",
        ),
        (broken(&|row| row["runtime_result"]["tool_marker_schema_version"] = json!("x")), "not a number"),
        (broken(&|row| row["stderr"] = json!(1)), "stderr is not text"),
        (broken(&|row| row["stderr"] = line(json!({"tool": "sbpl-apply", "stage": "later"}))), "unknown stage"),
        (
            broken(&|row| row["stderr"] = line(json!({"tool": "seatbelt-callout", "marker_schema_version": 3}))),
            "has version 3",
        ),
        (
            broken(&|row| row["stderr"] = line(json!({"tool": "sbpl-apply", "stage": "applied", "rc": 0}))),
            "none says how",
        ),
        (broken(&|row| row["runtime_result"]["failure_stage"] = json!("apply")), "and the profile was applied"),
        (broken(&|row| row["runtime_result"]["failure_stage"] = json!("bootstrap")), "no marker says so"),
        (broken(&|row| row["runtime_result"]["failure_stage"] = json!("preflight")), "status is not blocked"),
        (broken(&|row| row["runtime_result"]["seatbelt_callouts"] = json!({})), "not an array"),
        (
            broken(&|row| {
                row["runtime_result"]["runner_info"] = json!({"entrypoint_sha256": "a", "tool_build_id": "b"});
            }),
            "not the digest of the entrypoint",
        ),
    ] {
        let mut results = stored(1);
        results["demo:a"]["probes"] = json!([good, row, good]);
        let events = normalise(results, json!([]));
        assert_eq!(events.len(), 3, "{why}");
        assert_eq!(events[1]["error_kind"], "malformed_row", "{why}: {:#}", events[1]);
        assert!(events[1]["error"].as_str().unwrap().contains(why), "{why}: {}", events[1]["error"]);
        assert_eq!((&events[1]["outcome"], events[1].get("actual")), (&json!("error"), None));
        assert_eq!(events[0], events[2]);
        assert_eq!(events[0]["actual"], "deny");
        assert!(events[1].get("policy_layers").is_some());
    }
}

#[test]
fn what_a_program_under_test_prints_says_nothing_about_a_row_of_ours() {
    let row = |stderr: &str| {
        json!({"demo:a": {"status": "ok", "probes": [{
            "name": "r1", "expectation_id": "demo:a:r1", "operation": "file-read-data", "path": "/f/x", "expected": "deny",
            "actual": "deny", "match": true, "exit_code": 1, "stdout": "", "stderr": stderr, "probe_details": null,
            "resolved_target": "/f/x", "own_record": 0, "decision_source": "linux_supervisor", "decision_records_dropped": 0,
            "decision_records": [{"operation": "file-read-data", "target": "/f/x", "decision": "deny"}],
            "runtime_result": {"status": "success", "intended_op_witnessed": true},
        }]}})
    };
    let honest = normalise(row("nothing\n"), json!([])).remove(0);
    assert_eq!(honest["outcome"], "deny", "{honest:#}");
    for forged in [
        "{\"tool\":\"seatbelt-callout\",\"stage\":\"pre_syscall\",\"marker_schema_version\":2,\"decision\":\"allow\"}\n",
        "{\"tool\":\"sbpl-apply\",\"marker_schema_version\":9}\n",
        "{\"tool\":\"sbpl-apply\",\"stage\":\"applied\",\"marker_schema_version\":1,\"rc\":0}\n",
        "sandbox_init failed: Operation not permitted\n",
    ] {
        let without_text = |event: &Value| {
            let mut event = event.as_object().unwrap().clone();
            event.shift_remove("stderr");
            event
        };
        let event = normalise(row(forged), json!([])).remove(0);
        assert_eq!(without_text(&event), without_text(&honest), "{forged}");
    }
}

/// What stands in a row, down to what is no JSON, is that row's affair; what the document around the rows is, is everybody's.
#[test]
fn a_row_that_is_not_json_is_an_error_and_takes_no_other_with_it() {
    let good = stored(1)["demo:a"]["probes"][0].to_string();
    let large = format!("\"{}\"", "x".repeat(16 * 1024 * 1024));
    for (row, why) in [
        ("{\"name\": \"a\", \"name\": \"b\"}", "duplicate key"),
        ("{\"errno\": 1e999}", "number out of range"),
        ("{\"name\" \"b\"}", "expected `:`"),
        ("nulx", "expected ident"),
        ("{\"stdout\": \"\u{1}\"}", "control character"),
        (&format!("{}{}", "[".repeat(200), "]".repeat(200)), "recursion limit"),
        (large.as_str(), "it has 16777218 bytes"),
    ] {
        let text = format!("{{\"demo:a\": {{\"status\": \"ok\", \"probes\": [{good}, {row}, {good}]}}}}");
        let events = normalise_text(&text, json!([])).unwrap();
        assert_eq!(events.len(), 3, "{why}");
        let error = events[1]["error"].as_str().unwrap();
        assert!(error.starts_with("row 1 of the profile") && error.contains(why), "{why}: {error}");
        assert_eq!((&events[1]["error_kind"], &events[1]["outcome"]), (&json!("malformed_row"), &json!("error")));
        assert_eq!((events[0].to_string(), &events[0]["actual"]), (events[2].to_string(), &json!("deny")));
    }
    for (text, why) in [
        (format!("{{\"demo:a\": {{\"probes\": [{good}"), "ends within the value"),
        (format!("{{\"demo:a\": {{\"probes\": [{}", &good[..good.len() - 1]), "ends within the value"),
        (format!("{{\"demo:a\": {{\"probes\": [{good}]}}}} 1"), "text after the document"),
        ("{\"demo:a\": {\"probes\": []}, \"demo:a\": {}}".to_owned(), "duplicate key \"demo:a\""),
        ("{\"demo:a\": {\"probes\": [], \"probes\": []}}".to_owned(), "duplicate key \"probes\""),
        ("{\"demo:a\": 7}".to_owned(), "expected '{'"),
        ("[]".to_owned(), "expected '{'"),
    ] {
        let error = normalise_text(&text, json!([])).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn a_preflight_record_behind_its_rows_is_theirs() {
    let row = stored(1)["demo:a"]["probes"][0].clone();
    let record = json!({"classification": "invalid"});
    let before = format!("{{\"demo:a\": {{\"preflight\": {record}, \"probes\": [{row}]}}}}");
    let behind = format!("{{\"demo:a\": {{\"probes\": [{row}], \"preflight\": {record}}}}}");
    let event = normalise_text(&before, json!([])).unwrap().remove(0);
    assert_eq!(event["preflight"], record);
    assert_eq!(normalise_text(&behind, json!([])).unwrap(), [event]);
}
