//! Runtime links: which observations, profiles and expectations belong together, as an earlier step recorded it.
//!
//! Reads `runtime_links.json` (`SPEC.md`, section "Runtime links"); this crate does not write it. Invariant: a part that is
//! there has the shape it must have, so that "absent" never means "broken"; what is wrong inside a part is a warning.

mod shape;

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::base::position::escape;
use crate::registry::check::{Sink, kind_name};
use crate::registry::{Document, DocumentError, Place, Refusal, View};
use crate::vocab::{Finding, Severity};

pub use shape::{DOCUMENT, Inner, Shape};

/// Where the document stands under the root, unless a caller names another place.
pub const LINKS_PATH: &str = "book/evidence/graph/mappings/runtime/runtime_links.json";

/// `meta.schema_version` of the document.
pub const LINKS_TAG: &str = "runtime-links.v0.1";

/// A links document whose parts have the right shapes.
#[derive(Debug, Clone)]
pub struct RuntimeLinks {
    /// What is odd about it and does not keep it from being read.
    pub warnings: Vec<Finding>,
    document: Document,
}

/// Why there are no links.
#[derive(Debug, thiserror::Error)]
pub enum LinksError {
    /// The file cannot be read or is not JSON.
    #[error("cannot use the runtime links")]
    Document(#[from] DocumentError),
    /// A part of the document has another shape than it must have.
    #[error("not a document of runtime links")]
    Refused(#[from] Refusal),
}

/// What an id of the document names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkKind {
    /// A profile.
    Profile,
    /// An expectation.
    Expectation,
}

impl LinkKind {
    /// The part of the document that holds links of this kind.
    fn part(self) -> &'static str {
        match self {
            Self::Profile => "profiles",
            Self::Expectation => "expectations",
        }
    }

    /// The field in which an entry of this kind says its id.
    fn id_key(self) -> &'static str {
        match self {
            Self::Profile => "profile_id",
            Self::Expectation => "expectation_id",
        }
    }
}

/// The document's usual place under `root`.
#[must_use]
pub fn default_place(root: &Path) -> Place {
    Place::Disk(root.join(LINKS_PATH))
}

/// Reads the links at `place`. A part that is absent or null counts as empty.
///
/// # Errors
/// See [`LinksError`]; a refusal names every part of another shape.
pub fn load_runtime_links(place: &Place) -> Result<RuntimeLinks, LinksError> {
    let document = Document::read(place)?;
    let file = place.to_string();
    let mut sink = Sink::new(&file);
    check(document.value(), &mut sink);
    let mut findings = sink.into_findings();
    document.add_positions(&mut findings);
    let warnings = Refusal::unless_clean(findings)?;
    Ok(RuntimeLinks { warnings, document })
}

fn check(value: &Value, sink: &mut Sink<'_>) {
    let Some(map) = value.as_object() else {
        sink.error("wrong-type", "", format!("the document is {}, expected an object", kind_name(value)));
        return;
    };
    let parts = || DOCUMENT.fields.iter().map(|field| field.key);
    if parts().all(|part| !map.contains_key(part)) {
        let parts: Vec<&str> = parts().collect();
        sink.error("missing-key", "", format!("the document has none of {}", parts.join(", ")));
    }
    let mut found = Sink::new(sink.file());
    check_tag(map, &mut found);
    shape::check(View::from(value), &DOCUMENT, "the document", "", &mut found);
    for kind in [LinkKind::Profile, LinkKind::Expectation] {
        check_ids(map, kind, &mut found);
    }
    check_inputs(map, &mut found);
    let mut findings = found.into_findings();
    // The parts themselves must be what they are; inside them everything that is right can be used.
    let is_part = |pointer: &str| parts().any(|part| pointer.strip_prefix('/') == Some(part));
    for finding in &mut findings {
        // A part that lacks a key is usable all the same.
        if finding.id != "wrong-type" || !finding.pointer.as_deref().is_some_and(is_part) {
            finding.severity = Severity::Warning;
        }
    }
    sink.extend(&findings);
}

fn check_tag(map: &Map<String, Value>, sink: &mut Sink<'_>) {
    let found = match map.get("meta") {
        // Another type, and none at all, are what its table sees.
        Some(Value::Object(meta)) => match meta.get("schema_version") {
            Some(Value::String(tag)) if tag != LINKS_TAG => format!("{tag:?}"),
            _ => return,
        },
        _ => "absent".to_owned(),
    };
    let message = format!("meta.schema_version is {found}, expected {LINKS_TAG:?}");
    sink.warning("schema-tag", "/meta/schema_version", message);
}

/// Whether entries say the id that they stand under.
fn check_ids(map: &Map<String, Value>, kind: LinkKind, sink: &mut Sink<'_>) {
    let (part, key) = (kind.part(), kind.id_key());
    for (id, entry) in map.get(part).and_then(Value::as_object).into_iter().flatten() {
        if let Some(inner) = entry.get(key).and_then(Value::as_str).filter(|inner| inner != id) {
            let message = format!("{key} is {inner:?}, but the key is {id:?}");
            sink.warning("id-mismatch", &format!("/{part}/{}/{key}", escape(id)), message);
        }
    }
}

