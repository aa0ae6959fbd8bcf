//! The file operations that must be exact, each with its twin.

use super::support::each_user;

const SEE: &str = "(allow file-read-metadata file-test-existence (subpath \"$W\"))";

#[test]
fn file_read_data() {
    each_user(|place| {
        let path = place.file("a", "text");
        let allowed = place.run(&format!("{SEE}(allow file-read-data (literal \"$W/a\"))"), &["cat", &path]).good();
        assert_eq!(allowed.stdout, "text");
        assert!(!allowed.denied("file-read-data", &path));
        let denied = place.run(SEE, &["cat", &path]).bad();
        assert_eq!(denied.stdout, "");
        assert!(denied.stderr.contains("Operation not permitted"), "{denied:#?}");
        assert!(denied.rule("file-read-data", &path).is_some_and(|rule| rule.ends_with("profile.sb:2")), "{denied:#?}");
    });
}

#[test]
fn file_read_data_of_a_directory() {
    each_user(|place| {
        place.directory("d");
        place.file("d/one", "");
        let path = place.path("d");
        let allowed = place.run(&format!("{SEE}(allow file-read-data (literal \"$W/d\"))"), &["ls", &path]).good();
        assert_eq!(allowed.stdout, "one\n");
        let denied = place.run(SEE, &["ls", &path]).bad();
        assert_eq!(denied.stdout, "");
        assert!(denied.denied("file-read-data", &path), "{denied:#?}");
    });
}

#[test]
fn file_read_metadata() {
    each_user(|place| {
        let path = place.file("a", "12345");
        let allowed = place.run("(allow file-read-metadata (literal \"$W/a\"))", &["stat", "-c", "%s", &path]).good();
        assert_eq!(allowed.stdout, "5\n");
        let denied = place.run("", &["stat", "-c", "%s", &path]).bad();
        assert_eq!(denied.stdout, "");
        assert!(denied.denied("file-read-metadata", &path), "{denied:#?}");
    });
}

#[test]
fn file_write_create() {
    each_user(|place| {
        let path = place.path("new");
        let denied = place.run(SEE, &["touch", &path]).bad();
        assert!(!place.exists("new"));
        assert!(denied.denied("file-write-create", &path), "{denied:#?}");
        // Making covers writing through the descriptor that made it.
        let rules = format!("{SEE}(allow file-write-create (literal \"$W/new\"))");
        place.run(&rules, &["sh", "-c", "echo made > new"]).good();
        assert_eq!(place.text("new").as_deref(), Some("made\n"));
        let again = place.run(&rules, &["sh", "-c", "echo more >> new"]).bad();
        assert!(again.denied("file-write-data", &path), "{again:#?}");
        assert_eq!(place.text("new").as_deref(), Some("made\n"));
    });
}

#[test]
fn file_write_create_of_directories_links_and_fifos() {
    each_user(|place| {
        for (make, name) in [("mkdir d", "d"), ("ln -s to l", "l"), ("mkfifo f", "f")] {
            let path = place.path(name);
            let denied = place.run(SEE, &["sh", "-c", make]).bad();
            assert!(!place.exists(name) && denied.denied("file-write-create", &path), "{denied:#?}");
            place.run(&format!("{SEE}(allow file-write-create (literal \"$W/{name}\"))"), &["sh", "-c", make]).good();
            assert!(place.exists(name), "{make}");
        }
    });
}

#[test]
fn file_write_data() {
    each_user(|place| {
        let path = place.file("a", "old");
        for command in ["echo new > a", "truncate -s 0 a", "echo more >> a"] {
            let denied = place.run(SEE, &["sh", "-c", command]).bad();
            assert_eq!(place.text("a").as_deref(), Some("old"), "{command}");
            assert!(denied.denied("file-write-data", &path), "{denied:#?}");
        }
        place.run(&format!("{SEE}(allow file-write-data (literal \"$W/a\"))"), &["sh", "-c", "echo new > a"]).good();
        assert_eq!(place.text("a").as_deref(), Some("new\n"));
    });
}

#[test]
fn a_read_write_open_needs_both() {
    each_user(|place| {
        let path = place.file("a", "old");
        for (rules, missing) in [
            ("(allow file-write-data (literal \"$W/a\"))", Some("file-read-data")),
            ("(allow file-read-data (literal \"$W/a\"))", Some("file-write-data")),
            ("(allow file-read-data file-write-data (literal \"$W/a\"))", None),
        ] {
            let ran = place.run(&format!("{SEE}{rules}"), &["sh", "-c", "exec 3<>a; printf new >&3"]);
            match missing {
                Some(operation) => {
                    assert!(ran.bad().denied(operation, &path), "{rules}");
                    assert_eq!(place.text("a").as_deref(), Some("old"));
                }
                None => {
                    ran.good();
                    assert_eq!(place.text("a").as_deref(), Some("new"));
                }
            }
        }
    });
}

