//! Evidence: events, what they rest on, and what follows from them, by the real binary and by hand-written rows.

#[expect(dead_code, reason = "used in part")]
#[path = "../run/suite.rs"]
mod suite;

mod enumerations;
mod interop;
mod observer;
mod preflight;
mod real;
mod shared;
mod summary;
mod trace_back;
