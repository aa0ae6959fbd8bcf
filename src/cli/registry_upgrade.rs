//! `registry-upgrade`

use std::path::{Path, PathBuf};

use serde_json::json;

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::lookup::{LookupArgs, name_from_working_directory};
use super::{note_line, outputs, print_line, printable};
use crate::base::json;
use crate::os::fs;
use crate::registry::{Files, UpgradeError, select, upgrade_registry};
use crate::report;
use crate::vocab::Finding;

// Arguments of `registry-upgrade`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime registry-upgrade --registry ./suite --overwrite
  runtime registry-upgrade --registry ./old-suite --out-dir upgraded
  runtime registry-upgrade --registry ./suite --check

Both files are written or neither. What is in the current form already is not written again. A file that is replaced keeps its \
mode and owner; one that cannot, or that has a second name (hard link), is left as it is.

Exit status: 0 done or nothing to do, 1 refused (findings, or a file stands there and --overwrite is not given), or with \
--check: something would change; 2 usage, 3 a file cannot be read or written.")]
pub(crate) struct Args {
    /// The registry: an id of the index, a directory, or one of its two files
    #[arg(long, value_name = "ID|DIR|FILE")]
    pub registry: String,
    /// An existing directory for both files [default: the directory of the probe registry]
    #[arg(long, value_name = "DIR")]
    pub out_dir: Option<PathBuf>,
    /// Replace files that stand there
    #[arg(long)]
    pub overwrite: bool,
    /// Write nothing; say whether something would change
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    pub lookup: LookupArgs,
}

/// One file to write.
struct Target {
    path: PathBuf,
    text: String,
    /// What stands there.
    older: Option<Vec<u8>>,
}

impl Target {
    /// Whether what stands there says something else. The order of keys and white space say nothing.
    fn changes(&self) -> bool {
        let says = |bytes: &[u8]| json::read(bytes).ok();
        self.older.as_deref().is_none_or(|older| says(older) != says(self.text.as_bytes()))
    }
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let lookup = args.lookup.resolve(context, &context.cwd);
    let (_, files) = select(&args.registry, &lookup)?;
    let upgraded = match upgrade_registry(&files) {
        Ok(upgraded) => upgraded,
        Err(UpgradeError::Document(error)) => return Err(error.into()),
        Err(UpgradeError::Refused(refusal)) => return refuse(refusal.findings, json, context),
    };
    let mut targets = Vec::new();
    for (name, text) in names(&files)?.into_iter().zip([upgraded.probes, upgraded.profiles]) {
        let path = directory(args, &files, context)?.join(name);
        let older = match fs::read_bounded(&path, json::MAX_DOCUMENT_BYTES) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        targets.push(Target { path, text, older });
    }
    targets.retain(Target::changes);
    let taken = targets.iter().find(|target| target.older.is_some() && !args.overwrite && !args.check);
    if let Some(taken) = taken {
        let error = anyhow::anyhow!("{} stands there already; nothing was written", taken.path.display());
        return Err(Failure::no(error).hint("give --overwrite to replace it, or another --out-dir"));
    }
    let mut warnings = upgraded.warnings;
    name_from_working_directory(&mut warnings, context);
    if !args.check {
        targets.iter().try_for_each(|target| outputs::outside_bundles(&target.path))?;
        write_all(&targets)?;
    }
    let paths: Vec<String> = targets.iter().map(|target| target.path.display().to_string()).collect();
    let verb = if args.check { "would write" } else { "wrote" };
    if json {
        let ok = !args.check || paths.is_empty();
        let key = if args.check { "would_write" } else { "wrote" };
        print_line(&json::to_pretty(&json!({"ok": ok, key: paths, "findings": warnings})))?;
    } else {
        warnings.iter().for_each(|finding| note_line(report::render_finding(finding).trim_end()));
        for path in &paths {
            print_line(&format!("{verb} {}", printable(path)))?;
        }
        if args.check && !paths.is_empty() {
            note_line("note: the current form is v0.2 with every default written out");
        }
        if paths.is_empty() {
            print_line("nothing to do: both files are in the current form")?;
        }
    }
    Ok(if args.check && !paths.is_empty() { Exit::No } else { Exit::Yes })
}

/// What an upgrade cannot mend.
fn refuse(mut findings: Vec<Finding>, json: bool, context: &Context) -> CliResult {
    name_from_working_directory(&mut findings, context);
    if json {
        print_line(&json::to_pretty(&json!({"ok": false, "wrote": [], "findings": findings})))?;
    } else {
        for finding in &findings {
            print_line(report::render_finding(finding).trim_end())?;
        }
        print_line(&format!("nothing was written: {}", report::render_summary(&findings)))?;
    }
    Ok(Exit::No)
}

/// Both files keep their names.
fn names(files: &Files) -> Result<[String; 2], Failure> {
    let name = |place: &crate::registry::Place| place.to_string().rsplit('/').next().unwrap_or_default().to_owned();
    let names = [name(&files.probes), name(&files.profiles)];
    if names[0] == names[1] {
        return Err(Failure::no(anyhow::anyhow!("both files of the registry are called {}", names[0])));
    }
    Ok(names)
}

fn directory(args: &Args, files: &Files, context: &Context) -> Result<PathBuf, Failure> {
    match (&args.out_dir, files.probes.disk_path().and_then(Path::parent)) {
        (Some(directory), _) => {
            let directory = context.absolute(directory);
            if !crate::os::input::is_directory(&directory) {
                return Err(Failure::from(anyhow::anyhow!("{} is no directory", directory.display())));
            }
            Ok(directory)
        }
        (None, Some(directory)) => Ok(directory.to_path_buf()),
        (None, None) => Err(Failure::usage("the registry is held inside the program; give --out-dir")),
    }
}

/// Writes every file; when one cannot be written, those before it get back what stood there.
fn write_all(targets: &[Target]) -> Result<(), Failure> {
    for (number, target) in targets.iter().enumerate() {
        let Err(error) = fs::rewrite_durable(&target.path, target.text.as_bytes()) else { continue };
        for before in &targets[..number] {
            match &before.older {
                Some(bytes) => fs::rewrite_durable(&before.path, bytes)?,
                None => fs::remove(&before.path)?,
            }
        }
        return Err(error.into());
    }
    Ok(())
}
