//! Failures from outside, in a run: strace makes one system call of the process that writes fail, or kills it there. The
//! supervisors and probes that it starts are not followed. Every injection is shown to have happened; the program says so or
//! has done all its work; readers find a valid bundle or one that is refused by name; the next run works.
//!
//! The nightly form takes every call that changes the root and every seventh other one; the other one a few of all.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use crate::bound::{Bound, nightly, output_in_time};
use crate::hostile::skipped;
use crate::small_run::{Call, SmallRun, calls, latest, others, scratch, state};

const STRACE: &str = "/usr/bin/strace";

const TRACED: &str = "trace=openat,openat2,mkdir,mkdirat,write,ftruncate,flock,fsync,renameat,unlinkat,read";

const FAILURES: [&str; 6] =
    ["signal=SIGKILL", "error=ENOSPC", "error=EIO", "error=EACCES", "error=EINTR", "error=EDQUOT"];

/// Points that are wanted when it is not night.
const FEW: usize = 7;

/// How long calls fail for, and how many must have failed in the nightly form.
const LIMIT: Duration = Duration::from_secs(600);
const LEAST: usize = 150;

/// Files are synced by several threads, of which one is followed: how many of them it takes differs by run.
const ATTEMPTS: usize = 6;

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// The outcome of a point where nothing happened.
pub(crate) const MISSED: &str = "not reached";

/// What is the same for all points.
struct Given<'a> {
    small: &'a SmallRun,
    /// A root with one committed run, and its id.
    base: &'a Path,
    before: &'a str,
}

impl Given<'_> {
    /// Lets a run fail at one call; returns what came of it, or nothing when the call was not reached.
    fn inject(&self, call: &Call, changes: bool, failure: &str) -> Option<String> {
        let killed = failure == "signal=SIGKILL";
        let mark = if killed { "killed by SIGKILL" } else { "(INJECTED)" };
        let temp = scratch();
        let (root, trace) = (temp.path().join("out"), temp.path().join("trace"));
        copy(self.base, &root);
        let inject = format!("inject={}:{failure}:when={}", call.name, call.number);
        let strace = [STRACE, "-y", "-e", TRACED, "-e", &inject, "-o", trace.to_str().unwrap()].map(str::to_owned);
        let output = output_in_time(&self.small.command(&strace, &root, false));
        let traced = std::fs::read_to_string(&trace).unwrap();
        let hit = traced.lines().find(|line| line.contains(mark))?.to_owned();
        let at = format!("{failure} at {}: {hit}: {output:?}", call.line);
        let state = state(&root, self.before).unwrap_or_else(|why| panic!("{at}: {why}"));
        // Done means done, and pointed to; everything else is told.
        let said = output.status.code();
        assert!(killed || said.is_some(), "{at}: it died of it");
        if said == Some(0) {
            assert_eq!(state, "valid", "{at}");
            assert!(others(&root, self.before).contains(&latest(&root)), "{at}");
            assert!(!changes || failure == "error=EINTR", "{at}: swallowed");
        }
        if changes && failure == "error=EINTR" {
            assert_eq!(said, Some(0), "{at}: a signal that arrives first is no failure");
        }
        // Starting the unoptimised program is most of the time of the short form.
        if nightly() || killed {
            let next = self.small.command(&[], &root, true).output().unwrap();
            assert_eq!(next.status.code(), Some(0), "{at}: the next run: {next:?}");
            assert!(latest(&root) != self.before, "{at}");
        }
        Some(format!("{failure:14} said {said:?}, {state}"))
    }
}

#[test]
fn no_failing_call_of_a_run_is_swallowed() {
    if !Path::new(STRACE).exists() {
        return skipped("failing calls of a run: there is no strace");
    }
    let small = SmallRun::new();
    let base = small.path().join("base");
    let before = small.commit(&base);
    let (root, trace) = (small.path().join("out"), small.path().join("trace"));
    copy(&base, &root);
    let strace = [STRACE, "-y", "-e", TRACED, "-o", trace.to_str().unwrap()].map(str::to_owned);
    let whole = small.command(&strace, &root, false).output().unwrap();
    assert_eq!(whole.status.code(), Some(0), "{whole:?}");
    let all = calls(&std::fs::read_to_string(&trace).unwrap(), &root);
    let changing = all.iter().filter(|call| call.changes(&root)).count();
    assert!(changing > 60, "{changing} changes of {} calls", all.len());
    let mut points: Vec<(&Call, bool, &str)> = Vec::new();
    for (at, call) in all.iter().enumerate() {
        let changes = call.changes(&root);
        points.extend(FAILURES.iter().map(|failure| (call, changes, *failure)).filter(|_| changes || at % 7 == 0));
    }
    if !nightly() {
        // Prime to the number of failures, so that all are among the few.
        let step = (points.len() / FEW..).find(|step| step % 2 != 0 && step % 3 != 0).unwrap();
        points = points.into_iter().step_by(step).collect();
    }
    let given = Given { small: &small, base: &base, before: &before };
    let table: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let bound = Bound::new("failing calls of a run", points.len(), points.len().min(LEAST), LIMIT);
    bound.each(3, |at| {
        let (call, changes, failure) = points[at];
        let outcome = (0..ATTEMPTS).find_map(|_| given.inject(call, changes, failure));
        *table.lock().unwrap().entry(outcome.unwrap_or_else(|| MISSED.to_owned())).or_default() += 1;
    });
    let mut table = table.into_inner().unwrap();
    // A number of a call that the followed thread did not get to in any attempt is no point at all.
    let missed = table.remove(MISSED).unwrap_or(0);
    let reached = table.values().sum::<usize>();
    println!("{} calls, {changing} change the root; {reached} reached, {missed} not\n{table:#?}", all.len());
    assert!(reached >= FEW - 1 && missed * 10 <= reached, "{reached} {missed}");
}
