//! `promotion paths`

use std::path::PathBuf;

use serde_json::{Value, json};

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::gates::listed;
use super::{nothing_written, outputs, print_line, printable};
use crate::base::json as document;
use crate::os::fs;
use crate::promotion::{Acceptance, PathSelection, select_path_observations};
use crate::registry::{Base, Place};

// Arguments of `promotion paths`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime promotion paths --packet packet.json --out path_canonicalization_map.json

The packet is verified against its bundle. Its path witnesses count in full when the decision stage is promotable on the clean \
channel; else those of the baseline lane only, and the map says why (baseline_only, not_clean_channel). It is rejected when the \
bundle has no witnesses (missing_path_witnesses) or none of those that count observed a path (no_witness_records).

Exit status: 0 the map is written, 1 the packet is rejected (nothing is written), 2 usage, 3 packet or bundle cannot be read.")]
pub(crate) struct Args {
    /// The packet, or an attestation whose predicate it is
    #[arg(long, value_name = "FILE")]
    packet: PathBuf,
    /// Where the map goes
    #[arg(long, value_name = "MAP")]
    out: PathBuf,
    /// Root of relative paths [default: nearest ancestor of each document with .git or AGENTS.md]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Threads that hash; 0: one per processor
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let root = args.root.as_deref().map(|root| fs::resolved(&context.absolute(root))).transpose()?;
    outputs::check([context.absolute(&args.out).as_path()], [context.absolute(&args.packet).as_path()])?;
    let (packet, out) = (fs::resolved(&context.absolute(&args.packet))?, fs::resolved(&context.absolute(&args.out))?);
    let selection = select_path_observations(&packet, root.as_deref(), args.jobs)?;
    if let PathSelection::Used(used) = &selection {
        let stored = Base::of(&Place::Disk(out.clone()), root.as_deref()).relative(&Place::Disk(packet));
        fs::write_durable(&out, document::to_pretty_sorted(&used.document(&stored)).as_bytes())?;
    }
    let rejected = matches!(selection, PathSelection::Rejected { .. });
    let older = rejected && fs::exists(&out);
    if json {
        print_line(&document::to_pretty(&answer(&selection, args, older)))?;
    } else {
        print(&selection, args, older)?;
    }
    Ok(if rejected { Exit::No } else { Exit::Yes })
}

fn answer(selection: &PathSelection, args: &Args, older: bool) -> Value {
    let out = args.out.to_string_lossy();
    let (used, reasons, error) = match selection {
        PathSelection::Used(used) => (Some(used), &used.reasons, None),
        PathSelection::Rejected { reasons, error } => (None, reasons, Some(error)),
    };
    json!({
        "ok": used.is_some(),
        "wrote": used.map(|_| &out),
        "older_file": older.then_some(&out),
        "packet": args.packet.to_string_lossy(),
        "acceptance": used.map(|used| used.acceptance.word()),
        "reasons": reasons,
        "error": error,
        "observations": used.map(|used| used.observations.len()),
        "dropped_non_witness_records": used.map(|used| used.dropped),
    })
}

fn print(selection: &PathSelection, args: &Args, older: bool) -> Result<(), Failure> {
    match selection {
        PathSelection::Used(used) => {
            let paths = used.observations.len();
            match used.acceptance {
                Acceptance::DecisionStage => print_line(&format!("    {paths} observations of every lane"))?,
                Acceptance::BaselineOnly => {
                    print_line(&format!("[~] the baseline lane only: {}", listed(&used.reasons)))?;
                    print_line(&format!("    {paths} observations"))?;
                }
            }
            print_line(&format!("[+] wrote {}", super::shown_path(&args.out)))
        }
        PathSelection::Rejected { reasons, error } => {
            print_line(&printable(&format!("[!] rejected: {} ({error})", listed(reasons))))?;
            let out = args.out.as_path();
            nothing_written(out, older.then_some(out), "this packet");
            Ok(())
        }
    }
}
