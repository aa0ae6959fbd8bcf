//! Real programs: learned, shrunk, run again under the result, and refused with a record when pointed elsewhere.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use super::long;
use crate::support::{Place, ran};

/// A program that is not there is told, and is a failure where nothing may be skipped.
fn missing(program: &str) -> bool {
    let there = Path::new(program).exists();
    if !there {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no {program}");
        assert!(std::env::var_os("RUNTIME_TESTS_SKIP_NOTHING").is_none(), "nothing may be skipped here: {program}");
    }
    !there
}

/// Learns and shrinks a program; gives its working directory.
fn workflow(place: &Place, more: &[&str], command: &[&str]) -> std::path::PathBuf {
    let mut all = vec!["shrink-trace", "workflow", "--same-output", "--jobs", "2", "--cmd", command[0]];
    all.extend(more);
    all.push("--");
    all.extend(&command[1..]);
    let done = place.runtime(&all);
    assert_eq!(done.status, 0, "{done:?}");
    let record = place.json("shrink-out/run.json");
    assert_eq!(record["trace"]["completeness"]["verdict"], "complete");
    assert_eq!(record["shrink"]["diff"]["wider"], 0);
    assert!(record["shrink"]["removed"].as_u64().unwrap() > 0);
    place.path("shrink-out/out")
}

fn git(place: &Place, directory: &str) {
    let path = place.path(directory);
    std::fs::create_dir_all(&path).unwrap();
    for words in [
        &["init", "-q", "-b", "main", "."][..],
        &["config", "user.name", "t"],
        &["config", "user.email", "t@example.invalid"],
        &["commit", "-q", "--allow-empty", "-m", "first"],
    ] {
        let done = ran(Command::new("/usr/bin/git").args(words).current_dir(&path).env("HOME", place.path("home")));
        assert_eq!(done.status, 0, "{done:?}");
    }
    place.file(&format!("{directory}/new"), "new\n");
}

#[test]
fn git_status_reads_its_own_repository_only() {
    if missing("/usr/bin/git") {
        return;
    }
    let place = Place::new();
    git(&place, "repo");
    git(&place, "other");
    let work = workflow(&place, &["--workdir", "repo"], &["/usr/bin/git", "status", "--short"]);
    let again = place.confined("shrink-out/profiles/shrunk.sb", &work, &["/usr/bin/git", "status", "--short"]);
    assert!(again.status == 0 && again.stdout.contains("?? new"), "{again:?}");
    let other = place.path("other");
    let refused = place.confined(
        "shrink-out/profiles/shrunk.sb",
        &work,
        &["/usr/bin/git", "-C", other.to_str().unwrap(), "status"],
    );
    assert_ne!(refused.status, 0, "{refused:?}");
    assert!(place.was_refused("file-read-metadata", "/other"), "{refused:?}");
}

#[test]
fn git_commit_writes_its_own_repository_only() {
    if !long("learning and shrinking git commit") || missing("/usr/bin/git") {
        return;
    }
    let place = Place::new();
    git(&place, "repo");
    git(&place, "other");
    let more = ["--workdir", "repo", "--generalize", "--repeat", "fresh"];
    let script = [
        "/bin/sh",
        "-c",
        "GIT_AUTHOR_DATE=2001-02-03T04:05:06Z GIT_COMMITTER_DATE=2001-02-03T04:05:06Z /usr/bin/git commit -q --allow-empty -m second",
    ];
    let work = workflow(&place, &more, &script);
    // Once more, in a fresh copy of the repository.
    std::fs::remove_dir_all(&work).unwrap();
    assert!(Command::new("cp").arg("-a").arg(place.path("repo")).arg(&work).status().unwrap().success());
    let again = place.confined("shrink-out/profiles/shrunk.sb", &work, &script);
    assert_eq!(again.status, 0, "{again:?}");
    let log = ran(Command::new("/usr/bin/git")
        .args(["log", "-1", "--format=%s"])
        .current_dir(&work)
        .env("HOME", place.path("home")));
    assert_eq!(log.stdout, "second\n");
    let other = format!("cd {} && {}", place.path("other").display(), script[2]);
    let refused = place.confined("shrink-out/profiles/shrunk.sb", &work, &["/bin/sh", "-c", &other]);
    assert_ne!(refused.status, 0, "{refused:?}");
    assert!(place.was_refused("file-read-metadata", "/other"), "{refused:?}");
}

#[test]
fn a_pipeline_reads_its_own_file_only() {
    let place = Place::new();
    place.file("data/words", "b\na\nb\n");
    place.file("elsewhere", "secret\n");
    let pipeline = ["/bin/sh", "-c", "cat words | sort | uniq -c"];
    // What the three ask for depends a little on who is ahead.
    let work = workflow(&place, &["--workdir", "data", "--success-streak", "5"], &pipeline);
    let again = place.confined("shrink-out/profiles/shrunk.sb", &work, &pipeline);
    assert!(again.status == 0 && again.stdout.contains("2 b"), "{again:?}");
    let other = format!("cat {} | sort | uniq -c", place.path("elsewhere").display());
    let refused = place.confined("shrink-out/profiles/shrunk.sb", &work, &["/bin/sh", "-c", &other]);
    assert!(!refused.stdout.contains("secret"), "{refused:?}");
    assert!(place.was_refused("file-read-data", "/elsewhere"), "{refused:?}");
}

