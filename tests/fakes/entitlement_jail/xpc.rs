//! `run-xpc`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::common::{before_answer, envelope, fault, help, home, misuse, now_ms, print, support, swift_text};
use crate::flags::Flags;
use crate::observer;
use crate::wait::{self, Wait, Waited};

const HELP: &str = include_str!("../../../fixtures/entitlement-jail/contract/run-xpc.help.txt");
const WITH_VALUE: &[&str] = &[
    "--log-stream",
    "--log-path-class",
    "--log-name",
    "--log-predicate",
    "--observer-duration",
    "--observer-format",
    "--observer-output",
    "--json-out",
    "--plan-id",
    "--row-id",
    "--correlation-id",
    "--expected-outcome",
    "--hold-open",
    "--xpc-timeout-ms",
];
const ALONE: &[&str] = &["--observe", "--observer-follow", "--wait-create"];
const APP: &str = "com.yourteam.entitlement-jail";

/// Profile ids with their tier.
pub(crate) const PROFILES: [(&str, u8); 3] = [("minimal", 0), ("get-task-allow", 1), ("fully_injectable", 2)];

pub(crate) fn service_of(profile: &str) -> String {
    format!("{APP}.ProbeService_{profile}")
}

pub(crate) fn main(args: &[String]) -> u8 {
    if matches!(args, [only] if ["-h", "--help", "help"].contains(&only.as_str())) {
        return help(HELP);
    }
    match run(args) {
        Ok(status) => status,
        Err(why) => misuse(&why),
    }
}

/// Takes a flag and the word after it out of the whole list.
fn strip(args: &mut Vec<String>, flag: &str) -> Option<String> {
    let at = args.iter().position(|word| word == flag)?;
    let taken: Vec<String> = args.drain(at..(at + 2).min(args.len())).collect();
    taken.into_iter().nth(1)
}

struct Call {
    flags: Flags,
    service: String,
    process: String,
    container: PathBuf,
    probe: String,
    probe_args: Vec<String>,
    correlation_id: String,
    log: Option<PathBuf>,
}

fn call(args: &[String]) -> Result<Call, String> {
    let mut args = args.to_vec();
    let (profile, ack) = (strip(&mut args, "--profile"), strip(&mut args, "--ack-risk"));
    let with_value: Vec<&str> = WITH_VALUE.iter().chain(wait::WITH_VALUE).copied().collect();
    let flags = Flags::read(&args, &with_value, ALONE)?;
    let mut rest = flags.rest.clone().into_iter();
    let known = |selector: &str| {
        PROFILES.into_iter().find(|(id, _)| {
            let service = service_of(id);
            selector == *id || selector == service || service.ends_with(&format!(".{selector}"))
        })
    };
    let selector = match &profile {
        Some(profile) => profile.clone(),
        None => rest.next().ok_or("no service")?,
    };
    let (id, tier) = known(&selector).ok_or_else(|| format!("unknown profile or service {selector}"))?;
    let service = service_of(id);
    match tier {
        1 => eprintln!("warning: {id} is a profile of tier 1"),
        2 if !ack.is_some_and(|ack| ack == id || ack == service) => return Err(format!("{id} needs --ack-risk")),
        _ => {}
    }
    let probe = rest.next().ok_or("no probe")?;
    flags.at_most_one(&["--log-stream", "--log-path-class"])?;
    flags.at_most_one(&["--observer-duration", "--observer-follow"])?;
    if flags.has("--log-path-class") != flags.has("--log-name") {
        return Err("--log-path-class and --log-name go together".to_owned());
    }
    if flags.get("--log-name").is_some_and(|name| name.contains('/')) {
        return Err("--log-name is one component".to_owned());
    }
    if matches!(flags.get("--log-stream"), Some("stdout" | "-")) && !flags.has("--json-out") {
        return Err("--log-stream stdout needs --json-out".to_owned());
    }
    if flags.has("--log-predicate") && !flags.has("--log-stream") && !flags.has("--log-name") {
        return Err("--log-predicate needs a capture".to_owned());
    }
    if flags.get("--observer-format").is_some_and(|format| !["json", "jsonl"].contains(&format)) {
        return Err("--observer-format json or jsonl".to_owned());
    }
    flags.number("--observer-duration", f64::MIN_POSITIVE)?;
    flags.number("--hold-open", 0.0)?;
    flags.number("--xpc-timeout-ms", 0.0)?;
    let container = home().join("Library/Containers").join(&service).join("Data");
    let correlation_id = flags.get("--correlation-id").map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
    let automatic = || support().join("logs").join(format!("sandbox-log-stream.{}.{id}.{probe}.json", now_ms()));
    let log = match (flags.get("--log-stream"), flags.get("--log-name")) {
        (Some("auto"), _) => Some(automatic()),
        (Some(path), _) => Some(PathBuf::from(path)),
        (_, Some(name)) => Some(container.join("tmp").join(name)),
        _ => None,
    };
    let process = service.rsplit('.').next().unwrap_or_default().to_owned();
    Ok(Call { service, process, container, probe, probe_args: rest.collect(), correlation_id, log, flags })
}

