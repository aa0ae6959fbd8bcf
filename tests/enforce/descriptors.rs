//! Requests on open descriptors: mapping as executable, ioctl, inode flags; and calls that are always refused.

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
        let path = place.file("a", "text");
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
