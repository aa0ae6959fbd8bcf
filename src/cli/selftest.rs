//! `selftest`: every assumption about this host, tried on it. And `__ask`, which a confined process of it is.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde_json::json;

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::launchd::{Asked, LaunchdArgs, available};
use super::print_line;
use super::run_progress::RunProgress;
use crate::base::cancel::Cancel;
use crate::base::ids::RunId;
use crate::base::json as document;
use crate::base::rel_path::RelPath;
use crate::bundle::SealedBundle;
use crate::event::CheckApi;
use crate::host::Host;
use crate::launchd::{Argument, DIAGNOSTICS_FILE, Failure as JobFailure, JobDocument, JobPlan};
use crate::report;
use crate::run::Told;
use crate::sandbox;
use crate::sandbox::callout::{AskedFilter, Question};
use crate::selftest::{self, CHANNEL_DIRECT, CHANNEL_LAUNCHD_CLEAN, Selftest, Verdict};
use crate::vocab::{CheckFilter, CompiledFilter};

// Arguments of `selftest`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime selftest
  runtime selftest --out selftest-out --json
  runtime selftest --channel launchd_clean

Exit status: 0 every check passed, 1 one failed or could not be tried, 2 usage, 3 the bundle cannot be written.")]
pub(crate) struct Args {
    /// Bundle root
    #[arg(long, value_name = "DIR", default_value = "selftest-out")]
    out: PathBuf,
    /// Who makes the checks: children of this process, or a job of launchd, whose start is checked too
    #[arg(long, default_value = CHANNEL_DIRECT, value_parser = [CHANNEL_DIRECT, CHANNEL_LAUNCHD_CLEAN])]
    channel: String,
    #[command(flatten)]
    launchd: LaunchdArgs,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let mut host = super::host::host(context)?;
    host.stand_in_tools.extend(args.launchd.stand_ins()?);
    let run_id = match context.env_text("SANDBOX_LORE_RUN_ID") {
        Some(text) => RunId::try_from(text.to_owned())
            .map_err(|error| Failure::usage(format_args!("SANDBOX_LORE_RUN_ID: {error}")))?,
        None => RunId::random(),
    };
    let out = context.absolute(&args.out);
    super::outputs::outside_bundles(&out)?;
    let (tested, sealed) = if args.channel == CHANNEL_LAUNCHD_CLEAN {
        let words = ["selftest", "--out"].map(|word| Argument::Word(word.to_owned()));
        let arguments: Vec<Argument> = words.into_iter().chain([Argument::Path(out.clone())]).collect();
        let asked = Asked { root: &out, inputs: &[], out: &out, arguments: &arguments };
        let job = args.launchd.job(context, &host, &run_id, &asked)?;
        if args.launchd.print_job {
            print_line(&document::to_pretty(&job))?;
            return Ok(Exit::Yes);
        }
        available(&host.stand_in_tools).map_err(Failure::no)?;
        clean(&job, &host, &run_id, &out, context, json)?
    } else {
        if args.launchd.print_job {
            return Err(Failure::usage(
                "--print-job prints the job of --channel launchd_clean; no other channel has one",
            ));
        }
        direct(&host, &run_id, &out)?
    };
    if json {
        print_line(&document::to_pretty(&json!({
            "bundle_dir": sealed.run_dir.display().to_string(), "selftest": tested,
        })))?;
    } else {
        let rows = tested.checks.iter().map(|check| {
            let verdict = match check.verdict {
                Verdict::Pass => "pass",
                Verdict::Fail => "FAIL",
                Verdict::Untried => "UNTRIED",
            };
            [verdict, &check.id, &check.expected, &check.observed].map(super::printable).to_vec()
        });
        let rows: Vec<Vec<String>> = rows.collect();
        print_line(report::render_table(&["verdict", "check", "expected", "observed"], &rows).trim_end())?;
        print_line(&format!("{} passed, {} failed, {} untried", tested.passed, tested.failed, tested.untried))?;
        print_line(&format!("[+] wrote {}", super::shown_path(&sealed.run_dir)))?;
    }
    Ok(if tested.failed + tested.untried == 0 { Exit::Yes } else { Exit::No })
}

