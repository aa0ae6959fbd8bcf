//! What a worker does to itself: taking its channel, dying with its parent, replacing its image, forking once.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use super::{ANSWER_FD, GO_FD, JOB_FD};

/// Takes the two private descriptors this process was started with: job (to read) and answer (to write).
///
/// # Errors
/// One of them is not open: the process was not started as a worker.
pub fn worker_channel() -> io::Result<(File, File)> {
    Ok((take(JOB_FD)?, take(ANSWER_FD)?))
}

/// Waits, as a worker, until its job is complete; false when whoever started it has none any more, or died before
/// [`die_with_parent`] was asked for: then nothing would ever end it. That the other ends of its pipes are closed does not tell:
/// a worker that is being started beside it has them too until it is executed.
///
/// # Errors
/// The descriptor is not open: the process was not started as a worker.
pub fn wait_for_job() -> io::Result<bool> {
    let mut starter = [0; 4];
    let told = take(GO_FD)?.read_exact(&mut starter);
    Ok(told.is_ok() && rustix::process::getppid() == Pid::from_raw(i32::from_ne_bytes(starter)))
}

/// Takes one of the descriptors that a worker is started with; each once, before anything else is opened.
fn take(fd: i32) -> io::Result<File> {
    // SAFETY: F_GETFD takes no pointer and changes nothing (fcntl(2)).
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, and nothing else in a freshly started worker owns it: taking them is the first thing the
    // worker commands do.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    Ok(File::from(fd))
}

/// Replaces this process's image by the program at `path` with that path as its only argument and an empty environment;
/// returns only when that failed.
#[must_use]
pub fn replace_image(path: &Path) -> Errno {
    let Ok(program) = CString::new(path.as_os_str().as_bytes()) else { return Errno::INVAL };
    let argv = [program.as_ptr(), std::ptr::null()];
    let envp = [std::ptr::null()];
    // SAFETY: both arrays end in a null pointer and outlive the call; execve(2) does not return on success.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    last_errno()
}

/// Creates one child that exits at once with status 0, and reaps it; returns the child's exit status.
///
/// # Errors
/// The errno of `fork(2)` or of waiting.
pub fn fork_and_wait() -> Result<Option<i32>, Errno> {
    // SAFETY: the child calls only _exit(2), which is async-signal-safe, so it does not matter what other threads held.
    let pid = unsafe { libc::fork() };
    match pid {
        // SAFETY: _exit(2) ends the child without running anything else of this process.
        0 => unsafe { libc::_exit(0) },
        _ => match u32::try_from(pid).ok().and_then(|_| Pid::from_raw(pid)) {
            None => Err(last_errno()),
            Some(child) => {
                let status = waitpid(Some(child), WaitOptions::empty())?;
                Ok(status.and_then(|(_, status)| status.exit_status()))
            }
        },
    }
}

/// A process that was forked to execute a program, and ended.
#[derive(Debug)]
pub struct Started {
    /// The process.
    pub pid: Pid,
    /// Whether the program was executed; otherwise the errno of `execve(2)`. EIO where a signal ended the process: it may have come
    /// before the program.
    pub executed: Result<(), Errno>,
    /// Exit status, unless a signal ended it.
    pub exit_status: Option<i32>,
}

/// Forks, and lets the child execute `program` with `argument` and an empty environment; waits for its end.
///
/// The calling process must have one thread.
///
/// # Errors
/// The errno of `pipe(2)`, `fork(2)` or of waiting; EINVAL for a path that holds a zero byte.
pub fn run_program(program: &Path, argument: &Path) -> Result<Started, Errno> {
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL);
    let (program, argument) = (text(program)?, text(argument)?);
    let argv = [program.as_ptr(), argument.as_ptr(), std::ptr::null()];
    let envp = [std::ptr::null()];
    let (mut told, tell) = io::pipe().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    // SAFETY: the child of a process with one thread calls async-signal-safe functions only, on arrays that end in a null
    // pointer and descriptors that are open; it ends by execve(2) or _exit(2).
    let pid = unsafe {
        match libc::fork() {
            0 => {
                libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr());
                let number = last_errno().raw_os_error().to_ne_bytes();
                libc::write(tell.as_raw_fd(), number.as_ptr().cast(), number.len());
                libc::_exit(1)
            }
            pid => pid,
        }
    };
    let pid = u32::try_from(pid).ok().and_then(|_| Pid::from_raw(pid)).ok_or_else(last_errno)?;
    drop(tell);
    let mut number = [0; 4];
    // The pipe closes without a word when the program is executed, and when the process dies before that.
    let told = told.read_exact(&mut number);
    let status = waitpid(Some(pid), WaitOptions::empty())?.and_then(|(_, status)| status.exit_status());
    let executed = match (told, status) {
        (Ok(()), _) => Err(Errno::from_raw_os_error(i32::from_ne_bytes(number))),
        (Err(_), Some(_)) => Ok(()),
        (Err(_), None) => Err(Errno::IO),
    };
    Ok(Started { pid, executed, exit_status: status.filter(|_| executed.is_ok()) })
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Asks the kernel to kill this process when the thread that started it ends (Linux; `PR_SET_PDEATHSIG` of prctl(2)).
///
/// Best effort elsewhere: the parent kills its workers' process groups in any case.
pub fn die_with_parent() {
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    }
}

/// Asks the system to send this process SIGALRM once, after `limit` (`setitimer(2)`). Children do not inherit it.
///
/// # Errors
/// The errno of `setitimer(2)`.
pub fn alarm_after(limit: std::time::Duration) -> io::Result<()> {
    let seconds = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
    // A time of zero would switch the timer off.
    let micros = limit.subsec_micros().max(1) as _;
    let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let timer = libc::itimerval { it_interval: never, it_value: libc::timeval { tv_sec: seconds, tv_usec: micros } };
    // SAFETY: the structure outlives the call; the old value is not asked for.
    match unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_a_signal_ended_is_not_said_to_have_executed_its_program() {
        let temp = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str| {
            let path = temp.path().join(name);
            crate::os::fs::write_durable(&path, text.as_bytes()).unwrap();
            path
        };
        let run = |path: &Path| run_program(Path::new("/bin/sh"), path).unwrap();
        let killed = run(&script("killed", "kill -9 $$\n"));
        assert_eq!((killed.executed, killed.exit_status), (Err(Errno::IO), None));
        let twin = run(&script("ends", "exit 7\n"));
        assert_eq!((twin.executed, twin.exit_status), (Ok(()), Some(7)));
        let absent = run_program(Path::new("/nonexistent/program"), Path::new("x")).unwrap();
        assert_eq!(absent.executed, Err(Errno::NOENT));
    }
}
