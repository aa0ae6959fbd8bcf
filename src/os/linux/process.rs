//! Processes without a shell or a pool: fork from a single thread, exec, descriptors, scanning for children.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::process::Pid;

use super::checked;

/// Says that this process has one thread. It is used up by what may follow only then.
#[derive(Debug)]
pub struct SingleThreaded(());

impl SingleThreaded {
    /// Counts the threads.
    ///
    /// # Errors
    /// [`ForkError::Threads`] with another number than 1; [`ForkError::System`] when `/proc` cannot be read.
    pub fn check() -> Result<Self, ForkError> {
        const THREADS: &str = "/proc/self/task";
        // Linux counts a link of the directory for each of them, beside its own two; who emulates it may not.
        if rustix::fs::stat(THREADS).map_err(ForkError::System)?.st_nlink == 3 {
            return Ok(Self(()));
        }
        let counted = std::fs::read_dir(THREADS).map(Iterator::count);
        match counted.map_err(|e| ForkError::System(e.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)))? {
            1 => Ok(Self(())),
            threads => Err(ForkError::Threads(threads)),
        }
    }
}

/// Which side of a fork this is.
#[derive(Debug)]
pub enum Fork {
    /// The new process; it has the one thread that forked.
    Child(SingleThreaded),
    /// The old process, with the child's id.
    Parent(Pid),
}

/// Why a fork was refused.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    /// More than one thread: another thread's locks would stay locked in the child for ever.
    #[error("the process has {0} threads")]
    Threads(usize),
    /// The system's answer.
    #[error("fork failed")]
    System(#[source] Errno),
}

/// Forks a process that has exactly one thread, so that the child may run any code.
///
/// # Errors
/// [`ForkError::System`]
pub fn fork(_only: SingleThreaded) -> Result<Fork, ForkError> {
    // SAFETY: this is the only thread, so no lock is held by a thread that the child lacks.
    let returned = checked(unsafe { libc::fork() }.into()).map_err(ForkError::System)?;
    Ok(match i32::try_from(returned).ok().and_then(Pid::from_raw) {
        Some(child) => Fork::Parent(child),
        None => Fork::Child(SingleThreaded(())),
    })
}

/// Stack of a process made by [`fork_until_exec`], in bytes.
const SHARED_STACK: usize = 256 * 1024;

/// Starts a process that works in this one's memory, as vfork(2) does, while this one stands still: until it executes a program or
/// ends. Cheaper than [`fork`], which copies the page tables and then every page that either side writes. `child` runs once and
/// returns the exit status of a process that has executed nothing; what it leaves in memory stays there.
///
/// # Errors
/// [`ForkError::System`]
pub fn fork_until_exec<F: FnOnce() -> u8>(_only: SingleThreaded, child: F) -> Result<Pid, ForkError> {
    extern "C" fn enter<F: FnOnce() -> u8>(child: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the pointer is to the caller's `Option<F>`, which lives until this process is gone, and only this process uses it.
        let child = unsafe { &mut *child.cast::<Option<F>>() }.take();
        let status =
            child.map_or(1, |child| std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(101));
        exit_now(status)
    }
    let mut child = Some(child);
    let mut stack: Vec<u128> = Vec::with_capacity(SHARED_STACK / size_of::<u128>());
    let top = stack.as_mut_ptr().wrapping_add(stack.capacity());
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: this is the only thread, and the kernel holds it until the new process has left this memory: what the new process
    // reads and writes nobody else does meanwhile. Its stack is aligned, its own, and lives until then. Descriptors, the working
    // directory, signal handlers, and credentials are copies.
    let returned = unsafe { libc::clone(enter::<F>, top.cast(), flags, std::ptr::from_mut(&mut child).cast()) };
    let pid = checked(returned.into()).map_err(ForkError::System)?;
    drop(stack);
    i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(ForkError::System(Errno::SRCH))
}

/// Ends this process at once: no destructors, no buffers flushed twice after a fork.
pub fn exit_now(status: u8) -> ! {
    // SAFETY: `_exit` has no precondition.
    unsafe { libc::_exit(status.into()) }
}

