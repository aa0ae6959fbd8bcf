//! From an event back to the records that its claims rest on.
//!
//! An event of this tool says in `evidence` where its row, its control and its own decision record stand. The table below says
//! which claim rests on which member there. Whoever reads a bundle can so follow every claim, and sees when a record is missing
//! or says something else.

use serde::Serialize;
use serde_json::{Value, json};

use super::observation::OPENED_PATH;
use super::seatbelt;

/// One claim of an event and what was found behind it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claim {
    /// The claiming member of the event, as a JSON pointer.
    pub claim: &'static str,
    /// What it says.
    pub value: Value,
    /// Document and JSON pointer of the record it rests on; null when the event names none.
    pub record: Option<String>,
    /// What stands there; null when nothing does.
    pub found: Value,
    /// Whether that supports the claim.
    pub supported: bool,
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    /// The row.
    Row,
    /// The decision record about the row's own call.
    Record,
    /// The control row.
    Control,
}

/// Claim, record, member. Words for "nothing is known" (see [`is_claim`]) claim nothing.
const RESTS_ON: [(&str, Base, &str); 24] = [
    ("/expectation_id", Base::Row, "/expectation_id"),
    ("/actual", Base::Record, "/decision"),
    ("/outcome", Base::Record, "/decision"),
    ("/intended_op_proof/operation", Base::Record, "/operation"),
    ("/intended_op_proof/target", Base::Record, "/target"),
    ("/observed_path", Base::Record, "/target"),
    ("/policy_layers/process_policy/decision", Base::Record, "/decision"),
    ("/policy_layers/platform_policy/decision", Base::Control, "/status"),
    ("/policy_layers/platform_policy/errno", Base::Control, "/errno"),
    ("/network_confounder/errno", Base::Control, "/errno"),
    ("/endpoint_confounder/baseline_errno_name", Base::Control, "/probe_details/errno_name"),
    ("/endpoint_confounder/scenario_errno_name", Base::Row, "/probe_details/errno_name"),
    ("/errno", Base::Row, "/probe_details/errno"),
    ("/errno_name", Base::Row, "/probe_details/errno_name"),
    ("/file_confounder/errno", Base::Row, "/probe_details/errno"),
    ("/expected", Base::Row, "/expected"),
    ("/error", Base::Row, "/error"),
    ("/error_kind", Base::Row, "/error_kind"),
    ("/undecided", Base::Row, "/undecided"),
    ("/failure_stage", Base::Row, "/runtime_result/failure_stage"),
    ("/failure_kind", Base::Row, "/runtime_result/failure_kind"),
    ("/apply_report/rc", Base::Row, "/runtime_result/apply_report/rc"),
    ("/runner_info/entrypoint_sha256", Base::Row, "/runtime_result/runner_info/entrypoint_sha256"),
    ("/links_met", Base::Row, "/links_met"),
];

/// Follows every claim of `event`. `fetch` gives the value at a document and pointer such as
/// `runtime_results.json#/profile/probes/0`, or nothing.
pub fn claims(event: &Value, mut fetch: impl FnMut(&str) -> Option<Value>) -> Vec<Claim> {
    let mut claims = Vec::new();
    // Whoever has a control, has that of this very probe.
    let of_control = base_of(event, Base::Control).map(|_| ("/expectation_id", Base::Control, "/expectation_id"));
    let decided = decision(event, &mut fetch);
    for (claim, base, member) in RESTS_ON.into_iter().chain(of_control) {
        let Some(value) = event.pointer(claim).filter(|value| is_claim(value)) else { continue };
        let (record, found) = match (base, member) {
            (Base::Record, "/decision") => decided.clone(),
            _ => {
                let by_descriptor = claim == "/observed_path" && event["observed_path_source"] == "fd_path";
                let record = match by_descriptor {
                    true => base_of(event, Base::Row).map(|row| format!("{row}/probe_details/details/{OPENED_PATH}")),
                    false => base_of(event, base).map(|base| format!("{base}{member}")),
                };
                let found = record.as_deref().and_then(&mut fetch).unwrap_or(Value::Null);
                (record, found)
            }
        };
        let supported = found == *value;
        claims.push(Claim { claim, value: value.clone(), record, found, supported });
    }
    if event.get("intended_op_witnessed") == Some(&Value::Bool(true)) {
        let (record, found) = decided.clone();
        let supported = found.is_string();
        claims.push(Claim { claim: "/intended_op_witnessed", value: json!(true), record, supported, found });
    }
    claims.extend(layer_claims(event, &decided, &mut fetch));
    if let Some(seen) = event.get("effect_seen").filter(|seen| seen.is_boolean()) {
        let record = base_of(event, Base::Row);
        let row = record.as_deref().and_then(&mut fetch).unwrap_or(Value::Null);
        let found = match row.pointer("/listener/accept_count").and_then(Value::as_u64) {
            Some(count) => json!(count > 0),
            None => row.pointer("/probe_details/details/reached").cloned().unwrap_or(Value::Null),
        };
        claims.push(Claim { claim: "/effect_seen", value: seen.clone(), record, supported: found == *seen, found });
    }
    claims
}

