//! Files: opened beneath a directory without following links, written by unique temp and rename, made durable on request.
//!
//! [`Dir`] is an open directory; every name handed to it is a [`RelPath`] and is resolved beneath it, component by
//! component, never through a symbolic link. Reading accepts regular files only and is bounded. Writing makes a fresh
//! temporary file in the target's own directory and renames it, so a reader sees the old file or the new one, whole.
//! Nothing is synced unless the function says so: a bundle syncs once, in one batch ([`Dir::sync_batch`]).
//!
//! Every operation that changes the file system passes `fault::attempt`, where tests make it fail.

pub(in crate::os) mod fault;
mod list;
mod lone;
mod portable;
mod tree;
mod write;

#[cfg(target_os = "linux")]
#[path = "fs/beneath_linux.rs"]
mod beneath;
#[cfg(not(target_os = "linux"))]
#[path = "fs/beneath_portable.rs"]
mod beneath;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};

use crate::base::rel_path::{RelPath, RelPathRef};
use fault::Change;

pub use list::{Entry, EntryKind};
pub use lone::{
    PrivateFile, exists, make_durable, open_regular, overwrite, read_bounded, read_private, remove, replace_with,
    resolved, rewrite_durable, write_durable, write_whole,
};
pub use tree::{add_tree, replace_tree, taken};
pub use write::Prepared;

#[cfg(test)]
pub(crate) use fault::testing as fault_testing;

/// One step on the file system that failed: what was tried, on which path, and why.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// The system refused the step.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The step, as a verb (`open`, `write`, `rename`, ...).
        action: &'static str,
        /// The path it was about.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The path leads to something other than a regular file: a directory, FIFO, socket or device.
    #[error("{} is {kind}, not a regular file", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
        /// What stands there, with its article.
        kind: &'static str,
    },
    /// The path, or a directory on the way, is a symbolic link.
    #[error("{} is or passes through a symbolic link", path.display())]
    Link {
        /// The path.
        path: PathBuf,
    },
    /// The file has further names, so somebody may change it without touching this path.
    #[error("{} has {names} names (hard links); the others may lie anywhere", path.display())]
    HardLinked {
        /// The path.
        path: PathBuf,
        /// How many names it has.
        names: u64,
    },
    /// The file is larger than the caller reads.
    #[error("{} has {size_bytes} bytes; at most {limit_bytes} are read", path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
        /// Its size in bytes.
        size_bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The file grew or shrank while it was read.
    #[error("{} changed while it was read", path.display())]
    Changed {
        /// The path.
        path: PathBuf,
    },
}

impl FsError {
    pub(in crate::os) fn io(action: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.into(), source: source.into() }
    }

    /// Whether the path does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// An open directory. Names are resolved beneath it without following links.
#[derive(Debug)]
pub struct Dir {
    handle: File,
    path: PathBuf,
}

/// A regular file opened for reading, with its size at that moment.
#[derive(Debug)]
pub struct RegularFile {
    /// The open file, at its start.
    pub file: File,
    /// Size in bytes when it was opened.
    pub size_bytes: u64,
    /// How many names (hard links) it had when it was opened.
    pub names: u64,
}

/// How directories are opened.
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// How files that somebody else may have put there are opened: a FIFO or a device must not block or become our terminal.
const UNTRUSTED: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

impl Dir {
    /// Opens the directory at `path`. Links on the way are followed: the caller chose the path.
    ///
    /// # Errors
    /// The path does not exist, is no directory, or may not be opened.
    pub fn open(path: &Path) -> Result<Self, FsError> {
        let handle = rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(|e| FsError::io("open", path, e))?;
        Ok(Self { handle: handle.into(), path: path.to_owned() })
    }

    /// Opens the directory at `path`, creating it and its parents as needed.
    ///
    /// # Errors
    /// A directory cannot be created or opened.
    pub fn create_all(path: &Path) -> Result<Self, FsError> {
        fault::point("create directory", path)?;
        std::fs::create_dir_all(path).map_err(|e| FsError::io("create directory", path, e))?;
        Self::open(path)
    }

    /// As [`Dir::create_all`]; the directories that were missing are durable.
    ///
    /// # Errors
    /// As [`Dir::create_all`]; a directory that holds a new one cannot be synced.
    pub fn create_all_synced(path: &Path) -> Result<Self, FsError> {
        let made: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
        let dir = Self::create_all(path)?;
        for holder in made.into_iter().filter_map(Path::parent) {
            let holder = if holder.as_os_str().is_empty() { Path::new(".") } else { holder };
            Self::open(holder)?.sync()?;
        }
        Ok(dir)
    }

    /// Opens the directory `name` beneath this one.
    ///
    /// # Errors
    /// [`FsError::Link`] when a component is a link; otherwise the system's answer.
    pub fn open_dir(&self, name: &RelPath) -> Result<Self, FsError> {
        let path = self.path.join(name.as_str());
        let name = RelPathRef::from(name);
        let handle =
            beneath::open(&self.handle, name, DIRECTORY).map_err(|e| self.refused(name.as_str().as_ref(), e))?;
        Ok(Self { handle: handle.into(), path })
    }

    /// Creates the directory `name` (one component), which must not exist, and opens it.
    ///
    /// # Errors
    /// Something of that name exists, or the directory cannot be created or opened.
    pub fn create_dir(&self, name: &RelPath) -> Result<Self, FsError> {
        let path = self.path.join(name.as_str());
        fault::attempt(Change::new("create directory", &path), || {
            rustix::fs::mkdirat(&self.handle, name.as_str(), Mode::from_raw_mode(0o777))
        })?;
        self.open_dir(name)
    }

