//! A probe that waits, and its trigger.

use std::time::Duration;

use serde_json::{Value, json};

use super::arguments::{self, ProbeCall};
use super::call::{attended, members};
use super::client::Client;
use super::session::{Done, Records, output_keys, record};
use super::settings::LONGEST;
use super::wait_state::{Attending, Hints, Limits};
use super::xpc::{Logs, XpcRequest, check, common_keys, plan_of, problems, request_keys};
use super::{JailError, Problem};
use crate::base::cancel::Cancel;
use crate::base::rel_path::RelPath;

/// Tag of the records of [`run_wait_xpc`] and [`run_probe_wait`].
const TAG: &str = "runtime-tools.entitlement_jail_wait.v0.1";
/// How long the app may go on after the trigger, unless something else is said.
const PROCESS_TIMEOUT: Duration = Duration::from_secs(25);
/// What is added to everything that the app was told to wait.
const MARGIN: Duration = Duration::from_secs(5);

/// When and how often a wait is triggered.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// How long the app has to say that it waits; `None`: 15 s for waits of the app, 10 s for waits of a probe.
    pub wait_ready_timeout: Option<Duration>,
    /// How long after that it is triggered.
    pub trigger_delay: Duration,
    /// How long a named pipe that is not there yet, or that nobody reads yet, is tried again.
    pub trigger_timeout: Duration,
    /// Whether it is triggered a second time.
    pub post_trigger: bool,
    /// How long after the first time.
    pub post_trigger_delay: Duration,
}

impl Default for Trigger {
    fn default() -> Self {
        Self {
            wait_ready_timeout: None,
            trigger_delay: Duration::ZERO,
            trigger_timeout: Duration::from_secs(5),
            post_trigger: false,
            post_trigger_delay: Duration::from_millis(200),
        }
    }
}

/// A probe that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitRequest {
    /// The probe; `wait_args` declare the wait for [`run_wait_xpc`].
    pub call: ProbeCall,
    /// Name of the log beneath `logs/` of the records directory; `None`: no log.
    pub log: Option<RelPath>,
    /// How it is triggered.
    pub trigger: Trigger,
}

/// Runs a probe that the app holds back until it is triggered: `wait_args` declare how.
///
/// # Errors
/// [`JailError`]; no wait is declared. A wait that cannot be triggered is a record.
pub fn run_wait_xpc(
    client: &Client,
    request: &WaitRequest,
    records: &Records,
    cancel: &Cancel,
) -> Result<Done, JailError> {
    if request.call.wait_args.is_empty() {
        return Err(JailError::Request("no wait is declared".to_owned()));
    }
    run(client, request, "wait-xpc", &request.call.wait_args, Duration::from_secs(15), records, cancel)
}

/// Runs a probe that waits by itself: its own arguments declare how.
///
/// # Errors
/// [`JailError`]. A wait that cannot be triggered is a record.
pub fn run_probe_wait(
    client: &Client,
    request: &WaitRequest,
    records: &Records,
    cancel: &Cancel,
) -> Result<Done, JailError> {
    run(client, request, "probe-wait", &request.call.probe_args, Duration::from_secs(10), records, cancel)
}

