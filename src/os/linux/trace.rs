//! Holding a thread at the end of an exec (ptrace(2)): seized for one system call, looked at, let go or ended.
//!
//! Every call about one thread must come from the thread that seized it, and [`Traced::wait`] sees only what the calling
//! thread seized: it waits with `__WNOTHREAD`, so no other wait of the process is confused, nor confuses it. A thread
//! seizes one at a time. Whoever is seized dies with the thread that seized it (`PTRACE_O_EXITKILL`).

use rustix::io::Errno;

use super::{checked, last_errno};

/// What is asked of a thread that is seized: to die with its tracer, and to stop at the end of an exec.
const OPTIONS: i32 = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACEEXEC;

/// A thread seized by the calling thread.
#[derive(Debug)]
pub struct Traced(i32);

/// Where a seized thread was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// At the end of a successful exec, before its first instruction. The number is the process's: a thread that is not
    /// the first of its process takes over that number when it executes a program.
    Executed(i32),
    /// Anywhere else, with the signal it was about to receive (0 for none).
    Elsewhere(i32, i32),
    /// It has ended.
    Ended,
}

impl Traced {
    /// Seizes a thread and asks it to stop as soon as it has left the kernel. It goes on until then.
    ///
    /// # Errors
    /// EPERM without the right to trace it, ESRCH when it is gone.
    pub fn seize(tid: i32) -> Result<Self, Errno> {
        request(libc::PTRACE_SEIZE, tid, OPTIONS)?;
        // Fails only for one that is gone, which the wait tells as well.
        let _ = request(libc::PTRACE_INTERRUPT, tid, 0);
        Ok(Self(tid))
    }

    /// Waits until it has stopped or ended.
    pub fn wait(&self) -> Stop {
        let mut status = 0;
        loop {
            // SAFETY: the kernel writes one int behind the pointer.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
            if pid < 0 {
                match last_errno() {
                    Errno::INTR => continue,
                    // Another thread of its process executed a program and took its place.
                    _ => return Stop::Ended,
                }
            }
            if !libc::WIFSTOPPED(status) {
                return Stop::Ended;
            }
            return match status >> 16 {
                libc::PTRACE_EVENT_EXEC => Stop::Executed(pid),
                0 => Stop::Elsewhere(pid, libc::WSTOPSIG(status)),
                _ => Stop::Elsewhere(pid, 0),
            };
        }
    }

    /// Lets a stopped thread go on, with a signal (0 for none), and gives it up.
    pub fn release(self, pid: i32, signal: i32) {
        // Fails only when it was killed meanwhile; then its end is collected, for its parent to see.
        if request(libc::PTRACE_DETACH, pid, signal).is_err() {
            self.end(pid);
        }
    }

    /// Ends the process of a stopped thread and waits until it has.
    pub fn end(self, pid: i32) {
        // SAFETY: takes its arguments by value. The process is held by this thread, so the number is still its own.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        while self.wait() != Stop::Ended {}
    }

    /// Whether a thread that was found stopped still stands. Only SIGKILL moves it on before it is let go, so one that does not
    /// stand is dead or about to be; until it is waited for, its number is nobody else's.
    #[must_use]
    pub fn still_stands(&self, pid: i32) -> bool {
        // ESRCH says that it is not stopped; its options are what they were.
        request(libc::PTRACE_SETOPTIONS, pid, OPTIONS) != Err(Errno::SRCH)
    }

    /// The number it was seized by.
    #[must_use]
    pub fn tid(&self) -> i32 {
        self.0
    }
}

/// Whether the system call exists here and no filter refuses it: asked about a thread that cannot exist.
///
/// # Errors
/// What stands in the way.
pub fn available() -> Result<(), Errno> {
    match request(libc::PTRACE_SEIZE, i32::MAX, 0) {
        Err(Errno::SRCH) | Ok(()) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// `request`: as wide as the C library has it.
fn request(request: impl Into<i64>, tid: i32, data: i32) -> Result<(), Errno> {
    // SAFETY: the requests used take their data by value; address and data point nowhere.
    checked(unsafe { libc::syscall(libc::SYS_ptrace, request.into(), tid, 0_usize, libc::c_long::from(data)) })
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_does_not_exist_cannot_be_seized() {
        assert_eq!(Traced::seize(i32::MAX).unwrap_err(), Errno::SRCH);
        assert_eq!(available(), Ok(()));
    }
}
