//! The plan document (`SPEC.md`, section "Plans"): which profiles of which registry run in which lanes.

use std::path::Path;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value};

use super::digest;
use crate::base::digest::Sha256Hex;
use crate::base::position::escape;
use crate::registry::check::{self, Field, Kind, Sink, optional, required};
use crate::registry::{Base, Document, DocumentError, Place, Refusal};
use crate::vocab::{Finding, Lane, Severity};

/// Schema tag of a plan.
pub const PLAN_TAG: &str = "runtime-tools.plan.v0.1";

/// The fields of a plan; its schema is made from them.
pub const PLAN_FIELDS: &[Field] = &[
    required("schema_version", Kind::Text),
    required("plan_id", Kind::Id),
    required("registry_id", Kind::Id),
    required("profiles", Kind::IdList),
    optional("world_id", Kind::OptionalText),
    optional("lanes", Kind::Lanes),
    optional("controls", Kind::Object),
    optional("apply_preflight_profile", Kind::OptionalText),
    optional("notes", Kind::OptionalText),
    optional("fixtures", Kind::OptionalText),
    optional("accepted_lints", Kind::Object),
];

/// A plan, free of document errors.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The plan's id.
    pub plan_id: String,
    /// The registry it takes profiles from.
    pub registry_id: String,
    /// The world it is bound to: an exact id, a family, or `host`; `None` means the host it runs on.
    pub world_id: Option<String>,
    /// Profile ids in run order.
    pub profiles: Vec<String>,
    /// The lanes it asks for.
    pub lanes: Lanes,
    /// Recorded and digested; nothing acts on it yet.
    pub controls: Map<String, Value>,
    /// A profile applied once before the run, as written.
    pub apply_preflight_profile: Option<String>,
    /// Free text.
    pub notes: Option<String>,
    /// The fixture set's file as written; an addition of this tool, not digested.
    pub fixtures: Option<String>,
    /// Ids of warnings that are meant, each with the reason; an addition of this tool, not digested.
    pub accepted_lints: IndexMap<String, String>,
    /// The document it was read from.
    pub document: Document,
}

/// The lanes of a plan. A lane that is not named is on, for lint and run alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Lanes {
    /// Perform the operation under the policy.
    pub scenario: bool,
    /// Perform it without a policy.
    pub baseline: bool,
    /// Ask instead of perform.
    pub oracle: bool,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { scenario: true, baseline: true, oracle: true }
    }
}

impl Lanes {
    /// No lane: what `--dry` runs.
    pub const NONE: Self = Self { scenario: false, baseline: false, oracle: false };

