//! `reindex-bundle`

use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::json;

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::host::cancel_on_signals;
use super::lock_args::LockArgs;
use super::validate_bundle::{Answer, print_findings};
use super::{note_line, print_line, printable};
use crate::base::json as document;
use crate::bundle::{BundleError, ReindexError, ReindexRequest, Reindexed, reindex_bundle};
use crate::os::lock::LockError;

// Arguments of `reindex-bundle`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime reindex-bundle --bundle out --strict
  runtime reindex-bundle --bundle out/358378bd-74f8-4fad-9b2d-b418f7682f85 --repair

--strict only checks, as validate-bundle does. --repair writes a new index over the files that the old one names and that stand \
there now: what is gone becomes missing, a failed or partial run stays one, the digests before and after are kept, and the \
bundle is never promotable again. A run that was never committed, and anything but changed, missing or unindexed files, is \
refused.

Exit status: 0 the bundle is (now) what its index says, 1 it is not or cannot be repaired, 2 usage, 3 the path \
cannot be read, or writing failed.")]
#[command(group = clap::ArgGroup::new("mode").required(true))]
pub(crate) struct Args {
    /// A bundle root (its LATEST is followed) or one run's directory
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Check only; write nothing
    #[arg(long, group = "mode")]
    strict: bool,
    /// Rebuild the index
    #[arg(long, group = "mode")]
    repair: bool,
    /// Threads that hash; 0: one per processor
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
    #[command(flatten)]
    lock: LockArgs,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let bundle = context.absolute(&args.bundle);
    if args.strict {
        return Answer::find(&bundle, &args.bundle, args.jobs)?.say(json);
    }
    let cancel = cancel_on_signals()?;
    let lock_mode = args.lock.mode()?;
    let request = ReindexRequest { bundle: &bundle, jobs: args.jobs, lock_mode, now: SystemTime::now() };
    let done = match reindex_bundle(request, &|| cancel.is_set()) {
        Ok(done) => done,
        Err(ReindexError::Resolve(error)) => return Answer::unresolved(&args.bundle, error)?.say(json),
        Err(error) => return refused(error, args, json),
    };
    let answer = Answer::of(&done.verification);
    if json {
        let mut object = answer.document();
        object["status"] = if done.changes.is_empty() { json!("ok") } else { json!("repaired") };
        object["changes"] = document::to_value(&done.changes);
        print_line(&document::to_pretty(&object))?;
    } else {
        say(&done)?;
        answer.print_details()?;
    }
    Ok(if answer.ok { Exit::Yes } else { Exit::No })
}

fn say(done: &Reindexed) -> Result<(), Failure> {
    if done.changes.is_empty() {
        return print_line("[+] nothing to repair, nothing written");
    }
    print_line("[+] bundle reindexed")?;
    for change in &done.changes {
        let what = match (&change.before, &change.after) {
            (Some(_), Some(_)) => "has other bytes than the index said",
            (Some(_), None) => "is gone, and now listed as missing",
            (None, _) => "had no entry",
        };
        print_line(&format!("    {} {what}", change.name))?;
    }
    Ok(())
}

fn refused(error: ReindexError, args: &Args, json: bool) -> CliResult {
    match error {
        ReindexError::NotRepairable { run_dir, findings } => {
            if json {
                let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
                let object = json!({"ok": false, "status": "refused", "errors": messages, "findings": findings,
                                    "bundle_dir": run_dir.to_string_lossy()});
                print_line(&document::to_pretty(&object))?;
            } else {
                let run_dir = printable(&run_dir.display().to_string());
                note_line(&format!("error: {run_dir} cannot be repaired; nothing was written"));
                print_findings(&findings)?;
            }
            Ok(Exit::No)
        }
        ReindexError::Write {
            source: BundleError::Lock(LockError::Held { .. } | LockError::TimedOut { .. }), ..
        } => {
            let failure = Failure::no(error);
            Err(if args.lock.waits() { failure } else { failure.hint("--lock-mode wait waits for the other to end") })
        }
        ReindexError::Moved { .. } => Err(Failure::no(error)),
        error => Err(error.into()),
    }
}
