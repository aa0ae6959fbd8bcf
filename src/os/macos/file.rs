//! Calls on files that `rustix` does not have.

use std::ffi::{CStr, OsString, c_char, c_int, c_uint, c_ulong, c_void};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use libc::{attrlist, timeval};
use rustix::io::Errno;

use super::done;

/// The path of an open file without firmlinks (fcntl(2), `F_GETPATH_NOFIRMLINK`).
///
/// # Errors
/// errno; the system does not say.
pub fn path_without_firmlinks(fd: BorrowedFd<'_>) -> Result<PathBuf, Errno> {
    const PATH_MAX: usize = 1024;
    let mut buffer = [0_u8; PATH_MAX];
    // SAFETY: the call writes at most PATH_MAX bytes, the last of them 0 (`sys/fcntl.h`).
    let rc = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETPATH_NOFIRMLINK, buffer.as_mut_ptr()) };
    if rc < 0 {
        return Err(super::last_errno());
    }
    let end = buffer.iter().position(|&byte| byte == 0).unwrap_or(PATH_MAX);
    Ok(PathBuf::from(OsString::from_vec(buffer[..end].to_vec())))
}

/// Room for what getattrlist(2) gives: its own length first, in words.
type Attributes = [u32; 512];

fn wanted((common, file): (u32, u32)) -> attrlist {
    attrlist {
        bitmapcount: libc::ATTR_BIT_MAP_COUNT,
        reserved: 0,
        commonattr: common,
        volattr: 0,
        dirattr: 0,
        fileattr: file,
        forkattr: 0,
    }
}

fn read_attributes(path: &CStr, bits: (u32, u32)) -> Result<Attributes, Errno> {
    let mut list = wanted(bits);
    let mut buffer: Attributes = [0; 512];
    // SAFETY: the path is a C string, the list is complete and the buffer is as long as is said (getattrlist(2)).
    let rc = unsafe {
        libc::getattrlist(path.as_ptr(), (&raw mut list).cast(), buffer.as_mut_ptr().cast(), size_of::<Attributes>(), 0)
    };
    done(rc).map(|()| buffer)
}

/// Reads attributes of common and file kind; returns how many bytes they are.
///
/// # Errors
/// errno of getattrlist(2).
pub fn get_attributes(path: &CStr, bits: (u32, u32)) -> Result<u32, Errno> {
    read_attributes(path, bits).map(|buffer| buffer[0])
}

/// Attributes read beforehand, to be written by [`set_attributes`].
#[derive(Debug, Clone)]
pub struct Kept {
    bits: (u32, u32),
    buffer: Attributes,
}

/// Reads attributes that are to be written again.
///
/// # Errors
/// errno of getattrlist(2).
pub fn keep_attributes(path: &CStr, bits: (u32, u32)) -> Result<Kept, Errno> {
    read_attributes(path, bits).map(|buffer| Kept { bits, buffer })
}

/// Gives attributes the values they had.
///
/// # Errors
/// errno of setattrlist(2); EINVAL for those that cannot be set.
pub fn set_attributes(path: &CStr, kept: &Kept) -> Result<(), Errno> {
    let mut list = wanted(kept.bits);
    let mut values = kept.buffer;
    let length = (values[0] as usize).min(size_of::<Attributes>()).saturating_sub(4);
    // SAFETY: the path is a C string, the list is complete, and the values behind the length are `length` bytes
    // (setattrlist(2)).
    let rc = unsafe {
        libc::setattrlist(path.as_ptr(), (&raw mut list).cast(), values[1..].as_mut_ptr().cast::<c_void>(), length, 0)
    };
    done(rc)
}

/// Sets both times to now (utimes(2)).
///
/// # Errors
/// errno.
pub fn utimes(path: &CStr) -> Result<(), Errno> {
    // SAFETY: the path is a C string; no times means now.
    done(unsafe { libc::utimes(path.as_ptr(), std::ptr::null::<timeval>()) })
}

