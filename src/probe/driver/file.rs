//! Operations on files.

use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;
use serde_json::{Map, json};

use super::{Performed, details};

/// Opens for reading; the open is the operation. Reading one byte only shows that the descriptor is usable.
pub(super) fn read(path: &Path) -> Performed {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())?;
    let mut byte = [0u8; 1];
    match rustix::io::read(&file, &mut byte) {
        Ok(n) => Ok(details([("bytes_read", json!(n))])),
        Err(Errno::ISDIR) => Ok(details([("directory", json!(true))])),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn stat(path: &Path) -> Performed {
    let stat = rustix::fs::lstat(path)?;
    Ok(details([("size_bytes", json!(stat.st_size))]))
}

pub(super) fn create(path: &Path) -> Performed {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let _created = rustix::fs::open(path, flags, Mode::from(0o644))?;
    Ok(Map::new())
}

pub(super) fn write(path: &Path) -> Performed {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    let n = rustix::io::write(&file, b"x")?;
    Ok(details([("bytes_written", json!(n))]))
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
