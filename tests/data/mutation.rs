//! Mutated documents: whatever the bytes, a reader answers; and what it accepts means what it says.

use std::collections::BTreeSet;

use runtime::plan::{self, Plan, fixtures, lint_plan};
use runtime::registry::{self, Document, Index, Lookup, Place, Registry};
use runtime::vocab::{Finding, Severity};
use serde_json::{Value, json};

use crate::suite::{FIXTURES, INDEX, PLAN, PROBES, PROFILE_TEXT, PROFILES, Suite};

const TOKENS: &[&str] = &[
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "1e400",
    "\\u0000",
    "\\ud800",
    "\u{0}",
    "..",
    "/",
    "${",
    "\"a\":1,",
    "\u{e9}",
    "18446744073709551616",
    "(",
    ")",
    "#\"",
    ";",
];

fn mutate(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    for _ in 0..=random.usize(..3) {
        let at = random.usize(..bytes.len().max(1));
        let end = (at + random.usize(..24)).min(bytes.len());
        match random.usize(..6) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.usize(..8);
                }
            }
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            3 => bytes.truncate(at),
            4 => {
                let token = TOKENS[random.usize(..TOKENS.len())].as_bytes().to_vec();
                bytes.splice(at..at, token);
            }
            _ => {
                let token = TOKENS[random.usize(..TOKENS.len())].as_bytes().to_vec();
                bytes.splice(at..end, token);
            }
        }
    }
}

/// The ids that `docs/lints.md` explains; those of profile texts by their heading or in the list of errors.
fn documented() -> BTreeSet<&'static str> {
    let text = include_str!("../../docs/lints.md");
    text.split('`').skip(1).step_by(2).collect()
}

/// Every finding has a reason with a name, and a place where it is about one of a JSON document.
fn check_findings(findings: &[Finding], documented: &BTreeSet<&str>) {
    for finding in findings {
        let id = finding.id.strip_prefix("sbpl-").unwrap_or(&finding.id);
        assert!(documented.contains(id) || finding.id == "sbpl-more", "{finding:?} has an id that nobody explains");
        assert!(!finding.message.is_empty() && !finding.file.is_empty(), "{finding:?}");
        assert!(finding.pointer.is_none() || finding.line.is_some_and(|line| line > 0), "{finding:?}");
    }
}

fn refused(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// An object without its keys that are null and need not be there, as `keys` says.
fn without_nulls(value: &Value, keys: &[&str]) -> Value {
    let mut value = value.clone();
    if let Some(map) = value.as_object_mut() {
        map.retain(|key, value| !(value.is_null() && keys.contains(&key.as_str())));
    }
    value
}

const OPTIONAL: &[&str] = &[
    "expectation_id",
    "mode",
    "driver",
    "syscall",
    "attr_payload",
    "anchor_ctx_id",
    "filter_name",
    "filter_type",
    "description",
];

/// What was read is what another reader finds in the same bytes: nothing lost, nothing made up.
fn check_registry(registry: &Registry, raw: &[Value; 2]) {
    let probes = raw[0]["probes"].as_object().unwrap();
    assert_eq!(registry.probes.keys().collect::<Vec<_>>(), probes.keys().collect::<Vec<_>>());
    for (id, probe) in &registry.probes {
        let mut expected = without_nulls(&probes[id], OPTIONAL);
        for lane in ["baseline", "scenario", "oracle"] {
            let lanes = expected["supports_lanes"].as_object_mut().unwrap();
            lanes.entry(lane).or_insert(json!(true));
        }
        assert_eq!(json!(probe), expected);
    }
    let profiles = raw[1]["profiles"].as_object().unwrap();
    assert_eq!(registry.profiles.keys().collect::<Vec<_>>(), profiles.keys().collect::<Vec<_>>());
    for (id, profile) in &registry.profiles {
        assert_eq!(json!(profile), profiles[id]);
    }
}

fn check_plan(plan: &Plan, raw: &Value) {
    assert_eq!((json!(plan.plan_id), json!(plan.registry_id)), (raw["plan_id"].clone(), raw["registry_id"].clone()));
    assert_eq!(json!(plan.profiles), raw["profiles"]);
    assert_eq!(json!(plan.world_id), raw["world_id"]);
    assert_eq!(json!(plan.fixtures), raw["fixtures"]);
    assert_eq!(Value::Object(plan.controls.clone()), raw.get("controls").cloned().unwrap_or(json!({})));
    for lane in ["scenario", "baseline", "oracle"] {
        let expected = raw.get("lanes").and_then(|lanes| lanes.get(lane)).cloned().unwrap_or(json!(true));
        assert_eq!(json!(plan.lanes)[lane], expected);
    }
}

/// Another reader, which knows nothing of the formats.
fn raw(suite: &Suite, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(suite.path(file)).unwrap()).unwrap()
}

