//! `sandbox run` as somebody uses it: exit statuses, options, what is written where.

use std::process::Output;

use serde_json::Value;

use super::support::{Place, each_user};

/// Lets programs of `/usr` run that read nothing else.
const START: &str = "(version 1)
(deny default)
(allow process-fork)
(allow process-exec* (subpath \"/usr/bin\"))
(allow file-read-metadata (subpath \"/usr\") (path-ancestors \"$W/x\"))
";

/// Runs the command line as it stands, with `$W` for the working directory.
fn runtime(place: &Place, words: &[&str]) -> Output {
    let mut command = place.guarded();
    command.arg(place.fake().replace("/fake", "/runtime")).args(["sandbox", "run"]);
    command.args(words.iter().map(|word| word.replace("$W", place.root().to_str().unwrap())));
    command.env("MARK", "handed on").output().unwrap()
}

fn profile(place: &Place, name: &str, text: &str) -> String {
    place.file(name, &text.replace("$W", place.root().to_str().unwrap()))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn denials(place: &Place, name: &str) -> Vec<Value> {
    place.text(name).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_working_directory_that_is_gone_is_125() {
    each_user(|place| {
        let script = "mkdir gone; cd gone; rmdir ../gone; exec \"$1\" sandbox run --profile p.sb -- echo ran";
        let output =
            place.guarded().args(["sh", "-c", script, "sh", &place.fake().replace("/fake", "/runtime")]).output();
        let output = output.unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(125), &b""[..]), "{output:?}");
    });
}

#[test]
fn what_is_opened_never_takes_the_place_of_a_closed_standard_descriptor() {
    each_user(|place| {
        profile(place, "p.sb", START);
        for (closed, ran) in [("<&- >&- 2>&-", ""), (">&-", ""), ("2>&-", "ran\n"), ("<&-", "ran\n")] {
            let options = "--overlay linux-base.sb --denials denials --report report";
            let script =
                format!("exec \"$1\" sandbox run --profile p.sb {options} -- sh -c 'echo ran; cat x' {closed}");
            let output = place
                .guarded()
                .args(["sh", "-c", &script, "sh", &place.fake().replace("/fake", "/runtime")])
                .output()
                .unwrap();
            assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), ran.as_bytes()), "{output:?}");
            let report: Value = serde_json::from_str(&place.text("report").unwrap()).expect(closed);
            assert!(report["operations"].is_object(), "{closed}: {report}");
            assert!(!denials(place, "denials").is_empty(), "{closed}");
        }
    });
}

#[test]
fn our_own_failures_are_125_and_nothing_runs() {
    each_user(|place| {
        profile(place, "good.sb", START);
        profile(place, "typo.sb", "(version 1)\n(deny default)\n (alow file-read*)\n");
        let touch = ["--", "touch", "$W/ran"];
        for (options, named) in [
            (&["--profile", "$W/missing.sb"][..], "missing.sb"),
            (&["--profile", "$W/typo.sb"], "typo.sb:3:3"),
            (&["--profile", "$W/good.sb", "--overlay", "no-such.sb"], "no-such.sb"),
            (&["--profile", "$W/good.sb", "--overlay", "$W/typo.sb"], "typo.sb:3:3"),
            (&["--profile", "$W/good.sb", "--denials", "$W/no/denials"], "no/denials"),
            (&["--profile", "$W/good.sb", "--report", "$W"], "area"),
        ] {
            let output = runtime(place, &[options, &touch].concat());
            assert_eq!(output.status.code(), Some(125), "{options:?}: {output:?}");
            assert!(stderr(&output).contains(named), "{options:?}: {}", stderr(&output));
            assert!(!place.exists("ran"), "{options:?}");
        }
        // The twin: the same command under a profile for it.
        profile(place, "all.sb", "(version 1)(allow default)");
        let output = runtime(place, &[&["--profile", "$W/all.sb"][..], &touch].concat());
        assert!(output.status.success() && place.exists("ran"), "{output:?}");
    });
}

#[test]
fn a_wrong_command_line_is_usage() {
    each_user(|place| {
        profile(place, "good.sb", START);
        for words in
            [&["--profile", "$W/good.sb"][..], &["--", "true"], &["--profile", "$W/good.sb", "--no-such", "true"]]
        {
            let output = runtime(place, words);
            assert_eq!(output.status.code(), Some(2), "{words:?}: {output:?}");
            assert!(stderr(&output).contains("Usage"), "{words:?}: {}", stderr(&output));
        }
    });
}

#[test]
fn the_commands_end_is_ours() {
    each_user(|place| {
        profile(place, "good.sb", &format!("{START}(allow signal (target self))"));
        let run = |words: &[&str]| {
            let start = ["--profile", "$W/good.sb", "--overlay", "linux-base.sb"];
            runtime(place, &[&start, words].concat()).status.code().unwrap()
        };
        assert_eq!(run(&["--", "true"]), 0);
        assert_eq!(run(&["true"]), 0);
        assert_eq!(run(&["sh", "-c", "exit 3", "--overlay"]), 3);
        for status in [1, 2, 125, 255] {
            assert_eq!(run(&["sh", "-c", &format!("exit {status}")]), status);
        }
        for (signal, number) in [("HUP", 1), ("ABRT", 6), ("KILL", 9), ("SEGV", 11), ("TERM", 15)] {
            assert_eq!(run(&["sh", "-c", &format!("kill -{signal} $$")]), 128 + number, "{signal}");
        }
        assert_eq!(run(&["no-such-program"]), 127);
        assert_eq!(run(&["/usr/share"]), 126);
        assert_eq!(run(&["/etc/passwd"]), 126);
    });
}

#[test]
fn a_command_that_was_refused_says_by_what() {
    each_user(|place| {
        profile(place, "good.sb", START);
        profile(place, "none.sb", "(version 1)\n(deny default)\n");
        let output = runtime(place, &["--profile", "$W/none.sb", "--overlay", "linux-base.sb", "true"]);
        assert_eq!(output.status.code(), Some(126));
        let text = stderr(&output);
        for part in ["cannot execute true", "process-exec* on /usr/bin/true", "none.sb:2"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    });
}

#[test]
fn input_arguments_environment_and_directory_are_handed_on() {
    each_user(|place| {
        profile(place, "good.sb", START);
        let text = place.file("input", "typed\n");
        let mut command = place.guarded();
        command.arg(place.fake().replace("/fake", "/runtime"));
        command.args(["sandbox", "run", "--overlay", "linux-base.sb", "--profile", "good.sb", "--"]);
        command.args([
            "sh",
            "-c",
            "read line; echo \"$line|$1|$2|$MARK|$(pwd)\"; echo aside >&2",
            "-",
            "--report",
            "a b",
        ]);
        let output = command.env("MARK", "kept").stdin(std::fs::File::open(text).unwrap()).output().unwrap();
        let expected = format!("typed|--report|a b|kept|{}\n", place.root().display());
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{output:?}");
        assert_eq!(stderr(&output), "aside\n");
    });
}

#[test]
fn parameters_reach_the_profile() {
    each_user(|place| {
        place.directory("one");
        let file = place.file("one/a", "text");
        profile(place, "good.sb", &format!("{START}(allow file-read-data (subpath (param \"DIR\")))\n"));
        let read = |options: &[&str]| {
            let start = ["--profile", "$W/good.sb", "--overlay", "linux-base.sb", "--denials", "$W/denials"];
            let output = runtime(place, &[&start, options, &["--", "cat", "$W/one/a"]].concat());
            (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
        };
        assert_eq!(read(&["-D", "DIR=$W/one"]), (Some(0), "text".to_owned()));
        assert_eq!(denials(place, "denials"), Vec::<Value>::new());
        assert_eq!(read(&["-D", "DIR=$W/other"]), (Some(1), String::new()));
        let found = denials(place, "denials");
        assert!(
            found.iter().any(|denial| denial["operation"] == "file-read-data" && denial["target"] == file.as_str())
        );
        // Without a value the parameter is #f, which is no path.
        assert_eq!(read(&[]).0, Some(125));
    });
}

#[test]
fn overlays_come_after_the_profile_in_the_order_given() {
    each_user(|place| {
        let file = place.file("a", "text");
        let allow = "(allow file-read-data (literal \"$W/a\"))\n";
        let deny = "; takes it away again\n(deny file-read-data (literal \"$W/a\"))\n";
        profile(place, "plain.sb", START);
        profile(place, "given.sb", &format!("{START}{allow}"));
        profile(place, "allow.sb", allow);
        profile(place, "deny.sb", deny);
        let read = |profile: &str, overlays: &[&str]| {
            let mut words = vec!["--denials", "$W/denials", "--profile", profile, "--overlay", "linux-base.sb"];
            words.extend(overlays.iter().flat_map(|overlay| ["--overlay", overlay]));
            words.extend(["--", "cat", "$W/a"]);
            let output = runtime(place, &words);
            let rules: Vec<String> = denials(place, "denials")
                .iter()
                .filter(|denial| denial["target"] == file.as_str())
                .map(|denial| denial["rule"].as_str().unwrap().to_owned())
                .collect();
            (output.status.success(), rules)
        };
        let (allowed, denied) =
            ((true, vec![]), |rule: &str| (false, vec![format!("{}/{rule}", place.root().display())]));
        assert_eq!(read("$W/plain.sb", &[]), denied("plain.sb:2"));
        assert_eq!(read("$W/given.sb", &[]), allowed);
        assert_eq!(read("$W/plain.sb", &["$W/allow.sb"]), allowed);
        assert_eq!(read("$W/given.sb", &["$W/deny.sb"]), denied("deny.sb:2"));
        assert_eq!(read("$W/given.sb", &["$W/allow.sb", "$W/deny.sb"]), denied("deny.sb:2"));
        assert_eq!(read("$W/given.sb", &["$W/deny.sb", "$W/allow.sb"]), allowed);
    });
}

#[test]
fn denials_and_report_are_written_however_the_command_ends() {
    each_user(|place| {
        let file = place.file("a", "text");
        profile(place, "good.sb", &format!("{START}(allow signal (target self))"));
        for (script, status) in [
            ("cat $W/a; cat $W/a; exit 0", 0),
            ("cat $W/a; cat $W/a; exit 7", 7),
            ("cat $W/a; cat $W/a; kill -KILL $$", 137),
        ] {
            place.file("denials", "an old line that does not stay\n");
            place.file("report", &"x".repeat(100_000));
            let options = [
                "--profile",
                "$W/good.sb",
                "--overlay",
                "linux-base.sb",
                "--denials",
                "$W/denials",
                "--report",
                "$W/report",
            ];
            let output = runtime(place, &[&options[..], &["sh", "-c", script]].concat());
            assert_eq!(output.status.code(), Some(status), "{script}");
            let found = denials(place, "denials");
            let about: Vec<_> = found.iter().filter(|denial| denial["target"] == file.as_str()).collect();
            assert_eq!(about.len(), 2, "one for each process: {found:#?}");
            for denial in about {
                assert_eq!(denial["operation"], "file-read-data");
                assert_eq!((&denial["process"], &denial["count"]), (&"cat".into(), &1.into()));
                assert!(denial["rule"].as_str().unwrap().ends_with("good.sb:2"));
                assert!(denial["pid"].as_i64().unwrap() > 1);
                let (first, last) =
                    (denial["first_at_unix_s"].as_f64().unwrap(), denial["last_at_unix_s"].as_f64().unwrap());
                assert!(first > 1e9 && last >= first);
            }
            let report: Value = serde_json::from_str(&place.text("report").unwrap()).unwrap();
            assert_eq!(report["observe"], false);
            assert_eq!(report["operations"]["file-read-data"]["status"], "enforced");
        }
    });
}

/// `--profile good.sb --denials denials --report report`, and what else is given.
fn with_outputs(place: &Place, more: &[&str]) -> Output {
    let options =
        ["--profile", "$W/good.sb", "--overlay", "linux-base.sb", "--denials", "$W/denials", "--report", "$W/report"];
    runtime(place, &[&options[..], more].concat())
}

#[test]
fn what_stands_in_the_outputs_stays_when_nothing_ran() {
    each_user(|place| {
        profile(place, "good.sb", START);
        let outputs = || (place.text("denials"), place.text("report"));
        let old = (Some("an old line\n".to_owned()), Some("an old report\n".to_owned()));
        for (more, status) in [
            (&["no-such-program"][..], 127),
            (&["/usr/bin/no-such-program"], 127),
            (&["--stand-in", "log=/nonexistent", "--observe", "true"], 2),
        ] {
            let _ = (std::fs::remove_file(place.path("denials")), std::fs::remove_file(place.path("report")));
            let output = with_outputs(place, more);
            assert_eq!(output.status.code(), Some(status), "{more:?}: {output:?}");
            // Inside of its outer domain this process can take nothing away any more.
            let confined = more == ["/usr/bin/no-such-program"];
            let none = if confined { Some(String::new()) } else { None };
            assert_eq!(outputs(), (none.clone(), none), "{more:?}");
            place.file("denials", "an old line\n");
            place.file("report", "an old report\n");
            assert_eq!(with_outputs(place, more).status.code(), Some(status));
            assert_eq!(outputs(), old, "{more:?}");
        }
        // The twin: a command that is refused at its start has a refusal to tell.
        profile(place, "good.sb", "(version 1)\n(deny default)\n");
        assert_eq!(with_outputs(place, &["true"]).status.code(), Some(126));
        assert_eq!(denials(place, "denials")[0]["operation"], "process-exec*");
        assert!(place.text("report").unwrap().starts_with('{'));
    });
}

#[test]
fn nothing_that_is_read_or_written_is_written_over() {
    each_user(|place| {
        let text = profile(place, "good.sb", START);
        let text = std::fs::read_to_string(text).unwrap();
        profile(place, "over.sb", "(import \"imported.sb\")\n");
        profile(place, "imported.sb", "; nothing\n");
        place.link("link", "good.sb");
        std::fs::hard_link(place.path("good.sb"), place.path("second")).unwrap();
        let start = ["--profile", "$W/good.sb", "--overlay", "linux-base.sb", "--overlay", "$W/over.sb"];
        let start = [&start[..], &["--import-dir", "$W"]].concat();
        for (options, named) in [
            (&["--report", "$W/good.sb"][..], "good.sb"),
            (&["--denials", "$W/good.sb"], "good.sb"),
            (&["--report", "$W/link"], "link"),
            (&["--report", "$W/second"], "second"),
            (&["--denials", "$W/over.sb"], "over.sb"),
            (&["--denials", "$W/imported.sb"], "imported.sb"),
            (&["--report", "$W/x", "--denials", "$W/x"], "x"),
            (&["--report", "$W/x", "--denials", "$W/../area/x"], "x"),
        ] {
            let output = runtime(place, &[&start, options, &["--", "touch", "$W/ran"]].concat());
            assert_eq!(output.status.code(), Some(2), "{options:?}: {output:?}");
            let told = stderr(&output);
            assert!(told.contains(named) && told.contains("is read or written already"), "{options:?}: {told}");
            assert_eq!(
                (place.text("good.sb"), place.text("over.sb"), place.text("imported.sb")),
                (Some(text.clone()), Some("(import \"imported.sb\")\n".to_owned()), Some("; nothing\n".to_owned()))
            );
            assert!(!place.exists("x") && !place.exists("ran"), "{options:?}");
        }
        // The twins: two files, and one device that takes both.
        for options in [["--report", "$W/x", "--denials", "$W/y"], ["--report", "/dev/null", "--denials", "/dev/null"]]
        {
            let output = runtime(place, &[&start, &options[..], &["--", "true"]].concat());
            assert_eq!(output.status.code(), Some(0), "{options:?}: {output:?}");
        }
    });
}

#[test]
fn a_record_that_is_lost_is_125_and_the_commands_end_is_told() {
    each_user(|place| {
        profile(place, "good.sb", &format!("{START}(allow signal (target self))"));
        for (file, what) in [("--denials", "denials"), ("--report", "report")] {
            for (script, ended) in [
                ("cat $W/good.sb; exit 0", "the command ended with status 0"),
                ("cat $W/good.sb; exit 7", "the command ended with status 7"),
                ("cat $W/good.sb; kill -KILL $$", "the command was ended by signal 9"),
            ] {
                let words = ["--profile", "$W/good.sb", "--overlay", "linux-base.sb", file, "/dev/full", "--"];
                let words = [&words[..], &["sh", "-c", script]].concat();
                let output = runtime(place, &words);
                assert_eq!(output.status.code(), Some(125), "{words:?}: {output:?}");
                let lost = format!("{ended}, and its {what} cannot be written to /dev/full");
                for part in [lost.as_str(), "No space left on device"] {
                    assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
                }
                let output = runtime(place, &[&["--json"][..], &words].concat());
                let told: Value = serde_json::from_slice(&output.stdout).unwrap();
                assert_eq!((&told["error"]["message"], &told["error"]["exit_code"]), (&lost.into(), &125.into()));
            }
        }
        // The other record is written all the same.
        let words =
            ["--profile", "$W/good.sb", "--overlay", "linux-base.sb", "--denials", "/dev/full", "--report", "$W/r"];
        let output = runtime(place, &[&words[..], &["cat", "$W/good.sb"]].concat());
        assert_eq!(output.status.code(), Some(125), "{output:?}");
        assert!(place.text("r").unwrap().starts_with('{'));
        // Where there is no room for the new record, the old one stays.
        let old = place.file("old", "an old report\n");
        let limited = format!(
            "ulimit -f 1; exec \"$0\" sandbox run --overlay linux-base.sb --profile good.sb --report {old} true"
        );
        let runtime = place.fake().replace("/fake", "/runtime");
        let output = place.guarded().args(["sh", "-c", &limited, &runtime]).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{output:?}");
        assert_eq!(place.text("old").as_deref(), Some("an old report\n"));
    });
}

/// `good.sb` lets programs do everything in the working directory; runs `script` under it with these options.
fn at_work(place: &Place, options: &[&str], script: &str) -> Output {
    profile(place, "good.sb", &format!("{START}(allow file-read* file-write* (subpath \"$W\"))\n"));
    let start = ["--profile", "$W/good.sb", "--overlay", "linux-base.sb"];
    runtime(place, &[&start, options, &["sh", "-c", script]].concat())
}

#[test]
fn a_record_that_the_command_replaced_is_lost_and_told() {
    each_user(|place| {
        place.directory("out");
        place.file("out/real", "");
        let refused = "cat /etc/hostname; ";
        for (option, what) in [("--denials", "denials"), ("--report", "report")] {
            for (name, script) in [
                ("out/x", "rm out/x; echo forged > out/x"),
                ("out/x", "rm out/x"),
                ("out/x", "mv out/x out/y; ln -s y out/x"),
                ("out/x", "mv out/x out/y; ln -s /proc/self/cwd/out/y out/x"),
                ("out/x", "mv out other; mkdir out; echo forged > out/x"),
                ("link", "rm link; echo forged > link"),
            ] {
                let _ = std::fs::remove_dir_all(place.path("other"));
                let _ = ["out/x", "out/y", "link"].map(|name| std::fs::remove_file(place.path(name)));
                if !place.exists("out/real") {
                    place.file("out/real", "");
                }
                place.link("link", "out/real");
                let output = at_work(place, &[option, &format!("$W/{name}")], &format!("{refused}{script}; exit 0"));
                let lost = format!("the command ended with status 0, and its {what} cannot be written to");
                let told = stderr(&output);
                assert_eq!(output.status.code(), Some(125), "{script}: {output:?}");
                assert!(told.contains(&lost) && told.contains("removed or replaced"), "{script}: {told}");
            }
        }
        // The twins: by a link, and what the command wrote into the file itself is written over.
        let _ = std::fs::remove_file(place.path("link"));
        place.link("link", "out/real");
        let options = ["--denials", "$W/link", "--report", "$W/out/report"];
        let output = at_work(place, &options, &format!("{refused}echo forged > out/report; echo forged > link"));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(denials(place, "out/real").iter().any(|denial| denial["target"] == "/etc/hostname"));
        assert!(place.text("out/report").unwrap().starts_with('{'));
    });
}

#[test]
fn what_a_stream_holds_stays_when_records_go_there() {
    each_user(|place| {
        profile(place, "good.sb", START);
        let run = "sandbox run --overlay linux-base.sb --profile good.sb";
        let refused = "sh -c 'cat good.sb; echo within >&2'";
        for (stream, to) in [("/dev/stderr", "2"), ("/dev/stdout", "1"), ("/dev/fd/7", "7"), ("/proc/self/fd/7", "7")] {
            for redirect in [">", ">>"] {
                place.file("log", "before\n");
                let script = format!(
                    "{{ echo first >&{to}; \"$0\" {run} --denials {stream} {refused}; echo last >&{to}; }} {to}{redirect}log"
                );
                let runtime = place.fake().replace("/fake", "/runtime");
                let output = place.guarded().args(["sh", "-c", &script, &runtime]).output().unwrap();
                assert_eq!(output.status.code(), Some(0), "{script}: {output:?}");
                let log = place.text("log").unwrap();
                let lines: Vec<&str> = log.lines().collect();
                assert_eq!(lines.contains(&"before"), redirect == ">>", "{script}: {log}");
                assert!(lines.contains(&"first") && lines.last() == Some(&"last"), "{script}: {log}");
                assert_eq!(lines.contains(&"within"), to == "2", "{script}: {log}");
                assert!(lines[lines.len() - 2].contains("good.sb:2"), "{script}: {log}");
            }
        }
    });
}

#[test]
fn what_is_observed_was_not_denied_and_the_undecided_says_why() {
    each_user(|place| {
        profile(place, "none.sb", "(version 1)\n(deny default)\n");
        place.file("text", "no program");
        let none = ["--profile", "$W/none.sb"];
        let output = runtime(place, &[&none[..], &["--observe", "--", "$W/text"]].concat());
        assert_eq!(output.status.code(), Some(126), "{output:?}");
        assert!(!stderr(&output).contains("hint"), "{}", stderr(&output));
        // The twin: what is not observed is denied.
        let output = runtime(place, &[&none[..], &["--", "$W/text"]].concat());
        assert!(stderr(&output).contains("was denied by"), "{}", stderr(&output));
        // A filter that nobody can decide here.
        profile(
            place,
            "undecided.sb",
            "(version 1)\n(deny default)\n(allow process-exec* (extension \"com.example.extension\"))\n",
        );
        let undecided = ["--profile", "$W/undecided.sb", "--denials", "$W/denials", "--", "true"];
        let output = runtime(place, &undecided);
        assert_eq!(output.status.code(), Some(126), "{output:?}");
        let found = denials(place, "denials");
        let reason = found[0]["undecided"].as_str().unwrap_or_else(|| panic!("{found:#?}"));
        assert!(stderr(&output).contains(&format!("was denied: {reason}")), "{}", stderr(&output));
        assert!(!stderr(&output).contains("by no rule"), "{}", stderr(&output));
    });
}

#[test]
fn a_rule_about_an_unknown_operation_is_told() {
    each_user(|place| {
        let rules = |operation: &str| {
            profile(place, "p.sb", &format!("(version 1)(allow default)\n(deny {operation} (literal \"/x\"))\n"));
            let output = runtime(place, &["--profile", "$W/p.sb", "--", "true"]);
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            stderr(&output)
        };
        let told = rules("file-raed-data");
        for part in
            ["warning[unknown-operation]", "`file-raed-data` is not an operation", "p.sb:2:1", "(deny file-raed"]
        {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert_eq!(told.matches("unknown-operation").count(), 1, "{told}");
        assert_eq!(rules("file-read-data"), "");
    });
}

#[test]
fn with_json_every_failure_is_one_object() {
    each_user(|place| {
        profile(place, "good.sb", START);
        profile(place, "typo.sb", "(version 1)\n(deny default)\n (alow file-read*)\n");
        profile(place, "none.sb", "(version 1)\n(deny default)\n");
        let base = ["--overlay", "linux-base.sb"];
        for (options, command, status, message) in [
            (&["--profile", "$W/missing.sb"][..], "true", 125, "cannot read the profile"),
            (&["--profile", "$W/typo.sb"], "true", 125, "typo.sb:3:3"),
            (
                &["--profile", "$W/good.sb", "--overlay", "no-such.sb"],
                "true",
                125,
                "cannot read the overlay no-such.sb",
            ),
            (&["--profile", "$W/none.sb"], "true", 126, "cannot execute true"),
            (&["--profile", "$W/good.sb"], "no-such-program", 127, "cannot execute no-such-program"),
        ] {
            let output = runtime(place, &[&["--json"][..], &base, options, &["--", command]].concat());
            assert_eq!(output.status.code(), Some(status), "{options:?}: {output:?}");
            let told: Value =
                serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
            assert_eq!(told["error"]["exit_code"], status, "{options:?}: {told:#}");
            assert!(told["error"]["message"].as_str().unwrap().contains(message), "{options:?}: {told:#}");
            assert_eq!(stderr(&output), "", "{options:?}");
            match message {
                "cannot execute true" => {
                    let hint = told["error"]["hint"].as_str().unwrap();
                    assert!(hint.contains("process-exec* on /usr/bin/true was denied by"), "{told:#}");
                }
                "cannot read the overlay no-such.sb" => {
                    assert!(told["error"]["hint"].as_str().unwrap().contains("linux-base.sb"), "{told:#}");
                }
                _ => {}
            }
        }
        // The twin: what the command prints is its own.
        let output =
            runtime(place, &["--json", "--profile", "$W/good.sb", "--overlay", "linux-base.sb", "--", "echo", "x"]);
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"x\n"[..]), "{output:?}");
    });
}