fn run(args: &[String]) -> Result<u8, String> {
    let call = call(args)?;
    let own_wait = Wait::of(&call.flags, &call.container, &call.correlation_id)?;
    let probe_wait = if call.probe == "fs_op_wait" {
        let flags = Flags::read(&call.probe_args, wait::WITH_VALUE, &["--wait-create"])?;
        Wait::of(&flags, &call.container, &call.correlation_id)?
    } else {
        None
    };
    let pid = std::process::id();
    eprintln!("[client] pid-ready pid={pid} process_name={} correlation_id={}", call.process, call.correlation_id);
    before_answer();
    let mut outcome = ("ok", None, 0);
    let mut waited = Map::new();
    for wait in [&own_wait, &probe_wait].into_iter().flatten() {
        waited.insert("probe_family".to_owned(), json!("wait"));
        waited.insert("wait_path".to_owned(), json!(wait.path));
        match wait.hold() {
            Waited::Released => waited.clear(),
            Waited::TimedOut => outcome = ("timeout", Some("wait timeout"), 1),
            Waited::Failed => outcome = ("wait_failed", Some("no named pipe"), 1),
        }
    }
    match call.probe.as_str() {
        _ if outcome.2 != 0 => {}
        "capabilities_snapshot" | "world_shape" | "fs_op" | "fs_op_wait" => {}
        "denied" => outcome = ("permission_error", Some("Operation not permitted"), 1),
        _ => outcome = ("unknown_probe", Some("unknown probe"), 2),
    }
    let (word, error, rc) = outcome;
    let not_ok = fault("not-ok");
    let data = data(&call, waited);
    let result = json!({"ok": rc == 0 && !not_ok, "rc": if not_ok { Value::Null } else { json!(rc) },
                        "normalized_outcome": word, "error": error, "stdout": "", "stderr": ""});
    let text = swift_text(&envelope("probe_response", result, data));
    match call.flags.get("--json-out").map(|path| std::fs::write(path, &text)) {
        Some(Ok(())) => {}
        _ => print(&text),
    }
    let hold = call.flags.number("--hold-open", 0.0)?.or(call.flags.number("--attach", 0.0)?);
    std::thread::sleep(std::time::Duration::from_secs_f64(hold.unwrap_or(0.0)));
    Ok(u8::try_from(rc).unwrap_or(1))
}

