//! What a run observed, as documents: result rows, normalised events, witnesses, mismatches.
//!
//! Layer 2, pure: facts in, documents out; normalising twice gives the same bytes. Contract: `SPEC.md` sections
//! "Results", "Events" and "Mismatches". Field names and order are those of the stored formats; what we add is a key of
//! its own.

mod alias;
mod baseline;
mod claim;
mod classify;
mod filter;
mod fixture;
mod mismatch;
mod normalise;
mod observation;
mod oracle;
mod row;
mod witness;

pub use alias::LinkMet;
pub use baseline::{BASELINE_SCHEMA, BaselineDocument, BaselineRow, baseline_row, control};
pub use claim::{Claim, claims};
pub use classify::{APPLY_API, classify};
pub use filter::{AnchorMap, AnchorMapError, FilterChoice, FilterWish, choose_filter};
pub use fixture::{FixtureRecord, fixture_records};
pub use mismatch::{Mismatch, MismatchSummary, meets_expectation, mismatch_packets, mismatch_summary};
pub use normalise::{Controls, EventWriter, MetadataRunner, Normaliser, RowPlace};
pub use observation::{
    Effect, Fault, ListenerRecord, OPENED_PATH, Observation, Precheck, REACHED, SIGNALLED, STARTED_PID,
};
pub use oracle::{ORACLE_SCHEMA, OracleDocument, OracleRow};
pub use row::{
    ApplyReport, MADE_PROCESS, ProbeFacts, ProfileResults, RESULTS_SCHEMA, ResultRow, RunnerInfo, RuntimeResult,
    SELF_PROCESS,
};
pub use witness::{Canonicalization, PathWitness, WitnessDocument, path_witnesses};
