//! The Linux gate: every layer present, a start measured unsandboxed, the plan's own world, no stand-ins, and every
//! expectation met by an observed decision.

use serde_json::Value;

use super::enforcement_report::{ENFORCEMENT_REPORT_TAG, EnforcementReport};
use super::gate::{Gate, Reason};
use super::{facts, rows};
use crate::bundle::layout::{
    self, ENFORCEMENT_REPORT, EXPECTED_MATRIX, MISMATCH_SUMMARY, RUNTIME_RESULTS, SUMMARY_JSON,
};
use crate::bundle::{UnverifiedBundle, Verification, VerifiedBundle};

pub(super) fn gate(verification: &Verification, documents: &UnverifiedBundle) -> Gate {
    let mut gate = Gate::default();
    facts::life(documents, &mut gate);
    facts::decision_files(verification.verified(), documents, &mut gate);
    facts::own(documents, &mut gate);
    gate.add_if(facts::is_linux(documents) != Some(true), Reason::NotLinux);
    match verification.verified() {
        Some(bundle) if documents.is_own() => facts_of(bundle, documents, &mut gate),
        Some(_) => {
            let why = "the earlier tool's bundles do not get the stricter verdict this gate asks for";
            gate.add_about(Reason::BundleIntegrityUnverified, why);
        }
        // Nothing inside is believed, so nothing inside is judged.
        None => facts::unproven(verification, &mut gate),
    }
    gate
}

fn facts_of(bundle: &VerifiedBundle, documents: &UnverifiedBundle, gate: &mut Gate) {
    facts::index(bundle, gate);
    let results = facts::artifact(bundle, RUNTIME_RESULTS, gate);
    let matrix = facts::artifact(bundle, EXPECTED_MATRIX, gate);
    match (&results, &matrix) {
        (Some(results), Some(matrix)) => rows::judge(results, matrix, gate),
        _ => gate.add(Reason::NoRows),
    }
    enforcement(bundle, documents, results.as_ref(), gate);
    mismatch_summary(bundle, gate);
    summary(bundle, gate);
}

fn enforcement(bundle: &VerifiedBundle, documents: &UnverifiedBundle, results: Option<&Value>, gate: &mut Gate) {
    if bundle.sha256(&layout::name(ENFORCEMENT_REPORT)).is_none() {
        gate.add(Reason::EnforcementReportMissing);
        return;
    }
    let Some(value) = facts::artifact(bundle, ENFORCEMENT_REPORT, gate) else { return };
    let report: EnforcementReport = match serde_json::from_value(value) {
        Ok(report) => report,
        Err(error) => {
            gate.add_about(Reason::FactsMalformed, format!("{ENFORCEMENT_REPORT}: {error}"));
            return;
        }
    };
    let mut malformed = |condition: bool, why: &str| {
        if condition {
            gate.add_about(Reason::FactsMalformed, format!("{ENFORCEMENT_REPORT}: {why}"));
        }
    };
    malformed(report.schema_version != ENFORCEMENT_REPORT_TAG, "the schema version is unknown");
    malformed(report.run_id != documents.run_id(), "it belongs to another run");
    malformed(bundle.world_id() != Some(report.world_id.as_str()), "it belongs to another world");
    for profile_id in results.and_then(Value::as_object).into_iter().flat_map(|profiles| profiles.keys()) {
        if !report.profiles.contains_key(profile_id) {
            gate.add_about(Reason::FactsMissing, format!("{ENFORCEMENT_REPORT}#/profiles: {profile_id}"));
        }
    }
    for (profile_id, profile) in &report.profiles {
        if profile.get("observe").is_some_and(|observe| observe != &Value::Bool(false)) {
            gate.add_about(Reason::ObserveOnly, profile_id);
        }
    }
    gate.add_if(report.platform != "linux", Reason::NotLinux);
    layers(&report, gate);
    // What is not known is no clean start either.
    gate.add_if(report.start_unsandboxed != Some(true), Reason::LinuxStartSandboxed);
    gate.add_if(report.world_rebound, Reason::WorldRebound);
    for tool in &report.stand_in_tools {
        gate.add_about(Reason::StandInTools, tool);
    }
}

fn layers(report: &EnforcementReport, gate: &mut Gate) {
    if report.layers.is_empty() {
        gate.add_about(Reason::LinuxLayersMissing, "no layer is recorded");
    }
    let absent = report.layers.iter().filter(|(_, layer)| !layer.present).map(|(name, _)| name);
    let mut named: Vec<&String> = absent.chain(&report.missing_layers).collect();
    named.sort();
    named.dedup();
    for name in named {
        gate.add_about(Reason::LinuxLayersMissing, name);
    }
}

/// Types of listed rows that are no decision at all; the rows themselves say why, under reasons of their own.
const WITHOUT_DECISION: [&str; 6] = [
    "op_not_witnessed",
    "probe_error",
    "preflight_blocked",
    "apply_gate",
    "bootstrap_deny_process_exec",
    "bootstrap_failed",
];

/// Whether the rows already shut the gate for lack of a decision.
fn rows_lack_decisions(gate: &Gate) -> bool {
    [Reason::RowsInError, Reason::RowsUnobserved, Reason::RowsUndecided, Reason::NoRows]
        .into_iter()
        .any(|r| gate.has(r))
}

fn mismatch_summary(bundle: &VerifiedBundle, gate: &mut Gate) {
    let Some(document) = facts::artifact(bundle, MISMATCH_SUMMARY, gate) else { return };
    let rows_say_so = rows_lack_decisions(gate);
    let explained = |kind: &str| rows_say_so && WITHOUT_DECISION.contains(&kind);
    match document.get("mismatches") {
        Some(Value::Array(mismatches)) => {
            let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
            for entry in mismatches.iter().filter(|entry| !explained(&text(entry, "mismatch_type"))) {
                let row = format!("{} {}", text(entry, "profile_id"), text(entry, "expectation_id"));
                gate.add_about(Reason::Mismatches, row);
            }
        }
        other => facts::unusable(other.is_some(), MISMATCH_SUMMARY, "mismatches", gate),
    }
    match document.get("counts") {
        Some(Value::Object(counts)) => {
            let counted = counts.iter().filter(|(_, count)| count.as_u64() != Some(0));
            let unexplained = counted.into_iter().any(|(kind, _)| !explained(kind));
            gate.add_if(unexplained, Reason::Mismatches);
        }
        other => facts::unusable(other.is_some(), MISMATCH_SUMMARY, "counts", gate),
    }
    if document.get("error").is_some_and(|error| !error.is_null()) {
        gate.add_about(Reason::BundleFailed, format!("{MISMATCH_SUMMARY}#/error"));
    }
}

fn summary(bundle: &VerifiedBundle, gate: &mut Gate) {
    let Some(document) = facts::artifact(bundle, SUMMARY_JSON, gate) else { return };
    match document.get("dry_run") {
        Some(Value::Bool(dry)) => gate.add_if(*dry, Reason::DryRun),
        other => facts::unusable(other.is_some(), SUMMARY_JSON, "dry_run", gate),
    }
    match document.get("status").and_then(Value::as_str) {
        Some("ok") => {}
        Some("dry") => gate.add(Reason::DryRun),
        Some("failed") => gate.add(Reason::BundleFailed),
        // Some expectation was not met; the rows say which. If none of them does, the summary's word stands.
        Some("partial") => gate.add_if(!rows_lack_decisions(gate), Reason::Mismatches),
        _ => facts::unusable(document.get("status").is_some(), SUMMARY_JSON, "status", gate),
    }
}
