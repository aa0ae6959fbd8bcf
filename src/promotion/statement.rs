//! in-toto statements about a bundle: its artifacts as subjects, and what is stated about them as predicate.
//!
//! <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>,
//! <https://slsa.dev/spec/v1.0/verification_summary>. No time and no host is in them: the same bundle gives the same bytes.

use serde_json::{Map, Value, json};

use super::gate::{GateName, Promotability};
use crate::base::digest::Sha256Hex;
use crate::bundle::layout::ARTIFACT_INDEX;
use crate::bundle::{Tool, VerifiedBundle};

/// `_type` of a statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// `predicateType` of a statement whose predicate is a promotion packet.
pub const PACKET_PREDICATE: &str = "urn:runtime-tools:promotion_packet:v0.2";
/// `predicateType` of a SLSA verification summary.
pub const SUMMARY_PREDICATE: &str = "https://slsa.dev/verification_summary/v1";
/// Who verified, in a summary.
pub const VERIFIER_ID: &str = "urn:runtime-tools:runtime";
/// What the policies of summaries begin with; the gates that had to be open follow, joined by `+`.
const POLICY: &str = "urn:runtime-tools:promotion-gates:";

/// What is stated about the artifacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predicate {
    /// The packet itself.
    Packet,
    /// A SLSA verification summary: the packet by its digest, and whether the gates asked for are open.
    VerificationSummary,
}

impl Predicate {
    /// Its `predicateType`.
    #[must_use]
    pub fn type_uri(self) -> &'static str {
        match self {
            Self::Packet => PACKET_PREDICATE,
            Self::VerificationSummary => SUMMARY_PREDICATE,
        }
    }
}

/// The statement whose predicate is `packet`.
pub(super) fn of_packet(bundle: &VerifiedBundle, packet: &Value) -> Value {
    statement(bundle, PACKET_PREDICATE, packet.clone())
}

/// The verification summary: the policy is that every one of `gates` is open.
pub(super) fn of_summary(
    bundle: &VerifiedBundle,
    promotability: &Promotability,
    gates: &[GateName],
    packet_sha256: &Sha256Hex,
) -> Value {
    let passed = gates.iter().all(|gate| promotability.gate(*gate).promotable());
    let levels: Vec<String> = if passed {
        // Levels of our own may stand here; the prefix SLSA_ is not ours.
        gates.iter().map(|gate| format!("RUNTIME_{}", gate.word().to_uppercase())).collect()
    } else {
        vec!["FAILED".to_owned()]
    };
    let tool = Tool::this();
    let predicate = json!({
        "verifier": {"id": VERIFIER_ID, "version": Map::from_iter([(tool.name, Value::from(tool.version))])},
        "resourceUri": format!("urn:runtime-tools:bundle:{}", bundle.index_sha256()),
        "policy": {"uri": policy(gates)},
        "inputAttestations": [{"uri": PACKET_PREDICATE, "digest": {"sha256": packet_sha256}}],
        "verificationResult": if passed { "PASSED" } else { "FAILED" },
        "verifiedLevels": levels,
    });
    statement(bundle, SUMMARY_PREDICATE, predicate)
}

/// The URI of the policy that every one of `gates` is open.
fn policy(gates: &[GateName]) -> String {
    let words: Vec<&str> = GateName::ALL.into_iter().filter(|gate| gates.contains(gate)).map(GateName::word).collect();
    format!("{POLICY}{}", words.join("+"))
}

/// The gates of a summary's policy; `None` for a policy that is none of ours.
pub(super) fn gates_of_policy(uri: &str) -> Option<Vec<GateName>> {
    let choices = [&GateName::ALL[..1], &GateName::ALL[1..], &GateName::ALL[..]];
    choices.into_iter().find(|gates| policy(gates) == uri).map(<[GateName]>::to_vec)
}

fn statement(bundle: &VerifiedBundle, predicate_type: &str, predicate: Value) -> Value {
    json!({
        "_type": STATEMENT_TYPE,
        "subject": subjects(bundle),
        "predicateType": predicate_type,
        "predicate": predicate,
    })
}

/// The index, then every artifact it lists, as `<run_id>/<name>` with its digest.
fn subjects(bundle: &VerifiedBundle) -> Vec<Value> {
    let subject = |name: &str, sha256: &Sha256Hex| json!({"name": format!("{}/{name}", bundle.run_id()), "digest": {"sha256": sha256}});
    let artifacts = bundle.names().filter_map(|name| Some(subject(name.as_str(), bundle.sha256(&name)?)));
    std::iter::once(subject(ARTIFACT_INDEX, bundle.index_sha256())).chain(artifacts).collect()
}
