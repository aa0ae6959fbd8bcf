//! Every shipped template, built far away: complete, free of errors, the same every time.

use std::path::Path;

use serde_json::Value;

use crate::support::{Elsewhere, expect, json, text, tree};

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// Suites that are shipped as they are built.
const SHIPPED: &[&str] = &["linux-baseline", "linux-edge", "linux-hardened"];

fn listed(place: &Elsewhere) -> Vec<Value> {
    let output = place.runtime(&["list-templates"]);
    expect(&output, 0);
    json(&output.stdout).as_array().unwrap().clone()
}

#[test]
fn the_listing_has_every_folder_with_its_description() {
    let place = Elsewhere::new();
    let listed = listed(&place);
    let mut folders: Vec<String> = std::fs::read_dir(Path::new(PROJECT).join("plans/templates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    let ids: Vec<&str> = listed.iter().map(|entry| entry["template_id"].as_str().unwrap()).collect();
    assert_eq!(ids, folders);
    for id in ["linux-baseline", "linux-hardened", "linux-edge", "linux-vfs"] {
        assert!(ids.contains(&id), "{ids:?}");
    }
    for entry in &listed {
        let keys: Vec<&String> = entry.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["template_id", "description", "path"]);
        assert!(entry["description"].as_str().unwrap().len() > 20, "{entry}");
    }
    let table = place.runtime(&["list-templates", "--format", "table"]);
    expect(&table, 0);
    assert!(ids.iter().all(|id| text(&table).contains(id)), "{}", text(&table));
}

#[test]
fn every_template_builds_a_suite_that_lints_the_same_every_time() {
    let place = Elsewhere::new();
    for entry in listed(&place) {
        let id = entry["template_id"].as_str().unwrap();
        let build = |out: &str| {
            expect(&place.runtime(&["plan-build", "--template", id, "--out", out, "--overwrite"]), 0);
        };
        build("../a/suite");
        let a = tree(&place.path("a"));
        // Elsewhere, and over what is there: nothing of either shows in the result.
        for name in a.keys() {
            place.write(&format!("b/{name}"), "something else");
        }
        build("../b/suite");
        assert_eq!(a, tree(&place.path("b")), "{id}");
        let registry = |name: &str| json(&a[&format!("suite/registry/{name}.json")])[name].as_object().unwrap().len();
        assert!(registry("probes") > 0 && registry("profiles") > 0, "{id}");
        let linted = place.runtime(&["plan-lint", "--plan", "../a/suite/plan.json"]);
        expect(&linted, 0);
        assert!(text(&linted).contains("registry beside the plan"), "{id}: {}", text(&linted));
        for folder in ["a", "b"] {
            std::fs::remove_dir_all(place.path(folder)).unwrap();
        }
    }
}

#[test]
fn shipped_suites_are_what_their_templates_build_and_stand_in_the_index() {
    let index = std::fs::read(Path::new(PROJECT).join("plans/registry/index.json")).unwrap();
    let index = json(&index);
    for id in SHIPPED {
        let place = Elsewhere::new();
        expect(&place.runtime(&["plan-build", "--template", id, "--out", "../suite"]), 0);
        let shipped = tree(&Path::new(PROJECT).join("plans").join(id));
        let built = tree(&place.path("suite"));
        let names = |files: &std::collections::BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&shipped), names(&built), "{id}");
        for (name, bytes) in &built {
            assert!(shipped[name] == *bytes, "plans/{id}/{name} is not what plan-build --template {id} writes");
        }
        let entry = index["registries"].as_array().unwrap().iter().find(|entry| entry["id"] == *id);
        let entry = entry.unwrap_or_else(|| panic!("{id} is not in the index"));
        assert_eq!(entry["probes"], format!("./../{id}/registry/probes.json"));
        assert!(entry["description"].as_str().unwrap().len() > 20);
    }
}

#[test]
fn what_is_there_is_not_replaced_unasked_and_the_rest_stays() {
    let place = Elsewhere::new();
    let build = |more: &[&str]| {
        let args = ["plan-build", "--template", "linux-baseline", "--out", "../suite"];
        place.runtime(&[&args[..], more].concat())
    };
    place.write("suite/registry/probes.json", "mine");
    place.write("suite/notes.txt", "mine");
    let before = tree(&place.path("suite"));
    for more in [&[][..], &["--dry"]] {
        let refused = build(more);
        expect(&refused, 1);
        assert!(text(&refused).contains("registry/probes.json"), "{}", text(&refused));
        assert!(text(&refused).contains("--overwrite"), "{}", text(&refused));
        assert_eq!(tree(&place.path("suite")), before, "nothing was written");
    }
    let dry = build(&["--overwrite", "--dry"]);
    expect(&dry, 0);
    assert!(text(&dry).contains("would write"), "{}", text(&dry));
    assert_eq!(tree(&place.path("suite")), before, "nothing was written");

    expect(&build(&["--overwrite"]), 0);
    let after = tree(&place.path("suite"));
    assert_eq!(after["notes.txt"], b"mine");
    assert!(after["registry/probes.json"].len() > 1000);
    let names: Vec<_> = std::fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "nothing is left beside the suite: {names:?}");
    let second = build(&[]);
    expect(&second, 1);
    assert!(text(&second).contains("plan.json"), "{}", text(&second));
}

