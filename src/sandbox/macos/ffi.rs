//! The interfaces of Seatbelt, each looked up when first needed: none of them is promised, so an absent one is a state.
//!
//! `sandbox_init` and `sandbox_free_error` stand in `sandbox.h` of the macOS SDK (deprecated). `sandbox_init_with_parameters`,
//! `sandbox_check` and its flags are exported by libsystem_sandbox and declared in no public header; their forms are those that
//! WebKit and Chromium declare. `sandbox_compile_string` and `sandbox_apply` are exported by libsandbox.1.dylib.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use super::super::callout::{Callout, Encoded, Flags, Question};

/// `int sandbox_init_with_parameters(const char *, uint64_t, const char *const [], char **)`.
type InitWithParameters = unsafe extern "C" fn(*const c_char, u64, *const *const c_char, *mut *mut c_char) -> c_int;
/// `int sandbox_init(const char *, uint64_t, char **)`.
type Init = unsafe extern "C" fn(*const c_char, u64, *mut *mut c_char) -> c_int;
/// `void sandbox_free_error(char *)`.
type FreeError = unsafe extern "C" fn(*mut c_char);
/// `int sandbox_check(pid_t, const char *, int, ...)`. Variadic arguments travel on the stack on arm64, so it must be
/// declared as what it is.
type Check = unsafe extern "C" fn(libc::pid_t, *const c_char, c_int, ...) -> c_int;

/// The names that are looked up, for listing which of them are there.
pub(super) const NAMES: [&CStr; 8] = [
    c"sandbox_init",
    c"sandbox_init_with_parameters",
    c"sandbox_free_error",
    c"sandbox_check",
    c"sandbox_check_by_audit_token",
    c"SANDBOX_CHECK_NO_REPORT",
    c"SANDBOX_CHECK_CANONICAL",
    c"sandbox_extension_issue_file",
];

/// The names in the private library.
pub(super) const PRIVATE_NAMES: [&CStr; 4] =
    [c"sandbox_apply", c"sandbox_compile_string", c"sandbox_compile_file", c"sandbox_free_profile"];

/// The private library.
const PRIVATE_LIBRARY: &CStr = c"/usr/lib/libsandbox.1.dylib";

