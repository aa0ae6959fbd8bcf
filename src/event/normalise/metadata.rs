//! The earlier tool's second document of results: what its metadata runner reported, one call a row.
//!
//! A row is brought to the form of the first document and normalised by the same rules. No expectation is known of it, so
//! nothing is compared. `failure_kind` of a failed call is `probe_syscall_errno`.

use serde_json::{Map, Value, json};

use super::{Normaliser, RowPlace, derived_expectation, marker, text, upgrade};

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
    let said = |key: &str| text(result, key).filter(|text| !text.is_empty());
    let (operation, path) = (said("operation").or(said("op")), said("requested_path").or(said("path")));
    let (syscall, payload) = (said("syscall"), said("attr_payload"));
    let name = syscall.map(|syscall| payload.map_or_else(|| syscall.to_owned(), |of| format!("{syscall}:{of}")));
    let mut expectation = derived_expectation(profile_id, operation.unwrap_or_default(), path);
    if syscall.or(payload).is_some() {
        expectation += &format!("|{}|{}", syscall.unwrap_or("syscall"), payload.unwrap_or("payload"));
    }
    let notes: Vec<String> =
        [name.as_ref().map(|name| format!("probe={name}")), said("message").map(|m| format!("message={m}"))]
            .into_iter()
            .flatten()
            .collect();
    let stderr = text(result, "stderr").unwrap_or_default();
    let blocked = said("failure_stage") == Some("preflight") || said("status") == Some("blocked");
    let applied = if blocked { None } else { apply_report(result, stderr) };
    let apply_failed = applied.as_ref().filter(|report| report["rc"].as_i64().is_some_and(|rc| rc != 0));
    let done = said("status") == Some("ok");
    let of_call = of("errno").as_i64().filter(|_| !done);
    let errno = match apply_failed.and_then(|report| report["errno"].as_i64()) {
        Some(errno) => Some(errno),
        None => of_call.filter(|_| !blocked),
    };
    let (status, actual, stage, kind) = match (blocked, apply_failed, done) {
        (true, ..) => {
            let kind = said("failure_kind").unwrap_or("preflight_apply_gate_signature");
            ("blocked", None, Some("preflight"), Some(kind.to_owned()))
        }
        (_, Some(report), _) => {
            let actual = if done { "allow" } else { "deny" };
            (if done { "success" } else { "errno" }, Some(actual), Some("apply"), Some(upgrade::failed_kind(report)))
        }
        (.., true) => ("success", Some("allow"), None, None),
        (.., false) => ("errno", Some("deny"), Some("probe"), Some("probe_syscall_errno".to_owned())),
    };
    // Only of a call that was made is this the call's.
    let returned = of_call.filter(|_| said("status") == Some("op_failed"));
    json!({
        "name": name, "expectation_id": expectation, "operation": operation, "path": path, "actual": actual,
        "runtime_result": {
            "status": status, "errno": errno, "failure_stage": stage, "failure_kind": kind, "apply_report": applied,
            "runner_info": runner,
        },
        "errno_name": of("errno_name"), "violation_summary": (!done && errno == Some(1)).then_some("EPERM"),
        // The runner itself ends with 0 once it has printed: what the call returned stands in its report.
        "exit_code": if done { 0 } else { 1 }, "stderr": stderr,
        "probe_details": {"syscall": syscall, "attr_payload": payload, "errno": returned},
        "notes": Some(notes.join("; ")).filter(|notes| !notes.is_empty()),
    })
}

/// How applying went: by the first marker in its stderr, else by the runner's own report.
fn apply_report(result: &Map<String, Value>, stderr: &str) -> Option<Value> {
    let markers = marker::read(stderr).ok();
    if let Some(marker) = markers.as_ref().and_then(|markers| markers.stage("apply")) {
        return Some(upgrade::classed(upgrade::from_marker(marker)));
    }
    let api = match text(result, "apply_mode")? {
        "sbpl" => "sandbox_init",
        "blob" => "sandbox_apply",
        _ => return None,
    };
    let rc = result.get("apply_rc")?.as_i64()?;
    let errno = result.get("apply_errno").and_then(Value::as_i64).or((rc == 0).then_some(0));
    let errbuf = text(result, "apply_errbuf");
    Some(upgrade::classed(json!({"api": api, "rc": rc, "errno": errno, "errbuf": errbuf})))
}
