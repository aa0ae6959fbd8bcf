//! Who is asked what the sandbox refused, and what is believed.

use serde_json::{Value, json};

use crate::support::{Place, words};

/// `EJ_LOG_MODE` x `EJ_LOG_OBSERVER` x observer there or not x report in the answer or not.
#[test]
fn every_combination_asks_whom_it_should() {
    let mut count = 0;
    for observer_there in [true, false] {
        let place = if observer_there { Place::new() } else { Place::new().without_observer() };
        for mode in ["stream", "path_class", "sandbox"] {
            for observer in ["embedded", "external", "always", "disabled"] {
                for report in [true, false] {
                    let fault = if report { "report-anyway" } else { "no-report" };
                    let env = [("EJ_LOG_MODE", mode), ("EJ_LOG_OBSERVER", observer), ("EJ_FAKE_FAULT", fault)];
                    let (ran, record) = place.record(&["run-xpc", "--profile", "minimal", "--log", "l", "fs_op"], &env);
                    let case = format!("{mode} {observer}, observer {observer_there}, report {report}: {record:#}");
                    assert_eq!(ran.status, 0, "{case}");
                    let executed = words(&record["command_executed"]);
                    // What the app is told.
                    let off = observer == "disabled";
                    let asks_app = matches!(observer, "embedded" | "always");
                    assert_eq!(executed.contains(&"--observe"), asks_app, "{case}");
                    assert_eq!(executed.iter().any(|word| word.starts_with("--observer-")), asks_app, "{case}");
                    let stream = !off && mode != "path_class";
                    assert_eq!(executed.contains(&"--log-stream"), stream, "{case}");
                    assert_eq!(executed.contains(&"--log-path-class"), !off && mode == "path_class", "{case}");
                    let captured = if mode == "path_class" { "path_class" } else { "stream" };
                    let expected = if off { json!(null) } else { json!(captured) };
                    assert_eq!(
                        (&record["log_capture_mode"], &record["log_capture_requested_mode"]),
                        (&expected, &json!(mode))
                    );
                    let why = if off { json!("capture_disabled") } else { json!(null) };
                    assert_eq!(record["log_copy_error"], why, "{case}");
                    // Whether the answer holds a report, and who is asked afterwards.
                    assert_eq!(record["stdout_json"]["data"].get("log_observer_report").is_some(), report, "{case}");
                    let asks_observer = observer == "always" || (observer == "external" && !report);
                    match (asks_observer, observer_there) {
                        (false, _) => assert_eq!(record["observer"], json!(null), "{case}"),
                        (true, true) => assert_eq!(record["observer"]["exit_code"], 0, "{case}"),
                        (true, false) => assert_eq!(record["observer"]["skipped"], "observer_missing", "{case}"),
                    }
                    // What follows from all that.
                    let healthy = report || (asks_observer && observer_there);
                    let asked = report || record["stdout_json"]["data"]["log_observer_status"] == "requested_failed";
                    let verdict = match (healthy, asked || asks_observer) {
                        (true, _) => "not_found",
                        (false, true) => "log_error",
                        (false, false) => "not_captured",
                    };
                    assert_eq!(record["deny_evidence"]["verdict"], verdict, "{case}");
                    count += 1;
                }
            }
        }
    }
    assert_eq!(count, 3 * 4 * 2 * 2);
}

#[test]
fn nobody_observes_when_it_is_disabled() {
    let place = Place::new();
    let env = [("EJ_LOG_OBSERVER", "disabled"), ("EJ_FAKE_FAULT", "deny")];
    let (ran, record) = place.record(&["run-xpc", "--profile", "minimal", "--log", "l", "fs_op"], &env);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(record["deny_evidence"], json!({"verdict": "not_captured", "denied": []}));
    assert_eq!((&record["observer_sources"], &record["log_path"]), (&json!([]), &json!(null)));
    // The app was asked for nothing that makes it observe.
    assert_eq!(record["stdout_json"]["data"]["log_observer_status"], "not_requested");
}

#[test]
fn a_refusal_counts_once_the_system_says_so_about_this_process() {
    let place = Place::new();
    let run = ["run-xpc", "--profile", "minimal", "--observer", "always", "fs_op"];
    let (ran, record) = place.record(&run, &[("EJ_FAKE_FAULT", "banner")]);
    assert_eq!(ran.status, 0, "{ran:?}");
    // The observer takes the banner for a refusal; it is none.
    assert_eq!(record["observer_sources"][0]["observed_deny"], true);
    assert_eq!(record["observer_sources"][0]["other_lines"], 1);
    assert_eq!(record["deny_evidence"], json!({"verdict": "not_found", "denied": []}));
    let (ran, record) = place.record(&run, &[("EJ_FAKE_FAULT", "banner,deny")]);
    assert_eq!(record["deny_evidence"]["verdict"], "captured");
    let denied = record["deny_evidence"]["denied"].as_array().unwrap();
    let sources: Vec<&str> = denied.iter().map(|own| own["source"].as_str().unwrap()).collect();
    assert_eq!(sources, ["embedded", "external"]);
    for own in denied {
        assert_eq!((&own["operation"], &own["argument"]), (&json!("file-read-data"), &json!("/etc/hosts")));
        assert_eq!(own["pid"].to_string(), record["service_pid"].as_str().unwrap());
    }
    assert!(ran.stdout.contains("denied    captured\n  file-read-data /etc/hosts (embedded)\n"), "{}", ran.stdout);
}

