//! Bringing a registry to the current form: v0.1 or v0.2 in, v0.2 out, every default written out, keys sorted.
//!
//! Nothing legal is dropped but unknown lanes and unknown keys of the top level, which are findings. Contract: `SPEC.md`,
//! section "Registries".

use serde_json::{Map, Value, json};

use super::check::{self, Field, Kind, LANES, Sink, required};
use super::document::{Document, DocumentError, Refusal};
use super::entry::{PROBE_FIELDS, PROBES_TAG, PROFILE_FIELDS, PROFILES_TAG};
use super::find::Files;
use crate::base::json;
use crate::base::position::escape;
use crate::vocab::{Finding, Severity};

/// Tags of the form before the current one.
const OLD_PROBES_TAG: &str = "runtime-tools.probe_registry.v0.1";
const OLD_PROFILES_TAG: &str = "runtime-tools.profile_registry.v0.1";

/// How many fields of a probe's table, and of a profile's, every version has.
const PROBE_CORE: usize = 5;
const PROFILE_CORE: usize = 4;

/// A registry in the current form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    /// The text of the probe registry: keys sorted at every depth, two-space indent, one newline at the end.
    pub probes: String,
    /// The text of the profile registry.
    pub profiles: String,
    /// Whether each of the two texts differs from what was read: probes, profiles.
    pub differs: [bool; 2],
    /// What was left out.
    pub warnings: Vec<Finding>,
}