    /// Opens the regular file `name` beneath this directory for reading; never blocks on a FIFO or device.
    ///
    /// # Errors
    /// [`FsError::Link`], [`FsError::NotRegular`], or the system's answer.
    pub fn open_file<'n>(&self, name: impl Into<RelPathRef<'n>>) -> Result<RegularFile, FsError> {
        let name = name.into();
        let handle =
            beneath::open(&self.handle, name, UNTRUSTED).map_err(|e| self.refused(name.as_str().as_ref(), e))?;
        regular(handle.into(), || self.path.join(name.as_str()))
    }

    /// Reads the regular file `name` whole, at most `limit_bytes`.
    ///
    /// # Errors
    /// As [`Dir::open_file`]; [`FsError::TooLarge`]; [`FsError::Changed`] when it grew or shrank meanwhile.
    pub fn read(&self, name: &RelPath, limit_bytes: u64) -> Result<Vec<u8>, FsError> {
        self.open_file(name)?.read_whole(&self.path.join(name.as_str()), limit_bytes)
    }

    /// As [`Dir::read`], of a file whose path is its only name.
    ///
    /// # Errors
    /// As [`Dir::read`]; [`FsError::HardLinked`].
    pub fn read_sole(&self, name: &RelPath, limit_bytes: u64) -> Result<Vec<u8>, FsError> {
        let path = self.path.join(name.as_str());
        self.open_file(name)?.sole(|| path.clone())?.read_whole(&path, limit_bytes)
    }

    /// Whether anything (link or not) has the name `name` beneath this directory.
    ///
    /// # Errors
    /// The system's answer, other than "does not exist".
    pub fn contains(&self, name: &RelPath) -> Result<bool, FsError> {
        let path = self.path.join(name.as_str());
        match rustix::fs::statat(&self.handle, name.as_str(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(false),
            Err(error) => Err(FsError::io("look up", path, error)),
        }
    }

    /// Takes the directory's own advisory lock (`flock(2)`), which ends when this is dropped or the process dies. Waits for
    /// those who only look ([`Dir::is_locked`]). `false`: this file system has no such locks.
    #[must_use]
    pub fn lock(&self) -> bool {
        self.handle.lock().is_ok()
    }

    /// Whether somebody else holds the directory's lock; `None`: this file system has no such locks.
    #[must_use]
    pub fn is_locked(&self) -> Option<bool> {
        match self.handle.try_lock_shared() {
            Ok(()) => {
                let _ = self.handle.unlock();
                Some(false)
            }
            Err(std::fs::TryLockError::WouldBlock) => Some(true),
            Err(std::fs::TryLockError::Error(_)) => None,
        }
    }

    /// The path this directory was opened by: for messages and records, not for opening files.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Turns the errno of a refused open into the error that names the cause.
    fn refused(&self, name: &Path, errno: rustix::io::Errno) -> FsError {
        let path = self.path.join(name);
        let is_link = || {
            rustix::fs::statat(&self.handle, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Symlink)
        };
        match errno {
            // ELOOP: openat2(2) RESOLVE_NO_SYMLINKS and open(2) O_NOFOLLOW. O_NOFOLLOW with O_DIRECTORY says ENOTDIR.
            rustix::io::Errno::LOOP => FsError::Link { path },
            rustix::io::Errno::NOTDIR if is_link() => FsError::Link { path },
            // open(2): a socket cannot be opened, nor a FIFO for writing without a reader, nor a device without driver.
            rustix::io::Errno::NXIO | rustix::io::Errno::NODEV => {
                FsError::NotRegular { path, kind: "a socket or device" }
            }
            errno => FsError::io("open", path, errno),
        }
    }
}

/// Refuses everything but a regular file.
fn regular(file: File, path: impl Fn() -> PathBuf) -> Result<RegularFile, FsError> {
    // fstat(2) rather than what std calls: statx(2) costs a twentieth more per file of a bundle.
    let stat = rustix::fs::fstat(&file).map_err(|e| FsError::io("inspect", path(), e))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind.is_file() {
        return Ok(RegularFile { file, size_bytes: stat.st_size.cast_unsigned(), names: widened(stat.st_nlink) });
    }
    Err(FsError::NotRegular { path: path(), kind: kind_of(kind) })
}

/// A count of hard links, which systems give in integers of different widths.
fn widened(count: impl Into<u64>) -> u64 {
    count.into()
}

/// What stands in the place of a regular file, with its article.
fn kind_of(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        _ => "a device",
    }
}

impl RegularFile {
    /// The file itself, when its path is its only name. `path` is for the message.
    ///
    /// # Errors
    /// [`FsError::HardLinked`].
    pub fn sole(self, path: impl FnOnce() -> PathBuf) -> Result<Self, FsError> {
        if self.names <= 1 { Ok(self) } else { Err(FsError::HardLinked { path: path(), names: self.names }) }
    }

    /// Reads the file whole, at most `limit_bytes`, and holds it to the size it had when opened. `path` is for messages.
    ///
    /// # Errors
    /// [`FsError::TooLarge`]; [`FsError::Changed`] when it grew or shrank meanwhile; the system's answer.
    pub fn read_whole(self, path: &Path, limit_bytes: u64) -> Result<Vec<u8>, FsError> {
        let Self { file, size_bytes, .. } = self;
        if size_bytes > limit_bytes {
            return Err(FsError::TooLarge { path: path.to_owned(), size_bytes, limit_bytes });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size_bytes).unwrap_or(0).saturating_add(1));
        file.take(size_bytes + 1).read_to_end(&mut bytes).map_err(|e| FsError::io("read", path, e))?;
        if bytes.len() as u64 != size_bytes {
            return Err(FsError::Changed { path: path.to_owned() });
        }
        Ok(bytes)
    }
}
