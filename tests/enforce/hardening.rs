//! Identity, terminals, and working directories that are gone.

use super::support::{Place, User, each_user, skipped};

#[test]
fn identities_cannot_change_so_the_supervisor_never_acts_with_more() {
    each_user(|place| {
        let calls = [
            (libc::SYS_setuid, ["12345", "0", "0"]),
            (libc::SYS_setgid, ["12345", "0", "0"]),
            (libc::SYS_setresuid, ["12345", "12345", "12345"]),
            (libc::SYS_setresgid, ["12345", "12345", "12345"]),
            (libc::SYS_setreuid, ["12345", "12345", "0"]),
            (libc::SYS_setgroups, ["0", "0", "0"]),
        ];
        for (number, words) in calls {
            let (fake, number) = (place.fake(), number.to_string());
            let command = [&[fake.as_str(), "call", number.as_str()][..], &words].concat();
            // Also where nothing is refused, and everything runs untrapped: the right is gone, not only the call.
            for rules in ["", "(allow default)"] {
                assert_eq!(place.run(rules, &command).good().stdout, "-1 1\n", "{command:?}");
            }
            if place.user == User::Own && rustix::process::geteuid().is_root() {
                let without = Place::new(place.user).with(&["--without-layer", "capability_drop"]);
                let ran = without.run("", &command).good();
                assert_eq!(ran.stdout, "0 0\n", "the test cannot see what the layer protects from");
                assert!(
                    ran.report["layers"]["missing"].as_array().unwrap().iter().any(|name| name == "capability_drop")
                );
            }
        }
    });
}

#[test]
fn the_terminal_of_a_program_is_its_own() {
    each_user(|place| {
        let pty = "(allow file-read* file-write* (literal \"/dev/ptmx\") (subpath \"/dev/pts\"))";
        let tty = "(allow file-read-data file-write-data (literal \"/dev/tty\"))";
        let fake = place.fake();
        let natively = place.plainly(&[&fake, "terminal"]);
        assert_eq!(natively, "through 0\n");
        let ran = place.run(&format!("{pty}{tty}(allow file-ioctl)"), &[&fake, "terminal"]).good();
        assert_eq!(ran.stdout, natively, "{ran:#?}");
        // Without the right on /dev/tty the answer is the profile's, and no way around leads to the supervisor's own.
        let ran = place.run(&format!("{pty}(allow file-ioctl)"), &[&fake, "terminal"]).good();
        assert_eq!(ran.stdout, " 200\n", "{ran:#?}");
        assert!(ran.denied("file-read-data", "/dev/tty"), "{ran:#?}");
    });
}

/// As in a container: the session began outside, so it has no number inside (the kernel answers 0).
#[test]
fn the_terminal_of_a_program_is_its_own_in_a_pid_namespace() {
    let place = Place::new(User::Own);
    if !rustix::process::geteuid().is_root() {
        return skipped("PID namespaces, because the tests do not run as root");
    }
    let rules = "(allow file-read* file-write* (literal \"/dev/ptmx\") (subpath \"/dev/pts\"))(allow file-ioctl)";
    for (tty, expected) in
        [("(allow file-read-data file-write-data (literal \"/dev/tty\"))", "through 0\n"), ("", " 200\n")]
    {
        let run = place.command(&format!("{rules}{tty}"), &[&place.fake(), "terminal"]);
        let mut inside = place.guarded();
        inside.args(["unshare", "--pid", "--fork", "--mount-proc"]).arg(run.get_program()).args(run.get_args());
        let ran = place.ran(&inside.output().unwrap()).good();
        assert_eq!(ran.stdout, expected, "{ran:#?}");
    }
}

#[test]
fn a_working_directory_that_is_gone_leads_nowhere() {
    each_user(|place| {
        place.file("plain", "PLAIN");
        let secret = place.file("secret", "SECRET");
        let see = "(allow file-read* file-write* (subpath \"$W\"))(deny file-read-data (literal \"$W/secret\"))";
        let gone = "mkdir d; cd d; rmdir ../d;";
        let ran = place.run(see, &["sh", "-c", &format!("{gone} cat x ./x . ; echo x > x")]).bad();
        assert!(ran.stdout.is_empty() && ran.stderr.contains("No such file"), "{ran:#?}");
        assert!(!place.exists("d/x"));
        // A directory that takes the name the kernel has for it does not make a denied file another.
        let trick = "mkdir \"../d (deleted)\" 2> /dev/null; ln -s ../secret \"$W/d (deleted)/x\"; cat x";
        let script = format!("{gone} {}", trick.replace("$W", place.root().to_str().unwrap()));
        let ran = place.run(see, &["sh", "-c", &script]).bad();
        assert!(ran.stdout.is_empty(), "{ran:#?}");
        assert!(!ran.stdout.contains("SECRET") && std::fs::read_to_string(secret).unwrap() == "SECRET");
    });
}
