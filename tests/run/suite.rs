//! A plan suite in a directory of its own, and the binary under test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

/// The binary under test.
pub(crate) const RUNTIME: &str = env!("CARGO_BIN_EXE_runtime");

/// One probe of a suite.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) name: String,
    pub(crate) operation: &'static str,
    pub(crate) target: String,
    pub(crate) expected: &'static str,
    pub(crate) driver: Option<&'static str>,
}

impl Probe {
    pub(crate) fn new(name: &str, operation: &'static str, target: &str, expected: &'static str) -> Self {
        Self { name: name.to_owned(), operation, target: target.to_owned(), expected, driver: None }
    }

    pub(crate) fn driver(self, driver: &'static str) -> Self {
        Self { driver: Some(driver), ..self }
    }
}

/// A plan with its registry, profiles and fixtures on disk.
pub(crate) struct Suite {
    dir: tempfile::TempDir,
    profiles: Vec<(String, String, Vec<Probe>)>,
    lanes: Value,
    fixtures: Value,
    ports: Value,
    world: String,
}

impl Suite {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            profiles: Vec::new(),
            lanes: json!({"scenario": true, "baseline": true, "oracle": true}),
            fixtures: json!([]),
            ports: json!([]),
            world: "linux".to_owned(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn profile(mut self, id: &str, text: &str, probes: Vec<Probe>) -> Self {
        self.profiles.push((id.to_owned(), text.to_owned(), probes));
        self
    }

    pub(crate) fn fixtures(mut self, entries: Value) -> Self {
        self.fixtures = entries;
        self
    }

    pub(crate) fn ports(mut self, ports: Value) -> Self {
        self.ports = ports;
        self
    }

    pub(crate) fn lanes(mut self, lanes: Value) -> Self {
        self.lanes = lanes;
        self
    }

    pub(crate) fn world(mut self, world: &str) -> Self {
        self.world = world.to_owned();
        self
    }

    /// Writes everything; returns the plan's path.
    pub(crate) fn write(&self) -> PathBuf {
        let root = self.path();
        std::fs::create_dir_all(root.join("registry")).unwrap();
        std::fs::create_dir_all(root.join("sb")).unwrap();
        let mut probes = serde_json::Map::new();
        let mut profiles = serde_json::Map::new();
        for (number, (id, text, list)) in self.profiles.iter().enumerate() {
            std::fs::write(root.join(format!("sb/p{number}.sb")), text).unwrap();
            let mut refs = Vec::new();
            for probe in list {
                let probe_id = format!("{id}:{}", probe.name);
                probes.insert(
                    probe_id.clone(),
                    json!({
                        "probe_id": probe_id, "name": probe.name, "operation": probe.operation, "target": probe.target,
                        "expected": probe.expected, "driver": probe.driver,
                        "supports_lanes": {"scenario": true, "baseline": true, "oracle": true},
                        "expected_primary_ops": [probe.operation], "expected_predicates": [probe.target],
                        "capabilities_required": [], "controls_supported": ["baseline"],
                    }),
                );
                refs.push(probe_id);
            }
            profiles.insert(
                id.clone(),
                json!({
                    "profile_id": id, "profile_path": format!("./../sb/p{number}.sb"), "mode": "sbpl",
                    "probe_refs": refs, "family": null, "semantic_group": null, "key_specific_rules": [], "notes": null,
                }),
            );
        }
        let ids: Vec<&String> = self.profiles.iter().map(|(id, ..)| id).collect();
        let write = |name: &str, value: Value| std::fs::write(root.join(name), value.to_string()).unwrap();
        write(
            "registry/probes.json",
            json!({"schema_version": "runtime-tools.probe_registry.v0.2", "registry_id": "suite",
                   "world_id": self.world, "probes": probes}),
        );
        write(
            "registry/profiles.json",
            json!({"schema_version": "runtime-tools.profile_registry.v0.2", "registry_id": "suite",
                   "world_id": self.world, "profiles": profiles}),
        );
        write(
            "fixtures.json",
            json!({"schema_version": "runtime-tools.fixture_set.v0.1", "entries": self.fixtures, "ports": self.ports}),
        );
        write(
            "plan.json",
            json!({"schema_version": "runtime-tools.plan.v0.1", "plan_id": "suite.v1", "registry_id": "suite",
                   "world_id": self.world, "profiles": ids, "lanes": self.lanes, "controls": {},
                   "fixtures": "./fixtures.json"}),
        );
        root.join("plan.json")
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.path().join("out")
    }

    /// Writes the suite and runs it with additional arguments.
    pub(crate) fn run(&self, more: &[&str]) -> Output {
        let plan = self.write();
        let out = self.out();
        let mut args = vec!["run", "--plan", plan.to_str().unwrap(), "--out", out.to_str().unwrap()];
        args.extend(more);
        runtime(&args)
    }

    /// Like [`Suite::run`], in the background.
    pub(crate) fn start(&self, more: &[&str]) -> Child {
        let plan = self.write();
        Command::new(RUNTIME)
            .args(["run", "--plan"])
            .arg(plan)
            .arg("--out")
            .arg(self.out())
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// A document of the run that `LATEST` names.
    pub(crate) fn document(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.latest().join(name)).unwrap()).unwrap()
    }

    /// Directory of the run that `LATEST` names.
    pub(crate) fn latest(&self) -> PathBuf {
        let id = std::fs::read_to_string(self.out().join("LATEST")).unwrap();
        self.out().join(id.trim())
    }

    /// All scenario rows of one profile.
    pub(crate) fn rows(&self, profile: &str) -> Vec<Value> {
        self.document("runtime_results.json")[profile]["probes"].as_array().unwrap().clone()
    }

    /// One row of the baseline lane.
    pub(crate) fn control(&self, name: &str) -> Value {
        let rows = self.document("baseline_results.json")["results"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["probe_name"] == name).unwrap_or_else(|| panic!("no row {name}"))
    }

    /// One answer of the oracle lane.
    pub(crate) fn answer(&self, expectation: &str) -> Value {
        let rows = self.document("oracle_results.json")["results"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["expectation_id"] == expectation).unwrap_or_else(|| panic!("no {expectation}"))
    }

    /// One scenario row.
    pub(crate) fn row(&self, profile: &str, name: &str) -> Value {
        self.rows(profile).into_iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no row {name}"))
    }

    /// Runs `emit-promotion` on the latest run with `--require linux_enforcement`; the packet is left out.
    pub(crate) fn linux_gate(&self) -> (i32, String) {
        let packet = self.path().join("packet.json");
        let out = self.out();
        let args = ["emit-promotion", "--bundle", out.to_str().unwrap(), "--out", packet.to_str().unwrap()];
        let output = runtime(&[&args[..], &["--require", "linux_enforcement"]].concat());
        let code = output.status.code().unwrap();
        assert_eq!(packet.exists(), code == 0, "a refusal writes nothing: {}", text(&output));
        (code, text(&output))
    }
}

/// Runs the binary.
pub(crate) fn runtime(args: &[&str]) -> Output {
    Command::new(RUNTIME).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Both streams, for messages and searching.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Asserts an exit status and shows the streams when it differs.
#[track_caller]
pub(crate) fn expect(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
}
