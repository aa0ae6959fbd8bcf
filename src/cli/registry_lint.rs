//! `registry-lint`

use super::context::Context;
use super::exit::{CliResult, Failure};

/// Arguments of `registry-lint`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _json: bool, _context: &Context) -> CliResult {
    Err(Failure::no(anyhow::anyhow!("registry-lint is not built yet")))
}
