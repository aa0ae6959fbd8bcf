//! Input and surroundings that mean harm or are merely broken: a clear refusal, nothing followed, nothing claimed.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::suite::{Probe, RUNTIME, Suite, expect, runtime, text};

const OPEN: &str = "(version 1)\n(allow default)\n";

fn reading(id: &str) -> Suite {
    with_target(id, "${FIXTURES}/x", "allow")
}

fn with_target(id: &str, target: &str, expected: &'static str) -> Suite {
    Suite::new().fixtures(json!([{"path": "x", "kind": "file"}])).profile(
        id,
        OPEN,
        vec![Probe::new("r", "file-read-data", target, expected)],
    )
}

/// Runs a suite with additional environment.
fn with_env(suite: &Suite, name: &str, value: &str) -> Output {
    let plan = suite.write();
    Command::new(RUNTIME)
        .args(["run", "--plan"])
        .arg(plan)
        .arg("--out")
        .arg(suite.out())
        .env(name, value)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn ids_never_become_paths_and_never_share_a_file() {
    let long = "l".repeat(1000);
    let longer = format!("{}m", "l".repeat(999));
    let ids = ["a/b", "a%2Fb", "a%2fb", "a:b", "a b", "é", "%C3%A9", ".hidden", long.as_str(), longer.as_str()];
    let suite = ids.iter().fold(Suite::new().fixtures(json!([{"path": "x", "kind": "file"}])), |suite, id| {
        suite.profile(id, OPEN, vec![Probe::new("r", "file-read-data", "${FIXTURES}/x", "allow")])
    });
    expect(&suite.run(&["--fail-on-mismatch"]), 0);
    let files = names(&suite.latest().join("runtime_profiles"));
    assert_eq!(files.len(), ids.len(), "{files:?}");
    assert!(files.iter().all(|name| name.len() < 200 && !name.starts_with('.')), "{files:?}");
    assert_eq!(suite.document("runtime_results.json").as_object().unwrap().len(), ids.len());
    expect(&runtime(&["validate-bundle", "--bundle", suite.out().to_str().unwrap()]), 0);
}

#[test]
fn ids_that_read_as_paths_or_hold_control_characters_are_refused_before_anything_is_written() {
    for id in ["../../etc", "..", "n\0ul", "esc\u{1b}[31m", "line\nfeed", "", &"l".repeat(5000)] {
        let suite = reading(id);
        let output = suite.run(&[]);
        expect(&output, 3);
        assert!(text(&output).contains("/profiles/0"), "{}", text(&output));
        let raw = text(&output).chars().any(|c| c.is_control() && c != '\n');
        assert!(!raw, "control characters are shown, not obeyed: {}", text(&output));
        assert!(!suite.out().exists(), "nothing is written for {id:?}");
    }
}

#[test]
fn a_registry_of_another_id_is_not_the_one_the_plan_names() {
    let suite = reading("p");
    let plan = suite.write();
    let mut document: Value = serde_json::from_slice(&std::fs::read(&plan).unwrap()).unwrap();
    document["registry_id"] = json!("another");
    std::fs::write(&plan, document.to_string()).unwrap();
    let plan = plan.to_str().unwrap();
    for command in
        [&["run", "--plan", plan, "--out", suite.out().to_str().unwrap()][..], &["plan-lint", "--plan", plan]]
    {
        let output = runtime(command);
        let said = text(&output);
        assert!(!output.status.success() && said.contains("the registry is asked for as \"another\""), "{said}");
    }
    assert!(!suite.out().exists(), "nothing is written");
}

#[test]
fn run_ids_from_the_environment_are_taken_or_refused() {
    let suite = reading("demo:a");
    for id in ["../x", "/abs", ".hidden", "a b", &"x".repeat(201)] {
        let output = with_env(&suite, "SANDBOX_LORE_RUN_ID", id);
        expect(&output, 2);
        assert!(text(&output).contains("SANDBOX_LORE_RUN_ID"), "{}", text(&output));
    }
    assert!(!suite.out().exists());
    expect(&with_env(&suite, "SANDBOX_LORE_RUN_ID", "mine-1"), 0);
    assert!(suite.out().join("mine-1/artifact_index.json").exists());
    let again = with_env(&suite, "SANDBOX_LORE_RUN_ID", "mine-1");
    expect(&again, 1);
    assert!(text(&again).contains("mine-1") && !text(&again).contains("--lock-mode"), "{}", text(&again));
}

#[test]
fn targets_with_unknown_or_unfinished_parameters_are_refused() {
    for target in ["${X}/x", "${FIXTURES}/${Y}", "${FIXTURES/x", "${", "${}"] {
        let suite = with_target("demo:a", target, "allow");
        let output = suite.run(&[]);
        expect(&output, 3);
        assert!(text(&output).contains("unknown parameter"), "{}", text(&output));
        assert!(!suite.out().exists());
    }
}

#[test]
fn a_target_cannot_speak_to_the_terminal() {
    let suite = with_target("demo:a", "/none/\u{1b}[2Jx\ny", "deny");
    let output = suite.run(&[]);
    expect(&output, 0);
    let said = text(&output);
    assert!(said.contains("/none/\\u{1b}[2Jx\\ny") && !said.contains('\u{1b}'), "{said:?}");
    assert_eq!(suite.row("demo:a", "r")["path"], "/none/\u{1b}[2Jx\ny", "documents keep it as it is");
}

#[test]
fn closed_streams_do_not_end_a_run() {
    for close_stderr in [true, false] {
        let suite = reading("demo:a");
        let mut run = suite.start(&[]);
        if close_stderr {
            drop(run.stderr.take());
        } else {
            drop(run.stdout.take());
        }
        let output = run.wait_with_output().unwrap();
        expect(&output, 0);
        assert_eq!(suite.document("summary.json")["status"], "ok");
    }
}

#[test]
fn errors_in_json_mode_are_one_object_on_stdout() {
    let suite = reading("demo:a");
    let plan = suite.write();
    let plan = plan.to_str().unwrap();
    let cases: [(&[&str], i64); 6] = [
        (&["run", "--json"], 2),
        (&["run", "--plan", plan, "--jobs", "0", "--json"], 2),
        (&["--json", "no-such-command"], 2),
        (&["run", "--plan", plan, "--json", "--lock-timeout-seconds", "nan"], 2),
        (&["run", "--plan", "/none/plan.json", "--json"], 3),
        (&["run", "--plan", plan, "--json", "--channel", "launchd_clean"], 1),
    ];
    for (args, code) in cases {
        let output = runtime(args);
        assert_eq!(output.status.code().map(i64::from), Some(code), "{args:?}: {}", text(&output));
        let object: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}"));
        assert_eq!(object["error"]["exit_code"], code, "{object:#}");
        assert!(!object["error"]["message"].as_str().unwrap().is_empty());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    }
    let people = runtime(&["run"]);
    assert!(people.stdout.is_empty() && !people.stderr.is_empty(), "{}", text(&people));
}

