//! Making many files durable at once on Linux: `syncfs(2)`, which since Linux 5.8 also reports write-back errors.

use std::fs::File;

use rustix::io::Errno;

/// Writes back everything of the file system that holds `directory`. `Ok(false)`: not supported here, sync one by one.
pub(super) fn sync_filesystem(directory: &File) -> Result<bool, Errno> {
    match rustix::fs::syncfs(directory) {
        Ok(()) => Ok(true),
        Err(Errno::NOSYS | Errno::PERM | Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}
