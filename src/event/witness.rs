//! `path_witnesses.json`: which path an operation really reached, and who says so.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value, json};

use crate::vocab::{Decision, Lane};

use super::alias::{self, LinkMet};
use super::baseline::{BaselineRow, Fgetpath};
use super::observation::OPENED_PATH;
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
    /// Scenario; in the baseline lane the row's name.
    pub scenario_id: String,
    /// Operation as the plan writes it.
    pub operation: String,
    /// Path as the worker asked for it.
    pub requested_path: String,
    /// Path that was reached: as the supervisor resolved it, or in the baseline lane as the system names what was opened.
    pub observed_path: Option<String>,
    /// `supervisor_resolution`, `supervisor_missing`, on macOS `probe_fgetpath:present`, `:error` or `:missing` (nothing was
    /// opened); baseline: see [`BaselineRow::observed_path_source`].
    pub observed_path_source: &'static str,
    /// The errno of `F_GETPATH` (macOS); elsewhere null: resolution errors are the row's errno.
    pub observed_path_errno: Option<i32>,
    /// The path without firmlinks (macOS); null elsewhere.
    pub observed_path_nofirmlink: Option<String>,
    /// `not_on_this_system`, on macOS `probe_fgetpath_nofirmlink:present` or `:error`; baseline: `unsandboxed_fd_path`,
    /// `unsandboxed_error`.
    pub observed_path_nofirmlink_source: &'static str,
    /// The errno of `F_GETPATH_NOFIRMLINK`.
    pub observed_path_nofirmlink_errno: Option<i32>,
    /// The observed path, else the requested one.
    pub normalized_path: String,
    /// `observed_path` or `requested_path`.
    pub normalized_path_source: &'static str,
    /// How requested and observed path hang together.
    pub canonicalization: Canonicalization,
    /// Observed decision.
    pub decision: Option<Decision>,
    /// Exit status of the probe's process; baseline lane only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The operation's errno.
    pub errno: Option<i32>,
    /// Where it failed.
    pub failure_stage: Value,
    /// How it failed.
    pub failure_kind: Value,
    /// Command line of the worker.
    pub command: Vec<String>,
    /// Symbolic links on the way, in the order they were met.
    pub links_met: Vec<LinkMet>,
}

/// Collects the witnesses: the baseline lane's, then the scenario lane's, each in plan order.
#[must_use]
pub fn path_witnesses(
    world_id: &str,
    run_id: &str,
    plan_id: &str,
    results: &IndexMap<String, ProfileResults>,
    baseline: &[BaselineRow],
) -> WitnessDocument {
    let of_controls = baseline.iter().filter(|row| row.operation.starts_with("file-"));
    let rows = results.iter().flat_map(|(id, profile)| profile.probes.iter().map(move |row| (id, row)));
    let of_rows = rows.filter(|(_, row)| row.operation.starts_with("file-"));
    WitnessDocument {
        schema_version: DOCUMENT_SCHEMA,
        world_id: world_id.to_owned(),
        run_id: run_id.to_owned(),
        plan_id: plan_id.to_owned(),
        records: of_controls
            .map(|row| of_control(world_id, row))
            .chain(of_rows.map(|(profile_id, row)| of_row(world_id, profile_id, row)))
            .collect(),
    }
}

/// Which of its names a path was asked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Canonicalization {
    /// Requested and observed path are names of one object: by the alias table, or by links that were met.
    pub alias_pair: bool,
    /// Whether the path without firmlinks is another one; never on Linux.
    pub nofirmlink_differs: bool,
    /// Whether they differ by `.`, `..` or doubled slashes without any link.
    pub lexical: bool,
}

fn canonicalization(
    world_id: &str,
    requested: &str,
    (observed, nofirmlink): (Option<&str>, Option<&str>),
    links: &[LinkMet],
) -> Canonicalization {
    let differs = observed.is_some_and(|path| path != requested);
    let by_table = observed.is_some_and(|path| alias::is_pair(world_id, requested, path));
    let alias_pair = differs && (by_table || !links.is_empty());
    let nofirmlink_differs = observed.is_some() && nofirmlink.is_some() && observed != nofirmlink;
    Canonicalization { alias_pair, nofirmlink_differs, lexical: differs && !alias_pair }
}

