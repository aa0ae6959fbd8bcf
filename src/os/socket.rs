//! Stream sockets that no other program inherits.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};

/// Makes a stream socket that is closed on exec.
///
/// # Errors
/// The errno of `socket(2)`.
#[cfg(target_os = "linux")]
pub fn stream(family: AddressFamily) -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(family, SocketType::STREAM, rustix::net::SocketFlags::CLOEXEC, None)
}

/// Makes a stream socket that is closed on exec, in two steps: this system has no flag for it.
///
/// # Errors
/// The errno of `socket(2)` or `fcntl(2)`.
#[cfg(not(target_os = "linux"))]
pub fn stream(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    Ok(socket)
}
