//! The worker's own sequence: read the job, apply the policy, perform the operation, answer.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use crate::base::error_chain;
use crate::denial::DecisionRecord;
use crate::event::{Applied, CheckRequest, Effect, Fault, SeatbeltAnswers};
use crate::os;
use crate::sandbox::{self, Before, End, ProfileText, SandboxError, Supervised, Trap, callout};
use crate::sbpl::{NoImports, Policy};
use crate::vocab::driver::driver_asked_for;
use crate::vocab::{Asked, Driver, FailureKind, FailureStage, Operation, Platform};

use super::driver::{Line, Preparation, Setting, call_name, is_prepared, perform, prepare};
use super::protocol::{PolicyText, ProbeAnswer, ProbeJob};

/// A job of more than this many bytes is refused: a profile of 16 MiB with its parameters fits.
const MAX_JOB_BYTES: u64 = 64 * 1024 * 1024;

/// Why a worker could not even answer.
#[derive(Debug, thiserror::Error)]
pub enum WorkerFailure {
    /// The job could not be read.
    #[error("cannot read the job")]
    ReadJob(#[source] io::Error),
    /// The job is not one of ours.
    #[error("the job is not valid")]
    BadJob(#[source] serde_json::Error),
    /// The answer could not be written.
    #[error("cannot write the answer")]
    WriteAnswer(#[source] io::Error),
}

/// Serves one job. The process must be single-threaded: the probe's process is forked from it.
///
/// # Errors
/// [`WorkerFailure`]; everything else is part of the answer.
pub fn serve(job: impl Read, mut answer: impl Write) -> Result<(), WorkerFailure> {
    let mut bytes = Vec::new();
    job.take(MAX_JOB_BYTES).read_to_end(&mut bytes).map_err(WorkerFailure::ReadJob)?;
    let job: ProbeJob = serde_json::from_slice(&bytes).map_err(WorkerFailure::BadJob)?;
    let text = serde_json::to_vec(&run(&job)).map_err(WorkerFailure::BadJob)?;
    answer.write_all(&text).and_then(|()| answer.flush()).map_err(WorkerFailure::WriteAnswer)
}

/// What this process has open beside its standard streams, its channel and `own`: what whoever started it left open.
fn inherited_descriptors(own: &[BorrowedFd<'_>]) -> Option<Vec<i32>> {
    let channel = os::process::JOB_FD.max(os::process::ANSWER_FD).max(os::process::GO_FD);
    let is_own = |number: &i32| *number <= channel || own.iter().any(|fd| fd.as_raw_fd() == *number);
    Some(os::fd::open_descriptors()?.into_iter().filter(|number| !is_own(number)).collect())
}

fn run(job: &ProbeJob) -> ProbeAnswer {
    let operation = Operation::new(job.operation.as_str());
    let asked =
        Asked { driver: job.driver.as_deref(), syscall: job.syscall.as_deref(), payload: job.attr_payload.as_deref() };
    let driver = Platform::of_this_build().and_then(|platform| driver_asked_for(&operation, asked, platform));
    let Some(driver) = driver else {
        return refused(fault(FailureStage::Probe, None, "unsupported", format!("no driver for {operation} here")));
    };
    let policy = match job.policy.as_ref().map(compile).transpose() {
        Ok(policy) => policy,
        Err(fault) => return refused(fault),
    };
    let answer = match execute(job, driver, policy.as_ref()) {
        Ok(answer) => answer,
        Err((fault, applied)) => ProbeAnswer { applied, ..refused(fault) },
    };
    // The worker ends when it has answered; whoever waits for that need not wait for memory that is given back piece by piece.
    std::mem::forget(policy);
    answer
}

fn compile(text: &PolicyText) -> Result<Policy, Fault> {
    Policy::compile(&text.sources, &text.params, &NoImports).map_err(|diagnostics| {
        fault(FailureStage::Apply, Some(FailureKind::ApplyFailed), "apply", diagnostics.render(false))
    })
}

/// Asks the system everything that the request is made of. A question that cannot be put is no answer.
fn ask(request: &CheckRequest) -> SeatbeltAnswers {
    let mut answers = SeatbeltAnswers { request: request.clone(), callouts: Vec::new(), not_asked: Vec::new() };
    for question in callout::questions(request) {
        match sandbox::ask(&question) {
            Ok(callout) => answers.callouts.push(callout),
            Err(why) => answers.not_asked.push(why.to_string()),
        }
    }
    answers
}

/// A job that came to nothing: the fault, and what the system said when it was to apply the policy.
type Failed = (Fault, Option<Applied>);

/// A policy that was not applied.
fn not_applied(error: &SandboxError) -> Failed {
    let applied = match error {
        SandboxError::NotApplied(applied) => Some(applied.clone()),
        _ => None,
    };
    let kind = applied.as_ref().map_or(FailureKind::ApplyFailed, Applied::failure_kind);
    (fault(FailureStage::Apply, Some(kind), "apply", error_chain(error)), applied)
}

fn execute(job: &ProbeJob, driver: Driver, policy: Option<&Policy>) -> Result<ProbeAnswer, Failed> {
    let pipe = |error: io::Error| (fault(FailureStage::Bootstrap, None, "spawn", error.to_string()), None);
    let (mut said, report) = io::pipe().map_err(pipe)?;
    let report = OwnedFd::from(report);
    let prepared = RefCell::new(Preparation::default());
    let before = || *prepared.borrow_mut() = prepare(driver, &job.target);
    let sandbox_job = sandbox::Job {
        policy,
        text: job.policy.as_ref().map(|text| ProfileText { sources: &text.sources, params: &text.params }),
        trap: Trap::All,
        observe: false,
        without_layers: job.without_layers.clone(),
        report: true,
        keep: &[report.as_fd()],
        compiled: job.compiled,
        before: is_prepared(driver).then_some(Before(&before)),
    };
    // Asked here: the probe's process has another parent, and that one is inside.
    let outside = rustix::process::getppid();
    // Asked here too: under a policy the look would be an access. What of it the probe's process still has, that one says.
    let candidates = inherited_descriptors(&[said.as_fd(), report.as_fd()]);
    let body = || match report.try_clone() {
        Ok(fd) => {
            let mut report = File::from(fd);
            if let Some(request) = job.question.as_ref().filter(|_| policy.is_some())
                && Line::Asked(ask(request)).write(&mut report).is_err()
            {
                return 70;
            }
            let inherited = candidates.iter().flatten().copied().filter(|&number| os::fd::is_open(number)).collect();
            let program = job.program.as_deref();
            // On Linux the look-up would be one more access that the policy decides, and the supervisor knows the path; macOS
            // says it of the descriptor itself.
            let name_opened = policy.is_none() || cfg!(target_os = "macos");
            let setting = Setting { outside, name_opened, inherited, program, prepared: prepared.take() };
            perform(driver, &job.target, &setting, &mut report)
        }
        Err(_) => 70,
    };
    let supervised = sandbox::enter(&sandbox_job, body).map_err(|error| not_applied(&error))?;
    // Ours was the last writing end but for descendants of the probe, and those are gone: the end of file is certain.
    drop(report);
    let mut lines = String::new();
    said.read_to_string(&mut lines).map_err(pipe)?;
    Ok(answer(driver, &lines, candidates.is_some(), supervised))
}

fn answer(driver: Driver, lines: &str, seen: bool, supervised: Supervised) -> ProbeAnswer {
    let (exit_status, signal) = match supervised.end {
        End::Exited(status) => (Some(status), None),
        End::Signaled(signal) => (None, Some(signal)),
    };
    let (mut seatbelt, mut announced, mut said, mut unavailable) = (None, None, None, None);
    // Of each kind the first: whoever is started by the probe may have the descriptor too.
    for line in lines.lines().map_while(|line| serde_json::from_str::<Line>(line).ok()) {
        match line {
            Line::Asked(answers) => _ = seatbelt.get_or_insert(answers),
            Line::Announced { inherited_fds, .. } => _ = announced.get_or_insert(inherited_fds),
            Line::Effect(effect) => _ = said.get_or_insert(effect),
            Line::Unavailable(why) => _ = unavailable.get_or_insert(why),
        }
    }
    let (effect, fault) = match (said, unavailable, signal) {
        (Some(effect), ..) => (Some(effect), None),
        (None, Some(why), _) => (None, Some(fault(FailureStage::Probe, None, "unavailable", why))),
        (None, None, None) if announced.is_some() && driver == Driver::Exec => (Some(image_ran(exit_status)), None),
        (None, None, _) => (None, Some(probe_died(exit_status, signal))),
    };
    ProbeAnswer {
        effect,
        fault,
        exit_status,
        signal,
        records: supervised.records,
        records_dropped: supervised.records_dropped,
        inherited_fds: announced.filter(|_| seen),
        seatbelt,
        applied: supervised.applied,
        report: supervised.report,
    }
}

/// The image was replaced: the announcement's descriptor closed without an errno, and the new image ended by itself.
fn image_ran(exit_status: Option<i32>) -> Effect {
    let details = serde_json::json!({"image_exit_status": exit_status});
    Effect::done(call_name(Driver::Exec), details.as_object().cloned().unwrap_or_default())
}

fn probe_died(exit_status: Option<i32>, signal: Option<i32>) -> Fault {
    let how = match (exit_status, signal) {
        (_, Some(signal)) => format!("the probe's process was ended by signal {signal} before it reported"),
        (Some(status), _) => format!("the probe's process ended with status {status} before it reported"),
        _ => "the probe's process ended before it reported".to_owned(),
    };
    let kind = exit_status.map(|_| FailureKind::ProbeNonzeroExit);
    fault(FailureStage::Probe, kind, "probe_died", how)
}

fn fault(stage: FailureStage, kind: Option<FailureKind>, word: &str, message: String) -> Fault {
    Fault { stage, kind, word: word.to_owned(), message }
}

fn refused(fault: Fault) -> ProbeAnswer {
    let records: Vec<DecisionRecord> = Vec::new();
    ProbeAnswer {
        effect: None,
        fault: Some(fault),
        exit_status: None,
        signal: None,
        records,
        records_dropped: 0,
        inherited_fds: None,
        seatbelt: None,
        applied: None,
        report: None,
    }
}
