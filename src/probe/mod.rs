//! The probe worker: performs one operation once, in-process, and reports on a private descriptor.
//!
//! Layer 4. The worker is this executable, re-executed; no shell, no interpreter and no other program takes part.
//! Scenario and baseline lanes use the same worker and the same table of drivers; only the policy differs.
//! Contract: `SPEC.md` section "Probes".

mod driver;
mod protocol;
mod worker;

pub use protocol::{PolicyText, ProbeAnswer, ProbeJob};
pub use worker::{WorkerFailure, serve};
