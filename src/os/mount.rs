//! Bind mounts: a second place for what stands in a private directory. Linux only.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// Shows what stands at `source` at `place` too.
///
/// # Errors
/// The system's answer: without the right to mount EPERM; on other systems that there is no such thing.
#[cfg(target_os = "linux")]
pub fn bind(source: &Path, place: &Path) -> io::Result<()> {
    Ok(rustix::mount::mount_bind(source, place)?)
}

/// Takes down the mount that has the name `name` in `directory`; who still uses it keeps it until then.
///
/// # Errors
/// The system's answer.
#[cfg(target_os = "linux")]
pub fn take_down(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    use rustix::mount::UnmountFlags;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::ffi::OsStrExt as _;
    // umount2(2) takes a path; through the descriptor it is the directory that was opened, wherever that stands now.
    let name = std::ffi::OsStr::from_bytes(name.to_bytes());
    let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    Ok(rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?)
}

/// There is no such mount here.
///
/// # Errors
/// Always: unsupported.
#[cfg(not(target_os = "linux"))]
pub fn bind(_source: &Path, _place: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// There is no such mount here.
///
/// # Errors
/// Always: unsupported.
#[cfg(not(target_os = "linux"))]
pub fn take_down(_directory: BorrowedFd<'_>, _name: &CStr) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
