//! Bundles and promotion packets through the real binary and the library's writer.
//!
//! Most bundles here are built by hand (`support::Hand`), byte by byte, so that the reader is not judged by our own writer.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests write files, start the binary directly, and fail by panicking"
)]

#[cfg(target_os = "linux")]
mod bound;
mod concurrent;
mod crash;
mod earlier;
mod emit;
mod gates;
mod hostile;
#[cfg(target_os = "linux")]
mod images;
#[cfg(target_os = "linux")]
mod injected;
#[cfg(target_os = "linux")]
mod limits;
mod lock;
mod outputs;
mod random;
mod repair;
#[cfg(target_os = "linux")]
mod rivals;
#[cfg(target_os = "linux")]
mod run_faults;
mod runs;
#[cfg(target_os = "linux")]
mod small_run;
#[cfg(target_os = "linux")]
#[expect(dead_code, reason = "what only tests of runs use")]
#[path = "../run/suite.rs"]
mod suite;
mod support;
mod validate;
mod verified;
mod writer;
