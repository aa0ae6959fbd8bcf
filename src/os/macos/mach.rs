//! Names of the bootstrap server (`servers/bootstrap.h`).

use std::ffi::{CStr, c_char, c_int};

use libc::mach_port_t;

/// `TASK_BOOTSTRAP_PORT` of `mach/task_special_ports.h`.
const TASK_BOOTSTRAP_PORT: c_int = 4;
/// `MACH_PORT_RIGHT_RECEIVE` of `mach/port.h`.
const RIGHT_RECEIVE: u32 = 1;

unsafe extern "C" {
    /// `servers/bootstrap.h`.
    fn bootstrap_look_up(bootstrap: mach_port_t, name: *const c_char, port: *mut mach_port_t) -> c_int;
    /// `servers/bootstrap.h`.
    fn bootstrap_check_in(bootstrap: mach_port_t, name: *const c_char, port: *mut mach_port_t) -> c_int;
    /// `mach/task.h`, behind the macro `task_get_bootstrap_port`.
    fn task_get_special_port(task: mach_port_t, which: c_int, port: *mut mach_port_t) -> c_int;
    /// `mach/mach_port.h`.
    fn mach_port_deallocate(task: mach_port_t, port: mach_port_t) -> c_int;
    /// `mach/mach_port.h`.
    fn mach_port_mod_refs(task: mach_port_t, port: mach_port_t, right: u32, delta: c_int) -> c_int;
}

/// The port of this task.
pub(super) fn own_task() -> mach_port_t {
    // SAFETY: a global of libSystem that is set before main, and again in a forked child.
    #[expect(deprecated, reason = "the crate that libc names instead wraps the same global")]
    unsafe {
        libc::mach_task_self_
    }
}

/// The bootstrap port of this task, asked of the kernel: after a fork the library's copy may be the parent's.
fn bootstrap_port() -> Result<mach_port_t, i32> {
    let mut port = 0;
    // SAFETY: the place for the port outlives the call.
    match unsafe { task_get_special_port(own_task(), TASK_BOOTSTRAP_PORT, &raw mut port) } {
        0 => Ok(port),
        kr => Err(kr),
    }
}

/// Looks a service up and gives the port back at once.
///
/// # Errors
/// The `kern_return_t`.
pub fn look_up(name: &CStr) -> Result<(), i32> {
    let mut port = 0;
    // SAFETY: the name is a C string, the place for the port outlives the call.
    match unsafe { bootstrap_look_up(bootstrap_port()?, name.as_ptr(), &raw mut port) } {
        0 => {
            // SAFETY: a send right of this task, given back once.
            unsafe { mach_port_deallocate(own_task(), port) };
            Ok(())
        }
        kr => Err(kr),
    }
}

/// Takes a name and gives it back at once.
///
/// # Errors
/// The `kern_return_t`.
pub fn check_in(name: &CStr) -> Result<(), i32> {
    let mut port = 0;
    // SAFETY: the name is a C string, the place for the port outlives the call.
    match unsafe { bootstrap_check_in(bootstrap_port()?, name.as_ptr(), &raw mut port) } {
        0 => {
            // SAFETY: a receive right of this task, given back once.
            unsafe { mach_port_mod_refs(own_task(), port, RIGHT_RECEIVE, -1) };
            Ok(())
        }
        kr => Err(kr),
    }
}
