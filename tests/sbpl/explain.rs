//! `sbpl explain` from outside.

use super::support::{fixture, runtime, written};

fn path(relative: &str) -> String {
    fixture(relative).to_str().unwrap().to_owned()
}

#[test]
fn json_has_the_contracted_keys() {
    let profile = path("decisions/precedence.sb");
    let output =
        runtime(&["sbpl", "explain", "--profile", &profile, "--op", "file-read-data", "--target", "/a/b/ok", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["decision"], "allow");
    assert_eq!(answer["rule"]["file"], profile);
    assert_eq!(answer["rule"]["text"], "(allow file-read-data (literal \"/a/b/ok\"))");
    assert_eq!(answer["rule"]["line"], 6);
    assert_eq!(answer["reason"], serde_json::Value::Null);
    let others: Vec<u64> =
        answer["also_matched"].as_array().unwrap().iter().map(|r| r["line"].as_u64().unwrap()).collect();
    assert_eq!(others, [4, 5]);
}

#[test]
fn no_rule_is_null() {
    let profile = path("decisions/no-default.sb");
    let output = runtime(&["--json", "sbpl", "explain", "--profile", &profile, "--op", "process-fork"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["decision"], &answer["rule"]), (&"deny".into(), &serde_json::Value::Null));
}

#[test]
fn overlays_append_and_name_themselves() {
    let directory = tempfile::tempdir().unwrap();
    let overlay = directory.path().join("overlay.sb");
    std::fs::copy(fixture("overlay.sb"), &overlay).unwrap();
    let (profile, overlay) = (path("decisions/no-default.sb"), overlay.to_str().unwrap().to_owned());
    let output = runtime(&[
        "--json",
        "sbpl",
        "explain",
        "--profile",
        &profile,
        "--overlay",
        &overlay,
        "--op",
        "file-read-data",
        "--target",
        "/y",
    ]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["decision"], "allow");
    assert_eq!((&answer["rule"]["file"], &answer["rule"]["line"]), (&overlay.into(), &2.into()));
}

#[test]
fn imports_come_from_the_search_path_and_name_their_file() {
    let (profile, directory) = (path("imports/main.sb"), path("imports/library"));
    let arguments =
        ["--json", "sbpl", "explain", "--profile", &profile, "--op", "file-read-data", "--target", "/lib/x"];
    let answer: serde_json::Value = serde_json::from_slice(&runtime(&arguments).stdout).unwrap();
    assert_eq!(answer["decision"], "unknown");
    assert!(answer["reason"].as_str().unwrap().contains("no import search path"), "{answer}");
    let found: Vec<&str> = arguments.iter().copied().chain(["--import-dir", &directory]).collect();
    let answer: serde_json::Value = serde_json::from_slice(&runtime(&found).stdout).unwrap();
    assert_eq!(answer["decision"], "allow");
    assert!(answer["rule"]["file"].as_str().unwrap().ends_with("base.sb"), "{answer}");
}

#[test]
fn a_broken_profile_ends_with_3_and_the_place() {
    let profile = path("broken/typo.sb");
    let output = runtime(&["sbpl", "explain", "--profile", &profile, "--op", "signal"]);
    assert_eq!(output.status.code(), Some(3));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("typo.sb:3:2") && stderr.contains("^^^^") && stderr.contains("is `allow` meant?"),
        "{stderr}"
    );
    let output = runtime(&["--json", "sbpl", "explain", "--profile", &profile, "--op", "signal"]);
    let error: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let first = &error["error"]["diagnostics"][0];
    assert_eq!((&first["line"], &first["column"], &first["id"]), (&3.into(), &2.into(), &"unbound".into()));
}

