//! `shrink-trace`, driven as a user drives it: real programs, the kernel's enforcement, the files of a run.
//!
//! What would take minutes runs where `RUNTIME_TESTS_FULL` is set.
#![expect(clippy::disallowed_methods, reason = "tests start programs and look at files directly")]
#![expect(clippy::unwrap_used, reason = "tests")]

#[cfg(target_os = "linux")]
mod linux;
mod offline;
mod properties;
mod support;
