//! Processes, kernel values and shared memory.

use std::ffi::CStr;
use std::os::fd::{FromRawFd as _, OwnedFd};

use rustix::io::Errno;

use super::{done, last_errno};

/// Asks for the BSD information of a process (`proc_pidinfo` of `libproc.h`, `PROC_PIDTBSDINFO`); returns how many bytes it
/// is.
///
/// # Errors
/// errno.
pub fn pid_info(pid: i32) -> Result<i32, Errno> {
    let mut buffer = [0_u64; 64];
    let room = i32::try_from(size_of_val(&buffer)).unwrap_or(0);
    // SAFETY: the buffer is as long as is said; a `struct proc_bsdinfo` (136 bytes) fits.
    let got = unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, buffer.as_mut_ptr().cast(), room) };
    if got > 0 { Ok(got) } else { Err(last_errno()) }
}

/// Reads a kernel value (sysctlbyname(3)); returns how many bytes it is.
///
/// # Errors
/// errno; ENOMEM for a value of more than 64 KiB.
pub fn read_sysctl(name: &CStr) -> Result<usize, Errno> {
    let mut buffer = vec![0_u8; 64 * 1024];
    let mut length = buffer.len();
    // SAFETY: the name is a C string, the buffer is as long as is said, and nothing is set.
    let rc = unsafe {
        libc::sysctlbyname(name.as_ptr(), buffer.as_mut_ptr().cast(), &raw mut length, std::ptr::null_mut(), 0)
    };
    done(rc).map(|()| length)
}

/// Makes a shared memory object, which must not exist, and removes its name (shm_open(2), shm_unlink(2)). Returns what came of
/// the removal.
///
/// # Errors
/// errno of making it.
pub fn create_shm(name: &CStr) -> Result<Result<(), Errno>, Errno> {
    // SAFETY: the name is a C string; the mode is passed as the promoted int that a variadic function takes.
    let fd = unsafe {
        libc::shm_open(name.as_ptr(), libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, libc::c_uint::from(0o600_u16))
    };
    if fd < 0 {
        return Err(last_errno());
    }
    // SAFETY: the descriptor was made a moment ago and is nobody else's.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    // SAFETY: the name is a C string.
    Ok(done(unsafe { libc::shm_unlink(name.as_ptr()) }))
}
