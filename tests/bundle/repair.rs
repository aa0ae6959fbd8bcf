//! `reindex-bundle`: what it puts right, what it refuses, and that no repair makes a bundle better than it was.

use serde_json::{Value, json};

use crate::support::{Hand, LINUX, Laid, MACOS, RUN, code, ids, runtime, sha256, text, validate};

fn reindex(laid: &Laid, mode: &str) -> (i32, Value) {
    let output = runtime(&["--json", "reindex-bundle", "--bundle", laid.root.to_str().unwrap(), mode]);
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (code(&output), document)
}

fn read(laid: &Laid, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(laid.run.join(name)).unwrap()).unwrap()
}

fn earlier(mut hand: Hand) -> Hand {
    hand.own = false;
    hand.unset("run_status.json", "/tool");
    hand
}

/// Every file of the run's directory with its bytes.
fn snapshot(laid: &Laid) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(&laid.run)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_wrong_digest_is_refused_by_strict_and_put_right_by_repair_with_a_history() {
    for hand in [Hand::good(LINUX), earlier(Hand::good(MACOS))] {
        let mut hand = hand;
        let own = hand.own;
        let mut index = hand.make_index();
        index["artifacts"][5]["sha256"] = json!("0".repeat(64));
        hand.index = index;
        let laid = hand.lay();
        let before = snapshot(&laid);
        let (exit, document) = reindex(&laid, "--strict");
        assert_eq!((exit, ids(&document, "error")), (1, vec!["artifact-digest-mismatch".to_owned()]));
        assert_eq!(snapshot(&laid), before, "strict writes nothing");
        let index_before = sha256(&std::fs::read(laid.run.join("artifact_index.json")).unwrap());

        let (exit, document) = reindex(&laid, "--repair");
        assert_eq!((exit, &document["status"], &document["ok"]), (0, &json!("repaired"), &json!(true)), "{document}");
        assert_eq!(document["changes"][0]["name"], "summary.md");
        assert_eq!(document["changes"][0]["before"]["sha256"], "0".repeat(64));
        assert_eq!(document["changes"][0]["after"]["sha256"], sha256(b"# demo\n"));
        let (exit, document) = validate(&laid.root);
        assert_eq!((exit, ids(&document, "warning")), (0, vec!["repaired".to_owned()]), "{document}");

        let log = read(&laid, "repair_log.json");
        assert_eq!(log["schema_version"], "runtime-tools.repair_log.v0.1");
        assert_eq!(log["bundle_dir"], format!("out/{RUN}"));
        assert_eq!(log["before"], json!({"missing": [], "digest_mismatches": [format!("out/{RUN}/summary.md")]}));
        assert_eq!(log["after"], json!({"missing": [], "digest_mismatches": []}));
        assert_eq!(log["repairs"][0]["artifact_index_sha256"], index_before);
        let index = read(&laid, "artifact_index.json");
        assert_eq!(index["repairs"], log["repairs"]);
        assert_eq!(index.get("tool").is_some(), own, "nobody else's bundle becomes ours");
        let entries = index["artifacts"].as_array().unwrap();
        assert!(entries.last().unwrap()["path"].as_str().unwrap().ends_with("/repair_log.json"), "it is indexed");

        // Again: nothing to do, nothing written.
        let before = snapshot(&laid);
        let (exit, document) = reindex(&laid, "--repair");
        assert_eq!((exit, &document["status"], &document["changes"]), (0, &json!("ok"), &json!([])));
        assert_eq!(snapshot(&laid), before);
        // A second repair keeps the first one's word.
        std::fs::write(laid.run.join("summary.md"), "# other\n").unwrap();
        assert_eq!(reindex(&laid, "--repair").0, 0);
        let again = read(&laid, "artifact_index.json");
        assert_eq!(again["repairs"].as_array().unwrap().len(), 2);
        assert_eq!(again["repairs"][0], index["repairs"][0]);
        // A log that is taken away or rewritten hides nothing, and is put back.
        for change in [(|path| std::fs::remove_file(path).unwrap()) as fn(&std::path::Path), |path| {
            std::fs::write(path, "{}").unwrap()
        }] {
            change(&laid.run.join("repair_log.json"));
            assert_eq!(validate(&laid.root).0, 1);
            assert_eq!(reindex(&laid, "--repair").0, 0);
            assert_eq!(read(&laid, "repair_log.json")["repairs"][0], index["repairs"][0]);
        }
    }
}

