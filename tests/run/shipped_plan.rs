//! The main job: the shipped plan, its bundle, its packets and both gates.

use std::path::Path;

use serde_json::Value;

use crate::shipped_operations::OPERATIONS;
use crate::suite::{expect, runtime, text};

const PLAN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/plans/linux-baseline/plan.json");

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_expectation_is_met_and_the_gates_say_what_follows() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let (out_text, packet) = (out.to_str().unwrap(), dir.path().join("p1.json"));
    let output = runtime(&["run", "--plan", PLAN, "--channel", "direct", "--out", out_text]);
    expect(&output, 0);
    assert!(text(&output).contains("all expectations met"), "{}", text(&output));

    let run = out.join(std::fs::read_to_string(out.join("LATEST")).unwrap().trim());
    let summary = json(&run.join("summary.json"));
    assert!(summary["profile_count"].as_u64().unwrap() >= 14);
    assert!(summary["scenario_count"].as_u64().unwrap() >= 75);
    assert_eq!(summary["counts"]["matches"], summary["scenario_count"]);
    assert!(summary["counts"]["baseline_refused"].as_u64().unwrap() >= 2, "attribution has something to show");
    every_operation_has_both_twins(&json(&run.join("runtime_results.json")));
    listeners_saw_what_was_allowed_and_nothing_else(
        &json(&run.join("fixtures.json")),
        &json(&run.join("runtime_results.json")),
    );
    refused_baselines_are_attributed_to_the_platform(&json(&run.join("runtime_events.normalized.json")));

    expect(&runtime(&["validate-bundle", "--bundle", out_text]), 0);
    expect(&runtime(&["emit-promotion", "--bundle", out_text, "--out", packet.to_str().unwrap()]), 0);
    let packet = json(&packet);
    assert_eq!(packet["promotability"]["promotable_decision_stage"], false);
    assert!(packet["promotability"]["reasons"].as_array().unwrap().contains(&"not_clean_channel".into()));
    let gate = &packet["promotability"]["linux_enforcement"];
    assert_eq!(gate["promotable"], true, "{gate:#}");

    let strict = dir.path().join("p2.json");
    let strict_text = strict.to_str().unwrap();
    let refused = runtime(&["emit-promotion", "--bundle", out_text, "--out", strict_text, "--require-promotable"]);
    expect(&refused, 1);
    assert!(!strict.exists());
    let linux = ["--require", "linux_enforcement"];
    expect(&runtime(&[&["emit-promotion", "--bundle", out_text, "--out", strict_text], &linux[..]].concat()), 0);
}

fn every_operation_has_both_twins(results: &Value) {
    let rows: Vec<&Value> =
        results.as_object().unwrap().values().flat_map(|profile| profile["probes"].as_array().unwrap()).collect();
    for operation in OPERATIONS {
        for expected in ["allow", "deny"] {
            let found = rows.iter().any(|row| {
                row["performed_operation"].as_str().unwrap().trim_end_matches('*') == operation
                    && row["expected"] == expected
            });
            assert!(found, "no probe of {operation} expects {expected}");
        }
    }
}

fn listeners_saw_what_was_allowed_and_nothing_else(fixtures: &Value, results: &Value) {
    let mut connections = [0, 0];
    for record in fixtures["records"].as_array().unwrap() {
        let listener = &record["listener"];
        let rows = results[record["profile_id"].as_str().unwrap()]["probes"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == record["probe_name"]).unwrap();
        let baseline = record["lane"] == "baseline";
        let reached = listener["status"] == "ok" && (baseline || row["expected"] == "allow");
        assert_eq!(listener["accept_count"], u64::from(reached), "{record:#}");
        connections[usize::from(baseline)] += usize::from(reached);
    }
    let [scenario, baseline] = connections;
    assert!(scenario >= 3 && baseline > scenario, "{connections:?}: denied ones are reached without the policy");
}

fn refused_baselines_are_attributed_to_the_platform(events: &Value) {
    let refused: Vec<&Value> = events
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["policy_layers"]["platform_policy"]["decision"] == "deny")
        .collect();
    assert!(refused.len() >= 2);
    for event in &refused {
        assert_eq!(event["policy_layers"]["attribution"], "platform_policy", "{event:#}");
    }
    let by_mode_alone: Vec<&&Value> = refused.iter().filter(|event| event["actual"] == "allow").collect();
    assert!(by_mode_alone.len() >= 2, "the policy allowed at least two of them");
    for event in by_mode_alone {
        assert_eq!(event["errno_name"], "EACCES", "{event:#}");
        assert_eq!(event["file_confounder"]["classification"], "unix_permissions", "{event:#}");
    }
}

#[test]
fn the_clean_channel_is_refused_here_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let output = runtime(&["run", "--plan", PLAN, "--channel", "launchd_clean", "--out", out.to_str().unwrap()]);
    expect(&output, 1);
    assert!(text(&output).contains("launchctl") && text(&output).contains("sandbox_init"), "{}", text(&output));
    assert!(!out.exists());
}

#[test]
fn a_dry_run_commits_a_bundle_that_is_never_promotable() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let (out, packet) = (out.to_str().unwrap(), dir.path().join("p.json"));
    expect(&runtime(&["run", "--plan", PLAN, "--dry", "--out", out]), 0);
    expect(&runtime(&["validate-bundle", "--bundle", out]), 0);
    let args = ["emit-promotion", "--bundle", out, "--out", packet.to_str().unwrap(), "--require", "linux_enforcement"];
    expect(&runtime(&args), 1);
}

/// Two artifacts of every folder that has many alike, and all others; all of them where `RUNTIME_TESTS_FULL` is set.
fn some_of_each_kind(names: Vec<&str>) -> Vec<&str> {
    if std::env::var_os("RUNTIME_TESTS_FULL").is_some() {
        return names;
    }
    let mut taken: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    let mut take = |name: &&str| {
        let Some((folder, _)) = name.rsplit_once('/') else { return true };
        let number = taken.entry(folder.to_owned()).or_default();
        *number += 1;
        *number <= 2
    };
    names.into_iter().filter(|name| take(name)).collect()
}

#[test]
fn one_flipped_byte_in_any_artifact_of_a_real_bundle_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let out_text = out.to_str().unwrap();
    expect(&runtime(&["run", "--plan", PLAN, "--out", out_text]), 0);
    let run = out.join(std::fs::read_to_string(out.join("LATEST")).unwrap().trim());
    let index = json(&run.join("artifact_index.json"));
    let names: Vec<&str> =
        index["artifacts"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert!(names.len() >= 15, "{names:?}");
    let all = names.len();
    let names = some_of_each_kind(names);
    if names.len() < all {
        println!("LEFT TO NIGHTLY: a flipped byte in {} of {all} artifacts", all - names.len());
    }
    for name in names {
        let path = run.join(name);
        let good = std::fs::read(&path).unwrap();
        if good.is_empty() {
            // No byte to flip: one too many must be noticed just the same.
            std::fs::write(&path, b"x").unwrap();
        } else {
            let mut bad = good.clone();
            let middle = bad.len() / 2;
            bad[middle] ^= 1;
            std::fs::write(&path, bad).unwrap();
        }
        let output = runtime(&["validate-bundle", "--bundle", out_text]);
        expect(&output, 1);
        assert!(text(&output).contains(name), "{name}: {}", text(&output));
        std::fs::write(&path, good).unwrap();
    }
    expect(&runtime(&["validate-bundle", "--bundle", out_text]), 0);
}
