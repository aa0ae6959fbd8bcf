//! `entitlement-jail contract-check`

use std::path::{Path, PathBuf};

use super::options::{ClientArgs, failure};
use crate::base::text::counted;
use crate::cli::context::Context;
use crate::cli::exit::CliResult;
use crate::cli::findings::{self, Found, ReportArgs};
use crate::cli::host::cancel_on_signals;
use crate::entitlement_jail::Settings;
use crate::entitlement_jail::contract::{self, Checked, LiveRequest, Part};
use crate::os::fs::read_bounded;
use crate::report;
use crate::vocab::{Finding, Severity};

/// The largest text that is read.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

// Arguments of `contract-check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime entitlement-jail contract-check
  runtime entitlement-jail contract-check --run-xpc-help help.txt --run-xpc-sample answer.json
  runtime entitlement-jail contract-check --live --app EntitlementJail.app

Help texts go to stderr: entitlement-jail run-xpc --help 2> help.txt. Without files the shipped ones are checked.

Exit status: 0 nothing is missing (warnings allowed), 1 something is (each thing named), 2 usage, 3 a text cannot be judged, or \
there is no app.")]
pub(crate) struct Args {
    /// Help of entitlement-jail run-xpc
    #[arg(long, value_name = "FILE")]
    run_xpc_help: Option<PathBuf>,
    /// Help of sandbox-log-observer
    #[arg(long, value_name = "FILE")]
    observer_help: Option<PathBuf>,
    /// An answer of run-xpc, made with --log-stream
    #[arg(long, value_name = "FILE")]
    run_xpc_sample: Option<PathBuf>,
    /// A report of sandbox-log-observer
    #[arg(long, value_name = "FILE")]
    observer_sample: Option<PathBuf>,
    /// A report that run-xpc --log-stream wrote
    #[arg(long, value_name = "FILE")]
    stream_sample: Option<PathBuf>,
    /// Ask the app itself: its help, and one probe with log capture and observer
    #[arg(long, conflicts_with_all = ["run_xpc_help", "observer_help", "run_xpc_sample", "observer_sample", "stream_sample"])]
    live: bool,
    /// With --live: the profile of that probe
    #[arg(long, value_name = "ID", requires = "live", default_value_t = LiveRequest::default().profile_id)]
    live_profile: String,
    /// With --live: that probe
    #[arg(long, value_name = "PROBE", requires = "live", default_value_t = LiveRequest::default().probe_id)]
    live_probe: String,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    report: ReportArgs,
}

pub(super) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let mut found = Found::new("contract-check");
    if args.live {
        let client = args.client.client(Settings::default(), context)?;
        let request = LiveRequest { profile_id: args.live_profile.clone(), probe_id: args.live_probe.clone() };
        for live in contract::ask(&client, &request, &cancel_on_signals()?).map_err(failure)? {
            match live.text {
                Ok(text) => add(&mut found, &live.asked, contract::check(live.part, &live.asked, &text)),
                Err(why) => {
                    let finding = Finding::new("contract-no-answer", Severity::Error, &live.asked, why);
                    add(&mut found, &live.asked, Checked { findings: vec![finding], complete: false });
                }
            }
        }
    } else {
        let files = [
            (Part::RunXpcHelp, &args.run_xpc_help),
            (Part::ObserverHelp, &args.observer_help),
            (Part::RunXpcSample, &args.run_xpc_sample),
            (Part::ObserverSample, &args.observer_sample),
            (Part::StreamSample, &args.stream_sample),
        ];
        let shipped = files.iter().all(|(_, file)| file.is_none());
        for (part, file) in files {
            match file {
                Some(path) => given(&mut found, part, path, context)?,
                None if shipped => {
                    let (name, text) = part.shipped();
                    add(&mut found, name, contract::check(part, name, text.as_bytes()));
                }
                None => {}
            }
        }
    }
    findings::print(found, &args.report, json, context, |found, colour| {
        let count = counted(found.files.len(), "text", "texts");
        findings::human(found, colour) + &format!("{count}: {}", report::render_summary(&found.findings))
    })
}

fn given(found: &mut Found, part: Part, path: &Path, context: &Context) -> Result<(), crate::cli::exit::Failure> {
    let bytes = read_bounded(&context.absolute(path), MAX_BYTES)?;
    let name = path.display().to_string();
    add(found, &name, contract::check(part, &name, &bytes));
    Ok(())
}

fn add(found: &mut Found, file: &str, checked: Checked) {
    found.files.insert(file.to_owned());
    found.findings.extend(checked.findings);
    if !checked.complete {
        found.incomplete.insert(file.to_owned());
    }
}
