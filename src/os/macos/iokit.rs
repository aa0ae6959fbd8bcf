//! Services of drivers (`IOKit/IOKitLib.h`), by dlopen: IOKit is no part of libSystem.

use std::ffi::{CStr, c_char, c_int, c_void};

use super::library::{Absent, Framework, Library, function};
use super::mach::own_task;

/// `IOServiceMatching`.
type Matching = unsafe extern "C" fn(*const c_char) -> *mut c_void;
/// `IOServiceGetMatchingService`: takes the dictionary over.
type GetMatching = unsafe extern "C" fn(u32, *mut c_void) -> u32;
/// `IOServiceOpen`.
type Open = unsafe extern "C" fn(u32, libc::mach_port_t, u32, *mut u32) -> c_int;
/// `IOServiceClose` and `IOObjectRelease`.
type OnObject = unsafe extern "C" fn(u32) -> c_int;

/// What opening a service gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Whether there is a service of the class.
    pub found: bool,
    /// The `IOReturn` of opening it; `None` when there is none to open.
    pub result: Option<i32>,
}

/// Opens the first service of a class with connection type 0, and closes it at once.
///
/// # Errors
/// IOKit was not loaded, or lacks a function.
pub fn open(class: &CStr) -> Result<Opened, Absent> {
    let iokit = Library::loaded(Framework::IoKit)?;
    // SAFETY: functions of these names have these types (IOKit/IOKitLib.h).
    let (matching, get_matching, open, close, release) = unsafe {
        (
            function!(iokit, c"IOServiceMatching" as Matching),
            function!(iokit, c"IOServiceGetMatchingService" as GetMatching),
            function!(iokit, c"IOServiceOpen" as Open),
            function!(iokit, c"IOServiceClose" as OnObject),
            function!(iokit, c"IOObjectRelease" as OnObject),
        )
    };
    // SAFETY: the class is a C string.
    let dictionary = unsafe { matching(class.as_ptr()) };
    if dictionary.is_null() {
        return Err(Absent::Nothing("IOServiceMatching"));
    }
    // SAFETY: port 0 stands for the main port; the dictionary is handed over.
    let service = unsafe { get_matching(0, dictionary) };
    if service == 0 {
        return Ok(Opened { found: false, result: None });
    }
    let mut connection = 0;
    // SAFETY: the service is this task's; the place for the connection outlives the call.
    let result = unsafe { open(service, own_task(), 0, &raw mut connection) };
    // SAFETY: each is this task's own, and closed or released once.
    unsafe {
        if result == 0 {
            close(connection);
        }
        release(service);
    }
    Ok(Opened { found: true, result: Some(result) })
}
