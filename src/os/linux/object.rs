//! Operations on an object held by an `O_PATH` descriptor, with results in the kernel's own layout.
//!
//! An `O_PATH` descriptor names exactly one object, whatever happens to its path meanwhile.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::checked;

/// Bytes of the kernel's `struct stat`.
pub const STAT_SIZE: usize = size_of::<libc::stat>();
/// Bytes of the kernel's `struct statx`.
pub const STATX_SIZE: usize = 256;

/// `struct stat` of the object as the kernel writes it.
///
/// # Errors
/// The system's answer.
pub fn stat(fd: BorrowedFd<'_>) -> Result<[u8; STAT_SIZE], Errno> {
    stat_at(fd, c"")
}

/// As [`stat`] for what `name` leads to, seen from `fd`; an empty name is the object itself.
///
/// # Errors
/// The system's answer.
pub fn stat_at(fd: BorrowedFd<'_>, name: &CStr) -> Result<[u8; STAT_SIZE], Errno> {
    let mut buffer = [0_u8; STAT_SIZE];
    let (fd, flags) = (fd.as_raw_fd(), libc::AT_EMPTY_PATH);
    // SAFETY: the buffer has the size of the structure the kernel writes; the name is NUL-terminated.
    checked(unsafe { libc::syscall(libc::SYS_newfstatat, fd, name.as_ptr(), buffer.as_mut_ptr(), flags) })?;
    Ok(buffer)
}

/// `struct statx` of the object as the kernel writes it. Of `flags` only the synchronisation type is used.
///
/// # Errors
/// The system's answer.
pub fn statx(fd: BorrowedFd<'_>, flags: i32, mask: u32) -> Result<[u8; STATX_SIZE], Errno> {
    statx_at(fd, c"", flags, mask)
}

/// As [`statx`] for what `name` leads to, seen from `fd`; an empty name is the object itself.
///
/// # Errors
/// The system's answer.
pub fn statx_at(fd: BorrowedFd<'_>, name: &CStr, flags: i32, mask: u32) -> Result<[u8; STATX_SIZE], Errno> {
    let mut buffer = [0_u8; STATX_SIZE];
    let flags = (flags & libc::AT_STATX_SYNC_TYPE) | libc::AT_EMPTY_PATH;
    // SAFETY: the buffer has the size of the structure the kernel writes; the name is NUL-terminated.
    checked(unsafe {
        libc::syscall(libc::SYS_statx, fd.as_raw_fd(), name.as_ptr(), flags, mask, buffer.as_mut_ptr())
    })?;
    Ok(buffer)
}

/// `struct statfs` of the object's file system as the kernel writes it.
///
/// # Errors
/// The system's answer.
pub fn statfs(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0_u8; size_of::<libc::statfs>()];
    // SAFETY: the buffer has the size of the structure the kernel writes.
    checked(unsafe { libc::syscall(libc::SYS_fstatfs, fd.as_raw_fd(), buffer.as_mut_ptr()) })?;
    Ok(buffer)
}

/// faccessat2(2) on the object itself. Of `flags` only `AT_EACCESS` is used.
///
/// # Errors
/// The system's answer.
pub fn access(fd: BorrowedFd<'_>, mode: i32, flags: i32) -> Result<(), Errno> {
    let flags = (flags & libc::AT_EACCESS) | libc::AT_EMPTY_PATH;
    // SAFETY: the path is a NUL-terminated empty string.
    checked(unsafe { libc::syscall(libc::SYS_faccessat2, fd.as_raw_fd(), c"".as_ptr(), mode, flags) }).map(drop)
}

