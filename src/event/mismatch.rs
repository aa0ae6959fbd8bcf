//! `mismatch_summary.json` and `mismatch_packets.jsonl`: where expectation and observation part, typed and reasoned.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value, json};

use crate::vocab::{Decision, FailureKind, FailureStage};

use super::baseline::{BaselineRow, control};
use super::oracle::OracleRow;
use super::row::{ProfileResults, ResultRow};
use super::witness::PathWitness;

/// `mismatch_summary.json`.
#[derive(Debug, Clone, Serialize)]
pub struct MismatchSummary {
    /// World of the host.
    pub world_id: String,
    /// Name of this tool.
    pub generated_by: &'static str,
    /// One entry per row that does not match, in plan order.
    pub mismatches: Vec<Mismatch>,
    /// Number of entries per type, in order of first appearance.
    pub counts: IndexMap<&'static str, usize>,
    /// Why the run failed, when it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One row that does not match.
#[derive(Debug, Clone, Serialize)]
pub struct Mismatch {
    /// World of the host.
    pub world_id: String,
    /// Profile the row ran under.
    pub profile_id: String,
    /// Expectation that was not met.
    pub expectation_id: String,
    /// Operation as the plan writes it.
    pub operation: String,
    /// Target as the plan writes it.
    pub path: String,
    /// Expected decision.
    pub expected: Decision,
    /// Observed decision; null when not observed.
    pub actual: Option<Decision>,
    /// Type; see [`mismatch_type`].
    pub mismatch_type: &'static str,
    /// Carried from the row.
    pub violation_summary: Option<&'static str>,
    /// Rule that decided, why nothing was observed, or how effect and decision disagree.
    pub notes: String,
}

/// Finds and types the mismatches of a run. Rows in error and unobserved rows are listed too: they are not matches.
#[must_use]
pub fn mismatch_summary(
    world_id: &str,
    results: &IndexMap<String, ProfileResults>,
    baseline: &[BaselineRow],
) -> MismatchSummary {
    let mut mismatches = Vec::new();
    for (profile_id, profile) in results {
        for row in &profile.probes {
            let control = control(baseline, profile_id, &row.expectation_id);
            if let Some(mismatch_type) = mismatch_type(row, control) {
                mismatches.push(Mismatch {
                    world_id: world_id.to_owned(),
                    profile_id: profile_id.clone(),
                    expectation_id: row.expectation_id.clone(),
                    operation: row.operation.clone(),
                    path: row.path.clone(),
                    expected: row.expected,
                    actual: row.actual,
                    mismatch_type,
                    violation_summary: row.violation_summary,
                    notes: notes(row, control),
                });
            }
        }
    }
    let mut counts = IndexMap::new();
    for mismatch in &mismatches {
        *counts.entry(mismatch.mismatch_type).or_insert(0) += 1;
    }
    MismatchSummary { world_id: world_id.to_owned(), generated_by: "runtime", mismatches, counts, error: None }
}

/// Whether a row met its expectation, its effect agreeing with the decision.
#[must_use]
pub fn meets_expectation(row: &ResultRow, control: Option<&BaselineRow>) -> bool {
    mismatch_type(row, control).is_none()
}

/// The type of a row's mismatch, or `None` when the row matches and its effect agrees.
///
/// `probe_error` (additive): the row gave no result. `effect_disagreement` (additive): the decision that was recorded and
/// what the operation returned cannot both be true; the enforcement itself is then in doubt.
fn mismatch_type(row: &ResultRow, control: Option<&BaselineRow>) -> Option<&'static str> {
    match row.runtime_result.failure_stage {
        Some(FailureStage::Preflight) => return Some("preflight_blocked"),
        Some(FailureStage::Apply) => return Some("apply_gate"),
        Some(FailureStage::Bootstrap)
            if row.runtime_result.failure_kind == Some(FailureKind::BootstrapDenyProcessExec) =>
        {
            return Some("bootstrap_deny_process_exec");
        }
        Some(FailureStage::Bootstrap) => return Some("bootstrap_failed"),
        _ => {}
    }
    if row.error.is_some() {
        return Some("probe_error");
    }
    match (row.expected, row.actual) {
        (_, None) => Some("op_not_witnessed"),
        (Decision::Allow, Some(Decision::Deny)) => Some("unexpected_deny"),
        (Decision::Deny, Some(Decision::Allow)) => Some("unexpected_allow"),
        _ if effect_disagrees(row, control) => Some("effect_disagreement"),
        _ => None,
    }
}

/// Whether decision and effect contradict each other: a denied call that succeeded or whose effect was seen, or an allowed
/// one that failed although the same call succeeded without a policy, or that succeeded without being seen by whom it
/// reached.
fn effect_disagrees(row: &ResultRow, control: Option<&BaselineRow>) -> bool {
    let succeeded = row.runtime_result.errno.is_none();
    match row.actual {
        Some(Decision::Deny) => succeeded || row.effect_seen == Some(true),
        Some(Decision::Allow) if succeeded => row.effect_seen == Some(false),
        Some(Decision::Allow) => control.and_then(BaselineRow::succeeded) == Some(true),
        None => false,
    }
}

