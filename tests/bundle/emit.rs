//! `emit-promotion`: exit codes, the packet's bytes, and what stands at `--out` after a refusal.

use serde_json::{Value, json};

use crate::support::{Hand, LINUX, Laid, MACOS, RUN, code, runtime, sha256, text};

fn emit(laid: &Laid, out: &str, more: &[&str]) -> std::process::Output {
    let out = laid.temp.path().join(out);
    let mut args = vec!["emit-promotion", "--bundle", laid.root.to_str().unwrap(), "--out", out.to_str().unwrap()];
    args.extend(more);
    runtime(&args)
}

#[test]
fn the_packet_has_the_formats_order_and_is_bound_to_content() {
    let mut hand = Hand::good(MACOS);
    hand.put_json("path_witnesses.json", &json!({"records": []}));
    let laid = hand.lay();
    let output = emit(&laid, "deep/er/p.json", &[]);
    assert_eq!(code(&output), 0, "{output:?}");
    let packet_text = text(&std::fs::read(laid.temp.path().join("deep/er/p.json")).unwrap());
    assert!(
        packet_text
            .starts_with("{\n  \"schema_version\": \"runtime-tools.promotion_packet.v0.2\",\n  \"run_manifest\"")
    );
    assert!(packet_text.ends_with('}'), "no trailing newline");
    let packet: Value = serde_json::from_str(&packet_text).unwrap();
    let keys: Vec<&str> = packet.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "schema_version",
        "run_manifest",
        "expected_matrix",
        "runtime_results",
        "runtime_events",
        "baseline_results",
        "oracle_results",
        "mismatch_packets",
        "summary",
        "promotability",
        "path_witnesses",
        "run_id",
        "world_id",
        "artifact_index",
        "artifact_index_sha256",
        "export_digests",
    ];
    assert_eq!(keys, expected);
    let inner: Vec<&str> = packet["promotability"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(inner, ["promotable_decision_stage", "reasons", "gating_inputs", "details", "linux_enforcement"]);
    assert_eq!(packet["run_manifest"], format!("out/{RUN}/run_manifest.json"));
    assert_eq!(packet["oracle_results"], format!("out/{RUN}/oracle_results.json"), "even when it is not there");
    assert_eq!((&packet["run_id"], &packet["world_id"]), (&json!(RUN), &json!(MACOS)));
    let digest = |name: &str| json!(sha256(&std::fs::read(laid.run.join(name)).unwrap()));
    assert_eq!(packet["artifact_index_sha256"], digest("artifact_index.json"));
    assert_eq!(packet["export_digests"]["runtime_results"], digest("runtime_results.json"));
    assert_eq!(packet["export_digests"]["path_witnesses"], digest("path_witnesses.json"));
    assert_eq!(packet["export_digests"]["oracle_results"], Value::Null);
    assert_eq!(
        packet["promotability"]["gating_inputs"],
        json!({"channel": "launchd_clean", "apply_preflight_present": true, "apply_ok": true,
               "sandbox_check_self": {"source": "sandbox_check", "rc": 0, "sandboxed": false}})
    );
}

#[test]
fn the_lines_people_and_scripts_read() {
    let laid = Hand::good(LINUX).lay();
    let out = laid.temp.path().join("p.json");
    let output = emit(&laid, "p.json", &[]);
    let expected =
        format!("[!] not promotable: ['not_macos']\n[+] wrote {}\n[+] linux_enforcement: promotable\n", out.display());
    assert_eq!((code(&output), text(&output.stdout)), (0, expected));
    let laid = Hand::good(MACOS).lay();
    let out = laid.temp.path().join("p.json");
    let expected = format!("[+] wrote {}\n[!] linux_enforcement: not promotable: ['not_linux']\n", out.display());
    assert_eq!(text(&emit(&laid, "p.json", &[]).stdout), expected);
}

