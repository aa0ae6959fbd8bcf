//! Ways around: entries the filter must refuse, and races. Each bounded to a second or two.

use super::support::{Place, each_user, won_at_some_time};

const FREE: &str = "(allow file-read* (subpath \"/\"))(allow signal)(allow process-info*)";

fn call(place: &Place, rules: &str, words: &[&str]) -> (i64, i32) {
    let mut command = vec![place.fake()];
    command.extend(words.iter().map(|word| (*word).to_owned()));
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let ran = place.run(rules, &words).good();
    let mut numbers = ran.stdout.split_whitespace();
    let result = numbers.next().unwrap().parse().unwrap();
    (result, numbers.next().map_or(0, |errno| errno.parse().unwrap()))
}

fn by_name(place: &Place, number: i64, rest: &[&str]) -> (i64, i32) {
    let number = number.to_string();
    let mut words = vec!["call", number.as_str()];
    words.extend(rest);
    call(place, FREE, &words)
}

#[test]
fn what_the_table_does_not_name_does_not_exist() {
    each_user(|place| {
        for number in [470, 500, 1023, 4096, 0x4000_0000, 0x4000_0000 + 59] {
            assert_eq!(by_name(place, number, &[]), (-1, libc::ENOSYS), "{number:#x}");
        }
        for number in [libc::SYS_clone3, libc::SYS_landlock_create_ruleset, 463, 464, 465, 466, 468, 469] {
            assert_eq!(by_name(place, number, &["0", "0", "0", "0", "0"]), (-1, libc::ENOSYS), "{number}");
        }
        // The twin: a number the table names.
        assert!(by_name(place, libc::SYS_getppid, &[]).0 > 0);
    });
}

#[test]
fn calls_that_undermine_the_sandbox_are_refused() {
    each_user(|place| {
        for (number, rest) in [
            (libc::SYS_io_uring_setup, &["4", "0"][..]),
            (libc::SYS_ptrace, &["16", "1", "0", "0"]),
            (libc::SYS_process_vm_readv, &["1", "0", "0", "0", "0", "0"]),
            (libc::SYS_unshare, &["268435456"]),
            (libc::SYS_setns, &["0", "0"]),
            (libc::SYS_mount, &["none", "/tmp", "tmpfs", "0", "0"]),
            (libc::SYS_chroot, &["/tmp"]),
            (libc::SYS_bpf, &["0", "0", "0"]),
            (libc::SYS_userfaultfd, &["1"]),
            (libc::SYS_perf_event_open, &["0", "0", "0", "0", "0"]),
            (libc::SYS_open_by_handle_at, &["0", "0", "0"]),
            (libc::SYS_pidfd_getfd, &["0", "0", "0"]),
            (libc::SYS_keyctl, &["0", "0", "0"]),
            (libc::SYS_fanotify_init, &["0", "0"]),
            (libc::SYS_clone, &["268435473", "0", "0", "0", "0"]),
        ] {
            assert_eq!(by_name(place, number, rest), (-1, libc::EPERM), "{number}");
        }
        // A filter of its own may not have a listener, also when nobody listens to this one any more.
        assert_eq!(by_name(place, libc::SYS_seccomp, &["1", "8", "0"]), (-1, libc::EBUSY));
        assert_eq!(by_name(place, libc::SYS_seccomp, &["1", "0", "0"]), (-1, libc::EFAULT));
        let path = place.file("a", "");
        assert_eq!(call(place, FREE, &["handle", &path]), (-1, libc::EPERM));
        assert_eq!(call(place, FREE, &["in-root", &place.path(""), "/a"]), (-1, libc::ENOSYS));
    });
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "only x86-64 has such an entry")]
fn the_32_bit_entry_does_not_exist() {
    each_user(|place| {
        let (result, _) = call(place, FREE, &["entry32"]);
        assert_eq!(result, -i64::from(libc::ENOSYS));
    });
}

