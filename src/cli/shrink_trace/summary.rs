//! `shrink-trace summary`

use std::path::PathBuf;

use crate::base::json as document;
use crate::cli::context::Context;
use crate::cli::exit::{CliResult, Exit};
use crate::cli::print_line;
use crate::os::fs::write_durable;
use crate::shrink;

// Arguments of `shrink-trace summary`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Directory of a run or of a matrix
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write one page about it that needs nothing else: iterations, rules by family, what each was for
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

const HELP: &str = "\
Examples:
  runtime shrink-trace summary --out shrink-out
  runtime shrink-trace summary --out shrink-out --html run.html
  runtime shrink-trace summary --out runs --json

Exit status: 0 shown, 2 usage, 3 there is no run, or its record cannot be read.";

pub(super) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let summary = shrink::summary(&context.absolute(&args.out))?;
    if let Some(path) = &args.html {
        write_durable(&context.absolute(path), shrink::page(&summary).as_bytes())?;
    }
    if json {
        print_line(&document::to_pretty_sorted(&summary.record))?;
    } else {
        print_line(summary.text().trim_end())?;
    }
    Ok(Exit::Yes)
}
