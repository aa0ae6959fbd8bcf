//! Probes of sockets: the run's own listeners are what they talk to and who witnesses it.

use serde_json::{Value, json};

use crate::suite::{Probe, Suite, expect};

/// A suite with a port that somebody listens on, one that nobody does, and a unix socket.
fn suite(rules: &str, probes: Vec<Probe>) -> Suite {
    Suite::new()
        .ports(json!([{"name": "OPEN", "kind": "tcp_listener"}, {"name": "SHUT", "kind": "tcp_closed"}]))
        .fixtures(json!([{"path": "s.sock", "kind": "unix_listener"}]))
        .profile("demo:a", &format!("(version 1)\n{rules}\n"), probes)
}

fn connect(name: &str, target: &str, expected: &'static str) -> Probe {
    Probe::new(name, "network-outbound", target, expected)
}

fn bind(name: &str, target: &str, expected: &'static str) -> Probe {
    Probe::new(name, "network-bind", target, expected)
}

#[test]
fn without_a_policy_listeners_are_reached_and_closed_ports_are_no_deny() {
    let probes = vec![
        connect("tcp", "127.0.0.1:${PORT_OPEN}", "allow"),
        connect("unix", "${FIXTURES}/s.sock", "allow"),
        connect("closed", "127.0.0.1:${PORT_SHUT}", "allow"),
        bind("bind_tcp", "127.0.0.1:${PORT_SHUT}", "allow"),
        bind("bind_taken", "127.0.0.1:${PORT_OPEN}", "allow"),
        bind("bind_unix", "${FIXTURES}/new.sock", "allow"),
    ];
    let suite = suite("(allow default)", probes);
    expect(&suite.run(&[]), 0);
    for (name, status, errno, accepted) in [
        ("tcp", json!("allow"), json!(null), json!(1)),
        ("unix", json!("allow"), json!(null), json!(1)),
        ("closed", json!(null), json!("ECONNREFUSED"), json!(0)),
        ("bind_tcp", json!("allow"), json!(null), json!(null)),
        ("bind_taken", json!(null), json!("EADDRINUSE"), json!(null)),
        ("bind_unix", json!("allow"), json!(null), json!(null)),
    ] {
        let control = suite.control(name);
        assert_eq!((&control["status"], &control["errno_name"]), (&status, &errno), "{control:#}");
        assert_eq!(control["listener"]["accept_count"], accepted, "{control:#}");
    }
    let records = suite.document("fixtures.json")["records"].as_array().unwrap().clone();
    let ids: Vec<(&Value, &Value)> = records.iter().map(|r| (&r["lane"], &r["fixture_id"])).collect();
    assert_eq!(ids.len(), 6, "{records:#?}");
    assert_eq!(ids[1], (&json!("baseline"), &json!("unix_listener")));
}
