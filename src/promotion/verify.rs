//! Verifying a packet: the bundle is read again, everything is derived again, and every difference is a finding.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::envelope::PAYLOAD_TYPE;
use super::gate::{GateName, Promotability, assess};
use super::packet::promotion_packet;
use super::packet_file::{Attestation, PacketError, PacketFile};
use super::signing::PublicKey;
use super::statement::{self, PACKET_PREDICATE, SUMMARY_PREDICATE};
use super::{compare, facts};
use crate::base::digest::Sha256Hex;
use crate::bundle::{Checked, ResolveError, UnverifiedBundle, Verification, VerifiedBundle, resolve};
use crate::registry::{Base, Place, StoredPathError};
use crate::vocab::{Finding, Severity};

/// What to verify, and what to insist on.
#[derive(Debug, Clone, Copy)]
pub struct VerifyRequest<'a> {
    /// The packet, or an attestation whose predicate it is.
    pub packet: &'a Path,
    /// An attestation that stands in a file of its own.
    pub attestation: Option<&'a Path>,
    /// Whose signature to insist on.
    pub key: Option<&'a PublicKey>,
    /// The bundle; else where the packet's `run_manifest` leads.
    pub bundle: Option<&'a Path>,
    /// The root of the packet's relative paths; else the nearest ancestor of the packet with `.git` or `AGENTS.md`.
    pub root: Option<&'a Path>,
    /// Gates that must be open.
    pub require: &'a [GateName],
    /// Threads that hash; 0: one per processor.
    pub jobs: usize,
}

/// Why a packet could not be verified at all.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The packet or the attestation is none.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The packet's path to its bundle is not usable.
    #[error("{}#/run_manifest does not lead to a bundle", packet.display())]
    Pointer {
        /// The packet.
        packet: PathBuf,
        /// Why.
        source: StoredPathError,
    },
    /// There is no bundle to compare the packet with.
    #[error("the bundle of {} cannot be found", packet.display())]
    Bundle {
        /// The packet.
        packet: PathBuf,
        /// Why.
        source: ResolveError,
    },
    /// A key was given, and nothing that could be signed by it.
    #[error("a key checks the signature of an attestation, and none was given")]
    NothingSigned,
}

/// Where a packet comes from, as far as that is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody vouches for it; packet and bundle agree with each other, which anybody can arrange.
    Unproven,
    /// The holder of this key signed what the packet says.
    Signed {
        /// The key's name.
        key_id: Sha256Hex,
    },
}

impl Origin {
    /// `unproven` or `signed`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unproven => "unproven",
            Self::Signed { .. } => "signed",
        }
    }
}

/// Everything found about a packet.
#[derive(Debug)]
pub struct PacketVerification {
    /// The packet.
    pub packet: PacketFile,
    /// The bundle as it is now.
    pub bundle: Verification,
    /// What its gates answer now.
    pub promotability: Promotability,
    /// Where the packet comes from.
    pub origin: Origin,
    /// Whether the packet names digests of what it was made from.
    pub bound: bool,
    /// The required gates that are shut.
    pub shut: Vec<GateName>,
    /// Everything in which packet, bundle and attestation do not agree.
    pub findings: Vec<Finding>,
}

impl PacketVerification {
    /// Whether the packet says what its bundle gives, and a demanded signature holds. Warnings do not count.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }

    /// The bundle's documents.
    #[must_use]
    pub fn documents(&self) -> &UnverifiedBundle {
        facts::documents(&self.bundle)
    }
}

