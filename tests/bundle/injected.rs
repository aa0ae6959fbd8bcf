//! Failures from outside: strace makes one system call of the repairing program fail, or kills it there. Every injection is
//! shown to have happened; the program says so or has done all its work, and readers find a bundle that is valid or refused.
//!
//! The nightly form takes every call; the other one some of each kind.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::Duration;

use crate::bound::{Bound, nightly, output_in_time};
use crate::hostile::skipped;
use crate::run_faults::MISSED;
use crate::support::{Hand, LINUX, Laid, validate};

/// Calls that change the file system or read what is judged.
const CALLS: [&str; 9] = ["openat", "openat2", "mkdir", "write", "ftruncate", "flock", "fsync", "renameat", "read"];

/// Runs of one point until it is reached.
const ATTEMPTS: usize = 8;

/// Points that are wanted when it is not night.
const FEW: usize = 70;

/// How long calls fail for, and how many must have failed in the nightly form.
const LIMIT: Duration = Duration::from_secs(300);
const LEAST: usize = 200;

const FAILURES: [&str; 5] = ["signal=SIGKILL", "error=ENOSPC", "error=EIO", "error=EACCES", "error=EINTR"];

fn damaged() -> Laid {
    let laid = Hand::good(LINUX).lay();
    std::fs::write(laid.run.join("summary.md"), "# other\n").unwrap();
    laid
}

fn repair(laid: &Laid, trace: &Path, options: &[String]) -> Output {
    let mut command = Command::new("/usr/bin/strace");
    command.args(options).arg("-o").arg(trace);
    command.args([env!("CARGO_BIN_EXE_runtime"), "reindex-bundle", "--repair", "--jobs", "1", "--bundle"]);
    output_in_time(command.arg(&laid.root))
}

/// A call of the program: its name, its number among those of that name, and what happens to it.
type Point = (&'static str, usize, &'static str);

/// Lets a repair fail at one point; returns what came of it, or nothing when the call was not reached.
fn inject((call, number, failure): Point, trace: &Path) -> Option<String> {
    let options = [format!("-etrace={call}"), format!("-einject={call}:{failure}:when={number}")];
    let killed = failure == "signal=SIGKILL";
    let mark = if killed { "killed by SIGKILL" } else { "(INJECTED)" };
    // Files are synced by several threads, of which one is traced: how many of them it takes differs by run.
    let (laid, output) = (0..ATTEMPTS)
        .map(|_| {
            let laid = damaged();
            let output = repair(&laid, trace, &options);
            (laid, output)
        })
        .find(|_| std::fs::read_to_string(trace).unwrap().contains(mark))?;
    let at = format!("{call} {number}: {failure}: {output:?}");
    let (exit, document) = validate(&laid.root);
    let valid = exit == 0;
    if !valid {
        assert!(!document["errors"].as_array().unwrap().is_empty(), "{at}");
    }
    // Done means done; everything else is told. Standard output that cannot be written is told as well.
    let said = output.status.code();
    assert!(killed || said.is_some(), "{at}");
    if said == Some(0) {
        assert!(valid, "{at}: {document}");
        // What may fail without harm: making a root that stands there, unlocking before the end, looking for files
        // that no index names. Nothing that writes or syncs.
        let harmless = matches!(call, "mkdir" | "mkdirat" | "flock" | "openat" | "openat2");
        assert!(harmless || failure == "error=EINTR", "{at}: swallowed");
    }
    let latest = std::fs::read_to_string(laid.root.join("LATEST")).unwrap();
    assert_eq!(latest, "run-demo-1\n", "{at}");
    Some(format!("{failure:14} said {said:?}, {}", if valid { "valid" } else { "refused" }))
}

#[test]
fn no_failing_call_of_a_repair_is_swallowed() {
    if !Path::new("/usr/bin/strace").exists() {
        return skipped("failing calls: there is no strace");
    }
    let traces = tempfile::tempdir().unwrap();
    let trace = traces.path().join("trace");
    let laid = damaged();
    let all = repair(&laid, &trace, &[format!("-etrace={}", CALLS.join(","))]);
    assert_eq!(all.status.code(), Some(0), "{all:?}");
    let text = std::fs::read_to_string(&trace).unwrap();
    // What happens before the bundle is looked at is the loader's and the language's.
    let begins = text.lines().position(|line| line.contains(laid.root.to_str().unwrap())).unwrap();
    let mut points: Vec<Point> = Vec::new();
    for call in CALLS {
        let is = |line: &&str| line.starts_with(&format!("{call}("));
        let before = text.lines().take(begins).filter(is).count();
        let numbers = before + 1..=text.lines().filter(is).count();
        points.extend(numbers.flat_map(|number| FAILURES.map(|failure| (call, number, failure))));
    }
    let all = points.len();
    if !nightly() {
        // Prime to the number of failures, so that all are among the few.
        let step = (all / FEW..).find(|step| step % FAILURES.len() != 0).unwrap();
        points = points.into_iter().step_by(step).collect();
    }
    let table: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let bound = Bound::new("failing calls of a repair", points.len(), points.len().min(LEAST), LIMIT);
    bound.each(2, |at| {
        let (call, number, failure) = points[at];
        let trace = traces.path().join(format!("{call}-{number}-{failure}"));
        let outcome = inject(points[at], &trace).unwrap_or_else(|| MISSED.to_owned());
        *table.lock().unwrap().entry(outcome).or_default() += 1;
    });
    let mut table = table.into_inner().unwrap();
    // As in `run_faults`: what the traced thread did not get to is no point at all.
    let missed = table.remove(MISSED).unwrap_or(0);
    let reached = table.values().sum::<usize>();
    println!("of {all} points; {reached} reached, {missed} not\n{table:#?}");
    assert!(points.len() >= FEW && missed * 10 <= reached, "{} points, {missed} not reached", points.len());
}
