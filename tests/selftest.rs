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
    assert_eq!(answer["selftest"]["channel"], "direct");
    let schema = runtime::schema::Validator::of(runtime::schema::by_name("selftest").unwrap());
    assert!(schema.violations(&answer["selftest"]).is_empty(), "{answer:#}");
    let mut other = answer["selftest"].clone();
    other["checks"][0]["verdict"] = json!("perhaps");
    assert!(!schema.violations(&other).is_empty());
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
    let all = ["launchctl", "log", "sandbox-exec", "sw_vers"];
    let (output, answer) = selftest(&temp.path().join("out"), &all.map(tool));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(answer["selftest"]["stand_in_tools"], json!(all));
    assert_eq!(check(&answer, "log.live")["verdict"], "pass", "{answer:#}");
    assert_eq!(check(&answer, "launchd.gui")["verdict"], "fail");
    assert_eq!(check(&answer, "numbering.sandbox_check.denied_path")["verdict"], "untried");
    assert_eq!(check(&answer, "log.shapes")["verdict"], "pass");
    assert!(check(&answer, "system.version")["observed"].as_str().unwrap().contains("23E224"));
}

/// Stand-ins of launchd in `tools`, as options.
fn launchd(tools: &Path) -> Vec<String> {
    std::fs::create_dir_all(tools.join("faults")).unwrap();
    let tool = |name: &str| {
        let path = tools.join(name);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_stand-in"), &path).unwrap();
        format!("--stand-in={name}={}", path.display())
    };
    let mut words: Vec<String> = ["launchctl", "plutil", "log", "sandbox-exec", "sw_vers"].map(tool).into();
    words.push(format!("--staging-base={}", tools.join("stages").display()));
    words.push("--channel=launchd_clean".to_owned());
    words
}

#[test]
fn a_job_of_launchd_makes_the_checks_and_its_start_is_checked_too() {
    let temp = tempfile::tempdir().unwrap();
    let tools = temp.path().canonicalize().unwrap().join("tools");
    let out = temp.path().canonicalize().unwrap().join("out");
    let (output, answer) = selftest(&out, &launchd(&tools));
    // What only macOS has fails here.
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(answer["selftest"]["channel"], "launchd_clean");
    for id in
        ["attack.by_name", "attack.by_name.twin", "clean.already_sandboxed", "clean.other_job", "channel.left_behind"]
    {
        assert_eq!(check(&answer, id)["verdict"], "pass", "{:#}", check(&answer, id));
    }
    assert_eq!(check(&answer, "clean.parent_not_launchd")["verdict"], "untried", "a stand-in is no launchd");
    let valid = Command::new(RUNTIME).args(["validate-bundle", "--bundle"]).arg(&out).output().unwrap();
    assert_eq!(valid.status.code(), Some(0), "{}", String::from_utf8_lossy(&valid.stdout));
    let run = Path::new(answer["bundle_dir"].as_str().unwrap()).to_owned();
    let diagnostics = std::fs::read(run.join("launchctl/launchctl_diagnostics.json")).unwrap();
    let diagnostics: Value = serde_json::from_slice(&diagnostics).unwrap();
    assert_eq!((&diagnostics["failure"], &diagnostics["left_behind"]), (&Value::Null, &json!([])));
    let manifest: Value = serde_json::from_slice(&std::fs::read(run.join("run_manifest.json")).unwrap()).unwrap();
    assert_eq!((&manifest["channel"], &manifest["stage_used"]), (&json!("launchd_clean"), &json!(true)));
    let left: Vec<_> = std::fs::read_dir(tools.join("stages")).unwrap().flatten().map(|own| own.file_name()).collect();
    assert_eq!(left, [".lock"]);
    assert_eq!(std::fs::read_dir(tools.join("jobs")).unwrap().count(), 0);
}

#[test]
fn a_job_that_fails_is_a_check_that_was_not_made() {
    let temp = tempfile::tempdir().unwrap();
    let tools = temp.path().canonicalize().unwrap().join("tools");
    let words = launchd(&tools);
    std::fs::write(tools.join("faults/bootstrap_refused"), "").unwrap();
    let (output, answer) = selftest(&temp.path().canonicalize().unwrap().join("out"), &words);
    assert_eq!(output.status.code(), Some(1));
    let channel = check(&answer, "channel.launchd_clean");
    assert_eq!(channel["verdict"], "untried");
    assert!(channel["observed"].as_str().unwrap().starts_with("bootstrap_failed: "), "{channel:#}");
    assert_eq!(answer["selftest"]["passed"], 1, "nothing is left behind, and that is all");
}

#[test]
fn without_launchd_the_channel_is_refused_by_name() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let run = |more: &str| Command::new(RUNTIME).args(["selftest", "--out"]).arg(&out).arg(more).output().unwrap();
    let output = run("--channel=launchd_clean");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/bin/launchctl") && !out.exists());
    assert_eq!(run("--print-job").status.code(), Some(2), "only that channel has a job");
}
