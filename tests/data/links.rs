//! `links list` and `links show`.

use serde_json::{Value, json};

use crate::suite::{Outcome, Suite, full_links};

const LINKS: &str = "links.json";
const USUAL: &str = "book/evidence/graph/mappings/runtime/runtime_links.json";

/// Two profiles and one expectation.
fn links() -> Value {
    let mut links = full_links();
    let mut profile = links["profiles"]["s:a"].clone();
    profile["profile_id"] = json!("s:b");
    profile["profile_path"] = json!("sb/b.sb");
    profile["observed_ops"] = json!(["signal", "file-read*"]);
    let mut expectation = links["expectations"]["s:a:x"].clone();
    expectation["expectation_id"] = json!("s:b:x");
    expectation["profile_id"] = json!("s:b");
    links["profiles"] = json!({"s:b": profile, "s:a": links["profiles"]["s:a"]});
    links["expectations"] = json!({"s:b:x": expectation});
    links
}

fn suite() -> Suite {
    let suite = Suite::new();
    suite.write_json(LINKS, &links());
    suite
}

fn parsed(outcome: &Outcome) -> Value {
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[test]
fn ids_are_listed_sorted_and_each_one_can_be_shown() {
    let suite = suite();
    let listed = parsed(&suite.run(&["links", "list", "--links", LINKS, "--json"]));
    assert_eq!(listed["profiles"], json!(["s:a", "s:b"]));
    assert_eq!(listed["expectations"], json!(["s:b:x"]));
    assert_eq!((&listed["world_id"], &listed["findings"]), (&json!("w"), &json!([])));
    for (id, kind, part) in [("s:b", "profile", "profiles"), ("s:b:x", "expectation", "expectations")] {
        let shown = parsed(&suite.run(&["links", "show", id, "--links", LINKS, "--json"]));
        assert_eq!((&shown["kind"], &shown["link"]), (&json!(kind), &links()[part][id]));
        let table = suite.run(&["links", "show", id, "--links", LINKS]).stdout;
        assert!(table.starts_with("KEY") && table.contains("s:b"), "{table}");
    }
    let table = suite.run(&["links", "list", "--links", LINKS]).stdout;
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[2], ["profile", "s:b", "signal", "file-read*", "sb/b.sb"]);
    assert_eq!(lines[3], ["expectation", "s:b:x", "signal", "s:b"]);
    assert_eq!(lines.len(), 4);
}

#[test]
fn the_usual_place_is_under_the_root() {
    let suite = suite();
    let absent = suite.run(&["links", "list"]);
    assert_eq!(absent.status, Some(3));
    assert!(absent.stderr.contains(USUAL) && absent.stderr.contains("--links FILE"), "{}", absent.stderr);
    std::fs::create_dir_all(suite.path(USUAL).parent().unwrap()).unwrap();
    suite.write_json(USUAL, &links());
    assert_eq!(suite.run(&["links", "show", "s:a"]).status, Some(0));
    assert_eq!(suite.run(&["links", "show", "s:a", "--root", "sb"]).status, Some(3));
}

#[test]
fn wrong_shapes_are_refused_and_oddities_are_named() {
    let suite = suite();
    for (part, value) in
        [("profiles", json!([])), ("expectations", json!("x")), ("meta", json!(1)), ("links", json!(true))]
    {
        let mut broken = links();
        broken[part] = value;
        suite.write_json(LINKS, &broken);
        for arguments in [&["links", "list"][..], &["links", "show", "s:b"]] {
            let outcome = suite.run(&[arguments, &["--links", LINKS]].concat());
            assert_eq!(outcome.status, Some(3), "{part}");
            let said = format!("at /{part}: {part} of the document is ");
            assert!(outcome.stderr.contains(&said), "{part}: {}", outcome.stderr);
        }
    }
    for text in [&b"{"[..], b"[]", b"7", b"\xff", b"{\"a\": 1}"] {
        suite.write(LINKS, text);
        let outcome = suite.run(&["links", "list", "--links", LINKS]);
        assert!(outcome.status == Some(3) && outcome.stderr.contains("links"), "{}", outcome.stderr);
    }
    let mut odd = links();
    odd["meta"]["schema_version"] = json!("runtime-links.v9");
    odd["profiles"]["s:a"] = json!(7);
    suite.write_json(LINKS, &odd);
    let listed = suite.run(&["links", "list", "--links", LINKS]);
    assert_eq!(listed.status, Some(0));
    for said in ["warning[schema-tag]", "runtime-links.v9", "warning[wrong-type]", "/profiles/s:a"] {
        assert!(listed.stderr.contains(said), "{said}: {}", listed.stderr);
    }
    let object = parsed(&suite.run(&["links", "list", "--links", LINKS, "--json"]));
    assert_eq!(object["findings"].as_array().unwrap().len(), 2);
    // Inside the parts everything is looked at, and what is right can be used all the same.
    let mut odd = links();
    odd["meta"]["input_hashes"] = json!({"q.json": "0"});
    odd["meta"]["status"] = json!("fine");
    odd["profiles"]["s:a"]["observation_counts"]["blocked_by_stage"]["apply"] = json!(-1);
    odd["profiles"]["s:a"].as_object_mut().unwrap().shift_remove("profile_source");
    odd["expectations"]["s:b:x"]["op_id"] = json!("nine");
    suite.write_json(LINKS, &odd);
    let object = parsed(&suite.run(&["links", "list", "--links", LINKS, "--json"]));
    let mut told: Vec<String> = object["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            assert!(finding["line"].is_u64() && finding["severity"] == "warning", "{finding}");
            format!("{} {}", finding["id"].as_str().unwrap(), finding["pointer"].as_str().unwrap())
        })
        .collect();
    told.sort();
    let expected = [
        "input-digest /meta/input_hashes/q.json",
        "input-digest /meta/inputs",
        "missing-key /profiles/s:a",
        "unknown-word /meta/status",
        "wrong-type /expectations/s:b:x/op_id",
        "wrong-type /meta/input_hashes/q.json",
        "wrong-type /profiles/s:a/observation_counts/blocked_by_stage/apply",
    ];
    assert_eq!(told, expected);
    // A document that is wrong everywhere does not bury its own table.
    let many: serde_json::Map<String, Value> = (0..40).map(|n| (format!("x{n}"), json!(7))).collect();
    suite.write_json(LINKS, &json!({"meta": links()["meta"], "profiles": many}));
    let listed = suite.run(&["links", "list", "--links", LINKS]);
    assert_eq!((listed.status, listed.stderr.matches("warning[wrong-type]").count()), (Some(0), 20));
    assert!(listed.stderr.contains("20 more findings, which --json shows"), "{}", listed.stderr);
    let object = parsed(&suite.run(&["links", "list", "--links", LINKS, "--json"]));
    assert_eq!(object["findings"].as_array().unwrap().len(), 40);
    suite.write_json(LINKS, &json!({"meta": links()["meta"], "profiles": {"s:a": 7}}));
    let none = suite.run(&["links", "show", "s:a", "--links", LINKS]);
    assert!(none.status == Some(3) && none.stderr.contains("no profile and no expectation \"s:a\""), "{}", none.stderr);
}
