//! Promotability and promotion packets: what follows from a bundle's facts, and only from them.
//!
//! [`assess`] takes a [`Verification`](crate::bundle::Verification): a bundle whose bytes are not proven always carries
//! the reason `bundle_integrity_unverified`, so only a verified bundle can be promotable. A gate is open when it has no
//! reason; a fact that is absent, empty or malformed is a reason. Nobody can set a verdict from outside. `SPEC.md`
//! section "Promotion" is the contract.

mod decision_stage;
mod emit;
mod enforcement_report;
mod facts;
mod gate;
mod linux_gate;
mod packet;
mod rows;

pub use emit::{Emission, EmitError, EmitRequest, Fate, emit_promotion_packet};
pub use enforcement_report::{ENFORCEMENT_REPORT_TAG, EnforcementReport, Layer};
pub use gate::{Gate, GateName, GatingInputs, Promotability, Reason, assess};
pub use packet::{PACKET_TAG, promotion_packet};