/// Verifies a packet against its bundle: every digest and every answer of a gate is derived again, from the bytes that
/// stand there now; with a key, the attestation's signature and everything it states as well.
///
/// # Errors
/// See [`VerifyError`]: there is nothing to judge.
pub fn verify_packet(request: VerifyRequest<'_>) -> Result<PacketVerification, VerifyError> {
    let packet = PacketFile::read(request.packet)?;
    let attestation = match request.attestation {
        Some(path) => Some(Attestation::read(path)?),
        None => packet.attestation.clone(),
    };
    if request.key.is_some() && attestation.is_none() {
        return Err(VerifyError::NothingSigned);
    }
    let directory = match request.bundle {
        Some(bundle) => bundle.to_owned(),
        None => bundle_of(&packet, request.root)?,
    };
    let resolved =
        resolve(&directory).map_err(|source| VerifyError::Bundle { packet: request.packet.to_owned(), source })?;
    let bundle = UnverifiedBundle::read(resolved).verify(request.jobs);
    let promotability = assess(&bundle);
    let mut findings = bundle_findings(&bundle);
    let derived = promotion_packet(&bundle, &promotability);
    let derived = derived.as_object().expect("a packet is an object");
    findings.extend(compare::differences(&packet, derived, &bundle));
    let mut origin = Origin::Unproven;
    if let Some(attestation) = &attestation {
        let mut about = About { attestation, findings: Vec::new() };
        let signed = about.signature(request.key);
        about.statement(&packet, bundle.verified(), &promotability);
        let agrees = about.findings.iter().all(|finding| finding.severity != Severity::Error);
        // A refused bundle was not compared with what is stated.
        if let (Some(key), true, true, Some(_)) = (request.key, signed, agrees, bundle.verified()) {
            origin = Origin::Signed { key_id: key.id() };
        }
        findings.extend(about.findings);
    }
    let shut = request.require.iter().copied().filter(|gate| !promotability.gate(*gate).promotable()).collect();
    Ok(PacketVerification { bound: compare::is_bound(&packet), packet, bundle, promotability, origin, shut, findings })
}

/// The run's directory, as the packet's path to the manifest gives it.
fn bundle_of(packet: &PacketFile, root: Option<&Path>) -> Result<PathBuf, VerifyError> {
    let base = Base::of(&Place::Disk(packet.path().to_owned()), root);
    let manifest = base
        .resolve(packet.text("run_manifest").unwrap_or_default())
        .map_err(|source| VerifyError::Pointer { packet: packet.path().to_owned(), source })?;
    let manifest = manifest.disk_path().unwrap_or(packet.path());
    Ok(manifest.parent().unwrap_or(Path::new("/")).to_owned())
}

/// What the reader found; a bundle that is refused is said to be.
fn bundle_findings(bundle: &Verification) -> Vec<Finding> {
    let mut findings = bundle.findings.clone();
    if let Checked::Refused(documents) = &bundle.bundle {
        let directory = documents.run_dir().to_string_lossy();
        let message = format!("run {} is not proven, so nothing that is said about it is", documents.run_id());
        findings.push(Finding::new("bundle-refused", Severity::Error, &directory, message));
    }
    findings
}

/// An attestation, and what is wrong with it.
struct About<'a> {
    attestation: &'a Attestation,
    findings: Vec<Finding>,
}

