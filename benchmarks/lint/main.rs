//! How fast plans and registries are linted, and how fast a lint starts: `cargo bench -p benchmarks --bench lint`.
//!
//! A plan over a registry of 10,000 probes, made by a generator with a fixed seed: `plan-lint` does the whole job (both
//! registries, references, targets, profile texts, fixtures), validators of JSON Schema check the shape of the probe
//! registry alone. All take turns; a ratio is the median of the ratios of rounds. Before that, all must agree on which
//! of two registries is valid. Peers that are not installed are named. `docs/benchmarks.md` holds the bars and figures.
//!
//!   cargo bench -p benchmarks --bench lint [-- [--quick] [--json] [--runtime FILE] [memory] [probes] [findings] [start]]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]
#![expect(clippy::disallowed_methods, reason = "whole processes are what is measured")]
#![expect(clippy::print_stderr, reason = "the result of a measurement")]

mod generate;

use std::path::Path;
use std::process::{Command, Stdio};

use benchmarks::{Asked, Measured, Rounds, Variant, answer_peak, find_program, load, peak_bytes, timed, version_of};
use generate::Broken;

const PROBES: usize = 10_000;

/// A validator of JSON Schema.
struct Peer {
    name: &'static str,
    /// What `plan-lint` must not exceed in relation to it.
    bar: f64,
    path: Option<String>,
    arguments: fn(schema: &str, document: &str) -> Vec<String>,
}

fn peers() -> Vec<Peer> {
    let peer = |name, program, bar, arguments| Peer { name, bar, path: find_program(program), arguments };
    vec![
        peer("jsonschema-cli", "jsonschema-cli", 1.3, |schema, document| {
            ["validate", schema, "--instance", document].map(str::to_owned).to_vec()
        }),
        peer("check-jsonschema", "check-jsonschema", 1.0 / 20.0, |schema, document| {
            ["--schemafile", schema, document].map(str::to_owned).to_vec()
        }),
        peer("ajv-cli", "ajv", 1.0 / 7.0, |schema, document| {
            ["validate", "--spec=draft7", "-s", schema, "-d", document].map(str::to_owned).to_vec()
        }),
    ]
}

impl Peer {
    fn command(&self, schema: &Path, document: &Path) -> Option<Command> {
        let mut command = Command::new(self.path.as_ref()?);
        command.args((self.arguments)(schema.to_str().unwrap(), document.to_str().unwrap()));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Some(command)
    }

    fn accepts(&self, schema: &Path, document: &Path) -> Option<bool> {
        Some(self.command(schema, document)?.status().unwrap().success())
    }
}

