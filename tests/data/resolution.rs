//! Which registry a command uses, that it says so, and that it reads each file once.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::fs::inotify;
use serde_json::{Value, json};

use crate::suite::{INDEX, PLAN, PROBES, PROFILES, Suite};

/// How often each of `files` is opened while `action` runs.
fn opens(suite: &Suite, files: &[&str], action: impl FnOnce()) -> BTreeMap<String, usize> {
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    // Closing is watched as well, because equal events in a row are reported as one (inotify(7)).
    let flags = inotify::WatchFlags::OPEN | inotify::WatchFlags::CLOSE_NOWRITE;
    let mut counts = BTreeMap::new();
    let names: BTreeMap<i32, &str> = files
        .iter()
        .map(|file| (inotify::add_watch(&watch, suite.path(file), flags).unwrap(), *file))
        .inspect(|(_, file)| assert!(counts.insert((*file).to_owned(), 0).is_none()))
        .collect();
    action();
    let mut buffer = [std::mem::MaybeUninit::uninit(); 8192];
    let mut events = inotify::Reader::new(&watch, &mut buffer);
    while let Ok(event) = events.next() {
        if event.events().contains(inotify::ReadFlags::OPEN) {
            *counts.get_mut(names[&event.wd()]).unwrap() += 1;
        }
    }
    counts
}

#[test]
fn every_file_is_read_once_per_command() {
    let suite = Suite::new();
    suite.move_registry("other");
    let files = [INDEX, "other/probes.json", "other/profiles.json", PLAN];
    let lists =
        |probes: &str| -> Vec<&str> { if probes == "list-registries" { vec![INDEX] } else { files[..3].to_vec() } };
    // The twin: what is read twice is counted twice.
    let twice = opens(&suite, &files, || {
        for _ in 0..2 {
            assert!(std::fs::read(suite.path(INDEX)).is_ok());
        }
    });
    assert_eq!((twice[INDEX], twice[PLAN]), (2, 0));
    for (arguments, read) in [
        (&["plan-lint", "--plan", PLAN][..], files.to_vec()),
        (&["describe-plan", "--plan", PLAN], files.to_vec()),
        (&["run", "--plan", PLAN, "--dry", "--out", "out"], files.to_vec()),
        (&["registry-lint"], lists("registry-lint")),
        (&["list-probes", "--registry", "demo"], lists("list-probes")),
        (&["list-profiles", "--registry", "demo"], lists("list-profiles")),
        (&["list-registries"], lists("list-registries")),
        (&["describe-probe", "--registry", "demo", "--probe", "demo:a:x"], lists("describe-probe")),
        (&["describe-profile", "--registry", "demo", "--profile", "demo:a"], lists("describe-profile")),
    ] {
        let counts = opens(&suite, &files, || {
            let outcome = suite.run(&[arguments, &["--registry-index", INDEX]].concat());
            assert_eq!(outcome.status, Some(0), "{arguments:?} {} {}", outcome.stdout, outcome.stderr);
        });
        let expected = files.iter().map(|file| ((*file).to_owned(), usize::from(read.contains(file)))).collect();
        assert_eq!(counts, expected, "{arguments:?}");
    }
    // Two registries by id: still one index.
    let counts = opens(&suite, &[INDEX], || {
        let two = ["registry-lint", "--registry", "demo", "--registry", "demo", "--registry-index", INDEX];
        assert_eq!(suite.run(&two).status, Some(0));
    });
    assert_eq!(counts[INDEX], 1);
}

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
