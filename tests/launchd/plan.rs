//! The job as data: every command line, every key of the property list, every limit, exactly.
//!
//! What pins what: `the_printed_job_is_exactly_this` every command line, property list key, staged file and limit of a plan;
//! `the_property_list_that_launchd_gets_is_the_planned_one` the same on the way to launchd;
//! `every_field_of_the_diagnostics_is_exactly_this` the diagnostics; the unit tests of `src/launchd/wait.rs` the rule of waiting
//! and of `src/launchd/clean.rs` that of cleanliness; `tests/launchd/scenarios.rs` what each outcome leaves.

use runtime::base::json::differences;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::exact::assert_every_mutation_is_seen;
use crate::suite::{RUNTIME, expect, text};

const RUN: &str = "11111111-2222-4333-8444-555555555555";

fn uid() -> u32 {
    rustix::process::getuid().as_raw()
}

/// The plan that a job of `bench` must have.
fn expected(bench: &Bench) -> Value {
    let suite = bench.suite.path().display().to_string();
    let label = format!("sandbox-lore.runtime.{RUN}");
    let base = bench.base().display().to_string();
    let stage = format!("{base}/{label}");
    let tool = |name: &str| bench.tool(name).display().to_string();
    let file =
        |name: &str| json!({"from": format!("{suite}/{name}"), "to": format!("{stage}/root/{name}"), "mode": "0600"});
    let plist = format!("{stage}/job.plist");
    let properties = |background: bool| {
        let mut list = json!({
            "Label": label,
            "ProgramArguments": [format!("{stage}/bin/runtime"), "__launchd-job", format!("{stage}/job.json")],
            "RunAtLoad": true,
            "WorkingDirectory": stage,
            "StandardOutPath": format!("{stage}/log/{label}.stdout.txt"),
            "StandardErrorPath": format!("{stage}/log/{label}.stderr.txt"),
            "EnvironmentVariables": {
                "SANDBOX_LORE_CHANNEL": "launchd_clean",
                "SANDBOX_LORE_IKIT_SWEEP": "3",
                "SANDBOX_LORE_LAUNCHD_CLEAN": "1",
                "SANDBOX_LORE_RUN_ID": RUN,
                "SANDBOX_LORE_STAGE_OUTPUT_ROOT": format!("{stage}/root/out"),
                "SANDBOX_LORE_STAGE_ROOT": stage,
                "SANDBOX_LORE_STAGE_USED": "1",
                "TMPDIR": format!("{stage}/tmp"),
                "WITNESS_OBSERVER_MODE": "off",
            },
        });
        if background {
            list["LimitLoadToSessionType"] = json!(["Background"]);
        }
        list
    };
    let domain = |domain: String, reason: &str, types: Value| {
        let in_domain = format!("{domain}/{label}");
        json!({
            "domain": domain, "reason": reason, "session_types": types,
            "plist": properties(domain.starts_with("user/")),
            "bootstrap": [tool("launchctl"), "bootstrap", domain, plist],
            "bootout": [tool("launchctl"), "bootout", domain, plist],
            "bootout_by_label": [tool("launchctl"), "bootout", in_domain],
            "print_job": [tool("launchctl"), "print", in_domain],
        })
    };
    let stand_ins = json!({"launchctl": tool("launchctl"), "log": tool("log"), "plutil": tool("plutil")});
    json!({
        "schema_version": "runtime-tools.launchd_job.v0.1",
        "run_id": RUN,
        "label": label,
        "root": suite,
        "stage": {
            "root": stage,
            "mode": "0700",
            "directories": [
                format!("{stage}/bin"), format!("{stage}/log"), format!("{stage}/root"), format!("{stage}/root/out"),
                format!("{stage}/root/registry"), format!("{stage}/root/sb"), format!("{stage}/state"),
                format!("{stage}/tmp"),
            ],
            "files": [
                {"from": RUNTIME, "to": format!("{stage}/bin/runtime"), "mode": "0700"},
                file("fixtures.json"), file("plan.json"), file("registry/probes.json"), file("registry/profiles.json"),
                file("sb/p0.sb"),
            ],
            "written": [
                format!("{stage}/owner.json"), format!("{stage}/owner.lock"), format!("{stage}/job.json"), plist,
            ],
        },
        "job": {
            "schema_version": "runtime-tools.launchd_job.v0.1",
            "run_id": RUN,
            "label": label,
            "arguments": [
                "run", "--plan", format!("{stage}/root/plan.json"), "--out", format!("{stage}/root/out"),
                "--root", format!("{stage}/root"), "--channel", "direct", "--jobs", "3",
                "--probe-timeout-seconds", "10", "--only-profile", "demo:reads", "--only-scenario", "demo:reads:may",
                "--preflight", "off", "--rebind-world",
            ],
            "stage_root": stage,
            "output_root": format!("{stage}/root/out"),
            "recorded_dir": format!("out/{RUN}"),
            "launchd_pid": null,
            "stand_in_tools": stand_ins,
        },
        "job_path": format!("{stage}/job.json"),
        "plist_path": plist,
        "output": [format!("{stage}/log/{label}.stdout.txt"), format!("{stage}/log/{label}.stderr.txt")],
        "choose_domain": [tool("launchctl"), "print", format!("gui/{}", uid())],
        "lint": [tool("plutil"), "-lint", plist],
        "domains": [
            domain(format!("gui/{}", uid()), "gui_domain_available", Value::Null),
            domain(format!("user/{}", uid()), "gui_domain_unavailable", json!(["Background"])),
        ],
        "log_show": [
            tool("log"), "show", "--last", "2m", "--style", "compact", "--predicate",
            "subsystem == \"com.apple.xpc.launchd\" OR process == \"launchd\"",
        ],
        "helper_limit_s": 7.0,
        "wait": {
            "started": format!("{stage}/state/started.json"),
            "lock": format!("{stage}/state/worker.lock"),
            "finished": format!("{stage}/state/finished.json"),
            "progress": format!("{stage}/state/progress.jsonl"),
            "poll_ms": 100,
            "start_limit_s": 8.0,
            "limit_s": 9.0,
        },
        "collect": {
            "from": format!("{stage}/root/out/{RUN}"),
            "to": format!("{suite}/out/{RUN}"),
            "order": ["artifacts", "launchctl", "run_status.json", "artifact_index.json", "LATEST"],
        },
        "stand_in_tools": stand_ins,
    })
}

