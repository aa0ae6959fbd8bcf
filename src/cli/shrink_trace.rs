//! The `shrink-trace` commands: learn a profile from a run of a program, and take out what the program can do without.

mod lint;
mod options;
mod show;
mod summary;
mod work;

use super::context::Context;
use super::exit::CliResult;
use crate::os::process;
use crate::shrink;

use super::exit::Exit;

/// The `shrink-trace` commands.
#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Learn a profile: observe the program once, then run it under the profile until it succeeds
    Trace(Box<work::TraceArgs>),
    /// Take out of a profile everything the program can do without
    Shrink(Box<work::ShrinkArgs>),
    /// Learn a profile from nothing, shrink it, and show that the program works under it
    Workflow(Box<work::WorkflowArgs>),
    /// Check what a profile says about the network, and everything `sbpl lint` checks
    Lint(lint::Args),
    /// Show what a run or a matrix came to
    Summary(summary::Args),
}

/// Runs a `shrink-trace` command.
pub(crate) fn run(command: &Command, json: bool, context: &Context) -> CliResult {
    match command {
        Command::Trace(args) => work::trace(args, json, context),
        Command::Shrink(args) => work::shrink(args, json, context),
        Command::Workflow(args) => work::workflow(args, json, context),
        Command::Lint(args) => lint::run(args, json, context),
        Command::Summary(args) => summary::run(args, json, context),
    }
}

/// The hidden command that runs the program once, in a process of its own.
pub(crate) fn serve_target() -> CliResult {
    let (job, answer) = process::worker_channel()
        .map_err(|error| anyhow::Error::new(error).context("this command is for workers only"))?;
    process::die_with_parent();
    if !process::wait_for_job()? {
        return Ok(Exit::Yes);
    }
    shrink::serve(job, answer)?;
    Ok(Exit::Yes)
}
