//! `run.json` on every way out.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::{FIXTURE, Place};

#[test]
fn a_program_that_fails_by_itself_is_not_learned() {
    let place = Place::new();
    let done = place.runtime(&["shrink-trace", "workflow", "--cmd", FIXTURE, "--", "read", "/nonexistent"]);
    assert_eq!(done.status, 1, "{done:?}");
    let record = place.json("shrink-out/run.json");
    assert_eq!(record["trace"]["status"], "no_new_rules", "{record:#}");
    assert_eq!(record["shrink"]["status"], "skipped");
    assert_eq!(record["shrink"]["reason"], "trace_no_new_rules");
    assert_eq!(record["success"], false);
    assert_ne!(record["trace"]["completeness"]["verdict"], "complete");
}

/// Starts a trace of a program that never ends, and waits until it runs.
fn begun(place: &Place) -> Child {
    let words = ["shrink-trace", "trace", "--profile", "p.sb", "--cmd", FIXTURE, "--", "sleep", "50"];
    let child = place.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !place.path("shrink-out/phases/trace/stdout.txt").exists() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(300));
    child
}

/// The record and the status of each phase that has one meet their schemas.
fn assert_schemas(place: &Place, out: &str) {
    let phases = ["trace", "shrink"].map(|phase| format!("{out}/phases/{phase}/status.json"));
    for file in phases.into_iter().filter(|file| place.path(file).exists()).chain([format!("{out}/run.json")]) {
        let done = place.runtime(&["schema", "check", &file]);
        assert_eq!(done.status, 0, "{file}: {done:?}");
    }
}

#[test]
fn an_interrupted_run_says_so() {
    let place = Place::new();
    let start = Instant::now();
    let mut child = begun(&place);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(3));
    assert!(start.elapsed() < Duration::from_secs(40));
    let record = place.json("shrink-out/run.json");
    assert_eq!(record["success"], false);
    assert!(record["error"].as_str().unwrap().contains("interrupted"), "{record:#}");
    assert_eq!(place.json("shrink-out/phases/trace/status.json")["reason"], "interrupted");
    assert_eq!(record["shrink"]["reason"], "trace_interrupted");
    assert_schemas(&place, "shrink-out");
}

#[test]
fn a_killed_run_is_not_taken_for_the_one_before_it() {
    let place = Place::new();
    let done = place.runtime(&["shrink-trace", "workflow", "--cmd", FIXTURE, "--", "min"]);
    assert_eq!(done.status, 0, "{done:?}");
    assert_schemas(&place, "shrink-out");
    let mut child = begun(&place);
    child.kill().unwrap();
    child.wait().unwrap();
    let record = place.json("shrink-out/run.json");
    assert!(record["error"].as_str().unwrap().contains("has not ended, or was killed"), "{record:#}");
    for (pointer, expected) in [
        ("/success", json!(false)),
        ("/trace/status", json!("unknown")),
        ("/shrink/status", json!("unknown")),
        ("/shrink/reason", json!(null)),
        ("/trace/iterations", json!(null)),
        ("/paths/profiles/shrunk", json!(null)),
    ] {
        assert_eq!(record.pointer(pointer), Some(&expected), "{pointer}: {record:#}");
    }
    assert_schemas(&place, "shrink-out");
}

#[test]
fn a_program_that_is_not_there_or_none_could_not_be_asked() {
    let place = Place::new();
    place.file("data", "no program");
    place.file("all.sb", "(version 1)\n(allow default)\n");
    for (program, why) in [
        ("no-such-program", "cannot execute no-such-program: not found"),
        ("/nonexistent/program", "cannot execute /nonexistent/program: not found"),
        ("./data", "data: Permission denied"),
    ] {
        for words in [&["trace", "--profile", "p.sb"][..], &["workflow"], &["shrink", "--profile", "all.sb"]] {
            let done = place.runtime(&[&["shrink-trace"][..], words, &["--cmd", program]].concat());
            assert_eq!(done.status, 3, "{words:?} {program}: {done:?}");
            assert!(done.stderr.contains(why), "{words:?} {program}: {done:?}");
            assert_eq!(place.json("shrink-out/run.json")["success"], false);
            assert_schemas(&place, "shrink-out");
        }
    }
}

