//! What the run hands to a worker and what it gets back: one JSON document each way, between two processes of the same
//! executable. Never stored, so it carries no version.

use serde::{Deserialize, Serialize};

use crate::denial::DecisionRecord;
use crate::event::{Applied, CheckRequest, Effect, Fault, SeatbeltAnswers};
use crate::sandbox::EnforcementReport;
use crate::sbpl::{Params, Source};

/// One job: perform `operation` on `target`, under `policy` or without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeJob {
    /// Operation as the plan writes it; the driver table says what is performed.
    pub operation: String,
    /// The driver that the probe asks for by name.
    pub driver: Option<String>,
    /// The call that the probe asks for by name.
    pub syscall: Option<String>,
    /// Which attributes a call on metadata is about.
    pub attr_payload: Option<String>,
    /// What the system is to be asked by the confined process before the call; only where it can be asked.
    pub question: Option<CheckRequest>,
    /// The program that a process started by the probe executes, where its driver starts one.
    pub program: Option<String>,
    /// Target with parameters replaced.
    pub target: String,
    /// The policy to enter first; `None` in the baseline lane.
    pub policy: Option<PolicyText>,
    /// Whether the policy's text is compiled first and the result applied (macOS only).
    pub compiled: bool,
    /// Enforcement layers to leave out on purpose.
    pub without_layers: Vec<String>,
}

/// A policy as text: the base profile first, then what is appended to it, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyText {
    /// Texts in order of evaluation.
    pub sources: Vec<Source>,
    /// Values of `(param "KEY")`.
    pub params: Params,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeAnswer {
    /// The operation's own result; absent when the probe's process never said.
    pub effect: Option<Effect>,
    /// Why there is no result.
    pub fault: Option<Fault>,
    /// Exit status of the probe's process.
    pub exit_status: Option<i32>,
    /// Signal that ended the probe's process.
    pub signal: Option<i32>,
    /// Decisions of the enforcement layer, in order.
    pub records: Vec<DecisionRecord>,
    /// Decisions that were not kept.
    pub records_dropped: u64,
    /// Descriptors of whoever started the worker that the probe's process still had; `None` where that was not seen.
    pub inherited_fds: Option<Vec<i32>>,
    /// What the system was asked before the call.
    pub seatbelt: Option<SeatbeltAnswers>,
    /// How the policy was applied or refused, where the system's own interface did it.
    pub applied: Option<Applied>,
    /// What was enforced; absent without a policy and when applying failed.
    pub report: Option<EnforcementReport>,
}
