//! `shrink-trace summary`

use std::path::PathBuf;

use crate::base::json as document;
use crate::cli::context::Context;
use crate::cli::exit::{CliResult, Exit};
use crate::cli::{outputs, print_line};
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
    let directory = context.absolute(&args.out);
    let html = args.html.as_ref().map(|path| context.absolute(path));
    if let Some(path) = &html {
        // A page that stands in the run's directory may be made again; every other file there is part of what it shows.
        outputs::check([path.as_path()], shrink::is_record(&directory, path).then_some(path.as_path()))?;
    }
    let summary = shrink::summary(&directory)?;
    if let Some(path) = &html {
        write_durable(path, shrink::page(&summary).as_bytes())?;
    }
    if json {
        print_line(&document::to_pretty_sorted(&summary.record))?;
    } else {
        print_line(summary.text().trim_end())?;
    }
    Ok(Exit::Yes)
}