#[test]
fn strangers_cannot_be_steered_or_looked_into() {
    each_user(|place| {
        let outside = std::process::id().to_string();
        assert_eq!(by_name(place, libc::SYS_prlimit64, &[&outside, "7", "0", "0"]), (-1, libc::EPERM));
        assert_eq!(by_name(place, libc::SYS_sched_setaffinity, &[&outside, "0", "0"]), (-1, libc::EPERM));
        assert_eq!(by_name(place, libc::SYS_pidfd_open, &[&outside, "0"]), (-1, libc::EPERM));
        assert_eq!(by_name(place, libc::SYS_setpriority, &["0", &outside, "19"]), (-1, libc::EPERM));
        let clock = |process: i32| ((!process << 3) | 2).to_string();
        let outsider = clock(std::process::id().cast_signed());
        assert_eq!(by_name(place, libc::SYS_clock_getres, &[&outsider, "0"]), (-1, libc::EPERM));
        assert_eq!(by_name(place, libc::SYS_clock_getres, &[&clock(5_000_000), "0"]), (-1, libc::EINVAL));
        assert_eq!(by_name(place, libc::SYS_clock_getres, &[&clock(0), "0"]), (0, 0));
        // The clock of a descriptor that has none.
        assert_eq!(by_name(place, libc::SYS_clock_getres, &["-5", "0"]), (-1, libc::EINVAL));
        assert_eq!(by_name(place, libc::SYS_prlimit64, &["0", "7", "0", "0"]), (0, 0));
        // Answered without effect: the program stays readable for its supervisor.
        assert_eq!(by_name(place, libc::SYS_prctl, &["4", "0", "0", "0", "0"]), (0, 0));
        assert_eq!(by_name(place, libc::SYS_prctl, &["3", "0", "0", "0", "0"]), (1, 0));
    });
}

#[test]
fn processor_time_and_capabilities_of_members_can_be_asked() {
    each_user(|place| {
        let rules = format!("{FREE}(allow process-fork)");
        let run =
            |script: &str| place.run(&rules, &["sh", "-c", &format!("sleep 9 & {script}; kill -9 $!")]).good().stdout;
        let getres = format!("{} call {}", place.fake(), libc::SYS_clock_getres);
        assert_eq!(run(&format!("{getres} $(( (~$! << 3) | 2 )) 0")), "0 0\n");
        assert_eq!(run(&format!("{getres} $(( (~$$ << 3) | 2 )) 0")), "0 0\n");
        let asked = |version: &str, pid: &str| run(&format!("{} capabilities {version} {pid}", place.fake()));
        let own = asked("20080522", "0");
        assert!(own.starts_with("0 0 20080522 ") && !own.contains("ffffffff"), "{own}");
        assert_eq!(asked("20080522", "$!"), own);
        let short = asked("19980330", "$!");
        assert!(short.ends_with("ffffffff, ffffffff, ffffffff]\n"), "{short}");
        // The version that there is.
        let unknown = asked("1", "0");
        assert!(unknown.starts_with(&format!("-1 {} 20080522 ", libc::EINVAL)), "{unknown}");
        assert!(asked("20080522", "-1").starts_with(&format!("-1 {} ", libc::EINVAL)));
        for (other, errno) in [(std::process::id(), libc::EPERM), (5_000_000, libc::ESRCH)] {
            assert!(asked("20080522", &other.to_string()).starts_with(&format!("-1 {errno} ")));
        }
    });
}

#[test]
fn a_number_that_is_no_descriptor_is_answered_as_such() {
    each_user(|place| {
        let path = place.file("a", "");
        let some = "(allow network-outbound (remote ip \"localhost:1\"))(allow file-read-metadata (subpath \"$W\"))";
        let all = |number: i64, rest: &[&str]| {
            let number = number.to_string();
            call(place, some, &[&["call", &number, "-1"], rest].concat())
        };
        let address = "0123456789abcdef";
        assert_eq!(all(libc::SYS_connect, &[address, "16"]), (-1, libc::EBADF));
        assert_eq!(all(libc::SYS_listen, &["1"]), (-1, libc::EBADF));
        assert_eq!(all(libc::SYS_inotify_add_watch, &[&path, "1"]), (-1, libc::EBADF));
    });
}

/// Attempts, forbidden successes, allowed successes.
fn race(place: &Place, rules: &str, words: &[&str]) -> (u64, u64, u64) {
    let mut command = vec![place.fake()];
    command.extend(words.iter().map(|word| (*word).to_owned()));
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let ran = place.run(rules, &words).good();
    let numbers: Vec<u64> = ran.stdout.split_whitespace().map(|number| number.parse().unwrap()).collect();
    (numbers[0], numbers[1], numbers[2])
}

#[test]
fn a_path_flipped_during_a_call_wins_nothing() {
    each_user(|place| {
        let (good, bad) = (place.file("good", "A"), place.file("evil", "FORBIDDEN"));
        for (action, operation) in [("open", "file-read-data"), ("stat", "file-read-metadata")] {
            let allow = |name: &str| format!("(allow file-read-data file-read-metadata (literal \"$W/{name}\"))");
            let rules = format!("{}{}(deny {operation} (literal \"$W/evil\"))", allow("good"), allow("evil"));
            let (attempts, wins, passes) = race(place, &rules, &["flip", action, &good, &bad, "800"]);
            println!("{action}: {attempts} attempts, {wins} forbidden, {passes} allowed");
            assert_eq!(wins, 0, "{action}: {attempts} attempts");
            assert!(passes > 0, "{action}");
            // The twin: where the profile allows both, the race is seen.
            let both = format!("{}{}", allow("good"), allow("evil"));
            let seen = won_at_some_time(|| race(place, &both, &["flip", action, &good, &bad, "800"]).1);
            assert!(seen, "{action}: the test cannot see a hole");
        }
    });
}

