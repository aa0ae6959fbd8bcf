//! The lanes: the same probe by the same worker with the policy (scenario), without it (baseline), or only asked (oracle).
//!
//! Layer 5. `SPEC.md` section "Lanes".

mod blob_digests;
mod execute;
mod intended;
mod observer;
mod oracle;
mod preflight;
mod prepare;
mod static_preflight;

pub use blob_digests::{BlobDigests, BlobDigestsError};
pub(crate) use execute::WORKER_COMMAND;
pub use execute::{Execution, Workers, execute, not_applied};
pub use observer::observe;
pub use oracle::{oracle_rows, system_oracle_rows};
pub use preflight::apply_preflight;
pub use prepare::{PrepareError, Prepared, PreparedProfile, StaticPreflight, prepare};
pub use static_preflight::{PreflightMode, is_gated, preflight_blob, preflight_text};
