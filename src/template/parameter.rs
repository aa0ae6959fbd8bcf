//! Parameters of a template: what it declares, which values they get, and where these go.

use std::borrow::Cow;
use std::collections::BTreeMap;

use indexmap::IndexMap;
use regex_automata::meta::Regex;
use serde_json::{Map, Value};

use super::TemplateError;
use crate::base::position::escape;
use crate::fixture::DIRECTORY_PARAMETER;
use crate::registry::check::{self, Field, Kind, Sink, optional, required};
use crate::vocab::Severity;

const FIELDS: &[Field] = &[
    required("description", Kind::Text),
    optional("default", Kind::Text),
    optional("pattern", Kind::Text),
    optional("choices", Kind::TextList),
];

/// The longest value, in bytes.
const MAX_VALUE_BYTES: usize = 4096;

/// What the names of a run's own parameters for ports begin with.
const PORT: &str = "PORT_";

/// One declared parameter.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// What it is for.
    pub description: String,
    /// The value it has when none is given; without one, a value must be given.
    pub default: Option<String>,
    /// A regular expression that the whole value must match.
    pub pattern: Option<String>,
    /// The values it may have; empty: any.
    pub choices: Vec<String>,
    expression: Option<Regex>,
}

impl Parameter {
    /// Why `value` is not one this parameter may have.
    fn problem(&self, value: &str) -> Option<String> {
        if value.len() > MAX_VALUE_BYTES {
            return Some(format!("the value has {} bytes, at most {MAX_VALUE_BYTES} are allowed", value.len()));
        }
        // Values also go into texts of JSON and SBPL: they must not end a string there.
        if let Some(bad) = value.chars().find(|c| c.is_control() || matches!(c, '"' | '\\')) {
            return Some(format!("the value {value:?} holds the character {bad:?}"));
        }
        if !self.choices.is_empty() && !self.choices.iter().any(|choice| choice == value) {
            return Some(format!("the value {value:?} is none of {}", self.choices.join(", ")));
        }
        match (&self.expression, &self.pattern) {
            (Some(expression), Some(pattern)) if !expression.is_match(value) => {
                Some(format!("the value {value:?} does not match {pattern:?}"))
            }
            _ => None,
        }
    }
}

/// Reads the declarations; what is wrong with them goes to `sink`.
pub(super) fn declared(value: Option<&Value>, sink: &mut Sink<'_>) -> IndexMap<String, Parameter> {
    let mut parameters = IndexMap::new();
    for (name, value) in value.and_then(Value::as_object).into_iter().flatten() {
        let at = format!("/parameters/{}", escape(name));
        let mark = sink.len();
        if let Some(problem) = name_problem(name) {
            sink.error("template-parameter", &at, format!("the parameter {name:?} {problem}"));
        }
        check::object(value, FIELDS, Severity::Error, &format!("parameter {name:?}"), &at, sink);
        if sink.has_error_since(mark) {
            continue;
        }
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let choices = value.get("choices").and_then(Value::as_array).into_iter().flatten();
        let mut parameter = Parameter {
            description: text("description").unwrap_or_default(),
            default: text("default"),
            pattern: text("pattern"),
            choices: choices.filter_map(Value::as_str).map(str::to_owned).collect(),
            expression: None,
        };
        if let Some(pattern) = &parameter.pattern {
            match Regex::new(&format!(r"\A(?:{pattern})\z")) {
                Ok(expression) => parameter.expression = Some(expression),
                Err(error) => {
                    let at = format!("{at}/pattern");
                    sink.error("template-parameter", &at, format!("{pattern:?} is no regular expression: {error}"));
                }
            }
        }
        if let Some(problem) = parameter.default.as_ref().and_then(|default| parameter.problem(default)) {
            sink.error("template-parameter", &format!("{at}/default"), format!("default of {name:?}: {problem}"));
        }
        parameters.insert(name.clone(), parameter);
    }
    parameters
}

