//! `sbpl explain` and its relatives

use super::context::Context;
use super::exit::{CliResult, Failure};

/// The `sbpl` commands.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Explain which rule decides an access
    Explain(ExplainArgs),
}

/// Arguments of `sbpl explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {}

pub(crate) fn run(_command: &Command, _json: bool, _context: &Context) -> CliResult {
    Err(Failure::no(anyhow::anyhow!("not built yet")))
}
