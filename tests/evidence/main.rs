//! Evidence: events, what they rest on, and what follows from them, by the real binary and by hand-written rows.
#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests start the binary, prepare files and may panic"
)]

#[expect(dead_code, reason = "used in part")]
#[path = "../run/suite.rs"]
mod suite;

mod enumerations;
mod hygiene;
mod interop;
mod members;
mod observer;
mod preflight;
mod real;
mod section_words;
mod shared;
mod streaming;
mod summary;
mod told;
mod trace_back;
