//! Kernel settings below `/proc/sys`, and the files of other processes below `/proc`.

use super::support::each_user;

const FILES: &str = "(allow file-read* (subpath \"/proc\"))(allow signal)";

#[test]
fn sysctl_read() {
    each_user(|place| {
        let read = ["cat", "/proc/sys/kernel/ostype"];
        let denied = place.run(FILES, &read).bad();
        assert!(denied.denied("sysctl-read", "kernel.ostype"), "{denied:#?}");
        assert!(!denied.denied_any("file-read-data"), "{denied:#?}");
        let allowed = place.run(&format!("{FILES}(allow sysctl-read (sysctl-name \"kernel.ostype\"))"), &read).good();
        assert_eq!(allowed.stdout, "Linux\n");
        let other = format!("{FILES}(allow sysctl-read (sysctl-name \"kernel.osrelease\"))");
        place.run(&other, &read).bad();
        // The file operation is needed as well.
        let neither = place.run("(allow sysctl-read)", &read).bad();
        assert!(neither.denied("file-read-data", "/proc/sys/kernel/ostype"), "{neither:#?}");
        // Listing is a matter of files.
        place.run(FILES, &["ls", "/proc/sys/kernel"]).good();
    });
}

#[test]
fn sysctl_write() {
    each_user(|place| {
        // The value it has already; an ordinary user is refused by the file's mode.
        let value = std::fs::read_to_string("/proc/sys/kernel/printk_delay").unwrap();
        let write = format!("echo {} > /proc/sys/kernel/printk_delay", value.trim());
        let files = format!("{FILES}(allow file-write-data (subpath \"/proc/sys\"))");
        let denied = place.run(&files, &["sh", "-c", &write]).bad();
        assert!(denied.denied("sysctl-write", "kernel.printk_delay"), "{denied:#?}");
        let allowed = place.run(&format!("{files}(allow sysctl-write)"), &["sh", "-c", &write]);
        assert!(!allowed.denied_any("sysctl-write"), "{allowed:#?}");
    });
}

#[test]
fn allowing_every_file_leaves_no_writing_below_proc_to_the_kernel() {
    each_user(|place| {
        let (own, path) = (std::process::id(), "/proc/sys/kernel/printk_delay");
        // What they hold already.
        let write =
            format!("echo $(cat {path}) > {path}; echo $(cat /proc/self/oom_score_adj) > /proc/{own}/oom_score_adj");
        let denied = place.run("(allow file*)(deny sysctl-write)", &["sh", "-c", &write]).bad();
        assert!(denied.denied("sysctl-write", "kernel.printk_delay"), "{denied:#?}");
        // Files of processes outside are refused whatever the profile says.
        let denied = place.run("(allow file*)(allow sysctl*)", &["sh", "-c", &write]).bad();
        assert!(denied.denied("file-read-metadata", &format!("/proc/{own}")), "{denied:#?}");
        // Other changes are left to it.
        let reason = denied.report["operations"]["ipc-posix-shm-write-create"]["reason"].as_str();
        let all = place.run("(allow file*)(allow sysctl*)(allow ipc-posix*)", &["true"]).good();
        let left = all.report["operations"]["ipc-posix-shm-write-create"]["reason"].as_str();
        assert!(left.is_some_and(|left| left.contains("but opening for writing")), "{all:#?}");
        assert!(reason.is_none_or(|reason| !reason.contains("but opening for writing")), "{denied:#?}");
    });
}

#[test]
fn what_is_left_to_the_kernel_is_not_called_enforced() {
    each_user(|place| {
        let ran = place.run("(allow file-read*)", &["cat", "/proc/sys/kernel/ostype"]).good();
        for operation in ["sysctl-read", "ipc-posix-shm-read-data", "process-info-pidinfo"] {
            assert_eq!(ran.report["operations"][operation]["status"], "partly", "{ran:#?}");
            let reason = ran.report["operations"][operation]["reason"].as_str().unwrap();
            assert!(reason.contains("left to the kernel"), "{reason}");
        }
    });
}

#[test]
fn files_of_other_processes_tell_about_them() {
    each_user(|place| {
        for (what, script) in [
            ("read", "sleep 9 & cat /proc/$!/comm > /dev/null && echo $! told || echo $! refused; kill -9 $!"),
            ("link", "sleep 9 & readlink /proc/$!/cwd > /dev/null && echo $! told || echo $! refused; kill -9 $!"),
        ] {
            // The reader is a sibling of what it reads about.
            for (target, told) in [("same-sandbox", true), ("others", true), ("self", false), ("children", false)] {
                let rules = format!("{FILES}(allow process-info-pidinfo (target {target}))");
                let ran = place.run(&rules, &["sh", "-c", script]).good();
                let (pid, outcome) = ran.stdout.trim().split_once(' ').unwrap();
                assert_eq!(outcome, if told { "told" } else { "refused" }, "{what} {target}: {ran:#?}");
                assert_eq!(ran.denied("process-info-pidinfo", &format!("process {pid}")), !told, "{ran:#?}");
            }
        }
        // Of itself a program may know what the rules on files let it.
        place.run(FILES, &["cat", "/proc/self/stat"]).good();
        // Those outside are refused whatever the profile says.
        let outside = format!("/proc/{}/comm", std::process::id());
        place.run(&format!("{FILES}(allow process-info*)"), &["cat", &outside]).bad();
    });
}

#[test]
fn limits_of_other_processes() {
    each_user(|place| {
        let (get, set) = ("0", "1");
        for (change, operation) in [(get, "process-info-pidinfo"), (set, "process-info-setcontrol")] {
            // Limits of a sibling; the address of new ones is not valid, which is found out after the decision.
            let call = format!("{} call {} $! 7 {change} 0", place.fake(), libc::SYS_prlimit64);
            let script = format!("sleep 9 & {call}; kill -9 $!");
            let denied = place.run(FILES, &["sh", "-c", &script]).good();
            assert_eq!(denied.stdout, "-1 1\n", "{denied:#?}");
            assert!(denied.denied_any(operation));
            let rules = format!("{FILES}(allow {operation} (target same-sandbox))");
            let allowed = place.run(&rules, &["sh", "-c", &script]).good();
            let expected = if change == get { "0 0\n".to_owned() } else { format!("-1 {}\n", libc::EFAULT) };
            assert_eq!(allowed.stdout, expected, "{allowed:#?}");
        }
    });
}
