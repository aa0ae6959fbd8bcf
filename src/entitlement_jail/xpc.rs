//! One probe: the call, its logs, the observer, the record.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::arguments::{self, Observation, ProbeCall, asks_external, safe_name};
use super::call::{Call, call, members};
use super::client::{Client, text};
use super::envelope::{Answer, Response, usable_pid};
use super::observer::{self, Subject};
use super::session::{Done, Records, Work, name, output_keys, record};
use super::settings::LogMode;
use super::{JailError, Problem, files};
use crate::base::cancel::Cancel;
use crate::base::ids::file_stem;
use crate::base::rel_path::RelPath;

/// Tag of the record of [`run_xpc`].
const TAG: &str = "runtime-tools.entitlement_jail_run.v0.1";
/// Kind of an answer of `run-xpc`.
pub(super) const ANSWER_KIND: &str = "probe_response";
/// The time limit of a probe unless another is set; what the app was told to wait is added.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One probe, and whether a log of it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XpcRequest {
    /// The probe.
    pub call: ProbeCall,
    /// Name of the log beneath `logs/` of the records directory; `None`: no log.
    pub log: Option<RelPath>,
}

/// Runs one probe.
///
/// # Errors
/// [`JailError`]. An app that fails, hangs, dies or answers nonsense is a record.
pub fn run_xpc(client: &Client, request: &XpcRequest, records: &Records, cancel: &Cancel) -> Result<Done, JailError> {
    check(&request.call)?;
    let cli = client.cli()?;
    let told = request_keys("run-xpc", request);
    record(client, records, cancel, plan_of(&request.call), &told, |work| {
        let logs = Logs::plan(work, request)?;
        let argv = arguments::run_xpc(&cli, &request.call, &client.settings, logs.asked());
        let shown = client.shown_command(&argv);
        let limit = client.timeout.unwrap_or(TIMEOUT + client.settings.observer_time());
        let called = call(client, argv, limit, cancel);
        let answer = called.answer();
        let mut problems = problems(&called, &answer, &request.call);
        let mut kept = logs.collect(work, &called, &answer, &request.call, &mut problems)?;
        let mut keys = ids(&request.call);
        keys.extend(logs.capture_keys(client));
        keys.extend(members(json!({
            "started_at_unix_s": called.started_at_unix_s, "finished_at_unix_s": called.finished_at_unix_s,
            "duration_s": called.finished_at_unix_s - called.started_at_unix_s,
        })));
        let evidence = kept.ask(work, &called, &answer, &request.call, &mut problems)?;
        keys.extend(kept.keys);
        keys.insert("command".to_owned(), json!(shown));
        keys.extend(output_keys(&called, false));
        match answer.json() {
            Some(document) => keys.insert("stdout_json".to_owned(), document.clone()),
            None => answer.error().and_then(|why| keys.insert("stdout_json_error".to_owned(), json!(why))),
        };
        keys.extend(common_keys(work, &called, &answer, &request.call)?);
        keys.extend(evidence);
        keys.extend(work.last_keys(TAG, &told, &mut problems));
        Ok((Value::Object(keys), problems))
    })
}

/// Refuses what the app could only misunderstand.
pub(super) fn check(call: &ProbeCall) -> Result<(), JailError> {
    let refuse = |what: &str| Err(JailError::Request(what.to_owned()));
    if call.service.profile_id.is_none() && call.service.service_id.is_none() {
        return refuse("neither a profile nor a service is named");
    }
    if call.probe_id.is_empty() || call.probe_id.starts_with('-') {
        return refuse("the name of a probe is not empty and does not begin with -");
    }
    // The app takes these two, and the word after each, out of the whole list, the probe's own arguments included.
    if call.probe_args.iter().any(|word| word == "--profile" || word == "--ack-risk") {
        return refuse(
            "the app takes --profile and --ack-risk for its own wherever they stand; a probe cannot be told them",
        );
    }
    let words = call.probe_args.iter().chain(&call.wait_args).chain([&call.probe_id, &call.plan_id, &call.row_id]);
    if words.into_iter().any(|word| word.contains('\0')) {
        return refuse("an argument cannot hold a NUL character");
    }
    Ok(())
}

pub(super) fn plan_of(call: &ProbeCall) -> &str {
    if call.plan_id.is_empty() { "entitlement-jail" } else { &call.plan_id }
}

