//! Promotion: every packet of a set is verified and judged; a receipt says what was used, what not, and why.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::gate::GateName;
use super::packet_set::PacketRef;
use super::signing::PublicKey;
use super::verify::{Origin, PacketVerification, VerifyError, VerifyRequest, verify_packet};
use crate::base::digest::Sha256Hex;
use crate::base::error_chain;
use crate::bundle::layout::{self, EXPECTED_MATRIX};
use crate::vocab::Severity;

/// Tag of a promotion receipt. v0.1: as the earlier tool writes it; added: `gate`, `key_id` where signatures were insisted on,
/// and of a packet that was looked at `artifact_index_sha256`, `bound_to_content` and `origin`.
pub const PROMOTION_RECEIPT_TAG: &str = "runtime.promotion_receipt.v0.1";

/// The world of a set that names none and whose packets name several or none.
const UNKNOWN_WORLD: &str = "unknown";

/// What to judge, and by what.
#[derive(Debug, Clone, Copy)]
pub struct PromoteRequest<'a> {
    /// The packets in order.
    pub packets: &'a [PacketRef],
    /// The set that names them, where there is one: as documents name it, and the digest of its bytes.
    pub packet_set: Option<(&'a str, &'a Sha256Hex)>,
    /// Whether a packet that is not there is passed over.
    pub allow_missing: bool,
    /// The world all packets must be of.
    pub world_id: Option<&'a str>,
    /// The gate that must be open.
    pub gate: GateName,
    /// Whose signature every packet must carry; then each is an attestation that holds its packet.
    pub key: Option<&'a PublicKey>,
    /// The root of relative paths in packets; else the nearest ancestor of each with `.git` or `AGENTS.md`.
    pub root: Option<&'a Path>,
    /// Threads that hash; 0: one per processor.
    pub jobs: usize,
}

/// Why nothing was judged.
#[derive(Debug, thiserror::Error)]
pub enum PromoteError {
    /// A packet is not there, and the set does not allow for that.
    #[error("the packet {0} is missing, and the set allows no missing ones")]
    Missing(String),
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketStatus {
    /// It is verified and promotable.
    Used,
    /// It is not.
    Rejected,
    /// There is no such file.
    Missing,
}

impl PacketStatus {
    /// The word of receipts.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Rejected => "rejected",
            Self::Missing => "missing",
        }
    }
}

/// One packet, judged.
#[derive(Debug)]
pub struct Considered {
    /// Its path as documents have it.
    pub stored: String,
    /// What became of it.
    pub status: PacketStatus,
    /// Why it is not used.
    pub reasons: Vec<&'static str>,
    /// The same in words.
    pub error: Option<String>,
    /// Digest of its bytes, where they could be read.
    pub sha256: Option<Sha256Hex>,
    /// Everything found, where there was something to look at.
    pub verification: Option<PacketVerification>,
}

/// All packets, judged.
#[derive(Debug)]
pub struct Promotion {
    /// The world: the one asked for, else the single one of the used packets, else `unknown`.
    pub world_id: String,
    /// The gate that had to be open.
    pub gate: GateName,
    /// The key that every packet had to be signed by.
    pub key_id: Option<Sha256Hex>,
    /// Every packet in order.
    pub considered: Vec<Considered>,
    /// Why the used packets cannot be used together.
    pub conflicts: Vec<String>,
    packet_set: Option<(String, Sha256Hex)>,
}

