//! Learning from saved logs.

use serde_json::json;

use crate::support::Place;

fn event(message: &str) -> String {
    serde_json::to_string_pretty(&json!({"traceID": 1, "eventMessage": message, "processID": 0}))
        .unwrap()
        .replace('/', "\\/")
}

fn log(messages: &[&str]) -> String {
    let objects: Vec<String> = messages.iter().map(|message| event(message)).collect();
    // A banner before, and no bracket after: the capture is killed.
    format!("Filtering the log data using \"process == 0\"\n[{}", objects.join(","))
}

#[test]
fn the_tree_of_a_saved_log_keeps_other_programs_out() {
    let place = Place::new();
    let child =
        "Sandbox: helper(502) deny(1) file-read-data /private/etc/hosts\nViolation: x\nParent Process: app [500]";
    let text = log(&[
        "Sandbox apply: sandbox-exec[500] <bytes>",
        "Sandbox: app(500) deny(1) file-read-data /Users/u/a \"quoted\" (1).txt",
        child,
        "2 duplicate reports for Sandbox: Messenger (Beta)(77) deny(1) file-read-data /Users/u/private",
        "Sandbox: app(500) deny(1) network-outbound remote:*:443",
        "Sandbox: app(500) allow file-read-data /reported",
    ]);
    place.file("log.json", &text);
    let learn = |scope: &str, out: &str| {
        place.runtime(&[
            "shrink-trace",
            "trace",
            "--profile",
            &format!("{out}.sb"),
            "--out",
            out,
            "--seed-dyld",
            "0",
            "--deny-scope",
            scope,
            "--from-log",
            "log.json",
        ])
    };
    let done = learn("tree", "tree");
    assert_eq!(done.status, 0, "{done:?}");
    let profile = place.text_of("tree.sb");
    for rule in [
        "(allow file-read-data (literal \"/Users/u/a \\\"quoted\\\" (1).txt\"))",
        "(allow file-read-data (literal \"/private/etc/hosts\"))",
        "(allow file-read-metadata (literal \"/etc\"))",
        "(allow network-outbound (remote ip \"*:443\"))",
    ] {
        assert!(profile.contains(rule), "{profile}");
    }
    assert!(!profile.contains("private\"") && !profile.contains("/reported"), "{profile}");
    let record = place.json("tree/run.json");
    assert_eq!(record["trace"]["completeness"]["verdict"], "unknown");
    assert_eq!(record["trace"]["foreign"]["Messenger (Beta)"], 1);
    // The twin: everything on the host.
    assert_eq!(learn("all", "all").status, 0);
    assert!(place.text_of("all.sb").contains("/Users/u/private"));
    // The twin: without its child.
    assert_eq!(learn("pid", "pid").status, 0);
    assert!(!place.text_of("pid.sb").contains("/private/etc/hosts"));
}

#[test]
fn a_loss_is_said_and_counts_where_completeness_is_asked_for() {
    let place = Place::new();
    let denial = "Sandbox: app(5) deny(1) process-fork";
    for (name, messages, verdict, status) in [
        ("whole", vec!["s-1 begin", denial, "s-1 end"], "complete", 0),
        ("no-end", vec!["s-1 begin", denial], "lossy", 1),
        ("dropped", vec!["s-1 begin", denial, "=== Messages dropped during live streaming", "s-1 end"], "lossy", 1),
        ("strange", vec!["s-1 begin", "Sandbox: app deny(1) in a new shape", "s-1 end"], "lossy", 1),
    ] {
        place.file("log.json", &log(&messages));
        let done = place.runtime(&[
            "shrink-trace",
            "trace",
            "--profile",
            &format!("{name}.sb"),
            "--out",
            name,
            "--deny-scope",
            "all",
            "--sentinel",
            "s-1",
            "--require-complete",
            "--from-log",
            "log.json",
        ]);
        assert_eq!(done.status, status, "{name}: {done:?}");
        assert_eq!(place.json(&format!("{name}/run.json"))["trace"]["completeness"]["verdict"], verdict, "{name}");
    }
}

