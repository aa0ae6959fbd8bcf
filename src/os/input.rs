//! Reading one input file that a user or a document names: regular files only, bounded, never blocking on a FIFO.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// Why an input file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The path names a directory, FIFO, socket or device.
    #[error("not a regular file")]
    NotAFile,
    /// The file is larger than allowed; its content was not read.
    #[error("the file has {size_bytes} bytes; at most {limit_bytes} are read")]
    TooLarge {
        /// Size in bytes as the file system reports it, or the number of bytes seen.
        size_bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the regular file at `path`, at most `limit_bytes` long. Links are followed: the path is the caller's own.
///
/// # Errors
/// See [`InputError`]. A file that grows while it is read is refused at the limit.
pub fn read(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, InputError> {
    // O_NONBLOCK keeps the open of a FIFO or device from waiting; it has no effect on regular files (open(2)).
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(InputError::NotAFile);
    }
    if metadata.len() > limit_bytes {
        return Err(InputError::TooLarge { size_bytes: metadata.len(), limit_bytes });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(limit_bytes + 1).read_to_end(&mut bytes)?;
    let size_bytes = bytes.len() as u64;
    if size_bytes > limit_bytes {
        return Err(InputError::TooLarge { size_bytes, limit_bytes });
    }
    Ok(bytes)
}

/// Whether `path` names an existing regular file (links followed).
#[must_use]
pub fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Whether `path` names an existing directory (links followed).
#[must_use]
pub fn is_directory(path: &Path) -> bool {
    path.is_dir()
}

/// Whether anything stands at `path`, a dangling link included.
#[must_use]
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sparse");
        let file = tempfile::NamedTempFile::new_in(directory.path()).unwrap().persist(&path).unwrap();
        file.set_len(200 * 1024 * 1024).unwrap();
        assert!(matches!(read(&path, 1024), Err(InputError::TooLarge { size_bytes: 209_715_200, .. })));
        file.set_len(3).unwrap();
        assert_eq!(read(&path, 3).unwrap(), [0, 0, 0]);
        assert!(matches!(read(directory.path(), 1024), Err(InputError::NotAFile)));
        let parent = File::open(directory.path()).unwrap();
        crate::os::fifo::make_at(std::os::fd::AsFd::as_fd(&parent), "fifo", 0o600).unwrap();
        assert!(matches!(read(&directory.path().join("fifo"), 1024), Err(InputError::NotAFile)));
        assert!(matches!(read(&directory.path().join("absent"), 1), Err(InputError::Io(_))));
    }
}
