//! `list-plans`, `list-registries`, `list-probes`, `list-profiles`

use super::context::Context;
use super::exit::{CliResult, Failure};

/// Arguments of `list-plans`.
#[derive(Debug, clap::Args)]
pub(crate) struct PlansArgs {}

/// Arguments of `list-registries`.
#[derive(Debug, clap::Args)]
pub(crate) struct RegistriesArgs {}

/// Arguments of `list-probes` and `list-profiles`.
#[derive(Debug, clap::Args)]
pub(crate) struct EntriesArgs {}

pub(crate) fn plans(_args: &PlansArgs, _context: &Context) -> CliResult {
    Err(Failure::no(anyhow::anyhow!("not built yet")))
}
pub(crate) fn registries(_args: &RegistriesArgs, _context: &Context) -> CliResult {
    Err(Failure::no(anyhow::anyhow!("not built yet")))
}
pub(crate) fn probes(_args: &EntriesArgs, _context: &Context) -> CliResult {
    Err(Failure::no(anyhow::anyhow!("not built yet")))
}
pub(crate) fn profiles(_args: &EntriesArgs, _context: &Context) -> CliResult {
    Err(Failure::no(anyhow::anyhow!("not built yet")))
}
