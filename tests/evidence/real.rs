//! Runs of the shipped plans, each made once, and what is said about their rows.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::suite::{expect, runtime, text};

/// A run of a shipped plan; the directory lives as long as the test program.
pub(crate) fn run(plan: &'static str) -> &'static Path {
    static RUNS: [OnceLock<(tempfile::TempDir, PathBuf)>; 3] = [const { OnceLock::new() }; 3];
    let at = ["linux-baseline", "linux-hardened", "linux-edge"].iter().position(|known| *known == plan).unwrap();
    &RUNS[at]
        .get_or_init(|| {
            let dir = tempfile::tempdir().unwrap();
            let plan = format!("{}/plans/{plan}/plan.json", env!("CARGO_MANIFEST_DIR"));
            let out = dir.path().join("out");
            let mut arguments = vec!["run", "--plan", &plan, "--out", out.to_str().unwrap()];
            // A probe that waits for ever is part of the edge plan.
            arguments.extend(["--probe-timeout-seconds", "5"]);
            expect(&runtime(&arguments), 0);
            let run = out.join(std::fs::read_to_string(out.join("LATEST")).unwrap().trim());
            (dir, run)
        })
        .1
}

pub(crate) fn document(run: &Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(run.join(name)).unwrap()).unwrap()
}

pub(crate) fn events(plan: &'static str) -> Vec<Value> {
    document(run(plan), "runtime_events.normalized.json").as_array().unwrap().clone()
}

fn event(plan: &'static str, scenario: &str) -> Value {
    let id = format!("{plan}:{scenario}");
    events(plan).into_iter().find(|event| event["scenario_id"] == id.as_str()).unwrap_or_else(|| panic!("no {id}"))
}

