//! The interfaces of Seatbelt, each looked up when first needed: none of them is promised, so an absent one is a state.
//!
//! `sandbox_init` and `sandbox_free_error` stand in `sandbox.h` of the macOS SDK (deprecated). `sandbox_init_with_parameters`,
//! `sandbox_check` and its flags are exported by libsystem_sandbox and declared in no public header; their forms are those that
//! WebKit and Chromium declare. `sandbox_compile_string`, `sandbox_apply` and `sandbox_free_profile` are exported by
//! libsandbox.1.dylib; no header declares
//! them, and their forms, as reverse engineering has described them, have not been checked on a Mac.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use super::super::callout::{Encoded, Flags, NotAsked, Question};
use crate::event::{Applied, Callout, CheckApi};

/// `int sandbox_init_with_parameters(const char *, uint64_t, const char *const [], char **)`.
type InitWithParameters = unsafe extern "C" fn(*const c_char, u64, *const *const c_char, *mut *mut c_char) -> c_int;
/// `int sandbox_init(const char *, uint64_t, char **)`.
type Init = unsafe extern "C" fn(*const c_char, u64, *mut *mut c_char) -> c_int;
/// `void sandbox_free_error(char *)`.
type FreeError = unsafe extern "C" fn(*mut c_char);
/// `int sandbox_check(pid_t, const char *, int, ...)`. Variadic arguments travel on the stack on arm64, so it must be
/// declared as what it is.
type Check = unsafe extern "C" fn(libc::pid_t, *const c_char, c_int, ...) -> c_int;
/// `int sandbox_check_by_audit_token(audit_token_t, const char *, int, ...)`: the token by value, as WebKit declares it.
type CheckByToken = unsafe extern "C" fn(AuditToken, *const c_char, c_int, ...) -> c_int;
/// `struct sandbox_profile *sandbox_compile_string(const char *, struct sandbox_params *, char **)`.
type CompileString = unsafe extern "C" fn(*const c_char, *mut c_void, *mut *mut c_char) -> *mut Compiled;
/// `struct sandbox_params *sandbox_create_params(void)`.
type CreateParams = unsafe extern "C" fn() -> *mut c_void;
/// `int sandbox_set_param(struct sandbox_params *, const char *, const char *)`.
type SetParam = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char) -> c_int;
/// `void sandbox_free_params(struct sandbox_params *)`.
type FreeParams = unsafe extern "C" fn(*mut c_void);
/// `int sandbox_apply(struct sandbox_profile *)`.
type ApplyCompiled = unsafe extern "C" fn(*mut Compiled) -> c_int;
/// `void sandbox_free_profile(struct sandbox_profile *)`.
type FreeProfile = unsafe extern "C" fn(*mut Compiled);

/// `struct sandbox_profile`, which is only handed from one function to the next.
#[repr(C)]
struct Compiled {
    _opaque: [u8; 0],
}

/// `audit_token_t` of `mach/message.h`: eight words.
#[repr(C)]
#[derive(Clone, Copy)]
struct AuditToken {
    words: [u32; 8],
}

/// `TASK_AUDIT_TOKEN` of `mach/task_info.h`.
const TASK_AUDIT_TOKEN: u32 = 15;

unsafe extern "C" {
    /// `mach/task_info.h`, MIG routine of the kernel, exported by libSystem.
    fn task_info(task: libc::mach_port_t, flavor: u32, info: *mut c_int, count: *mut u32) -> c_int;
}

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
pub(super) const PRIVATE_NAMES: [&CStr; 7] = [
    c"sandbox_apply",
    c"sandbox_compile_string",
    c"sandbox_compile_file",
    c"sandbox_free_profile",
    c"sandbox_create_params",
    c"sandbox_set_param",
    c"sandbox_free_params",
];

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

/// A failure that the system said nothing about.
fn unsaid(api: &str, why: String) -> Applied {
    Applied { api: api.to_owned(), rc: -1, errno: 0, errbuf: Some(why) }
}

fn absent(api: &str) -> Applied {
    unsaid(api, format!("{api} is not exported by this system"))
}

fn c_string(api: &str, text: &str) -> Result<CString, Applied> {
    CString::new(text).map_err(|_| unsaid(api, "the profile or a parameter holds a NUL byte".to_owned()))
}

fn success(api: &str) -> Applied {
    Applied { api: api.to_owned(), rc: 0, errno: 0, errbuf: None }
}

