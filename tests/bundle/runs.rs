//! `bundle list`, `show`, `prune`, `verify-all`: every run is named with where it is in its life, and none is lost.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use runtime::bundle::{OpenBundle, Outcome, RunLock};
use runtime::os::lock::LockMode;
use serde_json::{Value, json};

use crate::support::{Hand, LINUX, RUN, code, ids, runtime, text, validate};
use crate::writer::{fill, identity, open, seal};

fn bundle(args: &[&str]) -> (i32, Value) {
    let output = runtime(&[&["--json", "bundle"], args].concat());
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (code(&output), document)
}

fn commit(root: &Path, run_id: &str, at_s: u64) {
    let lock = RunLock::acquire(root, LockMode::Fail, &|| false).unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(at_s);
    let mut bundle = OpenBundle::create(lock, root, identity(run_id), now).unwrap();
    fill(&mut bundle);
    bundle.seal(Outcome::Complete, &[], now).unwrap();
}

fn of_run<'v>(document: &'v Value, run_id: &str) -> &'v Value {
    document["runs"].as_array().unwrap().iter().find(|run| run["run_id"] == run_id).unwrap()
}

fn names(runs: &Value) -> Vec<&str> {
    runs.as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap()).collect()
}

#[test]
fn every_run_is_listed_with_where_it_is_in_its_life() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("out");
    commit(&root, "run-b", 20);
    commit(&root, "run-a", 30);
    drop(open(&root, temp.path(), "run-dead"));
    std::fs::create_dir(root.join("no-run")).unwrap();
    std::os::unix::fs::symlink(root.join("run-a"), root.join("link")).unwrap();
    let live = open(&root, temp.path(), "run-live");
    let (exit, document) = bundle(&["list", "--bundle", root.to_str().unwrap()]);
    assert_eq!(exit, 0);
    assert_eq!(names(&document["runs"]), ["run-dead", "run-live", "run-b", "run-a"]);
    let lives: Vec<&Value> = document["runs"].as_array().unwrap().iter().map(|run| &run["life"]).collect();
    assert_eq!(lives, ["abandoned", "in-progress", "committed", "committed"]);
    assert_eq!((&document["latest"], &of_run(&document, "run-a")["latest"]), (&json!("run-a"), &json!(true)));
    assert_eq!(of_run(&document, "run-b")["artifact_count"], 6);
    let output = runtime(&["bundle", "list", "--bundle", root.to_str().unwrap()]);
    assert!(text(&output.stdout).contains("run-live  in-progress"), "{output:?}");
    drop(live);
    let (_, document) = bundle(&["list", "--bundle", root.to_str().unwrap()]);
    assert_eq!(of_run(&document, "run-live")["life"], "abandoned");
    assert_eq!(code(&runtime(&["bundle", "list", "--bundle", temp.path().join("x").to_str().unwrap()])), 3);
}

#[test]
fn pruning_keeps_the_newest_latest_and_whatever_was_not_committed() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("out");
    let path = root.to_str().unwrap();
    for (at, run_id) in ["run-1", "run-2", "run-3", "run-4"].into_iter().enumerate() {
        commit(&root, run_id, 10 + at as u64);
    }
    std::fs::write(root.join("LATEST"), "run-1\n").unwrap();
    drop(open(&root, temp.path(), "run-dead"));
    std::fs::write(root.join("notes.txt"), "mine").unwrap();

    let (exit, document) = bundle(&["prune", "--bundle", path, "--keep", "2", "--dry-run"]);
    assert_eq!((exit, names(&document["removed"])), (0, vec!["run-2"]));
    assert!(root.join("run-2").exists());
    let (exit, document) = bundle(&["prune", "--bundle", path, "--keep", "2"]);
    assert_eq!((exit, names(&document["removed"])), (0, vec!["run-2"]));
    assert_eq!(names(&document["kept"]), ["run-dead", "run-1", "run-3", "run-4"]);
    assert!(!root.join("run-2").exists() && root.join("run-dead").exists());
    for run in ["run-1", "run-3", "run-4"] {
        assert_eq!(validate(&root.join(run)).0, 0);
    }
    // A removal that was killed left this; the next one finishes it.
    std::fs::create_dir_all(root.join(".tmp-removed-x/sub")).unwrap();
    std::fs::write(root.join(".tmp-removed-x/run_status.json"), "{}").unwrap();
    let (_, document) = bundle(&["list", "--bundle", path]);
    assert_eq!(document["runs"].as_array().unwrap().len(), 4);
    let (exit, document) = bundle(&["prune", "--bundle", path, "--keep", "0", "--abandoned"]);
    assert_eq!((exit, names(&document["removed"])), (0, vec!["run-dead", "run-3", "run-4"]));
    assert_eq!(document["swept"], 1);
    let mut left: Vec<_> =
        std::fs::read_dir(&root).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, [".runtime.lock", "LATEST", "notes.txt", "run-1"]);
    assert_eq!(
        code(&runtime(&["bundle", "prune", "--bundle", temp.path().join("x").to_str().unwrap(), "--keep", "1"])),
        3
    );
    assert!(!temp.path().join("x").exists());
}