/// Why a text cannot name a parameter.
fn name_problem(name: &str) -> Option<String> {
    if is_of_run(name) {
        return Some("has a name that runs give a value to".to_owned());
    }
    (!is_name(name)).then(|| "must have a name of upper-case letters, digits and underscores".to_owned())
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether a run gives this parameter its value, so that it stays as written in a suite.
fn is_of_run(name: &str) -> bool {
    name == DIRECTORY_PARAMETER || name.starts_with(PORT)
}

/// The value of every declared parameter: the given one, else its default.
///
/// # Errors
/// [`TemplateError::Parameter`] for the first that is unknown, lacks a value, or has one that it may not have.
pub(super) fn values(
    template: &str,
    declared: &IndexMap<String, Parameter>,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, TemplateError> {
    let refused = |parameter: &str, reason: String| {
        let (template, parameter) = (template.to_owned(), parameter.to_owned());
        Err(TemplateError::Parameter { template, parameter, reason })
    };
    if let Some(name) = given.keys().find(|name| !declared.contains_key(*name)) {
        let known: Vec<&str> = declared.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return refused(name, format!("there is no such parameter; the template has {known}"));
    }
    let mut values = BTreeMap::new();
    for (name, parameter) in declared {
        let Some(value) = given.get(name).or(parameter.default.as_ref()) else {
            return refused(name, format!("it needs a value: {}", parameter.description));
        };
        if let Some(problem) = parameter.problem(value) {
            return refused(name, problem);
        }
        values.insert(name.clone(), value.clone());
    }
    Ok(values)
}

/// A name in `${…}` that nothing gives a value to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownName(pub String);

/// Replaces `${NAME}` by its value, once: values are not looked into. What a run gives a value to stays as it is, and so
/// does what has not the form of a name.
///
/// # Errors
/// [`UnknownName`] for a name that neither the template declares nor a run knows.
pub(super) fn substitute<'t>(text: &'t str, values: &BTreeMap<String, String>) -> Result<Cow<'t, str>, UnknownName> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        result.push_str(before);
        match after.split_once('}').filter(|(name, _)| is_name(name)) {
            Some((name, behind)) => {
                match values.get(name) {
                    Some(value) => result.push_str(value),
                    None if is_of_run(name) => result.push_str(&format!("${{{name}}}")),
                    None => return Err(UnknownName(name.to_owned())),
                }
                rest = behind;
            }
            None => {
                result.push_str("${");
                rest = after;
            }
        }
    }
    result.push_str(rest);
    Ok(Cow::Owned(result))
}

