//! The hidden sub-command that workers re-execute.

use crate::os::process;
use crate::probe;

use super::exit::{CliResult, Exit};

pub(crate) fn run() -> CliResult {
    let (job, answer) = process::worker_channel()
        .map_err(|error| anyhow::Error::new(error).context("this command is for workers only"))?;
    process::die_with_parent();
    if !process::wait_for_job()? {
        return Ok(Exit::Yes);
    }
    probe::serve(job, answer)?;
    Ok(Exit::Yes)
}
