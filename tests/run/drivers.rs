//! Every driver with its twins: what is allowed happens, what is denied does not, a wrong expectation is a mismatch, and no
//! row rests on a decision about something else.

use serde_json::{Value, json};

use crate::suite::{Probe, Suite, expect, text};

/// One file that each rule opens, and one that no rule opens.
fn files(rules: &str, probes: Vec<Probe>) -> Suite {
    Suite::new()
        .fixtures(json!([
            {"path": "open/x", "kind": "file", "content": "x"},
            {"path": "shut/x", "kind": "file", "content": "x"},
            {"path": "link", "kind": "symlink", "target": "open/x"},
        ]))
        .profile("demo:a", &format!("(version 1)\n(deny default)\n{rules}\n"), probes)
}

fn open(operation: &str) -> String {
    format!("(allow {operation} (subpath (string-append (param \"FIXTURES\") \"/open\")))")
}

#[track_caller]
fn assert_observed(suite: &Suite, name: &str, actual: &str) -> Value {
    let row = suite.row("demo:a", name);
    let observed = (&row["actual"], &row["runtime_result"]["intended_op_witnessed"]);
    assert_eq!(observed, (&json!(actual), &json!(true)), "{row:#}");
    let answer = suite.answer(&format!("demo:a:{name}"));
    assert_eq!(answer["decision"], actual, "the evaluator says the same: {answer:#}");
    row
}

#[test]
fn file_drivers_meet_their_own_decision_and_nothing_else() {
    for operation in ["file-test-existence", "file-read-xattr", "file-write-mode", "file-write-times"] {
        let probe = |name: &str, target: &str, expected| Probe::new(name, operation, target, expected);
        let suite = files(
            &format!("{}\n(allow file-read-metadata)", open(operation)),
            vec![
                probe("allowed", "${FIXTURES}/open/x", "allow"),
                probe("denied", "${FIXTURES}/shut/x", "deny"),
                probe("through_link", "${FIXTURES}/link", "allow"),
                probe("missing", "${FIXTURES}/open/none", "allow"),
                probe("wrong_allow", "${FIXTURES}/open/x", "deny"),
                probe("wrong_deny", "${FIXTURES}/shut/x", "allow"),
            ],
        );
        let output = suite.run(&["--fail-on-mismatch"]);
        expect(&output, 1);
        for (name, actual, errno) in [
            ("allowed", "allow", json!(null)),
            ("denied", "deny", json!("EPERM")),
            ("through_link", "allow", json!(null)),
            ("missing", "allow", json!("ENOENT")),
            ("wrong_allow", "allow", json!(null)),
            ("wrong_deny", "deny", json!("EPERM")),
        ] {
            let row = assert_observed(&suite, name, actual);
            assert_eq!(row["errno_name"], errno, "{operation} {name}: {row:#}");
            assert_eq!(row["performed_operation"], operation);
        }
        assert_eq!(suite.control("denied")["status"], "allow", "without a policy it works");
        let counts = &suite.document("mismatch_summary.json")["counts"];
        assert_eq!(*counts, json!({"unexpected_allow": 1, "unexpected_deny": 1}), "{operation}: {}", text(&output));
    }
}

#[test]
fn a_link_needs_both_of_its_decisions() {
    let link = |name: &str, target: &str, expected| Probe::new(name, "file-link", target, expected);
    let probes = || vec![link("allowed", "${FIXTURES}/open/x", "allow"), link("denied", "${FIXTURES}/shut/x", "deny")];
    let suite = files(&format!("{}\n{}", open("file-link"), open("file-write-create")), probes());
    expect(&suite.run(&["--fail-on-mismatch"]), 0);
    assert_observed(&suite, "allowed", "allow");
    assert_observed(&suite, "denied", "deny");

    let half = files(&open("file-link"), probes());
    expect(&half.run(&[]), 0);
    let row = half.row("demo:a", "allowed");
    assert_eq!((&row["actual"], &row["match"]), (&json!(null), &json!(null)), "{row:#}");
    assert!(row["not_observed"].as_str().unwrap().contains("refused by file-write-create"), "{row:#}");
}

#[test]
fn a_segment_of_shared_memory_is_made_or_refused() {
    let probes = || {
        vec![Probe::new("right", "ipc-sysv-shm", "self", "allow"), Probe::new("wrong", "ipc-sysv-shm", "self", "deny")]
    };
    for (rules, actual) in [("(allow ipc-sysv-shm)", "allow"), ("", "deny")] {
        let suite = files(rules, probes());
        expect(&suite.run(&["--fail-on-mismatch"]), 1);
        for name in ["right", "wrong"] {
            let row = assert_observed(&suite, name, actual);
            assert_eq!(row["errno_name"], if actual == "deny" { json!("EPERM") } else { json!(null) });
        }
        assert_eq!(suite.document("summary.json")["counts"]["matches"], 1);
        assert_eq!(suite.control("right")["status"], "allow");
    }
}

