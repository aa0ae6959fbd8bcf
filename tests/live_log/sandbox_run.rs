//! `sandbox run --denials` from the live log.

use std::process::Output;

use serde_json::{Value, json};

use crate::bench::{Bench, expect, text};

/// Runs `cat` on an allowed and a denied file; the refusals go to `denials.jsonl`.
fn run(bench: &Bench, more: &[&str]) -> Output {
    let (open, secret) = (bench.file("open", "open\n"), bench.file("secret", "secret\n"));
    let profile = format!("(version 1)\n(allow default)\n(deny file-read-data (literal \"{secret}\"))\n");
    let profile = bench.file("p.sb", &profile);
    let stand_ins = bench.stand_ins();
    let mut words =
        vec!["sandbox", "run", "--profile", &profile, "--denials", "denials.jsonl", "--report", "report.json"];
    words.extend(stand_ins.iter().map(String::as_str));
    words.extend(more);
    words.extend(["--", "/bin/cat", &open, &secret]);
    bench.command(&words).output().unwrap()
}

/// The refusals, and what is said of the capture.
fn told(bench: &Bench) -> (Vec<Value>, Value) {
    let mut lines = bench.lines("denials.jsonl");
    let last = lines.pop().expect("the capture is always told");
    assert!(lines.iter().all(|line| line.get("capture").is_none()));
    (lines, last["capture"].clone())
}

/// Every line meets the schema of denials.
fn assert_lines_meet_their_schema(bench: &Bench) {
    let schema = runtime::schema::Validator::of(runtime::schema::by_name("denial").unwrap());
    let lines = bench.lines("denials.jsonl");
    for line in &lines {
        let violations = schema.violations(line);
        assert!(violations.is_empty(), "{line:#}: {violations:#?}");
    }
    let mut other = lines.last().unwrap().clone();
    other["capture"]["complete"] = json!("yes");
    assert!(!schema.violations(&other).is_empty());
}

fn kinds(capture: &Value) -> Vec<&str> {
    capture["gaps"].as_array().unwrap().iter().map(|gap| gap["kind"].as_str().unwrap()).collect()
}

#[test]
fn a_refusal_between_the_sentinels_is_told_and_the_stand_ins_with_it() {
    let bench = Bench::new();
    let output = run(&bench, &[]);
    expect(&output, 1);
    assert!(text(&output).contains("open\n") && !text(&output).contains("secret\n"), "{}", text(&output));
    let (denials, capture) = told(&bench);
    assert_eq!(denials.len(), 1, "{denials:#?}");
    assert_eq!((&denials[0]["operation"], &denials[0]["process"]), (&json!("file-read-data"), &json!("cat")));
    assert_eq!(denials[0]["target"], json!(bench.path("secret")));
    assert_eq!(
        capture,
        json!({
            "source": "log_stream", "complete": true, "gaps": [], "foreign": {},
            "stand_in_tools": ["log", "sandbox-exec"],
        })
    );
    let report: Value = serde_json::from_slice(&std::fs::read(bench.path("report.json")).unwrap()).unwrap();
    let layer = &report["layers"]["layers"]["sandbox-exec"];
    assert!(layer["detail"].as_str().unwrap().contains("tools/sandbox-exec"), "{report:#}");
    assert_eq!(report["operations"], json!({}), "what the system enforces is not known here");
    bench.assert_nothing_left();
}

#[test]
fn a_stream_that_is_late_is_waited_for() {
    let bench = Bench::new().fault("slow_stream");
    expect(&run(&bench, &[]), 1);
    let (denials, capture) = told(&bench);
    assert_eq!((denials.len(), &capture["complete"]), (1, &json!(true)), "{capture:#}");
    bench.assert_nothing_left();
}

#[test]
fn without_a_first_sentinel_the_command_does_not_begin() {
    for (fault, said) in [
        ("no_start_sentinel", "the sentinel at the start was not seen within 1 s"),
        ("stream_fails", "the log tool ended by itself (exit status 64)"),
        ("exec_refused", "no refusal could be provoked as a sentinel at the start: exit status 71"),
        ("nothing_refused", "the file that the profile denies was read"),
    ] {
        let bench = Bench::new().fault(fault);
        let output = run(&bench, &["--log-seconds", "1"]);
        expect(&output, 125);
        let all = text(&output);
        assert!(all.contains(said) && all.contains("the command was not started"), "{fault}: {all}");
        assert!(!all.contains("open\n"), "{fault}: {all}");
        assert!(!bench.path("denials.jsonl").exists(), "{fault}: nothing ran, so there is nothing to tell");
        bench.assert_nothing_left();
    }
}

