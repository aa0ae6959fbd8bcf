//! The static look at a profile before it is applied. Pure.

use serde_json::{Value, json};

use crate::sbpl::{Diagnostics, Form, FormKind, Source, parse};

/// The record (one per input) and its status: 0 nothing known against it, 1 not a profile, 2 the system is known to refuse to
/// apply it.
#[must_use]
pub(super) fn record(text: &str, stored: &str, world_id: &str) -> (Value, i32) {
    let mut diagnostics = Diagnostics::new();
    let forms = parse(&[Source::new(stored, text)], 0, &mut diagnostics);
    let (classification, signature, findings, code) = if diagnostics.has_errors() {
        ("invalid", None, vec![diagnostics.to_string()], 1)
    } else {
        match forms.iter().find_map(gated) {
            Some(line) => {
                let finding = format!("line {line}: a message filter with a deny is refused at apply time");
                ("likely_apply_gated_for_harness_identity", Some("deny_message_filter"), vec![finding], 2)
            }
            None => ("no_known_apply_gate_signature", None, Vec::new(), 0),
        }
    };
    let record = json!([{
        "tool": "runtime shrink-trace", "preflight_schema_version": 1, "world_id": world_id, "input_kind": "sbpl_path",
        "input_ref": stored, "classification": classification, "signature": signature, "findings": findings,
    }]);
    (record, code)
}

/// Line of a message filter that denies something.
fn gated(form: &Form) -> Option<u32> {
    let items = form.as_list()?;
    if form.head() == Some("apply-message-filter") {
        return items.iter().any(denies).then_some(form.span.line);
    }
    items.iter().find_map(gated)
}

fn denies(form: &Form) -> bool {
    match &form.kind {
        FormKind::List(items) => form.head() == Some("deny") || items.iter().any(denies),
        FormKind::Quoted(_, inner) => denies(inner),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_known_signature_is_found() {
        for (text, code) in [
            ("(version 1)(deny default)", 0),
            ("(version 1)(allow mach-bootstrap (apply-message-filter (deny mach-message-send)))", 2),
            ("(version 1)(allow mach-bootstrap (apply-message-filter (allow mach-message-send)))", 0),
            ("(version 1", 1),
        ] {
            let (record, found) = record(text, "p.sb", "w");
            assert_eq!(found, code, "{text}: {record}");
        }
    }
}
