//! Compiling: a plan and its registry become profiles with their rows, in run order (`SPEC.md`, section "Compiling").
//!
//! Pure. Whatever does not fit together is a typed error that names every id concerned; nothing is skipped silently.

use std::collections::BTreeSet;

use serde::Serialize;

use super::document::Plan;
use crate::registry::{LaneSupport, Place, Probe, Profile, ProfileMode, Registry, StoredPathError};
use crate::vocab::{Decision, Operation};

/// Narrows a plan. Values of one kind are alternatives; the two kinds must both hold; an empty list narrows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    /// Profile ids to keep.
    pub profiles: Vec<String>,
    /// Expectation ids to keep.
    pub scenarios: Vec<String>,
}

/// What a run executes.
#[derive(Debug, Clone, PartialEq)]
pub struct CompiledPlan {
    /// Profiles in run order; at least one.
    pub profiles: Vec<CompiledProfile>,
}

/// One policy with the rows that run under it.
#[derive(Debug, Clone, PartialEq)]
pub struct CompiledProfile {
    /// The profile's id.
    pub id: String,
    /// The policy's file.
    pub path: Place,
    /// The policy's file relative to the root, as matrices record it.
    pub stored_path: String,
    /// What the file holds.
    pub mode: ProfileMode,
    /// Tag.
    pub family: Option<String>,
    /// Tag.
    pub semantic_group: Option<String>,
    /// SBPL snippets appended to the profile text.
    pub key_specific_rules: Vec<String>,
    /// Rows in run order; at least one.
    pub rows: Vec<ProbeRow>,
}

/// One probe under one profile. Serialises to the row of an expected matrix; what a matrix does not hold is skipped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProbeRow {
    /// Short name, unique within the profile.
    pub name: String,
    /// The operation.
    pub operation: Operation,
    /// The target, before `${FIXTURES}` is replaced.
    pub target: String,
    /// The decision expected from the policy.
    pub expected: Decision,
    /// Identity of the expectation.
    pub expectation_id: String,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// A driver asked for by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The system call to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syscall: Option<String>,
    /// Attribute payload of metadata calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attr_payload: Option<String>,
    /// Id of an anchor context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor_ctx_id: Option<String>,
    /// SBPL filter name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_name: Option<String>,
    /// Kernel number of that filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_type: Option<i64>,
    /// The probe's id in the registry.
    #[serde(skip)]
    pub probe_id: String,
    /// Lanes the probe can take part in.
    #[serde(skip)]
    pub supports_lanes: LaneSupport,
    /// What the probe needs from its surroundings.
    #[serde(skip)]
    pub capabilities_required: Vec<String>,
    /// Control runs that make sense for it.
    #[serde(skip)]
    pub controls_supported: Vec<String>,
}

/// Why a plan cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The plan names profiles the registry lacks.
    #[error("the plan names profiles that registry {registry:?} does not have: {}", .profiles.join(", "))]
    UnknownProfiles {
        /// The registry.
        registry: String,
        /// The profile ids.
        profiles: Vec<String>,
    },
    /// A profile refers to probes the registry lacks.
    #[error("profile {profile:?} refers to probes that registry {registry:?} does not have: {}", .probes.join(", "))]
    UnknownProbes {
        /// The registry.
        registry: String,
        /// The profile.
        profile: String,
        /// The probe ids.
        probes: Vec<String>,
    },
    /// The profile's path is refused.
    #[error("profile_path {path:?} of profile {profile:?}")]
    Path {
        /// The profile.
        profile: String,
        /// The path as written.
        path: String,
        /// The cause.
        source: StoredPathError,
    },
    /// A compiled blob is declared as SBPL text.
    #[error("profile {profile:?} has mode \"sbpl\" but its path {path:?} names a compiled blob")]
    BlobAsSbpl {
        /// The profile.
        profile: String,
        /// The path as written.
        path: String,
    },
    /// Filter values that match nothing in the plan.
    #[error("the plan has no {kind} named {}", .values.join(", "))]
    UnknownFilters {
        /// "profile" or "scenario".
        kind: &'static str,
        /// The values.
        values: Vec<String>,
    },
    /// No profile, or no row, is left to run.
    #[error("nothing is left to run in plan {0:?}")]
    NothingToRun(String),
}

