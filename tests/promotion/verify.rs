//! `promotion verify`: a packet against the bundle it was derived from.

use serde_json::{Value, json};

use crate::case::{Case, errors, read, warnings};
use crate::support::{Hand, LINUX, MACOS, RUN, code, runtime, text};

fn emitted(world: &str) -> Case {
    let mut hand = Hand::good(world);
    hand.put_json("path_witnesses.json", &json!({"records": []}));
    let case = Case::of(&hand);
    assert_eq!(code(&case.emit(&[])), 0);
    case
}

#[test]
fn a_packet_that_says_what_its_bundle_gives_is_ok_and_of_unproven_origin() {
    for world in [LINUX, MACOS] {
        let case = emitted(world);
        let (exit, answer) = case.verify("p.json", &[]);
        assert_eq!((exit, &answer["ok"], &answer["findings"]), (0, &json!(true), &json!([])), "{answer}");
        assert_eq!((&answer["origin"], &answer["key_id"]), (&json!("unproven"), &Value::Null));
        assert_eq!((&answer["run_id"], &answer["world_id"]), (&json!(RUN), &json!(world)));
        assert_eq!(answer["bound_to_content"], true);
        assert_eq!(answer["promotability"], read(&case.path("p.json"))["promotability"]);
        // For people.
        let packet = case.path("p.json");
        let output = runtime(&["promotion", "verify", "--packet", packet.to_str().unwrap()]);
        let out = text(&output.stdout);
        assert!(out.starts_with("[+] packet ok\n") && out.ends_with("    origin: unproven\n"), "{out}");
    }
}

#[test]
fn a_required_gate_is_judged_anew() {
    let case = emitted(LINUX);
    assert_eq!(case.verify("p.json", &["--require", "linux_enforcement"]).0, 0);
    let (exit, answer) = case.verify("p.json", &["--require-promotable"]);
    assert_eq!((exit, &answer["shut"], &answer["ok"]), (1, &json!(["decision_stage"]), &json!(false)), "{answer}");
}

type Change = fn(&mut Value);

/// Every way in which a packet can differ from its bundle, and the one id that must say so.
const CHANGES: &[(&str, Change, &str)] = &[
    ("another run", |p| p["run_id"] = json!("run-demo-2"), "packet-run-mismatch"),
    ("another world", |p| p["world_id"] = json!("linux-x"), "packet-world-mismatch"),
    ("no world", |p| p["world_id"] = json!(null), "packet-world-mismatch"),
    ("another index", |p| p["artifact_index_sha256"] = json!("0".repeat(64)), "packet-index-mismatch"),
    ("no index digest", |p| p["artifact_index_sha256"] = json!(null), "packet-index-mismatch"),
    (
        "an export's digest",
        |p| p["export_digests"]["runtime_results"] = json!("0".repeat(64)),
        "packet-digest-mismatch",
    ),
    (
        "a digest for what is absent",
        |p| p["export_digests"]["oracle_results"] = json!("0".repeat(64)),
        "packet-digest-mismatch",
    ),
    ("a digest left out", |p| remove(&mut p["export_digests"], "summary"), "packet-digest-mismatch"),
    ("a digest too many", |p| p["export_digests"]["x"] = json!(null), "packet-digest-mismatch"),
    ("digests as a list", |p| p["export_digests"] = json!([]), "packet-digest-mismatch"),
    ("digests left out", |p| remove(p, "export_digests"), "packet-key-missing"),
    ("run left out", |p| remove(p, "run_id"), "packet-key-missing"),
    ("a pointer left out", |p| remove(p, "oracle_results"), "packet-key-missing"),
    ("an optional pointer left out", |p| remove(p, "path_witnesses"), "packet-key-missing"),
    ("the index pointer left out", |p| remove(p, "artifact_index"), "packet-key-missing"),
    (
        "a pointer to another file",
        |p| p["runtime_results"] = json!("out/run-demo-1/summary.json"),
        "packet-pointer-mismatch",
    ),
    (
        "a pointer to another run",
        |p| p["runtime_results"] = json!("out/run-demo-2/runtime_results.json"),
        "packet-pointer-mismatch",
    ),
    ("a pointer outside", |p| p["summary"] = json!("/etc/passwd"), "packet-pointer-mismatch"),
    ("a pointer that is no text", |p| p["summary"] = json!(7), "packet-pointer-mismatch"),
    (
        "a pointer to what is not there",
        |p| p["impact_map"] = json!("out/run-demo-1/impact_map.json"),
        "packet-pointer-mismatch",
    ),
    ("a member too many", |p| p["note"] = json!("trust me"), "packet-key-unknown"),
    ("another tag", |p| p["schema_version"] = json!("runtime-tools.promotion_packet.v0.9"), "packet-schema-unknown"),
    ("the old tag", |p| p["schema_version"] = json!("runtime-tools.promotion_packet.v0.1"), "packet-schema-unknown"),
    ("promotable by word", |p| p["promotability"]["promotable_decision_stage"] = json!(true), "packet-claim-mismatch"),
    ("no reasons", |p| p["promotability"]["reasons"] = json!([]), "packet-claim-mismatch"),
    ("another channel", |p| p["promotability"]["gating_inputs"]["channel"] = json!("x"), "packet-claim-mismatch"),
    ("details", |p| p["promotability"]["details"] = json!({"dry_run": ["x"]}), "packet-claim-mismatch"),
    (
        "the Linux gate",
        |p| p["promotability"]["linux_enforcement"]["promotable"] = json!(false),
        "packet-claim-mismatch",
    ),
    ("no Linux gate", |p| remove(&mut p["promotability"], "linux_enforcement"), "packet-claim-mismatch"),
    ("a claim too many", |p| p["promotability"]["blessed"] = json!(true), "packet-claim-mismatch"),
    ("a warning too many", |p| p["promotability"]["warnings"] = json!([]), "packet-claim-mismatch"),
    ("promotability is text", |p| p["promotability"] = json!("yes"), "packet-claim-mismatch"),
    ("no promotability", |p| remove(p, "promotability"), "packet-key-missing"),
];

