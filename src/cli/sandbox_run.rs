//! `sandbox run`

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::launchd::StandInArgs;
use super::lock_args::seconds;
use super::outputs;
use super::sandbox_output::Output;
use super::sbpl::{self, ProfileArgs, SearchPath};
use crate::base::cancel::Cancel;
use crate::base::digest::Sha256Hex;
use crate::base::json as document;
use crate::base::text::counted;
use crate::denial::{self, DecisionRecord};
use crate::host::{Tool, missing};
use crate::os::signal::is_ignored;
use crate::sandbox::overlay::shipped;
use crate::sandbox::sandbox_exec;
use crate::sandbox::{
    self, AppliedImport, AppliedOverlay, AppliedProfile, Command, CommandReport, End, Job, ProfileText, SandboxError,
    Supervised, Tally, Trap,
};
use crate::sbpl::{Params, Policy, Source};
use crate::unified_log::{self, Capture, Capturing};
use crate::vocab::Decision;

/// Our own part failed: the set-up, the profile, or a record that was asked for.
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
    #[arg(long, value_name = "N", default_value_t = LOG_SECONDS, hide_short_help = true)]
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

const LOG_SECONDS: f64 = 10.0;

impl Args {
    /// Reads what stands behind `sandbox run` and whether JSON is asked for, in its most usual form: whole names of the options
    /// for every system, each once unless it may be repeated, values in words of their own. `None` for anything else.
    pub(crate) fn plain(words: &[OsString]) -> Option<(Self, bool)> {
        let (mut profile, mut denials, mut report) = (None, None, None);
        let (mut define, mut overlay) = (Vec::new(), Vec::new());
        let (mut observe, mut json) = (false, false);
        let mut words = words.iter();
        let command = loop {
            let word = words.next()?;
            let mut value = || words.next().filter(|value| !value.is_empty() && !value.as_bytes().starts_with(b"-"));
            match word.to_str()? {
                "--profile" if profile.is_none() => profile = Some(value()?.into()),
                "-D" => define.push(sbpl::key_value(value()?.to_str()?).ok()?),
                "--overlay" => overlay.push(value()?.into()),
                "--denials" if denials.is_none() => denials = Some(value()?.into()),
                "--report" if report.is_none() => report = Some(value()?.into()),
                "--observe" if !observe => observe = true,
                "--json" if !json => json = true,
                "--" => break words.as_slice().to_vec(),
                option if option.starts_with('-') => return None,
                _ => break [std::slice::from_ref(word), words.as_slice()].concat(),
            }
        };
        let args = Self {
            profile: ProfileArgs { profile: profile?, define, overlay, import_dir: Vec::new() },
            denials,
            stand_ins: StandInArgs::default(),
            log_seconds: LOG_SECONDS,
            report,
            observe,
            without_layer: Vec::new(),
            #[cfg(feature = "test-fakes")]
            weaken: Vec::new(),
            command,
        };
        (!args.command.is_empty()).then_some((args, json))
    }
}

const HELP: &str = "\
The overlay linux-base.sb is shipped: loader, C library, locale and null devices for Linux programs.

Exit status: the command's, 128 plus its signal, 125 our own set-up failed or a record could not be written (the message says \
how the command ended), 126 the command was refused at its start or cannot be executed, 127 it does not exist, 130 interrupted. \
What stands in the files of --denials and --report stays when nothing ran. Standard output is the command's: with --json our own \
failures are printed there as one object, and nothing else.

