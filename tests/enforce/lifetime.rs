//! How trees end: with their first process, with their supervisor, on request.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

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
        let mut run = with_default_signals(&place.command(WORK, &["sh", "-c", script]));
        place.runs_as_user(&mut run);
        let mut child = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        assert!(soon(|| place.text("first").is_some_and(|text| !text.is_empty())));
        signal(&child, Signal::INT);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let first = place.text("first").unwrap();
        assert!(!is_alive(first.trim()));
    });
}

/// A run that has the signals' defaults, whatever the tests themselves were started with.
fn with_default_signals(command: &Command) -> Command {
    let mut env = Command::new("env");
    env.arg("--default-signal=INT,QUIT,TERM,HUP").arg(command.get_program()).args(command.get_args());
    env.current_dir(command.get_current_dir().unwrap());
    env
}

fn signal(child: &Child, signal: Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
}

/// How a run ends, which must be soon.
fn ended(child: &mut Child) -> Option<i32> {
    let ended = soon(|| child.try_wait().unwrap().is_some());
    if !ended {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    if ended { status.code() } else { None }
}

#[test]
fn every_request_to_end_leaves_the_records() {
    each_user(|place| {
        let script = "trap '' INT QUIT TERM HUP; cat /etc/hostname; echo $$ > first; while :; do sleep 1; done";
        for (number, status) in [(Signal::INT, 130), (Signal::QUIT, 131), (Signal::TERM, 143), (Signal::HUP, 129)] {
            let _ = std::fs::remove_file(place.path("first"));
            let mut run = with_default_signals(&place.command(WORK, &["sh", "-c", script]));
            place.runs_as_user(&mut run);
            let mut child = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            assert!(soon(|| place.text("first").is_some_and(|text| !text.is_empty())));
            signal(&child, number);
            assert_eq!(ended(&mut child), Some(status), "{number:?}");
            assert!(place.denials().iter().any(|denial| denial["target"] == "/etc/hostname"), "{number:?}");
        }
    });
}

#[test]
fn a_signal_that_is_ignored_from_the_start_stays_so() {
    each_user(|place| {
        // The command meets it ignored too, as under the shell alone.
        let script = "echo $$ > first; kill -HUP $$; sleep 1; cat /etc/hostname; exit 7";
        for options in ["--ignore-signal=HUP,QUIT", "--default-signal=HUP,QUIT"] {
            let _ = std::fs::remove_file(place.path("first"));
            let command = place.command(WORK, &["sh", "-c", script]);
            let mut run = Command::new("env");
            run.arg(options).arg(command.get_program()).args(command.get_args()).current_dir(place.root());
            place.runs_as_user(&mut run);
            let mut child = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            assert!(soon(|| place.text("first").is_some_and(|text| !text.is_empty())));
            signal(&child, Signal::HUP);
            signal(&child, Signal::QUIT);
            let status = ended(&mut child);
            if options.starts_with("--ignore") {
                assert_eq!(status, Some(7));
                assert!(place.denials().iter().any(|denial| denial["target"] == "/etc/hostname"));
            } else {
                assert!(matches!(status, Some(129 | 131)), "{status:?}");
            }
        }
    });
}

#[test]
fn a_record_for_a_fifo_waits_for_its_reader_and_can_be_interrupted() {
    each_user(|place| {
        let fifo = place.fifo("pipe");
        let made = place.path("made");
        for (option, other) in [("--denials", "--report"), ("--report", "--denials")] {
            let options = [option, fifo.as_str(), other, made.as_str()];
            let start = || {
                let run = place.command(WORK, &["sh", "-c", "touch ran; cat /etc/hostname; exit 7"]);
                let mut words: Vec<_> = run.get_args().map(ToOwned::to_owned).collect();
                // The outputs that a place's runs have are not wanted here.
                let at = words.iter().position(|word| word == "--denials").unwrap();
                words.splice(at..at + 4, options.map(Into::into));
                let mut plain = Command::new(run.get_program());
                plain.args(words).current_dir(place.root());
                let mut run = with_default_signals(&plain);
                place.runs_as_user(&mut run);
                run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
            };
            for (number, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::QUIT, 131)] {
                let mut child = start();
                std::thread::sleep(Duration::from_millis(300));
                signal(&child, number);
                assert_eq!(ended(&mut child), Some(status), "{options:?} {number:?}");
                assert!(!place.exists("ran") && !place.exists("made"), "{options:?}");
            }
            // The twin: somebody reads, later and slowly.
            let mut child = start();
            std::thread::sleep(Duration::from_millis(300));
            let text = std::fs::read_to_string(&fifo).unwrap();
            assert_eq!(ended(&mut child), Some(7), "{options:?}");
            assert!(text.contains(if option == "--report" { "\"observe\": false" } else { "/etc/hostname" }), "{text}");
            let _ = ["ran", "made"].map(|name| std::fs::remove_file(place.path(name)));
        }
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

#[test]
fn the_supervisor_may_open_more_than_its_program() {
    use std::io::{BufRead as _, BufReader};
    each_user(|place| {
        let command = place.command("", &["sh", "-c", "ulimit -Sn; read line; true"]);
        let mut limited = Command::new("/usr/bin/sh");
        limited.args(["-c", "ulimit -Sn 64; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
        limited.current_dir(place.root()).env_clear().env("PATH", "/usr/bin:/bin");
        limited.stdin(Stdio::piped()).stdout(Stdio::piped());
        place.runs_as_user(&mut limited);
        let mut child = limited.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "64\n", "the program keeps the limit it was started with");
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let mut words = limit.split_whitespace();
        let (soft, hard) = (words.next().unwrap(), words.next().unwrap());
        assert!(soft == hard && soft != "64", "{limit}");
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    });
}
