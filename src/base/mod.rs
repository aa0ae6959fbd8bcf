//! Pure building blocks without any word of the domain: bytes, digests, names, time.
//!
//! Layer 0. Imports nothing of this crate.

pub mod cancel;
pub mod digest;
pub mod ids;
pub mod json;
pub mod position;
pub mod rel_path;
pub mod time;
