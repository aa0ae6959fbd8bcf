//! Members of an event by the rules of the stored formats, each with a row that shows the rule and one that differs in one thing.

use runtime::analysis::{ReadError, read_events};
use serde_json::{Value, json};

use crate::enumerations::{control, event, row};
use crate::interop::normalise;

/// The event of a row that differs from a good one by `change`, without a control.
fn of(change: Value) -> Value {
    event(&row(change), None, &Value::Null)
}

/// The members of `event`, null where it has none.
fn members<const N: usize>(event: &Value, keys: [&str; N]) -> [Value; N] {
    keys.map(|key| event.pointer(&format!("/{key}")).cloned().unwrap_or(Value::Null))
}

#[test]
fn a_member_of_another_kind_is_an_error_of_its_row_and_no_reader_stumbles_over_it() {
    let result = |key: &str, value: Value| {
        let mut result = json!({"status": "success"});
        result[key] = value;
        json!({"runtime_result": result})
    };
    let wrong = [
        ("operation", json!({"operation": 5})),
        ("path", json!({"path": ["/tmp/a"]})),
        ("expected", json!({"expected": true})),
        ("actual", json!({"actual": 5})),
        ("match", json!({"match": "yes"})),
        ("command", json!({"command": "sandbox_reader"})),
        ("command", json!({"command": [1]})),
        ("probe_details", json!({"probe_details": "none"})),
        ("stdout", json!({"stdout": 1})),
        ("notes", json!({"notes": {}})),
        ("violation_summary", json!({"violation_summary": 1})),
        ("status", result("status", json!(0))),
        ("errno", result("errno", json!("EPERM"))),
        ("failure_stage", result("failure_stage", json!(1))),
        ("failure_kind", result("failure_kind", json!([]))),
        ("intended_op_witnessed", result("intended_op_witnessed", json!("true"))),
        ("runner_info", result("runner_info", json!("reader"))),
        ("apply_report", result("apply_report", json!(0))),
        ("entitlement_checks", result("entitlement_checks", json!({}))),
    ];
    let rows: Vec<Value> = wrong.iter().map(|(_, change)| row(change.clone())).collect();
    let events = normalise(json!({"p": {"probes": rows}}), json!([]));
    for ((member, change), event) in wrong.iter().zip(&events) {
        assert_eq!(event["error_kind"], "malformed_row", "{change}: {event:#}");
        let error = event["error"].as_str().unwrap();
        assert!(error.contains(&format!("{member} is not")), "{change}: {error}");
        assert_eq!((&event["outcome"], event.get("actual")), (&json!("error"), None));
    }
    let text = json!(events).to_string();
    let mut read = 0;
    let taken = read_events(text.as_bytes(), |_| {
        read += 1;
        Ok::<_, ReadError>(())
    });
    taken.0.unwrap();
    assert_eq!(read, wrong.len());
    // The twin: what is null or absent is not of another kind.
    for (member, change) in &wrong {
        let nothing = match change.get("runtime_result") {
            Some(_) if *member == "status" => continue,
            Some(_) => result(member, Value::Null),
            None => json!({*member: null}),
        };
        let event = of(nothing);
        assert!(event.get("error_kind").is_none(), "{member}: {event:#}");
    }
}

