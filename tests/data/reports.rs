//! The forms of a report: all say the same, and the readers they are made for accept them.
#![expect(clippy::disallowed_methods, reason = "tests write their own inputs and ask cargo for a package")]

use std::collections::HashSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use junit_parser::TestStatus;
use serde_json::{Value, json};

use crate::suite::{INDEX, Outcome, PLAN, PROBES, PROFILE_TEXT, PROFILES, Suite};

/// A suite with errors and warnings in every file, and with characters that every form has to escape.
fn broken() -> Suite {
    let suite = Suite::new();
    suite.change(PLAN, |plan| {
        plan["n<o>t&e's \"%0A::error::"] = json!("x");
        plan["profiles"] = json!(["demo:a", "demo:b", "\u{1b}[2J\u{0}"]);
    });
    suite.change(PROBES, |document| document["probes"]["demo:a:x"]["expected"] = json!("maybe\n]]>"));
    suite.change(PROFILES, |document| document["profiles"]["demo:a"]["nøtes"] = json!(null));
    suite.change(PROFILES, |document| {
        let mut other = document["profiles"]["demo:a"].clone();
        other.as_object_mut().unwrap().remove("nøtes");
        other["profile_id"] = json!("demo:b");
        document["profiles"]["demo:b"] = other;
    });
    suite.write(PROFILE_TEXT, b"(version 1)\n(deny default)\n(allow signal)\n(deny signal)\n");
    suite
}

/// The lints of [`broken`], each with what its JSON form found.
fn lints() -> Vec<(Suite, Vec<&'static str>, Vec<Value>)> {
    let of = |arguments: &[&'static str]| {
        let suite = broken();
        let mut with_json = arguments.to_vec();
        with_json.extend(["--format", "json"]);
        let report: Value = serde_json::from_str(&suite.run(&with_json).stdout).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        assert!(findings.len() >= 3, "{findings:#?}");
        (suite, arguments.to_vec(), findings)
    };
    vec![
        of(&["plan-lint", "--plan", PLAN, "--registry-index", INDEX]),
        of(&["registry-lint", "--registry-index", INDEX]),
        of(&["registry-lint", "--registry", "./registry"]),
    ]
}

fn in_format(suite: &Suite, arguments: &[&str], format: &str, deny: bool) -> Outcome {
    let mut arguments = arguments.to_vec();
    arguments.extend(["--format", format]);
    if deny {
        arguments.extend(["--deny", "warnings"]);
    }
    suite.run(&arguments)
}

fn is_error(finding: &Value) -> bool {
    finding["severity"] == "error"
}

#[test]
fn every_form_has_every_finding_and_warnings_can_be_denied_in_all() {
    for (suite, arguments, findings) in lints() {
        let errors = findings.iter().filter(|finding| is_error(finding)).count();
        assert!(errors > 0 && errors < findings.len());
        for deny in [false, true] {
            let errors = if deny { findings.len() } else { errors };
            let run = |format| {
                let outcome = in_format(&suite, &arguments, format, deny);
                assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(1), ""), "{arguments:?} {format}");
                assert!(!outcome.stdout.contains('\u{1b}'), "{arguments:?} {format}");
                outcome.stdout
            };
            let human = run("human");
            assert!(human.contains(&format!(": {errors} error")), "{human}");
            for finding in &findings {
                let (file, id) = (finding["file"].as_str().unwrap(), finding["id"].as_str().unwrap());
                assert!(human.contains(&format!("[{id}]: ")), "{human}");
                if let Some(line) = finding["line"].as_u64() {
                    let place = format!("  --> {file}:{line}:{}", finding["column"]);
                    assert!(human.contains(&place), "{place} in {human}");
                }
            }
            let object: Value = serde_json::from_str(&run("json")).unwrap();
            assert_eq!((&object["ok"], &object["complete"]), (&json!(false), &json!(true)));
            assert_eq!(object["findings"].as_array().unwrap().iter().filter(|f| is_error(f)).count(), errors);
            let sarif: Value = serde_json::from_str(&run("sarif")).unwrap();
            let results = sarif["runs"][0]["results"].as_array().unwrap();
            assert_eq!(results.len(), findings.len());
            assert_eq!(results.iter().filter(|result| result["level"] == "error").count(), errors);
            for (result, finding) in results.iter().zip(&findings) {
                assert_eq!(result["ruleId"], finding["id"]);
                let region = &result["locations"][0]["physicalLocation"]["region"];
                assert_eq!((&region["startLine"], &region["startColumn"]), (&finding["line"], &finding["column"]));
            }
            let github = run("github");
            assert_eq!(github.lines().count(), findings.len(), "{github}");
            assert_eq!(github.lines().filter(|line| line.starts_with("::error file=")).count(), errors);
            let junit = junit_parser::from_reader(run("junit").as_bytes()).unwrap();
            assert_eq!(junit.failures, errors as u64);
        }
    }
}

