//! The words of the closed lists that stand in documents beside the events: each is in the documents of the shipped plans'
//! runs, or a test named here makes it, or there is a reason why nothing here can. The lists of event members are looked at in
//! [`super::enumerations`].

use std::collections::BTreeSet;

use serde_json::Value;

use crate::real::{document, run};

enum Where {
    /// In the documents of the shipped plans' runs.
    Runs,
    /// Made by tests in this file.
    Test(&'static str),
    /// Not here, and why.
    Not(&'static str),
}
use Where::{Not, Runs, Test};

const EARLIER: &str = "a program of the earlier tool, which is read and never written";
const MARKER: &str = "a word of markers, which are read for what came of the apply and not kept";
const HAS_CALL: &str = "macOS always has the call";
const NOT_OPENED: &str = "what is missing is not opened, and that is not_attempted";
const WITNESSED: &str = "src/event/classify/tests.rs";
const LAUNCHD: &str = "tests/launchd/scenarios.rs";

/// Member, and its words with where each is made.
const WORDS: &[(&str, &[(&str, Where)])] = &[
    ("channel", &[("direct", Runs), ("launchd_clean", Test("tests/launchd/promotable.rs"))]),
    (
        "state",
        &[
            ("complete", Runs),
            ("in_progress", Test("tests/run/interrupted.rs")),
            ("failed", Test("tests/run/hostile.rs")),
        ],
    ),
    ("failure_stage", &[("probe", Runs), ("exception", Test("tests/bundle/writer.rs"))]),
    (
        "status",
        &[
            ("ok", Runs),
            ("partial", Runs),
            ("blocked", Runs),
            ("brittle", Runs),
            ("success", Runs),
            ("errno", Runs),
            ("missing_endpoint", Runs),
            ("failed", Test("tests/run/hostile.rs")),
            ("dry", Test("tests/schema/runs.rs")),
        ],
    ),
    ("lane", &[("scenario", Runs), ("baseline", Runs)]),
    ("fixture_id", &[("loopback_listener", Runs), ("unix_listener", Runs)]),
    (
        "entrypoint",
        &[
            ("runtime_worker", Runs),
            ("SBPL-wrapper", Not(EARLIER)),
            ("sandbox_runner", Not(EARLIER)),
            ("sandbox_mach_probe", Not(EARLIER)),
            ("sandbox_reader", Not(EARLIER)),
            ("sandbox_writer", Not(EARLIER)),
            ("metadata_runner", Not(EARLIER)),
        ],
    ),
    ("apply_model", &[("self_apply", Runs), ("exec_wrapper", Not(EARLIER))]),
    ("apply_timing", &[("pre_syscall", Runs), ("pre_exec", Not(EARLIER))]),
    (
        "mismatch_type",
        &[
            ("op_not_witnessed", Runs),
            ("probe_error", Runs),
            ("unexpected_allow", Runs),
            ("unexpected_deny", Runs),
            ("effect_disagreement", Test("src/event/mismatch.rs")),
            ("preflight_blocked", Test("src/event/mismatch.rs")),
            ("apply_gate", Test("src/event/mismatch.rs")),
            ("bootstrap_deny_process_exec", Test("src/event/mismatch.rs")),
            ("bootstrap_failed", Test("src/event/mismatch.rs")),
            ("canonicalization_boundary", Not("a reason here; the type hung on a path of the earlier tool's own")),
            (
                "filter_diff",
                Not("a decision that is expected and made, in a row that claims no match: ours claims one"),
            ),
        ],
    ),
    (
        "mismatch_reason",
        &[
            ("op_not_witnessed", Runs),
            ("expectation_too_strong", Runs),
            ("ambient_platform_restriction", Runs),
            ("canonicalization_boundary", Test("src/event/mismatch.rs")),
            ("capture_pipeline_disagreement", Test("src/event/mismatch.rs")),
            ("path_normalization_sensitivity", Not("admitted by the format, never produced by its writer")),
            ("anchor_alias_gap", Not("admitted by the format, never produced by its writer")),
        ],
    ),
    (
        "observed_path_source",
        &[
            ("supervisor_resolution", Runs),
            ("supervisor_missing", Runs),
            ("proc_fd_path", Runs),
            ("not_attempted", Runs),
            ("probe_fgetpath:present", Test(WITNESSED)),
            ("probe_fgetpath:error", Test(WITNESSED)),
            ("probe_fgetpath:missing", Test(WITNESSED)),
            ("probe_fgetpath:unavailable", Not(HAS_CALL)),
            ("unsandboxed_fd_path", Test(WITNESSED)),
            ("unsandboxed_error", Test(WITNESSED)),
            ("unsandboxed_missing_target", Not(NOT_OPENED)),
        ],
    ),
    (
        "observed_path_nofirmlink_source",
        &[
            ("not_on_this_system", Runs),
            ("probe_fgetpath_nofirmlink:present", Test(WITNESSED)),
            ("probe_fgetpath_nofirmlink:error", Test(WITNESSED)),
            ("probe_fgetpath_nofirmlink:missing", Test(WITNESSED)),
            ("probe_fgetpath_nofirmlink:unavailable", Not(HAS_CALL)),
            ("unsandboxed_fd_path", Test(WITNESSED)),
            ("unsandboxed_error", Test(WITNESSED)),
            ("unsandboxed_missing_target", Not(NOT_OPENED)),
            ("unsandboxed_unavailable", Not(HAS_CALL)),
        ],
    ),
    ("apply mode", &[("sbpl", Not(MARKER)), ("blob", Not(MARKER))]),
    ("canonicalization asked for", &[("both", Test("src/sandbox/callout.rs"))]),
    (
        "normalized_path_source",
        &[
            ("observed_path", Runs),
            ("requested_path", Runs),
            ("alias_map", Test("tests/evidence/interop.rs")),
            ("missing", Not("every file row has a target, and so a path")),
        ],
    ),
    (
        "signature",
        &[
            ("deny_message_filter", Test("tests/evidence/preflight.rs")),
            ("apply_gate_blob_digest", Test("tests/evidence/preflight.rs")),
        ],
    ),
    (
        "apply preflight error",
        &[
            ("missing_preflight_profile", Not("a plan whose profile to apply first is missing is not run")),
            ("missing_sandbox_runner", Not("the program is its own runner")),
            ("timeout", Not("the error is a sentence that says after how many seconds")),
        ],
    ),
    (
        "skipped",
        &[
            ("observer_disabled", Test("tests/evidence/observer.rs")),
            ("observer_missing", Test("tests/evidence/observer.rs")),
            ("observer_import_error", Not("there is nothing to import")),
            ("missing_pid_or_process_name", Not("every row that was started has a process and a program")),
        ],
    ),
    (
        "preflight mode",
        &[
            ("off", Test("tests/evidence/preflight.rs")),
            ("enforce", Test("tests/evidence/preflight.rs")),
            ("force", Test("tests/evidence/preflight.rs")),
        ],
    ),
    ("lock mode", &[("wait", Test("tests/run/interrupted.rs")), ("fail", Test("tests/run/interrupted.rs"))]),
    ("domain_reason", &[("gui_domain_available", Test(LAUNCHD)), ("gui_domain_unavailable", Test(LAUNCHD))]),
    (
        "bootstrap classification",
        &[
            ("plist_invalid", Test(LAUNCHD)),
            ("domain_session_mismatch", Test(LAUNCHD)),
            ("plist_unreadable", Not("the job is written by the run that hands it over; nothing comes between them")),
            ("bootstrap_failed", Test(LAUNCHD)),
        ],
    ),
];

fn collect<'v>(value: &'v Value, key: &'v str, into: &mut BTreeSet<(String, String)>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| collect(value, key, into)),
        Value::Array(items) => items.iter().for_each(|value| collect(value, key, into)),
        Value::String(text) if text.len() < 60 => drop(into.insert((key.to_owned(), text.clone()))),
        _ => {}
    }
}

