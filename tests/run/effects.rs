//! The enforcement is real: foreign programs under the same profile meet the same decisions, and leave the same traces.

use std::path::Path;
use std::process::{Command, Output};

use crate::suite::{Probe, RUNTIME, Suite, expect, text};

/// One file may be read, one directory may be written; `/usr/bin/sh` is a link on most systems. What a Linux program needs to start comes from the overlay.
fn profile(dir: &Path) -> String {
    format!(
        "(version 1)\n(deny default)\n(allow process-exec* process-fork)\n(allow file-read* (literal \"{0}/open.txt\"))\n\
         (allow file-write* (subpath \"{0}/drop\"))\n(allow file-read-metadata (subpath \"{0}\") (literal \"/usr/bin/sh\"))\n",
        dir.display()
    )
}

fn sandboxed(dir: &Path, command: &[&str]) -> (Output, Vec<serde_json::Value>) {
    let profile = dir.join("p.sb");
    let denials = dir.join("denials.jsonl");
    let output = Command::new(RUNTIME)
        .args(["sandbox", "run", "--profile"])
        .arg(&profile)
        .args(["--overlay", "linux-base.sb", "--denials"])
        .arg(&denials)
        .arg("--")
        .args(command)
        .current_dir("/")
        .output()
        .unwrap();
    let lines = std::fs::read_to_string(&denials).unwrap_or_default();
    (output, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn cat_sh_and_the_worker_meet_the_same_decisions() {
    let field = tempfile::tempdir().unwrap();
    let dir = field.path().canonicalize().unwrap();
    std::fs::create_dir(dir.join("drop")).unwrap();
    std::fs::write(dir.join("open.txt"), "open\n").unwrap();
    std::fs::write(dir.join("closed.txt"), "closed\n").unwrap();
    std::fs::write(dir.join("p.sb"), profile(&dir)).unwrap();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();

    let (read, _) = sandboxed(&dir, &["/bin/cat", &path("open.txt")]);
    expect(&read, 0);
    assert_eq!(read.stdout, b"open\n");

    let (refused, denials) = sandboxed(&dir, &["/bin/cat", &path("closed.txt")]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(refused.stdout.is_empty());
    let record = denials.iter().find(|d| d["target"] == path("closed.txt")).unwrap_or_else(|| panic!("{denials:#?}"));
    assert_eq!((&record["operation"], &record["process"]), (&"file-read-data".into(), &"cat".into()));
    assert!(record["rule"].as_str().unwrap().ends_with("p.sb:2"), "{record:#}");

    let script = format!("echo x > {}; echo y > {}", path("drop/new.txt"), path("closed.txt"));
    let (shell, denials) = sandboxed(&dir, &["/bin/sh", "-c", &script]);
    assert_ne!(shell.status.code(), Some(0), "{}", text(&shell));
    assert_eq!(std::fs::read_to_string(dir.join("drop/new.txt")).unwrap(), "x\n");
    assert_eq!(std::fs::read_to_string(dir.join("closed.txt")).unwrap(), "closed\n");
    assert!(
        denials.iter().any(|d| d["target"] == path("closed.txt") && d["operation"] == "file-write-data"),
        "{denials:#?}"
    );

    // The same four questions to the worker, under the same rules (it needs no overlay: it is loaded already).
    let suite = Suite::new().profile(
        "demo:same",
        &profile(&dir),
        vec![
            Probe::new("open", "file-read-data", &path("open.txt"), "allow"),
            Probe::new("closed", "file-read-data", &path("closed.txt"), "deny"),
            Probe::new("write", "file-write-data", &path("closed.txt"), "deny"),
            Probe::new("create", "file-write-create", &path("drop/created.txt"), "allow"),
        ],
    );
    expect(&suite.lanes(serde_json::json!({"scenario": true, "baseline": false})).run(&["--fail-on-mismatch"]), 0);
    assert!(dir.join("drop/created.txt").exists());
}

#[test]
fn a_program_of_our_own_build_is_held_as_well() {
    let field = tempfile::tempdir().unwrap();
    let dir = field.path().canonicalize().unwrap();
    std::fs::write(dir.join("closed.txt"), "closed\n").unwrap();
    std::fs::write(
        dir.join("main.rs"),
        "fn main() { print!(\"{:?}\", std::fs::read(std::env::args().nth(1).unwrap())); }",
    )
    .unwrap();
    let program = dir.join("reader");
    let built = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into()))
        .args(["-o", program.to_str().unwrap(), dir.join("main.rs").to_str().unwrap()])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", text(&built));
    std::fs::write(
        dir.join("p.sb"),
        format!("{}(allow file-read* (literal \"{}\"))\n", profile(&dir), program.display()),
    )
    .unwrap();
    let (output, denials) = sandboxed(&dir, &[program.to_str().unwrap(), dir.join("closed.txt").to_str().unwrap()]);
    assert!(text(&output).contains("PermissionDenied"), "{}", text(&output));
    assert!(denials.iter().any(|d| d["process"] == "reader" && d["operation"] == "file-read-data"), "{denials:#?}");
    let unconfined = Command::new(&program).arg(dir.join("closed.txt")).output().unwrap();
    assert!(text(&unconfined).contains("Ok("), "the twin without a sandbox reads it: {}", text(&unconfined));
}