#[test]
fn every_way_to_lose_a_refusal_is_a_state_of_its_own() {
    for (fault, expected) in [
        ("no_end_sentinel", "sentinel_missing"),
        ("dropped", "dropped"),
        ("crash_stream", "stream_ended"),
        ("garbage_stream", "garbage"),
        ("huge_line", "too_long"),
    ] {
        let bench = Bench::new().fault(fault);
        // Only a sentinel that never comes is waited for to the end.
        let limit = if fault == "no_end_sentinel" { "3" } else { "30" };
        let output = run(&bench, &["--log-seconds", limit]);
        // The command's own status: it ran.
        expect(&output, 1);
        let (denials, capture) = told(&bench);
        assert_eq!((&capture["complete"], kinds(&capture)), (&json!(false), vec![expected]), "{fault}: {capture:#}");
        assert!(text(&output).contains("warning: refusals may be missing"), "{fault}: {}", text(&output));
        assert_lines_meet_their_schema(&bench);
        // What was seen is told all the same.
        assert_eq!(denials.len(), 1, "{fault}: {denials:#?}");
        bench.assert_nothing_left();
    }
}

#[test]
fn refusals_of_others_are_counted_and_left_out() {
    let bench = Bench::new().fault("foreign");
    let output = run(&bench, &[]);
    expect(&output, 1);
    let (denials, capture) = told(&bench);
    assert_eq!(denials.len(), 1, "{denials:#?}");
    assert_eq!(capture["foreign"], json!({"Messenger (Beta)": 2}), "{capture:#}");
    assert!(!std::fs::read_to_string(bench.path("denials.jsonl")).unwrap().contains("/Users/u/private"));
    assert!(text(&output).contains(" of other processes left out"), "{}", text(&output));
    bench.assert_nothing_left();
}

#[test]
fn a_command_that_is_refused_nothing_has_a_capture_that_says_so() {
    let bench = Bench::new();
    let open = bench.file("open", "open\n");
    let profile = bench.file("p.sb", "(version 1)\n(allow default)\n");
    let stand_ins = bench.stand_ins();
    let mut words = vec!["sandbox", "run", "--profile", &profile, "--denials", "denials.jsonl"];
    words.extend(stand_ins.iter().map(String::as_str));
    words.extend(["--", "/bin/cat", &open]);
    expect(&bench.command(&words).output().unwrap(), 0);
    let (denials, capture) = told(&bench);
    assert_eq!((denials, &capture["complete"]), (vec![], &json!(true)));
    bench.assert_nothing_left();
}

#[test]
fn an_interrupted_command_leaves_nothing_behind() {
    let bench = Bench::new();
    let profile = bench.file("p.sb", "(version 1)\n(allow default)\n");
    let stand_ins = bench.stand_ins();
    let mut words = vec!["sandbox", "run", "--profile", &profile, "--denials", "denials.jsonl"];
    words.extend(stand_ins.iter().map(String::as_str));
    let begun = bench.path("begun").display().to_string();
    words.extend(["--", "/bin/sh", "-c", "touch \"$1\"; sleep 60", "sh", &begun]);
    let child = bench.command(&words).spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !bench.path("begun").exists() {
        assert!(std::time::Instant::now() < deadline, "the command did not begin");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let (_, capture) = told(&bench);
    assert_eq!(capture["complete"], true, "{capture:#}");
    bench.assert_nothing_left();
}

#[test]
fn what_cannot_be_had_from_the_log_is_refused_as_usage() {
    let bench = Bench::new();
    expect(&run(&bench, &["--observe"]), 2);
    let profile = bench.file("p.sb", "(version 1)\n(allow default)\n");
    let stand_ins = bench.stand_ins();
    let words = ["sandbox", "run", "--profile", &profile, &stand_ins[0], "--", "/bin/true"];
    let output = bench.command(&words).output().unwrap();
    expect(&output, 2);
    assert!(text(&output).contains("give --denials"), "{}", text(&output));
}

#[test]
fn a_program_of_the_log_that_is_not_there_is_named() {
    let bench = Bench::new();
    std::fs::remove_file(bench.path("tools/log")).unwrap();
    let output = run(&bench, &[]);
    expect(&output, 125);
    assert!(text(&output).contains("tools/log"), "{}", text(&output));
    bench.assert_nothing_left();
}
