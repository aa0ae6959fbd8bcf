//! The shipped plan as somebody without privileges.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::suite::{RUNTIME, expect, text};

/// `nobody`, or rather: a number that owns nothing.
const NOBODY: u32 = 65534;

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
            std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_ordinary_user_gets_the_same_answers() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    copy_tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("plans"), &dir.path().join("plans"));
    let binary = dir.path().join("runtime");
    std::fs::copy(RUNTIME, &binary).unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    let work = dir.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let privileged = std::fs::metadata(&work).unwrap().uid() == 0;
    if privileged {
        chown(&work, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let run = |args: &[&str]| {
        let mut command = Command::new(&binary);
        command.args(args).current_dir(&work).env("TMPDIR", &work);
        if privileged {
            // Groups go with the user id (std drops supplementary groups when a uid is set by root).
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().unwrap()
    };
    let ran = run(&["run", "--plan", "../plans/linux-baseline/plan.json", "--out", "out", "--fail-on-mismatch"]);
    expect(&ran, 0);
    assert!(text(&ran).contains("all expectations met"), "{}", text(&ran));
    expect(&run(&["emit-promotion", "--bundle", "out", "--out", "p.json", "--require", "linux_enforcement"]), 0);
    let id = std::fs::read_to_string(work.join("out/LATEST")).unwrap();
    let report = std::fs::read(work.join("out").join(id.trim()).join("enforcement_report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_ne!(report["uid"], 0, "{report:#}");
}
