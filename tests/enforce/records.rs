//! Every decided access leaves a record when everything is trapped.

use serde_json::Value;

use super::support::{Place, Ran, each_user};

fn enter(place: &Place, rules: &str, trap: &str, action: &str, path: &str) -> (String, Vec<Value>) {
    let profile = match rules {
        "none" => "none".to_owned(),
        rules => {
            let text = format!("(version 1)\n(deny default)\n{rules}\n").replace("$W", place.root().to_str().unwrap());
            place.file("inner.sb", &text)
        }
    };
    let mut command = std::process::Command::new(place.fake());
    command.args(["enter", &profile, trap, action, path]).current_dir(place.root());
    if place.user == super::support::User::Nobody {
        use std::os::unix::process::CommandExt;
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    let end = lines.next().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr))).to_owned();
    (end, serde_json::from_str(lines.next().unwrap()).unwrap())
}

fn about<'r>(records: &'r [Value], operation: &str, target: &str) -> Vec<&'r Value> {
    records.iter().filter(|r| r["operation"] == operation && r["target"] == target).collect()
}

#[test]
fn allowed_and_denied_accesses_name_operation_target_rule_and_errno() {
    each_user(|place| {
        for (action, operation, name) in [
            ("read", "file-read-data", "file"),
            ("write", "file-write-data", "file"),
            ("stat", "file-read-metadata", "file"),
            ("create", "file-write-create", "new"),
            ("unlink", "file-write-unlink", "file"),
        ] {
            let path = place.path(name);
            place.file("file", "x");
            let (end, records) = enter(place, "", "all", action, &path);
            assert_eq!(end, "Exited(1)", "{action}");
            let found = about(&records, operation, &path);
            assert_eq!(found.len(), 1, "{action}: {records:#?}");
            assert_eq!((&found[0]["decision"], &found[0]["errno"]), (&"deny".into(), &1.into()));
            assert_eq!(found[0]["rule"]["line"], 2);
            assert!(found[0]["process"].is_string());
            let (end, records) =
                enter(place, &format!("(allow {operation} (literal \"$W/{name}\"))"), "all", action, &path);
            assert_eq!(end, "Exited(0)", "{action}: {records:#?}");
            let found = about(&records, operation, &path);
            assert_eq!(found.len(), 1, "{action}: {records:#?}");
            assert_eq!((&found[0]["decision"], &found[0]["errno"]), (&"allow".into(), &Value::Null));
            assert_eq!(found[0]["rule"]["line"], 3);
            assert_eq!(records.len(), 1, "{action}: {records:#?}");
        }
    });
}

#[test]
fn a_mode_that_refuses_is_not_the_profiles_refusal() {
    each_user(|place| {
        let path = place.file("file", "x");
        place.mode("file", 0);
        let (end, records) = enter(place, "(allow file-read-data (literal \"$W/file\"))", "all", "read", &path);
        assert_eq!(end, "Exited(13)");
        let found = about(&records, "file-read-data", &path);
        assert_eq!((&found[0]["decision"], &found[0]["errno"]), (&"allow".into(), &13.into()));
        // The baseline meets the same mode: also for root, which gave up the capability to pass it by.
        assert_eq!(enter(place, "none", "all", "read", &path).0, "Exited(13)");
    });
}

#[test]
fn a_decision_without_an_object_is_recorded_too() {
    each_user(|place| {
        let (end, records) = enter(place, "", "all", "fork", "");
        assert_eq!(end, "Exited(1)");
        assert_eq!(about(&records, "process-fork", "").len(), 1);
        let (end, records) = enter(place, "(allow process-fork)", "all", "fork", "");
        assert_eq!(end, "Exited(0)");
        assert_eq!(about(&records, "process-fork", "")[0]["decision"], "allow");
    });
}

#[test]
fn what_is_allowed_everywhere_is_left_alone_only_when_asked() {
    each_user(|place| {
        let path = place.file("file", "x");
        let rules = "(allow file-read-data file-read-metadata)";
        let (end, records) = enter(place, rules, "needed", "read", &path);
        assert_eq!((end.as_str(), records.len()), ("Exited(0)", 0));
        let (end, records) = enter(place, rules, "all", "read", &path);
        assert_eq!((end.as_str(), about(&records, "file-read-data", &path).len()), ("Exited(0)", 1));
        let (end, _) = enter(place, rules, "needed", "write", &path);
        assert_eq!(end, "Exited(1)");
    });
}