#[test]
fn a_parser_accepts_the_junit_form() {
    for (suite, arguments, findings) in lints() {
        let outcome = in_format(&suite, &arguments, "junit", false);
        let report = junit_parser::from_reader(outcome.stdout.as_bytes()).unwrap();
        for own in &report.suites {
            assert_eq!(own.tests as usize, own.cases.len());
            let of_file: Vec<&Value> = findings.iter().filter(|finding| finding["file"] == *own.name).collect();
            // A case for each finding, and one that passes where there is none.
            assert_eq!(own.cases.len(), of_file.len().max(1), "{}", own.name);
            let failed = own.cases.iter().filter(|case| matches!(case.status, TestStatus::Failure(_))).count();
            assert_eq!(failed, of_file.iter().filter(|finding| is_error(finding)).count(), "{}", own.name);
            for (case, finding) in own.cases.iter().zip(&of_file) {
                let id = finding["id"].as_str().unwrap();
                assert!(case.original_name.starts_with(&format!("{id} ")), "{} {finding}", case.original_name);
                assert_eq!(case.file.as_deref(), finding["file"].as_str());
                assert_eq!(case.line, finding["line"].as_u64());
            }
            let names: HashSet<&str> = own.cases.iter().map(|case| case.original_name.as_str()).collect();
            assert_eq!(names.len(), own.cases.len(), "viewers tell cases apart by their names: {names:?}");
        }
        assert_eq!(report.tests as usize, report.suites.iter().map(|own| own.cases.len()).sum::<usize>());
        let clean = Suite::new();
        let outcome = in_format(&clean, &arguments, "junit", true);
        let report = junit_parser::from_reader(outcome.stdout.as_bytes()).unwrap();
        assert_eq!((outcome.status, report.failures, report.errors), (Some(0), 0, 0));
        assert!(report.tests >= 3);
        assert!(junit_parser::from_reader(outcome.stdout.replace("</testsuite>", "").as_bytes()).is_err());
    }
}

