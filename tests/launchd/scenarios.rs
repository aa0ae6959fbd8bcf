//! How a job can end, each once: what the answer, the bundle and the machine look like afterwards.

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::suite::{expect, runtime, text};

/// Runs a bench that must fail in this way, and checks what every failure leaves.
#[track_caller]
fn fails(bench: &Bench, more: &[&str], kind: &str) -> Value {
    let output = bench.run(&[&["--json"], more].concat());
    expect(&output, 1);
    let answer = Bench::answer(&output);
    assert_eq!((&answer["status"], &answer["failure_kind"]), (&json!("failed"), &json!(kind)), "{answer:#}");
    assert!(answer["hint"].as_str().is_some_and(|hint| hint.len() > 10), "{answer:#}");
    let status = bench.suite.document("run_status.json");
    assert_eq!((&status["state"], &status["channel"]), (&json!("failed"), &json!("launchd_clean")), "{status:#}");
    assert_eq!(status["error"], answer["error"]);
    let pointer = status["launchctl_diagnostics"].as_str().unwrap();
    assert!(pointer.ends_with("/launchctl/launchctl_diagnostics.json"), "{pointer}");
    let manifest = bench.suite.document("run_manifest.json");
    assert_eq!(manifest["stand_in_tools"], json!(["launchctl", "log", "plutil"]));
    let diagnostics = bench.diagnostics();
    assert_eq!(diagnostics["failure"]["kind"], kind, "{diagnostics:#}");
    crate::exact::assert_meets("launchctl-diagnostics", &diagnostics);
    // Committed as failed: no reader takes it for evidence.
    expect(&bench.validity(), 1);
    diagnostics
}

#[test]
fn a_run_through_the_stand_ins_is_a_valid_bundle_that_no_gate_admits() {
    let bench = Bench::new();
    let output = bench.run(&["--json"]);
    expect(&output, 0);
    let answer = Bench::answer(&output);
    assert_eq!((&answer["status"], &answer["left_behind"]), (&json!("ok"), &json!([])), "{answer:#}");
    expect(&bench.validity(), 0);
    let manifest = bench.suite.document("run_manifest.json");
    assert_eq!((&manifest["channel"], &manifest["stage_used"]), (&json!("launchd_clean"), &json!(true)));
    assert_eq!(manifest["stand_in_tools"], json!(["launchctl", "log", "plutil"]));
    let start = &manifest["clean_start"];
    assert_eq!((&start["sandboxed"], &start["launchd_pid"]), (&json!(false), &Value::Null), "{start:#}");
    // The stand-in hands on what it was started with, which launchd does not; that is seen.
    assert!(start["descriptors"].is_array() && start["service_name"].is_string(), "{start:#}");
    // Paths in the documents are those of the real bundle.
    let run = bench.suite.latest().file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(manifest["output_root"], format!("out/{run}"));
    let status = bench.suite.document("run_status.json");
    assert_eq!(status["launchctl_diagnostics"], format!("out/{run}/launchctl/launchctl_diagnostics.json"));
    let index = bench.suite.document("artifact_index.json").to_string();
    assert!(index.contains("launchctl/launchctl_diagnostics.json") && index.contains("launchctl/job.plist"));

    let packet = bench.suite.path().join("packet.json");
    let (out, packet) = (bench.suite.out(), packet.to_str().unwrap().to_owned());
    expect(&runtime(&["emit-promotion", "--bundle", out.to_str().unwrap(), "--out", &packet]), 0);
    let packet: Value = serde_json::from_slice(&std::fs::read(&packet).unwrap()).unwrap();
    let promotability = &packet["promotability"];
    assert_eq!(promotability["promotable_decision_stage"], false);
    let says = |reasons: &Value| reasons.as_array().unwrap().contains(&json!("stand_in_tools"));
    assert!(
        says(&promotability["reasons"]) && says(&promotability["linux_enforcement"]["reasons"]),
        "{promotability:#}"
    );
    assert_eq!(promotability["details"]["stand_in_tools"], json!(["launchctl", "log", "plutil"]));
    // Everything else that the Linux gate asks for is true: the job ran the real thing.
    assert_eq!(promotability["linux_enforcement"]["reasons"], json!(["stand_in_tools"]), "{promotability:#}");
    bench.assert_nothing_left();
}

