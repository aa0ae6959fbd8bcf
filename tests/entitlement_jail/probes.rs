//! `run-xpc` from the command line to the record.

use serde_json::{Value, json};

use crate::support::{Place, words};

#[test]
fn a_probe_leaves_a_record_with_everything_the_app_said() {
    let place = Place::new();
    let (ran, record) = place.record(
        &[
            "run-xpc",
            "--profile",
            "minimal",
            "--log",
            "stat.log",
            "--row-id",
            "row 1",
            "--correlation-id",
            "c-1",
            "fs_op",
            "--op",
            "stat",
        ],
        &[],
    );
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("outcome   completed\n"), "{}", ran.stdout);
    // The keys of the earlier tool, in its order.
    let keys: Vec<&str> = record.as_object().unwrap().keys().map(String::as_str).take(28).collect();
    let earlier = [
        "profile_id",
        "service_id",
        "probe_id",
        "probe_args",
        "plan_id",
        "row_id",
        "log_capture_mode",
        "log_capture_log_name",
        "log_capture_requested_mode",
        "started_at_unix_s",
        "finished_at_unix_s",
        "duration_s",
        "log_path",
        "log_capture_source",
        "log_copy_error",
        "embedded_observer_source",
        "embedded_observer_log_path",
        "embedded_observer_copy_error",
        "embedded_observer_status",
        "observer",
        "observer_status",
        "command",
        "exit_code",
        "stdout",
        "stderr",
        "stdout_json",
        "command_executed",
        "exit_status",
    ];
    assert_eq!(keys, earlier);
    let executed = words(&record["command_executed"]);
    let log = executed[3].to_owned();
    let cli = place.path("book/tools/entitlement/EntitlementJail.app/Contents/MacOS/entitlement-jail");
    let observe = ["--observe", "--observer-duration", "2", "--observer-format", "json", "--observer-output", "auto"];
    let head = [cli.to_str().unwrap(), "run-xpc", "--log-stream", &log];
    let tail = [
        "--plan-id",
        "entitlement-jail",
        "--row-id",
        "row 1",
        "--correlation-id",
        "c-1",
        "--profile",
        "minimal",
        "fs_op",
        "--op",
        "stat",
    ];
    assert_eq!(executed, [&head[..], &observe, &tail].concat());
    assert_eq!(words(&record["command"])[1], "run-xpc");
    // What the app wrote is in the records directory, byte by byte.
    let report: Value = serde_json::from_slice(&place.bytes(&record["log_path"])).unwrap();
    assert_eq!(report["kind"], "sandbox_log_stream_report");
    let report: Value = serde_json::from_slice(&place.bytes(&record["embedded_observer_log_path"])).unwrap();
    assert_eq!(report["kind"], "sandbox_log_observer_report");
    assert!(record["embedded_observer_source"].as_str().unwrap().starts_with("$HOME/Library/Application Support/"));
    assert_eq!(place.bytes(&record["stdout_file"]), record["stdout"].as_str().unwrap().as_bytes());
    assert_eq!(record["stdout_json"]["kind"], "probe_response");
    for (key, expected) in [
        ("outcome", json!("completed")),
        ("problems", json!([])),
        ("exit_code", json!(0)),
        ("signal", json!(null)),
        ("log_copy_error", json!(null)),
        ("log_capture_mode", json!("stream")),
        ("observer", json!(null)),
        ("observer_status", json!("embedded:requested_written")),
        ("correlation_id", json!("c-1")),
        ("process_name", json!("ProbeService_minimal")),
        // On macOS the default place is that of the real app.
        ("stand_in_tools", if cfg!(target_os = "macos") { json!([]) } else { json!(["EntitlementJail.app"]) }),
    ] {
        assert_eq!(record[key], expected, "{key}");
    }
    assert_eq!(record["deny_evidence"], json!({"verdict": "not_found", "denied": []}));
    assert_eq!(record["observer_sources"][0]["healthy"], true);
}