#[test]
fn file_write_unlink() {
    each_user(|place| {
        let path = place.file("a", "");
        let directory = place.directory("d");
        let denied = place.run(SEE, &["rm", "-f", &path]).bad();
        assert!(place.exists("a") && denied.denied("file-write-unlink", &path), "{denied:#?}");
        let denied = place.run(SEE, &["rmdir", &directory]).bad();
        assert!(place.exists("d") && denied.denied("file-write-unlink", &directory), "{denied:#?}");
        let rules = format!("{SEE}(allow file-write-unlink (literal \"$W/a\") (literal \"$W/d\"))");
        place.run(&rules, &["rm", "-f", &path]).good();
        place.run(&rules, &["rmdir", &directory]).good();
        assert!(!place.exists("a") && !place.exists("d"));
    });
}

#[test]
fn renaming_takes_the_source_away_and_makes_the_target() {
    each_user(|place| {
        let (a, b) = (place.file("a", "a"), place.path("b"));
        let rule = |operation: &str, name: &str| format!("(allow {operation} (literal \"$W/{name}\"))");
        let (take, make) = (rule("file-write-unlink", "a"), rule("file-write-create", "b"));
        let denied = place.run(&format!("{SEE}{take}"), &["mv", "-T", &a, &b]).bad();
        assert!(place.exists("a") && !place.exists("b") && denied.denied("file-write-create", &b), "{denied:#?}");
        let denied = place.run(&format!("{SEE}{make}"), &["mv", "-T", &a, &b]).bad();
        assert!(place.exists("a") && denied.denied("file-write-unlink", &a), "{denied:#?}");
        // A target that is there is taken away too.
        place.file("b", "b");
        let denied = place.run(&format!("{SEE}{take}{make}"), &["mv", "-fT", &a, &b]).bad();
        assert_eq!(place.text("b").as_deref(), Some("b"));
        assert!(denied.denied("file-write-unlink", &b), "{denied:#?}");
        let replace = rule("file-write-unlink", "b");
        place.run(&format!("{SEE}{take}{make}{replace}"), &["mv", "-fT", &a, &b]).good();
        assert_eq!((place.exists("a"), place.text("b").as_deref()), (false, Some("a")));
    });
}

#[test]
fn a_hard_link_needs_the_source_and_the_target() {
    each_user(|place| {
        let (a, b) = (place.file("a", "a"), place.path("b"));
        let make = "(allow file-write-create (literal \"$W/b\"))";
        let denied = place.run(&format!("{SEE}{make}"), &["ln", &a, &b]).bad();
        assert!(!place.exists("b") && denied.denied("file-link", &a), "{denied:#?}");
        place.run(&format!("{SEE}{make}(allow file-link (literal \"$W/a\"))"), &["ln", &a, &b]).good();
        assert_eq!(place.text("b").as_deref(), Some("a"));
    });
}

#[test]
fn attributes_are_judged_by_their_own_operations() {
    each_user(|place| {
        let path = place.file("a", "");
        let owner = if place.user == super::support::User::Nobody { "65534" } else { "0" };
        let commands =
            [("file-write-mode", "chmod 600 a".to_owned()), ("file-write-times", "touch -c -d @5 a".to_owned())]
                .into_iter()
                .chain(
                    (owner == "65534" || rustix::process::geteuid().is_root())
                        .then(|| ("file-write-owner", format!("chown {owner} a"))),
                );
        for (operation, command) in commands {
            let open = format!("{SEE}(allow file-write-data (literal \"$W/a\"))");
            let denied = place.run(&open, &["sh", "-c", &command]).bad();
            assert!(denied.denied(operation, &path), "{denied:#?}");
            place.run(&format!("{open}(allow {operation} (literal \"$W/a\"))"), &["sh", "-c", &command]).good();
        }
        let metadata = std::fs::metadata(&path).unwrap();
        use std::os::unix::fs::MetadataExt;
        assert_eq!((metadata.mode() & 0o777, metadata.mtime()), (0o600, 5));
    });
}

#[test]
fn file_modes_hold_beside_the_profile() {
    each_user(|place| {
        let path = place.file("a", "text");
        place.mode("a", 0);
        let ran = place.run(&format!("{SEE}(allow file-read-data (subpath \"$W\"))"), &["cat", &path]).bad();
        // The profile allows, the mode does not: no refusal of the profile's.
        assert!(ran.stderr.contains("Permission denied"), "{ran:#?}");
        assert!(!ran.denied_any("file-read-data"), "{ran:#?}");
        let ran = place.run(SEE, &["cat", &path]).bad();
        assert!(ran.stderr.contains("Operation not permitted") && ran.denied("file-read-data", &path), "{ran:#?}");
    });
}

#[test]
fn new_files_get_the_mode_and_umask_of_the_program() {
    each_user(|place| {
        let path = place.path("new");
        let rules = format!("{SEE}(allow file-write-create (subpath \"$W\"))");
        let ran = place.run(&rules, &[&place.fake(), "mode", "666", &path]).good();
        assert_eq!(ran.stdout, "640\n");
    });
}

#[test]
fn a_filter_on_the_type_is_decided_by_the_object() {
    each_user(|place| {
        let (file, fifo) = (place.file("a", "x"), place.fifo("f"));
        let rules = format!("{SEE}(allow file-read-data (require-all (subpath \"$W\") (vnode-type REGULAR-FILE)))");
        assert_eq!(place.run(&rules, &["cat", &file]).good().stdout, "x");
        assert!(place.run(&rules, &["cat", &fifo]).bad().denied("file-read-data", &fifo));
    });
}

