//! Nothing but a job that launchd started is the clean channel, whatever the environment says.
//!
//! That a bundle with every fact true is promotable, and that each fact alone shuts the gate, is judged over all combinations
//! in `tests/promotion/matrix.rs`.

use std::process::Command;

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::suite::{RUNTIME, expect, runtime, text};

/// What the earlier tool believed.
const OLD_VARIABLES: [(&str, &str); 5] = [
    ("SANDBOX_LORE_CHANNEL", "launchd_clean"),
    ("SANDBOX_LORE_LAUNCHD_CLEAN", "1"),
    ("SANDBOX_LORE_STAGE_USED", "1"),
    ("SANDBOX_LORE_STAGE_ROOT", "/private/tmp/stage"),
    ("SANDBOX_LORE_STAGE_OUTPUT_ROOT", "/private/tmp/stage/out"),
];

#[test]
fn the_old_variables_do_not_make_a_direct_run_a_clean_one() {
    let bench = Bench::new();
    let (plan, out) = (bench.suite.write(), bench.suite.out());
    let output = Command::new(RUNTIME)
        .args(["run", "--plan", plan.to_str().unwrap(), "--out", out.to_str().unwrap()])
        .envs(OLD_VARIABLES)
        .output()
        .unwrap();
    expect(&output, 0);
    let manifest = bench.suite.document("run_manifest.json");
    assert_eq!((&manifest["channel"], &manifest["stage_used"]), (&json!("direct"), &json!(false)));
    assert_eq!(manifest.get("clean_start"), None);
    let packet = bench.suite.path().join("packet.json");
    let packet_text = packet.to_str().unwrap();
    let args = ["emit-promotion", "--bundle", out.to_str().unwrap(), "--out", packet_text];
    expect(&runtime(&args), 0);
    let packet: Value = serde_json::from_slice(&std::fs::read(&packet).unwrap()).unwrap();
    assert_eq!(packet["promotability"]["promotable_decision_stage"], false);
    let reasons = packet["promotability"]["reasons"].as_array().unwrap();
    assert!(reasons.contains(&json!("not_clean_channel")), "{reasons:?}");
}

#[test]
fn the_old_variables_do_not_replace_launchd() {
    let bench = Bench::new();
    let (plan, out) = (bench.suite.write(), bench.suite.out());
    let output = Command::new(RUNTIME)
        .args(["run", "--channel", "launchd_clean", "--plan", plan.to_str().unwrap(), "--out", out.to_str().unwrap()])
        .envs(OLD_VARIABLES)
        .output()
        .unwrap();
    expect(&output, 1);
    assert!(text(&output).contains("/bin/launchctl") && !out.exists(), "{}", text(&output));
}

/// A stage made by hand, with the document of a job that no stand-in took part in.
fn by_hand(variables: &[(&str, &str)]) -> (i32, Value) {
    let bench = Bench::new();
    let plan = bench.suite.write();
    let output = runtime(&["run", "--plan", plan.to_str().unwrap(), "--channel", "launchd_clean", "--print-job"]);
    let mut job = Bench::answer(&output)["job"].clone();
    let stage = bench.suite.path().join("stage");
    std::fs::create_dir_all(stage.join("state")).unwrap();
    job["stage_root"] = json!(stage);
    job["label"] = json!("label");
    std::fs::write(stage.join("job.json"), job.to_string()).unwrap();
    let output = Command::new(RUNTIME)
        .arg("__launchd-job")
        .arg(stage.join("job.json"))
        // What runs the tests sets it.
        .env_remove("LD_LIBRARY_PATH")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let record = std::fs::read(stage.join("state/finished.json")).unwrap();
    assert!(!bench.suite.out().exists());
    (output.status.code().unwrap(), serde_json::from_slice(&record).unwrap())
}

#[test]
fn a_job_that_somebody_else_starts_finds_its_start_unclean_and_runs_nothing() {
    let (code, record) = by_hand(&[]);
    assert_eq!((code, &record["outcome"]), (1, &json!("not_clean")));
    assert_eq!(record["not_clean"], json!(["other_job", "parent_not_launchd"]));
    let (code, record) = by_hand(&[("XPC_SERVICE_NAME", "label")]);
    assert_eq!((code, &record["not_clean"]), (1, &json!(["parent_not_launchd"])));
}
