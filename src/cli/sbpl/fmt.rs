//! `sbpl fmt`

use std::path::PathBuf;

use serde_json::json;

use super::profile::{read_source, show_diagnostics};
use crate::base::json as document;
use crate::cli::context::Context;
use crate::cli::exit::{CliResult, Exit};
use crate::cli::{outputs, print_as_is, print_line, printable};
use crate::os::fs;
use crate::sbpl::{self, Source};

// Arguments of `sbpl fmt`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Profiles to lay out; each is replaced
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Change nothing, name the files that would change
    #[arg(long)]
    check: bool,
    /// Change nothing, print the result
    #[arg(long, conflicts_with = "check")]
    stdout: bool,
}

const HELP: &str = "\
Comments, strings and the order of forms stay as they are; only white space changes. A form on one line stays on one \
line when it has at most 100 characters; any other has one item per line.

Examples:
  runtime sbpl fmt profile.sb
  runtime sbpl fmt --check policies/*.sb
  runtime sbpl fmt --stdout profile.sb | diff profile.sb -

Exit status: 0 done, 1 with --check when a file would change, 2 usage, 3 a file cannot be read or written. A file that \
cannot be read leaves all files as they are. A changed file keeps its mode and owner; one that cannot, or that has a second name \
(hard link), is left as it is.";

/// Lays files out; nothing is written before every file has been read.
pub(super) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let mut results = Vec::new();
    for file in &args.files {
        if !args.check && !args.stdout {
            outputs::outside_bundles(&context.absolute(file))?;
        }
        let source = read_source(file, context)?;
        match sbpl::format(&source) {
            Ok(text) => results.push((file, source, text)),
            Err(diagnostics) => return show_diagnostics(&diagnostics, json, context),
        }
    }
    let mut changed = Vec::new();
    for (file, source, text) in &results {
        if args.stdout && !json {
            text.lines().try_for_each(print_as_is)?;
        }
        if *text == source.text {
            continue;
        }
        changed.push(source.name.as_str());
        if !args.check && !args.stdout {
            fs::rewrite_durable(&context.absolute(file), text.as_bytes())?;
        }
    }
    let refused = args.check && !changed.is_empty();
    if json {
        let mut answer = json!({"ok": !refused, "changed": changed});
        if args.stdout {
            let text = |(_, source, text): &(_, Source, String)| json!({"file": source.name, "text": text});
            answer["texts"] = results.iter().map(text).collect();
        }
        print_line(&document::to_pretty(&answer))?;
    } else if !args.stdout {
        let word = if args.check { "would change" } else { "changed" };
        changed.iter().try_for_each(|name| print_line(&format!("{word} {}", printable(name))))?;
    }
    Ok(if refused { Exit::No } else { Exit::Yes })
}
