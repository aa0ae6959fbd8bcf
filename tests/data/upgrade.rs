//! `registry-upgrade`: the normal form, and that both files are written or neither.
#![expect(clippy::disallowed_methods, reason = "tests write their own inputs")]

use serde_json::{Value, json};

use crate::suite::{INDEX, PROBES, PROFILES, Suite};

const UPGRADE: &[&str] = &["registry-upgrade", "--registry", "./registry"];

/// The suite with its registry in the older form: only the fields that every version has, and some of the others.
fn old() -> Suite {
    let suite = Suite::new();
    suite.write_json(
        PROBES,
        &json!({"schema_version": "runtime-tools.probe_registry.v0.1", "registry_id": "demo", "world_id": "linux",
            "generated_by": "hand", "probes": {
                "demo:a:y": {"probe_id": "demo:a:y", "name": "y", "operation": "process-fork", "target": "self",
                    "expected": "deny", "supports_lanes": null, "capabilities_required": null, "driver": null},
                "demo:a:x": {"probe_id": "demo:a:x", "name": "é", "operation": "file-read-data", "target": "/x",
                    "expected": "allow", "supports_lanes": {"oracle": false, "shadow": true}, "filter_type": 0}}}),
    );
    suite.write_json(
        PROFILES,
        &json!({"schema_version": "runtime-tools.profile_registry.v0.1", "registry_id": "demo", "world_id": "linux",
            "profiles": {"demo:a": {"profile_id": "demo:a", "profile_path": "./../sb/a.sb", "mode": "sbpl",
                "probe_refs": ["demo:a:x", "demo:a:y"], "notes": "n"}}}),
    );
    suite
}

fn upgrade(suite: &Suite, extra: &[&str]) -> (Option<i32>, String) {
    let outcome = suite.run(&[UPGRADE, extra].concat());
    (outcome.status, outcome.stdout + &outcome.stderr)
}

fn both(suite: &Suite) -> [String; 2] {
    [PROBES, PROFILES].map(|file| std::fs::read_to_string(suite.path(file)).unwrap())
}

#[test]
fn the_older_form_becomes_the_current_one() {
    let suite = old();
    assert_eq!(suite.registry_lint().0, Some(1), "the older form is no registry for anything else");
    let (status, told) = upgrade(&suite, &["--overwrite"]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("unknown key \"generated_by\"") && told.contains("unknown lane \"shadow\""), "{told}");
    let expected = concat!(
        "{\n  \"probes\": {\n    \"demo:a:x\": {\n      \"capabilities_required\": [],\n",
        "      \"controls_supported\": [],\n      \"expected\": \"allow\",\n      \"expected_predicates\": [\n",
        "        \"/x\"\n      ],\n      \"expected_primary_ops\": [\n        \"file-read-data\"\n      ],\n",
        "      \"filter_type\": 0,\n      \"name\": \"\\u00e9\",\n      \"operation\": \"file-read-data\",\n",
        "      \"probe_id\": \"demo:a:x\",\n      \"supports_lanes\": {\n        \"baseline\": true,\n",
        "        \"oracle\": false,\n        \"scenario\": true\n      },\n      \"target\": \"/x\"\n    },\n",
        "    \"demo:a:y\": {\n      \"capabilities_required\": [],\n      \"controls_supported\": [],\n",
        "      \"driver\": null,\n      \"expected\": \"deny\",\n      \"expected_predicates\": [\n",
        "        \"self\"\n      ],\n      \"expected_primary_ops\": [\n        \"process-fork\"\n      ],\n",
        "      \"name\": \"y\",\n      \"operation\": \"process-fork\",\n      \"probe_id\": \"demo:a:y\",\n",
        "      \"supports_lanes\": {\n        \"baseline\": true,\n        \"oracle\": true,\n",
        "        \"scenario\": true\n      },\n      \"target\": \"self\"\n    }\n  },\n",
        "  \"registry_id\": \"demo\",\n  \"schema_version\": \"runtime-tools.probe_registry.v0.2\",\n",
        "  \"world_id\": \"linux\"\n}\n"
    );
    assert_eq!(both(&suite)[0], expected);
    let profile = &suite.read_json(PROFILES)["profiles"]["demo:a"];
    let given = json!({"profile_id": "demo:a", "profile_path": "./../sb/a.sb", "mode": "sbpl",
        "probe_refs": ["demo:a:x", "demo:a:y"], "notes": "n", "family": null, "semantic_group": null,
        "key_specific_rules": []});
    assert_eq!(profile, &given);
    assert_eq!(suite.registry_lint(), (Some(0), vec![]));
    // What is in the current form stays as it is, and nothing is written again.
    let before = std::fs::metadata(suite.path(PROBES)).unwrap().modified().unwrap();
    let (status, told) = upgrade(&suite, &[]);
    assert_eq!((status, told.trim()), (Some(0), "nothing to do: both files are in the current form"));
    assert_eq!(std::fs::metadata(suite.path(PROBES)).unwrap().modified().unwrap(), before);
}

