//! Documents that the real binary writes: runs that go well, badly and not at all, what is derived from them, and what commands
//! print.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::run_suite::{Probe, RUNTIME, Suite, expect, runtime, text};

/// One document as it was written.
pub(crate) struct Written {
    /// Name of its schema.
    pub(crate) schema: &'static str,
    /// Where it comes from, for messages.
    pub(crate) from: String,
    pub(crate) document: Value,
}

/// The documents of a run, by file, and their schemas.
const BUNDLE: &[(&str, &str)] = &[
    ("run_status.json", "run-status"),
    ("run_manifest.json", "run-manifest"),
    ("apply_preflight.json", "apply-preflight"),
    ("expected_matrix.generated.json", "expected-matrix"),
    ("expected_matrix.json", "expected-matrix"),
    ("runtime_results.json", "results"),
    ("runtime_events.normalized.json", "events"),
    ("baseline_results.json", "baseline"),
    ("oracle_results.json", "oracle"),
    ("path_witnesses.json", "path-witnesses"),
    ("fixtures.json", "fixture-records"),
    ("mismatch_summary.json", "mismatch-summary"),
    ("mismatch_packets.jsonl", "mismatch-packet"),
    ("enforcement_report.json", "enforcement-report"),
    ("summary.json", "summary"),
    ("artifact_index.json", "artifact-index"),
];

/// What is written, and the files that the `schema check` command is to look at.
#[derive(Default)]
pub(crate) struct Everything {
    pub(crate) written: Vec<Written>,
    pub(crate) files: Vec<(PathBuf, &'static str)>,
    /// Keeps the files.
    suites: Vec<Suite>,
    temp: Vec<tempfile::TempDir>,
}

impl Everything {
    /// The directory of the newest run below `name`, for readers that look at the whole of it.
    pub(crate) fn run_dir(&self, name: &str) -> PathBuf {
        let out = self.suites.iter().map(|suite| suite.path().join(format!("out {name}"))).find(|out| out.exists());
        latest(&out.unwrap_or_else(|| panic!("no run {name}")))
    }

    pub(crate) fn add(&mut self, schema: &'static str, from: &str, document: Value) {
        self.written.push(Written { schema, from: from.to_owned(), document });
    }

    /// Keeps a directory of files.
    pub(crate) fn keep(&mut self, temp: tempfile::TempDir) {
        self.temp.push(temp);
    }

    /// One document a line.
    fn add_lines(&mut self, schema: &'static str, from: &str, lines: &str) {
        for line in lines.lines().filter(|line| !line.is_empty()) {
            self.add(schema, from, serde_json::from_str(line).unwrap());
        }
    }

