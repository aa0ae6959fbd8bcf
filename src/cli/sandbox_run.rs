//! `sandbox run`

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::launchd::StandInArgs;
use super::lock_args::seconds;
use super::sbpl::{self, ProfileArgs};
use crate::base::cancel::Cancel;
use crate::base::json as document;
use crate::denial;
use crate::host::{Tool, missing};
use crate::sandbox::sandbox_exec;
use crate::sandbox::{self, Command, End, Job, ProfileText, SandboxError, Supervised, Trap};
use crate::unified_log::{self, Capture, Capturing};
use crate::vocab::Decision;

/// Our own set-up failed, or the profile is not one.
const SET_UP_FAILED: Exit = Exit::OfCommand(125);

// Arguments of `sandbox run`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    profile: ProfileArgs,
    /// Write refusals to this file, one JSON object per line
    #[arg(long, value_name = "FILE")]
    denials: Option<PathBuf>,
    #[command(flatten)]
    stand_ins: StandInArgs,
    /// macOS, with --denials: limit for a provoked refusal to appear in the log, in seconds
    #[arg(long, value_name = "N", default_value_t = 10.0, hide_short_help = true)]
    log_seconds: f64,
    /// Write what was enforced to this file as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Refuse nothing that a profile could allow; record what would be refused
    #[arg(long)]
    observe: bool,
    /// Leave a layer of enforcement out; the report names it (for tests)
    #[arg(long, value_name = "NAME", hide = true)]
    without_layer: Vec<String>,
    /// Switch a protection off (test builds only)
    #[cfg(feature = "test-fakes")]
    #[arg(long, value_name = "NAME", hide = true)]
    weaken: Vec<String>,
    /// Command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

const HELP: &str = "\
The overlay linux-base.sb is shipped: loader, C library, locale and null devices for Linux programs.

Exit status: the command's, 128 plus its signal, 125 our own set-up failed, 126 the command was refused at its start or
cannot be executed, 127 it does not exist, 130 interrupted.

Examples:
  runtime sandbox run --profile p.sb --overlay linux-base.sb -- cat notes.txt
  runtime sandbox run --profile p.sb -D HOME=/home/u --denials denials.jsonl -- make";

pub(crate) fn run(args: &Args, context: &Context) -> CliResult {
    #[cfg(all(feature = "test-fakes", target_os = "linux"))]
    sandbox::weaken::switch_off(&args.weaken).map_err(|error| set_up(anyhow::Error::from(error)))?;
    let (sources, params) = sbpl::texts(&args.profile, context).map_err(set_up)?;
    let policy = match sbpl::compile_texts(&sources, &params, &args.profile, context) {
        Ok(policy) => policy,
        Err(diagnostics) => {
            sbpl::show_diagnostics(&diagnostics, false, context)?;
            return Ok(SET_UP_FAILED);
        }
    };
    sbpl::warn(policy.warnings(), context);
    // Both are opened now: afterwards this process is inside its own outer domain and can make no file.
    let denials = args.denials.as_deref().map(|path| create(path, context)).transpose()?;
    let report = args.report.as_deref().map(|path| create(path, context)).transpose()?;
    let (cancel, signal) = interruptible()?;
    let job = Job {
        text: Some(ProfileText { sources: &sources, params: &params }),
        trap: Trap::AsNeeded,
        observe: args.observe,
        without_layers: args.without_layer.clone(),
        ..Job::new(Some(&policy))
    };
    let command = Command {
        program: args.command[0].clone(),
        argv: args.command.clone(),
        env: context.env.clone().into_iter().collect(),
        cwd: context.cwd.clone(),
        cancel,
    };
    let stand_ins = args.stand_ins.stand_ins()?;
    if denials.is_none() && !stand_ins.is_empty() {
        return Err(Failure::usage("--stand-in replaces programs that --denials calls; give --denials"));
    }
    // macOS tells its refusals to its log and to nobody else.
    let (live, denials) = match denials {
        Some(file) if cfg!(target_os = "macos") || !stand_ins.is_empty() => (Some(file), None),
        other => (None, other),
    };
    let supervised = match live {
        Some(mut file) => {
            if args.observe || !args.without_layer.is_empty() {
                return Err(Failure::usage(
                    "--denials from the system's log is not to be had with --observe or --without-layer",
                ));
            }
            let limit = seconds("--log-seconds", args.log_seconds)?;
            from_log(&mut file, &job, &command, stand_ins, limit)?
        }
        None => sandbox::exec(&job, &command).map_err(refused)?,
    };
    if let Some(mut file) = denials {
        write_denials(&mut file, &supervised).context("cannot write the denials").map_err(set_up)?;
    }
    if let (Some(mut file), Some(report)) = (report, &supervised.report) {
        let text = document::to_pretty(report);
        file.write_all(text.as_bytes()).context("cannot write the report").map_err(set_up)?;
    }
    if supervised.records_dropped > 0 {
        super::note_line(&format!("warning: {} decisions were not kept", supervised.records_dropped));
    }
    let exit = exit(&supervised, args, signal.load(Ordering::SeqCst));
    // This process ends now. Freeing all this first would touch some thirty pages for the first time since the reaper was forked.
    std::mem::forget((supervised, command, policy, sources));
    Ok(exit)
}

