//! The works and what is promised of them.

use std::process::Command;

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

use benchmarks::{Asked, Measured, Rounds, Variant, timed};

use super::place::{Place, SAME_RIGHTS, bwrap, native, strace, syd};
use super::{Peers, calls, own_program, text};

const NATIVE: &str = "native";
const TRAPPED: &str = "trapped";
const UNTRAPPED: &str = "untrapped";
const STRACE: &str = "strace";
const SYD: &str = "syd";
const BWRAP: &str = "bwrap";

/// Measures every work that is asked for; each result is handed on as soon as it is there.
pub(crate) fn all(asked: &Asked, place: &Place, peers: &Peers, mut found: impl FnMut(Measured)) {
    let bench = Bench { asked, place, peers };
    type Work<'b> = fn(&Bench<'b>) -> Vec<Measured>;
    let works: [(&str, Work<'_>); 8] = [
        ("open", |bench| bench.call("open", ["open+close", "open+close, one processor"], 6.5, Some(0.6))),
        ("stat", |bench| bench.call("stat", ["stat", "stat, one processor"], 12.0, None)),
        ("start", Bench::start),
        ("find", Bench::find),
        ("git", Bench::git),
        ("compile", Bench::compile),
        ("python", Bench::python),
        ("cargo", Bench::cargo),
    ];
    for (name, work) in works {
        if asked.wants(name) {
            work(&bench).into_iter().for_each(&mut found);
        }
    }
}

struct Bench<'b> {
    asked: &'b Asked,
    place: &'b Place,
    peers: &'b Peers,
}

type Lines<'a> = Option<&'a dyn Fn(usize) -> bool>;

impl<'b> Bench<'b> {
    fn rounds(&self, full: usize) -> usize {
        if self.asked.quick { 0 } else { full }
    }

    fn size(&self, full: usize) -> usize {
        if self.asked.quick { full / 20 } else { full }
    }

