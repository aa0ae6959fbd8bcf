//! Stands in for the two programs of EntitlementJail.app: started as `entitlement-jail` it answers probes, as
//! `sandbox-log-observer` it reports. Nothing is sandboxed; what it says is made up, in the shapes of the real ones.
//!
//! `EJ_FAKE_FAULT` holds switches, separated by commas; each makes it go wrong in one way ([`common::fault`]). `EJ_FAKE_PIDS` is a
//! file that every process of it adds its number to.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program that stands alone"
)]

mod collect;
mod common;
mod flags;
mod observer;
mod wait;
mod xpc;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args();
    let program = args.next().unwrap_or_default();
    let args: Vec<String> = args.collect();
    common::note_pid(std::process::id());
    let status = match program.rsplit('/').next() {
        Some("sandbox-log-observer") => observer::main(&args),
        _ => entitlement_jail(&args),
    };
    ExitCode::from(status)
}

fn entitlement_jail(args: &[String]) -> u8 {
    let Some((command, rest)) = args.split_first() else { return common::misuse("no command") };
    match command.as_str() {
        "-h" | "--help" | "help" => {
            common::help("usage: entitlement-jail <command>\n\n  run-xpc run-matrix bundle-evidence\n")
        }
        "run-xpc" => xpc::main(rest),
        "run-matrix" => collect::matrix(rest),
        "bundle-evidence" => collect::evidence(rest),
        _ => common::misuse("unknown command"),
    }
}