Examples:
  runtime sandbox run --profile p.sb --overlay linux-base.sb -- cat notes.txt
  runtime sandbox run --profile p.sb -D HOME=/home/u --denials denials.jsonl -- make";

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    #[cfg(all(feature = "test-fakes", target_os = "linux"))]
    sandbox::weaken::switch_off(&args.weaken).map_err(|error| set_up(anyhow::Error::from(error)))?;
    let of_use = |failure: Failure| if failure.exit == Exit::Usage { failure } else { set_up(failure) };
    let (sources, params) = sbpl::texts(&args.profile, context).map_err(of_use)?;
    let search = SearchPath::new(&args.profile.import_dir, context);
    let policy = match Policy::compile(&sources, &params, &search) {
        Ok(policy) => policy,
        Err(diagnostics) => return sbpl::refuse(&diagnostics, SET_UP_FAILED, json, context),
    };
    let imports = search.into_found();
    sbpl::warn_of_enforced(&policy, sources.iter().chain(imports.iter().map(|(_, text)| text)), context);
    let live = live(args)?;
    let (cancel, signal) = interruptible()?;
    let job = Job {
        text: Some(ProfileText { sources: &sources, params: &params }),
        trap: Trap::AsNeeded,
        observe: args.observe,
        without_layers: args.without_layer.clone(),
        report: args.report.is_some(),
        ..Job::new(Some(&policy))
    };
    let command = Command {
        program: args.command[0].clone(),
        argv: args.command.clone(),
        env: context.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        cwd: context.cwd.clone(),
        cancel,
    };
    let inputs = std::iter::once(&args.profile.profile).chain(&args.profile.overlay);
    let inputs: Vec<PathBuf> =
        inputs.chain(imports.iter().map(|(path, _)| path)).map(|path| context.absolute(path)).collect();
    let mut outputs = Outputs::open(args, &inputs, context, &command.cancel).map_err(|failure| {
        let stopped = command.cancel.is_set().then(|| interrupted(&signal));
        Failure { exit: stopped.unwrap_or(failure.exit), ..failure }
    })?;
    let ran = match live {
        Some(live) => from_log(&job, &command, live),
        None => {
            sandbox::exec(&job, &command).map_err(refused).map(|supervised| Ran { supervised, log: None, doubt: None })
        }
    };
    let ran = ran.inspect_err(|_| outputs.withdraw())?;
    let lost = outputs.write(&ran, || applied(&args.profile, &sources, &imports, &params));
    let Ran { supervised, doubt, .. } = ran;
    if supervised.records_dropped > 0 {
        super::note_line(&format!(
            "warning: {} not kept",
            counted(supervised.records_dropped, "decision", "decisions")
        ));
    }
    lost?;
    if let Some(why) = doubt {
        return Err(set_up(anyhow::anyhow!("{why}")));
    }
    let exit = exit(&supervised, args, interrupted(&signal))?;
    // This process ends now. Freeing all this first would touch some thirty pages for the first time since the reaper was forked.
    std::mem::forget((supervised, command, policy, sources));
    Ok(exit)
}

/// What came of the command.
struct Ran {
    supervised: Supervised,
    /// The lines of the system's log about it, where that was read.
    log: Option<String>,
    /// Why it is not known whether the command ran.
    doubt: Option<String>,
}

/// The files that were asked for.
struct Outputs {
    denials: Option<Output>,
    report: Option<Output>,
}

impl Outputs {
    /// `inputs` are files that must not be written over.
    fn open(args: &Args, inputs: &[PathBuf], context: &Context, cancel: &Cancel) -> Result<Self, Failure> {
        let open = |what, path: &Option<PathBuf>| {
            path.as_deref().map(|path| Output::open(what, path, context, cancel)).transpose().map_err(set_up)
        };
        let mut outputs = Self { denials: open("denials", &args.denials)?, report: None };
        let opened = open("report", &args.report).and_then(|report| {
            outputs.report = report;
            outputs::check(outputs.all().map(Output::path), inputs.iter().map(PathBuf::as_path))
        });
        opened.inspect_err(|_| outputs.withdraw())?;
        Ok(outputs)
    }

    fn all(&self) -> impl Iterator<Item = &Output> {
        self.denials.iter().chain(&self.report)
    }

    /// Nothing ran.
    fn withdraw(&self) {
        self.all().for_each(Output::withdraw);
    }

