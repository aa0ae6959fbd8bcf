//! Signals by the relation of who gets them: itself, children, group, the same sandbox, others.

use super::support::{Place, Ran, each_user};

fn shell(place: &Place, targets: &[&str], script: &str) -> Ran {
    let rules: String = targets.iter().map(|target| format!("(allow signal (target {target}))")).collect();
    let script = script.replace("$FAKE", &place.fake());
    place.run(&rules, &["sh", "-c", &script]).good()
}

/// Whether any refusal of a signal to the process whose number the script printed was recorded.
fn refused(ran: &Ran, pid: &str) -> bool {
    ran.denied("signal", &format!("process {pid}"))
}

#[test]
fn one_process_is_judged_by_what_it_is_to_the_caller() {
    each_user(|place| {
        // A child; then a sibling, seen from a second shell.
        let child = "sleep 9 & kill -9 $! 2> /dev/null && echo $! sent || echo $! refused";
        let sibling = "sleep 9 & sh -c \"kill -9 $! 2> /dev/null && echo $! sent || echo $! refused\"";
        let itself = "kill -WINCH $$ 2> /dev/null && echo $$ sent || echo $$ refused";
        for (script, target, sent) in [
            (itself, "self", true),
            (itself, "pgrp", true),
            (itself, "same-sandbox", true),
            (itself, "children", false),
            (itself, "others", false),
            (child, "children", true),
            (child, "others", true),
            (child, "same-sandbox", true),
            (child, "pgrp", true),
            (child, "self", false),
            (sibling, "same-sandbox", true),
            (sibling, "pgrp", true),
            (sibling, "others", true),
            (sibling, "children", false),
            (sibling, "self", false),
        ] {
            let ran = shell(place, &[target], script);
            let (pid, outcome) = ran.stdout.trim().split_once(' ').unwrap();
            assert_eq!(outcome, if sent { "sent" } else { "refused" }, "{target}: {script} {ran:#?}");
            assert_eq!(refused(&ran, pid), !sent, "{ran:#?}");
        }
    });
}

#[test]
fn a_number_that_is_nobodys_is_nobody_to_be_refused() {
    each_user(|place| {
        // Beyond the greatest number that Linux gives out; no number at all.
        let (nobody, none) = ("5000000", "-1");
        for (number, arguments, errno) in [
            (libc::SYS_kill, &[nobody, "0"][..], libc::ESRCH),
            (libc::SYS_kill, &["-5000000", "0"], libc::ESRCH),
            (libc::SYS_tkill, &[nobody, "0"], libc::ESRCH),
            (libc::SYS_tgkill, &[nobody, nobody, "0"], libc::ESRCH),
            (libc::SYS_fcntl, &["0", "8", nobody], libc::ESRCH),
            (libc::SYS_fcntl, &["0", "8", "-5000000"], libc::ESRCH),
            (libc::SYS_pidfd_open, &[nobody, "0"], libc::ESRCH),
            (libc::SYS_pidfd_open, &[none, "0"], libc::EINVAL),
            (libc::SYS_getpgid, &[nobody], libc::ESRCH),
            (libc::SYS_getsid, &[none], libc::ESRCH),
            (libc::SYS_prlimit64, &[nobody, "7", "0", "0"], libc::ESRCH),
            (libc::SYS_prlimit64, &[none, "7", "0", "0"], libc::ESRCH),
            (libc::SYS_sched_getscheduler, &[nobody], libc::ESRCH),
            (libc::SYS_sched_getscheduler, &[none], libc::EINVAL),
            (libc::SYS_getpriority, &["0", nobody], libc::ESRCH),
        ] {
            let number = number.to_string();
            let call = [&["call", &number][..], arguments].concat();
            let ran = place.run("", &[&[place.fake().as_str()][..], &call].concat()).good();
            assert_eq!(ran.stdout, format!("-1 {errno}\n"), "{call:?} {ran:#?}");
            assert!(!ran.denied_any("signal"), "{ran:#?}");
        }
        // A child that has ended and was waited for; others ask in this way whether somebody still works.
        let script = "true & wait $!; $FAKE call $KILL $! 0".replace("$KILL", &libc::SYS_kill.to_string());
        let ran = shell(place, &["children"], &script);
        assert_eq!(ran.stdout, format!("-1 {}\n", libc::ESRCH), "{ran:#?}");
        assert!(!ran.denied_any("signal"), "{ran:#?}");
    });
}

