//! `bundle list`, `bundle show`, `bundle prune`, `bundle verify-all`

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::host::cancel_on_signals;
use super::lock_args::LockArgs;
use super::validate_bundle::{Answer, print_findings};
use super::{note_line, print_line, printable};
use crate::base::error_chain;
use crate::base::json as document;
use crate::bundle::{
    BundleError, Found, PruneRequest, ResolveError, Run, RunLife, UnverifiedBundle, Writer, find_bundles, list_runs,
    prune_runs, resolve,
};
use crate::os::lock::LockError;
use crate::report;

/// Looks at the bundles of a root, or of a whole tree.
#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// List the runs of a bundle root
    List(ListArgs),
    /// Show what one bundle says and whether its files are the ones it names
    Show(ShowArgs),
    /// Remove old runs of a bundle root
    Prune(PruneArgs),
    /// Check every bundle beneath a directory
    VerifyAll(VerifyAllArgs),
}

// Arguments of `bundle list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime bundle list --bundle out
  runtime bundle list --bundle out --json

Nothing is hashed and no lock is taken; FILES is what the run's index says about its files. A run is `committed` when it has an index, `in-progress` while its writer holds its lock, \
`abandoned` when that writer is gone, and `uncommitted` when nobody can tell.

Exit status: 0 done, 2 usage, 3 there is no such directory.")]
pub(crate) struct ListArgs {
    /// The bundle root
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
}

// Arguments of `bundle show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime bundle show --bundle out
  runtime bundle show --bundle out/358378bd-74f8-4fad-9b2d-b418f7682f85

Prints one JSON object: status and index as they stand there, and which indexed files are missing or have other bytes. It \
shows; validate-bundle judges.

Exit status: 0 shown, 1 the path leads to no run, 2 usage, 3 there is no such directory.")]
pub(crate) struct ShowArgs {
    /// A bundle root (its LATEST is followed) or one run's directory
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Threads that hash; 0: one per processor
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
}

// Arguments of `bundle prune`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime bundle prune --bundle out --keep 10 --dry-run
  runtime bundle prune --bundle out --keep 10 --abandoned

The newest N committed runs stay, and in any case the one that LATEST names. Runs that were never committed stay, unless \
--abandoned is given and their writer is known to be gone. Nothing goes while LATEST is there and names no run id.

Exit status: 0 done, 1 the root is locked, 2 usage, 3 it is no bundle root, or something could not be read or removed.")]
pub(crate) struct PruneArgs {
    /// The bundle root
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// How many committed runs stay
    #[arg(long, value_name = "N")]
    keep: usize,
    /// Remove runs as well that were never committed and whose writer is gone
    #[arg(long)]
    abandoned: bool,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    lock: LockArgs,
}

// Arguments of `bundle verify-all`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime bundle verify-all evidence
  runtime bundle verify-all out --json

Finds every run beneath DIR (links are not followed) and checks it as validate-bundle does; of every bundle root it checks that \
LATEST leads to a run. A run whose writer is at work is listed and not judged.

Exit status: 0 every bundle is what its index says, 1 one is not, 2 usage, 3 something could not be looked at, or there is no \
bundle.")]
pub(crate) struct VerifyAllArgs {
    /// Directory to look into
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Threads that hash; 0: one per processor
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
}

pub(crate) fn run(command: &Command, json: bool, context: &Context) -> CliResult {
    match command {
        Command::List(args) => list(args, json, context),
        Command::Show(args) => show(args, context),
        Command::Prune(args) => prune(args, json, context),
        Command::VerifyAll(args) => verify_all(args, json, context),
    }
}

fn list(args: &ListArgs, json: bool, context: &Context) -> CliResult {
    let runs = list_runs(&context.absolute(&args.bundle))?;
    if json {
        print_line(&document::to_pretty(&runs))?;
    } else if runs.runs.is_empty() {
        note_line(&format!("no run stands in {}", printable(&args.bundle.display().to_string())));
    } else {
        print_line(table(&runs.runs).trim_end())?;
    }
    if let Some(why) = &runs.latest_unusable {
        note_line(&format!("warning: LATEST {}", printable(why)));
    }
    if let Some(latest) = runs.latest.filter(|latest| runs.runs.iter().all(|run| run.run_id != *latest)) {
        note_line(&format!("warning: LATEST names run {}, which is not there", printable(&latest)));
    }
    Ok(Exit::Yes)
}