#[test]
fn the_result_is_one_object_and_the_matrix_is_written_when_asked_for() {
    let place = Elsewhere::new();
    let args = ["plan-build", "--template", "linux-baseline", "--out", "../suite", "--write-expected-matrix", "--json"];
    let output = place.runtime(&args);
    expect(&output, 0);
    let result = json(&output.stdout);
    assert_eq!(result["template_id"], "linux-baseline");
    assert_eq!(result["plan_id"], "linux-baseline.v1");
    let described = place.runtime(&["describe-plan", "--plan", "../suite/plan.json"]);
    assert_eq!(result["plan_digest"], json(&described.stdout)["plan_digest"]);
    let files = tree(&place.path("suite"));
    let written = result["files"].as_array().unwrap();
    assert_eq!(written.len(), files.len());
    for file in written {
        let path = Path::new(file["path"].as_str().unwrap());
        assert!(path.is_absolute());
        assert_eq!(std::fs::metadata(path).unwrap().len(), file["bytes"].as_u64().unwrap());
    }
    let matrix = json(&files["out/expected_matrix.json"]);
    let probes: usize =
        matrix["profiles"].as_object().unwrap().values().map(|p| p["probes"].as_array().unwrap().len()).sum();
    assert_eq!(
        (matrix["world_id"].as_str(), probes),
        (Some("linux"), result["expectations"].as_u64().unwrap() as usize)
    );
    let profile = &matrix["profiles"]["linux-baseline:offline"];
    assert!(profile["blob"].as_str().unwrap().ends_with("sb/offline.sb"), "{profile}");
    assert_eq!(profile["probes"][0]["expected"], "deny");
}

#[test]
fn a_linux_suite_can_be_bound_to_one_world() {
    let place = Elsewhere::new();
    for id in ["linux-baseline", "linux-hardened", "linux-edge", "linux-vfs"] {
        let build = |world: &str| {
            place.runtime(&["plan-build", "--template", id, "--out", "../suite", "--param", &format!("WORLD={world}")])
        };
        expect(&build("linux-debian"), 0);
        let files = tree(&place.path("suite"));
        let bound = |name: &&String| name.starts_with("plan") || name.starts_with("registry/");
        let bound: Vec<_> = files.keys().filter(bound).map(|name| json(&files[name])["world_id"].clone()).collect();
        assert!(bound.len() >= 3 && bound.iter().all(|world| world == "linux-debian"), "{id}: {bound:?}");
        expect(&place.runtime(&["plan-lint", "--plan", "../suite/plan.json"]), 0);
        std::fs::remove_dir_all(place.path("suite")).unwrap();
        let refused = build("macos");
        expect(&refused, 2);
        assert!(text(&refused).contains("\"WORLD\"") && text(&refused).contains(id), "{}", text(&refused));
        assert!(!place.path("suite").exists());
    }
}

#[test]
fn the_later_of_the_two_words_about_the_matrix_counts() {
    let place = Elsewhere::new();
    let (write, skip) = ("--write-expected-matrix", "--skip-expected-matrix");
    for (words, written) in [(&[write, skip][..], false), (&[skip, write], true), (&[skip], false), (&[], false)] {
        let args = ["plan-build", "--template", "linux-baseline", "--out", "../suite", "--overwrite"];
        expect(&place.runtime(&[&args[..], words].concat()), 0);
        assert_eq!(place.path("suite/out/expected_matrix.json").exists(), written, "{words:?}");
        std::fs::remove_dir_all(place.path("suite")).unwrap();
    }
}

#[test]
fn a_suite_is_built_where_somebody_works_without_taking_the_directory_away() {
    for (out, plan) in [(".", "plan.json"), ("..", "../plan.json"), ("../cwd", "plan.json"), ("./", "./plan.json")] {
        let place = Elsewhere::new();
        place.write("cwd/notes", "mine");
        let build = ["plan-build", "--template", "linux-baseline", "--out", out];
        expect(&place.runtime(&build), 0);
        expect(&place.runtime(&["plan-lint", "--plan", plan, "--deny", "warnings"]), 0);
        assert_eq!(std::fs::read(place.path("cwd/notes")).unwrap(), b"mine");
        let built = tree(&place.path(""));
        let again = place.runtime(&build);
        expect(&again, 1);
        assert!(text(&again).contains("would be replaced"), "{}", text(&again));
        // What is there would be replaced as a directory, and the caller's with it.
        let replaced = place.runtime(&[&build[..], &["--overwrite"]].concat());
        expect(&replaced, 2);
        assert!(text(&replaced).contains("working directory"), "{}", text(&replaced));
        assert_eq!(tree(&place.path("")), built, "{out}");
    }
    // Something of the suite's name that is not the suite's stays, and nothing is left half-way.
    let place = Elsewhere::new();
    place.write("cwd/sb/mine.sb", "mine");
    let output = place.runtime(&["plan-build", "--template", "linux-baseline", "--out", "."]);
    expect(&output, 3);
    assert!(text(&output).contains("sb"), "{}", text(&output));
    assert_eq!(tree(&place.path("cwd")).len(), 1);
}
