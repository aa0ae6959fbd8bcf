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
        ("(allow file-read* (regex #\"^/a\"))", "(allow file-read* (regex #\"^/a[bc]\"))", (false, true, false)),
        // A literal is one path; an expression matches it or not.
        (
            "(allow file-read* (regex #\"^/etc/\"))",
            "(allow file-read* (regex #\"^/etc/\"))(allow file-read* (literal \"/etc/hosts\"))",
            (false, false, false),
        ),
        (
            "(allow file-read* (subpath \"/x\"))(deny file-read* (regex #\"^/y/\"))",
            "(allow file-read* (subpath \"/x\") (literal \"/x/hosts\"))(deny file-read* (regex #\"^/y/\"))",
            (false, false, false),
        ),
        (
            "(allow file-read* (subpath \"/x\"))(deny file-read* (regex #\"^/y/\"))",
            "(allow file-read* (subpath \"/x\"))(deny file-read* (regex #\"^/y/\"))(allow file-read* (literal \"/x/hosts\"))",
            (false, false, false),
        ),
        // Trees and beginnings against expressions, and expressions against each other.
        ("(allow file-read* (regex #\"^/a(/|$)\"))", "(allow file-read* (subpath \"/a\"))", (false, false, false)),
        ("(allow file-read* (regex #\"^/a/\"))", "(allow file-read* (subpath \"/a/b\"))", (false, true, false)),
        ("(allow file-read* (regex #\"^/a/.*c\"))", "(allow file-read* (subpath \"/a/b\"))", (true, true, false)),
        ("(allow file-read* (regex #\"^/a\"))", "(allow file-read* (prefix \"/a\"))", (false, false, false)),
        ("(allow file-read* (regex #\"[bc]$\"))", "(allow file-read* (regex #\"b$\" #\"c$\"))", (false, false, false)),
        ("(allow file-read* (regex #\"^/(a|b)+$\"))", "(allow file-read* (regex #\"^/[ab]*$\"))", (true, false, false)),
        ("(allow file-read*)", "(allow file-read*)(deny file-read* (regex #\"//\" #\"/$\"))", (false, true, false)),
        ("(allow file-read*)", "(allow file-read*)(deny file-read* (regex #\"//\" #\"./$\"))", (false, false, false)),
        (
            "(allow mach-lookup (global-name-regex #\"^a[0-9]$\"))",
            "(allow mach-lookup (global-name \"a0\" \"a1\" \"a2\" \"a3\" \"a4\" \"a5\" \"a6\" \"a7\" \"a8\" \"a9\"))",
            (false, false, false),
        ),
        (
            "(allow mach-lookup (global-name-regex #\"^a[0-9]$\"))",
            "(allow mach-lookup (global-name-regex #\"^a[0-9]+$\"))",
            (true, false, false),
        ),
        // What has no agreed meaning stays open.
        ("(allow file-read* (regex #\"^/\\d\"))", "(allow file-read* (regex #\"^/[0-9]\"))", (false, false, true)),
        // Types, modes and attributes are part of an access.
        (
            "(allow file-read* (vnode-type SYMLINK))",
            "(allow file-read* (vnode-type SYMLINK FIFO))",
            (true, false, false),
        ),
        ("(allow file-read*)", "(allow file-read*)(deny file-read* (file-mode #o0004))", (false, true, false)),
        ("(allow process-fork (uid 0))", "(allow process-fork)", (true, false, false)),
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
        ("(allow file-read* (extension \"e\"))", "(allow file-read* (extension \"f\"))", (true, true, false)),
        (
            "(allow file-read* (extension \"e\" \"f\"))",
            "(allow file-read* (extension \"f\"))(allow file-read* (extension \"e\"))",
            (false, false, false),
        ),
        (
            "(allow file-read* (extension \"e\"))",
            "(allow file-read* (extension \"e\"))(allow file-read* (literal \"/a\"))",
            (true, false, false),
        ),
        (
            "(allow file-read* (require-entitlement \"x\"))",
            "(allow file-read* (require-all (require-entitlement \"x\") (extension \"f\")))",
            (false, true, false),
        ),
        (
            "(deny default)",
            "(allow file-read* (require-entitlement \"x\" (entitlement-value \"v\")))",
            (false, false, true),
        ),
        ("(deny default)", "(allow file-read* (csr 1))", (false, false, true)),
        (
            "(allow file-read* (extension \"e\"))",
            "(allow file-read* (extension \"e\"))(allow signal)",
            (true, false, false),
        ),
        ("(import \"x.sb\")", "", (false, false, true)),
        ("(import \"x.sb\")", "(import \"y.sb\")", (false, false, true)),
        // One text whose value differs.
        ("(import \"x.sb\")(g \"a\")", "(import \"x.sb\")(g \"a\")", (false, false, false)),
        ("(import \"x.sb\")(g \"a\")", "(import \"x.sb\")(g \"b\")", (false, false, true)),
        ("(import \"x.sb\")(define p \"/a\")(g p)", "(import \"x.sb\")(define p \"/b\")(g p)", (false, false, true)),
        (
            "(import \"x.sb\")(define p \"/a\")(allow file-read* (require-not (g p)))",
            "(import \"x.sb\")(define p \"/b\")(allow file-read* (require-not (g p)))",
            (false, false, true),
        ),
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

