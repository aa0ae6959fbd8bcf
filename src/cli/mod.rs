//! The command line: arguments, context (environment and working directory, read once), one file per command, exit codes.
//!
//! A command file holds its argument struct and one function; it decides nothing. Contract: `SPEC.md`, section
//! "Commands and exit codes".

mod args;
mod bundle;
mod context;
mod describe;
mod emit_promotion;
mod entitlement_jail;
mod exit;
mod explain_event;
mod findings;
mod gates;
mod host;
mod inventory;
mod launchd;
mod launchd_job;
mod links;
mod list;
mod list_templates;
mod lock_args;
mod lookup;
mod normalise_events;
mod outputs;
mod plan_build;
mod plan_lint;
mod promotion;
mod promotion_paths;
mod promotion_set;
mod registry_lint;
mod registry_upgrade;
mod reindex_bundle;
mod run;
mod run_progress;
mod sandbox_output;
mod sandbox_run;
mod sbpl;
mod schema;
mod selftest;
mod shrink_trace;
mod status;
mod summarize_ops;
mod validate_bundle;
mod worker;

use std::ffi::OsString;
use std::path::Path;

use crate::base::text::{printable, printable_lines};
use context::Context;
use exit::{CliResult, Failure, StdoutError};

/// Runs a command line, the program's name first, and returns the status to end with.
#[must_use]
pub fn main(args: Vec<OsString>) -> u8 {
    let json = wants_json(&args);
    let runs_command = args.get(1..3).is_some_and(|words| words == ["sandbox", "run"]);
    let context = match Context::from_process(args) {
        // Not freed at the end: the process is over then.
        Ok(context) => std::mem::ManuallyDrop::new(context),
        Err(failure) if runs_command => return sandbox_run::set_up(failure).report(json),
        Err(failure) => return failure.report(json),
    };
    let cli = match args::Cli::read(&context.args) {
        Ok(cli) => cli,
        Err(error) => {
            // clap knows whether this is --help (stdout, 0) or a usage error (stderr, 2).
            if error.use_stderr() && json {
                let text = error.render().to_string();
                return Failure::usage(text.trim().trim_start_matches("error: ")).report(true);
            }
            match error.print() {
                Err(unsaid) if !error.use_stderr() && unsaid.kind() != std::io::ErrorKind::BrokenPipe => {
                    return Failure::from(StdoutError(unsaid)).report(json);
                }
                _ => {}
            }
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let json = cli.json;
    host::outlive_file_limits();
    match dispatch(cli, &context) {
        Ok(exit) => exit.code(),
        Err(failure) => failure.report(json),
    }
}

/// Whether the arguments ask for JSON; they need not be valid otherwise. What follows `--` belongs to another command.
fn wants_json(args: &[std::ffi::OsString]) -> bool {
    args.iter().skip(1).take_while(|arg| *arg != "--").any(|arg| arg == "--json")
}

fn dispatch(cli: args::Cli, context: &Context) -> CliResult {
    use args::Command;
    let json = cli.json;
    match cli.command {
        Command::Run(args) => run::run(&args, json, context),
        Command::Status(args) => status::run(&args, json, context),
        Command::ValidateBundle(args) => validate_bundle::run(&args, json, context),
        Command::ReindexBundle(args) => reindex_bundle::run(&args, json, context),
        Command::Bundle(command) => bundle::run(&command, json, context),
        Command::EmitPromotion(args) => emit_promotion::run(&args, json, context),
        Command::Promotion(command) => promotion::run(&command, json, context),
        Command::SummarizeOps(args) => summarize_ops::run(&args, json, context),
        Command::NormaliseEvents(args) => normalise_events::run(&args, json, context),
        Command::ExplainEvent(args) => explain_event::run(&args, json, context),
        Command::PlanBuild(args) => plan_build::run(&args, json, context),
        Command::PlanLint(args) => plan_lint::run(&args, json, context),
        Command::RegistryLint(args) => registry_lint::run(&args, json, context),
        Command::RegistryUpgrade(args) => registry_upgrade::run(&args, json, context),
        Command::ListPlans(args) => list::plans(&args, json, context),
        Command::ListTemplates(args) => list_templates::run(&args, json, context),
        Command::ListRegistries(args) => list::registries(&args, json, context),
        Command::ListProbes(args) => list::probes(&args, json, context),
        Command::ListProfiles(args) => list::profiles(&args, json, context),
        Command::DescribePlan(args) => describe::plan(&args, json, context),
        Command::DescribeProbe(args) => describe::probe(&args, json, context),
        Command::DescribeProfile(args) => describe::profile(&args, json, context),
        Command::Links(command) => links::run(&command, json, context),
        Command::Inventory(command) => inventory::run(&command, json, context),
        Command::Sandbox(args::Sandbox::Run(args)) => sandbox_run::run(&args, json, context),
        Command::Sbpl(command) => sbpl::run(&command, json, context),
        Command::Schema(command) => schema::run(&command, json, context),
        Command::ShrinkTrace(command) => shrink_trace::run(&command, json, context),
        Command::EntitlementJail(command) => entitlement_jail::run(&command, json, context),
        Command::Worker => worker::run(),
        Command::Selftest(args) => selftest::run(&args, json, context),
        Command::Ask(args) => selftest::ask(&args),
        Command::LaunchdJob(args) => launchd_job::run(&args, context),
        Command::Target => shrink_trace::serve_target(),
    }
}

/// Prints one line, or several, on stdout. Whatever a file's name or a document says, nothing in it steers a terminal. A closed
/// pipe ends the program quietly, as it does for other filters.
fn print_line(text: &str) -> Result<(), Failure> {
    print_as_is(&printable_lines(text))
}

/// As [`print_line`], of a text that stays as it is: one with colours, or one that is itself the answer.
fn print_as_is(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(StdoutError(error).into()),
        _ => Ok(()),
    }
}

/// Prints one line, or several, on stderr, as [`print_line`]. A stderr that is closed takes nothing away from what the command
/// does, so it is no error.
fn note_line(text: &str) {
    note_as_is(&printable_lines(text));
}

/// As [`note_line`], of a text with colours.
fn note_as_is(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A path within a line for people.
fn shown_path(path: impl AsRef<Path>) -> String {
    printable(&path.as_ref().to_string_lossy())
}

/// Says that `out` was not written; and, where `older` stands there, that this is not it.
fn nothing_written<'a>(out: &Path, older: impl IntoIterator<Item = &'a Path>, of: &str) {
    note_line(&format!("  nothing was written to {}", shown_path(out)));
    for path in older {
        note_line(&format!("  an older file stands at {}; it does not come from {of}", shown_path(path)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_before_the_arguments_are_valid() {
        let asked = |args: &[&str]| wants_json(&args.iter().map(Into::into).collect::<Vec<_>>());
        assert!(asked(&["runtime", "run", "--json"]));
        assert!(!asked(&["runtime", "sandbox", "run", "--", "tool", "--json"]));
    }
}
