//! Receivers of a harmless signal, and whether it reached them: what a probe of `signal` signals.
//!
//! The signal is SIGURG: ignored unless a program asks for it (signal(7)). A receiver blocks it, so that a delivered one
//! stays pending and can be seen.

use std::io::{self, PipeReader, PipeWriter, Read as _};
use std::os::fd::AsRawFd as _;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// Exit status of a receiver that found the signal pending.
const REACHED: i32 = 1;
/// Exit status when the process that waited was ended otherwise.
const LOST: i32 = 2;

/// A process that waits, with the signal blocked, until it is asked what has reached it.
#[derive(Debug)]
pub struct Receiver {
    /// The process to signal.
    pid: Pid,
    /// The direct child to wait for: the receiver, or the process that made it.
    child: Pid,
    /// The receiver waits as long as this is open.
    release: PipeWriter,
}

impl Receiver {
    /// Makes a child that waits, or, with `apart`, a grandchild that waits in a process group of its own.
    ///
    /// The calling process must have one thread.
    ///
    /// # Errors
    /// The errno of `fork(2)`, `pipe(2)`, or of what the child did in between (EIO).
    pub fn fork(apart: bool) -> Result<Self, Errno> {
        let (held, release) = io::pipe().map_err(as_errno)?;
        let (mut told, tell) = io::pipe().map_err(as_errno)?;
        block_signal();
        // SAFETY: the child calls async-signal-safe functions only, on descriptors that are open, and ends by _exit(2).
        let child = match unsafe { libc::fork() } {
            // SAFETY: this is the child of a process with one thread, and these are its own copies of the descriptors.
            0 => unsafe { in_child(apart, &held, release.as_raw_fd(), tell.as_raw_fd()) },
            id => u32::try_from(id).ok().and_then(|_| Pid::from_raw(id)).ok_or_else(last_errno)?,
        };
        drop((held, tell));
        let pid = match apart {
            false => Some(child),
            true => {
                let mut number = [0; 4];
                told.read_exact(&mut number).ok().and_then(|()| Pid::from_raw(i32::from_ne_bytes(number)))
            }
        };
        match pid {
            Some(pid) => Ok(Self { pid, child, release }),
            None => {
                drop(release);
                // The child ends with the errno for which it could not make another.
                let status = waitpid(Some(child), WaitOptions::empty())?.and_then(|(_, status)| status.exit_status());
                Err(status.filter(|errno| *errno > 0).map_or(Errno::IO, Errno::from_raw_os_error))
            }
        }
    }

    /// The process to signal.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Ends the receiver and says whether the signal had reached it; `None` when it ended in another way.
    ///
    /// # Errors
    /// The errno of `wait(2)`.
    pub fn was_reached(self) -> Result<Option<bool>, Errno> {
        drop(self.release);
        let status = waitpid(Some(self.child), WaitOptions::empty())?.and_then(|(_, status)| status.exit_status());
        Ok(match status {
            Some(0) => Some(false),
            Some(REACHED) => Some(true),
            _ => None,
        })
    }
}

/// Sends the harmless signal.
///
/// # Errors
/// The errno of `kill(2)`.
pub fn send_signal(to: Pid) -> Result<(), Errno> {
    kill_process(to, Signal::URG)
}

/// Blocks the signal in this process, so that one that is delivered stays pending.
pub fn block_signal() {
    // SAFETY: all-zero bytes are a valid `sigset_t` for sigemptyset(3) to fill; the pointers outlive the calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGURG);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Whether the signal is pending in this process.
#[must_use]
pub fn signal_is_pending() -> bool {
    // SAFETY: all-zero bytes are a valid `sigset_t` for sigpending(2) to fill; the pointers outlive the calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigpending(&raw mut set) == 0 && libc::sigismember(&raw const set, libc::SIGURG) == 1
    }
}

/// The child's part: waits itself, or makes the process that waits, tells its number and hands on its status.
///
/// # Safety
/// To be called in a forked child only; it never returns.
unsafe fn in_child(apart: bool, held: &PipeReader, release: i32, tell: i32) -> ! {
    // SAFETY: setpgid, fork, write, close, waitpid and _exit are async-signal-safe and get arguments that live long enough.
    unsafe {
        libc::close(release);
        if !apart {
            libc::close(tell);
            wait_and_exit(held);
        }
        libc::setpgid(0, 0);
        match libc::fork() {
            0 => {
                libc::close(tell);
                wait_and_exit(held);
            }
            id if id > 0 => {
                let number = id.to_ne_bytes();
                libc::write(tell, number.as_ptr().cast(), number.len());
                libc::close(tell);
                let mut status = 0;
                libc::waitpid(id, &raw mut status, 0);
                libc::_exit(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { LOST });
            }
            _ => libc::_exit(last_errno().raw_os_error()),
        }
    }
}

/// Waits until the pipe's other end is closed, and ends with what has arrived.
fn wait_and_exit(held: &PipeReader) -> ! {
    let mut byte = [0_u8; 1];
    // SAFETY: reads into a buffer of one byte; _exit(2) ends this process without running anything else of it.
    unsafe {
        while libc::read(held.as_raw_fd(), byte.as_mut_ptr().cast(), 1) < 0 && last_errno() == Errno::INTR {}
        libc::_exit(if signal_is_pending() { REACHED } else { 0 })
    }
}

fn as_errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

fn last_errno() -> Errno {
    as_errno(io::Error::last_os_error())
}
