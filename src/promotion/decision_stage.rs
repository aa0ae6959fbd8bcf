//! The decision-stage gate: evidence of decisions made by the macOS kernel, on the clean channel, from a clean start.
//!
//! The reason words and their conditions are those of the earlier tool; our own bundles add the facts that tool did not
//! record.

use serde_json::{Map, Value};

use super::facts;
use super::gate::{Gate, Reason};
use crate::bundle::layout::{APPLY_PREFLIGHT, RUN_MANIFEST};
use crate::bundle::{UnverifiedBundle, Verification, VerifiedBundle};

/// The one channel whose start is known to be clean.
const CLEAN_CHANNEL: &str = "launchd_clean";

pub(super) fn gate(verification: &Verification, documents: &UnverifiedBundle) -> Gate {
    let mut gate = Gate::default();
    facts::life(documents, &mut gate);
    channel(documents, &mut gate);
    preflight(documents, &mut gate);
    facts::decision_files(verification.verified(), documents, &mut gate);
    match verification.verified() {
        Some(bundle) => {
            facts::index(bundle, &mut gate);
            if documents.is_own() {
                preflight_agrees(bundle, documents, &mut gate);
            }
        }
        None => facts::unproven(verification, &mut gate),
    }
    if documents.is_own() {
        facts::own(documents, &mut gate);
        gate.add_if(facts::is_linux(documents) == Some(true), Reason::NotMacos);
    }
    gate
}

fn channel(documents: &UnverifiedBundle, gate: &mut Gate) {
    let manifest = documents.manifest();
    let said = manifest.text("channel") == Some(CLEAN_CHANNEL);
    let staged = manifest.flag("stage_used") == Some(true);
    // In the earlier tool the name alone decided, although an environment variable could set it.
    gate.add_if(!said || (documents.is_own() && !staged), Reason::NotCleanChannel);
}

fn preflight(documents: &UnverifiedBundle, gate: &mut Gate) {
    let Some(record) = preflight_record(documents) else {
        gate.add(Reason::ApplyPreflightMissing);
        return;
    };
    let sandboxed = record.get("sandbox_check_self").and_then(|check| check.get("sandboxed"));
    gate.add_if(sandboxed == Some(&Value::Bool(true)), Reason::AlreadySandboxed);
    gate.add_if(record.get("apply_ok") != Some(&Value::Bool(true)), Reason::ApplyFailed);
}

/// The manifest's copy of the record decides; in our own bundles it must be what the preflight itself left.
fn preflight_agrees(bundle: &VerifiedBundle, documents: &UnverifiedBundle, gate: &mut Gate) {
    let Some(record) = preflight_record(documents) else { return };
    let Some(left) = facts::artifact(bundle, APPLY_PREFLIGHT, gate) else { return };
    if left.as_object() != Some(&record) {
        let message = format!("{RUN_MANIFEST}#/apply_preflight/record is not what {APPLY_PREFLIGHT} says");
        gate.add_about(Reason::FactsMalformed, message);
    }
}

/// The preflight record of the manifest; an empty one, or one that is no object, counts as none.
pub(super) fn preflight_record(documents: &UnverifiedBundle) -> Option<Map<String, Value>> {
    match documents.manifest().get("apply_preflight")?.get("record")?.to_value() {
        Value::Object(record) if !record.is_empty() => Some(record),
        _ => None,
    }
}
