//! Linux system calls that no maintained crate wraps safely: seccomp notification, another process's memory, privilege
//! drop, fork. `rustix` is used wherever it has the call.
//!
//! Invariant: everything exported here is safe to call; preconditions that the compiler cannot see are checked.

pub mod descriptors;
pub mod memory;
pub mod object;
pub mod privilege;
pub mod process;
pub mod seccomp;
pub mod socket;
pub mod start;
pub mod trace;

use std::fs::File;
use std::io::{self, Read as _};

use rustix::io::Errno;

/// The errno of the system call that just failed.
fn last_errno() -> Errno {
    io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}

/// Turns the return value of a raw system call into a result.
fn checked(returned: libc::c_long) -> Result<libc::c_long, Errno> {
    if returned < 0 { Err(last_errno()) } else { Ok(returned) }
}

/// Reads a file of procfs from where it stands, in as few calls as that takes: what is in it is made for each of them, and how
/// long it is cannot be asked.
///
/// # Errors
/// Those of read(2).
pub fn read_proc(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(8 * 1024);
    file.take(u64::MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}
