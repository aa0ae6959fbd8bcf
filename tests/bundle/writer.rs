//! The library's writer: names, order and null rules of what it leaves, judged by the real binary.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use runtime::base::ids::RunId;
use runtime::base::rel_path::RelPath;
use runtime::bundle::{BundleError, Identity, IndexStatus, OpenBundle, Outcome, RunLock, RunManifest, SealedBundle};
use runtime::os::lock::LockMode;
use serde_json::{Value, json};

use crate::support::{ids, sha256, validate};

pub(crate) fn identity(run_id: &str) -> Identity {
    Identity {
        run_id: RunId::try_from(run_id.to_owned()).unwrap(),
        world_id: "linux-demo".to_owned(),
        channel: "direct".to_owned(),
        plan_id: "demo".to_owned(),
        plan_digest: "0".repeat(64),
    }
}

pub(crate) fn name(text: &str) -> RelPath {
    RelPath::try_from(text).unwrap()
}

pub(crate) fn open(root: &Path, path_root: &Path, run_id: &str) -> OpenBundle {
    let lock = RunLock::acquire(root, LockMode::Fail, &|| false).unwrap();
    OpenBundle::create(lock, path_root, identity(run_id), UNIX_EPOCH + Duration::from_millis(1500)).unwrap()
}

pub(crate) fn fill(bundle: &mut OpenBundle) {
    bundle.write(&name("runtime_profiles/demo.sb"), b"(version 1)\n").unwrap();
    let manifest = RunManifest::direct(bundle.identity(), bundle.recorded_dir(), "/repo");
    bundle.write_json(&name("run_manifest.json"), &manifest).unwrap();
    bundle.write_json(&name("runtime_results.json"), &json!({})).unwrap();
    bundle.write_json(&name("summary.json"), &json!({"schema_version": "runtime-tools.summary.v0.1"})).unwrap();
    bundle.write(&name("mismatch_packets.jsonl"), b"\n{\"schema_version\": \"p.v1\"}\n").unwrap();
}

pub(crate) fn seal(bundle: OpenBundle, outcome: Outcome, expected: &[&str]) -> SealedBundle {
    let expected: Vec<RelPath> = expected.iter().map(|text| name(text)).collect();
    bundle.seal(outcome, &expected, UNIX_EPOCH + Duration::from_millis(2500)).unwrap()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_sealed_bundle_has_the_formats_names_order_and_bytes() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("lab/out");
    let mut bundle = open(&root, temp.path(), "run-1");
    fill(&mut bundle);
    let sealed = seal(bundle, Outcome::Complete, &["run_status.json", "summary.json", "oracle_results.json"]);

    assert_eq!(std::fs::read(root.join("LATEST")).unwrap(), b"run-1\n");
    let run = root.join("run-1");
    let status = std::fs::read_to_string(run.join("run_status.json")).unwrap();
    let expected = format!(
        "{{\n  \"schema_version\": \"runtime-tools.run_status.v0.1\",\n  \"run_id\": \"run-1\",\n  \"world_id\": \
         \"linux-demo\",\n  \"channel\": \"direct\",\n  \"plan_id\": \"demo\",\n  \"plan_digest\": \"{}\",\n  \"state\": \
         \"complete\",\n  \"writer_pid\": {},\n  \"updated_at_unix\": 2.5,\n  \"error\": null,\n  \"failure_stage\": null,\n  \
         \"tool\": {{\n    \"name\": \"runtime\",\n    \"version\": \"{}\"\n  }}\n}}",
        "0".repeat(64),
        std::process::id(),
        env!("CARGO_PKG_VERSION"),
    );
    assert_eq!(status, expected);

    let index_bytes = std::fs::read(run.join("artifact_index.json")).unwrap();
    assert_eq!(sealed.index_sha256.to_string(), sha256(&index_bytes));
    assert_eq!(sealed.run_dir.canonicalize().unwrap(), run.canonicalize().unwrap());
    let index = read_json(&run.join("artifact_index.json"));
    let keys: Vec<&str> = index.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["schema_version", "run_id", "world_id", "artifacts", "missing", "status", "tool"]);
    let artifacts = index["artifacts"].as_array().unwrap();
    let paths: Vec<&str> = artifacts.iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    // Known names in the commit's order, then the others as they were written.
    let expected = [
        "lab/out/run-1/run_status.json",
        "lab/out/run-1/run_manifest.json",
        "lab/out/run-1/mismatch_packets.jsonl",
        "lab/out/run-1/summary.json",
        "lab/out/run-1/runtime_results.json",
        "lab/out/run-1/runtime_profiles/demo.sb",
    ];
    assert_eq!(paths, expected);
    let tags: Vec<&Value> = artifacts.iter().map(|entry| &entry["schema_version"]).collect();
    let tag = |text: &str| json!(text);
    assert_eq!(
        tags,
        [
            &tag("runtime-tools.run_status.v0.1"),
            &tag("runtime-tools.run_manifest.v0.1"),
            &tag("p.v1"),
            &tag("runtime-tools.summary.v0.1"),
            &Value::Null,
            &Value::Null,
        ]
    );
    for entry in artifacts {
        let keys: Vec<&str> = entry.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["path", "file_size", "sha256", "schema_version", "name"]);
        let bytes = std::fs::read(run.join(entry["name"].as_str().unwrap())).unwrap();
        assert_eq!(entry["sha256"], sha256(&bytes));
        assert_eq!(entry["file_size"], bytes.len());
    }
    assert_eq!(index["missing"], json!(["lab/out/run-1/oracle_results.json"]));
    assert_eq!((&index["status"], sealed.status), (&json!("partial"), IndexStatus::Partial));
    let (exit, document) = validate(&root);
    assert_eq!((exit, ids(&document, "error")), (1, vec!["expected-missing".to_owned()]), "{document}");
}

