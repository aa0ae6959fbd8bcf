//! A small valid suite in a private directory, to be broken on purpose, and the binary that judges it.
#![expect(clippy::disallowed_methods, reason = "tests write their own inputs and start the binary under test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// A suite on disk: `plan.json`, `fixtures.json`, `registry/{probes,profiles}.json`, `sb/a.sb`, `index.json`.
pub(crate) struct Suite {
    directory: tempfile::TempDir,
}

/// What one run of the binary gave.
pub(crate) struct Outcome {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) const PLAN: &str = "plan.json";
pub(crate) const FIXTURES: &str = "fixtures.json";
pub(crate) const PROBES: &str = "registry/probes.json";
pub(crate) const PROFILES: &str = "registry/profiles.json";
pub(crate) const INDEX: &str = "index.json";
pub(crate) const PROFILE_TEXT: &str = "sb/a.sb";

pub(crate) fn probe(id: &str, operation: &str, target: &str) -> Value {
    json!({"probe_id": id, "name": id, "operation": operation, "target": target, "expected": "deny",
        "supports_lanes": {"baseline": true, "scenario": true, "oracle": true}, "expected_primary_ops": [operation],
        "expected_predicates": [target], "capabilities_required": [], "controls_supported": ["baseline"]})
}

/// Links with every field that there is.
pub(crate) fn full_links() -> Value {
    let digest = "0123456789abcdef".repeat(4);
    let file = json!({"path": "a.sb", "exists": true, "sha256": digest, "size": 7});
    json!({
        "meta": {"world_id": "w", "schema_version": "runtime-links.v0.1", "runtime_log_schema": "log.v0.1", "status": "partial",
            "tier": "mapped", "source_jobs": ["j"], "notes": "free text", "inputs": ["p.json"],
            "input_hashes": {"p.json": digest}},
        "links": {"ops_vocab": "a", "ops_coverage": "b", "tag_layouts": "c", "system_profile_digests": "d",
            "runtime_signatures": "e", "op_runtime_summary": "f", "runtime_callout_oracle": "g"},
        "packets": {"p.json": {"run_id": "r", "run_manifest": "a", "expected_matrix": "b", "runtime_events": "c",
            "runtime_results": "d", "baseline_results": "e", "oracle_results": "f", "output_root": "g", "sb_build_dir": "h",
            "runtime_profiles_dir": "i"}},
        "profiles": {"s:a": {"profile_id": "s:a", "profile_path": "a.sb", "profile_mode": "sbpl", "family": "f",
            "semantic_group": "g", "expected_ops": ["signal"], "observed_ops": ["signal"], "expectation_ids": ["s:a:x"],
            "scenario_ids": ["s:a:x"], "observed_expectation_ids": ["s:a:x"],
            "observation_counts": {"total": 2, "blocked": 1, "blocked_by_stage": {"apply": 1}}, "source_packets": ["p.json"],
            "expected_matrix_sources": ["m.json"], "compiled_blob": file, "runtime_profile": file, "profile_source": file,
            "system_profile_digest_id": "s:a", "system_profile_digest": {"status": "ok"}, "op_ids": {"signal": 9}}},
        "expectations": {"s:a:x": {"expectation_id": "s:a:x", "profile_id": "s:a", "operation": "signal", "op_id": 9,
            "expected": "deny", "target": "self", "driver": "native", "source_packet": "p.json",
            "expected_matrix": "m.json"}},
    })
}

impl Suite {
    pub(crate) fn new() -> Self {
        let suite = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::write(suite.path("AGENTS.md"), "root marker\n").unwrap();
        for folder in ["registry", "sb"] {
            std::fs::create_dir(suite.path(folder)).unwrap();
        }
        suite.write(PROFILE_TEXT, b"(version 1)\n(deny default)\n");
        suite.write_json(
            PLAN,
            &json!({"schema_version": "runtime-tools.plan.v0.1", "plan_id": "demo.v1", "registry_id": "demo",
                "world_id": "linux", "profiles": ["demo:a"], "lanes": {"scenario": true, "baseline": true, "oracle": true},
                "controls": {"baseline": true}, "fixtures": "./fixtures.json"}),
        );
        suite.write_json(
            FIXTURES,
            &json!({"schema_version": "runtime-tools.fixture_set.v0.1",
                "entries": [{"path": "d/f.txt", "kind": "file", "mode": "0644", "content": "x\n"}]}),
        );
        suite.write_json(
            PROBES,
            &json!({"schema_version": "runtime-tools.probe_registry.v0.2", "registry_id": "demo", "world_id": "linux",
                "probes": {"demo:a:x": probe("demo:a:x", "file-read-data", "${FIXTURES}/d/f.txt"),
                    "demo:a:y": probe("demo:a:y", "process-fork", "self")}}),
        );
        suite.write_json(
            PROFILES,
            &json!({"schema_version": "runtime-tools.profile_registry.v0.2", "registry_id": "demo", "world_id": "linux",
                "profiles": {"demo:a": {"profile_id": "demo:a", "profile_path": "./../sb/a.sb", "mode": "sbpl",
                    "probe_refs": ["demo:a:x", "demo:a:y"], "family": null, "semantic_group": "file:read",
                    "key_specific_rules": [], "notes": null}}}),
        );
        suite.write_json(
            INDEX,
            &json!({"schema_version": "runtime-tools.registry_index.v0.1", "registries": [
                {"id": "demo", "description": "a demo", "probes": "registry/probes.json", "profiles": "./registry/profiles.json"}]}),
        );
        suite
    }

