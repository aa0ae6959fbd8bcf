//! The three example profiles: their size, and that together they use the whole language.

use std::collections::BTreeSet;

use runtime::sbpl::{Diagnostics, Form, FormKind, Params, Policy, QuoteKind, Source, parse};

use super::{fixture, import_texts, read};

const EXAMPLES: [&str; 3] = ["profiles/browser.sb", "profiles/build_system.sb", "profiles/agent.sb"];

/// Enough parameters for all three.
fn params() -> Params {
    [("BUNDLE", "/b"), ("TMP", "/t"), ("HOME", "/h"), ("EXEC_ROOT", "/e"), ("OUTPUT", "/o"), ("SCRATCH", "/s")]
        .into_iter()
        .chain([("PROJECT", "/p"), ("STATE", "/st")])
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn each_has_at_least_150_rules_of_its_own() {
    for name in EXAMPLES {
        let source = Source::new(name, read(&fixture(name)));
        let policy = Policy::compile(&[source], &params(), &import_texts("profiles/lib"))
            .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(false)));
        let own = policy.rules().iter().filter(|rule| rule.reference.file == name).count();
        println!("{name}: {} rules, {own} without its import", policy.rules().len());
        assert!(own >= 150, "{name} has {own} rules");
        assert!(policy.warnings().is_empty(), "{}", policy.warnings().render(false));
    }
}

/// Names a text applies, and quotations as their marks.
fn collect(form: &Form, used: &mut BTreeSet<String>) {
    match &form.kind {
        FormKind::List(items) => {
            if let Some(head) = form.head() {
                used.insert(head.to_owned());
                // Definitions of values and of procedures are different forms.
                if head == "define" && items.get(1).is_some_and(|target| target.as_list().is_some()) {
                    used.insert("define-procedure".to_owned());
                }
                if head == "version" {
                    used.insert(form.to_string());
                }
            }
            items.iter().for_each(|item| collect(item, used));
        }
        FormKind::Quoted(kind, inner) => {
            used.insert(kind.mark().to_owned());
            collect(inner, used);
        }
        _ => {}
    }
}

#[test]
fn together_they_use_every_form_of_the_language() {
    let mut used = BTreeSet::new();
    for name in EXAMPLES.into_iter().chain(["profiles/lib/dynamic-program.sb"]) {
        let text = read(&fixture(name));
        assert!(text.is_ascii(), "{name}");
        let mut diagnostics = Diagnostics::new();
        parse(&[Source::new(name, text)], 0, &mut diagnostics).iter().for_each(|form| collect(form, &mut used));
        assert!(diagnostics.is_empty(), "{diagnostics}");
    }
    let forms = "allow deny debug import param define define-procedure define-once let let* letrec lambda if cond when \
                 unless and or not begin case for-each map apply car cdr cons list append reverse string-append \
                 regex-quote require-all require-any require-not with with-filter quote";
    let marks = [QuoteKind::Quote, QuoteKind::Quasi, QuoteKind::Unquote].map(QuoteKind::mark);
    let versions = ["(version 1)", "(version 3)"];
    let missing: Vec<&str> =
        forms.split_whitespace().chain(marks).chain(versions).filter(|name| !used.contains(*name)).collect();
    assert!(missing.is_empty(), "no example uses {missing:?}");
}
