//! Bundles built by hand, and the binary under test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const RUN: &str = "run-demo-1";
pub(crate) const LINUX: &str = "linux-debian-12-6.1.0-amd64";
pub(crate) const MACOS: &str = "sonoma-14.4.1-23E224-arm64-dyld-2c0602c5";

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A bundle as a list of files; every fact can be changed before it is laid down.
#[derive(Clone)]
pub(crate) struct Hand {
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) world: String,
    pub(crate) own: bool,
    pub(crate) index: Value,
}

impl Hand {
    /// A bundle both of whose gates' facts are fine: `LINUX` opens the Linux gate, `MACOS` the decision-stage gate.
    pub(crate) fn good(world: &str) -> Self {
        let identity = json!({
            "run_id": RUN, "world_id": world, "channel": "launchd_clean", "plan_id": "demo", "plan_digest": "0".repeat(64),
        });
        let with = |tag: &str, extra: Value| {
            let mut document = json!({"schema_version": tag});
            for source in [&identity, &extra] {
                for (key, value) in source.as_object().unwrap() {
                    document[key] = value.clone();
                }
            }
            document
        };
        let tool = json!({"name": "runtime", "version": "0.1.0"});
        let status = with(
            "runtime-tools.run_status.v0.1",
            json!({"state": "complete", "writer_pid": 7, "updated_at_unix": 1.5, "error": null, "failure_stage": null,
                   "tool": tool}),
        );
        let preflight = json!({
            "apply_ok": true, "status": "ok", "error": null,
            "sandbox_check_self": {"source": "sandbox_check", "rc": 0, "sandboxed": false},
        });
        let manifest = with(
            "runtime-tools.run_manifest.v0.1",
            json!({"dry_run": false, "stage_used": true, "stage_root": "/s", "repo_root_context": "/s",
                   "staged_output_root": "/s/out", "output_root": format!("out/{RUN}"),
                   "apply_preflight": {"path": "apply_preflight.json", "record": preflight},
                   "world_rebound": false, "stand_in_tools": []}),
        );
        let row = |id: &str, decision: &str| {
            json!({"name": id, "expectation_id": format!("demo:{id}"), "operation": "file-read-data", "path": "/f",
                   "expected": decision, "actual": decision, "match": true,
                   "runtime_result": {"status": "success", "errno": null, "failure_stage": null, "failure_kind": null,
                                      "intended_op_witnessed": true}})
        };
        let probe = |id: &str, decision: &str| json!({"name": id, "expectation_id": format!("demo:{id}"), "expected": decision});
        let matrix = json!({"world_id": world, "profiles": {"demo": {"blob": "demo.sb", "mode": "sbpl",
            "probes": [probe("a", "allow"), probe("d", "deny")]}}});
        let report = json!({
            "schema_version": "runtime-tools.enforcement_report.v0.1", "world_id": world, "run_id": RUN, "platform": "linux",
            "layers": {"landlock": {"present": true, "detail": "ABI 6"}, "seccomp_notify": {"present": true, "detail": null}},
            "missing_layers": [], "start_unsandboxed": true, "world_rebound": false, "stand_in_tools": [],
            "profiles": {"demo": {"operations": {}}},
        });
        let mut hand = Self { files: Vec::new(), world: world.to_owned(), own: true, index: Value::Null };
        hand.put_json("run_status.json", &status);
        hand.put_json("run_manifest.json", &manifest);
        hand.put_json("mismatch_summary.json", &json!({"world_id": world, "mismatches": [], "counts": {}}));
        hand.put("mismatch_packets.jsonl", b"\n");
        hand.put_json(
            "summary.json",
            &json!({"schema_version": "runtime-tools.summary.v0.1", "status": "ok", "dry_run": false}),
        );
        hand.put("summary.md", b"# demo\n");
        hand.put_json("expected_matrix.generated.json", &matrix);
        hand.put_json("expected_matrix.json", &matrix);
        hand.put_json(
            "runtime_results.json",
            &json!({"demo": {"status": "ok", "probes": [row("a", "allow"), row("d", "deny")]}}),
        );
        hand.put_json("runtime_events.normalized.json", &json!([{"world_id": world}]));
        hand.put_json("apply_preflight.json", &preflight);
        hand.put_json("enforcement_report.json", &report);
        hand.put("runtime_profiles/demo.sb", b"(version 1)\n(deny default)\n");
        hand
    }