#[test]
fn a_group_gets_what_every_member_may_get() {
    each_user(|place| {
        // Everything of the tree shares one group here, and that group has members outside.
        let group = "read -r pid name state parent group rest < /proc/$$/stat; kill -USR1 -$group";
        for kill in ["kill -USR1 0", "kill -USR1 -1", group] {
            // A signal to everything leaves its sender out.
            let everything = kill.ends_with("-1");
            let script =
                format!("trap '' USR1; sleep 9 & {kill} 2> /dev/null && echo sent || echo refused; kill -9 $!; :");
            let run = |targets: &str| {
                let rules = format!("(allow file-read* (subpath \"/proc\")){targets}");
                place.run(&rules, &["sh", "-c", &script]).good()
            };
            let own = "(allow signal (target self))";
            let ran = run(own);
            assert_eq!(ran.stdout, "refused\n", "{kill}: {ran:#?}");
            assert!(ran.denied_any("signal"));
            let children = "(allow signal (target children))";
            assert_eq!(run(children).stdout, if everything { "sent\n" } else { "refused\n" }, "{kill}");
            assert_eq!(run(&format!("{own}{children}")).stdout, "sent\n", "{kill}");
            assert_eq!(run("(allow signal (target same-sandbox))").stdout, "sent\n", "{kill}");
        }
    });
}

#[test]
fn a_descriptor_of_a_process_is_judged_like_its_number() {
    each_user(|place| {
        let script = "sleep 9 & $FAKE pidfd-kill $! 15; kill -9 $! 2> /dev/null; wait $!; echo $? $!";
        let ran = shell(place, &["children"], script);
        let (answer, rest) = ran.stdout.split_once('\n').unwrap();
        let (status, pid) = rest.trim().split_once(' ').unwrap();
        assert_eq!((answer, status), ("-1 1", "137"), "{ran:#?}");
        assert!(refused(&ran, pid), "{ran:#?}");
        let ran = shell(place, &["same-sandbox"], script);
        assert!(ran.stdout.starts_with("0 0\n143 "), "{ran:#?}");
    });
}

/// Runs a race in which a child gets what only the program itself may get, where it is won, and where the profile allows that.
fn race_wins_nothing(place: &Place, race: &str) {
    let numbers = |targets: &[&str]| {
        let ran = shell(place, targets, &format!("exec $FAKE {race}"));
        let numbers: Vec<u64> = ran.stdout.split_whitespace().map(|number| number.parse().unwrap()).collect();
        (numbers[0], numbers[1], numbers[2])
    };
    let (attempts, wins, passes) = numbers(&["self"]);
    assert!(wins == 0 && passes > 0, "{race}: {wins} of {attempts}, {passes} allowed");
    assert!(numbers(&["self", "children"]).1 > 0, "the test cannot see a hole");
}

#[test]
fn a_descriptor_of_a_process_swapped_during_the_call_wins_nothing() {
    each_user(|place| {
        race_wins_nothing(place, "swap-pidfd 800");
    });
}

#[test]
fn a_group_exchanged_during_the_call_wins_nothing() {
    each_user(|place| {
        race_wins_nothing(place, "swap-group child 1500");
    });
}

#[test]
fn observed_signals_to_a_group_do_not_reach_what_keeps_the_sandbox() {
    each_user(|place| {
        let place = &Place::new(place.user).with(&["--observe"]);
        // The supervisor belongs to the group that the program begins in.
        let kept = |ran: &Ran| {
            let reason = |denial: &serde_json::Value| denial["undecided"].as_str().unwrap_or_default().to_owned();
            ran.denials.iter().any(|denial| reason(denial).starts_with("a signal to what keeps the sandbox"))
        };
        let ran = shell(place, &[], "trap '' USR1; kill -USR1 0 2> /dev/null && echo sent || echo refused");
        assert_eq!(ran.stdout, "refused\n", "{ran:#?}");
        assert!(kept(&ran), "{ran:#?}");
        let ran = shell(place, &[], "exec $FAKE swap-group first 1500");
        assert!(kept(&ran) && !ran.stdout.ends_with(" 0\n"), "{ran:#?}");
    });
}