/// Why a registry cannot be upgraded.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// A file cannot be read or is not JSON.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The registry has errors that an upgrade cannot mend.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// One of a registry's two documents: its tags, its entries and their fields.
struct Form {
    tags: [&'static str; 2],
    key: &'static str,
    noun: &'static str,
    id_key: &'static str,
    fields: &'static [Field],
    core: usize,
    normal: fn(&Map<String, Value>) -> Map<String, Value>,
}

const PROBES: Form = Form {
    tags: [OLD_PROBES_TAG, PROBES_TAG],
    key: "probes",
    noun: "probe",
    id_key: "probe_id",
    fields: PROBE_FIELDS,
    core: PROBE_CORE,
    normal: normal_probe,
};

const PROFILES: Form = Form {
    tags: [OLD_PROFILES_TAG, PROFILES_TAG],
    key: "profiles",
    noun: "profile",
    id_key: "profile_id",
    fields: PROFILE_FIELDS,
    core: PROFILE_CORE,
    normal: normal_profile,
};

/// Brings both documents of a registry to the current form. Nothing is written.
///
/// # Errors
/// See [`UpgradeError`]; a refusal holds every finding about both.
pub fn upgrade_registry(files: &Files) -> Result<Upgraded, UpgradeError> {
    let documents = [Document::read(&files.probes)?, Document::read(&files.profiles)?];
    let mut findings = Vec::new();
    let [probes, profiles] = [(&documents[0], PROBES), (&documents[1], PROFILES)].map(|(document, form)| {
        let name = document.place.to_string();
        let mut sink = Sink::new(&name);
        let text = upgraded(document.value(), &form, &mut sink).map(|value| json::to_pretty_sorted(&value) + "\n");
        let mut found = sink.into_findings();
        document.add_positions(&mut found);
        findings.append(&mut found);
        text
    });
    let warnings = Refusal::unless_clean(findings)?;
    let (Some(probes), Some(profiles)) = (probes, profiles) else {
        unreachable!("a document without an upgraded form has an error");
    };
    let differs = [probes != documents[0].text(), profiles != documents[1].text()];
    Ok(Upgraded { probes, profiles, differs, warnings })
}

/// The document in the current form; none when it is none of this kind. Everything wrong with it goes to `sink`.
fn upgraded(value: &Value, form: &Form, sink: &mut Sink<'_>) -> Option<Value> {
    let tag = value.get("schema_version").and_then(Value::as_str);
    let tag = form.tags.into_iter().find(|known| Some(*known) == tag).unwrap_or(form.tags[1]);
    if !check::has_tag(value, tag, sink) {
        return None;
    }
    // Absent and empty values of every kind stand for no entries.
    let mut document = value.as_object()?.clone();
    if document.get(form.key).is_none_or(json::is_falsy) {
        document.insert(form.key.to_owned(), json!({}));
    }
    let fields = [
        required("schema_version", Kind::Text),
        required("registry_id", Kind::Text),
        required("world_id", Kind::Text),
        required(form.key, Kind::Object),
    ];
    let document = Value::Object(document);
    check::object(&document, &fields, Severity::Warning, "the registry", "", sink);
    let mut entries = Map::new();
    for (id, entry) in document[form.key].as_object().into_iter().flatten() {
        let normal = entry_in(form, id, entry, sink);
        entries.insert(id.clone(), normal.map_or(Value::Null, Value::Object));
    }
    Some(
        json!({"schema_version": form.tags[1], "registry_id": document.get("registry_id"), "world_id": document.get("world_id"),
        form.key: entries}),
    )
}

/// One entry in its normal form. Only the fields that every version has must be there; those that are must be sound.
fn entry_in(form: &Form, id: &str, entry: &Value, sink: &mut Sink<'_>) -> Option<Map<String, Value>> {
    let pointer = format!("/{}/{}", form.key, escape(id));
    let what = format!("{} {id:?}", form.noun);
    let fields: Vec<Field> =
        form.fields.iter().enumerate().map(|(at, field)| Field { required: at < form.core, ..*field }).collect();
    let given = match entry.as_object() {
        Some(map) => without_nulls(map, &fields, &pointer, sink),
        None => {
            check::object(entry, &fields, Severity::Error, &what, &pointer, sink);
            return None;
        }
    };
    let mark = sink.len();
    check::object(&Value::Object(given.clone()), &fields, Severity::Error, &what, &pointer, sink);
    if let Some(inner) = given.get(form.id_key).and_then(Value::as_str).filter(|inner| *inner != id) {
        let message = format!("{} is {inner:?}, but the key is {id:?}", form.id_key);
        sink.error("id-mismatch", &format!("{pointer}/{}", form.id_key), message);
    }
    (!sink.has_error_since(mark)).then(|| (form.normal)(&given))
}

/// The entry without the nulls that stand for a default (a field of every version, and one that may be null, keeps its
/// own) and without lanes that nobody knows.
fn without_nulls(map: &Map<String, Value>, fields: &[Field], pointer: &str, sink: &mut Sink<'_>) -> Map<String, Value> {
    let nullable = |key: &str| {
        let list = |kind| matches!(kind, Kind::TextList | Kind::IdList | Kind::WordList(..) | Kind::Lanes);
        fields.iter().any(|field| field.key == key && list(field.kind))
    };
    let mut given = map.clone();
    for (key, value) in &mut given {
        if value.is_null() && nullable(key) {
            *value = if key == "supports_lanes" { json!({}) } else { json!([]) };
        }
    }
    if let Some(lanes) = given.get_mut("supports_lanes").and_then(Value::as_object_mut) {
        lanes.retain(|lane, _| {
            let known = LANES.contains(&lane.as_str());
            if !known {
                let at = format!("{pointer}/supports_lanes/{}", escape(lane));
                sink.warning("unknown-lane", &at, format!("the unknown lane {lane:?} is left out"));
            }
            known
        });
    }
    given
}

fn normal_probe(given: &Map<String, Value>) -> Map<String, Value> {
    let mut probe = given.clone();
    let text_list = |key: &str| match given.get(key).and_then(Value::as_str) {
        None | Some("") => json!([]),
        Some(text) => json!([text]),
    };
    let lanes = probe.entry("supports_lanes").or_insert_with(|| json!({}));
    for lane in LANES {
        if let Some(lanes) = lanes.as_object_mut() {
            lanes.entry(*lane).or_insert(json!(true));
        }
    }
    for (key, default) in [
        ("expected_primary_ops", text_list("operation")),
        ("expected_predicates", text_list("target")),
        ("capabilities_required", json!([])),
        ("controls_supported", json!([])),
    ] {
        probe.entry(key).or_insert(default);
    }
    probe
}

fn normal_profile(given: &Map<String, Value>) -> Map<String, Value> {
    let mut profile = given.clone();
    for key in ["family", "semantic_group", "notes"] {
        profile.entry(key).or_insert(Value::Null);
    }
    profile.entry("key_specific_rules").or_insert(json!([]));
    profile
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(value: Value) -> Result<Value, Vec<String>> {
        let mut sink = Sink::new("f");
        let normal = entry_in(&PROBES, "a", &value, &mut sink);
        let found = sink.into_findings().into_iter().map(|f| format!("{} {}", f.id, f.pointer.unwrap_or_default()));
        normal.map(Value::Object).ok_or_else(|| found.collect())
    }

    fn core() -> Value {
        json!({"probe_id": "a", "name": "n", "operation": "op", "target": "/t", "expected": "deny"})
    }

    fn with(mut value: Value, key: &str, other: Value) -> Value {
        value[key] = other;
        value
    }

    #[test]
    fn every_default_is_written_out() {
        let normal = probe(core()).unwrap();
        let all = json!({"baseline": true, "scenario": true, "oracle": true});
        assert_eq!(normal["supports_lanes"], all);
        assert_eq!((&normal["expected_primary_ops"], &normal["expected_predicates"]), (&json!(["op"]), &json!(["/t"])));
        assert_eq!((&normal["capabilities_required"], &normal["controls_supported"]), (&json!([]), &json!([])));
        assert!(normal.get("driver").is_none());
        for (key, given, expected) in [
            ("supports_lanes", json!(null), all.clone()),
            ("supports_lanes", json!({"oracle": false, "moon": 1}), with(all, "oracle", json!(false))),
            ("expected_primary_ops", json!(null), json!([])),
            ("expected_primary_ops", json!(["x"]), json!(["x"])),
            ("controls_supported", json!(null), json!([])),
            ("driver", json!(null), json!(null)),
            ("filter_type", json!(7), json!(7)),
        ] {
            assert_eq!(probe(with(core(), key, given)).unwrap()[key], expected, "{key}");
        }
        let empty = probe(with(with(core(), "operation", json!("")), "target", json!(""))).unwrap();
        assert_eq!((&empty["expected_primary_ops"], &empty["expected_predicates"]), (&json!([]), &json!([])));
    }

    #[test]
    fn what_cannot_be_mended_is_refused() {
        for (key, value, finding) in [
            ("probe_id", json!("b"), "id-mismatch /probes/a/probe_id"),
            ("expected", json!("x"), "expected-word /probes/a/expected"),
            ("name", json!(1), "wrong-type /probes/a/name"),
            ("supports_lanes", json!({"oracle": 1}), "wrong-type /probes/a/supports_lanes/oracle"),
            ("supports_lanes", json!([]), "wrong-type /probes/a/supports_lanes"),
            ("expected_predicates", json!([1]), "wrong-type /probes/a/expected_predicates/0"),
            ("extra", json!(1), "unknown-key /probes/a/extra"),
        ] {
            assert_eq!(probe(with(core(), key, value)), Err(vec![finding.to_owned()]), "{key}");
        }
        assert_eq!(probe(json!(7)), Err(vec!["wrong-type /probes/a".to_owned()]));
        assert!(probe(json!({})).unwrap_err().len() == PROBE_CORE);
    }
}
