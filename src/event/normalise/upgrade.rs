//! A row's structured result in its current shape, whatever version wrote it, and what must hold of it.

use serde_json::{Map, Value, json};

use super::super::row::apply_class;
use super::kind;
use super::marker::{MARKER_SET_VERSION, Markers, callout};

/// The newest version of a structured result; 0 and this are read.
const RESULT_VERSION: i64 = 1;

/// Brings `runtime_result` to its current shape.
///
/// # Errors
/// A version that is not known, or a part that is not what the format says.
pub(super) fn upgrade(row: &Map<String, Value>, markers: &Markers) -> Result<Map<String, Value>, String> {
    let mut result = match row.get("runtime_result") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(result)) => result.clone(),
        Some(_) => return Err("runtime_result is not an object".to_owned()),
    };
    kind::check_result(&result)?;
    version(&mut result, "runtime_result_schema_version", RESULT_VERSION)?;
    version(&mut result, "tool_marker_schema_version", MARKER_SET_VERSION)?;
    fill_apply_report(&mut result, row, markers);
    fill_stage(&mut result, markers);
    default_stage(&mut result, row);
    let callouts = match result.get("seatbelt_callouts") {
        // In rows of ours an empty list says that the system was to be asked, and was not.
        Some(Value::Array(none)) if none.is_empty() && row.contains_key("decision_records") => json!([]),
        Some(Value::Array(stored)) if !stored.is_empty() => {
            json!(stored.iter().map(callout).collect::<Result<Vec<_>, _>>()?)
        }
        None | Some(Value::Null | Value::Array(_)) if markers.callouts.is_empty() => Value::Null,
        None | Some(Value::Null | Value::Array(_)) => json!(markers.callouts),
        Some(_) => return Err("seatbelt_callouts is not an array".to_owned()),
    };
    result.insert("seatbelt_callouts".to_owned(), callouts);
    if is_null(&result, "entitlement_checks") && !markers.entitlements.is_empty() {
        result.insert("entitlement_checks".to_owned(), json!(markers.entitlements));
    }
    Ok(result)
}

fn is_null(map: &Map<String, Value>, key: &str) -> bool {
    map.get(key).is_none_or(Value::is_null)
}

fn version(result: &mut Map<String, Value>, key: &str, newest: i64) -> Result<(), String> {
    let found = match result.get(key) {
        None | Some(Value::Null) => 0,
        Some(value) => value.as_i64().ok_or_else(|| format!("{key} is {value}, not a number"))?,
    };
    if !(0..=newest).contains(&found) {
        return Err(format!("{key} is {found}; 0 to {newest} are known"));
    }
    result.insert(key.to_owned(), json!(newest));
    Ok(())
}

/// How applying went where the row does not say it: by the first marker, or by what programs printed before there were any.
fn fill_apply_report(result: &mut Map<String, Value>, row: &Map<String, Value>, markers: &Markers) {
    if is_null(result, "apply_report") {
        let report = match markers.stage("apply") {
            Some(marker) => from_marker(marker),
            None if !markers.apply.is_empty() || row.contains_key("decision_records") => return,
            None => {
                let stderr = row.get("stderr").and_then(Value::as_str).unwrap_or_default();
                let Some(report) = from_legacy_text(stderr) else { return };
                if is_null(result, "failure_stage") {
                    result.insert("failure_stage".to_owned(), json!("apply"));
                    result.insert("failure_kind".to_owned(), json!(failed_kind(&report)));
                }
                report
            }
        };
        result.insert("apply_report".to_owned(), report);
    }
    if let Some(report) = result.get_mut("apply_report") {
        *report = classed(report.take());
    }
}

/// A report with the class of its outcome, where it does not say it.
pub(super) fn classed(mut report: Value) -> Value {
    let text = |key: &str| report[key].as_str().unwrap_or_default();
    let (class, source) = apply_class(text("api"), report["rc"].as_i64(), report["errno"].as_i64(), text("errbuf"));
    if report["err_class"].is_null() || report["err_class_source"].is_null() {
        report["err_class"] = json!(class);
        report["err_class_source"] = json!(source);
    }
    report
}

pub(super) fn from_marker(marker: &Map<String, Value>) -> Value {
    let of = |key: &str| marker.get(key).cloned().unwrap_or(Value::Null);
    json!({
        "api": of("api"), "rc": of("rc"), "errno": of("errno"), "errbuf": of("errbuf"),
        "err_class": of("err_class"), "err_class_source": of("err_class_source"),
    })
}