/// Applies a profile's text to this process, for good. Says which interface did it, or why it did not.
pub(super) fn apply(text: &str, parameters: &[(&str, &str)]) -> Result<Applied, Applied> {
    const PLAIN: &str = "sandbox_init";
    const WITH_PARAMETERS: &str = "sandbox_init_with_parameters";
    let mut error: *mut c_char = std::ptr::null_mut();
    if let Some(address) = symbol(c"sandbox_init_with_parameters") {
        let profile = c_string(WITH_PARAMETERS, text)?;
        // SAFETY: a symbol of this name has this type (see the head of this file).
        let init = unsafe { std::mem::transmute::<*mut c_void, InitWithParameters>(address) };
        let words = parameters.iter().flat_map(|(key, value)| [*key, *value]);
        let words: Vec<CString> = words.map(|word| c_string(WITH_PARAMETERS, word)).collect::<Result<_, _>>()?;
        let mut pointers: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
        pointers.push(std::ptr::null());
        // SAFETY: text, names and values are C strings and the list ends with null; all outlive the call. Flags 0 means that
        // the first argument is the text itself.
        let rc = unsafe { init(profile.as_ptr(), 0, pointers.as_ptr(), &raw mut error) };
        return if rc == 0 { Ok(success(WITH_PARAMETERS)) } else { Err(refused(WITH_PARAMETERS, rc, error)) };
    }
    if !parameters.is_empty() {
        return Err(absent(WITH_PARAMETERS));
    }
    let profile = c_string(PLAIN, text)?;
    let Some(address) = symbol(c"sandbox_init") else { return Err(absent(PLAIN)) };
    // SAFETY: a symbol of this name has this type (see the head of this file).
    let init = unsafe { std::mem::transmute::<*mut c_void, Init>(address) };
    // SAFETY: the text is a C string that outlives the call; flags 0 as above.
    let rc = unsafe { init(profile.as_ptr(), 0, &raw mut error) };
    if rc == 0 { Ok(success(PLAIN)) } else { Err(refused(PLAIN, rc, error)) }
}

/// Compiles a profile's text and applies the result to this process, for good.
pub(super) fn apply_compiled(text: &str, parameters: &[(&str, &str)]) -> Result<Applied, Applied> {
    const COMPILE: &str = "sandbox_compile_string";
    const APPLY: &str = "sandbox_apply";
    let needed = |name: &CStr| private_symbol(name).ok_or_else(|| absent(&name.to_string_lossy()));
    let (compile, apply) = (needed(c"sandbox_compile_string")?, needed(c"sandbox_apply")?);
    let profile = c_string(COMPILE, text)?;
    let params = compile_parameters(parameters)?;
    let mut error: *mut c_char = std::ptr::null_mut();
    // SAFETY: symbols of these names have these types (see the head of this file).
    let (compile, apply) = unsafe {
        (
            std::mem::transmute::<*mut c_void, CompileString>(compile),
            std::mem::transmute::<*mut c_void, ApplyCompiled>(apply),
        )
    };
    // SAFETY: the text is a C string that outlives the call; the parameters are null or were made by the same library.
    let compiled = unsafe { compile(profile.as_ptr(), params, &raw mut error) };
    if !params.is_null()
        && let Some(address) = private_symbol(c"sandbox_free_params")
    {
        // SAFETY: a symbol of this name has this type; the parameters are this process's and are freed once.
        unsafe { std::mem::transmute::<*mut c_void, FreeParams>(address)(params) };
    }
    if compiled.is_null() {
        return Err(refused(COMPILE, -1, error));
    }
    // SAFETY: the profile was made by the same library a moment ago.
    let rc = unsafe { apply(compiled) };
    let outcome = if rc == 0 { Ok(success(APPLY)) } else { Err(refused(APPLY, rc, std::ptr::null_mut())) };
    if let Some(address) = private_symbol(c"sandbox_free_profile") {
        // SAFETY: a symbol of this name has this type; the kernel has its own copy, and the profile is freed once.
        unsafe { std::mem::transmute::<*mut c_void, FreeProfile>(address)(compiled) };
    }
    outcome
}