/// Replaces this process's image; returns only on failure, with the errno.
#[must_use]
pub fn execve(program: &CStr, argv: &[CString], env: &[CString]) -> Errno {
    let list = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, env) = (list(argv), list(env));
    // SAFETY: both lists are null-terminated arrays of NUL-terminated strings that outlive the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    super::last_errno()
}

/// Closes every descriptor from 0 up that is not in `keep` (close_range(2)).
///
/// # Errors
/// The system's answer.
pub fn close_all_but(keep: &[RawFd]) -> Result<(), Errno> {
    let mut kept: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    kept.sort_unstable();
    kept.dedup();
    let mut first = 0_u32;
    for fd in kept {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = fd + 1;
    }
    close_range(first, u32::MAX)
}

/// Closes the descriptors from `first` to `last` (close_range(2)).
pub(super) fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: closes descriptors by number; callers do this right after a fork, before anything relies on them, or with numbers
    // of files that they gave up.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Takes a copy of a descriptor of a descendant (pidfd_getfd(2)).
///
/// # Errors
/// EPERM without the right to trace the process, EBADF for an unknown number.
pub fn take_descriptor(of: Pid, number: RawFd) -> Result<OwnedFd, Errno> {
    let process = rustix::process::pidfd_open(of, rustix::process::PidfdFlags::empty())?;
    let flags = rustix::process::PidfdGetfdFlags::empty();
    rustix::process::pidfd_getfd(&process, number, flags)
}

/// Takes a copy of a descriptor of a thread of a descendant (`PIDFD_THREAD`, Linux 6.9; before that its process).
///
/// # Errors
/// As [`take_descriptor`].
pub fn take_descriptor_of_thread(tid: i32, number: RawFd) -> Result<OwnedFd, Errno> {
    const PIDFD_THREAD: libc::c_long = libc::O_EXCL as libc::c_long;
    // Numbers of programs are any; the wrapper below asserts that there is a descriptor.
    if number < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: takes its arguments by value.
    let opened = checked(unsafe { libc::syscall(libc::SYS_pidfd_open, tid, PIDFD_THREAD) });
    let fd = match opened {
        Err(Errno::INVAL) => return take_descriptor(leader_of(tid)?, number),
        other => other?,
    };
    let fd = RawFd::try_from(fd).map_err(|_| Errno::BADF)?;
    // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
    let thread = unsafe { OwnedFd::from_raw_fd(fd) };
    rustix::process::pidfd_getfd(&thread, number, rustix::process::PidfdGetfdFlags::empty())
}

/// The first thread of a thread's process.
fn leader_of(tid: i32) -> Result<Pid, Errno> {
    let status = std::fs::read(format!("/proc/{tid}/status")).map_err(|_| Errno::SRCH)?;
    let status = String::from_utf8_lossy(&status);
    let field = status.lines().skip(1).find_map(|line| line.strip_prefix("Tgid:"));
    field.and_then(|text| text.trim().parse().ok()).and_then(Pid::from_raw).ok_or(Errno::SRCH)
}

/// Session of a process or thread, `None` for this process's own; 0 where the session's leader has no number in this process's
/// PID namespace (`getsid(2)`, `pid_namespaces(7)`).
///
/// # Errors
/// ESRCH when the process is gone.
pub fn session_of(process: Option<i32>) -> Result<i32, Errno> {
    // SAFETY: takes its argument by value. The safe wrapper at hand takes 0 for impossible.
    let session = checked(unsafe { libc::getsid(process.unwrap_or(0)) }.into())?;
    i32::try_from(session).map_err(|_| Errno::SRCH)
}

/// Gives the calling thread its own umask and working directory (unshare(2) with `CLONE_FS`).
///
/// # Errors
/// The system's answer.
pub fn own_file_context() -> Result<(), Errno> {
    // SAFETY: affects only the calling thread's umask, root and working directory, which stay equal until changed.
    checked(unsafe { libc::unshare(libc::CLONE_FS) }.into()).map(drop)
}

/// Makes a kept descriptor survive an exec.
///
/// # Errors
/// The system's answer.
pub fn keep_across_exec(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = rustix::io::fcntl_getfd(fd)?;
    rustix::io::fcntl_setfd(fd, flags - rustix::io::FdFlags::CLOEXEC)
}

/// A raw number for a descriptor that stays owned elsewhere.
#[must_use]
pub fn number_of(fd: BorrowedFd<'_>) -> RawFd {
    fd.as_raw_fd()
}