#[test]
fn an_apply_from_before_markers_is_read_from_the_line_that_says_it() {
    for (stderr, api, errno, errbuf, class, source) in [
        (
            "x\nsandbox_init failed: Operation not permitted\n",
            "sandbox_init",
            json!(1),
            json!("Operation not permitted"),
            "errno_eperm",
            "errno_only",
        ),
        (
            "sandbox_init failed: already in a Sandbox\nOperation not permitted\n",
            "sandbox_init",
            json!(null),
            json!("already in a Sandbox"),
            "already_sandboxed",
            "errbuf_regex",
        ),
        ("sandbox_init failed: no\n", "sandbox_init", json!(null), json!("no"), "unknown", "errbuf_present"),
        ("sandbox_init failed:\n", "sandbox_init", json!(null), json!(null), "unknown", "none"),
        (
            "sandbox_apply: already in a sandbox\n",
            "sandbox_apply",
            json!(null),
            json!("already in a sandbox"),
            "unknown",
            "errbuf_present",
        ),
        (
            "sandbox_apply: x\nsandbox_init failed: y\n",
            "sandbox_apply",
            json!(null),
            json!("x"),
            "unknown",
            "errbuf_present",
        ),
    ] {
        let event =
            of(json!({"actual": null, "exit_code": 1, "stderr": stderr, "runtime_result": {"status": "errno"}}));
        let report = &event["apply_report"];
        assert_eq!(
            members(report, ["api", "rc", "errno", "errbuf"]),
            [json!(api), json!(null), errno, errbuf],
            "{stderr}"
        );
        assert_eq!(report["err_class"], class, "{stderr}");
        assert_eq!(report["err_class_source"], format!("legacy_stderr_regex:{source}"), "{stderr}");
        let kind =
            if class == "already_sandboxed" { "apply_already_sandboxed".into() } else { format!("{api}_failed") };
        assert_eq!(members(&event, ["failure_stage", "failure_kind"]), [json!("apply"), json!(kind)], "{stderr}");
    }
    // The twins: other words, and a row that says where it stopped.
    let other = of(json!({"stderr": "a sandbox_apply:x\n", "runtime_result": {"status": "errno"}}));
    assert_eq!(members(&other, ["apply_report", "failure_stage"]), [json!(null), json!("probe")]);
    let said =
        of(json!({"stderr": "sandbox_apply: x\n", "runtime_result": {"status": "errno", "failure_stage": "probe"}}));
    assert_eq!(members(&said, ["apply_report/api", "failure_stage"]), [json!("sandbox_apply"), json!("probe")]);
}

#[test]
fn a_failure_without_a_stage_is_one_of_the_probe_in_all_members() {
    let keys = ["runtime_status", "failure_stage", "failure_kind", "policy_layers/process_policy/failure_stage"];
    for (result, expected) in [
        (json!({"status": "errno"}), [json!("errno"), json!("probe"), json!("probe_errno"), json!("probe")]),
        (
            json!({"status": "errno", "failure_stage": null, "failure_kind": null}),
            [json!("errno"), json!("probe"), json!(null), json!("probe")],
        ),
        (
            json!({"status": "errno", "failure_kind": "probe_timeout"}),
            [json!("errno"), json!("probe"), json!("probe_timeout"), json!("probe")],
        ),
        (json!({"status": "success"}), [json!("success"), json!(null), json!(null), json!(null)]),
        // From before results were structured: no status is made up.
        (json!(null), [json!(null), json!("probe"), json!("probe_errno"), json!("probe")]),
    ] {
        let event = of(json!({"runtime_result": result, "exit_code": 1}));
        assert_eq!(members(&event, keys), expected, "{result}");
    }
}

#[test]
fn what_a_row_of_ours_says_of_services_and_timeouts_confounds_as_well() {
    let own = |operation: &str, path: &str, details: Value| {
        let mut row = row(json!({"operation": operation, "path": path, "actual": null, "probe_details": details,
            "decision_records": [], "own_record": null, "decision_records_dropped": 0, "decision_source": null}));
        row["runtime_result"] = json!({"status": "errno", "failure_stage": "probe", "failure_kind": "probe_errno"});
        row
    };
    let looked_up = |present: bool| json!({"call": "bootstrap_look_up", "details": {"service_present": present}});
    let without = |present: bool| control(json!(null), json!({"probe_details": looked_up(present)}));
    let lookup = own("mach-lookup", "com.example", looked_up(false));
    let missing = event(&lookup, without(false).as_ref(), &Value::Null);
    assert_eq!(missing["service_confounder"]["status"], "missing_service", "{missing:#}");
    let present = event(&lookup, without(true).as_ref(), &Value::Null);
    assert!(present.get("service_confounder").is_none());

    let read = own("file-read-data", "/Users/ann/Documents/x", json!({"call": "open", "errno": 1}));
    for (more, status, attribution) in [
        (json!({"timeout": true, "error": "no answer within 5 s"}), "prompt_or_timeout", "tcc_or_platform"),
        (json!({"timeout": false, "error": "the worker ended"}), "unknown", "unknown"),
        (json!({"error": "timeout"}), "prompt_or_timeout", "tcc_or_platform"),
    ] {
        let told = event(&read, control(json!(null), more).as_ref(), &Value::Null);
        let found = members(&told["tcc_confounder"], ["baseline_status", "attribution"]);
        assert_eq!(found, [json!(status), json!(attribution)]);
    }
}

