//! CoreFoundation by dlopen: distributed notifications (`CFNotificationCenter.h`) and preferences (`CFPreferences.h`).

use std::ffi::{CStr, c_char, c_void};

use super::library::{Absent, Framework, Library, function};

type Object = *const c_void;
/// `CFStringCreateWithCString` of `CFString.h`.
type StringCreate = unsafe extern "C" fn(Object, *const c_char, u32) -> Object;
/// `CFNotificationCenterGetDistributedCenter`.
type GetCenter = unsafe extern "C" fn() -> Object;
/// `CFNotificationCenterPostNotification`; `Boolean` is an unsigned char.
type Post = unsafe extern "C" fn(Object, Object, Object, Object, u8);
/// `CFPreferencesCopyKeyList`.
type CopyKeyList = unsafe extern "C" fn(Object, Object, Object) -> Object;
/// `CFArrayGetCount` of `CFArray.h`; `CFIndex` is a long.
type ArrayCount = unsafe extern "C" fn(Object) -> isize;

/// `kCFStringEncodingUTF8` of `CFString.h`.
const UTF8: u32 = 0x0800_0100;

/// A text as CoreFoundation has it; never released, the process ends soon.
fn string(library: Library, text: &CStr) -> Result<Object, Absent> {
    // SAFETY: a function of this name has this type (CFString.h); no allocator means the usual one, the text is a C string.
    let made = unsafe {
        function!(library, c"CFStringCreateWithCString" as StringCreate)(std::ptr::null(), text.as_ptr(), UTF8)
    };
    if made.is_null() { Err(Absent::Nothing("CFStringCreateWithCString")) } else { Ok(made) }
}

/// A constant of type `CFStringRef`.
fn constant(library: Library, name: &CStr) -> Result<Object, Absent> {
    let address = library.symbol(name)?.cast::<Object>();
    // SAFETY: the symbol is an object that holds a pointer, of a library that stays loaded.
    Ok(unsafe { address.read() })
}

/// Posts a name in the distributed centre. The call returns nothing.
///
/// # Errors
/// CoreFoundation was not loaded, lacks a function, or gives no centre.
pub fn post_distributed(name: &CStr) -> Result<(), Absent> {
    let library = Library::loaded(Framework::CoreFoundation)?;
    // SAFETY: functions of these names have these types (CFNotificationCenter.h).
    let (center, post) = unsafe {
        (
            function!(library, c"CFNotificationCenterGetDistributedCenter" as GetCenter),
            function!(library, c"CFNotificationCenterPostNotification" as Post),
        )
    };
    let name = string(library, name)?;
    // SAFETY: takes nothing.
    let center = unsafe { center() };
    if center.is_null() {
        return Err(Absent::Nothing("CFNotificationCenterGetDistributedCenter"));
    }
    // SAFETY: the centre and the name are objects; sender and user info may be null.
    unsafe { post(center, name, std::ptr::null(), std::ptr::null(), 1) };
    Ok(())
}

/// How many preferences the user has in a domain; `None` when none could be had, for whatever reason.
///
/// # Errors
/// CoreFoundation was not loaded, or lacks a function.
pub fn preference_count(domain: &CStr) -> Result<Option<usize>, Absent> {
    let library = Library::loaded(Framework::CoreFoundation)?;
    // SAFETY: functions of these names have these types (CFPreferences.h, CFArray.h).
    let (copy, count) = unsafe {
        (
            function!(library, c"CFPreferencesCopyKeyList" as CopyKeyList),
            function!(library, c"CFArrayGetCount" as ArrayCount),
        )
    };
    let (user, host) = (constant(library, c"kCFPreferencesCurrentUser")?, constant(library, c"kCFPreferencesAnyHost")?);
    let domain = string(library, domain)?;
    // SAFETY: all three are texts of CoreFoundation.
    let keys = unsafe { copy(domain, user, host) };
    if keys.is_null() {
        return Ok(None);
    }
    // SAFETY: the list is an array.
    Ok(usize::try_from(unsafe { count(keys) }).ok())
}
