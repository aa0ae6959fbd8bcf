//! Which decision is a probe's own: links on the way, `..`, interpreters and what a started program does are not it.

use serde_json::{Value, json};

use crate::suite::{Probe, Suite, expect, runtime};

fn linked(profile: &str, probes: Vec<Probe>) -> Suite {
    Suite::new()
        .fixtures(json!([
            {"path": "real/x", "kind": "file"},
            {"path": "ld", "kind": "symlink", "target": "real"},
            {"path": "fl", "kind": "symlink", "target": "ld/x"},
        ]))
        .profile("demo:links", profile, probes)
}

fn denying(path: &str) -> String {
    format!(
        "(version 1)\n(allow default)\n(deny file-read-metadata (literal (string-append (param \"FIXTURES\") \"{path}\")))\n"
    )
}

fn outcome(suite: &Suite, name: &str) -> (Value, Value) {
    let row = suite.row("demo:links", name);
    (row["actual"].clone(), row["runtime_result"]["intended_op_witnessed"].clone())
}

#[test]
fn a_refused_link_on_the_way_is_not_a_decision_about_the_target() {
    let suite = linked(
        &denying("/ld"),
        vec![
            Probe::new("through", "file-read-metadata", "${FIXTURES}/ld/x", "deny"),
            Probe::new("slash", "file-read-metadata", "${FIXTURES}/ld/", "deny"),
            Probe::new("read", "file-read-data", "${FIXTURES}/fl", "deny"),
            Probe::new("link", "file-read-metadata", "${FIXTURES}/ld", "deny"),
        ],
    );
    expect(&suite.run(&["--fail-on-mismatch"]), 1);
    for name in ["through", "slash", "read"] {
        assert_eq!(outcome(&suite, name), (json!(null), json!(false)), "{name}");
        let row = suite.row("demo:links", name);
        let why = row["not_observed"].as_str().unwrap();
        assert!(why.contains("refused earlier, by file-read-metadata") && why.ends_with("/ld"), "{why}");
        assert_eq!(row["own_record"], json!(null), "{row:#}");
    }
    assert_eq!(outcome(&suite, "link"), (json!("deny"), json!(true)), "the link itself was asked about");
    let counts = &suite.document("summary.json")["counts"];
    assert_eq!((&counts["matches"], &counts["not_observed"]), (&json!(1), &json!(3)));
    let witnesses = suite.document("path_witnesses.json");
    assert_eq!(witnesses["records"][0]["observed_path"], json!(null), "what was refused is not what was reached");
}

#[test]
fn a_target_reached_through_links_and_dots_is_observed() {
    let suite = linked(
        &denying("/real/x"),
        vec![
            Probe::new("through", "file-read-metadata", "${FIXTURES}/ld/x", "deny"),
            Probe::new("dots", "file-read-metadata", "${FIXTURES}/ld/../real/./x", "deny"),
            Probe::new("read", "file-read-data", "${FIXTURES}/fl", "allow"),
            Probe::new("relative", "file-read-data", "fl", "allow"),
            Probe::new("own", "file-read-data", "/proc/self/status", "allow"),
            Probe::new("missing", "file-read-data", "${FIXTURES}/ld/none/../y", "allow"),
        ],
    );
    expect(&suite.run(&[]), 0);
    for (name, actual) in
        [("through", "deny"), ("dots", "deny"), ("read", "allow"), ("relative", "allow"), ("own", "allow")]
    {
        assert_eq!(outcome(&suite, name), (json!(actual), json!(true)), "{name}");
    }
    // Nothing was there to be judged: `..` of a missing directory leads nowhere.
    assert_eq!(outcome(&suite, "missing").0, json!(null));
}

#[test]
fn a_script_whose_interpreter_is_refused_was_neither_allowed_nor_denied() {
    let script = json!([
        {"path": "script", "kind": "file", "content": "#!/bin/sh\nexit 3\n", "mode": "0755"},
        {"path": "unreadable", "kind": "noop_program", "mode": "0111"},
    ]);
    let probe = |name, target, expected| Probe::new(name, "process-exec*", target, expected);
    let suite = Suite::new()
        .fixtures(script)
        .profile(
            "demo:refused",
            "(version 1)\n(allow default)\n(deny process-exec-interpreter)\n",
            vec![probe("allow", "${FIXTURES}/script", "allow"), probe("deny", "${FIXTURES}/script", "deny")],
        )
        .profile(
            "demo:allowed",
            "(version 1)\n(allow default)\n",
            vec![
                probe("script", "${FIXTURES}/script", "allow"),
                probe("unreadable", "${FIXTURES}/unreadable", "allow"),
            ],
        );
    expect(&suite.run(&[]), 0);
    for name in ["allow", "deny"] {
        let row = suite.row("demo:refused", name);
        assert_eq!((&row["actual"], &row["match"]), (&json!(null), &json!(null)), "{row:#}");
        assert!(row["not_observed"].as_str().unwrap().contains("refused by process-exec-interpreter"), "{row:#}");
    }
    assert_eq!(suite.row("demo:allowed", "script")["match"], true);
    let unreadable = suite.row("demo:allowed", "unreadable");
    assert_eq!(unreadable["actual"], json!(null), "{unreadable:#}");
    assert!(unreadable["undecided"].as_str().unwrap().contains("cannot be read"), "{unreadable:#}");
}