/// What was asked for, as a record and its digest carry it.
pub(super) fn request_keys(command: &str, request: &XpcRequest) -> Value {
    let XpcRequest { call, log } = request;
    json!({
        "command": command, "profile_id": call.service.profile_id, "service_id": call.service.service_id,
        "use_profile": call.service.use_profile, "probe_id": call.probe_id, "probe_args": call.probe_args,
        "plan_id": call.plan_id, "row_id": call.row_id, "correlation_id": call.correlation_id, "ack_risk": call.ack_risk,
        "wait_args": call.wait_args, "log": log,
    })
}

fn ids(call: &ProbeCall) -> Map<String, Value> {
    members(json!({
        "profile_id": call.service.profile_id, "service_id": call.service.service_id, "probe_id": call.probe_id,
        "probe_args": call.probe_args, "plan_id": call.plan_id, "row_id": call.row_id,
    }))
}

/// Everything that is wrong with a call of a probe, but for its logs.
pub(super) fn problems(called: &Call, answer: &Answer, call: &ProbeCall) -> Vec<Problem> {
    let mut problems = called.problems(answer, ANSWER_KIND);
    if answer.json().is_none() {
        return problems;
    }
    let response = Response(answer.json());
    let differs = |key: &str, sent: &str| response.data_text(key).is_some_and(|echoed| echoed != sent);
    let correlation = call.correlation_id.as_deref();
    if differs("plan_id", &call.plan_id)
        || differs("row_id", &call.row_id)
        || correlation.is_some_and(|sent| response.correlation_id() != Some(sent))
    {
        problems.push(Problem::IdsDiffer);
    }
    if response.pid().as_deref().and_then(usable_pid).is_none() {
        problems.push(Problem::PidMissing);
    }
    problems
}

/// The keys about the answer that every record of a probe has after those of the earlier tool.
pub(super) fn common_keys(
    work: &mut Work<'_>,
    called: &Call,
    answer: &Answer,
    call: &ProbeCall,
) -> Result<Map<String, Value>, JailError> {
    let response = Response(answer.json());
    let mut keys = called.more(work.client);
    keys.extend(work.keep_streams("streams", called)?);
    keys.extend(members(json!({
        "correlation_id": response.correlation_id().or(call.correlation_id.as_deref()),
        "service_pid": response.pid(), "process_name": response.process_name(),
    })));
    Ok(keys)
}

/// Where the logs of a call go.
pub(super) struct Logs {
    wanted: bool,
    observation: Observation,
    /// In the records directory.
    log: RelPath,
    embedded: RelPath,
    external: RelPath,
    /// Where the app is told to write.
    target: PathBuf,
    target_text: String,
    safe: String,
}

impl Logs {
    pub(super) fn plan(work: &Work<'_>, request: &XpcRequest) -> Result<Self, JailError> {
        let stem = || name(&format!("{}.log", file_stem(&request.call.row_id)));
        let log = request.log.clone().unwrap_or_else(stem);
        let beside = |folder: &str| match log.as_str().rsplit_once('/') {
            Some((parent, last)) => name(&format!("logs/{parent}/{folder}/{last}")),
            None => name(&format!("logs/{folder}/{log}")),
        };
        let target = work.scratch.join(log.file_name());
        Ok(Self {
            wanted: request.log.is_some(),
            observation: Observation::of(&work.client.settings, request.log.is_some()),
            embedded: beside("observer"),
            external: beside("observer-external"),
            target_text: text(&target)?,
            safe: safe_name(log.file_name()),
            log: name(&format!("logs/{log}")),
            target,
        })
    }

    /// Path and name that the app is told, when a log is wanted.
    pub(super) fn asked(&self) -> Option<(&str, &str)> {
        self.wanted.then_some((self.target_text.as_str(), self.safe.as_str()))
    }

    pub(super) fn capture_keys(&self, client: &Client) -> Map<String, Value> {
        let mode = self.observation.capture;
        members(json!({
            "log_capture_mode": mode.map(LogMode::word),
            "log_capture_log_name": mode.filter(|mode| *mode == LogMode::PathClass).map(|_| &self.safe),
            "log_capture_requested_mode": client.settings.requested_log_mode,
        }))
    }

