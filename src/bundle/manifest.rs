//! `run_manifest.json`: what ran, where, under which channel.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::document::Identity;
use super::layout::RUN_MANIFEST_TAG;

/// `run_manifest.json`. Tag v0.1: as the earlier tool writes it; `world_rebound`, `stand_in_tools` and
/// `compiled_digest` added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunManifest {
    /// [`RUN_MANIFEST_TAG`].
    pub schema_version: String,
    /// The run.
    pub run_id: String,
    /// The exact world of the host.
    pub world_id: String,
    /// The channel the run really used.
    pub channel: String,
    /// The plan.
    pub plan_id: String,
    /// Digest of the plan.
    pub plan_digest: String,
    /// Whether nothing was executed.
    pub dry_run: bool,
    /// Whether the run worked on a staged copy.
    pub stage_used: bool,
    /// The staged copy.
    pub stage_root: Option<String>,
    /// Stage root when staged, else the absolute root of the plan's paths.
    pub repo_root_context: String,
    /// Where the staged copy wrote.
    pub staged_output_root: Option<String>,
    /// The run's directory as recorded in the index.
    pub output_root: String,
    /// The apply preflight, when the plan names a profile for it.
    pub apply_preflight: Option<ApplyPreflight>,
    /// Whether the plan was run in a world other than its own. Promotion asks for it in our own bundles.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub world_rebound: Option<bool>,
    /// External programs that were replaced. Promotion asks for it in our own bundles.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stand_in_tools: Option<Vec<String>>,
    /// What a job of the clean channel measured of its own start; absent on other channels.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clean_start: Option<Value>,
    /// Digest of the plan with all it leads to; absent in bundles from before it was recorded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub compiled_digest: Option<String>,
}

/// The apply preflight as the manifest carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApplyPreflight {
    /// `apply_preflight.json`.
    pub path: String,
    /// The record: `apply_ok`, `sandbox_check_self`, `status`, `error` and more.
    pub record: Value,
}

impl RunManifest {
    /// The manifest of a direct, unstaged run without preflight; the caller sets what differs.
    #[must_use]
    pub fn direct(identity: &Identity, output_root: &str, repo_root_context: &str) -> Self {
        Self {
            schema_version: RUN_MANIFEST_TAG.to_owned(),
            run_id: identity.run_id.as_str().to_owned(),
            world_id: identity.world_id.clone(),
            channel: identity.channel.clone(),
            plan_id: identity.plan_id.clone(),
            plan_digest: identity.plan_digest.clone(),
            dry_run: false,
            stage_used: false,
            stage_root: None,
            repo_root_context: repo_root_context.to_owned(),
            staged_output_root: None,
            output_root: output_root.to_owned(),
            apply_preflight: None,
            world_rebound: Some(false),
            stand_in_tools: Some(Vec::new()),
            clean_start: None,
            compiled_digest: None,
        }
    }
}
