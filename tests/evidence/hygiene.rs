//! What was there before the policy: files made on request are said, descriptors that were left open do not reach a probe.

use std::process::Command;

use serde_json::{Value, json};

use crate::real::document;
use crate::suite::{Probe, RUNTIME, Suite, expect, runtime, text};

/// Runs a suite of two reads, one of a file that is not there, by `start`; returns the rows and the told event of the latter.
fn rows(suite: &Suite, start: &str, precreate: Option<&str>) -> (Vec<Value>, Value, String) {
    let (plan, out) = (suite.write(), suite.path().join("out"));
    let mut command = Command::new("/bin/sh");
    command.args(["-c", start, "sh", RUNTIME, "run", "--plan"]).arg(&plan).arg("--out").arg(&out);
    command.env_remove("SANDBOX_LORE_FILE_PRECREATE");
    if let Some(value) = precreate {
        command.env("SANDBOX_LORE_FILE_PRECREATE", value);
    }
    expect(&command.output().unwrap(), 0);
    let run = out.join(std::fs::read_to_string(out.join("LATEST")).unwrap().trim());
    let rows = document(&run, "runtime_results.json")["p"]["probes"].as_array().unwrap().clone();
    let told = runtime(&["explain-event", "--bundle", run.to_str().unwrap(), "--scenario", "p:missing"]);
    expect(&told, 0);
    (rows, document(&run, "runtime_events.normalized.json"), text(&told))
}

#[test]
fn what_was_there_before_the_policy_is_seen_and_said() {
    let read = |name: &str, target: &str| Probe::new(name, "file-read-data", target, "allow");
    let suite = Suite::new().fixtures(json!([{"path": "there", "kind": "file", "content": "x"}])).profile(
        "p",
        "(version 1)\n(allow default)\n",
        vec![read("there", "${FIXTURES}/there"), read("missing", "${FIXTURES}/missing")],
    );
    let hygiene = |row: &Value| row["runtime_result"]["resource_hygiene"].clone();
    let members = |of: &Value| json!([of["preopen_hints"], of["pass_fds"], of["preopen_detected"], of["measured"]]);

    for value in [None, Some("0"), Some("")] {
        let (rows, _, told) = rows(&suite, "exec \"$@\"", value);
        assert_eq!(rows[1]["errno_name"], "ENOENT", "{value:?}");
        assert_eq!(members(&hygiene(&rows[1])), json!([[], [], false, true]), "{value:?}");
        assert!(!told.contains("before the policy"), "{told}");
    }
    let (made, events, told) = rows(&suite, "exec \"$@\"", Some("1"));
    assert_eq!((&made[1]["actual"], &made[1]["errno_name"]), (&json!("allow"), &json!(null)), "the file was made");
    assert_eq!(members(&hygiene(&made[1])), json!([["file_precreate"], [], true, true]));
    assert_eq!(events[1]["resource_hygiene"], hygiene(&made[1]));
    assert!(told.contains("missing files were made before the policy"), "{told}");

    // A descriptor that whoever starts the run leaves open does not come as far as a probe under a policy: that is looked at
    // in the probe's process itself, not assumed.
    let (inherited, _, told) = rows(&suite, "exec 9</dev/null; exec \"$@\"", None);
    assert_eq!(members(&hygiene(&inherited[1])), json!([[], [], false, true]), "{inherited:#?}");
    assert!(!told.contains("before the policy"), "{told}");
}