fn data(call: &Call, waited: Map<String, Value>) -> Value {
    let pid = std::process::id();
    let flags = &call.flags;
    let mut details = waited;
    details.insert("correlation_id".to_owned(), json!(call.correlation_id));
    details.insert("process_name".to_owned(), json!(call.process));
    let shown = if fault("text-pid") {
        json!("unknown")
    } else if fault("number-pid") {
        json!(pid)
    } else {
        json!(pid.to_string())
    };
    for key in ["service_pid", "probe_pid", "pid"].into_iter().filter(|_| !fault("no-pid")) {
        details.insert(key.to_owned(), shown.clone());
    }
    let echoed = |flag: &str| {
        flags.get(flag).map(|own| if fault("wrong-ids") { format!("other {own}") } else { own.to_owned() })
    };
    let mut data = json!({
        "probe_id": call.probe, "argv": call.probe_args, "plan_id": echoed("--plan-id"), "row_id": echoed("--row-id"),
        "correlation_id": call.correlation_id, "service_bundle_id": call.service, "details": details,
        "log_capture_status": "not_requested", "log_observer_status": "not_requested", "deny_evidence": "not_captured",
    });
    let pid = i32::try_from(pid).unwrap_or_default();
    let lines = observer::deny_lines(pid, &call.process);
    if let Some(log) = &call.log {
        let report = envelope(
            "sandbox_log_stream_report",
            json!({"ok": true, "exit_code": 0}),
            json!({"pid": pid.to_string(), "process_name": call.process, "predicate": "p", "log_rc": 0, "log_rc_raw": 15,
                   "log_stdout": lines.join("\n"), "log_stderr": "", "observed_lines": lines.len(),
                   "observed_deny": !lines.is_empty(), "layer_attribution": {"seatbelt": "log_stream"}}),
        );
        let written = !fault("no-log") && write(log, &swift_text(&report));
        data["log_capture_status"] = json!(if written { "requested_written" } else { "requested_failed" });
        data["log_capture_path"] = json!(log);
        data["log_capture_observed_lines"] = json!(lines.len());
        data["log_capture_observed_deny"] = json!(!lines.is_empty());
        data["log_capture_predicate"] = json!("p");
    }
    let asked = ["--observe", "--observer-duration", "--observer-follow", "--observer-format", "--observer-output"];
    if call.log.is_some() || fault("report-anyway") || asked.iter().any(|flag| flags.has(flag)) {
        observe(call, pid, &mut data);
    }
    data
}

fn observe(call: &Call, pid: i32, data: &mut Value) {
    let program = std::env::args().next().unwrap_or_default();
    let observer = Path::new(&program).with_file_name("sandbox-log-observer");
    if (!observer.exists() && !fault("report-anyway")) || fault("no-report") {
        data["log_observer_status"] = json!("requested_failed");
        data["log_observer_error"] =
            json!(if observer.exists() { "observer_decode_failed" } else { "observer_missing" });
        data["deny_evidence"] = json!(if call.log.is_some() { "not_found" } else { "log_error" });
        return;
    }
    let report = observer::document(pid, &call.process, |flag| match flag {
        "--correlation-id" => Some(call.correlation_id.as_str()),
        "--start" => Some("2031-05-04 09:15:05"),
        "--end" => Some("2031-05-04 09:15:11"),
        "--duration" | "--follow" | "--last" => None,
        other => call.flags.get(other),
    });
    let path = match (call.flags.get("--observer-output"), &call.log) {
        (Some(path), _) if path != "auto" => PathBuf::from(path),
        (None, Some(log)) => PathBuf::from(format!("{}.observer.json", log.display())),
        _ => support().join("logs").join(format!("sandbox-log-observer.{}.{}.json", now_ms(), call.correlation_id)),
    };
    let ok = report["result"]["ok"] == true && write(&path, &crate::common::rust_text(&report));
    let denied = report["data"]["observed_deny"].as_bool().unwrap_or_default();
    data["log_observer_status"] = json!(if ok { "requested_written" } else { "requested_failed" });
    data["log_observer_error"] = if ok { Value::Null } else { json!("observer_report_not_ok") };
    data["log_observer_path"] = json!(path);
    data["log_observer_observed_deny"] = json!(denied);
    data["log_observer_deny_lines"] = report["data"]["deny_lines"].clone();
    data["deny_evidence"] = json!(if denied { "captured" } else { "not_found" });
    let mut embedded = report;
    if let Some(members) = embedded["data"].as_object_mut() {
        members.remove("layer_attribution");
    }
    data["log_observer_report"] = embedded;
}

fn write(path: &Path, text: &str) -> bool {
    let made = path.parent().map(std::fs::create_dir_all);
    made.is_some_and(|made| made.is_ok()) && std::fs::write(path, text).is_ok()
}
