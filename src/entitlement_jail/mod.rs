//! A bounded client of `EntitlementJail.app`: drives it, keeps what it said as evidence, and holds it to its contract.
//!
//! | Part | What |
//! | --- | --- |
//! | [`Settings`] | what the `EJ_*` variables choose |
//! | [`arguments`] | argument vectors, as data |
//! | [`run_xpc`], [`run_wait_xpc`], [`run_probe_wait`] | one probe; with a wait that is triggered |
//! | [`run_matrix_group`], [`bundle_evidence`] | what the app collects in a directory |
//! | [`observe`] | the observer alone |
//! | [`contract`] | help texts and documents against what a client relies on |
//!
//! Layer 6. Contract: `SPEC.md`, section "entitlement-jail". Every call leaves one records directory: a run of a bundle root,
//! with the record in [`RECORD`], the raw output of the app, index and commit barrier.
//!
//! Invariants: nothing is read by a shell; every process has a time limit and takes its process group with it; a refusal is
//! believed only when a line of the system's log says so about this very process ([`deny`]); files that the app names are
//! taken only when they were written during the call.

pub mod arguments;
mod call;
mod client;
mod collection;
pub mod contract;
pub mod deny;
mod envelope;
mod files;
mod observer;
mod outcome;
mod session;
mod settings;
mod wait;
mod wait_state;
mod xpc;

pub use arguments::{ProbeCall, Service};
pub use client::{APP_VARIABLE, Client, DEFAULT_APP};
pub use collection::{bundle_evidence, run_matrix_group};
pub use observer::{OBSERVER_TIMEOUT, Subject, observe};
pub use outcome::{Outcome, Problem};
pub use session::{Done, RECORD, Records};
pub use settings::{LogMode, ObserverFormat, ObserverMode, SettingError, Settings, VARIABLES};
pub use wait::{Trigger, WaitRequest, run_probe_wait, run_wait_xpc};
pub use xpc::{XpcRequest, run_xpc};

use std::path::PathBuf;

use crate::bundle::BundleError;
use crate::os::fs::FsError;

/// Why a call left no record.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// The app is not there.
    #[error("there is no app at {}", path.display())]
    NoApp {
        /// Where it should be.
        path: PathBuf,
    },
    /// A path that the app could not be told.
    #[error("{} is not UTF-8, as arguments of the app must be", path.display())]
    NotText {
        /// The path.
        path: PathBuf,
    },
    /// A request that makes no sense.
    #[error("{0}")]
    Request(String),
    /// No private directory could be made.
    #[error("cannot make a directory in {}", path.display())]
    Scratch {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The records could not be written.
    #[error("the records cannot be kept")]
    Bundle(#[from] BundleError),
    /// A file could not be read or written.
    #[error(transparent)]
    Files(#[from] FsError),
}
