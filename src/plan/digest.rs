//! The plan digest: which decisions of a plan two bundles have in common (`SPEC.md`, section "Plan digest").
//!
//! It covers the plan only, never registry or profile text, and is byte-exact with digests recorded by earlier tools.

use serde_json::{Map, Value};

use crate::base::digest::Sha256Hex;
use crate::base::json;

/// The keys that are hashed, with the value that stands for an absent or empty one.
const PARTS: &[(&str, Absent)] = &[
    ("apply_preflight_profile", Absent::Null),
    ("controls", Absent::Object),
    ("lanes", Absent::Object),
    ("plan_id", Absent::Null),
    ("profiles", Absent::Array),
    ("registry_id", Absent::Null),
    ("schema_versions", Absent::Object),
];

#[derive(Clone, Copy)]
enum Absent {
    Null,
    Object,
    Array,
}

/// The digest of a plan document as it was read.
#[must_use]
pub fn plan_digest(document: &Map<String, Value>) -> Sha256Hex {
    Sha256Hex::of(canonical_text(document).as_bytes())
}

/// The one-line text that is hashed.
fn canonical_text(document: &Map<String, Value>) -> String {
    let parts: Map<String, Value> = PARTS
        .iter()
        .map(|(key, absent)| {
            let value = document.get(*key).cloned().unwrap_or(Value::Null);
            let value = match absent {
                Absent::Null => value,
                Absent::Object if json::is_falsy(&value) => Value::Object(Map::new()),
                Absent::Array if json::is_falsy(&value) => Value::Array(Vec::new()),
                Absent::Object | Absent::Array => value,
            };
            ((*key).to_owned(), value)
        })
        .collect();
    json::to_line_sorted(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn digest(value: Value) -> (String, String) {
        let Value::Object(map) = value else { panic!("an object") };
        (canonical_text(&map), plan_digest(&map).to_string())
    }

    #[test]
    fn golden_vectors() {
        let plan = json!({"schema_version": "x", "plan_id": "demo.v1", "registry_id": "demo", "world_id": "w", "notes": "n",
            "profiles": ["demo:a", "demo:b"], "lanes": {"scenario": true, "baseline": true, "oracle": false},
            "controls": {"baseline": true}, "unknown": 1});
        let (text, sha) = digest(plan);
        assert_eq!(
            text,
            r#"{"apply_preflight_profile": null, "controls": {"baseline": true}, "lanes": {"baseline": true, "oracle": false, "scenario": true}, "plan_id": "demo.v1", "profiles": ["demo:a", "demo:b"], "registry_id": "demo", "schema_versions": {}}"#
        );
        assert_eq!(sha, "05d894861a21acae552b00614365a11af0381cd501f8d960bee8685f50c74891");

        let (text, sha) = digest(json!({"plan_id": "d\u{e9}mo \u{1f512} \"q\"\\/\u{7f}\t", "registry_id": "demo",
            "apply_preflight_profile": "x/y.sb"}));
        assert_eq!(
            text,
            r#"{"apply_preflight_profile": "x/y.sb", "controls": {}, "lanes": {}, "plan_id": "d\u00e9mo \ud83d\udd12 \"q\"\\/\u007f\t", "profiles": [], "registry_id": "demo", "schema_versions": {}}"#
        );
        assert_eq!(sha, "7805546228e1b24ac126f8b453e294ed3198f2f835ee2cd1b8432e8aea3bfe56");

        let (_, sha) = digest(json!({"plan_id": "demo.v1", "registry_id": "demo", "profiles": ["demo:a", "demo:b"],
            "lanes": {"b": 1, "a": 1.0, "Z": null}, "controls": {"baseline": true}}));
        assert_eq!(sha, "59141561c2bdedec317627f31aa7c5c5b7d8396dfd7126cf186954f3b2f15cc6");
    }

    #[test]
    fn a_digest_recorded_by_the_earlier_tool() {
        // From a published bundle, run 39f84aa5-86b4-466d-b5d9-f510299bbd0a of the plan named here.
        let (_, sha) = digest(json!({
            "plan_id": "probe-op-structure.runtime.v1", "registry_id": "probe-op-structure",
            "profiles": ["probe-op-structure:file:v1_file_require_any", "probe-op-structure:mach:v3_mach_global_local",
                "probe-op-structure:iokit:v5_iokit_class_property"],
            "lanes": {"baseline": true, "scenario": true, "oracle": true}, "controls": {"baseline": true},
            "apply_preflight_profile": "book/experiments/hardened-runtime/sb/apply_preflight_allow.sb"}));
        assert_eq!(sha, "a504f6c1ad3cc9150fa8a427bcfd266e9b2e99ec5e418ea807438a3a59bcc05d");
    }

    #[test]
    fn empty_values_count_as_absent_where_the_format_says_so() {
        let reference = digest(json!({"plan_id": "p"}));
        for empty in [json!(null), json!(0), json!(0.0), json!(""), json!([]), json!({}), json!(false)] {
            for key in ["profiles", "lanes", "controls", "schema_versions"] {
                let mut plan = json!({"plan_id": "p"});
                plan[key] = empty.clone();
                assert_eq!(digest(plan), reference, "{key} {empty}");
            }
        }
        assert_ne!(digest(json!({"plan_id": "p", "apply_preflight_profile": ""})), reference);
        assert_ne!(digest(json!({"plan_id": "p", "profiles": ["a"]})), reference);
        assert_eq!(digest(json!({"plan_id": "p", "notes": "n", "world_id": "w", "fixtures": "./f.json"})), reference);
    }
}
