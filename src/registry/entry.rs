//! The entries of a registry as types, and the tables of their fields (`SPEC.md`, section "Registries").

use serde::{Deserialize, Serialize};

use super::check::{CONTROLS, Field, Kind, optional, required};
use crate::vocab::{Decision, Lane, Operation};

/// Schema tag of a probe registry.
pub const PROBES_TAG: &str = "runtime-tools.probe_registry.v0.2";
/// Schema tag of a profile registry.
pub const PROFILES_TAG: &str = "runtime-tools.profile_registry.v0.2";

/// The fields of a probe registry; its schema is made from these and [`PROBE_FIELDS`].
pub const PROBE_REGISTRY_FIELDS: &[Field] = &registry_fields("probes");

/// The fields of a profile registry; its schema is made from these and [`PROFILE_FIELDS`].
pub const PROFILE_REGISTRY_FIELDS: &[Field] = &registry_fields("profiles");

const fn registry_fields(entries: &'static str) -> [Field; 4] {
    [
        required("schema_version", Kind::Text),
        required("registry_id", Kind::Id),
        required("world_id", Kind::Id),
        required(entries, Kind::Object),
    ]
}

/// The fields of a probe; any other key is an error.
pub const PROBE_FIELDS: &[Field] = &[
    required("probe_id", Kind::Id),
    required("name", Kind::Text),
    required("operation", Kind::Text),
    required("target", Kind::Text),
    required("expected", Kind::Word("expected-word", &["allow", "deny"])),
    required("supports_lanes", Kind::Lanes),
    required("expected_primary_ops", Kind::TextList),
    required("expected_predicates", Kind::TextList),
    required("capabilities_required", Kind::TextList),
    required("controls_supported", Kind::WordList("control-word", CONTROLS)),
    optional("expectation_id", Kind::OptionalText),
    optional("mode", Kind::OptionalText),
    optional("driver", Kind::OptionalText),
    optional("syscall", Kind::OptionalText),
    optional("attr_payload", Kind::OptionalText),
    optional("anchor_ctx_id", Kind::OptionalText),
    optional("filter_name", Kind::OptionalText),
    optional("filter_type", Kind::OptionalInteger),
];

/// The fields of a profile; any other key is an error.
pub const PROFILE_FIELDS: &[Field] = &[
    required("profile_id", Kind::Id),
    required("profile_path", Kind::Text),
    required("mode", Kind::Word("profile-mode", &["sbpl", "blob"])),
    required("probe_refs", Kind::TextList),
    required("family", Kind::OptionalText),
    required("semantic_group", Kind::OptionalText),
    required("key_specific_rules", Kind::TextList),
    required("notes", Kind::OptionalText),
];

/// One operation on one target with an expected decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The probe's id; equals its key.
    pub probe_id: String,
    /// Short name, unique within a profile.
    pub name: String,
    /// The SBPL operation, as written.
    pub operation: Operation,
    /// What it is aimed at; may contain `${FIXTURES}`.
    pub target: String,
    /// The decision expected from the policy.
    pub expected: Decision,
    /// The lanes the probe can take part in.
    pub supports_lanes: LaneSupport,
    /// Operations the kernel is expected to check.
    pub expected_primary_ops: Vec<String>,
    /// Filter arguments the decision is expected to depend on.
    pub expected_predicates: Vec<String>,
    /// What the probe needs from its surroundings, for instance `loopback_listener`.
    pub capabilities_required: Vec<String>,
    /// Control runs that make sense for it.
    pub controls_supported: Vec<String>,
    /// Identity of the expectation, where it is not the probe's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expectation_id: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// A driver asked for by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The system call to use, where the driver offers several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syscall: Option<String>,
    /// Attribute payload of metadata calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attr_payload: Option<String>,
    /// Id of an anchor context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor_ctx_id: Option<String>,
    /// SBPL filter name the target is an argument of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_name: Option<String>,
    /// Kernel number of that filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_type: Option<i64>,
}

impl Probe {
    /// The identity of what is expected: the probe's own `expectation_id`, else its id.
    #[must_use]
    pub fn expectation_id(&self) -> &str {
        self.expectation_id.as_deref().filter(|id| !id.is_empty()).unwrap_or(&self.probe_id)
    }
}

/// Which lanes a probe supports; a lane that is not named is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LaneSupport {
    /// Without a policy.
    pub baseline: bool,
    /// Under the policy.
    pub scenario: bool,
    /// Asked, not observed.
    pub oracle: bool,
}

impl LaneSupport {
    /// Whether the probe supports `lane`.
    #[must_use]
    pub fn has(self, lane: Lane) -> bool {
        match lane {
            Lane::Scenario => self.scenario,
            Lane::Baseline => self.baseline,
            Lane::Oracle => self.oracle,
        }
    }
}

impl Default for LaneSupport {
    fn default() -> Self {
        Self { baseline: true, scenario: true, oracle: true }
    }
}

/// What a profile file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProfileMode {
    /// SBPL text.
    Sbpl,
    /// A compiled blob.
    Blob,
}

/// One sandbox policy with its ordered probes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The profile's id; equals its key.
    pub profile_id: String,
    /// The policy's file as written; see [`super::place::Base::resolve`].
    pub profile_path: String,
    /// What the file holds.
    pub mode: ProfileMode,
    /// Ids of the probes in run order.
    pub probe_refs: Vec<String>,
    /// Tag.
    pub family: Option<String>,
    /// Tag.
    pub semantic_group: Option<String>,
    /// SBPL snippets appended to the profile text for this run.
    pub key_specific_rules: Vec<String>,
    /// Free text.
    pub notes: Option<String>,
}

impl Profile {
    /// Whether the path has the suffix of compiled blobs although the mode says text.
    #[must_use]
    pub fn is_blob_declared_as_sbpl(&self) -> bool {
        self.mode == ProfileMode::Sbpl && self.profile_path.ends_with(".bin")
    }
}
