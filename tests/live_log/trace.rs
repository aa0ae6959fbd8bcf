//! `shrink-trace` from the live log.

use std::process::Output;

use serde_json::{Value, json};

use crate::bench::{Bench, expect, text};

/// Traces a program that must read two files.
fn trace(bench: &Bench, more: &[&str]) -> Output {
    let (one, two) = (bench.file("one", "1"), bench.file("two", "2"));
    let stand_ins = bench.stand_ins();
    let mut words = vec!["shrink-trace", "trace", "--profile", "learned.sb", "--out", "out", "--deny-scope", "tree"];
    words.extend(stand_ins.iter().map(String::as_str));
    words.extend(more);
    words.extend(["--cmd", env!("CARGO_BIN_EXE_shrink-fixture"), "--", "read", &one, &two]);
    bench.command(&words).output().unwrap()
}

fn record(bench: &Bench) -> Value {
    serde_json::from_slice(&std::fs::read(bench.path("out/run.json")).unwrap()).unwrap()
}

#[test]
fn a_profile_is_learned_from_the_live_log_and_names_the_stand_ins() {
    let bench = Bench::new().fault("foreign");
    let output = trace(&bench, &["--require-complete"]);
    expect(&output, 0);
    let profile = std::fs::read_to_string(bench.path("learned.sb")).unwrap();
    for file in ["one", "two"] {
        let rule = format!("(allow file-read-data (literal \"{}\"))", bench.path(file).display());
        assert!(profile.contains(&rule), "{rule}: {profile}");
    }
    assert!(!profile.contains("/Users/u/private") && !profile.contains("message"), "{profile}");
    let record = record(&bench);
    assert_eq!(record["stand_in_tools"], json!(["log", "sandbox-exec"]));
    assert_eq!(record["trace"]["completeness"]["verdict"], "complete", "{record:#}");
    assert!(record["trace"]["foreign"]["Messenger (Beta)"].as_u64().unwrap() > 0, "{record:#}");
    assert_eq!(record["knobs"]["deny_scope_effective"], "tree");
    assert!(bench.path("out/phases/trace/logs/iter_1.log").metadata().unwrap().len() > 0);
    let strays: Vec<_> = ["jobs", "phases/trace/stdout.applied.sb"]
        .into_iter()
        .filter(|own| bench.path("out").join(own).exists())
        .collect();
    assert_eq!(strays, Vec::<&str>::new());
    bench.assert_nothing_left();
}

#[test]
fn a_log_that_may_lack_a_refusal_is_no_complete_trace() {
    for (fault, limit) in [("dropped", "30"), ("no_end_sentinel", "3")] {
        let bench = Bench::new().fault(fault);
        let output = trace(&bench, &["--require-complete", "--max-iterations", "2", "--log-seconds", limit]);
        expect(&output, 1);
        let completeness = &record(&bench)["trace"]["completeness"];
        assert_eq!(completeness["verdict"], "lossy", "{fault}: {completeness:#}");
        bench.assert_nothing_left();
    }
}

#[test]
fn a_target_whose_refusals_would_not_be_seen_is_not_started() {
    let bench = Bench::new().fault("no_start_sentinel");
    let output = trace(&bench, &["--log-seconds", "0.5"]);
    expect(&output, 3);
    assert!(text(&output).contains("the target was not started"), "{}", text(&output));
    let record = record(&bench);
    assert_eq!((&record["success"], &record["trace"]["status"]), (&json!(false), &json!("unknown")));
    assert_eq!(record["stand_in_tools"], json!(["log", "sandbox-exec"]));
    bench.assert_nothing_left();
}

#[test]
fn a_profile_is_shrunk_under_the_same_program() {
    let bench = Bench::new();
    let (one, two) = (bench.file("one", "1"), bench.file("two", "2"));
    let profile = format!("(version 1)\n(allow default)\n(allow file-read-data (literal \"{two}\"))\n");
    let profile = bench.file("p.sb", &profile);
    let stand_ins = bench.stand_ins();
    let mut words = vec!["shrink-trace", "shrink", "--profile", &profile, "--out", "shrunk"];
    words.extend(stand_ins.iter().map(String::as_str));
    words.extend(["--cmd", env!("CARGO_BIN_EXE_shrink-fixture"), "--", "read", &one]);
    expect(&bench.command(&words).output().unwrap(), 0);
    let shrunk = std::fs::read_to_string(bench.path("shrunk/profiles/shrunk.sb")).unwrap();
    assert!(shrunk.contains("(allow default)") && !shrunk.contains(&two), "{shrunk}");
    assert!(bench.path("tools/calls.log").exists(), "sandbox-exec applied it");
    bench.assert_nothing_left();
}
