//! One run: plan in, committed bundle out.
//!
//! Layer 6. [`session`] is the write order as one readable function; `SPEC.md` sections "Run" and "Bundles" own it.
//! Invariants: nothing is written before the plan has been compiled and the lock is held; a run that does not reach its
//! commit leaves a bundle that every reader refuses by name; a fault of one probe is a fault of its row only.

mod documents;
mod events;
mod lanes;
mod launchd_clean;
mod progress;
mod session;
mod status;

pub use documents::{Counts, RunStatusWord, Summary};
pub use launchd_clean::{Collected, Told, run_launchd_clean};
pub use progress::{Observer, Progress, Silent};
pub use session::{CHANNEL_DIRECT, CHANNEL_LAUNCHD_CLEAN, Plans, RunBundle, RunError, RunOptions, Staged, run_plan};
pub use status::{Channel, RuntimeStatus, STATUS_TAG, SelfCheck, Tools, runtime_status};
