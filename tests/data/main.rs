//! The data surface through the real binary: lints, broken documents, listings and descriptions.
#![expect(clippy::unwrap_used, reason = "a set-up step that fails is a failed test")]

mod broken;
mod commands;
mod expectations;
mod fields;
mod lints;
mod mutation;
mod reports;
mod suite;
mod upgrade;