/// Judges packets: each is verified against its bundle, must be of the one world, and its gate must be open.
///
/// # Errors
/// [`PromoteError::Missing`]; a packet that cannot be read is rejected, not an error.
pub fn promote_from_packets(request: PromoteRequest<'_>) -> Result<Promotion, PromoteError> {
    let mut considered = Vec::new();
    for packet in request.packets {
        let judged = judge(packet, request);
        if judged.status == PacketStatus::Missing && !request.allow_missing {
            return Err(PromoteError::Missing(packet.stored.clone()));
        }
        considered.push(judged);
    }
    let used = || considered.iter().filter(|one| one.status == PacketStatus::Used);
    let worlds: BTreeSet<&str> = used().filter_map(Considered::world_id).collect();
    let world_id = match (request.world_id, worlds.iter().next(), worlds.len()) {
        (Some(asked), _, _) => asked.to_owned(),
        (None, Some(single), 1) => (*single).to_owned(),
        _ => UNKNOWN_WORLD.to_owned(),
    };
    let mut conflicts = Vec::new();
    if worlds.len() > 1 {
        let all: Vec<&str> = worlds.into_iter().collect();
        conflicts.push(format!("the packets are of several worlds: {}", all.join(", ")));
    }
    if let Err(conflict) = merge_expected_matrices(used().filter_map(|one| one.verification.as_ref())) {
        conflicts.push(conflict);
    }
    let packet_set = request.packet_set.map(|(path, sha256)| (path.to_owned(), sha256.clone()));
    let key_id = request.key.map(PublicKey::id);
    Ok(Promotion { world_id, gate: request.gate, key_id, considered, conflicts, packet_set })
}

fn judge(packet: &PacketRef, request: PromoteRequest<'_>) -> Considered {
    let verified = verify_packet(VerifyRequest {
        packet: &packet.path,
        attestation: None,
        key: request.key,
        bundle: None,
        root: request.root,
        require: &[request.gate],
        jobs: request.jobs,
    });
    let mut judged = Considered {
        stored: packet.stored.clone(),
        status: PacketStatus::Rejected,
        reasons: Vec::new(),
        error: None,
        sha256: None,
        verification: None,
    };
    let verification = match verified {
        Ok(verification) => verification,
        Err(VerifyError::Packet(error)) if error.is_not_found() => {
            judged.status = PacketStatus::Missing;
            judged.reasons.push("missing_packet");
            return judged;
        }
        Err(error) => {
            let unsigned = matches!(error, VerifyError::NothingSigned);
            judged.reasons.push(if unsigned { "packet_not_signed" } else { "packet_load_error" });
            judged.error = Some(error_chain(&error));
            // What could be read of it is still named by its bytes.
            judged.sha256 = crate::os::fs::read_bounded(&packet.path, crate::base::json::MAX_DOCUMENT_BYTES)
                .ok()
                .map(|bytes| Sha256Hex::of(&bytes));
            return judged;
        }
    };
    let mut errors = Vec::new();
    if !verification.is_valid() {
        judged.reasons.push("packet_not_verified");
        let found = verification.findings.iter().filter(|finding| finding.severity == Severity::Error);
        errors.extend(found.map(|finding| finding.message.clone()));
    }
    if request.key.is_some() && verification.origin == Origin::Unproven {
        judged.reasons.push("packet_not_signed");
    }
    let world = verification.bundle.verified().and_then(|bundle| bundle.world_id());
    if let Some(asked) = request.world_id.filter(|asked| Some(*asked) != world) {
        judged.reasons.push("world_id_mismatch");
        errors.push(format!("the bundle is of world {}, not {asked}", world.unwrap_or("unknown")));
    }
    if !is_open(&verification, request.gate) {
        judged.reasons.push("not_promotable");
        errors.push(format!(
            "{}: {}",
            request.gate,
            verification.promotability.gate(request.gate).reasons().join(", ")
        ));
    }
    if judged.reasons.is_empty() {
        judged.status = PacketStatus::Used;
    } else {
        judged.error = Some(errors.join("; "));
    }
    judged.sha256 = Some(verification.packet.file_sha256().clone());
    judged.verification = Some(verification);
    judged
}

/// The gate as the bundle answers it now, whatever the packet's age says.
fn is_open(verification: &PacketVerification, gate: GateName) -> bool {
    verification.promotability.gate(gate).promotable()
}

