//! The `entitlement-jail` commands as a user types them, against a stand-in app; and the contract they hold the app to.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests start the binary, prepare files and may panic"
)]

mod collections;
mod contract;
mod faults;
mod observers;
mod probes;
mod schemas;
mod support;
mod waits;