/// Which run must stay in any case cannot be told then.
#[test]
fn nothing_is_pruned_while_latest_names_no_run_id() {
    for (bytes, why) in [(&b"../x\n"[..], "\"../x\", which is no run id"), (&b"\xff\n"[..], "is not UTF-8 text")] {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("out");
        commit(&root, "run-1", 1);
        std::fs::write(root.join("LATEST"), bytes).unwrap();
        let path = root.to_str().unwrap();
        let listed = runtime(&["bundle", "list", "--bundle", path]);
        assert_eq!(code(&listed), 0);
        assert!(text(&listed.stderr).contains("warning: LATEST ") && text(&listed.stderr).contains(why));
        let (_, document) = bundle(&["list", "--bundle", path]);
        assert!(document["latest_unusable"].as_str().unwrap().contains(why), "{document}");
        let pruned = runtime(&["bundle", "prune", "--bundle", path, "--keep", "0"]);
        assert_eq!(code(&pruned), 3, "{pruned:?}");
        assert!(text(&pruned.stderr).contains(why), "{pruned:?}");
        assert_eq!(validate(&root.join("run-1")).0, 0);
    }
}

#[test]
fn a_directory_that_holds_no_run_is_not_shown() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("notes.txt"), "mine").unwrap();
    let output = runtime(&["bundle", "show", "--bundle", temp.path().to_str().unwrap()]);
    assert_eq!((code(&output), text(&output.stdout).as_str()), (1, ""), "{output:?}");
    assert!(text(&output.stderr).contains("is no bundle"), "{output:?}");
}

#[test]
fn a_run_at_work_is_never_pruned() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("out");
    commit(&root, "run-1", 1);
    let live = open(&root, temp.path(), "run-live");
    let args = ["bundle", "prune", "--bundle", root.to_str().unwrap(), "--keep", "0", "--abandoned"];
    let output = runtime(&args);
    assert_eq!(code(&output), 1, "its root is locked: {output:?}");
    // Even when the lock file was replaced, as a tool that unlinks it does.
    std::fs::remove_file(root.join(".runtime.lock")).unwrap();
    let (exit, document) = bundle(&args[1..]);
    assert_eq!((exit, names(&document["kept"])), (0, vec!["run-1", "run-live"]), "{document}");
    seal(live, Outcome::Complete, &[]);
    assert_eq!(validate(&root).0, 0);
}

#[test]
fn a_bundle_is_shown_as_it_is_and_not_judged() {
    let laid = Hand::good(LINUX).lay();
    std::fs::write(laid.run.join("summary.md"), "x").unwrap();
    std::fs::remove_file(laid.run.join("summary.json")).unwrap();
    let (exit, document) = bundle(&["show", "--bundle", laid.root.to_str().unwrap()]);
    assert_eq!((exit, &document["integrity"]), (0, &json!("unverified")));
    assert_eq!(document["missing"], json!([format!("out/{RUN}/summary.json")]));
    assert_eq!(document["digest_mismatches"], json!([format!("out/{RUN}/summary.md")]));
    assert_eq!(document["run_status"]["state"], "complete");
    std::fs::remove_file(laid.run.join("artifact_index.json")).unwrap();
    let (_, document) = bundle(&["show", "--bundle", laid.run.to_str().unwrap()]);
    assert_eq!((&document["artifact_index_present"], document.get("artifact_index")), (&json!(false), None));
}

