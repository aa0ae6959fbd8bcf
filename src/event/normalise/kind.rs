//! Of what kind the members are that events take over: whoever reads events may rely on it, so a row in which one is of another
//! kind is not what the format says.

use serde_json::{Map, Value};

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Whole,
    Object,
    List,
    Texts,
}

/// Members of a row.
const OF_ROW: [(&str, Kind); 24] = [
    ("name", Kind::Text),
    ("expectation_id", Kind::Text),
    ("operation", Kind::Text),
    ("path", Kind::Text),
    ("target", Kind::Text),
    ("expected", Kind::Text),
    ("actual", Kind::Text),
    ("match", Kind::Flag),
    ("violation_summary", Kind::Text),
    ("command", Kind::Texts),
    ("exit_code", Kind::Whole),
    ("stdout", Kind::Text),
    ("stderr", Kind::Text),
    ("probe_details", Kind::Object),
    ("error", Kind::Text),
    ("error_kind", Kind::Text),
    ("notes", Kind::Text),
    ("not_observed", Kind::Text),
    ("undecided", Kind::Text),
    ("effect_seen", Kind::Flag),
    ("listener", Kind::Object),
    ("links_met", Kind::List),
    ("decision_records", Kind::List),
    ("own_record", Kind::Whole),
];

/// Members of its structured result.
const OF_RESULT: [(&str, Kind); 8] = [
    ("status", Kind::Text),
    ("errno", Kind::Whole),
    ("failure_stage", Kind::Text),
    ("failure_kind", Kind::Text),
    ("apply_report", Kind::Object),
    ("runner_info", Kind::Object),
    ("intended_op_witnessed", Kind::Flag),
    ("entitlement_checks", Kind::List),
];

/// Looks at the members of a row.
///
/// # Errors
/// The first that is neither absent nor null nor of its kind.
pub(super) fn check_row(row: &Map<String, Value>) -> Result<(), String> {
    check(row, &OF_ROW)
}

/// The same of a structured result.
///
/// # Errors
/// See [`check_row`].
pub(super) fn check_result(result: &Map<String, Value>) -> Result<(), String> {
    check(result, &OF_RESULT)
}

fn check(members: &Map<String, Value>, kinds: &[(&str, Kind)]) -> Result<(), String> {
    for &(key, kind) in kinds {
        let Some(value) = members.get(key).filter(|value| !value.is_null()) else { continue };
        let (is, name) = match kind {
            Kind::Text => (value.is_string(), "text"),
            Kind::Flag => (value.is_boolean(), "true or false"),
            Kind::Whole => (value.is_i64(), "a whole number"),
            Kind::Object => (value.is_object(), "an object"),
            Kind::List => (value.is_array(), "an array"),
            Kind::Texts => {
                (value.as_array().is_some_and(|items| items.iter().all(Value::is_string)), "an array of texts")
            }
        };
        if !is {
            return Err(format!("{key} is not {name}"));
        }
    }
    Ok(())
}
