//! The clean channel through stand-ins of launchctl, plutil and log: the real binary, real jobs, on the kernel of this machine.
#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests start the binary, prepare files and may panic"
)]

mod bench;
mod exact;
mod killed;
mod plan;
mod promotable;
mod scenarios;
#[expect(dead_code, reason = "shared with tests/run, which uses more of it")]
#[path = "../run/suite.rs"]
mod suite;