/// The checks by children of this process.
fn direct(host: &Host, run_id: &RunId, out: &Path) -> Result<(Selftest, SealedBundle), Failure> {
    let cancel = super::host::cancel_on_signals()?;
    let tested = check(host, run_id, &cancel)?;
    let sealed = selftest::commit(&tested, run_id, out, host, &[])?;
    Ok((tested, sealed))
}

fn check(host: &Host, run_id: &RunId, cancel: &Cancel) -> Result<Selftest, Failure> {
    let work = tempfile::Builder::new().prefix("runtime-selftest-").tempdir_in(&host.temp_dir)?;
    let tested = selftest::selftest(host, &sandbox::layers(), run_id, work.path(), cancel);
    if cancel.is_set() {
        return Err(Failure::no(anyhow!("interrupted; nothing was written")));
    }
    Ok(tested)
}

/// The checks by a job of launchd.
fn clean(
    job: &JobPlan,
    host: &Host,
    run_id: &RunId,
    out: &Path,
    context: &Context,
    json: bool,
) -> Result<(Selftest, SealedBundle), Failure> {
    let cancel = super::host::cancel_on_signals()?;
    let progress = RunProgress::new(context.stderr_is_terminal, json);
    let done = selftest::in_job(job, &Told(&progress), &cancel);
    progress.finish();
    let done = done?;
    if let Some(JobFailure::Interrupted) = &done.failure {
        let left = done.diagnostics.left.join(", ");
        let left = if left.is_empty() { "nothing".to_owned() } else { left };
        return Err(Failure::no(anyhow!("interrupted; nothing was written; left behind: {left}")));
    }
    let tested = Selftest::of(done.checks, host, run_id, CHANNEL_LAUNCHD_CLEAN);
    let diagnostics = done.diagnostics.document(job, &job.job.recorded_dir, done.failure.as_ref());
    let mut files = done.diagnostics.files(job);
    files.push((DIAGNOSTICS_FILE.to_owned(), document::to_pretty(&diagnostics).into_bytes()));
    let named = files
        .into_iter()
        .map(|(file, bytes)| (RelPath::try_from(file).expect("names of diagnostics are plain components"), bytes));
    let sealed = selftest::commit(&tested, run_id, out, host, &named.collect::<Vec<_>>())?;
    Ok((tested, sealed))
}

/// The checks inside of the job.
pub(super) fn run_in_job(args: &Args, job: &JobDocument, context: &Context) -> CliResult {
    let mut host = super::host::host(context)?;
    host.stand_in_tools.extend(job.stand_in_tools.clone());
    let run_id = RunId::try_from(job.run_id.clone()).map_err(|error| anyhow!("the job's run id: {error}"))?;
    let (tested, _) = direct(&host, &run_id, &context.absolute(&args.out))?;
    Ok(if tested.failed + tested.untried == 0 { Exit::Yes } else { Exit::No })
}

// Arguments of `__ask`.
#[derive(Debug, clap::Args)]
pub(crate) struct AskArgs {
    /// Numbering of the filter
    #[arg(value_parser = ["sandbox_check", "compiled_profile"])]
    numbering: String,
    /// Operation
    operation: String,
    /// Filter, by name
    filter: String,
    /// What the filter is compared with
    argument: String,
}

pub(crate) fn ask(args: &AskArgs) -> CliResult {
    let filter = match args.numbering.as_str() {
        "sandbox_check" => CheckFilter::from_name(&args.filter).map(AskedFilter::Check),
        _ => CompiledFilter::from_name(&args.filter).map(AskedFilter::Compiled),
    };
    let filter = filter.ok_or_else(|| Failure::usage(format_args!("no filter {:?} in it", args.filter)))?;
    let question = Question {
        operation: &args.operation,
        filter,
        argument: &args.argument,
        canonical: false,
        api: CheckApi::SandboxCheck,
    };
    match sandbox::ask(&question) {
        Ok(callout) => print_line(&document::to_pretty(&callout)).map(|()| Exit::Yes),
        Err(why) => Err(Failure::no(why)),
    }
}
