//! Named pipes: `rustix` offers `mknodat` on Linux only, so macOS goes through `mkfifo(2)` with the path of the descriptor.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::base::cancel::Cancel;

/// How often it is looked whether somebody reads.
const TICK: Duration = Duration::from_millis(20);

/// Makes a named pipe called `name` in the directory `parent` with permission bits `mode`.
///
/// # Errors
/// The system's answer.
#[cfg(target_os = "linux")]
pub fn make_at(parent: BorrowedFd<'_>, name: &str, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::mkfifoat(parent, name, rustix::fs::Mode::from(mode))?)
}

/// Makes a named pipe called `name` in the directory `parent` with permission bits `mode`.
///
/// # Errors
/// The system's answer.
#[cfg(not(target_os = "linux"))]
pub fn make_at(parent: BorrowedFd<'_>, name: &str, mode: u32) -> io::Result<()> {
    // F_GETPATH gives the directory's path; the directory is private to us, so nobody can exchange it meanwhile.
    let mut path = rustix::fs::getpath(parent)?.into_bytes();
    path.push(b'/');
    path.extend_from_slice(name.as_bytes());
    let path = std::ffi::CString::new(path)?;
    let mode = libc::mode_t::try_from(mode).map_err(io::Error::other)?;
    // SAFETY: `path` is a NUL-terminated string that outlives the call; mkfifo(2) keeps no pointer.
    match unsafe { libc::mkfifo(path.as_ptr(), mode) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether a named pipe stands at `path`; a link to one is not one.
#[must_use]
pub fn is_fifo(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Whether a named pipe stands at `path` that was made since `since`; false where the file system does not say.
#[must_use]
pub fn made_since(path: &Path, since: SystemTime) -> bool {
    // File systems take their time from a clock that lags behind by a few milliseconds.
    let since = since - Duration::from_millis(20);
    is_fifo(path) && birth_of(path).is_some_and(|made| made >= since)
}

/// When what stands at `path` was made. Not every C library lets the standard library ask the kernel.
#[cfg(target_os = "linux")]
fn birth_of(path: &Path) -> Option<SystemTime> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    let told = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BTIME).ok()?;
    let knows = StatxFlags::from_bits_retain(told.stx_mask).contains(StatxFlags::BTIME);
    let made = Duration::new(u64::try_from(told.stx_btime.tv_sec).ok()?, told.stx_btime.tv_nsec);
    knows.then(|| SystemTime::UNIX_EPOCH + made)
}

/// When what stands at `path` was made.
#[cfg(not(target_os = "linux"))]
fn birth_of(path: &Path) -> Option<SystemTime> {
    path.symlink_metadata().ok()?.created().ok()
}

/// Writes a few bytes to the named pipe at `path` and never waits: neither for somebody who reads, nor for room.
///
/// # Errors
/// ENOENT: there is nothing. ENXIO: nobody has it open for reading. `InvalidInput`: it is no named pipe. EPIPE: whoever read
/// is gone again. Otherwise the system's answer.
pub fn post(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut pipe = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if !pipe.metadata()?.file_type().is_fifo() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a named pipe"));
    }
    pipe.write_all(bytes)
}

/// Opens `path` for writing, made `new` or where there is nothing, and keeps what it holds. A named pipe opens once somebody reads
/// it; unlike in open(2), waiting for that ends when `cancel` is set.
///
/// # Errors
/// `Interrupted`: `cancel` was set. Otherwise the system's answer.
pub fn open_with_reader(path: &Path, new: bool, cancel: &Cancel) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(!new).create_new(new).truncate(false).custom_flags(libc::O_NONBLOCK);
    loop {
        match options.open(path) {
            // A socket or a device without a driver gives the same answer, and would for ever.
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) && leads_to_fifo(path) => {
                if cancel.is_set() {
                    return Err(io::Error::new(
                        io::ErrorKind::Interrupted,
                        "interrupted while nobody read the named pipe",
                    ));
                }
                std::thread::sleep(TICK);
            }
            opened => {
                let file = opened?;
                let flags = rustix::fs::fcntl_getfl(&file)?;
                rustix::fs::fcntl_setfl(&file, flags - rustix::fs::OFlags::NONBLOCK)?;
                return Ok(file);
            }
        }
    }
}

fn leads_to_fifo(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Removes the named pipe at `path`; anything else there stays.
///
/// # Errors
/// It is no named pipe, or the system's answer.
#[expect(clippy::disallowed_methods, reason = "the name may hold characters that names of our own never have")]
pub fn remove(path: &Path) -> io::Result<()> {
    if !is_fifo(path) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a named pipe"));
    }
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::fd::AsFd as _;

    #[test]
    fn posting_never_waits_and_only_writes_to_pipes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a \"b\"\n\u{e9}");
        assert_eq!(post(&path, b"go").unwrap_err().raw_os_error(), Some(libc::ENOENT));
        let parent = std::fs::File::open(dir.path()).unwrap();
        make_at(parent.as_fd(), path.file_name().unwrap().to_str().unwrap(), 0o600).unwrap();
        assert_eq!(post(&path, b"go").unwrap_err().raw_os_error(), Some(libc::ENXIO));
        let mut reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        post(&path, b"go").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "go");
        let plain = tempfile::NamedTempFile::new_in(dir.path()).unwrap();
        assert_eq!(post(plain.path(), b"go").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(remove(plain.path()).is_err() && plain.path().exists());
        assert!(!made_since(&path, SystemTime::now() + Duration::from_secs(60)));
        assert!(!made_since(plain.path(), SystemTime::UNIX_EPOCH + Duration::from_secs(1)));
        remove(&path).unwrap();
        assert!(!path.exists() && !is_fifo(&path));
    }
}