/// chown(2) on the object itself; −1 leaves an id as it is.
///
/// # Errors
/// The system's answer.
pub fn chown(fd: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<(), Errno> {
    // SAFETY: the path is a NUL-terminated empty string.
    checked(unsafe { libc::syscall(libc::SYS_fchownat, fd.as_raw_fd(), c"".as_ptr(), uid, gid, libc::AT_EMPTY_PATH) })
        .map(drop)
}

/// chmod(2) on the object.
///
/// # Errors
/// The system's answer.
pub fn chmod(fd: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
    let path = link(fd);
    // SAFETY: a NUL-terminated path.
    checked(unsafe { libc::syscall(libc::SYS_fchmodat, libc::AT_FDCWD, path.as_ptr(), mode) }).map(drop)
}

/// utimensat(2) on the object; `times` holds access and modification time, `None` means now.
///
/// # Errors
/// The system's answer.
pub fn set_times(fd: BorrowedFd<'_>, times: Option<[libc::timespec; 2]>) -> Result<(), Errno> {
    let path = link(fd);
    let times = times.as_ref().map_or(std::ptr::null(), |times| times.as_ptr());
    // SAFETY: a NUL-terminated path, and two timespecs or null.
    checked(unsafe { libc::syscall(libc::SYS_utimensat, libc::AT_FDCWD, path.as_ptr(), times, 0) }).map(drop)
}

/// truncate(2) on the object.
///
/// # Errors
/// The system's answer.
pub fn truncate(fd: BorrowedFd<'_>, length: i64) -> Result<(), Errno> {
    let path = link(fd);
    // SAFETY: a NUL-terminated path.
    checked(unsafe { libc::syscall(libc::SYS_truncate, path.as_ptr(), length) }).map(drop)
}

/// The value of an extended attribute, at most `limit` bytes; with limit 0 only its size is asked.
///
/// # Errors
/// The system's answer.
pub fn get_xattr(fd: BorrowedFd<'_>, name: &CStr, limit: usize) -> Result<(usize, Vec<u8>), Errno> {
    let path = link(fd);
    let mut buffer = vec![0_u8; limit];
    // SAFETY: NUL-terminated path and name, and a buffer of the stated size.
    let size = checked(unsafe {
        libc::syscall(libc::SYS_getxattr, path.as_ptr(), name.as_ptr(), buffer.as_mut_ptr(), limit)
    })?;
    sized(size, buffer)
}

/// The names of the extended attributes, at most `limit` bytes; with limit 0 only their size is asked.
///
/// # Errors
/// The system's answer.
pub fn list_xattr(fd: BorrowedFd<'_>, limit: usize) -> Result<(usize, Vec<u8>), Errno> {
    let path = link(fd);
    let mut buffer = vec![0_u8; limit];
    // SAFETY: a NUL-terminated path and a buffer of the stated size.
    let size = checked(unsafe { libc::syscall(libc::SYS_listxattr, path.as_ptr(), buffer.as_mut_ptr(), limit) })?;
    sized(size, buffer)
}

fn sized(size: libc::c_long, mut buffer: Vec<u8>) -> Result<(usize, Vec<u8>), Errno> {
    let size = usize::try_from(size).map_err(|_| Errno::IO)?;
    buffer.truncate(size);
    Ok((size, buffer))
}

/// Sets an extended attribute.
///
/// # Errors
/// The system's answer.
pub fn set_xattr(fd: BorrowedFd<'_>, name: &CStr, value: &[u8], flags: i32) -> Result<(), Errno> {
    let path = link(fd);
    // SAFETY: NUL-terminated path and name, and a readable value of the stated size.
    checked(unsafe {
        libc::syscall(libc::SYS_setxattr, path.as_ptr(), name.as_ptr(), value.as_ptr(), value.len(), flags)
    })
    .map(drop)
}

/// Removes an extended attribute.
///
/// # Errors
/// The system's answer.
pub fn remove_xattr(fd: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let path = link(fd);
    // SAFETY: NUL-terminated path and name.
    checked(unsafe { libc::syscall(libc::SYS_removexattr, path.as_ptr(), name.as_ptr()) }).map(drop)
}

/// Watches the object with an inotify instance.
///
/// # Errors
/// The system's answer.
pub fn watch(inotify: BorrowedFd<'_>, fd: BorrowedFd<'_>, mask: u32) -> Result<i32, Errno> {
    let path = link(fd);
    // SAFETY: a NUL-terminated path.
    let wd = checked(unsafe { libc::syscall(libc::SYS_inotify_add_watch, inotify.as_raw_fd(), path.as_ptr(), mask) })?;
    i32::try_from(wd).map_err(|_| Errno::IO)
}

/// Sets inode flags by `FS_IOC_SETFLAGS` or `FS_IOC_FSSETXATTR`; `value` is what the request takes.
///
/// # Errors
/// EINVAL for a value longer than both take; otherwise the system's answer.
pub fn set_inode_flags(fd: BorrowedFd<'_>, request: u32, value: &[u8]) -> Result<(), Errno> {
    // Longer than either request says, should the descriptor be another thing's that takes the number for its own.
    let mut whole = [0_u64; 32];
    let bytes = value.iter().enumerate().map(|(at, byte)| (at / 8, u64::from(*byte) << (8 * (at % 8))));
    for (at, bits) in bytes {
        *whole.get_mut(at).ok_or(Errno::INVAL)? |= bits;
    }
    // SAFETY: the kernel reads, or at worst writes, the request's 4 or 28 bytes at the start of 256 that are ours.
    checked(unsafe { libc::syscall(libc::SYS_ioctl, fd.as_raw_fd(), libc::c_ulong::from(request), whole.as_mut_ptr()) })
        .map(drop)
}

/// The calling process's own link to an open descriptor: a path that leads to exactly that object.
#[must_use]
pub fn link(fd: BorrowedFd<'_>) -> CString {
    CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("digits hold no NUL")
}
