//! `run`

use super::context::Context;
use super::exit::{CliResult, Failure};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _json: bool, _context: &Context) -> CliResult {
    Err(Failure::no(anyhow::anyhow!("run is not built yet")))
}
