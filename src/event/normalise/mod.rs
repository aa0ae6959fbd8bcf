//! `runtime_events.normalized.json`: one event a row, every claim next to what supports it.
//!
//! Rows of this tool and of the earlier one are normalised by the same rules, from the documents as they are stored: so events can
//! be made again from a bundle, byte for byte. Members without a value are left out; the policy layers are always there. A row
//! that is not what the format says becomes an event in error, with the reason, and takes no other row with it.

mod confounder;
mod control;
mod kind;
mod layers;
mod marker;
mod metadata;
mod outcome;
mod path;
mod prepass;
mod upgrade;

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use confounder::Case;
pub use control::Controls;
pub use metadata::MetadataRunner;

use super::row::RESULTS_DOCUMENT;
use crate::base::json as text_form;
use crate::base::position::escape;
use crate::vocab::darwin_errno_name;

/// What the events of one run have in common.
#[derive(Debug, Clone, Copy)]
pub struct Normaliser<'a> {
    /// World of the host that ran.
    pub world_id: &'a str,
    /// The run; `None` for rows from before runs had one.
    pub run_id: Option<&'a str>,
    /// Rows of the baseline lane.
    pub controls: &'a Controls,
}

/// One row and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct RowPlace<'a> {
    /// Profile.
    pub profile_id: &'a str,
    /// The profile's static preflight record; null when there is none.
    pub preflight: &'a Value,
    /// Position among the profile's rows, from 0.
    pub position: usize,
    /// The same probe in the expected matrix, for rows that leave something out.
    pub matrix: Option<&'a Value>,
}

