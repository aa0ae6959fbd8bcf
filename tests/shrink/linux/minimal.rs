//! What is left is needed, what was redundant is gone, and what depends on the moment is found out.

use std::fmt::Write as _;

use crate::support::{FIXTURE, Place};

/// The loader's rules and what the program needs to read two files.
fn needed(place: &Place) -> String {
    let (one, two) = (place.file("one", "1"), place.file("two", "2"));
    format!(
        "(version 1)\n(deny default)\n(allow process-exec* (literal \"{FIXTURE}\"))\n\
         (allow process-exec-interpreter file-read-data file-read-metadata file-map-executable\n  (subpath \"/usr/lib\") (subpath \"/usr/lib64\") (subpath \"/lib\") (subpath \"/lib64\"))\n\
         (allow file-read-data (require-all (vnode-type REGULAR-FILE) (require-any (literal \"{}\") (literal \"{}\"))))\n",
        one.display(),
        two.display()
    )
}

#[test]
fn redundant_rules_operations_and_alternatives_are_lost_and_each_part_left_is_needed() {
    let place = Place::new();
    let mut text = needed(&place);
    for number in 0..20 {
        writeln!(text, "(allow file-read-data (subpath \"/srv/redundant/{number}\"))").unwrap();
    }
    text = text
        .replace("(allow process-exec* (literal", "(allow process-exec* signal sysctl-write process-info* (literal");
    text = text.replace("(require-any (literal", "(require-any (literal \"/srv/redundant/other\") (literal");
    text.push_str("(deny file-write* (subpath \"/\")) ; stays\n");
    place.file("p.sb", &text);
    let files = [place.path("one"), place.path("two")];
    let words = ["read", files[0].to_str().unwrap(), files[1].to_str().unwrap()];
    let mut all = vec!["shrink-trace", "shrink", "--profile", "p.sb", "--cmd", FIXTURE, "--prove", "--"];
    all.extend(words);
    let done = place.runtime(&all);
    assert_eq!(done.status, 0, "{done:?}");
    let shrunk = place.text_of("shrink-out/profiles/shrunk.sb");
    assert!(
        !shrunk.contains("redundant")
            && !shrunk.contains("signal")
            && !shrunk.contains("sysctl-write")
            && !shrunk.contains("process-info"),
        "{shrunk}"
    );
    assert!(shrunk.contains("(deny file-write* (subpath \"/\")) ; stays"), "{shrunk}");
    assert!(shrunk.contains("(vnode-type REGULAR-FILE)"), "{shrunk}");
    let status = place.json("shrink-out/phases/shrink/status.json");
    assert_eq!(status["one_minimal"], "proved", "{status:#}");
    // Checked by running: without any part of the result the program fails.
    let source = runtime::sbpl::Source::new("shrunk.sb", shrunk.as_str());
    let candidates = runtime::shrink::candidates::Candidates::read(&source).unwrap();
    let mut confined = vec![FIXTURE];
    confined.extend(words);
    place.file("whole.sb", &shrunk);
    assert_eq!(place.confined("whole.sb", &place.path(""), &confined).status, 0);
    assert!(candidates.elements().len() >= 5, "{shrunk}");
    for (index, element) in candidates.elements().iter().enumerate() {
        place.file("less.sb", &candidates.without(&[index].into()));
        let ran = place.confined("less.sb", &place.path(""), &confined);
        assert_ne!(ran.status, 0, "works without {}", element.text);
    }
}

/// Denying one file makes another one unneeded: what was kept for its sake is found out afterwards.
#[test]
fn what_becomes_unneeded_later_goes_too() {
    let place = Place::new();
    let (plugin, needs) = (place.file("one", "x"), place.file("two", "y"));
    place.file("p.sb", &needed(&place));
    let done = place.runtime(&[
        "shrink-trace",
        "shrink",
        "--profile",
        "p.sb",
        "--cmd",
        FIXTURE,
        "--",
        "plugin",
        plugin.to_str().unwrap(),
        needs.to_str().unwrap(),
    ]);
    assert_eq!(done.status, 0, "{done:?}");
    let shrunk = place.text_of("shrink-out/profiles/shrunk.sb");
    assert!(!shrunk.contains("/one") && !shrunk.contains("/two"), "{shrunk}");
}

#[test]
fn a_program_that_fails_by_itself_at_times_is_called_flaky_or_not_shrunk() {
    let place = Place::new();
    let counter = place.file("counter", "0");
    let text = needed(&place)
        + &format!("(allow file-read* file-write* (literal \"{}\"))\n(allow signal)\n", counter.display());
    place.file("p.sb", &text);
    let done = place.runtime(&[
        "shrink-trace",
        "shrink",
        "--profile",
        "p.sb",
        "--cmd",
        FIXTURE,
        "--",
        "flaky",
        counter.to_str().unwrap(),
    ]);
    let status = place.json("shrink-out/phases/shrink/status.json");
    assert!(status["flaky"].as_array().is_some_and(|own| !own.is_empty()), "{status:#} {done:?}");
}

#[test]
fn an_interrupted_search_goes_on_where_it_was() {
    let place = Place::new();
    place.file("p.sb", &needed(&place));
    let files = [place.path("one"), place.path("two")];
    let run = |more: &[&str], words: &[&str]| {
        let mut all = vec!["shrink-trace", "shrink", "--profile", "p.sb", "--cmd", FIXTURE];
        all.extend(more);
        all.push("--");
        all.extend(words);
        place.runtime(&all)
    };
    let words = ["read", files[0].to_str().unwrap(), files[1].to_str().unwrap()];
    assert_eq!(run(&["--max-runs", "3"], &words).status, 3);
    let first = run(&[], &words);
    assert_eq!(first.status, 0, "{first:?}");
    let (text, runs) = (
        place.text_of("shrink-out/profiles/shrunk.sb"),
        place.json("shrink-out/run.json")["shrink"]["runs"].as_u64().unwrap(),
    );
    // Half of what was found out, the last line cut off as by a kill.
    let state = place.text_of("shrink-out/phases/shrink/state.jsonl");
    place.file("shrink-out/phases/shrink/state.jsonl", &state[..state.len() - 20]);
    let again = run(&["--resume"], &words);
    assert_eq!(again.status, 0, "{again:?}");
    assert_eq!(place.text_of("shrink-out/profiles/shrunk.sb"), text);
    let fewer = place.json("shrink-out/run.json")["shrink"]["runs"].as_u64().unwrap();
    assert!(fewer < runs && fewer >= 5, "{fewer} {runs}");
    // The twin: another command's state is not taken.
    let other = run(&["--resume"], &words[..2]);
    assert!(other.status == 3 && other.stderr.contains("another profile or command"), "{other:?}");
}

#[test]
fn runs_side_by_side_find_the_same() {
    let place = Place::new();
    place.file("p.sb", &(needed(&place) + "(allow signal)\n(allow file-write* (subpath (param \"WORK_DIR\")))\n"));
    let file = place.path("one");
    let mut found = Vec::new();
    for jobs in ["1", "3"] {
        let done = place.runtime(&[
            "shrink-trace",
            "shrink",
            "--profile",
            "p.sb",
            "--cmd",
            FIXTURE,
            "--jobs",
            jobs,
            "--out",
            jobs,
            "--",
            "read",
            file.to_str().unwrap(),
        ]);
        assert_eq!(done.status, 0, "{done:?}");
        assert!(!place.path(&format!("{jobs}/jobs")).exists());
        found.push(place.text_of(&format!("{jobs}/profiles/shrunk.sb")));
    }
    assert_eq!(found[0], found[1]);
}