#[test]
fn a_signal_to_a_group_reaches_every_member_and_names_its_sender() {
    each_user(|place| {
        for (targets, expected) in [
            (&["same-sandbox"][..], "0 true true\n"),
            (&["self", "children"], "0 true true\n"),
            (&["self"], "-1 false false\n"),
        ] {
            let ran = shell(place, targets, "exec $FAKE own-group");
            assert_eq!(ran.stdout, expected, "{targets:?} {ran:#?}");
        }
    });
}

#[test]
fn jobs_and_groups_are_ended_and_stopped_as_without_a_sandbox() {
    each_user(|place| {
        for (script, status) in [
            ("trap 'echo own' TERM; sleep 9 & kill -TERM 0; wait $!; echo $?", 0),
            ("kill -0 0 && echo asked", 0),
            ("sleep 9 & kill -KILL 0; echo after", 137),
            ("timeout 0.2 sleep 9; echo $?", 0),
            ("timeout -s KILL 0.2 sh -c 'sleep 9 & wait'; echo $?", 0),
            ("set -m; (sleep 9 & sleep 9) & kill -KILL -$!; wait $!; echo $?", 0),
            (
                "set -m; sleep 9 & kill -STOP %1; sleep 0.1; jobs -s %1 | cut -c -3; kill -CONT %1; kill %1; wait %1; echo $?",
                0,
            ),
            // Everybody of the group stands still, the caller too, until one of another group lets it go on.
            (
                "set -m; sh -c 'sleep 1 & kill -STOP 0; echo on' & sleep 0.3; echo first; kill -CONT %1; wait %1; echo $?",
                0,
            ),
        ] {
            let command = ["setsid", "-w", "bash", "-c", script];
            let plain = place.guarded().args(command).output().unwrap();
            let ran = place.run("(allow signal (target same-sandbox))", &command);
            assert_eq!(ran.stdout, String::from_utf8_lossy(&plain.stdout), "{script} {ran:#?}");
            // Where the first process was killed, what guards it here ends in the same way.
            assert_eq!(
                (ran.status, plain.status.code().unwrap_or(137)),
                (status, status),
                "{script} {ran:#?} {plain:?}"
            );
        }
    });
}

#[test]
fn a_group_named_for_later_is_refused() {
    each_user(|place| {
        let script = "exec $FAKE group-for-later";
        for (place, rules) in [
            (place, "(allow signal (target self))"),
            (place, "(allow signal (target same-sandbox))"),
            (&Place::new(place.user).with(&["--observe"]), ""),
        ] {
            let ran = place.run(rules, &["sh", "-c", &script.replace("$FAKE", &place.fake())]).good();
            assert_eq!(ran.stdout, "-1 1 0\n", "{rules} {ran:#?}");
            let told =
                |denial: &serde_json::Value| denial["undecided"].as_str().is_some_and(|why| why.contains("for later"));
            assert!(ran.denials.iter().any(told), "{ran:#?}");
        }
        let ran = place.run("(allow signal)", &[&place.fake(), "group-for-later"]).good();
        assert_eq!(ran.stdout, "0 0 9\n", "the test cannot see a hole: {ran:#?}");
    });
}

#[test]
fn owners_of_descriptors_get_signals_too() {
    each_user(|place| {
        let script = format!("sleep 9 & $FAKE call {} 0 8 $!; kill -9 $! 2> /dev/null; true", libc::SYS_fcntl);
        assert_eq!(shell(place, &["children"], &script).stdout, "-1 1\n");
        assert_eq!(shell(place, &["same-sandbox"], &script).stdout, "0 0\n");
    });
}