    /// Every document of a run. A file that no schema is known for is a forgotten one.
    fn add_bundle(&mut self, from: &str, dir: &Path) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() || name == "summary.md" {
                continue;
            }
            let known = BUNDLE.iter().find(|(file, _)| *file == name);
            let (_, schema) = known.unwrap_or_else(|| panic!("{from} has {name}, which has no schema"));
            let content = std::fs::read_to_string(&path).unwrap();
            let from = format!("{from} {name}");
            match name.ends_with(".jsonl") {
                true => self.add_lines(schema, &from, &content),
                false => self.add(schema, &from, serde_json::from_str(&content).unwrap()),
            }
            self.files.push((path, schema));
        }
    }

    /// The packet of the newest run of `out`.
    fn add_packet(&mut self, from: &str, out: &Path) {
        let temp = tempfile::tempdir().unwrap();
        let packet = temp.path().join("packet.json");
        let output = runtime(&["emit-promotion", "--bundle", out.to_str().unwrap(), "--out", packet.to_str().unwrap()]);
        expect(&output, 0);
        self.add("promotion-packet", &format!("{from} packet"), read(&packet));
        self.files.push((packet, "promotion-packet"));
        self.temp.push(temp);
    }

    /// Statements about the newest run of `out`, bare and in an envelope.
    fn add_attestations(&mut self, out: &Path) {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name).display().to_string();
        std::fs::write(path("key.pem"), KEY).unwrap();
        std::fs::set_permissions(path("key.pem"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        for (schema, more) in [
            ("packet-statement", vec![]),
            ("summary-statement", vec!["--vsa".to_owned()]),
            ("envelope", vec!["--sign-key".to_owned(), path("key.pem")]),
        ] {
            let attestation = path(&format!("{schema}.json"));
            let mut arguments = vec!["emit-promotion", "--bundle", out.to_str().unwrap()];
            let packet = path("packet.json");
            arguments.extend(["--out", &packet, "--attest", &attestation]);
            arguments.extend(more.iter().map(String::as_str));
            expect(&runtime(&arguments), 0);
            self.add(schema, &format!("{} {schema}", out.display()), read(Path::new(&attestation)));
            self.files.push((attestation.into(), schema));
        }
        self.temp.push(temp);
    }

    /// A set of one packet, and receipts of packets that are used, rejected, and not there.
    fn add_sets(&mut self, promotable: &Path, changed: &Path) {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name).display().to_string();
        // Beside its bundle a packet finds it.
        let emit = |out: &Path| {
            let packet = out.with_file_name("packet.json").display().to_string();
            expect(&runtime(&["emit-promotion", "--bundle", out.to_str().unwrap(), "--out", &packet]), 0);
            packet
        };
        let (a, b, absent, set) = (emit(promotable), emit(changed), path("absent.json"), path("packet_set.json"));
        for (name, packets, status) in [("used.json", vec![&a], 0), ("rejected.json", vec![&a, &b, &absent], 1)] {
            let receipt = path(name);
            let mut arguments = vec!["promotion", "set", "--out", &set, "--receipt", &receipt];
            arguments.extend(["--gate", "linux_enforcement"]);
            packets.into_iter().for_each(|packet| arguments.extend(["--packet", packet]));
            expect(&runtime(&arguments), status);
            self.add("promotion-receipt", name, read(Path::new(&receipt)));
            self.files.push((receipt.into(), "promotion-receipt"));
        }
        self.add("packet-set", "packet_set.json", read(Path::new(&set)));
        self.files.push((set.into(), "packet-set"));
        self.temp.push(temp);
    }

    /// What a command prints on stdout, with the exit status it must end with.
    pub(crate) fn add_answer(&mut self, schema: &'static str, arguments: &[&str], status: i32) {
        let output = runtime(arguments);
        expect(&output, status);
        self.add(schema, &arguments.join(" "), serde_json::from_slice(&output.stdout).unwrap());
    }
}

/// The key of RFC 8410, section 10.
pub(crate) const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";

