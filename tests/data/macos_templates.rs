//! The shipped templates for macOS: they build anywhere, lint clean and hold what their table says.
#![expect(clippy::disallowed_methods, reason = "tests read what the binary under test has written")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use runtime::registry::{Probe, Profile, applied_sources};
use runtime::sbpl::{NoImports, Params, Source, lint};
use runtime::vocab::Platform;
use serde_json::Value;

use crate::suite::run_in;

/// Template, plan, profiles of the plan, probes of the registry.
pub(crate) const SUITES: &[(&str, &str, usize, usize)] = &[
    ("anchor-filter-map", "anchor-filter-map.v1", 7, 16),
    ("hardened-runtime", "hardened-runtime.v1", 11, 19),
    ("lifecycle-lockdown", "lifecycle-lockdown.v17.exec-stage-prereq-narrowing", 25, 3),
    ("mach-name-equivalence", "mach-name-equivalence.v1", 1, 4),
    ("metadata-runner", "metadata-runner.v1", 9, 1296),
    ("probe-op-structure", "probe-op-structure.runtime.v1", 3, 4),
    ("runtime-adversarial", "runtime-adversarial.v1", 24, 77),
    ("runtime-checks", "runtime-checks.v1", 13, 56),
    ("runtime-closure", "runtime-closure.v7", 20, 52),
    ("runtime-frontiers", "runtime-frontiers.v1", 3, 22),
    ("vfs-canonicalization", "vfs-canonicalization.v1", 20, 127),
];

/// Templates whose plans are made by rules.
const GENERATED: &[&str] = &["metadata-runner", "vfs-canonicalization"];

/// A suite built by the binary into a directory of its own, outside of any project.
pub(crate) struct Built {
    id: &'static str,
    directory: tempfile::TempDir,
    /// By id.
    pub(crate) probes: BTreeMap<String, Probe>,
    /// In plan order.
    pub(crate) profiles: Vec<Profile>,
}

