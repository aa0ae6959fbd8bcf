//! The target and its runs: a private working directory, one process per run, and whether the run was a success.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::rule::{Places, WORK_DIR};
use super::worker::{Mode, TargetAnswer, TargetJob};
use crate::base::cancel::Cancel;
use crate::base::digest::Sha256Hex;
use crate::denial::DecisionRecord;
use crate::denial::log::Logged;
use crate::os::fs::{FsError, read_bounded};
use crate::os::process::{self, WorkerCommand, WorkerError};
use crate::os::workspace;
use crate::sandbox::EnforcementReport;
use crate::sbpl::{Params, Source};
use crate::vocab::Decision;

/// Beyond the target's own limit a worker is given this long to end the tree and answer.
const GRACE: Duration = Duration::from_secs(20);

/// Largest output compared or shown.
const MAX_OUTPUT_BYTES: u64 = 16 * 1024 * 1024;

/// What is run and what counts as success.
#[derive(Debug, Clone)]
pub struct Target {
    /// Program and arguments.
    pub argv: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// What a fresh working directory holds; empty without one.
    pub template: Option<PathBuf>,
    /// Exit status of a success.
    pub success_status: i32,
    /// A shell command that looks at the result; it must succeed too. It runs outside of the sandbox in the working
    /// directory, with `STATUS`, `STDOUT` and `STDERR` (two files) in its environment.
    pub success_command: Option<String>,
    /// Whether standard output must be that of the first run.
    pub same_output: bool,
    /// A target that still runs then is ended.
    pub limit: Duration,
    /// Whether a target that has to be ended by the limit succeeded.
    pub limit_is_success: bool,
    /// The second of two runs starts afresh too, for targets that cannot succeed twice in one place.
    pub repeat_fresh: bool,
    /// Parameters of the caller's own.
    pub params: Params,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// Executable that serves workers.
    pub worker_exe: PathBuf,
    /// `sandbox-exec` where that applies profiles, as it must where refusals are read from the system's log.
    pub sandbox_exec: Option<PathBuf>,
}

/// Why a run gave no verdict.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The working directory could not be prepared.
    #[error(transparent)]
    Files(#[from] FsError),
    /// The worker could not be run.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The worker ended without an answer.
    #[error("the process that supervises the target ended without an answer: {0}")]
    NoAnswer(String),
    /// The profile could not be enforced.
    #[error("the target cannot be run under the profile: {0}")]
    Refused(String),
    /// The program does not exist, or is none.
    #[error("cannot execute {program}: {why}")]
    NotExecuted {
        /// The program.
        program: String,
        /// The system's answer.
        why: String,
    },
    /// What the target would be refused cannot be seen, so it was not started.
    #[error("the target was not started: its refusals would not be seen: {0}")]
    Unseen(String),
    /// Somebody asked to stop.
    #[error("interrupted")]
    Interrupted,
}

fn not_executed(argv: &[OsString], errno: i32) -> TargetError {
    let program = argv.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
    let answer = std::io::Error::from_raw_os_error(errno);
    let why = match answer.kind() {
        std::io::ErrorKind::NotFound => "not found".to_owned(),
        _ => answer.to_string(),
    };
    TargetError::NotExecuted { program, why }
}

/// A place for runs that nobody else uses meanwhile.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Working directory, canonical.
    pub(super) work: PathBuf,
    /// Never copied from the template.
    pub(super) leave_out: PathBuf,
    /// Files for the target's output.
    pub(super) stdout: PathBuf,
    pub(super) stderr: PathBuf,
}

/// One run of the target.
#[derive(Debug, Clone)]
pub(super) struct Ran {
    pub(super) status: i32,
    pub(super) signal: Option<i32>,
    /// Its process id, where `sandbox-exec` applied the profile.
    pub(super) pid: Option<i32>,
    /// What the system's log said meanwhile, where it was read.
    pub(super) heard: Option<Heard>,
    pub(super) timed_out: bool,
    /// Whether it counts as a success.
    pub(super) success: bool,
    /// Why it does not although its status is right.
    pub(super) why_not: Option<&'static str>,
    pub(super) records: Vec<DecisionRecord>,
    pub(super) tallies: Vec<(u64, f64)>,
    pub(super) records_dropped: u64,
    pub(super) report: Option<EnforcementReport>,
    /// Digest of its standard output.
    pub(super) output: Option<Sha256Hex>,
    pub(super) duration: Duration,
}

/// What a log said about a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    /// Refusals that belong to the scope.
    pub(super) entries: Vec<Logged>,
    /// By process name: how many others there were.
    pub(super) foreign: BTreeMap<String, usize>,
    /// Why something may be missing.
    pub(super) gaps: Vec<String>,
    /// The log itself.
    pub(super) text: String,
}

impl Ran {
    /// What was refused, with how often and when last.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (&DecisionRecord, (u64, f64))> {
        self.records.iter().zip(self.tallies.iter().copied()).filter(|(record, _)| record.decision == Decision::Deny)
    }
}

impl Target {
    /// Parameters of a run in `work`.
    pub(super) fn params_in(&self, work: &Path) -> Params {
        let mut params = self.places(work).params();
        params.extend(self.params.clone());
        params
    }

    /// The directories that rules name by a parameter.
    pub(super) fn places(&self, work: &Path) -> Places {
        Places::new(Some(work), self.home.as_deref())
    }

