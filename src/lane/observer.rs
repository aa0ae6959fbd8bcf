//! The witness observer: a program outside the sandbox that is asked, after a probe, what the system's log says about it.
//!
//! Its answer is kept beside the row and in a file of the bundle. Nothing is decided by it and no event is made of it.

use std::ffi::OsString;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::base::cancel::Cancel;
use crate::base::ids::file_stem;
use crate::event::ResultRow;
use crate::host::WitnessObserver;
use crate::os::process::run_tool;

/// The most bytes of an answer that are kept.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Asks about one row. Returns the record for the row, and what the program printed with the name of the file it goes to.
#[must_use]
pub fn observe(
    observer: &WitnessObserver,
    (profile_id, plan_id): (&str, &str),
    row: &ResultRow,
    cancel: &Cancel,
) -> (Value, Option<(String, Vec<u8>)>) {
    let skipped = |why: &str| (json!({"skipped": why}), None);
    if observer.disabled {
        return skipped("observer_disabled");
    }
    let Some(program) = &observer.program else { return skipped("observer_missing") };
    let details = row.probe_details.as_ref();
    let detail = |keys: &[&str]| keys.iter().find_map(|key| details?.get(key).cloned());
    let record = row.own_record.and_then(|own| row.decision_records.get(own)).or(row.decision_records.first());
    let pid = detail(&["service_pid", "probe_pid", "pid"]).and_then(|pid| pid.as_i64());
    let pid = pid.or(record.map(|record| i64::from(record.pid)));
    let named = detail(&["process_name", "service_name"]).and_then(|name| name.as_str().map(str::to_owned));
    let name = named.or_else(|| record.and_then(|record| record.process.clone()));
    // Names are fetched for refusals only; the worker's own is that of its program.
    let worker = || row.command.first().and_then(|program| program.rsplit('/').next()).map(str::to_owned);
    let (Some(pid), Some(name)) = (pid, name.or_else(worker)) else { return skipped("missing_pid_or_process_name") };
    let (mut arguments, window) = arguments(observer, row, pid, &name);
    for (flag, value) in [("--plan-id", plan_id), ("--row-id", row.expectation_id.as_str())] {
        arguments.extend([flag.to_owned(), value.to_owned()]);
    }
    let command: Vec<String> = [program.display().to_string()].into_iter().chain(arguments.clone()).collect();
    let arguments: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();
    let mut told = json!({
        "command": command, "exit_code": null, "stderr": "", "log_path": null, "log_write_error": null, "pid": pid,
        "process_name": name, "last": observer.last, "plan_id": plan_id, "row_id": row.expectation_id,
        "correlation_id": null, "stdout_bytes": 0, "report": null, "report_error": null,
    });
    let members = told.as_object_mut().expect("written as an object above");
    members.extend(window.as_object().cloned().unwrap_or_default());
    let end = match run_tool(program, &arguments, observer.limit, MAX_ANSWER_BYTES, cancel) {
        Ok(end) => end,
        Err(error) => {
            members.insert("report_error".to_owned(), json!(crate::base::error_chain(&error)));
            return (told, None);
        }
    };
    let path = format!("observer/{}.observer.json", label(profile_id, &row.expectation_id));
    let (report, report_error) = match (end.timed_out, end.truncated, serde_json::from_slice::<Value>(&end.stdout)) {
        (true, ..) => (Value::Null, Some(format!("no answer within {} s", observer.limit.as_secs_f64()))),
        (_, true, _) => (Value::Null, Some(format!("the answer has more than {MAX_ANSWER_BYTES} bytes"))),
        (.., Ok(report @ Value::Object(_))) => (report, None),
        (.., Ok(_)) => (Value::Null, Some("the answer is not an object".to_owned())),
        (.., Err(error)) => (Value::Null, Some(format!("the answer is not JSON: {error}"))),
    };
    members.insert("exit_code".to_owned(), json!(end.exit_status));
    members.insert("stderr".to_owned(), json!(String::from_utf8_lossy(&end.stderr)));
    members.insert("log_path".to_owned(), json!(path));
    members.insert("stdout_bytes".to_owned(), json!(end.stdout.len()));
    members.insert("report".to_owned(), report);
    members.insert("report_error".to_owned(), json!(report_error));
    (told, Some((path, end.stdout)))
}

/// What the file of an answer is called: no two rows of a run share one. An encoded id holds no `+`, and within a profile no
/// expectation stands twice.
fn label(profile_id: &str, expectation_id: &str) -> String {
    format!("{}+{}", file_stem(profile_id), file_stem(expectation_id))
}

/// The program's arguments, and what the record says about the window they ask for.
fn arguments(observer: &WitnessObserver, row: &ResultRow, pid: i64, name: &str) -> (Vec<String>, Value) {
    let mut arguments: Vec<String> =
        ["--pid", &pid.to_string(), "--process-name", name, "--format", "json"].map(str::to_owned).into();
    let local = |at_unix_s: f64| {
        let at = Timestamp::from_nanosecond((at_unix_s * 1e9) as i128).ok()?;
        Some(at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string())
    };
    let start = local(row.cmd_started_at_unix_s - observer.pad_s);
    let end = local(row.cmd_finished_at_unix_s + observer.pad_s);
    let window = match (start, end) {
        (Some(start), Some(end)) if row.cmd_finished_at_unix_s > 0.0 => {
            arguments.extend(["--start", &start, "--end", &end].map(str::to_owned));
            json!({
                "observer_window_mode": "range", "observer_window_start": start, "observer_window_end": end,
                "observer_window_pad_s": observer.pad_s,
            })
        }
        _ => {
            arguments.extend(["--last", &observer.last].map(str::to_owned));
            json!({"observer_window_mode": "last", "observer_window_last": observer.last})
        }
    };
    (arguments, window)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_read_alike_side_by_side_have_files_of_their_own() {
        let pairs = [("a.b", "c"), ("a", "b.c"), ("a.b+c", ""), ("a", "b+c"), ("a+b", "c"), ("a%2Bb", "c")];
        let labels: std::collections::BTreeSet<String> = pairs.iter().map(|(p, e)| label(p, e)).collect();
        assert_eq!(labels.len(), pairs.len(), "{labels:?}");
    }
}
