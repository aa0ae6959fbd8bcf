//! Directories: where a program may go, what it may learn of where it is, and what moves with one that is renamed.

use super::support::each_user;

const CHDIR: &str = "80";
const GETCWD: &str = "79";
const ENOENT: i32 = 2;
const ENOTDIR: i32 = 20;

#[test]
fn going_to_a_directory_is_looking_at_it() {
    each_user(|place| {
        let fake = place.fake();
        place.directory("open");
        place.directory("closed");
        place.file("open/file", "x");
        place.link("open/to-closed", "../closed");
        let link = place.link("closed/link", "../open");
        let rules = "(allow file-read-metadata (subpath \"$W/open\"))";
        let go = |to: &str| {
            let ran = place.run(rules, &[&fake, "call", CHDIR, to]).good();
            let errno: i32 = ran.stdout.split_whitespace().nth(1).unwrap().parse().unwrap();
            (errno, ran)
        };
        for (to, errno) in [("open", 0), ("open/..", 0), ("open/none", ENOENT), ("open/file", ENOTDIR)] {
            let (got, ran) = go(to);
            assert!(got == errno && !ran.denied_any("file-read-metadata"), "{to}: {ran:#?}");
        }
        // Whether it is there makes no difference, and a link is looked at before what it leads to.
        for (to, target) in [
            ("closed", place.path("closed")),
            ("open/to-closed", place.path("closed")),
            ("closed/none", place.path("closed/none")),
            ("closed/link", link),
        ] {
            let (got, ran) = go(to);
            assert!(got == 1 && ran.denied("file-read-metadata", &target), "{to}: {ran:#?}");
            assert_eq!(ran.report["operations"]["file-read-metadata"]["status"], "partly");
        }
    });
}

#[test]
fn the_name_of_the_working_directory_is_looked_at() {
    each_user(|place| {
        let fake = place.fake();
        place.directory("closed");
        let ask = "exec \"$0\" call 79 0 4096";
        // A descriptor that the program holds leads there without a name.
        let go = format!(
            "import os; d = os.open('closed', os.O_RDONLY); os.fchdir(d); os.execv('{fake}', ['{fake}', 'call', '{GETCWD}', '0', '4096'])"
        );
        let python = "(allow file* (subpath \"/usr\") (subpath \"/etc\"))";
        let rules = format!("{python}(allow file-read-data (literal \"$W/closed\"))");
        let ran = place.run(&rules, &["python3", "-c", &go]).good();
        assert!(ran.stdout == "-1 1\n" && ran.denied("file-read-metadata", &place.path("closed")), "{ran:#?}");
        // With the right to look it is the kernel's business that address 0 cannot be written.
        let rules = format!("{rules}(allow file-read-metadata (literal \"$W/closed\"))");
        assert_eq!(place.run(&rules, &["python3", "-c", &go]).good().stdout, "-1 14\n");
        // Where the run began is known to the program, and it may come back.
        let rules = "(deny file-read-metadata (literal \"$W\"))";
        assert_eq!(place.run(rules, &["sh", "-c", ask, &fake]).good().stdout, "-1 14\n");
        let root = place.root();
        let ran = place.run(rules, &[&fake, "call", CHDIR, root.to_str().unwrap()]).good();
        assert!(ran.stdout == "0 0\n" && !ran.denied_any("file-read-metadata"), "{ran:#?}");
    });
}

#[test]
fn the_name_of_the_working_directory_is_told_as_the_kernel_tells_it() {
    each_user(|place| {
        place.directory("d");
        let python = "(allow file* (subpath \"/usr\") (subpath \"/etc\") (subpath \"$W\"))(deny file-read-metadata (literal \"/no\"))";
        let ask = "import os
os.chdir('d'); print(os.getcwd()); os.chdir('..'); print(os.getcwd())
import ctypes; libc = ctypes.CDLL(None, use_errno=True); b = ctypes.create_string_buffer(200)
print(libc.syscall(79, b, 200) == len(b.value) + 1, libc.syscall(79, b, 3), ctypes.get_errno())
os.chdir('d'); os.rmdir('../d')
print(libc.syscall(79, b, 200), ctypes.get_errno())";
        let ran = place.run(python, &["python3", "-c", ask]).good();
        let expected = format!("{}\n{}\nTrue -1 34\n-1 2\n", place.path("d"), place.root().display());
        assert_eq!(ran.stdout, expected);
    });
}

