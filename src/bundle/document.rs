//! What every document of a bundle says about whose it is.

use serde::{Deserialize, Serialize};

use crate::base::ids::RunId;

/// Which run a bundle belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The run, and the name of its directory.
    pub run_id: RunId,
    /// The exact world of the host.
    pub world_id: String,
    /// The channel the run really used.
    pub channel: String,
    /// The plan.
    pub plan_id: String,
    /// Digest of the plan's meaning: 64 hexadecimal characters.
    pub plan_digest: String,
}

/// Who wrote a document. Its presence in `run_status.json` or `artifact_index.json` asks readers for the stricter verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Always `runtime` in our own bundles.
    pub name: String,
    /// Version of the writing tool.
    pub version: String,
}

impl Tool {
    /// This tool.
    #[must_use]
    pub fn this() -> Self {
        Self { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}
