//! A bundle of many events, and a suite of many probes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const OPERATIONS: [&str; 10] = [
    "file-read-data",
    "file-read-metadata",
    "file-write-data",
    "file-write-create",
    "file-write-unlink",
    "process-exec*",
    "process-fork",
    "network-outbound",
    "sysctl-read",
    "signal",
];

/// Scenarios of each operation: groups, not rows, are what memory may grow with.
const SCENARIOS: u64 = 7_000;

/// The run's directory of a valid bundle of `number` events: a real run of one probe, whose events are replaced and whose index
/// is then made again by the program. It is kept in `cache` for later measurements, under a name that changes with this file.
pub(crate) fn bundle(runtime: &str, cache: &Path, number: u64) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    include_str!("generate.rs").hash(&mut hasher);
    let dir = cache.join(format!("evidence-{number}-{:016x}", hasher.finish()));
    let out = dir.join("bundle");
    if is_valid(runtime, &out) {
        return run_of(&out);
    }
    if dir.exists() {
        std::fs::remove_dir_all(&dir).unwrap();
    }
    eprintln!("generating {number} events");
    let suite = dir.join("seed");
    self::suite(&suite, 1, 1);
    done(Command::new(runtime).arg("run").arg("--plan").arg(suite.join("plan.json")).arg("--out").arg(&out));
    let run = run_of(&out);
    write_events(&run.join("runtime_events.normalized.json"), number);
    done(Command::new(runtime).args(["reindex-bundle", "--repair", "--bundle"]).arg(&out));
    assert!(is_valid(runtime, &out), "the generated bundle is not valid");
    run
}

fn is_valid(runtime: &str, out: &Path) -> bool {
    let mut command = Command::new(runtime);
    command.args(["validate-bundle", "--bundle"]).arg(out).stdout(Stdio::null()).stderr(Stdio::null());
    out.is_dir() && command.status().unwrap().success()
}

fn run_of(out: &Path) -> PathBuf {
    out.join(std::fs::read_to_string(out.join("LATEST")).unwrap().trim())
}

fn done(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The document as the program writes it: two-space indent, keys sorted, no newline at the end. Every tenth event is a
/// mismatch, every hundredth was not observed.
fn write_events(path: &Path, number: u64) {
    let mut out = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(path).unwrap());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for n in 0..number {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let operation = OPERATIONS[(state >> 33) as usize % OPERATIONS.len()];
        let scenario = format!("bench:{}:probe_{}", operation.trim_end_matches('*'), (state >> 40) % SCENARIOS);
        let expected = if state >> 63 == 0 { "allow" } else { "deny" };
        let (observed, met) = (n % 100 != 0, n % 10 != 1);
        let actual = match (met, expected) {
            (true, same) => same,
            (false, "allow") => "deny",
            (false, _) => "allow",
        };
        out.write_all(if n == 0 { b"[\n  {\n" } else { b",\n  {\n" }).unwrap();
        if observed {
            writeln!(out, r#"    "actual": "{actual}","#).unwrap();
        }
        write!(
            out,
            r#"    "expectation_id": "{scenario}",
    "expected": "{expected}",
    "harness": "runtime",
    "intended_op_witnessed": {observed},
"#
        )
        .unwrap();
        if observed {
            writeln!(out, r#"    "match": {met},"#).unwrap();
        }
        write!(
            out,
            r#"    "operation": "{operation}",
    "outcome": "{outcome}",
    "policy_layers": {{
      "attribution": "process_policy",
      "effective_decision": "{actual}"
    }},
    "probe_name": "probe_{n}",
    "profile_id": "bench",
    "run_id": "bench",
    "runtime_status": "success",
    "scenario_id": "{scenario}",
    "target": "/srv/data/d{directory}/f{n}",
    "world_id": "bench"
  }}"#,
            outcome = if observed { actual } else { "not_observed" },
            directory = n % 50,
        )
        .unwrap();
    }
    out.write_all(b"\n]").unwrap();
    out.into_inner().unwrap();
}

/// A suite of `profiles` with `probes` each, which read a file of their fixtures, in all three lanes.
pub(crate) fn suite(dir: &Path, profiles: usize, probes: usize) {
    std::fs::create_dir_all(dir.join("registry")).unwrap();
    let lanes = json!({"scenario": true, "baseline": true, "oracle": true});
    let write = |name: &str, value: Value| std::fs::write(dir.join(name), value.to_string()).unwrap();
    let profile_text = "(version 1)\n(deny default)\n(allow file-read* (subpath (param \"FIXTURES\")))\n\
                        (deny file-read-data (literal (string-append (param \"FIXTURES\") \"/b\")))\n";
    std::fs::write(dir.join("p.sb"), profile_text).unwrap();
    let (mut all_probes, mut all_profiles, mut ids) = (json!({}), json!({}), Vec::new());
    for p in 0..profiles {
        let mut refs = Vec::new();
        for n in 0..probes {
            let id = format!("bench:p{p}:r{n}");
            let (file, expected) = if n % 2 == 0 { ("a", "allow") } else { ("b", "deny") };
            all_probes[&id] = json!({
                "probe_id": id, "name": format!("r{n}"), "operation": "file-read-data",
                "target": format!("${{FIXTURES}}/{file}"), "expected": expected, "supports_lanes": lanes,
                "expected_primary_ops": ["file-read-data"], "expected_predicates": [], "capabilities_required": [],
                "controls_supported": ["baseline"],
            });
            refs.push(id);
        }
        let id = format!("bench:p{p}");
        all_profiles[&id] = json!({
            "profile_id": id, "profile_path": "./../p.sb", "mode": "sbpl", "probe_refs": refs, "family": null,
            "semantic_group": null, "key_specific_rules": [], "notes": null,
        });
        ids.push(id);
    }
    let registry = |kind: &str, key: &str, entries: Value| {
        json!({"schema_version": format!("runtime-tools.{kind}_registry.v0.2"), "registry_id": "bench", "world_id": "linux",
               key: entries})
    };
    write("registry/probes.json", registry("probe", "probes", all_probes));
    write("registry/profiles.json", registry("profile", "profiles", all_profiles));
    let entries = json!([{"path": "a", "kind": "file", "content": "x"}, {"path": "b", "kind": "file", "content": "x"}]);
    write("fixtures.json", json!({"schema_version": "runtime-tools.fixture_set.v0.1", "entries": entries}));
    write(
        "plan.json",
        json!({"schema_version": "runtime-tools.plan.v0.1", "plan_id": "bench", "registry_id": "bench", "world_id": "linux",
               "profiles": ids, "lanes": lanes, "fixtures": "./fixtures.json"}),
    );
}
