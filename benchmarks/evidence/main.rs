//! How fast events are summarised and what a run costs: `cargo bench -p benchmarks --bench evidence`.
//!
//! `summary`: a valid bundle of 1,000,000 events (589 MB); `summarize-ops` verifies and summarises it as a whole command, DuckDB
//! and Python's json do the same grouping on the same file, without the time that Python takes to start and without hashing it.
//! All must count alike. `memory`: the most that summarize-ops had at once. `run`: 1,000 probes in three lanes with all evidence
//! written; per probe and lane, beside starting the same worker with nothing to do, and beside `bwrap … true`.
//!
//! Peers are found as `python3` in PATH with the module `duckdb`; what is not installed is named. A ratio is the median of the
//! ratios of rounds.
//!
//!   cargo bench -p benchmarks --bench evidence [-- [--quick] [--json] [--runtime FILE] [memory] [summary] [run]]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]
#![expect(clippy::disallowed_methods, reason = "whole processes are what is measured")]

mod generate;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use benchmarks::{Asked, Measured, Rounds, Variant, answer_peak, find_program, load, peak_bytes, timed};
use serde_json::Value;

/// Lanes in which a worker is started.
const STARTED_LANES: usize = 2;
const JOBS: usize = 2;

fn main() {
    answer_peak();
    let asked = Asked::from_arguments();
    let before = load();
    let (rounds, events, probes) = if asked.quick { (1, 20_000, 20) } else { (5, 1_000_000, 1_000) };
    let dir = tempfile::tempdir().unwrap();
    let runtime = asked.runtime();
    let mut results = Vec::new();
    let python = find_program("python3");
    let duckdb = python.as_deref().and_then(|python| module_version(python, "duckdb"));
    if asked.wants("memory") || asked.wants("summary") {
        let run = generate::bundle(runtime, Path::new(env!("CARGO_TARGET_TMPDIR")), events);
        let out = dir.path().join("ops.json");
        let summarise = || {
            let mut command = Command::new(runtime);
            command.args(["summarize-ops", "--bundle"]).arg(&run).arg("--out").arg(&out);
            command
        };
        timed(&mut summarise(), None);
        if asked.wants("memory") {
            let (bundle, summary) = (run.to_str().unwrap(), out.to_str().unwrap());
            let peak = peak_bytes(runtime, &["summarize-ops", "--bundle", bundle, "--out", summary]);
            let size = run.join("runtime_events.normalized.json").metadata().unwrap().len() as f64;
            let sides = (peak / 1e6, size / 1e6);
            results.push(Measured {
                name: "memory: summarize-ops, MB".into(),
                sides,
                unit: "MB",
                ratio: peak / 1e6,
                bar: Some(200.0),
            });
        }
        if asked.wants("summary") {
            results.extend(against_peers(&run, &out, &summarise, python.as_deref(), duckdb.is_some(), rounds));
        }
    }
    if asked.wants("run") {
        results.extend(cost_of_a_run(runtime, dir.path(), probes, rounds));
    }
    let peers =
        [("duckdb (Python module)", duckdb), ("bwrap", benchmarks::version_of(find_program("bwrap").as_deref()))];
    asked.print(&peers, &results, &before);
}