#[test]
fn a_lock_that_cannot_be_taken_at_all_is_no_answer_and_waiting_is_not_advised() {
    let suite = reading("demo:a");
    std::fs::create_dir_all(suite.out().join(".runtime.lock")).unwrap();
    let output = suite.run(&[]);
    expect(&output, 3);
    assert!(text(&output).contains(".runtime.lock") && !text(&output).contains("--lock-mode"), "{}", text(&output));
}

#[test]
fn a_failed_run_says_why() {
    let suite = reading("demo:a");
    let file = suite.path().join("no-directory");
    std::fs::write(&file, "").unwrap();
    let output = with_env(&suite, "TMPDIR", file.to_str().unwrap());
    expect(&output, 1);
    assert!(text(&output).contains("the run failed: cannot make a private fixture directory"), "{}", text(&output));
    assert!(text(&output).contains("Not a directory"), "{}", text(&output));
    assert_eq!(suite.document("run_status.json")["state"], "failed");
    expect(&runtime(&["validate-bundle", "--bundle", suite.out().to_str().unwrap()]), 1);
}

#[test]
fn without_the_scenario_lane_no_expectation_is_met() {
    let suite = reading("demo:a").lanes(json!({"scenario": false, "baseline": true, "oracle": true}));
    let output = suite.run(&[]);
    expect(&output, 0);
    assert!(text(&output).contains("no expectation was checked"), "{}", text(&output));
    assert_eq!(suite.document("summary.json")["status"], "partial");
    expect(&suite.run(&["--fail-on-mismatch"]), 1);
    let (code, said) = suite.linux_gate();
    assert!(code == 1 && said.contains("no_rows"), "{said}");
}
