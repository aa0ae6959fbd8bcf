//! Gates: named questions that are answered yes only when no reason speaks against them.

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexSet;
use serde_json::{Map, Value, json};

use super::{decision_stage, facts, linux_gate};
use crate::bundle::Verification;

/// Why a gate is shut. The words are stable; `details` say which artifact, row or layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The process was sandboxed before the run began.
    AlreadySandboxed,
    /// The preflight profile could not be applied.
    ApplyFailed,
    /// There is no record of a preflight.
    ApplyPreflightMissing,
    /// The run failed.
    BundleFailed,
    /// Files the run should have left are missing.
    BundleIncomplete,
    /// The run is going on, or its writer died.
    BundleInProgress,
    /// The bytes are not proven to be the ones the index names.
    BundleIntegrityUnverified,
    /// Results, normalised events or expectations are not there.
    DecisionStageArtifactsMissing,
    /// Nothing was executed.
    DryRun,
    /// There is no report of what was enforced.
    EnforcementReportMissing,
    /// A document holds something else than the format says, or two documents contradict each other.
    FactsMalformed,
    /// A fact the gate asks for is not recorded.
    FactsMissing,
    /// A layer of enforcement was missing.
    LinuxLayersMissing,
    /// The run was not measured to have started outside any sandbox.
    LinuxStartSandboxed,
    /// The run manifest is not one JSON object.
    ManifestMalformed,
    /// There is no run manifest.
    ManifestMissing,
    /// An observed decision is not the expected one.
    Mismatches,
    /// There is nothing that could have met an expectation.
    NoRows,
    /// The run did not use the clean channel.
    NotCleanChannel,
    /// The evidence is not of a Linux host.
    NotLinux,
    /// The evidence is of a Linux host, so it says nothing about decisions of the macOS kernel.
    NotMacos,
    /// Decisions were only recorded, nothing was refused.
    ObserveOnly,
    /// The index was rebuilt after the run.
    Repaired,
    /// A probe gave no result.
    RowsInError,
    /// The policy's answer for a probe could not be decided and was enforced as deny.
    RowsUndecided,
    /// No decision was observed for a probe.
    RowsUnobserved,
    /// The run status is not one JSON object with a known state.
    RunStatusMalformed,
    /// There is no run status.
    RunStatusMissing,
    /// External programs were replaced.
    StandInTools,
    /// The plan was run in a world other than its own.
    WorldRebound,
}

impl Reason {
    /// The stable word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AlreadySandboxed => "already_sandboxed",
            Self::ApplyFailed => "apply_failed",
            Self::ApplyPreflightMissing => "apply_preflight_missing",
            Self::BundleFailed => "bundle_failed",
            Self::BundleIncomplete => "bundle_incomplete",
            Self::BundleInProgress => "bundle_in_progress",
            Self::BundleIntegrityUnverified => "bundle_integrity_unverified",
            Self::DecisionStageArtifactsMissing => "decision_stage_artifacts_missing",
            Self::DryRun => "dry_run",
            Self::EnforcementReportMissing => "enforcement_report_missing",
            Self::FactsMalformed => "facts_malformed",
            Self::FactsMissing => "facts_missing",
            Self::LinuxLayersMissing => "linux_layers_missing",
            Self::LinuxStartSandboxed => "linux_start_sandboxed",
            Self::ManifestMalformed => "manifest_malformed",
            Self::ManifestMissing => "manifest_missing",
            Self::Mismatches => "mismatches",
            Self::NoRows => "no_rows",
            Self::NotCleanChannel => "not_clean_channel",
            Self::NotLinux => "not_linux",
            Self::NotMacos => "not_macos",
            Self::ObserveOnly => "observe_only",
            Self::Repaired => "repaired",
            Self::RowsInError => "rows_in_error",
            Self::RowsUndecided => "rows_undecided",
            Self::RowsUnobserved => "rows_unobserved",
            Self::RunStatusMalformed => "run_status_malformed",
            Self::RunStatusMissing => "run_status_missing",
            Self::StandInTools => "stand_in_tools",
            Self::WorldRebound => "world_rebound",
        }
    }
}

/// Details listed per reason; the rest is counted.
const DETAILS_LISTED: usize = 50;

/// The reasons against one gate, sorted by word, each with what it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gate {
    reasons: BTreeMap<&'static str, IndexSet<String>>,
}

impl Gate {
    /// Whether nothing speaks against it.
    #[must_use]
    pub fn promotable(&self) -> bool {
        self.reasons.is_empty()
    }