    /// Writes what there is to tell.
    fn write(&mut self, ran: &Ran, applied: impl Fn() -> AppliedProfile) -> Result<(), Failure> {
        let supervised = &ran.supervised;
        let denied = supervised.records.iter().any(|record| record.decision == Decision::Deny);
        // A program that is not there was never confined, and what an earlier one left is not replaced.
        let nothing_ran = supervised.exec_errno.is_some() && ran.log.is_none() && !denied;
        let tell = |output: &mut Option<Output>, known: bool, text: &dyn Fn() -> String| match output {
            Some(output) if known => output.write(&text()).map_err(|error| not_written(output, error, supervised)),
            Some(output) => {
                output.withdraw();
                Ok(())
            }
            None => Ok(()),
        };
        let denials = || ran.log.clone().unwrap_or_else(|| denial_lines(supervised));
        let report = || {
            let enforced = supervised.report.clone();
            let report = enforced.map(|enforced| CommandReport {
                enforced,
                applied: applied(),
                records_dropped: supervised.records_dropped,
            });
            report.as_ref().map(document::to_pretty).unwrap_or_default()
        };
        let first = tell(&mut self.denials, !nothing_ran, &denials);
        let second = tell(&mut self.report, !nothing_ran && ran.doubt.is_none(), &report);
        if let (Err(_), Err(second)) = (&first, &second) {
            super::note_line(&format!("error: {:#}", second.error));
        }
        first.and(second)
    }
}

/// What stands in the report about the texts that were applied; `sources` are those that the arguments lead to, in their order.
fn applied(args: &ProfileArgs, sources: &[Source], imports: &[(PathBuf, Source)], params: &Params) -> AppliedProfile {
    let digest = |source: &Source| Sha256Hex::of(source.text.as_bytes());
    let whole: String = sources.iter().map(|source| source.text.as_str()).collect();
    let overlay = |(path, source): (&PathBuf, &Source)| AppliedOverlay {
        name: source.name.clone(),
        shipped: path.to_str().and_then(shipped).is_some(),
        sha256: digest(source),
    };
    AppliedProfile {
        base_profile_path: sources[0].name.clone(),
        base_profile_sha256: digest(&sources[0]),
        applied_profile_sha256: Sha256Hex::of(whole.as_bytes()),
        overlays: args.overlay.iter().zip(&sources[1..]).map(overlay).collect(),
        imports: imports
            .iter()
            .map(|(_, source)| AppliedImport { path: source.name.clone(), sha256: digest(source) })
            .collect(),
        parameters: params.clone(),
    }
}

/// A record that was asked for is lost, which must not look like a success; how the command ended stands in the message.
fn not_written(output: &Output, error: std::io::Error, supervised: &Supervised) -> Failure {
    let ended = match (supervised.exec_errno, supervised.end) {
        (Some(_), _) => "could not be executed".to_owned(),
        (None, _) if supervised.cancelled => "was interrupted".to_owned(),
        (None, End::Exited(status)) => format!("ended with status {status}"),
        (None, End::Signaled(signal)) => format!("was ended by signal {signal}"),
    };
    let what = format!("the command {ended}, and its {} cannot be written to {}", output.what, output.shown.display());
    set_up(anyhow::Error::new(error).context(what))
}

/// How refusals are read from the system's log.
struct Live {
    stand_in_tools: BTreeMap<String, PathBuf>,
    limit: Duration,
}

/// macOS tells its refusals to its log and to nobody else.
fn live(args: &Args) -> Result<Option<Live>, Failure> {
    let stand_in_tools = args.stand_ins.stand_ins()?;
    if args.denials.is_none() && !stand_in_tools.is_empty() {
        return Err(Failure::usage("--stand-in replaces programs that --denials calls; give --denials"));
    }
    if args.denials.is_none() || (!cfg!(target_os = "macos") && stand_in_tools.is_empty()) {
        return Ok(None);
    }
    if args.observe || !args.without_layer.is_empty() {
        return Err(Failure::usage(
            "--denials from the system's log is not to be had with --observe or --without-layer",
        ));
    }
    Ok(Some(Live { stand_in_tools, limit: seconds("--log-seconds", args.log_seconds)? }))
}

/// Runs the command by `sandbox-exec` while the system's log is read.
fn from_log(job: &Job<'_>, command: &Command, live: Live) -> Result<Ran, Failure> {
    let Live { stand_in_tools, limit } = live;
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
            "note: {} of other processes left out; children of the command may be among them",
            counted(foreign, "refusal", "refusals")
        ));
    }
    let lines = unified_log::denial_lines(&mine, &captured, &how.stand_ins());
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let doubt = applied.doubt(&captured.applied).map(|why| why.to_string());
    Ok(Ran { supervised: applied.supervised, log: Some(text), doubt })
}

