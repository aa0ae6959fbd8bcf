//! `selftest`: every assumption about this host, tried on it. And `__ask`, which a confined process of it is.

use std::path::PathBuf;

use anyhow::anyhow;
use serde_json::json;

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::launchd::StandInArgs;
use super::print_line;
use crate::base::ids::RunId;
use crate::base::json as document;
use crate::event::CheckApi;
use crate::report;
use crate::sandbox;
use crate::sandbox::callout::{AskedFilter, Question};
use crate::selftest::{self, Verdict};
use crate::vocab::{CheckFilter, CompiledFilter};

// Arguments of `selftest`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime selftest
  runtime selftest --out selftest-out --json

Exit status: 0 every check passed, 1 one failed or could not be tried.")]
pub(crate) struct Args {
    /// Bundle root
    #[arg(long, value_name = "DIR", default_value = "selftest-out")]
    out: PathBuf,
    #[command(flatten)]
    stand_ins: StandInArgs,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let layers = sandbox::layers();
    let mut host = super::host::host(context)?;
    host.stand_in_tools.extend(args.stand_ins.stand_ins()?);
    let cancel = super::host::cancel_on_signals()?;
    let work = tempfile::Builder::new().prefix("runtime-selftest-").tempdir_in(&host.temp_dir)?;
    let run_id = RunId::random();
    let tested = selftest::selftest(&host, &layers, &run_id, work.path(), &cancel);
    if cancel.is_set() {
        return Err(Failure::no(anyhow!("interrupted; nothing was written")));
    }
    let sealed = selftest::commit(&tested, &run_id, &context.absolute(&args.out), &host)?;
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
        print_line(&format!("[+] wrote {}", sealed.run_dir.display()))?;
    }
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
