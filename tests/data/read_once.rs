//! Each file is read once, as inotify(7) counts.

use std::collections::BTreeMap;

use rustix::fs::inotify;

use crate::suite::{INDEX, PLAN, Suite};

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
    // A registry named by both files and by its folder is one registry; one of several plans is read once, and what it has to
    // say is said once.
    suite.write("second.json", &std::fs::read(suite.path(PLAN)).unwrap());
    suite.change("other/probes.json", |document| document["probes"]["demo:a:y"]["driver"] = serde_json::json!("quux"));
    for arguments in [
        &["registry-lint", "--registry", "./other/probes.json", "other/profiles.json", "./other"][..],
        &["plan-lint", "--plan", PLAN, "second.json", "--registry-index", INDEX],
    ] {
        let counts = opens(&suite, &files[1..3], || {
            let outcome = suite.run(arguments);
            assert_eq!(outcome.status, Some(0), "{arguments:?} {} {}", outcome.stdout, outcome.stderr);
            assert_eq!(outcome.stdout.matches("unknown-driver").count(), 1, "{arguments:?} {}", outcome.stdout);
        });
        assert_eq!(counts.into_values().collect::<Vec<_>>(), [1, 1], "{arguments:?}");
    }
    // Two registries by id: still one index.
    let counts = opens(&suite, &[INDEX], || {
        let two = ["registry-lint", "--registry", "demo", "--registry", "demo", "--registry-index", INDEX];
        assert_eq!(suite.run(&two).status, Some(0));
    });
    assert_eq!(counts[INDEX], 1);
}