#[test]
fn what_cannot_be_read_does_not_hide_the_rest_in_any_form() {
    let suite = broken();
    for (arguments, absent, id) in [
        (
            vec!["plan-lint", "--plan", PLAN, "nothere.json", "--registry-index", INDEX],
            "nothere.json",
            "unreadable-file",
        ),
        (vec!["registry-lint", "--registry", "./registry", "./nothere"], "./nothere", "unknown-registry"),
        (
            vec!["registry-lint", "--registry", "./registry", "nope", "--registry-index", INDEX],
            "nope",
            "unknown-registry",
        ),
    ] {
        let run = |format| {
            let outcome = in_format(&suite, &arguments, format, false);
            assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(3), ""), "{arguments:?} {format}");
            outcome.stdout
        };
        let object: Value = serde_json::from_str(&run("json")).unwrap();
        assert_eq!((&object["ok"], &object["complete"]), (&json!(false), &json!(false)));
        let findings = object["findings"].as_array().unwrap();
        assert!(findings.iter().any(|finding| finding["id"] == id && finding["file"] == absent && is_error(finding)));
        let others = findings.iter().filter(|finding| finding["file"] != absent).count();
        assert!(others >= 3, "{findings:#?}");
        let human = run("human");
        assert!(
            human.contains(&format!("error[{id}]")) && human.contains(&format!("not complete: {absent}: ")),
            "{human}"
        );
        let sarif: Value = serde_json::from_str(&run("sarif")).unwrap();
        assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), findings.len());
        assert_eq!(sarif["runs"][0]["invocations"][0]["executionSuccessful"], false);
        let github = run("github");
        assert_eq!(github.lines().filter(|line| line.contains(&format!("title={id}"))).count(), 1, "{github}");
        assert_eq!(github.lines().count(), findings.len() + 1, "{github}");
        let junit = junit_parser::from_reader(run("junit").as_bytes()).unwrap();
        let own = junit.suites.iter().find(|own| own.name == absent).unwrap();
        assert_eq!((own.failures, own.errors), (1, 1));
        assert!(junit.suites.iter().filter(|own| own.name != absent).any(|own| own.failures > 0));
    }
    let index = suite.run(&["registry-lint", "--registry-index", "nothere.json", "--json"]);
    let object: Value = serde_json::from_str(&index.stdout).unwrap();
    assert_eq!((index.status, &object["findings"][0]["id"]), (Some(3), &json!("unreadable-file")));
    let message = object["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains("No such file or directory"), "{message}");
}

/// The schema of SARIF 2.1.0 as it is published with the package `serde-sarif`, fetched when it is not there yet.
fn sarif_schema() -> Option<Value> {
    let project = tempfile::tempdir().unwrap();
    let manifest = project.path().join("Cargo.toml");
    std::fs::create_dir(project.path().join("src")).unwrap();
    std::fs::write(project.path().join("src/lib.rs"), "").unwrap();
    let text = "[package]\nname = \"schema\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
                [dependencies]\nserde-sarif = \"=0.8.0\"\n";
    std::fs::write(&manifest, text).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--manifest-path"])
        .arg(&manifest)
        .current_dir(project.path())
        .output()
        .ok()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).ok()?;
    let package = metadata["packages"].as_array()?.iter().find(|package| package["name"] == "serde-sarif")?;
    let path = PathBuf::from(package["manifest_path"].as_str()?).with_file_name("src/schema.json");
    let mut schema: Value = serde_json::from_slice(&std::fs::read(path).ok()?).unwrap();
    // Not an expression by the stricter reading of brackets; reports here have no language.
    for part in ["run", "toolComponent"] {
        schema["definitions"][part]["properties"]["language"].as_object_mut().unwrap().remove("pattern").unwrap();
    }
    Some(schema)
}

#[test]
fn the_sarif_form_is_valid_by_the_published_schema() {
    let Some(schema) = sarif_schema() else {
        let what = "SARIF reports against the schema of SARIF 2.1.0: the package serde-sarif cannot be had";
        let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
        // Where nothing may be skipped, that is a failure.
        assert!(std::env::var_os("RUNTIME_TESTS_SKIP_NOTHING").is_none(), "nothing may be skipped here: {what}");
        return;
    };
    assert!(schema["title"].as_str().unwrap().contains("Version 2.1.0"), "{}", schema["title"]);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let not_json = Suite::new();
    not_json.write(PLAN, b"{");
    let mut reports = vec![in_format(&not_json, &["plan-lint", "--plan", PLAN], "sarif", false).stdout];
    for (suite, arguments, _) in lints() {
        reports.push(in_format(&suite, &arguments, "sarif", false).stdout);
        reports.push(in_format(&Suite::new(), &arguments, "sarif", true).stdout);
        suite.write("b.sb", b"(version 1)\n(allow signal)");
        reports.push(in_format(&suite, &["sbpl", "lint", "b.sb"], "sarif", false).stdout);
    }
    for report in &reports {
        let document: Value = serde_json::from_str(report).unwrap();
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert_eq!(errors, [""; 0], "{report}");
    }
    let good: Value = serde_json::from_str(&reports[1]).unwrap();
    for (pointer, wrong) in [
        ("/version", json!("2.0.0")),
        ("/runs/0/results/0/level", json!("fatal")),
        ("/runs/0/results/0/locations/0/physicalLocation/region/startLine", json!(0)),
        ("/runs/0/tool/driver/name", json!(7)),
        ("/runs/0/results/0/message", json!({})),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = wrong;
        assert!(!validator.is_valid(&bad), "{pointer}");
    }
}

