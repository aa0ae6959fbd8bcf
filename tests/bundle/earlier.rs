//! Bundles of the earlier Python tool: no `tool`, no `name`, repo-relative or absolute paths; same verdicts as it gave.

use serde_json::json;

use crate::support::{Hand, MACOS, RUN, ids, validate};

fn earlier() -> Hand {
    let mut hand = Hand::good(MACOS);
    hand.own = false;
    hand.unset("run_status.json", "/tool");
    for key in ["world_rebound", "stand_in_tools"] {
        hand.unset("run_manifest.json", &format!("/{key}"));
    }
    hand.remove("enforcement_report.json");
    hand
}

#[test]
fn a_committed_bundle_is_ok() {
    let mut hand = earlier();
    let (exit, document) = validate(&hand.lay().root);
    assert_eq!((exit, &document["findings"]), (0, &json!([])), "{document}");
    // The tag from before the rename.
    hand.set("run_manifest.json", "/schema_version", json!("hardened-runtime.run_manifest.v0.2"));
    let (exit, document) = validate(&hand.lay().root);
    assert_eq!((exit, &document["findings"]), (0, &json!([])), "{document}");
    // Outside its repository it recorded absolute paths.
    let mut index = hand.make_index();
    for entry in index["artifacts"].as_array_mut().unwrap() {
        entry["path"] = json!(format!("/srv/lab/{}", entry["path"].as_str().unwrap()));
    }
    hand.index = index;
    assert_eq!(validate(&hand.lay().root).0, 0);
}

#[test]
fn what_it_overlooked_is_a_warning() {
    for (what, warning, change) in [
        ("wrong size", "artifact-size-mismatch", (|_, index| index["artifacts"][5]["file_size"] = json!(1)) as Change),
        ("no digest", "entry-digest-missing", |_, index| index["artifacts"][5]["sha256"] = json!("")),
        ("listed twice", "entry-duplicate", |_, index| {
            let entry = index["artifacts"][5].clone();
            index["artifacts"].as_array_mut().unwrap().push(entry);
        }),
        ("unknown tag", "schema-unknown", |_, index| index["schema_version"] = json!("x")),
        ("other world", "world-id-mismatch", |_, index| index["world_id"] = json!("x")),
        ("other run", "run-id-mismatch", |_, index| index["run_id"] = json!("run-demo-2")),
        ("status for nothing", "index-inconsistent", |_, index| index["status"] = json!("partial")),
        ("empty index", "index-empty", |_, index| index["artifacts"] = json!([])),
        ("no status file", "run-status-missing", |hand, index| {
            hand.remove("run_status.json");
            *index = hand.make_index();
        }),
        ("failed run", "run-failed", |hand, index| {
            hand.set("run_status.json", "/state", json!("failed"));
            *index = hand.make_index();
            index["status"] = json!("failed");
        }),
        ("repaired", "repaired", |hand, index| {
            *index = hand.make_index();
            hand.put("repair_log.json", b"{}");
        }),
    ] {
        let mut hand = earlier();
        let mut index = hand.make_index();
        change(&mut hand, &mut index);
        hand.index = index;
        let (exit, document) = validate(&hand.lay().root);
        assert_eq!(exit, 0, "{what}: {document}");
        assert!(ids(&document, "warning").contains(&warning.to_owned()), "{what}: {document}");
    }
}

type Change = fn(&mut Hand, &mut serde_json::Value);

#[test]
fn what_it_refused_stays_refused() {
    for (what, error, change) in [
        (
            "digest",
            "artifact-digest-mismatch",
            (|_, index| {
                index["artifacts"][5]["sha256"] = json!("0".repeat(64));
            }) as Change,
        ),
        ("absent", "artifact-missing", |hand, _| hand.remove("summary.md")),
        ("no path", "entry-malformed", |_, index| {
            index["artifacts"][5].as_object_mut().unwrap().remove("path");
        }),
        ("outside", "entry-outside-bundle", |_, index| index["artifacts"][5]["path"] = json!("/etc/passwd")),
        ("missing", "expected-missing", |_, index| index["missing"] = json!([format!("out/{RUN}/x.json")])),
        ("status word", "index-status-unknown", |_, index| index["status"] = json!("fine")),
        ("in progress", "run-in-progress", |hand, index| {
            hand.set("run_status.json", "/state", json!("in_progress"));
            *index = hand.make_index();
        }),
    ] {
        let mut hand = earlier();
        let mut index = hand.make_index();
        change(&mut hand, &mut index);
        hand.index = index;
        let (exit, document) = validate(&hand.lay().root);
        assert_eq!(exit, 1, "{what}: {document}");
        assert!(ids(&document, "error").contains(&error.to_owned()), "{what}: {document}");
    }
}
