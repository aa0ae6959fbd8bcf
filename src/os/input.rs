//! Finding input files that a user or a document names. They are read with [`super::fs::read_bounded`].

use std::io;
use std::path::{Path, PathBuf};

/// Whether `path` names an existing regular file (links followed).
#[must_use]
pub fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Whether `path` itself is a symbolic link.
#[must_use]
pub fn is_link(path: &Path) -> bool {
    path.is_symlink()
}

/// How long the file at `path` is (links followed); 0 when that cannot be told.
#[must_use]
pub fn size_bytes(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

/// Whether `path` names an existing directory (links followed).
#[must_use]
pub fn is_directory(path: &Path) -> bool {
    path.is_dir()
}

/// `path` with the links in its directories resolved; its last component stays as it is and need not exist. A path whose
/// directory cannot be resolved is given back.
#[must_use]
pub fn resolved(path: &Path) -> PathBuf {
    let resolve = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    resolve().unwrap_or_else(|| path.to_path_buf())
}

/// The regular files called `name` beneath `directory`, sorted by path; links are not followed. What cannot be listed is
/// reported with its path.
#[must_use]
pub fn find_named(directory: &Path, name: &str) -> Vec<Result<PathBuf, (PathBuf, io::Error)>> {
    walkdir::WalkDir::new(directory)
        .sort_by_file_name()
        .into_iter()
        .filter_map(|entry| match entry {
            Ok(entry) if entry.file_type().is_file() && entry.file_name() == name => Some(Ok(entry.into_path())),
            Ok(_) => None,
            Err(error) => {
                let path = error.path().unwrap_or(directory).to_path_buf();
                Some(Err((path, error.into())))
            }
        })
        .collect()
}
