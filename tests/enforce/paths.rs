//! Ways to spell a path: none of them leads around a rule, and each works where the rule allows.

use super::support::{Nested, Place, User, each_user, skipped};

const RULES: &str = "(allow file-read-metadata (subpath \"$W\"))
(allow file-read-data (subpath \"$W\"))
(deny file-read-data (literal \"$W/secret\"))";

#[test]
fn spellings_of_a_denied_file_are_all_denied() {
    each_user(|place| {
        let secret = place.file("secret", "SECRET");
        place.file("plain", "PLAIN");
        place.directory("d");
        place.link("to-secret", "secret");
        place.link("to-plain", "plain");
        place.link("here", ".");
        place.link("chain", "here/to-secret");
        let root = place.root();
        let root = root.to_str().unwrap();
        let spellings = |name: &str| {
            [
                format!("cat {name}"),
                format!("cat ./{name}"),
                format!("cat {root}//{name}"),
                format!("cat d/../{name}"),
                format!("cat {root}/../area/{name}"),
                format!("cat to-{name}"),
                format!("cat here/{name}"),
                format!("cat here/here/to-{name}"),
                format!("cd d; cat ../{name}"),
                format!("cd /; cat {}", &format!("{root}/{name}")[1..]),
                format!("cat /proc/self/cwd/{name}"),
                format!("cat /proc/self/root{root}/{name}"),
                format!("cat /proc/$$/cwd/{name}"),
                format!("exec 5<.; cat /proc/self/fd/5/{name}"),
                format!("exec 5<.; cat /dev/fd/5/{name}"),
                format!("cat /proc/thread-self/cwd/{name}"),
            ]
        };
        let proc = "(allow file-read-metadata (regex #\"^/proc/[0-9]+/\"))(allow process-info-pidinfo)";
        let rules = format!("{RULES}{proc}");
        for spelling in spellings("secret") {
            let ran = place.run(&rules, &["sh", "-c", &spelling]).bad();
            assert_eq!(ran.stdout, "", "{spelling}");
            assert!(ran.denied("file-read-data", &secret), "{spelling}: {ran:#?}");
        }
        for spelling in spellings("plain") {
            assert_eq!(place.run(&rules, &["sh", "-c", &spelling]).good().stdout, "PLAIN", "{spelling}");
        }
        let ran = place.run(&rules, &["cat", "chain"]).bad();
        assert!(ran.stdout.is_empty() && ran.denied("file-read-data", &secret), "{ran:#?}");
    });
}

#[test]
fn a_link_on_the_way_needs_metadata_of_itself() {
    each_user(|place| {
        place.file("a", "text");
        let link = place.link("l", "a");
        let rules = "(allow file-read-data file-read-metadata (literal \"$W/a\"))";
        let denied = place.run(rules, &["cat", &link]).bad();
        assert!(denied.stdout.is_empty() && denied.denied("file-read-metadata", &link), "{denied:#?}");
        let more = "(allow file-read-metadata (literal \"$W/l\"))";
        assert_eq!(place.run(&format!("{rules}{more}"), &["cat", &link]).good().stdout, "text");
    });
}

#[test]
fn files_of_processes_outside_are_refused_whatever_the_profile_says() {
    each_user(|place| {
        let outside = std::process::id();
        let rules = "(allow file-read* (subpath \"/proc\"))(allow file-read-metadata file-test-existence (subpath \"/\"))\
            (allow process-info*)";
        for name in ["status", "cmdline", "environ", "cwd/x", "fd", "root/etc/passwd", "task"] {
            let target = format!("/proc/{outside}/{name}");
            let ran = place.run(rules, &["sh", "-c", &format!("cat {target} || ls {target}")]).bad();
            assert_eq!(ran.stdout, "", "{target}");
            let reason = ran.denials.iter().filter_map(|denial| denial["undecided"].as_str()).next();
            assert!(reason.is_some_and(|reason| reason.contains("outside the sandbox")), "{target}: {ran:#?}");
        }
        let ran = place.run(rules, &["sh", "-c", "cat /proc/1/status /proc/$PPID/status"]).bad();
        assert_eq!(ran.stdout, "");
        // The twin: one's own and those of relatives inside.
        let ran = place.run(rules, &["sh", "-c", "cat /proc/self/status /proc/$$/cmdline; readlink /proc/self"]).good();
        assert!(ran.stdout.contains("Tgid:") && ran.stdout.contains("sh"), "{ran:#?}");
    });
}

#[test]
fn a_program_sees_itself_not_its_supervisor() {
    each_user(|place| {
        let rules = "(allow file-read* (subpath \"/proc\"))(allow file-read-metadata (subpath \"/\"))\
            (allow process-info-pidinfo (target same-sandbox))";
        let ran =
            place.run(rules, &["sh", "-c", "read -r me < /proc/self/stat; echo ${me%% *} $$; readlink /proc/$$/exe"]);
        let ran = ran.good();
        let mut lines = ran.stdout.lines();
        let (read, own) = lines.next().unwrap().split_once(' ').unwrap();
        assert_eq!(read, own);
        assert!(lines.next().unwrap().contains("/usr/bin/"), "{ran:#?}");
    });
}

#[test]
fn pipes_can_be_reopened_by_their_descriptor() {
    each_user(|place| {
        let rules = "(allow file-read* (subpath \"/proc\"))(allow file-read-metadata (subpath \"/\"))";
        let ran =
            place.run(rules, &["sh", "-c", "echo through | cat /dev/stdin; echo again | cat /proc/self/fd/0"]).good();
        assert_eq!(ran.stdout, "through\nagain\n");
        let none =
            place.run("(allow file-read-metadata (subpath \"/\"))", &["sh", "-c", "echo x | cat /dev/stdin"]).bad();
        assert!(none.stdout.is_empty() && none.denied_any("file-read-data"), "{none:#?}");
    });
}

#[test]
fn errors_are_the_kernels_own() {
    each_user(|place| {
        place.file("file", "");
        place.directory("d");
        place.link("loop", "loop");
        place.link("dangling", "nowhere");
        let rules = "(allow file* (subpath \"$W\"))";
        for (command, message) in [
            ("cat missing", "No such file"),
            ("cat missing/x", "No such file"),
            ("cat file/", "Not a directory"),
            ("cat file/x", "Not a directory"),
            ("cat file/../file", "Not a directory"),
            ("cat d/../missing", "No such file"),
            ("cat loop", "Too many levels"),
            ("cat dangling", "No such file"),
            ("cat d", "Is a directory"),
            ("echo x > d", "Is a directory"),
            ("mkdir d", "File exists"),
            ("rmdir file", "Not a directory"),
            ("rm -d .", "'.'"),
            ("rmdir d/.", "Invalid argument"),
            ("ln file d/../file", "File exists"),
        ] {
            let ran = place.run(rules, &["sh", "-c", command]).bad();
            assert!(ran.stderr.contains(message), "{command}: {ran:#?}");
            assert!(
                !ran.denials.iter().any(|d| d["target"].as_str().unwrap().starts_with(&place.path(""))),
                "{command}: {ran:#?}"
            );
        }
        // A dangling link is made through.
        place.run(rules, &["sh", "-c", "echo made > dangling"]).good();
        assert_eq!(place.text("nowhere").as_deref(), Some("made\n"));
    });
}

#[test]
fn making_through_a_link_is_judged_where_it_leads() {
    each_user(|place| {
        place.directory("open");
        place.directory("closed");
        place.link("open/way", "../closed/new");
        let rules = "(allow file-read-metadata (subpath \"$W\"))(allow file-write* (subpath \"$W/open\"))";
        let ran = place.run(rules, &["sh", "-c", "echo x > open/way"]).bad();
        assert!(!place.exists("closed/new") && ran.denied("file-write-create", &place.path("closed/new")), "{ran:#?}");
        place.link("open/fine", "new");
        place.run(rules, &["sh", "-c", "echo x > open/fine"]).good();
        assert!(place.exists("open/new"));
    });
}

/// The supervisor hears of mounts that are made while the program runs.
#[test]
fn a_procfs_that_somebody_mounts_elsewhere_later_shows_no_outsiders() {
    if !rustix::process::geteuid().is_root() {
        return skipped("mounting, because the tests do not run as root");
    }
    let place = Place::new(User::Own);
    place.directory("later");
    // The program begins; then the file system is mounted, and the program told.
    let script = "echo begun > began; while [ ! -e told ]; do sleep 0.05; done; cat later/1/status; cat later/version";
    let run = place.command("(allow file-read* file-write* (subpath \"$W\"))", &["sh", "-c", script]);
    let outside = "\"$@\" & while [ ! -e began ]; do sleep 0.05; done; mount -t proc proc later && sleep 0.5 && touch told; wait $!";
    let mut guarded = place.guarded();
    guarded.args(["unshare", "--mount", "sh", "-c", outside, "sh"]).arg(run.get_program()).args(run.get_args());
    let ran = place.ran(&guarded.output().unwrap()).bad();
    assert_eq!(ran.stdout, "", "{ran:#?}");
    for file in ["later/1/status", "later/version"] {
        assert!(ran.denied("file-read-metadata", &place.path(file)), "{file}: {ran:#?}");
    }
}

/// Directories in each other, the last with links `l0` to `l38`. Each goes in and out of a directory 800 times and then through
/// the link before it.
struct Maze<'p> {
    place: &'p Place,
    _directories: Nested,
}

impl<'p> Maze<'p> {
    fn new(place: &'p Place) -> Self {
        let directories = place.nested("deep", 1_900);
        rustix::fs::mkdirat(&directories.last, "x", rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
        for link in 0..39 {
            let next = if link == 0 { "x".to_owned() } else { format!("l{}", link - 1) };
            rustix::fs::symlinkat("x/../".repeat(800) + &next, &directories.last, format!("l{link}")).unwrap();
        }
        Self { place, _directories: directories }
    }

    /// A run of a script in the last directory.
    fn command(&self, script: &str) -> std::process::Command {
        let script = format!("cd -P deep{}; {script}", "/a".repeat(1_899));
        self.place.command("(allow file-read* file-write* (subpath \"$W\"))", &["sh", "-c", &script])
    }
}

#[test]
fn a_look_up_takes_as_long_as_it_has_components_which_are_bounded() {
    each_user(|place| {
        let maze = Maze::new(place);
        let run = maze.command("for time in 1 2 3 4 5; do [ -e l8 ] || exit 1; done; ls l38; [ -e l38 ]; echo $?");
        // Processor time, which a busy machine does not lengthen as it does the other.
        let mut guarded = place.guarded();
        guarded.args(["sh", "-c", "\"$@\"; times", "sh"]).arg(run.get_program()).args(run.get_args());
        let ran = place.ran(&guarded.output().unwrap());
        assert!(ran.stderr.contains("l38': Too many levels"), "{ran:#?}");
        let lines: Vec<&str> = ran.stdout.lines().collect();
        let ["1", _, children] = lines.as_slice() else { panic!("{ran:#?}") };
        let seconds = |time: &str| {
            let (minutes, seconds) = time.trim_end_matches('s').split_once('m').unwrap();
            minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
        };
        let used: f64 = children.split(' ').map(seconds).sum();
        assert!(used < 5.0, "{used} s of processor time");
    });
}

#[test]
fn a_long_look_up_holds_up_neither_other_calls_nor_the_end() {
    each_user(|place| {
        let maze = Maze::new(place);
        let begin = std::time::Instant::now();
        let rename = format!("{} call {} -100 l38/none -100 l38/other 0", place.fake(), libc::SYS_renameat2);
        let script = format!("{rename} > /dev/null & sleep 0.5; mkdir {}", place.path("beside"));
        assert!(maze.command(&script).status().unwrap().success());
        assert!(place.exists("beside"));
        assert!(begin.elapsed() < std::time::Duration::from_secs(8), "{:?}", begin.elapsed());
    });
}
