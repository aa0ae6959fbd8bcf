//! A bundle of many events, and a suite of many probes.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const OPERATIONS: [&str; 10] = [
    "file-read-data",
    "file-read-metadata",
    "file-write-data",
    "file-write-create",
    "file-write-unlink",
    "process-exec*",
    "process-fork",
    "network-outbound",
    "sysctl-read",
    "signal",
];

/// Scenarios of the generated events: groups, not rows, are what memory may grow with.
const SCENARIOS: u64 = 5_000;

/// A valid bundle of `number` events: a real run of one probe, whose events are replaced and entered in the index again.
pub(crate) fn bundle(runtime: &str, dir: &Path, number: u64) -> std::path::PathBuf {
    let suite = dir.join("seed");
    self::suite(&suite, 1, 1);
    let out = dir.join("bundle");
    let plan = suite.join("plan.json");
    let done = Command::new(runtime).arg("run").arg("--plan").arg(&plan).arg("--out").arg(&out).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let run = out.join(std::fs::read_to_string(out.join("LATEST")).unwrap().trim());
    let events = run.join("runtime_events.normalized.json");
    write_events(&events, number);
    let digest = Command::new("sha256sum").arg(&events).output().unwrap();
    let digest = String::from_utf8(digest.stdout).unwrap()[..64].to_owned();
    let size = events.metadata().unwrap().len();
    let index = run.join("artifact_index.json");
    let mut document: Value = serde_json::from_slice(&std::fs::read(&index).unwrap()).unwrap();
    for entry in document["artifacts"].as_array_mut().unwrap() {
        if entry["path"].as_str().unwrap().ends_with("/runtime_events.normalized.json") {
            entry["sha256"] = json!(digest);
            entry["file_size"] = json!(size);
        }
    }
    std::fs::write(&index, serde_json::to_string_pretty(&document).unwrap()).unwrap();
    let valid = Command::new(runtime).args(["validate-bundle", "--bundle"]).arg(&out).stdout(Stdio::null()).status();
    assert!(valid.unwrap().success(), "the generated bundle is not valid");
    run
}

/// Every tenth event is a mismatch, every hundredth was not observed.
fn write_events(path: &Path, number: u64) {
    let mut out = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(path).unwrap());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for n in 0..number {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let operation = OPERATIONS[(state >> 33) as usize % OPERATIONS.len()];
        let scenario = format!("bench:{}:probe_{}", operation.trim_end_matches('*'), (state >> 40) % SCENARIOS / 10);
        let expected = if state >> 63 == 0 { "allow" } else { "deny" };
        let (observed, met) = (n % 100 != 0, n % 10 != 1);
        let actual = match (met, expected) {
            (true, same) => same,
            (false, "allow") => "deny",
            (false, _) => "allow",
        };
        let mut event = json!({
            "expectation_id": scenario, "expected": expected, "harness": "runtime", "intended_op_witnessed": observed,
            "operation": operation,
            "policy_layers": {"attribution": "process_policy", "effective_decision": actual},
            "probe_name": format!("probe_{n}"), "profile_id": "bench", "run_id": "bench",
            "runtime_status": "success", "scenario_id": scenario, "target": format!("/srv/data/d{}/f{n}", n % 50),
            "world_id": "bench", "outcome": if observed { actual } else { "not_observed" },
        });
        if observed {
            event["actual"] = json!(actual);
            event["match"] = json!(met);
        }
        let text = serde_json::to_string_pretty(&event).unwrap().replace('\n', "\n  ");
        write!(out, "{}  {text}", if n == 0 { "[\n" } else { ",\n" }).unwrap();
    }
    out.write_all(b"\n]").unwrap();
    out.into_inner().unwrap();
}

/// A suite of `profiles` with `probes` each, which read a file of their fixtures, in all three lanes.
pub(crate) fn suite(dir: &Path, profiles: usize, probes: usize) {
    std::fs::create_dir_all(dir.join("registry")).unwrap();
    let lanes = json!({"scenario": true, "baseline": true, "oracle": true});
    let write = |name: &str, value: Value| std::fs::write(dir.join(name), value.to_string()).unwrap();
    let profile_text = "(version 1)\n(deny default)\n(allow file-read* (subpath (param \"FIXTURES\")))\n\
                        (deny file-read-data (literal (string-append (param \"FIXTURES\") \"/b\")))\n";
    std::fs::write(dir.join("p.sb"), profile_text).unwrap();
    let (mut all_probes, mut all_profiles, mut ids) = (json!({}), json!({}), Vec::new());
    for p in 0..profiles {
        let mut refs = Vec::new();
        for n in 0..probes {
            let id = format!("bench:p{p}:r{n}");
            let (file, expected) = if n % 2 == 0 { ("a", "allow") } else { ("b", "deny") };
            all_probes[&id] = json!({
                "probe_id": id, "name": format!("r{n}"), "operation": "file-read-data",
                "target": format!("${{FIXTURES}}/{file}"), "expected": expected, "supports_lanes": lanes,
                "expected_primary_ops": ["file-read-data"], "expected_predicates": [], "capabilities_required": [],
                "controls_supported": ["baseline"],
            });
            refs.push(id);
        }
        let id = format!("bench:p{p}");
        all_profiles[&id] = json!({
            "profile_id": id, "profile_path": "./../p.sb", "mode": "sbpl", "probe_refs": refs, "family": null,
            "semantic_group": null, "key_specific_rules": [], "notes": null,
        });
        ids.push(id);
    }
    let registry = |kind: &str, key: &str, entries: Value| {
        json!({"schema_version": format!("runtime-tools.{kind}_registry.v0.2"), "registry_id": "bench", "world_id": "linux",
               key: entries})
    };
    write("registry/probes.json", registry("probe", "probes", all_probes));
    write("registry/profiles.json", registry("profile", "profiles", all_profiles));
    let entries = json!([{"path": "a", "kind": "file", "content": "x"}, {"path": "b", "kind": "file", "content": "x"}]);
    write("fixtures.json", json!({"schema_version": "runtime-tools.fixture_set.v0.1", "entries": entries}));
    write(
        "plan.json",
        json!({"schema_version": "runtime-tools.plan.v0.1", "plan_id": "bench", "registry_id": "bench", "world_id": "linux",
               "profiles": ids, "lanes": lanes, "fixtures": "./fixtures.json"}),
    );
}
