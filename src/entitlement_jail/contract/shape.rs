//! Documents of the app: which fields, of which type, and when they may be absent.

use serde_json::Value;

use super::Checked;
use crate::base::json;
use crate::vocab::{Finding, Severity};

/// A document of one kind.
pub(super) struct Shape {
    kind: &'static str,
    fields: &'static [Field],
}

/// One thing a document must have.
struct Field {
    /// Where, from the top, with dots; the first that is there counts.
    places: &'static [&'static str],
    takes: Takes,
    /// The status that says whether the app was asked for it at all.
    depends_on: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Text,
    /// Text, or null where nothing was handed over.
    OptionalText,
    Integer,
    Boolean,
    Object,
    /// A process id: an integer. Text of digits is what the app writes in some documents.
    Pid,
}

const fn field(places: &'static [&'static str], takes: Takes) -> Field {
    Field { places, takes, depends_on: None }
}

const fn after(status: &'static str, places: &'static [&'static str], takes: Takes) -> Field {
    Field { places, takes, depends_on: Some(status) }
}

const CAPTURE: &str = "data.log_capture_status";
const OBSERVER_STATUS: &str = "data.log_observer_status";

/// The answer of `run-xpc`.
pub(super) const RUN_XPC: Shape = Shape {
    kind: "probe_response",
    fields: &[
        field(&["data.details.service_pid", "data.details.probe_pid", "data.details.pid"], Takes::Pid),
        field(&["data.details.process_name"], Takes::Text),
        field(&["data.details.correlation_id"], Takes::Text),
        field(&[CAPTURE], Takes::Text),
        after(CAPTURE, &["data.log_capture_path"], Takes::Text),
        after(CAPTURE, &["data.log_capture_observed_deny"], Takes::Boolean),
        after(CAPTURE, &["data.log_capture_observed_lines"], Takes::Integer),
        field(&["data.deny_evidence"], Takes::Text),
        field(&[OBSERVER_STATUS], Takes::Text),
        after(OBSERVER_STATUS, &["data.log_observer_path"], Takes::Text),
        after(OBSERVER_STATUS, &["data.log_observer_report"], Takes::Object),
    ],
};

/// The report of the observer.
pub(super) const OBSERVER: Shape = Shape {
    kind: "sandbox_log_observer_report",
    fields: &[
        field(&["data.pid"], Takes::Pid),
        field(&["data.process_name"], Takes::Text),
        field(&["data.predicate"], Takes::Text),
        field(&["data.plan_id"], Takes::OptionalText),
        field(&["data.row_id"], Takes::OptionalText),
        field(&["data.correlation_id"], Takes::OptionalText),
        field(&["data.observed_deny"], Takes::Boolean),
    ],
};

/// The report of a live stream.
pub(super) const STREAM: Shape = Shape {
    kind: "sandbox_log_stream_report",
    fields: &[
        field(&["data.pid"], Takes::Pid),
        field(&["data.process_name"], Takes::Text),
        field(&["data.predicate"], Takes::Text),
        field(&["data.observed_deny"], Takes::Boolean),
    ],
};

/// What both encoders of the app put around every document.
const ENVELOPE: [Field; 1] = [field(&["schema_version"], Takes::Integer)];

impl Shape {
    /// Every field that is asked for.
    pub(super) fn names(&self) -> Vec<String> {
        let fields = ENVELOPE.iter().chain(self.fields).map(Field::name);
        ["kind".to_owned()].into_iter().chain(fields).collect()
    }

    pub(super) fn check(&self, file: &str, text: &[u8]) -> Checked {
        let document = match json::read(text) {
            Ok(document) => document,
            Err(error) => {
                let mut finding = Finding::new("contract-not-json", Severity::Error, file, error.to_string());
                if let Some((line, column)) = error.position().filter(|(_, column)| *column > 0) {
                    finding = finding.at_position(line, column);
                }
                return Checked { findings: vec![finding], complete: false };
            }
        };
        let mut findings = Vec::new();
        match document.get("kind") {
            Some(Value::String(kind)) if kind == self.kind => {}
            None => findings.push(missing(file, "kind")),
            Some(other) => {
                let message = format!("kind is {other}, not {:?}", self.kind);
                findings.push(Finding::new("contract-wrong-kind", Severity::Error, file, message).at("/kind"));
            }
        }
        for field in ENVELOPE.iter().chain(self.fields) {
            findings.extend(field.check(file, &document));
        }
        Checked { findings, complete: true }
    }
}

fn missing(file: &str, name: &str) -> Finding {
    Finding::new("contract-missing-field", Severity::Error, file, format!("{name} is missing"))
}

fn pointer(place: &str) -> String {
    format!("/{}", place.replace('.', "/"))
}

impl Field {
    fn name(&self) -> String {
        self.places.join(" | ")
    }

    fn check(&self, file: &str, document: &Value) -> Option<Finding> {
        let found = self.places.iter().find_map(|place| document.pointer(&pointer(place)).map(|value| (place, value)));
        let status = self.depends_on.and_then(|status| Some((status, document.pointer(&pointer(status))?.as_str()?)));
        let warning = |id, message| Some(Finding::new(id, Severity::Warning, file, message));
        let (place, value) = match (found, status) {
            // A reader takes null for absent where the app was not asked, or could not do it.
            (None | Some((_, Value::Null)), Some((name, said @ ("not_requested" | "requested_failed")))) => {
                let message = format!("{} cannot be checked: {name} is {said:?}", self.name());
                return warning("contract-not-shown", message);
            }
            (None, _) => return Some(missing(file, &self.name())),
            (Some((place, Value::Null)), _) if self.takes == Takes::OptionalText => {
                let message = format!("{place} is null: the sample was made without it");
                return warning("contract-not-shown", message).map(|found| found.at(pointer(place)));
            }
            (Some(found), _) => found,
        };
        let wanted = match self.takes {
            Takes::Text | Takes::OptionalText if value.is_string() => return None,
            Takes::Integer if value.is_i64() || value.is_u64() => return None,
            Takes::Boolean if value.is_boolean() => return None,
            Takes::Object if value.is_object() => return None,
            Takes::Pid if value.as_i64().is_some_and(|pid| pid > 0) => return None,
            Takes::Pid if is_digits(value) => {
                let message = format!("{place} is text: {value} is read as a number");
                return warning("contract-pid-is-text", message).map(|found| found.at(pointer(place)));
            }
            Takes::Text | Takes::OptionalText => "text",
            Takes::Integer => "an integer",
            Takes::Boolean => "true or false",
            Takes::Object => "an object",
            Takes::Pid => "a process id",
        };
        let message = format!("{place} is {}, not {wanted}", shown(value));
        Some(Finding::new("contract-wrong-type", Severity::Error, file, message).at(pointer(place)))
    }
}

/// Whether a value is the text of a process id.
fn is_digits(value: &Value) -> bool {
    let digits =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u32>().is_ok_and(|pid| pid > 0);
    value.as_str().is_some_and(digits)
}

/// A value for a message; long ones by their type alone.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) if text.chars().count() > 40 => "a long text".to_owned(),
        short => short.to_string(),
    }
}
