//! `sbpl lint` on rules beside each other, through the command: loops, unions, silenced reports, too many rules.

use serde_json::Value;

use super::support::{fixture, runtime, written};

/// The JSON report on one profile text, and the exit status.
fn report(text: &str, more: &[&str]) -> (Value, Option<i32>) {
    let (_directory, file) = written(text);
    let mut arguments = vec!["sbpl", "lint", "--format", "json"];
    arguments.extend(more);
    arguments.push(&file);
    let output = runtime(&arguments);
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code())
}

/// `id line message | help` of each finding, the place of the file left out.
fn findings(text: &str) -> Vec<String> {
    let (report, _) = report(text, &[]);
    let shown = |finding: &Value| {
        let file = format!("{}:", finding["file"].as_str().unwrap());
        let message = finding["message"].as_str().unwrap().replace(&file, "line ");
        let (id, help) = (finding["id"].as_str().unwrap(), finding["help"].as_str().unwrap());
        format!("{id} {} {message} | {help}", finding["line"])
    };
    report["findings"].as_array().unwrap().iter().map(shown).collect()
}

#[test]
fn a_value_of_a_loop_is_named_and_the_loop_is_not_to_be_removed() {
    let text = "(version 1)\n(deny default)\n(for-each (lambda (name) (allow mach-lookup (global-name name)))\n  \
                '(\"a\" \"b\" \"c\"))\n(deny mach-lookup (global-name \"b\"))\n";
    assert_eq!(
        findings(text),
        [
            "shadowed-rule 3 1 of the 3 rules this form makes ((allow mach-lookup (global-name \"b\"))) never takes effect: \
             the rule at line 5 comes later and matches all it matches: (deny mach-lookup (global-name \"b\")) | let the \
             form leave it out; its other rules are not meant"
        ]
    );
}

#[test]
fn values_that_one_rule_covers_are_one_finding() {
    let made = |covering: &str| {
        format!(
            "(version 1)\n(deny default)\n(for-each (lambda (name) (allow mach-lookup (global-name name)))\n  \
             '(\"a.x\" \"a.y\" \"c\"))\n{covering}\n"
        )
    };
    let two = findings(&made("(allow mach-lookup (global-name-prefix \"a.\"))"));
    assert_eq!(two.len(), 1, "{two:?}");
    assert!(two[0].starts_with("subsumed-rule 3 2 of the 3 rules this form makes (the first is "), "{two:?}");
    assert!(two[0].ends_with("| let the form leave them out; its other rule is not meant"), "{two:?}");
    let all = findings(&made("(allow mach-lookup)"));
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].starts_with("subsumed-rule 3 each of the 3 rules this form makes is subsumed by"), "{all:?}");
    assert!(all[0].ends_with("| remove this form"), "{all:?}");
}

#[test]
fn a_helper_that_is_called_twice_makes_two_rules() {
    let text = "(version 1)\n(deny default)\n(define (give p) (allow file-read-data (literal p)))\n(give \"/a\")\n\
                (give \"/b\")\n(deny file-read* (literal \"/a\"))\n";
    let found = findings(text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("1 of the 2 rules this form makes ((allow file-read-data (literal \"/a\")))"),
        "{found:?}"
    );
}

#[test]
fn the_caret_ends_with_the_form() {
    let text = "(version 1)\n(deny default)\n(begin (begin (allow file* (literal \"/a\"))))  ; why\n(deny file*)\n";
    let (_directory, file) = written(text);
    let output = String::from_utf8(runtime(&["sbpl", "lint", &file]).stdout).unwrap();
    let lines: Vec<&str> = output.lines().collect();
    let at = lines.iter().position(|line| line.contains("; why")).unwrap();
    let (source, caret) = (lines[at], lines[at + 1]);
    let (from, to) = (caret.find('^').unwrap(), caret.rfind('^').unwrap());
    assert_eq!(&source[from..=to], "(allow file* (literal \"/a\"))", "{output}");
}

#[test]
fn rules_that_several_later_ones_cover_together_are_found() {
    for (rules, id, needle) in [
        (
            "(deny file-read-data (literal \"/a/x\") (literal \"/b/y\"))\n(allow file-read* (subpath \"/a\"))\n\
             (allow file-read* (subpath \"/b\"))",
            Some("shadowed-rule 3 this deny never takes effect"),
            "the rules at line 4, line 5 come later and match together all it matches",
        ),
        (
            "(allow file-read-data file-write-data (literal \"/a\"))\n(allow file-read* (literal \"/a\"))\n\
             (allow file-write* (literal \"/a\"))",
            Some("subsumed-rule 3 this rule is subsumed"),
            "| remove this rule",
        ),
        // Not all of it.
        (
            "(deny file-read-data (literal \"/a/x\") (literal \"/c/y\"))\n(allow file-read* (subpath \"/a\"))\n\
             (allow file-read* (subpath \"/b\"))",
            None,
            "",
        ),
        // Not the operation.
        ("(allow file-read-data file-write-data (literal \"/a\"))\n(allow file-read* (literal \"/a\"))", None, ""),
    ] {
        let found = findings(&format!("(version 1)\n(deny default)\n{rules}\n"));
        match id {
            Some(id) => {
                assert_eq!(found.len(), 1, "{rules}: {found:?}");
                assert!(found[0].starts_with(id) && found[0].contains(needle), "{rules}: {found:?}");
            }
            None => assert!(found.is_empty(), "{rules}: {found:?}"),
        }
    }
}

