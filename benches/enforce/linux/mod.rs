//! The measuring program; `main.rs` says what it is for.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]
#![expect(clippy::disallowed_methods, reason = "whole processes are what is measured")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the result of a measurement")]

mod measure;
mod memory;
mod place;
mod works;

use std::path::Path;
use std::process::Command;

use measure::Measured;
use place::Place;

/// What the command line asks for.
pub(crate) struct Asked {
    /// One round of everything at a fraction of its size: shows that the benchmark works, measures nothing.
    pub(crate) quick: bool,
    json: bool,
    only: Vec<String>,
}

impl Asked {
    fn from_arguments() -> Self {
        let mut asked = Self { quick: false, json: false, only: Vec::new() };
        for argument in std::env::args().skip(1) {
            match argument.as_str() {
                "--quick" => asked.quick = true,
                "--json" => asked.json = true,
                // What cargo adds.
                "--bench" => {}
                option if option.starts_with('-') => panic!("unknown option {option}"),
                work => asked.only.push(work.to_owned()),
            }
        }
        asked
    }

    pub(crate) fn wants(&self, work: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| work.starts_with(only.as_str()))
    }
}

/// A peer and how it stands in a command line; `None` when it is not installed.
pub(crate) struct Peers {
    pub(crate) strace: Option<String>,
    pub(crate) bwrap: Option<String>,
    pub(crate) syd: Option<String>,
}

impl Peers {
    fn find() -> Self {
        let find = |name: &str| {
            let path = std::env::var_os("PATH")?;
            let found =
                std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())?;
            found.to_str().map(str::to_owned)
        };
        Self { strace: find("strace"), bwrap: find("bwrap"), syd: find("syd") }
    }

    fn shown(&self) -> Vec<(&'static str, Option<String>)> {
        let version = |path: &Option<String>| {
            let output = Command::new(path.as_ref()?).arg("--version").output().ok()?;
            String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
        };
        vec![("strace", version(&self.strace)), ("bwrap", version(&self.bwrap)), ("syd", version(&self.syd))]
    }
}

pub(crate) fn main() {
    let asked = Asked::from_arguments();
    let place = Place::new();
    let peers = Peers::find();
    let before = load();
    let mut results = Vec::new();
    // Shown at once too: a run that is stopped has not measured for nothing.
    let mut found = |measured: Measured| {
        eprintln!("  {}", measured.line());
        results.push(measured);
    };
    works::all(&asked, &place, &peers, &mut found);
    if asked.wants("memory") {
        found(memory::of_100_processes(&place));
    }
    assert!(!results.is_empty(), "no such work");
    let after = load();
    if asked.json {
        print_json(&asked, &peers, &results, [&before, &after]);
    } else {
        print_table(&asked, &peers, &results, [&before, &after]);
    }
}

fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap().split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn machine() -> String {
    let uname = rustix::system::uname();
    let cores = std::thread::available_parallelism().unwrap();
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |name| name.trim_start_matches([' ', '\t', ':']));
    format!("Linux {}, {cores} cores, {cpu}", uname.release().to_string_lossy())
}

fn print_table(asked: &Asked, peers: &Peers, results: &[Measured], loads: [&str; 2]) {
    println!("{}", machine());
    println!("load average before: {}; after: {}", loads[0], loads[1]);
    for (name, version) in peers.shown() {
        println!("{name}: {}", version.as_deref().unwrap_or("not installed, not compared"));
    }
    if asked.quick {
        println!("quick: the figures below show that the benchmark works, nothing else");
    }
    println!();
    println!("{:<44} {:>12} {:>12} {:>8} {:>8}  ", "ratio", "first", "second", "ratio", "bar");
    for measured in results {
        println!("{}", measured.line());
    }
}

fn print_json(asked: &Asked, peers: &Peers, results: &[Measured], loads: [&str; 2]) {
    let document = serde_json::json!({
        "machine": machine(),
        "quick": asked.quick,
        "load_average": { "before": loads[0], "after": loads[1] },
        "peers": peers.shown().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "results": results.iter().map(Measured::json).collect::<Vec<_>>(),
    });
    println!("{document:#}");
}

/// The program under test.
pub(crate) fn runtime() -> &'static str {
    env!("CARGO_BIN_EXE_runtime")
}

/// The program of single-call loops.
pub(crate) fn caller() -> &'static str {
    env!("CARGO_BIN_EXE_enforce-fake")
}

/// A path as text for command lines and profiles.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