#[test]
fn the_rows_of_a_job_are_those_of_a_direct_run() {
    let bench = Bench::new();
    expect(&bench.run(&[]), 0);
    let decisions = |bench: &Bench| {
        let rows = bench.suite.rows("demo:reads");
        rows.iter().map(|row| (row["name"].clone(), row["actual"].clone())).collect::<Vec<_>>()
    };
    let (clean, digest) = (decisions(&bench), bench.suite.document("run_manifest.json")["compiled_digest"].clone());
    expect(&bench.suite.run(&[]), 0);
    assert_eq!(clean, decisions(&bench));
    assert_eq!(digest, bench.suite.document("run_manifest.json")["compiled_digest"]);
    assert_eq!(clean.len(), 2);
}

#[test]
fn the_sequence_is_ask_lint_bootstrap_bootout() {
    let bench = Bench::new();
    let output = bench.run(&[]);
    expect(&output, 0);
    assert_eq!(bench.verbs(), ["print", "-lint", "bootstrap", "bootout"]);
    let diagnostics = bench.diagnostics();
    assert_eq!(diagnostics["domain_reason"], "gui_domain_available");
    assert_eq!((&diagnostics["session_types"], &diagnostics["failure"]), (&Value::Null, &Value::Null));
    assert_eq!(diagnostics["wait"]["ended"], "finished");
    crate::exact::assert_meets("launchctl-diagnostics", &diagnostics);
    crate::exact::assert_meets("launchd-completion", &diagnostics["completion"]);
    let said = text(&output);
    for step in [
        "stage: ready",
        "launchd domain: gui/",
        "launchd has the job",
        "job: process ",
        "job: finished",
        "demo:reads: 2 of 2 match",
    ] {
        assert!(said.contains(step), "{step}: {said}");
    }
}

#[test]
fn without_a_graphical_session_the_job_goes_to_the_user_domain() {
    let bench = Bench::new().fault("no_gui");
    expect(&bench.run(&[]), 0);
    let diagnostics = bench.diagnostics();
    assert_eq!(diagnostics["domain_reason"], "gui_domain_unavailable");
    assert_eq!(diagnostics["session_types"], json!(["Background"]));
    assert!(diagnostics["domain"].as_str().unwrap().starts_with("user/"));
    assert_eq!(diagnostics["launchctl_cmds"][0]["rc"], 113);
    bench.assert_nothing_left();
}

#[test]
fn a_launchctl_that_does_not_answer_is_no_absent_session() {
    let bench = Bench::new().fault("print_hangs");
    let diagnostics = fails(&bench, &["--launchd-helper-seconds", "1"], "domain_unknown");
    let asked = &diagnostics["launchctl_cmds"][0];
    assert_eq!((&diagnostics["domain"], &asked["timed_out"]), (&Value::Null, &json!(true)));
    assert_eq!(bench.verbs(), ["print"], "nothing is handed to a domain that was guessed");
    bench.assert_nothing_left();
}

#[test]
fn a_bundle_root_that_is_spelled_with_dots_is_staged_inside_of_the_stage() {
    let bench = Bench::new();
    bench.suite.write();
    let spelled = bench.suite.path().join("sb/../out");
    expect(&bench.run_to(&spelled, &[]), 0);
    expect(&bench.validity(), 0);
    bench.assert_nothing_left();
}

#[test]
fn a_refused_bootstrap_is_told_with_the_log() {
    let bench = Bench::new().fault("bootstrap_refused");
    let diagnostics = fails(&bench, &[], "bootstrap_failed");
    assert_eq!(diagnostics["bootstrap_failure"], json!({"classification": "bootstrap_failed", "rc": 5}));
    assert_eq!(diagnostics["log_show"]["rc"], 0);
    assert_eq!(bench.verbs(), ["print", "-lint", "bootstrap", "show"]);
    bench.assert_nothing_left();
}

#[test]
fn a_refused_bootstrap_is_told_although_the_log_fails_too() {
    let bench = Bench::new().fault("bootstrap_refused").fault("log_fails");
    let diagnostics = fails(&bench, &[], "bootstrap_failed");
    assert_eq!(diagnostics["log_show"]["rc"], 64);
    bench.assert_nothing_left();
}

#[test]
fn a_property_list_that_plutil_refuses_is_named_when_launchd_refuses_it() {
    let bench = Bench::new().fault("bootstrap_refused").fault("lint_fails");
    let diagnostics = fails(&bench, &[], "plist_invalid");
    assert_eq!(diagnostics["launchctl_cmds"][1]["rc"], 1);
    bench.assert_nothing_left();
}