#[test]
fn a_whole_tree_is_checked_and_every_bad_bundle_named() {
    let temp = tempfile::tempdir().unwrap();
    let tree = temp.path().join("evidence");
    for (suite, runs) in [("a/out", 2), ("b/deep/out", 1)] {
        for run in 0..runs {
            commit(&tree.join(suite), &format!("run-{run}"), run);
        }
    }
    let path = tree.to_str().unwrap();
    let (exit, document) = bundle(&["verify-all", path]);
    assert_eq!((exit, &document["valid"], &document["invalid"]), (0, &json!(3), &json!(0)), "{document}");

    let live = open(&tree.join("a/out"), temp.path(), "run-live");
    drop(open(&tree.join("b/deep/out"), temp.path(), "run-dead"));
    std::fs::write(tree.join("a/out/run-0/summary.json"), "{}").unwrap();
    std::fs::write(tree.join("a/out/LATEST"), "run-9\n").unwrap();
    let (exit, document) = bundle(&["verify-all", path]);
    assert_eq!((exit, &document["valid"], &document["invalid"]), (1, &json!(2), &json!(2)), "{document}");
    assert_eq!((&document["in_progress"], &document["lost_roots"]), (&json!(1), &json!(1)));
    let of = |path: &str| document["bundles"].as_array().unwrap().iter().find(|b| b["path"] == path).unwrap();
    assert_eq!(ids(of("a/out"), "error"), ["latest-dangling"]);
    assert_eq!(ids(of("a/out/run-0"), "error"), ["artifact-size-mismatch"]);
    assert_eq!(ids(of("b/deep/out/run-dead"), "error"), ["index-missing", "run-abandoned"]);
    assert_eq!(of("a/out/run-live")["in_progress"], true);
    let output = runtime(&["bundle", "verify-all", path]);
    let end = "[!] 5 bundles: 2 valid, 2 not, 1 in progress; LATEST of 1 of the roots leads to no run\n";
    assert!(text(&output.stdout).ends_with(end), "{output:?}");
    drop(live);
    // Nothing to judge is no yes.
    let empty = temp.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert_eq!(bundle(&["verify-all", empty.to_str().unwrap()]).0, 3);
    assert_eq!(code(&runtime(&["bundle", "verify-all", temp.path().join("x").to_str().unwrap()])), 3);
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_that_is_removed_meanwhile_is_named_and_the_others_are_checked() {
    let temp = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let tree = temp.path().join("evidence");
    for suite in ["a", "b", "c"] {
        commit(&tree.join(suite), "run-1", 1);
    }
    // Long enough to hash that another can be taken away.
    let large = tree.join("a/run-1/mismatch_packets.jsonl");
    std::fs::File::options().write(true).open(&large).unwrap().set_len(0).unwrap();
    let mut index: Value =
        serde_json::from_slice(&std::fs::read(tree.join("a/run-1/artifact_index.json")).unwrap()).unwrap();
    let bytes = 64 << 20;
    for entry in index["artifacts"].as_array_mut().unwrap() {
        if entry["name"] == "mismatch_packets.jsonl" {
            entry["file_size"] = json!(bytes);
        }
    }
    std::fs::File::options().write(true).open(&large).unwrap().set_len(bytes).unwrap();
    std::fs::write(tree.join("a/run-1/artifact_index.json"), index.to_string()).unwrap();
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_runtime"))
        .args(["--json", "bundle", "verify-all"])
        .arg(&tree)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Threads that hash have descriptors of their own.
    let threads = format!("/proc/{}/task", child.id());
    let hashes = || {
        let threads = std::fs::read_dir(&threads).unwrap().flatten();
        let files = threads.filter_map(|thread| std::fs::read_dir(thread.path().join("fd")).ok()).flatten().flatten();
        files.filter_map(|file| std::fs::read_link(file.path()).ok()).any(|file| file == large)
    };
    let started = std::time::Instant::now();
    while !hashes() {
        assert!(started.elapsed() < std::time::Duration::from_secs(30), "it never came to the large file");
    }
    std::fs::remove_dir_all(tree.join("b/run-1")).unwrap();
    let output = child.wait_with_output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    // What was judged decides; here the large file is not the one that was indexed.
    assert_eq!((code(&output), &document["valid"], &document["complete"]), (1, &json!(1), &json!(false)), "{document}");
    assert_eq!(document["skipped"][0]["path"], "b/run-1", "{document}");
    assert!(document["skipped"][0]["reason"].as_str().unwrap().contains("No such file"), "{document}");
    assert!(document["bundles"].as_array().unwrap().iter().any(|bundle| bundle["path"] == "c/run-1"), "{document}");
}

/// Nobody committed anything there yet, and every reader says the same.
#[test]
fn a_root_whose_only_run_was_interrupted_is_called_that_by_every_reader() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("out");
    let live = open(&root, temp.path(), "run-first");
    let path = root.to_str().unwrap();
    let out = temp.path().join("x.json");
    let out = out.to_str().unwrap();
    let readers = [
        &["validate-bundle", "--bundle", path][..],
        &["reindex-bundle", "--strict", "--bundle", path],
        &["reindex-bundle", "--repair", "--bundle", path],
        &["bundle", "show", "--bundle", path],
        &["emit-promotion", "--bundle", path, "--out", out],
        &["summarize-ops", "--bundle", path, "--out", out],
        &["normalise-events", "--bundle", path, "--out", out],
        &["explain-event", "--bundle", path, "--scenario", "x"],
    ];
    let agree = |statement: &str| {
        for reader in readers {
            let output = runtime(reader);
            let told = text(&output.stdout) + &text(&output.stderr);
            assert_eq!(code(&output), 1, "{reader:?}: {output:?}");
            assert!(told.contains(&format!("{path} is a bundle root without a committed run; {statement}")), "{told}");
            assert!(!std::path::Path::new(out).exists());
        }
    };
    agree("run-first is in-progress");
    drop(live);
    agree("run-first is abandoned");
    assert_eq!(ids(&validate(&root).1, "error"), ["no-committed-run"]);
    drop(open(&root, temp.path(), "run-second"));
    agree("run-first is abandoned, run-second is abandoned");
    // The twins: the run itself is told as before, a root with nothing but its lock as what it is, and a commit ends it.
    assert_eq!(ids(&validate(&root.join("run-first")).1, "error"), ["index-missing", "run-abandoned"]);
    let (exit, pruned) = bundle(&["prune", "--bundle", path, "--keep", "0", "--abandoned"]);
    assert_eq!((exit, names(&pruned["removed"])), (0, vec!["run-first", "run-second"]));
    agree("no run stands there");
    commit(&root, "run-third", 5);
    assert_eq!(validate(&root).0, 0);
}

