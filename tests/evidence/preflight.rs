//! The static preflight: a profile with a sign that it cannot be applied is not applied, unless that is asked for.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::suite::{Probe, RUNTIME, Suite, expect, runtime, text};

const GATED: &str = "(version 1)\n(allow default)\n(allow mach-lookup (global-name \"a\") (apply-message-filter (deny mach-message-send)))\n";
const CLEAN: &str = "(version 1)\n(allow default)\n";

fn suite() -> Suite {
    let probes = || vec![Probe::new("forks", "process-fork", "self", "allow")];
    Suite::new().profile("gated", GATED, probes()).profile("clean", CLEAN, probes())
}

fn results(out: &Path) -> Value {
    let run = out.join(std::fs::read_to_string(out.join("LATEST")).unwrap().trim());
    crate::real::document(&run, "runtime_results.json")
}

#[test]
fn a_gated_profile_is_not_applied_unless_forced_or_not_looked_at() {
    let suite = suite();
    let plan = suite.write();
    let out = suite.path().join("out");
    let arguments = ["run", "--plan", plan.to_str().unwrap(), "--out", out.to_str().unwrap()];
    for (mode, blocked, recorded) in [
        (&[][..], true, true),
        (&["--preflight", "enforce"], true, true),
        (&["--preflight", "force"], false, true),
        (&["--preflight", "off"], false, false),
    ] {
        expect(&runtime(&[&arguments[..], mode].concat()), 0);
        let results = results(&out);
        let row = &results["gated"]["probes"][0];
        assert_eq!(results["clean"]["probes"][0]["actual"], "allow", "{mode:?}");
        assert_eq!(results["gated"]["preflight"].is_object(), recorded, "{mode:?}");
        if recorded {
            assert_eq!(results["gated"]["preflight"]["signature"], "deny_message_filter");
            assert_eq!(results["clean"]["preflight"]["classification"], "no_known_apply_gate_signature");
        }
        let result = &row["runtime_result"];
        let stopped = json!(["blocked", "preflight", "preflight_apply_gate_signature", null]);
        let found = json!([result["status"], result["failure_stage"], result["failure_kind"], row["actual"]]);
        assert_eq!(found == stopped, blocked, "{mode:?}: {found}");
        assert_eq!(row["decision_records"].as_array().unwrap().is_empty(), blocked, "nothing is started: {row:#}");
    }
    let run = out.join(std::fs::read_to_string(out.join("LATEST")).unwrap().trim());
    assert!(run.join("runtime_events.normalized.json").is_file());
    // By the environment, as the earlier tool was told.
    for (variable, value, expected) in [
        ("SANDBOX_LORE_PREFLIGHT", "0", json!("allow")),
        ("SANDBOX_LORE_PREFLIGHT_FORCE", "1", json!("allow")),
        ("SANDBOX_LORE_PREFLIGHT", "1", json!(null)),
    ] {
        let output = Command::new(RUNTIME).args(arguments).env(variable, value).output().unwrap();
        assert!(output.status.success());
        assert_eq!(results(&out)["gated"]["probes"][0]["actual"], expected, "{variable}={value}");
    }
}

/// A plan with a compiled profile beside one of text, and the world that its list of digests is about.
fn with_blob(world: &str) -> (Suite, Vec<String>) {
    let probes = || vec![Probe::new("forks", "process-fork", "self", "allow")];
    let suite = Suite::new().profile("blob", "", probes()).profile("clean", CLEAN, probes());
    let plan = suite.write();
    let blob = b"\x00\x80compiled";
    std::fs::write(suite.path().join("sb/blob.sb.bin"), blob).unwrap();
    let registry = suite.path().join("registry/profiles.json");
    let mut profiles: Value = serde_json::from_slice(&std::fs::read(&registry).unwrap()).unwrap();
    profiles["profiles"]["blob"]["profile_path"] = json!("./../sb/blob.sb.bin");
    profiles["profiles"]["blob"]["mode"] = json!("blob");
    std::fs::write(&registry, profiles.to_string()).unwrap();
    let digest = runtime::base::digest::Sha256Hex::of(blob);
    let list = json!({"schema_version": 1, "world_id": world, "apply_gate_digests": [{"blob_sha256": digest}]});
    std::fs::write(suite.path().join("digests.json"), list.to_string()).unwrap();
    let path = |name: &str| suite.path().join(name).to_str().unwrap().to_owned();
    let arguments = ["run", "--plan", plan.to_str().unwrap(), "--out", &path("out")].map(str::to_owned);
    (suite, arguments.into())
}

