//! `shrink-trace trace`, `shrink` and `workflow`

use std::path::{Path, PathBuf};

use super::options::{self, SearchOptions, TargetArgs, TraceOptions};
use super::show::{self, Progress};
use crate::base::json as document;
use crate::base::text::counted;
use crate::cli::context::Context;
use crate::cli::exit::{CliResult, Exit, Failure};
use crate::cli::host::cancel_on_signals;
use crate::cli::{outputs, print_line};
use crate::host::detect_world;
use crate::shrink::{
    ClaimError, FromLog, Matrix, ShrinkError, learn_from_log, run_matrix, shrink_profile, trace_profile,
    workflow_profile,
};

// Arguments of `shrink-trace trace`.
#[derive(Debug, clap::Args)]
#[command(after_help = TRACE_HELP)]
pub(crate) struct TraceArgs {
    /// Profile to learn into: made when it is not there, extended otherwise
    #[arg(long, value_name = "FILE")]
    profile: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    trace: TraceOptions,
    /// Learn from saved logs instead of a run: the unified log of macOS in any style, or JSON lines of `sandbox run --denials`
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "cmd")]
    from_log: Vec<PathBuf>,
    /// With --from-log: number of the first process of the scope; may be given several times
    #[arg(long, value_name = "PID", requires = "from_log")]
    pid: Vec<i32>,
    /// With --from-log: text of the message modifier that marks the run
    #[arg(long, value_name = "TEXT", requires = "from_log")]
    tag: Option<String>,
    /// With --from-log: text of the messages `TEXT begin` and `TEXT end` that a whole log holds
    #[arg(long, value_name = "TEXT", requires = "from_log")]
    sentinel: Option<String>,
    /// With --from-log: the working directory that rules name by (param "WORK_DIR")
    #[arg(long, value_name = "DIR", requires = "from_log")]
    log_workdir: Option<PathBuf>,
}

// Arguments of `shrink-trace shrink`.
#[derive(Debug, clap::Args)]
#[command(after_help = SHRINK_HELP)]
pub(crate) struct ShrinkArgs {
    /// Profile to shrink; it is not changed
    #[arg(long, value_name = "FILE")]
    profile: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    search: SearchOptions,
}

// Arguments of `shrink-trace workflow`.
#[derive(Debug, clap::Args)]
#[command(after_help = WORKFLOW_HELP)]
pub(crate) struct WorkflowArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    trace: TraceOptions,
    #[command(flatten)]
    search: SearchOptions,
    /// Run programs times options as this file says; every run gets a directory below --out
    #[arg(long, value_name = "FILE", conflicts_with = "cmd")]
    matrix: Option<PathBuf>,
}

const TRACE_HELP: &str = "\
The observed run refuses nothing: the program does everything it does without a sandbox. On Linux refusals come from the \
supervisor of the program's own processes, so other programs add no rule. On macOS they come from the live log, and every run \
refuses: there --deny-scope tree keeps other programs out. Saved logs are read on every system.

Examples:
  runtime shrink-trace trace --profile ls.sb --cmd ls -- -l /usr
  runtime shrink-trace trace --profile build.sb --cmd make --workdir . --generalize -- -j2
  runtime shrink-trace trace --profile app.sb --from-log log.json --deny-scope tree --pid 412

Exit status: 0 learned, 1 not (see run.json) or --out is in use, \
2 usage or --out is not shrink-trace's own, 3 could not answer (no such program, no log) or interrupted.";

const SHRINK_HELP: &str = "\
Only whole allow forms, single operations of one, and single alternatives of an any-of are taken out. The result never \
allows what the input denies.

Examples:
  runtime shrink-trace shrink --profile ls.sb --cmd ls -- -l /usr
  runtime shrink-trace shrink --profile build.sb --cmd make --workdir . --jobs 2 --same-output

Exit status: 0 shrunk and shown to work, 1 not (see run.json) or --out is in use, \
2 usage or --out is not shrink-trace's own, 3 could not answer (no such program, no log) or interrupted.";

const WORKFLOW_HELP: &str = "\
Examples:
  runtime shrink-trace workflow --cmd ls -- -l /usr
  runtime shrink-trace workflow --cmd git --workdir repo --repeat fresh -- status --short
  runtime shrink-trace workflow --cmd sh --success-cmd 'test -s result' -- -c 'sort words > result'
  runtime shrink-trace workflow --matrix matrix.json --out runs

Exit status: 0 learned, shrunk and shown to work, 1 not (see run.json) or --out is in use, \
2 usage or --out is not shrink-trace's own, 3 could not answer (no such program, no log) or interrupted.";

pub(super) fn trace(args: &TraceArgs, json: bool, context: &Context) -> CliResult {
    outputs::outside_bundles(&context.absolute(&args.profile))?;
    outputs::outside_bundles(&context.absolute(&args.target.out))?;
    if !args.from_log.is_empty() {
        return from_log(args, json, context);
    }
    needs_command(&args.target)?;
    let options = options::options(&args.target, Some(&args.trace), None, Some(&args.profile), context)?;
    let cancel = cancel_on_signals()?;
    let done = trace_profile(&options, &cancel, &mut Progress::new(context)).map_err(failure)?;
    show::outcome(&done, &options.target.argv, json)
}

