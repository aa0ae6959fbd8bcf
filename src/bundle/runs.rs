//! The runs of a bundle root: listing them, removing old ones, finding bundles in a tree.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize as _, Serialize};

use super::index::IndexStatus;
use super::layout::{ARTIFACT_INDEX, LATEST, RUN_STATUS};
use super::lock::RunLock;
use super::pointer::{self, Pointer};
use super::reader::UnverifiedBundle;
use super::root::{ENTRIES, RunLife, is_root, is_visible_directory, run_directories};
use super::writer::BundleError;
use crate::base::error_chain;
use crate::base::rel_path::RelPath;
use crate::base::tree::Node;
use crate::os::fs::{Dir, EntryKind, FsError};
use crate::os::lock::LockMode;

/// How deep [`find_bundles`] goes.
const DEPTH: usize = 16;

/// One run of a root.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Name of its directory.
    pub run_id: String,
    /// Where it is in its life.
    pub life: RunLife,
    /// What its index says about its files; null without a readable one.
    pub status: Option<IndexStatus>,
    /// The world it names.
    pub world_id: Option<String>,
    /// The plan it names.
    pub plan_id: Option<String>,
    /// The channel it names.
    pub channel: Option<String>,
    /// Whether nothing was executed.
    pub dry_run: bool,
    /// Whether its index was rebuilt.
    pub repaired: bool,
    /// When its status was written: seconds since 1970.
    pub updated_at_unix: Option<f64>,
    /// Artifacts in its index.
    pub artifact_count: usize,
    /// Their sizes by the index, in bytes.
    pub size_bytes: u64,
    /// Whether `LATEST` names it.
    pub latest: bool,
}

/// The runs of a root.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Runs {
    /// The bundle root.
    #[serde(serialize_with = "crate::base::json::shown_path")]
    pub root: PathBuf,
    /// The run that `LATEST` names, there or not; null when it names none.
    pub latest: Option<String>,
    /// Why `LATEST`, which is there, names none; null when it names one or is not there.
    pub latest_unusable: Option<String>,
    /// The runs, the oldest first; those without a time first.
    pub runs: Vec<Run>,
}

/// Lists the runs directly under `root` by their documents. Links are not followed, no lock is taken.
///
/// # Errors
/// The root cannot be read.
pub fn list_runs(root: &Path) -> Result<Runs, FsError> {
    runs_of(&Dir::open(root)?)
}

fn runs_of(root: &Dir) -> Result<Runs, FsError> {
    let (latest, latest_unusable) = match pointer::read(root)? {
        Pointer::Run(run_id) => (Some(run_id.to_string()), None),
        Pointer::Absent => (None, None),
        Pointer::Invalid { text, why } => (None, Some(format!("says {text:?}, which is no run id: it {why}"))),
        Pointer::NotText => (None, Some("is not UTF-8 text".to_owned())),
    };
    let mut runs = Vec::new();
    for resolved in run_directories(root)? {
        runs.push(run(&UnverifiedBundle::read(resolved), latest.as_deref()));
    }
    runs.sort_by(|a, b| {
        let at = |run: &Run| run.updated_at_unix.unwrap_or(f64::NEG_INFINITY);
        at(a).total_cmp(&at(b)).then_with(|| a.run_id.cmp(&b.run_id))
    });
    Ok(Runs { root: root.path().to_owned(), latest, latest_unusable, runs })
}

fn run(bundle: &UnverifiedBundle, latest: Option<&str>) -> Run {
    let run_id = bundle.resolved.directory_name.clone();
    let text = |key: &str| {
        let documents = [&bundle.status, &bundle.manifest, &bundle.index];
        documents.into_iter().find_map(|document| document.text(key)).map(str::to_owned)
    };
    let artifacts = bundle.index.get("artifacts").and_then(Node::as_array);
    let size = |entry: Node<'_>| entry.get("file_size")?.as_number()?.as_u64();
    Run {
        life: RunLife::of(bundle),
        status: bundle.index.get("status").and_then(|status| IndexStatus::deserialize(status).ok()),
        world_id: text("world_id"),
        plan_id: text("plan_id"),
        channel: text("channel"),
        dry_run: bundle.manifest.flag("dry_run") == Some(true),
        repaired: bundle.is_repaired(),
        updated_at_unix: bundle
            .status
            .get("updated_at_unix")
            .and_then(Node::as_number)
            .and_then(|number| number.as_f64()),
        artifact_count: artifacts.as_ref().map_or(0, ExactSizeIterator::len),
        size_bytes: artifacts.into_iter().flatten().filter_map(size).fold(0, u64::saturating_add),
        latest: latest == Some(run_id.as_str()),
        run_id,
    }
}