fn notes(row: &ResultRow, control: Option<&BaselineRow>) -> String {
    if let Some(text) = row.error.as_ref().or(row.not_observed.as_ref()) {
        return text.clone();
    }
    let rule = row.own_record.and_then(|own| row.decision_records.get(own)).and_then(|record| record.rule.as_ref());
    let decided =
        rule.map_or_else(|| "decided by no rule (implicit deny)".to_owned(), |rule| format!("decided by {rule}"));
    if effect_disagrees(row, control) {
        let seen = match row.effect_seen {
            Some(true) => " and its effect was seen",
            Some(false) => " and its effect was not seen",
            None => "",
        };
        let returned = row.errno_name.as_deref().unwrap_or("success");
        return format!("{decided}, but the operation returned {returned}{seen}");
    }
    decided
}

/// One line per mismatch: what was decided, expected, and what the other lanes say.
#[must_use]
pub fn mismatch_packets(
    summary: &MismatchSummary,
    events: &[Value],
    baseline: &[BaselineRow],
    oracle: &[OracleRow],
    witnesses: &[PathWitness],
    run_context: &Value,
) -> Vec<Value> {
    let by_row = |profile: &str, id: &str| (profile.to_owned(), id.to_owned());
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let events: HashMap<_, &Value> =
        events.iter().map(|event| ((text(event, "profile_id"), text(event, "expectation_id")), event)).collect();
    let controls: HashMap<_, &BaselineRow> =
        baseline.iter().map(|row| (by_row(&row.profile_id, &row.expectation_id), row)).collect();
    let answers: HashMap<_, &OracleRow> =
        oracle.iter().map(|row| (by_row(&row.profile_id, &row.expectation_id), row)).collect();
    let paths: HashMap<_, &PathWitness> =
        witnesses.iter().map(|witness| (by_row(&witness.profile_id, &witness.scenario_id), witness)).collect();
    let packet = |mismatch: &Mismatch| {
        let key = by_row(&mismatch.profile_id, &mismatch.expectation_id);
        let event = events.get(&key).copied();
        let control = controls.get(&key).copied();
        let asked = answers.get(&key).copied();
        let of_control = || paths.get(&by_row(&mismatch.profile_id, &control?.name));
        let witness = [paths.get(&key), of_control()]
            .into_iter()
            .flatten()
            .copied()
            .find(|witness| witness.canonicalization.alias_pair || witness.canonicalization.nofirmlink_differs);
        json!({
            "schema_version": "runtime-tools.mismatch_packet.v0.1",
            "expectation_id": mismatch.expectation_id,
            "run_context": run_context,
            "decision_event": event.map(decision_event),
            "expected": {
                "expectation_id": mismatch.expectation_id, "expected_decision": mismatch.expected, "target": mismatch.path,
            },
            "baseline": control,
            "oracle_check": asked.map(oracle_check),
            "canonicalization": witness.map(canonicalization),
            "mismatch_reason": reason(mismatch, witness.is_some(), control, asked),
            "mismatch_type": mismatch.mismatch_type,
            "profile_id": mismatch.profile_id,
        })
    };
    summary.mismatches.iter().map(packet).collect()
}

fn canonicalization(witness: &PathWitness) -> Value {
    json!({
        "witness_source": witness.lane,
        "witness": {
            "lane": witness.lane, "scenario_id": witness.scenario_id, "requested_path": witness.requested_path,
            "observed_path": witness.observed_path, "observed_path_source": witness.observed_path_source,
            "normalized_path": witness.normalized_path, "normalized_path_source": witness.normalized_path_source,
            "alias_pair": witness.canonicalization.alias_pair,
            "nofirmlink_differs": witness.canonicalization.nofirmlink_differs, "links_met": witness.links_met,
        },
    })
}

fn decision_event(event: &Value) -> Value {
    const KEYS: [&str; 18] = [
        "scenario_id",
        "profile_id",
        "probe_name",
        "operation",
        "target",
        "requested_path",
        "observed_path",
        "normalized_path",
        "runtime_status",
        "failure_stage",
        "failure_kind",
        "actual",
        "errno",
        "intended_op_witnessed",
        "intended_op_proof",
        "policy_layers",
        "enforcement",
        "error",
    ];
    let field = |key: &&str| {
        let name = if *key == "actual" { "decision" } else { *key };
        (name.to_owned(), event.get(*key).cloned().unwrap_or(Value::Null))
    };
    Value::Object(KEYS.iter().map(field).collect())
}

/// An oracle row as a packet holds it; of an answer of the system also whose number its filter's is.
fn oracle_check(row: &OracleRow) -> Value {
    let mut check = json!({
        "decision": row.decision, "stage": row.stage, "filter_type": row.filter_type,
        "filter_type_name": row.filter_type_name, "argument": row.argument, "source": row.source, "rule": row.rule,
    });
    if let Some(system) = &row.system {
        check["numbering"] = json!(system.numbering);
    }
    check
}

