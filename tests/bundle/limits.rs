//! Where there is no room, no right or no name: a run says which, and leaves nothing half-visible.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use runtime::bundle::Outcome;

use crate::bound::{Bound, nightly, output_in_time};
use crate::hostile::skipped;
use crate::small_run::{SmallRun, latest, scratch, state};
use crate::suite::RUNTIME;
use crate::support::text;
use crate::writer::{fill, name, open, seal};

/// How long disks are filled for, and how many must have been in the nightly form.
const LIMIT: Duration = Duration::from_secs(120);
const LEAST: usize = 20;

/// A number that owns nothing.
const NOBODY: u32 = 65534;

/// Arguments: folder, size in KiB, then the command. A small file system in memory gets `base`; the command runs into it; then
/// there is room, and all is copied out to `left`.
const SMALL_DISK: &str = r#"
set -eu
work=$1 size=$2; shift 2
mount -t tmpfs -o size=64m none "$work/disk"
cp -a "$work/base" "$work/disk/out"
mount -o remount,size="$size"k "$work/disk"
status=0
"$@" >"$work/said" 2>"$work/told" || status=$?
rm -rf "$work/left"
cp -a "$work/disk/out" "$work/left"
exit $status
"#;

fn private(script: &str, small: &SmallRun, arguments: &[&str], command: &[String]) -> Output {
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "sh", "-c", script, "sh"]).arg(small.path()).args(arguments).args(command);
    output_in_time(unshare.env("TMPDIR", small.path()))
}

/// Files that a writer makes before it names them.
fn temporary(root: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(root).min_depth(1).into_iter().map(|entry| entry.unwrap());
    entries
        .map(|entry| entry.file_name().to_str().unwrap().to_owned())
        .filter(|name| name.starts_with(".tmp"))
        .collect()
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing_half_visible() {
    let small = SmallRun::new();
    let base = small.path().join("base");
    let before = small.commit(&base);
    std::fs::create_dir(small.path().join("disk")).unwrap();
    let probe = private("mount -t tmpfs none \"$1/disk\"", &small, &[], &[]);
    if !probe.status.success() {
        return skipped(&format!("a full disk: no file system can be mounted here: {}", text(&probe.stderr).trim()));
    }
    let command = small.command_line(&small.path().join("disk/out"), false);
    let sizes: Vec<u64> = (48..=240).step_by(if nightly() { 4 } else { 96 }).collect();
    let (mut refused, mut committed) = (0, 0);
    let bound = Bound::new("sizes of disk", sizes.len(), sizes.len().min(LEAST), LIMIT);
    while let Some(at) = bound.next() {
        let size = sizes[at];
        let output = private(SMALL_DISK, &small, &[&size.to_string()], &command);
        let told = std::fs::read_to_string(small.path().join("told")).unwrap();
        let left = small.path().join("left");
        let at = format!("{size} KiB: {output:?}: {told}");
        let state = state(&left, &before).unwrap_or_else(|why| panic!("{at}: {why}"));
        match output.status.code() {
            Some(0) => {
                assert_eq!(state, "valid", "{at}");
                committed += 1;
            }
            Some(1 | 3) => {
                assert!(told.contains("No space left on device"), "{at}");
                assert!(told.contains(left.parent().unwrap().join("disk/out").to_str().unwrap()), "{at}: which file");
                assert_eq!(latest(&left), before, "{at}");
                refused += 1;
            }
            _ => panic!("{at}"),
        }
        assert_eq!(temporary(&left), Vec::<String>::new(), "{at}");
    }
    bound.close();
    println!("sizes of disk: {refused} too small, {committed} large enough");
    assert!(refused >= 2 && committed >= 1, "{refused} {committed}");
}

#[test]
fn a_limit_of_file_size_is_an_error_and_not_a_death() {
    let small = SmallRun::new();
    let base = small.path().join("base");
    let before = small.commit(&base);
    for limit in [0, 1000] {
        let temp = scratch();
        let root = temp.path().join("out");
        assert!(Command::new("cp").arg("-a").args([&base, &root]).status().unwrap().success());
        let limited = ["prlimit".to_owned(), format!("--fsize={limit}")];
        let output = small.command(&limited, &root, true).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{limit}: {output:?}");
        assert!(text(&output.stderr).contains("File too large"), "{limit}: {output:?}");
        assert_ne!(state(&root, &before), Ok("valid"), "{limit}");
        assert_eq!((latest(&root), temporary(&root)), (before.clone(), Vec::new()), "{limit}");
    }
    // The limit is that of the programs a run starts as well: they die of it, as without us.
    let temp = scratch();
    let profile = temp.path().join("all.sb");
    std::fs::write(&profile, "(version 1)(allow default)").unwrap();
    let write = format!("head -c 5000 /dev/zero > {}", temp.path().join("file").display());
    let output = Command::new("prlimit")
        .args(["--fsize=4096", RUNTIME, "sandbox", "run", "--profile"])
        .arg(&profile)
        .args(["--", "sh", "-c"])
        .arg(format!("{write}; echo ended $?"))
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "ended 153\n", "{output:?}");
}

