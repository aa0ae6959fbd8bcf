//! The earlier tool's second document of results: what its metadata runner reported, one call a row.
//!
//! A row is brought to the form of the first document and normalised by the same rules. No expectation is known of it, so
//! nothing is compared. `failure_kind` of a failed call is `probe_syscall_errno`.

use serde_json::{Map, Value, json};

use super::{Normaliser, RowPlace, marker, text};

/// What `harness` of its events is.
const HARNESS: &str = "metadata-runner";

/// What the events of one of these documents have in common.
#[derive(Debug, Clone, Copy)]
pub struct MetadataRunner<'a> {
    /// With the world of the document, where that says one.
    pub normaliser: Normaliser<'a>,
    /// `runner_info` of the document; null when it has none.
    pub runner_info: &'a Value,
}

impl MetadataRunner<'_> {
    /// The event of the result at `position`; `Err` says why it is not JSON.
    #[must_use]
    pub fn event(&self, position: usize, result: Result<&Value, &str>) -> Value {
        let members = result.ok().and_then(Value::as_object);
        let profile_id = members.and_then(|members| text(members, "profile_id")).unwrap_or_default();
        let preflight = members.and_then(|members| members.get("preflight")).unwrap_or(&Value::Null);
        let place = RowPlace { profile_id, preflight, position, matrix: None };
        let mut event = match (result, members) {
            (Err(why), _) => self.normaliser.unreadable(place, why),
            (Ok(_), Some(members)) => self.normaliser.event(place, &row(profile_id, members, self.runner_info)),
            (Ok(other), None) => self.normaliser.event(place, other),
        };
        event["harness"] = json!(HARNESS);
        event
    }
}

/// The row of the first document that says the same.
fn row(profile_id: &str, result: &Map<String, Value>, runner: &Value) -> Value {
    let of = |key: &str| result.get(key).cloned().unwrap_or(Value::Null);
    let either = |one: &str, other: &str| text(result, one).or_else(|| text(result, other)).unwrap_or_default();
    let (operation, path) = (either("operation", "op"), either("requested_path", "path"));
    let syscall = text(result, "syscall").unwrap_or_default();
    let payload = text(result, "attr_payload").unwrap_or_default();
    let name = if payload.is_empty() { syscall.to_owned() } else { format!("{syscall}:{payload}") };
    let notes: Vec<&str> = [Some(name.as_str()), text(result, "message")].into_iter().flatten().collect();
    let stderr = text(result, "stderr").unwrap_or_default();
    // Markers say how applying went before the runner's own report does.
    let marked = marker::read(stderr).is_ok_and(|markers| markers.stage("apply").is_some());
    let applied = apply_report(result);
    let stopped = matches!(text(result, "failure_stage"), Some("preflight" | "bootstrap"));
    let apply_failed = applied.as_ref().is_some_and(|report| report["rc"].as_i64().is_some_and(|rc| rc != 0));
    let done = text(result, "status") == Some("ok");
    let errno = of("errno").as_i64().filter(|&errno| errno != 0);
    // What else than the call failed, or did not happen, was not observed.
    let call_failed = text(result, "status") == Some("op_failed");
    let (status, actual, stage, kind) = match (stopped, apply_failed, done) {
        (true, ..) => ("blocked", Value::Null, of("failure_stage"), of("failure_kind")),
        (_, true, _) => ("errno", Value::Null, json!("apply"), Value::Null),
        (.., true) => ("success", json!("allow"), Value::Null, Value::Null),
        (.., false) if call_failed => ("errno", json!("deny"), json!("probe"), json!("probe_syscall_errno")),
        (.., false) => ("errno", Value::Null, of("failure_stage"), of("failure_kind")),
    };
    let mut structured = json!({
        "status": status, "errno": if apply_failed { of("apply_errno") } else { json!(errno) }, "runner_info": runner,
        "apply_report": if stopped || marked { Value::Null } else { json!(applied) },
    });
    if !apply_failed {
        structured["failure_stage"] = stage;
        structured["failure_kind"] = kind;
    } else if let Some(report) = &applied {
        let kind = report["api"].as_str().map_or_else(|| "apply_failed".to_owned(), |api| format!("{api}_failed"));
        structured["failure_stage"] = stage;
        structured["failure_kind"] = json!(text(result, "failure_kind").map_or(kind, str::to_owned));
    }
    json!({
        "name": name, "expectation_id": format!("{profile_id}|{operation}|{path}|{syscall}|{payload}"),
        "operation": operation, "path": path, "actual": actual, "runtime_result": structured,
        // The runner itself ends with 0 once it has printed: what the call returned stands in its report.
        "exit_code": if done { 0 } else { 1 }, "stderr": stderr,
        "probe_details": {"syscall": syscall, "attr_payload": of("attr_payload"), "errno": errno},
        "notes": notes.join(": "),
    })
}

/// How applying went, from what the runner says itself; markers in its stderr are read later and say the same.
fn apply_report(result: &Map<String, Value>) -> Option<Value> {
    let api = match text(result, "apply_mode")? {
        "sbpl" => json!("sandbox_init"),
        "blob" => json!("sandbox_apply"),
        _ => Value::Null,
    };
    let rc = result.get("apply_rc").filter(|rc| !rc.is_null())?;
    let of = |key: &str| result.get(key).cloned().unwrap_or(Value::Null);
    Some(json!({"api": api, "rc": rc, "errno": of("apply_errno"), "errbuf": of("apply_errbuf")}))
}