    /// Whether `lane` is on.
    #[must_use]
    pub fn has(self, lane: Lane) -> bool {
        match lane {
            Lane::Scenario => self.scenario,
            Lane::Baseline => self.baseline,
            Lane::Oracle => self.oracle,
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file cannot be read or is not JSON.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The document is not an acceptable plan.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Reads the plan at `place`.
///
/// # Errors
/// See [`PlanError`]; a refusal holds every finding.
pub fn load_plan(place: &Place) -> Result<Plan, PlanError> {
    let (plan, findings) = read(Document::read(place)?);
    match plan {
        Some(plan) => Ok(plan),
        None => Err(Refusal { findings }.into()),
    }
}

/// Checks a document as a plan: the plan when no error stands against it, and every finding.
#[must_use]
pub fn read(document: Document) -> (Option<Plan>, Vec<Finding>) {
    let (plan, findings) = read_usable(document);
    let refused = findings.iter().any(|finding| finding.severity == Severity::Error);
    (plan.filter(|_| !refused), findings)
}

/// Like [`read`], but gives whatever part of a refused plan is usable, so that a lint can go on and find everything. None
/// when the document carries another tag. A profile id that is not a string is empty in the result.
pub(super) fn read_usable(document: Document) -> (Option<Plan>, Vec<Finding>) {
    let file = document.place.to_string();
    let mut sink = Sink::new(&file);
    let tagged = check_document(document.value(), &mut sink);
    let mut findings = sink.into_findings();
    document.add_positions(&mut findings);
    (tagged.then(|| usable(document)), findings)
}

fn usable(document: Document) -> Plan {
    let text = |key: &str| document.value().get(key).and_then(Value::as_str).map(str::to_owned);
    let given = |key: &str| text(key).filter(|text| !text.is_empty());
    let lane = |name: &str| document.value().get("lanes").and_then(|lanes| lanes.get(name)?.as_bool()).unwrap_or(true);
    let profiles = document.value().get("profiles").and_then(Value::as_array);
    Plan {
        plan_id: text("plan_id").unwrap_or_default(),
        registry_id: text("registry_id").unwrap_or_default(),
        world_id: given("world_id"),
        profiles: profiles.into_iter().flatten().map(|id| id.as_str().unwrap_or_default().to_owned()).collect(),
        lanes: Lanes { scenario: lane("scenario"), baseline: lane("baseline"), oracle: lane("oracle") },
        controls: document.value().get("controls").and_then(Value::as_object).cloned().unwrap_or_default(),
        apply_preflight_profile: given("apply_preflight_profile"),
        notes: text("notes"),
        fixtures: text("fixtures"),
        accepted_lints: accepted(document.value()),
        document,
    }
}

/// The ids that are accepted for a reason.
fn accepted(value: &Value) -> IndexMap<String, String> {
    let given = value.get("accepted_lints").and_then(Value::as_object).into_iter().flatten();
    let given = given.filter_map(|(id, reason)| Some((id.clone(), reason.as_str()?.to_owned())));
    given.filter(|(_, reason)| !reason.trim().is_empty()).collect()
}

/// Whether the document carries the tag of a plan; everything wrong with it goes to `sink`.
fn check_document(value: &Value, sink: &mut Sink<'_>) -> bool {
    if !check::has_tag(value, PLAN_TAG, sink) {
        return false;
    }
    if value.get("schema_versions").is_some() {
        let finding =
            sink.error("forbidden-key", "/schema_versions", "a plan must not have the key \"schema_versions\"");
        finding.help = Some("remove it; the digest counts it as absent".to_owned());
    }
    let Some(map) = value.as_object() else { return false };
    // The forbidden key has its own finding; it is not reported a second time as unknown.
    let mut rest = map.clone();
    rest.shift_remove("schema_versions");
    check::object(&Value::Object(rest), PLAN_FIELDS, Severity::Warning, "the plan", "", sink);
    for (id, reason) in map.get("accepted_lints").and_then(Value::as_object).into_iter().flatten() {
        if reason.as_str().is_none_or(|reason| reason.trim().is_empty()) {
            let message = format!("accepted_lints gives no reason for {id:?}");
            let finding = sink.error("accepted-lint", &format!("/accepted_lints/{}", escape(id)), message);
            finding.help = Some("say in a text why the finding is meant".to_owned());
        }
    }
    true
}

impl Plan {
    /// The digest that bundles record.
    #[must_use]
    pub fn digest(&self) -> Sha256Hex {
        self.document.value().as_object().map_or_else(|| Sha256Hex::of(b""), digest::plan_digest)
    }

    /// Where the plan was read from.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.document.place
    }

    /// The base of the plan's own paths; `root` overrides the search for it.
    #[must_use]
    pub fn base(&self, root: Option<&Path>) -> Base {
        Base::of_plan(&self.document.place, root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_value(value: &Value) -> (Option<Plan>, Vec<String>) {
        let bytes = serde_json::to_vec(value).unwrap();
        let document = Document::parse(&Place::Disk("/w/plan.json".into()), bytes).unwrap();
        let (plan, findings) = read(document);
        (plan, findings.into_iter().map(|f| format!("{} {}", f.id, f.pointer.unwrap_or_default())).collect())
    }

    fn good() -> Value {
        json!({"schema_version": PLAN_TAG, "plan_id": "p.v1", "registry_id": "r", "profiles": ["r:a"]})
    }

    #[test]
    fn absent_lanes_are_on_and_the_rest_has_plain_defaults() {
        let (plan, findings) = read_value(&good());
        let plan = plan.unwrap();
        assert_eq!(findings, [""; 0]);
        assert_eq!(plan.lanes, Lanes::default());
        assert!(plan.lanes.has(Lane::Oracle) && !Lanes::NONE.has(Lane::Scenario));
        assert_eq!((plan.world_id, plan.apply_preflight_profile, plan.fixtures), (None, None, None));
        let mut one_off = good();
        one_off["lanes"] = json!({"oracle": false});
        let lanes = read_value(&one_off).0.unwrap().lanes;
        assert_eq!(lanes, Lanes { oracle: false, ..Lanes::default() });
    }

    #[test]
    fn every_bad_field_is_refused_by_name_and_warnings_do_not_refuse() {
        for (key, value, finding) in [
            ("schema_version", json!("runtime-tools.plan.v9"), "schema-tag /schema_version"),
            ("schema_version", json!(1), "schema-tag /schema_version"),
            ("schema_versions", json!({}), "forbidden-key /schema_versions"),
            ("plan_id", json!(""), "unusable-id /plan_id"),
            ("plan_id", json!(5), "wrong-type /plan_id"),
            ("registry_id", json!(null), "wrong-type /registry_id"),
            ("profiles", json!({}), "wrong-type /profiles"),
            ("profiles", json!(["a", 3]), "wrong-type /profiles/1"),
            ("lanes", json!({"senario": true}), "unknown-lane /lanes/senario"),
            ("lanes", json!({"scenario": "yes"}), "wrong-type /lanes/scenario"),
            ("lanes", json!([]), "wrong-type /lanes"),
            ("controls", json!(true), "wrong-type /controls"),
            ("world_id", json!(7), "wrong-type /world_id"),
            ("apply_preflight_profile", json!([]), "wrong-type /apply_preflight_profile"),
            ("notes", json!(1), "wrong-type /notes"),
            ("fixtures", json!({}), "wrong-type /fixtures"),
            ("accepted_lints", json!(["no-driver"]), "wrong-type /accepted_lints"),
            ("accepted_lints", json!({"no/driver": " "}), "accepted-lint /accepted_lints/no~1driver"),
            ("accepted_lints", json!({"no-driver": true}), "accepted-lint /accepted_lints/no-driver"),
        ] {
            let mut bad = good();
            bad[key] = value;
            let (plan, findings) = read_value(&bad);
            assert!(plan.is_none(), "{key}");
            assert_eq!(findings, [finding], "{key}");
        }
        for key in ["schema_version", "plan_id", "registry_id", "profiles"] {
            let mut bad = good();
            bad.as_object_mut().unwrap().shift_remove(key);
            assert!(read_value(&bad).0.is_none(), "{key}");
        }
        let mut odd = good();
        odd["Lanes"] = json!({});
        let (plan, findings) = read_value(&odd);
        assert!(plan.is_some());
        assert_eq!(findings, ["unknown-key /Lanes"]);
    }
}
