//! Plans: which profiles of a registry run in which lanes, on which fixtures.
//!
//! Parts: [`Plan`] (document), [`plan_digest`], [`compiled_digest`](fn@compiled_digest), [`compile`](fn@compile), [`fixtures`], lint. Formats: `SPEC.md`,
//! sections "Plans", "Plan digest", "Compiled digest", "Compiling" and "Fixture sets".
//!
//! Invariants: a lane that is not named is on; every failure names file and place; compiling skips nothing silently.

mod compile;
mod compiled_digest;
mod digest;
mod document;
pub mod fixtures;
mod frozen;
mod lint;
mod list;
mod target;
mod used;

pub use compile::{CompileError, CompiledPlan, CompiledProfile, Filters, ProbeRow, compile};
pub use compiled_digest::{CompiledDigest, CompiledDigestError, compiled_digest, narrowed_digest};
pub use digest::plan_digest;
pub use document::{Lanes, PLAN_FIELDS, PLAN_TAG, Plan, PlanError, load_plan, read};
pub use fixtures::{FIXTURES_VARIABLE, FixturesError, load_fixtures};
pub use frozen::check_frozen;
pub use lint::{PlanReport, lint_plan, lint_run};
pub use list::{PlanEntry, list_plans, list_shipped_plans};
pub use target::{resolve_target, target_parameters};
