//! Runs and workers that are ended from outside: rows in error, bundles that readers refuse, pointers that do not move.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::suite::{Probe, Suite, expect, runtime, text};

/// A suite whose second probe opens a pipe that nobody writes to: it waits until its limit or until somebody ends it.
fn waiting() -> Suite {
    Suite::new()
        .fixtures(json!([
            {"path": "a", "kind": "file", "content": "a"},
            {"path": "pipe", "kind": "fifo"},
        ]))
        .profile(
            "demo:pipe",
            "(version 1)\n(allow default)\n",
            vec![
                Probe::new("before", "file-read-data", "${FIXTURES}/a", "allow"),
                Probe::new("waits", "file-read-data", "${FIXTURES}/pipe", "allow"),
                Probe::new("after", "file-read-data", "${FIXTURES}/a", "allow"),
            ],
        )
        .lanes(json!({"scenario": true, "baseline": false, "oracle": false}))
}

/// Children of all threads of `pid`.
fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// Descendants of `pid` whose command line names the worker command, youngest generation last.
fn workers_of(pid: u32) -> Vec<i32> {
    let mut found = Vec::new();
    let mut next = children(pid);
    while let Some(pid) = next.pop() {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if command.windows(8).any(|window| window == b"__worker") {
            found.push(i32::try_from(pid).unwrap());
        }
        next.extend(children(pid));
    }
    found
}

/// Waits until a run's probe hangs in its pipe, which is when the same workers are seen for a while.
fn wait_for_hanging_worker(pid: u32) -> Vec<i32> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut before = Vec::new();
    while Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(400));
        let now = workers_of(pid);
        if !now.is_empty() && now == before {
            return now;
        }
        before = now;
    }
    panic!("no worker was seen waiting");
}