/// The expectations of all packets as one document: `world_id` of the first, `profiles` by id.
///
/// # Errors
/// A matrix cannot be read, or two packets expect different things of one profile; the text says which.
pub fn merge_expected_matrices<'a>(
    packets: impl Iterator<Item = &'a PacketVerification>,
) -> Result<Map<String, Value>, String> {
    let mut world = Value::Null;
    let mut profiles: Map<String, Value> = Map::new();
    for packet in packets {
        let path = packet.packet.path().display();
        let bundle = packet.bundle.verified().ok_or_else(|| format!("the bundle of {path} is not proven"))?;
        let matrix = bundle
            .read_json(&layout::name(EXPECTED_MATRIX))
            .map_err(|error| format!("{path}: {}", error_chain(&error)))?
            .ok_or_else(|| format!("{path}: {EXPECTED_MATRIX} is not indexed"))?;
        if world.is_null() {
            world = json!(bundle.world_id());
        }
        for (profile_id, profile) in matrix.get("profiles").and_then(Value::as_object).into_iter().flatten() {
            match profiles.get(profile_id) {
                Some(known) if known != profile => {
                    return Err(format!("{path}: another packet expects something else of profile {profile_id}"));
                }
                _ => {
                    profiles.insert(profile_id.clone(), profile.clone());
                }
            }
        }
    }
    Ok(Map::from_iter([("world_id".to_owned(), world), ("profiles".to_owned(), Value::Object(profiles))]))
}

impl Considered {
    fn world_id(&self) -> Option<&str> {
        self.verification.as_ref()?.bundle.verified()?.world_id()
    }

    fn document(&self) -> Value {
        let mut document = json!({"path": self.stored, "status": self.status.word(), "reasons": self.reasons});
        if let Some(error) = &self.error {
            document["error"] = json!(error);
        }
        if let Some(verification) = &self.verification {
            let packet = verification.packet.members();
            let manifest = verification.documents().manifest();
            document["schema_version"] = json!(packet.get("schema_version"));
            document["channel"] = json!(manifest.text("channel"));
            document["run_id"] = json!(manifest.text("run_id"));
            document["promotability"] = json!(packet.get("promotability"));
            document["artifact_index_sha256"] = json!(verification.bundle.verified().map(|b| b.index_sha256()));
            document["bound_to_content"] = json!(verification.bound);
            document["origin"] = json!(verification.origin.word());
        }
        document
    }
}

impl Promotion {
    /// Whether at least one packet is used and nothing keeps the used ones apart.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.conflicts.is_empty() && self.considered.iter().any(|one| one.status == PacketStatus::Used)
    }

    /// Names the set that these packets were written down as: its path as documents have it, and the digest of its bytes.
    pub fn name_set(&mut self, stored: &str, sha256: Sha256Hex) {
        self.packet_set = Some((stored.to_owned(), sha256));
    }

    /// Whether every packet is used.
    #[must_use]
    pub fn all_used(&self) -> bool {
        self.considered.iter().all(|one| one.status == PacketStatus::Used)
    }

    /// The receipt; keys sort by name when written.
    #[must_use]
    pub fn receipt(&self) -> Value {
        let set = self.packet_set.as_ref().map(|(path, _)| path);
        let packets = self.considered.iter().map(|one| &one.stored);
        let inputs: Vec<&String> = set.into_iter().chain(packets).collect();
        let mut hashes = Map::new();
        for (path, sha256) in self.packet_set.iter().map(|(path, sha256)| (path, Some(sha256))) {
            hashes.insert(path.clone(), json!(sha256));
        }
        for one in &self.considered {
            if let Some(sha256) = &one.sha256 {
                hashes.insert(one.stored.clone(), json!(sha256));
            }
        }
        let mut used: Vec<&str> = self
            .considered
            .iter()
            .filter(|one| one.status == PacketStatus::Used)
            .map(|one| one.stored.as_str())
            .collect();
        used.sort_unstable();
        let rejected = self.considered.iter().filter(|one| one.status != PacketStatus::Used);
        let notes = match self.conflicts.is_empty() {
            true => "Every used packet was verified against its bundle before this was written.".to_owned(),
            false => format!("The used packets cannot be used together: {}", self.conflicts.join("; ")),
        };
        let mut receipt = json!({
            "schema_version": PROMOTION_RECEIPT_TAG,
            "world_id": self.world_id,
            "gate": self.gate.word(),
            "packet_set": set,
            "inputs": inputs,
            "input_hashes": hashes,
            "packets": {
                "considered": self.considered.iter().map(Considered::document).collect::<Vec<_>>(),
                "used": used,
                "rejected": rejected.map(|one| json!({"path": one.stored, "reasons": one.reasons})).collect::<Vec<_>>(),
            },
            "notes": notes,
        });
        if let Some(key_id) = &self.key_id {
            receipt["key_id"] = json!(key_id);
        }
        receipt
    }
}
