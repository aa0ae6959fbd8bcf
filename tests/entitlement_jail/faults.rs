//! Everything that can go wrong with the app: it ends within its limit, with a word for what happened, and leaves nothing
//! behind ([`Place::record`] looks).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Place, words};

/// A short limit for those that never end.
fn limit(fault: &str) -> &'static str {
    if matches!(fault, "hang" | "ignore-term") { "0.7" } else { "20" }
}

fn run(place: &Place, fault: &str) -> (crate::support::Ran, Value) {
    let all = ["run-xpc", "--timeout", limit(fault), "--kill-after", "0.3", "--profile", "minimal", "fs_op"];
    place.record(&all, &[("EJ_FAKE_FAULT", fault)])
}

#[test]
fn every_fault_has_its_outcome() {
    let place = Place::new();
    for (fault, status, outcome, problems) in [
        ("none", 0, "completed", &[][..]),
        ("hang", 1, "timed_out", &["timed_out", "stdout_empty"]),
        ("ignore-term", 1, "timed_out", &["timed_out", "stdout_empty"]),
        ("signal", 1, "ended_by_signal", &["ended_by_signal", "stdout_empty"]),
        ("no-json", 1, "no_answer", &["stdout_not_json"]),
        ("noise", 1, "no_answer", &["stdout_not_json"]),
        ("bad-utf8", 1, "no_answer", &["stdout_not_utf8"]),
        ("no-stdout", 1, "no_answer", &["stdout_empty"]),
        ("big-stdout", 1, "no_answer", &["stdout_truncated"]),
        ("wrong-ids", 1, "wrong_answer", &["ids_differ"]),
        ("not-ok", 1, "failed", &["exit_contradicts_result", "result_not_ok"]),
        ("no-pid", 0, "completed", &["pid_missing"]),
        ("text-pid", 0, "completed", &["pid_missing"]),
        ("number-pid", 0, "completed", &[]),
        ("big-stderr", 0, "completed", &[]),
        ("leave-child", 0, "completed", &[]),
        ("no-report", 0, "completed", &["no_deny_evidence"]),
        ("observer-not-ok", 0, "completed", &["no_deny_evidence"]),
    ] {
        let (ran, record) = run(&place, fault);
        let told: Vec<&str> = words(&record["problems"]);
        // Without a process id the evidence of the observer is about nobody.
        let told: Vec<&str> = match fault {
            "no-pid" | "text-pid" => told.into_iter().filter(|word| *word != "no_deny_evidence").collect(),
            _ => told,
        };
        assert_eq!(
            (ran.status, &record["outcome"], told.as_slice()),
            (status, &json!(outcome), problems),
            "{fault}: {record:#}"
        );
        // Its own limit, the time to kill, and room for a busy machine.
        assert!(ran.took < Duration::from_secs(40), "{fault}: {:?}", ran.took);
    }
}

#[test]
fn how_it_ended_is_told_apart() {
    let place = Place::new();
    for (fault, exit_code, exit_status, signal, timed_out, killed) in [
        ("hang", json!(-15), json!(null), json!(15), true, false),
        ("ignore-term", json!(-9), json!(null), json!(9), true, true),
        ("signal", json!(-9), json!(null), json!(9), false, false),
        ("none", json!(0), json!(0), json!(null), false, false),
    ] {
        let (_, record) = run(&place, fault);
        let told = (&record["exit_code"], &record["exit_status"], &record["signal"]);
        assert_eq!(told, (&exit_code, &exit_status, &signal), "{fault}");
        assert_eq!((&record["timed_out"], &record["killed"]), (&json!(timed_out), &json!(killed)), "{fault}");
    }
}

#[test]
fn output_is_kept_without_loss_as_far_as_it_is_kept() {
    let place = Place::new();
    let (_, record) = run(&place, "bad-utf8");
    let bytes = place.bytes(&record["stdout_file"]);
    assert_eq!(bytes[..2], [0xff, 0xfe]);
    assert_eq!(record["stdout_bytes"], bytes.len());
    assert_eq!(record["error"], "InvalidUtf8: stdout at byte 0");
    assert!(record["stdout"].as_str().unwrap().starts_with("\u{fffd}\u{fffd}"));
    let (_, record) = run(&place, "big-stderr");
    let kept = place.bytes(&record["stderr_file"]);
    assert_eq!((kept.len(), &record["stderr_truncated"]), (1024 * 1024, &json!(true)));
    assert!(record["stderr_bytes"].as_u64().unwrap() > 3 * 1024 * 1024);
    let (_, record) = run(&place, "big-stdout");
    assert_eq!((place.bytes(&record["stdout_file"]).len(), &record["stdout_bytes"]), (8 << 20, &json!(9 << 20)));
}

#[test]
fn an_interrupted_call_takes_the_app_with_it_and_says_so() {
    let place = Place::new();
    let words = ["entitlement-jail", "run-xpc", "--kill-after", "0.3", "--profile", "minimal", "fs_op"];
    let child =
        place.command(&words, &[("EJ_FAKE_FAULT", "hang")]).stdout(std::process::Stdio::null()).spawn().unwrap();
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while std::fs::read_to_string(place.path("pids")).unwrap_or_default().lines().count() < 2 {
        assert!(std::time::Instant::now() < until, "the app did not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut child = child;
    assert_eq!(child.wait().unwrap().code(), Some(3));
    let run = std::fs::read_to_string(place.path("out/LATEST")).unwrap();
    let record: Value = serde_json::from_slice(
        &std::fs::read(place.path("out").join(run.trim()).join("entitlement_jail.json")).unwrap(),
    )
    .unwrap();
    assert_eq!((&record["outcome"], &record["timed_out"]), (&json!("cancelled"), &json!(false)));
    // The next call looks for what is left.
    place.record(&["run-xpc", "--profile", "minimal", "fs_op"], &[]);
}
