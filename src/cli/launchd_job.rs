//! The hidden command that a job of the clean channel is: it measures its own start, runs, and leaves its record.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use clap::Parser as _;
use serde_json::Value;

use super::args::{Cli, Command};
use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::run::{InJob, run_as};
use crate::base::json;
use crate::base::time::unix_seconds;
use crate::launchd::{Finished, JOB_TAG, JobDocument, Outcome, Start, Worker, verdict};
use crate::os;
use crate::os::lock::{FileLock, LockMode};
use crate::run::{Observer, Progress, Staged};
use crate::sandbox;

/// Largest document of a job, in bytes.
const LIMIT_BYTES: u64 = 16 * 1024 * 1024;

// Arguments of the job.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The job's document, in its stage
    file: PathBuf,
}

/// Writes progress where whoever waits for the job reads it.
struct Lines {
    path: PathBuf,
    turn: Mutex<()>,
}

impl Observer for Lines {
    fn on(&self, progress: &Progress) {
        let _turn = self.turn.lock();
        // Progress that cannot be written takes nothing away from the run.
        let _ = os::workspace::append_line(&self.path, &json::to_line(progress));
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> CliResult {
    // First of all, before this process opens or asks anything else.
    let start = measure(context);
    let began = unix_seconds(SystemTime::now());
    let bytes = os::fs::read_bounded(&context.absolute(&args.file), LIMIT_BYTES)?;
    let job: JobDocument = serde_json::from_slice(&bytes).context("the job's document is not one")?;
    if job.schema_version != JOB_TAG {
        return Err(anyhow!("the job's document has the tag {:?}", job.schema_version).into());
    }
    let start = Start { launchd_pid: job.launchd_pid, ..start };
    let state = |name: &str| job.stage_root.join("state").join(name);
    // Held to the end: whoever waits sees by it that this process lives.
    let wait = LockMode::Wait { timeout: std::time::Duration::from_secs(10) };
    let _lock = FileLock::acquire(&state("worker.lock"), wait, &|| false)?;
    Worker { run_id: job.run_id.clone(), pid: start.pid }.write(&state("started.json"))?;
    let reasons = verdict(&start, &job.label);
    let (outcome, result) = if reasons.is_empty() {
        let observer = Lines { path: state("progress.jsonl"), turn: Mutex::new(()) };
        match serve(&job, &start, &observer, context) {
            Ok(exit) => (Outcome::Finished, Ok(exit)),
            Err(failure) => (Outcome::Failed, Err(failure)),
        }
    } else {
        let refused = anyhow!("the job did not start clean: {}", reasons.join(", "));
        (Outcome::NotClean, Err(Failure::no(refused)))
    };
    let finished = Finished {
        schema_version: Finished::TAG.to_owned(),
        run_id: job.run_id.clone(),
        outcome,
        exit_code: result.as_ref().ok().map(|exit| exit.code()),
        error: result.as_ref().err().map(|failure| format!("{:#}", failure.error)),
        start,
        not_clean: reasons.into_iter().map(str::to_owned).collect(),
        started_at_unix_s: began,
        finished_at_unix_s: unix_seconds(SystemTime::now()),
    };
    finished.write(&state("finished.json"))?;
    result
}

/// How this process finds itself.
fn measure(context: &Context) -> Start {
    let check = sandbox::self_check();
    let beyond_standard = |numbers: Vec<i32>| numbers.into_iter().filter(|&number| number > 2).collect();
    let name = |name: &std::ffi::OsString| name.to_string_lossy().into_owned();
    Start {
        pid: std::process::id(),
        parent_pid: rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().cast_unsigned()),
        launchd_pid: None,
        service_name: context.env_text("XPC_SERVICE_NAME").map(str::to_owned),
        sandboxed: check.sandboxed(),
        sandboxed_source: check.source.to_owned(),
        descriptors: os::fd::open_descriptors().map(beyond_standard),
        variables: context.env.keys().map(name).collect(),
        uid: rustix::process::getuid().as_raw(),
    }
}

/// Runs the job's command.
fn serve(job: &JobDocument, start: &Start, observer: &Lines, context: &Context) -> Result<Exit, Failure> {
    let words = std::iter::once("runtime".to_owned()).chain(job.arguments.iter().cloned());
    let cli = Cli::try_parse_from(words).context("the job's command is not one of this program")?;
    let args = match cli.command {
        Command::Run(args) => args,
        Command::Selftest(args) => return super::selftest::run_in_job(&args, job, context),
        _ => return Err(anyhow!("the job's command is neither a run nor a selftest").into()),
    };
    let start: Value = json::to_value(start);
    let staged = Staged { root: job.stage_root.clone(), recorded_dir: job.recorded_dir.clone(), start };
    run_as(&args, true, context, Some(InJob { staged, stand_in_tools: job.stand_in_tools.clone(), observer }))
}
