//! Failures from outside, in a run: strace makes one system call of the process that writes fail, or kills it there. The
//! supervisors and probes that it starts are not followed. Every injection is shown to have happened; the program says so or
//! has done all its work; readers find a valid bundle or one that is refused by name; the next run works.
//!
//! The full form (`RUNTIME_TESTS_FULL`) takes every call that changes the root and every seventh other one; the bounded one a
//! few of all.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::hostile::skipped;
use crate::small_run::{Call, SmallRun, calls, latest, others, scratch, state};

const STRACE: &str = "/usr/bin/strace";

const TRACED: &str = "trace=openat,openat2,mkdir,mkdirat,write,ftruncate,flock,fsync,renameat,unlinkat,read";

const FAILURES: [&str; 6] =
    ["signal=SIGKILL", "error=ENOSPC", "error=EIO", "error=EACCES", "error=EINTR", "error=EDQUOT"];

/// Points of the bounded form.
const FEW: usize = 7;

/// Files are synced by several threads, of which one is followed: how many of them it takes differs by run.
const ATTEMPTS: usize = 6;

fn full() -> bool {
    std::env::var_os("RUNTIME_TESTS_FULL").is_some()
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

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
        let output = self.small.command(&strace, &root, false).output().unwrap();
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
        // Starting the unoptimised program is most of the time of the bounded form.
        if full() || killed {
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
    let step = if full() { 1 } else { points.len() / FEW };
    // Prime to the number of failures, so that all are among the few.
    let step = (step..).find(|step| step % 2 != 0 && step % 3 != 0).unwrap();
    let given = Given { small: &small, base: &base, before: &before };
    let (table, missed, next) = (Mutex::new(BTreeMap::new()), AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        loop {
            let Some(&(call, changes, failure)) = points.get(next.fetch_add(step, Ordering::Relaxed)) else { return };
            match (0..ATTEMPTS).find_map(|_| given.inject(call, changes, failure)) {
                Some(outcome) => *table.lock().unwrap().entry(outcome).or_insert(0) += 1,
                None => drop(missed.fetch_add(1, Ordering::Relaxed)),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(work);
        }
    });
    let table = table.into_inner().unwrap();
    let (reached, missed) = (table.values().sum::<usize>(), missed.into_inner());
    println!(
        "{} calls, {changing} of them change the root; {reached} points, {missed} not reached\n{table:#?}",
        all.len()
    );
    // A number of a call that the followed thread did not get to in any attempt is no point at all.
    assert!(reached >= FEW - 1 && missed * 10 <= reached, "{reached} {missed}");
}