#[test]
fn nulls_are_left_out_and_empty_texts_are_not() {
    let keys = ["stdout", "stderr", "target", "requested_path", "normalized_path", "observed_path_source"];
    let full = of(json!({}));
    let path = "/private/tmp/a";
    assert_eq!(
        members(&full, keys),
        [json!(""), json!(""), json!("/tmp/a"), json!("/tmp/a"), json!(path), json!("not_attempted")]
    );
    let empty = of(json!({"stdout": null, "stderr": null, "path": null}));
    assert_eq!(members(&empty, keys), [const { Value::Null }; 6], "{empty:#}");
    assert_eq!(empty["expectation_id"], "p:r");
    let nameless = of(json!({"path": null, "expectation_id": null, "operation": null}));
    assert_eq!(members(&nameless, ["expectation_id", "operation"]), [json!("p|op|target"), json!("")]);
    // A marker is all there is: what is left is empty, not absent.
    let marker = json!({"tool": "entitlement-check", "stage": "pre_apply", "marker_schema_version": 1});
    let marked = of(json!({"stderr": format!("{marker}\n")}));
    assert_eq!(members(&marked, ["stderr", "entitlement_checks/0/stage"]), [json!(""), json!("pre_apply")]);
}

#[test]
fn the_first_word_about_the_path_counts_and_an_empty_one_says_none() {
    let keys = ["observed_path", "observed_path_source", "normalized_path_source"];
    let seen = json!({"observed_path": "/private/tmp/b", "observed_path_source": "unsandboxed_fd_path"});
    for (stderr, observation, expected) in [
        (
            "F_GETPATH: /private/tmp/a \nF_GETPATH:/other\n",
            &seen,
            [json!("/private/tmp/a"), json!("fd_path"), json!("observed_path")],
        ),
        ("F_GETPATH_ERROR:2\nF_GETPATH:/other\n", &Value::Null, [json!(null), json!("error"), json!("alias_map")]),
        ("F_GETPATH:\n", &Value::Null, [json!(null), json!("fd_path"), json!("alias_map")]),
        ("F_GETPATH:\n", &seen, [json!("/private/tmp/b"), json!("unsandboxed_fd_path"), json!("observed_path")]),
        (" F_GETPATH:/x\n", &Value::Null, [json!(null), json!("not_attempted"), json!("alias_map")]),
    ] {
        let event = of(json!({"stderr": stderr, "path_observation": observation}));
        assert_eq!(members(&event, keys), expected, "{stderr} {observation}");
    }
}

#[test]
fn hygiene_is_the_rows_own_else_the_programs_else_nothing() {
    let told = json!({"apply_model": "exec_wrapper", "close_fds": true});
    let runner = json!({"entrypoint": "SBPL-wrapper", "apply_model": "exec_wrapper", "apply_timing": "pre_exec"});
    for (result, expected) in [
        (json!({"resource_hygiene": told, "runner_info": runner}), told.clone()),
        (
            json!({"runner_info": runner}),
            json!({"apply_model": "exec_wrapper", "apply_timing": "pre_exec", "preexisting_sandbox_suspected": null}),
        ),
        (json!({"runner_info": {"entrypoint": "x"}}), Value::Null),
        (json!({}), Value::Null),
    ] {
        let mut with = json!({"status": "success"});
        with.as_object_mut().unwrap().extend(result.as_object().unwrap().clone());
        assert_eq!(members(&of(json!({"runtime_result": with})), ["resource_hygiene"]), [expected], "{result}");
    }
}

