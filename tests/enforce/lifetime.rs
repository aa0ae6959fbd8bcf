//! How trees end: with their first process, with their supervisor, on request.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::support::each_user;

const WORK: &str = "(allow signal)(allow file-read* file-write* (subpath \"$W\"))";

/// Whether `condition` holds within five seconds.
fn soon(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn nothing_outlives_the_first_process() {
    each_user(|place| {
        let ran = place.run(WORK, &["sh", "-c", "setsid sleep 300 > /dev/null 2>&1 & echo $! > pid; exit 3"]);
        assert_eq!(ran.status, 3, "{ran:#?}");
        let pid = place.text("pid").unwrap();
        assert!(!is_alive(pid.trim()), "{pid} still runs");
    });
}

#[test]
fn a_killed_supervisor_takes_its_tree_along_and_nothing_is_allowed_afterwards() {
    each_user(|place| {
        let script = "setsid sh -c 'while :; do echo tick > ticks; done' & echo $! > pid; echo $$ > first; wait";
        let mut child =
            place.command(WORK, &["sh", "-c", script]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        assert!(soon(|| place.text("ticks").is_some_and(|t| !t.is_empty()) && place.text("first").is_some()));
        child.kill().unwrap();
        child.wait().unwrap();
        let pids: Vec<String> =
            ["pid", "first"].iter().map(|name| place.text(name).unwrap().trim().to_owned()).collect();
        assert!(soon(|| pids.iter().all(|pid| !is_alive(pid))), "{pids:?} still run");
        std::fs::remove_file(place.path("ticks")).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert!(!place.exists("ticks"));
    });
}

#[test]
fn an_interrupt_ends_the_tree_with_130() {
    each_user(|place| {
        let script = "trap '' INT; echo $$ > first; while :; do sleep 1; done";
        let mut child =
            place.command(WORK, &["sh", "-c", script]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        assert!(soon(|| place.text("first").is_some_and(|text| !text.is_empty())));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let first = place.text("first").unwrap();
        assert!(!is_alive(first.trim()));
    });
}

#[test]
fn fifos_do_not_stop_the_supervisor() {
    each_user(|place| {
        let script = "mkfifo f g h; (echo one > f) & (echo two > g) & (cat h) & sleep 0.2; \
                      cat f & cat g & echo three > h; wait";
        let ran = place.run(WORK, &["sh", "-c", script]).good();
        let mut lines: Vec<&str> = ran.stdout.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["one", "three", "two"], "{ran:#?}");
    });
}

#[test]
fn a_fifo_nobody_opens_does_not_keep_the_tree() {
    each_user(|place| {
        let start = Instant::now();
        place
            .run(WORK, &["sh", "-c", "mkfifo f; for i in 1 2 3 4 5 6; do cat f & done; sleep 0.2; cat f & exit 0"])
            .good();
        assert!(start.elapsed() < Duration::from_secs(20));
    });
}

#[test]
fn a_sandbox_inside_a_sandbox_is_refused_by_name() {
    each_user(|place| {
        let runtime = place.fake().replace("/fake", "/runtime");
        let profile = place.file("inner.sb", "(version 1)(allow default)");
        let rules = format!(
            "{WORK}(allow process-exec file-read* (literal \"{runtime}\"))(allow file-read* (subpath \"/proc\"))"
        );
        let ran = place.run(&rules, &[&runtime, "sandbox", "run", "--profile", &profile, "--", "/usr/bin/true"]);
        assert_eq!(ran.status, 125, "{ran:#?}");
        assert!(ran.stderr.contains("cannot"), "{ran:#?}");
    });
}

#[test]
fn an_open_whose_program_died_is_given_up() {
    each_user(|place| {
        // Opened by its canonical path, through a link, and by a program that lives on.
        for name in ["fifo", "linked", "alive"] {
            place.fifo(name);
        }
        place.link("link", "linked");
        let script =
            "cat fifo & one=$!; cat link & two=$!; cat alive & sleep 1; kill -9 $one $two; echo > killed; sleep 5";
        let mut ran = place.command(WORK, &["sh", "-c", script]).spawn().unwrap();
        assert!(soon(|| place.exists("killed")));
        std::thread::sleep(Duration::from_secs(1));
        // Asked once: an opener that still waits is there for a writer, and goes on when one comes (fifo(7)).
        let has_opener = |name: &str| {
            use rustix::fs::{CWD, Mode, OFlags, openat};
            openat(CWD, place.path(name), OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).is_ok()
        };
        let seen = ["fifo", "linked", "alive"].map(has_opener);
        assert!(ran.try_wait().unwrap().is_none(), "it ended with the whole tree only");
        assert_eq!(seen, [false, false, true]);
        ran.kill().unwrap();
        ran.wait().unwrap();
    });
}
