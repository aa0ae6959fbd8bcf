//! Rows and events of any number: what they take is bounded by what is kept of them, not by the size of the file.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::suite::{RUNTIME, expect, runtime, text};

/// A stored run of the earlier tool: `rows` rows with so much text in each that the document is larger by far than the memory
/// it may take, and a control for each.
fn stored(dir: &Path, rows: usize, text_bytes: usize) -> PathBuf {
    let run = dir.join("run");
    std::fs::create_dir_all(&run).unwrap();
    std::fs::write(run.join("run_manifest.json"), r#"{"world_id": "w", "run_id": "r"}"#).unwrap();
    std::fs::write(run.join("run_status.json"), r#"{"state": "complete"}"#).unwrap();
    let padding = "x".repeat(text_bytes);
    let mut results = std::io::BufWriter::new(std::fs::File::create(run.join("runtime_results.json")).unwrap());
    let mut controls = std::io::BufWriter::new(std::fs::File::create(run.join("baseline_results.json")).unwrap());
    results.write_all(b"{\"demo:a\": {\"status\": \"ok\", \"probes\": [").unwrap();
    controls.write_all(b"{\"results\": [").unwrap();
    for n in 0..rows {
        let between = if n == 0 { "" } else { ",\n" };
        let row = json!({
            "name": format!("r{n}"), "expectation_id": format!("demo:a:r{n}"), "operation": "file-read-data",
            "path": "/tmp/a", "expected": "deny", "actual": "deny", "match": true, "exit_code": 2, "stdout": "",
            "stderr": "", "probe_details": null, "command": ["sandbox_reader", "p.sb", "/tmp/a"],
            "runtime_result": {"status": "errno", "errno": 2}, "padding": padding,
        });
        // One in a hundred is no JSON.
        let row = if n % 100 == 99 { row.to_string().replacen(':', ";", 1) } else { row.to_string() };
        write!(results, "{between}{row}").unwrap();
        let control = json!({"name": format!("baseline:demo:a:r{n}"), "profile_id": "demo:a", "probe_name": format!("r{n}"),
            "operation": "file-read-data", "target": "/tmp/a", "status": "allow", "exit_code": 0, "stdout": padding});
        write!(controls, "{between}{control}").unwrap();
    }
    results.write_all(b"], \"preflight\": null}}").unwrap();
    controls.write_all(b"]}").unwrap();
    run
}

/// Runs the program with at most so much address space, and stops with what it says.
pub(crate) fn within(kibibytes: u64, arguments: &[&str]) -> Output {
    let script = format!("ulimit -v {kibibytes}; exec \"$@\"");
    Command::new("/bin/sh").args(["-c", &script, "sh", RUNTIME]).args(arguments).output().unwrap()
}

#[test]
fn rows_are_normalised_in_less_memory_than_they_take() {
    // Address space, of which every thread's stack and arena takes some: far more than what is used.
    let (rows, text_bytes, limit) = match std::env::var_os("RUNTIME_TESTS_FULL") {
        Some(_) => (1_200, 60_000, 600_000),
        None => (200, 10_000, 600_000),
    };
    let dir = tempfile::tempdir().unwrap();
    let run = stored(dir.path(), rows, text_bytes);
    let (first, second) = (dir.path().join("first.json"), dir.path().join("second.json"));
    for out in [&first, &second] {
        let arguments = [
            "normalise-events",
            "--allow-unverified",
            "--jobs",
            "1",
            "--bundle",
            run.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ];
        let done = within(limit, &arguments);
        expect(&done, 0);
        let said = format!("{rows} events, {} of rows that cannot be read", rows / 100);
        assert!(text(&done).contains(&said), "{}", text(&done));
    }
    let bytes = std::fs::read(&first).unwrap();
    assert!(bytes == std::fs::read(&second).unwrap(), "normalising twice gives the same bytes");
    let events: Vec<Value> = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(events.len(), rows);
    let in_error = events.iter().filter(|event| event["error_kind"] == "malformed_row").count();
    assert_eq!(in_error, rows / 100);
    let good = events.iter().filter(|event| event["policy_layers"]["attribution"] == "process_policy").count();
    assert_eq!(good, rows - in_error, "every other row has its control");
    // The limit is one: where nothing fits nothing is done.
    assert!(!within(3_000, &["--version"]).status.success());
}

#[test]
fn a_document_that_ends_too_early_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let run = stored(dir.path(), 3, 10);
    let results = run.join("runtime_results.json");
    let whole = std::fs::read(&results).unwrap();
    let out = dir.path().join("events.json");
    let arguments =
        ["normalise-events", "--allow-unverified", "--bundle", run.to_str().unwrap(), "--out", out.to_str().unwrap()];
    expect(&runtime(&arguments), 0);
    let before = std::fs::read(&out).unwrap();
    for cut in [whole.len() - 2, whole.len() / 2, 40, 1, 0] {
        std::fs::write(&results, &whole[..cut]).unwrap();
        let refused = runtime(&arguments);
        expect(&refused, 3);
        assert!(text(&refused).contains("runtime_results.json"), "{}", text(&refused));
        assert!(std::fs::read(&out).unwrap() == before, "{cut}");
    }
}