/// A witness is a target with attributes, as `explain` takes them.
fn read_witness(text: &str) -> Query {
    let (mut target, mut facts) = (None, Vec::new());
    let mut words = text.split(' ');
    let operation = words.next().unwrap();
    for word in words {
        match word.split_once('=') {
            Some((name, value)) => facts.push((name.to_owned(), value.to_owned())),
            None => target = Some(word),
        }
    }
    Query::new(operation, target, &facts).unwrap()
}

#[test]
fn every_witness_shows_its_difference() {
    let a = policy(
        "(deny default)(allow file-read* (subpath \"/a\"))(allow mach-lookup (global-name-regex #\"^x[0-9]+$\"))\
         (allow sysctl-read (extension \"e\"))(allow file-ioctl (subpath \"/dev\"))",
    );
    let b = policy(
        "(deny default)(allow file* (subpath \"/a\"))(allow network*)(allow mach-lookup (local-name \"l\"))\
         (allow process-fork (uid 0))(allow system-reboot)\
         (allow file-ioctl (require-all (subpath \"/dev\") (vnode-type TTY) (file-mode #o0004)))",
    );
    let found = diff(&a, &b);
    assert!(found.wider.len() >= 5 && found.narrower.len() >= 3, "{found:#?}");
    assert_eq!(found.undecided, [], "{found:#?}");
    for (changes, first, second) in [(&found.wider, "deny", "allow"), (&found.narrower, "allow", "deny")] {
        for change in changes.iter() {
            let query = read_witness(&change.witness);
            assert_eq!(query, change.query, "{}", change.witness);
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
fn a_witness_names_what_it_is_about() {
    for (a, b, witness, made_up) in [
        // Operations without a target, or whose target no rule asks for.
        ("", "(allow process-fork)", "process-fork", false),
        ("", "(allow system-reboot)", "system-reboot", false),
        ("", "(allow device-camera)", "device-camera", false),
        ("", "(allow signal)", "signal self", false),
        ("", "(allow network-outbound)", "network-outbound tcp:localhost:40000", false),
        // A name of a rule where there is one.
        ("(allow sysctl-read (sysctl-name \"a\"))", "(allow sysctl-read (sysctl-name \"b\"))", "sysctl-read b", false),
        ("(allow mach-lookup (global-name \"a\"))", "(allow mach-lookup)", "mach-lookup example", true),
        ("", "(allow file-read-data (subpath \"/usr\"))", "file-read-data /usr", false),
        ("", "(allow file-read-data (regex #\"^/usr/[a-c]+[.]h$\"))", "file-read-data /usr/a.h", true),
        // What the process holds.
        (
            "(allow file-read-data (extension \"e\"))",
            "(allow file-read-data (extension \"e\") (literal \"/a\"))",
            "file-read-data /a extension=none",
            false,
        ),
        ("", "(allow file-read-data (extension \"e\"))", "file-read-data / extension=e", false),
        ("", "(allow process-fork (require-entitlement \"x\"))", "process-fork entitlement=x", false),
        ("", "(allow process-fork (require-not (uid 0)))", "process-fork uid=500", true),
        ("", "(allow file-read-data (vnode-type FIFO))", "file-read-data / vnode-type=FIFO", false),
    ] {
        let found = diff(&policy(a), &policy(b));
        let shown: Vec<_> = found.wider.iter().map(|change| (change.witness.as_str(), change.made_up)).collect();
        assert_eq!(shown, [(witness, made_up)], "{a} | {b}: {:#?}", found.undecided);
    }
}

#[test]
fn too_many_expressions_are_said_to_be_undecided() {
    // Every set of these has a path: more sets than are looked at.
    let letters: String = ('a'..='v').map(|letter| format!("(regex #\"{letter}[0-9]\")")).collect();
    let a = policy(&format!("(allow file-read* (require-any {letters}))"));
    let b = policy(&format!("(allow file-read* (require-any {letters} (regex #\"w[0-9]\")))"));
    let found = diff(&a, &b);
    assert!(found.may_widen() || !found.wider.is_empty(), "{found:#?}");
    assert!(found.narrower.is_empty(), "{found:#?}");
    assert!(diff(&a, &a).is_empty());
}

#[test]
fn the_exit_status_answers_whether_it_is_wider() {
    let path = |relative: &str| fixture(relative).to_str().unwrap().to_owned();
    let (closed, open) = (path("lint/trace/pass.sb"), path("lint/broad-allow/fail.sb"));
    let (unknown, extension) = (path("diff/system-state.sb"), path("diff/extension.sb"));
    for (arguments, code) in [
        (vec![closed.as_str(), &open], 0),
        (vec![&closed, &open, "--fail-if-wider"], 1),
        (vec![&open, &closed, "--fail-if-wider"], 0),
        (vec![&closed, &closed, "--fail-if-wider"], 0),
        (vec![&closed, &unknown, "--fail-if-wider"], 3),
        (vec![&unknown, &closed, "--fail-if-wider"], 0),
        (vec![&closed, &extension, "--fail-if-wider"], 1),
        (vec![&extension, &closed, "--fail-if-wider"], 0),
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

/// What stays open about anything but a socket: an access to one does not say the type of its file.
fn still_open(found: &ProfileDiff) -> Vec<&runtime::sbpl::OpenChange> {
    let about_sockets =
        |open: &&runtime::sbpl::OpenChange| open.operations.iter().all(|name| name.starts_with("network-"));
    found.undecided.iter().filter(|open| !about_sockets(open)).collect()
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
        let twice = compile(&[a.clone(), a.clone()].concat());
        let again = diff(&one, &twice);
        prop_assert!(still_open(&again).is_empty() && again.wider.is_empty() && again.narrower.is_empty(), "{:?}: {:#?}", a, again);
        let found = diff(&one, &two);
        // An access to a socket does not say the type of its file.
        prop_assert!(still_open(&found).is_empty(), "{:?} {:?}: {:#?}", a, b, found.undecided);
        // An allow at the end takes nothing away.
        let more: Vec<String> = a.iter().cloned().chain(b.first().map(|rule| rule.replacen("(deny", "(allow", 1))).collect();
        let widened = diff(&one, &compile(&more));
        prop_assert!(widened.narrower.is_empty(), "{:?}: {:#?}", more, widened.narrower);
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
