//! Compiled profiles that are known, by their digests, to be refused on one world.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::base::digest::Sha256Hex;
use crate::base::json::{self, JsonError};

/// The list that is part of the program.
const SHIPPED: &[u8] = include_bytes!("blob_digests.json");
/// The version of the form that is read.
const VERSION: u64 = 1;

/// A list of digests and the world that it was observed on.
#[derive(Debug, Clone)]
pub struct BlobDigests {
    world_id: String,
    digests: BTreeSet<Sha256Hex>,
}

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BlobDigestsError {
    /// It is not JSON.
    #[error("the list of digests is not JSON")]
    Json(#[from] JsonError),
    /// It is another document.
    #[error("the list of digests is not one: {0}")]
    Shape(#[from] serde_json::Error),
    /// It is of a version that is not known.
    #[error("the list of digests has version {0}; version {VERSION} is read")]
    Version(u64),
}

#[derive(Deserialize)]
struct Document {
    schema_version: u64,
    world_id: String,
    apply_gate_digests: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    blob_sha256: Sha256Hex,
}

impl BlobDigests {
    /// The list that is part of the program.
    #[must_use]
    pub fn shipped() -> Self {
        Self::read(SHIPPED).expect("a test reads the shipped list")
    }

    /// Reads a list: {`schema_version` 1, `world_id`, `apply_gate_digests`: array of {`blob_sha256`}}; other members are ignored.
    ///
    /// # Errors
    /// See [`BlobDigestsError`].
    pub fn read(bytes: &[u8]) -> Result<Self, BlobDigestsError> {
        let Document { schema_version, world_id, apply_gate_digests } = serde_json::from_value(json::read(bytes)?)?;
        if schema_version != VERSION {
            return Err(BlobDigestsError::Version(schema_version));
        }
        let digests = apply_gate_digests.into_iter().map(|entry| entry.blob_sha256).collect();
        Ok(Self { world_id, digests })
    }

    /// Whether the list names the digest; `None` when it says nothing of this world. What is refused on one build need not be on
    /// another, so the world must be the very one.
    #[must_use]
    pub fn names(&self, digest: &Sha256Hex, world_id: &str) -> Option<bool> {
        (self.world_id == world_id).then(|| self.digests.contains(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_list_is_of_one_world() {
        let (list, world) = (BlobDigests::shipped(), "sonoma-14.4.1-23E224-arm64-dyld-2c0602c5");
        assert_eq!(list.digests.len(), 9);
        let first = list.digests.first().unwrap();
        assert_eq!((list.names(first, world), list.names(&Sha256Hex::of(b""), world)), (Some(true), Some(false)));
        assert_eq!(list.names(first, "sonoma"), None);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for (text, why) in [
            ("{", "not JSON"),
            ("[]", "not one"),
            (r#"{"schema_version": 1, "world_id": "w"}"#, "apply_gate_digests"),
            (r#"{"schema_version": 2, "world_id": "w", "apply_gate_digests": []}"#, "version 2"),
            (
                r#"{"schema_version": 1, "world_id": "w", "apply_gate_digests": [{"blob_sha256": "ab"}]}"#,
                "not a SHA-256",
            ),
        ] {
            let error = crate::base::error_chain(&BlobDigests::read(text.as_bytes()).unwrap_err());
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
