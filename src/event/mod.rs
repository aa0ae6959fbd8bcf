//! What a run observed, as documents: result rows, normalised events, witnesses, mismatches.
//!
//! Layer 2, pure: facts in, documents out; normalising twice gives the same bytes. Contract: `SPEC.md` sections
//! "Results", "Events" and "Mismatches". Field names and order are those of the stored formats; what we add is a key of
//! its own.

mod alias;
mod baseline;
mod callout;
mod claim;
mod classify;
mod filter;
mod fixture;
mod mismatch;
mod normalise;
mod observation;
mod oracle;
mod row;
pub mod seatbelt;
mod witness;

pub use alias::LinkMet;
pub use baseline::{BASELINE_SCHEMA, BaselineDocument, BaselineRow, Fgetpath, baseline_row, control};
pub use callout::{Answer, Applied, CALLOUT_STAGE, Callout, CheckApi, CheckRequest, Numbering, SeatbeltAnswers};
pub use claim::{Claim, claims};
pub use classify::{APPLY_API, classify, settle};
pub use filter::{AnchorMap, AnchorMapError, FilterChoice, FilterWish, choose_filter};
pub use fixture::{FixtureRecord, fixture_records};
pub use mismatch::{Mismatch, MismatchSummary, meets_expectation, mismatch_packets, mismatch_summary};
pub use normalise::{Controls, EventWriter, MetadataRunner, Normaliser, RowPlace};
pub use observation::{
    Effect, Fault, ListenerRecord, OPENED_PATH, OPENED_PATH_ERRNO, OPENED_PATH_NOFIRMLINK,
    OPENED_PATH_NOFIRMLINK_ERRNO, Observation, Precheck, REACHED, SIGNALLED, STARTED_PID,
};
pub use oracle::{ORACLE_SCHEMA, OracleDocument, OracleRow, SystemAnswer, system_rows};
pub use row::{
    ApplyReport, MADE_PROCESS, ProbeFacts, ProfileResults, RESULTS_SCHEMA, ResultRow, RunnerInfo, RuntimeResult,
    SELF_PROCESS,
};
pub use witness::{Canonicalization, PathWitness, WitnessDocument, path_witnesses};
