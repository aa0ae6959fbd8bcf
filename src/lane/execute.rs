//! One execution of one probe in one lane: fixtures, worker, observation.

use std::path::Path;
use std::time::Duration;

use crate::base::cancel::Cancel;
use crate::base::error_chain;
use crate::base::time::unix_seconds;
use crate::event::{CheckRequest, Fault, Observation, ProbeFacts};
use crate::fixture::{FixtureDir, FixtureSet};
use crate::host::Host;
use crate::os::process::{AheadWorker, WorkerCommand, WorkerEnd, WorkerError};
use crate::plan::resolve_target;
use crate::probe::{PolicyText, ProbeAnswer, ProbeJob};
use crate::sandbox::{EnforcementReport, callout};
use crate::sbpl::Source;
use crate::vocab::{Driver, FailureKind, FailureStage, Platform};

use super::intended::{Intended, intended};

/// The hidden command that makes this executable a worker.
pub(crate) const WORKER_COMMAND: &str = "__worker";

/// A connection that was made reaches its listener within this time, however busy the machine is.
const PATIENCE_AFTER_SUCCESS: Duration = Duration::from_secs(5);
/// One that was not made has this time to show up all the same: the worker has ended, and loopback hands over at once.
const PATIENCE_AFTER_FAILURE: Duration = Duration::from_millis(20);

/// What to execute.
#[derive(Debug, Clone, Copy)]
pub struct Execution<'a> {
    /// The probe; its `resolved_target` and `intended_target` are filled in here.
    pub probe: &'a ProbeFacts,
    /// The policy's texts in the scenario lane, `None` in the baseline lane.
    pub sources: Option<&'a [Source]>,
    /// Whether the policy is compiled first and the result applied.
    pub compiled: bool,
    /// What the probe works on.
    pub fixtures: &'a FixtureSet,
    /// Where it is built.
    pub fixture_dir: &'a FixtureDir,
}

/// The workers of one thread and its fixture directory. Each probe gets a process of its own; that of the next probe is started
/// while one works, since executing the program and getting ready takes a good part of a worker's time and needs no job.
#[derive(Debug, Default)]
pub struct Workers {
    ahead: Option<AheadWorker>,
    /// Whether another probe is to come.
    more: bool,
}

impl Workers {
    /// Says whether another probe follows the next one.
    pub fn expect(&mut self, more: bool) {
        self.more = more;
    }

    fn run(
        &mut self,
        command: &WorkerCommand,
        job: &[u8],
        limit: Duration,
        cancel: &Cancel,
    ) -> Result<WorkerEnd, WorkerError> {
        let ready = self.ahead.take().filter(AheadWorker::waits).map_or_else(|| AheadWorker::start(command), Ok)?;
        let busy = ready.give(job)?;
        if self.more {
            // What hinders it now hinders the next probe too, which then says so.
            self.ahead = AheadWorker::start(command).ok();
        }
        busy.end(limit, cancel)
    }
}

/// Executes a probe and returns what was seen; with a policy also what the worker says was enforced.
///
/// Everything that goes wrong is a fault of this row alone.
#[must_use]
pub fn execute(
    what: &Execution<'_>,
    workers: &mut Workers,
    host: &Host,
    cancel: &Cancel,
) -> (ProbeFacts, Observation, Option<EnforcementReport>) {
    if what.probe.performed.is_none() {
        // Nothing is started for an operation that nothing here can perform; the row says so.
        return (what.probe.clone(), Observation::default(), None);
    }
    let built = what.fixture_dir.rebuild(what.fixtures);
    let params = what.fixture_dir.parameters();
    let mut probe = ProbeFacts { resolved_target: resolve_target(&what.probe.target, &params), ..what.probe.clone() };
    if let Err(error) = built {
        return (probe, faulty(FailureStage::Bootstrap, None, "fixture", error_chain(&error)), None);
    }
    if host.file_precreate && driver_reads(&probe) {
        what.fixture_dir.make_missing(Path::new(&probe.resolved_target));
    }
    let mut links = Vec::new();
    let object = intended(&probe, what.fixture_dir.path(), &mut links);
    probe.intended_target = object.as_ref().map(Intended::text);
    probe.links_met = links;
    let job = ProbeJob {
        operation: probe.operation.clone(),
        driver: probe.driver.clone(),
        syscall: probe.syscall.clone(),
        attr_payload: probe.attr_payload.clone(),
        question: what.sources.and_then(|_| question(&probe)),
        program: what.fixtures.program_to_start().map(|path| what.fixture_dir.path().join(path).display().to_string()),
        target: probe.resolved_target.clone(),
        policy: what.sources.map(|sources| PolicyText { sources: sources.to_vec(), params }),
        compiled: what.compiled,
        without_layers: host.without_layers.clone(),
    };
    let command = WorkerCommand {
        exe: host.worker_exe.clone(),
        args: vec![WORKER_COMMAND.into()],
        env: host.worker_env.clone(),
        cwd: what.fixture_dir.path().to_owned(),
    };
    let text = serde_json::to_vec(&job).expect("a job has text keys only");
    let (mut observation, report) = match workers.run(&command, &text, host.probe_limit, cancel) {
        Ok(end) => observe(end, host),
        Err(error) => {
            let kind = Some(FailureKind::BootstrapExecFailed);
            (faulty(FailureStage::Bootstrap, kind, "spawn", error_chain(&error)), None)
        }
    };
    if let Some(endpoint) = object.as_ref().and_then(Intended::connects_to) {
        let succeeded = observation.effect.as_ref().is_some_and(|effect| !effect.failed());
        let patience = if succeeded { PATIENCE_AFTER_SUCCESS } else { PATIENCE_AFTER_FAILURE };
        observation.listener = what.fixture_dir.seen(&endpoint, patience);
    }
    observation.precreate = host.file_precreate;
    observation.command = vec![command.exe.display().to_string(), WORKER_COMMAND.to_owned()];
    (probe, observation, report)
}

/// What the system is to be asked about a probe; `None` where it cannot be asked.
fn question(probe: &ProbeFacts) -> Option<CheckRequest> {
    let performed = probe.performed.as_deref().filter(|_| Platform::of_this_build() == Some(Platform::MacOs))?;
    Some(callout::request(performed, &probe.resolved_target, probe.filter.map(|choice| choice.filter)))
}

/// Whether the probe opens its target for reading.
fn driver_reads(probe: &ProbeFacts) -> bool {
    probe.performed.as_deref() == Some(Driver::FileRead.performs())
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
            observation.inherited_fds = answer.inherited_fds;
            observation.seatbelt = answer.seatbelt;
            observation.applied = answer.applied;
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

/// What is seen of a probe whose profile is not applied because of what the static preflight found.
#[must_use]
pub fn not_applied(signature: &str) -> Observation {
    let kind = Some(FailureKind::PreflightApplyGateSignature);
    let message = format!("the profile was not applied: the static preflight found {signature}");
    faulty(FailureStage::Preflight, kind, "preflight", message)
}

fn faulty(stage: FailureStage, kind: Option<FailureKind>, word: &str, message: String) -> Observation {
    Observation { fault: Some(fault(stage, kind, word, message)), ..Observation::default() }
}
