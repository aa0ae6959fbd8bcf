//! A bundle every indexed byte of which is the one its index names.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize as _;
use serde_json::Value;

use super::super::index::IndexStatus;
use super::raw::UnverifiedBundle;
use crate::base::digest::Sha256Hex;
use crate::base::json::{self, JsonError};
use crate::base::rel_path::RelPath;
use crate::base::tree::Node;
use crate::os::fs::FsError;

/// Why an artifact of a verified bundle could not be handed out.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It cannot be read any more.
    #[error("cannot read the artifact {name}")]
    Read {
        /// Its name.
        name: RelPath,
        /// What refused it.
        source: FsError,
    },
    /// Its bytes are no longer the ones that were verified.
    #[error("the artifact {} was changed after it was verified", path.display())]
    Changed {
        /// Its path.
        path: PathBuf,
    },
    /// It is not an acceptable JSON document.
    #[error("the artifact {name} is not acceptable JSON")]
    Json {
        /// Its name.
        name: RelPath,
        /// Why.
        source: JsonError,
    },
}

/// One artifact, and what was measured of it.
#[derive(Debug, Clone)]
pub(super) struct VerifiedArtifact {
    pub(super) name: RelPath,
    pub(super) path: String,
    pub(super) size_bytes: u64,
    pub(super) sha256: Sha256Hex,
}

/// A bundle whose bytes are proven to be the ones its index names. Only [`UnverifiedBundle::verify`] makes one.
#[derive(Debug)]
pub struct VerifiedBundle {
    raw: UnverifiedBundle,
    /// In index order, each name once.
    artifacts: Vec<VerifiedArtifact>,
    /// Places in `artifacts`, sorted by name; made when the first is looked up.
    by_name: OnceLock<Vec<usize>>,
    index_sha256: Sha256Hex,
}

impl VerifiedBundle {
    pub(super) fn new(raw: UnverifiedBundle, artifacts: Vec<VerifiedArtifact>, index_sha256: Sha256Hex) -> Self {
        Self { raw, artifacts, by_name: OnceLock::new(), index_sha256 }
    }

    fn artifact(&self, name: &RelPath) -> Option<&VerifiedArtifact> {
        let name_at = |at: &usize| &self.artifacts[*at].name;
        let by_name = self.by_name.get_or_init(|| {
            let mut places: Vec<usize> = (0..self.artifacts.len()).collect();
            places.sort_unstable_by_key(|at| name_at(at));
            places
        });
        let found = by_name.binary_search_by_key(&name, name_at).ok()?;
        Some(&self.artifacts[by_name[found]])
    }

    /// What was read before checking: the same documents, now proven (as far as the index lists them).
    #[must_use]
    pub fn documents(&self) -> &UnverifiedBundle {
        &self.raw
    }

    /// The run's directory.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        self.raw.run_dir()
    }

    /// The run.
    #[must_use]
    pub fn run_id(&self) -> &str {
        self.raw.run_id()
    }

    /// The exact world of the host, as the index says.
    #[must_use]
    pub fn world_id(&self) -> Option<&str> {
        self.raw.index().text("world_id")
    }

    /// Digest of the index's bytes: names the whole bundle.
    #[must_use]
    pub fn index_sha256(&self) -> &Sha256Hex {
        &self.index_sha256
    }

    /// What the index says about the run's files; `None` for a word we do not know.
    #[must_use]
    pub fn index_status(&self) -> Option<IndexStatus> {
        IndexStatus::deserialize(self.index().get("status")?).ok()
    }

    /// Whether the index lists expected files as missing.
    #[must_use]
    pub fn has_missing(&self) -> bool {
        let missing = self.index().get("missing").filter(|missing| !missing.is_null());
        missing.is_some_and(|missing| missing.as_array().is_none_or(|missing| missing.len() > 0))
    }

    /// The index, an object.
    #[must_use]
    pub fn index(&self) -> Node<'_> {
        self.raw.index().object().expect("only a bundle with a readable index is verified")
    }

    /// The indexed names in index order.
    pub fn names(&self) -> impl Iterator<Item = &RelPath> {
        self.artifacts.iter().map(|artifact| &artifact.name)
    }

    /// The digest of an artifact.
    #[must_use]
    pub fn sha256(&self, name: &RelPath) -> Option<&Sha256Hex> {
        self.artifact(name).map(|artifact| &artifact.sha256)
    }

    /// The path of an artifact as the index records it.
    #[must_use]
    pub fn recorded_path(&self, name: &RelPath) -> Option<&str> {
        self.artifact(name).map(|artifact| artifact.path.as_str())
    }

    /// The run's directory as its own index records it, when it stands there (relative to a root above it); else absolute.
    #[must_use]
    pub fn recorded_dir(&self) -> String {
        let recorded = self.artifacts.iter().find_map(|artifact| {
            let dir = artifact.path.strip_suffix(artifact.name.as_str())?.strip_suffix('/')?;
            (!dir.is_empty() && self.run_dir().ends_with(dir)).then(|| dir.to_owned())
        });
        recorded.unwrap_or_else(|| self.run_dir().to_string_lossy().into_owned())
    }

    /// Reads an artifact (at most [`json::MAX_DOCUMENT_BYTES`]); `None` when it is not indexed. The bytes handed out are
    /// hashed again, so they are the verified ones or none.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    pub fn read(&self, name: &RelPath) -> Result<Option<Vec<u8>>, ArtifactError> {
        let Some(artifact) = self.artifact(name) else { return Ok(None) };
        let bytes = self
            .raw
            .resolved
            .dir
            .read_sole(name, json::MAX_DOCUMENT_BYTES)
            .map_err(|source| ArtifactError::Read { name: name.clone(), source })?;
        if bytes.len() as u64 != artifact.size_bytes || Sha256Hex::of(&bytes) != artifact.sha256 {
            return Err(ArtifactError::Changed { path: self.run_dir().join(name.as_str()) });
        }
        Ok(Some(bytes))
    }

    /// Reads an artifact as JSON; `None` when it is not indexed.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    pub fn read_json(&self, name: &RelPath) -> Result<Option<Value>, ArtifactError> {
        let Some(bytes) = self.read(name)? else { return Ok(None) };
        let value = json::read(&bytes).map_err(|source| ArtifactError::Json { name: name.clone(), source })?;
        Ok(Some(value))
    }
}
