//! Each of these breaks one thing about a passing suite, and the run says so: the failing twins of the gates.

use serde_json::json;

use crate::suite::{Probe, Suite, expect, text};

const READER: &str =
    "(version 1)\n(deny default)\n(allow file-read-data (literal (string-append (param \"FIXTURES\") \"/a\")))\n";

fn reader(text: &str) -> Suite {
    Suite::new()
        .fixtures(json!([
            {"path": "a", "kind": "file", "content": "a"},
            {"path": "b", "kind": "file", "content": "b"},
        ]))
        .profile(
            "demo:reader",
            text,
            vec![
                Probe::new("read_a", "file-read-data", "${FIXTURES}/a", "allow"),
                Probe::new("read_b", "file-read-data", "${FIXTURES}/b", "deny"),
            ],
        )
}

#[test]
fn the_unbroken_suite_passes_and_its_gate_opens() {
    let suite = reader(READER);
    expect(&suite.run(&["--fail-on-mismatch"]), 0);
    assert_eq!(suite.linux_gate().0, 0);
    let denied = suite.row("demo:reader", "read_b");
    assert_eq!(denied["decision_records"][0]["rule"]["line"], 2, "{denied:#}");
}

#[test]
fn an_allow_rule_too_many_is_found_typed_and_closes_the_gate() {
    let wider = format!("{READER}(allow file-read* (subpath (param \"FIXTURES\")))\n");
    let suite = reader(&wider);
    let run = suite.run(&[]);
    expect(&run, 0);
    let line = "unexpected_allow  demo:reader:read_b  file-read-data ${FIXTURES}/b: expected deny, allow";
    assert!(text(&run).contains(line) && text(&run).contains("explain-event --bundle"), "{}", text(&run));
    let summary = suite.document("mismatch_summary.json");
    assert_eq!(summary["counts"], json!({"unexpected_allow": 1}));
    assert_eq!(summary["mismatches"][0]["expectation_id"], "demo:reader:read_b");
    assert!(summary["mismatches"][0]["notes"].as_str().unwrap().ends_with("p0.sb:4"), "{summary:#}");
    let (code, said) = suite.linux_gate();
    assert!(code == 1 && said.contains("mismatches"), "{said}");
    expect(&reader(&wider).run(&["--fail-on-mismatch"]), 1);
}

#[test]
fn a_rule_too_few_is_an_unexpected_deny() {
    let suite = reader("(version 1)\n(deny default)\n");
    expect(&suite.run(&[]), 0);
    let counts = &suite.document("mismatch_summary.json")["counts"];
    assert_eq!(*counts, json!({"unexpected_deny": 1}));
}

#[test]
fn unreadable_by_mode_is_not_a_policy_deny() {
    let suite = Suite::new().fixtures(json!([{"path": "a", "kind": "file", "content": "a", "mode": "0000"}])).profile(
        "demo:open",
        "(version 1)\n(allow default)\n",
        vec![Probe::new("read_a", "file-read-data", "${FIXTURES}/a", "deny")],
    );
    expect(&suite.run(&[]), 0);
    let row = suite.row("demo:open", "read_a");
    assert_eq!((&row["actual"], &row["match"]), (&json!("allow"), &json!(false)));
    assert_eq!(row["errno_name"], "EACCES");
    let counts = &suite.document("mismatch_summary.json")["counts"];
    assert_eq!(*counts, json!({"unexpected_allow": 1}));
}

#[test]
fn a_missing_layer_is_recorded_and_closes_the_gate() {
    let suite = reader(READER);
    expect(&suite.run(&["--without-layer", "landlock"]), 0);
    let report = suite.document("enforcement_report.json");
    assert!(report["missing_layers"].as_array().unwrap().contains(&json!("landlock")), "{report:#}");
    let (code, said) = suite.linux_gate();
    assert!(code == 1 && said.contains("linux_layers_missing"), "{said}");
}

#[test]
fn another_world_is_refused_and_rebinding_closes_the_gate() {
    let suite = reader(READER).world("sonoma");
    let refused = suite.run(&[]);
    expect(&refused, 1);
    assert!(text(&refused).contains("sonoma") && !suite.out().exists(), "{}", text(&refused));
    expect(&suite.run(&["--rebind-world"]), 0);
    assert_eq!(suite.document("run_manifest.json")["world_rebound"], true);
    let (code, said) = suite.linux_gate();
    assert!(code == 1 && said.contains("world_rebound"), "{said}");
}

