//! What makes a directory a bundle root, and where its runs are in their lives.

use serde::Serialize;

use super::layout::{ARTIFACT_INDEX, LATEST, LOCK_FILE, RUN_STATUS, name};
use super::reader::{ResolvedBundle, UnverifiedBundle, Writer};
use crate::base::rel_path::RelPath;
use crate::os::fs::{Dir, Entry, EntryKind, FsError};

/// How many entries of a directory are looked at.
pub(super) const ENTRIES: usize = 1_000_000;

/// Where a run is in its life, by its documents and its writer's lock; nothing is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunLife {
    /// It has an index.
    Committed,
    /// Its writer is at work.
    InProgress,
    /// It has no index and its writer is gone.
    Abandoned,
    /// It has no index; whether somebody writes it is not known (earlier tool, file systems without locks).
    Uncommitted,
}

impl RunLife {
    /// Where `bundle` is.
    #[must_use]
    pub fn of(bundle: &UnverifiedBundle) -> Self {
        match (bundle.index.is_absent(), bundle.writer()) {
            (false, _) => Self::Committed,
            (true, Writer::AtWork) => Self::InProgress,
            (true, Writer::Gone) => Self::Abandoned,
            (true, Writer::Unknown) => Self::Uncommitted,
        }
    }

    /// The word that documents and messages use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::InProgress => "in-progress",
            Self::Abandoned => "abandoned",
            Self::Uncommitted => "uncommitted",
        }
    }
}

/// No run's name begins with a dot; what killed removals and builds leave does.
pub(super) fn is_visible_directory(entry: &Entry) -> bool {
    entry.kind == EntryKind::Directory && !entry.name.starts_with('.')
}

/// Whether a run was begun in this directory.
pub(super) fn is_run(dir: &Dir) -> bool {
    [RUN_STATUS, ARTIFACT_INDEX].iter().any(|document| dir.contains(&name(document)).unwrap_or(false))
}

/// The directories of runs directly under `root`. Links are not followed.
pub(super) fn run_directories(root: &Dir) -> Result<Vec<ResolvedBundle>, FsError> {
    let entries = root.list(ENTRIES)?.0.into_iter().filter(is_visible_directory);
    let runs = entries.filter_map(|entry| {
        let dir = RelPath::try_from(entry.name.as_str()).ok().and_then(|name| root.open_dir(&name).ok())?;
        is_run(&dir).then_some(ResolvedBundle { dir, directory_name: entry.name, through_pointer: false })
    });
    Ok(runs.collect())
}

/// Whether this directory is a bundle root: runs stand in it, or what writers of runs leave there; and it is no run itself.
pub(super) fn is_root(dir: &Dir) -> Result<bool, FsError> {
    let kept = |document| dir.contains(&name(document));
    Ok(!is_run(dir) && (kept(LATEST)? || kept(LOCK_FILE)? || !run_directories(dir)?.is_empty()))
}
