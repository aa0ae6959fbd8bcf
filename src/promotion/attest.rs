//! Attestations: a statement about a bundle, in a signed envelope or, without a key, bare.

use std::path::Path;

use serde_json::Value;

use super::envelope::Envelope;
use super::gate::{GateName, Promotability};
use super::signing::SignKey;
use super::statement::{self, Predicate};
use crate::base::digest::Sha256Hex;
use crate::base::json;
use crate::bundle::VerifiedBundle;

/// What to attest beside the packet, and where it goes.
#[derive(Debug, Clone, Copy)]
pub struct AttestRequest<'a> {
    /// Where the attestation goes; not inside a bundle.
    pub out: &'a Path,
    /// Who signs; `None`: the bare statement, which nobody vouches for.
    pub key: Option<&'a SignKey>,
    /// What is stated.
    pub predicate: Predicate,
}

/// What was attested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// The key's name; `None`: unsigned.
    pub key_id: Option<Sha256Hex>,
    /// What is stated.
    pub predicate: Predicate,
    /// Of a verification summary: the gates its policy asks for, and whether all are open.
    pub summary: Option<(Vec<GateName>, bool)>,
}

/// The attestation's bytes, and what they say. `packet_text` is the packet as it is written.
pub(super) fn attestation(
    bundle: &VerifiedBundle,
    promotability: &Promotability,
    gates: &[GateName],
    packet: (&Value, &str),
    request: AttestRequest<'_>,
) -> (String, Attested) {
    let (packet, packet_text) = packet;
    let (statement, summary) = match request.predicate {
        Predicate::Packet => (statement::of_packet(bundle, packet), None),
        Predicate::VerificationSummary => {
            let sha256 = Sha256Hex::of(packet_text.as_bytes());
            let passed = gates.iter().all(|gate| promotability.gate(*gate).promotable());
            (statement::of_summary(bundle, promotability, gates, &sha256), Some((gates.to_vec(), passed)))
        }
    };
    let statement = json::to_pretty(&statement);
    let text = match request.key {
        Some(key) => json::to_pretty(&Envelope::sign(statement.as_bytes(), key)),
        None => statement,
    };
    let key_id = request.key.map(|key| key.public().id());
    (text, Attested { key_id, predicate: request.predicate, summary })
}
