//! Operations on files.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;
use serde_json::{Map, Value, json};

use super::{Performed, details};
use crate::denial::target_text;
use crate::event::{OPENED_PATH, OPENED_PATH_ERRNO, OPENED_PATH_NOFIRMLINK, OPENED_PATH_NOFIRMLINK_ERRNO};
use crate::os::fd::fd_path;

/// Adds the path by which the system knows an open file, null where it does not say.
fn with_name(mut details: Map<String, Value>, file: &OwnedFd, wanted: bool) -> Map<String, Value> {
    if wanted {
        let path = fd_path(file.as_fd()).ok().map(|path| target_text(path.as_os_str().as_bytes()));
        details.insert(OPENED_PATH.to_owned(), json!(path));
        if let Some((path, without)) = on_macos(file) {
            let text = |path: &Path| target_text(path.as_os_str().as_bytes());
            let errno = |result: &Result<PathBuf, Errno>| result.as_ref().err().map(|errno| errno.raw_os_error());
            details.insert(OPENED_PATH_ERRNO.to_owned(), json!(errno(&path)));
            details.insert(OPENED_PATH_NOFIRMLINK.to_owned(), json!(without.as_ref().ok().map(|path| text(path))));
            details.insert(OPENED_PATH_NOFIRMLINK_ERRNO.to_owned(), json!(errno(&without)));
        }
    }
    details
}

/// What macOS says of an open file by `F_GETPATH` and by `F_GETPATH_NOFIRMLINK`.
#[cfg(target_os = "macos")]
fn on_macos(file: &OwnedFd) -> Option<(Result<PathBuf, Errno>, Result<PathBuf, Errno>)> {
    let path = fd_path(file.as_fd()).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
    Some((path, crate::os::macos::file::path_without_firmlinks(file.as_fd())))
}

#[cfg(not(target_os = "macos"))]
fn on_macos(_file: &OwnedFd) -> Option<(Result<PathBuf, Errno>, Result<PathBuf, Errno>)> {
    None
}

/// Opens for reading; the open is the operation. Reading one byte only shows that the descriptor is usable.
pub(super) fn read(path: &Path, name_opened: bool) -> Performed {
    read_at(CWD, path, name_opened)
}

/// The same relative to an open directory.
pub(super) fn read_at(directory: BorrowedFd<'_>, path: &Path, name_opened: bool) -> Performed {
    let file = rustix::fs::openat(directory, path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())?;
    let mut byte = [0u8; 1];
    match rustix::io::read(&file, &mut byte) {
        Ok(n) => Ok(with_name(details([("bytes_read", json!(n))]), &file, name_opened)),
        Err(Errno::ISDIR) => Ok(with_name(details([("directory", json!(true))]), &file, name_opened)),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn stat(path: &Path) -> Performed {
    let stat = rustix::fs::lstat(path)?;
    Ok(details([("size_bytes", json!(stat.st_size))]))
}

pub(super) fn create(path: &Path, name_opened: bool) -> Performed {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let created = rustix::fs::open(path, flags, Mode::from(0o644))?;
    Ok(with_name(Map::new(), &created, name_opened))
}

pub(super) fn write(path: &Path, name_opened: bool) -> Performed {
    write_at(CWD, path, name_opened)
}

/// The same relative to an open directory.
pub(super) fn write_at(directory: BorrowedFd<'_>, path: &Path, name_opened: bool) -> Performed {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::openat(directory, path, flags, Mode::empty())?;
    let n = rustix::io::write(&file, b"x")?;
    Ok(with_name(details([("bytes_written", json!(n))]), &file, name_opened))
}

/// A length of 0 asks for the size of the list only.
pub(super) fn list_xattr(path: &Path) -> Performed {
    let mut nothing: [u8; 0] = [];
    let size = rustix::fs::listxattr(path, &mut nothing)?;
    Ok(details([("list_bytes", json!(size))]))
}

pub(super) fn touch(path: &Path) -> Performed {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::empty())?;
    Ok(Map::new())
}

pub(super) fn link(path: &Path) -> Performed {
    let mut name = path.as_os_str().to_owned();
    name.push(".link");
    let name = PathBuf::from(name);
    rustix::fs::link(path, &name)?;
    Ok(details([("linked_as", json!(name.to_string_lossy()))]))
}
