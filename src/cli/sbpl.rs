//! The `sbpl` commands: read, check, ask and compare profiles on any system.

mod diff;
mod eval;
mod explain;
mod fmt;
mod lint;
mod profile;

pub(super) use profile::{
    ProfileArgs, SearchPath, SystemArgs, key_value, params, read_source, refuse, texts, warn_of_enforced,
};

use super::context::Context;
use super::exit::CliResult;

/// The `sbpl` commands.
#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Look for what is wrong or suspicious in profiles
    Lint(lint::Args),
    /// Show what one profile allows that another does not
    Diff(diff::Args),
    /// Lay profiles out in the one style
    Fmt(fmt::Args),
    /// Explain which rule decides an access
    Explain(explain::Args),
    /// Decide a stream of accesses, one JSON object per line in and out
    Eval(eval::Args),
}

/// Runs an `sbpl` command.
pub(crate) fn run(command: &Command, json: bool, context: &Context) -> CliResult {
    match command {
        Command::Lint(args) => lint::run(args, json, context),
        Command::Diff(args) => diff::run(args, json, context),
        Command::Fmt(args) => fmt::run(args, json, context),
        Command::Explain(args) => explain::run(args, json, context),
        Command::Eval(args) => eval::run(args, json, context),
    }
}