/// Why the mismatch happened, as far as the other lanes tell.
fn reason(
    mismatch: &Mismatch,
    other_name: bool,
    control: Option<&BaselineRow>,
    asked: Option<&OracleRow>,
) -> &'static str {
    if mismatch.actual.is_none() {
        return "op_not_witnessed";
    }
    if mismatch.mismatch_type == "effect_disagreement" {
        return "capture_pipeline_disagreement";
    }
    if other_name {
        return "canonicalization_boundary";
    }
    if control.is_some_and(|row| row.status == Some(Decision::Deny)) {
        return "ambient_platform_restriction";
    }
    match (asked.map(|row| row.decision), mismatch.actual) {
        (Some("allow"), Some(Decision::Deny)) | (Some("deny"), Some(Decision::Allow)) => {
            "capture_pipeline_disagreement"
        }
        _ => "expectation_too_strong",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::classify::classify;
    use crate::event::classify::tests::{effect, probe, record, runner};
    use crate::event::observation::{ListenerRecord, Observation, Precheck};

    fn listener(accept_count: usize) -> ListenerRecord {
        ListenerRecord {
            host: Some("127.0.0.1".into()),
            port: Some(1),
            status: "ok",
            error: None,
            precheck: Precheck { status: "skipped", error: None },
            accept_count,
            path: None,
            accepted_from: Vec::new(),
        }
    }

    #[test]
    fn who_was_connected_to_is_believed_before_who_connects() {
        for (decision, errno, accepted, disagrees) in [
            (Decision::Allow, 0, 1, false),
            (Decision::Allow, 0, 0, true),
            (Decision::Deny, 1, 0, false),
            (Decision::Deny, 1, 1, true),
            (Decision::Deny, 0, 0, true),
        ] {
            let seen = Observation {
                effect: effect(errno),
                records: vec![record("network-outbound", decision)],
                listener: Some(listener(accepted)),
                ..Observation::default()
            };
            let row = classify(&probe("network-outbound", decision), seen, &runner());
            let found = mismatch_type(&row, None);
            assert_eq!(found, disagrees.then_some("effect_disagreement"), "{decision} {errno} {accepted}");
        }
    }

    #[test]
    fn every_type_and_every_reason_is_given_by_a_row() {
        use crate::event::observation::Fault;
        let stopped = |stage, kind| Observation {
            fault: Some(Fault { stage, kind, word: "w".into(), message: "m".into() }),
            ..Observation::default()
        };
        let decided = |decision, errno| Observation {
            effect: effect(errno),
            records: vec![record("file-read-data", decision)],
            ..Observation::default()
        };
        let unseen = Observation { effect: effect(1), ..Observation::default() };
        let exec_denied = Some(FailureKind::BootstrapDenyProcessExec);
        for (seen, expected, found) in [
            (stopped(FailureStage::Preflight, None), Decision::Allow, Some("preflight_blocked")),
            (stopped(FailureStage::Apply, None), Decision::Allow, Some("apply_gate")),
            (stopped(FailureStage::Bootstrap, exec_denied), Decision::Allow, Some("bootstrap_deny_process_exec")),
            (stopped(FailureStage::Bootstrap, None), Decision::Allow, Some("bootstrap_failed")),
            (stopped(FailureStage::Probe, None), Decision::Allow, Some("probe_error")),
            (unseen, Decision::Allow, Some("op_not_witnessed")),
            (decided(Decision::Deny, 1), Decision::Allow, Some("unexpected_deny")),
            (decided(Decision::Allow, 0), Decision::Deny, Some("unexpected_allow")),
            (decided(Decision::Deny, 0), Decision::Deny, Some("effect_disagreement")),
            (decided(Decision::Deny, 1), Decision::Deny, None),
        ] {
            let row = classify(&probe("file-read-data", expected), seen, &runner());
            assert_eq!(mismatch_type(&row, None), found);
        }
        let mismatch = |mismatch_type, actual| Mismatch {
            world_id: "w".into(),
            profile_id: "p".into(),
            expectation_id: "e".into(),
            operation: "file-read-data".into(),
            path: "/f/x".into(),
            expected: Decision::Allow,
            actual,
            mismatch_type,
            violation_summary: None,
            notes: String::new(),
        };
        let denied = mismatch("unexpected_deny", Some(Decision::Deny));
        assert_eq!(reason(&mismatch("op_not_witnessed", None), true, None, None), "op_not_witnessed");
        let disagrees = mismatch("effect_disagreement", Some(Decision::Deny));
        assert_eq!(reason(&disagrees, true, None, None), "capture_pipeline_disagreement");
        assert_eq!(reason(&denied, true, None, None), "canonicalization_boundary");
        assert_eq!(reason(&denied, false, None, None), "expectation_too_strong");
    }
}
