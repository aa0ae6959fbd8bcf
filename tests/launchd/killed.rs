//! Interrupted and killed parents: nothing of their jobs stays, at the latest after the next run.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::suite::{expect, text};

/// Waits until the job has begun.
fn wait_for_worker(bench: &Bench) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let begun = || bench.stages().iter().any(|stage| stage.join("state/progress.jsonl").exists());
    while !begun() {
        assert!(Instant::now() < deadline, "the job did not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn an_interrupted_run_takes_its_job_back_and_commits_nothing() {
    for name in ["-INT", "-TERM"] {
        let bench = Bench::waiting();
        let child = bench.start(&["--probe-timeout-seconds", "60"]);
        wait_for_worker(&bench);
        signal(name, child.id());
        let output = child.wait_with_output().unwrap();
        expect(&output, 1);
        assert!(text(&output).contains("interrupted"), "{}", text(&output));
        assert!(!bench.suite.out().join("LATEST").exists());
        assert!(bench.verbs().ends_with(&["bootout".to_owned()]), "{:?}", bench.verbs());
        bench.assert_nothing_left();
    }
}

#[test]
fn what_a_killed_parent_left_is_removed_by_the_next_run() {
    let bench = Bench::waiting();
    let mut child = bench.start(&["--probe-timeout-seconds", "60"]);
    wait_for_worker(&bench);
    signal("-KILL", child.id());
    child.wait().unwrap();
    let left = bench.stages();
    assert_eq!((left.len(), bench.jobs().len()), (1, 1));
    let output = bench.run(&["--only-profile", "demo:quick"]);
    expect(&output, 0);
    let said = format!("removed {}", left[0].display());
    assert!(text(&output).contains(&said), "{said}: {}", text(&output));
    bench.assert_nothing_left();
}

#[test]
fn the_stage_of_a_living_parent_is_left_alone() {
    let bench = Bench::waiting();
    let child = bench.start(&["--probe-timeout-seconds", "60"]);
    wait_for_worker(&bench);
    let beside = Bench::waiting();
    let base = bench.base();
    let output = beside.run_at(&base, &["--only-profile", "demo:quick"]);
    expect(&output, 0);
    assert_eq!(bench.stages().len(), 1, "the first run's stage");
    signal("-INT", child.id());
    expect(&child.wait_with_output().unwrap(), 1);
    bench.assert_nothing_left();
}

#[test]
fn an_interrupted_run_names_the_job_that_launchd_keeps() {
    let bench = Bench::waiting().fault("bootout_fails");
    let child = bench.start(&["--probe-timeout-seconds", "3"]);
    wait_for_worker(&bench);
    signal("-INT", child.id());
    let output = child.wait_with_output().unwrap();
    expect(&output, 1);
    let said = text(&output);
    assert!(said.contains("interrupted") && said.contains("left behind: gui/"), "{said}");
    assert_eq!(bench.jobs().len(), 1, "the stand-in keeps it, as it was told to");
    assert!(bench.stages().is_empty());
}
