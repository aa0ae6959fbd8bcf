//! The observer: asked after a probe about one process and one window of time, and its report judged by its own health.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::arguments::{self, Span};
use super::call::{call, lossy, members};
use super::client::Client;
use super::deny::{self, Denied};
use super::envelope::{Answer, usable_pid};
use super::session::{Done, Records, Work, name, record};
use super::{JailError, Problem};
use crate::base::cancel::Cancel;
use crate::base::rel_path::RelPath;
use crate::os::input::{is_directory, is_file};

/// Tag of the record of [`observe`].
const TAG: &str = "runtime-tools.entitlement_jail_observation.v0.1";
/// Kind of an observer's report.
pub(super) const REPORT_KIND: &str = "sandbox_log_observer_report";

/// Whom the observer is asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// Process id as text.
    pub pid: Option<String>,
    /// Name of the process.
    pub process_name: Option<String>,
    /// Start and end in seconds since 1970, without padding; `None`: not known.
    pub range_unix_s: Option<(f64, f64)>,
    /// Echoed in the report.
    pub plan_id: Option<String>,
    /// Echoed in the report.
    pub row_id: Option<String>,
    /// Echoed in the report.
    pub correlation_id: Option<String>,
}

/// A source of deny evidence, and whether it can be believed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Source {
    source: &'static str,
    /// What the app says about it, or how the observer ended.
    status: String,
    /// Whether its report is one, is about this process, and says that the log could be read.
    healthy: bool,
    /// Why not.
    reasons: Vec<String>,
    mode: Option<String>,
    observed_deny: Option<bool>,
    denied: usize,
    other_lines: usize,
}

/// What a source told.
pub(super) struct Told {
    pub(super) source: Source,
    pub(super) denied: Vec<Denied>,
}

/// Judges a report. `ids` are those that were sent: plan, row, correlation.
pub(super) fn judge(
    who: &'static str,
    status: &str,
    report: Option<&Value>,
    failure: Option<String>,
    subject: &Subject,
) -> Told {
    let mut reasons: Vec<String> = failure.into_iter().collect();
    let text = |pointer: &str| report?.pointer(pointer)?.as_str();
    match report {
        None => reasons.push("no_report".to_owned()),
        Some(report) => {
            let mut note = |holds: bool, why: &str| reasons.extend(holds.then(|| why.to_owned()));
            note(text("/kind") != Some(REPORT_KIND), "wrong_kind");
            note(report.pointer("/result/ok").and_then(Value::as_bool) != Some(true), "result_not_ok");
            let pid =
                report.pointer("/data/pid").map(|pid| pid.as_str().map_or_else(|| pid.to_string(), str::to_owned));
            note(pid != subject.pid, "pid_differs");
            note(text("/data/process_name") != subject.process_name.as_deref(), "process_name_differs");
            let ids = [&subject.plan_id, &subject.row_id, &subject.correlation_id];
            for (key, sent) in ["plan_id", "row_id", "correlation_id"].iter().zip(ids) {
                let echoed = text(&format!("/data/{key}"));
                note(echoed.is_some() && sent.is_some() && echoed != sent.as_deref(), &format!("{key}_differs"));
            }
            note(report.pointer("/data/log_truncated").and_then(Value::as_bool) == Some(true), "log_truncated");
            let lines = report.pointer("/data/deny_lines").and_then(Value::as_array);
            note(lines.is_none() && text("/data/log_stdout").is_none(), "no_log");
            note(lines.is_some_and(|lines| !lines.iter().all(Value::is_string)), "deny_lines_not_text");
            if let Some(error) = report.pointer("/data/log_error").filter(|error| !error.is_null()) {
                reasons.push(format!("log_error: {}", error.as_str().map_or_else(|| error.to_string(), str::to_owned)));
            }
        }
    }
    let pid = subject.pid.as_deref().and_then(usable_pid);
    let read = match (report, pid, &subject.process_name) {
        (Some(report), Some(pid), Some(process)) => deny::read(report, pid, process, who),
        _ => deny::Read::default(),
    };
    let source = Source {
        source: who,
        status: status.to_owned(),
        healthy: reasons.is_empty(),
        reasons,
        mode: text("/data/mode").map(str::to_owned),
        observed_deny: report.and_then(|report| report.pointer("/data/observed_deny")?.as_bool()),
        denied: read.denied.len(),
        other_lines: read.other_lines,
    };
    Told { source, denied: read.denied }
}

