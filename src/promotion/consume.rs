//! Consumers that get a packet and nothing else: what they may open, and how they say what they used.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::packet::export_of;
use super::verify::{PacketVerification, VerifyError, VerifyRequest, verify_packet};
use crate::bundle::layout::{self, ARTIFACT_INDEX};
use crate::bundle::{ArtifactError, VerifiedBundle};
use crate::vocab::{Finding, Severity};

/// Why a packet cannot be consumed.
#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    /// There is nothing to judge.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The packet does not say what its bundle gives, or the bundle is refused.
    #[error("{packet} is not verified: {}", first(findings))]
    NotVerified {
        /// The packet.
        packet: String,
        /// Everything found.
        findings: Vec<Finding>,
    },
    /// The packet does not name an export that is asked for.
    #[error("{packet} names no {export}")]
    NoExport {
        /// The packet.
        packet: String,
        /// The export.
        export: String,
    },
    /// The bundle's index does not list an export that is asked for.
    #[error("{packet}: {export} is not in the bundle's index")]
    NotIndexed {
        /// The packet.
        packet: String,
        /// The export.
        export: String,
    },
}

fn first(findings: &[Finding]) -> &str {
    findings.iter().find(|finding| finding.severity == Severity::Error).map_or("", |finding| finding.message.as_str())
}

/// A verified packet with the exports a consumer asked for.
#[derive(Debug)]
pub struct PacketContext {
    verification: PacketVerification,
    exports: Vec<&'static str>,
}

/// Opens a packet for a consumer: verified against its bundle, every export of `required` named by it and indexed there.
/// Whether the packet is promotable is the consumer's own question ([`PacketContext::verification`]).
///
/// # Errors
/// See [`ConsumeError`].
pub fn resolve_packet_context(
    packet: &Path,
    required: &[&str],
    root: Option<&Path>,
    jobs: usize,
) -> Result<PacketContext, ConsumeError> {
    let request = VerifyRequest { packet, attestation: None, key: None, bundle: None, root, require: &[], jobs };
    let verification = verify_packet(request)?;
    let name = packet.to_string_lossy().into_owned();
    let Some(bundle) = verification.bundle.verified().filter(|_| verification.is_valid()) else {
        return Err(ConsumeError::NotVerified { packet: name, findings: verification.findings });
    };
    let mut exports = Vec::new();
    for export in required {
        let missing = || ConsumeError::NoExport { packet: name.clone(), export: (*export).to_owned() };
        let (key, file) = export_of(export).ok_or_else(missing)?;
        verification.packet.text(key).ok_or_else(missing)?;
        if bundle.sha256(&layout::name(file)).is_none() {
            return Err(ConsumeError::NotIndexed { packet: name, export: (*export).to_owned() });
        }
        exports.push(key);
    }
    Ok(PacketContext { verification, exports })
}

impl PacketContext {
    /// Everything found about the packet.
    #[must_use]
    pub fn verification(&self) -> &PacketVerification {
        &self.verification
    }

    /// The run.
    #[must_use]
    pub fn run_id(&self) -> &str {
        self.bundle().run_id()
    }

    fn bundle(&self) -> &VerifiedBundle {
        self.verification.bundle.verified().expect("a context is made of verified bundles only")
    }

    /// The bytes of an export: the verified ones, or none.
    ///
    /// # Errors
    /// See [`ArtifactError`].
    pub fn read_export(&self, export: &str) -> Result<Option<Vec<u8>>, ArtifactError> {
        let Some((_, file)) = self.exports.iter().find(|key| **key == export).and_then(|key| export_of(key)) else {
            return Ok(None);
        };
        self.bundle().read(&layout::name(file))
    }

    fn consumed(&self) -> Map<String, Value> {
        let packet = &self.verification.packet;
        let bundle = self.bundle();
        let paths = self.exports.iter().map(|key| ((*key).to_owned(), json!(packet.text(key))));
        let index = format!("{}/{ARTIFACT_INDEX}", bundle.recorded_dir());
        Map::from_iter([
            ("run_id".to_owned(), json!(bundle.run_id())),
            ("artifact_index".to_owned(), json!(index)),
            ("artifact_index_sha256".to_owned(), json!(bundle.index_sha256())),
            ("exports".to_owned(), Value::Object(paths.collect())),
        ])
    }

    /// What a derived file says about where it comes from. `packet` is the packet as documents name it; `receipt` the
    /// consumption receipt, where there is one.
    #[must_use]
    pub fn provenance(&self, packet: &str, receipt: Option<&str>) -> Value {
        let mut provenance = Map::from_iter([
            ("packet".to_owned(), json!(packet)),
            ("bundle_dir".to_owned(), json!(self.bundle().recorded_dir())),
        ]);
        provenance.extend(self.consumed());
        provenance.insert("consumption_receipt".to_owned(), json!(receipt));
        Value::Object(provenance)
    }
}

/// The receipt of a consumer: which packets (as documents name them) it used, for which `outputs` (name and path). Keys
/// sort by name when written.
#[must_use]
pub fn consumption_receipt(
    consumer: &str,
    world_id: &str,
    packets: &[(&str, &PacketContext)],
    outputs: &[(&str, &str)],
) -> Value {
    let consumed = packets.iter().map(|(path, context)| {
        let mut entry = Map::from_iter([("packet_path".to_owned(), json!(path))]);
        entry.extend(context.consumed());
        Value::Object(entry)
    });
    let outputs: Map<String, Value> = outputs.iter().map(|(name, path)| ((*name).to_owned(), json!(path))).collect();
    json!({
        "schema_version": format!("{consumer}.consumption_receipt.v0"),
        "world_id": world_id,
        "consumed_packets": consumed.collect::<Vec<_>>(),
        "outputs": outputs,
    })
}
