//! Tool markers: JSON lines that the programs of the earlier tool wrote to stderr.
//!
//! They are text on a stream that the tested program shares, so they are read for the verdicts that the earlier tool gave,
//! and never make anything stronger. Rows of this tool have none.

use serde_json::{Map, Value, json};

use crate::vocab::CompiledFilter;

/// Families of markers: tool, versions that are read, stages that are known (none: any stage).
const FAMILIES: [(&str, i64, &[&str]); 5] = [
    ("sbpl-apply", 1, &["apply", "applied", "exec"]),
    ("sbpl-preflight", 1, &["preflight"]),
    ("sbpl-compile", 1, &["compile"]),
    ("entitlement-check", 1, &[]),
    ("seatbelt-callout", 2, &[]),
];

/// The newest version of the set of markers; 0 to this are read.
pub(super) const MARKER_SET_VERSION: i64 = 2;

/// What stderr held.
#[derive(Debug, Default)]
pub(super) struct Markers {
    pub(super) apply: Vec<Map<String, Value>>,
    pub(super) callouts: Vec<Value>,
    pub(super) entitlements: Vec<Value>,
    /// The text without markers.
    pub(super) rest: String,
}

impl Markers {
    /// A text that is not looked at for markers.
    pub(super) fn none(text: &str) -> Self {
        Self { rest: text.to_owned(), ..Self::default() }
    }

    /// The first marker of a stage of the apply family.
    pub(super) fn stage(&self, stage: &str) -> Option<&Map<String, Value>> {
        self.apply.iter().find(|marker| marker.get("stage").and_then(Value::as_str) == Some(stage))
    }
}

/// Takes the markers out of `stderr`.
///
/// # Errors
/// A marker of a known tool with a version or stage that is not known: what it says could not be honoured.
pub(super) fn read(stderr: &str) -> Result<Markers, String> {
    let mut markers = Markers::default();
    let mut rest: Vec<&str> = Vec::new();
    for line in stderr.lines() {
        let Some((marker, tool)) = marker(line) else {
            rest.push(line);
            continue;
        };
        let &(name, newest, stages) =
            FAMILIES.iter().find(|(name, ..)| *name == tool).expect("a marker names a known family");
        let version = marker.get("marker_schema_version").and_then(Value::as_i64).unwrap_or(0);
        if !(0..=newest).contains(&version) {
            return Err(format!("a {name} marker has version {version}; 0 to {newest} are known"));
        }
        let stage = marker.get("stage").and_then(Value::as_str).unwrap_or_default();
        if !(stages.is_empty() || stages.contains(&stage)) {
            return Err(format!("a {name} marker has the unknown stage {stage:?}"));
        }
        match name {
            "sbpl-apply" => markers.apply.push(marker),
            "seatbelt-callout" => markers.callouts.push(callout(&Value::Object(marker))?),
            "entitlement-check" => markers.entitlements.push(Value::Object(marker)),
            _ => {}
        }
    }
    if !rest.is_empty() {
        markers.rest = rest.join("\n");
        if stderr.ends_with('\n') {
            markers.rest.push('\n');
        }
    }
    Ok(markers)
}

fn marker(line: &str) -> Option<(Map<String, Value>, String)> {
    let line = line.trim();
    if !(line.starts_with('{') && line.ends_with('}')) {
        return None;
    }
    let Ok(Value::Object(marker)) = serde_json::from_str(line) else { return None };
    let tool = marker.get("tool")?.as_str()?.to_owned();
    FAMILIES.iter().any(|(name, ..)| *name == tool).then_some((marker, tool))
}

/// One call-out in the current shape, whatever version wrote it.
///
/// # Errors
/// Not an object, or a version that is not known.
pub(super) fn callout(stored: &Value) -> Result<Value, String> {
    let Some(members) = stored.as_object() else { return Err("a call-out is not an object".to_owned()) };
    let version = members.get("marker_schema_version").and_then(Value::as_i64).unwrap_or(0);
    if !(0..=2).contains(&version) {
        return Err(format!("a seatbelt-callout marker has version {version}; 0 to 2 are known"));
    }
    let mut now = members.clone();
    let integer = |key: &str| members.get(key).filter(|value| value.is_i64()).cloned().unwrap_or(Value::Null);
    let text = |key: &str| members.get(key).filter(|value| value.is_string()).cloned().unwrap_or(Value::Null);
    let flag = |key: &str| members.get(key).filter(|value| value.is_boolean()).cloned().unwrap_or(Value::Null);
    let filter = integer("filter_type");
    let of_number = || filter.as_i64().and_then(CompiledFilter::from_number).map_or("unknown", CompiledFilter::name);
    let name = match text("filter_type_name") {
        Value::Null => json!(of_number()),
        name => name,
    };
    now.insert("filter_type".to_owned(), filter.clone());
    now.insert("filter_type_name".to_owned(), name);
    for key in ["check_type", "varargs_count", "token_mach_kr"] {
        now.insert(key.to_owned(), integer(key));
    }
    for key in ["no_report", "canonical_flag_used"] {
        now.insert(key.to_owned(), flag(key));
    }
    for key in ["argument", "canonicalization", "canonical_flag_reason", "token_status"] {
        now.insert(key.to_owned(), text(key));
    }
    let no_report_reason = match text("no_report_reason") {
        Value::Null if version < 2 => json!("legacy"),
        reason => reason,
    };
    now.insert("no_report_reason".to_owned(), no_report_reason);
    Ok(Value::Object(now))
}
