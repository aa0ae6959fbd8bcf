//! One run of the target, in a process of its own: what is handed over, what comes back, and the worker's sequence.
//!
//! One JSON document each way between two processes of the same executable; never stored, so it carries no version.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::cancel::Cancel;
use crate::base::error_chain;
use crate::denial::DecisionRecord;
use crate::os::{process, workspace};
use crate::sandbox::{self, Command, End, EnforcementReport, Trap};
use crate::sbpl::{NoImports, Params, Policy, Source};

/// What is done with the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Refuse nothing, record what would be refused.
    Observe,
    /// Refuse, record refusals.
    Enforce,
    /// Refuse, record every decision with its rule.
    EnforceAndRecord,
}

/// One run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TargetJob {
    pub(crate) profile: Source,
    pub(crate) params: Params,
    pub(crate) mode: Mode,
    /// Program and arguments.
    pub(crate) argv: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) cwd: OsString,
    /// Files for the target's output.
    pub(crate) stdout: OsString,
    pub(crate) stderr: OsString,
    pub(crate) limit_ms: u64,
    /// The program that applies the profile; this process itself without one.
    pub(crate) sandbox_exec: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct TargetAnswer {
    /// Why the target could not be run under the profile.
    pub(crate) error: Option<String>,
    /// Its process id, where a program of the system applied the profile.
    pub(crate) pid: Option<i32>,
    /// Status of the target: its own, or 128 plus its signal.
    pub(crate) status: i32,
    /// Signal that ended it.
    pub(crate) signal: Option<i32>,
    /// Errno with which it could not be started.
    pub(crate) exec_errno: Option<i32>,
    /// Whether the time limit ended it.
    pub(crate) timed_out: bool,
    pub(crate) records: Vec<DecisionRecord>,
    /// How often each record occurred, and when last.
    pub(crate) tallies: Vec<(u64, f64)>,
    pub(crate) records_dropped: u64,
    pub(crate) report: Option<EnforcementReport>,
}

/// Serves one run. The process must have one thread: it becomes the supervisor.
///
/// # Errors
/// The job cannot be read, or the answer not written; everything else is part of the answer.
pub fn serve(mut job: impl Read, mut answer: impl Write) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    job.read_to_end(&mut bytes)?;
    let job: TargetJob = serde_json::from_slice(&bytes)?;
    let done = run(job).unwrap_or_else(|error| TargetAnswer { error: Some(error), ..TargetAnswer::default() });
    answer.write_all(&serde_json::to_vec(&done)?)?;
    answer.flush()
}

fn run(job: TargetJob) -> Result<TargetAnswer, String> {
    let sources = [job.profile];
    let policy = Policy::compile(&sources, &job.params, &NoImports).map_err(|found| found.render(false))?;
    workspace::redirect_output(job.stdout.as_ref(), job.stderr.as_ref())
        .map_err(|error| format!("cannot write the target's output to files: {error}"))?;
    let cancel = Cancel::default();
    signal_hook::flag::register(signal_hook::consts::SIGALRM, cancel.flag())
        .and_then(|_| process::alarm_after(Duration::from_millis(job.limit_ms)))
        .map_err(|error| format!("cannot set a time limit: {error}"))?;
    let what = sandbox::Job {
        text: Some(sandbox::ProfileText { sources: &sources, params: &job.params }),
        observe: job.mode == Mode::Observe,
        trap: if job.mode == Mode::EnforceAndRecord { Trap::All } else { Trap::AsNeeded },
        ..sandbox::Job::new(Some(&policy))
    };
    let program = job.argv.first().cloned().unwrap_or_default();
    let command = Command { program, argv: job.argv, env: job.env, cwd: PathBuf::from(job.cwd), cancel };
    let (done, pid) = match &job.sandbox_exec {
        None => (sandbox::exec(&what, &command).map_err(|error| error_chain(&error))?, None),
        Some(program) => {
            let file = PathBuf::from(&job.stdout).with_extension("applied.sb");
            let text = sandbox::ProfileText { sources: &sources, params: &job.params };
            let applied = sandbox::sandbox_exec::run(program, &file, text, &command);
            let removed = crate::os::fs::remove(&file);
            let applied = applied.map_err(|error| error_chain(&error))?;
            removed.map_err(|error| error_chain(&error))?;
            (applied.supervised, Some(applied.pid))
        }
    };
    let (status, signal) = match done.end {
        End::Exited(status) => (status, None),
        End::Signaled(signal) => (128 + signal, Some(signal)),
    };
    Ok(TargetAnswer {
        error: None,
        pid,
        status,
        signal,
        exec_errno: done.exec_errno,
        timed_out: done.cancelled,
        records: done.records,
        tallies: done.tallies.iter().map(|tally| (tally.count, tally.last_at_unix_s)).collect(),
        records_dropped: done.records_dropped,
        report: done.report,
    })
}