const MUTATIONS: usize = 1000;

#[test]
fn every_mutated_document_is_accepted_with_equal_meaning_or_refused_by_name() {
    let suite = Suite::full();
    let documented = documented();
    let place = |file: &str| Place::Disk(suite.path(file));
    let mut random = fastrand::Rng::with_seed(3);
    for file in [PLAN, FIXTURES, PROBES, PROFILES, INDEX, PROFILE_TEXT] {
        let original = std::fs::read(suite.path(file)).unwrap();
        let (mut accepted, mut rejected) = (0, 0);
        for number in 0..MUTATIONS {
            // A new one each time: it reads the index once.
            let lookup = Lookup { index: Some(suite.path(INDEX)), start: suite.path("."), ..Lookup::default() };
            let mut bytes = original.clone();
            // Every fourth change is of one byte: the smallest step from what is accepted.
            if number % 4 == 0 {
                let at = random.usize(..bytes.len().max(1));
                bytes[at] = b" \t\n0aZ-:,\"x"[random.usize(..11)];
            } else {
                mutate(&mut bytes, &mut random);
            }
            suite.write(file, &bytes);
            let findings = match file {
                PLAN | FIXTURES | PROFILE_TEXT => match Document::read(&place(PLAN)) {
                    Err(error) => vec![error.finding()],
                    Ok(document) => {
                        let report = lint_plan(document.clone(), &lookup);
                        if !refused(&report.findings) {
                            // Lint says yes: then the plan loads and compiles.
                            let plan = plan::read(document).0.unwrap();
                            check_plan(&plan, &raw(&suite, PLAN));
                            let set = fixtures::load_fixtures(&place(FIXTURES)).unwrap();
                            let given = raw(&suite, FIXTURES);
                            assert_eq!(json!(set)["entries"], given["entries"]);
                            let files = registry::for_plan(plan.place(), &plan.registry_id, &lookup).unwrap();
                            let registry = registry::load(Some(&plan.registry_id), files, &lookup).unwrap();
                            plan::compile(&plan, &registry, &plan::Filters::default()).unwrap();
                        }
                        report.findings
                    }
                },
                INDEX => match Index::read(&lookup) {
                    Err(error) => vec![error.finding()],
                    Ok(index) => {
                        if !refused(&index.findings) {
                            let given = raw(&suite, INDEX);
                            let entries = given["registries"].as_array().unwrap();
                            assert_eq!(index.entries.len(), entries.len());
                            for (entry, given) in index.entries.iter().zip(entries) {
                                assert_eq!(
                                    (json!(entry.id), json!(entry.probes)),
                                    (given["id"].clone(), given["probes"].clone())
                                );
                                assert_eq!(json!(entry.profiles), given["profiles"]);
                            }
                        }
                        index.findings.clone()
                    }
                },
                _ => {
                    let (_, files) = registry::select("./registry", &lookup).unwrap();
                    let findings = registry::lint_files(Some("demo"), files.clone(), &lookup).findings;
                    if !refused(&findings) {
                        let registry = registry::load(Some("demo"), files, &lookup).unwrap();
                        check_registry(&registry, &[raw(&suite, PROBES), raw(&suite, PROFILES)]);
                    }
                    findings
                }
            };
            check_findings(&findings, &documented);
            if refused(&findings) {
                rejected += 1;
            } else {
                accepted += 1;
            }
            if number % 100 == 0 {
                // The program says the same.
                let (status, told) = if matches!(file, PLAN | FIXTURES | PROFILE_TEXT) {
                    suite.plan_lint()
                } else if file == INDEX {
                    suite.registry_lint()
                } else {
                    let outcome = suite.run(&["registry-lint", "--registry", "./registry", "--json"]);
                    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
                    (outcome.status, report["findings"].as_array().unwrap().clone())
                };
                let ids: BTreeSet<&str> = told.iter().map(|finding| finding["id"].as_str().unwrap()).collect();
                let own = findings.iter().filter(|finding| finding.severity == Severity::Error);
                assert!(
                    own.into_iter().all(|finding| ids.contains(finding.id.as_str()) || file == PROBES),
                    "{file}: {ids:?}"
                );
                assert_eq!(status == Some(0), !told.iter().any(|finding| finding["severity"] == "error"), "{file}");
            }
        }
        suite.write(file, &original);
        assert!(accepted > 20 && rejected > 100, "{file}: {accepted} accepted, {rejected} refused");
    }
}