#[test]
fn what_is_wrong_with_a_profile_is_named_with_its_place() {
    let place = Place::new();
    place.file("b.sb", "(version 1)\n(deny default)\n (alow file-read*)\n");
    place.file("open.sb", "(version 1)\n(deny default\n");
    place.file("dd.sb", "(version 1)\n(deny default)\n");
    let run = |words: &[&str]| {
        place.runtime(&[&["shrink-trace"][..], words, &["--out", "o", "--cmd", FIXTURE, "--", "min"]].concat())
    };
    for (profile, at) in [("b.sb", "b.sb:3:3: "), ("open.sb", "open.sb:2:1: ")] {
        let before = place.text_of(profile);
        for command in ["trace", "shrink"] {
            let done = run(&[command, "--profile", profile]);
            assert!([1, 3].contains(&done.status), "{done:?}");
            let told = format!("{}{}", done.stdout, done.stderr);
            assert!(told.contains(at), "{command} {profile}: {told}");
            assert!(!told.contains("may have missed") && !told.contains("profile.sb"), "{command} {profile}: {told}");
            assert_eq!(place.text_of(profile), before);
            assert_schemas(&place, "o");
        }
    }
    // What keeps the program from working is a refusal, with its rule.
    let done = run(&["shrink", "--profile", "dd.sb"]);
    assert_eq!(done.status, 1, "{done:?}");
    let why = format!("status 126; the last refusal: process-exec* {FIXTURE}, by dd.sb:2");
    assert!(done.stdout.contains(&why) && done.stdout.contains("shrink: pre_shrink_failed\n"), "{done:?}");
    assert_eq!(place.json("o/run.json")["shrink"]["why"], json!(why));
    assert_schemas(&place, "o");
}

#[test]
fn one_is_not_some() {
    let place = Place::new();
    place.file("p.sb", "(version 1)\n(allow default)\n");
    let done = place.runtime(&["shrink-trace", "shrink", "--profile", "p.sb", "--cmd", FIXTURE, "--", "min"]);
    assert_eq!(done.status, 0, "{done:?}");
    place.file("l.jsonl", "{\"operation\": \"process-fork\", \"target\": \"\", \"pid\": 1, \"count\": 1}\n");
    let words =
        ["shrink-trace", "trace", "--profile", "n.sb", "--out", "l", "--seed-dyld", "0", "--from-log", "l.jsonl"];
    let learned = place.runtime(&words);
    assert!(learned.stdout.contains("learned 1 rule from 1 refusal, completeness"), "{learned:?}");
    let words =
        ["shrink-trace", "trace", "--profile", "n2.sb", "--out", "t", "--cmd", FIXTURE, "--max-iterations", "1"];
    let traced = place.runtime(&[&words[..], &["--", "min"]].concat());
    assert!(traced.stdout.contains("max_iters after 1 iteration, "), "{traced:?}");
    for told in [done, learned, traced] {
        let text = format!(" {}{}", told.stdout, told.stderr).replace('\n', " ");
        let words: Vec<&str> = text.split(' ').collect();
        for pair in words.windows(2).filter(|pair| pair[0] == "1") {
            assert!(!pair[1].trim_end_matches([',', ';']).ends_with('s'), "{pair:?}: {text}");
        }
    }
}

