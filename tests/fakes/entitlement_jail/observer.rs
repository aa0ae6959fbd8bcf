//! `sandbox-log-observer`, and the reports that `run-xpc` makes with it.

use serde_json::{Value, json};

use crate::common::{envelope, fault, help, misuse, rust_text};
use crate::flags::Flags;

const HELP: &str = include_str!("../../../fixtures/entitlement-jail/contract/sandbox-log-observer.help.txt");
const WITH_VALUE: &[&str] = &[
    "--pid",
    "--process-name",
    "--start",
    "--end",
    "--last",
    "--duration",
    "--predicate",
    "--format",
    "--output",
    "--plan-id",
    "--row-id",
    "--correlation-id",
];

pub(crate) fn main(args: &[String]) -> u8 {
    if matches!(args, [only] if ["-h", "--help", "help"].contains(&only.as_str())) {
        return help(HELP);
    }
    match report(args) {
        Ok((text, output)) => {
            if fault("observer-hang") {
                crate::common::hang();
            }
            if let Some(path) = output
                && std::fs::write(path, &text).is_err()
            {
                return 1;
            }
            println!("{}", if fault("observer-noise") { "no report today" } else { &text });
            0
        }
        Err(why) => misuse(&why),
    }
}

fn report(args: &[String]) -> Result<(String, Option<String>), String> {
    let flags = Flags::read(args, WITH_VALUE, &["--follow"])?;
    if let Some(stranger) = flags.rest.first() {
        return Err(format!("unknown argument {stranger}"));
    }
    let pid: i32 = flags.get("--pid").and_then(|pid| pid.parse().ok()).ok_or("--pid is required")?;
    if flags.get("--process-name").is_none() && flags.get("--predicate").is_none() {
        return Err("--process-name is required".to_owned());
    }
    if flags.has("--start") != flags.has("--end") {
        return Err("--start and --end go together".to_owned());
    }
    let is_time = |text: &str| text.len() == 19 && text.as_bytes()[10] == b' ' && text.as_bytes()[13] == b':';
    if [flags.get("--start"), flags.get("--end")].into_iter().flatten().any(|text| !is_time(text)) {
        return Err("not YYYY-MM-DD HH:MM:SS".to_owned());
    }
    flags.at_most_one(&["--start", "--last", "--duration", "--follow"])?;
    flags.number("--duration", f64::MIN_POSITIVE)?;
    if flags.get("--format").is_some_and(|format| !["json", "jsonl"].contains(&format)) {
        return Err("--format json or jsonl".to_owned());
    }
    let document = document(pid, flags.get("--process-name").unwrap_or_default(), |key| flags.get(key));
    let text = match flags.get("--format") {
        Some("jsonl") => runtime::base::json::to_line(&document),
        _ => rust_text(&document),
    };
    Ok((text, flags.get("--output").map(str::to_owned)))
}

/// The lines that are called refusals.
pub(crate) fn deny_lines(pid: i32, process: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if fault("banner") {
        lines.push(format!(
            "2031-05-04 09:15:06.000000+0000  localhost log[77]: (LoggingSupport) filter: {}",
            predicate(pid, process)
        ));
    }
    if fault("deny") {
        lines.push(format!(
            "2031-05-04 09:15:08.123456+0000  localhost kernel[0]: (Sandbox) Sandbox: {process}({pid}) deny(1) file-read-data /etc/hosts"
        ));
    }
    lines
}

fn predicate(pid: i32, process: &str) -> String {
    format!(
        "(eventMessage CONTAINS[c] \"Sandbox: {process}({pid})\") OR (eventMessage CONTAINS[c] \"deny\" AND eventMessage CONTAINS \"{pid}\")"
    )
}

pub(crate) fn document<'a>(pid: i32, process: &str, flag: impl Fn(&str) -> Option<&'a str>) -> Value {
    let failed = fault("observer-not-ok");
    let lines = deny_lines(pid, process);
    let live = flag("--duration").is_some() || flag("--follow").is_some();
    let default_last = (flag("--start").is_none() && !live).then_some("5s");
    envelope(
        "sandbox_log_observer_report",
        json!({"ok": !failed, "rc": null, "exit_code": if failed { 3 } else { 0 }, "normalized_outcome": null,
               "errno": null, "error": null, "stdout": null, "stderr": null}),
        json!({
            "observer_schema_version": 1, "mode": if live { "stream" } else { "show" }, "duration_ms": 3,
            "plan_id": flag("--plan-id"), "row_id": flag("--row-id"), "correlation_id": flag("--correlation-id"),
            "pid": pid, "process_name": process, "predicate": predicate(pid, process), "start": flag("--start"),
            "end": flag("--end"), "last": flag("--last").or(default_last), "log_rc": if failed { 64 } else { 0 },
            "log_stdout": lines.join("\n"), "log_stderr": "",
            "log_error": failed.then_some("log: Could not open local log store"), "log_truncated": false,
            "observed_lines": lines.len() + 1, "observed_deny": !lines.is_empty(), "deny_lines": lines,
            "layer_attribution": {"seatbelt": "observer_only"},
        }),
    )
}
