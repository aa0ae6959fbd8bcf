//! The items document: what is looked for, and which places of the tree are known. `SPEC.md`, section "Inventory".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::rel_path::RelPath;
use crate::registry::check::{self, Field, Kind, Sink, optional, required};
use crate::registry::{Document, DocumentError, Place, Refusal};
use crate::vocab::Severity;

/// Schema tag of the items document.
pub const ITEMS_TAG: &str = "runtime-tools.inventory_items.v0.1";

/// The items that the binary carries: those of the source tree that the earlier tool belongs to.
const SHIPPED: &str = include_str!("items.json");

const FIELDS: &[Field] = &[
    required("schema_version", Kind::Text),
    required("keywords", Kind::TextList),
    optional("excluded", Kind::TextList),
    optional("world", Kind::OptionalText),
    required("in_repo", Kind::Array),
    required("external", Kind::Array),
];

const IN_REPO_FIELDS: &[Field] = &[
    required("id", Kind::Id),
    required("paths", Kind::TextList),
    required("category", Kind::Text),
    required("description", Kind::Text),
    required("privileges", Kind::Text),
    required("evidence_tier", Kind::Text),
    required("status", Kind::Text),
];

const EXTERNAL_FIELDS: &[Field] = &[
    required("id", Kind::Id),
    required("title", Kind::Text),
    required("url", Kind::Text),
    required("category", Kind::Text),
    required("relevance", Kind::Text),
    required("privileges", Kind::Text),
];

/// What is looked for, and what is known.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Items {
    /// Texts to look for, case-sensitive; at least one, none of them empty or twice.
    pub keywords: Vec<String>,
    /// Paths whose files are not looked into.
    #[serde(default)]
    pub excluded: Vec<RelPath>,
    /// The document that names the tree's world.
    #[serde(default)]
    pub world: Option<RelPath>,
    /// Known places of the tree.
    pub in_repo: Vec<InRepoItem>,
    /// What stands elsewhere.
    pub external: Vec<ExternalItem>,
}

/// A known place of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InRepoItem {
    /// Its id.
    pub id: String,
    /// Files and directories that belong to it.
    pub paths: Vec<RelPath>,
    /// Free text, for instance `tracing`.
    pub category: String,
    /// What it is.
    pub description: String,
    /// What running it needs.
    pub privileges: String,
    /// Free text: what its evidence is good for.
    pub evidence_tier: String,
    /// Free text, for instance `active`.
    pub status: String,
}

/// Something that stands elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalItem {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Where it stands.
    pub url: String,
    /// Free text, for instance `reference`.
    pub category: String,
    /// What it is good for.
    pub relevance: String,
    /// What using it needs.
    pub privileges: String,
}

