//! Nothing is self-fulfilling: random profiles, targets and expectations, half of the latter wrong, judged here by a
//! reader of a few lines that shares nothing with the product; then rows, records and effects on disk are compared.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::suite::{Probe, Suite, expect, text};

/// A generator good enough to choose tests (splitmix64), seeded by the test and printed on failure.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

const OPERATIONS: [&str; 9] = [
    "file-read-data",
    "file-read-metadata",
    "file-read-xattr",
    "file-test-existence",
    "file-write-create",
    "file-write-data",
    "file-write-mode",
    "file-write-times",
    "file-write-unlink",
];
const RULE_OPERATIONS: [&str; 13] = [
    "file*",
    "file-read*",
    "file-write*",
    "default",
    "file-read-data",
    "file-read-metadata",
    "file-read-xattr",
    "file-test-existence",
    "file-write-create",
    "file-write-data",
    "file-write-mode",
    "file-write-times",
    "file-write-unlink",
];
const NETWORK_RULES: [&str; 3] = ["network*", "network-outbound", "network-bind"];
/// A time that no probe sets.
const LONG_AGO: Duration = Duration::from_secs(1_000_000_000);

#[derive(Clone)]
enum Shape {
    Port(u16),
    Literal(PathBuf),
    Subpath(PathBuf),
    Everything,
}

#[derive(Clone)]
struct Rule {
    allow: bool,
    operation: &'static str,
    shape: Shape,
    line: usize,
}

impl Rule {
    fn covers(&self, operation: &str, path: &Path) -> bool {
        let operation_fits = match self.operation {
            "default" => false,
            wildcard if wildcard.ends_with('*') => operation.starts_with(wildcard.trim_end_matches('*')),
            exact => exact == operation,
        };
        operation_fits
            && match &self.shape {
                Shape::Port(port) => path == address(*port),
                Shape::Literal(literal) => literal == path,
                Shape::Subpath(root) => path.starts_with(root),
                Shape::Everything => true,
            }
    }

    fn text(&self) -> String {
        let action = if self.allow { "allow" } else { "deny" };
        let side = if self.operation == "network-bind" { "local" } else { "remote" };
        match &self.shape {
            Shape::Port(port) => format!("({action} {} ({side} tcp \"localhost:{port}\"))", self.operation),
            Shape::Literal(path) => format!("({action} {} (literal \"{}\"))", self.operation, path.display()),
            Shape::Subpath(path) => format!("({action} {} (subpath \"{}\"))", self.operation, path.display()),
            Shape::Everything => format!("({action} {})", self.operation),
        }
    }
}

/// How a probe's target names a port, kept where other targets keep a path.
fn address(port: u16) -> PathBuf {
    PathBuf::from(format!("127.0.0.1:{port}"))
}

/// The last rule that matches decides; without one, the last default line.
fn judge<'a>(rules: &'a [Rule], operation: &str, path: &Path) -> &'a Rule {
    let matching = rules.iter().rfind(|rule| rule.covers(operation, path));
    matching
        .or_else(|| rules.iter().rfind(|rule| rule.operation == "default"))
        .expect("every profile has a default line")
}

struct Planned {
    name: String,
    operation: &'static str,
    path: PathBuf,
    allowed: bool,
    line: usize,
    expected_wrong: bool,
    readable: bool,
    /// Who is connected to, and nobody else's: what it has seen is what this probe did.
    listener: Option<TcpListener>,
}

/// Every probe gets a file of its own below `root`, some unreadable by mode; rules are drawn over the same directories.
fn draw(random: &mut Random, root: &Path, profile: usize) -> (String, Vec<Planned>) {
    let directories: Vec<PathBuf> = (0..3).map(|n| root.join(format!("profile{profile}/dir{n}"))).collect();
    directories.iter().for_each(|dir| std::fs::create_dir_all(dir.join("deep")).unwrap());
    let places: Vec<PathBuf> = directories.iter().flat_map(|dir| [dir.clone(), dir.join("deep")]).collect();
    let files: Vec<PathBuf> = (0..16).map(|n| places[random.below(places.len())].join(format!("file{n}"))).collect();

    let mut source = String::from("(version 1)\n");
    let mut rules: Vec<Rule> = Vec::new();
    let mut add = |source: &mut String, mut rule: Rule| {
        if rule.allow == source.len().is_multiple_of(2) {
            source.push_str("; a comment line moves what follows\n");
        }
        rule.line = source.lines().count() + 1;
        writeln!(source, "{}", rule.text()).unwrap();
        rules.push(rule);
    };
    let default = Rule { allow: random.below(2) == 0, operation: "default", shape: Shape::Everything, line: 0 };
    add(&mut source, default);
    for _ in 0..10 {
        let operation = random.one_of(&RULE_OPERATIONS);
        let shape = match (operation, random.below(5)) {
            ("default", _) => Shape::Everything,
            (_, 0..=1) => Shape::Literal(files[random.below(files.len())].clone()),
            (_, 2..=3) => Shape::Subpath(places[random.below(places.len())].clone()),
            _ => Shape::Subpath(root.join(format!("profile{profile}"))),
        };
        add(&mut source, Rule { allow: random.below(2) == 0, operation, shape, line: 0 });
    }

    let listeners: Vec<TcpListener> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    for _ in 0..6 {
        let operation = random.one_of(&NETWORK_RULES);
        let shape = match random.below(4) {
            0..=2 if operation != "network*" => Shape::Port(port(&listeners[random.below(listeners.len())])),
            _ => Shape::Everything,
        };
        add(&mut source, Rule { allow: random.below(2) == 0, operation, shape, line: 0 });
    }

    let files = files.into_iter().enumerate().map(|(n, path)| {
        let operation = random.one_of(&OPERATIONS);
        let readable = random.below(4) != 0;
        if operation != "file-write-create" {
            std::fs::write(&path, "0123456789").unwrap();
            let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + LONG_AGO).unwrap();
            let mode = if readable { 0o644 } else { 0 };
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(&path, permissions).unwrap();
        }
        let rule = judge(&rules, operation, &path);
        let (allowed, line) = (rule.allow, rule.line);
        let expected_wrong = random.below(2) == 0;
        Planned { name: format!("probe{n}"), operation, path, allowed, line, expected_wrong, readable, listener: None }
    });
    let mut planned: Vec<Planned> = files.collect();
    for (n, listener) in listeners.into_iter().enumerate() {
        listener.set_nonblocking(true).unwrap();
        // The port is taken, so a bind that is allowed fails: the decision is the same.
        let operation = if n == 3 { "network-bind" } else { "network-outbound" };
        let path = address(port(&listener));
        let rule = judge(&rules, operation, &path);
        let (allowed, line) = (rule.allow, rule.line);
        let (expected_wrong, listener) = (random.below(2) == 0, Some(listener));
        let name = format!("network{n}");
        planned.push(Planned { name, operation, path, allowed, line, expected_wrong, readable: true, listener });
    }
    (source, planned)
}