    pub(crate) fn put(&mut self, name: &str, bytes: &[u8]) {
        match self.files.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = bytes.to_vec(),
            None => self.files.push((name.to_owned(), bytes.to_vec())),
        }
    }

    pub(crate) fn put_json(&mut self, name: &str, value: &Value) {
        self.put(name, serde_json::to_string_pretty(value).unwrap().as_bytes());
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.files.retain(|(known, _)| known != name);
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        let (_, bytes) = self.files.iter().find(|(known, _)| known == name).unwrap();
        serde_json::from_slice(bytes).unwrap()
    }

    /// Sets the value at `pointer` of the document `name`; a null removes the key.
    pub(crate) fn set(&mut self, name: &str, pointer: &str, value: Value) {
        let mut document = self.json(name);
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = document.pointer_mut(parent).unwrap();
        match parent {
            Value::Object(members) => {
                members.insert(key.to_owned(), value);
            }
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
            other => panic!("{other} has no members"),
        }
        self.put_json(name, &document);
    }

    pub(crate) fn unset(&mut self, name: &str, pointer: &str) {
        let mut document = self.json(name);
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
        self.put_json(name, &document);
    }

    /// The index over the files as they are now.
    pub(crate) fn make_index(&self) -> Value {
        let entry = |(name, bytes): &(String, Vec<u8>)| {
            let document: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
            let mut entry = json!({
                "path": format!("out/{RUN}/{name}"), "file_size": bytes.len(), "sha256": sha256(bytes),
                "schema_version": document.get("schema_version").cloned().unwrap_or(Value::Null),
            });
            if self.own {
                entry["name"] = json!(name);
            }
            entry
        };
        let mut index = json!({
            "schema_version": "runtime-tools.artifact_index.v0.1", "run_id": RUN, "world_id": self.world,
            "artifacts": self.files.iter().map(entry).collect::<Vec<_>>(), "missing": [], "status": "ok",
        });
        if self.own {
            index["tool"] = json!({"name": "runtime", "version": "0.1.0"});
        }
        index
    }

    /// Lays the files, the index (the prepared one, else a fresh one) and `LATEST` down.
    pub(crate) fn lay(&self) -> Laid {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("out");
        let run = root.join(RUN);
        for (name, bytes) in &self.files {
            let path = run.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let index = if self.index.is_null() { self.make_index() } else { self.index.clone() };
        std::fs::write(run.join("artifact_index.json"), serde_json::to_string_pretty(&index).unwrap()).unwrap();
        std::fs::write(root.join("LATEST"), format!("{RUN}\n")).unwrap();
        Laid { temp, root, run }
    }
}

/// A bundle on disk.
pub(crate) struct Laid {
    pub(crate) temp: tempfile::TempDir,
    pub(crate) root: PathBuf,
    pub(crate) run: PathBuf,
}

/// Runs the binary with a time limit; a hang is a failure, not a wait.
pub(crate) fn runtime(args: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_runtime"))
        .args(args)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let started = std::time::Instant::now();
    // Output of these commands is small; reading after the end cannot block the child.
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > std::time::Duration::from_secs(60) {
            let _ = child.kill();
            panic!("`runtime {}` did not end within 60 s", args.join(" "));
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("ended by a signal: {output:?}"))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// `validate-bundle --json`: exit status and document.
pub(crate) fn validate(bundle: &Path) -> (i32, Value) {
    let output = runtime(&["--json", "validate-bundle", "--bundle", bundle.to_str().unwrap()]);
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (code(&output), document)
}

/// Ids of the findings of one severity, sorted, each once.
pub(crate) fn ids(document: &Value, severity: &str) -> Vec<String> {
    let findings = document["findings"].as_array().unwrap();
    let of_severity = findings.iter().filter(|finding| finding["severity"] == severity);
    let mut ids: Vec<String> = of_severity.map(|finding| finding["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Files an error finding is about.
pub(crate) fn accused(document: &Value) -> Vec<String> {
    let findings = document["findings"].as_array().unwrap();
    let errors = findings.iter().filter(|finding| finding["severity"] == "error");
    let mut files: Vec<String> = errors.map(|finding| finding["file"].as_str().unwrap().to_owned()).collect();
    files.sort();
    files.dedup();
    files
}
