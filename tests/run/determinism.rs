//! The number of probes at the same time changes nothing but times, processes and temporary names.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use runtime::base::json::differences;
use serde_json::{Value, json};

use crate::suite::{RUNTIME, expect};

/// Fields that say when, how long, by which process, or are digests of bytes that hold such fields.
const VOLATILE: [&str; 17] = [
    "at_unix_s",
    "cmd_started_at_unix_s",
    "cmd_finished_at_unix_s",
    "cmd_duration_s",
    "updated_at_unix",
    "pid",
    "writer_pid",
    "file_size",
    "sha256",
    "inner_pid",
    "first_at_unix_s",
    "last_at_unix_s",
    "port",
    "local_address",
    "accepted_from",
    "signalled_pid",
    "started_pid",
];

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !VOLATILE.contains(&key.as_str()));
            map.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// A text with the run's id, the random ends of private directories, and the ports and processes of the run replaced.
fn plain(text: &str, run_id: &str) -> String {
    let text = text.replace(run_id, "RUN");
    ["runtime-fixtures-", "/f-", "127.0.0.1:", "\"process "].iter().fold(text, |text, prefix| {
        let mut parts = text.split(prefix);
        let mut result = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            result.push_str(prefix);
            result.push_str(part.trim_start_matches(|c: char| c.is_ascii_alphanumeric()));
        }
        result
    })
}

/// Every file of a run by name, reduced to what may not depend on chance.
fn artifacts(run: &Path, run_id: &str) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for dir in [run.to_owned(), run.join("runtime_profiles")] {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                continue;
            }
            let name = path.strip_prefix(run).unwrap().display().to_string();
            let text = plain(&std::fs::read_to_string(&path).unwrap(), run_id);
            let mut value = match name.rsplit('.').next() {
                Some("json") => serde_json::from_str(&text).unwrap(),
                Some("jsonl") => text
                    .lines()
                    .filter(|line| !line.is_empty())
                    .map(|l| serde_json::from_str::<Value>(l).unwrap())
                    .collect(),
                _ => json!(text),
            };
            strip(&mut value);
            all.insert(name, value);
        }
    }
    all
}

#[test]
fn one_job_and_sixteen_give_the_same_evidence() {
    let out = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = |id: &str, jobs: &str| {
        let output = Command::new(RUNTIME)
            .args(["run", "--plan", "plans/linux-baseline/plan.json", "--jobs", jobs, "--out"])
            .arg(out.path())
            .env("SANDBOX_LORE_RUN_ID", id)
            .current_dir(root)
            .output()
            .unwrap();
        expect(&output, 0);
        artifacts(&out.path().join(id), id)
    };
    let (one, many) = (run("run-with-1", "1"), run("run-with-16", "16"));
    assert_eq!(one.keys().collect::<Vec<_>>(), many.keys().collect::<Vec<_>>());
    for (name, value) in &one {
        let other = &many[name];
        if let Some(leaf) = differences(value, other).first() {
            panic!("{name}: {leaf}: {:?} with one job, {:?} with sixteen", value.pointer(leaf), other.pointer(leaf));
        }
    }
    // What was compared is still evidence: decisions and rules are in it.
    let text = one["runtime_results.json"].to_string();
    assert!(text.contains("\"actual\":\"deny\"") && text.contains("\"line\":"), "{text:.2000}");
}
