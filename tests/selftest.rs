//! `selftest` of this host, through the real binary.
#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests start the binary, prepare files and may panic"
)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

const RUNTIME: &str = env!("CARGO_BIN_EXE_runtime");

fn selftest(out: &Path, more: &[String]) -> (Output, Value) {
    let output = Command::new(RUNTIME).args(["selftest", "--json", "--out"]).arg(out).args(more).output().unwrap();
    let answer = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output, answer)
}

fn check<'a>(answer: &'a Value, id: &str) -> &'a Value {
    let checks = answer["selftest"]["checks"].as_array().unwrap();
    checks.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no check {id}: {answer:#}"))
}

#[test]
fn every_attack_is_refused_and_its_twin_is_not() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let (output, answer) = selftest(&out, &[]);
    for way in ["by_name", "by_link", "by_dots", "by_double_slash", "by_proc_root"] {
        for (id, seen) in [(format!("attack.{way}"), "refused"), (format!("attack.{way}.twin"), "read")] {
            let check = check(&answer, &id);
            assert_eq!((&check["verdict"], &check["observed"]), (&json!("pass"), &json!(seen)), "{check:#}");
        }
    }
    assert_eq!(check(&answer, "path_of_an_open_file")["verdict"], "pass");
    let count = |key: &str| answer["selftest"][key].as_u64().unwrap();
    let checks = answer["selftest"]["checks"].as_array().unwrap().len() as u64;
    assert_eq!(count("passed") + count("failed") + count("untried"), checks);
    let all = count("failed") + count("untried") == 0;
    assert_eq!(output.status.code(), Some(i32::from(!all)), "{answer:#}");
    // What was printed is what the bundle holds, and the bundle is one.
    let stored = std::fs::read(Path::new(answer["bundle_dir"].as_str().unwrap()).join("selftest.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&stored).unwrap(), answer["selftest"]);
    let valid = Command::new(RUNTIME).args(["validate-bundle", "--bundle"]).arg(&out).output().unwrap();
    assert_eq!(valid.status.code(), Some(0), "{}", String::from_utf8_lossy(&valid.stdout));
}

/// The twin: what is not as expected fails, what cannot be tried says so, and both make the answer no.
#[test]
fn a_host_that_is_not_macos_fails_the_checks_of_macos() {
    let temp = tempfile::tempdir().unwrap();
    let tools = temp.path().join("tools");
    std::fs::create_dir_all(tools.join("faults")).unwrap();
    std::fs::write(tools.join("faults/no_gui"), "").unwrap();
    let tool = |name: &str| {
        let path = tools.join(name);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_stand-in"), &path).unwrap();
        format!("--stand-in={name}={}", path.display())
    };
    let (output, answer) = selftest(&temp.path().join("out"), &["launchctl", "log", "sw_vers"].map(tool));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(answer["selftest"]["stand_in_tools"], json!(["launchctl", "log", "sw_vers"]));
    assert_eq!(check(&answer, "launchd.gui")["verdict"], "fail");
    assert_eq!(check(&answer, "numbering.sandbox_check.denied_path")["verdict"], "untried");
    assert_eq!(check(&answer, "log.shapes")["verdict"], "pass");
    assert!(check(&answer, "system.version")["observed"].as_str().unwrap().contains("23E224"));
}