/// Runs the command by `sandbox-exec` while the system's log is read, and writes what the log says.
fn from_log(
    file: &mut File,
    job: &Job<'_>,
    command: &Command,
    stand_in_tools: BTreeMap<String, PathBuf>,
    limit: Duration,
) -> Result<Supervised, Failure> {
    let absent = missing(&unified_log::NEEDED, &stand_in_tools);
    if !absent.is_empty() {
        return Err(set_up(anyhow::anyhow!("the system's log cannot be read; not here: {}", absent.join(", "))));
    }
    let directory = tempfile::Builder::new().prefix("runtime-log-").tempdir().map_err(set_up)?;
    let canonical = directory.path().canonicalize().map_err(set_up)?;
    let how = Capturing { stand_in_tools, directory: canonical.clone(), limit };
    let text = job.text.expect("the text was put into the job");
    let begun =
        |gap| set_up(anyhow::Error::new(gap).context("the command was not started: its refusals would not be seen"));
    let capture = Capture::begin(&how, &command.cancel).map_err(begun)?;
    let applied = sandbox_exec::run(&how.tool(Tool::SandboxExec), &canonical.join("applied.sb"), text, command);
    let captured = capture.end(&Cancel::default());
    let applied = applied.map_err(refused)?;
    let mine = unified_log::members(&captured.entries, applied.pid);
    for gap in &captured.gaps {
        super::note_line(&format!("warning: refusals may be missing: {}", super::printable(&gap.to_string())));
    }
    let foreign: u64 = mine.foreign.values().sum();
    if foreign > 0 {
        super::note_line(&format!(
            "note: {foreign} refusals of other processes were left out; children of the command may be among them"
        ));
    }
    let lines = unified_log::denial_lines(&mine, &captured, &how.stand_ins());
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    file.write_all(text.as_bytes()).context("cannot write the denials").map_err(set_up)?;
    match applied.doubt(&captured.applied) {
        Some(why) => Err(set_up(anyhow::anyhow!("{why}"))),
        None => Ok(applied.supervised),
    }
}

fn exit(supervised: &Supervised, args: &Args, signal: usize) -> Exit {
    if supervised.cancelled {
        return Exit::OfCommand(code(128 + i32::try_from(signal).unwrap_or(0)));
    }
    if let Some(errno) = supervised.exec_errno {
        let why = std::io::Error::from_raw_os_error(errno);
        super::note_line(&format!("error: cannot execute {}", Path::new(&args.command[0]).display()));
        super::note_line(&format!("  caused by: {why}"));
        if let Some(denied) = supervised.records.iter().find(|record| record.decision == Decision::Deny) {
            let rule = denied.rule.as_ref().map_or("no rule".to_owned(), ToString::to_string);
            super::note_line(&format!("  hint: {} on {} was denied by {rule}", denied.operation, denied.target));
        }
    }
    Exit::OfCommand(match supervised.end {
        End::Exited(status) => code(status),
        End::Signaled(signal) => code(128 + signal),
    })
}

fn code(status: i32) -> u8 {
    u8::try_from(status).unwrap_or(u8::MAX)
}

/// A request to stop that a terminal's or another process's signal sets, and the number of that signal.
fn interruptible() -> Result<(Cancel, Arc<AtomicUsize>), Failure> {
    let (cancel, signal) = (Cancel::default(), Arc::new(AtomicUsize::new(0)));
    for number in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        let value = usize::try_from(number).unwrap_or(0);
        signal_hook::flag::register_usize(number, Arc::clone(&signal), value)
            .and_then(|_| signal_hook::flag::register(number, cancel.flag()))
            .context("cannot listen for signals")
            .map_err(set_up)?;
    }
    Ok((cancel, signal))
}

fn create(path: &Path, context: &Context) -> Result<File, Failure> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(context.absolute(path))
        .with_context(|| format!("cannot write {}", path.display()))
        .map_err(set_up)
}

fn write_denials(file: &mut File, supervised: &Supervised) -> std::io::Result<()> {
    let mut text = String::new();
    for (record, tally) in supervised.records.iter().zip(&supervised.tallies) {
        if record.decision == Decision::Allow {
            continue;
        }
        let line = denial::refusal_line(record, tally.count, tally.last_at_unix_s);
        text.push_str(&line.to_string());
        text.push('\n');
    }
    file.write_all(text.as_bytes())
}

fn set_up(error: impl Into<Failure>) -> Failure {
    Failure { exit: SET_UP_FAILED, ..error.into() }
}

fn refused(error: SandboxError) -> Failure {
    let hint = matches!(error, SandboxError::MissingLayers { .. }).then(|| "see `runtime status`".to_owned());
    Failure { exit: SET_UP_FAILED, error: error.into(), hint, excerpt: None }
}
