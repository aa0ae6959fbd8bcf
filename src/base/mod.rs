//! Pure building blocks without any word of the domain: bytes, digests, names, time.
//!
//! Layer 0. Imports nothing of this crate.

pub mod cancel;
pub mod digest;
pub mod ids;
pub mod json;
pub mod position;
pub mod rel_path;
pub(crate) mod scan;
pub mod spelling;
pub mod text;
pub mod time;
pub mod tree;

/// An error with its causes as one text, outermost first.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
