//! Advisory locks on files that are never unlinked.
//!
//! The lock is `flock(2)` (what the standard library uses on Linux and macOS), so it ends with the process however that
//! dies. The holder's pid is written only once the lock is held, and stays readable for those who wait. A tool that
//! unlinks lock files may still replace ours: after locking, the path must lead to the locked file, else we start again.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use super::fs::FsError;
use super::fs::fault::{Change, attempt};

/// How long a waiter sleeps between two attempts.
pub const RETRY_EVERY: Duration = Duration::from_millis(50);

/// What to do when somebody else holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Give up at once.
    Fail,
    /// Try again every [`RETRY_EVERY`] until `timeout` has passed.
    Wait {
        /// How long to wait at most.
        timeout: Duration,
    },
}

/// Why the lock was not obtained.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("{} is held by {}", path.display(), Holder(*.holder_pid))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The pid the holder wrote, if it has got that far.
        holder_pid: Option<u32>,
    },
    /// Somebody else held it for the whole time we were told to wait.
    #[error("{} is still held by {} after {waited_ms} ms", path.display(), Holder(*.holder_pid))]
    TimedOut {
        /// The lock file.
        path: PathBuf,
        /// The pid the holder wrote, if it has got that far.
        holder_pid: Option<u32>,
        /// How long we waited, in milliseconds.
        waited_ms: u128,
    },
    /// The caller stopped the wait.
    #[error("stopped waiting for {}", path.display())]
    Cancelled {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file cannot be opened, locked or written.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// The holder as shown in messages.
struct Holder(Option<u32>);

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

/// A held exclusive lock; released when dropped. The file stays.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
    pid: u32,
}

impl FileLock {
    /// Takes the exclusive lock on the file at `path`, creating the file when missing.
    ///
    /// `cancelled` is asked before each wait.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn acquire(path: &Path, mode: LockMode, cancelled: &dyn Fn() -> bool) -> Result<Self, LockError> {
        let fail = |source: io::Error| LockError::Io { path: path.to_owned(), source };
        let started = Instant::now();
        loop {
            let mut file = open(path).map_err(fail)?;
            match file.try_lock() {
                Ok(()) if is_still_at(&file, path) => {
                    let pid = std::process::id();
                    record_pid(&mut file, path, pid).map_err(fail)?;
                    return Ok(Self { file, path: path.to_owned(), pid });
                }
                // Locked, but the path leads elsewhere by now: the file was unlinked under us.
                Ok(()) => {}
                Err(TryLockError::Error(error)) => return Err(fail(error)),
                Err(TryLockError::WouldBlock) => give_up(&mut file, path, mode, started)?,
            }
            if cancelled() {
                return Err(LockError::Cancelled { path: path.to_owned() });
            }
            std::thread::sleep(RETRY_EVERY);
        }
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The pid of the holder: this process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Releases the lock; the same as dropping it.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing releases the lock too; an explicit unlock does not wait for a duplicate held by a forked child.
        let _ = self.file.unlock();
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened =
        attempt(Change::new("create the lock", path), || rustix::fs::open(path, flags, Mode::from_raw_mode(0o666)));
    let file = File::from(opened.map_err(answer)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// What the system said; the path is named by whoever reports it.
fn answer(error: FsError) -> io::Error {
    match error {
        FsError::Io { source, .. } => source,
        other => io::Error::other(other),
    }
}

fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(ours), Ok(there)) => ours.dev() == there.dev() && ours.ino() == there.ino(),
        _ => false,
    }
}

fn record_pid(file: &mut File, path: &Path, pid: u32) -> io::Result<()> {
    attempt(Change::new("write the holder to", path), || Ok(())).map_err(answer)?;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("pid={pid}\n").as_bytes())
}

/// Says no when the mode asks for it; otherwise the caller waits.
fn give_up(file: &mut File, path: &Path, mode: LockMode, started: Instant) -> Result<(), LockError> {
    let path = path.to_owned();
    match mode {
        LockMode::Fail => Err(LockError::Held { path, holder_pid: holder(file) }),
        LockMode::Wait { timeout } if started.elapsed() >= timeout => {
            let waited_ms = started.elapsed().as_millis();
            Err(LockError::TimedOut { path, holder_pid: holder(file), waited_ms })
        }
        LockMode::Wait { .. } => Ok(()),
    }
}

/// The pid in the lock file: a holder that has just locked may not have written it yet.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(64).read_to_string(&mut text).ok()?;
    text.strip_prefix("pid=")?.trim_end().parse().ok()
}
