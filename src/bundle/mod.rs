//! Run bundles: one directory per run, committed by its index, found through a pointer, verified before it is believed.
//!
//! ```text
//! <root>/.runtime.lock            held by the one writer, never unlinked
//! <root>/LATEST                   run id of the newest committed run
//! <root>/<run_id>/run_status.json first (in progress) and last but one
//! <root>/<run_id>/...             artifacts
//! <root>/<run_id>/artifact_index.json   written last: the commit
//! ```
//!
//! Life cycle of a writer: [`RunLock`] -> [`OpenBundle`] -> [`SealedBundle`]. Of a reader: [`resolve`] ->
//! [`UnverifiedBundle`] -> [`Verification`], which holds a [`VerifiedBundle`] only when every indexed byte is the one the
//! index names. Of a whole root: [`list_runs`], [`prune_runs`], [`find_bundles`]. [`reindex_bundle`] rebuilds an index.
//!
//! Invariants: a run that did not reach its index is refused by every reader, by name; `LATEST` never names such a run;
//! nothing outside the run's directory is ever opened on the word of a document. `SPEC.md` section "Bundles" is the
//! contract.

#[cfg(test)]
mod crash_tests;
mod document;
mod history;
mod index;
pub mod layout;
mod lock;
mod manifest;
mod outputs;
mod pointer;
#[cfg(test)]
mod power_tests;
mod reader;
mod repair;
mod root;
mod runs;
mod status;
mod writer;

pub use document::{Identity, Tool};
pub use index::{ArtifactEntry, ArtifactIndex, IndexStatus};
pub use lock::RunLock;
pub use manifest::{ApplyPreflight, RunManifest};
pub use outputs::{OutputError, belongs_to_a_bundle, check_outputs};
pub use reader::{
    ArtifactError, Checked, Document, ResolveError, ResolvedBundle, UnverifiedBundle, Verification, VerifiedBundle,
    Writer, resolve,
};
pub use repair::{Change, Measured, ReindexError, ReindexRequest, Reindexed, reindex_bundle};
pub use root::RunLife;
pub use runs::{Found, PruneRequest, Pruned, Run, Runs, find_bundles, list_runs, prune_runs};
pub use status::{RunState, RunStatus};
pub use writer::{BundleError, OpenBundle, Outcome, SealedBundle};
