//! A bundle every indexed byte of which is the one its index names.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize as _;
use serde_json::Value;

use super::super::index::IndexStatus;
use super::entry::Claim;
use super::raw::UnverifiedBundle;
use super::verify::Found;
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

/// A bundle whose bytes are proven to be the ones its index names. Only [`UnverifiedBundle::verify`] makes one.
#[derive(Debug)]
pub struct VerifiedBundle {
    raw: UnverifiedBundle,
    /// In index order.
    claims: Vec<Claim>,
    /// What was read, by claim.
    found: Vec<Found>,
    /// Places of the artifacts among the claims, sorted by name; made when the first is looked up.
    by_name: OnceLock<Vec<usize>>,
    index_sha256: Sha256Hex,
}

impl VerifiedBundle {
    pub(super) fn new(raw: UnverifiedBundle, claims: Vec<Claim>, found: Vec<Found>, index_sha256: Sha256Hex) -> Self {
        Self { raw, claims, found, by_name: OnceLock::new(), index_sha256 }
    }

    /// The places of the artifacts among the claims, in index order, each name once.
    fn places(&self) -> impl Iterator<Item = usize> {
        (0..self.claims.len()).filter(|&at| self.claims[at].repeats.is_none() && self.measured(at).is_some())
    }

    /// Digest and size of the artifact that the claim at a place is about.
    fn measured(&self, at: usize) -> Option<(&Sha256Hex, u64)> {
        self.found[at].of(&self.claims[at])
    }

    /// The place among the claims of the artifact `name`.
    fn place(&self, name: &RelPath) -> Option<usize> {
        let name_at = |at: &usize| self.raw.name_of(&self.claims[*at]);
        let by_name = self.by_name.get_or_init(|| {
            let mut places: Vec<usize> = self.places().collect();
            places.sort_unstable_by_key(|at| name_at(at));
            places
        });
        let found = by_name.binary_search_by_key(&name.as_str(), name_at).ok()?;
        Some(by_name[found])
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
    pub fn names(&self) -> impl Iterator<Item = RelPath> {
        self.places().map(|at| self.raw.rel_path_of(&self.claims[at]).to_owned())
    }

    /// The digest of an artifact.
    #[must_use]
    pub fn sha256(&self, name: &RelPath) -> Option<&Sha256Hex> {
        self.measured(self.place(name)?).map(|(sha256, _)| sha256)
    }

    /// The path of an artifact as the index records it.
    #[must_use]
    pub fn recorded_path(&self, name: &RelPath) -> Option<&str> {
        self.place(name).map(|at| self.raw.path_of(&self.claims[at]))
    }

    /// The run's directory as its own index records it, when it stands there (relative to a root above it); else absolute.
    #[must_use]
    pub fn recorded_dir(&self) -> String {
        let recorded = self.places().find_map(|at| {
            let claim = &self.claims[at];
            let dir = self.raw.path_of(claim).strip_suffix(self.raw.name_of(claim))?.strip_suffix('/')?;
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
        let Some((sha256, size_bytes)) = self.place(name).and_then(|at| self.measured(at)) else { return Ok(None) };
        let bytes = self
            .raw
            .resolved
            .dir
            .read_sole(name, json::MAX_DOCUMENT_BYTES)
            .map_err(|source| ArtifactError::Read { name: name.clone(), source })?;
        if bytes.len() as u64 != size_bytes || Sha256Hex::of(&bytes) != *sha256 {
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