#[test]
fn recordings_merge_and_no_path_can_inject() {
    let place = Place::new();
    let record = |target: &str| {
        json!({"operation": "file-read-data", "target": target, "pid": 3, "process": "x", "rule": null, "count": 2})
            .to_string()
    };
    let paths = ["/a\"b", "/a)(allow default", "/x#y;z", "/ü/ß", "/tab\\x09", "/line\\x0a(allow default)"];
    let mut hostile: serde_json::Value = serde_json::from_str(&record("/z")).unwrap();
    hostile["operation"] = json!("file-read* (subpath \"/\"))(allow process-fork");
    place.file("one.jsonl", &format!("{}\n{hostile}", paths.map(record).join("\n")));
    place.file("two.jsonl", &record("/a\"b"));
    for file in ["one.jsonl", "two.jsonl"] {
        let done = place.runtime(&[
            "shrink-trace",
            "trace",
            "--profile",
            "p.sb",
            "--out",
            "o",
            "--seed-dyld",
            "0",
            "--from-log",
            file,
        ]);
        assert_eq!(done.status, 0, "{done:?}");
    }
    let rules = place.json("o/rules.json");
    let first = &rules["rules"][0];
    assert_eq!((first["hits"].as_u64(), first["runs"].to_string()), (Some(4), "[1,2]".to_owned()));
    let decision = |operation: &str, target: &[&str]| {
        let mut words = vec!["--json", "sbpl", "explain", "--profile", "p.sb", "--op", operation];
        words.extend(target);
        let answer: serde_json::Value = serde_json::from_str(&place.runtime(&words).stdout).unwrap();
        answer["decision"].as_str().unwrap().to_owned()
    };
    // Nothing but what was logged is allowed, and every printable path is.
    assert_eq!(decision("process-fork", &[]), "deny");
    for (path, expected) in
        [("/a\"b", "allow"), ("/a)(allow default", "allow"), ("/x#y;z", "allow"), ("/ü/ß", "allow"), ("/a", "deny")]
    {
        assert_eq!(decision("file-read-data", &["--target", path]), expected, "{path}");
    }
    assert_eq!(place.text_of("o/phases/trace/bad_rules.txt").lines().count(), 0, "the second log has no such path");
}

/// A text in which nothing is known as a log says nothing, and nothing is learned from it.
#[test]
fn what_is_no_log_is_no_answer() {
    let place = Place::new();
    let cut_off = &event("Sandbox: app(5) deny(1) file-read-data /x")[..60];
    let brackets = "[".repeat(200_000);
    place.file("good.jsonl", "{\"operation\": \"process-fork\", \"target\": \"\", \"pid\": 1, \"count\": 1}\n");
    let learn = |files: &[&str]| {
        let words = ["shrink-trace", "trace", "--profile", "p.sb", "--out", "o", "--seed-dyld", "0", "--from-log"];
        place.runtime(&[&words[..], files].concat())
    };
    for (bytes, why) in [
        (&b""[..], "it is empty"),
        (cut_off.as_bytes(), "it ends within its first object"),
        (b"\xff\xfe\x00 deny(1)", "it is not text in UTF-8"),
        (brackets.as_bytes(), "it holds neither messages of the unified log nor lines of `sandbox run --denials`"),
        (b"{\"a\": 1}\n", "it holds neither messages"),
        (b"Some text, which does not deny that it is none.\n", "it holds neither messages"),
    ] {
        std::fs::write(place.path("F"), bytes).unwrap();
        for files in [&["F"][..], &["good.jsonl", "F"]] {
            let done = learn(files);
            assert_eq!(done.status, 3, "{why}: {done:?}");
            assert!(done.stderr.contains(&format!("F is no log: {why}")), "{why}: {done:?}");
            assert!(!place.path("p.sb").exists() && !place.path("o").exists(), "{why}");
        }
    }
    // The twins: logs of other things.
    for text in
        [event("noise"), "[]".to_owned(), "2026-01-02 03:04:05.000000+0000 0x1 Default 0x0 0 0 tool: x\n".to_owned()]
    {
        place.file("F", &text);
        let done = learn(&["F"]);
        assert_eq!(done.status, 0, "{text}: {done:?}");
        assert!(done.stdout.starts_with("learned 0 rules from 0 refusals"), "{done:?}");
        assert!(place.path("p.sb").exists());
    }
}
