//! Starting a program by posix_spawn(3).
//!
//! fork(2) copies the page tables of the process that calls it, and then every page that either side writes: a run with the results
//! of a thousand probes in memory spent more time forking than its workers needed. [`std::process::Command`] forks whenever
//! descriptors are handed over, and in a static executable whenever a working directory is set.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::ptr;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

/// Numbers below this one can be given to a program; what is handed over is moved out of their way first.
const FIRST_FREE: i32 = 16;

/// What to start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start<'a> {
    /// Executable.
    pub(super) exe: &'a Path,
    /// Arguments after the program's name.
    pub(super) args: &'a [OsString],
    /// The whole environment.
    pub(super) env: &'a [(OsString, OsString)],
    /// Working directory; `None` for that of this process.
    pub(super) cwd: Option<&'a Path>,
}

/// Starts a program as the leader of a process group of its own, with no signal blocked and SIGPIPE as it is by default. Each of
/// `handed` gets the number beside it (below 16); besides, what this process does not close at execve(2) stays open.
///
/// # Errors
/// The system's answer, that of execve(2) included; [`io::ErrorKind::InvalidInput`] for a text with a NUL byte.
pub(super) fn spawn(start: &Start<'_>, handed: &[(BorrowedFd<'_>, i32)]) -> io::Result<Pid> {
    let exe = text(start.exe.as_os_str().as_bytes())?;
    let args = start.args.iter().map(|argument| text(argument.as_bytes()));
    let argv = std::iter::once(Ok(exe.clone())).chain(args).collect::<io::Result<Vec<_>>>()?;
    let variable = |(name, value): &(OsString, OsString)| text(&[name.as_bytes(), b"=", value.as_bytes()].concat());
    let envp = start.env.iter().map(variable).collect::<io::Result<Vec<_>>>()?;
    let moved = handed
        .iter()
        .map(|&(fd, number)| Ok((rustix::io::fcntl_dupfd_cloexec(fd, FIRST_FREE)?, number)))
        .collect::<io::Result<Vec<(OwnedFd, i32)>>>()?;
    let mut actions = Actions::new()?;
    for (fd, number) in &moved {
        actions.dup2(fd.as_raw_fd(), *number)?;
    }
    if let Some(cwd) = start.cwd {
        actions.chdir(&text(cwd.as_os_str().as_bytes())?)?;
    }
    let attributes = Attributes::of_a_leader()?;
    let (argv, envp) = (pointers(&argv), pointers(&envp));
    let mut pid = 0;
    // SAFETY: the path, both null-terminated lists of NUL-terminated texts, the actions and the attributes are initialised and
    // outlive the call; of all that, the call writes the process id only (posix_spawn(3)).
    let answer = unsafe {
        let (actions, attributes) = (&raw const actions.0, &raw const attributes.0);
        libc::posix_spawn(&raw mut pid, exe.as_ptr(), actions, attributes, argv.as_ptr(), envp.as_ptr())
    };
    check(answer)?;
    Pid::from_raw(pid).ok_or_else(|| Errno::SRCH.into())
}

/// Waits for a process that [`spawn`] started, and reaps it.
///
/// # Errors
/// The system's answer.
pub(super) fn wait(pid: Pid) -> io::Result<ExitStatus> {
    loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(ExitStatus::from_raw(status.as_raw())),
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn text(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| {
        let shown = OsStr::from_bytes(bytes).display().to_string();
        io::Error::new(io::ErrorKind::InvalidInput, format!("a NUL byte in {shown:?}"))
    })
}

fn pointers(texts: &[CString]) -> Vec<*mut libc::c_char> {
    texts.iter().map(|text| text.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

/// The functions of posix_spawn(3) return their errno.
fn check(answer: libc::c_int) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(answer)) }
}