/// Every input has a digest, and nothing else has one.
fn check_inputs(map: &Map<String, Value>, sink: &mut Sink<'_>) {
    let of = |key: &str| map.get("meta").and_then(|meta| meta.get(key));
    let (Some(inputs), Some(hashes)) =
        (of("inputs").and_then(Value::as_array), of("input_hashes").and_then(Value::as_object))
    else {
        return;
    };
    let inputs: BTreeSet<&str> = inputs.iter().filter_map(Value::as_str).collect();
    let hashed: BTreeSet<&str> = hashes.keys().map(String::as_str).collect();
    for input in inputs.difference(&hashed) {
        sink.warning("input-digest", "/meta/inputs", format!("input_hashes has no digest of the input {input:?}"));
    }
    for input in hashed.difference(&inputs) {
        let at = format!("/meta/input_hashes/{}", escape(input));
        sink.warning("input-digest", &at, format!("{input:?} has a digest and is no input"));
    }
}

impl RuntimeLinks {
    /// Where the document was read from.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.document.place
    }

    /// The whole document.
    #[must_use]
    pub fn document(&self) -> &Value {
        self.document.value()
    }

    /// One member of `meta`.
    #[must_use]
    pub fn meta(&self, key: &str) -> Option<&Value> {
        self.document.value().get("meta")?.get(key)
    }

    fn ids(&self, kind: LinkKind) -> Vec<&str> {
        let entries = self.document.value().get(kind.part()).and_then(Value::as_object);
        let mut ids: Vec<&str> = entries.into_iter().flat_map(Map::keys).map(String::as_str).collect();
        ids.sort_unstable();
        ids
    }

    /// The link that `id` names; `None` when it is absent or no object.
    #[must_use]
    pub fn resolve(&self, kind: LinkKind, id: &str) -> Option<&Map<String, Value>> {
        self.document.value().get(kind.part())?.get(id)?.as_object()
    }
}

/// The profile ids of the document, sorted.
#[must_use]
pub fn list_linked_profiles(links: &RuntimeLinks) -> Vec<&str> {
    links.ids(LinkKind::Profile)
}

/// The expectation ids of the document, sorted.
#[must_use]
pub fn list_linked_expectations(links: &RuntimeLinks) -> Vec<&str> {
    links.ids(LinkKind::Expectation)
}

/// The link of a profile; `None` when it is absent or no object.
#[must_use]
pub fn resolve_profile_link<'l>(links: &'l RuntimeLinks, profile_id: &str) -> Option<&'l Map<String, Value>> {
    links.resolve(LinkKind::Profile, profile_id)
}

/// The link of an expectation; `None` when it is absent or no object.
#[must_use]
pub fn resolve_expectation_link<'l>(links: &'l RuntimeLinks, expectation_id: &str) -> Option<&'l Map<String, Value>> {
    links.resolve(LinkKind::Expectation, expectation_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn load(value: &Value) -> Result<RuntimeLinks, Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("links.json");
        serde_json::to_writer(tempfile::NamedTempFile::new_in(&directory).unwrap().persist(&path).unwrap(), value)
            .unwrap();
        load_runtime_links(&Place::Disk(path)).map_err(|error| match error {
            LinksError::Refused(refusal) => {
                refusal.findings.into_iter().map(|f| format!("{} {}", f.id, f.pointer.unwrap_or_default())).collect()
            }
            LinksError::Document(error) => vec![error.to_string()],
        })
    }

    #[test]
    fn ids_are_sorted_and_links_resolve() {
        let links = load(&json!({"meta": {"schema_version": LINKS_TAG, "world_id": "w"}, "packets": {}, "links": null,
            "profiles": {"b": {"profile_id": "b"}, "a": {"profile_id": "x"}, "c": 7},
            "expectations": {"b:y": {"operation": "signal"}, "b:x": {}}}))
        .unwrap();
        assert_eq!(list_linked_profiles(&links), ["a", "b", "c"]);
        assert_eq!(list_linked_expectations(&links), ["b:x", "b:y"]);
        assert_eq!(resolve_profile_link(&links, "b").unwrap()["profile_id"], "b");
        assert_eq!(resolve_expectation_link(&links, "b:y").unwrap()["operation"], "signal");
        assert!(resolve_profile_link(&links, "c").is_none() && resolve_profile_link(&links, "b:y").is_none());
        assert_eq!(links.meta("world_id"), Some(&json!("w")));
        assert!(links.warnings.iter().all(|finding| finding.severity == Severity::Warning));
        let other = links.warnings.iter().filter(|finding| finding.id != "missing-key");
        let pointers: Vec<&str> = other.filter_map(|finding| finding.pointer.as_deref()).collect();
        assert_eq!(pointers, ["/profiles/c", "/profiles/a/profile_id"]);
    }

    #[test]
    fn every_wrong_shape_is_refused_by_name() {
        assert_eq!(load(&json!([])).unwrap_err(), ["wrong-type "]);
        assert_eq!(load(&json!({})).unwrap_err()[0], "missing-key ");
        for part in DOCUMENT.fields.iter().map(|field| field.key) {
            for wrong in [json!([]), json!("x"), json!(0), json!(true)] {
                let found = load(&json!({part: wrong})).unwrap_err();
                assert!(found.contains(&format!("wrong-type /{part}")), "{part} {found:?}");
            }
            let empty = load(&json!({part: null})).unwrap();
            assert!(list_linked_profiles(&empty).is_empty() && list_linked_expectations(&empty).is_empty());
        }
    }
}
