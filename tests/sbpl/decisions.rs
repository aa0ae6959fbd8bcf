//! The table of decisions: every profile below `fixtures/sbpl/decisions` carries its own rows.
//!
//! `;? DECISION LABEL OPERATION TARGET [NAME=VALUE…]`: the decision and the rule on the line that ends in `;@LABEL`
//! (`-`: no rule). `;! KEY=VALUE` gives a parameter. A target of `-` or none means no target.

use std::collections::BTreeMap;

use runtime::sbpl::{NoImports, Params, Policy, Query, Source};

use super::support::profiles;

struct Row {
    line: usize,
    decision: String,
    label: String,
    query: Query,
}

fn labels(text: &str) -> BTreeMap<String, u32> {
    let mut labels = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some((_, label)) = line.rsplit_once(";@") {
            assert!(labels.insert(label.trim().to_owned(), number).is_none(), "label {label} appears twice");
        }
    }
    labels
}

fn rows(name: &str, text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for (line, row) in (1..).zip(text.lines()) {
        let Some(row) = row.strip_prefix(";? ") else { continue };
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
        rows.push(Row { line, decision: decision.to_owned(), label: label.to_owned(), query });
    }
    rows
}

fn params(text: &str) -> Params {
    text.lines()
        .filter_map(|line| line.strip_prefix(";! "))
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn every_row_is_decided_by_the_rule_a_reader_would_name() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for (name, text) in profiles("decisions") {
        let policy = Policy::compile(&[Source::new(&name, &text)], &params(&text), &NoImports)
            .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(false)));
        let labels = labels(&text);
        let rows = rows(&name, &text);
        assert!(!rows.is_empty(), "{name} has no row");
        for row in rows {
            checked += 1;
            let answer = row.query.ask(&policy);
            let expected = if row.label == "-" { None } else { Some(labels[&row.label]) };
            let line = answer.rule.as_ref().map(|rule| rule.line);
            if answer.decision != row.decision || line != expected {
                wrong.push(format!(
                    "{name}:{}: expected {} by {expected:?}, got {} by {line:?} {}",
                    row.line,
                    row.decision,
                    answer.decision,
                    answer.reason.as_deref().unwrap_or_default()
                ));
            }
            assert_eq!(answer.reason.is_some(), answer.decision == "unknown", "{name}:{}", row.line);
        }
    }
    assert!(wrong.is_empty(), "{} of {checked} rows are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked >= 300, "only {checked} rows");
}

#[test]
fn a_wrong_row_would_be_noticed() {
    let text = "(version 1)\n(deny default) ;@a\n(allow signal) ;@b\n";
    let policy = Policy::compile(&[Source::new("t.sb", text)], &Params::new(), &NoImports).unwrap();
    let answer = Query::new("signal", Some("self"), &[]).unwrap().ask(&policy);
    assert_ne!(answer.rule.unwrap().line, labels(text)["a"]);
}