impl About<'_> {
    fn add(&mut self, id: &str, severity: Severity, message: impl Into<String>) {
        let file = self.attestation.path.to_string_lossy();
        self.findings.push(Finding::new(id, severity, &file, message));
    }

    fn error(&mut self, id: &str, message: impl Into<String>) {
        self.add(id, Severity::Error, message);
    }

    /// Whether `key` signed it.
    fn signature(&mut self, key: Option<&PublicKey>) -> bool {
        let Some(envelope) = &self.attestation.envelope else {
            match key {
                Some(_) => self.error("attestation-unsigned", "the statement stands bare: nobody signed it"),
                None => self.add("attestation-unsigned", Severity::Warning, "nobody signed the statement"),
            }
            return false;
        };
        if envelope.payload_type != PAYLOAD_TYPE {
            let message = format!("the payload is of type {:?}, not {PAYLOAD_TYPE}", envelope.payload_type);
            self.error("envelope-payload-type", message);
        }
        let Some(key) = key else {
            let message = "without a key the signatures were not checked";
            self.add("envelope-signature-unchecked", Severity::Warning, message);
            return false;
        };
        let signed = envelope.is_signed_by(key);
        if !signed {
            let count = envelope.signatures.len();
            let message = format!("none of the {count} signatures is by key {} over this payload", key.id());
            self.error("envelope-signature-invalid", message);
        }
        signed
    }

    /// Whether what is stated is about this packet and this bundle.
    fn statement(&mut self, packet: &PacketFile, bundle: Option<&VerifiedBundle>, promotability: &Promotability) {
        let attestation = self.attestation;
        let stated = match &attestation.statement {
            Ok(stated) => stated,
            Err(why) => return self.error("envelope-payload-malformed", why.clone()),
        };
        // Of a bundle that is not proven nothing can be stated; the bundle's own findings say why.
        let Some(bundle) = bundle else { return };
        let expected = match stated.get("predicateType").and_then(Value::as_str) {
            Some(PACKET_PREDICATE) => statement::of_packet(bundle, &Value::Object(packet.members().clone())),
            Some(SUMMARY_PREDICATE) => match self.summary(stated, packet, bundle, promotability) {
                Some(expected) => expected,
                None => return,
            },
            other => {
                let message =
                    format!("the predicate is of type {other:?}, not {PACKET_PREDICATE} or {SUMMARY_PREDICATE}");
                return self.error("statement-predicate-type", message);
            }
        };
        if stated.get("_type") != expected.get("_type") {
            self.error("statement-type", format!("the statement is not of type {}", statement::STATEMENT_TYPE));
        }
        self.subjects(stated.get("subject"), &expected["subject"]);
        if stated.get("predicate") != expected.get("predicate") {
            let message = match expected["predicateType"] == PACKET_PREDICATE {
                true => "the packet is not the one that was attested",
                false => "the summary is not the one that this packet and its bundle give",
            };
            self.error("statement-predicate-mismatch", message);
        }
        for key in stated.keys().filter(|key| expected.get(key.as_str()).is_none()) {
            let message = format!("a statement has no member {key:?}");
            self.findings.push(Finding::new(
                "statement-key-unknown",
                Severity::Error,
                &attestation.path.to_string_lossy(),
                message,
            ));
        }
    }

    /// The summary that should have been stated: by the gates its policy names, for this very file.
    fn summary(
        &mut self,
        stated: &Map<String, Value>,
        packet: &PacketFile,
        bundle: &VerifiedBundle,
        promotability: &Promotability,
    ) -> Option<Value> {
        let uri = stated.get("predicate").and_then(|p| p.pointer("/policy/uri")).and_then(Value::as_str);
        let Some(gates) = uri.and_then(statement::gates_of_policy) else {
            self.error("statement-policy-unknown", format!("the policy {uri:?} names no gates"));
            return None;
        };
        let Some(sha256) = packet.sha256() else {
            self.error("statement-packet-missing", "a summary is about the file of a packet, and none was given");
            return None;
        };
        let mut expected = statement::of_summary(bundle, promotability, &gates, sha256);
        // Which version verified is its own word.
        if let Some(version) = stated.get("predicate").and_then(|p| p.pointer("/verifier/version")) {
            expected["predicate"]["verifier"]["version"] = version.clone();
        }
        Some(expected)
    }

    fn subjects(&mut self, stated: Option<&Value>, expected: &Value) {
        let named = |list: &Value| -> Map<String, Value> {
            let subjects = list.as_array().into_iter().flatten();
            let name = |subject: &Value| subject.get("name").and_then(Value::as_str).unwrap_or("?").to_owned();
            subjects.map(|subject| (name(subject), subject.get("digest").cloned().unwrap_or(json!(null)))).collect()
        };
        let (stated_list, expected_list) = (stated.cloned().unwrap_or_default(), expected);
        let (stated, expected) = (named(&stated_list), named(expected_list));
        let differing = expected.iter().filter(|(name, digest)| stated.get(*name) != Some(*digest));
        let foreign = stated.iter().filter(|(name, _)| !expected.contains_key(*name));
        let names: Vec<&str> = differing.chain(foreign).map(|(name, _)| name.as_str()).collect();
        if !names.is_empty() {
            let shown = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
            let message = format!("{} subjects are not artifacts of the bundle as they are: {shown}", names.len());
            self.error("statement-subject-mismatch", message);
        } else if stated_list != *expected_list {
            let message = "the subjects are not exactly the artifacts of the bundle, in their order";
            self.error("statement-subject-mismatch", message);
        }
    }
}
