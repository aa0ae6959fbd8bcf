//! `shrink-trace lint`

use std::path::PathBuf;

use serde_json::json;

use crate::base::json as document;
use crate::cli::context::Context;
use crate::cli::exit::{CliResult, Exit, Failure};
use crate::cli::print_line;
use crate::cli::sbpl::{SearchPath, SystemArgs, key_value, params, read_source};
use crate::shrink::lint_profile;

// Arguments of `shrink-trace lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Profile to look at
    #[arg(long, value_name = "FILE")]
    profile: PathBuf,
    /// Value of (param "KEY"); a parameter without one is unknown
    #[arg(short = 'D', value_name = "KEY=VALUE", value_parser = key_value)]
    define: Vec<(String, String)>,
    /// Directory in which (import "name") is looked up; may be given several times
    #[arg(long, value_name = "DIR")]
    import_dir: Vec<PathBuf>,
    #[command(flatten)]
    system: SystemArgs,
}

const HELP: &str = "\
One issue a line, as LINE: TEXT [ID]. Hosts of network filters are `*` or `localhost`, ports `*` or a number, filters on unix \
sockets name a path (not with --system linux); the rest is what `sbpl lint` finds.

Examples:
  runtime shrink-trace lint --profile shrink-out/profiles/shrunk.sb --system linux

Exit status: 0 clean (warnings are shown), 1 issues, 2 usage, or no such file.";

pub(super) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let source = read_source(&args.profile, context).map_err(|error| Failure { exit: Exit::Usage, ..error.into() })?;
    let params = params(&args.define)?;
    let found = lint_profile(&source, &params, &SearchPath::new(&args.import_dir, context), args.system.platform());
    let clean = found.complete && found.errors().next().is_none();
    if json {
        let report =
            json!({"profile": source.name, "clean": clean, "complete": found.complete, "findings": found.findings});
        print_line(&document::to_pretty(&report))?;
    } else {
        found.lines().iter().try_for_each(|line| print_line(&crate::cli::printable(line)))?;
    }
    Ok(if clean { Exit::Yes } else { Exit::No })
}
