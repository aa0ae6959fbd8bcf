//! The rows of the baseline lane, to be found by the rows they are controls of.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::text;

/// The members of a control that any rule reads; of the others nothing is kept.
const MEMBERS: [&str; 7] = ["status", "error", "exit_code", "errno", "errno_name", "timeout", "reached_primary_op"];
/// The same of its `probe_details`; rows of ours hold what the driver saw one level further in.
const DETAILS: [&str; 2] = ["service_present", "xpc_error"];

/// Of each profile, what names a row and where that stands among those kept.
type Names = HashMap<Box<str>, HashMap<Box<str>, usize>>;

/// What the rules need of the rows of the baseline lane.
#[derive(Debug, Default)]
pub struct Controls {
    /// Position in the document, and members.
    rows: Vec<(usize, Map<String, Value>)>,
    by_expectation: Names,
    by_name: Names,
    by_target: Names,
}

impl Controls {
    /// Of the `results` of `baseline_results.json`.
    #[must_use]
    pub fn of(rows: &[Value]) -> Self {
        let mut controls = Self::default();
        rows.iter().enumerate().for_each(|(position, row)| controls.add(position, row));
        controls
    }

    /// Adds the row at `position`. Where several rows say they are the control, the first is.
    pub fn add(&mut self, position: usize, row: &Value) {
        let Some(row) = row.as_object() else { return };
        let Some(profile) = text(row, "profile_id") else { return };
        let at = self.rows.len();
        if let Some(expectation) = text(row, "expectation_id") {
            enter(&mut self.by_expectation, profile, expectation, at);
        }
        if let Some(name) = text(row, "probe_name") {
            enter(&mut self.by_name, profile, name, at);
        }
        if let (Some(operation), Some(target)) = (text(row, "operation"), text(row, "target")) {
            enter(&mut self.by_target, profile, &aim(operation, target), at);
        }
        if !self.by_expectation.is_empty() {
            // Rows that carry expectations are known by them alone: names need not be unique.
            (self.by_name, self.by_target) = (Names::new(), Names::new());
        }
        let mut kept = picked(row, &MEMBERS);
        if let Some(details) = row.get("probe_details").and_then(Value::as_object) {
            let mut told = picked(details, &DETAILS);
            if let Some(inner) = details.get("details").and_then(Value::as_object) {
                told.insert("details".to_owned(), Value::Object(picked(inner, &DETAILS)));
            }
            kept.insert("probe_details".to_owned(), Value::Object(told));
        }
        self.rows.push((position, kept));
    }

    /// The control of a row, and its position.
    pub(super) fn find(
        &self,
        profile: &str,
        row: &Map<String, Value>,
        operation: &str,
        target: Option<&str>,
    ) -> Option<(usize, &Map<String, Value>)> {
        let of = |names: &Names, name: &str| names.get(profile)?.get(name).copied();
        let at = if self.by_expectation.is_empty() {
            let by_name = text(row, "name").and_then(|name| of(&self.by_name, name));
            by_name.or_else(|| of(&self.by_target, &aim(operation, target?)))?
        } else {
            of(&self.by_expectation, text(row, "expectation_id")?)?
        };
        let (position, members) = &self.rows[at];
        Some((*position, members))
    }
}

fn enter(names: &mut Names, profile: &str, name: &str, at: usize) {
    if !names.contains_key(profile) {
        names.insert(profile.into(), HashMap::new());
    }
    if let Some(of_profile) = names.get_mut(profile)
        && !of_profile.contains_key(name)
    {
        of_profile.insert(name.into(), at);
    }
}

/// No operation holds a NUL.
fn aim(operation: &str, target: &str) -> String {
    format!("{operation}\0{target}")
}

fn picked(from: &Map<String, Value>, keys: &[&str]) -> Map<String, Value> {
    keys.iter().filter_map(|key| Some(((*key).to_owned(), from.get(*key)?.clone()))).collect()
}
