//! Promotability and promotion packets: what follows from a bundle's facts, and only from them.
//!
//! [`assess`] takes a [`Verification`](crate::bundle::Verification): a bundle whose bytes are not proven always carries
//! the reason `bundle_integrity_unverified`, so only a verified bundle can be promotable. A gate is open when it has no
//! reason; a fact that is absent, empty or malformed is a reason. Nobody can set a verdict from outside. `SPEC.md`
//! section "Promotion" is the contract.
//!
//! Parts: gates ([`assess`]), packets ([`emit_promotion_packet`]), attestations of them ([`AttestRequest`]: in-toto
//! statements, in signed envelopes), and readers that derive everything again: [`verify_packet`] of one packet,
//! [`promote_from_packets`] of a set, [`resolve_packet_context`] for consumers that get a packet and nothing else,
//! [`select_path_observations`] for the map of canonical paths.

mod attest;
mod compare;
mod consume;
mod decision_stage;
mod emit;
mod enforcement_report;
mod envelope;
mod facts;
#[cfg(test)]
mod fault_tests;
mod gate;
mod linux_gate;
mod packet;
mod packet_file;
mod packet_set;
mod path_map;
mod promote;
mod rows;
mod signing;
mod statement;
mod verify;

pub use attest::{AttestRequest, Attested};
pub use consume::{ConsumeError, PacketContext, consumption_receipt, resolve_packet_context};
pub use emit::{Emission, EmitError, EmitRequest, Fate, emit_promotion_packet};
pub use enforcement_report::{ENFORCEMENT_REPORT_TAG, EnforcementReport, Layer};
pub use envelope::{Envelope, EnvelopeSignature, PAYLOAD_TYPE};
pub use gate::{Gate, GateName, GatingInputs, Promotability, Reason, assess};
pub use packet::{PACKET_TAG, promotion_packet};
pub(crate) use packet_file::object;
pub use packet_file::{PacketError, PacketFile};
pub use packet_set::{PACKET_SET_TAG, PacketRef, PacketSet, load_packet_set, packet_set_document};
pub use path_map::{Acceptance, PATH_MAP_TAG, PathMapError, PathObservations, PathSelection, select_path_observations};
pub use promote::{
    Considered, PROMOTION_RECEIPT_TAG, PacketStatus, PromoteError, PromoteRequest, Promotion, merge_expected_matrices,
    promote_from_packets,
};
pub use signing::{KeyError, PublicKey, SignKey};
pub use statement::{PACKET_PREDICATE, Predicate, STATEMENT_TYPE, SUMMARY_PREDICATE, VERIFIER_ID};
pub use verify::{Origin, PacketVerification, VerifyError, VerifyRequest, verify_packet};