fn module_version(python: &str, module: &str) -> Option<String> {
    let script = format!("import {module}; print({module}.__version__)");
    let output = Command::new(python).args(["-c", &script]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Milliseconds of a peer's work alone, and what it counted.
fn peer(python: &str, how: &str, events: &Path) -> (f64, Vec<String>) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/evidence/summarise.py");
    let output = Command::new(python).args([script, how]).arg(events).output().unwrap();
    assert!(output.status.success(), "{how}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    let seconds: f64 = lines.next().unwrap().parse().unwrap();
    (seconds * 1e3, lines.map(str::to_owned).collect())
}

/// What summarize-ops counted, in the peers' words.
fn counted(out: &Path) -> Vec<String> {
    let document: Value = serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap();
    let mut lines: Vec<String> = document["ops"]
        .as_object()
        .unwrap()
        .values()
        .map(|op| {
            let of = |key: &str| op[key].to_string();
            let scenarios = op["scenarios"].as_array().unwrap().len();
            format!(
                "{} {} {} {} {} {scenarios}",
                op["op_name"].as_str().unwrap(),
                of("probes_including_blocked"),
                of("unobserved"),
                of("matches"),
                of("mismatches")
            )
        })
        .collect();
    lines.sort();
    lines
}

fn against_peers(
    run: &Path,
    out: &Path,
    summarise: &dyn Fn() -> Command,
    python: Option<&str>,
    duckdb: bool,
    rounds: usize,
) -> Vec<Measured> {
    let events = run.join("runtime_events.normalized.json");
    let mut variants = vec![Variant { name: "summarize-ops", run: Box::new(|| timed(&mut summarise(), None)) }];
    let mut bars = Vec::new();
    if let Some(python) = python {
        let events = &events;
        for (name, bar) in [("duckdb", 1.0), ("json", 0.2)].into_iter().filter(|(name, _)| *name == "json" || duckdb) {
            assert_eq!(peer(python, name, events).1, counted(out), "{name} counts otherwise");
            variants.push(Variant { name, run: Box::new(move || peer(python, name, events).0) });
            bars.push((name, bar));
        }
    }
    let times = Rounds::run("summary", "ms", rounds, &variants);
    let own = times.median_of("summarize-ops").unwrap();
    let mut results = vec![Measured {
        name: "summary: summarize-ops".into(),
        sides: (own, f64::NAN),
        unit: "ms",
        ratio: own,
        bar: None,
    }];
    results.extend(bars.iter().filter_map(|(name, bar)| times.compare("summarize-ops", name, Some(*bar))));
    results
}

fn cost_of_a_run(runtime: &str, dir: &Path, probes: usize, rounds: usize) -> Vec<Measured> {
    let suite = dir.join("suite");
    generate::suite(&suite, 10, probes / 10);
    let starts = probes / 10 * 10 * STARTED_LANES;
    let run = || {
        let out = dir.join("out");
        let mut command = Command::new(runtime);
        command.arg("run").arg("--plan").arg(suite.join("plan.json")).arg("--out").arg(&out);
        command.args(["--jobs", &JOBS.to_string(), "--fail-on-mismatch"]);
        let took = timed(&mut command, None);
        std::fs::remove_dir_all(&out).unwrap();
        took
    };
    // A worker that is given nothing to do ends at once, with an error.
    let spawns = move || started(starts, runtime, &["__worker"]);
    let mut variants =
        vec![Variant { name: "run", run: Box::new(run) }, Variant { name: "bare worker", run: Box::new(spawns) }];
    if let Some(bwrap) = find_program("bwrap") {
        let arguments = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true"];
        variants.push(Variant { name: "bwrap true", run: Box::new(move || started(starts, &bwrap, &arguments)) });
    }
    let times = Rounds::run("run", "ms", rounds, &variants);
    let took = times.median_of("run").unwrap();
    let bar = (probes == 1_000).then_some(6_000.0);
    let mut results = vec![Measured {
        name: format!("run: {probes} probes, 3 lanes, 2 jobs"),
        sides: (took, f64::NAN),
        unit: "ms",
        ratio: took,
        bar,
    }];
    results.extend(["bare worker", "bwrap true"].iter().filter_map(|name| times.compare("run", name, None)));
    results
}

/// Milliseconds that `number` processes take to start and end, two at a time.
fn started(number: usize, program: &str, arguments: &[&str]) -> f64 {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..JOBS {
            scope.spawn(|| {
                for _ in 0..number / JOBS {
                    let mut command = Command::new(program);
                    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                    command.status().unwrap();
                }
            });
        }
    });
    start.elapsed().as_secs_f64() * 1e3
}
