//! Facts both gates ask about: the life of the run, and where it ran.

use serde_json::Value;

use super::gate::{Gate, Reason};
use crate::base::error_chain;
use crate::base::rel_path::RelPath;
use crate::base::tree::Items;
use crate::bundle::layout::{self, EXPECTED_MATRIX, RUN_MANIFEST, RUNTIME_EVENTS, RUNTIME_RESULTS};
use crate::bundle::{ArtifactError, Checked, Document, IndexStatus, UnverifiedBundle, Verification, VerifiedBundle};
use crate::os::fs::FsError;
use crate::vocab::Severity;

/// The three files without which no decision can be looked at.
pub(super) const DECISION_FILES: [&str; 3] = [RUNTIME_RESULTS, RUNTIME_EVENTS, EXPECTED_MATRIX];

/// The documents of a bundle, whatever its state.
pub(super) fn documents(verification: &Verification) -> &UnverifiedBundle {
    match &verification.bundle {
        Checked::Verified(bundle) => bundle.documents(),
        Checked::Refused(bundle) => bundle,
    }
}

/// Status and manifest: there, readable, not in progress.
pub(super) fn life(documents: &UnverifiedBundle, gate: &mut Gate) {
    match documents.manifest() {
        Document::Absent => gate.add(Reason::ManifestMissing),
        Document::Object(_) => {}
        Document::Unreadable(_) | Document::Malformed { .. } => gate.add(Reason::ManifestMalformed),
    }
    match documents.status() {
        Document::Absent => gate.add(Reason::RunStatusMissing),
        Document::Unreadable(_) | Document::Malformed { .. } => gate.add(Reason::RunStatusMalformed),
        Document::Object(_) => match documents.status().text("state").map(str::trim) {
            Some("in_progress") => gate.add(Reason::BundleInProgress),
            Some("failed") if documents.is_own() => gate.add(Reason::BundleFailed),
            Some("complete") => {}
            // The earlier tool's gate does not look at other states.
            _ => gate.add_if(documents.is_own(), Reason::RunStatusMalformed),
        },
    }
}

/// What the index itself says.
pub(super) fn index(bundle: &VerifiedBundle, gate: &mut Gate) {
    gate.add_if(bundle.index_status() == Some(IndexStatus::Failed), Reason::BundleFailed);
    gate.add_if(bundle.has_missing(), Reason::BundleIncomplete);
}

/// The bytes are not proven; what the reader found says why.
pub(super) fn unproven(verification: &Verification, gate: &mut Gate) {
    gate.add(Reason::BundleIntegrityUnverified);
    for finding in verification.findings.iter().filter(|finding| finding.severity == Severity::Error) {
        gate.add_about(Reason::BundleIntegrityUnverified, &finding.message);
    }
}

/// Results, events and expectations: in our own verified bundles they must be indexed, in others they must stand there.
pub(super) fn decision_files(verified: Option<&VerifiedBundle>, documents: &UnverifiedBundle, gate: &mut Gate) {
    for constant in DECISION_FILES {
        let name = layout::name(constant);
        let there = match verified {
            Some(bundle) if documents.is_own() => bundle.sha256(&name).is_some(),
            _ => documents.has_file(&name),
        };
        if !there {
            gate.add_about(Reason::DecisionStageArtifactsMissing, constant);
        }
    }
}

/// How the world ids of Linux hosts begin.
const LINUX_WORLD: &str = "linux-";

/// Whether the evidence is of a Linux host; `None` when no document names its world.
pub(super) fn is_linux(documents: &UnverifiedBundle) -> Option<bool> {
    let world = documents.index().text("world_id").or(documents.manifest().text("world_id"))?;
    Some(world.starts_with(LINUX_WORLD))
}

/// Facts only our own bundles carry: dry run, rebound world, stand-ins, repair.
pub(super) fn own(documents: &UnverifiedBundle, gate: &mut Gate) {
    gate.add_if(documents.is_repaired(), Reason::Repaired);
    let manifest = documents.manifest();
    if manifest.object().is_none() {
        return;
    }
    for (key, reason) in [("dry_run", Reason::DryRun), ("world_rebound", Reason::WorldRebound)] {
        match manifest.flag(key) {
            Some(said) => gate.add_if(said, reason),
            None => unusable(manifest.get(key).is_some(), RUN_MANIFEST, key, gate),
        }
    }
    match manifest.get("stand_in_tools").map(|tools| tools.as_array()) {
        Some(Some(tools)) => stand_ins(tools, gate),
        other => unusable(other.is_some(), RUN_MANIFEST, "stand_in_tools", gate),
    }
}

fn stand_ins(tools: Items<'_>, gate: &mut Gate) {
    for tool in tools {
        gate.add_about(Reason::StandInTools, tool.as_str().map_or_else(|| tool.to_value().to_string(), str::to_owned));
    }
}

/// A fact that is absent is missing; one of another type is malformed.
pub(super) fn unusable(found: bool, document: &str, key: &str, gate: &mut Gate) {
    match found {
        false => gate.add_about(Reason::FactsMissing, format!("{document}#/{key}")),
        true => gate.add_about(Reason::FactsMalformed, format!("{document}#/{key} has another type")),
    }
}

/// A JSON artifact of a verified bundle; whatever is wrong with it is a reason.
pub(super) fn artifact(bundle: &VerifiedBundle, constant: &'static str, gate: &mut Gate) -> Option<Value> {
    let name: RelPath = layout::name(constant);
    match bundle.read_json(&name) {
        Ok(Some(value)) => return Some(value),
        Ok(None) => gate.add_about(Reason::FactsMissing, constant),
        Err(ArtifactError::Json { source, .. }) => {
            gate.add_about(Reason::FactsMalformed, format!("{constant}: {}", error_chain(&source)));
        }
        Err(ArtifactError::Read { source: source @ FsError::TooLarge { .. }, .. }) => {
            gate.add_about(Reason::FactsMalformed, source.to_string());
        }
        Err(error @ (ArtifactError::Read { .. } | ArtifactError::Changed { .. })) => {
            gate.add_about(Reason::BundleIntegrityUnverified, error_chain(&error));
        }
    }
    None
}
