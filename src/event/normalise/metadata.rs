//! The earlier tool's second document of results: what its metadata runner reported, one call a row.
//!
//! A row is brought to the form of the first document and normalised by the same rules. No expectation is known of it, so
//! nothing is compared. `failure_kind` of a failed call is `probe_syscall_errno`.

use serde_json::{Map, Value, json};

use super::{Normaliser, RowPlace, marker, text};

/// What `harness` of its events is.
const HARNESS: &str = "metadata-runner";

/// Why a document is not one of these.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotMetadata {
    /// It is another document.
    #[error("it has no array \"results\"")]
    NoResults,
}

/// Normalises the rows of a metadata runner's `document` and hands out events one by one, in row order. The world of the
/// document wins over the normaliser's.
///
/// # Errors
/// [`NotMetadata`], and what `take` says.
pub fn normalise_metadata<E: From<NotMetadata>>(
    normaliser: &Normaliser<'_>,
    document: &Value,
    mut take: impl FnMut(Value) -> Result<(), E>,
) -> Result<(), E> {
    let results = document.get("results").and_then(Value::as_array).ok_or(NotMetadata::NoResults)?;
    let world_id = document.get("world_id").and_then(Value::as_str).unwrap_or(normaliser.world_id);
    let normaliser = Normaliser { world_id, ..*normaliser };
    let runner = document.get("runner_info").unwrap_or(&Value::Null);
    for (position, result) in results.iter().enumerate() {
        let profile_id = result.get("profile_id").and_then(Value::as_str).unwrap_or_default();
        let preflight = result.get("preflight").unwrap_or(&Value::Null);
        let place = RowPlace { profile_id, preflight, position, matrix: None };
        let row = result.as_object().map_or_else(|| result.clone(), |result| row(profile_id, result, runner));
        let mut event = normaliser.event(place, &row);
        event["harness"] = json!(HARNESS);
        take(event)?;
    }
    Ok(())
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
