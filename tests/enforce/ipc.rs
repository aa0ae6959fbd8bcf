//! POSIX shared memory and semaphores, and those of System V.

use std::path::Path;

use super::support::{Place, Ran, User, each_user, skipped};

/// A name of this test's own, removed at the end.
struct Object {
    name: String,
    file: String,
}

impl Object {
    fn new(place: &Place, kind: &str) -> Self {
        let unique = place.root().parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        Self { name: format!("/{unique}-{kind}"), file: format!("/dev/shm/{}{unique}-{kind}", prefix(kind)) }
    }

    fn is_there(&self) -> bool {
        Path::new(&self.file).exists()
    }

    fn make(&self, place: &Place) {
        if !self.is_there() {
            std::fs::write(&self.file, [0; 32]).unwrap();
        }
        if place.user == User::Nobody {
            std::os::unix::fs::chown(&self.file, Some(65534), Some(65534)).unwrap();
        }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

fn prefix(kind: &str) -> &'static str {
    if kind == "sem" { "sem." } else { "" }
}

fn act(place: &Place, rules: &str, action: &str, name: &str) -> Ran {
    place.run(rules, &[&place.fake(), "posix-ipc", action, name]).good()
}

#[test]
fn shared_memory_and_semaphores_are_judged_by_name() {
    each_user(|place| {
        for (kind, action, operation, there) in [
            ("shm", "shm-create", "ipc-posix-shm-write-create", false),
            ("shm", "shm-read", "ipc-posix-shm-read-data", true),
            ("shm", "shm-write", "ipc-posix-shm-write-data", true),
            ("shm", "shm-unlink", "ipc-posix-shm-write-unlink", true),
            ("sem", "sem-create", "ipc-posix-sem-create", false),
            ("sem", "sem-open", "ipc-posix-sem-open", true),
            ("sem", "sem-unlink", "ipc-posix-sem-unlink", true),
        ] {
            let object = Object::new(place, kind);
            if there {
                object.make(place);
            }
            // Rights on the file are none on the object.
            let read = if action == "shm-write" { "(allow ipc-posix-shm-read-data)" } else { "" };
            let files = format!("{read}(allow file* (subpath \"/dev/shm\"))");
            let denied = act(place, &files, action, &object.name);
            // C libraries ask for an unlink's EPERM as EACCES.
            assert!(matches!(denied.stdout.as_str(), "-1 1\n" | "-1 13\n"), "{action}: {denied:#?}");
            // A semaphore is made under a scratch name first.
            let named = action == "sem-create" || denied.denied(operation, &object.name);
            assert!(named && denied.denied_any(operation), "{action}: {denied:#?}");
            assert_eq!(object.is_there(), there, "{action}");
            // The right on another name is no right on this one, nor is another right on this one.
            let name = &object.name;
            let other = format!("{read}(allow {operation} (ipc-posix-name \"{name}x\"))");
            assert!(act(place, &other, action, name).stdout.starts_with("-1"), "{action}");
            let rules = format!("{read}(allow {operation} (ipc-posix-name \"{name}\"))");
            // Making a semaphore opens it to see whether it is there.
            let rules = if action == "sem-create" { format!("{rules}(allow ipc-posix-sem-open)") } else { rules };
            let allowed = act(place, &rules, action, name);
            assert_eq!(allowed.stdout, "0 0\n", "{action}: {allowed:#?}");
            assert_eq!(object.is_there(), !action.ends_with("unlink"), "{action}");
            let status = if matches!(action, "sem-create" | "sem-unlink") { "partly" } else { "enforced" };
            assert_eq!(allowed.report["operations"][operation]["status"], status, "{allowed:#?}");
        }
    });
}

#[test]
fn no_scratch_name_of_a_semaphore_is_left() {
    each_user(|place| {
        let names = || -> Vec<_> {
            let entries = std::fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().file_name().into_string());
            entries.map(Result::unwrap).filter(|name| name.len() == 10 && name.starts_with("sem.")).collect()
        };
        let before = names();
        let object = Object::new(place, "sem");
        let rules = format!("(allow ipc-posix-sem* (ipc-posix-name \"{}\"))", object.name);
        assert_eq!(act(place, &rules, "sem-create", &object.name).stdout, "0 0\n");
        assert_eq!(names(), before);
    });
}

