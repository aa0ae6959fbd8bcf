//! Refusals from a live log: `sandbox run --denials` and `shrink-trace` as they work on macOS, through stand-ins of `log` and
//! `sandbox-exec`, whose refusals are those of this machine's own enforcement.
#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests start the binary, prepare files and may panic"
)]

mod bench;
mod sandbox_run;
mod trace;
