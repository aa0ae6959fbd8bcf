//! `normalise-events`

use std::path::{Path, PathBuf};

use serde_json::json;

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::{outputs, print_line};
use crate::analysis::{normalise_bundle, normalise_metadata_document};
use crate::base::json as document;

// Arguments of `normalise-events`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime normalise-events --bundle out --out events.json
  runtime normalise-events --bundle old/RUN --allow-unverified --out events.json
  runtime normalise-events --metadata metadata_results.json --out events.json

A row that cannot be read becomes an event in error, with the reason.

Exit status: 0 the events are written, 1 the bundle is not valid, 2 usage, 3 its results cannot be read.")]
#[command(group(clap::ArgGroup::new("source").required(true).args(["bundle", "metadata"])))]
pub(crate) struct Args {
    /// A bundle root (its LATEST is followed) or one run's directory, of this tool or the earlier one
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Instead of a bundle: results of the earlier tool's metadata runner
    #[arg(long, value_name = "FILE", conflicts_with = "allow_unverified")]
    metadata: Option<PathBuf>,
    /// Where the events go
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Take a bundle that is not what its index says
    #[arg(long)]
    allow_unverified: bool,
    /// Threads that hash; 0: one per processor
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let out = context.absolute(&args.out);
    let metadata = args.metadata.as_ref().map(|document| context.absolute(document));
    outputs::check([out.as_path()], metadata.as_deref())?;
    let done = match (&metadata, &args.bundle) {
        (Some(document), _) => normalise_metadata_document(document, &out),
        (None, bundle) => {
            let bundle = bundle.as_deref().unwrap_or(Path::new("."));
            normalise_bundle(&context.absolute(bundle), &out, args.allow_unverified, args.jobs)
        }
    };
    let (events, in_error) =
        done.map_err(|error| if error.is_refusal() { Failure::no(error) } else { Failure::from(error) })?;
    if json {
        let answer = json!({
            "ok": true, "wrote": args.out.to_string_lossy(), "events": events, "malformed_rows": in_error,
        });
        print_line(&document::to_pretty(&answer))?;
    } else {
        print_line(&format!(
            "[+] wrote {}: {events} events, {in_error} of rows that cannot be read",
            args.out.display()
        ))?;
    }
    Ok(Exit::Yes)
}
