//! How fast profiles are read and decided, and how fast the command starts: `cargo bench --bench sbpl`.
//!
//! Bars: reading 5,000 lines within 20 ms; a million decisions a second on one core for 200 rules with 20 expressions over
//! distinct paths; 3 ms from start to answer on a small profile.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]
#![expect(clippy::disallowed_methods, reason = "the start of the binary is what is measured")]
#![expect(clippy::print_stdout, reason = "the figures are the result")]
#![expect(missing_docs, reason = "criterion's macros make undocumented items")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use runtime::sbpl::{Access, Diagnostics, NoImports, Params, Policy, Source, Target, parse};
use runtime::vocab::{Decision, Operation};

const PATHS: usize = 1_000_000;

/// A profile of exactly this many lines: rules of several forms with a comment every tenth line.
fn long_profile(lines: usize) -> String {
    let mut text = String::from("(version 1)\n(deny default)\n");
    for line in 3..=lines {
        let _ = match line % 10 {
            0 => writeln!(text, "; part {line}: what the tools of this part need"),
            1 | 2 => {
                writeln!(text, "(allow file-read* (subpath \"/opt/part{line}/lib\") (literal \"/opt/part{line}\"))")
            }
            3 => writeln!(text, "(deny file-write* (regex #\"^/opt/part{line}/[a-z]+\\.lock$\"))"),
            4 => writeln!(text, "(allow mach-lookup (global-name \"org.example.part{line}.service\"))"),
            5 => writeln!(text, "(allow sysctl-read (sysctl-name \"hw.part{line}\" \"kern.part{line}\"))"),
            6 => writeln!(text, "(allow network-outbound (remote tcp \"localhost:{}\"))", 1024 + line),
            7 => writeln!(
                text,
                "(allow file-read-data (require-all (subpath \"/srv/{line}\") (require-not (literal \"/srv/{line}/key\"))))"
            ),
            8 => writeln!(text, "(define (part{line} rest) (string-append \"/var/part{line}\" rest))"),
            _ => writeln!(text, "(allow process-exec* (literal \"/opt/bin/tool{line}\") (with no-sandbox))"),
        };
    }
    text
}

/// 200 rules, all of them for the operation that is asked: 20 expressions (half of them unanchored), 60 literals, 80 trees,
/// 20 prefixes, 20 nested.
fn policy_of_200_rules() -> Policy {
    let mut text = String::from("(version 1)\n(deny default)\n");
    for index in 0..199 {
        let action = if index % 7 == 3 { "deny" } else { "allow" };
        let filter = match index % 10 {
            0 if index % 20 == 0 => format!("(regex #\"^/home/user{index}/[^/]+/build\\.(log|tmp)$\")"),
            0 => format!("(regex #\"/user{index}/[^/]+/build\\.(log|tmp)$\")"),
            1..=3 => format!("(literal \"/etc/service{index}/settings.conf\")"),
            4..=7 => format!("(subpath \"/usr/share/package{index}\")"),
            8 => format!("(prefix \"/var/cache/tool{index}-\")"),
            _ => format!(
                "(require-all (subpath \"/srv/data{index}\") (require-not (literal \"/srv/data{index}/secret\")))"
            ),
        };
        let _ = writeln!(text, "({action} file-read* {filter})");
    }
    assert_eq!(text.matches("(regex ").count(), 20);
    let policy = Policy::compile(&[Source::new("bench.sb", text)], &Params::new(), &NoImports).unwrap();
    assert_eq!(policy.rules().len(), 200);
    policy
}

/// Distinct paths; about half of them are matched by some rule, spread over the profile.
fn distinct_paths() -> Vec<String> {
    (0..PATHS)
        .map(|n| {
            let index = (n / 10) % 199;
            match n % 10 {
                0 => format!("/home/user{}/project{n}/build.log", index / 10 * 10),
                1 => format!("/etc/service{index}/settings{n}.conf"),
                2..=4 => format!("/usr/share/package{}/doc/file{n}.html", index / 10 * 10 + 4 + n % 4),
                5 => format!("/var/cache/tool{}-{n}/entry", index / 10 * 10 + 8),
                6 => format!("/srv/data{}/set/{n}", index / 10 * 10 + 9),
                _ => format!("/opt/unrelated/part{}/deep/er/file{n}", n % 1000),
            }
        })
        .collect()
}

