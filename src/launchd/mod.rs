//! The clean channel: a command run as a job of launchd, outside the process tree of whoever asked for it.
//!
//! Layer 4. The job is planned first, as data ([`JobPlan`], pure), then executed ([`execute()`]): a private stage with what
//! the job needs, a property list, `launchctl bootstrap`, the wait for the job's own completion record, `launchctl
//! bootout`. What it did is told in [`Diagnostics`], however it ended. `SPEC.md`, section "Clean channel", owns the
//! documents.
//!
//! Parts: `job` (the plan), `check` (whether a plan contradicts itself), `environment` (what is handed to the job), `clean` (what the job measures of its own start),
//! `record` (what job and parent tell each other), `stage` (the private directory, and what dead parents left), `wait`
//! (when waiting ends), `diagnostics` (what the bundle keeps), `execute` (the sequence).
//!
//! Invariants: nothing but the completion record ends a wait well; the stage and the job are gone when [`execute()`] has
//! returned and its [`Stage`] is dropped, or the diagnostics say what is left; a program that was replaced stands in the
//! plan, in the job and in the diagnostics.

mod check;
mod clean;
mod diagnostics;
mod environment;
mod execute;
mod job;
mod record;
mod stage;
mod wait;

pub use check::contradictions;
pub use clean::{Start, verdict};
pub use diagnostics::{DIAGNOSTICS_FILE, Diagnostics, Ran};
pub use environment::{FORWARDED, forwarded};
pub use execute::{Executed, Failure, Step, Watch, execute};
pub use job::{Argument, DomainPlan, JOB_TAG, JobDocument, JobPlan, NEEDED, Request, StagedFile, WaitRule};
pub use record::{Finished, Outcome, RecordError, Worker};
pub use stage::{Reaped, Stage, StageError, reap};
pub use wait::{Seen, Verdict, decide};
