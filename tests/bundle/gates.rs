//! The truth table of both gates: each fact flipped alone, through `emit-promotion --json`.

use serde_json::{Value, json};

use crate::support::{Hand, LINUX, Laid, MACOS, code, runtime};

/// Reasons of (decision stage, Linux enforcement), and the details of both.
fn reasons(laid: &Laid) -> ([Vec<String>; 2], Value) {
    let out = laid.temp.path().join("packet.json");
    let output =
        runtime(&["--json", "emit-promotion", "--bundle", laid.root.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packet: Value = serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap();
    let promotability = &document["promotability"];
    assert_eq!(packet["promotability"], *promotability);
    let words = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let decision = words(&promotability["reasons"]);
    let linux = words(&promotability["linux_enforcement"]["reasons"]);
    assert_eq!(promotability["promotable_decision_stage"], decision.is_empty(), "{promotability}");
    assert_eq!(promotability["linux_enforcement"]["promotable"], linux.is_empty(), "{promotability}");
    for list in [&decision, &linux] {
        assert!(list.is_sorted_by(|a, b| a < b), "sorted, each once: {list:?}");
    }
    let details = json!([promotability["details"], promotability["linux_enforcement"]["details"]]);
    ([decision, linux], details)
}

type Change = fn(&mut Hand);

/// Sets a member of the preflight record, in the manifest and in the file that the preflight left.
fn record(hand: &mut Hand, pointer: &str, value: Value) {
    hand.set("run_manifest.json", &format!("/apply_preflight/record{pointer}"), value.clone());
    hand.set("apply_preflight.json", pointer, value);
}

/// Facts of the decision stage: a change, and exactly the reasons it must give (on top of nothing).
const DECISION: &[(&str, Change, &[&str])] = &[
    ("nothing", |_| {}, &[]),
    (
        "no manifest",
        |h| h.remove("run_manifest.json"),
        &["apply_preflight_missing", "manifest_missing", "not_clean_channel"],
    ),
    ("direct channel", |h| both(h, "/channel", json!("direct")), &["not_clean_channel"]),
    (
        "no channel in our manifest",
        |h| h.unset("run_manifest.json", "/channel"),
        &["bundle_integrity_unverified", "not_clean_channel"],
    ),
    ("clean by name, not staged", |h| h.set("run_manifest.json", "/stage_used", json!(false)), &["not_clean_channel"]),
    ("no preflight", |h| h.set("run_manifest.json", "/apply_preflight", json!(null)), &["apply_preflight_missing"]),
    (
        "empty record",
        |h| h.set("run_manifest.json", "/apply_preflight/record", json!({})),
        &["apply_preflight_missing"],
    ),
    (
        "record is a list",
        |h| h.set("run_manifest.json", "/apply_preflight/record", json!([1])),
        &["apply_preflight_missing"],
    ),
    ("apply failed", |h| record(h, "/apply_ok", json!(false)), &["apply_failed"]),
    ("apply unknown", |h| record(h, "/apply_ok", json!(null)), &["apply_failed"]),
    ("apply is 1", |h| record(h, "/apply_ok", json!(1)), &["apply_failed"]),
    ("sandboxed before", |h| record(h, "/sandbox_check_self/sandboxed", json!(true)), &["already_sandboxed"]),
    (
        "the record is not what the preflight left",
        |h| h.set("apply_preflight.json", "/apply_ok", json!(false)),
        &["facts_malformed"],
    ),
    ("what the preflight left is no object", |h| h.put("apply_preflight.json", b"[]"), &["facts_malformed"]),
    ("what the preflight left is no JSON", |h| h.put("apply_preflight.json", b"{"), &["facts_malformed"]),
    ("what the preflight left is gone", |h| h.remove("apply_preflight.json"), &["facts_missing"]),
    ("dry run", |h| h.set("run_manifest.json", "/dry_run", json!(true)), &["dry_run"]),
    ("dry run unknown", |h| h.unset("run_manifest.json", "/dry_run"), &["facts_missing"]),
    ("dry run is text", |h| h.set("run_manifest.json", "/dry_run", json!("no")), &["facts_malformed"]),
    ("rebound", |h| h.set("run_manifest.json", "/world_rebound", json!(true)), &["world_rebound"]),
    ("rebound unknown", |h| h.unset("run_manifest.json", "/world_rebound"), &["facts_missing"]),
    ("stand-ins", |h| h.set("run_manifest.json", "/stand_in_tools", json!(["launchctl"])), &["stand_in_tools"]),
    ("stand-ins unknown", |h| h.unset("run_manifest.json", "/stand_in_tools"), &["facts_missing"]),
    ("stand-ins is text", |h| h.set("run_manifest.json", "/stand_in_tools", json!("none")), &["facts_malformed"]),
    ("no results", |h| h.remove("runtime_results.json"), &["decision_stage_artifacts_missing"]),
    ("no events", |h| h.remove("runtime_events.normalized.json"), &["decision_stage_artifacts_missing"]),
    ("no matrix", |h| h.remove("expected_matrix.json"), &["decision_stage_artifacts_missing"]),
    ("repaired", |h| unindexed(h, "repair_log.json", b"{}"), &["repaired"]),
    ("no status", |h| h.remove("run_status.json"), &["bundle_integrity_unverified", "run_status_missing"]),
    (
        "status is not JSON",
        |h| h.put("run_status.json", b"{"),
        &["bundle_integrity_unverified", "run_status_malformed"],
    ),
    (
        "manifest is not JSON",
        |h| h.put("run_manifest.json", b"{"),
        &["apply_preflight_missing", "bundle_integrity_unverified", "manifest_malformed", "not_clean_channel"],
    ),
    (
        "unknown state",
        |h| h.set("run_status.json", "/state", json!("done")),
        &["bundle_integrity_unverified", "run_status_malformed"],
    ),
    (
        "in progress",
        |h| h.set("run_status.json", "/state", json!("in_progress")),
        &["bundle_in_progress", "bundle_integrity_unverified"],
    ),
    ("failed", failed, &["bundle_failed"]),
    ("file missing", missing, &["bundle_incomplete"]),
    ("edited after the commit", |h| edited(h, "summary.md"), &["bundle_integrity_unverified"]),
];

fn both(hand: &mut Hand, pointer: &str, value: Value) {
    hand.set("run_manifest.json", pointer, value.clone());
    hand.set("run_status.json", pointer, value);
}

fn unindexed(hand: &mut Hand, name: &str, bytes: &[u8]) {
    hand.index = hand.make_index();
    hand.put(name, bytes);
}

fn edited(hand: &mut Hand, name: &str) {
    unindexed(hand, name, b"edited");
}

fn failed(hand: &mut Hand) {
    hand.set("run_status.json", "/state", json!("failed"));
    hand.set("run_status.json", "/error", json!("boom"));
    hand.index = hand.make_index();
    hand.index["status"] = json!("failed");
}

fn missing(hand: &mut Hand) {
    hand.index = hand.make_index();
    hand.index["missing"] = json!(["out/run-demo-1/oracle_results.json"]);
    hand.index["status"] = json!("partial");
}

#[test]
fn each_fact_of_the_decision_stage_alone() {
    for (what, change, expected) in DECISION {
        let mut hand = Hand::good(MACOS);
        change(&mut hand);
        let (reasons, details) = reasons(&hand.lay());
        assert_eq!(reasons[0], *expected, "{what}: {details}");
    }
}

#[test]
fn linux_evidence_never_opens_the_decision_stage_nor_macos_evidence_the_linux_gate() {
    assert_eq!(reasons(&Hand::good(LINUX).lay()).0, [vec!["not_macos".to_owned()], vec![]]);
    assert_eq!(reasons(&Hand::good(MACOS).lay()).0, [vec![], vec!["not_linux".to_owned()]]);
}

#[test]
fn a_self_check_that_did_not_work_is_said_aloud() {
    for check in [json!({}), json!({"source": "sandbox_check", "error": "library not found"}), json!(null)] {
        let mut hand = Hand::good(MACOS);
        record(&mut hand, "/sandbox_check_self", check.clone());
        let laid = hand.lay();
        assert_eq!(reasons(&laid).0[0], Vec::<String>::new(), "{check}");
        let packet: Value =
            serde_json::from_slice(&std::fs::read(laid.temp.path().join("packet.json")).unwrap()).unwrap();
        assert_eq!(packet["promotability"]["warnings"], json!(["sandbox_self_check_unproven"]), "{check}");
    }
    let laid = Hand::good(MACOS).lay();
    reasons(&laid);
    let packet: Value = serde_json::from_slice(&std::fs::read(laid.temp.path().join("packet.json")).unwrap()).unwrap();
    assert_eq!(packet["promotability"].get("warnings"), None);
}

/// Lists one mismatch of `kind`, as a run does.
fn listed(hand: &mut Hand, kind: &str) {
    let entry = json!({"profile_id": "demo", "expectation_id": "demo:d", "mismatch_type": kind});
    hand.set("mismatch_summary.json", "/mismatches", json!([entry]));
    hand.set("mismatch_summary.json", "/counts", json!({ kind: 1 }));
}

const REPORT: &str = "enforcement_report.json";
const RESULTS: &str = "runtime_results.json";
const ROW: &str = "/demo/probes/1";

/// Facts of the Linux gate.
const LINUX_FACTS: &[(&str, Change, &[&str])] = &[
    ("nothing", |_| {}, &[]),
    ("direct channel", |h| both(h, "/channel", json!("direct")), &[]),
    ("no preflight", |h| h.set("run_manifest.json", "/apply_preflight", json!(null)), &[]),
    ("no report", |h| h.remove(REPORT), &["enforcement_report_missing"]),
    (
        "report not indexed",
        |h| {
            h.index = h.make_index();
            h.index["artifacts"].as_array_mut().unwrap().retain(|entry| entry["name"] != REPORT);
        },
        &["enforcement_report_missing"],
    ),
    ("report is not JSON", |h| h.put(REPORT, b"{"), &["facts_malformed"]),
    ("report is empty", |h| h.put(REPORT, b"{}"), &["facts_malformed"]),
    ("report tag", |h| h.set(REPORT, "/schema_version", json!("x")), &["facts_malformed"]),
    ("report of another run", |h| h.set(REPORT, "/run_id", json!("x")), &["facts_malformed"]),
    ("report of another world", |h| h.set(REPORT, "/world_id", json!("linux-x")), &["facts_malformed"]),
    ("report of another platform", |h| h.set(REPORT, "/platform", json!("macos")), &["not_linux"]),
    ("report without the profile", |h| h.set(REPORT, "/profiles", json!({})), &["facts_missing"]),
    ("observed only", |h| h.set(REPORT, "/profiles/demo/observe", json!(true)), &["observe_only"]),
    ("observe is false", |h| h.set(REPORT, "/profiles/demo/observe", json!(false)), &[]),
    ("observe is text", |h| h.set(REPORT, "/profiles/demo/observe", json!("no")), &["observe_only"]),
    ("no layers", |h| h.set(REPORT, "/layers", json!({})), &["linux_layers_missing"]),
    ("a layer absent", |h| h.set(REPORT, "/layers/landlock/present", json!(false)), &["linux_layers_missing"]),
    ("a layer unknown", |h| h.set(REPORT, "/layers/landlock/present", json!("yes")), &["facts_malformed"]),
    ("a layer listed missing", |h| h.set(REPORT, "/missing_layers", json!(["yama"])), &["linux_layers_missing"]),
    ("layers is a list", |h| h.set(REPORT, "/layers", json!([])), &["facts_malformed"]),
    ("start sandboxed", |h| h.set(REPORT, "/start_unsandboxed", json!(false)), &["linux_start_sandboxed"]),
    ("start not measured", |h| h.set(REPORT, "/start_unsandboxed", json!(null)), &["linux_start_sandboxed"]),
    ("start unknown", |h| h.unset(REPORT, "/start_unsandboxed"), &["facts_malformed"]),
    ("rebound", |h| h.set(REPORT, "/world_rebound", json!(true)), &["world_rebound"]),
    ("rebound in the manifest", |h| h.set("run_manifest.json", "/world_rebound", json!(true)), &["world_rebound"]),
    ("stand-ins", |h| h.set(REPORT, "/stand_in_tools", json!(["git"])), &["stand_in_tools"]),
    ("stand-ins in the manifest", |h| h.set("run_manifest.json", "/stand_in_tools", json!([1])), &["stand_in_tools"]),
    ("dry run in the manifest", |h| h.set("run_manifest.json", "/dry_run", json!(true)), &["dry_run"]),
    ("dry run in the summary", |h| h.set("summary.json", "/dry_run", json!(true)), &["dry_run"]),
    ("summary dry", |h| h.set("summary.json", "/status", json!("dry")), &["dry_run"]),
    ("summary failed", |h| h.set("summary.json", "/status", json!("failed")), &["bundle_failed"]),
    ("summary partial", |h| h.set("summary.json", "/status", json!("partial")), &["mismatches"]),
    ("summary unknown", |h| h.set("summary.json", "/status", json!("good")), &["facts_malformed"]),
    ("summary without status", |h| h.unset("summary.json", "/status"), &["facts_missing"]),
    ("summary without dry_run", |h| h.unset("summary.json", "/dry_run"), &["facts_missing"]),
    ("no summary", |h| h.remove("summary.json"), &["facts_missing"]),
    ("a mismatch recorded", |h| h.set("mismatch_summary.json", "/mismatches", json!([{}])), &["mismatches"]),
    ("a mismatch counted", |h| h.set("mismatch_summary.json", "/counts", json!({"filter_diff": 1})), &["mismatches"]),
    ("mismatches unknown", |h| h.unset("mismatch_summary.json", "/mismatches"), &["facts_missing"]),
    ("mismatches is an object", |h| h.set("mismatch_summary.json", "/mismatches", json!({})), &["facts_malformed"]),
    ("mismatch lane in error", |h| h.set("mismatch_summary.json", "/error", json!("boom")), &["bundle_failed"]),
    ("an error listed, but no such row", |h| listed(h, "probe_error"), &["mismatches"]),
    (
        "an error listed, and such a row",
        |h| {
            listed(h, "probe_error");
            h.set(RESULTS, "/demo/probes/1/error", json!("worker died"));
            h.set("summary.json", "/status", json!("partial"));
        },
        &["rows_in_error"],
    ),
    (
        "effect and decision disagree beside a row in error",
        |h| {
            listed(h, "effect_disagreement");
            h.set(RESULTS, "/demo/probes/1/error", json!("worker died"));
        },
        &["mismatches", "rows_in_error"],
    ),
    ("no mismatch summary", |h| h.remove("mismatch_summary.json"), &["facts_missing"]),
    ("no results", |h| h.remove(RESULTS), &["decision_stage_artifacts_missing", "facts_missing", "no_rows"]),
    ("no events", |h| h.remove("runtime_events.normalized.json"), &["decision_stage_artifacts_missing"]),
    ("results is a list", |h| h.put(RESULTS, b"[]"), &["facts_malformed"]),
    ("no profile in results", |h| h.put(RESULTS, b"{}"), &["rows_unobserved"]),
    ("no rows", |h| h.set(RESULTS, "/demo/probes", json!([])), &["no_rows", "rows_unobserved"]),
    ("rows absent", |h| h.unset(RESULTS, "/demo/probes"), &["no_rows", "rows_unobserved"]),
    (
        "nothing expected, nothing run",
        |h| {
            h.put(RESULTS, b"{}");
            h.set("expected_matrix.json", "/profiles", json!({}));
        },
        &["no_rows"],
    ),
    ("matrix without profiles", |h| h.unset("expected_matrix.json", "/profiles"), &["facts_malformed"]),
    (
        "matrix expects something else",
        |h| {
            h.set("expected_matrix.json", "/profiles/demo/probes/1/expected", json!("allow"));
        },
        &["facts_malformed"],
    ),
    (
        "matrix expects one more",
        |h| {
            let mut matrix = h.json("expected_matrix.json");
            matrix["profiles"]["demo"]["probes"]
                .as_array_mut()
                .unwrap()
                .push(json!({"expectation_id": "demo:x", "expected": "deny"}));
            h.put_json("expected_matrix.json", &matrix);
        },
        &["rows_unobserved"],
    ),
    (
        "a row more than expected",
        |h| {
            let mut matrix = h.json("expected_matrix.json");
            matrix["profiles"]["demo"]["probes"].as_array_mut().unwrap().pop();
            h.put_json("expected_matrix.json", &matrix);
        },
        &["facts_malformed"],
    ),
    (
        "a row twice",
        |h| {
            let mut results = h.json(RESULTS);
            let row = results["demo"]["probes"][1].clone();
            results["demo"]["probes"].as_array_mut().unwrap().push(row);
            h.put_json(RESULTS, &results);
        },
        &["facts_malformed"],
    ),
    (
        "a mismatch",
        |h| {
            h.set(RESULTS, "/demo/probes/1/actual", json!("allow"));
            h.set(RESULTS, "/demo/probes/1/match", json!(false));
        },
        &["mismatches"],
    ),
    (
        "a mismatch that claims to match",
        |h| h.set(RESULTS, "/demo/probes/1/actual", json!("allow")),
        &["facts_malformed"],
    ),
    ("a match that claims none", |h| h.set(RESULTS, "/demo/probes/1/match", json!(false)), &["facts_malformed"]),
    ("match absent", |h| h.unset(RESULTS, "/demo/probes/1/match"), &["facts_malformed"]),
    ("actual null", |h| h.set(RESULTS, "/demo/probes/1/actual", json!(null)), &["rows_unobserved"]),
    ("actual absent", |h| h.unset(RESULTS, "/demo/probes/1/actual"), &["rows_unobserved"]),
    ("actual is a bool", |h| h.set(RESULTS, "/demo/probes/1/actual", json!(true)), &["facts_malformed"]),
    ("actual is another word", |h| h.set(RESULTS, "/demo/probes/1/actual", json!("maybe")), &["facts_malformed"]),
    (
        "not witnessed",
        |h| h.set(RESULTS, "/demo/probes/1/runtime_result/intended_op_witnessed", json!(false)),
        &["rows_unobserved"],
    ),
    (
        "witness unknown",
        |h| h.set(RESULTS, "/demo/probes/1/runtime_result/intended_op_witnessed", json!(null)),
        &["rows_unobserved"],
    ),
    ("undecided", |h| h.set(RESULTS, "/demo/probes/1/undecided", json!({"reason": "regex"})), &["rows_undecided"]),
    ("undecided null", |h| h.set(RESULTS, "/demo/probes/1/undecided", json!(null)), &[]),
    ("error", |h| h.set(RESULTS, "/demo/probes/1/error", json!("worker died")), &["rows_in_error"]),
    ("error null", |h| h.set(RESULTS, "/demo/probes/1/error", json!(null)), &[]),
    (
        "apply stage",
        |h| h.set(RESULTS, "/demo/probes/1/runtime_result/failure_stage", json!("apply")),
        &["rows_in_error"],
    ),
    (
        "bootstrap stage",
        |h| h.set(RESULTS, "/demo/probes/1/runtime_result/failure_stage", json!("bootstrap")),
        &["rows_in_error"],
    ),
    (
        "preflight stage",
        |h| h.set(RESULTS, "/demo/probes/1/runtime_result/failure_stage", json!("preflight")),
        &["rows_in_error"],
    ),
    ("probe stage", |h| h.set(RESULTS, "/demo/probes/1/runtime_result/failure_stage", json!("probe")), &[]),
    (
        "unknown stage",
        |h| h.set(RESULTS, "/demo/probes/1/runtime_result/failure_stage", json!("later")),
        &["facts_malformed"],
    ),
    (
        "timeout",
        |h| h.set(RESULTS, "/demo/probes/1/runtime_result/failure_kind", json!("probe_timeout")),
        &["rows_in_error"],
    ),
    (
        "died",
        |h| h.set(RESULTS, "/demo/probes/1/runtime_result/failure_kind", json!("probe_nonzero_exit")),
        &["rows_in_error"],
    ),
    ("errno", |h| h.set(RESULTS, "/demo/probes/1/runtime_result/failure_kind", json!("probe_errno")), &[]),
    ("no runtime_result", |h| h.unset(RESULTS, "/demo/probes/1/runtime_result"), &["facts_malformed"]),
    ("row is text", |h| h.set(RESULTS, "/demo/probes/1", json!("x")), &["facts_malformed", "rows_unobserved"]),
    ("repaired", |h| unindexed(h, "repair_log.json", b"{}"), &["repaired"]),
    ("failed", failed, &["bundle_failed"]),
    ("file missing", missing, &["bundle_incomplete"]),
    ("edited after the commit", |h| edited(h, "summary.md"), &["bundle_integrity_unverified"]),
    (
        "in progress",
        |h| h.set("run_status.json", "/state", json!("in_progress")),
        &["bundle_in_progress", "bundle_integrity_unverified"],
    ),
    (
        "not ours",
        |h| {
            h.own = false;
            h.unset("run_status.json", "/tool");
        },
        &["bundle_integrity_unverified"],
    ),
];

#[test]
fn each_fact_of_the_linux_gate_alone() {
    for (what, change, expected) in LINUX_FACTS {
        let mut hand = Hand::good(LINUX);
        change(&mut hand);
        let (reasons, details) = reasons(&hand.lay());
        assert_eq!(reasons[1], *expected, "{what}: {details}");
    }
}

#[test]
fn details_name_the_row_and_the_layer() {
    let mut hand = Hand::good(LINUX);
    hand.set(RESULTS, &format!("{ROW}/error"), json!("worker died"));
    hand.set(REPORT, "/layers/landlock/present", json!(false));
    let (_, details) = reasons(&hand.lay());
    assert_eq!(details[1], json!({"linux_layers_missing": ["landlock"], "rows_in_error": ["demo demo:d"]}));

    let mut hand = Hand::good(LINUX);
    hand.index = hand.make_index();
    hand.index["artifacts"][5]["sha256"] = json!("0".repeat(64));
    let (_, details) = reasons(&hand.lay());
    for gate in [0, 1] {
        let about = details[gate]["bundle_integrity_unverified"][0].as_str().unwrap();
        assert!(about.starts_with("summary.md has the digest "), "{details}");
    }
}
