//! `ci/foreign-targets.sh` where a download cannot be had, or is not what it should be: skipped by name, or failed; never
//! passed. Stand-ins for the download tools are put in front of `PATH`; nothing is fetched and nothing is built.
#![expect(clippy::disallowed_methods, reason = "the test starts the script it is about and writes its stand-ins")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// A python3 that cannot download anything.
const NO_PYTHON: (&str, &str) = ("python3", "exit 1");

/// Runs the script with stand-ins (name, shell text) and an empty cache; gives its exit status and what it printed.
fn run(stand_ins: &[(&str, &str)]) -> (Option<i32>, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the project");
    let temp = tempfile::tempdir().expect("a temporary directory can be made");
    let bin = temp.path().join("bin");
    fs::create_dir(&bin).expect("a fresh directory");
    for (name, text) in stand_ins {
        let path = bin.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a fresh file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an own file");
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("bash")
        .arg(root.join("ci/foreign-targets.sh"))
        .arg(temp.path().join("cache"))
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", temp.path().join("target"))
        .output()
        .expect("bash starts");
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).expect("the script prints UTF-8"))
}

#[test]
fn what_cannot_be_downloaded_is_skipped_by_name() {
    let (status, printed) = run(&[("apt-get", "exit 100"), NO_PYTHON]);
    assert_eq!(status, Some(77), "{printed}");
    for check in [
        "clippy aarch64-unknown-linux-gnu x86_64-unknown-linux-musl",
        "clippy and link aarch64-apple-darwin x86_64-apple-darwin",
    ] {
        assert!(printed.contains(&format!("SKIPPED: {check}: ")), "{check}:\n{printed}");
    }
    assert!(!printed.contains("passed"), "{printed}");
    assert!(printed.contains("2 checks, 0 failed, 2 skipped"), "{printed}");
}

#[test]
fn another_compiler_than_the_pinned_one_is_skipped_by_name() {
    let (status, printed) =
        run(&[("rustc", "echo 'rustc 1.0.0 (0123456 2015-05-15)'"), ("apt-get", "exit 100"), NO_PYTHON]);
    assert_eq!(status, Some(77), "{printed}");
    assert!(printed.contains("this is rustc 1.0.0"), "{printed}");
}

#[test]
fn a_download_with_another_digest_fails() {
    let apt_get = r#"case "$*" in *download*) echo altered >rust-src_0_all.deb ;; esac"#;
    let (status, printed) = run(&[("apt-get", apt_get), ("dpkg-deb", "exit 0"), NO_PYTHON]);
    assert_eq!(status, Some(1), "{printed}");
    assert!(printed.contains("wrong digest: rust-src_0_all.deb"), "{printed}");
    assert!(!printed.contains("passed"), "{printed}");
}