impl Built {
    pub(crate) fn new(id: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let built =
            run_in(directory.path(), &["plan-build", "--template", id, "--out", "s", "--write-expected-matrix"]);
        assert_eq!(built.status, Some(0), "{id}: {} {}", built.stdout, built.stderr);
        let mut suite = Self { id, directory, probes: BTreeMap::new(), profiles: Vec::new() };
        let probes = suite.json("registry/probes.json")["probes"].take();
        suite.probes = serde_json::from_value(probes).unwrap();
        let mut profiles: BTreeMap<String, Profile> =
            serde_json::from_value(suite.json("registry/profiles.json")["profiles"].take()).unwrap();
        let plan = suite.json("plan.json");
        let order = plan["profiles"].as_array().unwrap();
        suite.profiles = order.iter().map(|id| profiles.remove(id.as_str().unwrap()).unwrap()).collect();
        assert!(profiles.is_empty(), "{id}: profiles outside of the plan: {profiles:?}");
        suite
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn json(&self, file: &str) -> Value {
        let bytes =
            std::fs::read(self.path().join("s").join(file)).unwrap_or_else(|e| panic!("{} {file}: {e}", self.id));
        serde_json::from_slice(&bytes).unwrap()
    }

    /// What a run would fill in.
    pub(crate) fn parameters(&self) -> Params {
        let mut params = Params::from([("FIXTURES".to_owned(), "/fixtures".to_owned())]);
        for (number, port) in self.fixtures()["ports"].as_array().into_iter().flatten().enumerate() {
            params.insert(format!("PORT_{}", port["name"].as_str().unwrap()), format!("{}", 1001 + number));
        }
        params
    }

    pub(crate) fn fixtures(&self) -> Value {
        match self.json("plan.json").get("fixtures") {
            Some(_) => self.json("fixtures.json"),
            None => Value::Null,
        }
    }

    /// The texts that are applied under a profile.
    pub(crate) fn sources(&self, profile: &Profile) -> Vec<Source> {
        let file = profile.profile_path.strip_prefix("./../").unwrap();
        let text = std::fs::read_to_string(self.path().join("s").join(file)).unwrap();
        applied_sources(file, text, &profile.key_specific_rules)
    }
}

#[test]
fn every_template_builds_anywhere_and_lints_clean() {
    for &(id, plan_id, profiles, probes) in SUITES {
        let suite = Built::new(id);
        let described = format!("| `{id}` | {profiles} | {probes} |");
        assert!(include_str!("../../docs/templates.md").contains(&described), "{described}");
        let plan = suite.json("plan.json");
        assert_eq!((plan["plan_id"].as_str(), plan["registry_id"].as_str()), (Some(plan_id), Some(id)));
        assert_eq!((suite.profiles.len(), suite.probes.len()), (profiles, probes), "{id}");
        let matrix = suite.json("out/expected_matrix.json");
        assert_eq!(matrix["profiles"].as_object().unwrap().len(), profiles, "{id}");
        // What is left are notes; `clean` says which.
        let linted = run_in(suite.path(), &["plan-lint", "--plan", "s/plan.json", "--deny", "warnings", "--json"]);
        let report: Value = serde_json::from_str(&linted.stdout).unwrap();
        assert_eq!((linted.status, &report["ok"]), (Some(0), &Value::Bool(true)), "{id}: {}", linted.stdout);
    }
}

/// The twin: the same lint does not accept a suite that lost a file, or one with a probe it cannot mean.
#[test]
fn a_damaged_suite_does_not_lint_clean() {
    for damage in ["file", "probe"] {
        let suite = Built::new("runtime-closure");
        let path = suite.path().join("s");
        if damage == "file" {
            std::fs::remove_file(path.join("sb/mach_exact.sb")).unwrap();
        } else {
            let text = std::fs::read_to_string(path.join("registry/probes.json")).unwrap();
            std::fs::write(path.join("registry/probes.json"), text.replace("sandbox_mach_probe", "mach_probe"))
                .unwrap();
        }
        let linted = run_in(suite.path(), &["plan-lint", "--plan", "s/plan.json"]);
        assert_eq!(linted.status, Some(1), "{damage}: {}", linted.stdout);
    }
}

/// What `sbpl lint` says about the shipped profiles: nothing, but for those whose subject is a spelling that never matches.
#[test]
fn profiles_lint_clean_where_a_lint_is_not_their_subject() {
    let mut found: Vec<(String, String, usize)> = Vec::new();
    for &(id, ..) in SUITES {
        let suite = Built::new(id);
        for profile in &suite.profiles {
            let report = lint(&suite.sources(profile), &suite.parameters(), &NoImports, Platform::MacOs);
            assert!(report.complete, "{}", profile.profile_id);
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for finding in report.findings {
                *counts.entry(finding.id).or_default() += 1;
            }
            found.extend(counts.into_iter().map(|(lint, count)| (profile.profile_id.clone(), lint, count)));
        }
    }
    let expected = [
        ("metadata-runner:literal_alias", "link-in-path", 4),
        ("metadata-runner:literal_both", "link-in-path", 4),
        ("metadata-runner:subpath_alias", "link-in-path", 2),
        ("metadata-runner:subpath_both", "link-in-path", 2),
        ("metadata-runner:linked_alias", "link-in-path", 4),
        ("runtime-closure:tmp_link_only", "link-in-path", 1),
        ("runtime-closure:tmp_both", "link-in-path", 1),
        ("vfs-canonicalization:literal_links", "link-in-path", 4),
        ("vfs-canonicalization:literal_both", "link-in-path", 4),
        ("vfs-canonicalization:subpath_link", "link-in-path", 1),
        ("vfs-canonicalization:subpath_both", "link-in-path", 1),
        ("vfs-canonicalization:etc_both", "link-in-path", 1),
        ("vfs-canonicalization:data_volume_rule", "data-volume-path", 1),
    ];
    let expected: Vec<_> = expected.map(|(profile, lint, count)| (profile.to_owned(), lint.to_owned(), count)).into();
    assert_eq!(found, expected);
}

fn count<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    texts.fold(BTreeMap::new(), |mut counts, text| {
        *counts.entry(text).or_default() += 1;
        counts
    })
}

