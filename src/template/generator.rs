//! What the generators share: the head of a generated suite, and the entries they add to it.
//!
//! A generator reads a template's data and makes plan and registry. It collects every finding about the data; a suite that
//! comes with an error among them is not used.

use indexmap::IndexMap;
use indexmap::map::Entry;
use serde_json::{Map, Value, json};

use super::build::Suite;
use crate::base::position::escape;
use crate::plan::PLAN_TAG;
use crate::registry::check::{self, Field, Kind, Sink, optional, required};
use crate::registry::{LaneSupport, PROBES_TAG, PROFILES_TAG, Probe, Profile, ProfileMode};
use crate::vocab::{Decision, Operation, Severity};

/// The control runs every generated probe supports.
const CONTROLS: [&str; 3] = ["baseline", "allow_default", "deny_default"];

/// The keys that the templates of both generators have, with what they hold.
const HEAD: &[Field] = &[
    required("schema_version", Kind::Text),
    required("template_id", Kind::Id),
    optional("generator", Kind::Text),
    required("world_id", Kind::Id),
    required("profiles", Kind::Object),
    optional("registry_id", Kind::Id),
    optional("plan_id", Kind::Id),
    optional("apply_preflight_profile", Kind::OptionalText),
    optional("lanes", Kind::Lanes),
    optional("controls", Kind::Object),
    optional("family", Kind::OptionalText),
    optional("semantic_group", Kind::OptionalText),
    optional("profile_order", Kind::IdList),
    optional("notes", Kind::OptionalText),
    optional("accepted_lints", Kind::Object),
];

/// What a template says about the suite as a whole, defaults filled in.
pub(super) struct Head<'t> {
    template: &'t Map<String, Value>,
    registry_id: &'t str,
    world_id: &'t str,
    lanes: Value,
    /// The lanes as its probes carry them.
    support: LaneSupport,
    /// The profiles in plan order, each with its object and its pointer.
    pub profiles: Vec<(&'t str, &'t Map<String, Value>, String)>,
}

impl<'t> Head<'t> {
    /// Reads the head; None when nothing can be made of it, which is a finding then. `own` are the keys that only templates of
    /// this generator have. Without `lanes` a plan has `default_lanes`.
    pub(super) fn read(
        template: &'t Map<String, Value>,
        own: &[Field],
        default_lanes: LaneSupport,
        sink: &mut Sink<'_>,
    ) -> Option<Self> {
        let before = sink.len();
        let fields = [HEAD, own].concat();
        check::object(&Value::Object(template.clone()), &fields, Severity::Error, "the template", "", sink);
        if sink.has_error_since(before) {
            return None;
        }
        let text = |key: &str| template.get(key).and_then(Value::as_str);
        let lanes = template.get("lanes").cloned().unwrap_or_else(|| json!(default_lanes));
        let lane = |name: &str| lanes[name].as_bool().unwrap_or(true);
        let support = LaneSupport { baseline: lane("baseline"), scenario: lane("scenario"), oracle: lane("oracle") };
        let profiles = in_order(template, sink);
        Some(Self {
            template,
            registry_id: text("registry_id").or_else(|| text("template_id"))?,
            world_id: text("world_id")?,
            lanes,
            support,
            profiles,
        })
    }

    /// A text of the template that profiles fall back to.
    pub(super) fn shared(&self, key: &str) -> Option<String> {
        self.template.get(key).and_then(Value::as_str).map(str::to_owned)
    }

    /// A probe of `profile` with everything that the generated ones have in common.
    pub(super) fn probe(
        &self,
        profile: &str,
        name: String,
        operation: &str,
        target: &str,
        expected: Decision,
    ) -> Probe {
        Probe {
            probe_id: format!("{profile}:{name}"),
            name,
            operation: Operation::new(operation),
            target: target.to_owned(),
            expected,
            supports_lanes: self.support,
            expected_primary_ops: vec![operation.to_owned()],
            expected_predicates: vec![target.to_owned()],
            capabilities_required: Vec::new(),
            controls_supported: CONTROLS.map(str::to_owned).to_vec(),
            expectation_id: None,
            mode: None,
            driver: None,
            syscall: None,
            attr_payload: None,
            anchor_ctx_id: None,
            filter_name: None,
            filter_type: None,
        }
    }

