//! Op summaries and mappings: their counts are those of the events, and no more is called covered than was observed.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::real::{copy_run, document, events, run};
use crate::suite::{expect, runtime, text};

fn summarise(source: &[&str], out: &Path) -> Value {
    expect(&runtime(&[&["summarize-ops"], source, &["--out", out.to_str().unwrap()]].concat()), 0);
    serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap()
}

/// Counted again by other means than the program's.
fn recount(events: &[Value]) -> BTreeMap<String, [u64; 6]> {
    let mut counts: BTreeMap<String, [u64; 6]> = BTreeMap::new();
    for event in events {
        let entry = counts.entry(event["operation"].as_str().unwrap().to_owned()).or_default();
        let blocked = matches!(event["failure_stage"].as_str(), Some("apply" | "bootstrap" | "preflight"));
        let unobserved = !blocked && event["intended_op_witnessed"] == false;
        let counted = !blocked && !unobserved;
        for (at, holds) in
            [true, blocked, unobserved, counted, counted && event["match"] == true, counted && event["match"] == false]
                .into_iter()
                .enumerate()
        {
            entry[at] += u64::from(holds);
        }
    }
    counts
}

#[test]
fn counts_are_those_of_the_events() {
    let dir = tempfile::tempdir().unwrap();
    for plan in ["linux-baseline", "linux-edge"] {
        let run = run(plan);
        let summary = summarise(&["--bundle", run.to_str().unwrap()], &dir.path().join("ops.json"));
        let recounted = recount(&events(plan));
        let ops = summary["ops"].as_object().unwrap();
        assert_eq!(ops.len(), recounted.len());
        for (name, [rows, blocked, unobserved, probes, matches, mismatches]) in recounted {
            let entry = &ops[&name];
            let expected = json!([rows, blocked, unobserved, probes, matches, mismatches]);
            let found = json!([
                entry["probes_including_blocked"],
                entry["blocked"]["total"],
                entry["unobserved"],
                entry["probes"],
                entry["matches"],
                entry["mismatches"]
            ]);
            assert_eq!(found, expected, "{plan} {name}");
            assert_eq!(probes + blocked + unobserved, rows, "{plan} {name}");
            assert_eq!(entry["coverage_status"] == "ok", matches == rows, "{plan} {name}: {entry:#}");
            assert_eq!(entry["mismatch_details"].as_array().map_or(0, Vec::len) as u64, mismatches);
        }
        let meta = &summary["meta"];
        assert_eq!(meta["run_id"], document(run, "run_status.json")["run_id"]);
        assert_eq!(meta["integrity"], "verified");
        assert_eq!(meta["inputs"].as_array().unwrap().len(), meta["input_hashes"].as_object().unwrap().len());
        // The run's own mapping says the same of each operation.
        let mapped = document(run, "runtime_mappings/ops.json");
        assert_eq!(mapped["ops"], summary["ops"]);
    }
    // In the edge plan something is in error and something is not observed; nothing of that kind is called covered.
    let summary = summarise(&["--bundle", run("linux-edge").to_str().unwrap()], &dir.path().join("edge.json"));
    let status = |name: &str| summary["ops"][name]["coverage_status"].as_str().unwrap().to_owned();
    assert_eq!([status("mach-lookup"), status("file-read-data")], ["brittle", "partial"]);
    assert!(summary["ops"]["file-read-data"]["errors"].as_u64().unwrap() >= 1);
}

/// Events in a bundle of nothing else; the index is the program's own business, so the bundle is not a valid one.
fn bundle_of(dir: &Path, events: &Value) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(
        dir.join("run_manifest.json"),
        r#"{"world_id": "w", "run_id": "r", "channel": "launchd_clean", "tool": {}}"#,
    )
    .unwrap();
    std::fs::write(dir.join("run_status.json"), r#"{"state": "complete", "tool": {"name": "runtime"}}"#).unwrap();
    std::fs::write(dir.join("runtime_events.normalized.json"), events.to_string()).unwrap();
}

