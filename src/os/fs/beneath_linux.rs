//! Opening beneath a directory with `openat2(2)` (Linux 5.6): one call, the kernel refuses links and escapes.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::base::rel_path::RelPathRef;

/// `openat2(2)` may answer EAGAIN when a rename races with the look-up; the manual page asks for a retry.
const ATTEMPTS: usize = 16;

/// Opens `name` beneath `directory` without following links.
pub(super) fn open(directory: &File, name: RelPathRef<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let mut last = Errno::AGAIN;
    for _ in 0..ATTEMPTS {
        match rustix::fs::openat2(directory, name.as_str(), flags | OFlags::NOFOLLOW, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => last = Errno::AGAIN,
            // Older kernels lack the call; container filters may refuse calls they do not know with EPERM.
            Err(Errno::NOSYS | Errno::PERM) => return super::portable::open(directory, name, flags),
            answer => return answer,
        }
    }
    Err(last)
}
