//! Bytes that are not a document: refused by name and position, never followed, never a panic.
#![expect(clippy::disallowed_methods, reason = "tests write their own inputs")]

use serde_json::Value;

use crate::suite::{FIXTURES, INDEX, PLAN, PROBES, PROFILES, Suite};

/// Texts that are not acceptable, and what the message must say.
fn broken_texts() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let deep = |open: &str| open.repeat(100_000).into_bytes();
    vec![
        ("empty", b"".to_vec(), "EOF"),
        ("only space", b" \n\n ".to_vec(), "EOF"),
        ("cut off", b"{\"schema_version\": \"runtime".to_vec(), "EOF"),
        ("two documents", b"{} {}".to_vec(), "trailing characters"),
        ("trailing comma", b"{\"a\": 1,\n}".to_vec(), "trailing comma"),
        ("single quotes", b"{'a': 1}".to_vec(), "key must be a string"),
        ("bare word", b"{\"a\": nul}".to_vec(), "expected ident"),
        ("not a number", b"{\"a\": NaN}".to_vec(), "expected value"),
        ("leading zero", b"{\"a\": 01}".to_vec(), "invalid number"),
        ("huge integer", b"{\"a\": 123456789012345678901234567890}".to_vec(), "number out of range"),
        ("huge exponent", b"{\"a\": 1e999}".to_vec(), "number out of range"),
        ("duplicate key", b"{\"a\": 1,\n \"a\": 2}".to_vec(), "duplicate key \"a\""),
        ("duplicate key below", b"{\"x\": {\"\\u0061\": 1, \"a\": 2}}".to_vec(), "duplicate key \"a\""),
        ("deep arrays", deep("["), "recursion limit"),
        ("deep objects", deep("{\"a\":"), "recursion limit"),
        ("invalid UTF-8", b"{\n\"a\": \"\xff\"}".to_vec(), "invalid UTF-8 at byte 8 (line 2)"),
        ("UTF-16", b"\xff\xfe{\0}\0".to_vec(), "invalid UTF-8 at byte 0 (line 1)"),
        ("byte order mark", b"\xef\xbb\xbf{}".to_vec(), "expected value"),
        ("raw control character", b"{\"a\": \"x\ny\"}".to_vec(), "control character"),
        ("lone surrogate", b"{\"a\": \"\\ud800\"}".to_vec(), "hex escape"),
        ("NUL bytes", vec![0; 4096], "expected value"),
        ("comment", b"// a plan\n{}".to_vec(), "expected value"),
    ]
}

/// What the user is told, wherever the command says it.
fn told(stdout: &str) -> (String, Option<u64>) {
    let report: Value = serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"));
    if let Some(error) = report.get("error") {
        return (error.to_string().replace("\\\"", "\""), None);
    }
    let findings = report["findings"].as_array().unwrap();
    let errors: Vec<&Value> = findings.iter().filter(|finding| finding["severity"] == "error").collect();
    let text: Vec<String> =
        errors.iter().map(|f| format!("{} {}", f["file"], f["message"].as_str().unwrap())).collect();
    (text.join("\n"), errors.first().and_then(|finding| finding["line"].as_u64()))
}

/// The lint that reads `file`, and the status it must end with when the file is no document.
fn lint_of(file: &str) -> (Vec<&'static str>, i32) {
    match file {
        PLAN => (vec!["plan-lint", "--plan", PLAN, "--json"], 3),
        INDEX => (vec!["registry-lint", "--registry-index", INDEX, "--json"], 3),
        FIXTURES => (vec!["plan-lint", "--plan", PLAN, "--json"], 1),
        _ => (vec!["registry-lint", "--registry", "./registry", "--json"], 1),
    }
}

#[test]
fn broken_bytes_are_refused_by_name_and_position_in_every_document() {
    let mut count = 0;
    for file in [PLAN, FIXTURES, PROBES, PROFILES, INDEX] {
        let suite = Suite::new();
        for (name, bytes, message) in broken_texts() {
            suite.write(file, &bytes);
            let (arguments, status) = lint_of(file);
            let outcome = suite.run(&arguments);
            let (text, line) = told(&outcome.stdout);
            assert_eq!(outcome.status, Some(status), "{file} {name}: {text}");
            assert!(text.contains(message), "{file} {name}: {text}");
            assert!(text.contains(file), "{file} {name} names the file: {text}");
            assert!(text.contains("line") || line.is_some(), "{file} {name} has a position: {text}");
            count += 1;
        }
    }
    assert!(count >= 100);
}

#[test]
fn what_is_not_a_readable_file_is_refused_by_name() {
    for file in [PLAN, FIXTURES, PROBES, INDEX] {
        let (arguments, status) = lint_of(file);
        let big = Suite::new();
        std::fs::File::options().write(true).open(big.path(file)).unwrap().set_len(200 * 1024 * 1024).unwrap();
        let outcome = big.run(&arguments);
        let (text, _) = told(&outcome.stdout);
        assert_eq!(outcome.status, Some(status), "{file}: {text}");
        assert!(text.contains("209715200 bytes; at most 67108864") && text.contains(file), "{file}: {text}");

        let directory = Suite::new();
        directory.remove(file);
        std::fs::create_dir(directory.path(file)).unwrap();
        let outcome = directory.run(&arguments);
        let (text, _) = told(&outcome.stdout);
        assert_eq!(outcome.status, Some(status), "{file}: {text}");
        assert!(text.contains(file), "{file}: {text}");

        let dangling = Suite::new();
        dangling.remove(file);
        std::os::unix::fs::symlink("/nonexistent/x", dangling.path(file)).unwrap();
        assert_eq!(dangling.run(&arguments).status, Some(status), "{file}");
    }
}

#[test]
fn a_named_pipe_does_not_hang_a_lint() {
    let suite = Suite::new();
    suite.remove(PLAN);
    let made = std::process::Command::new("mkfifo").arg(suite.path(PLAN)).status().unwrap();
    assert!(made.success());
    let outcome = suite.run(&["plan-lint", "--plan", PLAN]);
    assert_eq!(outcome.status, Some(3));
    assert!(outcome.stdout.contains("not a regular file"), "{}", outcome.stdout);
}

#[test]
fn a_broken_registry_does_not_hide_the_plan_and_shows_both_files() {
    let suite = Suite::new();
    suite.write(PROBES, b"{");
    suite.write(PROFILES, b"[");
    suite.change(PLAN, |plan| plan["Notes"] = Value::Null);
    let (status, findings) = suite.plan_lint();
    let ids: Vec<&str> = findings.iter().filter_map(|finding| finding["id"].as_str()).collect();
    assert_eq!((status, ids), (Some(1), vec!["unknown-key", "not-json", "not-json"]));
}

#[test]
fn ids_are_never_followed_as_paths() {
    let suite = Suite::new();
    for id in ["../../../etc/passwd", "/etc/passwd", "..", "a\u{0}b"] {
        let arguments = ["list-probes", "--registry", id, "--json"];
        if !id.contains('\0') {
            assert_eq!(suite.run(&arguments).status, Some(3), "{id}");
        }
        suite.change(PLAN, |plan| plan["registry_id"] = Value::from(id));
        assert_eq!(suite.plan_lint().0, Some(1), "{id}");
    }
}