#[test]
fn plutil_alone_stops_nothing() {
    let bench = Bench::new().fault("lint_fails");
    expect(&bench.run(&[]), 0);
    assert_eq!(bench.diagnostics()["launchctl_cmds"][1]["rc"], 1);
    bench.assert_nothing_left();
}

#[test]
fn a_domain_of_another_kind_of_session_is_named() {
    let bench = Bench::new().fault("no_gui").fault("wrong_domain");
    let diagnostics = fails(&bench, &[], "domain_session_mismatch");
    assert_eq!(diagnostics["bootstrap_failure"], json!({"classification": "domain_session_mismatch", "rc": 125}));
    bench.assert_nothing_left();
}

#[test]
fn a_bootstrap_that_hangs_is_ended_and_the_job_taken_back() {
    let bench = Bench::new().fault("bootstrap_hangs");
    let diagnostics = fails(&bench, &["--launchd-helper-seconds", "4"], "bootstrap_failed");
    let bootstrap = &diagnostics["launchctl_cmds"][2];
    assert_eq!((&bootstrap["rc"], &bootstrap["timed_out"]), (&Value::Null, &json!(true)));
    assert_eq!(bench.verbs()[3..], ["bootout", "bootout", "show"]);
    bench.assert_nothing_left();
}

#[test]
fn a_program_that_is_not_there_is_named_before_anything_is_written() {
    let bench = Bench::new();
    std::fs::remove_file(bench.tool("plutil")).unwrap();
    let output = bench.run(&[]);
    expect(&output, 1);
    assert!(text(&output).contains(bench.tool("plutil").to_str().unwrap()), "{}", text(&output));
    assert!(!bench.suite.out().exists() && bench.calls().is_empty());
    bench.assert_nothing_left();
}

#[test]
fn a_worker_that_never_starts_is_given_up() {
    let bench = Bench::new().fault("worker_never_starts");
    let diagnostics = fails(&bench, &["--launchd-start-seconds", "0.4"], "worker_not_started");
    assert_eq!(diagnostics["wait"]["ended"], "not_started");
    assert_eq!(bench.verbs()[3..], ["print", "bootout"], "launchd is asked what it knows of the job");
    bench.assert_nothing_left();
}

#[test]
fn a_worker_that_never_finishes_is_ended_at_the_limit() {
    let bench = Bench::waiting();
    let diagnostics =
        fails(&bench, &["--launchd-timeout-seconds", "1.5", "--probe-timeout-seconds", "60"], "worker_not_finished");
    assert_eq!(diagnostics["wait"]["ended"], "not_finished");
    assert!(diagnostics["wait"]["waited_s"].as_f64().unwrap() >= 1.5);
    bench.assert_nothing_left();
}

#[test]
fn a_worker_that_dies_is_noticed_long_before_the_limit() {
    let bench = Bench::waiting().fault("kill_worker");
    let diagnostics = fails(&bench, &["--probe-timeout-seconds", "60"], "worker_crashed");
    assert_eq!(diagnostics["wait"]["ended"], "crashed");
    assert!(diagnostics["wait"]["waited_s"].as_f64().unwrap() < 50.0);
    assert_eq!(diagnostics["completion"], Value::Null);
    bench.assert_nothing_left();
}

#[test]
fn a_bundle_without_its_index_is_not_collected() {
    let bench = Bench::new().fault("lose_index");
    fails(&bench, &[], "collect_failed");
    bench.assert_nothing_left();
}

#[test]
fn a_bundle_with_a_file_lost_is_not_collected() {
    let bench = Bench::new().fault("lose_artifact");
    fails(&bench, &[], "collect_failed");
    assert!(!bench.suite.latest().join("runtime_events.normalized.json").exists(), "nothing of it passes for evidence");
    bench.assert_nothing_left();
}

#[test]
fn a_bundle_with_a_file_changed_is_not_collected() {
    let bench = Bench::new().fault("change_artifact");
    fails(&bench, &[], "collect_failed");
    bench.assert_nothing_left();
}

#[test]
fn a_slow_bootout_is_waited_for_before_anything_is_collected() {
    let bench = Bench::new().fault("slow_bootout");
    expect(&bench.run(&[]), 0);
    expect(&bench.validity(), 0);
    bench.assert_nothing_left();
}