/// Joins `plan` and `registry`, narrowed by `filters`. Every step looks ids up in maps; nothing is read again.
///
/// # Errors
/// See [`CompileError`]. A profile that `filters` leave out must still exist.
pub fn compile(plan: &Plan, registry: &Registry, filters: &Filters) -> Result<CompiledPlan, CompileError> {
    let absent = |ids: &[String], present: &dyn Fn(&str) -> bool| -> Vec<String> {
        ids.iter().filter(|id| !present(id)).cloned().collect()
    };
    let profiles = absent(&plan.profiles, &|id| registry.profiles.contains_key(id));
    if !profiles.is_empty() {
        return Err(CompileError::UnknownProfiles { registry: registry.id.clone(), profiles });
    }
    let values = absent(&filters.profiles, &|id| plan.profiles.iter().any(|profile| profile == id));
    if !values.is_empty() {
        return Err(CompileError::UnknownFilters { kind: "profile", values });
    }
    let mut compiled = Vec::new();
    for id in &plan.profiles {
        let profile = &registry.profiles[id.as_str()];
        compiled.push(compile_profile(profile, registry)?);
    }
    let scenarios: BTreeSet<&str> =
        compiled.iter().flat_map(|profile| &profile.rows).map(|row| row.expectation_id.as_str()).collect();
    let values = absent(&filters.scenarios, &|id| scenarios.contains(id));
    if !values.is_empty() {
        return Err(CompileError::UnknownFilters { kind: "scenario", values });
    }
    compiled.retain_mut(|profile| {
        let kept = filters.profiles.is_empty() || filters.profiles.contains(&profile.id);
        if !filters.scenarios.is_empty() {
            profile.rows.retain(|row| filters.scenarios.contains(&row.expectation_id));
        }
        kept && !profile.rows.is_empty()
    });
    if compiled.is_empty() {
        return Err(CompileError::NothingToRun(plan.plan_id.clone()));
    }
    Ok(CompiledPlan { profiles: compiled })
}

fn compile_profile(profile: &Profile, registry: &Registry) -> Result<CompiledProfile, CompileError> {
    let path = registry.base.resolve(&profile.profile_path).map_err(|source| CompileError::Path {
        profile: profile.profile_id.clone(),
        path: profile.profile_path.clone(),
        source,
    })?;
    if profile.is_blob_declared_as_sbpl() {
        let (profile, path) = (profile.profile_id.clone(), profile.profile_path.clone());
        return Err(CompileError::BlobAsSbpl { profile, path });
    }
    let probes: Vec<String> =
        profile.probe_refs.iter().filter(|id| !registry.probes.contains_key(id.as_str())).cloned().collect();
    if !probes.is_empty() {
        let (registry, profile) = (registry.id.clone(), profile.profile_id.clone());
        return Err(CompileError::UnknownProbes { registry, profile, probes });
    }
    Ok(CompiledProfile {
        id: profile.profile_id.clone(),
        stored_path: registry.base.relative(&path),
        path,
        mode: profile.mode,
        family: profile.family.clone(),
        semantic_group: profile.semantic_group.clone(),
        key_specific_rules: profile.key_specific_rules.clone(),
        rows: profile.probe_refs.iter().map(|id| row(&registry.probes[id.as_str()])).collect(),
    })
}

fn row(probe: &Probe) -> ProbeRow {
    // The format leaves empty texts out of a row.
    let text = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
    ProbeRow {
        name: probe.name.clone(),
        operation: probe.operation.clone(),
        target: probe.target.clone(),
        expected: probe.expected,
        expectation_id: probe.expectation_id().to_owned(),
        mode: text(&probe.mode),
        driver: text(&probe.driver),
        syscall: text(&probe.syscall),
        attr_payload: text(&probe.attr_payload),
        anchor_ctx_id: text(&probe.anchor_ctx_id),
        filter_name: text(&probe.filter_name),
        filter_type: probe.filter_type,
        probe_id: probe.probe_id.clone(),
        supports_lanes: probe.supports_lanes,
        capabilities_required: probe.capabilities_required.clone(),
        controls_supported: probe.controls_supported.clone(),
    }
}