#[test]
fn of_two_rules_that_cover_each_other_one_is_to_be_removed() {
    let text = "(version 1)\n(deny default)\n(allow file-read* (literal \"/a\") (literal \"/b\"))\n\
                (allow file-read* (literal \"/b\") (literal \"/a\"))\n";
    let found = findings(text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("subsumed-rule 3 "), "{found:?}");
}

#[test]
fn a_silenced_report_is_shown_by_an_access() {
    for (rules, expected) in [
        (
            "(allow file-read* (subpath \"/a\") (with report))\n(allow file-read-data (literal \"/a/b\"))",
            Some("for example file-read-data /a/b"),
        ),
        // All of it: nothing to remove, the report is what is lost.
        (
            "(allow file-read-data (subpath \"/a\") (with report))\n(allow file-read* (subpath \"/a\"))",
            Some("this rule never reports"),
        ),
        ("(allow default (with report))\n(allow default)", Some("this rule never reports")),
        ("(allow signal (with report) (target others))\n(allow signal (target children))", Some("signal children")),
        (
            "(allow network-outbound (with report) (remote tcp \"*:443\"))\n(allow network-outbound (remote ip \"localhost:*\"))",
            Some("network-outbound tcp:"),
        ),
        // Earlier, or with a report as well.
        (
            "(allow file-read-data (literal \"/a/b\"))\n(allow file-read* (subpath \"/a\") (with report))",
            Some("subsumed-rule"),
        ),
        (
            "(allow file-read* (subpath \"/a\") (with report))\n(allow file-read-data (literal \"/a/b\") (with report))",
            Some("subsumed-rule"),
        ),
        // A refusal is not an allowance without a report.
        ("(allow file-read* (subpath \"/a\") (with report))\n(deny file-read-data (literal \"/a/b\"))", None),
        // What silences is itself without effect.
        (
            "(allow file-read* (subpath \"/a\") (with report))\n(allow file-read-data (literal \"/a/b\"))\n\
             (deny file-read-data (subpath \"/a/b\"))",
            Some("shadowed-rule"),
        ),
        // One service has one kind of name.
        ("(allow mach-lookup (global-name \"a\") (with report))\n(allow mach-lookup (xpc-service-name \"a\"))", None),
        // At most one of the branches is taken.
        ("(if (param \"X\") (allow signal (with report)) (allow signal))", None),
        // What an import that is not available says comes later and is unknown.
        (
            "(allow file-read* (subpath \"/a\") (with report))\n(allow file-read-data (literal \"/a/b\"))\n(import \"x.sb\")",
            Some("import-missing"),
        ),
        // Default is for what no rule matches.
        ("(allow default (with report))\n(allow file-read* (subpath \"/a\"))", None),
    ] {
        let found: Vec<String> = findings(&format!("(version 1)\n(deny default)\n{rules}\n"))
            .into_iter()
            .filter(|finding| !finding.starts_with("shadowed-rule 2") && !finding.starts_with("broad-allow"))
            .collect();
        match expected {
            None => assert!(found.is_empty(), "{rules}: {found:?}"),
            Some(needle) => {
                assert_eq!(found.len(), 1, "{rules}: {found:?}");
                assert!(found[0].contains(needle), "{rules}: {found:?}");
                let silenced = !["shadowed-rule", "subsumed-rule", "import-missing"].contains(&needle);
                assert_eq!(found[0].starts_with("silenced-report"), silenced, "{rules}: {found:?}");
            }
        }
    }
}

#[test]
fn every_form_of_report_says_that_it_is_not_complete() {
    let long = fixture("lint/rules-not-compared/fail.sb").to_str().unwrap().to_owned();
    let whole = fixture("lint/rules-not-compared/pass.sb").to_str().unwrap().to_owned();
    for (format, needle) in [
        ("human", "not complete: "),
        ("json", "\"complete\": false"),
        ("sarif", "\"executionSuccessful\": false"),
        ("github", "title=not complete::"),
        ("junit", "<error type=\"not complete\""),
    ] {
        let say = |file: &str| {
            let output = runtime(&["sbpl", "lint", "--format", format, file]);
            (String::from_utf8(output.stdout).unwrap().contains(needle), output.status.code())
        };
        assert_eq!(say(&long), (true, Some(3)), "{format}");
        assert_eq!(say(&whole), (false, Some(0)), "{format}");
    }
}
