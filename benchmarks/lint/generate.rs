//! Suites of any size, the same in every run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// What is wrong with a suite.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Nothing.
    None,
    /// Every thousandth probe expects a word that is none.
    OneInAThousand,
    /// Every probe.
    All,
}

/// Probes of one profile, at most.
const PER_PROFILE: usize = 100;

/// Operations that probes perform on files of the fixtures.
const OPERATIONS: [&str; 6] =
    ["file-read-data", "file-read-metadata", "file-write-data", "file-test-existence", "file-read-xattr", "file-read*"];

/// Writes a suite of `count` probes to `directory`: plan, fixtures, registry and one profile text per hundred probes.
pub(crate) fn suite(directory: &Path, count: usize, broken: Broken) -> PathBuf {
    let mut random = fastrand::Rng::with_seed(3);
    std::fs::create_dir_all(directory.join("registry")).unwrap();
    std::fs::create_dir_all(directory.join("sb")).unwrap();
    let write = |name: &str, value: &Value| std::fs::write(directory.join(name), value.to_string()).unwrap();
    let (mut probes, mut profiles, mut entries) = (Map::new(), Map::new(), Vec::new());
    for first in (0..count).step_by(PER_PROFILE) {
        let number = first / PER_PROFILE;
        let profile = format!("scale:part{number:03}");
        let mut refs = Vec::new();
        let mut text = String::from("(version 1)\n(deny default)\n(define root (param \"FIXTURES\"))\n");
        for index in first..count.min(first + PER_PROFILE) {
            let operation = OPERATIONS[random.usize(..OPERATIONS.len())];
            let path = format!("part{number:03}/d{}/f{index:05}.txt", random.usize(..10));
            let target = format!("${{FIXTURES}}/{path}");
            let id = format!("{profile}:p{index:05}");
            let wrong = match broken {
                Broken::None => false,
                Broken::OneInAThousand => index % 1000 == 999,
                Broken::All => true,
            };
            let expected = if wrong { "perhaps" } else { ["allow", "deny"][random.usize(..2)] };
            if expected == "allow" && index % 10 == 0 {
                let _ = writeln!(text, "(allow {operation} (literal (string-append root \"/{path}\")))");
            }
            if index % 10 == 0 {
                entries.push(json!({"path": format!("part{number:03}/seed{index:05}"), "kind": "directory"}));
            }
            entries.push(json!({"path": path, "kind": "file"}));
            let probe = json!({"probe_id": id, "name": format!("p{index:05}"), "operation": operation, "target": target,
                "expected": expected, "supports_lanes": {"baseline": true, "scenario": true, "oracle": true},
                "expected_primary_ops": [operation], "expected_predicates": [target], "capabilities_required": [],
                "controls_supported": ["baseline"]});
            probes.insert(id.clone(), probe);
            refs.push(id);
        }
        std::fs::write(directory.join(format!("sb/part{number:03}.sb")), text).unwrap();
        let entry = json!({"profile_id": profile, "profile_path": format!("./../sb/part{number:03}.sb"), "mode": "sbpl",
            "probe_refs": refs, "family": null, "semantic_group": "file", "key_specific_rules": [], "notes": null});
        profiles.insert(profile, entry);
    }
    write(
        "plan.json",
        &json!({"schema_version": "runtime-tools.plan.v0.1", "plan_id": "scale.v1", "registry_id": "scale",
            "world_id": "linux", "profiles": profiles.keys().collect::<Vec<_>>(), "fixtures": "./fixtures.json"}),
    );
    write("fixtures.json", &json!({"schema_version": "runtime-tools.fixture_set.v0.1", "entries": entries}));
    write(
        "registry/probes.json",
        &json!({"schema_version": "runtime-tools.probe_registry.v0.2", "registry_id": "scale", "world_id": "linux",
            "probes": probes}),
    );
    write(
        "registry/profiles.json",
        &json!({"schema_version": "runtime-tools.profile_registry.v0.2", "registry_id": "scale", "world_id": "linux",
            "profiles": profiles}),
    );
    directory.to_path_buf()
}

/// Every file of a suite that a lint of its plan reads.
pub(crate) fn files(suite: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        ["plan.json", "fixtures.json", "registry/probes.json", "registry/profiles.json"].map(|f| suite.join(f)).into();
    files.extend(std::fs::read_dir(suite.join("sb")).unwrap().map(|entry| entry.unwrap().path()));
    files
}

/// The shape of a probe registry for validators of JSON Schema.
pub(crate) const SCHEMA: &str = r##"{
  "$schema": "http://json-schema.org/draft-07/schema#",
  "type": "object",
  "required": ["schema_version", "registry_id", "world_id", "probes"],
  "additionalProperties": false,
  "properties": {
    "schema_version": {"enum": ["runtime-tools.probe_registry.v0.2"]},
    "registry_id": {"$ref": "#/definitions/id"},
    "world_id": {"$ref": "#/definitions/id"},
    "probes": {"type": "object", "additionalProperties": {"$ref": "#/definitions/probe"}}
  },
  "definitions": {
    "id": {"type": "string", "pattern": "^[^\\u0000-\\u001f]{1,1024}$"},
    "text_list": {"type": "array", "items": {"type": "string"}},
    "probe": {
      "type": "object",
      "additionalProperties": false,
      "required": ["probe_id", "name", "operation", "target", "expected", "supports_lanes", "expected_primary_ops",
        "expected_predicates", "capabilities_required", "controls_supported"],
      "properties": {
        "probe_id": {"$ref": "#/definitions/id"},
        "name": {"type": "string", "minLength": 1},
        "operation": {"type": "string", "pattern": "^[a-z][a-z0-9*-]*$"},
        "target": {"type": "string", "minLength": 1},
        "expected": {"enum": ["allow", "deny"]},
        "supports_lanes": {
          "type": "object",
          "additionalProperties": false,
          "properties": {"baseline": {"type": "boolean"}, "scenario": {"type": "boolean"}, "oracle": {"type": "boolean"}}
        },
        "expected_primary_ops": {"$ref": "#/definitions/text_list"},
        "expected_predicates": {"$ref": "#/definitions/text_list"},
        "capabilities_required": {"$ref": "#/definitions/text_list"},
        "controls_supported": {"type": "array", "items": {"enum": ["baseline", "allow_default", "deny_default"]}},
        "expectation_id": {"type": ["string", "null"]},
        "mode": {"type": ["string", "null"]},
        "driver": {"type": ["string", "null"]},
        "syscall": {"type": ["string", "null"]},
        "attr_payload": {"type": ["string", "null"]},
        "anchor_ctx_id": {"type": ["string", "null"]},
        "filter_name": {"type": ["string", "null"]},
        "filter_type": {"type": ["integer", "null"]}
      }
    }
  }
}
"##;
