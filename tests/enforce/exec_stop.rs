//! Programs exchanged while they are being executed, under rules that Landlock cannot express.

use super::support::{Place, Ran, each_user, won_at_some_time};

const SEE: &str = "(allow file-read-data file-read-metadata (subpath \"$W\"))";
/// Landlock can admit the whole tree only; the profile does not.
const CARVED: &str = "(allow process-exec (subpath \"$W\"))(deny process-exec (literal \"$W/evil/run\"))";
/// What opening a file by the name of a descriptor needs, the own or another process's.
const DESCRIPTORS: &str = "(allow file-read-metadata (subpath \"/proc\"))(allow process-info-pidinfo)";
const WITHOUT: [&str; 2] = ["--without-layer", "exec_stop"];

/// An allowed and a forbidden program, which exit with 0 and 42: scripts or native ones.
fn pair(place: &Place, native: bool) -> (String, String) {
    for (name, status) in [("good", 0), ("evil", 42)] {
        place.directory(name);
        let run = format!("{name}/run");
        if native {
            std::fs::copy(place.fake(), place.path(&run)).unwrap();
        } else {
            place.file(&run, &format!("#!/usr/bin/sh\nexit {status}\n"));
            place.mode(&run, 0o755);
        }
    }
    (place.path("good/run"), place.path("evil/run"))
}

/// Attempts, forbidden successes, allowed successes.
fn race(place: &Place, rules: &str, words: &[&str]) -> (u64, u64, u64, Ran) {
    let fake = place.fake();
    let words: Vec<&str> = [fake.as_str()].into_iter().chain(words.iter().copied()).collect();
    let ran = place.run(&format!("{SEE}{rules}"), &words).good();
    let numbers: Vec<u64> = ran.stdout.split_whitespace().map(|number| number.parse().unwrap()).collect();
    (numbers[0], numbers[1], numbers[2], ran)
}

#[test]
fn a_program_path_flipped_during_exec_wins_nothing() {
    each_user(|place| {
        for native in [false, true] {
            let place = Place::new(place.user);
            let (good, evil) = pair(&place, native);
            let words = ["flip-exec", &good, &evil, "1500"];
            let (attempts, wins, passes, ran) = race(&place, CARVED, &words);
            println!("native {native}: {attempts} attempts, {wins} forbidden, {passes} allowed");
            assert!(wins == 0 && passes > 0, "{wins} of {attempts}, {passes} allowed");
            assert_eq!(ran.report["operations"]["process-exec*"]["status"], "enforced");
            assert!(ran.rule("process-exec*", &evil).is_some_and(|rule| rule.contains("profile.sb:")), "{ran:#?}");
            // The twin: without the layer the same race is won, and the report does not claim otherwise.
            let place = place.with(&WITHOUT);
            assert!(
                won_at_some_time(|| race(&place, CARVED, &words).1),
                "the test cannot see what the layer protects from"
            );
            let ran = place.run(CARVED, &["true"]).good();
            assert_eq!(ran.report["operations"]["process-exec*"]["status"], "partly");
            assert!(ran.report["layers"]["missing"].as_array().unwrap().iter().any(|name| name == "exec_stop"));
        }
    });
}

#[test]
fn a_link_exchanged_from_outside_during_exec_wins_nothing() {
    each_user(|place| {
        // Two programs that tell which file they are: they exit with 0 and 1.
        for (directory, program) in [("good", "/usr/bin/true"), ("evil", "/usr/bin/false")] {
            place.directory(directory);
            std::fs::copy(program, place.path(&format!("{directory}/run"))).unwrap();
        }
        place.link("way", "good");
        let flipped = |place: &Place| {
            place.while_exchanging("way", ["evil", "good"], || {
                race(place, CARVED, &["repeat-exec", &place.path("way/run"), "1500"])
            })
        };
        let (attempts, wins, passes, ran) = flipped(place);
        println!("link: {attempts} attempts, {wins} forbidden, {passes} allowed");
        assert!(wins == 0 && passes > 0, "{wins} of {attempts}, {passes} allowed");
        assert!(ran.denied("process-exec*", &place.path("evil/run")), "{ran:#?}");
        let without = Place::new(place.user).with(&WITHOUT);
        std::fs::remove_dir_all(without.root()).unwrap();
        std::fs::rename(place.root(), without.root()).unwrap();
        assert!(won_at_some_time(|| flipped(&without).1), "the test cannot see what the layer protects from");
    });
}

