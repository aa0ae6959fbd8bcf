//! Calls on sockets with addresses, data and control messages as bytes in the kernel's layout: what a program passed is
//! checked elsewhere and passed on, so no typed wrapper fits.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::checked;

/// Bytes of the longest address (`struct sockaddr_storage`).
pub const LONGEST_ADDRESS: usize = 128;

/// connect(2).
///
/// # Errors
/// The system's answer.
pub fn connect(socket: BorrowedFd<'_>, address: &[u8]) -> Result<(), Errno> {
    let length = length(address)?;
    // SAFETY: the kernel reads `length` bytes, which is the slice.
    checked(unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), length) }.into()).map(drop)
}

/// bind(2).
///
/// # Errors
/// The system's answer.
pub fn bind(socket: BorrowedFd<'_>, address: &[u8]) -> Result<(), Errno> {
    let length = length(address)?;
    // SAFETY: the kernel reads `length` bytes, which is the slice.
    checked(unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), length) }.into()).map(drop)
}

/// getsockname(2).
///
/// # Errors
/// The system's answer.
pub fn name(socket: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0_u8; LONGEST_ADDRESS];
    let mut length = length(&buffer)?;
    // SAFETY: the kernel writes at most `length` bytes, which is the buffer.
    checked(unsafe { libc::getsockname(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), &raw mut length) }.into())?;
    buffer.truncate(usize::try_from(length).unwrap_or(0));
    Ok(buffer)
}

/// An integer socket option.
///
/// # Errors
/// The system's answer; ENOTSOCK for a descriptor of something else.
pub fn option(socket: BorrowedFd<'_>, level: i32, option: i32) -> Result<i32, Errno> {
    let mut value = 0_i32;
    let mut length = length(&[0; size_of::<i32>()])?;
    let fd = socket.as_raw_fd();
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `value`.
    let result = unsafe { libc::getsockopt(fd, level, option, (&raw mut value).cast(), &raw mut length) };
    checked(result.into())?;
    Ok(value)
}

/// Sets an integer socket option.
///
/// # Errors
/// The system's answer; ENOTSOCK for a descriptor of something else.
pub fn set_option(socket: BorrowedFd<'_>, level: i32, option: i32, value: i32) -> Result<(), Errno> {
    let length = length(&[0; size_of::<i32>()])?;
    // SAFETY: the kernel reads `length` bytes, which is the size of `value`.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    checked(result.into()).map(drop)
}

/// sendmsg(2) of one piece of data. Never raises SIGPIPE. `control` holds complete messages, aligned as the kernel wants
/// them (cmsg(3)); descriptors in it are this process's.
///
/// # Errors
/// The system's answer.
pub fn send(
    socket: BorrowedFd<'_>,
    address: Option<&[u8]>,
    data: &[u8],
    control: &[u8],
    flags: i32,
) -> Result<usize, Errno> {
    let mut part = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    // SAFETY: all-zero bytes are a valid `msghdr`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    if let Some(address) = address {
        message.msg_name = address.as_ptr().cast_mut().cast();
        message.msg_namelen = length(address)?;
    }
    if !control.is_empty() {
        message.msg_control = control.as_ptr().cast_mut().cast();
        // As wide as the C library has it.
        message.msg_controllen = control.len() as _;
    }
    // SAFETY: the message points to slices that outlive the call; the kernel only reads them.
    let sent =
        checked(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, flags | libc::MSG_NOSIGNAL) }
            as libc::c_long)?;
    usize::try_from(sent).map_err(|_| Errno::IO)
}

/// Binds a unix socket to a name in a directory. The calling thread must have a working directory of its own
/// ([`super::process::own_file_context`]); it is `/` afterwards.
///
/// # Errors
/// The system's answer.
pub fn bind_in(directory: BorrowedFd<'_>, name: &CStr, socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let family = libc::sa_family_t::try_from(libc::AF_UNIX).map_err(|_| Errno::AFNOSUPPORT)?;
    let mut address = family.to_ne_bytes().to_vec();
    address.extend_from_slice(name.to_bytes());
    rustix::process::fchdir(directory)?;
    let bound = bind(socket, &address);
    rustix::process::chdir("/")?;
    bound
}

fn length(bytes: &[u8]) -> Result<libc::socklen_t, Errno> {
    libc::socklen_t::try_from(bytes.len()).map_err(|_| Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketType, socket};
    use std::os::fd::AsFd;

    #[test]
    fn addresses_and_data_go_through_as_bytes() {
        let make = || socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
        let (one, two) = (make(), make());
        let loopback = [2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        bind(one.as_fd(), &loopback).unwrap();
        let bound = name(one.as_fd()).unwrap();
        assert_eq!((bound.len(), &bound[4..8]), (16, &[127, 0, 0, 1][..]));
        assert_eq!(send(two.as_fd(), Some(&bound), b"abc", &[], 0), Ok(3));
        let mut buffer = [0; 8];
        assert_eq!(rustix::io::read(&one, &mut buffer), Ok(3));
        assert_eq!(&buffer[..3], b"abc");
        connect(two.as_fd(), &bound).unwrap();
        assert_eq!(send(two.as_fd(), None, b"d", &[], 0), Ok(1));
        assert_eq!(option(one.as_fd(), libc::SOL_SOCKET, libc::SO_TYPE), Ok(libc::SOCK_DGRAM));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(option(file.as_fd(), libc::SOL_SOCKET, libc::SO_TYPE), Err(Errno::NOTSOCK));
        assert_eq!(bind(one.as_fd(), &[]), Err(Errno::INVAL));
    }
}
