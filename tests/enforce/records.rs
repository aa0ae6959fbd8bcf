//! Every decided access leaves a record when everything is trapped.

use serde_json::Value;

use super::support::{Place, each_user};

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
fn observing_does_not_offer_what_no_profile_can_allow() {
    each_user(|place| {
        let place = Place::new(place.user).with(&["--observe"]);
        let ran = place.run("", &["unshare", "-U", "true"]).bad();
        assert!(ran.stderr.contains("Operation not permitted"), "{ran:#?}");
        let outside = format!("/proc/{}", std::process::id());
        let ran = place.run("", &["cat", &format!("{outside}/status")]).bad();
        assert!(ran.stdout.is_empty() && ran.denied("file-read-metadata", &outside), "{ran:#?}");
        // Nor what would take the records along: the parent of the first process, and everything that there is.
        let path = place.file("a", "text");
        for signal in ["kill -9 $PPID", "kill -CONT -1"] {
            let ran = place.run("", &["sh", "-c", &format!("cat a; {signal}; :")]).good();
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
