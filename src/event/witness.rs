//! `path_witnesses.json`: which path an operation really reached, and who says so.

use serde::Serialize;
use serde_json::{Value, json};

use crate::vocab::{Decision, Lane};

use super::row::{ProfileResults, ResultRow};

/// Schema tags. v0.1: first form.
const DOCUMENT_SCHEMA: &str = "runtime-tools.path_witnesses.v0.1";
const RECORD_SCHEMA: &str = "runtime-tools.path_witness.v0.1";

/// `path_witnesses.json`.
#[derive(Debug, Clone, Serialize)]
pub struct WitnessDocument {
    /// `runtime-tools.path_witnesses.v0.1`.
    pub schema_version: &'static str,
    /// World of the host.
    pub world_id: String,
    /// Run the records belong to.
    pub run_id: String,
    /// Plan of the run.
    pub plan_id: String,
    /// One record per file operation that a supervisor resolved.
    pub records: Vec<PathWitness>,
}

/// One resolved path.
#[derive(Debug, Clone, Serialize)]
pub struct PathWitness {
    /// `runtime-tools.path_witness.v0.1`.
    pub schema_version: &'static str,
    /// Lane of the observation.
    pub lane: Lane,
    /// Profile.
    pub profile_id: String,
    /// Scenario.
    pub scenario_id: String,
    /// Operation as the plan writes it.
    pub operation: String,
    /// Path as the worker asked for it.
    pub requested_path: String,
    /// Path the supervisor resolved it to.
    pub observed_path: Option<String>,
    /// `supervisor_resolution` or `supervisor_missing`.
    pub observed_path_source: &'static str,
    /// Always null here: resolution errors are the row's errno.
    pub observed_path_errno: Option<i32>,
    /// Always null: Linux has no firmlinks.
    pub observed_path_nofirmlink: Option<String>,
    /// `not_on_this_system`.
    pub observed_path_nofirmlink_source: &'static str,
    /// Always null.
    pub observed_path_nofirmlink_errno: Option<i32>,
    /// The observed path, else the requested one.
    pub normalized_path: String,
    /// `observed_path` or `requested_path`.
    pub normalized_path_source: &'static str,
    /// `{alias_pair, nofirmlink_differs}`: whether the resolved path differs from the requested one.
    pub canonicalization: Value,
    /// Observed decision.
    pub decision: Option<Decision>,
    /// The operation's errno.
    pub errno: Option<i32>,
    /// Where it failed.
    pub failure_stage: Value,
    /// How it failed.
    pub failure_kind: Value,
    /// Command line of the worker.
    pub command: Vec<String>,
}

/// The record of the supervisor about a row's own operation, on the path it resolved.
pub(super) fn resolved_path(row: &ResultRow) -> Option<&str> {
    Some(row.decision_records.get(row.own_record?)?.target.as_str())
}

/// Collects the witnesses of the scenario lane, in plan order.
#[must_use]
pub fn path_witnesses<'a>(
    world_id: &str,
    run_id: &str,
    plan_id: &str,
    results: impl IntoIterator<Item = (&'a String, &'a ProfileResults)>,
) -> WitnessDocument {
    let mut records = Vec::new();
    for (profile_id, profile) in results {
        for row in profile.probes.iter().filter(|row| row.operation.starts_with("file-")) {
            records.push(witness(profile_id, row));
        }
    }
    WitnessDocument {
        schema_version: DOCUMENT_SCHEMA,
        world_id: world_id.to_owned(),
        run_id: run_id.to_owned(),
        plan_id: plan_id.to_owned(),
        records,
    }
}

fn witness(profile_id: &str, row: &ResultRow) -> PathWitness {
    let observed = resolved_path(row);
    PathWitness {
        schema_version: RECORD_SCHEMA,
        lane: Lane::Scenario,
        profile_id: profile_id.to_owned(),
        scenario_id: row.expectation_id.clone(),
        operation: row.operation.clone(),
        requested_path: row.resolved_target.clone(),
        observed_path: observed.map(str::to_owned),
        observed_path_source: if observed.is_some() { "supervisor_resolution" } else { "supervisor_missing" },
        observed_path_errno: None,
        observed_path_nofirmlink: None,
        observed_path_nofirmlink_source: "not_on_this_system",
        observed_path_nofirmlink_errno: None,
        normalized_path: observed.unwrap_or(&row.resolved_target).to_owned(),
        normalized_path_source: if observed.is_some() { "observed_path" } else { "requested_path" },
        canonicalization: json!({
            "alias_pair": observed.is_some_and(|path| path != row.resolved_target), "nofirmlink_differs": false,
        }),
        decision: row.actual,
        errno: row.runtime_result.errno,
        failure_stage: json!(row.runtime_result.failure_stage),
        failure_kind: json!(row.runtime_result.failure_kind),
        command: row.command.clone(),
    }
}