/// Sets both times of a link itself to now (lutimes(3)).
///
/// # Errors
/// errno.
pub fn lutimes(path: &CStr) -> Result<(), Errno> {
    // SAFETY: the path is a C string; no times means now.
    done(unsafe { libc::lutimes(path.as_ptr(), std::ptr::null::<timeval>()) })
}

/// Sets both times of an open file to now (futimes(2)).
///
/// # Errors
/// errno.
pub fn futimes(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: the descriptor is open; no times means now.
    done(unsafe { libc::futimes(fd.as_raw_fd(), std::ptr::null::<timeval>()) })
}

/// `struct fssearchblock` of `sys/attr.h`.
#[repr(C)]
struct SearchBlock {
    return_attributes: *mut attrlist,
    return_buffer: *mut c_void,
    return_buffer_size: usize,
    max_matches: c_ulong,
    time_limit: timeval,
    parameters1: *mut c_void,
    parameters1_size: usize,
    parameters2: *mut c_void,
    parameters2_size: usize,
    attributes: attrlist,
}

/// A name to search for, packed as getattrlist(2) packs one: length, reference, text.
#[repr(C)]
struct PackedName<const N: usize> {
    size: u32,
    offset: i32,
    length: u32,
    text: [u8; N],
}

/// `struct searchstate` of `sys/attr.h`: 556 bytes that are the system's.
type SearchState = [u8; 556];

/// `SRCHFS_START`, `SRCHFS_MATCHDIRS` and `SRCHFS_MATCHFILES` of `sys/attr.h`.
const SEARCH_OPTIONS: c_uint = 0x1 | 0x4 | 0x8;
/// `ATTR_CMN_NAME` and `ATTR_CMN_OBJTYPE` of `sys/attr.h`.
const CMN_NAME: u32 = 0x1;
const CMN_OBJTYPE: u32 = 0x8;

unsafe extern "C" {
    /// searchfs(2).
    fn searchfs(
        path: *const c_char,
        block: *mut SearchBlock,
        matches: *mut c_ulong,
        script: c_uint,
        options: c_uint,
        state: *mut SearchState,
    ) -> c_int;
}

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Searched {
    /// Files found.
    pub matches: u64,
    /// Whether the whole volume was looked through, not only until the time was up.
    pub finished: bool,
}

/// Searches the volume of `path` for a name that no file has, for at most a second.
///
/// # Errors
/// errno of searchfs(2); that the time was up is none.
pub fn search(path: &CStr) -> Result<Searched, Errno> {
    const NAME: [u8; 32] = *b"no-file-of-this-name-8d41c1f2b3\0";
    const REFERENCE: u32 = 8;
    let mut name = PackedName { size: REFERENCE + 32, offset: 8, length: 32, text: NAME };
    let mut nothing = PackedName { size: REFERENCE, offset: 8, length: 0, text: [0; 0] };
    let mut returned = wanted((CMN_OBJTYPE, 0));
    let mut buffer = [0_u32; 1024];
    let mut block = SearchBlock {
        return_attributes: &raw mut returned,
        return_buffer: buffer.as_mut_ptr().cast(),
        return_buffer_size: size_of_val(&buffer),
        max_matches: 1,
        time_limit: timeval { tv_sec: 1, tv_usec: 0 },
        parameters1: (&raw mut name).cast(),
        parameters1_size: size_of_val(&name),
        parameters2: (&raw mut nothing).cast(),
        parameters2_size: size_of_val(&nothing),
        attributes: wanted((CMN_NAME, 0)),
    };
    let mut matches = 0;
    let mut state: SearchState = [0; 556];
    // SAFETY: the path is a C string; the block points to attributes, parameters and a buffer that outlive the call and are as
    // long as is said.
    let rc = unsafe { searchfs(path.as_ptr(), &raw mut block, &raw mut matches, 0, SEARCH_OPTIONS, &raw mut state) };
    match done(rc) {
        Ok(()) => Ok(Searched { matches, finished: true }),
        Err(Errno::AGAIN) => Ok(Searched { matches, finished: false }),
        Err(errno) => Err(errno),
    }
}
