//! `sbpl diff`: what it finds is real, what is real it finds, and nothing differs from itself.

use proptest::prelude::*;
use runtime::sbpl::{Access, NoImports, Params, Policy, ProfileDiff, Query, Source, Target, diff};
use runtime::vocab::{Decision, Operation};

use super::properties::{OPERATIONS, PATHS, compile, rule_text};
use super::support::{fixture, profiles, runtime};

fn policy(text: &str) -> Policy {
    Policy::compile(&[Source::new("t.sb", format!("(version 1)\n{text}"))], &Params::new(), &NoImports).unwrap()
}

fn directions(found: &ProfileDiff) -> (bool, bool, bool) {
    (!found.wider.is_empty(), !found.narrower.is_empty(), !found.undecided.is_empty())
}

#[test]
fn differences_have_their_direction() {
    for (a, b, expected) in [
        ("(deny default)", "(deny default)", (false, false, false)),
        ("(deny default)", "", (false, false, false)),
        ("(deny default)", "(allow default)", (true, false, false)),
        ("(allow file-read* (subpath \"/a\"))", "(allow file-read* (subpath \"/a/b\"))", (false, true, false)),
        ("(allow file-read* (subpath \"/a\"))", "(allow file-read* (subpath \"/b\"))", (true, true, false)),
        ("(allow file-read* (subpath \"/a\"))", "(allow file-read* (prefix \"/a\"))", (true, false, false)),
        (
            "(allow file-read* (literal \"/a\") (literal \"/b\"))",
            "(allow file-read* (literal \"/b\"))(allow file-read* (literal \"/a\"))",
            (false, false, false),
        ),
        (
            "(allow file-read* (subpath \"/a\"))(deny file-read* (subpath \"/a/b\"))",
            "(allow file-read* (require-all (subpath \"/a\") (require-not (subpath \"/a/b\"))))",
            (false, false, false),
        ),
        ("(allow file-read* (regex #\"^/a\"))", "(allow file-read* (regex #\"^/a[bc]\"))", (false, true, true)),
        (
            "(allow file-read* (regex #\"x\") (literal \"/q\"))",
            "(allow file-read* (literal \"/q\") (regex #\"x\"))",
            (false, false, false),
        ),
        ("(allow signal (target self))", "(allow signal (target self children))", (true, false, false)),
        (
            "(allow mach-lookup (global-name \"a\"))",
            "(allow mach-lookup (global-name-prefix \"a\"))",
            (true, false, false),
        ),
        (
            "(allow mach-lookup (global-name \"a\"))",
            "(allow mach-lookup (xpc-service-name \"a\"))",
            (true, true, false),
        ),
        (
            "(allow network-outbound (remote tcp \"localhost:80\"))",
            "(allow network-outbound (remote ip \"localhost:80\"))",
            (true, false, false),
        ),
        ("(allow file-read* (extension \"e\"))", "(allow file-read* (extension \"f\"))", (false, false, true)),
        (
            "(allow file-read* (extension \"e\"))",
            "(allow file-read* (extension \"e\"))(allow signal)",
            (true, false, false),
        ),
        ("(import \"x.sb\")", "", (false, false, true)),
        (
            "(import \"x.sb\")(deny signal)",
            "(import \"x.sb\")(deny signal (target others))(deny signal)",
            (false, false, false),
        ),
    ] {
        let found = diff(&policy(a), &policy(b));
        assert_eq!(directions(&found), expected, "{a} | {b}: {found:#?}");
    }
}

#[test]
fn every_witness_shows_its_difference() {
    let a = policy(
        "(deny default)(allow file-read* (subpath \"/a\"))(allow mach-lookup (global-name-regex #\"^x[0-9]+$\"))",
    );
    let b =
        policy("(deny default)(allow file* (subpath \"/a\"))(allow network*)(allow mach-lookup (local-name \"l\"))");
    let found = diff(&a, &b);
    assert!(found.wider.len() >= 3 && !found.narrower.is_empty(), "{found:#?}");
    for (changes, first, second) in [(&found.wider, "deny", "allow"), (&found.narrower, "allow", "deny")] {
        for change in changes.iter() {
            let mut words = change.witness.split(' ');
            let (operation, target) = (words.next().unwrap(), words.next());
            let facts: Vec<(String, String)> =
                words.map(|fact| fact.split_once('=').unwrap()).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            let query = Query::new(operation, target, &facts).unwrap();
            let (one, two) = (query.decide(&a), query.decide(&b));
            assert_eq!((one.decision, two.decision), (first, second), "{change:?}");
            assert_eq!((one.rule, two.rule), (change.a.clone(), change.b.clone()), "{change:?}");
        }
    }
}

