//! The lanes: the same probe by the same worker with the policy (scenario), without it (baseline), or only asked (oracle).
//!
//! Layer 5. `SPEC.md` section "Lanes".

mod execute;
mod intended;
mod oracle;
mod preflight;
mod prepare;

pub use execute::{Execution, execute};
pub use oracle::oracle_rows;
pub use preflight::apply_preflight;
pub use prepare::{PrepareError, Prepared, PreparedProfile, prepare};
