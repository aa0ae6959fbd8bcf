//! The lock of a bundle root: one writer at a time.

use std::path::Path;

use super::layout::LOCK_FILE;
use super::writer::BundleError;
use crate::os::fs::Dir;
use crate::os::lock::{FileLock, LockMode};

/// The held lock of a bundle root, with the root opened; taken before anything else is written there.
#[derive(Debug)]
pub struct RunLock {
    pub(super) root: Dir,
    pub(super) lock: FileLock,
}

impl RunLock {
    /// Creates the directory `root` when missing and takes its lock. `cancelled` ends a wait.
    ///
    /// # Errors
    /// [`BundleError::Lock`] when somebody else holds it (the message names the holder's pid), the wait was cancelled or
    /// the lock file is unusable; [`BundleError::Fs`] when the root cannot be made or opened.
    pub fn acquire(root: &Path, mode: LockMode, cancelled: &dyn Fn() -> bool) -> Result<Self, BundleError> {
        let root = Dir::create_all_synced(root)?;
        let lock = FileLock::acquire(&root.path().join(LOCK_FILE), mode, cancelled)?;
        Ok(Self { root, lock })
    }

    /// The bundle root.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }
}
