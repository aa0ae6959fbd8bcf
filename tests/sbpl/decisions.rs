//! The table of decisions: every profile below `fixtures/sbpl/decisions` carries its own rows.

use runtime::sbpl::{NoImports, Params, Policy, Query, Source};

use super::rows::{labels, params, rows};
use super::support::profiles;

#[test]
fn every_row_is_decided_by_the_rule_a_reader_would_name() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for (name, text) in profiles("decisions") {
        let policy = Policy::compile(&[Source::new(&name, &text)], &params(&text), &NoImports)
            .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(false)));
        let labels = labels(&name, &text);
        let rows = rows(&name, &text);
        assert!(!rows.is_empty(), "{name} has no row");
        checked += rows.len();
        wrong.extend(rows.iter().filter_map(|row| row.complaint(&name, &labels, &row.query.ask(&policy))));
    }
    assert!(wrong.is_empty(), "{} of {checked} rows are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked >= 300, "only {checked} rows");
}

#[test]
fn a_wrong_row_would_be_noticed() {
    let text = "(version 1)\n(deny default) ;@a\n(allow signal) ;@b\n";
    let policy = Policy::compile(&[Source::new("t.sb", text)], &Params::new(), &NoImports).unwrap();
    let answer = Query::new("signal", Some("self"), &[]).unwrap().ask(&policy);
    assert_ne!(answer.rule.unwrap().line, labels("t.sb", text)["a"].1);
}