/// What the new process does before it executes the program (posix_spawn_file_actions_init(3)).
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: the call initialises the object when it returns 0.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: it is initialised.
        Ok(Self(unsafe { actions.assume_init() }))
    }

    fn dup2(&mut self, fd: i32, number: i32) -> io::Result<()> {
        // SAFETY: the object is initialised, and keeps numbers only.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, fd, number) })
    }

    fn chdir(&mut self, path: &CString) -> io::Result<()> {
        // SAFETY: the object is initialised, and copies the text.
        check(unsafe { libc::posix_spawn_file_actions_addchdir_np(&raw mut self.0, path.as_ptr()) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: the object is initialised and not used afterwards.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// What the new process is (posix_spawnattr_init(3)).
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    /// Leader of a new process group, no signal blocked, SIGPIPE by default.
    fn of_a_leader() -> io::Result<Self> {
        let flags = libc::POSIX_SPAWN_SETPGROUP | libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        let flags = libc::c_short::try_from(flags).map_err(io::Error::other)?;
        let (mut attributes, mut none, mut pipe) =
            (MaybeUninit::uninit(), MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: the call initialises the object when it returns 0.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: it is initialised.
        let mut own = Self(unsafe { attributes.assume_init() });
        let attributes = &raw mut own.0;
        // SAFETY: sigemptyset(3) initialises both sets before they are read; all are copied into the initialised object.
        unsafe {
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigemptyset(pipe.as_mut_ptr());
            libc::sigaddset(pipe.as_mut_ptr(), libc::SIGPIPE);
            check(libc::posix_spawnattr_setsigmask(attributes, none.as_ptr()))?;
            check(libc::posix_spawnattr_setsigdefault(attributes, pipe.as_ptr()))?;
            check(libc::posix_spawnattr_setpgroup(attributes, 0))?;
            check(libc::posix_spawnattr_setflags(attributes, flags))?;
        }
        Ok(own)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the object is initialised and not used afterwards.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::os::fd::AsFd as _;

    use super::*;

    fn shell(script: &str, handed: &[(BorrowedFd<'_>, i32)]) -> ExitStatus {
        let args = ["-c".into(), script.into()];
        let start = Start { exe: Path::new("/bin/sh"), args: &args, env: &[], cwd: Some(Path::new("/")) };
        wait(spawn(&start, handed).unwrap()).unwrap()
    }

    #[test]
    fn descriptors_can_change_places() {
        // The lowest free numbers: what is handed over under another's number must not take that one's place.
        let (mut a, to_a) = io::pipe().unwrap();
        let (mut b, to_b) = io::pipe().unwrap();
        let (first, second) = (to_a.as_raw_fd().min(to_b.as_raw_fd()), to_a.as_raw_fd().max(to_b.as_raw_fd()));
        let numbers = if second < 10 { (second, first) } else { (9, 8) };
        let status = shell(
            &format!("echo a >&{}; echo b >&{}; pwd >&{}", numbers.0, numbers.1, numbers.1),
            &[(to_a.as_fd(), numbers.0), (to_b.as_fd(), numbers.1)],
        );
        assert!(status.success());
        drop((to_a, to_b));
        let (mut from_a, mut from_b) = (String::new(), String::new());
        a.read_to_string(&mut from_a).unwrap();
        b.read_to_string(&mut from_b).unwrap();
        assert_eq!((from_a.as_str(), from_b.as_str()), ("a\n", "b\n/\n"));
    }

    #[test]
    fn nothing_else_is_handed_over_and_the_group_is_new() {
        let secret = File::open("/dev/null").unwrap();
        let number = secret.as_raw_fd();
        assert!(shell(&format!("! test -e /dev/fd/{number} && test -e /dev/fd/2"), &[]).success());
        let status = shell("kill -PIPE $$; exit 3", &[]);
        assert_eq!(status.signal(), Some(13), "SIGPIPE is ignored: {status}");
        assert_eq!(shell("kill -TERM 0; exit 3", &[]).signal(), Some(15));
    }

    #[test]
    fn what_cannot_be_started_is_told_with_its_errno() {
        let start = Start { exe: Path::new("/nonexistent"), args: &[], env: &[], cwd: None };
        assert_eq!(spawn(&start, &[]).unwrap_err().raw_os_error(), Some(libc::ENOENT));
        let args = ["a\0b".into()];
        let error = spawn(&Start { args: &args, ..start }, &[]).unwrap_err();
        assert_eq!(error.to_string(), "a NUL byte in \"a\\0b\"");
    }
}
