//! The witness observer: asked when it is wanted, within its limit, its answer kept beside the row, never part of the verdict.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::real::document;
use crate::suite::{Probe, RUNTIME, Suite};

fn run(suite: &Suite, plan: &Path, observer: Option<&str>, variables: &[(&str, &str)]) -> PathBuf {
    let bin = suite.path().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let program = bin.join("sandbox-log-observer");
    let _ = std::fs::remove_file(&program);
    if let Some(script) = observer {
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let out = suite.path().join("out");
    let output = Command::new(RUNTIME)
        .args(["run", "--plan", plan.to_str().unwrap(), "--out", out.to_str().unwrap()])
        .env("PATH", &bin)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out.join(std::fs::read_to_string(out.join("LATEST")).unwrap().trim())
}

#[test]
fn it_is_asked_within_its_limit_and_what_it_says_is_kept_beside_the_row() {
    let probe = Probe::new("reads", "file-read-data", "/etc/passwd", "deny");
    let suite = Suite::new().profile("p", "(version 1)\n(allow default)\n(deny file-read-data)\n", vec![probe]);
    let plan = suite.write();
    let on = ("SANDBOX_LORE_WITNESS_OBSERVER", "1");
    let observed = |run: &Path| document(run, "runtime_results.json")["p"]["probes"][0]["observer"].clone();

    let off = run(&suite, &plan, Some("echo '{}'"), &[]);
    assert_eq!(observed(&off), Value::Null);
    assert_eq!(observed(&run(&suite, &plan, None, &[on]))["skipped"], "observer_missing");
    assert_eq!(
        observed(&run(&suite, &plan, Some("echo"), &[on, ("WITNESS_OBSERVER_MODE", "off")]))["skipped"],
        "observer_disabled"
    );

    let told = run(&suite, &plan, Some("echo \"{\\\"asked\\\": \\\"$*\\\"}\"; echo trouble >&2; exit 3"), &[on]);
    let record = observed(&told);
    assert_eq!((&record["exit_code"], &record["stderr"]), (&json!(3), &json!("trouble\n")), "{record:#}");
    let asked = record["report"]["asked"].as_str().unwrap();
    for part in ["--pid ", "--process-name ", "--format json", "--start ", "--end ", "--plan-id ", "--row-id p:reads"] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    let file = told.join(record["log_path"].as_str().unwrap());
    assert_eq!(std::fs::read(file).unwrap().len() as u64, record["stdout_bytes"].as_u64().unwrap());
    // What stands in for a program of macOS is recorded, and the events are those of a run without it.
    assert_eq!(document(&told, "run_manifest.json")["stand_in_tools"], json!(["sandbox-log-observer"]));
    let verdict = |run: &Path| document(run, "runtime_events.normalized.json")[0]["actual"].clone();
    assert_eq!(verdict(&told), verdict(&off));

    let late = observed(&run(&suite, &plan, Some("exec /bin/sleep 60"), &[on, ("WITNESS_OBSERVER_TIMEOUT_S", "0.2")]));
    assert!(late["report_error"].as_str().unwrap().contains("no answer within 0.2 s"), "{late:#}");
    let flood = observed(&run(&suite, &plan, Some("exec /usr/bin/head -c 3000000 /dev/zero"), &[on]));
    assert!(flood["report_error"].as_str().unwrap().contains("more than"), "{flood:#}");
    assert_eq!(flood["stdout_bytes"], 1024 * 1024);
}