#[test]
fn nothing_of_it_can_be_promoted() {
    let place = Place::new();
    place.record(&["run-xpc", "--profile", "minimal", "fs_op"], &[]);
    let words = ["emit-promotion", "--bundle", "out", "--out", "packet.json", "--require-promotable"];
    let ran = place.run(&words, &[]);
    assert_ne!(ran.status, 0, "{ran:?}");
    assert!(!place.path("packet.json").exists());
}

#[test]
fn a_log_in_the_container_of_the_service_is_fetched_from_there() {
    let place = Place::new();
    let command = ["run-xpc", "--profile", "minimal", "--log", "deep/a b.log", "world_shape"];
    let (ran, record) = place.record(&command, &[("EJ_LOG_MODE", "path_class")]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(record["log_capture_log_name"], "a_b.log");
    let source = "$HOME/Library/Containers/com.yourteam.entitlement-jail.ProbeService_minimal/Data/tmp/a_b.log";
    assert_eq!(record["log_capture_source"], source);
    assert!(record["log_path"].as_str().unwrap().ends_with("/logs/deep/a b.log"));
    assert!(!place.bytes(&record["log_path"]).is_empty());
    // The log of an earlier call that still lies there is not taken for that of this one.
    let old = place.path("home").join(source.trim_start_matches("$HOME/"));
    let hour = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    std::fs::File::options().write(true).open(&old).unwrap().set_modified(hour).unwrap();
    let (ran, record) = place.record(&command, &[("EJ_LOG_MODE", "path_class"), ("EJ_FAKE_FAULT", "no-log")]);
    assert_eq!((ran.status, words(&record["problems"])), (0, vec!["log_missing"]));
    assert!(record["log_copy_error"].as_str().unwrap().starts_with("stale: "), "{}", record["log_copy_error"]);
}

#[test]
fn services_tiers_and_refusals() {
    let place = Place::new();
    let service = "com.yourteam.entitlement-jail.ProbeService_minimal";
    let (_, record) = place.record(&["run-xpc", "--service", service, "fs_op"], &[]);
    let executed = words(&record["command_executed"]);
    assert_eq!((executed[executed.len() - 2], &record["profile_id"]), (service, &json!(null)));
    let inject = ["run-xpc", "--profile", "fully_injectable", "fs_op"];
    let (ran, record) = place.record(&inject, &[]);
    assert_eq!((ran.status, &record["outcome"], &record["exit_code"]), (1, &json!("refused"), &json!(2)));
    assert_eq!(record["stdout_json_error"], "stdout_empty");
    let acknowledged = ["run-xpc", "--ack-risk", "fully_injectable", "--profile", "fully_injectable", "fs_op"];
    let (ran, record) = place.record(&acknowledged, &[]);
    assert_eq!((ran.status, &record["outcome"]), (0, &json!("completed")));
    // A probe that the sandbox refuses something is an answer, and the answer is no.
    let (ran, record) = place.record(&["run-xpc", "--profile", "minimal", "denied"], &[]);
    assert_eq!((ran.status, &record["outcome"]), (1, &json!("failed")));
    assert_eq!(words(&record["problems"]), ["result_not_ok", "exit_nonzero"]);
    for bad in [
        &["run-xpc", "fs_op"][..],
        &["run-xpc", "--profile", "minimal"],
        &["run-xpc", "--profile", "minimal", "--log", "../x", "fs_op"],
        &["run-xpc", "--profile", "minimal", "fs_op", "--ack-risk", "x"],
        &["run-xpc", "--profile", "minimal", "--observer", "sometimes", "fs_op"],
        &["run-xpc", "--profile", "minimal", "--timeout", "0", "fs_op"],
    ] {
        let ran = place.run(&[&["entitlement-jail"], bad].concat(), &[]);
        assert_eq!(ran.status, 2, "{bad:?}: {ran:?}");
    }
}

#[test]
fn variables_are_read_and_options_win() {
    let place = Place::new();
    let run = ["entitlement-jail", "run-xpc", "--profile", "minimal", "fs_op"];
    for (variable, value) in [
        ("EJ_LOG_MODE", "steam"),
        ("EJ_LOG_OBSERVER", "off"),
        ("EJ_LOG_PAD_S", "NaN"),
        ("EJ_LOG_OBSERVER_DURATION_S", "soon"),
        ("EJ_LOG_OBSERVER_FORMAT", "xml"),
        ("EJ_LOG_OBSERVER_FOLLOW", "2"),
    ] {
        let ran = place.run(&run, &[(variable, value)]);
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.stderr.starts_with(&format!("error: {variable}: {value:?} is not ")), "{}", ran.stderr);
    }
    assert!(!place.path("out").exists(), "nothing is written before the arguments are right");
    let words_of = |words: &[&str], env: &[(&str, &str)]| {
        let (ran, record) = place.record(words, env);
        assert_eq!(ran.status, 0, "{ran:?}");
        crate::support::words(&record["command_executed"])[2..].join(" ")
    };
    let tail = "--plan-id entitlement-jail --row-id fs_op --profile minimal fs_op";
    let env = [("EJ_LOG_OBSERVER_DURATION_S", "0.5"), ("EJ_LOG_OBSERVER_FORMAT", ""), ("EJ_LOG_OBSERVER_OUTPUT", "")];
    assert_eq!(words_of(&run[1..], &env), format!("--observe --observer-duration 0.5 {tail}"));
    let options =
        ["run-xpc", "--observer-duration-s", "0", "--observer-format", "json", "--profile", "minimal", "fs_op"];
    assert_eq!(words_of(&options, &env), format!("--observe --observer-format json {tail}"));
    let follow = [("EJ_LOG_OBSERVER_FOLLOW", "1"), ("EJ_LOG_OBSERVER_OUTPUT", "")];
    assert_eq!(words_of(&run[1..], &follow), format!("--observe --observer-follow --observer-format json {tail}"));
    // A wrong variable does no harm where an option stands in its place.
    let over = ["run-xpc", "--observer", "disabled", "--profile", "minimal", "fs_op"];
    assert_eq!(words_of(&over, &[("EJ_LOG_OBSERVER", "off")]), tail);
}