/// Ignores the signals a terminal sends to its foreground group, and requests to end.
pub fn ignore_terminal_signals() {
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: ignoring a signal installs no code.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Lets writes to a pipe that nobody reads fail (`EPIPE`) instead of ending the process.
pub(super) fn ignore_pipe_signal() {
    // SAFETY: ignoring a signal installs no code.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Restores what a program expects of signals: `SIGPIPE` is ignored here, and an exec would hand that on.
pub fn restore_pipe_signal() {
    // SAFETY: the default action installs no code.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Prepares a supervisor for its work: [`interrupt`] does nothing but end a blocking call, and a file grown past the
/// caller's own limit is an error (EFBIG), not the end of the supervisor.
pub fn allow_interrupts() {
    // SAFETY: ignoring a signal installs no code.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    extern "C" fn nothing(_signal: libc::c_int) {}
    // SAFETY: all-zero bytes are a valid `sigaction`: no flags (so calls are not restarted) and an empty mask. The handler does
    // nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        libc::sigaction(libc::SIGURG, &raw const action, std::ptr::null_mut());
    }
}

/// Ends the blocking call that a thread of this process may be in; see [`allow_interrupts`].
pub fn interrupt(thread: Pid) {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: takes its arguments by value; a thread that is gone, or not of this process, is not found.
    unsafe { libc::syscall(libc::SYS_tgkill, own, thread.as_raw_nonzero().get(), libc::SIGURG) };
}

/// Sends a thread the signal that a send to a peer that is gone raises.
pub fn raise_pipe_signal(tid: i32) {
    raise(tid, libc::SIGPIPE);
}

/// Sends a thread the signal that a file grown past its limit raises.
pub fn raise_length_signal(tid: i32) {
    raise(tid, libc::SIGXFSZ);
}

fn raise(tid: i32, signal: i32) {
    // SAFETY: takes its arguments by value; a thread that is gone is not found.
    unsafe { libc::syscall(libc::SYS_tkill, tid, signal) };
}

/// How long a thread may make files (`RLIMIT_FSIZE` of getrlimit(2)); `None` for no limit.
///
/// # Errors
/// EPERM for a thread of another user, ESRCH when it is gone.
pub fn length_limit(tid: i32) -> Result<Option<u64>, Errno> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel sets nothing and writes one structure behind the last pointer.
    checked(unsafe { libc::prlimit(tid, libc::RLIMIT_FSIZE, std::ptr::null(), &raw mut limit) }.into())?;
    Ok(Some(limit.rlim_cur).filter(|length| *length != libc::RLIM_INFINITY))
}

/// Kills every process that the calling one may signal, but itself and process 1 (kill(2)): for callers that a Landlock scope of
/// signals keeps from reaching more than they are to end.
pub(crate) fn kill_all_within_reach() {
    // SAFETY: takes its arguments by value.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

/// Version of the kernel's Landlock interface, 0 when there is none (landlock_create_ruleset(2)).
#[must_use]
pub fn landlock_abi() -> u32 {
    const VERSION: libc::c_long = 1;
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the kernel takes no attributes and only returns its version.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, VERSION) };
    u32::try_from(version).unwrap_or(0)
}

/// The children of process `parent`, zombies included, by a scan of `/proc`.
///
/// # Errors
/// `/proc` cannot be listed.
pub fn children_of(parent: i32) -> std::io::Result<Vec<Pid>> {
    Ok(all()?.into_iter().filter(|pid| parent_of(*pid) == Ok(Some(parent))).filter_map(Pid::from_raw).collect())
}

/// Parent of a process; `None` when it is gone.
///
/// # Errors
/// As [`ids_of`].
pub fn parent_of(pid: i32) -> Result<Option<i32>, Errno> {
    Ok(ids_of(pid)?.map(|ids| ids.parent))
}

/// What a process belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its controlling terminal as a device number of `/proc`, 0 for none.
    pub terminal: u32,
    /// When it began, in clock ticks since the system did. Tells it from a later process of the same number.
    pub began: u64,
}