/// Two phrases that programs printed before there were markers; the first line that has one counts.
fn from_legacy_text(stderr: &str) -> Option<Value> {
    let said = |line: &'_ str| {
        let (phrase, api) = if line.contains("sandbox_init failed:") {
            ("sandbox_init failed:", "sandbox_init")
        } else if line.starts_with("sandbox_apply:") || line.contains("sandbox_apply: ") {
            ("sandbox_apply:", "sandbox_apply")
        } else {
            return None;
        };
        Some((api, line.split_once(phrase)?.1.trim().to_owned(), line.contains("Operation not permitted")))
    };
    let (api, errbuf, refused) = stderr.lines().find_map(said)?;
    let errno = refused.then_some(1);
    let (class, source) = apply_class(api, None, errno, &errbuf);
    Some(json!({
        "api": api, "rc": null, "errno": errno, "errbuf": Some(errbuf).filter(|text| !text.is_empty()),
        "err_class": class, "err_class_source": format!("legacy_stderr_regex:{source}"),
    }))
}

pub(super) fn failed_kind(report: &Value) -> String {
    match (report["err_class"].as_str(), report["api"].as_str()) {
        (Some("already_sandboxed"), _) => "apply_already_sandboxed".to_owned(),
        (_, Some(api @ ("sandbox_init" | "sandbox_apply"))) => format!("{api}_failed"),
        _ => "apply_failed".to_owned(),
    }
}

/// Stage and kind from the markers, only where the row does not have the key.
fn fill_stage(result: &mut Map<String, Value>, markers: &Markers) {
    let rc = |stage: &str| markers.stage(stage).and_then(|marker| marker.get("rc")).and_then(Value::as_i64);
    let (stage, kind) = if rc("apply").is_some_and(|rc| rc != 0) {
        (json!("apply"), json!(result.get("apply_report").map(failed_kind)))
    } else if rc("exec").is_some_and(|rc| rc != 0) {
        let errno = markers.stage("exec").and_then(|marker| marker.get("errno")).and_then(Value::as_i64);
        let denied = markers.stage("applied").is_some() && errno == Some(1);
        (json!("bootstrap"), json!(if denied { "bootstrap_deny_process_exec" } else { "bootstrap_exec_failed" }))
    } else {
        return;
    };
    result.entry("failure_stage").or_insert(stage);
    result.entry("failure_kind").or_insert(kind);
}

/// Whatever failed and names no stage failed in the probe; how is said where the row has no key for it. A row of ours that was not
/// executed, because nothing here performs it, failed at no stage.
fn default_stage(result: &mut Map<String, Value>, row: &Map<String, Value>) {
    let status = result.get("status").and_then(Value::as_str);
    let not_executed = row.contains_key("decision_records") && status == Some("blocked");
    if is_null(result, "failure_stage") && status != Some("success") && !not_executed {
        result.insert("failure_stage".to_owned(), json!("probe"));
        result.entry("failure_kind").or_insert_with(|| json!("probe_errno"));
    }
}

/// What must hold of an upgraded result; the first thing that does not.
pub(super) fn violation(result: &Map<String, Value>, markers: &Markers) -> Option<String> {
    let (apply, applied, exec) = (markers.stage("apply"), markers.stage("applied"), markers.stage("exec"));
    let report = result.get("apply_report").and_then(Value::as_object);
    let stage = result.get("failure_stage").and_then(Value::as_str);
    let rc = report.and_then(|report| report.get("rc")).and_then(Value::as_i64);
    let broken = if (applied.is_some() || exec.is_some()) && apply.is_none() {
        "markers say that a profile was applied, and none says how"
    } else if exec.is_some() && applied.is_none() {
        "a marker says that starting failed under a profile that no marker says was applied"
    } else if apply.is_some() && report.is_none() {
        "there are apply markers and no apply_report"
    } else if stage == Some("apply") && (rc == Some(0) || applied.is_some() || exec.is_some()) {
        "failure_stage is apply, and the profile was applied"
    } else if stage == Some("bootstrap") && !matches!(rc, None | Some(0)) {
        "failure_stage is bootstrap, and the profile was not applied"
    } else if stage == Some("bootstrap") && !markers.apply.is_empty() && (applied.is_none() || exec.is_none()) {
        "failure_stage is bootstrap, and no marker says so"
    } else if stage == Some("preflight") && result.get("status").and_then(Value::as_str) != Some("blocked") {
        "failure_stage is preflight, and status is not blocked"
    } else if stage == Some("preflight") && (report.is_some() || apply.is_some()) {
        "failure_stage is preflight, and the profile was applied"
    } else {
        let runner = result.get("runner_info").and_then(Value::as_object);
        let digests = runner.map(|runner| (runner.get("entrypoint_sha256"), runner.get("tool_build_id")));
        match digests {
            Some((Some(digest), build)) if Some(digest) != build => "tool_build_id is not the digest of the entrypoint",
            _ => return None,
        }
    };
    Some(broken.to_owned())
}
