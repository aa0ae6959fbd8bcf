//! `sbpl lint`: every id with a failing and a passing profile and a paragraph; every form of report; the exit status.

use std::collections::BTreeSet;

use runtime::sbpl::{NoImports, Params, Source, lint};
use runtime::vocab::Platform;

use super::support::{fixture, runtime, written};

fn ids_of(path: &std::path::Path) -> BTreeSet<String> {
    let source = Source::new("p.sb", std::fs::read_to_string(path).unwrap());
    lint(&[source], &Params::new(), &NoImports, Platform::MacOs)
        .findings
        .into_iter()
        .map(|finding| finding.id)
        .collect()
}

fn fixture_ids() -> BTreeSet<String> {
    let directory = std::fs::read_dir(fixture("lint")).unwrap();
    directory.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_lint_fails_and_passes_its_fixtures() {
    for id in fixture_ids() {
        let failing = ids_of(&fixture(&format!("lint/{id}/fail.sb")));
        assert!(failing.contains(&id), "{id}: fail.sb gives {failing:?}");
        let passing = ids_of(&fixture(&format!("lint/{id}/pass.sb")));
        assert!(!passing.contains(&id), "{id}: pass.sb gives {passing:?}");
    }
}

#[test]
fn documentation_and_fixtures_name_the_same_ids() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/lints.md")).unwrap();
    let documented: BTreeSet<String> =
        text.lines().filter_map(|line| line.strip_prefix("#### `")?.strip_suffix('`')).map(str::to_owned).collect();
    assert_eq!(documented, fixture_ids());
}

#[test]
fn every_error_of_a_profile_is_documented() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/lints.md")).unwrap();
    for source in [
        "lex.rs",
        "form.rs",
        "compile.rs",
        "eval/mod.rs",
        "eval/core.rs",
        "eval/special.rs",
        "eval/builtin.rs",
        "eval/rules.rs",
        "eval/filters.rs",
        "eval/lists.rs",
    ] {
        let path = format!("{}/src/sbpl/{source}", env!("CARGO_MANIFEST_DIR"));
        let code = std::fs::read_to_string(path).unwrap();
        for call in ["Fault::new(\"", "Fault::stop(\"", "self.error(\"", "self.warn(\""] {
            for (at, _) in code.match_indices(call) {
                let id = code[at + call.len()..].split('"').next().unwrap();
                assert!(text.contains(&format!("`{id}`")), "{source}: {id} is not documented");
            }
        }
    }
}

/// Paths that no access is ever compared by, with what to write instead; and paths that look alike and are in order.
#[test]
fn paths_that_can_never_match_are_found_with_their_right_spelling() {
    for (filter, advice) in [
        ("(literal \"/a/../b\")", "write \"/b\", where no link is on the way to `..`"),
        ("(literal \"/a//b\")", "write \"/a/b\""),
        ("(subpath \"/a/./c\")", "write \"/a/c\""),
        ("(subpath \"//a\")", "write \"/a\""),
        ("(subpath \"/a/..\")", "write \"/\", where no link is on the way to `..`"),
        ("(prefix \"/a//b\")", "write \"/a/b\""),
        ("(prefix \"/a//\")", "write \"/a/\""),
        ("(subpath (string-append (param \"HOME\") \"/x\"))", "write \"/home/u/x\""),
        ("(path-ancestors \"/a//b\")", "write \"/a/b\""),
        ("(literal \"b\")", "write the path from the root on"),
        ("(literal \"/a..b/.c/..d/...\")", ""),
        ("(prefix \"/a/.\")", ""),
        ("(prefix \"/a/..\")", ""),
        ("(prefix \"/a/\")", ""),
        ("(literal \"/\")", ""),
        ("(path-ancestors \"/a/b\")", ""),
    ] {
        let text = format!("(version 1)\n(deny default)\n(allow file-read-data {filter})\n");
        let params: Params = [("HOME".to_owned(), "/home/u/".to_owned())].into_iter().collect();
        let report = lint(&[Source::new("p.sb", text)], &params, &NoImports, Platform::MacOs);
        let find = |id: &str| report.findings.iter().find(|finding| finding.id == id);
        let help = find("relative-path").and_then(|finding| finding.help.as_deref()).unwrap_or_default();
        assert_eq!(help, advice, "{filter}: {:?}", report.findings);
        // The directories above such a path can be there; of nothing else does the rule match anything.
        let dead = !advice.is_empty() && !filter.contains("ancestors");
        assert_eq!(find("unreachable-rule").is_some(), dead, "{filter}: {:?}", report.findings);
    }
}

