//! The templates for macOS that bring their own fixtures, run on this machine in spite of their world: what Linux has a driver
//! for is decided as they expect.
//!
//! Nothing follows from that for macOS, and the bundle says that the world was rebound. It checks the suites: fixtures,
//! targets and profiles fit together, and the kernel agrees with the evaluator about them.

use std::path::Path;

use serde_json::Value;

use crate::suite::{expect, runtime};

/// Template, probes, and how many of them at least Linux can perform.
const SUITES: &[(&str, u64, u64)] = &[
    ("probe-op-structure", 4, 2),
    ("runtime-adversarial", 77, 61),
    ("runtime-checks", 56, 50),
    ("runtime-frontiers", 22, 16),
];

fn build(id: &str, directory: &Path) {
    expect(&runtime(&["plan-build", "--template", id, "--out", directory.to_str().unwrap()]), 0);
}

/// Runs the suite in `directory`; returns the counts of its summary.
fn counts(directory: &Path) -> Value {
    let (plan, out) = (directory.join("plan.json"), directory.join("out"));
    let arguments = ["run", "--plan", plan.to_str().unwrap(), "--out", out.to_str().unwrap()];
    expect(&runtime(&arguments), 1); // a plan of another world
    expect(&runtime(&[&arguments[..], &["--rebind-world"]].concat()), 0);
    let run = out.join(std::fs::read_to_string(out.join("LATEST")).unwrap().trim());
    let mut summary: Value = serde_json::from_slice(&std::fs::read(run.join("summary.json")).unwrap()).unwrap();
    summary["counts"].take()
}

#[test]
fn what_linux_can_perform_is_decided_as_expected() {
    for &(id, probes, performed) in SUITES {
        let directory = tempfile::tempdir().unwrap();
        build(id, directory.path());
        let counts = counts(directory.path());
        let count = |key: &str| counts[key].as_u64().unwrap();
        assert_eq!((count("mismatches"), count("errors")), (0, 0), "{id}: {counts}");
        assert_eq!(count("matches") + count("not_observed"), probes, "{id}: {counts}");
        assert!(count("matches") >= performed, "{id}: {counts}");
    }
}

/// The twin: a profile with another rule is seen.
#[test]
fn a_changed_profile_is_a_mismatch() {
    let directory = tempfile::tempdir().unwrap();
    build("probe-op-structure", directory.path());
    let profile = directory.path().join("sb/file_any.sb");
    let text = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, text.replace("/public", "/other")).unwrap();
    assert_eq!(counts(directory.path())["mismatches"], 2);
}
