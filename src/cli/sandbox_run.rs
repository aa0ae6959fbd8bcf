//! `sandbox run`

use super::context::Context;
use super::exit::{CliResult, Failure};

/// Arguments of `sandbox run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> CliResult {
    Err(Failure::no(anyhow::anyhow!("sandbox run is not built yet")))
}
