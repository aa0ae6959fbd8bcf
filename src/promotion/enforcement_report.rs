//! `enforcement_report.json`: what was enforced, by which layers, measured on the host that ran.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Tag of the document. v0.1: first form.
pub const ENFORCEMENT_REPORT_TAG: &str = "runtime-tools.enforcement_report.v0.1";

/// `enforcement_report.json`, written by a run; the Linux gate believes nothing else about layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnforcementReport {
    /// [`ENFORCEMENT_REPORT_TAG`].
    pub schema_version: String,
    /// The exact world of the host.
    pub world_id: String,
    /// The run.
    pub run_id: String,
    /// `linux` or `macos`.
    pub platform: String,
    /// Every layer enforcement here is built of, by name.
    pub layers: IndexMap<String, Layer>,
    /// Names of layers that were not there; the same as the layers that are not present.
    pub missing_layers: Vec<String>,
    /// Whether the run was measured to have started outside any sandbox; null where the measurement had no answer.
    #[serde(deserialize_with = "Option::deserialize")]
    pub start_unsandboxed: Option<bool>,
    /// Whether the plan was run in a world other than its own.
    pub world_rebound: bool,
    /// External programs that were replaced, by name.
    pub stand_in_tools: Vec<String>,
    /// What could be enforced, partly or not at all, by profile id.
    pub profiles: IndexMap<String, Value>,
}

/// One layer of enforcement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Whether it was there and used.
    pub present: bool,
    /// What was measured, for instance a version; or why it is absent.
    pub detail: Option<String>,
}
