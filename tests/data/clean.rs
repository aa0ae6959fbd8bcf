//! What is shipped lints clean, also where warnings are denied; and what makes it clean hides nothing.
#![expect(clippy::disallowed_methods, reason = "tests look for what is shipped")]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::suite::{PLAN, PROBES, PROFILES, Suite, probe, run_in};

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names of the folders in `folder` that hold `file`.
fn folders(folder: &str, file: &str) -> Vec<String> {
    let entries = std::fs::read_dir(project().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = entries
        .filter(|path| path.join(file).is_file())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn denied(directory: &Path, plan: &str) -> (Option<i32>, Vec<Value>) {
    let outcome = run_in(directory, &["plan-lint", "--plan", plan, "--deny", "warnings", "--json"]);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{}", outcome.stderr));
    (outcome.status, report["findings"].as_array().unwrap().clone())
}

#[test]
fn every_shipped_plan_and_template_passes_with_warnings_denied() {
    let plans = folders("plans", "plan.json");
    assert_eq!(plans, ["linux-baseline", "linux-edge", "linux-hardened"]);
    let templates = folders("plans/templates", "template.json");
    assert_eq!(templates.len(), 15);
    let directory = tempfile::tempdir().unwrap();
    let shipped = plans.iter().map(|id| (project().to_path_buf(), format!("plans/{id}/plan.json")));
    let built = templates.iter().map(|id| {
        let outcome = run_in(directory.path(), &["plan-build", "--template", id, "--out", id]);
        assert_eq!(outcome.status, Some(0), "{id}: {}", outcome.stderr);
        (directory.path().to_path_buf(), format!("{id}/plan.json"))
    });
    for (start, plan) in shipped.chain(built).collect::<Vec<(PathBuf, String)>>() {
        let (status, findings) = denied(&start, &plan);
        let notes = findings.iter().filter(|finding| finding["severity"] == "note").count();
        assert_eq!((status, notes), (Some(0), findings.len()), "{plan}: {findings:#?}");
    }
}

/// The twin: without what its author accepts, a suite whose subject is mistakes does not pass.
#[test]
fn what_a_suite_accepts_is_still_found() {
    let directory = tempfile::tempdir().unwrap();
    for (id, expected) in [
        ("linux-edge", &["fixture-missing", "no-driver"][..]),
        ("vfs-canonicalization", &["sbpl-data-volume-path", "sbpl-link-in-path"]),
        ("metadata-runner", &["sbpl-link-in-path"]),
        ("lifecycle-lockdown", &["control-not-supported"]),
    ] {
        assert_eq!(run_in(directory.path(), &["plan-build", "--template", id, "--out", id]).status, Some(0));
        let file = format!("{id}/plan.json");
        let (_, accepted) = denied(directory.path(), &file);
        let path = directory.path().join(&file);
        let mut plan: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        plan.as_object_mut().unwrap().remove("accepted_lints").unwrap();
        std::fs::write(&path, plan.to_string()).unwrap();
        let (status, found) = denied(directory.path(), &file);
        let errors: Vec<&Value> = found.iter().filter(|finding| finding["severity"] == "error").collect();
        let mut ids: Vec<&str> = errors.iter().map(|finding| finding["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((status, ids.as_slice()), (Some(1), expected), "{id}");
        assert_eq!(found.len(), accepted.len(), "{id}: accepting hides nothing");
        let with_reason = |finding: &&Value| finding["help"].as_str().is_some_and(|help| help.contains("accepts"));
        assert_eq!(accepted.iter().filter(with_reason).count(), errors.len(), "{id}");
    }
}

#[test]
fn only_warnings_that_are_there_can_be_accepted() {
    let suite = Suite::new();
    suite.change(PROBES, |document| document["probes"]["demo:a:y"]["driver"] = json!("quux"));
    let lint = |accepted: Value| {
        suite.change(PLAN, |plan| plan["accepted_lints"] = accepted);
        let outcome = suite.run(&["plan-lint", "--plan", PLAN, "--deny", "warnings"]);
        (outcome.status, outcome.stdout)
    };
    let (status, text) = lint(json!({}));
    assert!(status == Some(1) && text.contains("error[unknown-driver]"), "{text}");
    let (status, text) = lint(json!({"unknown-driver": "a driver of ours"}));
    assert!(status == Some(0) && text.contains("note[unknown-driver]"), "{text}");
    assert!(text.contains("help: the plan accepts it: a driver of ours"), "{text}");
    assert!(text.ends_with("1 plan: no findings, 1 note\n"), "{text}");
    let (status, text) = lint(json!({"unknown-driver": "a driver of ours", "no-driver": "nothing lacks one"}));
    assert!(status == Some(1) && text.contains("error[accepted-lint]") && text.contains("/accepted_lints/no-driver"));
    // An error stays one.
    suite.change(PROBES, |document| document["probes"]["demo:a:y"]["expected"] = json!("perhaps"));
    let (status, text) = lint(json!({"expected-word": "it is meant"}));
    assert!(status == Some(1) && text.contains("error[expected-word]") && text.contains("accepted-lint"), "{text}");
}

/// What this program cannot do on macOS is no fault of a document; what cannot be done on Linux at all is.
#[test]
fn a_lacking_driver_is_a_note_only_where_the_operation_exists() {
    for (world, operation, severity) in [
        ("sonoma", "mach-lookup", None),
        ("sonoma", "system-reboot", Some("note")),
        ("sonoma", "mach-lookupp", Some("warning")),
        ("linux", "mach-lookup", Some("warning")),
        ("linux", "file-ioctl", Some("warning")),
    ] {
        let suite = Suite::new();
        suite.change(PLAN, |plan| plan["world_id"] = json!(world));
        suite.change(PROFILES, |document| document["world_id"] = json!(world));
        suite.change(PROBES, |document| {
            document["world_id"] = json!(world);
            let mut odd = probe("demo:a:y", operation, "com.apple.x");
            odd["driver"] = json!("sandbox_mach_probe");
            document["probes"]["demo:a:y"] = odd;
        });
        let (_, findings) = suite.plan_lint();
        let own: Vec<&Value> = findings
            .iter()
            .filter(|finding| finding["id"] == "no-driver")
            .map(|finding| &finding["severity"])
            .collect();
        assert_eq!(own, severity.iter().collect::<Vec<_>>(), "{world} {operation}: {findings:#?}");
    }
}
