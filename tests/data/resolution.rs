//! Which registry a command uses, and that it says so.

use std::path::Path;

use serde_json::{Value, json};

use crate::suite::{FIXTURES, INDEX, PLAN, PROBES, PROFILE_TEXT, PROFILES, Suite};

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

/// A suite may keep further plans in folders of its own (`iokit-class/plan.json`): they use the suite's registry and its files.
#[test]
fn a_plan_in_a_folder_of_its_suite_uses_the_suites_registry() {
    for marked in [true, false] {
        let suite = Suite::new();
        let mut plan = suite.read_json(PLAN);
        plan["fixtures"] = json!("./../fixtures.json");
        std::fs::create_dir(suite.path("more")).unwrap();
        suite.write_json("more/plan.json", &plan);
        if !marked {
            suite.remove("AGENTS.md");
        }
        let outcome = suite.run(&["plan-lint", "--plan", "more/plan.json", "--deny", "warnings", "--json"]);
        let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(outcome.status, Some(0), "{}", outcome.stdout);
        let beside = json!({"kind": "sibling", "path": "registry", "probes": PROBES, "profiles": PROFILES});
        let used = &report["plans"][0]["registry"];
        assert_eq!(used["kind"], beside["kind"]);
        if marked {
            assert_eq!(*used, beside);
        }
        let run = suite.run(&["run", "--plan", "more/plan.json", "--dry", "--out", "out"]);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        // A registry of the folder's own wins; one that is two folders up is none of the plan's suite.
        std::fs::create_dir_all(suite.path("more/deep")).unwrap();
        suite.write_json("more/deep/plan.json", &plan);
        let deep = suite.run(&["plan-lint", "--plan", "more/deep/plan.json"]);
        assert!(deep.status == Some(1) && deep.stdout.contains("unknown-registry"), "{}", deep.stdout);
        std::fs::create_dir(suite.path("more/registry")).unwrap();
        let mut own = suite.read_json(PROFILES);
        own["profiles"]["demo:a"]["profile_path"] = json!("./absent.sb");
        suite.write_json("more/registry/profiles.json", &own);
        suite.write_json("more/registry/probes.json", &suite.read_json(PROBES));
        let own = suite.run(&["plan-lint", "--plan", "more/plan.json"]);
        assert!(own.stdout.contains("profile-file-missing"), "{}", own.stdout);
    }
}

/// Outside of any project a suite is its own root, and what is recorded stays true when it is moved.
#[test]
fn a_suite_outside_of_any_project_records_relative_paths() {
    let directory = tempfile::tempdir().unwrap();
    let build = ["plan-build", "--template", "linux-baseline", "--out", "s", "--write-expected-matrix"];
    let built = crate::suite::run_in(directory.path(), &build);
    assert_eq!(built.status, Some(0), "{}", built.stderr);
    let matrix = std::fs::read(directory.path().join("s/out/expected_matrix.json")).unwrap();
    let matrix: Value = serde_json::from_slice(&matrix).unwrap();
    let profiles = matrix["profiles"].as_object().unwrap();
    assert!(!profiles.is_empty());
    for (id, profile) in profiles {
        let blob = profile["blob"].as_str().unwrap();
        assert!(blob.starts_with("sb/"), "{id}: {blob}");
    }
}

