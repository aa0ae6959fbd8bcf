//! Listings and descriptions: their stable shapes, their exit status, and that they work from any directory.
#![expect(clippy::disallowed_methods, reason = "tests write their own inputs")]

use std::path::Path;

use serde_json::{Value, json};

use crate::shipped_operations::OPERATIONS;
use crate::suite::{INDEX, Outcome, PLAN, PROBES, PROFILES, Suite, run_in};

fn parsed(outcome: &Outcome) -> Value {
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_shipped_suite_is_clean_and_covers_every_operation_both_ways() {
    for arguments in
        [&["plan-lint", "--plan", "plans/linux-baseline/plan.json", "--json"][..], &["registry-lint", "--json"]]
    {
        let report = parsed(&run_in(project(), arguments));
        assert_eq!((&report["ok"], &report["findings"]), (&json!(true), &json!([])));
    }
    let probes = parsed(&run_in(project(), &["list-probes", "--registry", "linux-baseline"]));
    let profiles = parsed(&run_in(project(), &["list-profiles", "--registry", "linux-baseline"]));
    assert!(probes.as_array().unwrap().len() >= 20 && profiles.as_array().unwrap().len() >= 5);
    for operation in OPERATIONS {
        for expected in ["allow", "deny"] {
            let covered = probes.as_array().unwrap().iter().any(|probe| {
                let own = probe["operation"].as_str().unwrap().trim_end_matches('*');
                own == operation && probe["expected"] == expected
            });
            assert!(covered, "{operation} {expected}");
        }
    }
    for profile in profiles.as_array().unwrap() {
        let path = project().join("plans/linux-baseline/registry").join(profile["profile_path"].as_str().unwrap());
        assert!(std::fs::read(path).unwrap().is_ascii());
    }
}

#[test]
fn listings_have_their_stable_shapes() {
    let suite = Suite::new();
    let registries = parsed(&suite.run(&["list-registries", "--registry-index", INDEX]));
    assert_eq!(
        registries,
        json!([{"id": "demo", "probes": "registry/probes.json", "profiles": "registry/profiles.json", "description": "a demo"}])
    );
    std::fs::create_dir(suite.path("broken")).unwrap();
    suite.write("broken/plan.json", b"{}");
    let plans = parsed(&suite.run(&["list-plans", "--plans-dir", "."]));
    assert_eq!(plans[0]["path"], "broken/plan.json");
    assert!(plans[0]["error"].as_str().unwrap().contains("schema_version is absent"), "{plans}");
    assert_eq!(plans[1], json!({"plan_id": "demo.v1", "registry_id": "demo", "profiles": 1, "path": "plan.json"}));
    assert_eq!(parsed(&suite.run(&["list-plans", "--plans-dir", "sb"])), json!([]));
    for no_directory in ["nowhere", PLAN] {
        let refused = suite.run(&["list-plans", "--plans-dir", no_directory]);
        assert_eq!(refused.status, Some(3), "{}", refused.stdout);
        assert!(
            refused.stderr.contains(no_directory) && refused.stderr.contains("is no directory"),
            "{}",
            refused.stderr
        );
    }
    for (command, file, key) in [("list-probes", PROBES, "probes"), ("list-profiles", PROFILES, "profiles")] {
        let listed = parsed(&suite.run(&[command, "--registry", "demo", "--registry-index", INDEX]));
        let whole: Vec<Value> = suite.read_json(file)[key].as_object().unwrap().values().cloned().collect();
        assert_eq!(listed, json!(whole), "{command}");
        let by_directory = parsed(&suite.run(&[command, "--registry", "."]));
        assert_eq!(by_directory, listed);
        let table = suite.run(&[command, "--registry", "./registry", "--format", "table"]);
        assert_eq!(table.stdout.lines().count(), whole.len() + 1);
    }
}

#[test]
fn json_is_printed_as_the_formats_write_it() {
    let suite = Suite::new();
    suite.change(PLAN, |plan| plan["notes"] = json!("d\u{e9}mo"));
    let outcome = suite.run(&["describe-plan", "--plan", PLAN]);
    assert!(outcome.stdout.starts_with("{\n  \"plan\": {\n    \"schema_version\""), "{}", outcome.stdout);
    assert!(outcome.stdout.contains(r#""notes": "d\u00e9mo""#) && outcome.stdout.ends_with("}\n"));
}

#[test]
fn describe_plan_has_the_digest_also_without_a_registry() {
    let suite = Suite::new();
    suite.change(PLAN, |plan| {
        plan["profiles"] = json!(["demo:a", "demo:b"]);
        plan["lanes"] = json!({"scenario": true, "baseline": true, "oracle": false});
        plan["controls"] = json!({"baseline": true});
    });
    let golden = "05d894861a21acae552b00614365a11af0381cd501f8d960bee8685f50c74891";
    let described = parsed(&suite.run(&["describe-plan", "--plan", PLAN]));
    assert_eq!(described["plan_digest"], golden);
    assert_eq!(described["path"], PLAN);
    assert_eq!(described["plan"], suite.read_json(PLAN));
    assert_eq!(
        described["registry"],
        json!({"kind": "sibling", "path": "registry", "probes": PROBES, "profiles": PROFILES})
    );
    suite.move_registry("other");
    // A directory is found as it is written; an id of the index wins.
    let [plain, dotted] = ["other", "./other"].map(|name| parsed(&suite.run(&["list-probes", "--registry", name])));
    assert_eq!(plain, dotted);
    let indexed = parsed(&suite.run(&["describe-plan", "--plan", PLAN, "--registry-index", INDEX]));
    assert_eq!(
        indexed["registry"],
        json!({"kind": "index", "path": INDEX, "probes": "other/probes.json", "profiles": "other/profiles.json"})
    );
    suite.change(INDEX, |index| index["registries"] = json!([]));
    let absent = parsed(&suite.run(&["describe-plan", "--plan", PLAN, "--registry-index", INDEX]));
    assert_eq!((&absent["plan_digest"], &absent["registry"]), (&json!(golden), &Value::Null));
    assert!(absent["registry_error"].as_str().unwrap().contains("unknown registry \"demo\""));
}

#[test]
fn the_registry_beside_the_plan_wins_and_the_output_says_so() {
    let suite = Suite::new();
    let outcome = suite.run(&["plan-lint", "--plan", PLAN, "--registry-index", INDEX]);
    assert!(outcome.stdout.contains("registry: the registry beside the plan (registry)"), "{}", outcome.stdout);
    // The index is not even read when the registry stands beside the plan.
    suite.write(INDEX, b"{");
    assert_eq!(suite.plan_lint(), (Some(0), vec![]));
}

#[test]
fn descriptors_are_printed_whole_and_unknown_ones_are_named() {
    let suite = Suite::new();
    let probe = parsed(&suite.run(&["describe-probe", "--registry", ".", "--probe", "demo:a:x"]));
    assert_eq!(probe, suite.read_json(PROBES)["probes"]["demo:a:x"]);
    let profile = parsed(&suite.run(&["describe-profile", "--registry", ".", "--profile", "demo:a"]));
    assert_eq!(profile, suite.read_json(PROFILES)["profiles"]["demo:a"]);
    for arguments in [
        &["describe-probe", "--registry", ".", "--probe", "nope"][..],
        &["describe-profile", "--registry", ".", "--profile", "nope"],
        &["list-probes", "--registry", "nope", "--registry-index", INDEX],
        &["list-profiles", "--registry", "./nope"],
        &["describe-plan", "--plan", "nope.json"],
        &["list-registries", "--registry-index", "nope.json"],
    ] {
        let outcome = suite.run(arguments);
        assert_eq!(outcome.status, Some(3), "{arguments:?}");
        assert!(outcome.stderr.starts_with("error: ") && outcome.stderr.contains("nope"), "{}", outcome.stderr);
        let mut with_json = arguments.to_vec();
        with_json.push("--json");
        let object: Value = serde_json::from_str(&suite.run(&with_json).stdout).unwrap();
        assert_eq!(object["error"]["exit_code"], 3, "{arguments:?}");
    }
    assert_eq!(suite.run(&["plan-lint"]).status, Some(2));
}

#[test]
fn listings_work_from_any_directory() {
    let elsewhere = tempfile::tempdir().unwrap();
    let plans = parsed(&run_in(elsewhere.path(), &["list-plans"]));
    assert_eq!(plans[0]["plan_id"], "linux-baseline.v1");
    assert_eq!(plans[0]["path"], "embedded:plans/linux-baseline/plan.json");
    let here = parsed(&run_in(project(), &["list-probes", "--registry", "linux-baseline"]));
    let there = parsed(&run_in(elsewhere.path(), &["list-probes", "--registry", "linux-baseline"]));
    assert_eq!(here, there);
    let report = parsed(&run_in(elsewhere.path(), &["registry-lint", "--json"]));
    assert_eq!(report["ok"], true);
}

#[test]
fn tables_are_plain_text_with_aligned_columns() {
    let suite = Suite::new();
    std::fs::create_dir(suite.path("broken")).unwrap();
    suite.write("broken/plan.json", b"{");
    suite.change(PROBES, |registry| {
        let mut mach = crate::suite::probe("demo:a:m", "mach-lookup", "com.apple.x");
        mach["driver"] = json!("sandbox_mach_probe");
        registry["probes"]["demo:a:m"] = mach;
    });
    let registry = ["--registry", "."];
    let table = |arguments: &[&str]| {
        let outcome = suite.run(&[arguments, &["--format", "table"]].concat());
        assert_eq!(outcome.status, Some(0), "{arguments:?} {}", outcome.stderr);
        assert!(!outcome.stdout.contains('\u{1b}'), "{arguments:?}");
        // Every column begins where its title begins, with two blanks before it.
        let lines: Vec<&str> = outcome.stdout.lines().collect();
        let blank = |at: usize| lines.iter().all(|line| line.as_bytes().get(at).is_none_or(|byte| *byte == b' '));
        let starts = lines[0].char_indices().filter(|(at, c)| *c != ' ' && lines[0][..*at].ends_with("  "));
        for (at, _) in starts {
            assert!(blank(at - 1) && blank(at - 2), "{arguments:?} column {at}: {}", outcome.stdout);
        }
        outcome.stdout
    };
    let probes = table(&[&["list-probes"][..], &registry].concat());
    let row = |id: &str| probes.lines().find(|line| line.starts_with(id)).unwrap().split("  ").map(str::trim);
    let cells = |id: &str| row(id).filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(cells("PROBE_ID"), ["PROBE_ID", "OPERATION", "DRIVER", "EXPECTED", "TARGET FORM", "TARGET"]);
    assert_eq!(cells("demo:a:x")[1..5], ["file-read-data", "file_read", "deny", "path"]);
    assert_eq!(cells("demo:a:m")[1..5], ["mach-lookup", "sandbox_mach_probe", "deny", "service name"]);
    let probe = table(&[&["describe-probe", "--probe", "demo:a:y"][..], &registry].concat());
    assert!(probe.contains("driver used") && probe.lines().any(|line| line.ends_with(" fork")), "{probe}");
    assert!(table(&[&["list-profiles"][..], &registry].concat()).contains("demo:a      sbpl  2"));
    table(&[&["describe-profile", "--profile", "demo:a"][..], &registry].concat());
    let plans = table(&["list-plans", "--plans-dir", "."]);
    assert!(plans.contains("demo.v1") && plans.contains("is not a JSON document"), "{plans}");
    table(&["list-registries", "--registry-index", INDEX]);
    assert!(table(&["describe-plan", "--plan", PLAN]).contains("compiled_digest"));
    let status = table(&["status"]);
    for named in ["world ", "channel direct", "channel launchd_clean", "layer landlock"] {
        assert!(status.contains(named), "{named}: {status}");
    }
    // --json wins: one object, whatever else is asked for.
    for arguments in [&["status"][..], &["list-plans", "--plans-dir", "."], &["describe-plan", "--plan", PLAN]] {
        parsed(&suite.run(&[arguments, &["--format", "table", "--json"]].concat()));
    }
}

#[test]
fn status_is_the_document_of_the_formats_with_what_this_host_is() {
    let status = parsed(&run_in(project(), &["status"]));
    let keys: Vec<&String> = status.as_object().unwrap().keys().collect();
    assert_eq!(
        keys[..11],
        [
            "schema_version",
            "world_id",
            "repo_root",
            "channel",
            "clean_channel_active",
            "stage_used",
            "stage_root",
            "stage_output_root",
            "run_id",
            "sandbox_check_self",
            "tools"
        ]
    );
    assert_eq!((&status["schema_version"], &status["repo_root"]), (&json!("runtime-tools.status.v0.1"), &json!(".")));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(status["host"]["kernel_release"], kernel.trim());
    assert!(status["world_id"].as_str().unwrap().starts_with("linux-"));
    let layers = status["enforcement"]["layers"].as_object().unwrap();
    let missing: Vec<&String> =
        layers.iter().filter(|(_, layer)| layer["present"] == false).map(|(name, _)| name).collect();
    assert_eq!(status["enforcement"]["missing"].as_array().unwrap().len(), missing.len());
    let clean = &status["channels"]["launchd_clean"];
    assert!(clean["available"] == false && clean["note"].as_str().unwrap().contains("launchd"), "{clean}");
}

#[test]
fn many_plans_are_listed_in_order_broken_ones_included() {
    let suite = Suite::new();
    for number in 0..200 {
        let folder = format!("many/{number:04}");
        std::fs::create_dir_all(suite.path(&folder)).unwrap();
        let plan = suite.read_json(PLAN);
        let file = format!("{folder}/plan.json");
        if number % 50 == 7 {
            suite.write(&file, b"{")
        } else {
            suite.write_json(&file, &plan)
        };
    }
    let listed = parsed(&suite.run(&["list-plans", "--plans-dir", "many"]));
    let listed = listed.as_array().unwrap();
    let paths: Vec<&str> = listed.iter().filter_map(|row| row["path"].as_str()).collect();
    assert!(paths.len() == 200 && paths.is_sorted(), "{paths:?}");
    let broken: Vec<&str> =
        listed.iter().filter(|row| row["error"].is_string()).filter_map(|row| row["path"].as_str()).collect();
    assert_eq!(broken, [7, 57, 107, 157].map(|number| format!("many/{number:04}/plan.json")));
}

#[test]
fn a_suite_can_be_built_anywhere() {
    let elsewhere = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-R")
        .args([project().join("plans/linux-baseline"), elsewhere.path().join("copy")])
        .status()
        .unwrap();
    assert!(copied.success());
    let report = parsed(&run_in(elsewhere.path(), &["plan-lint", "--plan", "copy/plan.json", "--json"]));
    assert_eq!((&report["ok"], &report["findings"]), (&json!(true), &json!([])));
}

#[test]
fn a_wrong_member_is_called_by_its_name() {
    for (change, message) in [
        (("lanes", json!({"baseline": "yes"})), "lanes.baseline of the plan is a string, expected true or false"),
        (("lanes", json!("yes")), "lanes of the plan is a string, expected an object"),
        (("profiles", json!(["demo:a", 7])), "member 1 of profiles of the plan is a number, expected a string"),
        (("profiles", json!("demo:a")), "profiles of the plan is a string"),
    ] {
        let suite = Suite::new();
        suite.change(PLAN, |plan| plan[change.0] = change.1);
        let (_, findings) = suite.plan_lint();
        assert!(
            findings.iter().any(|f| f["message"].as_str().unwrap().starts_with(message)),
            "{message}: {findings:#?}"
        );
    }
}

#[test]
fn a_plan_that_cannot_be_run_is_named_with_the_field() {
    for (key, value, place, cause) in [
        ("profiles", json!([]), "plan.json:6:15: at /profiles:", "nothing is left to run"),
        ("profiles", json!(["absent"]), "plan.json:6:15: at /profiles:", "does not have: absent"),
        ("registry_id", json!("absent"), "plan.json:4:18: at /registry_id:", "unknown registry \"absent\""),
    ] {
        let suite = Suite::new();
        suite.change(PLAN, |plan| plan[key] = value.clone());
        if key == "registry_id" {
            suite.move_registry("elsewhere");
        }
        let outcome = suite.run(&["run", "--plan", PLAN, "--registry-index", INDEX, "--out", "out"]);
        assert_eq!(outcome.status, Some(3));
        let lines: Vec<&str> = outcome.stderr.lines().collect();
        assert!(lines[0].starts_with("error: ") && lines[0].contains(place), "{}", outcome.stderr);
        assert!(lines[1].contains(cause), "{}", outcome.stderr);
        assert!(!suite.path("out").exists());
    }
}
