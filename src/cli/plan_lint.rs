//! `plan-lint`

use super::context::Context;
use super::exit::{CliResult, Failure};

/// Arguments of `plan-lint`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _json: bool, _context: &Context) -> CliResult {
    Err(Failure::no(anyhow::anyhow!("plan-lint is not built yet")))
}