#[test]
fn time_limits_checks_of_the_result_and_bad_profiles_have_their_words() {
    let place = Place::new();
    let run = |words: &[&str]| {
        let mut all = vec!["shrink-trace"];
        all.extend(words);
        place.runtime(&all)
    };
    // A server is ended by its limit, which is a success where the caller says so; then it was not seen to its end.
    let done = run(&[
        "trace",
        "--profile",
        "s.sb",
        "--out",
        "s",
        "--cmd",
        FIXTURE,
        "--timeout",
        "0.4",
        "--timeout-ok",
        "--",
        "sleep",
        "50",
    ]);
    assert_eq!(done.status, 0, "{done:?}");
    assert_eq!(place.json("s/run.json")["trace"]["completeness"]["verdict"], "unknown");
    let strict = [
        "trace",
        "--profile",
        "s2.sb",
        "--out",
        "s2",
        "--cmd",
        FIXTURE,
        "--timeout",
        "0.4",
        "--timeout-ok",
        "--require-complete",
        "--",
        "sleep",
        "50",
    ];
    assert_eq!(run(&strict).status, 1);
    let late =
        run(&["trace", "--profile", "t.sb", "--out", "t", "--cmd", FIXTURE, "--timeout", "0.4", "--", "sleep", "50"]);
    assert_eq!(late.status, 1, "{late:?}");
    // A check of the result sees what the exit status does not.
    let check = |command: &str, out: &str| {
        run(&[
            "trace",
            "--profile",
            &format!("{out}.sb"),
            "--out",
            out,
            "--success-cmd",
            command,
            "--cmd",
            FIXTURE,
            "--",
            "target",
        ])
    };
    assert_eq!(check("test -s made/file && grep -q users \"$STDOUT\"", "c1").status, 0);
    assert_eq!(check("test -s made/other", "c2").status, 1);
    assert_eq!(place.json("c2/run.json")["trace"]["why"], "the success command failed");
    place.file("bad.sb", "(version 1)\n(deny default)\n(allow file-read* (literal \"relative\" 3))\n");
    let bad = run(&["trace", "--profile", "bad.sb", "--out", "b", "--cmd", FIXTURE, "--", "min"]);
    assert_eq!(bad.status, 1, "{bad:?}");
    let record = place.json("b/run.json");
    assert_eq!(record["trace"]["status"], "profile_invalid", "{record:#}");
    assert!(place.path("b/phases/trace/issues/profile_invalid_iter_1/reason.txt").exists());
    let gated = "(version 1)\n(deny default)\n(allow mach-bootstrap (apply-message-filter (deny mach-message-send)))\n";
    place.file("gated.sb", gated);
    assert_eq!(run(&["trace", "--profile", "gated.sb", "--out", "g", "--cmd", FIXTURE, "--", "min"]).status, 1);
    assert_eq!(place.json("g/run.json")["trace"]["status"], "preflight_failed");
    let absent = run(&["shrink", "--profile", "absent.sb", "--out", "a", "--cmd", FIXTURE, "--", "min"]);
    assert_eq!(absent.status, 3, "{absent:?}");
    assert_eq!(place.json("a/run.json")["shrink"]["reason"], "missing_trace_profile");
    assert_eq!(run(&["workflow"]).status, 2);
    assert_eq!(run(&["trace", "--max-iterations", "0", "--cmd", FIXTURE, "--", "min"]).status, 2);
}

#[test]
fn lint_answers_with_its_own_statuses() {
    let place = Place::new();
    place.file("good.sb", "(version 1)\n(deny default)\n(allow network-outbound (remote ip \"localhost:80\"))\n");
    place.file(
        "bad.sb",
        "(version 1)\n(deny default)\n(allow network-outbound (remote ip \"10.0.0.1:80\") (remote unix-socket))\n",
    );
    let lint = |name: &str| place.runtime(&["shrink-trace", "lint", "--profile", name]);
    assert_eq!(lint("good.sb").status, 0);
    let bad = lint("bad.sb");
    assert_eq!(bad.status, 1);
    assert!(
        bad.stdout.contains("3: ")
            && bad.stdout.contains("[network-host]")
            && bad.stdout.contains("[unix-socket-shape]"),
        "{bad:?}"
    );
    assert_eq!(lint("absent.sb").status, 2);
    // What is a link on macOS is a directory on Linux, which also has sockets without a path.
    place.file(
        "linux.sb",
        "(version 1)\n(deny default)\n(allow file-read-data (subpath \"/etc/ssl\"))\n\
         (allow network-outbound (remote unix-socket))\n",
    );
    let linux = place.runtime(&["shrink-trace", "lint", "--profile", "linux.sb", "--system", "linux"]);
    assert_eq!((linux.status, linux.stdout.as_str()), (0, ""), "{linux:?}");
    let macos = lint("linux.sb");
    assert!(macos.stdout.contains("[link-in-path]") && macos.stdout.contains("[unix-socket-shape]"), "{macos:?}");
}