/// What to remove of a root.
#[derive(Debug, Clone, Copy)]
pub struct PruneRequest<'a> {
    /// The bundle root.
    pub root: &'a Path,
    /// How many committed runs stay: the newest, and in any case the one that `LATEST` names.
    pub keep: usize,
    /// Whether runs go as well that were never committed and whose writer is known to be gone.
    pub abandoned: bool,
    /// Only say what would be removed.
    pub dry_run: bool,
    /// What to do when the root is locked.
    pub lock_mode: LockMode,
}

/// What was removed, or would be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pruned {
    /// The runs that are gone, the oldest first.
    pub removed: Vec<Run>,
    /// The runs that stay, the oldest first.
    pub kept: Vec<Run>,
    /// Left-overs of killed writers and removals that are gone as well.
    pub swept: usize,
}

/// Removes old runs of a root, with its lock held. A run that has no index is never touched while its writer is at work, nor
/// when nobody can tell.
///
/// # Errors
/// The directory is no bundle root; it cannot be locked or read; a run cannot be removed (those before it are gone).
pub fn prune_runs(request: PruneRequest<'_>, cancelled: &dyn Fn() -> bool) -> Result<Pruned, BundleError> {
    // What is no root is not made one by a lock.
    if !is_root(&Dir::open(request.root)?)? {
        return Err(BundleError::NoRoot { path: request.root.to_owned() });
    }
    let lock = RunLock::acquire(request.root, request.lock_mode, cancelled)?;
    let Runs { runs, latest_unusable, .. } = runs_of(&lock.root)?;
    // The run that stays in any case cannot be told.
    if let Some(why) = latest_unusable {
        return Err(BundleError::PointerUnusable { root: request.root.to_owned(), why });
    }
    let committed = runs.iter().filter(|run| run.life == RunLife::Committed).count();
    let mut too_many = committed.saturating_sub(request.keep);
    let mut pruned = Pruned { removed: Vec::new(), kept: Vec::new(), swept: 0 };
    for run in runs {
        let goes = match run.life {
            RunLife::Committed if too_many > 0 => {
                too_many -= 1;
                !run.latest
            }
            RunLife::Abandoned => request.abandoned,
            RunLife::Committed | RunLife::InProgress | RunLife::Uncommitted => false,
        };
        if goes && !request.dry_run {
            let name = RelPath::try_from(run.run_id.as_str()).expect("it was opened by this name");
            lock.root.remove_dir(&name)?;
        }
        if goes { pruned.removed.push(run) } else { pruned.kept.push(run) }
    }
    if !request.dry_run {
        pruned.swept = lock.root.sweep_removed();
    }
    Ok(pruned)
}

/// What a tree holds.
#[derive(Debug, Default)]
pub struct Found {
    /// Directories of runs, sorted.
    pub runs: Vec<PathBuf>,
    /// Bundle roots: directories with a `LATEST`, sorted.
    pub roots: Vec<PathBuf>,
    /// Directories that could not be looked into, and why.
    pub skipped: Vec<(PathBuf, String)>,
}

/// Finds every run and every bundle root beneath `directory`, itself included. Links are not followed; what lies inside a run
/// is part of it.
///
/// # Errors
/// `directory` cannot be opened.
pub fn find_bundles(directory: &Path) -> Result<Found, FsError> {
    let mut found = Found::default();
    visit(&Dir::open(directory)?, 0, &mut found);
    Ok(found)
}

fn visit(dir: &Dir, depth: usize, found: &mut Found) {
    let path = dir.path();
    let entries = match dir.list(ENTRIES) {
        Ok((entries, false)) => entries,
        Ok((_, true)) => return found.skipped.push((path.to_owned(), format!("more than {ENTRIES} entries"))),
        Err(error) => return found.skipped.push((path.to_owned(), error_chain(&error))),
    };
    let kinds: HashMap<&str, EntryKind> = entries.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect();
    if kinds.contains_key(LATEST) {
        found.roots.push(path.to_owned());
    }
    if kinds.contains_key(RUN_STATUS) || kinds.contains_key(ARTIFACT_INDEX) {
        return found.runs.push(path.to_owned());
    }
    for entry in entries.iter().filter(|entry| is_visible_directory(entry)) {
        let inner = RelPath::try_from(entry.name.as_str()).map_err(|error| error_chain(&error));
        match inner.and_then(|name| dir.open_dir(&name).map_err(|error| error_chain(&error))) {
            Ok(inner) if depth < DEPTH => visit(&inner, depth + 1, found),
            Ok(_) => found.skipped.push((path.join(&entry.name), format!("deeper than {DEPTH} directories"))),
            Err(why) => found.skipped.push((path.join(&entry.name), why)),
        }
    }
}
