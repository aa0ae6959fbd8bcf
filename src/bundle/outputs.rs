//! What a file that is derived from evidence must not replace: an input of its command, another output of it, what belongs to a
//! bundle.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::layout::{ARTIFACT_INDEX, LATEST, LOCK_FILE, RUN_MANIFEST, RUN_STATUS};
use crate::os::fs::{self, FsError};

/// Why a file must not be written where it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The command reads that file, or writes it already.
    #[error("{} is read or written already", out.display())]
    Taken {
        /// Where it should have gone.
        out: PathBuf,
    },
    /// It would become part of a bundle, or replace a file that a bundle root keeps.
    #[error("{} belongs to a bundle; derived files stand outside", out.display())]
    InBundle {
        /// Where it should have gone.
        out: PathBuf,
    },
    /// Where it leads cannot be told: a directory would first have to be made, to leave it again by `..`.
    #[error("{} cannot be written", out.display())]
    Unresolved {
        /// Where it should have gone.
        out: PathBuf,
        /// Why.
        source: FsError,
    },
    /// Another name of the file may be part of a bundle.
    #[error("{} has {names} names (hard links), and another one may belong to a bundle", out.display())]
    HardLinked {
        /// Where it should have gone.
        out: PathBuf,
        /// How many names the file has.
        names: u64,
    },
}

/// Refuses the files `outs` of one command that are one of its `inputs`, one another, or part of a bundle, also where a link leads
/// to one of these. A device or a pipe takes whatever it is given.
///
/// # Errors
/// The first that must not be written.
pub fn check_outputs<'a>(
    outs: impl IntoIterator<Item = &'a Path>,
    inputs: impl IntoIterator<Item = &'a Path>,
) -> Result<(), OutputError> {
    let mut outs = outs.into_iter().peekable();
    if outs.peek().is_none() {
        return Ok(());
    }
    let mut taken: Vec<Place> = inputs.into_iter().map(Place::of).collect();
    for path in outs {
        let out = || path.to_owned();
        if path.components().any(|component| component == Component::ParentDir) {
            fs::resolved(path).map_err(|source| OutputError::Unresolved { out: out(), source })?;
        }
        let place = Place::of(path);
        if place.is_special {
            continue;
        }
        if taken.iter().any(|other| other.is(&place)) {
            return Err(OutputError::Taken { out: out() });
        }
        if belongs_to_a_bundle(path) || belongs_to_a_bundle(&place.path) {
            return Err(OutputError::InBundle { out: out() });
        }
        if let Some((.., names)) = place.file.filter(|(.., names)| *names > 1) {
            return Err(OutputError::HardLinked { out: out(), names });
        }
        taken.push(place);
    }
    Ok(())
}

/// Whether `path` is part of a bundle, or would be, or of what a bundle root keeps about its runs. Its directories are seen through
/// links, as far as they exist; the last component is taken by its name.
#[must_use]
pub fn belongs_to_a_bundle(path: &Path) -> bool {
    let Some(directory) = path.ancestors().skip(1).find_map(|ancestor| ancestor.canonicalize().ok()) else {
        return false;
    };
    let kept_by_root = path.file_name().is_some_and(|name| name == LATEST || name == LOCK_FILE);
    kept_by_root || directory.ancestors().any(is_run)
}

/// Whether a run's documents stand in `directory`.
fn is_run(directory: &Path) -> bool {
    [RUN_STATUS, ARTIFACT_INDEX, RUN_MANIFEST].iter().any(|name| fs::exists(&directory.join(name)))
}

/// Where a path leads.
struct Place {
    /// Links resolved as far as it exists.
    path: PathBuf,
    /// Device, number and names of the regular file that stands there.
    file: Option<(u64, u64, u64)>,
    /// Whether something stands there that is neither a file nor a directory.
    is_special: bool,
}

impl Place {
    fn of(path: &Path) -> Self {
        let there = path.metadata().ok();
        Self {
            path: fs::resolved(path).unwrap_or_else(|_| path.to_owned()),
            is_special: there.as_ref().is_some_and(|there| !there.is_file() && !there.is_dir()),
            file: there.filter(std::fs::Metadata::is_file).map(|there| (there.dev(), there.ino(), there.nlink())),
        }
    }

    fn is(&self, other: &Self) -> bool {
        let file = |place: &Self| place.file.map(|(device, number, _)| (device, number));
        self.path == other.path || (self.file.is_some() && file(self) == file(other))
    }
}
