//! Programs and processes: exec with its interpreters, fork, signals.

use super::support::{Place, each_user};

const RUN: &str = "(allow file-read-metadata file-read-data (subpath \"$W\"))";

#[test]
fn process_exec() {
    each_user(|place| {
        let program = place.path("program");
        std::fs::copy("/usr/bin/true", &program).unwrap();
        let denied = place.run(RUN, &[&program]);
        assert_eq!(denied.status, 126, "{denied:#?}");
        assert!(denied.denied("process-exec*", &program), "{denied:#?}");
        let allowed = place.run(&format!("{RUN}(allow process-exec (literal \"$W/program\"))"), &[&program]).good();
        assert!(allowed.denials.iter().all(|denial| denial["operation"] != "process-exec*"), "{allowed:#?}");
        // The same from inside.
        let inside = place.run(RUN, &["sh", "-c", "./program && echo ran"]).bad();
        assert!(inside.stdout.is_empty() && inside.denied("process-exec*", &program), "{inside:#?}");
    });
}

#[test]
fn interpreters_of_scripts_are_judged() {
    each_user(|place| {
        let script = place.file("script", "#!/usr/bin/sh\necho ran\n");
        place.mode("script", 0o755);
        let chain = place.file("chain", &format!("#!{script} x\n"));
        place.mode("chain", 0o755);
        let own = "(allow process-exec (literal \"$W/script\") (literal \"$W/chain\"))";
        // The shell is a program and an interpreter by the base rules; take the latter away.
        let no_shell = "(deny process-exec-interpreter (subpath \"/usr/bin\"))";
        for path in [&script, &chain] {
            let denied = place.run(&format!("{RUN}{own}{no_shell}"), &[path]);
            assert_eq!((denied.status, denied.stdout.as_str()), (126, ""), "{denied:#?}");
            assert!(denied.denied_any("process-exec-interpreter"), "{denied:#?}");
            let allowed = place.run(&format!("{RUN}{own}"), &[path]).good();
            assert_eq!(allowed.stdout, "ran\n");
        }
    });
}

#[test]
fn the_loader_is_judged() {
    each_user(|place| {
        let loader = "(deny process-exec-interpreter (subpath \"/usr/lib\") (subpath \"/lib\"))";
        // The shipped overlay comes after the profile, so it has the last word; a later one takes the loader away.
        place.run(loader, &["true"]).good();
        let overlay = place.file("later.sb", loader);
        let later = Place::new(place.user).with(&["--overlay", &overlay]);
        // The attacking program is linked dynamically.
        for program in ["true", &later.fake()] {
            let denied = later.run("", &[program]);
            assert_eq!(denied.status, 126, "{denied:#?}");
            assert!(denied.denied_any("process-exec-interpreter"), "{denied:#?}");
        }
    });
}

#[test]
fn what_cannot_be_executed_says_so() {
    each_user(|place| {
        let plain = place.file("plain", "no program");
        place.mode("plain", 0o755);
        let rules = format!("{RUN}(allow process-exec (subpath \"$W\"))");
        assert_eq!(place.run(&rules, &[&plain]).status, 126);
        place.mode("plain", 0o644);
        let ran = place.run(&rules, &[&plain]);
        assert!(ran.status == 126 && ran.stderr.contains("Permission denied"), "{ran:#?}");
        assert_eq!(place.run(&rules, &[&place.path("missing")]).status, 127);
        assert_eq!(place.run(&rules, &["no-such-program"]).status, 127);
        assert_eq!(place.run(&rules, &["sh", "-c", "exit 7"]).status, 7);
        assert_eq!(place.run("(allow signal)", &["sh", "-c", "kill -TERM $$"]).status, 128 + 15);
    });
}

#[test]
fn unreadable_programs_are_refused_by_name() {
    each_user(|place| {
        let program = place.path("program");
        std::fs::copy("/usr/bin/touch", &program).unwrap();
        place.mode("program", 0o711);
        if place.user == super::support::User::Own && rustix::process::geteuid().is_root() {
            // The owner may read by the owner's bits.
            return;
        }
        // Where starting programs is left to the kernel it starts, and what it asks for afterwards cannot be known.
        for (rules, status) in [
            ("(allow process-exec (subpath \"$W\"))", 126),
            ("(allow process-exec* file-read-data file-read-metadata)", 127),
        ] {
            let ran = place.run(&format!("{RUN}{rules}"), &[&program, "made"]);
            assert_eq!(ran.status, status, "{rules}: {ran:#?}");
            let reason = ran.denials.iter().find_map(|denial| denial["undecided"].as_str());
            assert!(reason.is_some_and(|reason| reason.contains("cannot be read")), "{rules}: {ran:#?}");
        }
    });
}