#[test]
fn callouts_of_the_row_win_over_those_in_its_text_and_an_empty_list_is_none() {
    let callout = |argument: &str| {
        json!({"tool": "seatbelt-callout", "marker_schema_version": 2, "stage": "pre_syscall", "operation": "file-read-data",
            "argument": argument, "canonicalization": "raw", "decision": "allow"})
    };
    let text = format!("{}\n", callout("/tmp/text"));
    for (stored, found) in [
        (json!(null), json!("/tmp/text")),
        (json!([]), json!("/tmp/text")),
        (json!([callout("/tmp/row")]), json!("/tmp/row")),
    ] {
        let result = json!({"status": "success", "seatbelt_callouts": stored});
        let event = of(json!({"stderr": text, "runtime_result": result}));
        assert_eq!(members(&event, ["seatbelt_callouts/0/argument"]), [found], "{stored}");
    }
    let none = of(json!({"runtime_result": {"status": "success", "seatbelt_callouts": []}}));
    assert_eq!(members(&none, ["seatbelt_callouts", "sandbox_check_prepass"]), [const { Value::Null }; 2]);
    // About this operation and target only; of several the one that was asked as written.
    let asked = |change: Value| {
        let mut callout = callout("/tmp/a");
        callout.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        callout
    };
    let prepass = |operation: &str, callouts: Value| {
        let result = json!({"status": "success", "seatbelt_callouts": callouts});
        of(json!({"operation": operation, "runtime_result": result}))["sandbox_check_prepass"].clone()
    };
    let canonical = asked(json!({"canonicalization": "canonical"}));
    let both = prepass("file-read*", json!([canonical, asked(json!({}))]));
    assert_eq!(
        members(&both, ["primary/canonicalization", "variants/0/canonicalization"]),
        ["raw", "canonical"].map(Value::from)
    );
    assert_eq!(prepass("file-read*", json!([asked(json!({"argument": null}))]))["argument"], json!(null));
    for other in [json!({"argument": "/tmp/b"}), json!({"stage": "later"}), json!({"operation": "file-read-metadata"})]
    {
        assert_eq!(prepass("file-read*", json!([asked(other.clone())])), Value::Null, "{other}");
    }
}

#[test]
fn what_the_control_contradicts_is_no_decision_under_seatbelt_either() {
    let callout = json!({"marker_schema_version": 2, "stage": "pre_syscall", "api": "sandbox_check", "operation": "mach-lookup",
        "filter_type": 2, "filter_type_name": "global-name", "numbering": "sandbox_check", "check_type": 2, "varargs_count": 1,
        "argument": "com.example", "canonicalization": "raw", "canonical_flag_used": false, "canonical_flag_reason": null,
        "no_report": false, "no_report_reason": null, "token_status": "pid", "token_mach_kr": null, "rc": 1, "errno": 0,
        "decision": "deny"});
    let details = json!({"call": "xpc", "errno": 0, "errno_name": null,
        "code": runtime::vocab::ResultCode::new(runtime::vocab::CodeKind::XpcError, 2), "details": {}});
    let row = row(json!({"operation": "mach-lookup", "path": "com.example", "performed_operation": "mach-lookup",
        "actual": "deny", "probe_details": details, "decision_records": [], "own_record": null,
        "decision_source": "seatbelt_effect_and_callout", "runtime_result": {"status": "errno", "failure_stage": "probe",
        "failure_kind": "probe_errno", "intended_op_witnessed": true, "seatbelt_callouts": [callout]}}));
    for (status, reached, outcome) in
        [(json!("allow"), true, "deny"), (json!(null), true, "not_observed"), (json!(null), false, "deny")]
    {
        let control = control(status, json!({"operation": "mach-lookup", "reached_primary_op": reached}));
        let told = event(&row, control.as_ref(), &Value::Null);
        assert_eq!(told["outcome"], outcome, "{reached}: {told:#}");
    }
}
