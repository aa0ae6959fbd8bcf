//! The directory of a run: nothing that shrink-trace did not make is replaced, and two runs do not share one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{FIXTURE, Place, Ran};

/// Everything below a directory: contents, where links lead, and when it was changed last.
fn snapshot(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let about = match metadata.file_type() {
            kind if kind.is_symlink() => format!("to {}", path.read_link().unwrap().display()),
            kind if kind.is_dir() => {
                found.extend(snapshot(&path));
                "directory".to_owned()
            }
            _ => std::fs::read_to_string(&path).unwrap(),
        };
        found.insert(path, format!("{about} {:?}", metadata.modified().unwrap()));
    }
    found
}

/// Every command that writes a directory, pointed at `out`.
fn commands(place: &Place, out: &str) -> Vec<Ran> {
    place.file("p.sb", "(version 1)\n(allow default)\n");
    place.file("l.jsonl", "{\"operation\": \"process-fork\", \"target\": \"\", \"pid\": 1, \"count\": 1}\n");
    place.file("m.json", &serde_json::json!({"fixtures": [{"label": "min", "cmd": [FIXTURE, "min"]}]}).to_string());
    let run = |words: &[&str]| place.runtime(&[&["shrink-trace", words[0], "--out", out], &words[1..]].concat());
    vec![
        run(&["workflow", "--cmd", FIXTURE, "--", "min"]),
        run(&["trace", "--profile", "new.sb", "--cmd", FIXTURE, "--", "min"]),
        run(&["shrink", "--profile", "p.sb", "--cmd", FIXTURE, "--", "min"]),
        run(&["trace", "--profile", "new.sb", "--from-log", "l.jsonl"]),
        run(&["workflow", "--matrix", "m.json"]),
    ]
}

#[test]
fn a_directory_of_somebody_else_is_refused_and_nothing_in_it_is_touched() {
    for (name, file) in [
        ("a working directory", "keep/out/file"),
        ("profiles of one's own", "keep/profiles/mine.sb"),
        ("a bundle root", "keep/LATEST"),
        ("another tool's record", "keep/run.json"),
        ("another tool's rules", "keep/rules.json"),
        ("a project", "keep/.git/HEAD"),
    ] {
        let place = Place::new();
        place.file(file, "{\"schema_version\": \"somebody-elses.v1\"}");
        let before = snapshot(&place.path("keep"));
        for done in commands(&place, "keep") {
            assert_eq!(done.status, 2, "{name}: {done:?}");
            let first = file.split('/').nth(1).unwrap();
            for part in [format!("keep holds {first}, and no record of shrink-trace"), "nothing was changed".to_owned()]
            {
                assert!(done.stderr.contains(&part), "{name}: {part}: {done:?}");
            }
        }
        assert_eq!(snapshot(&place.path("keep")), before, "{name}");
        assert!(!place.path("new.sb").exists(), "{name}");
    }
}

#[test]
fn a_new_an_empty_and_a_directory_of_its_own_are_used() {
    let place = Place::new();
    std::fs::create_dir(place.path("empty")).unwrap();
    let run = |out: &str| place.runtime(&["shrink-trace", "workflow", "--out", out, "--cmd", FIXTURE, "--", "min"]);
    for out in ["new", "empty", "new"] {
        let done = run(out);
        assert_eq!(done.status, 0, "{out}: {done:?}");
    }
    // A link to one is one.
    std::os::unix::fs::symlink("new", place.path("link")).unwrap();
    assert_eq!(run("link").status, 0);
    // What stands in one beside its own files stays.
    place.file("new/notes", "mine");
    place.file("new/out/left", "of the program");
    assert_eq!(run("new").status, 0);
    assert_eq!(place.text_of("new/notes"), "mine");
    assert!(!place.path("new/out/left").exists());
    // A place of its own files that leads elsewhere is none of its own.
    std::fs::remove_dir_all(place.path("new/out")).unwrap();
    place.file("elsewhere/file", "x");
    std::os::unix::fs::symlink("../elsewhere", place.path("new/out")).unwrap();
    let before = snapshot(&place.path("new"));
    let done = run("new");
    assert_eq!(done.status, 2, "{done:?}");
    assert!(done.stderr.contains("new/out is no directory"), "{done:?}");
    assert_eq!(snapshot(&place.path("new")), before);
    assert_eq!(place.text_of("elsewhere/file"), "x");
}

#[test]
fn the_second_of_two_runs_in_one_directory_is_refused() {
    let place = Place::new();
    let words = ["shrink-trace", "trace", "--profile", "a.sb", "--out", "o", "--cmd", FIXTURE, "--", "sleep", "50"];
    let mut first = place.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !place.path("o/phases/trace/stdout.txt").exists() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let before = snapshot(&place.path("o/profiles"));
    for done in commands(&place, "o") {
        assert_eq!(done.status, 1, "{done:?}");
        for part in ["another process works in", &format!("is held by process {}", first.id())] {
            assert!(done.stderr.contains(part), "{part}: {done:?}");
        }
    }
    assert_eq!(snapshot(&place.path("o/profiles")), before);
    assert!(place.path("o/out").is_dir() && first.try_wait().unwrap().is_none());
    // However the first one ends, its lock ends with it.
    first.kill().unwrap();
    first.wait().unwrap();
    let again = place.runtime(&["shrink-trace", "workflow", "--out", "o", "--cmd", FIXTURE, "--", "min"]);
    assert_eq!(again.status, 0, "{again:?}");
}
