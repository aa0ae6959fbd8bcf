//! Rows of `oracle_results.json`: what was answered when asked. Never evidence that an operation ran.

use serde::Serialize;

use crate::vocab::RuleRef;

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
    /// Filter number in the compiled-profile vocabulary; null where nothing says which.
    pub filter_type: Option<i32>,
    /// Its name.
    pub filter_type_name: Option<&'static str>,
    /// Target asked about, parameters replaced.
    pub argument: String,
    /// `allow`, `deny` or `error` (could not be decided).
    pub decision: &'static str,
    /// `evaluator`: nothing was running.
    pub stage: &'static str,
    /// `sbpl_evaluator`.
    pub source: &'static str,
    /// Profile that was asked.
    pub profile_id: String,
    /// Deciding rule.
    pub rule: Option<RuleRef>,
    /// Why it could not be decided.
    pub reason: Option<String>,
    /// Who says which filter it is: `probe`, `anchor_map` or `operation`.
    pub filter_source: Option<&'static str>,
}
