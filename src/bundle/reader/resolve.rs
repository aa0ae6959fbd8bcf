//! From a path to one run's directory: the pointer is read once, and the directory is opened once.

use std::path::{Path, PathBuf};

use super::super::layout::{ARTIFACT_INDEX, LATEST, LOCK_FILE, RUN_STATUS, name};
use super::super::pointer::{self, Pointer};
use super::super::root::{RunLife, run_directories};
use super::UnverifiedBundle;
use crate::base::ids::NameError;
use crate::base::rel_path::RelPath;
use crate::os::fs::{Dir, FsError};
use crate::vocab::{Finding, Severity};

/// Why a path does not lead to a run's directory.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The path does not exist, is no directory, or cannot be read: there is nothing to judge.
    #[error("no bundle can be read at {}", path.display())]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// The system's answer.
        source: FsError,
    },
    /// `LATEST` names no plain run id.
    #[error("{}/LATEST says {text:?}, which is no run id: it {why}", root.display())]
    PointerInvalid {
        /// The bundle root.
        root: PathBuf,
        /// What it says, shortened.
        text: String,
        /// Why that is no run id.
        why: NameError,
    },
    /// `LATEST` is not UTF-8.
    #[error("{}/LATEST is not UTF-8 text", root.display())]
    PointerNotText {
        /// The bundle root.
        root: PathBuf,
    },
    /// `LATEST` cannot be read as a plain file.
    #[error("{}/LATEST cannot be read", root.display())]
    PointerUnreadable {
        /// The bundle root.
        root: PathBuf,
        /// What refused it.
        source: FsError,
    },
    /// `LATEST` names a run that is not there.
    #[error("{}/LATEST names run {run_id}, which does not exist; {}", root.display(), committed_there(.committed))]
    PointerDangling {
        /// The bundle root.
        root: PathBuf,
        /// The run it names.
        run_id: String,
        /// Runs under the root that have an index.
        committed: Vec<String>,
    },
    /// The run that `LATEST` names cannot be opened as a directory beneath the root.
    #[error("the run {run_id} that {}/LATEST names cannot be opened", root.display())]
    PointerTarget {
        /// The bundle root.
        root: PathBuf,
        /// The run it names.
        run_id: String,
        /// What refused it.
        source: FsError,
    },
    /// A root without `LATEST`, holding runs: which one is meant is not ours to guess.
    #[error("{} has no LATEST; {}", root.display(), committed_there(.committed))]
    NoPointer {
        /// The bundle root.
        root: PathBuf,
        /// Runs under the root that have an index.
        committed: Vec<String>,
    },
    /// A root in which no run was committed yet: the writers of those that stand there are gone or at work.
    #[error("{} is a bundle root without a committed run; {}", root.display(), begun_there(.begun))]
    NoCommittedRun {
        /// The bundle root.
        root: PathBuf,
        /// The runs that were begun, and where they are.
        begun: Vec<(String, RunLife)>,
    },
    /// The directory is a bundle root and a run's directory at once.
    #[error("{} holds LATEST and a run's own files: it cannot be both a bundle root and a run", path.display())]
    Ambiguous {
        /// The directory.
        path: PathBuf,
    },
}

/// How many runs a message names.
const SHOWN: usize = 5;

/// The first few of several, and how many more there are.
fn first_few(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(SHOWN);
    let shown = all.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

fn begun_there(begun: &[(String, RunLife)]) -> String {
    match begun {
        [] => "no run stands there".to_owned(),
        runs => first_few(runs.iter().map(|(run, life)| format!("{run} is {}", life.word()))),
    }
}

fn committed_there(committed: &[String]) -> String {
    match committed {
        [] => "no committed run stands there".to_owned(),
        runs => format!("committed runs there: {}", first_few(runs.iter().cloned())),
    }
}

impl ResolveError {
    /// Whether the answer to whatever is asked of the path is no: it is a bundle root, and there is no evidence yet.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::NoCommittedRun { .. })
    }

    /// The error as a verdict about the bundle; `None` when there is nothing to judge.
    #[must_use]
    pub fn finding(&self) -> Option<Finding> {
        let id = match self {
            Self::Unreadable { .. } => return None,
            Self::PointerInvalid { .. } => "latest-invalid",
            Self::PointerNotText { .. } => "latest-not-text",
            Self::PointerUnreadable { .. } => "latest-unreadable",
            Self::PointerDangling { .. } => "latest-dangling",
            Self::PointerTarget { .. } => "latest-target-unusable",
            Self::NoPointer { .. } => "latest-missing",
            Self::NoCommittedRun { .. } => "no-committed-run",
            Self::Ambiguous { .. } => "bundle-ambiguous",
        };
        let mut message = self.to_string();
        if let Some(cause) = std::error::Error::source(self) {
            message = format!("{message}: {cause}");
        }
        Some(Finding::new(id, Severity::Error, LATEST, message))
    }
}

