//! Requests on open descriptors: mapping as executable, ioctl, inode flags; and calls that are always refused.

use serde_json::Value;

use super::support::{Place, each_user};

const SEE: &str = "(allow file-read-data file-read-metadata (subpath \"$W\"))";

#[test]
fn file_map_executable() {
    each_user(|place| {
        let path = place.file("library", &"x".repeat(5000));
        let map = |rules: &str| place.run(&format!("{SEE}{rules}"), &[&place.fake(), "map-executable", &path]).good();
        let denied = map("");
        assert_eq!(denied.stdout, "-1 1\n");
        assert!(denied.denied("file-map-executable", &path), "{denied:#?}");
        let allowed = map("(allow file-map-executable (literal \"$W/library\"))");
        assert_eq!(allowed.stdout, "0 0\n", "{allowed:#?}");
        assert_eq!(allowed.report["operations"]["file-map-executable"]["status"], "partly");
        // A program's own libraries are admitted by the shipped overlay, unless a later one takes that away.
        let overlay = place.file("later.sb", "(deny file-map-executable (subpath \"/usr/lib\"))");
        let ran = Place::new(place.user).with(&["--overlay", &overlay]).run("", &["true"]).bad();
        assert!(ran.denied_any("file-map-executable"), "{ran:#?}");
    });
}

#[test]
fn file_ioctl() {
    each_user(|place| {
        let path = place.file("a", "text");
        // FS_IOC_GETFLAGS, which answers on most file systems; FIONREAD, which is not asked about.
        let ask = |rules: &str, request: &str| {
            let script = format!("{} call {} 0 {request} {} < a", place.fake(), libc::SYS_ioctl, "0");
            place.run(&format!("{SEE}{rules}"), &["sh", "-c", &script]).good()
        };
        let (flags, everyday) = ("2148034049", "21531");
        let denied = ask("", flags);
        assert_eq!(denied.stdout, "-1 1\n");
        assert!(denied.denied("file-ioctl", &path), "{denied:#?}");
        for rules in [
            "(allow file-ioctl (literal \"$W/a\"))".to_owned(),
            format!("(allow file-ioctl (require-all (subpath \"$W\") (ioctl-command {flags})))"),
        ] {
            let allowed = ask(&rules, flags);
            // Decided, then met by the kernel: the address is not valid, or the file system has no flags.
            assert!(allowed.stdout == "-1 14\n" || allowed.stdout == "-1 25\n", "{rules}: {allowed:#?}");
            assert!(!allowed.denied_any("file-ioctl"));
        }
        assert_eq!(ask("(allow file-ioctl (ioctl-command 1))", flags).stdout, "-1 1\n");
        let free = ask("", everyday);
        assert_eq!(free.stdout, "-1 14\n", "{free:#?}");
        assert!(!free.denied_any("file-ioctl"));
    });
}