    /// The reason words, sorted, each once.
    #[must_use]
    pub fn reasons(&self) -> Vec<&'static str> {
        self.reasons.keys().copied().collect()
    }

    /// Whether `reason` speaks against it.
    #[must_use]
    pub fn has(&self, reason: Reason) -> bool {
        self.reasons.contains_key(reason.word())
    }

    pub(super) fn add(&mut self, reason: Reason) {
        self.reasons.entry(reason.word()).or_default();
    }

    pub(super) fn add_about(&mut self, reason: Reason, about: impl Into<String>) {
        self.reasons.entry(reason.word()).or_default().insert(about.into());
    }

    pub(super) fn add_if(&mut self, condition: bool, reason: Reason) {
        if condition {
            self.add(reason);
        }
    }

    /// What the reasons are about, by reason word; reasons that need no detail are left out.
    #[must_use]
    pub fn details(&self) -> Value {
        let with_details = self.reasons.iter().filter(|(_, about)| !about.is_empty());
        let details = with_details.map(|(word, about)| {
            let mut listed: Vec<Value> = about.iter().take(DETAILS_LISTED).map(|text| json!(text)).collect();
            if about.len() > DETAILS_LISTED {
                listed.push(json!(format!("and {} more", about.len() - DETAILS_LISTED)));
            }
            ((*word).to_owned(), Value::Array(listed))
        });
        Value::Object(details.collect())
    }
}

/// The gates one can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateName {
    /// Evidence of decisions made by the macOS kernel on the clean channel.
    DecisionStage,
    /// Evidence of decisions enforced by the Linux kernel with every layer present.
    LinuxEnforcement,
}

impl GateName {
    /// Every gate.
    pub const ALL: [Self; 2] = [Self::DecisionStage, Self::LinuxEnforcement];

    /// The name as the command line and documents spell it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::DecisionStage => "decision_stage",
            Self::LinuxEnforcement => "linux_enforcement",
        }
    }
}

impl fmt::Display for GateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What the decision-stage gate looked at, as the packet shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct GatingInputs {
    /// The manifest's channel.
    pub channel: Option<String>,
    /// Whether the manifest carries a preflight record.
    pub apply_preflight_present: bool,
    /// The record's `apply_ok`, as recorded.
    pub apply_ok: Value,
    /// The record's `sandbox_check_self`, as recorded.
    pub sandbox_check_self: Value,
}

/// Every gate's answer about one bundle. Made by [`assess`] only.
#[derive(Debug, Clone, PartialEq)]
pub struct Promotability {
    decision_stage: Gate,
    linux_enforcement: Gate,
    gating_inputs: GatingInputs,
    warnings: Vec<&'static str>,
}

impl Promotability {
    /// One gate's answer.
    #[must_use]
    pub fn gate(&self, name: GateName) -> &Gate {
        match name {
            GateName::DecisionStage => &self.decision_stage,
            GateName::LinuxEnforcement => &self.linux_enforcement,
        }
    }

    /// What the decision-stage gate looked at.
    #[must_use]
    pub fn gating_inputs(&self) -> &GatingInputs {
        &self.gating_inputs
    }

    /// The `promotability` member of a packet.
    #[must_use]
    pub fn document(&self) -> Value {
        let inputs = &self.gating_inputs;
        let mut document = json!({
            "promotable_decision_stage": self.decision_stage.promotable(),
            "reasons": self.decision_stage.reasons(),
            "gating_inputs": {
                "channel": inputs.channel,
                "apply_preflight_present": inputs.apply_preflight_present,
                "apply_ok": inputs.apply_ok,
                "sandbox_check_self": inputs.sandbox_check_self,
            },
            "details": self.decision_stage.details(),
            "linux_enforcement": {
                "promotable": self.linux_enforcement.promotable(),
                "reasons": self.linux_enforcement.reasons(),
                "details": self.linux_enforcement.details(),
            },
        });
        if !self.warnings.is_empty() {
            document["warnings"] = json!(self.warnings);
        }
        document
    }
}

/// Answers every gate from what a bundle records.
#[must_use]
pub fn assess(verification: &Verification) -> Promotability {
    let documents = facts::documents(verification);
    let preflight = decision_stage::preflight_record(documents);
    let preflight = preflight.as_ref();
    let self_check = preflight.and_then(|record| record.get("sandbox_check_self"));
    let proven_outside = self_check.and_then(|check| check.get("sandboxed")) == Some(&Value::Bool(false));
    let gating_inputs = GatingInputs {
        channel: documents.manifest().text("channel").map(str::to_owned),
        apply_preflight_present: preflight.is_some(),
        apply_ok: member(preflight, "apply_ok"),
        sandbox_check_self: member(preflight, "sandbox_check_self"),
    };
    // The earlier tool's gate lets a self-check that did not work pass; that verdict stays, and is said aloud.
    let warnings =
        if preflight.is_some() && !proven_outside { vec!["sandbox_self_check_unproven"] } else { Vec::new() };
    Promotability {
        decision_stage: decision_stage::gate(verification, documents),
        linux_enforcement: linux_gate::gate(verification, documents),
        gating_inputs,
        warnings,
    }
}

fn member(record: Option<&Map<String, Value>>, key: &str) -> Value {
    record.and_then(|record| record.get(key)).cloned().unwrap_or(Value::Null)
}