impl Normaliser<'_> {
    /// The event of one row.
    #[must_use]
    pub fn event(&self, place: RowPlace<'_>, row: &Value) -> Value {
        let made = match row.as_object() {
            Some(members) => self.of_row(place, members),
            None => Err("the row is not an object".to_owned()),
        };
        without_nulls(made.unwrap_or_else(|why| self.in_error(place, row, &why)))
    }

    /// The event of a row that is not JSON.
    #[must_use]
    pub fn unreadable(&self, place: RowPlace<'_>, why: &str) -> Value {
        without_nulls(self.in_error(place, &Value::Null, why))
    }

    fn of_row(&self, place: RowPlace<'_>, row: &Map<String, Value>) -> Result<Value, String> {
        kind::check_row(row)?;
        let named = Named::of(place, row);
        let operation = named.operation;
        let stderr = text(row, "stderr").unwrap_or_default();
        let own = row.contains_key("decision_records");
        // A program under test writes to the same stream: in our rows nothing there says anything.
        let markers = if own { marker::Markers::none(stderr) } else { marker::read(stderr)? };
        let result = upgrade::upgrade(row, &markers)?;
        if let Some(broken) = upgrade::violation(&result, &markers) {
            return Err(broken);
        }
        let control = self.controls.find(place.profile_id, row, operation, named.target);
        let case = Case {
            world_id: self.world_id,
            operation,
            target: named.target.unwrap_or_default(),
            row,
            result: &result,
            control: control.map(|(_, control)| control),
        };
        let of = |key: &str| row.get(key).cloned().unwrap_or(Value::Null);
        let result_of = |key: &str| result.get(key).cloned().unwrap_or(Value::Null);
        let by_darwin = || i32::try_from(result.get("errno")?.as_i64()?).ok().and_then(darwin_errno_name);
        let errno_name = text(row, "errno_name").or_else(|| if own { None } else { by_darwin() });
        let (outcome, outcome_reason) = outcome::outcome(row, &result, case.control);
        let callouts = result.get("seatbelt_callouts").and_then(Value::as_array);
        // Rows of ours say what was really performed, and on what.
        let performed = text(row, "performed_operation").filter(|_| own).unwrap_or(operation);
        let resolved = text(row, "resolved_target").or(named.target);
        let asked_about = if own { resolved } else { named.target };
        let requested = resolved.filter(|_| operation.starts_with("file-"));
        let mut members = self.identity(place, &named);
        let told = json!({
            "requested_path": requested,
            "actual": of("actual"),
            "match": of("match"),
            "primary_intent": of("primary_intent"),
            "reached_primary_op": of("reached_primary_op"),
            "intended_op_witnessed": result_of("intended_op_witnessed"),
            "intended_op_proof": outcome::proof(row, &result),
            "outcome": outcome,
            "outcome_reason": outcome_reason,
            "first_denial_op": first_denial(row),
            "first_denial_filters": of("first_denial_filters"),
            "decision_path": of("decision_path"),
        });
        let judged = json!({
            "runtime_status": result_of("status"),
            "errno": result_of("errno"),
            "errno_name": errno_name,
            "errno_source": outcome::errno_source(row, &result),
            "policy_layers": layers::policy_layers(row, &result, case.control),
            "tcc_confounder": confounder::tcc(case),
            "service_confounder": confounder::service(case),
            "endpoint_confounder": confounder::endpoint(case),
            "file_confounder": confounder::file(case, errno_name),
            "network_confounder": confounder::network(case),
            "sandbox_check_prepass": callouts.map(|all| prepass::prepass(all, performed, asked_about)),
            "resource_hygiene": resource_hygiene(&result),
            "failure_stage": result_of("failure_stage"),
            "failure_kind": result_of("failure_kind"),
            "apply_report": result_of("apply_report"),
            "runner_info": result_of("runner_info"),
            "preflight": place.preflight.as_object(),
            "seatbelt_callouts": callouts,
            "entitlement_checks": result_of("entitlement_checks"),
            "probe_details": of("probe_details"),
            "violation_summary": of("violation_summary"),
            "command": of("command"),
        });
        for part in [told, judged] {
            members.extend(part.as_object().expect("written as an object above").clone());
        }
        members.extend(
            path::paths(self.world_id, row, requested, &markers.rest).map(|(key, value)| (key.to_owned(), value)),
        );
        for key in ["stdout", "error", "error_kind", "undecided", "effect_seen", "listener"] {
            members.insert(key.to_owned(), of(key));
        }
        let links = of("links_met");
        members.insert("links_met".to_owned(), if links == json!([]) { Value::Null } else { links });
        members.insert("stderr".to_owned(), json!(text(row, "stderr").map(|_| markers.rest)));
        let notes = [text(row, "notes"), text(row, "not_observed")].into_iter().flatten().next();
        members.insert("notes".to_owned(), json!(notes));
        if own {
            members.insert("harness".to_owned(), json!("runtime"));
            members.insert(
                "enforcement".to_owned(),
                json!({
                    "source": of("decision_source"), "records": of("decision_records"),
                    "records_dropped": of("decision_records_dropped"),
                }),
            );
            members.insert("evidence".to_owned(), evidence(place, row, control.map(|(at, _)| at)));
        }
        Ok(Value::Object(members))
    }

    /// The members that say which row an event is of; they are there whatever came of it.
    fn identity(&self, place: RowPlace<'_>, named: &Named<'_>) -> Map<String, Value> {
        let identity = json!({
            "world_id": self.world_id,
            "profile_id": place.profile_id,
            "scenario_id": named.expectation_id,
            "expectation_id": named.expectation_id,
            "run_id": self.run_id,
            "operation": named.operation,
            "target": named.target,
            "probe_name": named.name,
            "expected": named.expected,
        });
        identity.as_object().expect("written as an object above").clone()
    }

    /// The event of a row that cannot be read: what is known of it, and why nothing more is.
    fn in_error(&self, place: RowPlace<'_>, row: &Value, why: &str) -> Value {
        let empty = Map::new();
        let row = row.as_object().unwrap_or(&empty);
        let named = Named::of(place, row);
        let control =
            self.controls.find(place.profile_id, row, named.operation, named.target).map(|(_, control)| control);
        let mut members = self.identity(place, &named);
        let told = json!({
            "outcome": "error",
            "outcome_reason": why,
            "runtime_status": "blocked",
            "policy_layers": layers::policy_layers(&empty, &empty, control),
            "error": format!("row {} of the profile cannot be normalised: {why}", place.position),
            "error_kind": "malformed_row",
            "failure_stage": "probe",
        });
        members.extend(told.as_object().expect("written as an object above").clone());
        Value::Object(members)
    }
}

/// What a row calls itself, or the expected matrix where the row says nothing.
struct Named<'r> {
    operation: &'r str,
    target: Option<&'r str>,
    name: Option<&'r str>,
    expected: Option<&'r str>,
    expectation_id: String,
}