    /// The suite of these entries.
    pub(super) fn suite(&self, probes: &IndexMap<String, Probe>, profiles: &IndexMap<String, Profile>) -> Suite {
        let text = |key: &str| self.template.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (registry_id, world_id) = (self.registry_id, self.world_id);
        let plan_id = text("plan_id").map_or_else(|| format!("{registry_id}.v1"), str::to_owned);
        let mut plan = Map::new();
        plan.insert("schema_version".to_owned(), json!(PLAN_TAG));
        plan.insert("plan_id".to_owned(), json!(plan_id));
        plan.insert("registry_id".to_owned(), json!(registry_id));
        plan.insert("world_id".to_owned(), json!(world_id));
        plan.insert("profiles".to_owned(), profiles.keys().cloned().collect());
        plan.insert("lanes".to_owned(), self.lanes.clone());
        let controls = self.template.get("controls").cloned();
        plan.insert("controls".to_owned(), controls.unwrap_or_else(|| json!({"baseline": true})));
        for key in ["apply_preflight_profile", "notes"] {
            if let Some(value) = text(key) {
                plan.insert(key.to_owned(), json!(value));
            }
        }
        if let Some(accepted) = self.template.get("accepted_lints") {
            plan.insert("accepted_lints".to_owned(), accepted.clone());
        }
        Suite {
            plan: Value::Object(plan),
            probes: json!({"schema_version": PROBES_TAG, "registry_id": registry_id, "world_id": world_id, "probes": probes}),
            profiles: json!({"schema_version": PROFILES_TAG, "registry_id": registry_id, "world_id": world_id,
                "profiles": profiles}),
        }
    }
}

/// The template's profiles in the order of `profile_order`, else in file order. One that is left out of the order, listed
/// twice or unknown is a finding: nothing of a template is skipped silently.
fn in_order<'t>(
    template: &'t Map<String, Value>,
    sink: &mut Sink<'_>,
) -> Vec<(&'t str, &'t Map<String, Value>, String)> {
    let known = template.get("profiles").and_then(Value::as_object);
    let listed = template.get("profile_order").and_then(Value::as_array);
    let order: Vec<&str> = match listed {
        Some(listed) => listed.iter().filter_map(Value::as_str).collect(),
        None => known.into_iter().flat_map(Map::keys).map(String::as_str).collect(),
    };
    for (at, id) in order.iter().enumerate() {
        let pointer = format!("/profile_order/{at}");
        if known.is_none_or(|known| !known.contains_key(*id)) {
            sink.error("template-generator", &pointer, format!("the template has no profile {id:?}"));
        } else if order[..at].contains(id) {
            sink.error("template-generator", &pointer, format!("profile {id:?} is listed twice"));
        }
    }
    for id in known.into_iter().flat_map(Map::keys).filter(|id| !order.contains(&id.as_str())) {
        let pointer = format!("/profiles/{}", escape(id));
        sink.error("template-generator", &pointer, format!("profile {id:?} is not in profile_order"));
    }
    let mut profiles = Vec::new();
    for (id, value) in order.into_iter().filter_map(|id| known?.get_key_value(id)) {
        let pointer = format!("/profiles/{}", escape(id));
        match value.as_object() {
            Some(profile) => profiles.push((id.as_str(), profile, pointer)),
            None => {
                let message = format!("profile {id:?} is {}, expected an object", check::kind_name(value));
                sink.error("wrong-type", &pointer, message);
            }
        }
    }
    profiles
}

/// A profile of the suite; `family` and `semantic_group` are the generator's business.
pub(super) fn profile(
    id: &str,
    map: &Map<String, Value>,
    mode: ProfileMode,
    probe_refs: Vec<String>,
    [family, semantic_group]: [Option<String>; 2],
) -> Profile {
    let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
    Profile {
        profile_id: id.to_owned(),
        profile_path: text("sbpl").unwrap_or_default(),
        mode,
        probe_refs,
        family,
        semantic_group,
        key_specific_rules: texts(map.get("key_specific_rules")).map(str::to_owned).collect(),
        notes: text("notes"),
    }
}

/// The texts of an array.
pub(super) fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// The pairs of texts of an array; anything else in it is a finding.
pub(super) fn pairs<'v>(value: &'v Value, pointer: &str, sink: &mut Sink<'_>) -> Vec<(&'v str, &'v str)> {
    let mut pairs = Vec::new();
    for (at, member) in value.as_array().into_iter().flatten().enumerate() {
        match member.as_array().map(Vec::as_slice) {
            Some([Value::String(first), Value::String(second)]) => pairs.push((first.as_str(), second.as_str())),
            _ => {
                let message = format!("member {at} is {}, expected a pair of paths", check::kind_name(member));
                sink.error("wrong-type", &format!("{pointer}/{at}"), message);
            }
        }
    }
    pairs
}

/// Adds a generated probe and its reference. The same probe again adds nothing, another one of that id is a finding.
pub(super) fn add(
    probes: &mut IndexMap<String, Probe>,
    probe_refs: &mut Vec<String>,
    probe: Probe,
    pointer: &str,
    sink: &mut Sink<'_>,
) {
    match probes.entry(probe.probe_id.clone()) {
        Entry::Vacant(entry) => {
            probe_refs.push(probe.probe_id.clone());
            entry.insert(probe);
        }
        Entry::Occupied(entry) if *entry.get() == probe => {}
        Entry::Occupied(entry) => conflict(entry.key(), pointer, sink),
    }
}

/// Two probes have one id and differ.
pub(super) fn conflict(id: &str, pointer: &str, sink: &mut Sink<'_>) {
    sink.error("template-generator", pointer, format!("two probes have the id {id:?} and differ"));
}
