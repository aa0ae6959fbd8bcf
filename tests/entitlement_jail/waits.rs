//! Probes that are held back: the trigger, what goes wrong with it, and what is left of it.

use std::os::fd::AsFd as _;

use serde_json::json;

use crate::support::{Place, words};

const LIMITS: [&str; 8] = ["--timeout", "8", "--kill-after", "0.3", "--trigger-timeout", "5", "--profile", "minimal"];

#[test]
fn a_pipe_that_is_made_late_is_triggered_once() {
    let place = Place::new();
    // Any characters: blanks, quotes, a line break, letters beyond ASCII, what a shell would read.
    for name in ["go", "a b  c", "q'\"$(x);&", "l\nine", "é=ü wait_path=x"] {
        let path = place.path(name);
        let path = path.to_str().unwrap();
        let all = [&["wait-xpc"], &LIMITS[..], &["--wait-fifo", path, "--wait-create", "world_shape"]].concat();
        let (ran, record) = place.record(&all, &[("EJ_FAKE_FIFO_DELAY_MS", "700")]);
        assert_eq!((ran.status, &record["outcome"]), (0, &json!("completed")), "{name:?}: {record:#}");
        let events = record["trigger_events"].as_array().unwrap();
        assert_eq!((events.len(), &events[0]["kind"], &events[0]["error"]), (1, &json!("primary"), &json!(null)));
        // It was not there yet when the app said that it waits.
        assert!(events[0]["attempts"].as_u64().unwrap() > 1, "{name:?}: {record:#}");
        assert_eq!((&record["wait_path"], &record["wait_mode"]), (&json!(path), &json!("fifo")));
        assert_eq!(record["removed_trigger"], path);
        assert_eq!(words(&record["wait_args"]), ["--wait-fifo", path, "--wait-create"]);
        assert_eq!((&record["process_timeout_s"], &record["wait_ready_timeout_s"]), (&json!(8.0), &json!(15.0)));
    }
}

#[test]
fn a_pipe_of_the_user_stays_his() {
    let place = Place::new();
    let parent = std::fs::File::open(place.path("")).unwrap();
    runtime::os::fifo::make_at(parent.as_fd(), "own.fifo", 0o600).unwrap();
    let path = place.path("own.fifo");
    let all = [&["wait-xpc"], &LIMITS[..], &["--wait-fifo", path.to_str().unwrap(), "fs_op"]].concat();
    let (ran, record) = place.record(&all, &[]);
    assert_eq!((ran.status, &record["removed_trigger"]), (0, &json!(null)), "{record:#}");
    assert!(runtime::os::fifo::is_fifo(&path));
}

#[test]
fn attaching_names_the_pipe_of_this_call() {
    let place = Place::new();
    let all = [&["wait-xpc"], &LIMITS[..], &["--attach", "2", "--hold-open", "0", "--correlation-id", "c-7", "fs_op"]]
        .concat();
    let (ran, record) = place.record(&all, &[]);
    assert_eq!((ran.status, &record["outcome"]), (0, &json!("completed")), "{record:#}");
    assert!(record["wait_path"].as_str().unwrap().ends_with("/Data/tmp/ej-attach-c-7.fifo"));
    assert_eq!((&record["correlation_id"], &record["wait_timeout_ms"]), (&json!("c-7"), &json!(null)));
    // What the app was told counts into the limit: twice the seconds of an attach, and a margin.
    assert_eq!(record["process_timeout_s"], 9.0);
    // Without an answer the id comes from what the app said while it ran.
    let limits = ["--timeout", "0.5", "--kill-after", "0.3", "--trigger-timeout", "0.3", "--wait-ready-timeout", "0.3"];
    let wait = ["--wait-fifo", "/nonexistent/x", "--correlation-id", "c-8", "--profile", "minimal", "fs_op"];
    let (_, record) = place.record(&[&["wait-xpc"], &limits[..], &wait].concat(), &[("EJ_FAKE_FAULT", "hang")]);
    assert_eq!((&record["correlation_id"], &record["outcome"]), (&json!("c-8"), &json!("timed_out")));
}

#[test]
fn a_path_is_made_to_exist_and_taken_away_again() {
    let place = Place::new();
    let path = place.path("new/go");
    let path_text = path.to_str().unwrap();
    let all = [
        &["wait-xpc"],
        &LIMITS[..],
        &["--wait-exists", path_text, "--wait-interval-ms", "20", "--trigger-delay", "0.1", "fs_op"],
    ]
    .concat();
    let (ran, record) = place.record(&all, &[]);
    assert_eq!((ran.status, &record["wait_mode"]), (0, &json!("exists")), "{record:#}");
    let gap =
        record["trigger_events"][0]["at_unix_s"].as_f64().unwrap() - record["wait_ready_at_unix_s"].as_f64().unwrap();
    assert!(gap >= 0.09, "{gap}");
    assert!(!path.exists());
    // One that stands there already is what the app waits for, and stays as it is.
    let own = place.path("own");
    std::fs::write(&own, "mine").unwrap();
    let all = [&["wait-xpc"], &LIMITS[..], &["--wait-exists", own.to_str().unwrap(), "fs_op"]].concat();
    let (ran, record) = place.record(&all, &[]);
    assert_eq!((ran.status, &record["removed_trigger"]), (0, &json!(null)), "{record:#}");
    assert_eq!(std::fs::read(&own).unwrap(), b"mine");
    let class =
        [&["wait-xpc"], &LIMITS[..], &["--wait-path-class", "tmp", "--wait-name", "a b", "--wait-create", "fs_op"]]
            .concat();
    let (ran, record) = place.record(&class, &[]);
    assert_eq!(ran.status, 0, "{record:#}");
    assert!(record["wait_path"].as_str().unwrap().ends_with("/Data/tmp/a b"));
    for bad in [&["fs_op"][..], &["--wait-fifo", "/x", "--wait-exists", "/y", "fs_op"], &["--wait-name", "x", "fs_op"]]
    {
        let all = [&["entitlement-jail", "wait-xpc"], &LIMITS[..], bad].concat();
        assert_eq!(place.run(&all, &[]).status, 2, "{bad:?}");
    }
}

