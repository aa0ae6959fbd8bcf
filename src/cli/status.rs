//! `status`

use super::context::Context;
use super::exit::{CliResult, Failure};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> CliResult {
    Err(Failure::no(anyhow::anyhow!("status is not built yet")))
}
