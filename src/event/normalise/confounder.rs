//! What else than the policy could have made a row look the way it does.

use serde_json::{Map, Value, json};

use super::layers::{process_decision, stopped_early};
use super::text;
use crate::vocab::{Platform, world_platform};

const EPERM: i64 = 1;
const EACCES: i64 = 13;

/// A row with its control.
#[derive(Clone, Copy)]
pub(super) struct Case<'r> {
    pub(super) world_id: &'r str,
    pub(super) operation: &'r str,
    pub(super) target: &'r str,
    pub(super) row: &'r Map<String, Value>,
    pub(super) result: &'r Map<String, Value>,
    pub(super) control: Option<&'r Map<String, Value>>,
}

impl Case<'_> {
    fn control_status(&self) -> Option<&str> {
        self.control.and_then(|control| text(control, "status"))
    }

    fn errno(&self) -> Option<i64> {
        self.result.get("errno").and_then(Value::as_i64).filter(|&errno| errno != 0)
    }

    fn control_errno(&self) -> Option<i64> {
        self.control?.get("errno")?.as_i64().filter(|&errno| errno != 0)
    }
}

/// A file operation that failed: from its errno, the decision beside it.
pub(super) fn file(case: Case<'_>, errno_name: Option<&str>) -> Option<Value> {
    if !case.operation.starts_with("file-") || stopped_early(case.result) {
        return None;
    }
    let errno = case.errno()?;
    let (classification, attribution) = match errno {
        EACCES => ("unix_permissions", "unix_acl"),
        EPERM if process_decision(case.row, case.result) == Some("deny") => ("sandbox_or_mac", "app_sandbox"),
        EPERM if case.control_status() == Some("deny") => ("sandbox_or_mac", "mac"),
        EPERM => ("sandbox_or_mac", "sandbox_or_mac"),
        _ => ("other_errno", "unknown"),
    };
    Some(json!({
        "errno": errno, "errno_name": errno_name, "classification": classification, "attribution": attribution,
    }))
}

/// A mach service that neither lane found: neither lane's answer is about the policy.
pub(super) fn service(case: Case<'_>) -> Option<Value> {
    if case.operation != "mach-lookup" {
        return None;
    }
    let state = |row: &Map<String, Value>| {
        let told = row.get("probe_details")?;
        // Rows of ours hold what a driver saw beside its result.
        let details = told.get("details").filter(|details| details.is_object()).unwrap_or(told);
        match details.get("service_present").and_then(Value::as_bool) {
            Some(true) => Some("present"),
            Some(false) => Some("missing"),
            None => (details.get("xpc_error")?.as_str()? == "connection_invalid").then_some("missing"),
        }
    };
    let (baseline, scenario) = (state(case.control?)?, state(case.row)?);
    (baseline == "missing" && scenario == "missing").then(|| {
        json!({
            "status": "missing_service", "baseline_state": baseline, "scenario_state": scenario,
            "source": "probe_details",
        })
    })
}

/// A socket address that neither lane found anybody at. A refusal by the policy says nothing about who listens, so such a row
/// has no scenario state and no confounder of this kind.
pub(super) fn endpoint(case: Case<'_>) -> Option<Value> {
    if case.operation != "network-outbound" {
        return None;
    }
    let (baseline, scenario) = (missing(case.control?)?, missing(case.row)?);
    Some(json!({
        "status": "missing_endpoint", "baseline_state": "missing", "scenario_state": "missing",
        "baseline_errno_name": baseline, "scenario_errno_name": scenario, "source": "errno",
    }))
}

/// The errno name of a row whose call found nobody.
fn missing(row: &Map<String, Value>) -> Option<&str> {
    // Names, not numbers: the systems number them differently.
    text(row, "errno_name")
        .filter(|name| matches!(*name, "ECONNREFUSED" | "ENOENT" | "EHOSTUNREACH" | "ENETUNREACH" | "EADDRNOTAVAIL"))
}

/// Why a network operation fails without any policy too: nobody listens, the address is taken, or modes forbid it. A deny
/// beside it is still the policy's; that the policy is what keeps the address from being reached is then not shown.
pub(super) fn network(case: Case<'_>) -> Option<Value> {
    let control = case.control.filter(|_| case.operation.starts_with("network-"))?;
    let classification = match (case.control_errno()?, case.operation) {
        (EACCES, _) => "unix_permissions",
        (_, "network-outbound") => "target_unreachable",
        _ => "address_unavailable",
    };
    let of = |key: &str| control.get(key).cloned().unwrap_or(Value::Null);
    Some(json!({
        "errno": of("errno"), "errno_name": of("errno_name"), "classification": classification,
        "attribution": "baseline",
    }))
}

/// Privacy protections of macOS, which ask the person at the screen: on devices and on some folders of a home.
pub(super) fn tcc(case: Case<'_>) -> Option<Value> {
    if world_platform(case.world_id) == Some(Platform::Linux) {
        return None;
    }
    let device = matches!(case.operation, "device-camera" | "device-microphone" | "device-mic");
    if !(device || in_protected_folder(case.target)) {
        return None;
    }
    // The earlier tool had the word for the error, rows of ours have a member of its own.
    let timed_out = case.control.is_some_and(|control| {
        text(control, "error") == Some("timeout") || control.get("timeout") == Some(&Value::Bool(true))
    });
    let baseline = match case.control_status() {
        _ if timed_out => "prompt_or_timeout",
        Some(status @ ("allow" | "deny")) => status,
        _ => "unknown",
    };
    let scenario = if stopped_early(case.result) {
        "unknown"
    } else if text(case.result, "failure_kind") == Some("probe_timeout") {
        "prompt_or_timeout"
    } else {
        process_decision(case.row, case.result).unwrap_or("unknown")
    };
    let attribution = match (baseline, scenario) {
        ("deny" | "prompt_or_timeout", _) => "tcc_or_platform",
        ("allow", "deny" | "prompt_or_timeout") => "sandbox_or_other",
        ("allow", "allow") => "allow",
        _ => "unknown",
    };
    Some(json!({
        "sensitive": true, "baseline_status": baseline, "scenario_status": scenario, "attribution": attribution,
    }))
}

/// Whose home it is does not matter: the machine that normalises need not be the one that ran.
fn in_protected_folder(target: &str) -> bool {
    let mut parts = target.split('/');
    let home = (parts.next(), parts.next(), parts.next().filter(|name| !name.is_empty()));
    matches!(home, (Some(""), Some("Users"), Some(_)))
        && matches!(parts.next(), Some("Documents" | "Downloads" | "Desktop"))
}