    /// The same suite with every optional field of every document in use.
    pub(crate) fn full() -> Self {
        let suite = Self::new();
        suite.write("sb/preflight.sb", b"(version 1)\n(allow default)\n");
        suite.change(PLAN, |plan| {
            plan["apply_preflight_profile"] = json!("./sb/preflight.sb");
            plan["notes"] = json!("n");
            plan["accepted_lints"] = json!({});
        });
        suite.change(FIXTURES, |set| {
            set["entries"] = json!([{"path": "d/f.txt", "kind": "file", "mode": "0644", "content": "x\n"},
                {"path": "d/l", "kind": "symlink", "target": "f.txt"}]);
            set["ports"] = json!([{"name": "A", "kind": "tcp_listener"}]);
        });
        suite.change(PROBES, |document| {
            let probe = &mut document["probes"]["demo:a:x"];
            probe["capabilities_required"] = json!(["loopback_listener"]);
            for (key, value) in [
                ("expectation_id", json!("demo:e")),
                ("mode", json!("scenario")),
                ("driver", json!("native")),
                ("syscall", json!("open")),
                ("attr_payload", json!("cmn")),
                ("anchor_ctx_id", json!("ctx:0123456789abcdef")),
                ("filter_name", json!("path")),
                ("filter_type", json!(0)),
            ] {
                probe[key] = value;
            }
        });
        suite.change(PROFILES, |document| {
            let profile = &mut document["profiles"]["demo:a"];
            profile["family"] = json!("f");
            profile["key_specific_rules"] = json!(["(allow file-read-data (literal \"/x\"))"]);
            profile["notes"] = json!("n");
        });
        suite
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    pub(crate) fn write(&self, file: &str, bytes: &[u8]) {
        std::fs::write(self.path(file), bytes).unwrap();
    }

    pub(crate) fn write_json(&self, file: &str, value: &Value) {
        self.write(file, serde_json::to_string_pretty(value).unwrap().as_bytes());
    }

    pub(crate) fn read_json(&self, file: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(file)).unwrap()).unwrap()
    }

    /// Changes one document in place.
    pub(crate) fn change(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let mut value = self.read_json(file);
        change(&mut value);
        self.write_json(file, &value);
    }

    pub(crate) fn remove(&self, file: &str) {
        std::fs::remove_file(self.path(file)).unwrap();
    }

    /// Moves the registry to the folder `to`, which the index then names, away from the plan.
    pub(crate) fn move_registry(&self, to: &str) {
        std::fs::rename(self.path("registry"), self.path(to)).unwrap();
        self.change(INDEX, |index| {
            for file in ["probes", "profiles"] {
                index["registries"][0][file] = json!(format!("{to}/{file}.json"));
            }
        });
        // `./` paths would lead out of a folder that is not called `registry`.
        self.change(&format!("{to}/profiles.json"), |profiles| {
            profiles["profiles"]["demo:a"]["profile_path"] = json!(PROFILE_TEXT);
        });
    }

    /// Runs the binary in the suite's directory.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        run_in(self.directory.path(), arguments)
    }

    /// Lints the plan and returns the status and its findings.
    pub(crate) fn plan_lint(&self) -> (Option<i32>, Vec<Value>) {
        findings(&self.run(&["plan-lint", "--plan", PLAN, "--registry-index", INDEX, "--json"]))
    }

    /// Lints every registry of the suite's index and returns the status and its findings.
    pub(crate) fn registry_lint(&self) -> (Option<i32>, Vec<Value>) {
        findings(&self.run(&["registry-lint", "--registry-index", INDEX, "--json"]))
    }
}

/// Where the value that `pointer` names begins in `text`, a document as [`Suite::write_json`] writes it: line and column
/// from 1. Found by its lines, of which each holds one member, indented by two spaces a level.
pub(crate) fn position_in(text: &str, pointer: &str) -> (usize, usize) {
    let lines: Vec<&str> = text.lines().collect();
    let (mut line, mut column) = (0, 1);
    for (depth, token) in pointer.split('/').skip(1).enumerate() {
        let key = token.replace("~1", "/").replace("~0", "~");
        let indent = "  ".repeat(depth + 1);
        let below = lines.iter().enumerate().skip(line + 1);
        let mut members = below
            .take_while(|(_, text)| text.starts_with(&indent))
            .filter(|(_, text)| !text[indent.len()..].starts_with([' ', ']', '}']));
        if lines[line].ends_with('[') {
            line = members.nth(key.parse().unwrap()).unwrap_or_else(|| panic!("{pointer} in {text}")).0;
            column = indent.len() + 1;
        } else {
            let start = format!("{indent}{}: ", Value::from(key));
            line =
                members.find(|(_, text)| text.starts_with(&start)).unwrap_or_else(|| panic!("{pointer} in {text}")).0;
            column = start.chars().count() + 1;
        }
    }
    (line + 1, column)
}

/// Runs the binary in `directory`.
pub(crate) fn run_in(directory: &Path, arguments: &[&str]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_runtime")).args(arguments).current_dir(directory).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let outcome = Outcome { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    outcome
}

fn findings(outcome: &Outcome) -> (Option<i32>, Vec<Value>) {
    let report: Value = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {} {}", outcome.stdout, outcome.stderr));
    let list = report["findings"].as_array().cloned().unwrap_or_default();
    if report.get("error").is_none() {
        let has_error = list.iter().any(|finding| finding["severity"] == "error");
        assert_eq!(report["ok"], json!(!has_error), "{report}");
    }
    (outcome.status, list)
}
