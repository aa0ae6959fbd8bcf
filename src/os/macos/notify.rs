//! Darwin notifications (`notify.h`, notify(3)).

use std::ffi::{CStr, c_char, c_int};
use std::time::{Duration, Instant};

unsafe extern "C" {
    /// `notify.h`.
    fn notify_post(name: *const c_char) -> u32;
    /// `notify.h`.
    fn notify_register_check(name: *const c_char, token: *mut c_int) -> u32;
    /// `notify.h`.
    fn notify_check(token: c_int, check: *mut c_int) -> u32;
}

/// How long a notification is waited for. Posting returns before it has arrived.
const PATIENCE: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(5);

/// A registration for a name, which ends with the process.
#[derive(Debug, Clone, Copy)]
pub struct Registration(c_int);

impl Registration {
    /// Registers for a name.
    ///
    /// # Errors
    /// The status of `notify.h`.
    pub fn new(name: &CStr) -> Result<Self, u32> {
        let mut token = 0;
        // SAFETY: the name is a C string, the place for the token outlives the call.
        match unsafe { notify_register_check(name.as_ptr(), &raw mut token) } {
            0 => {
                let registration = Self(token);
                // The first look always says yes (notify(3)).
                registration.posted()?;
                Ok(registration)
            }
            status => Err(status),
        }
    }

    fn posted(self) -> Result<bool, u32> {
        let mut check = 0;
        // SAFETY: the token is that of a registration; the place for the answer outlives the call.
        match unsafe { notify_check(self.0, &raw mut check) } {
            0 => Ok(check != 0),
            status => Err(status),
        }
    }

    /// Whether the name has been posted since the last look, now or within a short time.
    ///
    /// # Errors
    /// The status of `notify.h`.
    pub fn arrives(self) -> Result<bool, u32> {
        let until = Instant::now() + PATIENCE;
        while !self.posted()? {
            if Instant::now() >= until {
                return Ok(false);
            }
            std::thread::sleep(TICK);
        }
        Ok(true)
    }
}

/// Posts a name; returns the status.
#[must_use]
pub fn post(name: &CStr) -> u32 {
    // SAFETY: the name is a C string.
    unsafe { notify_post(name.as_ptr()) }
}
