//! Packets and attestations as files of others: read once, bounded, and not believed.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::envelope::Envelope;
use super::statement::PACKET_PREDICATE;
use crate::base::digest::Sha256Hex;
use crate::base::json::{self, JsonError};
use crate::os::fs::{self, FsError};

/// Packets are some kilobytes; an attestation lists every artifact.
const LIMIT_BYTES: u64 = json::MAX_DOCUMENT_BYTES;

/// What the tags of packets begin with.
const PACKET_TAGS: &str = "runtime-tools.promotion_packet.";

/// Why a file is no packet or no attestation.
#[derive(Debug, thiserror::Error)]
pub enum PacketError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What refused it.
        source: FsError,
    },
    /// It is not acceptable JSON.
    #[error("{} is not acceptable JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: JsonError,
    },
    /// It is another document.
    #[error("{} is no {wanted}: {why}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What is asked for.
        wanted: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl PacketError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.is_not_found())
    }
}

/// A statement, bare or in its envelope.
#[derive(Debug, Clone)]
pub(super) struct Attestation {
    pub(super) path: PathBuf,
    pub(super) envelope: Option<Envelope>,
    /// The statement; the text says why there is none.
    pub(super) statement: Result<Map<String, Value>, String>,
}

/// A promotion packet as it was found.
#[derive(Debug, Clone)]
pub struct PacketFile {
    pub(super) path: PathBuf,
    pub(super) members: Map<String, Value>,
    pub(super) sha256: Option<Sha256Hex>,
    pub(super) file_sha256: Sha256Hex,
    pub(super) attestation: Option<Attestation>,
}

impl PacketFile {
    /// Reads a packet: a file of its own, or the predicate of an attestation (a statement, bare or in its envelope).
    ///
    /// # Errors
    /// See [`PacketError`].
    pub fn read(path: &Path) -> Result<Self, PacketError> {
        let other =
            |why: &str| PacketError::Other { path: path.to_owned(), wanted: "promotion packet", why: why.into() };
        let (members, sha256) = object(path, "promotion packet")?;
        if let Some(attestation) = Attestation::of(path, &members)? {
            let statement = attestation.statement.as_ref().map_err(|why| other(why))?;
            if statement.get("predicateType").and_then(Value::as_str) != Some(PACKET_PREDICATE) {
                return Err(other("it is a statement about something else than a packet"));
            }
            let packet = statement.get("predicate").and_then(Value::as_object);
            let members = packet.ok_or_else(|| other("the statement's predicate is not an object"))?.clone();
            let (path, attestation) = (path.to_owned(), Some(attestation));
            return Self { path, members, sha256: None, file_sha256: sha256, attestation }.checked();
        }
        let file_sha256 = sha256.clone();
        Self { path: path.to_owned(), members, sha256: Some(sha256), file_sha256, attestation: None }.checked()
    }

    fn checked(self) -> Result<Self, PacketError> {
        let other = |why: String| PacketError::Other { path: self.path.clone(), wanted: "promotion packet", why };
        match self.members.get("schema_version") {
            Some(Value::String(tag)) if tag.starts_with(PACKET_TAGS) => {}
            Some(tag) => return Err(other(format!("its schema version is {tag}"))),
            None => return Err(other("it has no schema version".to_owned())),
        }
        if self.text("run_manifest").is_none_or(str::is_empty) {
            return Err(other("it has no run_manifest that is text".to_owned()));
        }
        Ok(self)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The members of the packet.
    #[must_use]
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// Digest of the file, whether it is a packet or an attestation that holds one.
    #[must_use]
    pub fn file_sha256(&self) -> &Sha256Hex {
        &self.file_sha256
    }

    /// Digest of the packet as a file; `None` when it was taken out of an attestation.
    #[must_use]
    pub fn sha256(&self) -> Option<&Sha256Hex> {
        self.sha256.as_ref()
    }

    /// A member that is text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.members.get(key)?.as_str()
    }
}

impl Attestation {
    pub(super) fn read(path: &Path) -> Result<Self, PacketError> {
        let (members, _) = object(path, "attestation")?;
        Self::of(path, &members)?.ok_or_else(|| PacketError::Other {
            path: path.to_owned(),
            wanted: "attestation",
            why: "it has neither payloadType (an envelope) nor _type (a statement)".to_owned(),
        })
    }

    /// `None` when the object is neither an envelope nor a statement.
    fn of(path: &Path, members: &Map<String, Value>) -> Result<Option<Self>, PacketError> {
        let path = path.to_owned();
        if members.contains_key("payloadType") {
            let envelope: Envelope = serde_json::from_value(Value::Object(members.clone())).map_err(|error| {
                PacketError::Other { path: path.clone(), wanted: "envelope", why: error.to_string() }
            })?;
            let statement = statement_in(&envelope);
            return Ok(Some(Self { path, envelope: Some(envelope), statement }));
        }
        let bare = members.contains_key("_type");
        Ok(bare.then(|| Self { path, envelope: None, statement: Ok(members.clone()) }))
    }
}

fn statement_in(envelope: &Envelope) -> Result<Map<String, Value>, String> {
    let payload = envelope.payload_bytes().ok_or("its payload is not Base64")?;
    match json::read(&payload) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err("its payload is not a JSON object".to_owned()),
        Err(error) => Err(format!("its payload is not acceptable JSON: {error}")),
    }
}

/// A file that holds one JSON object, and the digest of its bytes.
pub(crate) fn object(path: &Path, wanted: &'static str) -> Result<(Map<String, Value>, Sha256Hex), PacketError> {
    let bytes =
        fs::read_bounded(path, LIMIT_BYTES).map_err(|source| PacketError::Read { path: path.to_owned(), source })?;
    match json::read(&bytes).map_err(|source| PacketError::Json { path: path.to_owned(), source })? {
        Value::Object(members) => Ok((members, Sha256Hex::of(&bytes))),
        _ => Err(PacketError::Other { path: path.to_owned(), wanted, why: "it is not a JSON object".to_owned() }),
    }
}