#[test]
fn an_error_or_an_unobserved_row_is_never_covered() {
    let dir = tempfile::tempdir().unwrap();
    let row = |more: Value| {
        let mut row = json!({"world_id": "w", "profile_id": "p", "scenario_id": "s", "operation": "signal", "match": true,
            "actual": "allow", "expected": "allow", "outcome": "allow"});
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    };
    for (second, expected) in [
        (row(json!({})), "ok"),
        (
            row(
                json!({"match": null, "actual": null, "outcome": "error", "failure_stage": "probe", "failure_kind": "probe_timeout"}),
            ),
            "partial",
        ),
        (
            row(json!({"match": null, "actual": null, "outcome": "not_observed", "intended_op_witnessed": false})),
            "partial",
        ),
        (row(json!({"match": null, "actual": null, "outcome": "error", "failure_stage": "apply"})), "partial"),
        // What an earlier program claimed without having seen it.
        (row(json!({"outcome": "error"})), "partial"),
        (row(json!({"match": false, "actual": "deny", "outcome": "deny"})), "partial"),
    ] {
        let bundle = dir.path().join("b");
        bundle_of(&bundle, &json!([row(json!({})), second]));
        let source = ["--bundle", bundle.to_str().unwrap(), "--allow-unverified"];
        let summary = summarise(&source, &dir.path().join("ops.json"));
        assert_eq!(summary["ops"]["signal"]["coverage_status"], expected, "{second}");
        assert_eq!(summary["meta"]["integrity"], "unverified");
    }
    for (events, part) in [
        (json!({}), "not a JSON array"),
        (json!([{"world_id": "w", "profile_id": "p"}]), "scenario_id"),
        (json!([row(json!({"no_such_member": 1}))]), "no_such_member"),
    ] {
        let bundle = dir.path().join("bad");
        bundle_of(&bundle, &events);
        let out = dir.path().join("none.json");
        let source = ["--bundle", bundle.to_str().unwrap(), "--allow-unverified", "--out", out.to_str().unwrap()];
        let refused = runtime(&[&["summarize-ops"], &source[..]].concat());
        expect(&refused, 3);
        assert!(
            text(&refused).contains(part) && text(&refused).contains("runtime_events.normalized.json"),
            "{}",
            text(&refused)
        );
        assert!(!out.exists());
    }
}

#[test]
fn what_is_not_valid_or_not_promotable_is_refused_and_says_how_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, out) = (dir.path().join("copy"), dir.path().join("ops.json"));
    copy_run(run("linux-edge"), &copy);
    let events = copy.join("runtime_events.normalized.json");
    let changed = std::fs::read_to_string(&events).unwrap().replacen("\"allow\"", "\"allox\"", 1);
    std::fs::write(&events, changed).unwrap();
    let arguments = ["summarize-ops", "--bundle", copy.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let refused = runtime(&arguments);
    expect(&refused, 1);
    assert!(
        text(&refused).contains("artifact-digest-mismatch") && text(&refused).contains("--allow-unverified"),
        "{}",
        text(&refused)
    );
    assert!(!out.exists());
    expect(&runtime(&[&arguments[..], &["--allow-unverified"]].concat()), 0);

    let packet = dir.path().join("packet.json");
    let (run, packet) = (run("linux-baseline").to_str().unwrap(), packet.to_str().unwrap());
    expect(&runtime(&["emit-promotion", "--bundle", run, "--out", packet]), 0);
    let arguments = ["summarize-ops", "--packet", packet, "--out", out.to_str().unwrap()];
    let refused = runtime(&arguments);
    expect(&refused, 1);
    assert!(
        text(&refused).contains("not_clean_channel") && text(&refused).contains("--allow-nonpromotable"),
        "{}",
        text(&refused)
    );
    expect(&runtime(&[&arguments[..], &["--allow-nonpromotable"]].concat()), 0);
    let of_packet: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(of_packet["meta"]["source_jobs"], json!(["promotion_packet"]));
    assert_eq!(of_packet["ops"], document(Path::new(run), "runtime_mappings/ops.json")["ops"]);
    // The packet vouches for its events: others are refused.
    let mut document: Value = serde_json::from_slice(&std::fs::read(packet).unwrap()).unwrap();
    document["export_digests"]["runtime_events"] = json!("0".repeat(64));
    std::fs::write(packet, document.to_string()).unwrap();
    let refused = runtime(&[&arguments[..], &["--allow-nonpromotable"]].concat());
    expect(&refused, 1);
    assert!(text(&refused).contains("was changed"), "{}", text(&refused));
    for wrong in
        [&["summarize-ops", "--out", "x"][..], &["summarize-ops", "--out", "x", "--bundle", "a", "--packet", "b"]]
    {
        expect(&runtime(wrong), 2);
    }
}

#[test]
fn mappings_lead_from_operations_to_scenarios_to_traces() {
    let run = run("linux-edge");
    let mapped = |name: &str| document(run, &format!("runtime_mappings/{name}.json"));
    let (manifest, indexes, scenarios) = (mapped("runtime_manifest"), mapped("runtime_indexes"), mapped("scenarios"));
    for key in ["events_index", "scenarios", "ops", "runtime_indexes"] {
        assert!(run.join(manifest[key].as_str().unwrap()).is_file(), "{key}");
    }
    let events = events("linux-edge");
    for event in &events {
        let (id, operation) = (event["scenario_id"].as_str().unwrap(), event["operation"].as_str().unwrap());
        assert!(indexes["op_to_scenarios"][operation].as_array().unwrap().contains(&json!(id)));
        let traces = indexes["scenario_to_traces"][id].as_array().unwrap();
        let trace = std::fs::read_to_string(run.join(traces[0].as_str().unwrap())).unwrap();
        assert!(trace.lines().any(|line| serde_json::from_str::<Value>(line).unwrap() == *event), "{id}");
        assert!(scenarios["scenarios"].get(id).is_some());
    }
    let overall = &scenarios["phase_histograms"]["overall"];
    assert_eq!(overall["total"], events.len());
    assert_eq!(overall["probe"]["deny"], events.iter().filter(|event| event["actual"] == "deny").count());
}
