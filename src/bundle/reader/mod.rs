//! Reading a bundle: resolve the argument once, read three documents, check every byte, report everything found.
//!
//! Two generations of bundles are read. Our own carry a `tool` key and get the stricter verdict; those of the earlier
//! Python tool keep the verdict that tool gave, with what it overlooked reported as warnings. What each problem means for
//! each generation stands in one table, [`problem::Kind::class`].

pub(super) mod entry;
mod identity;
pub(super) mod problem;
mod raw;
mod resolve;
mod unindexed;
mod verified;
mod verify;

pub use raw::{Document, UnverifiedBundle, Writer};
pub use resolve::{ResolveError, ResolvedBundle, resolve};
pub use verified::{ArtifactError, VerifiedBundle};
pub use verify::{Checked, Verification};
pub(in crate::bundle) use verify::{Examined, Found};