/// One run's directory, opened.
#[derive(Debug)]
pub struct ResolvedBundle {
    pub(in crate::bundle) dir: Dir,
    pub(in crate::bundle) directory_name: String,
    pub(in crate::bundle) through_pointer: bool,
}

impl ResolvedBundle {
    /// The run's directory, absolute and without links.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        self.dir.path()
    }

    /// Whether the path was a bundle root whose `LATEST` named this run.
    #[must_use]
    pub fn through_pointer(&self) -> bool {
        self.through_pointer
    }
}

/// Finds the run that `path` means: a bundle root (through its `LATEST`, read once) or a run's own directory.
///
/// # Errors
/// See [`ResolveError`].
pub fn resolve(path: &Path) -> Result<ResolvedBundle, ResolveError> {
    let unreadable = |source| ResolveError::Unreadable { path: path.to_owned(), source };
    let real = path
        .canonicalize()
        .map_err(|source| unreadable(FsError::Io { action: "open", path: path.to_owned(), source }))?;
    let dir = Dir::open(&real).map_err(unreadable)?;
    let has_run_files = dir.contains(&name(RUN_STATUS)).map_err(unreadable)?
        || dir.contains(&name(ARTIFACT_INDEX)).map_err(unreadable)?;
    let pointer =
        pointer::read(&dir).map_err(|source| ResolveError::PointerUnreadable { root: path.to_owned(), source })?;
    match pointer {
        Pointer::Absent if has_run_files => Ok(own_directory(dir)),
        Pointer::Absent => {
            let committed = committed_runs(&dir);
            if !committed.is_empty() {
                return Err(ResolveError::NoPointer { root: path.to_owned(), committed });
            }
            let begun = begun_runs(&dir);
            if begun.is_empty() && !dir.contains(&name(LOCK_FILE)).map_err(unreadable)? {
                return Ok(own_directory(dir));
            }
            Err(ResolveError::NoCommittedRun { root: path.to_owned(), begun })
        }
        _ if has_run_files => Err(ResolveError::Ambiguous { path: path.to_owned() }),
        Pointer::NotText => Err(ResolveError::PointerNotText { root: path.to_owned() }),
        Pointer::Invalid { text, why } => Err(ResolveError::PointerInvalid { root: path.to_owned(), text, why }),
        Pointer::Run(run_id) => {
            let run = RelPath::try_from(run_id.as_str()).expect("a run id is one plain component");
            match dir.open_dir(&run) {
                Ok(run_dir) => {
                    Ok(ResolvedBundle { dir: run_dir, directory_name: run_id.into(), through_pointer: true })
                }
                Err(error) if error.is_not_found() => Err(ResolveError::PointerDangling {
                    root: path.to_owned(),
                    run_id: run_id.into(),
                    committed: committed_runs(&dir),
                }),
                Err(source) => {
                    Err(ResolveError::PointerTarget { root: path.to_owned(), run_id: run_id.into(), source })
                }
            }
        }
    }
}

fn own_directory(dir: Dir) -> ResolvedBundle {
    let directory_name = dir.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    ResolvedBundle { dir, directory_name, through_pointer: false }
}

/// Directories under a root that have an index; an unreadable root names none.
fn committed_runs(root: &Dir) -> Vec<String> {
    let runs = run_directories(root).unwrap_or_default().into_iter();
    let committed = runs.filter(|run| run.dir.contains(&name(ARTIFACT_INDEX)).unwrap_or(false));
    committed.map(|run| run.directory_name).collect()
}

/// The runs under a root, with where they are.
fn begun_runs(root: &Dir) -> Vec<(String, RunLife)> {
    let runs = run_directories(root).unwrap_or_default().into_iter();
    runs.map(|run| (run.directory_name.clone(), RunLife::of(&UnverifiedBundle::read(run)))).collect()
}
