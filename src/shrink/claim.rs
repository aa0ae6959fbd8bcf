//! Whose directory it is: a session works in one that is new or empty, or that an earlier session made, and holds its lock meanwhile.
//!
//! What marks a directory as made by a session is the record in it: `run.json`, or the summary of a matrix, with its schema tag.

use std::path::{Path, PathBuf};

use super::{ShrinkError, layout, matrix, record};
use crate::bundle::layout::LOCK_FILE;
use crate::os::fs::{Dir, exists};
use crate::os::lock::{FileLock, LockError, LockMode};

/// The records that mark a directory, with their tags.
const RECORDS: [(&str, &str); 2] = [("run.json", record::SCHEMA), ("matrix/summary.json", matrix::SCHEMA)];

/// What sessions replace or remove in their directory.
const DIRECTORIES: [&str; 6] = ["out", "phases", "profiles", "jobs", "artifacts", "matrix"];
const FILES: [&str; 2] = ["run.json", "rules.json"];

/// Most names in a message.
const MOST_NAMES: usize = 4;

/// A directory that is not used.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// It holds what no session wrote.
    #[error(
        "{} holds {holds}, and no record of shrink-trace: only a directory that is new or empty, or one of its own, is used", directory.display()
    )]
    Foreign {
        /// The directory.
        directory: PathBuf,
        /// Names of what stands there.
        holds: String,
    },
    /// Something stands in the place of what a session writes.
    #[error("{} is no {expected}, so no session of shrink-trace wrote it, and it is not replaced", path.display())]
    InTheWay {
        /// What it is.
        path: PathBuf,
        /// What it would be.
        expected: &'static str,
    },
    /// Somebody else works there.
    #[error("another process works in {}", directory.display())]
    Busy {
        /// The directory.
        directory: PathBuf,
        /// Who.
        #[source]
        source: LockError,
    },
}

/// Makes `out` where it is missing and takes its lock; it is the session's as long as the lock is held. Nothing is changed where the
/// directory is not used.
///
/// # Errors
/// [`ClaimError`]; the directory cannot be read or made.
pub(super) fn claim(out: &Path) -> Result<FileLock, ShrinkError> {
    look(out)?;
    Dir::create_all(out)?;
    let lock = FileLock::acquire(&out.join(LOCK_FILE), LockMode::Fail, &|| false)
        .map_err(|source| ClaimError::Busy { directory: out.to_owned(), source })?;
    // Somebody may have put something there in between.
    look(out)?;
    Ok(lock)
}

/// Refuses a directory that no session made.
fn look(out: &Path) -> Result<(), ShrinkError> {
    let directory = match Dir::open(out) {
        Err(error) if error.is_not_found() => return Ok(()),
        opened => opened?,
    };
    let (entries, more) = directory.list(MOST_NAMES + 1)?;
    let mut names: Vec<&str> =
        entries.iter().map(|entry| entry.name.as_str()).filter(|name| *name != LOCK_FILE).collect();
    if names.is_empty() {
        return Ok(());
    }
    let tagged = |(file, tag): &(&str, &str)| {
        layout::read_document(&out.join(file)).is_some_and(|document| document["schema_version"] == *tag)
    };
    if !RECORDS.iter().any(tagged) {
        let others = more || names.len() > MOST_NAMES;
        names.truncate(MOST_NAMES);
        let holds = names.join(", ") + if others { " and more" } else { "" };
        return Err(ClaimError::Foreign { directory: out.to_owned(), holds }.into());
    }
    in_the_way(out, &DIRECTORIES, "directory", |kind| kind.is_dir())?;
    in_the_way(out, &FILES, "regular file", |kind| kind.is_file())
}

fn in_the_way(
    out: &Path,
    names: &[&str],
    expected: &'static str,
    is: impl Fn(std::fs::FileType) -> bool,
) -> Result<(), ShrinkError> {
    let other =
        |path: &PathBuf| exists(path) && !path.symlink_metadata().is_ok_and(|metadata| is(metadata.file_type()));
    match names.iter().map(|name| out.join(name)).find(other) {
        Some(path) => Err(ClaimError::InTheWay { path, expected }.into()),
        None => Ok(()),
    }
}
