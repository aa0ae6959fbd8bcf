//! The map of canonical paths: which witnesses of a packet get into it, and which packets are rejected.

use std::path::Path;

use serde_json::{Value, json};

use crate::case::{Case, read};
use crate::support::{Hand, MACOS, RUN, code, runtime, sha256};

const MAP: &str = "vfs_canonicalization.path_canonicalization_map.v0.1";

/// `promotion paths --json` of a packet: exit status and answer. Whatever is rejected is named, and writes nothing.
fn select(packet: &Path, out: &Path) -> (i32, Value) {
    let before = std::fs::read(out).ok();
    let args = ["--json", "promotion", "paths", "--packet", packet.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let output = runtime(&args);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let exit = code(&output);
    if exit == 1 {
        assert_eq!(std::fs::read(out).ok(), before, "{answer}");
        assert_eq!((&answer["ok"], answer["older_file"].is_string()), (&json!(false), before.is_some()), "{answer}");
        assert!(answer["error"].as_str().is_some_and(|error| !error.is_empty()), "{answer}");
    }
    (exit, answer)
}

fn witness(lane: &str, requested: &str, observed: Option<&str>) -> Value {
    json!({"schema_version": "runtime-tools.path_witness.v0.1", "lane": lane, "profile_id": "demo", "scenario_id": requested,
           "operation": "file-read-data", "requested_path": requested, "observed_path": observed,
           "observed_path_source": "unsandboxed_fd_path", "observed_path_nofirmlink": null,
           "observed_path_nofirmlink_source": "unsandboxed_error"})
}

fn witnesses(records: &[Value]) -> Value {
    json!({"schema_version": "runtime-tools.path_witnesses.v0.1", "world_id": MACOS, "run_id": RUN, "plan_id": "demo",
           "records": records})
}

/// Evidence of a Mac with witnesses of both lanes: two alike, two without a path.
fn good() -> Hand {
    let mut hand = Hand::good(MACOS);
    let records = [
        witness("baseline", "/tmp/b", Some("/private/tmp/b")),
        witness("baseline", "/tmp/a", Some("/private/tmp/a")),
        witness("baseline", "/tmp/a", Some("/private/tmp/a")),
        witness("baseline", "/tmp/none", None),
        witness("scenario", "/tmp/a", Some("/private/tmp/a")),
        witness("scenario", "/tmp/denied", None),
    ];
    hand.put_json("path_witnesses.json", &witnesses(&records));
    hand
}

fn emitted(hand: &Hand) -> Case {
    let case = Case::of(hand);
    let output = case.emit(&[]);
    assert_eq!(code(&output), 0, "{output:?}");
    case
}

/// Lane and requested path of each observation, in order.
fn observed(map: &Value) -> Vec<(&str, &str)> {
    let observations = map["observations"].as_array().unwrap().iter();
    observations.map(|one| (one["lane"].as_str().unwrap(), one["requested_path"].as_str().unwrap())).collect()
}

type Change<T> = fn(&mut T);

fn on_another_channel(hand: &mut Hand) {
    for name in ["run_manifest.json", "run_status.json"] {
        hand.set(name, "/channel", json!("direct"));
    }
}

fn failed_preflight(hand: &mut Hand) {
    hand.set("run_manifest.json", "/apply_preflight/record/apply_ok", json!(false));
    hand.set("apply_preflight.json", "/apply_ok", json!(false));
}

#[test]
fn every_lane_counts_only_where_the_decision_stage_is_open() {
    let cases: [(&str, Change<Hand>, &[&str]); 4] = [
        ("open", |_| {}, &[]),
        ("the preflight failed", failed_preflight, &["baseline_only", "apply_failed"]),
        ("another channel", on_another_channel, &["not_clean_channel"]),
        ("nothing staged", |hand| hand.set("run_manifest.json", "/stage_used", json!(false)), &["not_clean_channel"]),
    ];
    for (what, change, reasons) in cases {
        let mut hand = good();
        change(&mut hand);
        let case = emitted(&hand);
        let (exit, answer) = select(&case.path("p.json"), &case.path("map.json"));
        assert_eq!((exit, &answer["reasons"]), (0, &json!(reasons)), "{what}: {answer}");
        let map = read(&case.path("map.json"));
        let full = reasons.is_empty();
        let acceptance = if full { "decision_stage" } else { "baseline_only" };
        assert_eq!((&answer["acceptance"], &map["packet"]["acceptance"]), (&json!(acceptance), &json!(acceptance)));
        assert_eq!((&map["packet"]["reasons"], &map["packet"]["run_id"]), (&json!(reasons), &json!(RUN)), "{what}");
        let baseline = [("baseline", "/tmp/a"), ("baseline", "/tmp/b")];
        let all = [&baseline[..], &[("scenario", "/tmp/a")]].concat();
        assert_eq!(observed(&map), if full { &all[..] } else { &baseline[..] }, "{what}");
        assert_eq!(map["metadata"]["dropped_non_witness_records"], if full { 2 } else { 1 }, "{what}");
        assert_eq!((&map["schema_version"], &map["world_id"]), (&json!(MAP), &json!(MACOS)));
        assert_eq!(map["metadata"]["inputs"], json!({"p.json": sha256(&std::fs::read(case.path("p.json")).unwrap())}));
        let output = runtime(&["schema", "check", case.path("map.json").to_str().unwrap()]);
        assert_eq!(code(&output), 0, "{output:?}");
    }
}

/// A packet from before promotability was recorded says nothing, so the scenario lane does not count, whatever the gate says.
#[test]
fn a_packet_that_does_not_say_that_it_is_promotable_counts_for_the_baseline_lane_only() {
    let case = emitted(&good());
    case.edit("p.json", |packet| {
        packet["schema_version"] = json!("runtime-tools.promotion_packet.v0.1");
        let bound =
            ["run_id", "world_id", "artifact_index", "artifact_index_sha256", "export_digests", "promotability"];
        bound.iter().for_each(|key| drop(packet.as_object_mut().unwrap().remove(*key).unwrap()));
    });
    let (exit, answer) = select(&case.path("p.json"), &case.path("map.json"));
    assert_eq!((exit, &answer["reasons"]), (0, &json!(["baseline_only"])), "{answer}");
    assert_eq!(observed(&read(&case.path("map.json"))).len(), 2);
}

#[test]
fn a_packet_without_witnesses_is_rejected_with_the_reason() {
    const MISSING: &[&str] = &["missing_path_witnesses"];
    let cases: [(&str, Change<Hand>, &[&str], &str); 9] = [
        ("none at all", |hand| hand.remove("path_witnesses.json"), MISSING, "path_witnesses"),
        (
            "not JSON",
            |hand| hand.put("path_witnesses.json", b"{"),
            MISSING,
            "path_witnesses.json is not acceptable JSON",
        ),
        (
            "an array",
            |hand| hand.put("path_witnesses.json", b"[]"),
            MISSING,
            "path_witnesses.json#/records is not an array",
        ),
        (
            "no records",
            |hand| hand.set("path_witnesses.json", "/records", json!({})),
            MISSING,
            "path_witnesses.json#/records is not an array",
        ),
        (
            "a record that is none",
            |hand| hand.set("path_witnesses.json", "/records/3", json!("/tmp/a")),
            MISSING,
            "path_witnesses.json#/records/3 is not an object",
        ),
        (
            "of another run",
            |hand| hand.set("path_witnesses.json", "/run_id", json!("run-other")),
            MISSING,
            "path_witnesses.json#/run_id is \"run-other\"",
        ),
        (
            "no path in any lane",
            |hand| hand.put_json("path_witnesses.json", &witnesses(&[witness("scenario", "/tmp/a", None)])),
            &["no_witness_records"],
            "1 records, 1 that count",
        ),
        (
            "no path in the lane that counts",
            |hand| {
                failed_preflight(hand);
                let records =
                    [witness("baseline", "/tmp/a", None), witness("scenario", "/tmp/a", Some("/private/tmp/a"))];
                hand.put_json("path_witnesses.json", &witnesses(&records));
            },
            &["no_witness_records", "baseline_only", "apply_failed"],
            "2 records, 1 that count",
        ),
        (
            "no records of the lane that counts, on another channel",
            |hand| {
                on_another_channel(hand);
                let records = [witness("scenario", "/tmp/a", Some("/private/tmp/a"))];
                hand.put_json("path_witnesses.json", &witnesses(&records));
            },
            &["no_witness_records", "not_clean_channel"],
            "1 records, 0 that count",
        ),
    ];
    for (what, change, reasons, words) in cases {
        let mut hand = good();
        change(&mut hand);
        let case = emitted(&hand);
        std::fs::write(case.path("map.json"), "older").unwrap();
        let (exit, answer) = select(&case.path("p.json"), &case.path("map.json"));
        assert_eq!((exit, &answer["reasons"]), (1, &json!(reasons)), "{what}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(words), "{what}: {answer}");
    }
    // A packet that claims more than its bundle gives, and evidence that was edited.
    let mut hand = good();
    failed_preflight(&mut hand);
    let case = emitted(&hand);
    case.edit("p.json", |packet| packet["promotability"]["promotable_decision_stage"] = json!(true));
    let (exit, answer) = select(&case.path("p.json"), &case.path("map.json"));
    assert_eq!((exit, &answer["reasons"]), (1, &json!(["packet_not_verified"])), "{answer}");
    let case = emitted(&good());
    std::fs::write(case.laid.run.join("path_witnesses.json"), witnesses(&[]).to_string()).unwrap();
    let (exit, answer) = select(&case.path("p.json"), &case.path("map.json"));
    assert_eq!((exit, &answer["reasons"]), (1, &json!(["packet_not_verified"])), "{answer}");
    // No packet, no answer; and nothing is written over what is read, or into the bundle.
    assert_eq!(select(&case.path("absent.json"), &case.path("map.json")).0, 3);
    assert_eq!(select(&case.path("p.json"), &case.path("p.json")).0, 2);
    assert_eq!(select(&case.path("p.json"), &case.laid.run.join("map.json")).0, 2);
    assert!(!case.laid.run.join("map.json").exists());
}

/// Runs the real thing with these lanes; the directory, and its packet.
#[cfg(target_os = "linux")]
fn real(lanes: &[(&str, bool)]) -> (crate::suite::Suite, std::path::PathBuf) {
    use crate::suite::{Probe, Suite, expect};
    let fixtures = json!([
        {"path": "real/file", "kind": "file", "content": "x"}, {"path": "link", "kind": "symlink", "target": "real"},
    ]);
    let probes = vec![
        Probe::new("through", "file-read-data", "${FIXTURES}/link/file", "allow"),
        Probe::new("straight", "file-read-data", "${FIXTURES}/real/file", "allow"),
        Probe::new("absent", "file-read-data", "${FIXTURES}/nothing", "allow"),
    ];
    let lanes = lanes.iter().map(|(lane, wanted)| ((*lane).to_owned(), json!(wanted))).collect();
    let suite = Suite::new().fixtures(fixtures).profile("demo:paths", "(version 1)\n(allow default)\n", probes);
    let suite = suite.lanes(Value::Object(lanes));
    expect(&suite.run(&[]), 0);
    let (bundle, packet) = (suite.path().join("out"), suite.path().join("packet.json"));
    let args = ["emit-promotion", "--bundle", bundle.to_str().unwrap(), "--out", packet.to_str().unwrap()];
    expect(&crate::suite::runtime(&args), 0);
    (suite, packet)
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_on_linux_gives_its_baseline_lane_and_nothing_without_one() {
    let (suite, packet) = real(&[("scenario", true), ("baseline", true), ("oracle", true)]);
    let map = suite.path().join("map.json");
    let (exit, answer) = select(&packet, &map);
    assert_eq!((exit, &answer["acceptance"]), (0, &json!("baseline_only")), "{answer}");
    assert_eq!(answer["reasons"], json!(["not_clean_channel"]));
    let map = read(&map);
    assert_eq!(map["metadata"]["dropped_non_witness_records"], 1, "{map:#}");
    let witnesses = suite.document("path_witnesses.json");
    let lanes: Vec<&Value> = witnesses["records"].as_array().unwrap().iter().map(|record| &record["lane"]).collect();
    assert!(lanes.contains(&&json!("scenario")), "there is something that must not count");
    let observations = map["observations"].as_array().unwrap();
    let ends = |one: &Value, key: &str, end: &str| one[key].as_str().unwrap().ends_with(end);
    assert_eq!(observations.len(), 2, "{map:#}");
    assert!(observations.iter().all(|one| one["lane"] == "baseline" && ends(one, "observed_path", "/real/file")));
    assert!(observations.iter().any(|one| ends(one, "requested_path", "/link/file")), "{map:#}");

    let (suite, packet) = real(&[("scenario", true), ("baseline", false), ("oracle", false)]);
    let (exit, answer) = select(&packet, &suite.path().join("map.json"));
    assert_eq!((exit, &answer["reasons"]), (1, &json!(["no_witness_records", "not_clean_channel"])), "{answer}");
    let (suite, packet) = real(&[("scenario", false), ("baseline", false), ("oracle", true)]);
    let (exit, answer) = select(&packet, &suite.path().join("map.json"));
    assert_eq!((exit, &answer["reasons"]), (1, &json!(["missing_path_witnesses"])), "{answer}");
}