#[test]
fn the_end_of_the_confined_process_is_told() {
    each_user(|place| {
        assert_eq!(enter(place, "", "all", "crash", "").0, "Signaled(9)");
        assert_eq!(enter(place, "none", "all", "nothing", "").0, "Exited(0)");
    });
}

#[test]
fn observing_refuses_nothing_and_records_what_would_be() {
    each_user(|place| {
        let place = Place::new(place.user).with(&["--observe"]);
        let path = place.file("a", "text");
        let ran = place.run("", &["sh", "-c", "cat a; echo made > new; rm a"]).good();
        assert_eq!(ran.stdout, "text");
        assert!(place.exists("new") && !place.exists("a"));
        assert!(ran.denied("file-read-data", &path), "{ran:#?}");
        assert!(ran.denied("file-write-create", &place.path("new")) && ran.denied("file-write-unlink", &path));
        assert_eq!(ran.report["operations"]["file-read-data"]["status"], "not_enforceable");
        assert_eq!(ran.report["observe"], true);
    });
}

#[test]
fn observed_forks_are_counted_and_not_interrupted() {
    // The shell's handler for ended children interrupts calls; each child ends while the next one is made.
    const SCRIPT: &str = "echo $$; n=0; while [ $n -lt 400 ]; do (exit 0) & n=$((n+1)); done; wait; sh -c 'exit 0'";
    each_user(|place| {
        let place = Place::new(place.user).with(&["--observe"]);
        let ran = place.run("(deny process-fork)", &["dash", "-c", SCRIPT]).good();
        assert_eq!(ran.stderr, "");
        let forks: Vec<_> = ran.denials.iter().filter(|denial| denial["operation"] == "process-fork").collect();
        assert_eq!(forks.len(), 1, "{ran:#?}");
        assert_eq!(
            (&forks[0]["count"], &forks[0]["process"], &forks[0]["target"]),
            (&401.into(), &"dash".into(), &"".into())
        );
        assert_eq!(forks[0]["pid"].to_string(), ran.stdout.trim());
    });
}

#[test]
fn observing_does_not_offer_what_no_profile_can_allow() {
    each_user(|place| {
        let place = Place::new(place.user).with(&["--observe"]);
        let ran = place.run("", &["unshare", "-U", "true"]).bad();
        assert!(ran.stderr.contains("Operation not permitted"), "{ran:#?}");
        let outside = format!("/proc/{}", std::process::id());
        let ran = place.run("", &["cat", &format!("{outside}/status")]).bad();
        assert!(ran.stdout.is_empty() && ran.denied("file-read-metadata", &outside), "{ran:#?}");
        for form in ["fcntl", "ioctl"] {
            for rules in ["", "(allow signal)"] {
                let ran = place.run(rules, &[&place.fake(), "kill-by-memory", form]).good();
                assert_eq!(ran.stdout, "-1\n", "{form} {rules}");
                assert!(ran.denied("signal", ""), "{ran:#?}");
            }
        }
        // Nor what would take the records along: the parent of the first process, and everything that there is.
        let path = place.file("a", "text");
        for (rules, signal) in [("", "kill -9 $PPID"), ("", "kill -CONT -1"), ("(allow signal)", "kill -9 $PPID")] {
            let ran = place.run(rules, &["sh", "-c", &format!("cat a; {signal}; :")]).good();
            assert!(ran.denied("file-read-data", &path) && ran.denied_any("signal"), "{signal}: {ran:#?}");
        }
    });
}

#[test]
fn refusals_that_read_the_same_are_one_line() {
    each_user(|place| {
        // One process meets one refusal by several system calls.
        let path = place.file("a", "text");
        let script =
            "import os\nfor call in (os.stat, os.readlink, os.stat):\n try: call('a')\n except OSError: pass\n";
        let script = place.file("script.py", script);
        let rules = "(allow file-read* (subpath \"/usr\") (literal \"$W/script.py\"))";
        let ran = place.run(rules, &["python3", &script]);
        let about: Vec<&Value> = ran.denials.iter().filter(|denial| denial["target"] == path.as_str()).collect();
        assert_eq!(about.len(), 1, "{ran:#?}");
        assert_eq!(about[0]["count"], 3, "{ran:#?}");
        let time = |name: &str| about[0][name].as_f64().unwrap();
        assert!(time("first_at_unix_s") < time("last_at_unix_s"));
    });
}

