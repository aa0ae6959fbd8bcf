//! `summarize-ops`

use std::path::PathBuf;

use serde_json::json;

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::{outputs, print_line};
use crate::analysis::{
    SummaryError, SummaryOptions, summarize_ops_from_bundle, summarize_ops_from_packet, write_op_runtime_summary,
};
use crate::base::json as document;

// Arguments of `summarize-ops`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime summarize-ops --bundle out --out ops.json
  runtime summarize-ops --packet packet.json --allow-nonpromotable --out ops.json

An operation's coverage is `ok` only when every row of it was observed and met its expectation.

Exit status: 0 the summary is written, 1 the bundle is not valid or the packet not promotable, 2 usage, 3 the events cannot \
be read.")]
#[command(group(clap::ArgGroup::new("source").required(true).args(["bundle", "packet"])))]
pub(crate) struct Args {
    /// A bundle root (its LATEST is followed) or one run's directory
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// A promotion packet
    #[arg(long, value_name = "FILE")]
    packet: Option<PathBuf>,
    /// Where the summary goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Summarise a bundle that is not what its index says; the summary says so
    #[arg(long)]
    allow_unverified: bool,
    /// Summarise a packet whose bundle is not promotable
    #[arg(long)]
    allow_nonpromotable: bool,
    /// What the packet's paths are relative to [default: nearest folder above it with .git or AGENTS.md]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Threads that hash; 0: one per processor
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let options = SummaryOptions {
        allow_unverified: args.allow_unverified,
        allow_nonpromotable: args.allow_nonpromotable,
        jobs: args.jobs,
    };
    let root = args.root.as_ref().map(|root| context.absolute(root));
    let out = context.absolute(&args.out);
    let packet = args.packet.as_ref().map(|packet| context.absolute(packet));
    outputs::check([out.as_path()], packet.as_deref())?;
    let made = match (&args.bundle, &packet) {
        (Some(bundle), _) => summarize_ops_from_bundle(&context.absolute(bundle), options),
        (None, Some(packet)) => summarize_ops_from_packet(packet, root.as_deref(), options),
        (None, None) => return Err(Failure::usage("give --bundle or --packet")),
    };
    let mut summary = made.map_err(failure)?;
    write_op_runtime_summary(&mut summary, &out).map_err(failure)?;
    let out = args.out.display();
    if json {
        let answer = json!({
            "ok": true, "wrote": out.to_string(), "operations": summary.operation_count(), "meta": summary.meta(),
        });
        print_line(&document::to_pretty(&answer))?;
    } else {
        print_line(&format!("[+] wrote {}", super::printable(&out.to_string())))?;
    }
    Ok(Exit::Yes)
}

fn failure(error: SummaryError) -> Failure {
    let hint = match &error {
        SummaryError::Invalid(_) => Some("--allow-unverified summarises it all the same, and the summary says so"),
        SummaryError::NotPromotable { .. } => Some("--allow-nonpromotable summarises it all the same"),
        _ => None,
    };
    let failure = if error.is_refusal() { Failure::no(error) } else { Failure::from(error) };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