#[test]
fn what_is_there_is_said_to_be_there_to_those_who_may_look() {
    each_user(|place| {
        let directory = place.directory("d");
        let make = "(allow file-write-create (literal \"$W/d/new\"))";
        let ran = place.run(&format!("{SEE}{make}"), &["mkdir", "-p", &place.path("d/new")]).good();
        assert!(place.exists("d/new") && !ran.denied_any("file-write-create"), "{ran:#?}");
        let ran = place.run(SEE, &["mkdir", &directory]).bad();
        assert!(ran.stderr.contains("File exists") && !ran.denied_any("file-write-create"), "{ran:#?}");
        let blind = place.run("", &["mkdir", &directory]).bad();
        assert!(blind.denied("file-write-create", &directory) && !blind.stderr.contains("File exists"), "{blind:#?}");
    });
}

#[test]
fn path_descriptors_of_links_are_not_offered() {
    each_user(|place| {
        place.file("a", "");
        let link = place.link("l", "a");
        let number = libc::SYS_openat.to_string();
        let open = |name: &str, flags: i32| {
            let rules = "(allow file-read-data file-read-metadata (subpath \"$W\"))";
            let words = [&place.fake(), "call", &number, "-100", name, &(libc::O_PATH | flags).to_string()];
            place.run(rules, &words).good().stdout
        };
        assert_eq!(open(&link, libc::O_NOFOLLOW), format!("-1 {}\n", libc::EOPNOTSUPP));
        assert!(!open(&link, 0).starts_with('-'));
    });
}

#[test]
fn set_id_bits_are_an_operation_of_their_own() {
    each_user(|place| {
        let file = place.file("file", "x");
        let modes = "(allow file-read-metadata file-write-mode (subpath \"$W\"))";
        let denied = place.run(modes, &["chmod", "4755", &file]).bad();
        assert!(denied.denied("file-write-setugid", &file), "{denied:#?}");
        assert!(!denied.denied_any("file-write-mode"), "{denied:#?}");
        assert_eq!(denied.report["operations"]["file-write-setugid"]["status"], "enforced");
        place.run(modes, &["chmod", "755", &file]).good();
        place.run(&format!("{modes}(allow file-write-setugid (subpath \"$W\"))"), &["chmod", "4755", &file]).good();
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o7777, 0o4755);
    });
}

#[test]
fn flags_a_call_does_not_know_are_said_to_be_wrong_before_anything_is_judged() {
    each_user(|place| {
        let path = place.file("a", "");
        let unknown = 0x20_0000.to_string();
        for (number, flags_at) in [
            (libc::SYS_unlinkat, 2),
            (libc::SYS_fchownat, 4),
            (libc::SYS_faccessat2, 3),
            (libc::SYS_utimensat, 3),
            (libc::SYS_statx, 2),
            (libc::SYS_newfstatat, 3),
            (libc::SYS_execveat, 4),
            (libc::SYS_renameat2, 4),
        ] {
            let number = number.to_string();
            let fake = place.fake();
            let call = |flags: &str| {
                let mut words = vec![fake.as_str(), "call", &number, "-100", &path, "0", "0", "0"];
                words[3 + flags_at] = flags;
                place.run("", &words).good()
            };
            let wrong = call(&unknown);
            assert_eq!(wrong.stdout, format!("-1 {}\n", libc::EINVAL), "{number}");
            assert!(wrong.denials.iter().all(|denial| denial["target"] != *path), "{wrong:#?}");
            assert!(place.exists("a"));
        }
    });
}

#[test]
fn a_file_without_a_name_is_linked_as_one_by_its_descriptor() {
    each_user(|place| {
        place.directory("d");
        let (make, to) =
            ("(allow file-write-create (literal \"$W/d\"))", "(allow file-write-create (literal \"$W/to\"))");
        let from = "(allow file-link (regex #\"/d/#[0-9]+ \\(deleted\\)$\"))";
        let publish = |rules: &str, form: &str| {
            place
                .run(&format!("{SEE}{rules}"), &[&place.fake(), "publish", &place.path("d"), &place.path("to"), form])
                .good()
        };
        for form in ["descriptor", "link"] {
            let denied = publish(&format!("{make}{to}"), form);
            assert!(denied.denied_any("file-link") && !place.exists("to"), "{form}: {denied:#?}");
            let denied = publish(&format!("{make}{from}"), form);
            assert!(
                denied.denied("file-write-create", &place.path("to")) && !place.exists("to"),
                "{form}: {denied:#?}"
            );
            assert_eq!(denied.stdout, format!("-1 {}\n", libc::EPERM), "{form}");
            let ran = publish(&format!("{make}{to}{from}"), form);
            assert_eq!((ran.stdout.as_str(), place.exists("to")), ("0 0\n", true), "{form}");
            std::fs::remove_file(place.path("to")).unwrap();
        }
    });
}