/// Every option that reaches the job.
const OPTIONS: [&str; 18] = [
    "--print-job",
    "--jobs",
    "3",
    "--only-profile",
    "demo:reads",
    "--only-scenario",
    "demo:reads:may",
    "--preflight",
    "off",
    "--rebind-world",
    "--launchd-helper-seconds",
    "7",
    "--launchd-start-seconds",
    "8",
    "--launchd-timeout-seconds",
    "9",
    "--probe-timeout-seconds",
    "10",
];

#[test]
fn the_printed_job_is_exactly_this() {
    let bench = Bench::new();
    let variables = [
        ("SANDBOX_LORE_RUN_ID", RUN),
        ("WITNESS_OBSERVER_MODE", "off"),
        ("SANDBOX_LORE_IKIT_SWEEP", "3"),
        ("SANDBOX_LORE_CHANNEL", "direct"),
        ("DYLD_INSERT_LIBRARIES", "/x"),
    ];
    let output = bench.run_with(&variables, &OPTIONS);
    expect(&output, 0);
    let printed = Bench::answer(&output);
    let expected = expected(&bench);
    assert_eq!(differences(&printed, &expected), Vec::<String>::new(), "{printed:#}");
    assert_every_mutation_is_seen(&expected, "job");
    crate::exact::assert_meets("launchd-job", &printed);
    // Printing does nothing else.
    assert!(!bench.suite.out().exists() && !bench.base().exists() && bench.calls().is_empty());
}

#[test]
fn a_job_is_printed_where_there_is_no_launchd() {
    let bench = Bench::new();
    let plan = bench.suite.write();
    let output =
        crate::suite::runtime(&["run", "--plan", plan.to_str().unwrap(), "--channel", "launchd_clean", "--print-job"]);
    expect(&output, 0);
    let printed = Bench::answer(&output);
    assert_eq!(printed["lint"][0], "/usr/bin/plutil");
    assert_eq!(printed["choose_domain"][0], "/bin/launchctl");
    assert_eq!(printed["log_show"][0], "/usr/bin/log");
    assert_eq!((&printed["job"]["launchd_pid"], &printed["stand_in_tools"]), (&json!(1), &json!({})));
    let root = printed["stage"]["root"].as_str().unwrap();
    let base = format!("/private/tmp/sandbox-lore-launchctl-{}/sandbox-lore.runtime.", uid());
    assert!(root.starts_with(&base), "{root}");
    assert!(!bench.suite.out().exists());
}

