//! Registries: probe and profile descriptors, found through an index or beside a plan.
//!
//! Parts: [`Place`] and [`Base`] (where documents live, what their paths mean), [`Document`] (bounded reading),
//! `check` (shape tables and findings), [`Index`], [`Registry`], [`lint_registry`]. Formats: `SPEC.md`, sections "Paths",
//! "Registry index" and "Registries".
//!
//! Invariants: a file is parsed at most once per command; reading reports every finding; an entry with an error is never
//! used; ids are never used as file names.

pub mod check;
mod document;
pub mod embedded;
mod entry;
mod find;
mod index;
mod lint;
mod place;
mod profile_text;
mod read;
mod select;
mod sink;
mod upgrade;
mod view;

pub use document::{Document, DocumentError, Refusal};
pub use entry::{LaneSupport, PROBES_TAG, PROFILES_TAG, Probe, Profile, ProfileMode};
pub use entry::{PROBE_FIELDS, PROBE_REGISTRY_FIELDS, PROFILE_FIELDS, PROFILE_REGISTRY_FIELDS};
pub use find::{Files, RegistryError, Source, Used, for_plan, indexed, sibling};
pub use index::{
    INDEX_ENTRY_FIELDS, INDEX_FIELDS, INDEX_PATH, INDEX_TAG, Index, IndexEntry, Lookup, ReadOnce, RegistryListing,
};
pub use lint::{
    ProfileReport, RegistryReport, WORLDS, lint_files, lint_probe, lint_profile, lint_registry, lint_text, named_file,
    names_a_world,
};
pub use place::{Base, Place, StoredPathError, root_of};
pub use profile_text::is_deny_default;
pub use profile_text::{TextError, applied_sources, read_profile_text};
pub use read::{Entries, Reading, Registry, SharedReadings, load, of_documents, read, read_shared, side_by_side};
pub use select::{Selected, select};
pub use upgrade::{UpgradeError, Upgraded, upgrade_registry};
pub use view::View;