fn remove(value: &mut Value, key: &str) {
    value.as_object_mut().unwrap().remove(key).unwrap();
}

#[test]
fn every_change_of_a_packet_is_found() {
    let case = emitted(LINUX);
    let good = std::fs::read(case.path("p.json")).unwrap();
    for (what, change, id) in CHANGES {
        std::fs::write(case.path("p.json"), &good).unwrap();
        case.edit("p.json", change);
        let (exit, answer) = case.verify("p.json", &[]);
        assert_eq!((exit, errors(&answer)), (1, vec![(*id).to_owned()]), "{what}: {answer}");
        assert_eq!((&answer["ok"], &answer["origin"]), (&json!(false), &json!("unproven")), "{what}");
    }
    println!("changes of a packet found: {}", CHANGES.len());
}

#[test]
fn every_changed_file_of_the_bundle_is_found() {
    let case = emitted(LINUX);
    let mut count = 0;
    for name in
        ["summary.md", "runtime_results.json", "run_manifest.json", "run_status.json", "runtime_profiles/demo.sb"]
    {
        let path = case.laid.run.join(name);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad.push(b'\n');
        std::fs::write(&path, bad).unwrap();
        let (exit, answer) = case.verify("p.json", &[]);
        assert_eq!(exit, 1, "{name}");
        let ids = errors(&answer);
        assert!(
            ids.contains(&"bundle-refused".to_owned()) && ids.contains(&"packet-claim-mismatch".to_owned()),
            "{ids:?}"
        );
        std::fs::write(&path, good).unwrap();
        count += 1;
    }
    // The whole bundle made anew, consistent in itself: another index.
    let mut hand = Hand::good(LINUX);
    hand.put_json("path_witnesses.json", &json!({"records": []}));
    hand.put("summary.md", b"# another\n");
    let other = hand.lay();
    std::fs::remove_dir_all(&case.laid.root).unwrap();
    std::fs::rename(&other.root, &case.laid.root).unwrap();
    let (exit, answer) = case.verify("p.json", &[]);
    assert_eq!((exit, errors(&answer)), (1, vec!["packet-index-mismatch".to_owned()]), "{answer}");
    assert_eq!(count, 5);
}

#[test]
fn a_packet_that_vouches_for_nothing_is_not_ok() {
    let case = emitted(MACOS);
    std::fs::remove_file(case.laid.run.join("artifact_index.json")).unwrap();
    assert_eq!(code(&case.emit(&[])), 0);
    let (exit, answer) = case.verify("p.json", &[]);
    assert_eq!((exit, errors(&answer)), (1, vec!["bundle-refused".to_owned(), "index-missing".to_owned()]), "{answer}");
}

