//! Packet sets: which packets a generator of mappings looks at.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::packet_file::{PacketError, object};
use crate::base::digest::Sha256Hex;
use crate::registry::{Base, Place};

/// Tag of a packet set. v0.1: as the earlier tool writes it.
pub const PACKET_SET_TAG: &str = "runtime.packet_set.v0.1";

/// A packet as a set or a command names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketRef {
    /// The path as documents have it.
    pub stored: String,
    /// Where that leads.
    pub path: PathBuf,
}

/// A packet set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketSet {
    /// The world of its packets, where it names one.
    pub world_id: Option<String>,
    /// Whether a packet that is not there is passed over.
    pub allow_missing: bool,
    /// The packets in order.
    pub packets: Vec<PacketRef>,
    /// Digest of the set's own file.
    pub sha256: Sha256Hex,
}

/// Reads a packet set. Its paths are relative to `root`, else to the nearest ancestor with `.git` or `AGENTS.md`, else to
/// its own directory; `./` always means its own directory.
///
/// # Errors
/// See [`PacketError`]; nothing that a set names is opened.
pub fn load_packet_set(path: &Path, root: Option<&Path>) -> Result<PacketSet, PacketError> {
    let other = |why: String| PacketError::Other { path: path.to_owned(), wanted: "packet set", why };
    let (members, sha256) = object(path, "packet set")?;
    match members.get("schema_version") {
        Some(Value::String(tag)) if tag == PACKET_SET_TAG => {}
        tag => return Err(other(format!("its schema version is {}", tag.unwrap_or(&Value::Null)))),
    }
    let world_id = match members.get("world_id") {
        None | Some(Value::Null) => None,
        Some(Value::String(world_id)) => Some(world_id.clone()),
        Some(_) => return Err(other("world_id is not text".to_owned())),
    };
    let allow_missing = match members.get("allow_missing") {
        None => true,
        Some(Value::Bool(allow)) => *allow,
        Some(_) => return Err(other("allow_missing is neither true nor false".to_owned())),
    };
    let base = Base::of(&Place::Disk(path.to_owned()), root);
    let mut packets = Vec::new();
    let listed = match members.get("packets") {
        Some(Value::Array(listed)) => listed.as_slice(),
        None => &[],
        Some(_) => return Err(other("packets is not an array".to_owned())),
    };
    for (at, entry) in listed.iter().enumerate() {
        let stored = entry.as_str().ok_or_else(|| other(format!("packets/{at} is not text")))?;
        let place = base.resolve(stored).map_err(|why| other(format!("packets/{at}: {why}")))?;
        let path = place.disk_path().unwrap_or(Path::new(stored)).to_owned();
        packets.push(PacketRef { stored: stored.to_owned(), path });
    }
    Ok(PacketSet { world_id, allow_missing, packets, sha256 })
}

/// The document of a set, to be written to `path`, with the references as it stores them. `packets` are absolute.
#[must_use]
pub fn packet_set_document(
    path: &Path,
    root: Option<&Path>,
    packets: &[PathBuf],
    world_id: &str,
    allow_missing: bool,
) -> (Value, Vec<PacketRef>) {
    let base = Base::of(&Place::Disk(path.to_owned()), root);
    let references: Vec<PacketRef> = packets
        .iter()
        .map(|packet| PacketRef { stored: base.relative(&Place::Disk(packet.clone())), path: packet.clone() })
        .collect();
    let stored: Vec<Value> = references.iter().map(|reference| reference.stored.clone().into()).collect();
    let mut document = Map::new();
    document.insert("schema_version".to_owned(), PACKET_SET_TAG.into());
    document.insert("world_id".to_owned(), world_id.into());
    document.insert("allow_missing".to_owned(), allow_missing.into());
    document.insert("packets".to_owned(), stored.into());
    (Value::Object(document), references)
}
