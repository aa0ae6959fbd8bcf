//! Another process's memory (process_vm_readv(2)). Each read is a copy; callers decide and act on the copy only.

use std::ffi::CStr;

use rustix::io::Errno;

use super::{checked, last_errno};

/// Longest path the kernel takes, with its terminating NUL (limits.h).
pub const PATH_MAX: usize = 4096;
/// Smallest page of the supported architectures: a read that stays within such a block never crosses a mapping's end.
const BLOCK: usize = 4096;
/// Most paths are shorter than this.
const FIRST_READ: usize = 256;

/// Reads exactly `buffer.len()` bytes at `address` of thread `tid`'s process.
///
/// # Errors
/// EFAULT when any byte is not readable; EPERM or ESRCH as process_vm_readv(2).
pub fn read_exact(tid: i32, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
    match read_some(tid, address, buffer)? {
        read if read == buffer.len() => Ok(()),
        _ => Err(Errno::FAULT),
    }
}

/// Writes exactly `bytes` at `address` of thread `tid`'s process.
///
/// # Errors
/// EFAULT when any byte is not writable; EPERM or ESRCH as process_vm_writev(2).
pub fn write_exact(tid: i32, address: u64, bytes: &[u8]) -> Result<(), Errno> {
    if bytes.is_empty() {
        return Ok(());
    }
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: pointer(address)?, iov_len: bytes.len() };
    // SAFETY: the kernel only reads the local range, which is `bytes`; the remote range is the other process's.
    let written = unsafe { libc::process_vm_writev(tid, &raw const local, 1, &raw const remote, 1, 0) };
    match usize::try_from(written) {
        Ok(count) if count == bytes.len() => Ok(()),
        Ok(_) => Err(Errno::FAULT),
        Err(_) => Err(last_errno()),
    }
}

/// Reads a NUL-terminated string of at most `limit` bytes (the NUL included); the NUL is not part of the result.
///
/// # Errors
/// ENAMETOOLONG without a NUL in the limit; EFAULT when the string runs into unreadable memory.
pub fn read_string(tid: i32, address: u64, limit: usize) -> Result<Vec<u8>, Errno> {
    let mut text = Vec::with_capacity(FIRST_READ);
    while text.len() < limit {
        let at = address.checked_add(text.len() as u64).ok_or(Errno::FAULT)?;
        // Never across a page boundary: the next page may not be mapped although the string ends before it.
        let to_boundary = BLOCK - usize::try_from(at % BLOCK as u64).unwrap_or(0);
        let want = to_boundary.min(limit - text.len()).min(if text.is_empty() { FIRST_READ } else { BLOCK });
        let start = text.len();
        text.resize(start + want, 0);
        let read = read_some(tid, at, &mut text[start..])?;
        // Not by `memchr`: it asks the processor first what it can do, which a hypervisor answers. That takes 50 us of a start.
        if let Ok(string) = CStr::from_bytes_until_nul(&text[start..start + read]) {
            let end = start + string.count_bytes();
            text.truncate(end);
            return Ok(text);
        }
        if read < want {
            return Err(Errno::FAULT);
        }
    }
    Err(Errno::NAMETOOLONG)
}

fn read_some(tid: i32, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    if buffer.is_empty() {
        return Ok(0);
    }
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: pointer(address)?, iov_len: buffer.len() };
    // SAFETY: the local range is `buffer`, writable for its whole length; the remote range is only read.
    let read = checked(unsafe { libc::process_vm_readv(tid, &raw const local, 1, &raw const remote, 1, 0) } as _)?;
    usize::try_from(read).map_err(|_| Errno::FAULT)
}

fn pointer(address: u64) -> Result<*mut libc::c_void, Errno> {
    usize::try_from(address).map(|address| address as *mut libc::c_void).map_err(|_| Errno::FAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> i32 {
        rustix::process::getpid().as_raw_nonzero().get()
    }

    #[test]
    fn strings_are_read_up_to_their_end_and_limits_hold() {
        let text = b"/etc/hostname\0tail";
        let at = text.as_ptr() as u64;
        assert_eq!(read_string(own(), at, PATH_MAX).unwrap(), b"/etc/hostname");
        assert_eq!(read_string(own(), at, 5), Err(Errno::NAMETOOLONG));
        let long = vec![b'a'; 3 * BLOCK];
        assert_eq!(read_string(own(), long.as_ptr() as u64, PATH_MAX), Err(Errno::NAMETOOLONG));
        assert_eq!(read_string(own(), 8, PATH_MAX), Err(Errno::FAULT));
        assert_eq!(read_string(own(), u64::MAX - 3, PATH_MAX), Err(Errno::FAULT));
    }

    #[test]
    fn a_string_that_ends_at_the_last_mapped_byte_is_read() {
        // SAFETY: a fresh anonymous mapping of two pages, whose second page is then taken away; nothing else uses it.
        let page = unsafe {
            let at = libc::mmap(
                std::ptr::null_mut(),
                2 * BLOCK,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(at, libc::MAP_FAILED);
            assert_eq!(libc::munmap(at.byte_add(BLOCK), BLOCK), 0);
            at.cast::<u8>()
        };
        // SAFETY: the first page is mapped and writable.
        unsafe {
            page.add(BLOCK - 3).write(b'x');
            page.add(BLOCK - 2).write(b'y');
            page.add(BLOCK - 1).write(0);
        }
        let at = page as u64 + BLOCK as u64 - 3;
        assert_eq!(read_string(own(), at, PATH_MAX).unwrap(), b"xy");
        // SAFETY: as above.
        unsafe { page.add(BLOCK - 1).write(b'z') };
        assert_eq!(read_string(own(), at, PATH_MAX), Err(Errno::FAULT));
        // SAFETY: the first page is still mapped and no longer used.
        unsafe { libc::munmap(page.cast(), BLOCK) };
    }

    #[test]
    fn writes_reach_the_named_address_or_fail() {
        let mut buffer = [0u8; 4];
        write_exact(own(), buffer.as_mut_ptr() as u64, b"abcd").unwrap();
        assert_eq!(&buffer, b"abcd");
        assert_eq!(write_exact(own(), 8, b"x"), Err(Errno::FAULT));
    }
}
