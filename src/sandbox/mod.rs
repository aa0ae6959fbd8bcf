//! Enforcement of a profile: what a platform can express, applying it, and what was really enforced.
//!
//! Layer 3.

#[cfg(target_os = "linux")]
pub mod linux;