fn serve() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nfetched\n");
        }
    });
    port
}

#[test]
fn curl_reaches_its_own_port_only() {
    if missing("/usr/bin/curl") {
        return;
    }
    let place = Place::new();
    let (port, other) = (serve(), serve());
    let url = format!("http://127.0.0.1:{port}/");
    let work = workflow(&place, &[], &["/usr/bin/curl", "-s", &url]);
    let again = place.confined("shrink-out/profiles/shrunk.sb", &work, &["/usr/bin/curl", "-s", &url]);
    assert!(again.status == 0 && again.stdout == "fetched\n", "{again:?}");
    let url = format!("http://127.0.0.1:{other}/");
    let refused = place.confined("shrink-out/profiles/shrunk.sb", &work, &["/usr/bin/curl", "-s", &url]);
    assert_ne!(refused.status, 0, "{refused:?}");
    assert!(place.was_refused("network-outbound", &format!(":{other}")), "{refused:?}");
}

#[test]
fn python_reads_its_own_data_only() {
    if !long("learning and shrinking Python") || missing("/usr/bin/python3") {
        return;
    }
    let place = Place::new();
    place.file("data/a.json", "[20, 22]");
    let elsewhere = place.file("b.json", "[1]");
    let script = |file: &str| {
        format!("import json, ssl; print(sum(json.load(open('{file}'))), ssl.create_default_context().check_hostname)")
    };
    let own = script("a.json");
    let work = workflow(&place, &["--workdir", "data"], &["/usr/bin/python3", "-c", &own]);
    let again = place.confined("shrink-out/profiles/shrunk.sb", &work, &["/usr/bin/python3", "-c", &own]);
    assert!(again.status == 0 && again.stdout == "42 True\n", "{again:?}");
    let other = script(elsewhere.to_str().unwrap());
    let refused = place.confined("shrink-out/profiles/shrunk.sb", &work, &["/usr/bin/python3", "-c", &other]);
    assert_ne!(refused.status, 0, "{refused:?}");
    assert!(place.was_refused("file-read-data", "/b.json"), "{refused:?}");
}

/// Shrinking the several hundred rules of a build takes minutes.
#[test]
fn cargo_builds_its_own_crate_only() {
    if !long("learning and shrinking cargo build") {
        return;
    }
    let sysroot = ran(Command::new("rustc").args(["--print", "sysroot"]).env("RUSTUP_AUTO_INSTALL", "0"));
    let cargo = Path::new(sysroot.stdout.trim()).join("bin/cargo");
    if sysroot.status != 0 || missing(cargo.to_str().unwrap()) {
        return;
    }
    let place = Place::new();
    for name in ["crate", "other"] {
        place.file(
            &format!("{name}/Cargo.toml"),
            "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n",
        );
        place.file(&format!("{name}/src/main.rs"), "fn main() {}\n");
    }
    let home = place.path("home");
    std::fs::create_dir_all(&home).unwrap();
    let path = format!("{}:/usr/bin:/bin", cargo.parent().unwrap().display());
    // The sessions of incremental compilation are directories with names made up anew, and everything in them too.
    let runtime = |words: &[&str]| {
        let mut command = place.command(words);
        ran(command.env("PATH", &path).env("CARGO_HOME", home.join("cargo")).env("CARGO_INCREMENTAL", "0"))
    };
    let cargo = cargo.to_str().unwrap();
    let mut words = vec!["shrink-trace", "workflow"];
    // Cargo says nothing when it may not put the program where it belongs, and the compiler makes one that needs its shared
    // library when it may not look at the other form of it.
    let built = "\"$WORK_DIR/target/debug/small\"";
    let target = ["--generalize", "--repeat", "fresh", "--workdir", "crate", "--jobs", "2", "--success-cmd", built];
    words.extend(target);
    let target = ["--cmd", cargo, "--", "build", "--offline", "-q"];
    words.extend(target);
    let done = runtime(&words);
    assert_eq!(done.status, 0, "{done:?}");
    let profile = "shrink-out/profiles/shrunk.sb";
    let work = place.path("shrink-out/out");
    let confined = |words: &[&str]| {
        let (work_dir, home_dir) = (format!("WORK_DIR={}", work.display()), format!("HOME={}", home.display()));
        let mut all = vec![
            "sandbox",
            "run",
            "--profile",
            profile,
            "--denials",
            "denials.jsonl",
            "-D",
            &work_dir,
            "-D",
            &home_dir,
            "--",
            cargo,
        ];
        all.extend(words);
        runtime(&all)
    };
    std::fs::remove_dir_all(&work).unwrap();
    assert!(Command::new("cp").arg("-a").arg(place.path("crate")).arg(&work).status().unwrap().success());
    let manifest = work.join("Cargo.toml");
    let again = confined(&["build", "--offline", "-q", "--manifest-path", manifest.to_str().unwrap()]);
    assert_eq!(again.status, 0, "{again:?}");
    assert!(Command::new(work.join("target/debug/small")).status().unwrap().success(), "{again:?}");
    let other = place.path("other/Cargo.toml");
    let refused = confined(&["build", "--offline", "-q", "--manifest-path", other.to_str().unwrap()]);
    assert_ne!(refused.status, 0, "{refused:?}");
    assert!(
        place.was_refused("file-read-data", "/other/") || place.was_refused("file-read-metadata", "/other/"),
        "{refused:?}"
    );
}