#[test]
fn a_program_in_memory_needs_exec_allowed_everywhere() {
    each_user(|place| {
        let fake = place.fake();
        let denied = place.run("", &[&fake, "memfd-exec", "/usr/bin/true"]).good();
        assert_eq!(denied.stdout, "-1 1\n", "{denied:#?}");
        assert!(denied.denied_any("process-exec*"), "{denied:#?}");
        let allowed = place.run("(allow process-exec*)", &[&fake, "memfd-exec", "/usr/bin/true"]).good();
        assert_eq!(allowed.stdout, "");
    });
}

#[test]
fn exec_from_another_thread_is_judged_too() {
    each_user(|place| {
        let denied = place.run("", &[&place.fake(), "exec-in-thread", "/usr/sbin/nologin"]).good();
        assert!(denied.stdout == "-1 1\n" || denied.stdout == "-1 2\n", "{denied:#?}");
        let allowed = place.run("", &[&place.fake(), "exec-in-thread", "/usr/bin/true"]).good();
        assert_eq!(allowed.stdout, "");
    });
}

#[test]
fn process_fork() {
    each_user(|place| {
        let denied = place.run("(deny process-fork)", &["sh", "-c", "/usr/bin/true; echo ran"]).bad();
        assert!(denied.denied("process-fork", ""), "{denied:#?}");
        place.run("", &["sh", "-c", "/usr/bin/true; echo ran"]).good();
        // Threads are not processes.
        let path = place.file("a", "x");
        let threads = place.run(&format!("(deny process-fork){RUN}"), &[&place.fake(), "threads", "4", &path]).good();
        assert_eq!(threads.stdout, "200\n");
    });
}

#[test]
fn many_threads_are_served() {
    each_user(|place| {
        let path = place.file("a", "x");
        let ran = place.run(RUN, &[&place.fake(), "threads", "24", &path]).good();
        assert_eq!(ran.stdout, "1200\n");
        let ran = place.run("", &[&place.fake(), "threads", "24", &path]).good();
        assert_eq!(ran.stdout, "0\n");
        assert_eq!(ran.denials.iter().find(|d| d["target"] == path.as_str()).unwrap()["count"], 1200);
    });
}

#[test]
fn signals_stay_inside() {
    each_user(|place| {
        let mut outside = std::process::Command::new("sleep");
        if place.user == super::support::User::Nobody {
            use std::os::unix::process::CommandExt;
            outside.uid(65534);
        }
        let mut outside = outside.arg("60").spawn().unwrap();
        let kill = format!("kill -TERM {}", outside.id());
        let denied = place.run("", &["sh", "-c", &kill]).bad();
        assert!(denied.denied("signal", &format!("process {}", outside.id())), "{denied:#?}");
        // Even a profile that allows every signal does not reach outside: the kernel's scope does not.
        place.run("(allow signal)", &["sh", "-c", &kill]).bad();
        assert!(outside.try_wait().unwrap().is_none());
        // Nor to the process that keeps the tree together, or the supervisor above it.
        place.run("(allow signal)", &["sh", "-c", "kill -KILL $PPID && exit 1; exit 0"]).good();
        outside.kill().unwrap();
        outside.wait().unwrap();
        let ran =
            place.run("(allow signal (target children))", &["sh", "-c", "sleep 60 & kill $!; wait $!; echo $?"]).good();
        assert_eq!(ran.stdout, "143\n");
    });
}

#[test]
fn a_search_in_path_goes_on_where_the_program_may_look() {
    each_user(|place| {
        let nowhere = place.directory("nowhere");
        let search = format!("PATH={nowhere}:/usr/bin");
        let ran = place.run("(allow file-read-metadata (subpath \"$W\"))", &["env", &search, "true"]).good();
        assert!(!ran.denied_any("process-exec*"), "{ran:#?}");
        let blind = place.run("", &["env", &search, "true"]).bad();
        assert!(blind.denied("process-exec*", &place.path("nowhere/true")), "{blind:#?}");
    });
}

#[test]
fn a_file_just_written_can_be_executed() {
    each_user(|place| {
        // Several at once, so that several of the supervisor's threads are at work.
        for at in 1..=6 {
            place.file(&format!("s{at}"), "");
            place.mode(&format!("s{at}"), 0o755);
        }
        let each = "n=0; while [ $n -lt 40 ]; do n=$((n+1)); echo '#!/usr/bin/true' > s$p; ./s$p || echo busy; done";
        let all = format!("for p in 1 2 3 4 5 6; do ({each}) & done; wait");
        let rules = "(allow file-read* file-write* process-exec (subpath \"$W\"))";
        let ran = place.run(rules, &["sh", "-c", &all]).good();
        assert!(ran.stdout.is_empty() && ran.stderr.is_empty(), "{} {}", ran.stdout, ran.stderr);
    });
}
