//! How a process of this program begins, in the place of what the standard library would do.
//!
//! Before `main` the standard library looks the end of the stack up in `/proc/self/maps` and gives every thread a stack of its own
//! for signals, all for a better message when a stack overflows. That is 0.1 to 0.3 ms of the 4 ms that a short command takes. Here
//! a stack that overflows meets its guard page all the same, and the process ends by SIGSEGV; a panic does not name the main thread.
//!
//! The arguments are handed on from the C library: the standard library knows them only when it began the process, or where that is the
//! GNU one.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::panic::{UnwindSafe, catch_unwind};

/// Exit status after a panic, as the standard library has it.
const PANICKED: u8 = 101;

/// Defines the function that the C library calls first: it gives the status that `$function`, a `fn(Vec<OsString>) -> u8`, ends with
/// to the system.
#[macro_export]
macro_rules! begin_with {
    ($function:path) => {
        // SAFETY: the C library calls `main` by this signature; a program that uses this has no other function of that name,
        // or it could not be linked.
        #[unsafe(no_mangle)]
        extern "C" fn main(count: std::ffi::c_int, arguments: *const *const std::ffi::c_char) -> std::ffi::c_int {
            // SAFETY: they are what the C library calls `main` with.
            $crate::os::linux::start::run(unsafe { $crate::os::linux::start::arguments(count, arguments) }, $function)
        }
    };
}

/// The arguments of this process, its name first.
///
/// # Safety
/// `first` points to `count` strings, or is what the C library calls `main` with.
#[must_use]
pub unsafe fn arguments(count: c_int, first: *const *const c_char) -> Vec<OsString> {
    let argument = |index| {
        // SAFETY: the caller says that there are so many, and none is written to.
        let text = unsafe { CStr::from_ptr(*first.add(index)) };
        OsStr::from_bytes(text.to_bytes()).to_owned()
    };
    (0..usize::try_from(count).unwrap_or(0)).map(argument).collect()
}

/// Calls `main` under what it may rely on: descriptors 0 to 2 are open, and a write to a pipe that nobody reads is an error.
/// Whatever stands in the buffer of standard output is written afterwards.
pub fn run(arguments: Vec<OsString>, main: impl FnOnce(Vec<OsString>) -> u8 + UnwindSafe) -> i32 {
    standard_descriptors();
    super::process::ignore_pipe_signal();
    let status = catch_unwind(|| main(arguments)).unwrap_or(PANICKED);
    // Who prints looks at the result itself.
    let _ = std::io::stdout().flush();
    status.into()
}

/// Opens `/dev/null` in the place of a standard descriptor that is closed: the next file that is opened would take its number,
/// and what is printed would be written into it.
fn standard_descriptors() {
    for number in 0..=2 {
        // SAFETY: asks about a number; nothing is read or written through it.
        while unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
            // SAFETY: the path ends in NUL. The lowest free number is given, so it is this one, or one below it that was closed.
            if unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) } < 0 {
                // As the standard library: nothing can be done in such surroundings, not even saying so.
                std::process::abort();
            }
        }
    }
}