/// A narrowed run needs the files of its own profiles; without another's there is no digest, and it says so.
#[test]
fn a_narrowed_run_does_not_need_the_files_of_others() {
    let suite = Suite::new();
    suite.change(PLAN, |plan| plan["profiles"] = json!(["demo:a", "demo:b"]));
    suite.change(PROFILES, |document| {
        let mut other = document["profiles"]["demo:a"].clone();
        other["profile_id"] = json!("demo:b");
        other["profile_path"] = json!("./../sb/b.sb");
        document["profiles"]["demo:b"] = other;
    });
    let run =
        |only: &str| suite.run(&["run", "--plan", PLAN, "--dry", "--out", "out", "--only-profile", only, "--json"]);
    let first = run("demo:a");
    assert_eq!(first.status, Some(0), "{}", first.stderr);
    assert!(first.stderr.contains("no compiled digest") && first.stderr.contains("demo:b"), "{}", first.stderr);
    let report: Value = serde_json::from_str(&first.stdout).unwrap();
    assert_eq!(report["compiled_digest"], json!(null));
    let bundle = Path::new(report["bundle_dir"].as_str().unwrap()).join("run_manifest.json");
    let manifest: Value = serde_json::from_slice(&std::fs::read(bundle).unwrap()).unwrap();
    assert!(manifest.get("compiled_digest").is_none(), "{manifest}");
    let other = run("demo:b");
    assert!(other.status == Some(3) && other.stdout.contains("sb/b.sb"), "{} {}", other.stdout, other.stderr);
    // What is frozen is the whole plan.
    let frozen = "0".repeat(64);
    let lint = suite.run(&["plan-lint", "--plan", PLAN, "--only-profile", "demo:a", "--frozen", &frozen]);
    assert!(lint.status == Some(1) && lint.stdout.contains("has no compiled digest"), "{}", lint.stdout);
    suite.write("sb/b.sb", b"(version 1)\n(deny default)\n");
    let whole = run("demo:a");
    let report: Value = serde_json::from_str(&whole.stdout).unwrap();
    assert!(report["compiled_digest"].is_string() && !whole.stderr.contains("digest"), "{}", whole.stderr);
}

/// A link of the suite must not make the program read, and quote, a file of somewhere else.
#[test]
fn what_a_document_names_is_not_read_through_a_link() {
    type Change = fn(&Suite);
    let to_elsewhere = |suite: &Suite, link: &str| {
        suite.write("elsewhere", b"foreign words of a foreign file\n");
        if suite.path(link).exists() {
            suite.remove(link);
        }
        std::os::unix::fs::symlink(suite.path("elsewhere"), suite.path(link)).unwrap();
    };
    let no_change: Change = |_| {};
    let cases: [(&str, Change, &str); 5] = [
        (PROFILE_TEXT, no_change, "registry/profiles.json /profiles/demo:a/profile_path"),
        (
            PROFILE_TEXT,
            |suite| {
                suite.change(PROFILES, |document| {
                    document["profiles"]["demo:a"]["profile_path"] = json!(PROFILE_TEXT);
                });
            },
            "registry/profiles.json /profiles/demo:a/profile_path",
        ),
        (FIXTURES, no_change, "plan.json /fixtures"),
        (
            "sb/preflight.sb",
            |suite| suite.change(PLAN, |plan| plan["apply_preflight_profile"] = json!("./sb/preflight.sb")),
            "plan.json /apply_preflight_profile",
        ),
        ("moved/profiles.json", |suite| suite.move_registry("moved"), "moved/profiles.json "),
    ];
    for (link, change, at) in cases {
        let suite = Suite::new();
        change(&suite);
        to_elsewhere(&suite, link);
        let lint = suite.run(&["plan-lint", "--plan", PLAN, "--registry-index", INDEX, "--json"]);
        let report: Value = serde_json::from_str(&lint.stdout).unwrap();
        let found = report["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == "path-leaves-bound");
        let found = found.unwrap_or_else(|| panic!("{link}: {report:#}"));
        assert_eq!(crate::lints::spelled(found), format!("path-leaves-bound {at}"), "{link}");
        assert!(found["message"].as_str().unwrap().contains("symbolic link"), "{found}");
        let run = suite.run(&["run", "--plan", PLAN, "--registry-index", INDEX, "--dry", "--out", "out"]);
        assert!(run.status == Some(3) || run.status == Some(1), "{link}: {}", run.stdout);
        assert!(run.stderr.contains("symbolic link"), "{link}: {}", run.stderr);
        for said in [&lint.stdout, &lint.stderr, &run.stdout, &run.stderr] {
            assert!(!said.contains("foreign words"), "{link}: {said}");
        }
    }
    // Whoever names the plan may do it through a link.
    let suite = Suite::new();
    std::os::unix::fs::symlink(suite.path(""), suite.path("again")).unwrap();
    let plan = format!("again/{PLAN}");
    let lint = suite.run(&["plan-lint", "--plan", &plan, "--registry-index", INDEX]);
    assert_eq!(lint.status, Some(0), "{}", lint.stdout);
}
