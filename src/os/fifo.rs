//! Named pipes: `rustix` offers `mknodat` on Linux only, so macOS goes through `mkfifo(2)` with the path of the descriptor.

use std::io;
use std::os::fd::BorrowedFd;

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
