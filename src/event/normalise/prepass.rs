//! What `sandbox_check` was asked before the operation, packed: an answer of the oracle, never a decision about the call.

use serde_json::{Map, Value, json};

use super::text;

const PACKED: [&str; 16] = [
    "stage",
    "api",
    "operation",
    "argument",
    "filter_type",
    "filter_type_name",
    "decision",
    "rc",
    "errno",
    "no_report",
    "no_report_reason",
    "canonicalization",
    "canonical_flag_used",
    "canonical_flag_reason",
    "token_status",
    "token_mach_kr",
];

/// The call-outs about this operation and target; null when there is none.
pub(super) fn prepass(callouts: &[Value], operation: &str, target: Option<&str>) -> Value {
    let concrete = operation.strip_suffix('*').map(|stem| format!("{stem}-data"));
    let about = |callout: &&Map<String, Value>| {
        let asked = text(callout, "operation").unwrap_or_default();
        matches!(text(callout, "stage"), Some("pre_syscall" | "preflight" | "bootstrap_exec"))
            && (asked == operation || concrete.as_deref() == Some(asked))
            && text(callout, "argument").is_none_or(|argument| target.is_none_or(|target| argument == target))
    };
    let found: Vec<&Map<String, Value>> = callouts.iter().filter_map(Value::as_object).filter(about).collect();
    match found.as_slice() {
        [] => Value::Null,
        [only] => pack(only),
        several => {
            let raw = several.iter().find(|callout| text(callout, "canonicalization") == Some("raw"));
            json!({
                "primary": pack(raw.unwrap_or(&several[0])),
                "variants": several.iter().map(|callout| pack(callout)).collect::<Vec<_>>(),
            })
        }
    }
}

fn pack(callout: &Map<String, Value>) -> Value {
    Value::Object(
        PACKED.map(|key| (key.to_owned(), callout.get(key).cloned().unwrap_or(Value::Null))).into_iter().collect(),
    )
}
