//! Files whose names are no text, or steer a terminal, and a standard output that takes nothing.
#![expect(clippy::disallowed_methods, reason = "tests write their own inputs and start the binary under test")]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::suite::{PLAN, Suite};

/// `before`, a byte that is no UTF-8, `after`.
fn odd(before: &str, after: &str) -> OsString {
    OsStr::from_bytes(&[before.as_bytes(), b"\xff", after.as_bytes()].concat()).to_owned()
}

struct Ran {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(directory: &Path, arguments: &[&OsStr], stdout: Stdio) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_runtime"))
        .args(arguments)
        .current_dir(directory)
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let ran = Ran { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(!ran.stderr.contains("panicked"), "{arguments:?}: {}", ran.stderr);
    ran
}

/// Runs with words, among which `NAME` stands for `name`.
fn with_name(suite: &Suite, words: &str, name: &OsStr) -> Ran {
    let arguments: Vec<&OsStr> =
        words.split(' ').map(|word| if word == "NAME" { name } else { OsStr::new(word) }).collect();
    run(&suite.path(""), &arguments, Stdio::piped())
}

#[test]
fn a_path_that_is_no_text_is_shown_as_text() {
    let suite = Suite::new();
    let folder = odd("s", "");
    std::fs::create_dir(suite.path("inner")).unwrap();
    for file in [PLAN, "fixtures.json", "registry", "sb"] {
        std::fs::rename(suite.path(file), suite.path("inner").join(file)).unwrap();
    }
    std::fs::rename(suite.path("inner"), suite.path("").join(&folder)).unwrap();
    let plan = Path::new(&folder).join(PLAN);
    for form in ["--json", "--format human", "--format json", "--format sarif", "--format github", "--format junit"] {
        let ran = with_name(&suite, &format!("plan-lint --plan NAME {form}"), plan.as_os_str());
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{form}");
        let escaped = ["s\u{fffd}/plan.json", "s\\ufffd/plan.json"];
        let silent = matches!(form, "--format sarif" | "--format github");
        assert!(silent || escaped.iter().any(|name| ran.stdout.contains(name)), "{form}: {}", ran.stdout);
    }
    let root = odd("o", "");
    std::fs::create_dir(suite.path("").join(&root)).unwrap();
    let listed = with_name(&suite, "--json bundle list --bundle NAME", &root);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert!(listed["root"].as_str().unwrap().ends_with("/o\u{fffd}"), "{listed}");
    for dry in ["", " --dry"] {
        let out = odd("new", if dry.is_empty() { "/written" } else { "/dry" });
        let built = with_name(&suite, &format!("--json plan-build --template linux-baseline --out NAME{dry}"), &out);
        assert_eq!(built.status, Some(0), "{}", built.stderr);
        let object: Value = serde_json::from_str(&built.stdout).unwrap();
        assert!(object["files"][0]["path"].as_str().unwrap().contains("/new\u{fffd}/"), "{object}");
        assert_eq!(suite.path("").join(&out).join(PLAN).exists(), dry.is_empty());
    }
}

#[test]
fn the_job_of_another_process_never_names_another_file() {
    let suite = Suite::new();
    let words = "run --plan NAME --registry-index index.json --channel launchd_clean --print-job --json";
    let plain = with_name(&suite, words, OsStr::new(PLAN));
    let job: Value = serde_json::from_str(&plain.stdout).unwrap();
    assert!(plain.status == Some(0) && job["stage"].is_object(), "{job}");
    let refused = with_name(&suite, &words.replace("NAME", "plan.json --out NAME"), &odd("o", "/x"));
    let error: Value = serde_json::from_str(&refused.stdout).unwrap();
    assert_eq!((refused.status, &error["error"]["exit_code"]), (Some(3), &Value::from(3)));
    assert!(error["error"]["message"].as_str().unwrap().contains("o\u{fffd}/x is not UTF-8"), "{error}");
}

#[test]
fn files_are_written_under_any_name() {
    let suite = Suite::new();
    let profile = odd("p", ".sb");
    std::fs::write(suite.path("").join(&profile), "(version 1)(deny   default)").unwrap();
    let formatted = with_name(&suite, "sbpl fmt NAME", &profile);
    assert_eq!((formatted.status, formatted.stdout.as_str()), (Some(0), "changed p\u{fffd}.sb\n"));
    let text = std::fs::read_to_string(suite.path("").join(&profile)).unwrap();
    assert_eq!(text, "(version 1)\n(deny default)\n");
    let inventory = odd("i", ".json");
    let built = with_name(&suite, "inventory build --root . --out NAME", &inventory);
    assert_eq!(built.status, Some(0), "{}", built.stderr);
    assert!(suite.path("").join(&inventory).is_file());
}

#[test]
fn the_name_of_a_file_cannot_steer_a_terminal() {
    let suite = Suite::new();
    let name = OsStr::new("e\u{1b}[31m\nx.sb");
    std::fs::write(suite.path("").join(name), "(version 1)\n(deny default)\n(alow   signal)\n").unwrap();
    let plan = OsStr::new("p\u{1b}[31m\n.json");
    std::fs::copy(suite.path(PLAN), suite.path("").join(plan)).unwrap();
    let absent = OsStr::new("absent\u{1b}[31m\n");
    for (words, name) in [
        ("sbpl lint NAME", name),
        ("sbpl lint --format github NAME", name),
        ("sbpl explain --op signal --profile NAME", name),
        ("sbpl fmt --check NAME", name),
        ("plan-lint --plan NAME --registry-index index.json", plan),
        ("plan-lint --plan NAME", absent),
        ("schema check NAME", plan),
        ("schema check NAME", absent),
        ("summarize-ops --bundle NAME --out x", absent),
        ("describe-plan --plan NAME", absent),
        ("sbpl explain --op signal --profile NAME", absent),
    ] {
        let ran = with_name(&suite, words, name);
        let said = ran.stdout + &ran.stderr;
        assert!(said.contains("\\u{1b}[31m") && !said.contains('\u{1b}'), "{words}: {said}");
        assert!(!said.contains("[31m\n"), "{words}: {said}");
    }
}

#[test]
fn what_stdout_does_not_take_is_told_on_stderr() {
    let suite = Suite::new();
    suite.write("questions.jsonl", b"{\"operation\": \"signal\"}\n");
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    for words in ["plan-lint --plan plan.json", "list-templates", "sbpl fmt --stdout sb/a.sb", "schema list"] {
        for json in [false, true] {
            let mut arguments: Vec<&OsStr> = words.split(' ').map(OsStr::new).collect();
            arguments.extend(json.then_some(OsStr::new("--json")));
            let ran = run(&suite.path(""), &arguments, full());
            let told = "error: cannot write to standard output\n  caused by: No space left on device (os error 28)\n";
            assert_eq!((ran.status, ran.stderr.as_str()), (Some(3), told), "{words} {json}");
        }
    }
    for word in ["--help", "--version"] {
        let ran = run(&suite.path(""), &[OsStr::new(word)], full());
        assert!(
            ran.status == Some(3) && ran.stderr.contains("cannot write to standard output"),
            "{word}: {}",
            ran.stderr
        );
    }
    // An error that stdout should say, and cannot.
    let lost = run(&suite.path(""), &["describe-plan", "--plan", "absent", "--json"].map(OsStr::new), full());
    assert!(lost.stderr.contains("absent") && lost.stderr.contains("standard output"), "{}", lost.stderr);
}

#[test]
fn a_failure_before_the_arguments_are_read_keeps_their_form() {
    let suite = Suite::new();
    let ran = |json: &str| {
        let script = format!("mkdir gone && cd gone && rmdir ../gone && exec \"$0\" {json} plan-lint --plan x");
        let shell = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_runtime")])
            .current_dir(suite.path(""))
            .output()
            .unwrap();
        assert_eq!(shell.status.code(), Some(3));
        (String::from_utf8(shell.stdout).unwrap(), String::from_utf8(shell.stderr).unwrap())
    };
    let (stdout, stderr) = ran("--json");
    let object: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&object["error"]["exit_code"], stderr.as_str()), (&Value::from(3), ""));
    let (stdout, stderr) = ran("");
    assert!(stdout.is_empty() && stderr.starts_with("error: cannot read the working directory\n"), "{stderr}");
}
