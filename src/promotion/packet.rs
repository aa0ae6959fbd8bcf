//! The promotion packet: pointers to a bundle's exports, bound to their digests, with every gate's answer.

use serde_json::{Map, Value, json};

use super::facts;
use super::gate::Promotability;
use crate::bundle::Verification;
use crate::bundle::layout::{
    self, ARTIFACT_INDEX, BASELINE_RESULTS, EXPECTED_MATRIX, FIXTURES, IMPACT_MAP, MISMATCH_PACKETS, ORACLE_RESULTS,
    PATH_WITNESSES, RUN_MANIFEST, RUNTIME_EVENTS, RUNTIME_RESULTS, SUMMARY_JSON,
};

/// Tag of the packet. v0.2: `promotability`, optional pointers. Added without a new tag, as optional keys: `run_id`,
/// `world_id`, `artifact_index`, `artifact_index_sha256`, `export_digests`, `promotability.details`,
/// `promotability.linux_enforcement`, `promotability.warnings`.
pub const PACKET_TAG: &str = "runtime-tools.promotion_packet.v0.2";

/// Pointers that are always there, even to files that are not.
pub(super) const POINTERS: [(&str, &str); 8] = [
    ("run_manifest", RUN_MANIFEST),
    ("expected_matrix", EXPECTED_MATRIX),
    ("runtime_results", RUNTIME_RESULTS),
    ("runtime_events", RUNTIME_EVENTS),
    ("baseline_results", BASELINE_RESULTS),
    ("oracle_results", ORACLE_RESULTS),
    ("mismatch_packets", MISMATCH_PACKETS),
    ("summary", SUMMARY_JSON),
];

/// Pointers that are there when the file is.
pub(super) const OPTIONAL_POINTERS: [(&str, &str); 3] =
    [("path_witnesses", PATH_WITNESSES), ("fixtures", FIXTURES), ("impact_map", IMPACT_MAP)];

/// The packet of a bundle. Digests are given for verified bundles only: of what is not proven, none is vouched for.
#[must_use]
pub fn promotion_packet(verification: &Verification, promotability: &Promotability) -> Value {
    let (documents, verified) = (facts::documents(verification), verification.verified());
    let directory =
        verified.map_or_else(|| documents.run_dir().to_string_lossy().into_owned(), |bundle| bundle.recorded_dir());
    let pointer = |name: &str| Value::from(format!("{directory}/{name}"));
    let mut packet = Map::new();
    let mut digests = Map::new();
    let mut export = |packet: &mut Map<String, Value>, key: &str, constant: &'static str| {
        packet.insert(key.to_owned(), pointer(constant));
        let digest = verified.and_then(|bundle| bundle.sha256(&layout::name(constant)));
        digests.insert(key.to_owned(), json!(digest));
    };
    packet.insert("schema_version".to_owned(), PACKET_TAG.into());
    for (key, constant) in POINTERS {
        export(&mut packet, key, constant);
    }
    packet.insert("promotability".to_owned(), promotability.document());
    for (key, constant) in OPTIONAL_POINTERS {
        if documents.has_file(&layout::name(constant)) {
            export(&mut packet, key, constant);
        }
    }
    packet.insert("run_id".to_owned(), documents.run_id().into());
    packet.insert("world_id".to_owned(), json!(verified.and_then(|bundle| bundle.world_id())));
    packet.insert("artifact_index".to_owned(), pointer(ARTIFACT_INDEX));
    packet.insert("artifact_index_sha256".to_owned(), json!(verified.map(|bundle| bundle.index_sha256())));
    packet.insert("export_digests".to_owned(), Value::Object(digests));
    Value::Object(packet)
}

/// The member of packets called `key`, and the file it points to.
pub(super) fn export_of(key: &str) -> Option<(&'static str, &'static str)> {
    POINTERS.into_iter().chain(OPTIONAL_POINTERS).find(|(known, _)| *known == key)
}