pub(crate) fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn shipped(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

const PROFILE: &str = "(version 1)
(allow default)
(deny file-read-data (subpath (string-append (param \"FIXTURES\") \"/secret\")))
(deny file-write* (extension \"com.apple.app-sandbox.read-write\"))
(deny network-outbound (remote ip \"localhost:*\"))
";

/// A suite in which everything happens: met and unmet expectations, errors, unobserved and undecided rows.
fn edge() -> Suite {
    let probes = vec![
        Probe::new("met_allow", "file-read-data", "${FIXTURES}/public", "allow"),
        Probe::new("met_deny", "file-read-data", "${FIXTURES}/secret/file", "deny"),
        Probe::new("unmet_allow", "file-read-data", "${FIXTURES}/secret/file", "allow"),
        Probe::new("unmet_deny", "file-read-data", "${FIXTURES}/public", "deny"),
        Probe::new("absent", "file-read-data", "${FIXTURES}/nothing", "allow"),
        Probe::new("modes", "file-read-data", "${FIXTURES}/closed", "allow"),
        Probe::new("hangs", "file-read-data", "${FIXTURES}/pipe", "allow"),
        Probe::new("undecided", "file-write-data", "${FIXTURES}/public", "allow"),
        Probe::new("no_driver", "mach-lookup", "com.example.service", "deny"),
        Probe::new("connects", "network-outbound", "127.0.0.1:${PORT_OPEN}", "allow"),
        Probe::new("refused", "network-outbound", "127.0.0.1:${PORT_SHUT}", "allow"),
        Probe::new("unix", "network-outbound", "${FIXTURES}/socket", "allow"),
        Probe::new("elsewhere", "network-outbound", "127.0.0.1:9", "allow"),
        Probe::new("signals", "signal", "self", "allow"),
        Probe::new("signals_others", "signal", "others", "allow"),
        Probe::new("forks", "process-fork", "self", "allow"),
        Probe::new("starts", "process-exec*", "${FIXTURES}/program", "allow"),
        Probe::new("linked", "file-read-data", "${FIXTURES}/link", "deny"),
        Probe::new("dotted", "file-read-data", "${FIXTURES}/./public", "allow"),
    ];
    Suite::new()
        .profile("edge:a", PROFILE, probes)
        .profile(
            "edge:b/%",
            "(version 1)(allow default)",
            vec![Probe::new("met", "file-read-data", "${FIXTURES}/public", "allow")],
        )
        .profile(
            "edge:d",
            "(version 1)(allow default)(allow mach-lookup (global-name \"a\") (apply-message-filter (deny mach-message-send)))",
            vec![Probe::new("gated", "process-fork", "self", "allow")],
        )
        .profile(
            "edge:e",
            "(version 1)(allow default)",
            vec![Probe::new("nobody", "network-outbound", "127.0.0.1:${PORT_SHUT}", "allow")],
        )
        // Without a rule about default: what decides is no rule.
        .profile("edge:c", "(version 1)(allow file-read*)", vec![Probe::new("fork", "process-fork", "self", "allow")])
        .fixtures(json!([
            {"path": "public", "kind": "file", "content": "x"}, {"path": "secret/file", "kind": "file", "mode": "0644"},
            {"path": "closed", "kind": "file", "mode": "000"}, {"path": "pipe", "kind": "fifo"},
            {"path": "link", "kind": "symlink", "target": "public"}, {"path": "socket", "kind": "unix_listener"},
            {"path": "program", "kind": "noop_program"},
        ]))
        .ports(json!([{"name": "OPEN", "kind": "tcp_listener"}, {"name": "SHUT", "kind": "tcp_closed"}]))
}

/// Adds what [`Suite`] does not write: every optional field of probes, and a preflight profile.
fn complete(suite: &Suite) -> PathBuf {
    let plan = suite.write();
    let edit = |file: &str, change: &dyn Fn(&mut Value)| {
        let path = suite.path().join(file);
        let mut value = read(&path);
        change(&mut value);
        std::fs::write(path, value.to_string()).unwrap();
    };
    edit("registry/probes.json", &|registry| {
        let probe = &mut registry["probes"]["edge:a:met_allow"];
        for key in ["mode", "driver", "syscall", "attr_payload", "anchor_ctx_id", "filter_name"] {
            probe[key] = json!("word");
        }
        probe["filter_type"] = json!(0);
    });
    edit("registry/profiles.json", &|registry| {
        let profile = &mut registry["profiles"]["edge:a"];
        profile["family"] = json!("edge");
        profile["semantic_group"] = json!("edge:all");
    });
    edit("plan.json", &|plan| plan["apply_preflight_profile"] = json!("./sb/p1.sb"));
    plan
}

fn run(plan: &Path, out: &Path, more: &[&str], status: i32) {
    let mut arguments = vec!["run", "--plan", plan.to_str().unwrap(), "--out", out.to_str().unwrap()];
    arguments.extend(["--probe-timeout-seconds", "1"]);
    arguments.extend(more);
    expect(&runtime(&arguments), status);
}

pub(crate) fn latest(out: &Path) -> PathBuf {
    out.join(std::fs::read_to_string(out.join("LATEST")).unwrap().trim())
}

/// Runs everything once and collects what was written.
pub(crate) fn everything() -> Everything {
    let mut all = Everything::default();
    let suite = edge();
    let plan = complete(&suite);
    for (name, more, status) in [
        ("edge", &[][..], 0),
        ("dry", &["--dry"][..], 0),
        ("not looked at", &["--preflight", "off", "--only-profile", "edge:b/%"][..], 0),
        ("without landlock", &["--without-layer", "landlock", "--only-profile", "edge:b/%"][..], 0),
        ("without notify", &["--without-layer", "seccomp_notify", "--only-profile", "edge:b/%"][..], 0),
    ] {
        let out = suite.path().join(format!("out {name}"));
        run(&plan, &out, more, status);
        all.add_bundle(name, &latest(&out));
        all.add_packet(name, &out);
        if matches!(name, "edge" | "dry") {
            all.add_attestations(&out);
        }
    }
    // What is derived from a run, and one event told.
    let out = suite.path().join("out edge");
    for (schema, document) in [
        ("op-summary", "ops"),
        ("event-traces", "events_index"),
        ("scenario-mapping", "scenarios"),
        ("mapping-indexes", "runtime_indexes"),
        ("mapping-manifest", "runtime_manifest"),
    ] {
        let path = latest(&out).join(format!("runtime_mappings/{document}.json"));
        all.add(schema, document, read(&path));
        let checked = runtime(&["schema", "check", &path.display().to_string()]);
        expect(&checked, 0);
        assert!(text(&checked).contains(&format!(": {schema}: ")), "{}", text(&checked));
    }
    let (summary, packet) = (suite.path().join("ops.json"), suite.path().join("packet.json"));
    let text_of = |path: &Path| path.display().to_string();
    expect(&runtime(&["emit-promotion", "--bundle", &text_of(&out), "--out", &text_of(&packet)]), 0);
    let (out_text, packet_text, summary_text) = (text_of(&out), text_of(&packet), text_of(&summary));
    for source in [["--bundle", &out_text], ["--packet", &packet_text]] {
        let arguments = [&["summarize-ops", "--allow-nonpromotable", "--out", &summary_text], &source[..]].concat();
        expect(&runtime(&arguments), 0);
        all.add("op-summary", source[0], read(&summary));
    }
    let map = suite.path().join("map.json");
    expect(&runtime(&["promotion", "paths", "--packet", &packet_text, "--out", &text_of(&map)]), 0);
    all.add("path-map", "map.json", read(&map));
    for scenario in ["edge:a:met_deny", "edge:a:no_driver", "edge:a:hangs"] {
        let arguments = ["explain-event", "--json", "--bundle", &text_of(&out), "--scenario", scenario];
        all.add_answer("explained-event", &arguments, 0);
    }
    // The scenario lane alone: nothing to compare with, and nobody asked.
    let lanes = json!({"scenario": true, "baseline": false, "oracle": false});
    let probe = Probe::new("fork", "process-fork", "self", "deny");
    let alone = Suite::new().lanes(lanes).profile("alone:a", "(version 1)(allow default)", vec![probe]);
    let (plan, out) = (alone.write(), alone.path().join("out"));
    run(&plan, &out, &[], 0);
    all.add_bundle("alone", &latest(&out));
    let arguments = ["explain-event", "--json", "--bundle", &text_of(&out), "--scenario", "alone:a:fork"];
    all.add_answer("explained-event", &arguments, 0);
    // What was changed after the run is not vouched for.
    let out = suite.path().join("out edge");
    std::fs::write(latest(&out).join("summary.md"), "something else").unwrap();
    all.add_packet("changed", &out);

    let met = Suite::new().profile(
        "met:a",
        "(version 1)(allow default)",
        vec![Probe::new("fork", "process-fork", "self", "allow")],
    );
    let plan = met.write();
    for (name, more) in [("met", &[][..]), ("rebound", &["--rebind-world"])] {
        let out = met.path().join(format!("out {name}"));
        if name == "rebound" {
            for file in ["plan.json", "registry/probes.json", "registry/profiles.json"] {
                let mut value = read(&met.path().join(file));
                value["world_id"] = json!("sonoma");
                std::fs::write(met.path().join(file), value.to_string()).unwrap();
            }
        }
        run(&plan, &out, more, 0);
        all.add_bundle(name, &latest(&out));
        all.add_packet(name, &out);
    }
    all.add_attestations(&met.path().join("out met"));
    crate::bundles::bundles(&mut all, &met.path().join("out met"));
    all.add_sets(&met.path().join("out met"), &suite.path().join("out edge"));

    failed(&mut all);
    in_progress(&mut all);
    sandbox(&mut all);
    shrinking(&mut all);
    answers(&mut all);
    all.suites.extend([suite, met, alone]);
    all
}

/// A run that fails: the place for fixtures is no directory.
fn failed(all: &mut Everything) {
    let suite = edge();
    let plan = complete(&suite);
    let out = suite.out();
    let output = std::process::Command::new(RUNTIME)
        .args(["run", "--plan"])
        .arg(plan)
        .arg("--out")
        .arg(&out)
        .env("TMPDIR", suite.path().join("plan.json"))
        .output()
        .unwrap();
    expect(&output, 1);
    all.add_bundle("failed", &latest(&out));
    all.add_packet("failed", &out);
    all.suites.push(suite);
}

/// A run that is killed in the middle: its status stays as it was first written.
fn in_progress(all: &mut Everything) {
    let suite = edge();
    let mut child = suite.start(&["--probe-timeout-seconds", "60"]);
    let started = std::time::Instant::now();
    let status = loop {
        let runs = std::fs::read_dir(suite.out()).into_iter().flatten().filter_map(Result::ok);
        let found = runs.map(|run| run.path().join("run_manifest.json")).find(|path| path.exists());
        if let Some(manifest) = found {
            break manifest.with_file_name("run_status.json");
        }
        assert!(started.elapsed().as_secs() < 60, "the run never began");
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    all.add("run-status", "killed", read(&status));
    all.suites.push(suite);
}

/// `sandbox run` with a refusal that a rule decides, one that none decides, and one that cannot be decided.
fn sandbox(all: &mut Everything) {
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name).display().to_string();
    std::fs::write(path("file"), "x").unwrap();
    std::fs::write(path("more.sb"), "(allow signal)").unwrap();
    let directory = temp.path().display().to_string();
    let allow = "(version 1)(allow default)";
    for (number, (profile, observe)) in [
        (format!("{allow}(deny file-read* (literal \"{}\"))", path("file")), false),
        (format!("{allow}(deny file-read* (literal \"{}\"))(import \"more.sb\")", path("file")), true),
        ("(version 1)(allow file-read* file-map-executable process-exec* sysctl-read)".to_owned(), false),
        (format!("{allow}(deny file-read* (require-all (literal \"{}\") (extension \"x\")))", path("file")), false),
    ]
    .into_iter()
    .enumerate()
    {
        let (sb, report, denials) =
            (path("p.sb"), path(&format!("report{number}")), path(&format!("denials{number}.jsonl")));
        std::fs::write(&sb, profile).unwrap();
        let mut arguments = vec!["sandbox", "run", "--profile", &sb, "--report", &report, "--denials", &denials];
        if observe {
            arguments.extend([
                "--observe",
                "--overlay",
                "linux-base.sb",
                "-D",
                "HOME=/home/u",
                "--import-dir",
                &directory,
            ]);
        }
        let file = path("file");
        // The shell starts a child, which the third profile has no rule about.
        arguments.extend(["--", "sh", "-c", "cat \"$1\"; true", "sh", &file]);
        let output = runtime(&arguments);
        assert!(!matches!(output.status.code(), Some(125..=127)), "{}", text(&output));
        all.add("sandbox-report", &format!("sandbox run {number}"), read(Path::new(&report)));
        all.add_lines("denial", &format!("denials {number}"), &std::fs::read_to_string(&denials).unwrap());
        all.files.extend([(report.into(), "sandbox-report"), (denials.into(), "denial")]);
    }
    all.temp.push(temp);
}

/// What learning and shrinking write, where they end well, badly, and before they begin.
fn shrinking(all: &mut Everything) {
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name).display().to_string();
    let program = env!("CARGO_BIN_EXE_shrink-fixture");
    for (name, text) in [
        ("one", "1"),
        ("deny.sb", "(version 1)\n(deny default)\n"),
        ("all.sb", "(version 1)\n(allow default)\n"),
        ("broken.sb", "(version 1)\n(deny default)\n(alow file-read*)\n"),
        (
            "gated.sb",
            "(version 1)\n(deny default)\n(allow mach-bootstrap (apply-message-filter (deny mach-message-send)))\n",
        ),
        (
            "log",
            "2026-01-02 03:04:05.000000+0000 0x1 Error 0x0 0 0 kernel: (Sandbox) Sandbox: tool(412) deny(1) file-read-data /private/etc/hosts\n",
        ),
    ] {
        std::fs::write(path(name), text).unwrap();
    }
    let fixtures = json!([
        {"label": "min", "cmd": [program, "min"]},
        {"label": "gone", "cmd": ["/nonexistent/program"]},
        {"label": "nowhere", "cmd": [program, "min"], "workdir": "not-there"},
    ]);
    let matrix =
        json!({"fixtures": fixtures, "import_dyld_support": [1], "network_rules": ["parsed"], "success_streak": [1]});
    std::fs::write(path("matrix.json"), matrix.to_string()).unwrap();
    let (one, two, log, deny, gone) = (path("one"), path("two.sb"), path("log"), path("deny.sb"), path("gone.sb"));
    let (broken, gated, all_sb) = (path("broken.sb"), path("gated.sb"), path("all.sb"));
    let (three, four, matrix) = (path("three.sb"), path("four.sb"), path("matrix.json"));
    let made_up = "f=$(mktemp -p .); rm \"$f\"";
    let cases: [(&str, i32, &[&str]); 13] = [
        ("learned", 0, &["workflow", "--cmd", program, "--", "read", &one]),
        ("not learned", 1, &["trace", "--profile", &two, "--cmd", program, "--", "read", "/nonexistent"]),
        (
            "made up",
            0,
            &[
                "trace",
                "--profile",
                &three,
                "--generalize",
                "--success-cmd",
                "true",
                "--cmd",
                "/bin/sh",
                "--",
                "-c",
                made_up,
            ],
        ),
        ("from a log", 0, &["trace", "--profile", &four, "--from-log", &log, "--seed-dyld", "0"]),
        ("refused", 1, &["shrink", "--profile", &deny, "--cmd", program, "--", "min"]),
        ("not there", 3, &["shrink", "--profile", &gone, "--cmd", program, "--", "min"]),
        ("matrix", 1, &["workflow", "--matrix", &matrix]),
        ("broken", 1, &["trace", "--profile", &broken, "--cmd", program, "--", "min"]),
        ("gated", 1, &["trace", "--profile", &gated, "--cmd", program, "--", "min"]),
        ("gated to shrink", 1, &["shrink", "--profile", &gated, "--cmd", program, "--", "min"]),
        ("no program", 3, &["trace", "--profile", &two, "--cmd", "/nonexistent/program"]),
        ("too many runs", 3, &["shrink", "--profile", &all_sb, "--max-runs", "1", "--cmd", program, "--", "min"]),
        ("twice", 1, &["shrink", "--profile", &all_sb, "--cmd", "/usr/bin/mkdir", "--", "made"]),
    ];
    for (name, status, words) in cases {
        let out = path(&format!("out {name}"));
        let mut arguments = vec!["shrink-trace", words[0], "--out", &out];
        arguments.extend(&words[1..]);
        expect(&runtime(&arguments), status);
        for (file, schema) in [
            ("run.json", "shrink-run"),
            ("phases/trace/status.json", "shrink-trace-status"),
            ("phases/shrink/status.json", "shrink-status"),
            ("rules.json", "shrink-rules"),
            ("phases/shrink/decisions.json", "shrink-decisions"),
            ("matrix/summary.json", "shrink-matrix"),
        ] {
            let path = Path::new(&out).join(file);
            if path.exists() {
                all.add(schema, &format!("{name} {file}"), read(&path));
                all.files.push((path, schema));
            }
        }
    }
    // A run that was killed leaves what it said at its beginning.
    let out = path("out killed");
    let mut command = std::process::Command::new(RUNTIME);
    command.args(["shrink-trace", "trace", "--profile", &path("five.sb"), "--out", &out]);
    let mut killed = command.args(["--cmd", program, "--", "sleep", "50"]).spawn().unwrap();
    let record = Path::new(&out).join("run.json");
    while !record.exists() && killed.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    all.add("shrink-run", "killed run.json", read(&record));
    all.files.push((record, "shrink-run"));
    all.temp.push(temp);
}

/// What commands print with `--json`.
fn answers(all: &mut Everything) {
    let temp = tempfile::tempdir().unwrap();
    let broken = temp.path().join("plan.json").display().to_string();
    std::fs::write(&broken, "{\"schema_version\": \"runtime-tools.plan.v0.1\", \"Notes\": 1}").unwrap();
    let profile = temp.path().join("p.sb").display().to_string();
    std::fs::write(&profile, "(version 1)\n(deny default)\n(allow file-read*)\n(allow no-such-operation)\n").unwrap();
    let plan = shipped("plans/linux-baseline/plan.json");
    let suite = shipped("plans/linux-baseline/registry");
    all.add_answer("status", &["status"], 0);
    all.add_answer("lint-report", &["plan-lint", "--plan", &plan, "--json"], 0);
    all.add_answer("lint-report", &["plan-lint", "--plan", &broken, "--json"], 1);
    all.add_answer("lint-report", &["registry-lint", "--registry", &suite, "--json"], 0);
    let tree = shipped("plans");
    let inventory = temp.path().join("inventory.json").display().to_string();
    expect(&runtime(&["inventory", "build", "--root", &tree, "--out", &inventory]), 0);
    all.add("inventory", "inventory build", read(Path::new(&inventory)));
    all.add_answer("lint-report", &["schema", "check", &plan, "--json"], 0);
    all.add_answer("lint-report", &["schema", "check", &broken, "--json"], 1);
    all.add_answer("lint-report", &["schema", "check", "/nonexistent/plan.json", "--json"], 3);
    let mut staged = std::process::Command::new(RUNTIME);
    staged.arg("status");
    for name in ["STAGE_ROOT", "STAGE_OUTPUT_ROOT", "RUN_ID"] {
        staged.env(format!("SANDBOX_LORE_{name}"), "value");
    }
    let output = staged.output().unwrap();
    all.add("status", "status in a stage", serde_json::from_slice(&output.stdout).unwrap());
    let output = runtime(&["sbpl", "lint", "--json", &profile]);
    all.add("lint-report", "sbpl lint", serde_json::from_slice(&output.stdout).unwrap());
    all.temp.push(temp);
}
