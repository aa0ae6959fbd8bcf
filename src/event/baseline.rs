//! Rows of `baseline_results.json`: the same operation by the same worker without a policy.

use serde::Serialize;
use serde_json::{Value, json};

use crate::vocab::{Decision, Meaning};

use super::alias::LinkMet;
use super::observation::{
    Effect, ListenerRecord, OPENED_PATH, OPENED_PATH_ERRNO, OPENED_PATH_NOFIRMLINK, OPENED_PATH_NOFIRMLINK_ERRNO,
    Observation,
};
use super::row::ProbeFacts;

/// Schema tag. v0.1: first form.
pub const BASELINE_SCHEMA: &str = "runtime-tools.baseline_results.v0.1";

/// Name of the document.
pub(super) const BASELINE_DOCUMENT: &str = "baseline_results.json";

/// `baseline_results.json`.
#[derive(Debug, Clone, Serialize)]
pub struct BaselineDocument {
    /// [`BASELINE_SCHEMA`].
    pub schema_version: &'static str,
    /// World of the host.
    pub world_id: String,
    /// Run the rows belong to.
    pub run_id: String,
    /// One row per probe, in plan order.
    pub results: Vec<BaselineRow>,
}

/// One probe without a policy.
#[derive(Debug, Clone, Serialize)]
pub struct BaselineRow {
    /// `baseline:<profile>:<probe>`.
    pub name: String,
    /// Profile whose scenario this row is the control of.
    pub profile_id: String,
    /// Probe name.
    pub probe_name: String,
    /// Expectation of the scenario row this one is the control of; with the profile it names exactly one row.
    pub expectation_id: String,
    /// Operation as the plan writes it.
    pub operation: String,
    /// Target as the plan writes it.
    pub target: String,
    /// What was meant to be done.
    pub primary_intent: Value,
    /// Command line of the worker.
    pub command: Vec<String>,
    /// `allow`: the operation succeeded. `deny`: the system refused it (EPERM, EACCES). Null: it failed otherwise, or
    /// gave no result.
    pub status: Option<Decision>,
    /// Exit status of the probe's process.
    pub exit_code: Option<i32>,
    /// Always empty.
    pub stdout: String,
    /// Diagnosis of the worker, at most 200 characters.
    pub stderr: String,
    /// Whether the operation itself was performed.
    pub reached_primary_op: bool,
    /// `baseline`.
    pub decision_path: &'static str,
    /// What the driver reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_details: Option<Value>,
    /// Why there is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The operation's real errno; null on success.
    pub errno: Option<i32>,
    /// Its name on the system it ran on.
    pub errno_name: Option<String>,
    /// Concrete operation performed.
    pub performed_operation: Option<String>,
    /// What the run's own listener saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<ListenerRecord>,
    /// Signal that ended the probe's process.
    pub signal: Option<i32>,
    /// Whether the time limit passed.
    pub timeout: bool,
    /// The target as the worker got it.
    pub resolved_target: String,
    /// The path of what was opened, by the system's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_path: Option<String>,
    /// Whose word: `proc_fd_path`, `proc_fd_error`, on macOS `unsandboxed_fd_path`, `unsandboxed_error`, or `not_attempted` for an
    /// operation that opens nothing. File operations only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_path_source: Option<&'static str>,
    /// Symbolic links on the way to the target.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links_met: Vec<LinkMet>,
    /// What macOS says about the descriptor beside the path; absent elsewhere.
    #[serde(flatten)]
    pub fgetpath: Option<Fgetpath>,
}

/// What `F_GETPATH` and `F_GETPATH_NOFIRMLINK` of fcntl(2) said about what was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fgetpath {
    /// The errno of the first; null when it gave a path.
    pub observed_path_errno: Option<i32>,
    /// The path without firmlinks.
    pub observed_path_nofirmlink: Option<String>,
    /// The errno of the second; null when it gave a path.
    pub observed_path_nofirmlink_errno: Option<i32>,
}

impl Fgetpath {
    /// What a driver's result says; `None` for a result that holds none of it.
    #[must_use]
    pub fn of(effect: &Effect) -> Option<Self> {
        Self::of_details(effect.details.get(OPENED_PATH_NOFIRMLINK).map(|_| &effect.details)?)
    }

