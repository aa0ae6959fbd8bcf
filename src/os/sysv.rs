//! System V shared memory (shmget(2), shmctl(2)), which `rustix` does not have.

use std::io;

use rustix::io::Errno;

/// Makes a private segment of one page and marks it for removal at once: it has no name and nothing is left of it.
///
/// # Errors
/// The errno of `shmget(2)`, else that of `shmctl(2)`.
pub fn make_and_remove_segment() -> Result<(), Errno> {
    const BYTES: usize = 4096;
    // SAFETY: takes its arguments by value.
    let id = unsafe { libc::shmget(libc::IPC_PRIVATE, BYTES, libc::IPC_CREAT | 0o600) };
    if id < 0 {
        return Err(last_errno());
    }
    // SAFETY: removing a segment takes no buffer.
    match unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}
