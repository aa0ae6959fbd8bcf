//! One program from nothing to a shrunk profile, and many of them.

use std::collections::BTreeSet;

use crate::support::{FIXTURE, Place};

/// Paths in stored documents are relative.
fn absolute_paths(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) if text.starts_with('/') => found.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| absolute_paths(item, found)),
        serde_json::Value::Object(fields) => fields.values().for_each(|item| absolute_paths(item, found)),
        _ => {}
    }
}

#[test]
fn the_reference_like_fixture_is_learned_shrunk_and_works() {
    let place = Place::new();
    let done = place.runtime(&["shrink-trace", "workflow", "--cmd", FIXTURE, "--", "target"]);
    assert_eq!(done.status, 0, "{done:?}");
    let record = place.json("shrink-out/run.json");
    for (pointer, expected) in [
        ("/trace/status", "success"),
        ("/trace/completeness/verdict", "complete"),
        ("/shrink/status", "success"),
        ("/knobs/deny_scope", "all"),
        ("/knobs/deny_scope_effective", "tree"),
        ("/knobs/loader_set", "linux-base.sb"),
        ("/paths/run_dir", "shrink-out"),
        ("/paths/profiles/shrunk", "shrink-out/profiles/shrunk.sb"),
    ] {
        assert_eq!(record.pointer(pointer).and_then(|own| own.as_str()), Some(expected), "{pointer}: {record:#}");
    }
    assert_eq!(record["shrink"]["post_shrink_fresh_rc"], 0);
    assert_eq!(record["shrink"]["post_shrink_repeat_rc"], 0);
    assert_eq!(record["shrink"]["diff"]["wider"], 0);
    assert!(record["shrink"]["runs"].as_u64() <= record["shrink"]["bound"].as_u64());
    assert!(record["timing"]["duration_s"].as_f64().unwrap() < 20.0, "{}", record["timing"]);
    let mut found = Vec::new();
    absolute_paths(&record["paths"], &mut found);
    assert!(found.is_empty(), "{found:?}");
    let metrics = place.text_of("shrink-out/phases/trace/metrics.jsonl");
    assert!(metrics.starts_with("{\"iter\":1,\"return_code\":0,\"denies_seen\":"), "{metrics}");
    for file in [
        "profiles/trace.sb",
        "phases/trace/status.json",
        "phases/trace/last_rule.txt",
        "phases/trace/bad_rules.txt",
        "phases/trace/logs/iter_1.log",
        "phases/trace/logs/iter_1_preflight.json",
        "phases/trace/validation/lint.txt",
        "phases/shrink/validation/preflight_scan.json",
        "phases/shrink/validation/pre_shrink_run2.json",
        "phases/shrink/validation/post_shrink_repeat.json",
    ] {
        assert!(place.path(&format!("shrink-out/{file}")).exists(), "{file}");
    }
    // The loader's rules name /etc/ld.so.cache, which only on macOS is a path through a link.
    let lint = place.text_of("shrink-out/phases/trace/validation/lint.txt");
    assert!(!lint.contains("link-in-path"), "{lint}");
    let first = place.json_lines("shrink-out/phases/shrink/metrics.jsonl").remove(0);
    let keys: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["event", "decision", "fresh_rc", "repeat_rc", "profile_lines"]);
    // The connection that the fixture tries and does without is not in the result; the file it reads is.
    let shrunk = place.text_of("shrink-out/profiles/shrunk.sb");
    assert!(!shrunk.contains("network-outbound") && shrunk.contains("/etc/hosts"), "{shrunk}");
    assert!(place.text_of("shrink-out/profiles/trace.sb").contains("network-outbound"));
    // Truncating is what only the second run does, and it is still allowed.
    assert!(shrunk.contains("file-write-data") && shrunk.contains("file-write-create"), "{shrunk}");
    let summary = place.runtime(&["shrink-trace", "summary", "--out", "shrink-out", "--html", "page.html"]);
    assert!(summary.status == 0 && summary.stdout.contains("shrink status"), "{summary:?}");
    let page = place.text_of("page.html");
    assert!(page.contains("Rules by family") && page.contains("/etc/hosts") && !page.contains("<script"));
}

#[test]
fn a_matrix_runs_every_combination_and_knows_which_are_meant_to_fail() {
    let place = Place::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let matrix = serde_json::json!({
        "fixtures": [
            {"label": "min", "cmd": [FIXTURE, "min"]},
            {"label": "net", "cmd": [FIXTURE, "net", port], "fails_with_network_rules": ["drop"]},
        ],
        "import_dyld_support": [1], "success_streak": [2],
    });
    place.file("m.json", &matrix.to_string());
    let done = place.runtime(&["shrink-trace", "workflow", "--matrix", "m.json", "--out", "runs"]);
    assert_eq!(done.status, 0, "{done:?}");
    let summary = place.json("runs/matrix/summary.json");
    let rows = summary["runs"].as_array().unwrap();
    let labels: BTreeSet<&str> = rows.iter().map(|row| row["label"].as_str().unwrap()).collect();
    let expected = [
        "min_dyld1_netparsed_streak2",
        "min_dyld1_netdrop_streak2",
        "net_dyld1_netparsed_streak2",
        "net_dyld1_netdrop_streak2",
    ];
    assert_eq!(labels, expected.into());
    for row in rows {
        let dropped = row["label"] == "net_dyld1_netdrop_streak2";
        let expected = if dropped { "no_new_rules" } else { "success" };
        assert_eq!(row["trace_status"], expected, "{row:#}");
        assert_eq!(row["shrunk_lines"].is_null(), dropped, "{row:#}");
    }
    assert!(
        place
            .text_of("runs/net_dyld1_netdrop_streak2/phases/trace/bad_rules.txt")
            .starts_with("dropped_network: network-outbound")
    );
    assert!(
        place
            .text_of("runs/net_dyld1_netparsed_streak2/profiles/shrunk.sb")
            .contains(&format!("(remote ip \"localhost:{port}\")"))
    );
    let shown = place.runtime(&["shrink-trace", "summary", "--out", "runs"]);
    assert!(shown.stdout.contains("net_dyld1_netdrop_streak2"), "{shown:?}");
}