#[test]
fn few_descriptors_are_enough_for_many_files() {
    let temp = scratch();
    let root = temp.path().join("out");
    let mut bundle = open(&root, temp.path(), "run-1");
    fill(&mut bundle);
    for number in 0..300 {
        bundle.write(&name(&format!("files/f{number}")), b"text").unwrap();
    }
    seal(bundle, Outcome::Complete, &[]);
    for limit in [32, 64, 200, 1024] {
        let output = Command::new("prlimit")
            .args([&format!("--nofile={limit}"), RUNTIME, "validate-bundle", "--bundle"])
            .arg(&root)
            .output()
            .unwrap();
        assert!(text(&output.stdout).starts_with("[+] bundle ok\n"), "{limit}: {output:?}");
    }
}

#[test]
fn what_cannot_be_written_to_is_named_and_left_as_it_is() {
    let small = SmallRun::new();
    let base = small.path().join("base");
    let before = small.commit(&base);
    // A name that is too long.
    let long = small.path().join("x".repeat(300));
    let output = small.command(&[], &long, true).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text(&output.stderr).contains("File name too long"), "{output:?}");
    // A file in the place of a root.
    let file = small.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let output = small.command(&[], &file, true).output().unwrap();
    assert_eq!((output.status.code(), std::fs::read(&file).unwrap()), (Some(3), b"x".to_vec()), "{output:?}");
    if !rustix::process::geteuid().is_root() {
        return skipped("a root without rights, a file system that is read-only: only root can be somebody else");
    }
    // A root of somebody else, one that stands there and one that would have to be made.
    let binary = small.path().join("runtime");
    // By another process: what one of our own threads starts meanwhile would hold the file open for writing.
    assert!(Command::new("cp").arg(RUNTIME).arg(&binary).status().unwrap().success());
    for path in [small.path(), small.plan().parent().unwrap()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for root in [base.clone(), base.join("deeper")] {
        let words = small.command_line(&root, true);
        let ordinary = Command::new(&binary).args(&words[1..]).uid(NOBODY).gid(NOBODY).env("TMPDIR", "/tmp").output();
        let output = ordinary.unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(text(&output.stderr).contains("Permission denied"), "{output:?}");
        assert_eq!(state(&base, &before), Ok("absent"));
    }
    // A directory of somebody else is named with what refused it, and the others are judged.
    let closed = base.join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let words = ["--json", "bundle", "verify-all", base.to_str().unwrap()];
    let output = Command::new(&binary).args(words).uid(NOBODY).gid(NOBODY).output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let named = answer["skipped"][0].to_string();
    assert!(named.contains("closed") && named.contains("Permission denied"), "{answer}");
    std::fs::remove_dir(&closed).unwrap();
    // A file system that is read-only.
    std::fs::create_dir(small.path().join("disk")).unwrap();
    let script = "set -eu; work=$1; shift; mount --bind \"$work/base\" \"$work/disk\"
                  mount -o remount,bind,ro \"$work/disk\"; exec \"$@\"";
    let output = private(script, &small, &[], &small.command_line(&small.path().join("disk"), true));
    if text(&output.stderr).starts_with("mount") || text(&output.stderr).starts_with("unshare") {
        return skipped(&format!("a read-only file system: {}", text(&output.stderr).trim()));
    }
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text(&output.stderr).contains("Read-only file system"), "{output:?}");
    assert_eq!(state(&base, &before), Ok("absent"));
}