#[test]
fn no_profile_differs_from_itself() {
    let params: Params = [("HOME".to_owned(), "/h".to_owned()), ("EMPTY".to_owned(), String::new())].into();
    for (name, text) in profiles("decisions") {
        let compile = || Policy::compile(&[Source::new(&name, &text)], &params, &NoImports).unwrap();
        assert!(diff(&compile(), &compile()).is_empty(), "{name}");
    }
}

#[test]
fn the_exit_status_answers_whether_it_is_wider() {
    let path = |relative: &str| fixture(relative).to_str().unwrap().to_owned();
    let (closed, open) = (path("lint/trace/pass.sb"), path("lint/broad-allow/fail.sb"));
    let unknown = path("diff/extension.sb");
    for (arguments, code) in [
        (vec![closed.as_str(), &open], 0),
        (vec![&closed, &open, "--fail-if-wider"], 1),
        (vec![&open, &closed, "--fail-if-wider"], 0),
        (vec![&closed, &closed, "--fail-if-wider"], 0),
        (vec![&closed, &unknown, "--fail-if-wider"], 3),
        (vec![&unknown, &closed, "--fail-if-wider"], 0),
        (vec![&closed, &path("broken/typo.sb")], 3),
        (vec![&closed], 2),
    ] {
        let all: Vec<&str> = ["sbpl", "diff"].into_iter().chain(arguments.iter().copied()).collect();
        assert_eq!(runtime(&all).status.code(), Some(code), "{arguments:?}");
    }
    let output = runtime(&["--json", "sbpl", "diff", &closed, &open]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["wider"][0]["b"]["line"], 3);
    assert!(runtime(&["sbpl", "diff", &closed, &closed]).stdout.is_empty());
}

/// Comparing costs more than deciding: half of the usual number, or as many as `PROPTEST_CASES` asks for.
fn diff_cases() -> u32 {
    ProptestConfig::default().cases / 2
}

proptest! {
    #![proptest_config(ProptestConfig { cases: diff_cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_profile_equals_itself_and_no_real_difference_is_missed(
        a in prop::collection::vec(rule_text(), 0..6),
        b in prop::collection::vec(rule_text(), 0..6),
    ) {
        let (one, two) = (compile(&a), compile(&b));
        prop_assert!(diff(&one, &one).is_empty());
        let found = diff(&one, &two);
        let plain = |rules: &[String]| rules.iter().all(|rule| !rule.contains("regex") && !rule.contains("vnode") && !rule.contains("extension"));
        if plain(&a) && plain(&b) {
            prop_assert!(found.undecided.is_empty(), "{:?} {:?}: {:#?}", a, b, found.undecided);
        }
        // A fork has no path: asking about one would be a question that no access poses.
        for operation in OPERATIONS.into_iter().filter(|name| *name != "process-fork") {
            let operation = Operation::new(operation);
            for path in PATHS {
                let target = Target::Path { path: path.as_bytes(), vnode_type: None, mode: None };
                let access = Access { operation: &operation, target };
                let listed = |operations: &[String]| operations.iter().any(|name| *name == operation.as_str());
                match (one.judge(&access).decision(), two.judge(&access).decision()) {
                    (Some(Decision::Deny), Some(Decision::Allow)) => {
                        let told = found.wider.iter().any(|change| listed(&change.operations))
                            || found.undecided.iter().any(|open| open.may_widen && listed(&open.operations));
                        prop_assert!(told, "{} {}: {:?} {:?}", operation, path, a, b);
                    }
                    (Some(Decision::Allow), Some(Decision::Deny)) => {
                        let told = found.narrower.iter().any(|change| listed(&change.operations))
                            || found.undecided.iter().any(|open| !open.may_widen && listed(&open.operations));
                        prop_assert!(told, "{} {}: {:?} {:?}", operation, path, a, b);
                    }
                    _ => {}
                }
            }
        }
    }
}