    /// Takes the files that the app named into the records directory.
    pub(super) fn collect<'l>(
        &'l self,
        work: &mut Work<'_>,
        called: &Call,
        answer: &Answer,
        call: &ProbeCall,
        problems: &mut Vec<Problem>,
    ) -> Result<Kept<'l>, JailError> {
        let client = work.client;
        let response = Response(answer.json());
        let since = called.end.as_ref().map_or(SystemTime::UNIX_EPOCH, |end| end.started_at);
        let captured = self.observation.capture.is_some();
        let mut copy = |place: Option<PathBuf>, to: &RelPath| -> Result<(Option<String>, Option<String>), JailError> {
            let Some(place) = place else { return Ok((None, Some("log_capture_path_missing".to_owned()))) };
            let hint = Some(client.hint(&place));
            match files::fresh(&place, since) {
                Ok(bytes) => work.keep(to, &bytes).map(|_| (hint, None)),
                Err(why) => Ok((hint, Some(why))),
            }
        };
        let named = |key: &str| response.data_text(key).map(|path| client.named_by_app(path));
        let own = || Some(self.target.clone()).filter(|path| path.exists());
        let (source, copy_error) = match captured {
            true => copy(named("log_capture_path").or_else(own), &self.log)?,
            false if self.wanted => (None, Some("capture_disabled".to_owned())),
            false => (None, None),
        };
        if captured && copy_error.is_some() {
            problems.push(Problem::LogMissing);
        }
        let observed = named("log_observer_path");
        let has_report = observed.is_some();
        let (embedded_source, embedded_error) = if has_report { copy(observed, &self.embedded)? } else { (None, None) };
        let keys = members(json!({
            "log_path": captured.then(|| work.recorded(&self.log)), "log_capture_source": source, "log_copy_error": copy_error,
            "embedded_observer_source": embedded_source,
            "embedded_observer_log_path": has_report.then(|| work.recorded(&self.embedded)),
            "embedded_observer_copy_error": embedded_error,
            "embedded_observer_status": response.data_text("log_observer_status"),
        }));
        let subject = Subject {
            pid: response.pid(),
            process_name: response.process_name().map(str::to_owned),
            range_unix_s: called.end.is_ok().then_some((called.started_at_unix_s, called.finished_at_unix_s)),
            plan_id: Some(call.plan_id.clone()),
            row_id: Some(call.row_id.clone()),
            correlation_id: response.correlation_id().or(call.correlation_id.as_deref()).map(str::to_owned),
        };
        Ok(Kept { logs: self, keys, subject })
    }
}

/// Files that were kept, and whom the observer is asked about.
pub(super) struct Kept<'l> {
    logs: &'l Logs,
    pub(super) keys: Map<String, Value>,
    subject: Subject,
}

impl Kept<'_> {
    /// Asks the observer where the settings say so, adds `observer` and `observer_status`, and returns the evidence.
    pub(super) fn ask(
        &mut self,
        work: &mut Work<'_>,
        called: &Call,
        answer: &Answer,
        call: &ProbeCall,
        problems: &mut Vec<Problem>,
    ) -> Result<Map<String, Value>, JailError> {
        let response = Response(answer.json());
        let report = response.observer_report();
        let mut told = Vec::new();
        let embedded_status = response.data_text("log_observer_status");
        if report.is_some() || embedded_status.is_some_and(|status| status != "not_requested") {
            let failure = response.data_text("log_observer_error").map(|error| format!("log_observer_error: {error}"));
            let status = embedded_status.unwrap_or_default();
            let failed = (status == "requested_failed" && failure.is_none()).then(|| "requested_failed".to_owned());
            let sent = Subject { correlation_id: call.correlation_id.clone(), ..self.subject.clone() };
            told.push(observer::judge("embedded", status, report, failure.or(failed), &sent));
        }
        let asked = match called.end.is_ok() && asks_external(work.client.settings.observer, report.is_some()) {
            true => Some(observer::ask(work, &self.subject, &self.logs.external)?),
            false => None,
        };
        let status = match (embedded_status, &asked) {
            (Some(status), _) => format!("embedded:{status}"),
            (None, None) => "not_requested".to_owned(),
            (None, Some(asked)) => asked.status.clone(),
        };
        let (record, external) = asked.map_or((Value::Null, None), |asked| (asked.record, asked.told));
        self.keys.insert("observer".to_owned(), record);
        self.keys.insert("observer_status".to_owned(), json!(status));
        told.extend(external);
        Ok(observer::evidence(told, problems))
    }
}
