//! Inventory: where a source tree deals with sandboxes, and what else there is to know about them.
//!
//! Parts: [`Items`] (data: keywords and known places), `scan` (which file holds which keyword), [`assign`](fn@assign)
//! (files to known places), [`build_runtime_inventory`]. Format: `SPEC.md`, section "Inventory".
//!
//! Invariants: the same tree gives the same bytes; what was not looked at is named; a path belongs to an item only at a
//! component boundary.

mod assign;
mod items;
mod scan;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

pub use assign::{Assigned, assign};
pub use items::{ExternalItem, ITEMS_TAG, InRepoItem, Items, ItemsError, load_items, shipped_items};
pub use scan::{Hit, MAX_SCANNED_BYTES, Skipped};

use crate::registry::{Document, DocumentError, Place};

/// Schema tag of the inventory. v0.1: as the earlier tool writes it; `skipped` added.
pub const INVENTORY_TAG: &str = "hardened-runtime.other-runtime-inventory.v0.1";

/// The inventory document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// [`INVENTORY_TAG`].
    pub schema_version: &'static str,
    /// The world that the tree is about; `unknown` when it does not say.
    pub world_id: String,
    /// What made this.
    pub generated_by: &'static str,
    /// The texts looked for.
    pub keywords: Vec<String>,
    /// The known places with the files found there.
    pub in_repo: Vec<InRepoEntry>,
    /// Files with keywords that stand in no known place.
    pub unclassified_hits: Vec<Hit>,
    /// What stands elsewhere.
    pub external: Vec<ExternalItem>,
    /// What was not looked into, and why.
    pub skipped: Vec<Skipped>,
}

/// A known place with the files found there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InRepoEntry {
    /// The place.
    #[serde(flatten)]
    pub item: InRepoItem,
    /// Files with keywords, sorted by path.
    pub files: Vec<Hit>,
}

/// What an inventory is made of.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The tree.
    pub root: &'a Path,
    /// Keywords and known places.
    pub items: &'a Items,
    /// The document that names the world; else the one the items name, where it is there.
    pub world: Option<&'a Place>,
    /// A file that is not looked into: the one the inventory is written to, so that a second run gives the same.
    pub output: Option<PathBuf>,
}

/// Why there is no inventory.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The root is no directory.
    #[error("{} is not a directory", .0.display())]
    NoTree(PathBuf),
    /// The world document cannot be read.
    #[error("cannot use the world document")]
    World(#[from] DocumentError),
    /// The world document names no world.
    #[error("the world document {0} has neither a text world_id nor a text id")]
    NoWorldId(Place),
    /// The keywords cannot be searched for together.
    #[error("cannot search for the keywords")]
    Keywords(#[source] aho_corasick::BuildError),
}

/// Looks through the tree and assigns what it finds.
///
/// # Errors
/// See [`InventoryError`]. Files that cannot be read are part of the inventory, not an error.
pub fn build_runtime_inventory(request: &Request<'_>) -> Result<Inventory, InventoryError> {
    if !crate::os::input::is_directory(request.root) {
        return Err(InventoryError::NoTree(request.root.to_owned()));
    }
    let world_id = world_id(request)?;
    let items = request.items;
    let scanned = scan::scan(request.root, items, request.output.as_deref())?;
    let Assigned { files, rest } = assign(&items.in_repo, scanned.hits);
    let entries = items.in_repo.iter().cloned().zip(files);
    Ok(Inventory {
        schema_version: INVENTORY_TAG,
        world_id,
        generated_by: "runtime inventory build",
        keywords: items.keywords.clone(),
        in_repo: entries.map(|(item, files)| InRepoEntry { item, files }).collect(),
        unclassified_hits: rest,
        external: items.external.clone(),
        skipped: scanned.skipped,
    })
}

/// The `world_id`, else the `id`, of the world document; `unknown` when no document was named and none is there.
fn world_id(request: &Request<'_>) -> Result<String, InventoryError> {
    let usual = request.items.world.as_ref().map(|path| Place::Disk(request.root.join(path.as_str())));
    let place = match (request.world, usual) {
        (Some(place), _) => place.clone(),
        (None, Some(place)) if place.is_file() => place,
        (None, _) => return Ok("unknown".to_owned()),
    };
    let document = Document::read(&place)?;
    let text = |key: &str| document.value().get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let id = text("world_id").or_else(|| text("id")).map(str::to_owned);
    id.ok_or(InventoryError::NoWorldId(place))
}
