//! Promotion packets after they were emitted: verified, attested, collected; and the gates over all combinations of facts.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests write files, start the binary directly, and fail by panicking"
)]

mod attest;
#[expect(dead_code, reason = "what only tests of bundles use")]
#[path = "../bundle/bound.rs"]
mod bound;
mod case;
mod independent;
mod matrix;
mod paths;
mod sets;
#[cfg(target_os = "linux")]
#[expect(dead_code, reason = "what only tests of runs use")]
#[path = "../run/suite.rs"]
mod suite;
#[expect(dead_code, reason = "what only tests of bundles use")]
#[path = "../bundle/support.rs"]
mod support;
mod verify;