#[test]
fn what_is_no_bundle_root_is_not_pruned_and_left_as_it_was() {
    let temp = tempfile::tempdir().unwrap();
    let (plain, root) = (temp.path().join("plain"), temp.path().join("out"));
    std::fs::create_dir_all(plain.join("sub")).unwrap();
    commit(&root, "run-1", 1);
    let entries = |directory: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    for directory in [&plain, &root.join("run-1")] {
        let before = entries(directory);
        for more in [&["--dry-run"][..], &[], &["--abandoned"]] {
            let words = ["bundle", "prune", "--keep", "0", "--bundle", directory.to_str().unwrap()];
            let output = runtime(&[&words, more].concat());
            assert_eq!(code(&output), 3, "{output:?}");
            assert!(text(&output.stderr).contains("is no bundle root"), "{output:?}");
            assert_eq!(entries(directory), before, "{more:?}");
        }
    }
    // The twin: a root without runs is one as long as LATEST or the lock stands there.
    std::fs::write(plain.join(".runtime.lock"), "").unwrap();
    assert_eq!(bundle(&["prune", "--keep", "0", "--bundle", plain.to_str().unwrap()]).0, 0);
}

/// A look at a plan is no reason to lose sight of what was found out.
#[test]
#[cfg(target_os = "linux")]
fn a_dry_run_does_not_take_the_place_of_one_that_was_executed() {
    let small = crate::small_run::SmallRun::new();
    let root = small.path().join("out");
    let path = root.to_str().unwrap();
    let run = |dry: bool, json: bool| {
        let mut command = small.command(&[], &root, dry);
        if json {
            command.arg("--json");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    };
    let latest = || crate::small_run::latest(&root);
    // Dry runs follow one another, and an executed one takes the place of a dry one.
    let said = run(true, false);
    let first = latest();
    assert!(said.contains("[+] updated") && run(true, false).contains("[+] updated"), "{said}");
    assert!(latest() != first);
    assert!(run(false, false).contains("[+] updated"));
    let real = latest();
    assert_eq!(of_run(&bundle(&["list", "--bundle", path]).1, &real)["dry_run"], false);
    let said = run(true, false);
    assert!(said.contains(&format!("LATEST still names run {real}: a dry run")) && !said.contains("updated"), "{said}");
    let answer: Value = serde_json::from_str(&run(true, true)).unwrap();
    assert_eq!(answer["latest"], json!(real));
    assert!(answer["run_id"] != json!(real) && latest() == real, "{answer}");
    let packet = small.path().join("p.json");
    let words = ["emit-promotion", "--bundle", path, "--require", "linux_enforcement", "--out"];
    let output = runtime(&[&words[..], &[packet.to_str().unwrap()]].concat());
    assert!(!text(&output.stderr).contains("dry"), "{output:?}");
    let (_, pruned) = bundle(&["prune", "--bundle", path, "--keep", "0"]);
    assert_eq!((names(&pruned["kept"]), names(&pruned["removed"]).len()), (vec![real.as_str()], 4));
    // The twins: where LATEST leads to nothing, and after an executed run, it moves.
    std::fs::write(root.join("LATEST"), "run-gone\n").unwrap();
    assert!(run(true, false).contains("[+] updated") && latest() != "run-gone");
    assert!(run(false, false).contains("[+] updated") && latest() != real);
}
