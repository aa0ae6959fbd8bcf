//! Which registry a command uses, and that it says so.

use std::path::Path;

use serde_json::{Value, json};

use crate::suite::{INDEX, PLAN, PROBES, PROFILES, Suite};

#[test]
fn people_and_programs_are_told_which_files_were_used() {
    let suite = Suite::new();
    let beside = json!({"kind": "sibling", "path": "registry", "probes": PROBES, "profiles": PROFILES});
    let indexed =
        json!({"kind": "index", "path": INDEX, "probes": "other/probes.json", "profiles": "other/profiles.json"});
    let in_words = "the index index.json (other/probes.json, other/profiles.json)";
    for (used, words) in [(beside, "the registry beside the plan (registry)"), (indexed, in_words)] {
        if used["kind"] == "index" {
            suite.move_registry("other");
        }
        let say = |arguments: &[&str]| suite.run(&[arguments, &["--registry-index", INDEX]].concat()).stdout;
        let parse = |text: String| -> Value { serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")) };
        assert!(say(&["plan-lint", "--plan", PLAN]).contains(words));
        assert_eq!(parse(say(&["plan-lint", "--plan", PLAN, "--json"]))["plans"][0]["registry"], used);
        assert_eq!(parse(say(&["describe-plan", "--plan", PLAN]))["registry"], used);
        let table = say(&["describe-plan", "--plan", PLAN, "--format", "table"]);
        assert!(table.contains(used["probes"].as_str().unwrap()), "{table}");
        let run = ["run", "--plan", PLAN, "--dry", "--out", "out"];
        assert!(say(&run).contains(words));
        let report = parse(say(&[&run[..], &["--json"]].concat()));
        assert_eq!(report["registry_files"], json!({"probes": used["probes"], "profiles": used["profiles"]}));
    }
    // Outside any repository, paths start at the plan.
    let alone = Suite::new();
    alone.remove("AGENTS.md");
    let described: Value = serde_json::from_str(&alone.run(&["describe-plan", "--plan", PLAN]).stdout).unwrap();
    let beside = json!({"kind": "sibling", "path": "registry", "probes": PROBES, "profiles": PROFILES});
    assert_eq!(described["registry"], beside);
    // Listings keep their shapes; the table form says it beside them.
    let table = suite.run(&["list-probes", "--registry", "demo", "--registry-index", INDEX, "--format", "table"]);
    assert!(table.stderr.contains(in_words) && !table.stdout.contains(in_words), "{}", table.stderr);
    let quiet = suite.run(&["list-probes", "--registry", "demo", "--registry-index", INDEX]);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn the_index_is_found_by_its_place_or_named() {
    let suite = Suite::new();
    suite.move_registry("other");
    // Without the option, the index under the root is used, wherever the command runs.
    std::fs::create_dir_all(suite.path("plans/registry")).unwrap();
    suite.write_json("plans/registry/index.json", &suite.read_json(INDEX));
    let outcome = suite.run(&["plan-lint", "--plan", PLAN]);
    assert!(outcome.stdout.contains("the index plans/registry/index.json"), "{}", outcome.stdout);
    let from_root = suite.path(PLAN);
    let outcome = crate::suite::run_in(Path::new("/"), &["plan-lint", "--plan", from_root.to_str().unwrap()]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.stdout);
    // A named index wins over it; one that is not there is no reason to look elsewhere.
    suite.write_json("plans/registry/index.json", &json!({}));
    assert_eq!(suite.run(&["plan-lint", "--plan", PLAN, "--registry-index", INDEX]).status, Some(0));
    let absent = suite.run(&["plan-lint", "--plan", PLAN, "--registry-index", "absent.json"]);
    assert!(absent.status == Some(1) && absent.stdout.contains("absent.json"), "{}", absent.stdout);
}
