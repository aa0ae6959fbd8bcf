//! The compiled digest: equal for the same content wherever it stands, another one after any change of it.

use serde_json::{Value, json};

use crate::suite::{FIXTURES, INDEX, Outcome, PLAN, PROBES, PROFILE_TEXT, PROFILES, Suite, probe};

const PREFLIGHT: &str = "sb/before.sb";

fn frozen_suite() -> Suite {
    let suite = Suite::new();
    suite.write(PREFLIGHT, b"(version 1)\n(allow default)\n");
    suite.change(PLAN, |plan| plan["apply_preflight_profile"] = json!("./sb/before.sb"));
    // In the registry, and not used by the plan.
    suite.change(PROBES, |registry| registry["probes"]["demo:b:z"] = probe("demo:b:z", "process-fork", "self"));
    suite
}

fn describe(suite: &Suite) -> Value {
    let outcome = suite.run(&["describe-plan", "--plan", PLAN, "--registry-index", INDEX]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn digest(suite: &Suite) -> String {
    let described = describe(suite);
    let digest = described["compiled_digest"].as_str().unwrap_or_else(|| panic!("{described}"));
    assert!(digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{digest}");
    digest.to_owned()
}

fn lint(suite: &Suite, frozen: &str) -> Outcome {
    suite.run(&["plan-lint", "--plan", PLAN, "--registry-index", INDEX, "--frozen", frozen, "--json"])
}

fn ids(outcome: &Outcome) -> Vec<String> {
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{}", outcome.stdout));
    report["findings"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn any_change_of_what_a_plan_means_is_a_finding() {
    let suite = frozen_suite();
    let frozen = digest(&suite);
    let clean = lint(&suite, &frozen);
    assert_eq!((clean.status, ids(&clean)), (Some(0), vec![]), "{}", clean.stdout);
    // One byte of each file at a time, put back afterwards.
    for (file, from, to) in [
        (PLAN, "demo.v1", "demo.v2"),
        (PLAN, "\"linux\"", "\"linuy\""),
        (PROBES, "\"deny\"", "\"denz\""),
        (PROBES, "/d/f.txt", "/d/g.txt"),
        (PROFILES, "file:read", "file:reae"),
        (PROFILE_TEXT, "version 1)\n", "version 1)\t"),
        (PREFLIGHT, "version 1)\n", "version 1) "),
        (FIXTURES, "x\\n", "y\\n"),
    ] {
        let before = std::fs::read_to_string(suite.path(file)).unwrap();
        let after = before.replacen(from, to, 1);
        assert_eq!(before.bytes().zip(after.bytes()).filter(|(a, b)| a != b).count(), 1, "{file}: {from}");
        suite.write(file, after.as_bytes());
        let drifted = lint(&suite, &frozen);
        assert_eq!(drifted.status, Some(1), "{file}: {}", drifted.stdout);
        assert!(ids(&drifted).contains(&"frozen-digest".to_owned()), "{file}: {}", drifted.stdout);
        suite.write(file, before.as_bytes());
    }
    assert_eq!(lint(&suite, &frozen).status, Some(0));
}

#[test]
fn what_changes_nothing_changes_no_digest() {
    let suite = frozen_suite();
    let frozen = digest(&suite);
    // Another place, another layout of the same documents, an entry that the plan does not use, another way to the registry.
    let elsewhere = frozen_suite();
    assert_eq!(digest(&elsewhere), frozen);
    let compact = serde_json::to_vec(&suite.read_json(PROBES)).unwrap();
    suite.write(PROBES, &compact);
    assert_eq!(digest(&suite), frozen);
    suite.change(PROBES, |registry| registry["probes"]["demo:b:z"]["expected"] = json!("allow"));
    assert_eq!(digest(&suite), frozen);
    // The same reached in run order: swapping two references is another run.
    suite.change(PROFILES, |registry| registry["profiles"]["demo:a"]["probe_refs"] = json!(["demo:a:y", "demo:a:x"]));
    assert_ne!(digest(&suite), frozen);
}

#[test]
fn a_digest_that_cannot_be_made_is_said_to_be_absent() {
    let suite = frozen_suite();
    let frozen = digest(&suite);
    for (file, part) in
        [(PROFILE_TEXT, "demo:a"), (FIXTURES, "fixtures"), (PREFLIGHT, "apply_preflight_profile"), (PROBES, "probe")]
    {
        let before = std::fs::read(suite.path(file)).unwrap();
        suite.remove(file);
        let described = describe(&suite);
        assert_eq!(described["compiled_digest"], Value::Null, "{file}");
        let error = described["compiled_digest_error"].as_str().unwrap();
        assert!(error.contains(part), "{file}: {error}");
        let report = lint(&suite, &frozen);
        assert_eq!(report.status, Some(1), "{file}");
        assert!(ids(&report).contains(&"frozen-digest".to_owned()), "{file}: {}", report.stdout);
        suite.write(file, &before);
    }
    for text in ["abc", &frozen.to_uppercase(), ""] {
        let usage = suite.run(&["plan-lint", "--plan", PLAN, "--frozen", text]);
        assert_eq!(usage.status, Some(2), "{text:?} {}", usage.stdout);
    }
    let two = suite.run(&["plan-lint", "--plan", PLAN, "--plan", PLAN, "--frozen", &frozen]);
    assert!(two.status == Some(2) && two.stderr.contains("one plan"), "{}", two.stderr);
    // The digest of the plan alone is another one; the finding says which was given.
    let plan_digest = describe(&suite)["plan_digest"].as_str().unwrap().to_owned();
    let report = lint(&suite, &plan_digest);
    assert!(report.status == Some(1) && report.stdout.contains("plan digest"), "{}", report.stdout);
}

#[test]
fn a_run_records_the_digest() {
    let suite = frozen_suite();
    let frozen = digest(&suite);
    let outcome = suite.run(&["run", "--plan", PLAN, "--dry", "--out", "out", "--json"]);
    assert_eq!(outcome.status, Some(0), "{} {}", outcome.stdout, outcome.stderr);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["compiled_digest"], json!(frozen));
    let manifest = format!("out/{}/run_manifest.json", report["run_id"].as_str().unwrap());
    assert_eq!(suite.read_json(&manifest)["compiled_digest"], json!(frozen));
    // A narrowed run is a run of the same plan: which rows it executed stands in its expected matrix.
    let arguments = ["run", "--plan", PLAN, "--dry", "--out", "out", "--json", "--only-scenario", "demo:a:y"];
    let narrowed: Value = serde_json::from_str(&suite.run(&arguments).stdout).unwrap();
    assert_eq!((&narrowed["compiled_digest"], &narrowed["summary"]["scenario_count"]), (&json!(frozen), &json!(1)));
}
