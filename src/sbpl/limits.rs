//! Every bound of reading and evaluating a profile, in one place. Exceeding one is a diagnostic at the place.

/// The largest text read, in bytes.
pub const MAX_SOURCE_BYTES: usize = 16 << 20;
/// The longest string or symbol, in bytes.
pub(crate) const MAX_STRING_BYTES: usize = 64 << 10;
/// The deepest nesting of forms.
pub(crate) const MAX_NESTING: usize = 256;
/// The most forms in one text.
pub(crate) const MAX_FORMS: usize = 500_000;
/// The most evaluation steps of one compilation.
pub(crate) const MAX_STEPS: u64 = 1_000_000;
/// The deepest nesting of evaluations (calls that are not in tail position). An unoptimised build takes up to 6 KiB of
/// stack for one; a thread has 2 MiB.
pub(crate) const MAX_DEPTH: usize = 200;
/// The most memory that values of one compilation may take, in bytes, roughly counted.
pub(crate) const MAX_VALUE_BYTES: usize = 64 << 20;
/// The most rules of one profile.
pub(crate) const MAX_RULES: usize = 100_000;
/// The most imported texts of one profile.
pub(crate) const MAX_IMPORTS: usize = 32;
/// The most memory that the expressions of one profile may take, in bytes.
pub(crate) const MAX_PATTERN_TOTAL_BYTES: usize = 32 << 20;
