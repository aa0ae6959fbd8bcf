//! Rows of `oracle_results.json`: what was answered when asked. Never evidence that an operation ran.

use serde::Serialize;
use serde_json::Value;

use super::callout::{CALLOUT_STAGE, Callout, CheckApi, CheckRequest, Numbering};
use super::row::ResultRow;
use crate::vocab::{CheckFilter, RuleRef};

/// Schema tag. v0.1: first form.
pub const ORACLE_SCHEMA: &str = "runtime-tools.oracle_results.v0.1";

/// `oracle_results.json`.
#[derive(Debug, Clone, Serialize)]
pub struct OracleDocument {
    /// [`ORACLE_SCHEMA`].
    pub schema_version: &'static str,
    /// World of the host.
    pub world_id: String,
    /// Run the rows belong to.
    pub run_id: String,
    /// One row per answered question, in plan order.
    pub results: Vec<OracleRow>,
}

/// One question and its answer.
#[derive(Debug, Clone, Serialize)]
pub struct OracleRow {
    /// World of the host.
    pub world_id: String,
    /// Run the row belongs to.
    pub run_id: String,
    /// Expectation the question is about.
    pub expectation_id: String,
    /// Concrete operation asked about.
    pub operation: String,
    /// Filter number in the compiled-profile vocabulary, or as `numbering` says; null where nothing says which.
    pub filter_type: Option<i32>,
    /// Its name.
    pub filter_type_name: Option<&'static str>,
    /// Target asked about, parameters replaced.
    pub argument: String,
    /// `allow`, `deny` or `error` (could not be decided).
    pub decision: &'static str,
    /// `evaluator`: nothing was running. `pre_syscall`: the system was asked by the confined process, just before its call.
    pub stage: &'static str,
    /// `sbpl_evaluator`, or on macOS `sandbox_check`.
    pub source: &'static str,
    /// Profile that was asked.
    pub profile_id: String,
    /// Deciding rule.
    pub rule: Option<RuleRef>,
    /// Why it could not be decided.
    pub reason: Option<String>,
    /// Who says which filter it is: `probe`, `anchor_map` or `operation`.
    pub filter_source: Option<&'static str>,
    /// The answer of the system, whole; macOS only.
    #[serde(flatten)]
    pub system: Option<SystemAnswer>,
}

/// What only an answer of the system has.
#[derive(Debug, Clone, Serialize)]
pub struct SystemAnswer {
    /// In which numbering `filter_type` is one.
    pub numbering: Numbering,
    /// The form of the call; null when nothing was asked.
    pub api: Option<CheckApi>,
    /// `raw` or `canonical`; null when nothing was asked.
    pub canonicalization: Option<String>,
    /// The number passed, flags included.
    pub check_type: Option<i32>,
    /// What the call returned.
    pub rc: Option<i32>,
    /// `errno` after it.
    pub errno: Option<i32>,
}

/// Rows from what was asked of the system during the scenario lane, in the order of the questions: a row with `error` and the
/// reason where nothing was asked. None of them says what the call then did.
#[must_use]
pub fn system_rows(world_id: &str, run_id: &str, profile_id: &str, row: &ResultRow) -> Vec<OracleRow> {
    let stored = |value: &Option<Value>| value.clone().unwrap_or(Value::Null);
    let result = &row.runtime_result;
    let callouts: Vec<Callout> = serde_json::from_value(stored(&result.seatbelt_callouts)).unwrap_or_default();
    let request: Option<CheckRequest> = serde_json::from_value(stored(&result.sandbox_check_request)).ok();
    let made = |callout: Option<&Callout>| {
        let reason = || row.error.clone().unwrap_or_else(|| "sandbox_check could not be asked".to_owned());
        let request = request.as_ref();
        OracleRow {
            world_id: world_id.to_owned(),
            run_id: run_id.to_owned(),
            expectation_id: row.expectation_id.clone(),
            operation: callout
                .map(|callout| callout.operation.clone())
                .or_else(|| request.map(|request| request.operation.clone()))
                .unwrap_or_else(|| row.operation.clone()),
            filter_type: callout.map(|c| c.filter_type).or_else(|| request.map(|r| r.filter_type)),
            filter_type_name: callout
                .map(|c| &c.filter_type_name)
                .or_else(|| request.map(|r| &r.filter_name))
                .and_then(|name| CheckFilter::from_name(name))
                .map(CheckFilter::name),
            argument: callout.and_then(|c| c.argument.clone()).unwrap_or_else(|| row.resolved_target.clone()),
            decision: callout.map_or("error", |callout| callout.decision.word()),
            stage: CALLOUT_STAGE,
            source: "sandbox_check",
            profile_id: profile_id.to_owned(),
            rule: None,
            reason: match callout {
                None => Some(reason()),
                Some(callout) if callout.argument.is_none() => {
                    request.and_then(|request| request.operation_level_reason.clone())
                }
                Some(_) => None,
            },
            filter_source: None,
            system: Some(SystemAnswer {
                numbering: callout.map_or(Numbering::SandboxCheck, |callout| callout.numbering),
                api: callout.map(|callout| callout.api),
                canonicalization: callout.map(|callout| callout.canonicalization.clone()),
                check_type: callout.map(|callout| callout.check_type),
                rc: callout.map(|callout| callout.rc),
                errno: callout.map(|callout| callout.errno),
            }),
        }
    };
    if callouts.is_empty() { vec![made(None)] } else { callouts.iter().map(|callout| made(Some(callout))).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::classify::tests::{effect, probe, runner};
    use crate::event::seatbelt::tests::{callout, request};
    use crate::event::{Observation, SeatbeltAnswers, classify};
    use crate::vocab::Decision;

    fn row(rcs: &[i32]) -> ResultRow {
        let callouts = rcs.iter().map(|rc| callout("file-read-data", Some("/f/x"), *rc)).collect();
        let seatbelt = Some(SeatbeltAnswers { request: request(), callouts, not_asked: Vec::new() });
        let seen = Observation { effect: effect(1), seatbelt, ..Observation::default() };
        classify(&probe("file-read-data", Decision::Deny), seen, &runner())
    }

    #[test]
    fn every_answer_is_a_row_with_its_numbering_and_no_answer_is_an_error() {
        let of = |rcs: &[i32]| {
            system_rows("w", "r", "demo:a", &row(rcs)).iter().map(|row| serde_json::json!(row)).collect::<Vec<_>>()
        };
        let rows = of(&[1, -1]);
        assert_eq!(rows.iter().map(|row| row["decision"].as_str().unwrap()).collect::<Vec<_>>(), ["deny", "error"]);
        for row in &rows {
            assert_eq!((row["numbering"].as_str(), row["filter_type"].as_i64()), (Some("sandbox_check"), Some(1)));
            assert_eq!((row["stage"].as_str(), row["source"].as_str()), (Some("pre_syscall"), Some("sandbox_check")));
        }
        let none = of(&[]);
        assert_eq!((none.len(), none[0]["decision"].as_str(), none[0]["rc"].as_i64()), (1, Some("error"), None));
        assert!(none[0]["reason"].is_string());
    }
}