/// `observer_sources` and `deny_evidence`: what all sources together say. A refusal that was seen is one, whoever saw it;
/// that none was seen counts only from a source that could look.
pub(super) fn evidence(told: Vec<Told>, problems: &mut Vec<Problem>) -> Map<String, Value> {
    let verdict = if told.iter().any(|own| !own.denied.is_empty()) {
        "captured"
    } else if told.iter().any(|own| own.source.healthy) {
        "not_found"
    } else if told.is_empty() {
        "not_captured"
    } else {
        problems.push(Problem::NoDenyEvidence);
        "log_error"
    };
    let (sources, denied): (Vec<Source>, Vec<Vec<Denied>>) =
        told.into_iter().map(|own| (own.source, own.denied)).unzip();
    let denied: Vec<Denied> = denied.into_iter().flatten().collect();
    members(json!({"observer_sources": sources, "deny_evidence": {"verdict": verdict, "denied": denied}}))
}

/// What came of asking the observer.
pub(super) struct Asked {
    /// The member `observer` of a record.
    pub(super) record: Value,
    /// `ok`, `error` or `skipped:…`.
    pub(super) status: String,
    /// What it told; `None` when it was not asked.
    pub(super) told: Option<Told>,
    /// How its program ended, where it was called.
    pub(super) problems: Vec<Problem>,
}

/// Asks the observer and keeps its answer, unread, as `keep_as`.
pub(super) fn ask(work: &mut Work<'_>, subject: &Subject, keep_as: &RelPath) -> Result<Asked, JailError> {
    let client = work.client;
    let skipped = |why: &str, more: Value| {
        let mut record = Map::from_iter([("skipped".to_owned(), json!(why))]);
        record.extend(members(more));
        let status = format!("skipped:{why}");
        let told = judge("external", &status, None, Some(why.to_owned()), subject);
        Asked { record: Value::Object(record), status, told: Some(told), problems: Vec::new() }
    };
    let program = client.observer()?;
    let pid = subject.pid.as_deref().filter(|pid| usable_pid(pid).is_some());
    let (Some(pid), Some(process)) = (pid, subject.process_name.as_deref()) else {
        return Ok(skipped("missing_pid_or_process_name", json!({})));
    };
    if !is_file(program.as_ref()) {
        return Ok(skipped("observer_missing", json!({"observer_path": client.shown(program.as_ref())})));
    }
    let Some((span, window)) = window(client, subject.range_unix_s) else {
        return Ok(skipped("empty_window", json!({})));
    };
    let ids = [&subject.plan_id, &subject.row_id, &subject.correlation_id].map(|id| id.as_deref());
    let argv = arguments::observer(&program, pid, process, &span, ids);
    let shown = client.shown_command(&argv);
    let called = call(client, argv, client.observer_timeout, work.cancel);
    let more = called.more(client);
    let end = match &called.end {
        Ok(end) => end,
        Err(error) => {
            let mut record = members(json!({"command": shown, "error": error}));
            record.extend(more);
            let told = judge("external", "error", None, Some("not_started".to_owned()), subject);
            let problems = vec![Problem::NotStarted];
            return Ok(Asked { record: Value::Object(record), status: "error".to_owned(), told: Some(told), problems });
        }
    };
    let answer = called.answer();
    let log_path = work.keep(keep_as, called.stdout())?;
    let failure = if end.timed_out {
        Some("timed_out".to_owned())
    } else if let Some(signal) = end.signal {
        Some(format!("signal: {signal}"))
    } else {
        match (end.exit_status, answer.error()) {
            (Some(status), _) if status != 0 => Some(format!("exit_status: {status}")),
            (_, why) => why.map(str::to_owned),
        }
    };
    let status = if end.exit_status == Some(0) { "ok" } else { "error" };
    let told = judge("external", status, report_of(&answer), failure, subject);
    let mut record = members(json!({
        "command": shown, "exit_code": called.exit_code(), "stderr": lossy(called.stderr()), "log_path": log_path,
        "log_write_error": null, "pid": pid, "process_name": process, "last": client.settings.last,
        "plan_id": subject.plan_id, "row_id": subject.row_id, "correlation_id": subject.correlation_id,
        "stdout_bytes": called.stdout().len(),
    }));
    record.extend(window);
    record.extend(more.into_iter().filter(|(key, _)| key != "stdout_bytes"));
    let problems = called.problems(&answer, REPORT_KIND);
    Ok(Asked { record: Value::Object(record), status: status.to_owned(), told: Some(told), problems })
}

fn report_of(answer: &Answer) -> Option<&Value> {
    answer.json().filter(|report| report.is_object())
}