    /// A call in a loop, timed from inside: as it comes, and with everything on one processor, where it does not matter how long
    /// an idle one takes to wake.
    fn call(&self, action: &'static str, works: [&'static str; 2], bar: f64, strace_bar: Option<f64>) -> Vec<Measured> {
        let [anywhere, bound] = works;
        let mut measured = self.call_here(action, anywhere, bar, strace_bar);
        let before = sched_getaffinity(None).unwrap();
        let mut one = CpuSet::new();
        one.set(sched_getcpu());
        sched_setaffinity(None, &one).unwrap();
        measured.extend(self.call_here(action, bound, bar, strace_bar));
        sched_setaffinity(None, &before).unwrap();
        measured
    }

    fn call_here(&self, action: &'static str, work: &'static str, bar: f64, strace_bar: Option<f64>) -> Vec<Measured> {
        let file = text(&self.place.file("some/directory/of/files/settings.conf", b"text\n"));
        let run = |count: usize, wrap: &dyn Fn(&[&str]) -> Command| {
            let count = self.size(count).to_string();
            let output = wrap(&[&own_program(), calls::WORD, action, &count, &file]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().parse::<f64>().unwrap() / 1e3
        };
        let mut variants = vec![
            variant(NATIVE, || run(100_000, &native)),
            variant(TRAPPED, || run(20_000, &|command| self.place.ours(TRAPPED, command))),
            variant(UNTRAPPED, || run(100_000, &|command| self.place.ours(UNTRAPPED, command))),
        ];
        if self.peers.strace.is_some() {
            variants.push(variant(STRACE, || run(10_000, &|command| strace(self.peers, command).unwrap())));
        }
        if self.peers.syd.is_some() {
            variants.push(variant(SYD, || run(10_000, &|command| syd(self.peers, command).unwrap())));
        }
        let rounds = Rounds::run(work, "us", self.rounds(9), &variants);
        let compared = [
            rounds.compare(TRAPPED, NATIVE, Some(bar)),
            rounds.compare(UNTRAPPED, NATIVE, None),
            rounds.compare(TRAPPED, STRACE, strace_bar),
            rounds.compare(TRAPPED, SYD, None),
        ];
        compared.into_iter().flatten().collect()
    }

    /// From the start of the wrapper to its end, around a program that does nothing: with the rights that bubblewrap's root gives, and
    /// under the profile of the other works.
    fn start(&self) -> Vec<Measured> {
        let line = ["/usr/bin/true"];
        let mut variants = vec![
            variant(NATIVE, || timed(&mut native(&line), None)),
            variant(SAME_RIGHTS, || timed(&mut self.place.ours(SAME_RIGHTS, &line), None)),
            variant(TRAPPED, || timed(&mut self.place.ours(TRAPPED, &line), None)),
        ];
        if self.peers.bwrap.is_some() {
            variants.push(variant(BWRAP, || timed(&mut bwrap(self.peers, &line).unwrap(), None)));
        }
        let rounds = Rounds::run("start", "ms", self.rounds(60), &variants);
        let compared = [
            rounds.compare(SAME_RIGHTS, BWRAP, Some(0.7)),
            rounds.compare(TRAPPED, BWRAP, None),
            rounds.compare(TRAPPED, NATIVE, None),
        ];
        compared.into_iter().flatten().collect()
    }

    /// One command line in all variants.
    fn everywhere(&self, work: &'static str, full: usize, line: &[&str], lines: Lines<'_>) -> Rounds {
        let mut variants = vec![
            variant(NATIVE, || timed(&mut native(line), lines)),
            variant(TRAPPED, || timed(&mut self.place.ours(TRAPPED, line), lines)),
            variant(UNTRAPPED, || timed(&mut self.place.ours(UNTRAPPED, line), lines)),
        ];
        if self.peers.strace.is_some() {
            variants.push(variant(STRACE, || timed(&mut strace(self.peers, line).unwrap(), lines)));
        }
        if self.peers.syd.is_some() {
            variants.push(variant(SYD, || timed(&mut syd(self.peers, line).unwrap(), lines)));
        }
        Rounds::run(work, "ms", self.rounds(full), &variants)
    }

    fn compared(rounds: &Rounds, trapped: Option<f64>, untrapped: Option<f64>) -> Vec<Measured> {
        let compared = [
            rounds.compare(TRAPPED, NATIVE, trapped),
            rounds.compare(UNTRAPPED, NATIVE, untrapped),
            // Faster than whoever looks at the same calls.
            rounds.compare(TRAPPED, STRACE, Some(1.0)),
            rounds.compare(TRAPPED, SYD, Some(1.0)),
        ];
        compared.into_iter().flatten().collect()
    }

    /// Looks at every file's type and size below /usr.
    fn find(&self) -> Vec<Measured> {
        let tree = if self.asked.quick { "/usr/include" } else { "/usr" };
        // A directory that only its owner may list ends find with an error: it is left out by name.
        let script = format!("exec find {tree} -path '*/rules.d' -prune -o -type f -print");
        let line = ["/bin/sh", "-c", script.as_str()];
        let expected = String::from_utf8(native(&line).output().unwrap().stdout).unwrap().lines().count();
        let exact = move |count: usize| count == expected;
        let mut results = Self::compared(&self.everywhere("find", 5, &line, Some(&exact)), Some(4.5), Some(1.05));
        let script = format!("find {tree} -path '*/rules.d' -prune -o -type f -size +100k -print > /dev/null");
        let rounds = self.everywhere("find with sizes", 2, &["/bin/sh", "-c", &script], None);
        results.extend(Self::compared(&rounds, None, None));
        results
    }

    fn git(&self) -> Vec<Measured> {
        let at = text(&self.place.repository("five", self.size(5_000)));
        let clean = |count: usize| count == 0;
        let line = ["git", "-C", &at, "status", "--porcelain"];
        let mut results = Self::compared(&self.everywhere("git status", 9, &line, Some(&clean)), Some(7.0), Some(1.6));
        let at = text(&self.place.repository("ten", self.size(10_000)));
        let script = format!("cd {at} && for i in 1 2 3 4 5 6 7 8 9 10; do git status --porcelain; done");
        let rounds = self.everywhere("10 x git status", 2, &["/bin/sh", "-c", &script], Some(&clean));
        results.extend(Self::compared(&rounds, None, None));
        results
    }

    fn compile(&self) -> Vec<Measured> {
        let source = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n\
                      int f(int x) { printf(\"%d\", x); return abs(x) + (int)strlen(\"x\") + getpid(); }\n";
        let at = text(&self.place.file("c/f.c", source.as_bytes()));
        let script = format!("for i in $(seq {}); do gcc -O1 -c {at} -o {at}.o || exit 1; done", self.size(41).max(1));
        let rounds = self.everywhere("41 x gcc", 3, &["/bin/sh", "-c", &script], None);
        Self::compared(&rounds, None, None)
    }

    fn python(&self) -> Vec<Measured> {
        let script = format!(
            "for i in $(seq {}); do python3 -c 'import json, ssl, email, argparse' || exit 1; done",
            self.size(20)
        );
        let rounds = self.everywhere("20 x python", 3, &["/bin/sh", "-c", &script], None);
        Self::compared(&rounds, None, None)
    }

    /// A build of serde without its derive macros, from sources that cargo has already.
    fn cargo(&self) -> Vec<Measured> {
        let manifest = "[package]\nname = \"b\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\
                        [dependencies]\nserde = \"1\"\nserde_json = \"1\"\n[workspace]\n";
        let at = self.place.file("crate/Cargo.toml", manifest.as_bytes());
        self.place.file("crate/src/lib.rs", b"pub use serde_json::Value;\n");
        let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
        std::fs::copy(lock, at.with_file_name("Cargo.lock")).unwrap();
        let target = text(&self.place.work().join("crate/target"));
        let manifest = text(&at);
        let line = ["cargo", "build", "--quiet", "--offline", "--manifest-path", &manifest, "--target-dir", &target];
        let built = |mut command: Command| {
            let _ = std::fs::remove_dir_all(&target);
            timed(&mut command, None)
        };
        let variants =
            vec![variant(NATIVE, || built(native(&line))), variant(TRAPPED, || built(self.place.ours(TRAPPED, &line)))];
        let rounds = Rounds::run("cargo build", "ms", self.rounds(5), &variants);
        let mut results: Vec<Measured> = rounds.compare(TRAPPED, NATIVE, Some(1.25)).into_iter().collect();
        results.extend(self.share_of_calls(&line, &target, rounds.median_of(NATIVE).unwrap()));
        results
    }

    /// Trapped calls times the cost of one, in relation to the native time. Counting needs strace.
    fn share_of_calls(&self, line: &[&str], target: &str, native_ms: f64) -> Option<Measured> {
        let _ = std::fs::remove_dir_all(target);
        let mut counted = Command::new(self.peers.strace.as_ref()?);
        counted.args(["-f", "-c", "-e", "trace=%file,fork,vfork,clone,kill,tgkill", "--"]).args(line);
        let output = counted.output().unwrap();
        assert!(output.status.success());
        let summary = String::from_utf8(output.stderr).unwrap();
        let total = summary.lines().rfind(|line| line.ends_with("total")).unwrap();
        let calls: f64 = total.split_ascii_whitespace().nth(3).unwrap().parse().unwrap();
        let open = self.call_here("open", "open+close", 0.0, None);
        let cost_us = open[0].sides.0 - open[0].sides.1;
        Some(Measured {
            name: format!("cargo build: {calls} calls x {cost_us:.1} us / native"),
            sides: (calls * cost_us / 1e3, native_ms),
            unit: "ms",
            ratio: calls * cost_us / 1e3 / native_ms,
            bar: Some(0.1),
        })
    }
}

fn variant<'a>(name: &'static str, run: impl Fn() -> f64 + 'a) -> Variant<'a> {
    Variant { name, run: Box::new(run) }
}