#[test]
fn the_window_is_padded_local_time() {
    let place = Place::new();
    let window = |words: &[&str], env: &[(&str, &str)]| {
        let all = [&["observe", "--pid", "42", "--process-name", "P x"], words].concat();
        let (ran, record) = place.record(&all, env);
        assert_eq!(ran.status, 0, "{ran:?}");
        let executed = crate::support::words(&record["observer"]["command_executed"]);
        (executed[5..].join(" "), record)
    };
    let range = ["--start", "1900000000.9", "--end", "1900000002.2"];
    let (asked, record) = window(&range, &[]);
    assert_eq!(asked, "--start 2030-03-17 17:46:38 --end 2030-03-17 17:46:44");
    assert_eq!(record["observer"]["observer_window_mode"], "range");
    assert_eq!(record["observer"]["observer_window_pad_s"], 2.0);
    // Whole seconds, the fraction cut off on both ends.
    let (asked, _) = window(&range, &[("TZ", "EST5"), ("EJ_LOG_PAD_S", "0.5")]);
    assert_eq!(asked, "--start 2030-03-17 12:46:40 --end 2030-03-17 12:46:42");
    let (asked, record) = window(&[], &[("EJ_LOG_LAST", "3m")]);
    assert_eq!((asked.as_str(), &record["observer"]["observer_window_last"]), ("--last 3m", &json!("3m")));
    let (asked, _) =
        window(&["--plan-id", "p", "--row-id", "r", "--correlation-id", "c", "--observer-last", "1s"], &[]);
    assert_eq!(asked, "--last 1s --plan-id p --row-id r --correlation-id c");
    let all = [&["observe", "--pid", "42", "--process-name", "P", "--observer-pad-s", "-5"], &range[..]].concat();
    let (ran, record) = place.record(&all, &[]);
    assert_eq!((ran.status, &record["observer_status"]), (3, &json!("skipped:empty_window")));
    // A probe is asked about from its start to its end, with two seconds more on both sides.
    let (_, record) = place.record(&["run-xpc", "--profile", "minimal", "--observer", "always", "fs_op"], &[]);
    let observer = &record["observer"];
    let at = |key: &str| record[key].as_f64().unwrap();
    let shown =
        |at: f64| jiff::Timestamp::from_second(at.floor() as i64).unwrap().strftime("%Y-%m-%d %H:%M:%S").to_string();
    assert_eq!(observer["observer_window_start"], shown(at("started_at_unix_s") - 2.0));
    assert_eq!(observer["observer_window_end"], shown(at("finished_at_unix_s") + 2.0));
    assert_eq!(observer["pid"], record["service_pid"]);
}

#[test]
fn an_observer_that_fails_is_no_evidence_that_nothing_was_refused() {
    let place = Place::new();
    let observe = ["observe", "--pid", "42", "--process-name", "P", "--observer-timeout", "2", "--kill-after", "0.2"];
    for (fault, outcome, reason) in [
        ("observer-not-ok", "failed", "result_not_ok"),
        ("observer-noise", "no_answer", "stdout_not_json"),
        ("observer-hang", "timed_out", "timed_out"),
    ] {
        let (ran, record) = place.record(&observe, &[("EJ_FAKE_FAULT", fault)]);
        assert_eq!((ran.status, &record["outcome"]), (1, &json!(outcome)), "{fault}: {record:#}");
        assert_eq!(record["deny_evidence"]["verdict"], "log_error", "{fault}");
        assert!(words(&record["observer_sources"][0]["reasons"]).contains(&reason), "{fault}: {record:#}");
        assert!(ran.took.as_secs_f64() < 10.0, "{:?}", ran.took);
    }
    // Its exit status is 0 even then.
    let (_, record) = place.record(&observe, &[("EJ_FAKE_FAULT", "observer-not-ok")]);
    assert_eq!((&record["observer"]["exit_code"], &record["observer_status"]), (&json!(0), &json!("ok")));
    let place = place.without_observer();
    let (ran, record) = place.record(&observe, &[]);
    assert_eq!((ran.status, &record["observer"]["skipped"]), (3, &json!("observer_missing")));
    assert_eq!(
        record["observer"]["observer_path"],
        "book/tools/entitlement/EntitlementJail.app/Contents/MacOS/sandbox-log-observer"
    );
    for bad in [
        &["--pid", "0", "--process-name", "P"][..],
        &["--pid", "1"],
        &["--pid", "1", "--process-name", "P", "--start", "1"],
    ] {
        assert_eq!(place.run(&[&["entitlement-jail", "observe"], bad].concat(), &[]).status, 2, "{bad:?}");
    }
    let _: Value = record;
    let earlier = std::fs::read(place.path("out/LATEST")).unwrap();
    std::fs::remove_dir_all(place.path("book")).unwrap();
    let words: Vec<&str> = ["entitlement-jail"].into_iter().chain(observe.iter().copied()).collect();
    let ran = place.run(&words, &[]);
    assert_eq!(ran.status, 3, "{ran:?}");
    assert!(ran.stderr.contains("there is no app at"), "{ran:?}");
    assert_eq!(std::fs::read(place.path("out/LATEST")).unwrap(), earlier);
}