/// Asserts that processes are gone, or dead and waiting for whoever inherited them.
fn assert_ended(pids: &[i32]) {
    let deadline = Instant::now() + Duration::from_secs(5);
    for pid in pids {
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = stat.rsplit(')').next().unwrap_or_default().trim_start().chars().next();
            if matches!(state, None | Some('Z' | 'X')) {
                break;
            }
            assert!(Instant::now() < deadline, "process {pid} is still there: {stat}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn kill(pid: i32, signal: i32) {
    // `kill` from coreutils: tests hold no unsafe code.
    let status =
        std::process::Command::new("/bin/kill").args([format!("-{signal}"), pid.to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_worker_killed_in_mid_probe_is_an_error_row_and_the_run_goes_on() {
    let suite = waiting();
    let run = suite.start(&["--jobs", "1", "--probe-timeout-seconds", "60"]);
    let workers = wait_for_hanging_worker(run.id());
    // The next one waits already for its job; the one that works has a process of its own for the probe.
    let working = workers.iter().find(|pid| !children(pid.unsigned_abs()).is_empty()).unwrap();
    kill(*working, 9);
    let output = run.wait_with_output().unwrap();
    expect(&output, 0);

    let row = suite.row("demo:pipe", "waits");
    assert_eq!((&row["actual"], &row["match"]), (&json!(null), &json!(null)), "{row:#}");
    assert!(row["error"].as_str().unwrap().contains("signal 9"), "{row:#}");
    assert_eq!(suite.row("demo:pipe", "after")["match"], true);
    let summary = suite.document("summary.json");
    assert_eq!((&summary["status"], &summary["counts"]["errors"]), (&json!("partial"), &json!(1)));
    assert_eq!(summary["op_coverage"]["file-read-data"], json!({"rows": 3, "matches": 2, "status": "partial"}));
    let (code, said) = suite.linux_gate();
    assert!(code == 1 && said.contains("rows_in_error"), "{said}");
    assert_ended(&workers);
}

#[test]
fn a_timeout_is_an_error_row_never_a_deny() {
    let suite = waiting();
    expect(&suite.run(&["--probe-timeout-seconds", "0.7"]), 0);
    let row = suite.row("demo:pipe", "waits");
    assert_eq!((&row["actual"], &row["runtime_result"]["failure_kind"]), (&json!(null), &json!("probe_timeout")));
    assert_eq!(row["timeout"], true);
    assert_eq!(suite.document("mismatch_summary.json")["counts"], json!({"probe_error": 1}));
}

#[test]
fn a_run_killed_at_any_point_is_refused_by_name_and_latest_stays() {
    let suite = waiting();
    expect(&suite.run(&["--probe-timeout-seconds", "0.3"]), 0);
    let first = std::fs::read_to_string(suite.out().join("LATEST")).unwrap();
    // Some are killed at once, most at growing delays after their directory has appeared.
    for delay_ms in [None, Some(0), Some(1), Some(3), Some(10), Some(30), Some(100), Some(300)] {
        let begun = runs(&suite).len();
        let mut run = suite.start(&["--probe-timeout-seconds", "30"]);
        if let Some(delay_ms) = delay_ms {
            let deadline = Instant::now() + Duration::from_secs(20);
            while runs(&suite).len() == begun && Instant::now() < deadline {
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(Duration::from_millis(delay_ms));
        }
        run.kill().unwrap();
        run.wait().unwrap();
        assert_eq!(std::fs::read_to_string(suite.out().join("LATEST")).unwrap(), first, "after {delay_ms:?} ms");
    }
    let left: Vec<PathBuf> = runs(&suite).into_iter().filter(|path| !path.ends_with(first.trim())).collect();
    assert!(left.len() >= 7, "{left:?}");
    for run in left {
        let output = runtime(&["validate-bundle", "--bundle", run.to_str().unwrap()]);
        expect(&output, 1);
        assert!(text(&output).contains("in_progress") || text(&output).contains("run_status"), "{}", text(&output));
    }
    expect(&runtime(&["validate-bundle", "--bundle", suite.out().to_str().unwrap()]), 0);
    // The lock died with its holder.
    expect(&suite.run(&["--probe-timeout-seconds", "0.3"]), 0);
}

fn runs(suite: &Suite) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(suite.out()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

#[test]
fn ctrl_c_ends_the_workers_and_leaves_a_bundle_that_is_refused() {
    let suite = waiting();
    let run = suite.start(&["--probe-timeout-seconds", "60"]);
    let pid = run.id();
    let workers = wait_for_hanging_worker(pid);
    kill(i32::try_from(pid).unwrap(), 2);
    let output = run.wait_with_output().unwrap();
    expect(&output, 1);
    assert!(text(&output).contains("interrupted"), "{}", text(&output));
    assert_ended(&workers);
    assert!(!suite.out().join("LATEST").exists());
    let left = runs(&suite);
    assert_eq!(left.len(), 1);
    expect(&runtime(&["validate-bundle", "--bundle", left[0].to_str().unwrap()]), 1);
}

#[test]
fn a_held_lock_refuses_or_is_waited_for() {
    let suite = waiting();
    let run = suite.start(&["--probe-timeout-seconds", "60"]);
    wait_for_hanging_worker(run.id());
    let refused = suite.run(&["--lock-mode", "fail"]);
    expect(&refused, 1);
    assert!(text(&refused).contains(&run.id().to_string()), "names the holder: {}", text(&refused));
    let late = suite.run(&["--lock-mode", "wait", "--lock-timeout-seconds", "0.3"]);
    expect(&late, 1);
    kill(i32::try_from(run.id()).unwrap(), 2);
    let waited = suite.run(&["--lock-mode", "wait", "--probe-timeout-seconds", "0.3"]);
    expect(&waited, 0);
    run.wait_with_output().unwrap();
}

/// Directories that runs make for their probes, in a folder for such.
fn fixture_dirs(temp: &Path) -> Vec<String> {
    let names = std::fs::read_dir(temp).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("runtime-fixtures-")).collect()
}

#[test]
fn what_a_killed_run_leaves_is_removed_by_the_next_and_nothing_else_is() {
    let suite = waiting();
    let temp = tempfile::tempdir().unwrap();
    let plan = suite.write();
    let start = |out: &Path, limit: &str| {
        std::process::Command::new(crate::suite::RUNTIME)
            .args(["run", "--probe-timeout-seconds", limit, "--plan"])
            .arg(&plan)
            .arg("--out")
            .arg(out)
            .env("TMPDIR", temp.path())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (here, elsewhere) = (suite.out(), suite.path().join("elsewhere"));
    let mut killed = start(&here, "60");
    wait_for_hanging_worker(killed.id());
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(fixture_dirs(temp.path()).len(), 1, "nobody was there to remove it");
    let alive = start(&elsewhere, "60");
    wait_for_hanging_worker(alive.id());
    assert_eq!(fixture_dirs(temp.path()).len(), 2);
    let before = fixture_dirs(temp.path());

    let next = start(&here, "0.3").wait_with_output().unwrap();
    expect(&next, 0);
    let left = fixture_dirs(temp.path());
    let said = text(&next);
    assert_eq!(left.len(), 1, "the dead run's is gone, the living one's of another root stays: {said}");
    let removed = before.iter().find(|name| !left.contains(name)).unwrap();
    assert!(said.contains("left by a run that was killed") && said.contains(removed), "{said}");
    assert!(!here.join(".runtime.fixtures").exists());

    kill(i32::try_from(alive.id()).unwrap(), 2);
    expect(&alive.wait_with_output().unwrap(), 1);
    assert_eq!(fixture_dirs(temp.path()), [""; 0], "an interrupted run removes its own");
}

#[test]
fn a_list_that_names_what_is_not_ours_is_not_obeyed() {
    let suite = waiting();
    let precious = suite.path().join("precious");
    std::fs::create_dir_all(&precious).unwrap();
    std::fs::create_dir_all(suite.out()).unwrap();
    std::fs::write(suite.out().join(".runtime.fixtures"), precious.to_str().unwrap()).unwrap();
    let output = suite.run(&["--probe-timeout-seconds", "0.3"]);
    expect(&output, 0);
    assert!(precious.exists());
    assert!(text(&output).contains("stays: not a name that this program gives"), "{}", text(&output));
}

#[test]
fn a_baseline_row_without_a_result_is_counted() {
    let suite = Suite::new().fixtures(json!([{"path": "pipe", "kind": "fifo"}])).profile(
        "demo:pipe",
        "(version 1)\n(deny default)\n",
        vec![Probe::new("denied", "file-read-data", "${FIXTURES}/pipe", "deny")],
    );
    // Without the policy nothing keeps the probe from waiting for a writer.
    let args = ["--probe-timeout-seconds", "0.5"];
    let output = suite.run(&args);
    expect(&output, 0);
    let summary = suite.document("summary.json");
    let counts = &summary["counts"];
    assert_eq!((&counts["matches"], &counts["errors"], &counts["baseline_errors"]), (&json!(1), &json!(0), &json!(1)));
    assert_eq!(summary["status"], "partial");
    assert!(text(&output).contains("1 without a result"), "{}", text(&output));
    expect(&suite.run(&[&args[..], &["--fail-on-mismatch"]].concat()), 1);
}

/// The one that starts them may be killed while they start, when nothing tells them of its death.
#[test]
fn a_worker_whose_starter_is_not_its_parent_does_nothing() {
    let own = std::process::id();
    for command in ["__worker", "__target"] {
        for (starter, works) in [(own, true), (own + 1, false)] {
            let place = tempfile::tempdir().unwrap();
            let at = |name: &str| place.path().join(name);
            std::fs::write(at("job"), "no job at all").unwrap();
            std::fs::write(at("go"), starter.to_ne_bytes()).unwrap();
            let script = format!("exec \"$0\" {command} 3<job 4>answer 5<go");
            let output = std::process::Command::new("/bin/sh")
                .args(["-c", &script, crate::suite::RUNTIME])
                .current_dir(place.path())
                .output()
                .unwrap();
            assert_eq!(!output.status.success(), works, "{command} of {starter}: {output:?}");
            assert_eq!(!output.stderr.is_empty(), works, "{command} of {starter}: {output:?}");
        }
    }
}
