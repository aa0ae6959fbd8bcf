//! The Linux templates, built far away and run: what each promises, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use runtime::vocab::driver::driver;
use runtime::vocab::{Operation, Platform};
use serde_json::Value;

use crate::support::{Elsewhere, RUNTIME, expect, json, text};

/// A number that owns nothing.
const NOBODY: u32 = 65534;

impl Elsewhere {
    fn run(&self, plan: &str) -> Output {
        self.runtime(&["run", "--plan", plan, "--out", "../bundles"])
    }

    /// A document of the run that `LATEST` names.
    fn document(&self, name: &str) -> Value {
        let id = std::fs::read_to_string(self.path("bundles/LATEST")).unwrap();
        json(&std::fs::read(self.path("bundles").join(id.trim()).join(name)).unwrap())
    }

    /// All rows of the scenario lane.
    fn rows(&self) -> Vec<Value> {
        let results = self.document("runtime_results.json");
        results.as_object().unwrap().values().flat_map(|p| p["probes"].as_array().unwrap().clone()).collect()
    }

    /// Runs as somebody without privileges, where this process has any; gives the output.
    fn run_as_nobody(&self, plan: &str) -> Output {
        let privileged = rustix::process::geteuid().is_root();
        std::fs::set_permissions(self.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
        let binary = self.path("runtime");
        std::fs::copy(RUNTIME, &binary).unwrap();
        let work = self.path("work");
        std::fs::create_dir(&work).unwrap();
        let mut command = Command::new(&binary);
        command.args(["run", "--plan", plan, "--out", "out", "--fail-on-mismatch"]);
        command.current_dir(&work).env("TMPDIR", &work);
        if privileged {
            chown(&work, Some(NOBODY), Some(NOBODY)).unwrap();
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command.output().unwrap();
        std::fs::rename(work.join("out"), self.path("bundles")).unwrap();
        output
    }

    /// Nothing is denied that would not work without the policy, and nothing is allowed that would not.
    fn every_target_is_reached_without_a_policy(&self) {
        let control = self.document("baseline_results.json");
        let control = control["results"].as_array().unwrap();
        assert_eq!(control.len(), self.rows().len());
        for row in control {
            assert_eq!(row["status"], "allow", "{row:#}");
        }
    }
}

#[test]
fn baseline_and_hardened_meet_every_expectation() {
    for template in ["linux-baseline", "linux-hardened"] {
        let place = Elsewhere::new();
        place.build(template);
        let linted = place.runtime(&["plan-lint", "--plan", "../suite/plan.json"]);
        expect(&linted, 0);
        assert!(text(&linted).contains("no findings"), "{}", text(&linted));
        let ran = place.runtime(&["run", "--plan", "../suite/plan.json", "--out", "../bundles", "--fail-on-mismatch"]);
        expect(&ran, 0);
        assert!(text(&ran).contains("all expectations met"), "{}", text(&ran));
        let gate = ["emit-promotion", "--bundle", "../bundles", "--out", "../p.json", "--require", "linux_enforcement"];
        expect(&place.runtime(&gate), 0);
    }
}

#[test]
fn hardened_denies_by_default_and_has_both_twins_of_every_operation() {
    let place = Elsewhere::new();
    place.build("linux-hardened");
    let profiles = std::fs::read_dir(place.path("suite/sb")).unwrap().map(|entry| entry.unwrap().path());
    let profiles: Vec<String> = profiles.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert!(profiles.len() >= 5);
    for profile in &profiles {
        assert!(profile.contains("\n(deny default)\n") && !profile.contains("(allow default"), "{profile}");
    }
    expect(&place.run_as_nobody("../suite/plan.json"), 0);
    place.every_target_is_reached_without_a_policy();
    let rows = place.rows();
    assert!(rows.len() >= 60);
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in &rows {
        assert_eq!(row["actual"], row["expected"], "{row:#}");
        assert_eq!(row["runtime_result"]["intended_op_witnessed"], true, "{row:#}");
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        seen.entry(text("operation")).or_default().insert(text("actual"));
    }
    let mut count = 0;
    let wildcards = ["file-read*", "file-write*", "process-exec*", "process-exec"].map(Operation::new);
    let probed: BTreeSet<String> = Operation::all()
        .chain(wildcards)
        .filter(|operation| driver(operation, Platform::Linux).is_some())
        .map(|operation| operation.as_str().to_owned())
        .collect();
    for name in &probed {
        count += 1;
        let decisions = seen.get(name).map(|set| set.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(decisions.as_deref(), Some(&["allow", "deny"][..]), "{name}");
    }
    assert!(count >= 20, "{count}");
}

/// What a list declares: one text for each entry.
fn declared(list: &Value, keys: &[&str]) -> BTreeSet<String> {
    let entries = list.as_array().unwrap();
    let named: BTreeSet<String> = entries
        .iter()
        .map(|entry| keys.iter().map(|key| entry[key].as_str().unwrap()).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(named.len(), entries.len(), "nothing is declared twice");
    named
}

const MISMATCH: &[&str] = &["profile_id", "expectation_id", "mismatch_type"];

#[test]
fn edge_has_exactly_the_mismatches_and_warnings_that_it_declares() {
    let place = Elsewhere::new();
    place.build("linux-edge");
    let expected = json(&std::fs::read(place.path("suite/expected_mismatches.json")).unwrap());
    assert_eq!(expected["plan_id"], "linux-edge.v1");

    let linted = place.runtime(&["plan-lint", "--plan", "../suite/plan.json", "--json"]);
    expect(&linted, 0);
    let findings = &json(&linted.stdout)["findings"];
    assert_eq!(declared(findings, &["id", "pointer"]), declared(&expected["warnings"], &["id", "pointer"]));

    expect(&place.run("../suite/plan.json"), 0);
    let wanted = declared(&expected["mismatches"], MISMATCH);
    let found = declared(&place.document("mismatch_summary.json")["mismatches"], MISMATCH);
    assert_eq!(found, wanted);
    for kind in ["unexpected_allow", "unexpected_deny", "op_not_witnessed", "probe_error"] {
        assert!(wanted.iter().any(|entry| entry.ends_with(kind)), "{kind}");
    }
    // What does not mismatch is observed, and agrees.
    for row in place.rows() {
        let id = row["expectation_id"].as_str().unwrap();
        let declared = wanted.iter().any(|entry| entry.split(' ').nth(1) == Some(id));
        assert_eq!(row["actual"] == row["expected"], !declared, "{row:#}");
        if row["timeout"] == true {
            assert_eq!(row["error_kind"], "timeout", "{row:#}");
        }
    }
    let absent = place.rows().into_iter().filter(|row| row["errno_name"] == "ENOENT" && row["actual"] == "allow");
    assert!(absent.count() >= 4, "an absent target is no deny");
    let gate = ["emit-promotion", "--bundle", "../bundles", "--out", "../p.json", "--require", "linux_enforcement"];
    expect(&place.runtime(&gate), 1);
}

#[test]
fn edge_differs_from_what_it_declares_when_its_policy_changes() {
    let place = Elsewhere::new();
    place.build("linux-edge");
    let expected = json(&std::fs::read(place.path("suite/expected_mismatches.json")).unwrap());
    let profile = "linux-edge:mistaken_rules";
    let mended = std::fs::read_to_string(place.path("suite/sb/mistaken_rules.sb")).unwrap();
    assert!(mended.contains("(prefix (fixture \"/public\"))"));
    place.write(
        "suite/sb/mistaken_rules.sb",
        mended.replace("(prefix (fixture \"/public\"))", "(subpath (fixture \"/public\"))"),
    );
    let plan = ["run", "--plan", "../suite/plan.json", "--out", "../bundles", "--only-profile", profile];
    expect(&place.runtime(&plan), 0);
    let wanted: BTreeSet<String> =
        declared(&expected["mismatches"], MISMATCH).into_iter().filter(|entry| entry.starts_with(profile)).collect();
    let found = declared(&place.document("mismatch_summary.json")["mismatches"], MISMATCH);
    let missing: Vec<&String> = wanted.difference(&found).collect();
    assert_eq!(
        missing,
        ["linux-edge:mistaken_rules linux-edge:mistaken_rules:prefix_takes_a_neighbour unexpected_allow"]
    );
    assert!(found.is_subset(&wanted));
}

#[test]
fn every_name_of_a_file_is_judged_as_the_template_says() {
    let place = Elsewhere::new();
    place.build("linux-vfs");
    let linted = place.runtime(&["plan-lint", "--plan", "../suite/plan.json"]);
    expect(&linted, 0);
    assert!(text(&linted).contains("no findings"), "{}", text(&linted));
    let ran = place.runtime(&["run", "--plan", "../suite/plan.json", "--out", "../bundles", "--fail-on-mismatch"]);
    expect(&ran, 0);
    place.every_target_is_reached_without_a_policy();
    for row in place.rows() {
        assert_eq!(row["runtime_result"]["intended_op_witnessed"], true, "{row:#}");
    }
    let other = Elsewhere::new();
    other.build("linux-vfs");
    expect(&other.run_as_nobody("../suite/plan.json"), 0);
}

/// CAP_SYS_ADMIN is number 21 of the effective set (capabilities(7), proc_pid_status(5)).
fn may_mount() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(set.trim(), 16).unwrap() & 1 << 21 != 0
}

#[test]
fn bind_mounts_are_judged_by_the_place_used_and_without_the_right_to_mount_nothing_is_claimed() {
    let plan = "../suite/plan_bind_mounts.json";
    let place = Elsewhere::new();
    place.build("linux-vfs");
    let linted = place.runtime(&["plan-lint", "--plan", plan]);
    expect(&linted, 0);
    assert!(text(&linted).contains("no findings"), "{}", text(&linted));
    if may_mount() {
        let ran = place.runtime(&["run", "--plan", plan, "--out", "../bundles", "--fail-on-mismatch"]);
        expect(&ran, 0);
        place.every_target_is_reached_without_a_policy();
    }
    let other = Elsewhere::new();
    other.build("linux-vfs");
    expect(&other.run_as_nobody(plan), 1);
    for row in other.rows() {
        assert_eq!((&row["actual"], &row["error_kind"]), (&Value::Null, &Value::from("fixture")), "{row:#}");
        assert!(row["error"].as_str().unwrap().contains("open_shut"), "{row:#}");
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains("runtime-fixtures-"), "no mount is left: {mounts}");
}