#[test]
fn no_other_call_gets_at_an_object_as_a_file() {
    each_user(|place| {
        let object = Object::new(place, "shm");
        object.make(place);
        let path = object.file.clone();
        let rules = "(allow file* (subpath \"/dev/shm\") (subpath \"$W\"))";
        for script in [
            "cat $S > /dev/null",
            "echo x > $S",
            "truncate -s 0 $S",
            "rm $S",
            "mv $S $S-other",
            "ln $S $S-other",
            "echo x > a; mv a $S",
        ] {
            let script = script.replace("$S", &path);
            let ran = place.run(rules, &["sh", "-c", &script]).bad();
            assert!(ran.denials.iter().any(|denial| denial["target"] == object.name.as_str()), "{script}: {ran:#?}");
            assert_eq!(std::fs::read(&path).unwrap(), [0; 32], "{script}");
        }
        // A directory there, and what lies in it, are files.
        let directory = Object::new(place, "directory");
        let script = "mkdir $S && echo x > $S/a && cat $S/a && rm $S/a && rmdir $S".replace("$S", &directory.file);
        assert_eq!(place.run(rules, &["sh", "-c", &script]).good().stdout, "x\n");
    });
}

#[test]
fn system_v_objects_are_judged_by_kind() {
    each_user(|place| {
        for (number, words, operation) in [
            (libc::SYS_shmget, ["0", "4096", "896"], "ipc-sysv-shm"),
            (libc::SYS_semget, ["0", "1", "896"], "ipc-sysv-sem"),
            (libc::SYS_msgget, ["0", "896", "0"], "ipc-sysv-msg"),
        ] {
            let number = number.to_string();
            let fake = place.fake();
            let command = [&[fake.as_str(), "call", number.as_str()][..], &words].concat();
            let denied = place.run("", &command).good();
            assert_eq!(denied.stdout, "-1 1\n", "{denied:#?}");
            assert!(denied.denied_any(operation));
            let allowed = place.run(&format!("(allow {operation})"), &command).good();
            let (id, _) = allowed.stdout.trim().split_once(' ').unwrap();
            assert_ne!(id, "-1", "{allowed:#?}");
            let kind = &operation[9..];
            let remove = match kind {
                "shm" => "-m",
                "sem" => "-s",
                _ => "-q",
            };
            assert!(std::process::Command::new("ipcrm").args([remove, id]).status().unwrap().success());
        }
    });
}

#[test]
fn allowing_every_file_does_not_allow_shared_memory() {
    each_user(|place| {
        let object = Object::new(place, "shm");
        let denied = act(place, "(allow file*)(deny ipc-posix-shm*)", "shm-create", &object.name);
        assert!(denied.denied("ipc-posix-shm-write-create", &object.name) && !object.is_there(), "{denied:#?}");
    });
}

#[test]
fn a_message_queue_is_not_made_by_a_call_that_fails() {
    each_user(|place| {
        let name = place.root().parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let (fake, number) = (place.fake(), libc::SYS_mq_open.to_string());
        let (create, there) = ((libc::O_CREAT | libc::O_RDWR).to_string(), libc::O_RDWR.to_string());
        let open = |flags| [fake.as_str(), "call", &number, &name, flags, "384", "0"];
        let unlink = || place.plainly(&[&fake, "call", &libc::SYS_mq_unlink.to_string(), &name]);
        let refused = format!("-1 {}\n", libc::EPERM);
        if place.plainly(&open(&create)).starts_with("-1") {
            return skipped("message queues, because none can be made here");
        }
        assert_eq!(place.run("(allow default)", &open(&there)).good().stdout, refused);
        assert_eq!(unlink(), "0 0\n");
        assert_eq!(place.run("(allow default)", &open(&create)).good().stdout, refused);
        assert_eq!(unlink(), format!("-1 {}\n", libc::ENOENT), "the queue was made all the same");
        // Without a domain nothing stands in the way.
        let observing = Place::new(place.user).with(&["--observe"]);
        let made = observing.run("(allow default)", &open(&create)).good().stdout;
        assert!(!made.starts_with("-1"), "{made}");
        assert_eq!(unlink(), "0 0\n");
    });
}