/// How far an operation is enforced, as the report says it, and why not fully.
fn status<'r>(ran: &'r Ran, operation: &str) -> (Option<&'r str>, &'r str) {
    let status = &ran.report["operations"][operation];
    (status["status"].as_str(), status["reason"].as_str().unwrap_or_default())
}

const ENFORCED: (Option<&str>, &str) = (Some("enforced"), "");
const ABSENT: (Option<&str>, &str) = (Some("not_enforceable"), "this system has no such operation");

#[test]
fn families_of_operations_that_are_not_here_are_reported() {
    each_user(|place| {
        let denied = "(allow default)(deny mach*)(deny iokit-open)(deny process-codesigning*)(deny nvram*)
                      (deny user-preference*)(deny mach-lookup)";
        let ran = place.run(denied, &["true"]).good();
        for family in ["mach*", "iokit-open*", "process-codesigning*", "nvram*", "user-preference*", "mach-lookup"] {
            assert_eq!(status(&ran, family), ABSENT, "{family}");
        }
        // Of a family that is here in part, the members that are not. What stands for all is no family.
        let some = "(allow default file* network* process* system* sysctl* ipc*)(deny file-write* (literal \"/x\"))";
        let ran = place.run(some, &["true"]).good();
        for member in ["file-search", "process-codesigning", "system-audit", "ipc-posix-issue-extension"] {
            assert_eq!(status(&ran, member), ABSENT, "{member}");
        }
        for operation in ["file-read-data", "file-write-data", "network-outbound", "process-fork", "ipc-sysv-shm"] {
            assert_eq!(status(&ran, operation), ENFORCED, "{operation}");
        }
        let named = ran.report["operations"].as_object().unwrap();
        let families: Vec<&String> = named.keys().filter(|name| name.ends_with('*') || *name == "default").collect();
        assert_eq!(families, ["process-exec*"]);
        assert!(!named.contains_key("file-write-acl"), "judged as file-write-mode: {named:#?}");
    });
}

#[test]
fn what_filters_leave_undecided_is_not_called_enforced() {
    each_user(|place| {
        place.file("file", "text");
        for (rules, operation, named) in [
            ("(deny file-read-data (extension \"x\"))", "file-read-data", "(extension \"x\")"),
            ("(deny network-outbound (control-name \"x\"))", "network-outbound", "(control-name \"x\")"),
            ("(deny network-bind (remote tcp \"localhost:80\"))", "network-bind", "(remote tcp \"localhost:80\")"),
            ("(deny file-write* (require-all (subpath \"/x\") (uid 0)))", "file-write-create", "(uid \"0\")"),
            ("(deny file-read* (require-not (csr 1)))", "file-test-existence", ""),
            ("(deny file-read* (require-not (csr 1)))", "file-read-xattr", "(csr 1)"),
            ("(deny file-read-data (regex \"a\\\\wb\"))", "file-read-data", "(regex "),
            ("(deny file-ioctl (vnode-type TTY))", "file-ioctl", "(vnode-type TTY)"),
            ("(deny signal (signal-number 9))", "signal", "(signal-number \"9\")"),
            ("(deny default (extension \"x\"))", "process-fork", ""),
            ("(deny file-link (extension \"a\"))(import \"no-such.sb\")", "file-link", "no-such.sb"),
        ] {
            let ran = place.run(&format!("(allow default){rules}"), &["true"]);
            let (status, reason) = status(&ran, operation);
            match named {
                "" => assert_eq!((status, reason), ENFORCED, "{rules}"),
                named => {
                    assert_eq!(status, Some("partly"), "{rules}");
                    assert!(reason.contains("undecided, and refused") && reason.contains(named), "{rules}: {reason}");
                }
            }
        }
        // The twin: the accesses that the report speaks of are undecided.
        let ran = place.run("(allow default)(deny file-read-data (extension \"x\"))", &["cat", "file"]).bad();
        assert!(ran.denials.iter().all(|denial| denial["undecided"].is_string()), "{ran:#?}");
        assert!(!ran.denials.is_empty());
    });
}