#[test]
fn a_bootout_that_fails_once_is_tried_by_label() {
    let bench = Bench::new().fault("bootout_fails_once");
    expect(&bench.run(&[]), 0);
    assert_eq!(bench.verbs()[3..], ["bootout", "bootout"]);
    assert_eq!(bench.diagnostics()["left_behind"], json!([]));
    bench.assert_nothing_left();
}

#[test]
fn a_job_that_launchd_keeps_is_named() {
    let bench = Bench::new().fault("bootout_fails");
    let output = bench.run(&["--json"]);
    expect(&output, 0);
    let answer = Bench::answer(&output);
    let left = answer["left_behind"][0].as_str().unwrap();
    let label = bench.diagnostics()["label"].as_str().unwrap().to_owned();
    assert!(left.starts_with("gui/") && left.ends_with(&label), "{left}");
    assert_eq!(bench.diagnostics()["left_behind"], json!([left]));
    assert_eq!(bench.jobs(), [label], "the stand-in keeps it, as it was told to");
    assert!(bench.stages().is_empty());
}

#[test]
fn a_live_worker_that_launchd_keeps_spoils_the_run() {
    let bench = Bench::waiting().fault("bootout_fails");
    let more = ["--launchd-timeout-seconds", "1", "--probe-timeout-seconds", "12"];
    // Not "was ended": it goes on.
    fails(&bench, &more, "bootout_failed");
    assert!(bench.stages().is_empty());
}

#[test]
fn noise_on_every_stream_changes_nothing() {
    let bench = Bench::new().fault("garbage").fault("early_noise");
    expect(&bench.run(&[]), 0);
    expect(&bench.validity(), 0);
    let label = bench.diagnostics()["label"].as_str().unwrap().to_owned();
    let kept = |name: String| std::fs::read_to_string(bench.suite.latest().join("launchctl").join(name)).unwrap();
    assert!(kept(format!("{label}.bootstrap.stderr.txt")).contains("garbage on stderr"));
    assert!(kept(format!("{label}.stderr.txt")).starts_with("warning: something spoke before the worker did"));
    bench.assert_nothing_left();
}

#[test]
fn a_start_that_is_not_clean_runs_nothing() {
    for (fault, reason) in [("other_label", "other_job"), ("preloaded", "preloaded_libraries")] {
        let bench = Bench::new().fault(fault);
        let diagnostics = fails(&bench, &[], "start_not_clean");
        assert_eq!(diagnostics["completion"]["not_clean"], json!([reason]));
        assert!(!bench.suite.latest().join("runtime_results.json").exists());
        bench.assert_nothing_left();
    }
}

#[test]
fn a_plan_that_the_worker_cannot_run_says_why() {
    let bench = Bench::new();
    let output = bench.run_with(&[("SANDBOX_LORE_WITNESS_OBSERVER", "1"), ("WITNESS_OBSERVER_PAD_S", "1")], &[]);
    // The observer's variables reach the worker; that there is no observer is said in its rows.
    expect(&output, 0);
    let rows = bench.suite.rows("demo:reads");
    assert_eq!(rows[0]["observer"]["skipped"], "observer_missing", "{rows:#?}");
    bench.assert_nothing_left();
}

#[test]
fn a_staging_directory_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new();
    std::fs::create_dir(bench.base()).unwrap();
    std::fs::set_permissions(bench.base(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let output = bench.run(&[]);
    expect(&output, 3);
    assert!(text(&output).contains("others may write into it"), "{}", text(&output));
    assert_eq!(bench.suite.document("run_status.json")["state"], "failed");
    assert!(bench.calls().is_empty());
    bench.assert_nothing_left();
}

#[test]
fn a_dry_run_goes_the_whole_way_and_executes_no_probe() {
    let bench = Bench::new();
    let output = bench.run(&["--json", "--dry"]);
    expect(&output, 0);
    assert_eq!(Bench::answer(&output)["status"], "dry");
    expect(&bench.validity(), 0);
    bench.assert_nothing_left();
}

#[test]
fn a_locked_bundle_root_is_refused_before_launchd_is_asked() {
    let bench = Bench::new();
    bench.suite.write();
    std::fs::create_dir_all(bench.suite.out()).unwrap();
    let file = std::fs::File::create(bench.suite.out().join(".runtime.lock")).unwrap();
    file.lock().unwrap();
    expect(&bench.run(&[]), 1);
    assert!(bench.calls().is_empty());
    bench.assert_nothing_left();
}