#[test]
fn what_could_not_be_looked_at_is_told_in_every_form_with_its_place() {
    let suite = Suite::new();
    suite.write("broken.json", b"{\n  \"a\": 1,\n}");
    let arguments = ["plan-lint", "--plan", "broken.json", "--plan", PLAN];
    for (format, words) in [
        ("human", "broken.json:3:1"),
        ("json", "\"complete\": false"),
        ("sarif", "\"executionSuccessful\": false"),
        ("github", "::error file=broken.json,line=3,col=1,title=not-json::"),
        ("junit", "<error type=\"not complete\""),
    ] {
        let outcome = in_format(&suite, &arguments, format, false);
        assert_eq!(outcome.status, Some(3), "{format}");
        assert!(outcome.stdout.contains(words), "{format}: {}", outcome.stdout);
    }
    suite.write(INDEX, b"[");
    let outcome = suite.run(&["registry-lint", "--registry-index", INDEX, "--json"]);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((outcome.status, &report["findings"][0]["id"]), (Some(3), &json!("not-json")));
}

#[test]
fn several_plans_are_judged_in_one_command() {
    let suite = Suite::new();
    suite.write("good.json", &std::fs::read(suite.path(PLAN)).unwrap());
    suite.change(PLAN, |plan| plan["lanes"] = json!({"all": true}));
    let outcome = suite.run(&["plan-lint", "--plan", "good.json", "--plan", PLAN, "--json"]);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(outcome.status, Some(1));
    let source = json!({"kind": "sibling", "path": "registry", "probes": "registry/probes.json",
        "profiles": "registry/profiles.json"});
    let plans = json!([{"plan": "good.json", "registry": source}, {"plan": PLAN, "registry": source}]);
    assert_eq!(report["plans"], plans);
    assert_eq!(report["findings"].as_array().unwrap().len(), 1);
    assert_eq!(report["findings"][0]["file"], PLAN);
    let human = suite.run(&["plan-lint", "--plan", "good.json", "--plan", PLAN]).stdout;
    assert!(human.ends_with("2 plans: 1 error, 0 warnings\n"), "{human}");
}

#[test]
fn filters_that_match_nothing_are_found() {
    let suite = Suite::new();
    let lint = |extra: &[&str]| {
        let outcome = suite.run(&[&["plan-lint", "--plan", PLAN, "--json"], extra].concat());
        let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        (outcome.status, findings.iter().map(|f| format!("{} {}", f["id"], f["message"])).collect::<Vec<_>>())
    };
    assert_eq!(lint(&["--only-profile", "demo:a", "--only-scenario", "demo:a:x"]), (Some(0), vec![]));
    for (extra, words) in
        [(["--only-profile", "demo:b"], "no profile"), (["--only-scenario", "demo:a"], "the expectation")]
    {
        let (status, findings) = lint(&extra);
        assert_eq!((status, findings.len()), (Some(1), 1), "{findings:?}");
        assert!(findings[0].contains("filter-without-match") && findings[0].contains(words), "{findings:?}");
    }
}
