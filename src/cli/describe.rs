//! `describe-plan`, `describe-probe`, `describe-profile`

use super::context::Context;
use super::exit::{CliResult, Failure};

/// Arguments of `describe-plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct PlanArgs {}

/// Arguments of `describe-probe`.
#[derive(Debug, clap::Args)]
pub(crate) struct ProbeArgs {}

/// Arguments of `describe-profile`.
#[derive(Debug, clap::Args)]
pub(crate) struct ProfileArgs {}

pub(crate) fn plan(_args: &PlanArgs, _context: &Context) -> CliResult {
    Err(Failure::no(anyhow::anyhow!("not built yet")))
}
pub(crate) fn probe(_args: &ProbeArgs, _context: &Context) -> CliResult {
    Err(Failure::no(anyhow::anyhow!("not built yet")))
}
pub(crate) fn profile(_args: &ProfileArgs, _context: &Context) -> CliResult {
    Err(Failure::no(anyhow::anyhow!("not built yet")))
}