fn packets(plan: &'static str) -> Vec<Value> {
    let text = std::fs::read_to_string(run(plan).join("mismatch_packets.jsonl")).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_refusal_by_policy_and_one_by_file_modes_are_two_things() {
    let by_policy = event("linux-edge", "wrong_expectations:read_denied");
    assert_eq!(
        (&by_policy["actual"], &by_policy["errno_name"], &by_policy["policy_layers"]["attribution"]),
        (&json!("deny"), &json!("EPERM"), &json!("process_policy"))
    );
    assert_eq!(by_policy["file_confounder"]["attribution"], "app_sandbox");
    let by_modes: Vec<Value> = events("linux-baseline")
        .into_iter()
        .filter(|event| {
            event["actual"] == "allow" && event["errno_name"] == "EACCES" && event["operation"] == "file-read-data"
        })
        .collect();
    assert!(!by_modes.is_empty());
    for event in by_modes {
        assert_eq!(event["file_confounder"]["classification"], "unix_permissions", "{event:#}");
        assert_eq!(event["policy_layers"]["attribution"], "platform_policy", "{event:#}");
        assert_eq!(event["policy_layers"]["process_policy"]["decision"], "allow", "{event:#}");
        assert_eq!(event["outcome"], "allow", "modes are no policy: {event:#}");
    }
}

#[test]
fn nobody_at_an_address_in_both_lanes_is_said_and_a_refused_connection_is_not_one() {
    let missing: Vec<Value> =
        events("linux-edge").into_iter().filter(|event| event.get("endpoint_confounder").is_some()).collect();
    assert!(missing.iter().any(|event| event["target"].as_str().unwrap().contains("sock")), "a unix socket");
    assert!(missing.iter().any(|event| event["target"].as_str().unwrap().contains("PORT")), "a port");
    for event in &missing {
        assert_eq!(event["endpoint_confounder"]["status"], "missing_endpoint");
        assert_ne!(event["actual"], "deny", "{event:#}");
    }
    let denied =
        events("linux-baseline").into_iter().filter(|e| e["operation"] == "network-outbound" && e["actual"] == "deny");
    assert!(denied.map(|event| assert!(event.get("endpoint_confounder").is_none(), "{event:#}")).count() > 0);
}

#[test]
fn a_link_on_the_way_is_witnessed_in_both_lanes() {
    let aliased = |event: &Value| event["links_met"].as_array().is_some_and(|links| !links.is_empty());
    assert!(events("linux-edge").iter().any(aliased));
    let witnesses = document(run("linux-edge"), "path_witnesses.json");
    let records = witnesses["records"].as_array().unwrap();
    let pair = records.iter().find(|record| record["canonicalization"]["alias_pair"] == true).expect("a witness");
    assert_eq!(pair["observed_path_source"], "proc_fd_path");
    assert_ne!(pair["observed_path"], pair["requested_path"]);
    assert_eq!(pair["links_met"].as_array().unwrap().len(), 1);
    // The baseline lane's witnesses come first.
    let lanes: Vec<&Value> = records.iter().map(|record| &record["lane"]).collect();
    assert!(lanes.is_sorted_by_key(|lane| lane.as_str() == Some("scenario")));
    let packet = packets("linux-edge").into_iter().find(|packet| !packet["canonicalization"].is_null()).unwrap();
    assert_eq!(packet["canonicalization"]["witness"]["alias_pair"], true);
}

#[test]
fn unmet_expectations_unperformable_operations_and_timeouts_are_typed() {
    let types: Vec<(String, String)> = packets("linux-edge")
        .iter()
        .map(|packet| {
            (packet["mismatch_type"].as_str().unwrap().into(), packet["mismatch_reason"].as_str().unwrap().into())
        })
        .collect();
    for (kind, reason) in [
        ("unexpected_allow", "expectation_too_strong"),
        ("unexpected_deny", "expectation_too_strong"),
        ("unexpected_allow", "ambient_platform_restriction"),
        ("op_not_witnessed", "op_not_witnessed"),
        ("probe_error", "op_not_witnessed"),
    ] {
        assert!(types.contains(&(kind.into(), reason.into())), "{kind} {reason}: {types:?}");
    }
    let unperformable = event("linux-edge", "not_on_linux:lookup_allowed");
    assert_eq!((unperformable.get("actual"), &unperformable["outcome"]), (None, &json!("not_observed")));
    let timed_out: Vec<Value> =
        events("linux-edge").into_iter().filter(|event| event["failure_kind"] == "probe_timeout").collect();
    assert!(!timed_out.is_empty());
    for event in timed_out {
        assert_eq!(
            (event.get("actual"), &event["outcome"], &event["error_kind"]),
            (None, &json!("error"), &json!("timeout"))
        );
    }
}

#[test]
fn events_made_again_are_the_same_bytes_and_a_changed_row_makes_others() {
    let dir = tempfile::tempdir().unwrap();
    for plan in ["linux-baseline", "linux-edge"] {
        let (run, out) = (run(plan), dir.path().join("events.json"));
        for _ in 0..2 {
            let arguments = ["normalise-events", "--bundle", run.to_str().unwrap(), "--out", out.to_str().unwrap()];
            expect(&runtime(&arguments), 0);
            let stored = std::fs::read(run.join("runtime_events.normalized.json")).unwrap();
            assert!(std::fs::read(&out).unwrap() == stored, "{plan}");
        }
    }
    // The twin: another row, another event, and the others as they were.
    let copy = dir.path().join("copy");
    copy_run(run("linux-edge"), &copy);
    let mut results = document(&copy, "runtime_results.json");
    results["linux-edge:wrong_expectations"]["probes"][0] =
        json!({"name": "broken", "runtime_result": {"runtime_result_schema_version": 9}});
    std::fs::write(copy.join("runtime_results.json"), results.to_string()).unwrap();
    let out = dir.path().join("changed.json");
    let arguments = ["normalise-events", "--bundle", copy.to_str().unwrap(), "--out", out.to_str().unwrap()];
    expect(&runtime(&arguments), 1);
    expect(&runtime(&[&arguments[..], &["--allow-unverified"]].concat()), 0);
    let made: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    let stored = events("linux-edge");
    assert_eq!(made[0]["error_kind"], "malformed_row");
    assert!(made[0]["error"].as_str().unwrap().contains("runtime_result_schema_version is 9"), "{:#}", made[0]);
    assert_eq!(made.as_array().unwrap()[1..], stored[1..]);
}

pub(crate) fn copy_run(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        match entry.file_type().is_dir() {
            true => std::fs::create_dir_all(&target).unwrap(),
            false => drop(std::fs::copy(entry.path(), &target).unwrap()),
        }
    }
}

#[test]
fn an_event_is_told_with_its_lanes_its_rule_and_how_sure_it_is() {
    let run = run("linux-edge").to_str().unwrap();
    let tell = |scenario: &str| runtime(&["explain-event", "--bundle", run, "--scenario", scenario]);
    let told = tell("linux-edge:wrong_expectations:read_denied");
    expect(&told, 0);
    for part in [
        "file-read-data on ${FIXTURES}/private/secret.txt, expected deny",
        "returned EPERM",
        "without a policy: allow",
        "while nothing ran: deny",
        "wrong_expectations.sb:5 (deny default)",
        "process_policy",
        "sure       observed;",
    ] {
        assert!(text(&told).contains(part), "{part} is not in\n{}", text(&told));
    }
    for (scenario, part) in [
        ("linux-edge:not_on_linux:lookup_allowed", "not observed"),
        ("linux-edge:refused_by_modes:start_what_is_not_executable", "without any policy"),
    ] {
        let told = tell(scenario);
        expect(&told, 0);
        assert!(text(&told).contains(part), "{part} is not in\n{}", text(&told));
    }
    let unknown = tell("linux-edge:wrong_expectations:read_deniet");
    expect(&unknown, 3);
    assert!(text(&unknown).contains("did you mean"), "{}", text(&unknown));
    let json = runtime(&[
        "explain-event",
        "--json",
        "--bundle",
        run,
        "--scenario",
        "linux-edge:wrong_expectations:read_denied",
    ]);
    let told: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&told["certainty"], &told["baseline"]["status"]), (&json!("observed"), &json!("allow")));
    assert!(told["claims"].as_array().unwrap().iter().all(|claim| claim["supported"] == true));
}