impl<'r> Named<'r> {
    fn of(place: RowPlace<'r>, row: &'r Map<String, Value>) -> Self {
        let from_matrix = |key: &str| place.matrix.and_then(|probe| probe.get(key)).and_then(Value::as_str);
        let operation = text(row, "operation").or_else(|| from_matrix("operation")).unwrap_or_default();
        let target = text(row, "path").or_else(|| text(row, "target")).or_else(|| from_matrix("target"));
        Self {
            operation,
            target,
            name: text(row, "name").or_else(|| from_matrix("name")),
            expected: text(row, "expected").or_else(|| from_matrix("expected")),
            expectation_id: expectation_id(place, row, operation, target),
        }
    }
}

/// The expectation of a row, made up from what the row says where it names none.
fn expectation_id(place: RowPlace<'_>, row: &Map<String, Value>, operation: &str, target: Option<&str>) -> String {
    let named = text(row, "expectation_id").or_else(|| place.matrix?.get("expectation_id")?.as_str());
    named.map_or_else(|| derived_expectation(place.profile_id, operation, target), str::to_owned)
}

/// The expectation of a row that has none: what names its aim.
fn derived_expectation(profile_id: &str, operation: &str, target: Option<&str>) -> String {
    format!("{profile_id}|{}|{}", or(operation, "op"), or(target.unwrap_or_default(), "target"))
}

/// A word for a text that is not there.
fn or<'t>(text: &'t str, word: &'t str) -> &'t str {
    if text.is_empty() { word } else { text }
}

fn first_denial(row: &Map<String, Value>) -> Value {
    if let Some(said) = row.get("first_denial_op").filter(|value| !value.is_null()) {
        return said.clone();
    }
    let records = row.get("decision_records").and_then(Value::as_array).into_iter().flatten();
    let denied = records.into_iter().find(|record| record.get("decision").and_then(Value::as_str) == Some("deny"));
    denied.and_then(|record| record.get("operation")).cloned().unwrap_or(Value::Null)
}

/// What the row says it inherited; of rows that do not say it, what is known of the program.
fn resource_hygiene(result: &Map<String, Value>) -> Value {
    match (result.get("resource_hygiene"), result.get("runner_info")) {
        (Some(said @ Value::Object(_)), _) => said.clone(),
        (_, Some(Value::Object(runner))) => {
            let told = ["apply_model", "apply_timing", "preexisting_sandbox_suspected"]
                .map(|key| (key.to_owned(), runner.get(key).cloned().unwrap_or(Value::Null)));
            match told.iter().all(|(_, value)| value.is_null()) {
                true => Value::Null,
                false => Value::Object(told.into_iter().collect()),
            }
        }
        _ => Value::Null,
    }
}

/// Where the records stand that an event's claims rest on; see [`super::claim`].
fn evidence(place: RowPlace<'_>, row: &Map<String, Value>, control: Option<usize>) -> Value {
    json!({
        "row": format!("{RESULTS_DOCUMENT}#/{}/probes/{}", escape(place.profile_id), place.position),
        "baseline": control.map(|at| format!("{}#/results/{at}", super::baseline::BASELINE_DOCUMENT)),
        "own_record": row.get("own_record"),
    })
}

fn without_nulls(event: Value) -> Value {
    match event {
        Value::Object(members) => Value::Object(members.into_iter().filter(|(_, value)| !value.is_null()).collect()),
        other => other,
    }
}

/// A member that is text.
fn text<'m>(map: &'m Map<String, Value>, key: &str) -> Option<&'m str> {
    map.get(key).and_then(Value::as_str)
}

/// Writes events as the document they are stored in, one at a time.
#[derive(Debug)]
pub struct EventWriter<W: Write> {
    out: W,
    first: bool,
}

impl<W: Write> EventWriter<W> {
    /// Begins the document.
    pub fn new(out: W) -> Self {
        Self { out, first: true }
    }

    /// Writes one event.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&mut self, event: &Value) -> io::Result<()> {
        self.out.write_all(if self.first { b"[\n" } else { b",\n" })?;
        self.first = false;
        // No line break stands inside a text, so every line of the event's own form is moved in as a whole.
        let mut between = "  ";
        for line in text_form::to_pretty_sorted(event).split('\n') {
            write!(self.out, "{between}{line}")?;
            between = "\n  ";
        }
        Ok(())
    }

    /// Ends the document.
    ///
    /// # Errors
    /// What the writer says.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(if self.first { b"[]" } else { b"\n]" })?;
        Ok(self.out)
    }
}
