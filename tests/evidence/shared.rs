//! Two profiles that share an expectation: each has its own event, mismatch and packet.

use serde_json::{Value, json};

use crate::real::document;
use crate::suite::{Probe, Suite, expect, runtime, text};

#[test]
fn profiles_that_share_an_expectation_do_not_collapse() {
    let probe = || vec![Probe::new("forks", "process-fork", "self", "deny")];
    let suite = Suite::new()
        .profile("open", "(version 1)\n(allow default)\n", probe())
        .profile("shut", "(version 1)\n(allow default)\n(deny process-fork)\n", probe())
        .profile("wide", "(version 1)\n(allow default)\n", probe());
    let plan = suite.write();
    let registry = suite.path().join("registry/profiles.json");
    let mut profiles: Value = serde_json::from_slice(&std::fs::read(&registry).unwrap()).unwrap();
    for id in ["shut", "wide"] {
        profiles["profiles"][id]["probe_refs"] = json!(["open:forks"]);
    }
    std::fs::write(&registry, profiles.to_string()).unwrap();
    let out = suite.path().join("out");
    expect(&runtime(&["run", "--plan", plan.to_str().unwrap(), "--out", out.to_str().unwrap()]), 0);
    let run = out.join(std::fs::read_to_string(out.join("LATEST")).unwrap().trim());
    let events = document(&run, "runtime_events.normalized.json");
    let of = |event: &Value| [event["profile_id"].clone(), event["scenario_id"].clone(), event["actual"].clone()];
    let found: Vec<[Value; 3]> = events.as_array().unwrap().iter().map(of).collect();
    let expected = [("open", "allow"), ("shut", "deny"), ("wide", "allow")];
    assert_eq!(found, expected.map(|(profile, actual)| [json!(profile), json!("open:forks"), json!(actual)]));
    let packets = std::fs::read_to_string(run.join("mismatch_packets.jsonl")).unwrap();
    let packets: Vec<Value> = packets.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let profiles: Vec<&Value> = packets.iter().map(|packet| &packet["decision_event"]["profile_id"]).collect();
    assert_eq!(profiles, ["open", "wide"]);
    assert!(packets.iter().all(|packet| packet["decision_event"]["decision"] == "allow"), "{packets:#?}");
    // Whoever asks for the scenario alone is told that it is not one event.
    let told = runtime(&["explain-event", "--bundle", out.to_str().unwrap(), "--scenario", "open:forks"]);
    expect(&told, 3);
    assert!(text(&told).contains("open, shut, wide"), "{}", text(&told));
    let arguments =
        ["explain-event", "--bundle", out.to_str().unwrap(), "--scenario", "open:forks", "--profile", "shut"];
    expect(&runtime(&arguments), 0);
}