#[test]
fn usage_ends_with_2_and_missing_files_with_3() {
    let profile = path("decisions/no-default.sb");
    for (arguments, code) in [
        (vec!["sbpl", "explain", "--profile", "/nonexistent.sb", "--op", "signal"], 3),
        (vec!["sbpl", "explain", "--profile", &profile], 2),
        (vec!["sbpl", "explain", "--profile", &profile, "--op", "file-read-data", "--target", "relative"], 2),
        (vec!["sbpl", "explain", "--profile", &profile, "--op", "signal", "-D", "novalue"], 2),
        (vec!["sbpl", "explain", "--profile", &profile, "--op", "signal", "--target", "stranger"], 2),
    ] {
        assert_eq!(runtime(&arguments).status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a_parameter_has_one_value() {
    let profile = path("decisions/no-default.sb");
    for command in [
        vec!["sbpl", "explain", "--profile", &profile, "--op", "signal"],
        vec!["sbpl", "diff", &profile, &profile],
        vec!["sbpl", "lint", &profile],
        vec!["shrink-trace", "lint", "--profile", &profile],
        vec!["shrink-trace", "shrink", "--profile", &profile, "--cmd", "true", "--out", "/nonexistent/out"],
        vec!["sandbox", "run", "--profile", &profile],
    ] {
        let output = runtime(
            &[&command[..], &["-D", "A=1", "-D", "A=2"], &["true"][usize::from(command[0] != "sandbox")..]].concat(),
        );
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("-D gives the parameter \"A\" more than one value"), "{command:?}: {told}");
        assert_eq!(output.status.code(), Some(2), "{command:?}: {told}");
    }
}

#[test]
fn invalid_utf8_is_named_with_its_place() {
    let output = runtime(&["sbpl", "explain", "--profile", &path("broken/latin1.sb"), "--op", "signal"]);
    assert_eq!(output.status.code(), Some(3));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("latin1.sb:2:4: invalid UTF-8"), "{stderr}");
}

/// The JSON answer about a profile text.
fn explain(text: &str, question: &[&str]) -> serde_json::Value {
    let (_directory, profile) = written(text);
    let mut arguments = vec!["--json", "sbpl", "explain", "--profile", &profile, "--op"];
    arguments.extend(question);
    serde_json::from_slice(&runtime(&arguments).stdout).unwrap()
}

#[test]
fn an_operation_that_no_table_holds_is_noted() {
    let text = "(version 1)\n(allow default)\n";
    let near = "the operation is not in the system's table; did you mean \"file-read-data\"?";
    assert_eq!(explain(text, &["file-red-data"])["note"], near);
    assert_eq!(explain(text, &["some-new-operation"])["note"], "the operation is not in the system's table");
    assert_eq!(explain(text, &["file-read-data"])["note"], serde_json::Value::Null);
}

#[test]
fn each_missing_parameter_is_one_error_that_names_the_option() {
    let text = "(version 1)\n(deny default)\n(define (home p) (string-append (param \"HOME\") p))\n\
                (allow file-read* (subpath (home \"/a\")))\n(allow file-read* (subpath (home \"/b\")))\n\
                (allow file-write* (subpath (param \"TMP\")))\n(allow file-write* (literal (param \"TMP\")))\n";
    let (_directory, profile) = written(text);
    let output = runtime(&["sbpl", "explain", "--profile", &profile, "--op", "signal"]);
    assert_eq!(output.status.code(), Some(3));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.matches("error[").count(), 2, "{stderr}");
    for (message, place, help) in [
        ("error[missing-parameter]: the parameter `HOME` is not given", "p.sb:3:33", "pass it with -D HOME=VALUE"),
        ("error[missing-parameter]: the parameter `TMP` is not given", "p.sb:6:29", "pass it with -D TMP=VALUE"),
    ] {
        assert!(stderr.contains(message) && stderr.contains(place) && stderr.contains(help), "{stderr}");
    }
    let given = ["sbpl", "explain", "--profile", &profile, "--op", "signal", "-D", "HOME=/h", "-D", "TMP=/t"];
    assert_eq!(runtime(&given).status.code(), Some(0));
    // Still #f: a condition, equal to #f, a truth value.
    let text = "(version 1)\n(deny default)\n(if (param \"X\") (allow default))\n\
                (if (and (not (param \"X\")) (equal? (param \"X\") #f) (boolean? (param \"X\"))) (allow signal))\n";
    assert_eq!(explain(text, &["signal"])["decision"], "allow");
}

