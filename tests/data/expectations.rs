//! What the shipped suites expect is what their profiles say.

use std::path::{Path, PathBuf};

use runtime::plan::{Filters, compile, load_fixtures, load_plan};
use runtime::registry::{self, Lookup, Place};
use runtime::sbpl::{NoImports, Params, Policy, Query, Source};
use runtime::vocab::driver::driver;
use runtime::vocab::{Decision, Driver, Platform};

const FIXTURES: &str = "/private-fixtures";

fn place_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/linux-baseline").join(name)
}

/// A target as a question spells it; none where the operation has no object.
fn asked(driver: Driver, target: &str) -> Option<String> {
    match driver {
        Driver::Fork | Driver::SysvShm => None,
        Driver::Connect | Driver::Bind if target.starts_with('/') => Some(format!("unix:{target}")),
        Driver::Connect | Driver::Bind => Some(format!("tcp:{target}")),
        _ => Some(target.to_owned()),
    }
}

#[test]
fn every_expectation_of_the_shipped_suite_follows_from_its_profile() {
    let place = Place::Disk(place_of("plan.json"));
    let lookup = Lookup::default();
    let plan = load_plan(&place).unwrap();
    let files = registry::for_plan(&place, &plan.registry_id, &lookup).unwrap();
    let registry = registry::load(Some(&plan.registry_id), files, &lookup).unwrap();
    let compiled = compile(&plan, &registry, &Filters::default()).unwrap();
    assert_eq!(compiled.profiles.len(), plan.profiles.len());
    let fixtures = load_fixtures(&Place::Disk(place_of("fixtures.json"))).unwrap();
    let mut params: Params = [("FIXTURES".to_owned(), FIXTURES.to_owned())].into();
    // Numbers that differ, so that a rule about one port does not answer for another.
    params.extend(fixtures.ports.iter().zip(1001..).map(|(port, n)| (format!("PORT_{}", port.name), n.to_string())));
    for profile in compiled.profiles {
        let text = String::from_utf8(profile.path.read(1 << 20).unwrap()).unwrap();
        let policy = Policy::compile(&[Source::new("p.sb", text)], &params, &NoImports).unwrap();
        assert!(policy.warnings().is_empty(), "{}: {}", profile.id, policy.warnings());
        for row in profile.rows {
            let performed = driver(&row.operation, Platform::Linux).unwrap();
            let target = params
                .iter()
                .fold(row.target.clone(), |text, (key, value)| text.replace(&format!("${{{key}}}"), value));
            let target = asked(performed, &target);
            let answer = Query::new(performed.performs(), target.as_deref(), &[]).unwrap().ask(&policy);
            assert_eq!(answer.decision, row.expected.to_string(), "{}: {:?}", row.expectation_id, answer.rule);
            // A refusal that a reader can point at: the rule's line, or no rule at all.
            if row.expected == Decision::Deny && answer.rule.is_none() {
                panic!("{}: every shipped profile states its default", row.expectation_id);
            }
        }
    }
}

#[test]
fn the_attribution_probes_are_refused_by_file_modes_alone() {
    let place = Place::Disk(place_of("fixtures.json"));
    let set = load_fixtures(&place).unwrap();
    let mode = |path: &str| {
        let entry = set.entries.iter().find(|entry| entry.path.as_str() == path);
        entry.unwrap_or_else(|| panic!("no fixture {path}")).mode.map(runtime::fixture::Mode::bits)
    };
    assert_eq!(mode("sealed/no_mode.txt"), Some(0));
    assert_eq!(mode("sealed/read_only.txt"), Some(0o444));
    assert_eq!(mode("locked"), Some(0o600), "no search permission");
    assert_eq!(mode("sealed/denied.txt"), Some(0));
}