/// How often the written-down suites use each operation, driver, filter and optional field.
#[test]
fn the_suites_cover_what_they_are_said_to_cover() {
    let suites: Vec<Built> =
        SUITES.iter().map(|(id, ..)| *id).filter(|id| !GENERATED.contains(id)).map(Built::new).collect();
    let probes: Vec<&Probe> = suites.iter().flat_map(|suite| suite.probes.values()).collect();
    assert_eq!(probes.len(), 253);
    let operations = [
        ("authorization-right-obtain", 2),
        ("darwin-notification-post", 5),
        ("distributed-notification-post", 3),
        ("file-read*", 94),
        ("file-read-data", 4),
        ("file-read-xattr", 4),
        ("file-search", 4),
        ("file-test-existence", 2),
        ("file-write*", 37),
        ("file-write-data", 2),
        ("file-write-xattr", 4),
        ("iokit-open-service", 29),
        ("ipc-posix-shm-write-create", 2),
        ("mach-lookup", 36),
        ("mach-register", 2),
        ("network-outbound", 8),
        ("process-fork", 1),
        ("process-info-pidinfo", 5),
        ("signal", 3),
        ("sysctl-read", 4),
        ("user-preference-read", 2),
    ];
    assert_eq!(count(probes.iter().map(|probe| probe.operation.as_str())), BTreeMap::from(operations));
    let drivers = [
        ("file_probe", 1),
        ("mach_probe", 5),
        ("native", 1),
        ("sandbox_check_probe", 6),
        ("sandbox_iokit_probe", 29),
        ("sandbox_mach_probe", 27),
        ("xpc_probe", 4),
    ];
    assert_eq!(count(probes.iter().filter_map(|probe| probe.driver.as_deref())), BTreeMap::from(drivers));
    let filters = [
        ("global-name", 27),
        ("ipc-posix-name", 2),
        ("local-name", 6),
        ("notification-name", 8),
        ("preference-domain", 2),
        ("right-name", 2),
        ("xpc-service-name", 4),
    ];
    assert_eq!(count(probes.iter().filter_map(|probe| probe.filter_name.as_deref())), BTreeMap::from(filters));
    let syscalls =
        [("bootstrap_look_up", 2), ("fork", 1), ("notify_post", 2), ("xpc_connection_create_mach_service", 1)];
    assert_eq!(count(probes.iter().filter_map(|probe| probe.syscall.as_deref())), BTreeMap::from(syscalls));
    let capabilities = probes.iter().flat_map(|probe| &probe.capabilities_required).map(String::as_str);
    assert_eq!(count(capabilities), BTreeMap::from([("loopback_listener", 8)]));
    let having = |test: fn(&Probe) -> bool| probes.iter().filter(|probe| test(probe)).count();
    assert_eq!(having(|probe| probe.anchor_ctx_id.is_some()), 10);
    assert_eq!(having(|probe| probe.expectation_id.is_some()), 3);
    assert_eq!(having(|probe| probe.mode.as_deref() == Some("scenario")), 3);
    assert_eq!(having(|probe| probe.controls_supported.is_empty()), 3);
    assert_eq!(having(|probe| probe.controls_supported.len() == 3), 250);

    let vfs = Built::new("vfs-canonicalization");
    let operations = [("file-read*", 71), ("file-read-metadata", 3), ("file-write*", 53)];
    assert_eq!(count(vfs.probes.values().map(|probe| probe.operation.as_str())), BTreeMap::from(operations));
    let syscalls = [("lstat", 3), ("openat", 2), ("openat_rootrel", 6)];
    assert_eq!(count(vfs.probes.values().filter_map(|probe| probe.syscall.as_deref())), BTreeMap::from(syscalls));
    let metadata = Built::new("metadata-runner");
    let operations = [("file-read-metadata", 720), ("file-write*", 576)];
    assert_eq!(count(metadata.probes.values().map(|probe| probe.operation.as_str())), BTreeMap::from(operations));
    assert!(metadata.probes.values().all(|probe| probe.driver.as_deref() == Some("metadata_runner")));
}

/// The context ids of the probes and the map beside them are about the same literals and filters.
#[test]
fn the_anchor_map_knows_every_context() {
    let suite = Built::new("anchor-filter-map");
    let map = suite.json("anchor_filter_map.json");
    let mut used = BTreeSet::new();
    for probe in suite.probes.values() {
        let Some(context) = &probe.anchor_ctx_id else { continue };
        let entry = &map[&probe.target];
        assert!(entry["ctx_ids"].as_array().unwrap().iter().any(|id| id == context), "{}", probe.probe_id);
        let filter = probe.filter_name.as_deref().unwrap_or("iokit-registry-entry-class");
        let candidates = entry["candidates"].as_array().unwrap();
        assert!(candidates.iter().any(|candidate| candidate == filter), "{}", probe.probe_id);
        used.insert(context.clone());
    }
    let listed: BTreeSet<String> = map
        .as_object()
        .unwrap()
        .values()
        .flat_map(|entry| entry["ctx_ids"].as_array().into_iter().flatten())
        .map(|id| id.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(used, listed);
}