#[test]
fn file_write_flags() {
    each_user(|place| {
        // ext4 takes setting plain flags for a change of how blocks are kept, which it may refuse where there are some.
        let path = place.file("a", "");
        let flags = || {
            let output = std::process::Command::new("lsattr").args(["-d", &path]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap_or_default().contains('d')
        };
        let set = |rules: &str| place.run(&format!("{SEE}{rules}"), &[&place.fake(), "set-flags", &path]).good();
        let denied = set("");
        assert_eq!(denied.stdout, "-1 1\n");
        assert!(denied.denied("file-write-flags", &path) && !flags(), "{denied:#?}");
        let natively = place.plainly(&[&place.fake(), "set-flags", &path]);
        if natively != "0 0\n" {
            println!("not seen to take effect: this file system answers {natively}");
        } else {
            assert!(flags());
            std::process::Command::new("chattr").args(["-d", &path]).status().unwrap();
        }
        let allowed = set("(allow file-write-flags (literal \"$W/a\"))");
        assert_eq!(allowed.stdout, natively, "{allowed:#?}");
        assert_eq!(flags(), natively == "0 0\n");
        assert_eq!(allowed.report["operations"]["file-write-flags"]["status"], "enforced");
    });
}

#[test]
fn the_generation_of_an_inode_is_one_of_its_flags() {
    each_user(|place| {
        let path = place.file("a", "");
        let words = [&place.fake(), "set-generation", &path];
        let denied = place.run(&format!("{SEE}(allow file-ioctl)"), &words).good();
        assert_eq!(denied.stdout, "-1 1\n");
        assert!(denied.denied("file-write-flags", &path), "{denied:#?}");
        let allowed = place.run(&format!("{SEE}(allow file-ioctl file-write-flags)"), &words).good();
        assert_eq!(allowed.stdout, place.plainly(&words));
    });
}

#[test]
fn what_is_always_refused_leaves_a_record() {
    each_user(|place: &Place| {
        for (number, operation) in [
            (libc::SYS_mount, "file-mount"),
            (libc::SYS_umount2, "file-unmount"),
            (libc::SYS_chroot, "file-chroot"),
            (libc::SYS_reboot, "system-reboot"),
            (libc::SYS_swapon, "system-swap"),
            (libc::SYS_acct, "system-acct"),
            (libc::SYS_settimeofday, "system-set-time"),
            (libc::SYS_init_module, "system-kext-load"),
            (libc::SYS_sethostname, "sysctl-write"),
        ] {
            let command = [place.fake(), "call".to_owned(), number.to_string(), "0".to_owned(), "0".to_owned()];
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            let record = |rules: &str| {
                let ran = place.run(rules, &command).good();
                assert_eq!(ran.stdout, "-1 1\n", "{operation}");
                let found = ran.denials.iter().find(|denial| denial["operation"] == operation).cloned();
                found.unwrap_or_else(|| panic!("{operation}: {ran:#?}"))
            };
            // The profile's own refusal names its rule; where the profile would allow, the record says who refused.
            assert!(record("")["rule"].is_string());
            assert!(record(&format!("(allow {operation})"))["undecided"].is_string());
        }
    });
}

#[test]
fn what_is_always_refused_says_on_what() {
    each_user(|place| {
        let base = "(allow file* (subpath \"/usr\") (subpath \"/etc\"))(allow file-read* (subpath \"$W\"))";
        let script = "import ctypes
c = ctypes.CDLL(None)
print(c.mount(b'none', b'/a/b', b'tmpfs', 0, None), c.umount2(b'/a/./c', 0), c.chroot(b'below'), c.acct(b'/log'),
      c.acct(None), c.swapon(b'/swap', 0), c.sethostname(b'x', 1))
print(c.syscall(428, 3, b'tree', 0), c.syscall(428, -100, b'../tree', 0))";
        for options in [&[][..], &["--observe"]] {
            let place = Place::new(place.user).with(options);
            let ran = place.run(base, &["python3", "-c", script]).good();
            assert_eq!(ran.stdout, "-1 -1 -1 -1 -1 -1 -1\n-1 -1\n", "{ran:#?}");
            for (operation, target) in [
                ("file-mount", "/a/b"),
                ("file-unmount", "/a/./c"),
                ("file-chroot", &place.path("below")),
                ("system-acct", "/log"),
                ("system-acct", ""),
                ("system-swap", "/swap"),
                ("sysctl-write", "kernel.hostname"),
                ("file-mount", "tree"),
                ("file-mount", &place.path("../tree")),
            ] {
                let same = |denial: &&Value| denial["operation"] == operation && denial["target"] == target;
                // The profile's own refusal is the only record, observed or not.
                let found: Vec<&Value> = ran.denials.iter().filter(same).collect();
                assert!(matches!(found[..], [only] if only["rule"].is_string()), "{operation} {target}: {ran:#?}");
            }
        }
    });
}

#[test]
fn file_lock() {
    each_user(|place| {
        let path = place.file("a", "text");
        place.file("b", "text");
        let base =
            "(allow file* (subpath \"/usr\") (subpath \"/etc\"))(allow file-read* file-write-data (subpath \"$W\"))";
        // flock, a record lock, a lock of the open file; exclusive and shared; releasing what is not held.
        let locks = "import fcntl, struct, sys, os
def tried(what):
    try: what(); return 0
    except OSError as error: return error.errno
f = open(sys.argv[1], 'r+')
record = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 10, 1, 0)
print(tried(lambda: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)), tried(lambda: fcntl.flock(f, fcntl.LOCK_SH)),
      tried(lambda: fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)), tried(lambda: fcntl.lockf(f, fcntl.LOCK_EX, 1)),
      tried(lambda: fcntl.fcntl(f, fcntl.F_OFD_SETLK, record)), tried(lambda: fcntl.fcntl(f, fcntl.F_OFD_SETLKW, record)),
      tried(lambda: fcntl.flock(f, fcntl.LOCK_UN)), tried(lambda: fcntl.fcntl(f, fcntl.F_GETLK, record)))";
        let lock =
            |rules: &str, name: &str| place.run(&format!("{base}{rules}"), &["python3", "-c", locks, name]).good();
        for rules in
            ["", "(allow file-lock (literal \"$W/b\"))", "(allow file-lock)(deny file-lock (literal \"$W/a\"))"]
        {
            let denied = lock(rules, "a");
            assert_eq!(denied.stdout, "1 1 1 1 1 1 0 0\n", "{rules}");
            let count = |denial: &serde_json::Value| denial["count"].as_u64().unwrap();
            let locks = denied.denials.iter().filter(|denial| denial["operation"] == "file-lock");
            assert!(locks.clone().all(|denial| denial["target"] == path.as_str()), "{denied:#?}");
            assert_eq!(locks.map(count).sum::<u64>(), 6, "{denied:#?}");
            assert_eq!(denied.report["operations"]["file-lock"]["status"], "partly");
        }
        for rules in ["(allow file-lock)", "(allow file-lock (literal \"$W/a\"))", "(allow file* (subpath \"$W\"))"] {
            let allowed = lock(rules, "a");
            assert!(allowed.stdout == "0 0 0 0 0 0 0 0\n" && !allowed.denied_any("file-lock"), "{rules}: {allowed:#?}");
        }
    });
}

#[test]
fn a_lock_that_is_waited_for_is_given_up_at_a_signal() {
    each_user(|place| {
        place.file("a", "text");
        let rules = "(allow file* (subpath \"/usr\") (subpath \"/etc\"))(allow file* (literal \"$W/a\"))";
        let wait = "import fcntl, signal, os
a, b = open('a'), open('a')
fcntl.flock(a, fcntl.LOCK_EX)
def over(*_): raise TimeoutError
signal.signal(signal.SIGALRM, over)
signal.setitimer(signal.ITIMER_REAL, 0.1)
try: fcntl.flock(b, fcntl.LOCK_EX)
except TimeoutError: print('over')";
        let ran = place.run(rules, &["python3", "-c", wait]).good();
        assert_eq!(ran.stdout, "over\n");
    });
}