#[test]
fn a_descriptor_swapped_during_a_call_wins_nothing() {
    each_user(|place| {
        let (good, bad) = (place.directory("good"), place.directory("evil"));
        place.file("good/file", "A");
        place.file("evil/file", "F");
        let see = "(allow file-read-data file-read-metadata (subpath \"$W\"))";
        let rules = format!("{see}(deny file-read-data (literal \"$W/evil/file\"))");
        let (attempts, wins, passes) = race(place, &rules, &["swap-descriptor", &good, &bad, "800"]);
        assert!(wins == 0 && passes > 0, "{wins} of {attempts}, {passes} allowed");
        let seen = won_at_some_time(|| race(place, see, &["swap-descriptor", &good, &bad, "800"]).1);
        assert!(seen, "the test cannot see a hole");
    });
}

#[test]
fn a_link_or_directory_exchanged_from_outside_wins_nothing() {
    each_user(|place| {
        for name in ["good", "evil"] {
            place.directory(name);
        }
        place.file("good/file", "A");
        place.file("evil/file", "F");
        place.link("way", "good");
        let see = "(allow file-read-data file-read-metadata (subpath \"$W\"))";
        let rules = format!("{see}(deny file-read-data (subpath \"$W/evil\"))");
        let flipped = |rules: &str| {
            place.while_exchanging("way", ["evil", "good"], || {
                race(place, rules, &["repeat", &place.path("way/file"), "800"])
            })
        };
        let (attempts, wins, passes) = flipped(&rules);
        println!("link: {attempts} attempts, {wins} forbidden, {passes} allowed");
        assert!(wins == 0 && passes > 0, "{wins} of {attempts}, {passes} allowed");
        assert!(won_at_some_time(|| flipped(see).1), "the test cannot see a hole");
    });
}

#[test]
fn a_program_path_flipped_during_exec_stays_within_the_inner_domain() {
    each_user(|place| {
        for (name, status) in [("good", 0), ("evil", 42)] {
            place.directory(name);
            place.file(&format!("{name}/run"), &format!("#!/usr/bin/sh\nexit {status}\n"));
            place.mode(&format!("{name}/run"), 0o755);
        }
        let (good, bad) = (place.path("good/run"), place.path("evil/run"));
        let see = "(allow file-read-data file-read-metadata (subpath \"$W\"))";
        let rules = format!("{see}(allow process-exec (subpath \"$W/good\"))");
        let (attempts, wins, passes) = race(place, &rules, &["flip-exec", &good, &bad, "1500"]);
        println!("exec: {attempts} attempts, {wins} forbidden, {passes} allowed");
        assert!(wins == 0 && passes > 0, "{wins} of {attempts}, {passes} allowed");
        let both = format!("{rules}(allow process-exec (subpath \"$W/evil\"))");
        let won = won_at_some_time(|| race(place, &both, &["flip-exec", &good, &bad, "1500"]).1);
        assert!(won, "the test cannot see a hole");
    });
}

#[test]
fn without_its_layer_the_same_race_wins() {
    each_user(|place| {
        let place = Place::new(place.user).with(&["--without-layer", "landlock", "--without-layer", "exec_stop"]);
        for (name, status) in [("good", 0), ("evil", 42)] {
            place.directory(name);
            place.file(&format!("{name}/run"), &format!("#!/usr/bin/sh\nexit {status}\n"));
            place.mode(&format!("{name}/run"), 0o755);
        }
        let (good, bad) = (place.path("good/run"), place.path("evil/run"));
        let rules =
            "(allow file-read-data file-read-metadata (subpath \"$W\"))(allow process-exec (subpath \"$W/good\"))";
        let won = won_at_some_time(|| race(&place, rules, &["flip-exec", &good, &bad, "1500"]).1);
        assert!(won, "the test cannot see what the layer protects from");
        let ran = place.run(rules, &["true"]).good();
        assert!(ran.report["layers"]["missing"].as_array().unwrap().iter().any(|name| name == "landlock"));
        assert_eq!(ran.report["operations"]["process-exec*"]["status"], "partly");
        assert_eq!(ran.report["backstop"], "none");
    });
}