/// Parameters in the library's own form; null when there are none.
fn compile_parameters(parameters: &[(&str, &str)]) -> Result<*mut c_void, Applied> {
    const CREATE: &str = "sandbox_create_params";
    const SET: &str = "sandbox_set_param";
    if parameters.is_empty() {
        return Ok(std::ptr::null_mut());
    }
    let create = private_symbol(c"sandbox_create_params").ok_or_else(|| absent(CREATE))?;
    let set = private_symbol(c"sandbox_set_param").ok_or_else(|| absent(SET))?;
    // SAFETY: symbols of these names have these types (see the head of this file); making a list takes nothing.
    let (params, set) = unsafe {
        (std::mem::transmute::<*mut c_void, CreateParams>(create)(), std::mem::transmute::<*mut c_void, SetParam>(set))
    };
    if params.is_null() {
        return Err(unsaid(CREATE, "it gave no list of parameters".to_owned()));
    }
    for (key, value) in parameters {
        let (key, value) = (c_string(SET, key)?, c_string(SET, value)?);
        // The library may keep the pointers until the text is compiled; both stay for the rest of this short process.
        let (key, value) = (key.into_raw(), value.into_raw());
        // SAFETY: the list was made by the same library; name and value are C strings that are never freed.
        let rc = unsafe { set(params, key, value) };
        if rc != 0 {
            return Err(Applied { rc, ..unsaid(SET, "a parameter was not taken".to_owned()) });
        }
    }
    Ok(params)
}

/// Takes the system's words and gives their memory back.
fn refused(api: &str, rc: c_int, error: *mut c_char) -> Applied {
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    if error.is_null() {
        return Applied { api: api.to_owned(), rc, errno, errbuf: None };
    }
    // SAFETY: a call that failed leaves a C string here, which is this process's until it is freed.
    let text = unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned();
    if let Some(address) = symbol(c"sandbox_free_error") {
        // SAFETY: a symbol of this name has this type (see the head of this file).
        let free = unsafe { std::mem::transmute::<*mut c_void, FreeError>(address) };
        // SAFETY: the string was made by the system, is not used any more and is freed once.
        unsafe { free(error) };
    }
    Applied { api: api.to_owned(), rc, errno, errbuf: Some(text) }
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

/// This process's audit token.
fn own_token() -> Result<AuditToken, NotAsked> {
    let mut token = AuditToken { words: [0; 8] };
    let mut count = 8_u32;
    // SAFETY: the port of this task is a global of libSystem that is set before main and never changes.
    #[expect(deprecated, reason = "the crate that libc names instead wraps the same global")]
    let own = unsafe { libc::mach_task_self_ };
    // SAFETY: the buffer holds as many words as `count` says, which is the size of an audit token.
    let kr = unsafe { task_info(own, TASK_AUDIT_TOKEN, token.words.as_mut_ptr().cast(), &raw mut count) };
    if kr == 0 { Ok(token) } else { Err(NotAsked::NoToken(kr)) }
}

/// Asks about this process.
pub(super) fn ask(question: &Question<'_>) -> Result<Callout, NotAsked> {
    let address = match question.api {
        CheckApi::SandboxCheck => symbol(c"sandbox_check"),
        CheckApi::SandboxCheckByAuditToken => symbol(c"sandbox_check_by_audit_token"),
    };
    let address = address.ok_or(NotAsked::NoInterface(question.api.name()))?;
    let operation = CString::new(question.operation).map_err(|_| NotAsked::Nul)?;
    let argument = CString::new(question.argument).map_err(|_| NotAsked::Nul)?;
    let with_argument = question.filter.takes_argument();
    let encoded @ Encoded { check_type, .. } = question.encode(flags());
    let (rc, errno, token) = match question.api {
        CheckApi::SandboxCheck => {
            // SAFETY: a symbol of this name has this type (see the head of this file).
            let check = unsafe { std::mem::transmute::<*mut c_void, Check>(address) };
            let pid = libc::pid_t::try_from(std::process::id()).unwrap_or(0);
            clear_errno();
            // SAFETY: operation and argument are C strings that outlive the call; filter 0 takes no argument, every other
            // one that is asked with here takes one string.
            let rc = unsafe {
                match with_argument {
                    true => check(pid, operation.as_ptr(), check_type, argument.as_ptr()),
                    false => check(pid, operation.as_ptr(), check_type),
                }
            };
            (rc, last_errno(), None)
        }
        CheckApi::SandboxCheckByAuditToken => {
            let token = own_token()?;
            // SAFETY: a symbol of this name has this type (see the head of this file).
            let check = unsafe { std::mem::transmute::<*mut c_void, CheckByToken>(address) };
            clear_errno();
            // SAFETY: as above, and the token is a value of its own.
            let rc = unsafe {
                match with_argument {
                    true => check(token, operation.as_ptr(), check_type, argument.as_ptr()),
                    false => check(token, operation.as_ptr(), check_type),
                }
            };
            (rc, last_errno(), Some(0))
        }
    };
    Ok(question.answered(encoded, token, rc, errno))
}

fn clear_errno() {
    // SAFETY: errno is this thread's own.
    unsafe { *libc::__error() = 0 };
}

fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
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
