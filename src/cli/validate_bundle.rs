//! `validate-bundle`

use super::context::Context;
use super::exit::{CliResult, Failure};

/// Arguments of `validate-bundle`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _json: bool, _context: &Context) -> CliResult {
    Err(Failure::no(anyhow::anyhow!("validate-bundle is not built yet")))
}
