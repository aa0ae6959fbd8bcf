//! The calls of macOS that probes perform, one file for each interface.
//!
//! What every macOS has is linked, so that a misspelt name fails the build; what need not be there is looked up by name when it
//! is needed, and an absent one is a value ([`library::Absent`]). Each signature names the header or manual page it is from.
//! None of them has run on a Mac yet.

pub mod authorization;
pub mod file;
pub mod foundation;
pub mod iokit;
pub mod library;
pub mod mach;
pub mod notify;
pub mod process;
pub mod xpc;

use rustix::io::Errno;

/// errno after a call that failed.
fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// What a call that returns 0 or -1 returned.
fn done(rc: i32) -> Result<(), Errno> {
    if rc == 0 { Ok(()) } else { Err(last_errno()) }
}