#[test]
fn a_probe_that_waits_by_itself_is_triggered() {
    let place = Place::new();
    let path = place.path("go");
    let probe = ["fs_op_wait", "--wait-fifo", path.to_str().unwrap(), "--wait-create", "--wait-timeout-ms", "4000"];
    let all = [&["probe-wait"], &LIMITS[..], &["--post-trigger", "--post-trigger-delay", "0.05"], &probe[..]].concat();
    let (ran, record) = place.record(&all, &[]);
    assert_eq!((ran.status, &record["outcome"]), (0, &json!("completed")), "{record:#}");
    assert_eq!((&record["wait_args_source"], &record["wait_ready_timeout_s"]), (&json!("probe_args"), &json!(10.0)));
    assert_eq!((&record["wait_timeout_ms"], &record["process_timeout_s"]), (&json!(4000), &json!(9.0)));
    assert!(record.get("wait_args").is_none());
    let kinds: Vec<&str> =
        record["trigger_events"].as_array().unwrap().iter().map(|own| own["kind"].as_str().unwrap()).collect();
    // The second one comes too late for an app that has ended by then.
    assert!(kinds == ["primary", "post"] || kinds == ["primary"], "{kinds:?}");
}

#[test]
fn a_wait_that_cannot_be_triggered_ends_and_says_why() {
    let place = Place::new();
    let path = place.path("go");
    let declared = ["--wait-fifo", path.to_str().unwrap(), "--wait-create", "--wait-timeout-ms", "2500"];
    let ready = ["--wait-ready-timeout", "0.4"];
    for (fault, outcome, status, problem) in [
        ("no-fifo", "not_triggered", 1, "trigger_failed"),
        ("fifo-unopened", "not_triggered", 1, "trigger_failed"),
        ("hang", "timed_out", 1, "trigger_failed"),
        ("ignore-term", "timed_out", 1, "trigger_failed"),
        ("wait-silent", "completed", 0, ""),
        ("signal", "ended_by_signal", 1, "trigger_failed"),
        ("bad-utf8", "no_answer", 1, "stdout_not_utf8"),
        ("big-stderr", "completed", 0, ""),
    ] {
        let limits = ["--timeout", "0.5", "--kill-after", "0.3", "--trigger-timeout", "1", "--profile", "minimal"];
        let declared = if matches!(fault, "hang" | "ignore-term") { &declared[..3] } else { &declared[..] };
        let all = [&["wait-xpc"], &limits[..], &ready, declared, &["fs_op"]].concat();
        let (ran, record) = place.record(&all, &[("EJ_FAKE_FAULT", fault)]);
        assert_eq!((ran.status, &record["outcome"]), (status, &json!(outcome)), "{fault}: {record:#}");
        let problems = words(&record["problems"]);
        assert!(problem.is_empty() || problems.contains(&problem), "{fault}: {problems:?}");
        assert!(ran.took.as_secs_f64() < 15.0, "{fault}: {:?}", ran.took);
        match fault {
            "no-fifo" => assert!(record["trigger_events"][0]["error"].as_str().unwrap().contains("No such file")),
            "signal" => assert_eq!(record["wait_info"]["trigger_skipped"], "process_exited"),
            "wait-silent" => assert_eq!(record["wait_info"]["wait_ready_timeout_s"], 0.4),
            "hang" => assert_eq!(record["wait_info"]["wait_process_error"], "still running after 0.5 s"),
            _ => {}
        }
    }
    // Ended by us while its pipe stands: the pipe goes with it.
    let class = ["--wait-path-class", "tmp", "--wait-name", "a b", "--wait-create"];
    for wait in [&declared[..3], &class] {
        let limits = ["--timeout", "0.5", "--kill-after", "0.3", "--trigger-timeout", "0.5", "--profile", "minimal"];
        let all = [&["wait-xpc"], &limits[..], wait, &["fs_op"]].concat();
        let (ran, record) = place.record(&all, &[("EJ_FAKE_FAULT", "fifo-unopened")]);
        assert_eq!((ran.status, &record["outcome"]), (1, &json!("timed_out")), "{record:#}");
        assert_eq!(record["removed_trigger"], record["wait_path"]);
    }
    // Nobody says where: nothing is triggered.
    let all = [&["probe-wait", "--timeout", "1", "--profile", "minimal"][..], &ready, &["fs_op_wait"]].concat();
    let (ran, record) = place.record(&all, &[]);
    assert_eq!(record["trigger_events"], json!([]), "{ran:?}");
    let (ran, record) = place.record(&all, &[("EJ_FAKE_FAULT", "hang")]);
    assert_eq!((ran.status, &record["wait_info"]["wait_ready_missing"]), (1, &json!(true)));
    assert!(words(&record["problems"]).contains(&"wait_not_ready"));
    // An app that cannot be started.
    let program = place.path("book/tools/entitlement/EntitlementJail.app/Contents/MacOS/entitlement-jail");
    std::fs::remove_file(&program).unwrap();
    std::fs::write(&program, "no program").unwrap();
    let (ran, record) = place.record(&all, &[]);
    assert_eq!((ran.status, &record["outcome"]), (3, &json!("not_started")));
    assert!(record["error"].as_str().unwrap().starts_with("cannot start "));
}
