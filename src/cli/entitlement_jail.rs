//! The `entitlement-jail` commands: drive EntitlementJail.app, keep its evidence, hold it to its contract.

mod check;
mod options;
mod probe;

use super::context::Context;
use super::exit::CliResult;

/// The `entitlement-jail` commands.
#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Run one probe in a sandboxed service
    RunXpc(Box<probe::RunArgs>),
    /// Run the snapshot probe under every profile of a group
    RunMatrix(probe::MatrixArgs),
    /// Collect the app's static evidence
    BundleEvidence(probe::EvidenceArgs),
    /// Run a probe that the app holds back until it is triggered
    WaitXpc(Box<probe::WaitArgs>),
    /// Run a probe that waits by itself until it is triggered
    ProbeWait(Box<probe::ProbeWaitArgs>),
    /// Ask the observer what the sandbox refused to a process
    Observe(probe::ObserveArgs),
    /// Check the app's help texts and documents against what a client relies on
    ContractCheck(check::Args),
}

/// Runs an `entitlement-jail` command.
pub(crate) fn run(command: &Command, json: bool, context: &Context) -> CliResult {
    match command {
        Command::RunXpc(args) => probe::run_xpc(args, json, context),
        Command::RunMatrix(args) => probe::run_matrix(args, json, context),
        Command::BundleEvidence(args) => probe::bundle_evidence(args, json, context),
        Command::WaitXpc(args) => probe::wait_xpc(args, json, context),
        Command::ProbeWait(args) => probe::probe_wait(args, json, context),
        Command::Observe(args) => probe::observe(args, json, context),
        Command::ContractCheck(args) => check::run(args, json, context),
    }
}