#[test]
fn a_moved_bundle_is_named() {
    let case = emitted(LINUX);
    let elsewhere = case.path("elsewhere").join(RUN);
    std::fs::create_dir(case.path("elsewhere")).unwrap();
    std::fs::rename(&case.laid.run, &elsewhere).unwrap();
    let (exit, answer) = case.verify("p.json", &[]);
    assert_eq!(exit, 3, "{answer}");
    assert_eq!(answer["error"]["hint"], "name the bundle with --bundle");
    let (exit, answer) = case.verify("p.json", &["--bundle", elsewhere.to_str().unwrap()]);
    assert_eq!((exit, errors(&answer)), (0, vec![]), "{answer}");
    // Another run that stands there is not this one.
    let other = Hand::good(LINUX).lay();
    let (exit, answer) = case.verify("p.json", &["--bundle", other.root.to_str().unwrap()]);
    assert_eq!(exit, 1);
    assert!(errors(&answer).contains(&"packet-index-mismatch".to_owned()), "{answer}");
}

#[test]
fn packets_of_the_earlier_tool_are_compared_as_far_as_they_go() {
    let mut hand = Hand::good(MACOS);
    hand.own = false;
    hand.unset("run_status.json", "/tool");
    let case = Case::of(&hand);
    assert_eq!(code(&case.emit(&[])), 0);
    case.edit("p.json", |packet| {
        for key in ["run_id", "world_id", "artifact_index", "artifact_index_sha256", "export_digests"] {
            remove(packet, key);
        }
        for key in ["details", "linux_enforcement"] {
            remove(&mut packet["promotability"], key);
        }
    });
    let (exit, answer) = case.verify("p.json", &[]);
    assert_eq!((exit, errors(&answer), warnings(&answer)), (0, vec![], vec!["packet-unbound".to_owned()]), "{answer}");
    assert_eq!(answer["bound_to_content"], false);
    let good = std::fs::read(case.path("p.json")).unwrap();
    for (change, id) in [
        ((|p| p["promotability"]["promotable_decision_stage"] = json!(false)) as Change, "packet-claim-mismatch"),
        (|p| remove(p, "runtime_events"), "packet-key-missing"),
        (|p| p["runtime_events"] = json!("out/x/runtime_events.normalized.json"), "packet-pointer-mismatch"),
        (|p| remove(p, "promotability"), "packet-key-missing"),
    ] {
        std::fs::write(case.path("p.json"), &good).unwrap();
        case.edit("p.json", change);
        let (exit, answer) = case.verify("p.json", &[]);
        assert_eq!((exit, errors(&answer)), (1, vec![id.to_owned()]), "{answer}");
    }
    // The form before that had pointers only.
    std::fs::write(case.path("p.json"), &good).unwrap();
    case.edit("p.json", |packet| {
        remove(packet, "promotability");
        packet["schema_version"] = json!("runtime-tools.promotion_packet.v0.1");
    });
    assert_eq!(case.verify("p.json", &[]).0, 0);
}

#[test]
fn what_is_no_packet_is_no_answer() {
    let case = emitted(LINUX);
    for (what, bytes, words) in [
        ("empty", &b""[..], "not acceptable JSON"),
        ("cut", b"{\"schema_version\": ", "not acceptable JSON"),
        ("a list", b"[]", "is not a JSON object"),
        ("no tag", b"{}", "no schema version"),
        ("another document", br#"{"schema_version": "runtime-tools.run_status.v0.1"}"#, "its schema version is"),
        ("no pointer", br#"{"schema_version": "runtime-tools.promotion_packet.v0.2"}"#, "no run_manifest"),
        ("not UTF-8", b"{\"\xff\": 1}", "UTF-8"),
        ("a key twice", br#"{"a": 1, "a": 2}"#, "not acceptable JSON"),
    ] {
        std::fs::write(case.path("bad.json"), bytes).unwrap();
        let (exit, answer) = case.verify("bad.json", &[]);
        assert_eq!(exit, 3, "{what}: {answer}");
        assert!(answer["error"].to_string().contains(words), "{what}: {answer}");
    }
    assert_eq!(case.verify("absent.json", &[]).0, 3);
    for pointer in ["../out/run-demo-1/run_manifest.json", "a\u{1}b"] {
        case.edit("p.json", |packet| packet["run_manifest"] = json!(pointer));
        let (exit, answer) = case.verify("p.json", &[]);
        assert_eq!(exit, 3, "{answer}");
        assert!(answer["error"]["message"].to_string().contains("run_manifest"), "{answer}");
    }
}
