//! Runs of real plans through the real binary, on the kernel of this machine.
#![expect(clippy::disallowed_methods, reason = "tests start the binary and prepare files")]
#![cfg(target_os = "linux")]

mod effects;
mod interrupted;
mod random_plan;
mod shipped_plan;
mod suite;
mod wrong_policy;