#[test]
fn an_interpreter_alone_is_no_program_however_its_script_is_exchanged_for_it() {
    each_user(|place| {
        const RULES: &str =
            "(deny process-exec (literal \"/usr/bin/dash\"))(allow process-exec (literal \"$W/script\"))
            (allow process-exec-interpreter (literal \"/usr/bin/dash\"))";
        let script = |place: &Place| {
            let path = place.file("script", "#! /usr/bin/dash -e \nexit 0\n");
            place.mode("script", 0o755);
            place.link("way", &path);
            path
        };
        // As a program the shell does what it is told: it exits with 1.
        let flipped = |place: &Place| {
            let path = script(place);
            let words = ["repeat-exec", &place.path("way"), "1500", "-c", "exit 1"];
            place.while_exchanging("way", ["/usr/bin/dash", &path], || race(place, RULES, &words))
        };
        let (attempts, wins, passes, ran) = flipped(place);
        println!("interpreter: {attempts} attempts, {wins} forbidden, {passes} allowed");
        assert!(wins == 0 && passes > 0, "{wins} of {attempts}, {passes} allowed");
        assert!(ran.denied("process-exec*", "/usr/bin/dash"), "{ran:#?}");
        let without = Place::new(place.user).with(&WITHOUT);
        assert!(won_at_some_time(|| flipped(&without).1), "the test cannot see what the layer protects from");
    });
}

#[test]
fn a_script_whose_name_leads_elsewhere_during_exec_wins_nothing() {
    each_user(|place| {
        let rules = format!("{CARVED}{DESCRIPTORS}");
        for way in ["directory", "descriptor"] {
            let place = Place::new(place.user);
            pair(&place, false);
            let words = ["race-script", way, &place.path("good"), &place.path("evil"), "1500"];
            let (attempts, wins, passes, ran) = race(&place, &rules, &words);
            println!("{way}: {attempts} attempts, {wins} forbidden, {passes} allowed");
            assert!(wins == 0 && passes > 0, "{way}: {wins} of {attempts}, {passes} allowed");
            assert!(ran.rule("process-exec*", &place.path("evil/run")).is_some(), "{ran:#?}");
            assert_eq!(ran.report["operations"]["process-exec*"]["status"], "enforced");
            let place = place.with(&WITHOUT);
            assert!(
                won_at_some_time(|| race(&place, &rules, &words).1),
                "the test cannot see what the layer protects from"
            );
        }
    });
}

#[test]
fn the_working_directory_is_shared_between_threads_only() {
    each_user(|place| {
        let clone = |flags: i32| {
            let (number, flags) = (libc::SYS_clone.to_string(), (flags | libc::SIGCHLD).to_string());
            place.run("", &[&place.fake(), "call", &number, &flags, "0", "0", "0", "0"]).good().stdout
        };
        assert_eq!(clone(libc::CLONE_FS), "-1 1\n");
        assert!(!clone(libc::CLONE_FILES).contains("-1"));
    });
}

#[test]
fn a_script_by_another_processs_descriptor_is_refused() {
    each_user(|place| {
        pair(place, false);
        let rules = format!("{SEE}{CARVED}{DESCRIPTORS}");
        let run = |command: &str| place.run(&rules, &["sh", "-c", &format!("exec 9<good/run; {command}; exit $?")]);
        run("exec /proc/self/fd/9").good();
        run("cd good; ./run").good();
        let refused = run("/proc/$$/fd/9").bad();
        let reason = refused.denials.iter().find_map(|denial| denial["undecided"].as_str());
        assert!(reason.is_some_and(|reason| reason.contains("another process")), "{refused:#?}");
        // A program is what the kernel executed, by whatever name.
        place.run(&rules, &["sh", "-c", "exec 9</usr/bin/true; /proc/$$/fd/9; exit $?"]).good();
    });
}

#[test]
fn scripts_that_the_program_can_exchange_are_reported() {
    each_user(|place| {
        let status = |rules: &str| {
            let ran = place.run(&format!("{SEE}{CARVED}{rules}"), &["true"]).good();
            let status = |name: &str| ran.report["operations"][name]["status"].as_str().unwrap().to_owned();
            (status("process-exec*"), status("process-exec-interpreter"))
        };
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        assert_eq!(status(""), pair("enforced", "enforced"));
        assert_eq!(status("(allow file-write-data (subpath \"$W\"))"), pair("enforced", "enforced"));
        assert_eq!(status("(allow file-write-create (subpath \"$W\"))"), pair("partly", "enforced"));
    });
}

#[test]
fn chains_failures_and_other_threads_go_on_as_ever() {
    each_user(|place| {
        let ran =
            place.run("", &["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do env env env true || exit 1; done"]).good();
        assert_eq!(ran.report["operations"]["process-exec*"]["status"], "enforced", "{ran:#?}");
        let script = place.file("script", "#!/usr/bin/env sh\necho $0 $1\n");
        place.mode("script", 0o755);
        let allowed = "(allow process-exec (literal \"$W/script\"))";
        let ran = place.run(&format!("{SEE}{allowed}"), &[&script, "word"]).good();
        assert_eq!(ran.stdout, format!("{script} word\n"));
        // An exec that the kernel fails after it was judged.
        let ran = place.run("(allow signal)", &[&place.fake(), "exec-too-big", "300"]).good();
        assert_eq!(ran.stdout, "300 true\n");
        for _ in 0..5 {
            let ran = place.run("", &[&place.fake(), "exec-in-threads", "20", "/usr/bin/true"]).good();
            assert_eq!(ran.stdout, "");
        }
        let ran = place.run("", &[&place.fake(), "exec-in-thread", "/usr/bin/true"]).good();
        assert_eq!(ran.stdout, "");
    });
}

#[test]
fn a_program_that_is_killed_while_it_is_executed_leaves_no_record() {
    each_user(|place| {
        // The kernel alone cannot tell such programs apart, so each is held at the end of its exec.
        let rules =
            "(allow signal)(deny process-exec (literal \"/usr/bin/id\"))(deny process-exec (regex #\"/nothing$\"))";
        let ran = place.run(rules, &[&place.fake(), "kill-exec", "1500", "/usr/bin/sleep"]).good();
        assert_eq!(ran.report["operations"]["process-exec*"]["status"], "enforced", "{ran:#?}");
        assert_eq!(ran.stdout, "1500\n");
        let told: Vec<_> = ran.denials.iter().filter(|denial| denial["operation"] == "process-exec*").collect();
        assert!(told.is_empty(), "{told:#?}");
    });
}