fn count_allowed(policy: &Policy, operation: &Operation, paths: &[String]) -> usize {
    paths
        .iter()
        .filter(|path| {
            let target = Target::Path { path: path.as_bytes(), vnode_type: None, mode: None };
            policy.judge(&Access { operation, target }).decision() == Some(Decision::Allow)
        })
        .count()
}

fn read(criterion: &mut Criterion) {
    let text = long_profile(5_000);
    assert_eq!(text.lines().count(), 5_000);
    let sources = [Source::new("long.sb", text)];
    let mut group = criterion.benchmark_group("5000 lines");
    group.throughput(Throughput::Bytes(sources[0].text.len() as u64));
    group.bench_function("parse", |bencher| {
        bencher.iter_with_large_drop(|| {
            let mut diagnostics = Diagnostics::new();
            let forms = parse(&sources, 0, &mut diagnostics);
            assert!(diagnostics.is_empty());
            forms
        });
    });
    group.sample_size(20);
    group.bench_function("compile", |bencher| {
        bencher.iter_with_large_drop(|| Policy::compile(&sources, &Params::new(), &NoImports).unwrap());
    });
    group.finish();
}

fn decide(criterion: &mut Criterion) {
    let policy = policy_of_200_rules();
    let paths = distinct_paths();
    let operation = Operation::new("file-read-data");
    let allowed = count_allowed(&policy, &operation, &paths);
    assert!(allowed > PATHS / 4 && allowed < PATHS * 3 / 4, "{allowed} of {PATHS} are allowed");
    let mut group = criterion.benchmark_group("200 rules");
    group.sample_size(10).throughput(Throughput::Elements(PATHS as u64));
    group.bench_function("1000000 distinct paths", |bencher| {
        bencher.iter(|| black_box(count_allowed(&policy, &operation, &paths)));
    });
    group.finish();
}

/// Rounds of the comparison with `true`.
const ROUNDS: usize = 301;

/// Runs a command to its end and gives the time that took, in milliseconds. Status 0 or 1: answered, with or without
/// findings.
fn time(program: &str, arguments: &[&str]) -> f64 {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().unwrap();
    let elapsed = start.elapsed();
    assert!(status.code().is_some_and(|code| code < 2), "{program} {arguments:?}: {status}");
    elapsed.as_secs_f64() * 1e3
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// Start to exit. The commands take turns with `true`, what starting any process costs here, so that all of them meet the
/// same load; shown are medians, the ratio of each to that of `true`, and the load before and after.
fn start(_: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let profile = directory.path().join("small.sb");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/sbpl/decisions/precedence.sb"), &profile).unwrap();
    let profile = profile.to_str().unwrap();
    let runtime = env!("CARGO_BIN_EXE_runtime");
    let commands: [(&str, &str, Vec<&str>); 4] = [
        ("true", "true", vec![]),
        ("runtime --version", runtime, vec!["--version"]),
        (
            "runtime sbpl explain",
            runtime,
            vec!["sbpl", "explain", "--op", "file-read-data", "--target", "/a/b/ok", "--profile", profile],
        ),
        ("runtime sbpl lint", runtime, vec!["sbpl", "lint", profile]),
    ];
    let before = load();
    let mut times = vec![Vec::with_capacity(ROUNDS); commands.len()];
    for _ in 0..ROUNDS {
        for ((_, program, arguments), times) in commands.iter().zip(&mut times) {
            times.push(time(program, arguments));
        }
    }
    println!("start to exit, {ROUNDS} rounds, load {before} before and {} after", load());
    let mut least = 0.0;
    for ((name, ..), times) in commands.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let (fastest, median, tenth) = (times[0], times[ROUNDS / 2], times[ROUNDS * 9 / 10]);
        if *name == "true" {
            least = median;
        }
        let ratio = median / least;
        println!(
            "  {name:22} median {median:.2} ms, {ratio:.2} times true; fastest {fastest:.2}, 90 % within {tenth:.2}"
        );
    }
}

criterion_group!(sbpl, read, decide, start);
criterion_main!(sbpl);