#[test]
fn mismatches_are_exactly_the_wrong_expectations_and_effects_follow_the_decisions() {
    let seeds: &[u64] = if std::env::var_os("RUNTIME_TESTS_FULL").is_some() {
        &[1, 20_261_121, 0xfeed, 7, 0xdead_beef, 42]
    } else {
        println!("LEFT TO NIGHTLY: five of six random plans");
        &[20_261_121]
    };
    for &seed in seeds {
        one_plan(seed);
    }
}

fn one_plan(seed: u64) {
    let mut random = Random(seed);
    let field = tempfile::tempdir().unwrap();
    let root = field.path().canonicalize().unwrap();
    // The baseline lane would perform the same writes on the same files; what it shows is tested elsewhere.
    let mut suite = Suite::new().lanes(json!({"scenario": true, "baseline": false, "oracle": true}));
    let mut plan = Vec::new();
    for number in 0..4 {
        let (source, planned) = draw(&mut random, &root, number);
        let id = format!("random:{number}");
        let word = |allow: bool| if allow { "allow" } else { "deny" };
        let probes = planned
            .iter()
            .map(|p| Probe::new(&p.name, p.operation, p.path.to_str().unwrap(), word(p.allowed != p.expected_wrong)));
        suite = suite.profile(&id, &source, probes.collect());
        plan.push((id, source, planned));
    }
    let output = suite.run(&[]);
    expect(&output, 0);

    let mut wrong = BTreeSet::new();
    for (number, (id, source, planned)) in plan.iter().enumerate() {
        for probe in planned {
            let row = suite.row(id, &probe.name);
            let at = format!(
                "seed {seed} {id} {} {} {}\n{source}\n{row:#}",
                probe.name,
                probe.operation,
                probe.path.display()
            );
            assert_eq!(row["actual"], if probe.allowed { "allow" } else { "deny" }, "{at}");
            let record =
                &row["decision_records"].as_array().unwrap().iter().find(|r| r["operation"] == probe.operation);
            let rule = &record.unwrap_or_else(|| panic!("no record: {at}"))["rule"];
            assert_eq!(rule["line"], probe.line, "{at}");
            assert!(rule["file"].as_str().unwrap().ends_with(&format!("sb/p{number}.sb")), "{at}");
            check_effect(probe, &row, &at);
            if probe.expected_wrong {
                wrong.insert(format!("{id}:{}", probe.name));
            }
        }
    }
    let summary = suite.document("mismatch_summary.json");
    let reported: BTreeSet<String> = summary["mismatches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["expectation_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(reported, wrong, "seed {seed}: {}", text(&output));
    assert!(!wrong.is_empty(), "seed {seed}: the draw must contain wrong expectations");
}

/// What stands on disk now must be what the decision says, whatever the row claims.
fn check_effect(probe: &Planned, row: &serde_json::Value, at: &str) {
    let length = || std::fs::metadata(&probe.path).unwrap().len();
    let mode =
        || std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&probe.path).unwrap().permissions()) & 0o777;
    let touched = || {
        let modified = std::fs::metadata(&probe.path).unwrap().modified().unwrap();
        modified != SystemTime::UNIX_EPOCH + LONG_AGO
    };
    let as_made = if probe.readable { 0o644 } else { 0 };
    match probe.operation {
        "network-outbound" => {
            let reached = probe.listener.as_ref().unwrap().accept().is_ok();
            assert_eq!(reached, probe.allowed, "{at}");
        }
        "network-bind" => {}
        "file-write-mode" => assert_eq!(mode(), if probe.allowed { 0o600 } else { as_made }, "{at}"),
        "file-write-times" => assert_eq!(touched(), probe.allowed, "{at}"),
        "file-write-create" => assert_eq!(probe.path.exists(), probe.allowed, "{at}"),
        "file-write-unlink" => assert_eq!(probe.path.exists(), !probe.allowed, "{at}"),
        "file-write-data" => assert_eq!(length(), if probe.allowed && probe.readable { 11 } else { 10 }, "{at}"),
        _ => assert_eq!(length(), 10, "{at}"),
    }
    let errno = match (probe.operation, probe.allowed, probe.readable) {
        (_, false, _) => json!(1),
        ("file-read-data" | "file-write-data", true, false) => json!(13),
        ("network-bind", true, _) => json!(98),
        _ => json!(null),
    };
    assert_eq!(row["runtime_result"]["errno"], errno, "{at}");
}