#[test]
fn check_writes_nothing_and_says_whether_something_would_change() {
    let suite = old();
    let before = both(&suite);
    let (status, told) = upgrade(&suite, &["--check"]);
    assert_eq!((status, told.matches("would write ").count()), (Some(1), 2), "{told}");
    assert_eq!(both(&suite), before);
    let report: Value = serde_json::from_str(&suite.run(&[UPGRADE, &["--check", "--json"]].concat()).stdout).unwrap();
    assert_eq!((&report["ok"], report["would_write"].as_array().unwrap().len()), (&json!(false), 2));
    assert_eq!(upgrade(&suite, &["--overwrite"]).0, Some(0));
    assert_eq!(upgrade(&suite, &["--check"]).0, Some(0));
    // Neither does what says the same in another order, as suites of plan-build do.
    let reversed: serde_json::Map<String, Value> =
        suite.read_json(PROBES).as_object().unwrap().clone().into_iter().rev().collect();
    suite.write(PROBES, Value::Object(reversed).to_string().as_bytes());
    assert_eq!(upgrade(&suite, &["--check"]).0, Some(0));
    // By the id of an index, too.
    let by_id = ["registry-upgrade", "--registry", "demo", "--registry-index", INDEX, "--check"];
    assert_eq!(suite.run(&by_id).status, Some(0));
}

#[test]
fn nothing_that_stands_there_is_replaced_unasked() {
    let suite = old();
    let before = both(&suite);
    let (status, told) = upgrade(&suite, &[]);
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("probes.json stands there already") && told.contains("--overwrite"), "{told}");
    assert_eq!(both(&suite), before);
    let (status, told) = upgrade(&suite, &["--out-dir", "new"]);
    assert_eq!(status, Some(3), "the directory is not made: {told}");
    std::fs::create_dir(suite.path("new")).unwrap();
    assert_eq!(upgrade(&suite, &["--out-dir", "new"]).0, Some(0));
    assert_eq!(both(&suite), before);
    assert_eq!(suite.read_json("new/probes.json")["schema_version"], "runtime-tools.probe_registry.v0.2");
    suite.write("new/profiles.json", b"other");
    assert_eq!(upgrade(&suite, &["--out-dir", "new"]).0, Some(1));
    assert_eq!(std::fs::read(suite.path("new/profiles.json")).unwrap(), b"other");
}

#[test]
fn what_cannot_be_upgraded_is_refused_whole_with_every_reason() {
    let suite = old();
    suite.change(PROBES, |d| d["probes"]["demo:a:y"]["expected"] = json!("no"));
    suite.change(PROFILES, |d| {
        d["profiles"]["demo:a"].as_object_mut().unwrap().remove("mode").unwrap();
    });
    let before = both(&suite);
    for extra in [&["--overwrite"][..], &["--check"]] {
        let outcome = suite.run(&[UPGRADE, extra, &["--json"]].concat());
        let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let ids: Vec<&str> = report["findings"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap()).collect();
        assert_eq!(
            (outcome.status, ids),
            (Some(1), vec!["unknown-key", "expected-word", "unknown-lane", "missing-key"])
        );
        assert!(report["findings"].as_array().unwrap().iter().all(|finding| finding["line"].is_u64()), "{report}");
    }
    assert_eq!(both(&suite), before);
    for (file, key, value, status) in [
        (PROBES, "schema_version", json!("runtime-tools.probe_registry.v0.3"), 1),
        (PROBES, "world_id", json!(null), 1),
        (PROFILES, "registry_id", json!(7), 1),
        (PROFILES, "profiles", json!([1]), 1),
    ] {
        let suite = old();
        suite.change(file, |document| document[key] = value.clone());
        assert_eq!(upgrade(&suite, &["--overwrite"]).0, Some(status), "{key}");
    }
    let suite = old();
    suite.write(PROFILES, b"{");
    assert_eq!(upgrade(&suite, &["--overwrite"]).0, Some(3));
    // No entries at all is a registry, in either form.
    let suite = old();
    suite.change(PROBES, |document| document["probes"] = json!([]));
    assert_eq!(upgrade(&suite, &["--overwrite"]).0, Some(0));
    assert_eq!(suite.read_json(PROBES)["probes"], json!({}));
}

#[test]
fn when_one_file_cannot_be_written_the_other_gets_back_what_stood_there() {
    let suite = old();
    let [probes, profiles] = both(&suite);
    std::fs::rename(suite.path(PROFILES), suite.path("elsewhere.json")).unwrap();
    // A link is read and never written through, so the second of the two writes fails.
    std::os::unix::fs::symlink(suite.path("elsewhere.json"), suite.path(PROFILES)).unwrap();
    let (status, told) = upgrade(&suite, &["--overwrite"]);
    assert_eq!(status, Some(3), "{told}");
    assert!(told.contains("profiles.json is or passes through a symbolic link"), "{told}");
    assert_eq!(both(&suite), [probes, profiles]);
    assert!(suite.path(PROFILES).is_symlink());
}

#[test]
fn what_is_replaced_keeps_its_mode_and_a_second_name_is_not_cut_off() {
    use std::os::unix::fs::PermissionsExt as _;
    let suite = old();
    let mode = |file: &str| suite.path(file).metadata().unwrap().permissions().mode() & 0o7777;
    std::fs::set_permissions(suite.path(PROBES), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(suite.path(PROFILES), std::fs::Permissions::from_mode(0o640)).unwrap();
    let before = both(&suite);
    std::fs::hard_link(suite.path(PROFILES), suite.path("second.json")).unwrap();
    let (status, told) = upgrade(&suite, &["--overwrite"]);
    assert_eq!(status, Some(3), "{told}");
    assert!(told.contains("profiles.json has 2 names"), "{told}");
    assert_eq!((both(&suite), mode(PROBES), mode(PROFILES)), (before.clone(), 0o600, 0o640));
    std::fs::remove_file(suite.path("second.json")).unwrap();
    assert_eq!(upgrade(&suite, &["--overwrite"]).0, Some(0));
    assert!(both(&suite) != before);
    assert_eq!((mode(PROBES), mode(PROFILES)), (0o600, 0o640));
}