#[test]
fn a_signal_is_decided_by_who_is_to_get_it_and_the_receiver_is_the_witness() {
    let signal = |target: &str, expected| Probe::new(target, "signal", target, expected);
    let suite = files(
        "(allow process-fork)\n(allow signal (target self))\n(allow signal (target children))",
        vec![
            signal("self", "allow"),
            signal("children", "allow"),
            signal("same-sandbox", "deny"),
            signal("others", "deny"),
        ],
    );
    let output = suite.run(&["--fail-on-mismatch"]);
    expect(&output, 0);
    for (name, actual, seen) in [
        ("self", "allow", json!(true)),
        ("children", "allow", json!(true)),
        ("same-sandbox", "deny", json!(false)),
        ("others", "deny", json!(null)),
    ] {
        let row = assert_observed(&suite, name, actual);
        assert_eq!(row["effect_seen"], seen, "{row:#}");
        let own = &row["decision_records"][row["own_record"].as_u64().unwrap() as usize];
        assert_eq!(own["operation"], "signal", "{row:#}");
    }
    for name in ["self", "children", "same-sandbox", "others"] {
        let control = suite.control(name);
        assert_eq!(control["status"], "allow", "{control:#}");
    }
    let run = suite.row("demo:a", "others")["decision_records"].clone();
    assert!(run.as_array().unwrap().iter().any(|record| record["operation"] == "signal"), "{run:#}");
}

#[test]
fn without_the_right_to_fork_nobody_is_there_to_be_signalled() {
    let signal = |target: &str, expected| Probe::new(target, "signal", target, expected);
    let suite = files("(allow signal)", vec![signal("children", "allow"), signal("same-sandbox", "deny")]);
    expect(&suite.run(&[]), 0);
    for name in ["children", "same-sandbox"] {
        let row = suite.row("demo:a", name);
        assert_eq!((&row["actual"], &row["match"]), (&json!(null), &json!(null)), "{row:#}");
        assert!(row["not_observed"].as_str().unwrap().contains("refused earlier, by process-fork"), "{row:#}");
        assert_eq!(row["errno_name"], "EPERM", "{row:#}");
    }
}

#[test]
fn a_target_of_the_wrong_form_is_refused_before_anything_is_written() {
    for (operation, target, why) in [
        ("network-outbound", "127.0.0.1:99999", "1 to 65535"),
        ("network-outbound", "127.0.0.1", "no port"),
        ("network-outbound", "example.com:80", "not looked up"),
        ("network-outbound", "127.0.0.1:${PORT_A}", "unknown parameter"),
        ("network-bind", "relative/path.sock", "no port"),
        ("signal", "1", "same-sandbox"),
        ("sysctl-read", "hw.ncpu", "no sysctl beneath"),
        ("sysctl-read", "kernel.../../etc/passwd", "sysctl name"),
        ("ipc-sysv-shm", "other", "always self"),
    ] {
        let suite = files("", vec![Probe::new("p", operation, target, "deny")]);
        let output = suite.run(&[]);
        expect(&output, 3);
        assert!(text(&output).contains(why) && text(&output).contains("demo:a:p"), "{}", text(&output));
        assert!(!suite.out().exists());
    }
}

#[test]
fn a_kernel_setting_is_decided_by_its_name_beside_the_file() {
    let read = |name: &str, target: &str, expected| Probe::new(name, "sysctl-read", target, expected);
    let probes = || {
        vec![
            read("named", "kernel.ostype", "allow"),
            read("other", "kernel.osrelease", "deny"),
            read("wrong_allow", "kernel.ostype", "deny"),
            read("wrong_deny", "kernel.osrelease", "allow"),
        ]
    };
    let named = "(allow sysctl-read (sysctl-name \"kernel.ostype\"))";
    let suite = files(&format!("(allow file-read-data (subpath \"/proc/sys\"))\n{named}"), probes());
    expect(&suite.run(&["--fail-on-mismatch"]), 1);
    for (name, actual) in [("named", "allow"), ("other", "deny"), ("wrong_allow", "allow"), ("wrong_deny", "deny")] {
        let row = assert_observed(&suite, name, actual);
        let own = usize::try_from(row["own_record"].as_u64().unwrap()).unwrap();
        assert_eq!(row["decision_records"][own]["target"], row["path"], "{row:#}");
        assert_eq!(row["errno_name"], if actual == "deny" { json!("EPERM") } else { json!(null) }, "{row:#}");
    }
    let counts = &suite.document("mismatch_summary.json")["counts"];
    assert_eq!(*counts, json!({"unexpected_allow": 1, "unexpected_deny": 1}));

    // Without the file the name is never asked about, or cannot be reached: nothing is claimed about the call.
    let without_file = files(named, vec![read("named", "kernel.ostype", "allow")]);
    expect(&without_file.run(&[]), 0);
    let row = without_file.row("demo:a", "named");
    assert_eq!((&row["actual"], &row["match"]), (&json!(null), &json!(null)), "{row:#}");
    assert!(row["not_observed"].as_str().unwrap().contains("file-read-data"), "{row:#}");
}