/// Where a symbol of this process is.
pub(super) fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name is a C string; RTLD_DEFAULT searches the images that are loaded (dlsym(3)).
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// Where a symbol of the private library is; the library stays loaded.
pub(super) fn private_symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the path is a C string; the library is one of the system's (dlopen(3)).
    let library = unsafe { libc::dlopen(PRIVATE_LIBRARY.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) };
    if library.is_null() {
        return None;
    }
    // SAFETY: the handle was given by dlopen a moment ago and is never closed.
    let found = unsafe { libc::dlsym(library, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// Why a profile was not applied.
#[derive(Debug)]
pub(super) enum ApplyError {
    /// The system has no such interface.
    Absent(&'static str),
    /// The text or a parameter holds a NUL byte.
    Nul,
    /// The system's answer.
    Refused { errno: i32, text: String },
}

/// Applies a profile's text to this process, for good. Which interface did it.
pub(super) fn apply(text: &str, parameters: &[(&str, &str)]) -> Result<&'static str, ApplyError> {
    let profile = CString::new(text).map_err(|_| ApplyError::Nul)?;
    let mut error: *mut c_char = std::ptr::null_mut();
    if let Some(address) = symbol(c"sandbox_init_with_parameters") {
        // SAFETY: a symbol of this name has this type (see the head of this file).
        let init = unsafe { std::mem::transmute::<*mut c_void, InitWithParameters>(address) };
        let words = parameters.iter().flat_map(|(key, value)| [*key, *value]);
        let words: Vec<CString> = words.map(CString::new).collect::<Result<_, _>>().map_err(|_| ApplyError::Nul)?;
        let mut pointers: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
        pointers.push(std::ptr::null());
        // SAFETY: text, names and values are C strings and the list ends with null; all outlive the call. Flags 0 means that
        // the first argument is the text itself.
        let rc = unsafe { init(profile.as_ptr(), 0, pointers.as_ptr(), &raw mut error) };
        return if rc == 0 { Ok("sandbox_init_with_parameters") } else { Err(refused(error)) };
    }
    if !parameters.is_empty() {
        return Err(ApplyError::Absent("sandbox_init_with_parameters"));
    }
    let Some(address) = symbol(c"sandbox_init") else { return Err(ApplyError::Absent("sandbox_init")) };
    // SAFETY: a symbol of this name has this type (see the head of this file).
    let init = unsafe { std::mem::transmute::<*mut c_void, Init>(address) };
    // SAFETY: the text is a C string that outlives the call; flags 0 as above.
    let rc = unsafe { init(profile.as_ptr(), 0, &raw mut error) };
    if rc == 0 { Ok("sandbox_init") } else { Err(refused(error)) }
}

/// Takes the system's words and gives their memory back.
fn refused(error: *mut c_char) -> ApplyError {
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    if error.is_null() {
        return ApplyError::Refused { errno, text: String::new() };
    }
    // SAFETY: a call that failed leaves a C string here, which is this process's until it is freed.
    let text = unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned();
    if let Some(address) = symbol(c"sandbox_free_error") {
        // SAFETY: a symbol of this name has this type (see the head of this file).
        let free = unsafe { std::mem::transmute::<*mut c_void, FreeError>(address) };
        // SAFETY: the string was made by the system, is not used any more and is freed once.
        unsafe { free(error) };
    }
    ApplyError::Refused { errno, text }
}

/// The value of a flag that the system exports as a constant.
fn flag(name: &CStr) -> Option<i32> {
    let address = symbol(name)?.cast::<c_int>();
    // SAFETY: both flags are `const int` (the declarations of WebKit); the address is that of a loaded image.
    Some(unsafe { address.read_unaligned() })
}

/// The flags of this system.
pub(super) fn flags() -> Flags {
    Flags { no_report: flag(c"SANDBOX_CHECK_NO_REPORT"), canonical: flag(c"SANDBOX_CHECK_CANONICAL") }
}

/// Whether a process is in a sandbox: 1 it is, 0 it is not; `None` where the system has no such interface.
pub(super) fn check_process(pid: libc::pid_t) -> Option<c_int> {
    // SAFETY: a symbol of this name has this type (see the head of this file).
    let check = unsafe { std::mem::transmute::<*mut c_void, Check>(symbol(c"sandbox_check")?) };
    // SAFETY: without an operation and with filter 0 nothing else is read.
    Some(unsafe { check(pid, std::ptr::null(), 0) })
}

/// Asks about this process; `None` where the system has no such interface, or a text holds a NUL byte.
pub(super) fn ask(question: &Question<'_>) -> Option<Callout> {
    // SAFETY: a symbol of this name has this type (see the head of this file).
    let check = unsafe { std::mem::transmute::<*mut c_void, Check>(symbol(c"sandbox_check")?) };
    let operation = CString::new(question.operation).ok()?;
    let argument = CString::new(question.argument).ok()?;
    let encoded @ Encoded { check_type, .. } = question.encode(flags());
    let pid = libc::pid_t::try_from(std::process::id()).ok()?;
    // SAFETY: errno is this thread's own.
    unsafe { *libc::__error() = 0 };
    let rc = if question.filter.takes_argument() {
        // SAFETY: operation and argument are C strings that outlive the call; every filter but 0 takes one string.
        unsafe { check(pid, operation.as_ptr(), check_type, argument.as_ptr()) }
    } else {
        // SAFETY: the operation is a C string that outlives the call; filter 0 takes no argument.
        unsafe { check(pid, operation.as_ptr(), check_type) }
    };
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    Some(question.answered(encoded, rc, errno))
}

/// Forks this process; `None` in the child.
pub(super) fn fork() -> std::io::Result<Option<rustix::process::Pid>> {
    // SAFETY: whoever confines a tree has one thread (the contract of `enter` and `exec`), so the child holds no lock of
    // another one.
    let pid = unsafe { libc::fork() };
    match pid {
        0 => Ok(None),
        1.. => Ok(rustix::process::Pid::from_raw(pid)),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Ends a forked child without running anything else of its parent's.
pub(super) fn exit(status: u8) -> ! {
    // SAFETY: _exit(2) takes a number and does not return.
    unsafe { libc::_exit(i32::from(status)) }
}

/// Becomes another program; returns only when that failed.
pub(super) fn execve(path: &CStr, argv: &[CString], env: &[CString]) -> std::io::Error {
    let list = |texts: &[CString]| {
        let pointers = texts.iter().map(|text| text.as_ptr());
        pointers.chain([std::ptr::null()]).collect::<Vec<*const c_char>>()
    };
    let (argv, env) = (list(argv), list(env));
    // SAFETY: the path is a C string and both lists hold C strings and end with null; all outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    std::io::Error::last_os_error()
}