#[test]
fn the_named_rule_is_the_one_of_the_own_call() {
    // The shell that is started reads files; the rules about those are not the rule about the program.
    let text = "(version 1)\n(deny default)\n(allow process-exec*)\n(allow file-read*)\n(allow process-fork)\n";
    let suite = Suite::new().profile("demo:sh", text, vec![Probe::new("sh", "process-exec*", "/bin/sh", "deny")]);
    expect(&suite.run(&[]), 0);
    let mismatches = suite.document("mismatch_summary.json");
    let notes = mismatches["mismatches"][0]["notes"].as_str().unwrap();
    assert!(notes.contains("p0.sb:3"), "{notes}");
}

#[test]
fn what_cannot_be_performed_here_is_not_observed_and_no_error() {
    let suite = Suite::new().fixtures(json!([{"path": "x", "kind": "file"}])).profile(
        "demo:a",
        "(version 1)\n(deny default)\n",
        vec![
            Probe::new("mach", "mach-lookup", "com.example.service", "deny"),
            Probe::new("read", "file-read-data", "${FIXTURES}/x", "deny"),
        ],
    );
    let output = suite.run(&["--fail-on-mismatch"]);
    expect(&output, 1);
    let row = suite.row("demo:a", "mach");
    assert_eq!((&row["actual"], &row["error"], &row["match"]), (&json!(null), &json!(null), &json!(null)), "{row:#}");
    assert_eq!(row["runtime_result"]["status"], "blocked");
    let counts = &suite.document("summary.json")["counts"];
    assert_eq!((&counts["matches"], &counts["errors"], &counts["not_observed"]), (&json!(1), &json!(0), &json!(1)));
    let baseline = suite.document("baseline_results.json");
    assert_eq!(baseline["results"][0]["status"], json!(null), "the control knows nothing either");
    assert_eq!(baseline["results"][0]["reached_primary_op"], false);
    let (code, said) = suite.linux_gate();
    assert!(code == 1 && said.contains("rows_unobserved"), "{said}");
}

#[test]
fn probes_that_share_a_name_have_controls_of_their_own() {
    let suite = Suite::new()
        .fixtures(json!([
            {"path": "x", "kind": "file"},
            {"path": "closed", "kind": "file", "mode": "0000"},
        ]))
        .profile(
            "demo:a",
            "(version 1)\n(allow default)\n",
            vec![
                Probe::new("first", "file-read-data", "${FIXTURES}/x", "allow"),
                Probe::new("second", "file-read-data", "${FIXTURES}/closed", "allow"),
            ],
        );
    let plan = suite.write();
    let path = suite.path().join("registry/probes.json");
    let mut probes: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    probes["probes"]["demo:a:second"]["name"] = json!("first");
    std::fs::write(&path, probes.to_string()).unwrap();
    let out = suite.out();
    expect(
        &runtime(&["run", "--plan", plan.to_str().unwrap(), "--out", out.to_str().unwrap(), "--fail-on-mismatch"]),
        0,
    );
    let events = suite.document("runtime_events.normalized.json");
    let attribution = |at: usize| events[at]["policy_layers"]["attribution"].clone();
    assert_eq!((attribution(0), attribution(1)), (json!("allow"), json!("platform_policy")));
}

#[test]
fn the_evaluator_is_asked_about_what_the_target_leads_to() {
    let suite = linked(
        "(version 1)\n(deny default)\n(allow file-read-metadata)\n\
         (allow file-read-data (literal (string-append (param \"FIXTURES\") \"/real/x\")))\n",
        vec![
            Probe::new("link", "file-read-data", "${FIXTURES}/fl", "allow"),
            Probe::new("dots", "file-read-data", "${FIXTURES}/ld/../real/x", "allow"),
            Probe::new("other", "file-read-data", "${FIXTURES}/ld", "deny"),
        ],
    );
    expect(&suite.run(&["--fail-on-mismatch"]), 0);
    for (name, decision, end) in
        [("link", "allow", "/real/x"), ("dots", "allow", "/real/x"), ("other", "deny", "/real")]
    {
        let answer = suite.answer(&format!("demo:links:{name}"));
        assert_eq!(answer["decision"], decision, "{answer:#}");
        assert!(answer["argument"].as_str().unwrap().ends_with(end), "{answer:#}");
    }
}
