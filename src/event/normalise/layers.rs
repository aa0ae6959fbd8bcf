//! Who decided: the platform (baseline lane) and the policy (scenario lane), kept apart.

use serde_json::{Map, Value, json};

use super::text;

/// The two layers of one row and what follows from them.
pub(super) fn policy_layers(
    row: &Map<String, Value>,
    result: &Map<String, Value>,
    control: Option<&Map<String, Value>>,
) -> Value {
    let process = process_decision(row, result);
    let platform = control.and_then(|control| decision(control, "status"));
    let (effective, attribution) = match (platform, process) {
        (Some("deny"), _) => ("deny", "platform_policy"),
        (Some(_), Some("deny")) => ("deny", "process_policy"),
        (Some(_), Some(_)) => ("allow", "allow"),
        (None, Some(decision)) => (decision, "unknown"),
        (_, None) => ("unknown", "unknown"),
    };
    let of = |key: &str| control.and_then(|control| control.get(key)).cloned().unwrap_or(Value::Null);
    let result_of = |key: &str| result.get(key).cloned().unwrap_or(Value::Null);
    json!({
        "attribution": attribution,
        "effective_decision": effective,
        "platform_policy": {
            "decision": platform.unwrap_or("unknown"),
            "error": of("error"),
            "exit_code": of("exit_code"),
            "source": if control.is_some() { "baseline" } else { "baseline_missing" },
            "status": of("status"),
            "errno": of("errno"),
            "errno_name": of("errno_name"),
        },
        "process_policy": {
            "decision": process.unwrap_or("unknown"),
            "failure_kind": result_of("failure_kind"),
            "failure_stage": result_of("failure_stage"),
            "status": result_of("status"),
        },
    })
}

/// What the policy decided; nothing where the run never came as far as the operation.
pub(super) fn process_decision<'r>(row: &'r Map<String, Value>, result: &Map<String, Value>) -> Option<&'r str> {
    decision(row, "actual").filter(|_| !stopped_early(result))
}

/// Whether the policy was refused or the program not started, so that the operation was never reached.
pub(super) fn stopped_early(result: &Map<String, Value>) -> bool {
    matches!(text(result, "failure_stage"), Some("apply" | "bootstrap" | "preflight"))
}

fn decision<'r>(row: &'r Map<String, Value>, key: &str) -> Option<&'r str> {
    text(row, key).filter(|word| matches!(*word, "allow" | "deny"))
}
