//! `explain-event`: the text a person reads, for every kind of event of the shipped plans, and for bundles of any size.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::real::{copy_run, document, run};
use crate::streaming::within;
use crate::suite::{expect, runtime, text};

/// The told event of a scenario, without what differs from run to run.
fn told(plan: &'static str, scenario: &str) -> String {
    let (run, scenario) = (run(plan).to_str().unwrap(), format!("{plan}:{scenario}"));
    let told = runtime(&["explain-event", "--bundle", run, "--scenario", &scenario]);
    expect(&told, 0);
    text(&told)
}

/// What stands behind a label, lines without one included.
fn part(told: &str, label: &str) -> String {
    let mut lines = told.lines().skip_while(|line| !line.starts_with(label));
    let first = lines.next().unwrap_or_else(|| panic!("no {label} in\n{told}"));
    let more = lines.take_while(|line| line.starts_with("           "));
    [first].into_iter().chain(more).map(|line| line[11..].trim()).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_event_of_every_kind_is_told_so_that_it_can_be_understood() {
    for (plan, scenario, parts) in [
        (
            "linux-edge",
            "wrong_expectations:read_denied",
            &[
                ("verdict", "as expected: the policy denied it"),
                ("scenario", "under the policy: deny; open(O_RDONLY) returned EPERM"),
                ("baseline", "without a policy: allow; open(O_RDONLY) succeeded"),
                ("oracle", "the profile's text, evaluated while nothing ran: deny"),
                ("rule", "plans/linux-edge/sb/wrong_expectations.sb:5 (deny default)"),
                ("decided by", "process_policy: the policy alone, the same is allowed without it"),
                ("confounder", "none that was recorded"),
            ][..],
        ),
        (
            "linux-edge",
            "wrong_expectations:read_denied_expected_allowed",
            &[
                ("verdict", "not as expected: the policy denied what it should allow"),
                ("confounder", "none that was recorded"),
            ],
        ),
        (
            "linux-edge",
            "wrong_expectations:read_allowed_expected_denied",
            &[
                ("verdict", "not as expected: the policy allowed what it should deny"),
                ("scenario", "under the policy: allow; open(O_RDONLY) succeeded"),
                ("decided by", "nobody refused it: allowed with the policy and without"),
            ],
        ),
        (
            "linux-edge",
            "wrong_expectations:fork_denied_expected_allowed",
            &[("asked", "process-fork on self, expected allow")],
        ),
        (
            "linux-edge",
            "absent_targets:read_absent",
            &[
                ("verdict", "as expected: the policy allowed it"),
                ("baseline", "without a policy: no decision; open(O_RDONLY) returned ENOENT"),
                ("decided by", "unknown: the policy says allow; without it the call fails for another reason (ENOENT)"),
                (
                    "confounder",
                    "ENOENT with the policy and without: no refusal, the object is not as the probe needs it",
                ),
                ("sure", "the call failed all the same (ENOENT): that it can be done is not shown"),
            ],
        ),
        (
            "linux-edge",
            "absent_targets:read_absent_denied",
            &[
                ("decided by", "unknown: the policy says deny; without it the call fails for another reason (ENOENT)"),
                ("confounder", "without any policy it fails too (ENOENT)"),
                ("sure", "it fails without any policy too (ENOENT): that the policy is what prevents it is not shown"),
            ],
        ),
        (
            "linux-baseline",
            "attribution:read_denied_by_both",
            &[
                (
                    "decided by",
                    "platform_policy: the policy refused it, and the system refuses the same without any policy",
                ),
                ("sure", "that the policy is what prevents it is not shown"),
            ],
        ),
        (
            "linux-baseline",
            "attribution:read_without_permission",
            &[
                ("verdict", "as expected: the policy allowed it"),
                ("decided by", "platform_policy: the system refuses the same without any policy"),
                ("confounder", "EACCES: file modes refuse this by themselves"),
                ("sure", "that the policy allows it changes nothing"),
            ],
        ),
        (
            "linux-baseline",
            "offline:connect_closed_port",
            &[("confounder", "without any policy it fails too (ECONNREFUSED)"), ("sure", "observed, with doubts")],
        ),
        (
            "linux-edge",
            "nobody_answers:read_pipe",
            &[
                ("verdict", "none: no decision was observed"),
                ("scenario", "no result: no answer within 5 s"),
                ("decided by", "nobody that is known: no decision was observed"),
                ("confounder", "without any policy it gives no result either (no answer within 5 s)"),
                ("sure", "no result"),
            ],
        ),
        (
            "linux-edge",
            "not_on_linux:lookup_allowed",
            &[
                ("scenario", "nothing observed: no driver performs this operation here"),
                ("baseline", "not performed"),
                ("decided by", "nobody that is known: no decision was observed"),
                ("rule", "none"),
                ("sure", "not observed"),
            ],
        ),
        (
            "linux-edge",
            "undecided:read_with_extension",
            &[
                ("scenario", "the profile could not be evaluated for this access; open(O_RDONLY) returned EPERM"),
                (
                    "rule",
                    "which could not be evaluated: (extension \"com.example.handed-over\"): it depends on a sandbox",
                ),
                ("decided by", "nobody: what cannot be evaluated is refused, which is no decision of the profile"),
                ("confounder", "none that was recorded"),
            ],
        ),
        (
            "linux-edge",
            "stopped_earlier:signal_child",
            &[
                ("scenario", "nothing observed: the call was refused earlier, by process-fork; "),
                ("decided by", "nobody: something else was refused, so that this was not decided or not done"),
                (
                    "rule",
                    "none about this call; what was refused earlier, was by plans/linux-edge/sb/stopped_earlier.sb",
                ),
            ],
        ),
    ] {
        let told = told(plan, scenario);
        for (label, expected) in parts {
            assert!(part(&told, label).contains(expected), "{scenario}: {label}: no {expected:?} in\n{told}");
        }
        assert!(!told.contains("which was  in"), "{told}");
    }
}

/// A run's bundle in which one profile has `rows` more rows, each with a control and an answer of its own, put right again by
/// the program itself: it normalises the rows and writes a new index.
fn widened(rows: usize) -> (tempfile::TempDir, PathBuf) {
    const PROFILE: &str = "linux-edge:wrong_expectations";
    let dir = tempfile::tempdir().unwrap();
    let run = run("linux-edge");
    let bundle = dir.path().join(run.file_name().unwrap());
    copy_run(run, &bundle);
    let mut results = document(&bundle, "runtime_results.json");
    let probes = results[PROFILE]["probes"].as_array().unwrap();
    let model = probes.iter().find(|row| row["name"] == "read_denied").unwrap().clone();
    let of_lane = |name: &str| {
        let stored = document(&bundle, name);
        let rows = stored["results"].as_array().unwrap();
        let model = rows.iter().find(|row| row["expectation_id"] == model["expectation_id"]).unwrap().clone();
        (stored, model)
    };
    let lanes = [("baseline_results.json", "stderr"), ("oracle_results.json", "reason")]
        .map(|(name, mark)| (name, mark, of_lane(name)));
    let named = |model: &Value, n: usize| {
        let mut row = model.clone();
        row["expectation_id"] = json!(format!("wide:{n}"));
        row
    };
    // The rows stand last in their document: the whole of it is looked at.
    let mut profile = results.as_object_mut().unwrap().shift_remove(PROFILE).unwrap();
    profile["probes"] = json!([]);
    let head = results.to_string();
    let mut out = std::io::BufWriter::new(std::fs::File::create(bundle.join("runtime_results.json")).unwrap());
    let (before, after) =
        profile.to_string().split_once("\"probes\":[").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    write!(out, "{}, {}: {before}\"probes\":[", head.strip_suffix('}').unwrap(), json!(PROFILE)).unwrap();
    for n in 0..rows {
        let mut row = named(&model, n);
        (row["name"], row["stderr"]) = (json!(format!("wide_{n}")), json!(format!("row {n}")));
        write!(out, "{}{row}", if n == 0 { "" } else { ",\n" }).unwrap();
    }
    write!(out, "{after}}}").unwrap();
    out.into_inner().unwrap().sync_all().unwrap();
    for (name, mark, (mut stored, model)) in lanes {
        stored["results"] = json!([]);
        let (before, after) =
            stored.to_string().split_once("\"results\":[").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let mut out = std::io::BufWriter::new(std::fs::File::create(bundle.join(name)).unwrap());
        write!(out, "{before}\"results\":[").unwrap();
        for n in 0..rows {
            let mut row = named(&model, n);
            row[mark] = json!(format!("{mark} {n}"));
            write!(out, "{}{row}", if n == 0 { "" } else { ",\n" }).unwrap();
        }
        write!(out, "{after}").unwrap();
    }
    let path = bundle.to_str().unwrap();
    // A derived file stands outside of its bundle; this one is to be part of it.
    let events = dir.path().join("events.json");
    let normalise = ["normalise-events", "--bundle", path, "--allow-unverified", "--out", events.to_str().unwrap()];
    expect(&runtime(&normalise), 0);
    std::fs::rename(events, bundle.join("runtime_events.normalized.json")).unwrap();
    expect(&runtime(&["reindex-bundle", "--bundle", path, "--repair"]), 0);
    (dir, bundle)
}

fn size(bundle: &Path, name: &str) -> u64 {
    std::fs::metadata(bundle.join(name)).unwrap().len()
}

#[test]
fn an_event_is_found_in_a_bundle_of_any_size_in_bounded_memory() {
    const READ_WHOLE_BELOW: u64 = 64 * 1024 * 1024;
    let full = std::env::var_os("RUNTIME_TESTS_FULL").is_some();
    // Address space, of which threads take most.
    let (rows, kibibytes) = if full { (33_000, 400_000) } else { (300, 400_000) };
    let (_dir, bundle) = widened(rows);
    let path = bundle.to_str().unwrap();
    if full {
        for name in ["runtime_results.json", "runtime_events.normalized.json"] {
            assert!(size(&bundle, name) > READ_WHOLE_BELOW, "{name}");
        }
    }
    let tell = |scenario: &str| {
        let arguments = ["explain-event", "--json", "--jobs", "1", "--bundle", path, "--scenario", scenario];
        let begun = std::time::Instant::now();
        (within(kibibytes, &arguments), begun.elapsed())
    };
    for n in [0, rows / 2, rows - 1] {
        let (told, took) = tell(&format!("wide:{n}"));
        expect(&told, 0);
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        println!("row {n} of {rows}: {took:?}, events {} bytes", size(&bundle, "runtime_events.normalized.json"));
        let found = json!([told["event"]["stderr"], told["baseline"]["stderr"], told["oracle"]["reason"]]);
        assert_eq!(found, json!([format!("row {n}"), format!("stderr {n}"), format!("reason {n}")]));
        assert_eq!(told["certainty"], "observed", "{told:#}");
        let claims = told["claims"].as_array().unwrap();
        assert!(claims.len() > 10 && claims.iter().all(|claim| claim["supported"] == true), "{claims:#?}");
    }
    let (unknown, _) = tell("wide:x0");
    expect(&unknown, 3);
    assert!(text(&unknown).contains("did you mean \\\"wide:0\\\"?"), "{}", text(&unknown));
    // The end of an id, the probe's name, is enough to be shown the whole.
    let (end, _) = tell("7");
    assert!(text(&end).contains("did you mean \\\"wide:7\\\"?"), "{}", text(&end));
    // The twin: another row at the place that the event names is another row's, and is no support.
    if !full {
        let events = bundle.join("runtime_events.normalized.json");
        let stored = std::fs::read_to_string(&events).unwrap();
        let (one, other) = ("wrong_expectations/probes/7\"", "wrong_expectations/probes/8\"");
        assert_eq!(stored.matches(one).count(), 1);
        std::fs::write(&events, stored.replacen(one, other, 1)).unwrap();
        expect(&tell("wide:7").0, 1);
        expect(&runtime(&["reindex-bundle", "--bundle", path, "--repair"]), 0);
        let told: Value = serde_json::from_slice(&tell("wide:7").0.stdout).unwrap();
        assert_eq!(told["certainty"], "unsupported", "{told:#}");
    }
}
