//! Lone files that the caller names by path: links on the way are followed, because the caller chose the path.

use std::path::Path;

use rustix::fs::Mode;

use super::{Dir, FsError, UNTRUSTED, kind_of, regular, write};

/// Reads the regular file at `path` whole, at most `limit_bytes`; never blocks on a FIFO or device.
///
/// # Errors
/// As [`Dir::read`], except that links are followed.
pub fn read_bounded(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, FsError> {
    let handle = rustix::fs::open(path, UNTRUSTED, Mode::empty()).map_err(|e| FsError::io("open", path, e))?;
    regular(handle.into(), || path.to_owned())?.read_whole(path, limit_bytes)
}

/// Replaces the file at `path` whole and durably: unique temp beside it, write, sync, rename, sync the directory.
/// Missing directories on the way are made.
///
/// # Errors
/// The path has no file name, or something else than a regular file stands there ([`FsError::Link`],
/// [`FsError::NotRegular`]: a device must not be replaced by a file); a directory, the write, a sync or the rename failed.
/// An older file then still stands.
pub fn write_durable(path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    let invalid = || FsError::io("write", path, std::io::Error::from(std::io::ErrorKind::InvalidInput));
    let last = path.file_name().and_then(|name| name.to_str()).ok_or_else(invalid)?;
    match path.symlink_metadata() {
        Ok(there) if there.is_symlink() => return Err(FsError::Link { path: path.to_owned() }),
        Ok(there) if !there.is_file() => {
            return Err(FsError::NotRegular { path: path.to_owned(), kind: kind_of(there.file_type()) });
        }
        _ => {}
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => Dir::create_all(parent)?,
        _ => Dir::open(Path::new("."))?,
    };
    write::replace_in(&parent.handle, last, bytes, true, path)
}

/// Whether anything stands at `path` (a dangling link counts).
#[must_use]
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
