//! Extensions and entitlements that a process is said to hold, as attributes of an access.
//!
//! The attributes `extension` and `entitlement` may be given several times and then say everything the process holds of
//! that kind: `extension=none`, or one for each class; `entitlement=NAME` is held with the value true. Without them the
//! filters stay undecided.

use super::access::Fact;
use super::diagnostic::Diagnostics;
use super::filter::Opaque;
use super::form::{FormKind, parse};
use super::source::Source;
use super::vocabulary::{FilterKind, FilterSpec};

/// The value of the attribute for a process that holds none.
pub(crate) const NONE: &str = "none";

/// What a filter asks of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `extension` or `entitlement`.
    pub attribute: &'static str,
    /// The classes or names, any of which is enough; `None` when the filter asks for something else than a whole name.
    pub names: Option<Vec<String>>,
}

/// What a filter asks of the process; `None` when it asks for neither, or for something that was not known when the
/// profile was read.
pub(crate) fn asked(opaque: &Opaque) -> Option<Asked> {
    let attribute = match opaque.name.as_str() {
        // Which class an issued extension is of says nothing about the process.
        "extension" | "extension-prefix" | "extension-path-ancestor" => "extension",
        "require-entitlement" | "entitlement-is-present" | "%entitlement-is-present" | "%entitlement-is-bool-true" => {
            "entitlement"
        }
        _ => return None,
    };
    let state = FilterSpec::find(&opaque.name).map(|spec| spec.kind);
    if !matches!(state, Some(FilterKind::State(reason)) if reason == opaque.reason) {
        return None;
    }
    let names = match opaque.name.as_str() {
        "extension-prefix" | "extension-path-ancestor" => None,
        "extension" => strings(&opaque.arguments),
        // Whether several names of entitlements mean all of them or any is not settled.
        _ => strings(&opaque.arguments).filter(|names| names.len() == 1),
    };
    Some(Asked { attribute, names: names.filter(|names| !names.is_empty()) })
}

/// Whether the filter matches a process that holds what the attributes say; `None` when they do not say it.
pub(crate) fn truth(opaque: &Opaque, facts: &[Fact<'_>]) -> Option<bool> {
    if !facts.iter().any(|fact| matches!(fact.filter, "extension" | "entitlement")) {
        return None;
    }
    let asked = asked(opaque)?;
    let mut said = facts.iter().filter(|fact| fact.filter == asked.attribute).map(|fact| fact.value).peekable();
    said.peek()?;
    let held: Vec<&str> = said.filter(|value| *value != NONE).collect();
    match asked.names {
        _ if held.is_empty() => Some(false),
        Some(names) => Some(names.iter().any(|name| held.contains(&name.as_str()))),
        None => None,
    }
}

/// The arguments, when all of them are literal texts.
fn strings(arguments: &str) -> Option<Vec<String>> {
    let mut problems = Diagnostics::new();
    let forms = parse(&[Source::new("", arguments)], 0, &mut problems);
    let text = |kind| match kind {
        FormKind::String(text) => Some(text),
        _ => None,
    };
    if problems.is_empty() { forms.into_iter().map(|form| text(form.kind)).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use crate::sbpl::{NoImports, Params, Policy, Query, Source};

    #[test]
    fn what_a_process_holds_answers_its_filters() {
        for (filter, held, expected) in [
            ("(extension \"a\")", vec![], "unknown"),
            ("(extension \"a\")", vec!["extension=none"], "deny"),
            ("(extension \"a\")", vec!["extension=a"], "allow"),
            ("(extension \"a\")", vec!["extension=b"], "deny"),
            ("(extension \"a\" \"b\")", vec!["extension=c", "extension=b"], "allow"),
            ("(extension \"a\")", vec!["entitlement=none"], "unknown"),
            ("(extension-prefix \"a\")", vec!["extension=none"], "deny"),
            ("(extension-prefix \"a\")", vec!["extension=ab"], "unknown"),
            // What is issued is not what is held.
            ("(extension-class \"a\")", vec!["extension=none"], "unknown"),
            ("(require-entitlement \"e\")", vec!["entitlement=none"], "deny"),
            ("(require-entitlement \"e\")", vec!["entitlement=e"], "allow"),
            ("(require-entitlement \"e\" (entitlement-value \"v\"))", vec!["entitlement=e"], "unknown"),
            ("(require-entitlement \"e\" (entitlement-value \"v\"))", vec!["entitlement=none"], "deny"),
            ("(require-ancestor-with-entitlement \"e\")", vec!["entitlement=none"], "unknown"),
            ("(csr 1)", vec!["extension=none", "entitlement=none"], "unknown"),
        ] {
            let text = format!("(version 1)\n(allow file-read* {filter})");
            let policy = Policy::compile(&[Source::new("t.sb", text)], &Params::new(), &NoImports).unwrap();
            let split = |fact: &str| fact.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap();
            let facts: Vec<_> = held.iter().map(|fact| split(fact)).collect();
            let answer = Query::new("file-read-data", Some("/x"), &facts).unwrap().decide(&policy);
            assert_eq!(answer.decision, expected, "{filter} {held:?}");
        }
    }
}