#[test]
fn a_compiled_profile_that_the_list_names_is_not_applied_and_no_other_can_be() {
    let status: Value = serde_json::from_slice(&runtime(&["status"]).stdout).unwrap();
    let world = status["world_id"].as_str().unwrap();
    let (suite, arguments) = with_blob(world);
    let list = suite.path().join("digests.json");
    let with = |more: &[&str]| {
        let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
        all.extend(more);
        runtime(&all)
    };
    let named = ["--blob-digests", list.to_str().unwrap()];
    for mode in [&[][..], &["--preflight", "enforce"]] {
        expect(&with(&[&named[..], mode].concat()), 0);
        let results = suite.document("runtime_results.json");
        let (blob, row) = (&results["blob"], &results["blob"]["probes"][0]);
        assert_eq!(blob["preflight"]["signature"], "apply_gate_blob_digest", "{mode:?}");
        assert_eq!(blob["preflight"]["input_kind"], "sbpl_blob_path");
        let result = &row["runtime_result"];
        let found = json!([result["status"], result["failure_stage"], result["failure_kind"], row["actual"]]);
        assert_eq!(found, json!(["blocked", "preflight", "preflight_apply_gate_signature", null]));
        assert_eq!(row["decision_records"], json!([]), "nothing is started");
        assert_eq!(results["clean"]["probes"][0]["actual"], "allow", "the others run");
        assert_eq!(suite.answer("blob:forks")["decision"], "error", "there is no text to ask");
        let out = suite.out();
        expect(&runtime(&["validate-bundle", "--bundle", out.to_str().unwrap()]), 0);
    }
    // Nothing here can apply a compiled profile, so without that gate there is no run.
    std::fs::remove_dir_all(suite.out()).unwrap();
    let elsewhere = suite.path().join("elsewhere.json");
    let digests = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&elsewhere, digests.replace(world, "sonoma-14.4.1-23E224-arm64-dyld-2c0602c5")).unwrap();
    let (of_another_world, broken) =
        (["--blob-digests", elsewhere.to_str().unwrap()], suite.path().join("broken.json"));
    std::fs::write(&broken, "{}").unwrap();
    for (more, why) in [
        ([&named[..], &["--preflight", "force"]].concat(), "has mode blob"),
        ([&named[..], &["--preflight", "off"]].concat(), "has mode blob"),
        (of_another_world.to_vec(), "has mode blob"),
        (vec![], "has mode blob"),
        (vec!["--blob-digests", broken.to_str().unwrap()], "cannot use the list of digests"),
        (vec!["--blob-digests", "/nowhere/list.json"], "cannot use the list of digests"),
    ] {
        let refused = with(&more);
        expect(&refused, 3);
        assert!(text(&refused).contains(why), "{more:?}: {}", text(&refused));
        assert!(!suite.out().exists(), "{more:?}");
    }
}

#[test]
fn an_anchor_map_that_cannot_be_used_is_an_error_and_one_that_can_chooses_the_filter() {
    let suite = Suite::new().profile("a", CLEAN, vec![Probe::new("looks", "mach-lookup", "com.example.one", "allow")]);
    let plan = suite.write();
    let (out, map) = (suite.path().join("out"), suite.path().join("map.json"));
    let arguments = [
        "run",
        "--plan",
        plan.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--anchor-map",
        map.to_str().unwrap(),
    ];
    for (content, part) in [
        (None, "map.json"),
        (Some("{"), "not JSON"),
        (Some(r#"{"com.example.one": {"filter_name": "no-such"}}"#), "unknown filter"),
    ] {
        if let Some(content) = content {
            std::fs::write(&map, content).unwrap();
        }
        let refused = runtime(&arguments);
        expect(&refused, 3);
        assert!(text(&refused).contains(part), "{}", text(&refused));
        assert!(!out.exists());
    }
    std::fs::write(&map, r#"{"com.example.one": {"filter_name": null, "candidates": ["local-name"]}}"#).unwrap();
    expect(&runtime(&arguments), 0);
    let run = out.join(std::fs::read_to_string(out.join("LATEST")).unwrap().trim());
    let asked = crate::real::document(&run, "oracle_results.json")["results"][0].clone();
    assert_eq!(
        (&asked["filter_type"], &asked["filter_type_name"], &asked["filter_source"]),
        (&json!(6), &json!("local-name"), &json!("anchor_map"))
    );
}