/// Why there are no items.
#[derive(Debug, thiserror::Error)]
pub enum ItemsError {
    /// The file cannot be read or is not JSON.
    #[error("cannot use the inventory items")]
    Document(#[from] DocumentError),
    /// The document is not acceptable.
    #[error("not a document of inventory items")]
    Refused(#[from] Refusal),
}

/// The items inside the binary.
///
/// # Errors
/// See [`ItemsError`]; a test reads them.
pub fn shipped_items() -> Result<Items, ItemsError> {
    read(&Document::parse(&Place::Embedded("inventory/items.json".to_owned()), SHIPPED.as_bytes().to_vec())?)
}

/// Reads the items at `place`.
///
/// # Errors
/// See [`ItemsError`]; a refusal holds every finding.
pub fn load_items(place: &Place) -> Result<Items, ItemsError> {
    read(&Document::read(place)?)
}

fn read(document: &Document) -> Result<Items, ItemsError> {
    let file = document.place.to_string();
    let mut sink = Sink::new(&file);
    check_document(document.value(), &mut sink);
    if !sink.has_error_since(0) {
        match Items::deserialize(document.value()) {
            Ok(items) => return Ok(items),
            Err(error) => {
                sink.error("wrong-type", "", error.to_string());
            }
        }
    }
    let mut findings = sink.into_findings();
    document.add_positions(&mut findings);
    Err(Refusal { findings }.into())
}

fn check_document(value: &Value, sink: &mut Sink<'_>) {
    if !check::has_tag(value, ITEMS_TAG, sink) {
        return;
    }
    check::object(value, FIELDS, Severity::Error, "the document", "", sink);
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let keywords = value.get("keywords").map(texts).unwrap_or_default();
    if keywords.is_empty() {
        sink.error("no-keyword", "/keywords", "there is no keyword to look for");
    }
    for (number, keyword) in keywords.iter().enumerate() {
        if keyword.is_empty() || keywords[..number].contains(keyword) {
            let message = format!("the keyword {keyword:?} is empty or listed twice");
            sink.error("unusable-keyword", &format!("/keywords/{number}"), message);
        }
    }
    let mut paths: Vec<(String, String)> = Vec::new();
    paths.extend(
        value.get("excluded").map(texts).unwrap_or_default().into_iter().enumerate().map(numbered("/excluded")),
    );
    if let Some(world) = value.get("world").and_then(Value::as_str) {
        paths.push(("/world".to_owned(), world.to_owned()));
    }
    let mut claimed: BTreeMap<String, String> = BTreeMap::new();
    for (key, fields) in [("in_repo", IN_REPO_FIELDS), ("external", EXTERNAL_FIELDS)] {
        let mut ids = Vec::new();
        for (number, item) in value.get(key).and_then(Value::as_array).into_iter().flatten().enumerate() {
            let pointer = format!("/{key}/{number}");
            check::object(item, fields, Severity::Error, "an item", &pointer, sink);
            let id = item.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            if ids.contains(&id) {
                sink.error("duplicate-item", &format!("{pointer}/id"), format!("item {id:?} is listed twice"));
            }
            for (at, path) in item.get("paths").map(texts).unwrap_or_default().into_iter().enumerate() {
                if let Some(other) = claimed.insert(path.clone(), id.clone()) {
                    let message = format!("path {path:?} belongs to item {other:?} already");
                    sink.error("duplicate-path", &format!("{pointer}/paths/{at}"), message);
                }
                paths.push((format!("{pointer}/paths/{at}"), path));
            }
            ids.push(id);
        }
    }
    for (pointer, path) in paths {
        if let Err(error) = RelPath::try_from(path.clone()) {
            sink.error("unusable-path", &pointer, format!("the path {path:?} {error}"));
        }
    }
}

fn numbered(pointer: &'static str) -> impl Fn((usize, String)) -> (String, String) {
    move |(number, text)| (format!("{pointer}/{number}"), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_shipped_items_are_those_of_the_format() {
        let items = shipped_items().unwrap();
        assert_eq!((items.keywords.len(), items.in_repo.len(), items.external.len()), (17, 14, 12));
        assert_eq!((items.keywords[0].as_str(), items.keywords[16].as_str()), ("sandbox_init", "PolicyWitness"));
    }

    #[test]
    fn every_broken_document_is_refused_by_name() {
        let item = json!({"id": "a", "paths": ["x"], "category": "c", "description": "d", "privileges": "p",
            "evidence_tier": "e", "status": "s"});
        let good = json!({"schema_version": ITEMS_TAG, "keywords": ["k"], "in_repo": [item], "external": []});
        let found = |value: &Value| -> Vec<String> {
            let document = Document::parse(&Place::Disk("/i.json".into()), serde_json::to_vec(value).unwrap()).unwrap();
            match read(&document) {
                Ok(_) => vec![],
                Err(ItemsError::Refused(refusal)) => {
                    let finding =
                        |f: &crate::vocab::Finding| format!("{} {}", f.id, f.pointer.clone().unwrap_or_default());
                    refusal.findings.iter().map(finding).collect()
                }
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(found(&good), [""; 0]);
        for (pointer, value, finding) in [
            ("/schema_version", json!("x"), "schema-tag /schema_version"),
            ("/keywords", json!([]), "no-keyword /keywords"),
            ("/keywords", json!([""]), "unusable-keyword /keywords/0"),
            ("/keywords", json!(["k", "k"]), "unusable-keyword /keywords/1"),
            ("/keywords/0", json!(7), "wrong-type /keywords/0"),
            ("/in_repo", json!({}), "wrong-type /in_repo"),
            ("/in_repo/0", json!(7), "wrong-type /in_repo/0"),
            ("/in_repo/0/paths/0", json!("/x"), "unusable-path /in_repo/0/paths/0"),
            ("/in_repo/0/paths/0", json!("x/../y"), "unusable-path /in_repo/0/paths/0"),
            ("/in_repo/0/paths", json!(["x", "x"]), "duplicate-path /in_repo/0/paths/1"),
            ("/in_repo/0/id", json!(""), "unusable-id /in_repo/0/id"),
            ("/in_repo", json!([item, item]), "duplicate-item /in_repo/1/id"),
            ("/external", json!([{"id": "e"}]), "missing-key /external/0"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            assert!(found(&bad).contains(&finding.to_owned()), "{pointer}: {:?}", found(&bad));
        }
        let mut bad = good.clone();
        bad["world"] = json!("../w.json");
        assert_eq!(found(&bad), ["unusable-path /world"]);
    }
}