fn of_row(world_id: &str, profile_id: &str, row: &ResultRow) -> PathWitness {
    let record = row.own_record.and_then(|own| row.decision_records.get(own));
    let told = row.probe_details.as_ref().and_then(Fgetpath::of_stored);
    let by_descriptor = || row.probe_details.as_ref()?.get("details")?.get(OPENED_PATH)?.as_str();
    let observed = match &told {
        Some(_) => by_descriptor(),
        None => record.map(|record| record.target.as_str()),
    };
    let source = match (&told, row.runtime_result.seatbelt_callouts.is_some(), observed) {
        (Some(_), _, Some(_)) => "probe_fgetpath:present",
        (Some(_), _, None) => "probe_fgetpath:error",
        (None, true, _) => "probe_fgetpath:missing",
        (None, false, Some(_)) => "supervisor_resolution",
        (None, false, None) => "supervisor_missing",
    };
    let common =
        Common { lane: Lane::Scenario, profile_id, operation: &row.operation, requested: &row.resolved_target };
    PathWitness {
        scenario_id: row.expectation_id.clone(),
        observed_path_source: source,
        decision: row.actual,
        exit_code: None,
        errno: row.runtime_result.errno,
        failure_stage: json!(row.runtime_result.failure_stage),
        failure_kind: json!(row.runtime_result.failure_kind),
        command: row.command.clone(),
        ..witness(world_id, &common, observed, told, &row.links_met)
    }
}

fn of_control(world_id: &str, row: &BaselineRow) -> PathWitness {
    let common = Common {
        lane: Lane::Baseline,
        profile_id: &row.profile_id,
        operation: &row.operation,
        requested: &row.resolved_target,
    };
    PathWitness {
        scenario_id: row.name.clone(),
        observed_path_source: row.observed_path_source.unwrap_or("not_attempted"),
        decision: row.status,
        exit_code: row.exit_code,
        errno: row.errno,
        failure_stage: Value::Null,
        failure_kind: Value::Null,
        command: row.command.clone(),
        ..witness(world_id, &common, row.observed_path.as_deref(), row.fgetpath.clone(), &row.links_met)
    }
}

/// What names a record in both lanes.
struct Common<'a> {
    lane: Lane,
    profile_id: &'a str,
    operation: &'a str,
    requested: &'a str,
}

/// Where the path without firmlinks comes from: macOS says it of descriptors, other systems have none.
fn nofirmlink_source(lane: Lane, told: Option<&Fgetpath>) -> &'static str {
    match (lane, told) {
        (_, None) => "not_on_this_system",
        (Lane::Baseline, Some(told)) if told.observed_path_nofirmlink.is_some() => "unsandboxed_fd_path",
        (Lane::Baseline, Some(_)) => "unsandboxed_error",
        (_, Some(told)) if told.observed_path_nofirmlink.is_some() => "probe_fgetpath_nofirmlink:present",
        (_, Some(_)) => "probe_fgetpath_nofirmlink:error",
    }
}

/// What the records of both lanes have in common; the rest is for the caller to fill in.
fn witness(
    world_id: &str,
    common: &Common<'_>,
    observed: Option<&str>,
    told: Option<Fgetpath>,
    links: &[LinkMet],
) -> PathWitness {
    let source = nofirmlink_source(common.lane, told.as_ref());
    let (errno, nofirmlink, nofirmlink_errno) = told.map_or((None, None, None), |told| {
        (told.observed_path_errno, told.observed_path_nofirmlink, told.observed_path_nofirmlink_errno)
    });
    PathWitness {
        schema_version: RECORD_SCHEMA,
        lane: common.lane,
        profile_id: common.profile_id.to_owned(),
        scenario_id: String::new(),
        operation: common.operation.to_owned(),
        requested_path: common.requested.to_owned(),
        observed_path: observed.map(str::to_owned),
        observed_path_source: "",
        observed_path_errno: errno,
        observed_path_nofirmlink_source: source,
        observed_path_nofirmlink_errno: nofirmlink_errno,
        normalized_path: observed.unwrap_or(common.requested).to_owned(),
        normalized_path_source: if observed.is_some() { "observed_path" } else { "requested_path" },
        canonicalization: canonicalization(world_id, common.requested, (observed, nofirmlink.as_deref()), links),
        observed_path_nofirmlink: nofirmlink,
        decision: None,
        exit_code: None,
        errno: None,
        failure_stage: Value::Null,
        failure_kind: Value::Null,
        command: Vec::new(),
        links_met: links.to_vec(),
    }
}
