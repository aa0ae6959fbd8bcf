//! What the rows of a run say, each put into exactly one class.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::gate::{Gate, Reason};
use crate::bundle::layout::{EXPECTED_MATRIX, RUNTIME_RESULTS};

/// What one row is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowClass {
    /// The observed decision is the expected one.
    Met,
    /// The observed decision is another one.
    Mismatch,
    /// No decision was observed.
    Unobserved,
    /// The policy's answer could not be decided.
    Undecided,
    /// The probe gave no result.
    InError,
    /// The row is not what the format says.
    Malformed(&'static str),
}

/// Judges every row, and that there is exactly one for every expectation.
pub(super) fn judge(results: &Value, matrix: &Value, gate: &mut Gate) {
    let Some(expected) = expectations(matrix, gate) else { return };
    let Some(profiles) = results.as_object() else {
        gate.add_about(Reason::FactsMalformed, format!("{RUNTIME_RESULTS} is not an object"));
        return;
    };
    gate.add_if(expected.is_empty(), Reason::NoRows);
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (profile_id, profile) in profiles {
        let Some(rows) = profile.get("probes").and_then(Value::as_array).filter(|rows| !rows.is_empty()) else {
            gate.add_about(Reason::NoRows, profile_id);
            continue;
        };
        for row in rows {
            let key = (profile_id.clone(), row_id(row));
            judge_row(row, &key, expected.get(&key), gate);
            *seen.entry(key).or_default() += 1;
        }
    }
    for (profile_id, row) in expected.keys().filter(|key| !seen.contains_key(*key)) {
        gate.add_about(Reason::RowsUnobserved, format!("{profile_id} {row}: there is no row"));
    }
    for ((profile_id, row), _) in seen.iter().filter(|(_, count)| **count > 1) {
        gate.add_about(Reason::FactsMalformed, format!("{RUNTIME_RESULTS}: {profile_id} {row} has several rows"));
    }
}

fn judge_row(row: &Value, (profile_id, id): &(String, String), expected: Option<&Value>, gate: &mut Gate) {
    let about = format!("{profile_id} {id}");
    match expected {
        None => gate.add_about(Reason::FactsMalformed, format!("{RUNTIME_RESULTS}: {about} is in no expectation")),
        Some(expected) if Some(expected) != row.get("expected") => {
            let message = format!("{RUNTIME_RESULTS}: {about} expects something else than {EXPECTED_MATRIX}");
            gate.add_about(Reason::FactsMalformed, message);
        }
        Some(_) => {}
    }
    match row.as_object().map_or(RowClass::Malformed("the row is not an object"), class) {
        RowClass::Met => {}
        RowClass::Mismatch => gate.add_about(Reason::Mismatches, about),
        RowClass::Unobserved => gate.add_about(Reason::RowsUnobserved, about),
        RowClass::Undecided => gate.add_about(Reason::RowsUndecided, about),
        RowClass::InError => gate.add_about(Reason::RowsInError, about),
        RowClass::Malformed(why) => {
            gate.add_about(Reason::FactsMalformed, format!("{RUNTIME_RESULTS}: {about}: {why}"));
        }
    }
}

/// The class of one row. The gravest first: a row in error has decided nothing, whatever its columns say.
fn class(row: &Map<String, Value>) -> RowClass {
    let Some(result) = row.get("runtime_result").and_then(Value::as_object) else {
        return RowClass::Malformed("there is no runtime_result");
    };
    let stage = result.get("failure_stage").unwrap_or(&Value::Null);
    let kind = result.get("failure_kind").unwrap_or(&Value::Null);
    let stopped_early = matches!(stage.as_str(), Some("preflight" | "apply" | "bootstrap"));
    let without_result = matches!(kind.as_str(), Some("probe_timeout" | "probe_nonzero_exit"));
    if is_set(row, "error") || stopped_early || without_result {
        return RowClass::InError;
    }
    if !matches!(stage, Value::Null) && stage.as_str() != Some("probe") {
        return RowClass::Malformed("the failure stage is unknown");
    }
    if is_set(row, "undecided") {
        return RowClass::Undecided;
    }
    // Proof that the intended operation on the intended target was decided; without it nothing was seen.
    let witnessed = result.get("intended_op_witnessed") == Some(&Value::Bool(true));
    let actual = match row.get("actual") {
        Some(Value::String(actual)) if witnessed => actual.as_str(),
        Some(Value::String(_) | Value::Null) | None => return RowClass::Unobserved,
        Some(_) => return RowClass::Malformed("actual is neither text nor null"),
    };
    let expected = row.get("expected").and_then(Value::as_str);
    let is_decision = |text: &str| matches!(text, "allow" | "deny");
    match expected {
        Some(expected) if is_decision(expected) && is_decision(actual) => {
            match (expected == actual, row.get("match")) {
                (true, Some(Value::Bool(true))) => RowClass::Met,
                (false, Some(Value::Bool(false))) => RowClass::Mismatch,
                _ => RowClass::Malformed("match contradicts expected and actual"),
            }
        }
        _ => RowClass::Malformed("expected or actual is neither allow nor deny"),
    }
}

/// Whether an additive key says something: absent, null and false say nothing.
fn is_set(row: &Map<String, Value>, key: &str) -> bool {
    !matches!(row.get(key), None | Some(Value::Null | Value::Bool(false)))
}

fn row_id(row: &Value) -> String {
    ["expectation_id", "name"].iter().find_map(|key| row.get(key)?.as_str()).unwrap_or("?").to_owned()
}

/// Every expectation of the matrix by profile and id; `None` when the matrix cannot be used.
fn expectations(matrix: &Value, gate: &mut Gate) -> Option<BTreeMap<(String, String), Value>> {
    let Some(profiles) = matrix.get("profiles").and_then(Value::as_object) else {
        gate.add_about(Reason::FactsMalformed, format!("{EXPECTED_MATRIX}#/profiles is not an object"));
        return None;
    };
    let mut expected = BTreeMap::new();
    for (profile_id, profile) in profiles {
        let Some(probes) = profile.get("probes").and_then(Value::as_array) else {
            gate.add_about(Reason::FactsMalformed, format!("{EXPECTED_MATRIX}: {profile_id} has no array of probes"));
            continue;
        };
        for probe in probes {
            let value = probe.get("expected").cloned().unwrap_or(Value::Null);
            expected.insert((profile_id.clone(), row_id(probe)), value);
        }
    }
    Some(expected)
}
