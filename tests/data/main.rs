//! The data surface through the real binary: lints, broken documents, listings and descriptions.
#![expect(clippy::unwrap_used, reason = "a set-up step that fails is a failed test")]

mod broken;
mod clean;
mod commands;
mod expectations;
mod fields;
mod frozen;
mod inventory;
mod links;
mod lints;
mod macos_expectations;
mod macos_templates;
mod mutation;
#[cfg(target_os = "linux")]
mod odd_names;
#[cfg(target_os = "linux")]
mod read_once;
mod ready_made;
mod reports;
mod resolution;
#[path = "../run/shipped_operations.rs"]
mod shipped_operations;
mod suite;
mod upgrade;
