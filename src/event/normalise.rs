//! `runtime_events.normalized.json`: one event per row, every claim next to what supports it.
//!
//! Top-level members without a value are left out; the policy layers are always there.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::vocab::{Decision, FailureStage};

use super::baseline::{BaselineRow, control};
use super::row::{ProfileResults, ResultRow};
use super::witness::resolved_path;

/// Normalises all rows, in plan order.
#[must_use]
pub fn normalise(
    world_id: &str,
    run_id: &str,
    results: &IndexMap<String, ProfileResults>,
    baseline: &[BaselineRow],
) -> Vec<Value> {
    let mut events = Vec::new();
    for (profile_id, profile) in results {
        for row in &profile.probes {
            let control = control(baseline, profile_id, &row.expectation_id);
            events.push(event(world_id, run_id, profile_id, row, control));
        }
    }
    events
}

fn event(world_id: &str, run_id: &str, profile_id: &str, row: &ResultRow, control: Option<&BaselineRow>) -> Value {
    let result = &row.runtime_result;
    let file = row.operation.starts_with("file-");
    let observed = resolved_path(row).filter(|_| file);
    let mut all = json!({
        "world_id": world_id,
        "profile_id": profile_id,
        "scenario_id": row.expectation_id,
        "expectation_id": row.expectation_id,
        "run_id": run_id,
        "operation": row.operation,
        "target": row.path,
        "requested_path": file.then_some(&row.resolved_target),
        "observed_path": observed,
        "observed_path_source": file.then_some(if observed.is_some() { "supervisor_resolution" } else { "not_attempted" }),
        "normalized_path": file.then_some(observed.unwrap_or(&row.resolved_target)),
        "normalized_path_source": file.then_some(if observed.is_some() { "observed_path" } else { "requested_path" }),
        "probe_name": row.name,
        "expected": row.expected,
        "actual": row.actual,
        "match": row.matches,
        "intended_op_witnessed": result.intended_op_witnessed,
        "first_denial_op": first_denial(row),
        "runtime_status": result.status,
        "errno": result.errno,
        "errno_name": row.errno_name,
        "policy_layers": policy_layers(row, control),
        "file_confounder": file_confounder(row, control),
        "resource_hygiene": result.resource_hygiene,
        "failure_stage": result.failure_stage,
        "failure_kind": result.failure_kind,
        "apply_report": result.apply_report,
        "runner_info": result.runner_info,
        "probe_details": row.probe_details,
        "violation_summary": row.violation_summary,
        "command": row.command,
        "stderr": Some(&row.stderr).filter(|text| !text.is_empty()),
        "harness": "runtime",
        "notes": row.not_observed,
        "error": row.error,
        "error_kind": row.error_kind,
        "undecided": row.undecided,
        "enforcement": {
            "source": row.decision_source, "records": row.decision_records, "records_dropped": row.decision_records_dropped,
        },
    });
    all["network_confounder"] = json!(network_confounder(row, control));
    all["effect_seen"] = json!(row.effect_seen);
    all["listener"] = json!(row.listener);
    without_nulls(all)
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(map.into_iter().filter(|(_, v)| !v.is_null()).collect::<Map<_, _>>()),
        other => other,
    }
}

fn first_denial(row: &ResultRow) -> Option<&str> {
    row.decision_records.iter().find(|record| record.decision == Decision::Deny).map(|record| record.operation.as_str())
}

/// Who decided: the platform (baseline lane), the policy (scenario lane), both apart.
fn policy_layers(row: &ResultRow, control: Option<&BaselineRow>) -> Value {
    let early = matches!(
        row.runtime_result.failure_stage,
        Some(FailureStage::Apply | FailureStage::Bootstrap | FailureStage::Preflight)
    );
    let process = row.actual.filter(|_| !early);
    let platform = control.and_then(|row| row.status);
    let (effective, attribution) = match (platform, process) {
        (Some(Decision::Deny), _) => ("deny", "platform_policy"),
        (Some(Decision::Allow), Some(Decision::Deny)) => ("deny", "process_policy"),
        (Some(Decision::Allow), Some(Decision::Allow)) => ("allow", "allow"),
        (None, Some(Decision::Allow)) => ("allow", "unknown"),
        (None, Some(Decision::Deny)) => ("deny", "unknown"),
        (_, None) => ("unknown", "unknown"),
    };
    json!({
        "attribution": attribution,
        "effective_decision": effective,
        "platform_policy": {
            "decision": word(platform),
            "error": control.and_then(|row| row.error.clone()),
            "exit_code": control.and_then(|row| row.exit_code),
            "source": if control.is_some() { "baseline" } else { "baseline_missing" },
            "status": platform,
            "errno": control.and_then(|row| row.errno),
            "errno_name": control.and_then(|row| row.errno_name.clone()),
        },
        "process_policy": {
            "decision": word(process),
            "failure_kind": row.runtime_result.failure_kind,
            "failure_stage": row.runtime_result.failure_stage,
            "status": row.runtime_result.status,
        },
    })
}

fn word(decision: Option<Decision>) -> &'static str {
    match decision {
        Some(Decision::Allow) => "allow",
        Some(Decision::Deny) => "deny",
        None => "unknown",
    }
}

/// What else could have refused a file operation: from the real errno, with the decision beside it.
fn file_confounder(row: &ResultRow, control: Option<&BaselineRow>) -> Option<Value> {
    const EPERM: i32 = 1;
    const EACCES: i32 = 13;
    let errno = row.runtime_result.errno.filter(|_| row.operation.starts_with("file-"))?;
    let (classification, attribution) = match errno {
        EACCES => ("unix_permissions", "unix_acl"),
        EPERM if row.actual == Some(Decision::Deny) => ("sandbox_or_mac", "app_sandbox"),
        EPERM if control.is_some_and(|row| row.status == Some(Decision::Deny)) => ("sandbox_or_mac", "mac"),
        EPERM => ("sandbox_or_mac", "sandbox_or_mac"),
        _ => ("other_errno", "unknown"),
    };
    Some(json!({
        "errno": errno, "errno_name": row.errno_name, "classification": classification, "attribution": attribution,
    }))
}

/// Why a network operation fails without any policy too: nobody listens, the address is taken, or modes forbid it. A deny
/// beside it is still the policy's; that the policy is what keeps the address from being reached is then not shown.
fn network_confounder(row: &ResultRow, control: Option<&BaselineRow>) -> Option<Value> {
    const EACCES: i32 = 13;
    let control = control.filter(|_| row.operation.starts_with("network-"))?;
    let classification = match (control.errno?, row.operation.as_str()) {
        (EACCES, _) => "unix_permissions",
        (_, "network-outbound") => "target_unreachable",
        _ => "address_unavailable",
    };
    Some(json!({
        "errno": control.errno, "errno_name": control.errno_name, "classification": classification, "attribution": "baseline",
    }))
}