#[test]
fn other_channels_have_no_job_to_print() {
    let bench = Bench::new();
    let plan = bench.suite.write();
    let output = crate::suite::runtime(&["run", "--plan", plan.to_str().unwrap(), "--print-job"]);
    expect(&output, 2);
    assert!(text(&output).contains("--channel launchd_clean"), "{}", text(&output));
}

#[test]
fn the_property_list_that_launchd_gets_is_the_planned_one() {
    let bench = Bench::new();
    expect(&bench.run_with(&[("SANDBOX_LORE_RUN_ID", RUN)], &[]), 0);
    let output = bench.run_with(&[("SANDBOX_LORE_RUN_ID", RUN)], &["--print-job"]);
    let printed = Bench::answer(&output);
    let stored = plist::Value::from_file(bench.suite.latest().join("launchctl/job.plist")).unwrap();
    let stored = serde_json::to_value(&stored).unwrap();
    assert_eq!(differences(&stored, &printed["domains"][0]["plist"]), Vec::<String>::new());
    let calls = bench.calls();
    let planned = |argv: &Value| {
        let words: Vec<&str> = argv.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        let (program, rest) = words.split_first().unwrap();
        format!("{} {}", program.rsplit('/').next().unwrap(), rest.join(" "))
    };
    let domain = &printed["domains"][0];
    let expected = [&printed["choose_domain"], &printed["lint"], &domain["bootstrap"], &domain["bootout"]].map(planned);
    assert_eq!(calls, expected, "what is run is what is printed");
}

#[test]
fn every_field_of_the_diagnostics_is_exactly_this() {
    let bench = Bench::new().fault("bootstrap_refused");
    expect(&bench.run_with(&[("SANDBOX_LORE_RUN_ID", RUN)], &[]), 1);
    let found = bench.diagnostics();
    let label = format!("sandbox-lore.runtime.{RUN}");
    let stage = bench.base().join(&label).display().to_string();
    let tool = |name: &str| bench.tool(name).display().to_string();
    let gui = format!("gui/{}", uid());
    let ran = |name: &str, argv: Value, rc: i32| {
        let path = |stream: &str| format!("out/{RUN}/launchctl/{label}.{name}.{stream}.txt");
        json!({"argv": argv, "rc": rc, "stdout_path": path("stdout"), "stderr_path": path("stderr")})
    };
    let plist = format!("{stage}/job.plist");
    let expected = json!({
        "label": label,
        "run_id": RUN,
        "domain": gui,
        "domain_reason": "gui_domain_available",
        "session_types": null,
        "plist_path": format!("out/{RUN}/launchctl/job.plist"),
        "launchctl_cmds": [
            ran(&format!("launchctl_print.gui_{}", uid()), json!([tool("launchctl"), "print", gui]), 0),
            ran("plutil_lint", json!([tool("plutil"), "-lint", plist]), 0),
            ran("bootstrap", json!([tool("launchctl"), "bootstrap", gui, plist]), 5),
        ],
        "log_show": ran("launchd_logshow", json!([
            tool("log"), "show", "--last", "2m", "--style", "compact", "--predicate",
            "subsystem == \"com.apple.xpc.launchd\" OR process == \"launchd\"",
        ]), 0),
        "bootstrap_failure": {"classification": "bootstrap_failed", "rc": 5},
        "stage_root": stage,
        "wait": {"start_limit_s": 60.0, "limit_s": 900.0, "waited_s": null, "ended": null},
        "completion": null,
        "failure": {
            "kind": "bootstrap_failed",
            "message": "launchd did not take the job (bootstrap_failed): launchctl bootstrap ended with 5",
            "hint": "launchctl's words and the log are in the bundle, launchctl/*.bootstrap.* and \
                     launchctl/*.launchd_logshow.*",
        },
        "left_behind": [],
        "stand_in_tools": ["launchctl", "log", "plutil"],
    });
    assert_eq!(differences(&found, &expected), Vec::<String>::new(), "{found:#}");
    assert_every_mutation_is_seen(&expected, "diagnostics");
    crate::exact::assert_meets("launchctl-diagnostics", &found);
    let run = bench.suite.latest();
    for command in expected["launchctl_cmds"].as_array().unwrap().iter().chain([&expected["log_show"]]) {
        for path in ["stdout_path", "stderr_path"] {
            let path = bench.suite.path().join(command[path].as_str().unwrap());
            assert!(path.is_file(), "{}", path.display());
        }
    }
    let last: Value =
        serde_json::from_slice(&std::fs::read(run.join("launchctl/launchctl_last_run.json")).unwrap()).unwrap();
    assert_eq!(last, json!({"label": label, "run_id": RUN, "stage_root": stage}));
}
