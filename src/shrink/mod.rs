//! `shrink-trace`: learn a profile from one run of a program, then take out everything the program can do without.
//!
//! Layer 6, above `sandbox`, `sbpl`, `bundle`, `unified_log` and `denial`, below `cli`. Parts: `claim` (whose directory it is), `seed` (what a new profile holds), `target` and `worker` (one
//! run in a process of its own), `trace`, `live` (the log of macOS), `learn`, `rule`, `generalize` and `provenance` (refusals to rules), `completeness`,
//! `candidates` (edits that only narrow), `search` (which of them, pure), `minimise` (the same with a real target), `lint`,
//! `session` (the order of one run and its record), `offline` (saved logs), `matrix`, `summary`, `html`. `SPEC.md`, section
//! "shrink-trace", owns the files and their keys; `docs/shrink-trace.md` is for users.
//!
//! Invariants: the result never allows what its input denies, by construction and by a comparison of the two; a rule is kept
//! because a run without it failed, and removed because a run without it succeeded; refusals of other programs never become
//! rules; `run.json` is there on every way out.

pub mod candidates;
mod claim;
mod completeness;
mod generalize;
mod guided;
mod html;
mod layout;
mod learn;
mod lint;
mod live;
mod matrix;
mod minimise;
mod offline;
mod preflight;
mod progress;
pub mod provenance;
mod record;
pub mod rule;
pub mod search;
pub mod seed;
mod session;
mod summary;
mod target;
mod trace;
mod worker;

pub use claim::ClaimError;
pub use completeness::{Completeness, Verdict};
pub use html::{is_record, page};
pub use lint::{ProfileLint, lint_profile};
pub use matrix::{Matrix, MatrixError, run_matrix};
pub use offline::{FromLog, learn_from_log};
pub use progress::{Event, Observer, Silent};
pub use rule::NetworkRules;
pub use session::{DenyScope, Live, Options, Outcome, shrink_profile, trace_profile, workflow_profile};
pub use summary::{Summary, SummaryError, summary};
pub use target::{Target, TargetError};
pub use trace::MAX_ITERATIONS;
pub use worker::serve;

/// Why a command could not answer.
#[derive(Debug, thiserror::Error)]
pub enum ShrinkError {
    /// A file of the run could not be read or written.
    #[error(transparent)]
    Files(#[from] crate::os::fs::FsError),
    /// The target could not be run.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The profile is not one.
    #[error("the profile cannot be read: {0}")]
    Profile(String),
    /// The profile is not text.
    #[error("{path} is not UTF-8, which profiles are")]
    NotText {
        /// The file.
        path: String,
    },
    /// The profile to shrink is not there.
    #[error("{path} does not exist")]
    NoProfile {
        /// The file.
        path: String,
    },
    /// What an earlier recording wrote cannot be merged.
    #[error("{path}: {reason}")]
    Provenance {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The state of another search.
    #[error("{path} belongs to another profile or command")]
    OtherState {
        /// The file.
        path: String,
    },
    /// More runs might be needed than are allowed.
    #[error("up to {bound} runs of the target may be needed, and at most {most} are allowed")]
    TooManyRuns {
        /// The bound.
        bound: usize,
        /// What the caller allows.
        most: usize,
    },
    /// The matrix cannot be run.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    /// The directory is not used.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// A file that is to be learned from is no log.
    #[error("{path} is no log: {reason}")]
    NoLog {
        /// The file.
        path: String,
        /// Why.
        reason: &'static str,
    },
}
