//! `run.json` on every way out.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{FIXTURE, Place};

#[test]
fn a_program_that_fails_by_itself_is_not_learned() {
    let place = Place::new();
    let done = place.runtime(&["shrink-trace", "workflow", "--cmd", FIXTURE, "--", "read", "/nonexistent"]);
    assert_eq!(done.status, 1, "{done:?}");
    let record = place.json("out/run.json");
    assert_eq!(record["trace"]["status"], "no_new_rules", "{record:#}");
    assert_eq!(record["shrink"]["status"], "skipped");
    assert_eq!(record["shrink"]["reason"], "trace_no_new_rules");
    assert_eq!(record["success"], false);
    assert_ne!(record["trace"]["completeness"]["verdict"], "complete");
}

#[test]
fn an_interrupted_run_says_so() {
    let place = Place::new();
    let mut child = place
        .command(&["shrink-trace", "trace", "--profile", "p.sb", "--cmd", FIXTURE, "--", "sleep", "50"])
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !place.path("out/phases/trace/stdout.txt").exists() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(3));
    assert!(start.elapsed() < Duration::from_secs(40));
    let record = place.json("out/run.json");
    assert_eq!(record["success"], false);
    assert!(record["error"].as_str().unwrap().contains("interrupted"), "{record:#}");
    assert_eq!(place.json("out/phases/trace/status.json")["reason"], "interrupted");
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
}
