//! Compiling: a plan and its registry become profiles with their rows, in run order (`SPEC.md`, section "Compiling").
//!
//! Pure. Whatever does not fit together is a typed error that names every id concerned; nothing is skipped silently.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};

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

impl CompiledPlan {
    /// The expected matrix (object form) of what runs in the world `world_id`.
    #[must_use]
    pub fn expected_matrix(&self, world_id: &str) -> Value {
        let profiles: Map<String, Value> = self
            .profiles
            .iter()
            .map(|profile| {
                let mode = if profile.mode == ProfileMode::Blob { "blob" } else { "sbpl" };
                let body = json!({
                    "blob": profile.stored_path, "mode": mode, "family": profile.family,
                    "semantic_group": profile.semantic_group, "probes": profile.rows,
                });
                (profile.id.clone(), body)
            })
            .collect();
        json!({"world_id": world_id, "profiles": profiles})
    }
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
    /// The plan names a profile twice; results are keyed by profile, so one run would hide the other.
    #[error("the plan names profiles twice: {}", .0.join(", "))]
    DuplicateProfiles(Vec<String>),
    /// Two rows of a profile share an expectation, or one probe is referred to twice.
    #[error("profile {profile:?} has several rows for the expectations {}", .expectations.join(", "))]
    DuplicateExpectations {
        /// The profile.
        profile: String,
        /// The expectation ids.
        expectations: Vec<String>,
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
    let twice = repeated(plan.profiles.iter().map(String::as_str));
    if !twice.is_empty() {
        return Err(CompileError::DuplicateProfiles(twice));
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
    let rows: Vec<ProbeRow> = profile.probe_refs.iter().map(|id| row(&registry.probes[id.as_str()])).collect();
    let expectations = repeated(rows.iter().map(|row| row.expectation_id.as_str()));
    if !expectations.is_empty() {
        return Err(CompileError::DuplicateExpectations { profile: profile.profile_id.clone(), expectations });
    }
    Ok(CompiledProfile {
        id: profile.profile_id.clone(),
        stored_path: registry.base.relative(&path),
        path,
        mode: profile.mode,
        family: profile.family.clone(),
        semantic_group: profile.semantic_group.clone(),
        key_specific_rules: profile.key_specific_rules.clone(),
        rows,
    })
}

/// What occurs more than once, each once, sorted.
fn repeated<'a>(values: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let again: BTreeSet<&str> = values.filter(|value| !seen.insert(*value)).collect();
    again.into_iter().map(str::to_owned).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::json::to_line;
    use crate::plan::document;
    use crate::registry::{self, Document, Files, Lookup, Source};

    fn probe(id: &str, expectation: Option<&str>) -> Value {
        let mut probe = json!({"probe_id": id, "name": id, "operation": "file-read-data", "target": "/x",
            "expected": "deny", "supports_lanes": {"oracle": false}, "expected_primary_ops": [], "expected_predicates": [],
            "capabilities_required": ["loopback_listener"], "controls_supported": []});
        if let Some(expectation) = expectation {
            probe["expectation_id"] = json!(expectation);
        }
        probe
    }

    fn profile(id: &str, path: &str, refs: &[&str]) -> Value {
        json!({"profile_id": id, "profile_path": path, "mode": "sbpl", "probe_refs": refs, "family": null,
            "semantic_group": "g", "key_specific_rules": ["(allow signal)"], "notes": null})
    }

    fn registry() -> Registry {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let write = |name: &str, key: &str, entries: Value| {
            let tag = format!("runtime-tools.{}_registry.v0.2", key.trim_end_matches('s'));
            let document = json!({"schema_version": tag, "registry_id": "r", "world_id": "linux", key: entries});
            let file = tempfile::NamedTempFile::new_in(directory.path()).unwrap().persist(path(name)).unwrap();
            serde_json::to_writer(file, &document).unwrap();
        };
        let mut rich = probe("p3", Some(""));
        rich["driver"] = json!("file_probe");
        rich["syscall"] = json!("");
        rich["filter_type"] = json!(0);
        write("probes.json", "probes", json!({"p1": probe("p1", None), "p2": probe("p2", Some("e2")), "p3": rich}));
        write(
            "profiles.json",
            "profiles",
            json!({"a": profile("a", "sb/a.sb", &["p2", "p1"]), "b": profile("b", "./b.sb", &["p1", "p3"]),
                "blob": profile("blob", "sb/a.sb.bin", &["p1"]), "lost": profile("lost", "sb/a.sb", &["p1", "p9"]),
                "out": profile("out", "../a.sb", &["p1"]), "twice": profile("twice", "a.sb", &["p1", "p1"])}),
        );
        let files = Files {
            probes: Place::Disk(path("probes.json")),
            profiles: Place::Disk(path("profiles.json")),
            source: Source::Given("here".to_owned()),
        };
        let lookup = Lookup { root: Some(directory.path().to_path_buf()), ..Lookup::default() };
        registry::load(Some("r"), files, &lookup).unwrap()
    }

    fn plan(profiles: &[&str]) -> Plan {
        let value =
            json!({"schema_version": document::PLAN_TAG, "plan_id": "p", "registry_id": "r", "profiles": profiles});
        let bytes = serde_json::to_vec(&value).unwrap();
        document::read(Document::parse(&Place::Disk("/w/plan.json".into()), bytes).unwrap()).0.unwrap()
    }

    fn ids(compiled: &CompiledPlan) -> Vec<(&str, Vec<&str>)> {
        compiled
            .profiles
            .iter()
            .map(|profile| (profile.id.as_str(), profile.rows.iter().map(|row| row.expectation_id.as_str()).collect()))
            .collect()
    }

    fn filters(profiles: &[&str], scenarios: &[&str]) -> Filters {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        Filters { profiles: owned(profiles), scenarios: owned(scenarios) }
    }

    #[test]
    fn rows_stand_in_run_order_and_hold_what_a_matrix_holds() {
        let compiled = compile(&plan(&["b", "a"]), &registry(), &Filters::default()).unwrap();
        assert_eq!(ids(&compiled), [("b", vec!["p1", "p3"]), ("a", vec!["e2", "p1"])]);
        let b = &compiled.profiles[0];
        assert_eq!((b.stored_path.as_str(), b.key_specific_rules.len()), ("b.sb", 1));
        assert!(!b.rows[0].supports_lanes.oracle && b.rows[0].supports_lanes.scenario);
        assert_eq!(b.rows[0].capabilities_required, ["loopback_listener"]);
        assert_eq!(
            to_line(&b.rows[1]),
            r#"{"name":"p3","operation":"file-read-data","target":"/x","expected":"deny","expectation_id":"p3","driver":"file_probe","filter_type":0}"#
        );
    }

    #[test]
    fn filters_of_one_kind_are_alternatives_and_both_kinds_must_hold() {
        let (plan, registry) = (plan(&["a", "b"]), registry());
        for (filters, expected) in [
            (filters(&["b"], &[]), vec![("b", vec!["p1", "p3"])]),
            (filters(&[], &["p1"]), vec![("a", vec!["p1"]), ("b", vec!["p1"])]),
            (filters(&[], &["e2", "p3"]), vec![("a", vec!["e2"]), ("b", vec!["p3"])]),
            (filters(&["a", "b"], &["e2"]), vec![("a", vec!["e2"])]),
        ] {
            assert_eq!(ids(&compile(&plan, &registry, &filters).unwrap()), expected, "{filters:?}");
        }
        let refused = |filters: &Filters| compile(&plan, &registry, filters).unwrap_err().to_string();
        assert_eq!(refused(&filters(&["blob", "x"], &[])), "the plan has no profile named blob, x");
        assert_eq!(refused(&filters(&[], &["p1", "p2"])), "the plan has no scenario named p2");
        assert_eq!(refused(&filters(&["b"], &["e2"])), "nothing is left to run in plan \"p\"");
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        let registry = registry();
        let refused = |profiles: &[&str]| compile(&plan(profiles), &registry, &Filters::default()).unwrap_err();
        assert_eq!(
            refused(&["a", "x", "y"]),
            CompileError::UnknownProfiles { registry: "r".into(), profiles: vec!["x".into(), "y".into()] }
        );
        assert_eq!(refused(&["a", "b", "a"]), CompileError::DuplicateProfiles(vec!["a".into()]));
        assert!(
            matches!(refused(&["twice"]), CompileError::DuplicateExpectations { expectations, .. } if expectations == ["p1"])
        );
        assert!(matches!(refused(&["lost"]), CompileError::UnknownProbes { probes, .. } if probes == ["p9"]));
        assert!(matches!(refused(&["blob"]), CompileError::BlobAsSbpl { .. }));
        assert!(matches!(refused(&["out"]), CompileError::Path { .. }));
        assert_eq!(refused(&[]), CompileError::NothingToRun("p".into()));
    }
}
