//! `run_status.json`: where a run is in its life.

use serde::{Deserialize, Serialize};

use super::document::{Identity, Tool};
use super::layout::RUN_STATUS_TAG;

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Not committed: the run is going on, or its writer died.
    InProgress,
    /// Ran to its end (dry runs too).
    Complete,
    /// Ended early because of an error.
    Failed,
}

/// `run_status.json`. Tag v0.1: as the earlier tool writes it; `writer_lock` and `tool` added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStatus {
    /// [`RUN_STATUS_TAG`].
    pub schema_version: String,
    /// The run.
    pub run_id: String,
    /// The exact world of the host.
    pub world_id: String,
    /// The channel the run used.
    pub channel: String,
    /// The plan.
    pub plan_id: String,
    /// Digest of the plan.
    pub plan_digest: String,
    /// Where the run is in its life.
    pub state: RunState,
    /// Process that wrote this.
    pub writer_pid: u32,
    /// When this was written: seconds since 1970 with fraction.
    pub updated_at_unix: f64,
    /// What went wrong, of a failed run.
    pub error: Option<String>,
    /// Where it went wrong, of a failed run.
    pub failure_stage: Option<String>,
    /// Where the clean channel's diagnostics stand, as documents record it; of runs of that channel.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub launchctl_diagnostics: Option<String>,
    /// Whether the writer holds the lock of the run's directory; only while the run is in progress.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub writer_lock: Option<bool>,
    /// Who wrote this; absent in bundles of the earlier tool.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tool: Option<Tool>,
}

impl RunStatus {
    /// The status of a run that has just begun.
    pub(super) fn in_progress(identity: &Identity, writer_pid: u32, updated_at_unix: f64) -> Self {
        Self {
            schema_version: RUN_STATUS_TAG.to_owned(),
            run_id: identity.run_id.as_str().to_owned(),
            world_id: identity.world_id.clone(),
            channel: identity.channel.clone(),
            plan_id: identity.plan_id.clone(),
            plan_digest: identity.plan_digest.clone(),
            state: RunState::InProgress,
            writer_pid,
            updated_at_unix,
            error: None,
            failure_stage: None,
            launchctl_diagnostics: None,
            writer_lock: None,
            tool: Some(Tool::this()),
        }
    }
}
