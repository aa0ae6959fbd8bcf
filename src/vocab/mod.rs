//! The words of the field as types. Layer 1: imports `base` only, does nothing.
//!
//! Stored spellings are part of the formats (`SPEC.md`); each type serialises to exactly that spelling.

mod darwin_errno;
mod decision;
pub mod driver;
mod filter_numbers;
mod finding;
mod lane;
pub mod native;
mod operation;
mod result_code;
mod rule_ref;
pub mod target;
mod world;

pub use darwin_errno::darwin_errno_name;
pub use decision::{Decision, FailureKind, FailureStage, Verdict3};
pub use driver::{Driver, Platform};
pub use filter_numbers::{CheckFilter, CompiledFilter};
pub use finding::{Finding, Severity};
pub use lane::Lane;
pub use native::{Asked, Native};
pub use operation::Operation;
pub(crate) use operation::name_covers;
pub use result_code::{CodeKind, Meaning, ResultCode, XPC_ERRORS};
pub use rule_ref::{RuleRef, Span};
pub use world::{is_world_family, world_matches, world_platform, worlds_agree};
