//! The static preflight: signs in a profile that applying it is refused before anything runs.
//!
//! Facts of macOS that are known by a signature: a message filter with a deny is refused to ordinary callers, and so are some
//! compiled profiles, which are known by their digests. Nothing is applied here.

use serde_json::{Value, json};

use super::blob_digests::BlobDigests;
use crate::base::digest::Sha256Hex;
use crate::sbpl::{Diagnostics, Form, Source, parse};

/// Version of the record. 1: first form.
const RECORD_VERSION: u32 = 1;

/// What is done about a profile with such a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PreflightMode {
    /// Nothing is looked at.
    Off,
    /// It is not applied; its rows are in error.
    #[default]
    Enforce,
    /// It is applied all the same; the record stays.
    Force,
}

const CLEAN: &str = "no_known_apply_gate_signature";
const GATED: &str = "likely_apply_gated_for_harness_identity";

/// Looks at a profile's texts; returns the record.
#[must_use]
pub fn preflight_text(sources: &[Source], input_ref: &str, world_id: &str) -> Value {
    let mut diagnostics = Diagnostics::new();
    let mut findings = Vec::new();
    for number in 0..sources.len() {
        for form in parse(sources, number, &mut diagnostics) {
            look_at(&form, &mut findings);
        }
    }
    let (classification, signature) = match (diagnostics.items().is_empty(), findings.is_empty()) {
        (false, _) => ("invalid", Value::Null),
        (true, false) => (GATED, json!("deny_message_filter")),
        (true, true) => (CLEAN, Value::Null),
    };
    record("sbpl_path", input_ref, world_id, (classification, signature), &json!(findings))
}

/// Looks a compiled profile up in a list of digests.
#[must_use]
pub fn preflight_blob(digest: &Sha256Hex, input_ref: &str, world_id: &str, list: &BlobDigests) -> Value {
    let verdict = match list.names(digest, world_id) {
        None => ("unsupported", Value::Null),
        Some(true) => (GATED, json!("apply_gate_blob_digest")),
        Some(false) => (CLEAN, Value::Null),
    };
    record("sbpl_blob_path", input_ref, world_id, verdict, &json!([]))
}

/// Whether a record says that the profile would be refused.
#[must_use]
pub fn is_gated(record: &Value) -> bool {
    record["classification"] == GATED
}

fn record(kind: &str, input_ref: &str, world_id: &str, (class, signature): (&str, Value), findings: &Value) -> Value {
    json!({
        "tool": "runtime", "preflight_schema_version": RECORD_VERSION, "world_id": world_id, "input_kind": kind,
        "input_ref": input_ref, "classification": class, "signature": signature, "findings": findings,
    })
}

/// Finds message filters in a rule: `(ACTION OPERATION … (apply-message-filter … (deny OPERATION …)))`.
fn look_at(form: &Form, findings: &mut Vec<Value>) {
    let Some(items) = form.as_list() else { return };
    for filter in items.iter().filter(|item| item.head() == Some("apply-message-filter")) {
        for rule in filter.as_list().into_iter().flatten().filter(|rule| rule.head() == Some("deny")) {
            let denied = rule.as_list().and_then(|rule| rule.get(1)).and_then(Form::as_symbol);
            if let Some(denied) = denied {
                findings.push(json!({
                    "outer_action": form.head(), "outer_operation": items.get(1).and_then(Form::as_symbol),
                    "denied_operation": denied,
                }));
            }
        }
    }
    for item in items {
        look_at(item, findings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_classification_and_signature() {
        let text = |text: &str| preflight_text(&[Source::new("p.sb", text)], "p.sb", "w");
        let filter =
            |rule: &str| format!("(version 1)(allow mach-lookup (global-name \"a\") (apply-message-filter {rule}))");
        let gated = text(&filter("(deny mach-message-send)"));
        assert_eq!((&gated["classification"], &gated["signature"]), (&json!(GATED), &json!("deny_message_filter")));
        assert_eq!(
            gated["findings"],
            json!([{"outer_action": "allow", "outer_operation": "mach-lookup", "denied_operation": "mach-message-send"}])
        );
        for clean in [filter("(allow mach-message-send)"), "(version 1)(deny mach-message-send)".to_owned()] {
            assert_eq!((&text(&clean)["classification"], is_gated(&text(&clean))), (&json!(CLEAN), false));
        }
        assert_eq!(text("(version 1")["classification"], "invalid");
        let digest = Sha256Hex::of(b"blob");
        let blob = |world: &str, digests: &[&Sha256Hex]| {
            let digests: Vec<Value> = digests.iter().map(|digest| json!({"blob_sha256": digest})).collect();
            let list = json!({"schema_version": 1, "world_id": world, "apply_gate_digests": digests}).to_string();
            preflight_blob(&digest, "p.bin", "w", &BlobDigests::read(list.as_bytes()).unwrap())
        };
        assert_eq!(blob("w", &[&digest])["signature"], "apply_gate_blob_digest");
        assert_eq!((is_gated(&blob("w", &[&digest])), is_gated(&blob("w", &[]))), (true, false));
        assert_eq!(blob("w", &[])["classification"], CLEAN);
        assert_eq!(blob("other", &[&digest])["classification"], "unsupported");
    }
}
