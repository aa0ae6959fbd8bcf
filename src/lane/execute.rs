//! One execution of one probe in one lane: fixtures, worker, observation.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::cancel::Cancel;
use crate::base::error_chain;
use crate::base::time::unix_seconds;
use crate::denial::target_text;
use crate::event::{Fault, Observation, ProbeFacts};
use crate::fixture::{FixtureDir, FixtureSet};
use crate::host::Host;
use crate::os::process::{WorkerCommand, WorkerEnd, run_worker};
use crate::probe::{PolicyText, ProbeAnswer, ProbeJob};
use crate::sandbox::EnforcementReport;
use crate::sbpl::Source;
use crate::vocab::driver::driver;
use crate::vocab::{FailureKind, FailureStage, Operation, Platform};

use super::intended::intended_path;

/// The hidden command that makes this executable a worker.
const WORKER_COMMAND: &str = "__worker";

/// What to execute.
#[derive(Debug, Clone, Copy)]
pub struct Execution<'a> {
    /// The probe; its `resolved_target` and `intended_target` are filled in here.
    pub probe: &'a ProbeFacts,
    /// The policy's texts in the scenario lane, `None` in the baseline lane.
    pub sources: Option<&'a [Source]>,
    /// What the probe works on.
    pub fixtures: &'a FixtureSet,
    /// Where it is built.
    pub fixture_dir: &'a FixtureDir,
}

/// Executes a probe and returns what was seen; with a policy also what the worker says was enforced.
///
/// Everything that goes wrong is a fault of this row alone.
#[must_use]
pub fn execute(
    what: &Execution<'_>,
    host: &Host,
    cancel: &Cancel,
) -> (ProbeFacts, Observation, Option<EnforcementReport>) {
    if what.probe.performed.is_none() {
        // Nothing is started for an operation that nothing here can perform; the row says so.
        return (what.probe.clone(), Observation::default(), None);
    }
    let params = params(what.fixture_dir.path());
    let mut probe = ProbeFacts { resolved_target: resolve(&what.probe.target, &params), ..what.probe.clone() };
    if let Err(error) = what.fixture_dir.rebuild(what.fixtures) {
        return (probe, faulty(FailureStage::Bootstrap, None, "fixture", error_chain(&error)), None);
    }
    probe.intended_target = intended_target(&probe, what.fixture_dir.path());
    let job = ProbeJob {
        operation: probe.operation.clone(),
        target: probe.resolved_target.clone(),
        policy: what.sources.map(|sources| PolicyText { sources: sources.to_vec(), params }),
        without_layers: host.without_layers.clone(),
    };
    let command = WorkerCommand {
        exe: host.worker_exe.clone(),
        args: vec![WORKER_COMMAND.into()],
        env: host.worker_env.clone(),
        cwd: what.fixture_dir.path().to_owned(),
    };
    let text = serde_json::to_vec(&job).expect("a job has text keys only");
    let (mut observation, report) = match run_worker(&command, &text, host.probe_limit, cancel) {
        Ok(end) => observe(end, host),
        Err(error) => {
            let kind = Some(FailureKind::BootstrapExecFailed);
            (faulty(FailureStage::Bootstrap, kind, "spawn", error_chain(&error)), None)
        }
    };
    observation.command = vec![command.exe.display().to_string(), WORKER_COMMAND.to_owned()];
    (probe, observation, report)
}

/// Values of the parameters a plan's targets and profiles may use.
pub(super) fn params(fixture_dir: &Path) -> BTreeMap<String, String> {
    BTreeMap::from([("FIXTURES".to_owned(), fixture_dir.display().to_string())])
}

/// Replaces `${KEY}` by its value; an unknown key stays as written (it was refused before the run).
pub(super) fn resolve(text: &str, params: &BTreeMap<String, String>) -> String {
    let mut result = text.to_owned();
    for (key, value) in params {
        result = result.replace(&format!("${{{key}}}"), value);
    }
    result
}

/// What the probe's own call must have been decided on; empty for a path that leads nowhere.
fn intended_target(probe: &ProbeFacts, cwd: &Path) -> Option<String> {
    let driver = driver(&Operation::new(probe.operation.as_str()), Platform::of_this_build()?)?;
    let follow = driver.follows_final_link()?;
    Some(intended_path(&probe.resolved_target, cwd, follow).map_or_else(String::new, |path| target_text(&path)))
}

fn observe(end: WorkerEnd, host: &Host) -> (Observation, Option<EnforcementReport>) {
    let mut observation = Observation {
        timed_out: end.timed_out,
        stderr: String::from_utf8_lossy(&end.stderr).into_owned(),
        started_at_unix_s: unix_seconds(end.started_at),
        finished_at_unix_s: unix_seconds(end.finished_at),
        duration_s: end.duration.as_secs_f64(),
        ..Observation::default()
    };
    if end.timed_out {
        let message = format!("no answer within {} s", host.probe_limit.as_secs_f64());
        observation.fault = Some(fault(FailureStage::Probe, Some(FailureKind::ProbeTimeout), "timeout", message));
        return (observation, None);
    }
    let answered = end.exit_status == Some(0);
    match serde_json::from_slice::<ProbeAnswer>(&end.answer) {
        Ok(answer) if answered => {
            observation.effect = answer.effect;
            observation.fault = answer.fault;
            observation.records = answer.records;
            observation.records_dropped = answer.records_dropped;
            observation.exit_status = answer.exit_status;
            observation.signal = answer.signal;
            return (observation, answer.report);
        }
        Ok(_) | Err(_) => {
            let how = match (end.exit_status, end.signal) {
                (_, Some(signal)) => format!("the worker was ended by signal {signal}"),
                (Some(status), _) => format!("the worker ended with status {status} and no usable answer"),
                _ => "the worker ended without an answer".to_owned(),
            };
            observation.signal = end.signal;
            observation.fault = Some(fault(FailureStage::Probe, None, "worker_died", how));
        }
    }
    (observation, None)
}

fn fault(stage: FailureStage, kind: Option<FailureKind>, word: &str, message: String) -> Fault {
    Fault { stage, kind, word: word.to_owned(), message }
}

fn faulty(stage: FailureStage, kind: Option<FailureKind>, word: &str, message: String) -> Observation {
    Observation { fault: Some(fault(stage, kind, word, message)), ..Observation::default() }
}