#[test]
fn a_required_gate_that_is_shut_writes_nothing_and_says_what_stands_there() {
    let laid = Hand::good(LINUX).lay();
    let output = emit(&laid, "p.json", &["--require-promotable"]);
    assert_eq!(code(&output), 1);
    assert!(!laid.temp.path().join("p.json").exists());
    assert!(text(&output.stderr).contains("decision_stage: not promotable: ['not_macos']"), "{output:?}");
    assert!(!text(&output.stderr).contains("older file"), "{output:?}");
    assert!(output.stdout.is_empty());

    std::fs::write(laid.temp.path().join("p.json"), "older").unwrap();
    let output = emit(&laid, "p.json", &["--require", "decision_stage", "--require-promotable"]);
    assert_eq!(code(&output), 1);
    assert_eq!(std::fs::read(laid.temp.path().join("p.json")).unwrap(), b"older");
    assert!(text(&output.stderr).contains("an older file stands at"), "{output:?}");
    assert_eq!(text(&output.stderr).matches("not promotable").count(), 1, "asked twice, answered once: {output:?}");

    let output = emit(&laid, "p.json", &["--require", "linux_enforcement"]);
    assert_eq!(code(&output), 0, "{output:?}");
    assert_ne!(std::fs::read(laid.temp.path().join("p.json")).unwrap(), b"older");

    let output = emit(&laid, "p.json", &["--require", "linux_enforcement", "--require", "decision_stage", "--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((code(&output), &document["ok"], &document["shut"]), (1, &json!(false), &json!(["decision_stage"])));
    assert_eq!(document["wrote"], Value::Null);
    assert!(document["older_file"].as_str().unwrap().ends_with("p.json"));
    // No temporary file is left beside it.
    let names: Vec<_> = std::fs::read_dir(laid.temp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn the_linux_gate_shuts_with_its_reason() {
    for (change, reason) in [
        (
            (|h: &mut Hand| h.set("runtime_results.json", "/demo/probes/0/error", json!("died"))) as fn(&mut Hand),
            "rows_in_error",
        ),
        (|h| h.set("enforcement_report.json", "/world_rebound", json!(true)), "world_rebound"),
        (|h| h.set("enforcement_report.json", "/missing_layers", json!(["landlock"])), "linux_layers_missing"),
        (|h| h.set("mismatch_summary.json", "/mismatches", json!([{}])), "mismatches"),
    ] {
        let mut hand = Hand::good(LINUX);
        change(&mut hand);
        let laid = hand.lay();
        let output = emit(&laid, "p.json", &["--require", "linux_enforcement"]);
        assert_eq!(code(&output), 1, "{reason}");
        assert!(
            text(&output.stderr).contains(&format!("linux_enforcement: not promotable: ['{reason}']")),
            "{output:?}"
        );
        assert!(!laid.temp.path().join("p.json").exists());
    }
}

#[test]
fn no_bundle_is_no_answer() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("p.json");
    let empty = temp.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for bundle in [temp.path().join("nowhere"), empty] {
        let args = ["emit-promotion", "--bundle", bundle.to_str().unwrap(), "--out", out.to_str().unwrap()];
        let output = runtime(&args);
        assert_eq!(code(&output), 3, "{output:?}");
        assert!(text(&output.stderr).contains(bundle.to_str().unwrap()), "{output:?}");
        assert!(!out.exists());
    }
    let laid = Hand::good(LINUX).lay();
    std::fs::write(laid.root.join("LATEST"), "run-demo-2\n").unwrap();
    let output = emit(&laid, "p.json", &[]);
    assert_eq!(code(&output), 3, "{output:?}");
    assert!(text(&output.stderr).contains("committed runs there: run-demo-1"), "{output:?}");
}

#[test]
fn a_packet_never_becomes_part_of_its_bundle() {
    let laid = Hand::good(LINUX).lay();
    let other = laid.root.join("run-demo-2");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("run_status.json"), "{}").unwrap();
    let inside = ["p.json", "summary.md", "new/p.json", "runtime_profiles/p.json"].map(|name| laid.run.join(name));
    let around = ["LATEST", ".runtime.lock", "run-demo-2/p.json"].map(|name| laid.root.join(name));
    for out in inside.iter().chain(&around) {
        let args = ["emit-promotion", "--bundle", laid.root.to_str().unwrap(), "--out", out.to_str().unwrap()];
        let output = runtime(&args);
        assert_eq!(code(&output), 2, "{output:?}");
    }
    assert!(!laid.run.join("new").exists() && !laid.root.join(".runtime.lock").exists());
    assert_eq!(crate::support::validate(&laid.root).1["findings"], json!([]));
}

#[test]
fn an_uncommitted_run_gets_a_packet_that_vouches_for_nothing() {
    let laid = Hand::good(MACOS).lay();
    std::fs::remove_file(laid.run.join("artifact_index.json")).unwrap();
    assert_eq!(code(&emit(&laid, "p.json", &[])), 0);
    let packet: Value = serde_json::from_slice(&std::fs::read(laid.temp.path().join("p.json")).unwrap()).unwrap();
    assert_eq!(packet["promotability"]["reasons"], json!(["bundle_integrity_unverified"]));
    assert_eq!((&packet["artifact_index_sha256"], &packet["world_id"]), (&Value::Null, &Value::Null));
    assert!(packet["export_digests"].as_object().unwrap().values().all(Value::is_null), "{packet}");
}

#[test]
fn a_moved_bundle_gets_pointers_to_itself() {
    let laid = Hand::good(MACOS).lay();
    let elsewhere = laid.temp.path().join("other").join(RUN);
    std::fs::create_dir(laid.temp.path().join("other")).unwrap();
    std::fs::rename(&laid.run, &elsewhere).unwrap();
    let out = laid.temp.path().join("p.json");
    let args = ["emit-promotion", "--bundle", elsewhere.to_str().unwrap(), "--out", out.to_str().unwrap()];
    assert_eq!(code(&runtime(&args)), 0);
    let packet: Value = serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap();
    let manifest = std::path::PathBuf::from(packet["run_manifest"].as_str().unwrap());
    assert_eq!(manifest, elsewhere.canonicalize().unwrap().join("run_manifest.json"));
}

#[test]
fn only_a_regular_file_is_replaced() {
    let laid = Hand::good(LINUX).lay();
    let target = laid.temp.path().join("target");
    std::fs::write(&target, "older").unwrap();
    std::os::unix::fs::symlink(&target, laid.temp.path().join("p.json")).unwrap();
    let output = emit(&laid, "p.json", &[]);
    assert_eq!(code(&output), 3, "{output:?}");
    assert!(text(&output.stderr).contains("symbolic link"), "{output:?}");
    assert_eq!(std::fs::read(&target).unwrap(), b"older");
    std::fs::create_dir(laid.temp.path().join("d")).unwrap();
    assert_eq!(code(&emit(&laid, "d", &[])), 3);
}