/// Replaces `${NAME}` in every text of `value`, keys included; what is wrong goes to `sink`.
pub(super) fn substitute_in(
    value: Value,
    values: &BTreeMap<String, String>,
    pointer: &str,
    sink: &mut Sink<'_>,
) -> Value {
    let mut replaced = |text: String, at: &str| match substitute(&text, values) {
        Ok(Cow::Borrowed(_)) => text,
        Ok(Cow::Owned(new)) => new,
        Err(UnknownName(name)) => {
            let message = format!("{text:?} names {name:?}, which the template does not declare");
            sink.error("unknown-variable", at, message);
            text
        }
    };
    match value {
        Value::String(text) => Value::String(replaced(text, pointer)),
        Value::Array(items) => {
            let items = items.into_iter().enumerate();
            Value::Array(
                items.map(|(at, item)| substitute_in(item, values, &format!("{pointer}/{at}"), sink)).collect(),
            )
        }
        Value::Object(map) => {
            let mut result = Map::new();
            for (key, value) in map {
                let at = format!("{pointer}/{}", escape(&key));
                let mut key = key;
                if key.contains("${") {
                    match substitute(&key, values) {
                        Ok(new) => key = new.into_owned(),
                        Err(UnknownName(name)) => {
                            let message = format!("{key:?} names {name:?}, which the template does not declare");
                            sink.error("unknown-variable", &at, message);
                        }
                    }
                }
                if result.contains_key(&key) {
                    sink.error("template-parameter", &at, format!("the values make a second key {key:?}"));
                }
                let value = substitute_in(value, values, &at, sink);
                result.insert(key, value);
            }
            Value::Object(result)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> (IndexMap<String, Parameter>, Vec<String>) {
        let mut sink = Sink::new("template.json");
        let parameters = declared(Some(value), &mut sink);
        let findings = sink.into_findings().into_iter();
        (parameters, findings.map(|f| format!("{} {}", f.id, f.pointer.unwrap_or_default())).collect())
    }

    #[test]
    fn declarations_are_checked() {
        for (value, finding) in [
            (json!({"a": {"description": "d"}}), "template-parameter /parameters/a"),
            (json!({"FIXTURES": {"description": "d"}}), "template-parameter /parameters/FIXTURES"),
            (json!({"PORT_X": {"description": "d"}}), "template-parameter /parameters/PORT_X"),
            (json!({"A": {}}), "missing-key /parameters/A"),
            (json!({"A": 7}), "wrong-type /parameters/A"),
            (json!({"A": {"description": "d", "defualt": ""}}), "unknown-key /parameters/A/defualt"),
            (json!({"A": {"description": "d", "pattern": "("}}), "template-parameter /parameters/A/pattern"),
            (
                json!({"A": {"description": "d", "pattern": "a+", "default": "ab"}}),
                "template-parameter /parameters/A/default",
            ),
            (
                json!({"A": {"description": "d", "choices": ["x"], "default": "y"}}),
                "template-parameter /parameters/A/default",
            ),
        ] {
            assert_eq!(read(&value).1, [finding], "{value}");
        }
    }

    #[test]
    fn values_are_given_or_default_and_must_fit() {
        let (parameters, findings) = read(&json!({
            "NAME": {"description": "whose", "pattern": "[a-z]+"},
            "MODE": {"description": "how", "choices": ["fast", "slow"], "default": "slow"},
        }));
        assert_eq!(findings, [""; 0]);
        let give = |pairs: &[(&str, &str)]| {
            let given = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            values("t", &parameters, &given).map_err(|error| error.to_string())
        };
        let good = give(&[("NAME", "abc")]).unwrap();
        assert_eq!((good["NAME"].as_str(), good["MODE"].as_str()), ("abc", "slow"));
        for (pairs, part) in [
            (&[][..], "it needs a value: whose"),
            (
                &[("NAME", "abc"), ("OTHER", "x")][..],
                "parameter \"OTHER\" of template \"t\": there is no such parameter",
            ),
            (&[("NAME", "abC")][..], "does not match \"[a-z]+\""),
            (&[("NAME", "abc\n")][..], "holds the character '\\n'"),
            (&[("NAME", "abc"), ("MODE", "medium")][..], "is none of fast, slow"),
        ] {
            let error = give(pairs).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let long = "a".repeat(MAX_VALUE_BYTES + 1);
        assert!(give(&[("NAME", &long)]).unwrap_err().contains("4097 bytes"));
        for bad in ["a\"b", "a\\b", "a\u{7}"] {
            assert!(give(&[("NAME", bad)]).unwrap_err().contains("holds the character"), "{bad:?}");
        }
    }

    #[test]
    fn each_name_is_replaced_once_and_unknown_names_are_refused() {
        let values = BTreeMap::from([("A".to_owned(), "${B}".to_owned()), ("B".to_owned(), "b".to_owned())]);
        let done = |text: &'static str| substitute(text, &values).map(Cow::into_owned);
        assert_eq!(done("x${A}y${B}").unwrap(), "x${B}yb");
        assert_eq!(done("${FIXTURES}/${PORT_X}${a}${").unwrap(), "${FIXTURES}/${PORT_X}${a}${");
        assert_eq!(done("${C}"), Err(UnknownName("C".to_owned())));
        let mut sink = Sink::new("t");
        let value = substitute_in(json!({"${B}": ["${A}", 1], "c": "${C}"}), &values, "", &mut sink);
        assert_eq!(value, json!({"b": ["${B}", 1], "c": "${C}"}));
        let findings = sink.into_findings();
        assert_eq!((findings.len(), findings[0].pointer.as_deref()), (1, Some("/c")));
    }
}
