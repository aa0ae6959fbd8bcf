//! Rights of Authorization Services (`Security/Authorization.h`), by dlopen.

use std::ffi::{CStr, c_char, c_void};

use super::library::{Absent, Framework, Library, function};

/// `AuthorizationItem`.
#[repr(C)]
struct Item {
    name: *const c_char,
    value_length: usize,
    value: *mut c_void,
    flags: u32,
}

/// `AuthorizationItemSet`.
#[repr(C)]
struct ItemSet {
    count: u32,
    items: *mut Item,
}

/// `AuthorizationCreate`.
type Create = unsafe extern "C" fn(*const ItemSet, *const ItemSet, u32, *mut *mut c_void) -> i32;
/// `AuthorizationCopyRights`.
type CopyRights = unsafe extern "C" fn(*mut c_void, *const ItemSet, *const ItemSet, u32, *mut *mut ItemSet) -> i32;
/// `AuthorizationFree`.
type Free = unsafe extern "C" fn(*mut c_void, u32) -> i32;

/// `kAuthorizationFlagExtendRights`. Without `kAuthorizationFlagInteractionAllowed` nobody is asked.
const EXTEND_RIGHTS: u32 = 1 << 1;
/// `kAuthorizationFlagDestroyRights`.
const DESTROY_RIGHTS: u32 = 1 << 3;

/// Asks for a right without asking anybody; returns the `OSStatus`. What was given is given back.
///
/// # Errors
/// Security was not loaded, lacks a function, or no session could be made.
pub fn obtain(right: &CStr) -> Result<i32, Absent> {
    let security = Library::loaded(Framework::Security)?;
    // SAFETY: functions of these names have these types (Security/Authorization.h).
    let (create, copy_rights, free) = unsafe {
        (
            function!(security, c"AuthorizationCreate" as Create),
            function!(security, c"AuthorizationCopyRights" as CopyRights),
            function!(security, c"AuthorizationFree" as Free),
        )
    };
    let mut session = std::ptr::null_mut();
    // SAFETY: neither rights nor environment; the place for the session outlives the call.
    let made = unsafe { create(std::ptr::null(), std::ptr::null(), 0, &raw mut session) };
    if made != 0 || session.is_null() {
        return Err(Absent::Nothing("AuthorizationCreate"));
    }
    let mut item = Item { name: right.as_ptr(), value_length: 0, value: std::ptr::null_mut(), flags: 0 };
    let rights = ItemSet { count: 1, items: &raw mut item };
    // SAFETY: the session is this process's; the set and its one item outlive the call; no copy of the rights is wanted.
    let status =
        unsafe { copy_rights(session, &raw const rights, std::ptr::null(), EXTEND_RIGHTS, std::ptr::null_mut()) };
    // SAFETY: the session is this process's and is freed once.
    unsafe { free(session, DESTROY_RIGHTS) };
    Ok(status)
}
