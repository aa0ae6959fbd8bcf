//! The compiled digest: everything that decides what a run of a plan means (`SPEC.md`, section "Compiled digest").
//!
//! The plan digest covers the plan alone, so a registry, a profile or a fixture can change under it unseen. This one
//! covers the plan with all it leads to. It does not depend on where the files stand or how their JSON is laid out.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use super::compile::{CompileError, CompiledPlan, Filters, compile};
use super::document::Plan;
use crate::base::digest::Sha256Hex;
use crate::base::json::{self, MAX_DOCUMENT_BYTES};
use crate::base::tree::Node;
use crate::fixture::FixtureSet;
use crate::os::fs::FsError;
use crate::registry::{Base, Document, Place, Registry, StoredPathError};

/// Names the way the digest is made; a change of it makes new digests.
const FORM: &str = "runtime-tools.compiled_digest.v0.1";

/// A digest of a plan with all it leads to, and the digests of the files that were read for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledDigest {
    /// The digest; `None` only from [`narrowed_digest`], when a file that a narrowed run does not need cannot be read.
    pub digest: Option<Sha256Hex>,
    /// Digests of the profiles' files that could be read, by profile id.
    pub profile_files: BTreeMap<String, Sha256Hex>,
    /// Digest of the file that `apply_preflight_profile` names.
    pub apply_preflight: Option<Sha256Hex>,
}

/// Why there is no compiled digest.
#[derive(Debug, thiserror::Error)]
pub enum CompiledDigestError {
    /// Plan and registry do not fit together.
    #[error("the plan does not compile")]
    Compile(#[from] CompileError),
    /// A profile's file cannot be read.
    #[error("profile {profile:?}: cannot read {place}")]
    Profile {
        /// The profile.
        profile: String,
        /// Its file.
        place: Place,
        /// The cause.
        source: FsError,
    },
    /// The path of the preflight profile is refused.
    #[error("apply_preflight_profile {path:?}")]
    PreflightPath {
        /// The path as written.
        path: String,
        /// The cause.
        source: StoredPathError,
    },
    /// The preflight profile cannot be read.
    #[error("apply_preflight_profile: cannot read {place}")]
    Preflight {
        /// Its file.
        place: Place,
        /// The cause.
        source: FsError,
    },
}

/// Computes the digest of `plan`, compiled without filters against `registry`, over `fixtures`. `base` is the base of the
/// plan's own paths. Reads the files of the profiles that the plan names, and of its preflight profile.
///
/// # Errors
/// See [`CompiledDigestError`].
pub fn compiled_digest(
    plan: &Plan,
    registry: &Registry,
    fixtures: &FixtureSet,
    base: &Base,
) -> Result<CompiledDigest, CompiledDigestError> {
    let (found, missing) = narrowed_digest(plan, registry, fixtures, base, &plan.profiles)?;
    missing.map_or(Ok(found), Err)
}

/// The same for a run of the profiles `needed` alone, with the reason when there is no digest: whatever stands in the way of
/// reading another profile's file is no reason not to run these.
///
/// # Errors
/// See [`CompiledDigestError`].
pub fn narrowed_digest(
    plan: &Plan,
    registry: &Registry,
    fixtures: &FixtureSet,
    base: &Base,
    needed: &[String],
) -> Result<(CompiledDigest, Option<CompiledDigestError>), CompiledDigestError> {
    let compiled = compile(plan, registry, &Filters::default())?;
    let mut profile_files = BTreeMap::new();
    let mut missing = None;
    for profile in &compiled.profiles {
        let (id, place) = (profile.id.clone(), profile.path.clone());
        match file_digest(&place) {
            Ok(digest) => {
                profile_files.insert(id, digest);
            }
            Err(source) => {
                let needed = needed.contains(&id);
                let error = CompiledDigestError::Profile { profile: id, place, source };
                if needed {
                    return Err(error);
                }
                missing.get_or_insert(error);
            }
        }
    }
    let apply_preflight = match &plan.apply_preflight_profile {
        None => None,
        Some(path) => {
            let refused = |source| CompiledDigestError::PreflightPath { path: path.clone(), source };
            let place = base.resolve(path).map_err(refused)?;
            Some(file_digest(&place).map_err(|source| CompiledDigestError::Preflight { place, source })?)
        }
    };
    let parts = json!({
        "form": FORM,
        "plan": plan.document.value(),
        "probe_registry": narrowed(&registry.documents[0], "probes", &probe_ids(&compiled)),
        "profile_registry": narrowed(&registry.documents[1], "profiles", &profile_ids(&compiled)),
        "profile_files": profile_files,
        "fixtures": fixtures,
        "apply_preflight": apply_preflight,
    });
    let digest = missing.is_none().then(|| Sha256Hex::of(json::to_line_sorted(&parts).as_bytes()));
    Ok((CompiledDigest { digest, profile_files, apply_preflight }, missing))
}

fn file_digest(place: &Place) -> Result<Sha256Hex, FsError> {
    Ok(Sha256Hex::of(&place.read(MAX_DOCUMENT_BYTES)?))
}

fn probe_ids(plan: &CompiledPlan) -> Vec<&str> {
    plan.profiles.iter().flat_map(|profile| &profile.rows).map(|row| row.probe_id.as_str()).collect()
}

fn profile_ids(plan: &CompiledPlan) -> Vec<&str> {
    plan.profiles.iter().map(|profile| profile.id.as_str()).collect()
}

/// A registry document as it stands, without the entries that the plan does not use.
fn narrowed(document: &Document, key: &str, used: &[&str]) -> Value {
    let Some(members) = document.root().as_object() else { return Value::Null };
    let used: HashSet<&str> = used.iter().copied().collect();
    let entries = document.root().get(key).and_then(Node::as_object).into_iter().flatten();
    let kept: Map<String, Value> =
        entries.filter(|(id, _)| used.contains(id)).map(|(id, entry)| (id.to_owned(), entry.to_value())).collect();
    let mut rest: Map<String, Value> =
        members.filter(|(name, _)| *name != key).map(|(name, value)| (name.to_owned(), value.to_value())).collect();
    rest.insert(key.to_owned(), Value::Object(kept));
    Value::Object(rest)
}
