//! `sbpl explain` from outside.

use super::support::{fixture, runtime};

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
fn invalid_utf8_is_named_with_its_place() {
    let output = runtime(&["sbpl", "explain", "--profile", &path("broken/latin1.sb"), "--op", "signal"]);
    assert_eq!(output.status.code(), Some(3));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("latin1.sb:2:4: invalid UTF-8"), "{stderr}");
}