#[test]
fn a_repair_carries_failure_and_missing_files_forward() {
    // What is gone becomes missing: the bundle is whole again by its index, and still says no.
    let laid = Hand::good(LINUX).lay();
    std::fs::remove_file(laid.run.join("runtime_events.normalized.json")).unwrap();
    let (exit, document) = reindex(&laid, "--repair");
    assert_eq!((exit, ids(&document, "error")), (1, vec!["expected-missing".to_owned()]), "{document}");
    let index = read(&laid, "artifact_index.json");
    assert_eq!(index["missing"], json!([format!("out/{RUN}/runtime_events.normalized.json")]));
    assert_eq!(index["status"], "partial");
    // Put back by whoever: it was missing and stays so.
    std::fs::write(laid.run.join("runtime_events.normalized.json"), "[]").unwrap();
    std::fs::write(laid.run.join("summary.md"), "x").unwrap();
    reindex(&laid, "--repair");
    let index = read(&laid, "artifact_index.json");
    assert_eq!((index["missing"].as_array().unwrap().len(), &index["status"]), (1, &json!("partial")));
    assert_eq!(validate(&laid.root).0, 1);

    for own in [true, false] {
        let mut hand = Hand::good(LINUX);
        hand.set("run_status.json", "/state", json!("failed"));
        if !own {
            hand = earlier(hand);
        }
        hand.index = hand.make_index();
        hand.index["status"] = json!("failed");
        hand.index["missing"] = json!([format!("out/{RUN}/oracle_results.json")]);
        let laid = hand.lay();
        std::fs::write(laid.run.join("summary.md"), "x").unwrap();
        reindex(&laid, "--repair");
        let index = read(&laid, "artifact_index.json");
        assert_eq!((&index["status"], index["missing"].as_array().unwrap().len()), (&json!("failed"), 1));
    }
}

#[test]
fn a_repaired_bundle_is_never_promotable() {
    let laid = Hand::good(LINUX).lay();
    std::fs::write(laid.run.join("summary.md"), "x").unwrap();
    assert_eq!(reindex(&laid, "--repair").0, 0);
    let out = laid.temp.path().join("p.json");
    let args = ["emit-promotion", "--bundle", laid.root.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let output = runtime(&[&args[..], &["--require", "linux_enforcement"]].concat());
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("linux_enforcement: not promotable: ['repaired']"), "{output:?}");
}

#[test]
fn a_log_of_the_earlier_tool_becomes_the_first_entry_of_the_history() {
    let mut hand = earlier(Hand::good(MACOS));
    hand.index = hand.make_index();
    let log = json!({"schema_version": "runtime-tools.repair_log.v0.1", "bundle_dir": "x", "repaired_at_unix": 1.5,
                     "before": {"missing": [], "digest_mismatches": ["x/a"]}, "after": {"missing": [], "digest_mismatches": []}});
    hand.put_json("repair_log.json", &log);
    let laid = hand.lay();
    std::fs::write(laid.run.join("summary.md"), "x").unwrap();
    assert_eq!(reindex(&laid, "--repair").0, 0);
    let index = read(&laid, "artifact_index.json");
    assert_eq!(index["repairs"].as_array().unwrap().len(), 2);
    assert_eq!(index["repairs"][0]["before"], log["before"]);
    // One that cannot be read is not thrown away.
    std::fs::write(laid.run.join("repair_log.json"), "{").unwrap();
    let mut index = read(&laid, "artifact_index.json");
    index.as_object_mut().unwrap().remove("repairs");
    std::fs::write(laid.run.join("artifact_index.json"), index.to_string()).unwrap();
    let (exit, document) = reindex(&laid, "--repair");
    assert_eq!((exit, &document["status"]), (1, &json!("refused")), "{document}");
}

