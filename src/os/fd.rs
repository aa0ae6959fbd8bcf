//! What the system says about open descriptors.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// The path by which the system knows an open file now.
///
/// # Errors
/// The system does not say: `/proc` is not there, or the file has no name.
#[cfg(target_os = "linux")]
pub fn fd_path(fd: BorrowedFd<'_>) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd as _;
    // proc_pid_fd(5). A removed file reads as its last path with " (deleted)" behind it, which is no path.
    let path = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    let named = path.is_absolute() && !path.to_string_lossy().ends_with(" (deleted)");
    if named { Ok(path) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// The path by which the system knows an open file now.
///
/// # Errors
/// The system does not say.
#[cfg(not(target_os = "linux"))]
pub fn fd_path(fd: BorrowedFd<'_>) -> io::Result<PathBuf> {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    // fcntl(2), F_GETPATH.
    let path = rustix::fs::getpath(fd)?;
    Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
}

/// The numbers of this process's open descriptors, ascending, without the one that the look itself takes; `None` where the
/// system does not say.
#[must_use]
pub fn open_descriptors() -> Option<Vec<i32>> {
    // /proc/self/fd on Linux, a file system of its own on macOS: fd(4).
    let entries = std::fs::read_dir("/dev/fd").ok()?;
    let mut numbers: Vec<i32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    // The directory took the lowest free number and has given it back by now.
    numbers.retain(|&number| is_open(number));
    Some(numbers)
}

/// A descriptor of its own for the open file behind a number; both have one position.
///
/// # Errors
/// EBADF: the number is that of no open descriptor.
pub fn duplicate(number: i32) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(rustix::io::Errno::BADF.into());
    }
    // Not one of the numbers that programs take for their standard streams.
    Ok(rustix::io::fcntl_dupfd_cloexec(borrow(number), 3)?)
}

/// Whether a number is that of an open descriptor; nothing that a sandbox decides about.
#[must_use]
pub fn is_open(number: i32) -> bool {
    rustix::io::fcntl_getfd(borrow(number)).is_ok()
}

fn borrow(number: i32) -> BorrowedFd<'static> {
    // SAFETY: only given to fcntl(2) with F_GETFD or F_DUPFD_CLOEXEC, which answers EBADF for one that is not open.
    unsafe { BorrowedFd::borrow_raw(number) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsFd as _, AsRawFd as _};

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test makes and removes its own file")]
    fn an_open_file_has_its_path_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("f");
        let file = std::fs::File::create(&path).unwrap();
        assert_eq!(fd_path(file.as_fd()).unwrap(), path);
        assert!(open_descriptors().unwrap().contains(&file.as_raw_fd()));
        std::fs::remove_file(&path).unwrap();
        assert!(fd_path(file.as_fd()).is_err());
    }
}
