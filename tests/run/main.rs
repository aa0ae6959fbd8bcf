//! Runs of real plans through the real binary, on the kernel of this machine.
#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests start the binary, prepare files and may panic"
)]

mod determinism;
mod drivers;
mod effects;
mod hostile;
mod interrupted;
mod macos_suites;
mod missing_layer;
mod network;
mod ordinary_user;
mod own_record;
mod random_plan;
mod shipped_operations;
mod shipped_plan;
mod suite;
mod wrong_policy;
