//! Opening beneath a directory component by component, each with `O_NOFOLLOW`.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::base::rel_path::RelPath;

/// Opens `name` beneath `directory`: every directory on the way and the last component without following links.
pub(super) fn open(directory: &File, name: &RelPath, flags: OFlags) -> Result<OwnedFd, Errno> {
    let step = super::DIRECTORY | OFlags::NOFOLLOW;
    let (parents, last) = match name.as_str().rsplit_once('/') {
        Some((parents, last)) => (Some(parents), last),
        None => (None, name.as_str()),
    };
    let mut held: Option<OwnedFd> = None;
    for component in parents.into_iter().flat_map(|p| p.split('/')) {
        let next = match &held {
            Some(parent) => rustix::fs::openat(parent, component, step, Mode::empty()),
            None => rustix::fs::openat(directory, component, step, Mode::empty()),
        };
        // ENOTDIR here can only mean a link or a file in the place of a directory; both are named by the caller.
        held = Some(next?);
    }
    match &held {
        Some(parent) => rustix::fs::openat(parent, last, flags | OFlags::NOFOLLOW, Mode::empty()),
        None => rustix::fs::openat(directory, last, flags | OFlags::NOFOLLOW, Mode::empty()),
    }
}
