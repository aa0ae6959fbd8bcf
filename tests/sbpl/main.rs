//! The profile language as a whole: decisions by table, broken profiles, properties, the command line.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod broken;
mod decisions;
mod diff;
mod diff_profiles;
mod eval;
mod explain;
mod fmt;
mod lint;
mod lint_order;
mod lint_report;
mod properties;
mod rows;
mod support;