#[test]
fn near_misses_of_an_unknown_answer_would_settle_it() {
    let hints = |rules: &str| {
        let text = format!("(version 1)\n(deny default)\n{rules}\n");
        let answer = explain(&text, &["file-read-data", "--target", "/etc/hosts"]);
        assert_eq!(answer["decision"], "unknown", "{answer}");
        let near = answer["near_misses"].as_array().unwrap().clone();
        near.iter().map(|miss| miss["rule"]["line"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let open = "(allow file-read* (extension \"e\"))";
    let spelled = |action: &str| format!("({action} file-read* (literal \"/private/etc/hosts\"))");
    // After the open rule either action settles it, before it the same one.
    assert_eq!(hints(&format!("{open}\n{}", spelled("allow"))), [4]);
    assert_eq!(hints(&format!("{open}\n{}", spelled("deny"))), [4]);
    assert_eq!(hints(&format!("{}\n{open}", spelled("allow"))), [3]);
    assert_eq!(hints(&format!("{}\n{open}", spelled("deny"))), Vec::<u64>::new());
    // What a rule that matches stands after cannot settle anything.
    let hidden = format!("{}\n(deny file-read*)\n{open}", spelled("allow"));
    assert_eq!(hints(&hidden), Vec::<u64>::new());
    // Behind a missing import anything may stand.
    let behind = format!("{}\n(import \"x.sb\")", spelled("allow"));
    assert_eq!(hints(&behind), Vec::<u64>::new());
}

#[test]
fn filters_on_what_an_operation_does_not_have_never_match() {
    for (operation, filter, expected) in [
        ("process-exec*", "(vnode-type REGULAR-FILE)", "deny"),
        ("process-exec*", "(file-mode #o0100)", "deny"),
        ("process-exec*", "(require-not (vnode-type DIRECTORY))", "allow"),
        ("file-read-data", "(vnode-type REGULAR-FILE)", "unknown"),
        ("file-read-data", "(file-mode #o0100)", "unknown"),
    ] {
        let text = format!("(version 1)\n(deny default)\n(allow {operation} {filter})\n");
        assert_eq!(explain(&text, &[operation, "--target", "/bin/sh"])["decision"], expected, "{operation} {filter}");
    }
}

#[test]
fn macros_are_refused_at_their_place_by_name() {
    for name in ["macro", "define-macro", "define-syntax", "let-syntax", "letrec-syntax"] {
        let (_directory, profile) =
            written(&format!("(version 1)\n(deny default)\n  ({name} (give p) (list 'allow p))\n"));
        let output = runtime(&["sbpl", "explain", "--profile", &profile, "--op", "signal"]);
        assert_eq!(output.status.code(), Some(3));
        let stderr = String::from_utf8(output.stderr).unwrap();
        let message = format!("error[macro]: macros are not supported: `{name}`");
        assert!(stderr.contains(&message) && stderr.contains("p.sb:3:3"), "{stderr}");
    }
}

#[test]
fn an_attribute_that_no_filter_asks_for_is_refused() {
    let profile = path("decisions/precedence.sb");
    let ask = |attribute: &str| {
        let target = ["--target", "/a/x", "--attr", attribute];
        runtime(&[&["sbpl", "explain", "--profile", &profile, "--op", "file-read-data"], &target[..]].concat())
    };
    for misspelt in ["vnode-typ=DIRECTORY", "bogus=1", "xattr-prefix=a"] {
        let output = ask(misspelt);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{misspelt}");
        let name = misspelt.split('=').next().unwrap();
        assert!(told.contains(&format!("no filter asks for `{name}`")), "{told}");
        assert!(told.contains("file-mode") && told.contains("vnode-type") && !told.contains("signal-number"), "{told}");
    }
    for known in ["vnode-type=DIRECTORY", "file-mode=0644", "uid=0", "xattr=a", "extension=none", "entitlement=e"] {
        assert_eq!(ask(known).status.code(), Some(0), "{known}");
    }
}
