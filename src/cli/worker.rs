//! The hidden sub-command that workers re-execute.

use super::exit::{CliResult, Failure};

pub(crate) fn run() -> CliResult {
    Err(Failure::no(anyhow::anyhow!("not built yet")))
}