fn table(runs: &[Run]) -> String {
    let word = |value: Value| value.as_str().unwrap_or("-").to_owned();
    let rows = runs.iter().map(|run| {
        let marks = [(run.latest, "LATEST"), (run.dry_run, "dry"), (run.repaired, "repaired")];
        let marks: Vec<&str> = marks.iter().filter(|(holds, _)| *holds).map(|(_, mark)| *mark).collect();
        vec![
            printable(&run.run_id),
            run.life.word().to_owned(),
            word(document::to_value(&run.status)),
            run.artifact_count.to_string(),
            run.size_bytes.to_string(),
            printable(run.plan_id.as_deref().unwrap_or("-")),
            printable(run.world_id.as_deref().unwrap_or("-")),
            marks.join(" "),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    report::render_table(&["run", "life", "files", "artifacts", "bytes", "plan", "world", ""], &rows)
}

fn show(args: &ShowArgs, context: &Context) -> CliResult {
    let resolved = match resolve(&context.absolute(&args.bundle)) {
        Ok(resolved) => resolved,
        Err(error) if error.finding().is_some() => return Err(Failure::no(error)),
        Err(error) => return Err(error.into()),
    };
    let bundle = UnverifiedBundle::read(resolved);
    if bundle.is_nothing() {
        let path = printable(&args.bundle.to_string_lossy());
        return Err(Failure::no(anyhow::anyhow!("{path} is no bundle: it holds none of a run's documents")));
    }
    print_line(&document::to_pretty(&bundle.report(args.jobs)))?;
    Ok(Exit::Yes)
}

fn prune(args: &PruneArgs, json: bool, context: &Context) -> CliResult {
    let cancel = cancel_on_signals()?;
    let root = context.absolute(&args.bundle);
    let request = PruneRequest {
        root: &root,
        keep: args.keep,
        abandoned: args.abandoned,
        dry_run: args.dry_run,
        lock_mode: args.lock.mode()?,
    };
    let pruned = prune_runs(request, &|| cancel.is_set()).map_err(|error| match &error {
        BundleError::Lock(LockError::Held { .. } | LockError::TimedOut { .. }) if !args.lock.waits() => {
            Failure::no(error).hint("--lock-mode wait waits for the other to end")
        }
        BundleError::Lock(LockError::Held { .. } | LockError::TimedOut { .. }) => Failure::no(error),
        _ => error.into(),
    })?;
    if json {
        let mut object = document::to_value(&pruned);
        object["dry_run"] = args.dry_run.into();
        print_line(&document::to_pretty(&object))?;
        return Ok(Exit::Yes);
    }
    let verb = if args.dry_run { "would remove" } else { "removed" };
    for run in &pruned.removed {
        print_line(&format!("[-] {verb} {} ({})", printable(&run.run_id), run.life.word()))?;
    }
    for run in pruned.kept.iter().filter(|run| run.life != RunLife::Committed) {
        print_line(&format!("[~] kept {}, which is {}", printable(&run.run_id), run.life.word()))?;
    }
    print_line(&format!("[+] {verb} {}, kept {}", pruned.removed.len(), pruned.kept.len()))?;
    Ok(Exit::Yes)
}

/// Totals of `bundle verify-all`.
#[derive(Default)]
struct Totals {
    valid: usize,
    invalid: usize,
    at_work: usize,
    /// Roots whose LATEST leads to no run.
    lost_roots: usize,
}

fn verify_all(args: &VerifyAllArgs, json: bool, context: &Context) -> CliResult {
    let directory = context.absolute(&args.directory);
    let Found { runs, roots, mut skipped } = find_bundles(&directory)?;
    let shown = |path: &Path| path.strip_prefix(&directory).unwrap_or(path).to_string_lossy().into_owned();
    let bar = context.stderr_is_terminal.then(|| {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
        ProgressBar::new(runs.len() as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    });
    let mut totals = Totals::default();
    let mut answers = Vec::new();
    for path in runs.iter().chain(&roots) {
        let name = shown(path);
        let name = if name.is_empty() { ".".to_owned() } else { name };
        if let Some(bar) = &bar {
            bar.set_message(printable(&name));
        }
        let is_root = roots.contains(path);
        let answer = if is_root { of_root(path) } else { of_run(path, args.jobs) };
        if let Some(bar) = bar.as_ref().filter(|_| !is_root) {
            bar.inc(1);
        }
        let (answer, at_work) = match answer {
            Ok(Some(judged)) => judged,
            Ok(None) => continue,
            // Removed since it was found, or not to be opened: said at the end, and no reason to leave out the others.
            Err(error) => {
                skipped.push((path.clone(), error_chain(&error)));
                continue;
            }
        };
        let mark = match (at_work, answer.ok) {
            (true, _) => {
                totals.at_work += 1;
                "[~]"
            }
            (false, true) => {
                totals.valid += 1;
                "[+]"
            }
            (false, false) => {
                if is_root {
                    totals.lost_roots += 1
                } else {
                    totals.invalid += 1
                }
                "[!]"
            }
        };
        if json {
            let mut object = answer.document();
            object["path"] = name.into();
            object["in_progress"] = at_work.into();
            answers.push(object);
        } else if !answer.ok || !answer.findings.is_empty() {
            let clear = || -> Result<(), Failure> {
                print_line(&format!("{mark} {}", printable(&name)))?;
                print_findings(&answer.findings)
            };
            bar.as_ref().map_or_else(clear, |bar| bar.suspend(clear))?;
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let Totals { valid, invalid, at_work, lost_roots } = totals;
    let complete = skipped.is_empty() && !(runs.is_empty() && roots.is_empty());
    let ok = complete && invalid == 0 && lost_roots == 0;
    if json {
        let skipped: Vec<Value> =
            skipped.iter().map(|(path, why)| json!({"path": shown(path), "reason": why})).collect();
        let object = json!({"ok": ok, "complete": complete, "valid": valid, "invalid": invalid, "in_progress": at_work,
                            "lost_roots": lost_roots, "bundles": answers, "skipped": skipped});
        print_line(&document::to_pretty(&object))?;
    } else {
        for (path, why) in &skipped {
            note_line(&format!("warning: {} was not looked into: {}", printable(&shown(path)), printable(why)));
        }
        let mark = if ok { "[+]" } else { "[!]" };
        let bundles = if runs.len() == 1 { "bundle" } else { "bundles" };
        let lost = if lost_roots == 0 {
            String::new()
        } else {
            format!("; LATEST of {lost_roots} of the roots leads to no run")
        };
        print_line(&format!(
            "{mark} {} {bundles}: {valid} valid, {invalid} not, {at_work} in progress{lost}",
            runs.len()
        ))?;
    }
    Ok(match (complete, invalid + lost_roots) {
        (_, 1..) => Exit::No,
        (false, 0) => Exit::CannotAnswer,
        (true, 0) => Exit::Yes,
    })
}

/// A run, and whether its writer is at work.
fn of_run(path: &Path, jobs: usize) -> Result<Option<(Answer, bool)>, ResolveError> {
    let resolved = match resolve(path) {
        Ok(resolved) => resolved,
        Err(error) => return Ok(Some((Answer::unresolved(path, error)?, false))),
    };
    let bundle = UnverifiedBundle::read(resolved);
    let at_work = bundle.writer() == Writer::AtWork;
    Ok(Some((Answer::of(&bundle.verify(jobs)), at_work)))
}

/// A root is worth a word only when its pointer leads nowhere; its runs are found by themselves.
fn of_root(path: &Path) -> Result<Option<(Answer, bool)>, ResolveError> {
    match resolve(path) {
        Ok(_) => Ok(None),
        Err(error) => Ok(Some((Answer::unresolved(path, error)?, false))),
    }
}