#[test]
fn a_directory_takes_along_what_lies_in_it() {
    each_user(|place| {
        let make = || {
            let _ = std::fs::remove_dir_all(place.root().join("moved"));
            for name in ["d", "d/deep"] {
                if !place.exists(name) {
                    place.directory(name);
                }
            }
            place.file("d/deep/plain", "x");
            place.file("d/deep/secret", "x");
        };
        make();
        let all = "(allow file* (subpath \"$W\"))";
        let denied = format!("{all}(deny file* (literal \"$W/d/deep/secret\"))");
        for command in [["mv", "-T", "d", "moved"], ["mv", "-T", "d/deep", "moved"]] {
            let ran = place.run(&denied, &command).bad();
            assert!(ran.denied("file-write-unlink", &place.path("d/deep/secret")), "{ran:#?}");
            assert!(
                ran.rule("file-write-unlink", &place.path("d/deep/secret"))
                    .is_some_and(|rule| rule.ends_with("profile.sb:7")),
                "{ran:#?}"
            );
            assert!(place.exists("d/deep/secret") && !place.exists("moved"));
        }
        let planted = format!("{all}(deny file-write-create (literal \"$W/moved/deep/plain\"))");
        let ran = place.run(&planted, &["mv", "-T", "d", "moved"]).bad();
        assert!(ran.denied("file-write-create", &place.path("moved/deep/plain")) && place.exists("d"), "{ran:#?}");
        // Rules about other entries, and about what is not there, are in nobody's way.
        for beside in ["(literal \"$W/d/deep/none\")", "(subpath \"$W/e\")", "(regex #\"/hidden$\")"] {
            let ran = place.run(&format!("{all}(deny file* {beside})"), &["mv", "-T", "d", "moved"]).good();
            assert!(place.exists("moved/deep/secret") && !ran.denied_any("file-write-unlink"), "{beside}: {ran:#?}");
            make();
        }
    });
}

#[test]
fn a_directory_that_cannot_be_looked_into_stays_where_rules_tell_entries_apart() {
    each_user(|place| {
        place.directory("d");
        place.mode("d", 0o300);
        let all = "(allow file* (subpath \"$W\"))";
        let apart = format!("{all}(deny file* (literal \"$W/d/secret\"))");
        let ran = place.run(&apart, &["mv", "-T", "d", "moved"]).bad();
        let reason = ran.denials.iter().find_map(|denial| denial["undecided"].as_str());
        assert!(reason.is_some_and(|reason| reason.contains("cannot be looked at")), "{ran:#?}");
        place.run(all, &["mv", "-T", "d", "moved"]).good();
        assert!(place.exists("moved"));
    });
}

#[test]
fn a_directory_can_be_deeper_than_any_stack() {
    each_user(|place| {
        // Nearly as deep as a path can be.
        let levels = (4_000 - place.path("").len()) / 2;
        let mut nested = place.nested("d", levels);
        place.file("d/z", "");
        nested.enter("q");
        let bottom = format!("d{}/q", "/a".repeat(levels - 1));
        let all = "(allow file* (subpath \"$W\"))(deny file-write-create (regex #\"/never$\"))";
        let deny = |name: &str| format!("(deny file-write-unlink (literal \"$W/{name}\"))");
        // In the order of names: what lies deepest comes before what lies beside the first step down.
        for (denied, first) in [(vec!["d/z"], "d/z"), (vec!["d/z", &bottom], &bottom)] {
            let rules = format!("{all}{}", denied.iter().map(|name| deny(name)).collect::<String>());
            let ran = place.run(&rules, &["mv", "-T", "d", "e"]).bad();
            assert!(place.exists("d") && ran.denied("file-write-unlink", &place.path(first)), "{ran:#?}");
            let refused = ran.denials.iter().filter(|denial| denial["operation"] == "file-write-unlink");
            assert_eq!(refused.count(), 1, "{ran:#?}");
        }
        place.run(all, &["mv", "-T", "d", "e"]).good();
        assert!(place.exists("e/z"));
        // Deeper than any path: nobody can say what lies there.
        for name in ["x".repeat(200).as_str(), "a"] {
            nested.enter(name);
        }
        let ran = place.run(all, &["mv", "-T", "e", "d"]).bad();
        let reason = ran.denials.iter().find_map(|denial| denial["undecided"].as_str());
        assert!(reason.is_some_and(|reason| reason.contains("cannot be looked at")), "{ran:#?}");
        assert!(place.exists("e/z"));
    });
}

#[test]
fn a_directory_that_takes_long_to_judge_does_not_hold_up_the_end() {
    each_user(|place| {
        place.directory("d");
        for number in 0..20_000 {
            std::fs::write(place.path(&format!("d/f{number}")), "").unwrap();
        }
        let slow: String =
            (0..4_000).map(|n| format!("(deny file-write* (regex #\"/[0-9]*f[^z]*never{n}$\"))")).collect();
        let begin = std::time::Instant::now();
        let rules = format!("(allow file* (subpath \"$W\")){slow}");
        place.run(&rules, &["sh", "-c", "mv -T d e & sleep 0.5"]).good();
        assert!(begin.elapsed() < std::time::Duration::from_secs(8), "{:?}", begin.elapsed());
        assert!(place.exists("d"));
    });
}