/// A lint of the plan of `suite`.
fn plan_lint(runtime: &str, suite: &Path) -> Command {
    let mut command = Command::new(runtime);
    command.arg("plan-lint").arg("--plan").arg(suite.join("plan.json")).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn main() {
    answer_peak();
    let asked = Asked::from_arguments();
    let before = load();
    let directory = tempfile::tempdir().unwrap();
    let suite = |name: &str, probes, broken| generate::suite(&directory.path().join(name), probes, broken);
    let clean = suite("clean", PROBES, Broken::None);
    let schema = directory.path().join("schema.json");
    std::fs::write(&schema, generate::SCHEMA).unwrap();
    let peers = peers();
    let rounds = if asked.quick { 1 } else { 21 };

    let mut results = Vec::new();
    let mut found = |measured: Measured| {
        eprintln!("  {}", measured.line());
        results.push(measured);
    };
    if asked.wants("memory") {
        found(memory(asked.runtime(), &clean));
    }
    if asked.wants("probes") {
        let few = suite("few", PROBES, Broken::OneInAThousand);
        against_peers(asked.runtime(), &peers, &schema, [&clean, &few], rounds).into_iter().for_each(&mut found);
    }
    if asked.wants("findings") {
        found(findings(asked.runtime(), &clean, &suite("many", PROBES, Broken::All), rounds));
    }
    if asked.wants("start") {
        let tiny = suite("tiny", 2, Broken::None);
        start(asked.runtime(), &tiny, if asked.quick { 1 } else { 201 }).into_iter().for_each(&mut found);
    }
    // Not every peer says which version it is.
    let version = |path: &str| version_of(Some(path)).unwrap_or_else(|| path.to_owned());
    let versions: Vec<_> = peers.iter().map(|peer| (peer.name, peer.path.as_deref().map(version))).collect();
    asked.print(&versions, &results, &before);
}

/// A figure without a second side.
fn alone(name: &str, unit: &'static str, value: f64, bar: Option<f64>) -> Measured {
    Measured { name: name.to_owned(), sides: (value, f64::NAN), unit, ratio: value, bar }
}

fn memory(runtime: &str, suite: &Path) -> Measured {
    let peak = peak_bytes(runtime, &["plan-lint", "--plan", suite.join("plan.json").to_str().unwrap()]);
    let input: f64 = generate::files(suite).iter().map(|file| file.metadata().unwrap().len() as f64).sum();
    let sides = (peak / 1e6, input / 1e6);
    Measured { name: "memory: plan-lint / input".to_owned(), sides, unit: "MB", ratio: peak / input, bar: Some(10.0) }
}

/// The clean suite and one with a few errors are told apart by all; then the clean one is timed.
fn against_peers(runtime: &str, peers: &[Peer], schema: &Path, suites: [&Path; 2], rounds: usize) -> Vec<Measured> {
    let probes_of = |suite: &Path| suite.join("registry/probes.json");
    let own = suites.map(|suite| plan_lint(runtime, suite).status().unwrap().code());
    assert_eq!(own, [Some(0), Some(1)]);
    for peer in peers {
        let answers = suites.map(|suite| peer.accepts(schema, &probes_of(suite)));
        assert!(answers == [None; 2] || answers == [Some(true), Some(false)], "{}: {answers:?}", peer.name);
    }
    let clean = suites[0];
    let mut variants =
        vec![Variant { name: "plan-lint", run: Box::new(|| timed(&mut plan_lint(runtime, clean), None)) }];
    for peer in peers.iter().filter(|peer| peer.path.is_some()) {
        let run = move || timed(&mut peer.command(schema, &clean.join("registry/probes.json")).unwrap(), None);
        variants.push(Variant { name: peer.name, run: Box::new(run) });
    }
    let times = Rounds::run("10,000 probes", "ms", rounds, &variants);
    let mut results = vec![alone("10,000 probes: plan-lint", "ms", times.median_of("plan-lint").unwrap(), None)];
    results.extend(peers.iter().filter_map(|peer| times.compare("plan-lint", peer.name, Some(peer.bar))));
    results
}

/// What a megabyte of findings costs: an error in every probe, found, placed and printed, less the clean suite.
fn findings(runtime: &str, clean: &Path, many: &Path, rounds: usize) -> Measured {
    let with_errors = || {
        let start = std::time::Instant::now();
        let output = plan_lint(runtime, many).stdout(Stdio::piped()).output().unwrap();
        let took = start.elapsed().as_secs_f64() * 1e3;
        assert_eq!(output.status.code(), Some(1));
        (took, output.stdout.len() as f64 / 1e6)
    };
    let (_, size) = with_errors();
    assert!(size >= 1.0, "{size} MB of findings");
    let variants = [
        Variant { name: "clean", run: Box::new(|| timed(&mut plan_lint(runtime, clean), None)) },
        Variant { name: "errors", run: Box::new(|| with_errors().0) },
    ];
    let times = Rounds::run("findings", "ms", rounds, &variants);
    let extra = times.median_of("errors").unwrap() - times.median_of("clean").unwrap();
    alone("findings: each MB of text", "ms", extra / size, Some(50.0))
}

/// Start to end of a lint of two probes, beside that of a program that does nothing.
fn start(runtime: &str, suite: &Path, rounds: usize) -> Vec<Measured> {
    let registry_lint = || {
        let mut command = Command::new(runtime);
        command.arg("registry-lint").arg("--registry").arg(suite).stdout(Stdio::null()).stderr(Stdio::null());
        timed(&mut command, None)
    };
    let variants = [
        Variant { name: "true", run: Box::new(|| timed(&mut Command::new("true"), None)) },
        Variant { name: "plan-lint", run: Box::new(|| timed(&mut plan_lint(runtime, suite), None)) },
        Variant { name: "registry-lint", run: Box::new(registry_lint) },
    ];
    let times = Rounds::run("start", "ms", rounds, &variants);
    let least = times.median_of("true").unwrap();
    let of = |name| {
        let median = times.median_of(name).unwrap();
        let name = format!("start: {name} beside true");
        Measured { name, sides: (median, least), unit: "ms", ratio: median, bar: Some(3.0) }
    };
    vec![of("plan-lint"), of("registry-lint")]
}