    /// The same from a result as rows store it.
    #[must_use]
    pub fn of_stored(probe_details: &Value) -> Option<Self> {
        let details = probe_details.get("details")?.as_object()?;
        Self::of_details(details.contains_key(OPENED_PATH_NOFIRMLINK).then_some(details)?)
    }

    fn of_details(details: &serde_json::Map<String, Value>) -> Option<Self> {
        let errno = |key: &str| details.get(key)?.as_i64().and_then(|errno| i32::try_from(errno).ok());
        Some(Self {
            observed_path_errno: errno(OPENED_PATH_ERRNO),
            observed_path_nofirmlink: details.get(OPENED_PATH_NOFIRMLINK)?.as_str().map(str::to_owned),
            observed_path_nofirmlink_errno: errno(OPENED_PATH_NOFIRMLINK_ERRNO),
        })
    }
}

impl BaselineRow {
    /// Whether the operation succeeded; `None` when it gave no result.
    #[must_use]
    pub fn succeeded(&self) -> Option<bool> {
        (self.error.is_none() && self.reached_primary_op).then_some(self.status == Some(Decision::Allow))
    }
}

/// The control of a scenario row: the same probe without a policy. Names need not be unique, expectations are.
#[must_use]
pub fn control<'a>(rows: &'a [BaselineRow], profile_id: &str, expectation_id: &str) -> Option<&'a BaselineRow> {
    rows.iter().find(|row| row.profile_id == profile_id && row.expectation_id == expectation_id)
}

/// Makes the row of one probe in the baseline lane.
#[must_use]
pub fn baseline_row(probe: &ProbeFacts, seen: Observation) -> BaselineRow {
    const EPERM: i32 = 1;
    const EACCES: i32 = 13;
    let result = seen.effect.as_ref().filter(|_| seen.fault.is_none());
    let status = match result.map(|effect| (effect.meaning(), effect.errno)) {
        Some((Meaning::Done, _)) if result.is_some_and(|effect| effect.inconclusive.is_some()) => None,
        Some((Meaning::Done, _)) => Some(Decision::Allow),
        Some((Meaning::Refused, _) | (_, EPERM | EACCES)) => Some(Decision::Deny),
        _ => None,
    };
    let observed = result.and_then(|effect| effect.details.get(OPENED_PATH)?.as_str()).map(str::to_owned);
    let opened = result.is_some_and(|effect| effect.details.contains_key(OPENED_PATH));
    let without_firmlinks = result.and_then(Fgetpath::of);
    let source = match (&observed, opened) {
        (Some(_), _) if without_firmlinks.is_some() => "unsandboxed_fd_path",
        (None, true) if without_firmlinks.is_some() => "unsandboxed_error",
        (Some(_), _) => "proc_fd_path",
        (None, true) => "proc_fd_error",
        (None, false) => "not_attempted",
    };
    BaselineRow {
        name: format!("baseline:{}:{}", probe.profile_id, probe.name),
        profile_id: probe.profile_id.clone(),
        probe_name: probe.name.clone(),
        expectation_id: probe.expectation_id.clone(),
        operation: probe.operation.clone(),
        target: probe.target.clone(),
        primary_intent: json!({
            "operation": probe.operation, "target": probe.target,
            "profile_id": probe.profile_id, "probe_name": probe.name,
        }),
        status,
        exit_code: seen.exit_status,
        stdout: String::new(),
        stderr: seen.stderr.chars().take(200).collect(),
        reached_primary_op: result.is_some(),
        decision_path: "baseline",
        probe_details: result.map(|effect| json!(effect)),
        error: seen.fault.map(|fault| fault.message),
        errno: seen.effect.as_ref().map(|effect| effect.errno).filter(|&errno| errno != 0),
        errno_name: seen.effect.and_then(|effect| effect.errno_name),
        performed_operation: probe.performed.clone(),
        listener: seen.listener,
        signal: seen.signal,
        timeout: seen.timed_out,
        command: seen.command,
        resolved_target: probe.resolved_target.clone(),
        observed_path: observed,
        observed_path_source: probe.operation.starts_with("file-").then_some(source),
        links_met: probe.links_met.clone(),
        fgetpath: without_firmlinks,
    }
}