#[test]
fn an_undecidable_rule_is_enforced_as_deny_and_counts_as_not_observed() {
    let suite = Suite::new().fixtures(json!([{"path": "a", "kind": "file", "content": "a"}])).profile(
        "demo:extension",
        "(version 1)\n(deny default)\n(allow file-read-data (extension \"com.example.read\"))\n",
        vec![Probe::new("read_a", "file-read-data", "${FIXTURES}/a", "deny")],
    );
    expect(&suite.run(&[]), 0);
    let row = suite.row("demo:extension", "read_a");
    assert_eq!((&row["actual"], &row["runtime_result"]["errno"]), (&json!(null), &json!(1)));
    assert!(row["undecided"].as_str().unwrap().contains("extension"), "{row:#}");
    let (code, said) = suite.linux_gate();
    assert!(code == 1 && said.contains("rows_undecided"), "{said}");
}

#[test]
fn an_operation_without_a_driver_is_not_observed() {
    let suite = Suite::new().profile(
        "demo:mach",
        "(version 1)\n(deny default)\n",
        vec![Probe::new("lookup", "mach-lookup", "com.example.service", "deny")],
    );
    expect(&suite.run(&[]), 0);
    let row = suite.row("demo:mach", "lookup");
    assert_eq!(row["actual"], json!(null), "{row:#}");
    let (code, said) = suite.linux_gate();
    assert_eq!(code, 1, "{said}");
}

#[test]
fn plans_that_cannot_run_say_why_and_write_nothing() {
    let broken = |suite: Suite, path: &str, content: &[u8], code: i32, needles: &[&str]| {
        let plan = suite.write();
        match path {
            "" => {}
            path => std::fs::write(suite.path().join(path), content).unwrap(),
        }
        let out = suite.out();
        let output = crate::suite::runtime(&["run", "--plan", plan.to_str().unwrap(), "--out", out.to_str().unwrap()]);
        expect(&output, code);
        let said = text(&output);
        assert!(needles.iter().all(|needle| said.contains(needle)), "{needles:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
        assert!(!out.exists(), "nothing is written: {said}");
    };
    let plan = br#"{"schema_version": "runtime-tools.plan.v0.1", "plan_id": "p", "registry_id": "suite", "world_id": "linux", "profiles": ["demo:absent"]}"#;
    broken(reader(READER), "plan.json", plan, 3, &["demo:absent"]);
    broken(reader("(version 1)\n(deny default\n"), "", b"", 3, &["p0.sb:2"]);
    broken(reader(READER), "plan.json", b"{\"plan_id\": \"a\",\n \"plan_id\": \"b\"}", 3, &["duplicate key", "line 2"]);
    broken(reader(READER), "registry/probes.json", b"{\"a\": \"\xff\"}", 3, &["UTF-8", "probes.json"]);
    broken(reader(READER), "fixtures.json", b"[[[", 3, &["fixtures.json"]);
    let missing = reader(READER);
    missing.write();
    std::fs::remove_file(missing.path().join("sb/p0.sb")).unwrap();
    let out = missing.out();
    let plan = missing.path().join("plan.json");
    let output = crate::suite::runtime(&["run", "--plan", plan.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    expect(&output, 3);
    assert!(text(&output).contains("p0.sb"), "{}", text(&output));
}

#[test]
fn filters_that_match_nothing_are_errors() {
    let suite = reader(READER);
    let output = suite.run(&["--only-scenario", "demo:reader:read_x"]);
    expect(&output, 3);
    assert!(text(&output).contains("demo:reader:read_x"));
    expect(&suite.run(&["--only-scenario", "demo:reader:read_b"]), 0);
    assert_eq!(suite.rows("demo:reader").len(), 1);
}

#[test]
fn a_probe_that_does_not_support_a_lane_is_not_executed_in_it_and_never_counted_as_met() {
    let suite = reader(READER);
    let plan = suite.write();
    let path = suite.path().join("registry/probes.json");
    let mut registry: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    registry["probes"]["demo:reader:read_b"]["supports_lanes"]["scenario"] = json!(false);
    registry["probes"]["demo:reader:read_a"]["supports_lanes"]["baseline"] = json!(false);
    std::fs::write(&path, registry.to_string()).unwrap();
    let out = suite.out();
    let args = ["run", "--plan", plan.to_str().unwrap(), "--out", out.to_str().unwrap()];
    expect(&crate::suite::runtime(&args), 0);
    let names: Vec<serde_json::Value> = suite.rows("demo:reader").into_iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names, ["read_a"]);
    let baseline = suite.document("baseline_results.json");
    assert_eq!(baseline["results"].as_array().unwrap().len(), 1);
    assert_eq!(baseline["results"][0]["probe_name"], "read_b");
    let summary = suite.document("summary.json");
    assert_eq!((&summary["status"], &summary["counts"]["not_supported"]), (&json!("partial"), &json!(1)));
    assert_eq!(suite.linux_gate().0, 1);
    expect(&crate::suite::runtime(&[&args[..], &["--fail-on-mismatch"]].concat()), 1);
}
