//! Rows of decision tables, and how profiles name the rules that rows expect.
//!
//! `;? DECISION LABEL OPERATION TARGET [NAME=VALUE…] [# REASON]`: the decision and the rule on the line that ends in
//! `;@LABEL` (`-`: no rule); of an unknown decision also a part of the reason. A target of `-` or none means no target.
//! `;! KEY=VALUE` gives a parameter.

use std::collections::BTreeMap;

use runtime::sbpl::{Answer, Params, Query};

/// One expectation.
pub(crate) struct Row {
    pub(crate) line: usize,
    pub(crate) decision: String,
    pub(crate) label: String,
    pub(crate) query: Query,
    pub(crate) reason: Option<String>,
}

/// Rules by label: the file's name and the line of the rule.
pub(crate) type Labels = BTreeMap<String, (String, u32)>;

/// The labels of one profile text.
pub(crate) fn labels(name: &str, text: &str) -> Labels {
    let mut labels = Labels::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some((_, label)) = line.rsplit_once(";@") {
            let label = label.split_whitespace().next().unwrap_or_default().to_owned();
            let before = labels.insert(label.clone(), (name.to_owned(), number));
            assert!(before.is_none(), "{name}: label {label} appears twice");
        }
    }
    labels
}

/// The rows of one table text.
pub(crate) fn rows(name: &str, text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for (line, row) in (1..).zip(text.lines()) {
        let Some(row) = row.strip_prefix(";? ") else { continue };
        let (row, reason) = match row.split_once(" # ") {
            Some((row, reason)) => (row.trim_end(), Some(reason.to_owned())),
            None => (row, None),
        };
        let mut words = row.splitn(4, ' ');
        let (decision, label, operation) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let mut rest = words.next().unwrap_or("-").to_owned();
        let mut attributes = Vec::new();
        while let Some((before, last)) = rest.clone().rsplit_once(' ') {
            let Some((key, value)) = last.split_once('=') else { break };
            attributes.insert(0, (key.to_owned(), value.to_owned()));
            before.clone_into(&mut rest);
        }
        let target = (rest != "-").then_some(rest.as_str());
        let query = Query::new(operation, target, &attributes).unwrap_or_else(|error| panic!("{name}:{line}: {error}"));
        rows.push(Row { line, decision: decision.to_owned(), label: label.to_owned(), query, reason });
    }
    rows
}

/// The parameters of one table text.
pub(crate) fn params(text: &str) -> Params {
    text.lines()
        .filter_map(|line| line.strip_prefix(";! "))
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

impl Row {
    /// What is wrong with the answer, if anything.
    pub(crate) fn complaint(&self, name: &str, labels: &Labels, answer: &Answer) -> Option<String> {
        let expected = match self.label.as_str() {
            "-" => None,
            label => Some(labels.get(label).unwrap_or_else(|| panic!("{name}:{}: no rule ;@{label}", self.line))),
        };
        let rule = answer.rule.as_ref().map(|rule| (rule.file.clone(), rule.line));
        let reason = answer.reason.as_deref().unwrap_or_default();
        let as_expected = answer.decision == self.decision
            && rule.as_ref() == expected
            && answer.reason.is_some() == (answer.decision == "unknown")
            && self.reason.as_ref().is_none_or(|part| reason.contains(part));
        (!as_expected).then(|| {
            format!(
                "{name}:{}: expected {} by {expected:?} {}, got {} by {rule:?} {reason}",
                self.line,
                self.decision,
                self.reason.as_deref().unwrap_or_default(),
                answer.decision,
            )
        })
    }
}
