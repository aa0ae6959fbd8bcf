//! What a row is worth by the rule that nothing is stronger than what was observed, and what proves it.
//!
//! The members `actual` and `intended_op_witnessed` keep the rules of whoever wrote the row. The earlier tool recorded timeouts
//! as refusals, and a question asked as an operation performed; what it cannot have known is said here, beside its own words.

use serde_json::{Map, Value, json};

use super::super::seatbelt;
use super::layers::stopped_early;
use super::path::own_record;
use super::text;

/// One of `allow`, `deny`, `not_observed`, `error`, with the reason of the last two.
pub(super) fn outcome(
    row: &Map<String, Value>,
    result: &Map<String, Value>,
    control: Option<&Map<String, Value>>,
) -> (&'static str, Option<String>) {
    if stopped_early(result) {
        let stage = text(result, "failure_stage").unwrap_or_default();
        return ("error", Some(format!("stopped at {stage}: the operation was never reached")));
    }
    if let Some(why) = text(row, "error") {
        return ("error", Some(why.to_owned()));
    }
    let actual = match text(row, "actual") {
        Some("allow") => "allow",
        Some("deny") => "deny",
        _ => {
            let why = text(row, "not_observed").or_else(|| text(row, "notes")).unwrap_or("the row claims no decision");
            return ("not_observed", Some(why.to_owned()));
        }
    };
    if let Some(claimed) = claimed(row, result, control) {
        return match claimed {
            Ok((decision, _)) if decision.to_string() == actual => (actual, None),
            Ok(_) => ("error", Some("what was seen of it says something else".to_owned())),
            Err(why) => ("not_observed", Some(why)),
        };
    }
    if row.contains_key("decision_records") {
        return match own_record(row) {
            Some(record) if record.get("decision").and_then(Value::as_str) == Some(actual) => (actual, None),
            Some(_) => ("error", Some("its decision record says something else".to_owned())),
            None => ("not_observed", Some("no decision record supports the decision".to_owned())),
        };
    }
    match (actual, row.get("exit_code").and_then(Value::as_i64)) {
        (_, None) => ("error", Some("the program gave no exit status".to_owned())),
        (_, Some(status)) if status < 0 => ("error", Some(format!("the program was ended by signal {}", -status))),
        ("deny", _) if text(row, "decision_source") != Some("probe_details") && !refused_by_errno(row) => {
            ("not_observed", Some("the refusal is known from an exit status only".to_owned()))
        }
        _ => (actual, None),
    }
}

/// What may be claimed of a row under Seatbelt, worked out again from what the row holds; `None` for other rows.
fn claimed(
    row: &Map<String, Value>,
    result: &Map<String, Value>,
    control: Option<&Map<String, Value>>,
) -> Option<seatbelt::Claimed> {
    row.get("decision_records")?;
    let done = seatbelt::done_without_policy(control);
    let callouts = result.get("seatbelt_callouts").filter(|callouts| !callouts.is_null());
    seatbelt::claim_of_stored(text(row, "performed_operation"), row.get("probe_details"), callouts, done)
}

/// Whether the program itself reported EPERM or EACCES of the operation.
fn refused_by_errno(row: &Map<String, Value>) -> bool {
    matches!(details_errno(row), Some(1 | 13))
}

/// The errno that an earlier program reported.
pub(super) fn details_errno(row: &Map<String, Value>) -> Option<i64> {
    let details = row.get("probe_details")?;
    ["errno", "rc", "err"].iter().find_map(|key| details.get(key)?.as_i64()).filter(|&errno| errno != 0)
}

/// Where the errno of the structured result comes from; null without one.
pub(super) fn errno_source(row: &Map<String, Value>, result: &Map<String, Value>) -> Option<&'static str> {
    let errno = result.get("errno").and_then(Value::as_i64)?;
    if row.contains_key("decision_records") || details_errno(row) == Some(errno) {
        return Some("probe_details");
    }
    if stopped_early(result) {
        return Some("apply_marker");
    }
    (row.get("exit_code").and_then(Value::as_i64) == Some(errno)).then_some("exit_status")
}

/// Which record proves that the intended operation was decided, or why none does; null where nobody asked.
pub(super) fn proof(row: &Map<String, Value>, result: &Map<String, Value>) -> Value {
    let witnessed = result.get("intended_op_witnessed").and_then(Value::as_bool);
    if let (Some(true), Some(source)) = (witnessed, text(row, "decision_source").filter(|s| s.starts_with("seatbelt_")))
    {
        return json!({"source": source, "proves": "decided"});
    }
    if row.contains_key("decision_records") {
        let record = own_record(row);
        return match (witnessed, record) {
            (Some(true), Some(record)) => json!({
                "source": "decision_record", "record": row.get("own_record"), "operation": record.get("operation"),
                "target": record.get("target"), "proves": "decided",
            }),
            (Some(_), _) => {
                json!({"source": "none", "reason": text(row, "not_observed").unwrap_or("no record is about this call")})
            }
            (None, _) => Value::Null,
        };
    }
    match witnessed {
        // A call-out is a question to the kernel: it shows that somebody asked.
        Some(true) => json!({"source": "seatbelt_callout", "proves": "asked"}),
        Some(false) => json!({"source": "none", "reason": "no call-out asked about this operation and target"}),
        None => Value::Null,
    }
}