#[test]
fn complete_partial_and_failed_runs_move_the_pointer() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("out");
    let mut bundle = open(&root, temp.path(), "run-1");
    fill(&mut bundle);
    assert_eq!(seal(bundle, Outcome::Complete, &["summary.json"]).status, IndexStatus::Ok);
    assert_eq!(validate(&root).0, 0);

    let mut bundle = open(&root, temp.path(), "run-2");
    fill(&mut bundle);
    let outcome = Outcome::Failed { error: "no such profile".to_owned(), failure_stage: "exception".to_owned() };
    assert_eq!(seal(bundle, outcome, &["summary.json"]).status, IndexStatus::Failed);
    let status = read_json(&root.join("run-2/run_status.json"));
    assert_eq!((&status["state"], &status["error"]), (&json!("failed"), &json!("no such profile")));
    assert_eq!(status["failure_stage"], "exception");
    let (exit, document) = validate(&root);
    assert_eq!((exit, &document["run_id"]), (1, &json!("run-2")));
    assert_eq!(ids(&document, "error"), ["run-failed"]);
    assert!(document["errors"][0].as_str().unwrap().contains("no such profile"), "{document}");
}

#[test]
fn outside_the_path_root_paths_are_absolute() {
    let temp = tempfile::tempdir().unwrap();
    let (root, elsewhere) = (temp.path().join("out"), temp.path().join("repo"));
    std::fs::create_dir(&elsewhere).unwrap();
    let bundle = open(&root, &elsewhere, "run-1");
    seal(bundle, Outcome::Complete, &[]);
    let index = read_json(&root.join("run-1/artifact_index.json"));
    let expected = root.canonicalize().unwrap().join("run-1/run_status.json");
    assert_eq!(index["artifacts"][0]["path"], expected.to_str().unwrap());
    assert_eq!(validate(&root).0, 0);
}

#[test]
fn a_name_written_twice_is_indexed_once_with_the_last_bytes() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("out");
    let mut bundle = open(&root, temp.path(), "run-1");
    fill(&mut bundle);
    bundle.write(&name("summary.md"), b"first").unwrap();
    bundle.write(&name("summary.md"), b"second!").unwrap();
    seal(bundle, Outcome::Complete, &[]);
    assert_eq!(validate(&root).1["findings"], json!([]));
    assert_eq!(std::fs::read(root.join("run-1/summary.md")).unwrap(), b"second!");
}

#[test]
fn what_the_bundle_keeps_itself_cannot_be_written() {
    let temp = tempfile::tempdir().unwrap();
    let mut bundle = open(temp.path(), temp.path(), "run-1");
    for reserved in ["run_status.json", "artifact_index.json", "repair_log.json", "LATEST", ".runtime.lock"] {
        let refused = bundle.write(&name(reserved), b"x");
        assert!(matches!(refused, Err(BundleError::ReservedName(_))), "{reserved}");
    }
}

#[test]
fn a_run_id_is_used_once_and_a_foreign_link_is_not_followed() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("out");
    drop(open(&root, temp.path(), "run-1"));
    let lock = RunLock::acquire(&root, LockMode::Fail, &|| false).unwrap();
    let again = OpenBundle::create(lock, temp.path(), identity("run-1"), UNIX_EPOCH);
    assert!(matches!(again, Err(BundleError::RunExists { .. })), "{again:?}");

    let mut bundle = open(&root, temp.path(), "run-2");
    let outside = temp.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, root.join("run-2/sub")).unwrap();
    assert!(bundle.write(&name("sub/file"), b"x").is_err());
    assert!(std::fs::read_dir(&outside).unwrap().next().is_none());
}

#[test]
fn an_artifact_changed_behind_the_writers_back_stops_the_commit() {
    for change in [
        (|path: &Path| std::fs::remove_file(path).unwrap()) as fn(&Path),
        |path| std::fs::write(path, "longer than before").unwrap(),
        |path| {
            std::fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/etc/hostname", path).unwrap();
        },
    ] {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("out");
        let mut bundle = open(&root, temp.path(), "run-1");
        fill(&mut bundle);
        bundle.write(&name("summary.md"), b"short").unwrap();
        change(&root.join("run-1/summary.md"));
        let refused = bundle.seal(Outcome::Complete, &[], UNIX_EPOCH);
        assert!(
            matches!(&refused, Err(BundleError::ArtifactChanged(name)) if name.as_str() == "summary.md"),
            "{refused:?}"
        );
        assert!(!root.join("LATEST").exists());
        assert!(!root.join("run-1/artifact_index.json").exists());
    }
}