#[test]
fn every_word_beside_the_events_is_made_somewhere_or_has_a_reason() {
    let mut found = BTreeSet::new();
    for plan in ["linux-baseline", "linux-hardened", "linux-edge"] {
        let run = run(plan);
        for entry in walkdir::WalkDir::new(run) {
            let entry = entry.unwrap();
            let name = entry.path().strip_prefix(run).unwrap().display().to_string();
            if name.ends_with(".json") {
                collect(&document(run, &name), "", &mut found);
            }
        }
        let packets = std::fs::read_to_string(run.join("mismatch_packets.jsonl")).unwrap();
        for line in packets.lines().filter(|line| !line.is_empty()) {
            collect(&serde_json::from_str(line).unwrap(), "", &mut found);
        }
    }
    for (member, words) in WORDS {
        for (word, made) in *words {
            let in_runs = found.contains(&((*member).to_owned(), (*word).to_owned()));
            match made {
                Runs => {
                    assert!(in_runs, "{member} {word} is in no document of the shipped plans' runs");
                    println!("reached: {member} {word}: shipped plans");
                }
                Test(file) => {
                    let text = std::fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
                    let within = file.starts_with("src/") && !file.ends_with("tests.rs");
                    let tests = if within { text.split_once("mod tests").unwrap().1 } else { &text };
                    assert!(tests.contains(word), "{file} no longer has a test of {member} {word}");
                    println!("reached: {member} {word}: {file}");
                }
                Not(why) => {
                    assert!(!in_runs, "{member} {word} is said to be unreachable");
                    println!("not reachable: {member} {word}: {why}");
                }
            }
        }
    }
}
