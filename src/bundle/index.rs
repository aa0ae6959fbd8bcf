//! `artifact_index.json`: the commit barrier, with size and digest of every artifact.

use serde::{Deserialize, Serialize};

use super::document::Tool;
use std::path::Path;

use super::layout::ARTIFACT_INDEX;
use crate::base::digest::Sha256Hex;
use crate::base::json::MAX_DOCUMENT_BYTES;
use crate::base::rel_path::RelPath;
use crate::os::fs::FsError;

/// Refuses an index that readers would refuse for its size; nothing is committed with it.
pub(super) fn check_size(run_dir: &Path, index: &str) -> Result<(), FsError> {
    let size_bytes = index.len() as u64;
    if size_bytes <= MAX_DOCUMENT_BYTES {
        return Ok(());
    }
    Err(FsError::TooLarge { path: run_dir.join(ARTIFACT_INDEX), size_bytes, limit_bytes: MAX_DOCUMENT_BYTES })
}

/// What an index says about the run's files. Whether expectations were met is a different matter (`summary.json`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexStatus {
    /// Every expected file is there.
    Ok,
    /// Expected files are missing.
    Partial,
    /// The run failed.
    Failed,
}

impl IndexStatus {
    /// What an index says of a run that failed or not, and of which every expected file is there or not.
    pub(super) fn of(failed: bool, is_complete: bool) -> Self {
        match (failed, is_complete) {
            (true, _) => Self::Failed,
            (false, true) => Self::Ok,
            (false, false) => Self::Partial,
        }
    }

    /// The word of documents.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

/// `artifact_index.json`. Tag v0.1: as the earlier tool writes it; `tool`, `repairs` and `artifacts[].name` added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArtifactIndex {
    /// [`super::layout::ARTIFACT_INDEX_TAG`].
    pub schema_version: String,
    /// The run.
    pub run_id: String,
    /// The exact world of the host.
    pub world_id: String,
    /// One entry per artifact.
    pub artifacts: Vec<ArtifactEntry>,
    /// Paths of expected files that were absent, in expected order.
    pub missing: Vec<String>,
    /// What this says about the run's files.
    pub status: IndexStatus,
    /// Who wrote this; absent in bundles of the earlier tool.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tool: Option<Tool>,
}

/// One artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArtifactEntry {
    /// Path relative to the root of the run's paths (absolute when outside it), ending in `<run_id>/<name>`.
    pub path: String,
    /// Size in bytes.
    pub file_size: u64,
    /// Digest of the bytes.
    pub sha256: Sha256Hex,
    /// The document's own `schema_version`, null when it has none.
    pub schema_version: Option<String>,
    /// Name inside the bundle; absent in bundles of the earlier tool.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<RelPath>,
}

/// The `schema_version` an index entry carries: that of a `.json` object, or of the first non-blank `.jsonl` line.
#[must_use]
pub(super) fn schema_version_of(name: &RelPath, bytes: &[u8]) -> Option<String> {
    let document = if name.as_str().ends_with(".json") {
        bytes
    } else if name.as_str().ends_with(".jsonl") {
        bytes.split(|&b| b == b'\n').find(|line| !line.trim_ascii().is_empty())?
    } else {
        return None;
    };
    // A structure would also be read from an array.
    if document.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice::<Tagged>(document).ok()?.schema_version
}

/// The one member looked at; everything else is skipped without being built.
#[derive(Deserialize)]
struct Tagged {
    schema_version: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_versions_come_from_objects_and_first_lines_only() {
        for (name, text, expected) in [
            ("a.json", r#"{"x": 1, "schema_version": "t.v1"}"#, Some("t.v1")),
            ("a.json", r#"{"schema_version": 2}"#, None),
            ("a.json", r#"{"x": {"schema_version": "t.v1"}}"#, None),
            ("a.json", r#"["schema_version"]"#, None),
            ("a.json", r#"{"schema_version": "t.v1""#, None),
            ("a.jsonl", "\n  \n{\"schema_version\": \"t.v2\"}\n{\"schema_version\": \"t.v3\"}\n", Some("t.v2")),
            ("a.jsonl", "", None),
            ("a.jsonl", "[]\n{\"schema_version\": \"t.v3\"}", None),
            ("a.md", r#"{"schema_version": "t.v1"}"#, None),
        ] {
            let name = RelPath::try_from(name).unwrap();
            assert_eq!(schema_version_of(&name, text.as_bytes()).as_deref(), expected, "{name} {text}");
        }
    }
}