/// What follows from both layers: found again from the two records, whatever the event says of the layers themselves.
fn layer_claims(
    event: &Value,
    (record, process): &(Option<String>, Value),
    fetch: &mut impl FnMut(&str) -> Option<Value>,
) -> Vec<Claim> {
    let control = base_of(event, Base::Control).map(|place| format!("{place}/status"));
    let platform = control.as_deref().and_then(fetch).unwrap_or(Value::Null);
    let word = |said: &Value| said.as_str().filter(|word| matches!(*word, "allow" | "deny")).map(str::to_owned);
    let (attribution, effective) = match (word(&platform).as_deref(), word(process).as_deref()) {
        (Some("deny"), _) => (json!("platform_policy"), json!("deny")),
        (Some(_), Some("deny")) => (json!("process_policy"), json!("deny")),
        (Some(_), Some(_)) => (json!("allow"), json!("allow")),
        (None, Some(decided)) => (Value::Null, json!(decided)),
        (_, None) => (Value::Null, Value::Null),
    };
    let rests_on = if attribution == "platform_policy" { &control } else { record };
    let follows = [("/policy_layers/attribution", attribution), ("/policy_layers/effective_decision", effective)];
    let claims = follows.into_iter().filter_map(|(claim, found)| {
        let value = event.pointer(claim).filter(|value| is_claim(value))?.clone();
        Some(Claim { claim, supported: value == found, value, record: rests_on.clone(), found })
    });
    claims.collect()
}

/// Where the decision stands and what it is: in a record of the enforcement layer, or, where the system leaves none, what the row
/// and its control bear.
fn decision(event: &Value, fetch: &mut impl FnMut(&str) -> Option<Value>) -> (Option<String>, Value) {
    let proof = event.pointer("/intended_op_proof/source").and_then(Value::as_str);
    if !proof.is_some_and(|source| source.starts_with("seatbelt_")) {
        let place = base_of(event, Base::Record).map(|record| format!("{record}/decision"));
        let found = place.as_deref().and_then(fetch).unwrap_or(Value::Null);
        return (place, found);
    }
    let place = base_of(event, Base::Row);
    let row = place.as_deref().and_then(&mut *fetch).unwrap_or(Value::Null);
    let control = base_of(event, Base::Control).as_deref().and_then(fetch).unwrap_or(Value::Null);
    let performed = row["performed_operation"].as_str();
    let callouts = row.pointer("/runtime_result/seatbelt_callouts");
    let done = seatbelt::done_without_policy(control.as_object());
    let claimed = seatbelt::claim_of_stored(performed, row.get("probe_details"), callouts, done);
    (place, claimed.and_then(Result::ok).map_or(Value::Null, |(decision, _)| json!(decision)))
}

fn base_of(event: &Value, base: Base) -> Option<String> {
    let text = |key: &str| event.pointer(key).and_then(Value::as_str);
    match base {
        Base::Row => text("/evidence/row").map(str::to_owned),
        Base::Control => text("/evidence/baseline").map(str::to_owned),
        Base::Record => {
            let own = event.pointer("/evidence/own_record")?.as_u64()?;
            Some(format!("{}/decision_records/{own}", text("/evidence/row")?))
        }
    }
}

fn is_claim(value: &Value) -> bool {
    !value.is_null() && !matches!(value.as_str(), Some("unknown" | "not_observed" | "error"))
}