pub(super) fn shrink(args: &ShrinkArgs, json: bool, context: &Context) -> CliResult {
    outputs::outside_bundles(&context.absolute(&args.target.out))?;
    needs_command(&args.target)?;
    let options = options::options(&args.target, None, Some(&args.search), Some(&args.profile), context)?;
    let cancel = cancel_on_signals()?;
    let done = shrink_profile(&options, &cancel, &mut Progress::new(context)).map_err(failure)?;
    show::outcome(&done, &options.target.argv, json)
}

pub(super) fn workflow(args: &WorkflowArgs, json: bool, context: &Context) -> CliResult {
    outputs::outside_bundles(&context.absolute(&args.target.out))?;
    let cancel = cancel_on_signals()?;
    let mut progress = Progress::new(context);
    if let Some(path) = &args.matrix {
        let path = context.absolute(path);
        let matrix = Matrix::read(&path).map_err(failure)?;
        let base = options::options(&args.target, Some(&args.trace), Some(&args.search), None, context)?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        let (summary, as_meant) = run_matrix(&matrix, directory, &base, &cancel, &mut progress).map_err(failure)?;
        if json {
            print_line(&document::to_pretty_sorted(&summary))?;
        } else {
            let shown = crate::shrink::Summary { directory: base.out.clone(), record: summary, is_matrix: true };
            print_line(shown.text().trim_end())?;
        }
        return Ok(if as_meant { Exit::Yes } else { Exit::No });
    }
    needs_command(&args.target)?;
    let options = options::options(&args.target, Some(&args.trace), Some(&args.search), None, context)?;
    let done = workflow_profile(&options, &cancel, &mut progress).map_err(failure)?;
    show::outcome(&done, &options.target.argv, json)
}

fn needs_command(target: &TargetArgs) -> Result<(), Failure> {
    match &target.cmd {
        Some(program) if !program.is_empty() => Ok(()),
        _ => Err(Failure::usage("--cmd <EXE> is required")),
    }
}

fn from_log(args: &TraceArgs, json: bool, context: &Context) -> CliResult {
    let options = FromLog {
        files: args.from_log.iter().map(|path| context.absolute(path)).collect(),
        out: context.absolute(&args.target.out),
        root: context.cwd.clone(),
        profile: Some(context.absolute(&args.profile)),
        seed: args.trace.seed(),
        deny_scope: args.trace.deny_scope(),
        pids: args.pid.clone(),
        tag: args.tag.clone(),
        sentinel: args.sentinel.clone(),
        network_rules: args.trace.network_rules(),
        work: args.log_workdir.clone(),
        home: options::home(context),
        require_complete: args.trace.require_complete(),
        world_id: detect_world()?.world_id(),
    };
    let (record, success) = learn_from_log(&options).map_err(failure)?;
    if json {
        print_line(&document::to_pretty_sorted(&record))?;
    } else {
        let trace = &record["trace"];
        print_line(&format!(
            "learned {} from {}, completeness {}",
            counted(trace["new_rules"].as_u64().unwrap_or(0), "rule", "rules"),
            counted(trace["denies_seen"].as_u64().unwrap_or(0), "refusal", "refusals"),
            trace["completeness"]["verdict"].as_str().unwrap_or("unknown")
        ))?;
        for reason in trace["completeness"]["reasons"].as_array().into_iter().flatten() {
            print_line(&format!("  {}", crate::cli::printable(reason.as_str().unwrap_or_default())))?;
        }
        for (process, count) in trace["foreign"].as_object().into_iter().flatten() {
            print_line(&format!("  left out: {count} of {}", crate::cli::printable(process)))?;
        }
        if options.deny_scope == crate::shrink::DenyScope::All {
            crate::cli::note_line("warning: with --deny-scope all every program in the log adds rules");
        }
    }
    Ok(if success { Exit::Yes } else { Exit::No })
}

fn failure(error: ShrinkError) -> Failure {
    let hint = match &error {
        ShrinkError::Claim(ClaimError::Foreign { .. } | ClaimError::InTheWay { .. }) => {
            Some("nothing was changed; name another directory with --out")
        }
        ShrinkError::OtherState { .. } => Some("without --resume the search begins anew"),
        ShrinkError::TooManyRuns { .. } => Some("a larger --max-runs, or fewer rules: --generalize"),
        ShrinkError::NoProfile { .. } => Some("`shrink-trace trace` makes one"),
        _ => None,
    };
    let exit = match &error {
        ShrinkError::Claim(ClaimError::Busy { .. }) => Exit::No,
        ShrinkError::Claim(_) => Exit::Usage,
        _ => Exit::CannotAnswer,
    };
    let failure = Failure { exit, ..Failure::from(error) };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