#[test]
fn what_filters_say_here_stays_enforced() {
    each_user(|place| {
        let rules = "(allow default)
            (deny file-read-data (require-all (vnode-type REGULAR-FILE) (file-mode #o0002) (regex #\"\\.key$\")))
            (deny file-write-xattr (xattr \"user.a\"))
            (deny file-write* (require-any (literal \"/x\") (prefix \"/y\") (path-ancestors \"/z/z\")))
            (deny network-outbound (remote tcp \"*:9\") (remote unix-socket (subpath \"/x\")) (socket-type SOCK_SEQPACKET))
            (deny network-bind (local udp \"localhost:9\"))
            (deny ipc-posix-shm* (ipc-posix-name \"/x\"))
            (deny process-exec* (literal \"/x\"))
            ; Decides nothing otherwise than the rule below it.
            (allow file-link (extension \"x\"))
            ; Never matches.
            (deny file-mknod (require-all (xattr \"user.a\") (extension \"x\")))";
        let ran = place.run(rules, &["true"]).good();
        for operation in [
            "file-read-data",
            "file-write-xattr",
            "file-write-data",
            "network-outbound",
            "network-bind",
            "ipc-posix-shm-write-create",
            "process-exec-interpreter",
            "file-link",
            "file-mknod",
        ] {
            assert_eq!(status(&ran, operation), ENFORCED, "{operation}");
        }
        for (operation, status) in ran.report["operations"].as_object().unwrap() {
            let reason = status["reason"].as_str().unwrap_or_default();
            assert!(!reason.contains("undecided"), "{operation}: {reason}");
        }
    });
}

#[test]
fn the_report_says_what_was_applied() {
    each_user(|place| {
        let place = Place::new(place.user);
        place.directory("imports");
        let imported = place.file("imports/more.sb", "(allow file-read-data (literal \"/more\"))\n");
        let own = place.file(
            "own.sb",
            "(import \"more.sb\")\n(import \"more.sb\")\n(allow file-read-data (literal (param \"NOTES\")))\n",
        );
        let notes = format!("NOTES={}", place.file("notes", "text"));
        let imports = place.path("imports");
        let place = place.with(&["--overlay", &own, "--import-dir", &imports, "-D", &notes, "-D", "OTHER="]);
        let ran = place.run("(allow file-read-metadata)", &["true"]);
        let profile = std::fs::read_to_string(place.profile("(allow file-read-metadata)")).unwrap();
        let shipped = runtime::sandbox::overlay::shipped("linux-base.sb").unwrap().text;
        let overlay = place.text("own.sb").unwrap();
        let digest = |text: &str| runtime::base::digest::Sha256Hex::of(text.as_bytes()).to_string();
        assert_eq!(ran.report["base_profile_sha256"], digest(&profile), "{ran:#?}");
        assert_eq!(ran.report["base_profile_path"], place.profile("(allow file-read-metadata)").to_str().unwrap());
        assert_eq!(ran.report["applied_profile_sha256"], digest(&format!("{profile}{shipped}{overlay}")));
        let overlays = serde_json::json!([
            {"name": "linux-base.sb", "shipped": true, "sha256": digest(shipped)},
            {"name": own, "shipped": false, "sha256": digest(&overlay)},
        ]);
        assert_eq!(ran.report["overlays"], overlays);
        let more = digest(&place.text("imports/more.sb").unwrap());
        assert_eq!(ran.report["imports"], serde_json::json!([{"path": imported, "sha256": more}]));
        assert_eq!(ran.report["parameters"], serde_json::json!({"NOTES": place.path("notes"), "OTHER": ""}));
        assert_eq!(ran.report["records_dropped"], 0);
    });
}

#[test]
fn the_report_says_how_many_refusals_were_not_kept() {
    each_user(|place| {
        let ran = place.run("", &["sh", "-c", "cat $(seq -f missing%.0f 32800) 2>/dev/null"]);
        assert!(ran.stderr.contains("not kept"), "{}", ran.stderr);
        let dropped = ran.report["records_dropped"].as_u64().unwrap();
        assert!(ran.stderr.contains(&format!("warning: {dropped} decisions not kept")), "{}", ran.stderr);
        assert!(dropped >= 32, "{dropped}");
    });
}
