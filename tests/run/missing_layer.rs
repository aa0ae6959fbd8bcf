//! A machine that really lacks an enforcement layer, and runs that start inside a sandbox.

use std::process::Command;

use serde_json::{Value, json};

use crate::suite::{Probe, RUNTIME, Suite, expect, text};

fn denying() -> Suite {
    Suite::new().fixtures(json!([{"path": "x", "kind": "file"}])).profile(
        "demo:a",
        "(version 1)\n(allow default)\n(deny file-read-data (subpath (param \"FIXTURES\")))\n",
        vec![Probe::new("r", "file-read-data", "${FIXTURES}/x", "deny")],
    )
}

fn report(suite: &Suite) -> Value {
    suite.document("enforcement_report.json")
}

#[test]
fn without_landlock_the_layer_is_named_and_the_gate_is_shut() {
    let suite = denying();
    let plan = suite.write();
    let output = Command::new(env!("CARGO_BIN_EXE_enforce-fake"))
        .args(["without-landlock", RUNTIME, "run", "--plan"])
        .arg(&plan)
        .arg("--out")
        .arg(suite.out())
        .output()
        .unwrap();
    expect(&output, 0);
    let missing = report(&suite)["missing_layers"].clone();
    assert!(missing.as_array().unwrap().contains(&json!("landlock")), "{missing}");
    let (code, said) = suite.linux_gate();
    assert!(code == 1 && said.contains("linux_layers_missing: landlock"), "{said}");

    // The twin: with every layer the same plan passes the gate.
    expect(&suite.run(&[]), 0);
    assert_eq!(report(&suite)["missing_layers"], json!([]));
    assert_eq!(suite.linux_gate().0, 0);
}

#[test]
fn a_run_inside_a_sandbox_is_recorded_as_such_and_proves_nothing() {
    let suite = denying();
    let plan = suite.write();
    let open = suite.path().join("open.sb");
    std::fs::write(&open, "(version 1)\n(allow default)\n").unwrap();
    let output = Command::new(RUNTIME)
        .args(["sandbox", "run", "--profile"])
        .arg(open)
        .args(["--", RUNTIME, "run", "--plan"])
        .arg(plan)
        .arg("--out")
        .arg(suite.out())
        .output()
        .unwrap();
    expect(&output, 0);
    let said = text(&output);
    assert!(
        said.contains("warning: cannot enforce the profile here") && said.contains("no row can be decided"),
        "{said}"
    );
    let row = suite.row("demo:a", "r");
    assert_eq!((&row["actual"], &row["error_kind"]), (&json!(null), &json!("apply")), "{row:#}");
    assert_eq!(report(&suite)["start_unsandboxed"], false);
    let (code, said) = suite.linux_gate();
    for reason in ["linux_start_sandboxed", "linux_layers_missing", "rows_in_error"] {
        assert!(code == 1 && said.contains(reason), "{said}");
    }
}
