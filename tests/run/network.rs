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

/// The rules of a client that may talk to one port and one socket, and of a server that may take one port and a directory.
const SCOPED: &str = "(deny default)
(define (port name) (string-append \"localhost:\" (param name)))
(define (fixture path) (string-append (param \"FIXTURES\") path))
(allow network-outbound (remote tcp (port \"PORT_OPEN\")))
(allow network-outbound (literal (fixture \"/s.sock\")))
(allow network-bind (local tcp (port \"PORT_SHUT\")))
(allow network-bind file-write-create (subpath (fixture \"/run\")))
(allow file-read-metadata)";

fn scoped(probes: Vec<Probe>) -> Suite {
    Suite::new()
        .ports(json!([
            {"name": "OPEN", "kind": "tcp_listener"}, {"name": "OTHER", "kind": "tcp_listener"},
            {"name": "SHUT", "kind": "tcp_closed"}, {"name": "SHUT_TOO", "kind": "tcp_closed"},
        ]))
        .fixtures(json!([
            {"path": "s.sock", "kind": "unix_listener"}, {"path": "t.sock", "kind": "unix_listener"},
            {"path": "run", "kind": "directory"}, {"path": "link", "kind": "symlink", "target": "s.sock"},
        ]))
        .profile("demo:a", &format!("(version 1)\n{SCOPED}\n"), probes)
}

#[track_caller]
fn own(row: &Value) -> &Value {
    &row["decision_records"][usize::try_from(row["own_record"].as_u64().expect("an own record")).unwrap()]
}

#[test]
fn every_socket_call_has_its_twins_and_the_listener_agrees() {
    let suite = scoped(vec![
        connect("tcp", "127.0.0.1:${PORT_OPEN}", "allow"),
        connect("localhost", "localhost:${PORT_OPEN}", "allow"),
        connect("other_port", "127.0.0.1:${PORT_OTHER}", "deny"),
        connect("unix", "${FIXTURES}/s.sock", "allow"),
        connect("through_link", "${FIXTURES}/link", "allow"),
        connect("other_socket", "${FIXTURES}/t.sock", "deny"),
        bind("bind", "127.0.0.1:${PORT_SHUT}", "allow"),
        bind("bind_other", "127.0.0.1:${PORT_SHUT_TOO}", "deny"),
        bind("bind_socket", "${FIXTURES}/run/new.sock", "allow"),
        bind("bind_elsewhere", "${FIXTURES}/new.sock", "deny"),
    ]);
    expect(&suite.run(&["--fail-on-mismatch"]), 0);
    for row in suite.rows("demo:a") {
        let (name, expected) = (row["name"].as_str().unwrap(), row["expected"].as_str().unwrap());
        let connects = row["operation"] == "network-outbound";
        assert_eq!((&row["actual"], &row["match"]), (&json!(expected), &json!(true)), "{row:#}");
        let errno = if expected == "allow" { json!(null) } else { json!("EPERM") };
        assert_eq!(row["errno_name"], errno, "{row:#}");
        let seen = if connects { json!(expected == "allow") } else { json!(null) };
        assert_eq!(row["effect_seen"], seen, "{name}: who is connected to says the same: {row:#}");
        let record = own(&row);
        let kind = if row["path"].as_str().unwrap().starts_with('$') { "unix:/" } else { "tcp:127.0.0.1:" };
        assert!(record["target"].as_str().unwrap().starts_with(kind), "{record:#}");
        let control = suite.control(name);
        assert_eq!(control["status"], "allow", "without the policy it works: {control:#}");
        let asked = suite.answer(&format!("demo:a:{name}"));
        assert_eq!(asked["decision"], expected, "{asked:#}");
        // Ports are made anew for each execution, so only unix sockets could agree to the letter, and their folders differ too.
        assert_eq!(
            asked["argument"].as_str().unwrap().split(':').next(),
            record["target"].as_str().unwrap().split(':').next()
        );
    }
    assert_eq!(suite.linux_gate().0, 0);
}

#[test]
fn wrong_expectations_are_mismatches_both_ways() {
    let suite = scoped(vec![
        connect("tcp", "127.0.0.1:${PORT_OPEN}", "deny"),
        connect("other_port", "127.0.0.1:${PORT_OTHER}", "allow"),
        bind("bind", "127.0.0.1:${PORT_SHUT}", "deny"),
        bind("bind_other", "127.0.0.1:${PORT_SHUT_TOO}", "allow"),
    ]);
    expect(&suite.run(&["--fail-on-mismatch"]), 1);
    let counts = &suite.document("mismatch_summary.json")["counts"];
    assert_eq!(*counts, json!({"unexpected_allow": 2, "unexpected_deny": 2}));
    assert_eq!(suite.linux_gate().0, 1);
}

#[test]
fn a_closed_port_is_never_a_deny_and_a_deny_of_one_says_so() {
    let rules =
        "(allow default)\n(deny network-outbound (remote tcp (string-append \"localhost:\" (param \"PORT_SHUT\"))))";
    let closed = |name: &str, expected| connect(name, "127.0.0.1:${PORT_SHUT}", expected);
    let open = suite("(allow default)", vec![closed("allowed", "allow"), closed("wrong", "deny")]);
    expect(&open.run(&["--fail-on-mismatch"]), 1);
    for name in ["allowed", "wrong"] {
        let row = open.row("demo:a", name);
        assert_eq!((&row["actual"], &row["errno_name"]), (&json!("allow"), &json!("ECONNREFUSED")), "{row:#}");
    }
    assert_eq!(open.document("mismatch_summary.json")["counts"], json!({"unexpected_allow": 1}));

    let shut = suite(rules, vec![closed("denied", "deny")]);
    expect(&shut.run(&["--fail-on-mismatch"]), 0);
    assert_eq!(shut.row("demo:a", "denied")["errno_name"], "EPERM", "refused before anyone was asked");
    let event = &shut.document("runtime_events.normalized.json")[0];
    assert_eq!(event["network_confounder"]["classification"], "target_unreachable", "{event:#}");
    assert_eq!(event["policy_layers"]["attribution"], "unknown", "nobody would have been reached anyway: {event:#}");
}

#[test]
fn a_listener_that_never_accepts_is_an_error_and_not_a_deny() {
    // A queue of one that is full: further connections wait until somebody accepts, which nobody does.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _queued: Vec<_> =
        (0..4).map(|_| std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(200))).collect();
    let suite = suite("(allow default)", vec![connect("hangs", &address.to_string(), "deny")]);
    expect(&suite.run(&["--probe-timeout-seconds", "1"]), 0);
    let row = suite.row("demo:a", "hangs");
    assert_eq!((&row["actual"], &row["timeout"]), (&json!(null), &json!(true)), "{row:#}");
    let control = suite.control("hangs");
    assert_eq!((&control["status"], &control["timeout"]), (&json!(null), &json!(true)), "{control:#}");
    let counts = &suite.document("summary.json")["counts"];
    assert_eq!((&counts["errors"], &counts["matches"], &counts["baseline_errors"]), (&json!(1), &json!(0), &json!(1)));
}

#[test]
fn no_socket_outlives_its_run() {
    let suite = suite("(allow default)", vec![connect("tcp", "127.0.0.1:${PORT_OPEN}", "allow")]);
    expect(&suite.run(&["--fail-on-mismatch"]), 0);
    let port = suite.row("demo:a", "tcp")["listener"]["port"].as_u64().unwrap();
    let again = std::net::TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap()));
    assert_eq!(again.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    let target = suite.row("demo:a", "tcp")["resolved_target"].as_str().unwrap().to_owned();
    assert_eq!(target, format!("127.0.0.1:{port}"), "the value is recorded beside the target as written");
    assert_eq!(suite.row("demo:a", "tcp")["path"], "127.0.0.1:${PORT_OPEN}");
}