fn exit(supervised: &Supervised, args: &Args, interrupted: Exit) -> CliResult {
    if supervised.cancelled {
        return Ok(interrupted);
    }
    let exit = Exit::OfCommand(match supervised.end {
        End::Exited(status) => code(status),
        End::Signaled(signal) => code(128 + signal),
    });
    let Some(errno) = supervised.exec_errno else { return Ok(exit) };
    let error = anyhow::Error::new(std::io::Error::from_raw_os_error(errno))
        .context(format!("cannot execute {}", Path::new(&args.command[0]).display()));
    // Who only observes denies nothing.
    let denied = supervised.records.iter().find(|record| record.decision == Decision::Deny && !args.observe);
    let hint = denied.map(|denied| {
        let why = match (&denied.undecided, &denied.rule) {
            (Some(reason), _) => format!(": {reason}"),
            (None, Some(rule)) => format!(" by {rule}"),
            (None, None) => " by no rule".to_owned(),
        };
        format!("{} on {} was denied{why}", denied.operation, denied.target)
    });
    Err(Failure { exit, error, hint, excerpt: None })
}

/// The end of a run that a signal asked to stop.
fn interrupted(signal: &AtomicUsize) -> Exit {
    Exit::OfCommand(code(128 + i32::try_from(signal.load(Ordering::SeqCst)).unwrap_or(0)))
}

fn code(status: i32) -> u8 {
    u8::try_from(status).unwrap_or(u8::MAX)
}

/// A request to stop that a terminal's or another process's signal sets, and the number of that signal. One that is ignored from the
/// start, as `nohup` has it, stays so.
fn interruptible() -> Result<(Cancel, Arc<AtomicUsize>), Failure> {
    let (cancel, signal) = (Cancel::default(), Arc::new(AtomicUsize::new(0)));
    for number in [SIGINT, SIGQUIT, SIGTERM, SIGHUP].into_iter().filter(|number| !is_ignored(*number)) {
        let value = usize::try_from(number).unwrap_or(0);
        signal_hook::flag::register_usize(number, Arc::clone(&signal), value)
            .and_then(|_| signal_hook::flag::register(number, cancel.flag()))
            .context("cannot listen for signals")
            .map_err(set_up)?;
    }
    Ok((cancel, signal))
}

/// A line for each refusal, in the order of their first occurrence. Records that differ only in what a line does not hold, such as
/// the system call, are one line.
fn denial_lines(supervised: &Supervised) -> String {
    let mut lines: Vec<(DecisionRecord, Tally)> = Vec::new();
    let mut places = HashMap::new();
    for (record, tally) in supervised.records.iter().zip(&supervised.tallies) {
        if record.decision == Decision::Allow {
            continue;
        }
        let rule = record.rule.as_ref().map(|rule| (&rule.file, rule.line));
        let shown = (&record.operation, &record.target, record.pid, &record.process, rule, &record.undecided);
        let place = *places.entry(shown).or_insert(lines.len());
        let Some((first, all)) = lines.get_mut(place) else {
            lines.push((record.clone(), *tally));
            continue;
        };
        first.at_unix_s = first.at_unix_s.min(record.at_unix_s);
        all.count += tally.count;
        all.last_at_unix_s = all.last_at_unix_s.max(tally.last_at_unix_s);
    }
    let line = |(record, tally): &(DecisionRecord, Tally)| {
        format!("{}\n", denial::refusal_line(record, tally.count, tally.last_at_unix_s))
    };
    lines.iter().map(line).collect()
}

/// Our own part failed, not the command.
pub(super) fn set_up(error: impl Into<Failure>) -> Failure {
    Failure { exit: SET_UP_FAILED, ..error.into() }
}

fn refused(error: SandboxError) -> Failure {
    let hint = matches!(error, SandboxError::MissingLayers { .. }).then(|| "see `runtime status`".to_owned());
    Failure { exit: SET_UP_FAILED, error: error.into(), hint, excerpt: None }
}