/// The window that is asked about, and what the record says of it; `None`: its end lies before its start.
fn window(client: &Client, range_unix_s: Option<(f64, f64)>) -> Option<(Span, Map<String, Value>)> {
    let settings = &client.settings;
    let padded = range_unix_s.map(|(start, end)| ((start - settings.pad_s).floor(), (end + settings.pad_s).floor()));
    if padded.is_some_and(|(start, end)| end < start) {
        return None;
    }
    let range = padded.and_then(|(start, end)| Some((client.local(start)?, client.local(end)?)));
    Some(match range {
        Some((start, end)) => {
            let keys = json!({
                "observer_window_mode": "range", "observer_window_start": start, "observer_window_end": end,
                "observer_window_pad_s": settings.pad_s,
            });
            (Span::Range { start, end }, members(keys))
        }
        None => {
            let keys = json!({"observer_window_mode": "last", "observer_window_last": settings.last});
            (Span::Last(settings.last.clone()), members(keys))
        }
    })
}

/// Asks the observer about a process, without the app.
///
/// # Errors
/// [`JailError`]; an observer that fails, hangs or is not there is a record.
pub fn observe(client: &Client, subject: &Subject, records: &Records, cancel: &Cancel) -> Result<Done, JailError> {
    if !is_directory(&client.app) {
        return Err(JailError::NoApp { path: client.app.clone() });
    }
    let request = json!({
        "command": "observe", "pid": subject.pid, "process_name": subject.process_name,
        "start_unix_s": subject.range_unix_s.map(|(start, _)| start), "end_unix_s": subject.range_unix_s.map(|(_, end)| end),
        "plan_id": subject.plan_id, "row_id": subject.row_id, "correlation_id": subject.correlation_id,
    });
    let plan_id = subject.plan_id.as_deref().filter(|id| !id.is_empty()).unwrap_or("entitlement-jail");
    record(client, records, cancel, plan_id, &request, |work| {
        let asked = ask(work, subject, &name("observer/report"))?;
        let mut problems = asked.problems;
        if asked.status.starts_with("skipped:") {
            problems.push(Problem::NotStarted);
        }
        // The exit status of the observer says nothing about its health.
        problems.retain(|problem| *problem != Problem::ExitContradictsResult);
        let mut keys = members(json!({"observer": asked.record, "observer_status": asked.status}));
        keys.extend(evidence(asked.told.into_iter().collect(), &mut problems));
        keys.extend(work.last_keys(TAG, &request, &mut problems));
        Ok((Value::Object(keys), problems))
    })
}

/// The time limit of the observer unless another is set.
pub const OBSERVER_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_believed_only_when_it_is_healthy_and_about_this_process() {
        let subject = Subject {
            pid: Some("42".to_owned()),
            process_name: Some("P".to_owned()),
            range_unix_s: None,
            plan_id: Some("p".to_owned()),
            row_id: None,
            correlation_id: None,
        };
        let good = json!({
            "kind": REPORT_KIND, "result": {"ok": true},
            "data": {"pid": 42, "process_name": "P", "log_error": null, "plan_id": "p", "mode": "show", "deny_lines": []},
        });
        let reasons = |report: Option<&Value>| judge("external", "ok", report, None, &subject).source.reasons;
        assert_eq!(reasons(Some(&good)), Vec::<String>::new());
        assert_eq!(reasons(None), ["no_report"]);
        for (pointer, value, reason) in [
            ("/kind", json!("x"), "wrong_kind"),
            ("/result/ok", json!(false), "result_not_ok"),
            ("/data/pid", json!(43), "pid_differs"),
            ("/data/process_name", json!("Q"), "process_name_differs"),
            ("/data/plan_id", json!("other"), "plan_id_differs"),
            ("/data/log_error", json!("log failed"), "log_error: log failed"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            assert_eq!(reasons(Some(&bad)), [reason]);
            let mut problems = Vec::new();
            let told = judge("external", "ok", Some(&bad), None, &subject);
            assert_eq!(evidence(vec![told], &mut problems)["deny_evidence"]["verdict"], "log_error");
            assert_eq!(problems, [Problem::NoDenyEvidence]);
        }
        let mut problems = Vec::new();
        assert_eq!(evidence(vec![], &mut problems)["deny_evidence"]["verdict"], "not_captured");
        let told = judge("external", "ok", Some(&good), None, &subject);
        assert_eq!(evidence(vec![told], &mut problems)["deny_evidence"]["verdict"], "not_found");
        assert!(problems.is_empty());
    }
}
