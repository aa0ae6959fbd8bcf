//! The schemas and the code say the same: every schema against real documents, against mutations of them, and against the
//! readers of the code; and the `schema` commands through the real binary.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests start the binary, prepare files and may panic"
)]

#[cfg(target_os = "linux")]
mod bundles;
mod commands;
#[expect(dead_code, reason = "the tests of lints need more of it")]
#[path = "../data/suite.rs"]
mod data_suite;
mod files;
mod generate;
mod inputs;
mod mutate;
#[cfg(target_os = "linux")]
mod outputs;
#[cfg(target_os = "linux")]
mod readers;
#[cfg(target_os = "linux")]
#[expect(dead_code, reason = "the tests of runs need more of it")]
#[path = "../run/suite.rs"]
mod run_suite;
#[cfg(target_os = "linux")]
mod runs;
