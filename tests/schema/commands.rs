//! The `schema` commands: what they print, and the status they end with.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::data_suite::{PLAN, Suite};

fn report(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn list_show_and_the_page_name_the_same_schemas() {
    let suite = Suite::new();
    let list = report(&suite.run(&["schema", "list", "--json"]).stdout);
    let text = suite.run(&["schema", "list"]).stdout;
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas.md")).unwrap();
    let rows: BTreeSet<String> = page.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
    let entries = list.as_array().unwrap();
    assert_eq!(rows.len(), entries.len(), "docs/schemas.md lists other schemas");
    for entry in entries {
        let name = entry["name"].as_str().unwrap();
        let shown = suite.run(&["schema", "show", name]);
        assert_eq!((shown.status, &report(&shown.stdout)["description"]), (Some(0), &entry["description"]), "{name}");
        assert!(text.contains(&format!("\n{name} ")), "{name}");
        let tags: Vec<&str> = entry["tags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let cell = if tags.is_empty() { "–".to_owned() } else { format!("`{}`", tags.join("`, `")) };
        let begins = format!("| `{name}` | {cell} |");
        assert!(rows.iter().any(|row| row.starts_with(&begins)), "docs/schemas.md has no row {begins}");
    }
    for arguments in [&["schema", "show", "plna"][..], &["schema", "check", "--as", "plna", PLAN], &["schema", "check"]]
    {
        assert_eq!(suite.run(arguments).status, Some(2), "{arguments:?}");
    }
    assert!(suite.run(&["schema", "show", "plna"]).stderr.contains("there are plan, probe-registry"));
}

#[test]
fn a_finding_names_file_place_and_remedy() {
    let suite = Suite::new();
    let good = suite.run(&["schema", "check", PLAN]);
    assert_eq!((good.status, good.stdout.as_str()), (Some(0), "plan.json: plan: no findings\n"));
    suite.write(PLAN, b"{\n  \"schema_version\": \"runtime-tools.plan.v0.1\",\n  \"plan_id\": \"a\",\n  \"profiles\": [\"x\", 7],\n  \"lanes\": {\"senario\": true}\n}");
    let bad = suite.run(&["schema", "check", PLAN]);
    assert_eq!(bad.status, Some(1));
    for part in [
        "error[schema-required]: lacks the key \"registry_id\"\n  --> plan.json:1:1\n  = help: add it",
        "error[schema-type]: is 7, expected string\n  --> plan.json:4:21 at /profiles/1\n  = help: An id:",
        "error[schema-additional-properties]: the key \"senario\" is not known here\n  --> plan.json:5:24 at /lanes/senario\n  = help: remove it",
        "plan.json: plan: 3 errors, 0 warnings\n",
    ] {
        assert!(bad.stdout.contains(part), "{part}\nis not in\n{}", bad.stdout);
    }
    let found = report(&suite.run(&["schema", "check", "--json", PLAN]).stdout);
    assert_eq!((&found["ok"], &found["complete"]), (&json!(false), &json!(true)));
    assert_eq!(found["documents"], json!([{"file": PLAN, "schemas": ["plan"], "ok": false}]));
}

#[test]
fn a_document_that_names_no_known_schema_is_not_judged() {
    let suite = Suite::new();
    for (name, text, id, help) in [
        ("absent.json", None, "unreadable-file", ""),
        ("a.json", Some("{\"a\": 1,}"), "not-json", ""),
        ("b.json", Some("{}"), "schema-not-named", "schema list"),
        ("c.json", Some("[]"), "schema-not-named", "schema list"),
        ("d.json", Some("{\"schema_version\": 1}"), "schema-not-named", "schema list"),
        ("e.json", Some("{\"schema_version\": \"other.v1\"}"), "schema-unknown", "schema list"),
        ("runtime_results.json", Some("{}"), "schema-not-named", "--as results"),
    ] {
        if let Some(text) = text {
            suite.write(name, text.as_bytes());
        }
        let answer = suite.run(&["schema", "check", "--json", name, PLAN]);
        let found = report(&answer.stdout);
        assert_eq!((answer.status, &found["complete"]), (Some(3), &json!(false)), "{name}");
        assert_eq!((&found["findings"][0]["id"], &found["findings"][0]["file"]), (&json!(id), &json!(name)), "{found}");
        let told = found["findings"][0]["help"].as_str().unwrap_or_default();
        assert!(told.contains(help), "{name}: {told}");
        let message = found["findings"][0]["message"].as_str().unwrap();
        assert!(
            text.is_some() || message.ends_with("absent.json: No such file or directory (os error 2)"),
            "{message}"
        );
        assert_eq!(found["documents"][1]["ok"], json!(true), "the other file is judged all the same");
    }
    suite.write("runtime_results.json", b"{}");
    assert_eq!(suite.run(&["schema", "check", "--as", "results", "runtime_results.json"]).status, Some(0));
    suite.write("big.json", b"");
    std::fs::File::options().write(true).open(suite.path("big.json")).unwrap().set_len(200 * 1024 * 1024).unwrap();
    assert_eq!(suite.run(&["schema", "check", "big.json"]).status, Some(3));
}

#[test]
fn documents_in_lines_are_judged_line_by_line() {
    let suite = Suite::new();
    suite.write(
        "x.jsonl",
        b"\n{\"schema_version\": \"runtime-tools.mismatch_packet.v0.1\"}\n\n{\"operation\": 7}\n{\"a\"\n",
    );
    let found = report(&suite.run(&["schema", "check", "--json", "x.jsonl"]).stdout);
    let lines = |id: &str| -> BTreeSet<u64> {
        let findings = found["findings"].as_array().unwrap().iter();
        findings.filter(|finding| finding["id"] == id).filter_map(|finding| finding["line"].as_u64()).collect()
    };
    assert_eq!(lines("schema-required"), BTreeSet::from([2]), "{found}");
    assert_eq!(lines("schema-not-named"), BTreeSet::from([4]), "{found}");
    assert_eq!(lines("not-json"), BTreeSet::from([5]), "{found}");

    suite.write("denials", b"{\"operation\": \"file-read-data\", \"target\": \"/x\", \"pid\": 1, \"process\": null, \"rule\": null, \"count\": 1, \"first_at_unix_s\": 1.5, \"last_at_unix_s\": 2}\n{\"operation\": 7}\n");
    let found = report(&suite.run(&["schema", "check", "--json", "--as", "denial", "denials"]).stdout);
    let typed = found["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == "schema-type").unwrap();
    assert_eq!((&typed["line"], &typed["column"], &typed["pointer"]), (&json!(2), &json!(15), &json!("/operation")));
    suite.write("empty.jsonl", b"\n");
    assert_eq!(suite.run(&["schema", "check", "empty.jsonl"]).status, Some(0));
}

#[test]
fn a_document_that_is_wrong_everywhere_gives_a_bounded_answer() {
    let suite = Suite::new();
    let profiles: Vec<u32> = (0..5000).collect();
    suite.write_json(PLAN, &json!({"schema_version": "runtime-tools.plan.v0.1", "profiles": profiles}));
    let found = report(&suite.run(&["schema", "check", "--json", PLAN]).stdout);
    let findings = found["findings"].as_array().unwrap();
    assert_eq!((findings.len(), &findings[500]["id"]), (501, &json!("schema-more")));
}
