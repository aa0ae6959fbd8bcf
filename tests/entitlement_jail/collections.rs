//! `run-matrix` and `bundle-evidence`: the output of this very call, and nothing older.

use serde_json::{Value, json};

use crate::support::{Place, words};

#[test]
fn a_matrix_is_kept_with_digests() {
    let place = Place::new();
    let (ran, record) = place.record(&["run-matrix", "--group", "inject", "--ack-risk", "fully_injectable"], &[]);
    assert_eq!(ran.status, 0, "{ran:?} {record:#}");
    let executed = words(&record["command_executed"]);
    let head = ["run-matrix", "--group", "inject", "--ack-risk", "fully_injectable", "--out"];
    assert_eq!((&executed[1..7], executed.last()), (&head[..], Some(&"capabilities_snapshot")));
    assert_eq!(record["runs"], json!({"total": 2, "answered": 2, "rc_zero": 2, "skipped": 0}));
    let out = record["out_dir"].as_str().unwrap();
    let files: Vec<&str> =
        record["files"].as_array().unwrap().iter().map(|own| own["path"].as_str().unwrap()).collect();
    assert_eq!(files, [format!("{out}/run-matrix.json"), format!("{out}/run-matrix.table.txt")]);
    let report: Value = serde_json::from_slice(&place.bytes(&json!(files[0]))).unwrap();
    assert_eq!(report, record["stdout_json"]);
    assert_eq!(record["copy_error"], json!(null));
    // The leave was given where the app takes it, and not to the probe.
    assert_eq!(report["data"]["probe_argv"], json!([]));
    let keys: Vec<&str> = record.as_object().unwrap().keys().map(String::as_str).take(11).collect();
    let earlier = [
        "world_id",
        "entrypoint",
        "group",
        "out_dir",
        "source_out_dir_hint",
        "source_candidates",
        "copy_error",
        "command",
        "exit_code",
        "stdout",
        "stderr",
    ];
    assert_eq!(keys, earlier);
    let (ran, record) = place.record(&["run-matrix", "--group", "inject"], &[]);
    assert_eq!((ran.status, &record["runs"]["skipped"]), (0, &json!(1)), "{record:#}");
    // A leave that does not fit is told.
    let (ran, record) = place.record(&["run-matrix", "--group", "nobody"], &[]);
    assert_eq!((ran.status, &record["outcome"]), (1, &json!("refused")), "{ran:?}");
}

#[test]
fn static_evidence_is_kept() {
    let place = Place::new();
    let (ran, record) = place.record(&["bundle-evidence"], &[]);
    assert_eq!(ran.status, 0, "{ran:?} {record:#}");
    let files = record["files"].as_array().unwrap();
    let out = format!("{}/", record["out_dir"].as_str().unwrap());
    let names: Vec<&str> = files.iter().map(|own| own["path"].as_str().unwrap().strip_prefix(&out).unwrap()).collect();
    let expected = [
        "Evidence/manifest.json",
        "Evidence/profiles.json",
        "Evidence/symbols.json",
        "bundle_meta.json",
        "health-check.json",
        "list-profiles.json",
        "profiles/minimal.json",
        "verify-evidence.json",
    ];
    assert_eq!(names, expected);
    for file in files {
        let bytes = place.bytes(&file["path"]);
        assert_eq!(file["sha256"], runtime::base::digest::Sha256Hex::of(&bytes).to_string());
        assert_eq!(file["size_bytes"], bytes.len());
    }
    let (ran, record) =
        place.record(&["bundle-evidence", "--ack-risk", "fully_injectable"], &[("EJ_FAKE_FAULT", "verify-fails")]);
    assert_eq!((ran.status, words(&record["problems"])), (1, vec!["result_not_ok", "exit_nonzero"]));
    assert_eq!(record["exit_code"], 3);
    // A leave for somebody else: the profile stays out.
    let (ran, record) = place.record(&["bundle-evidence", "--ack-risk", "minimal"], &[]);
    assert_eq!((ran.status, words(&record["problems"])), (0, vec![]), "{record:#}");
}

#[test]
fn output_that_is_not_of_this_call_is_not_taken() {
    let place = Place::new();
    let matrix = ["run-matrix", "--group", "debug", "--timeout", "1", "--kill-after", "0.3"];
    // Where the app says it is, when that holds what it printed.
    let (ran, record) = place.record(&matrix, &[("EJ_FAKE_FAULT", "output-elsewhere")]);
    let hint = "$HOME/Library/Application Support/entitlement-jail/elsewhere";
    assert_eq!((ran.status, &record["source_out_dir_hint"]), (0, &json!(hint)), "{record:#}");
    assert_eq!(record["files"].as_array().unwrap().len(), 2);
    // What lies there from the call before is another report, however young.
    for (fault, why) in [("output-stale", "stale: "), ("no-output", "source_missing: ")] {
        let (ran, record) = place.record(&matrix, &[("EJ_FAKE_FAULT", fault)]);
        assert_eq!((ran.status, words(&record["problems"])), (1, vec!["output_missing"]), "{fault}: {record:#}");
        assert!(record["copy_error"].as_str().unwrap().starts_with(why), "{fault}: {}", record["copy_error"]);
        assert_eq!(record["files"], json!([]));
    }
    // An old file makes the whole directory old.
    let old = place.path("home/Library/Application Support/entitlement-jail/elsewhere/bundle_meta.json");
    std::fs::write(&old, "{}").unwrap();
    let hour = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    std::fs::File::options().write(true).open(&old).unwrap().set_modified(hour).unwrap();
    let (ran, record) = place.record(&["bundle-evidence"], &[("EJ_FAKE_FAULT", "output-stale")]);
    assert_eq!((ran.status, words(&record["problems"])), (1, vec!["output_missing"]), "{record:#}");
    // Exit status 0, and no probe answered.
    let (ran, record) = place.record(&matrix, &[("EJ_FAKE_FAULT", "runs-fail")]);
    assert_eq!((ran.status, &record["exit_code"], words(&record["problems"])), (1, &json!(0), vec!["runs_unanswered"]));
    for (fault, outcome) in
        [("hang", "timed_out"), ("ignore-term", "timed_out"), ("signal", "ended_by_signal"), ("noise", "no_answer")]
    {
        for command in [&matrix[..], &["bundle-evidence", "--timeout", "1", "--kill-after", "0.3"]] {
            let (ran, record) = place.record(command, &[("EJ_FAKE_FAULT", fault)]);
            assert_eq!((ran.status, &record["outcome"]), (1, &json!(outcome)), "{fault}: {record:#}");
        }
    }
}