    /// Runs the target once. `expected` is the output it must have, where that counts.
    pub(super) fn run(
        &self,
        profile: &str,
        mode: Mode,
        place: &Place,
        fresh: bool,
        expected: Option<&Sha256Hex>,
        cancel: &Cancel,
    ) -> Result<Ran, TargetError> {
        if cancel.is_set() {
            return Err(TargetError::Interrupted);
        }
        if fresh || self.repeat_fresh {
            workspace::make_fresh(self.template.as_deref(), &place.work, &place.leave_out)?;
        }
        let start = Instant::now();
        let answer = self.answer(profile, mode, place, cancel)?;
        let duration = start.elapsed();
        let output = read_bounded(&place.stdout, MAX_OUTPUT_BYTES).ok().map(|bytes| Sha256Hex::of(&bytes));
        let mut ran = Ran {
            status: answer.status,
            signal: answer.signal,
            pid: answer.pid,
            heard: None,
            timed_out: answer.timed_out,
            success: false,
            why_not: None,
            records: answer.records,
            tallies: answer.tallies,
            records_dropped: answer.records_dropped,
            report: answer.report,
            output,
            duration,
        };
        let ended_well = if ran.timed_out {
            self.limit_is_success
        } else {
            answer.exec_errno.is_none() && ran.status == self.success_status
        };
        ran.why_not = match ended_well {
            true if self.same_output && ran.output.is_none() => Some("its output is too large to be compared"),
            true if self.same_output && expected.is_some() && ran.output.as_ref() != expected => {
                Some("its output differs")
            }
            true if !self.check(&ran, place, cancel)? => Some("the success command failed"),
            true => None,
            false if ran.timed_out => Some("it had to be ended at its time limit"),
            false => None,
        };
        ran.success = ended_well && ran.why_not.is_none();
        Ok(ran)
    }

    fn answer(&self, profile: &str, mode: Mode, place: &Place, cancel: &Cancel) -> Result<TargetAnswer, TargetError> {
        let mut env = self.env.clone();
        env.retain(|(name, _)| name != WORK_DIR && name != "PWD" && name != "OLDPWD");
        env.push((WORK_DIR.into(), place.work.clone().into()));
        env.push(("PWD".into(), place.work.clone().into()));
        let job = TargetJob {
            profile: Source::new("profile.sb", profile),
            params: self.params_in(&place.work),
            mode,
            argv: self.argv.clone(),
            env,
            cwd: place.work.clone().into(),
            stdout: place.stdout.clone().into(),
            stderr: place.stderr.clone().into(),
            limit_ms: u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX),
            sandbox_exec: self.sandbox_exec.clone(),
        };
        let worker = WorkerCommand {
            exe: self.worker_exe.clone(),
            args: vec!["__target".into()],
            env: Vec::new(),
            cwd: place.stdout.parent().unwrap_or(&place.work).to_owned(),
        };
        let job = serde_json::to_vec(&job).map_err(|error| TargetError::NoAnswer(error.to_string()))?;
        let end = process::run_worker(&worker, &job, self.limit + GRACE, cancel)?;
        if cancel.is_set() {
            return Err(TargetError::Interrupted);
        }
        let answer: TargetAnswer = serde_json::from_slice(&end.answer).map_err(|_| {
            let said = String::from_utf8_lossy(&end.stderr);
            TargetError::NoAnswer(match (end.exit_status, end.signal) {
                (_, Some(signal)) => format!("signal {signal}"),
                (status, _) => format!("status {} {}", status.unwrap_or(-1), said.trim()),
            })
        })?;
        if let Some(error) = answer.error {
            return Err(TargetError::Refused(error));
        }
        // A search takes every failure as an answer. Elsewhere a program that no profile kept from starting is not there, or is none.
        let refused = mode != Mode::Observe && answer.records.iter().any(|own| own.decision == Decision::Deny);
        match answer.exec_errno {
            Some(errno) if mode != Mode::Enforce && !refused => Err(not_executed(&self.argv, errno)),
            _ => Ok(answer),
        }
    }

    /// Whether the caller's own check of the result succeeds.
    fn check(&self, ran: &Ran, place: &Place, cancel: &Cancel) -> Result<bool, TargetError> {
        let Some(command) = &self.success_command else { return Ok(true) };
        let mut env = self.env.clone();
        env.push((WORK_DIR.into(), place.work.clone().into()));
        env.push(("STATUS".into(), ran.status.to_string().into()));
        env.push(("STDOUT".into(), place.stdout.clone().into()));
        env.push(("STDERR".into(), place.stderr.clone().into()));
        let shell = WorkerCommand {
            exe: "/bin/sh".into(),
            args: vec!["-c".into(), command.into()],
            env,
            cwd: place.work.clone(),
        };
        let end = process::run_worker(&shell, b"", self.limit, cancel)?;
        if cancel.is_set() {
            return Err(TargetError::Interrupted);
        }
        Ok(end.exit_status == Some(0))
    }

    /// The target as documents show it.
    pub(super) fn document(&self) -> Value {
        let text = |word: &OsString| word.to_string_lossy().into_owned();
        json!({
            "argv": self.argv.iter().map(text).collect::<Vec<_>>(),
            "success_status": self.success_status,
            "success_command": self.success_command,
            "same_output": self.same_output,
            "timeout_s": self.limit.as_secs_f64(),
            "timeout_is_success": self.limit_is_success,
            "repeat": if self.repeat_fresh { "fresh" } else { "again" },
            "params": self.params.keys().collect::<Vec<_>>(),
            // Values may be secret; whoever resumes must have the same.
            "inputs_sha256": Sha256Hex::of(format!("{:?}", (&self.params, &self.template)).as_bytes()),
        })
    }
}