#[test]
fn what_no_index_can_put_right_is_refused_and_left_alone() {
    type Damage = fn(&Laid);
    for (what, error, damage) in [
        (
            "in progress",
            "run-in-progress",
            (|laid| edit(laid, "run_status.json", "/state", json!("in_progress"))) as Damage,
        ),
        ("never committed", "index-missing", |laid| {
            std::fs::remove_file(laid.run.join("artifact_index.json")).unwrap();
        }),
        ("index is no JSON", "index-malformed", |laid| {
            std::fs::write(laid.run.join("artifact_index.json"), "{").unwrap();
        }),
        ("history is no list", "index-malformed", |laid| edit(laid, "artifact_index.json", "/repairs", json!({}))),
        ("path climbs", "entry-outside-bundle", |laid| {
            edit(laid, "artifact_index.json", "/artifacts/5/name", json!("../x"));
        }),
        ("other run", "run-id-mismatch", |laid| edit(laid, "run_status.json", "/run_id", json!("run-x"))),
        ("link", "artifact-link", |laid| {
            std::fs::remove_file(laid.run.join("summary.md")).unwrap();
            std::os::unix::fs::symlink("/etc/hostname", laid.run.join("summary.md")).unwrap();
        }),
        ("second name", "artifact-hard-linked", |laid| {
            std::fs::hard_link(laid.run.join("summary.md"), laid.temp.path().join("x")).unwrap();
        }),
    ] {
        let laid = Hand::good(LINUX).lay();
        damage(&laid);
        let before = snapshot(&laid);
        let (exit, document) = reindex(&laid, "--repair");
        assert_eq!((exit, &document["status"]), (1, &json!("refused")), "{what}: {document}");
        assert!(ids(&document, "error").contains(&error.to_owned()), "{what}: {document}");
        assert_eq!(snapshot(&laid), before, "{what}");
    }
    // The earlier tool committed a directory without an index; its bundles keep that, marked.
    let laid = earlier(Hand::good(MACOS)).lay();
    std::fs::remove_file(laid.run.join("artifact_index.json")).unwrap();
    assert_eq!(reindex(&laid, "--repair").0, 0);
    assert_eq!(ids(&validate(&laid.root).1, "warning"), ["repaired", "unindexed-file"]);
}

fn edit(laid: &Laid, name: &str, pointer: &str, value: Value) {
    let mut document = read(laid, name);
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
    std::fs::write(laid.run.join(name), document.to_string()).unwrap();
}

#[test]
fn exactly_one_mode_is_asked_for_and_a_held_lock_is_honoured() {
    let laid = Hand::good(LINUX).lay();
    let root = laid.root.to_str().unwrap();
    for modes in [&[][..], &["--strict", "--repair"]] {
        assert_eq!(code(&runtime(&[&["reindex-bundle", "--bundle", root], modes].concat())), 2);
    }
    assert_eq!(
        text(&runtime(&["reindex-bundle", "--bundle", root, "--strict"]).stdout).lines().next(),
        Some("[+] bundle ok")
    );
    std::fs::write(laid.run.join("summary.md"), "x").unwrap();
    let lock = runtime::bundle::RunLock::acquire(&laid.root, runtime::os::lock::LockMode::Fail, &|| false).unwrap();
    let output = runtime(&["reindex-bundle", "--bundle", root, "--repair"]);
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("is held by process"), "{output:?}");
    let wait = ["--lock-mode", "wait", "--lock-timeout-seconds", "20"];
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| runtime(&[&["reindex-bundle", "--bundle", root, "--repair"][..], &wait].concat()));
        std::thread::sleep(std::time::Duration::from_millis(200));
        drop(lock);
        let output = waiter.join().unwrap();
        assert_eq!(code(&output), 0, "{output:?}");
        assert!(text(&output.stdout).starts_with("[+] bundle reindexed\n"), "{output:?}");
    });
    let nowhere = laid.temp.path().join("nowhere");
    assert_eq!(code(&runtime(&["reindex-bundle", "--bundle", nowhere.to_str().unwrap(), "--repair"])), 3);
    assert!(!nowhere.exists());
}