#[test]
fn an_app_elsewhere_and_one_that_is_not_there() {
    let place = Place::new();
    std::fs::rename(place.path("book/tools/entitlement/EntitlementJail.app"), place.path("My App.app")).unwrap();
    let ran = place.run(&["entitlement-jail", "run-xpc", "--profile", "minimal", "fs_op"], &[]);
    assert_eq!(ran.status, 3);
    assert!(ran.stderr.contains("EntitlementJail.app/Contents/MacOS/entitlement-jail"), "{}", ran.stderr);
    for (words, env) in [
        (&["run-xpc", "--app", "My App.app", "--profile", "minimal", "fs_op"][..], &[][..]),
        (&["run-xpc", "--profile", "minimal", "fs_op"], &[("EJ_APP", "My App.app")]),
    ] {
        let (ran, record) = place.record(words, env);
        assert_eq!(ran.status, 0, "{ran:?}");
        assert_eq!(
            crate::support::words(&record["command_executed"])[0],
            place.path("My App.app/Contents/MacOS/entitlement-jail").to_str().unwrap()
        );
    }
    // One that cannot be started is a record.
    let program = place.path("My App.app/Contents/MacOS/entitlement-jail");
    std::fs::remove_file(&program).unwrap();
    std::fs::write(&program, "no program").unwrap();
    let (ran, record) = place.record(&["run-xpc", "--app", "My App.app", "--profile", "minimal", "fs_op"], &[]);
    assert_eq!((ran.status, &record["outcome"]), (3, &json!("not_started")));
    assert!(record["error"].as_str().unwrap().starts_with("cannot start "), "{record:#}");
    assert!(record.get("exit_code").is_none() && record.get("stdout").is_none());
}

#[test]
fn the_json_form_holds_the_record() {
    let place = Place::new();
    let (ran, record) = place.record(&["run-xpc", "--json", "--profile", "minimal", "fs_op"], &[]);
    let told = ran.json();
    assert_eq!((&told["ok"], &told["outcome"], &told["record"]), (&json!(true), &json!("completed"), &record));
}