fn run(
    client: &Client,
    request: &WaitRequest,
    command: &str,
    declaring: &[String],
    ready: Duration,
    records: &Records,
    cancel: &Cancel,
) -> Result<Done, JailError> {
    let WaitRequest { call, log, trigger } = request;
    check(call)?;
    let cli = client.cli()?;
    let hints = Hints::of(declaring);
    let limits = limits(client, trigger, &hints, ready);
    let wanted = XpcRequest { call: call.clone(), log: log.clone() };
    let mut told = request_keys(command, &wanted);
    told["trigger"] = trigger_keys(trigger);
    record(client, records, cancel, plan_of(call), &told, |work| {
        let logs = Logs::plan(work, &wanted)?;
        let argv = arguments::run_xpc(&cli, call, &client.settings, logs.asked());
        let shown = client.shown_command(&argv);
        let wait_timeout_ms = hints.wait_timeout_ms;
        let mut wait = Attending::new(hints, limits, client.clock);
        let called = attended(client, argv, &mut wait, cancel);
        let removed = wait.clean();
        let answer = called.answer();
        let mut problems = problems(&called, &answer, call);
        let mut keys = members(json!({"command": shown}));
        if let Err(error) = &called.end {
            keys.insert("error".to_owned(), json!(error));
            keys.extend(called.more(client));
            keys.extend(work.last_keys(TAG, &told, &mut problems));
            return Ok((Value::Object(keys), problems));
        }
        if wait.ready_missing {
            problems.push(Problem::WaitNotReady);
        }
        if wait.trigger_failed || (!wait.is_done() && wait.events.is_empty()) {
            problems.push(Problem::TriggerFailed);
        }
        let mut kept = logs.collect(work, &called, &answer, call, &mut problems)?;
        let finished_at_unix_s = client.now_unix_s().max(called.finished_at_unix_s);
        let evidence = kept.ask(work, &called, &answer, call, &mut problems)?;
        keys.extend(members(json!({"plan_id": call.plan_id, "row_id": call.row_id})));
        keys.extend(output_keys(&called, true));
        let said = wait.ready.as_ref();
        keys.extend(members(json!({
            "stdout_json": answer.json(), "stdout_json_error": answer.error(),
            "wait_ready_line": said.map(|ready| &ready.line),
            "wait_path": wait.path.as_ref().map(|path| path.display().to_string()),
            "wait_mode": wait.mode.map(|mode| mode.word()),
            "wait_ready_at_unix_s": said.map(|ready| ready.at_unix_s),
            "trigger_events": wait.events, "wait_info": wait_info(&wait, &called, limits),
            "wait_timeout_ms": wait_timeout_ms, "trigger_delay_s": trigger.trigger_delay.as_secs_f64(),
            "post_trigger": trigger.post_trigger, "wait_ready_timeout_s": limits.ready.as_secs_f64(),
            "post_trigger_delay_s": limits.post.map(|delay| delay.as_secs_f64()),
            "process_timeout_s": limits.process.as_secs_f64(),
            "started_at_unix_s": called.started_at_unix_s, "finished_at_unix_s": finished_at_unix_s,
            "duration_s": finished_at_unix_s - called.started_at_unix_s,
        })));
        keys.extend(logs.capture_keys(client));
        keys.extend(kept.keys);
        keys.extend(members(json!({
            "profile_id": call.service.profile_id, "service_id": call.service.service_id, "probe_id": call.probe_id,
            "probe_args": call.probe_args,
        })));
        match command {
            "wait-xpc" => keys.insert("wait_args".to_owned(), json!(call.wait_args)),
            _ => keys.insert("wait_args_source".to_owned(), json!("probe_args")),
        };
        keys.extend(common_keys(work, &called, &answer, call)?);
        if keys["correlation_id"].is_null() {
            keys.insert("correlation_id".to_owned(), json!(wait.correlation_id));
        }
        keys.insert("trigger_timeout_s".to_owned(), json!(limits.trigger.as_secs_f64()));
        keys.insert("removed_trigger".to_owned(), json!(removed));
        keys.extend(evidence);
        keys.extend(work.last_keys(TAG, &told, &mut problems));
        Ok((Value::Object(keys), problems))
    })
}

fn limits(client: &Client, trigger: &Trigger, hints: &Hints, ready: Duration) -> Limits {
    // Zero is as good as not set.
    let process = client.timeout.filter(|limit| !limit.is_zero()).unwrap_or(PROCESS_TIMEOUT);
    let told = Duration::from_millis(hints.wait_timeout_ms.unwrap_or(0)).min(LONGEST);
    let mut least = if told.is_zero() { Duration::ZERO } else { told + trigger.trigger_delay + MARGIN };
    if !hints.holds.is_zero() {
        least = least.max(hints.holds + MARGIN);
    }
    Limits {
        ready: trigger.wait_ready_timeout.unwrap_or(ready),
        delay: trigger.trigger_delay,
        trigger: trigger.trigger_timeout,
        post: trigger.post_trigger.then_some(trigger.post_trigger_delay),
        process: process.max(least),
    }
}

fn trigger_keys(trigger: &Trigger) -> Value {
    json!({
        "wait_ready_timeout_s": trigger.wait_ready_timeout.map(|limit| limit.as_secs_f64()),
        "trigger_delay_s": trigger.trigger_delay.as_secs_f64(),
        "trigger_timeout_s": trigger.trigger_timeout.as_secs_f64(),
        "post_trigger": trigger.post_trigger,
        "post_trigger_delay_s": trigger.post_trigger_delay.as_secs_f64(),
    })
}

fn wait_info(wait: &Attending, called: &super::call::Call, limits: Limits) -> Value {
    let mut info = wait.ready.as_ref().map(|ready| ready.info.clone()).unwrap_or_default();
    let mut add = |key: &str, value: Value| {
        info.insert(key.to_owned(), value);
    };
    if let Some(ready) = &wait.ready {
        add("wait_ready_line", json!(ready.line));
        add("wait_ready_at_unix_s", json!(ready.at_unix_s));
    }
    if wait.ready_timed_out {
        add("wait_ready_timeout_s", json!(limits.ready.as_secs_f64()));
    }
    if wait.ready_missing {
        add("wait_ready_missing", json!(true));
    }
    if !wait.is_done() && wait.events.is_empty() {
        add("trigger_skipped", json!("process_exited"));
    }
    if called.end.as_ref().is_ok_and(|end| end.timed_out) {
        add("wait_process_error", json!(format!("still running after {} s", limits.process.as_secs_f64())));
    }
    Value::Object(info)
}