/// The program that a probe's process starts is held by the policy of that process, whatever it is itself.
#[test]
fn a_started_program_is_held_by_the_policy_it_inherits() {
    let probes = || {
        let read = |name: &str, target: &str, expected| Probe::new(name, "file-read-data", target, expected);
        let inherited = |name, target, expected| read(name, target, expected).driver("process_inheritance");
        vec![
            inherited("child_reads", "${FIXTURES}/open/x", "allow"),
            inherited("child_is_refused", "${FIXTURES}/shut/x", "deny"),
            inherited("wrong_allow", "${FIXTURES}/open/x", "deny"),
            inherited("wrong_deny", "${FIXTURES}/shut/x", "allow"),
            read("reads_itself", "${FIXTURES}/open/x", "allow"),
            read("is_refused_itself", "${FIXTURES}/shut/x", "deny"),
        ]
    };
    let fixtures = json!([
        {"path": "open/x", "kind": "file", "content": "x"}, {"path": "shut/x", "kind": "file", "content": "x"},
        {"path": "reader", "kind": "open_program"},
    ]);
    let with = |rules: &str| {
        let text = format!("(version 1)\n(deny default)\n{rules}\n{}\n", open("file-read-data"));
        Suite::new().fixtures(fixtures.clone()).profile("demo:a", &text, probes())
    };
    let exec = "(allow process-exec* (literal (string-append (param \"FIXTURES\") \"/reader\")))";
    let suite = with(&format!("(allow process-fork)\n{exec}"));
    expect(&suite.run(&["--fail-on-mismatch"]), 1);
    for (name, actual) in [("child_reads", "allow"), ("child_is_refused", "deny"), ("wrong_deny", "deny")] {
        let row = assert_observed(&suite, name, actual);
        let own = &row["decision_records"][usize::try_from(row["own_record"].as_u64().unwrap()).unwrap()];
        let details = &row["probe_details"]["details"];
        assert_eq!(details["program_ran"], true, "{row:#}");
        assert_eq!(own["pid"], details["started_pid"], "the decision is about the started process: {row:#}");
        let records = row["decision_records"].as_array().unwrap();
        let started = records.iter().find(|record| record["operation"] == "process-exec*").unwrap();
        assert_eq!(started["pid"], own["pid"], "which executed another program before: {row:#}");
        assert_eq!(row["errno_name"], if actual == "deny" { json!("EPERM") } else { json!(null) }, "{row:#}");
    }
    let own = assert_observed(&suite, "reads_itself", "allow");
    assert!(own["decision_records"].as_array().unwrap().iter().all(|record| record["operation"] != "process-exec*"));
    let counts = &suite.document("mismatch_summary.json")["counts"];
    assert_eq!(*counts, json!({"unexpected_allow": 1, "unexpected_deny": 1}));
    for name in ["child_reads", "child_is_refused"] {
        let control = suite.control(name);
        assert_eq!(control["status"], "allow", "{control:#}");
        assert_eq!(control["probe_details"]["details"]["program_ran"], true, "the control does the same: {control:#}");
    }

    // Whoever may not fork, or may not execute the program, shows nothing about what is inherited.
    for (rules, stopped_by) in [(exec, "process-fork"), ("(allow process-fork)", "process-exec")] {
        let suite = with(rules);
        expect(&suite.run(&[]), 0);
        let row = suite.row("demo:a", "child_is_refused");
        assert_eq!((&row["actual"], &row["match"]), (&json!(null), &json!(null)), "{row:#}");
        let why = row["not_observed"].as_str().unwrap();
        assert!(why.contains("refused earlier") && why.contains(stopped_by), "{row:#}");
    }

    let without = Suite::new().profile("demo:a", "(version 1)\n(allow default)\n", probes());
    let refused = without.run(&[]);
    expect(&refused, 3);
    assert!(text(&refused).contains("open_program") && !without.out().exists(), "{}", text(&refused));
}