#[test]
fn a_misspelt_operation_is_asked_after() {
    for (operation, help) in [
        ("defualt", "did you mean \"default\"? the rule is kept as written"),
        ("file-raed-data", "did you mean \"file-read-data\"? the rule is kept as written"),
        ("some-new-operation", "check the spelling; the rule is kept as written"),
    ] {
        let (_directory, path) = written(&format!("(version 1)\n(deny default)\n(deny {operation})\n"));
        let output = String::from_utf8(runtime(&["sbpl", "lint", &path]).stdout).unwrap();
        assert!(
            output.contains("warning[unknown-operation]") && output.contains(&format!("= help: {help}\n")),
            "{output}"
        );
    }
}

#[test]
fn parameters_that_are_not_given_do_not_hide_a_profile() {
    let text = "(version 1)\n(deny default)\n(allow file-read* (subpath (string-append (param \"HOME\") \"/x\")))\n\
                (if (param \"NET\") (allow network*) (allow signal))\n(deny sysctl-read)\n(allow sysctl*)\n";
    let report = lint(&[Source::new("p.sb", text)], &Params::new(), &NoImports, Platform::MacOs);
    let ids: Vec<&str> = report.findings.iter().map(|finding| finding.id.as_str()).collect();
    assert!(report.complete);
    assert_eq!(ids, ["shadowed-rule"]);
}

fn status(arguments: &[&str]) -> Option<i32> {
    let mut all = vec!["sbpl", "lint"];
    all.extend(arguments);
    runtime(&all).status.code()
}

#[test]
fn the_exit_status_says_yes_no_or_could_not_answer() {
    let path = |relative: &str| fixture(relative).to_str().unwrap().to_owned();
    let (clean, warned, wrong) =
        (path("lint/trace/pass.sb"), path("lint/trace/fail.sb"), path("lint/shadowed-rule/fail.sb"));
    let broken = path("broken/typo.sb");
    for (arguments, code) in [
        (vec![clean.as_str()], 0),
        (vec![&warned], 0),
        (vec!["--deny", "warnings", &warned], 1),
        (vec!["--deny", "warnings", &clean], 0),
        (vec![&wrong], 1),
        (vec![&clean, &wrong], 1),
        (vec![&path("lint/missing-version/fail.sb")], 1),
        (vec![&broken], 3),
        (vec![&wrong, &broken], 3),
        (vec!["/nonexistent.sb"], 3),
        (vec![], 2),
    ] {
        assert_eq!(status(&arguments), Some(code), "{arguments:?}");
    }
}

#[test]
fn every_form_of_report_carries_every_finding() {
    let wrong = fixture("lint/shadowed-rule/fail.sb").to_str().unwrap().to_owned();
    for (format, needle) in [
        ("human", "shadowed-rule/fail.sb:3:1"),
        ("json", "\"line\": 3"),
        ("sarif", "\"startLine\": 3"),
        ("github", "line=3,col=1,title=shadowed-rule"),
        ("junit", "fail.sb:3:1 [shadowed-rule]"),
    ] {
        let output = runtime(&["sbpl", "lint", "--format", format, &wrong]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(needle), "{format}: {text}");
        assert_eq!(output.status.code(), Some(1));
    }
    let object: serde_json::Value =
        serde_json::from_slice(&runtime(&["--json", "sbpl", "lint", &wrong]).stdout).unwrap();
    assert_eq!((&object["ok"], &object["findings"][0]["id"]), (&false.into(), &"shadowed-rule".into()));
}