/// What a process belongs to, and when it began; `None` when it is gone.
///
/// # Errors
/// Whatever else keeps its entry from being read, such as EMFILE: then nothing is known of it.
pub fn ids_of(pid: i32) -> Result<Option<Ids>, Errno> {
    match std::fs::read(format!("/proc/{pid}/stat")) {
        // Read while its last rest goes: it has a number, and belongs to nothing.
        Ok(stat) => parse_ids(&stat).map(|ids| Some(ids).filter(|ids| ids.group != -1)).ok_or(Errno::IO),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::SRCH) => Ok(None),
            errno => Err(errno.unwrap_or(Errno::IO)),
        },
    }
}

/// Fields 4, 5, 7 and 22 of proc_pid_stat(5). The name in field 2 may hold anything, so the count starts after its last
/// parenthesis.
#[must_use]
pub fn parse_ids(stat: &[u8]) -> Option<Ids> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace().skip(1);
    let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let terminal: i32 = fields.nth(1)?.parse().ok()?;
    let began = fields.nth(14)?.parse().ok()?;
    Some(Ids { parent, group, terminal: terminal.cast_unsigned(), began })
}

/// Below which number descriptors of a process must stay (RLIMIT_NOFILE of prlimit(2)); `None` when that is not told.
#[must_use]
pub fn descriptor_limit_of(pid: i32) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: asks only: the kernel writes one structure, which outlives the call, and reads none.
    let told = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut limit) };
    (told == 0).then_some(limit.rlim_cur)
}

/// Raises this process's limit of open descriptors as far as it may: what others have it hold must not run it out of them. Nothing
/// when it may not.
pub fn allow_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
}

/// Every process there is, by a scan of `/proc`.
///
/// # Errors
/// `/proc` cannot be listed.
pub fn all() -> std::io::Result<Vec<i32>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        all.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    Ok(all)
}

/// The process that a descriptor of pidfd_open(2) names, as it is numbered now.
///
/// # Errors
/// EBADF for any other descriptor, ESRCH when the process is gone.
pub fn process_behind(pidfd: BorrowedFd<'_>) -> Result<i32, Errno> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).map_err(|_| Errno::BADF)?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).ok_or(Errno::BADF)?;
    pid.trim().parse().ok().filter(|pid| *pid > 0).ok_or(Errno::SRCH)
}

/// Size of the kernel's `siginfo_t`.
pub const SIGNAL_INFO_SIZE: usize = 128;

/// What a signal tells of a sender on whose behalf it is sent (sigaction(2), `siginfo_t`). The kernel lets nobody say of another
/// that it called kill(2), so it is said to be queued (`SI_QUEUE`).
#[must_use]
pub fn info_of_sender(signal: i32, pid: i32, user: u32) -> [u8; SIGNAL_INFO_SIZE] {
    let mut info = [0; SIGNAL_INFO_SIZE];
    // asm-generic/siginfo.h, on machines of 64 bits: signal, errno, code, and from 16 on process and user.
    for (at, word) in [(0, signal), (8, libc::SI_QUEUE), (16, pid), (20, user.cast_signed())] {
        info[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
    info
}

/// pidfd_send_signal(2).
///
/// # Errors
/// The system's answer.
pub fn send_signal(
    pidfd: BorrowedFd<'_>,
    signal: i32,
    info: Option<&[u8; SIGNAL_INFO_SIZE]>,
    flags: u32,
) -> Result<(), Errno> {
    let info = info.map_or(std::ptr::null(), |info| info.as_ptr());
    // SAFETY: `info` is null or points to a whole `siginfo_t`, which the kernel only reads.
    checked(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, flags) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parent_and_group_are_read_past_any_name() {
        let stat = b"12 (a) b) R 7 12 11 34816 5 9 10 11 12 13 14 15 16 17 18 19 20 21 4711 23";
        assert_eq!(parse_ids(stat), Some(Ids { parent: 7, group: 12, terminal: 34816, began: 4711 }));
        assert_eq!(parse_ids(b"12 (x"), None);
        assert_eq!(parse_ids(b"12 (x) R 7"), None);
        assert_eq!(parse_ids(b""), None);
    }

    #[test]
    fn a_process_with_threads_is_not_forked() {
        // The test harness itself runs several threads.
        let result = SingleThreaded::check();
        assert!(matches!(result, Err(ForkError::Threads(n)) if n > 1), "{result:?}");
    }
}
