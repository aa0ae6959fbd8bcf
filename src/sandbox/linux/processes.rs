//! What the supervisor knows about the processes of its tree, read from `/proc`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat, stat};
use rustix::io::Errno;

use crate::os::linux::process::{self, ids_of, parent_of};

/// Longest chain of parents followed.
const DEEPEST: usize = 4096;
/// Attempts to follow a chain whose members end meanwhile.
const MOST_ATTEMPTS: usize = 16;
/// Thread-to-process pairs remembered for records.
const MOST_REMEMBERED: usize = 4096;
/// Processes known before those that ended are forgotten for the first time.
const MOST_BORN: usize = 1024;
/// Directories of threads kept open per worker.
const MOST_DIRECTORIES: usize = 32;

/// The processes of one tree.
#[derive(Debug)]
pub(super) struct Processes {
    /// The process every member of the tree descends from; not a member itself.
    reaper: i32,
    remembered: Mutex<HashMap<i32, i32>>,
}

impl Processes {
    pub(super) fn new(reaper: i32) -> Self {
        Self { reaper, remembered: Mutex::default() }
    }

    /// Whether the tree ends with this process: the reaper, or the supervisor.
    pub(super) fn keeps_the_tree(&self, pid: i32) -> bool {
        pid == self.reaper || pid == rustix::process::getpid().as_raw_nonzero().get()
    }

    /// Whether a process (or thread) belongs to the tree. An error says that it cannot be told: not that it does not.
    pub(super) fn is_inside(&self, pid: i32) -> Result<bool, Errno> {
        Self::descends(pid, self.reaper, parent_of)
    }

    fn descends(pid: i32, from: i32, parent_of: impl Fn(i32) -> Result<Option<i32>, Errno>) -> Result<bool, Errno> {
        let (mut at, mut attempts) = (pid, 0);
        for _ in 0..DEEPEST {
            match parent_of(at)? {
                Some(parent) if parent == from => return Ok(true),
                Some(parent) if parent > 1 => at = parent,
                // An ancestor that has ended meanwhile: its child has another parent by now.
                None if at != pid && attempts < MOST_ATTEMPTS => (at, attempts) = (pid, attempts + 1),
                None if at != pid => break,
                _ => return Ok(false),
            }
        }
        Err(Errno::AGAIN)
    }

    /// Process of a thread, read now.
    pub(super) fn process_of(tid: i32) -> Result<i32, Errno> {
        status_field(tid, "Tgid:").and_then(|text| text.parse().ok()).ok_or(Errno::SRCH)
    }

    /// Process of a thread for records: remembered, so that a busy thread costs one look-up, unless it shall be looked up anew. A
    /// number that the system gave out again may be remembered with its former process.
    pub(super) fn recorded_process_of(&self, tid: i32, anew: bool) -> i32 {
        let remembered = || self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if !anew && let Some(pid) = remembered().get(&tid) {
            return *pid;
        }
        let pid = Self::process_of(tid).unwrap_or(tid);
        let mut remembered = remembered();
        if remembered.len() >= MOST_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(tid, pid);
        pid
    }
}

/// The processes of a tree that are known already, with the times they began.
#[derive(Debug)]
pub(super) struct Born(Mutex<HashMap<i32, u64>>);

impl Born {
    /// Only the first process is known.
    pub(super) fn with(first: i32) -> Self {
        let mut known = HashMap::with_capacity(MOST_BORN);
        known.insert(first, began(first));
        Self(Mutex::new(known))
    }

    /// Whether a process was not known before; from now on it is. Only where it `begins` is it told from a former one of its number.
    pub(super) fn is_new(&self, pid: i32, begins: bool) -> bool {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known().get(&pid).copied();
        if before.is_some() && !begins {
            return false;
        }
        let began = began(pid);
        let mut known = known();
        if known.len() == known.capacity() {
            known.retain(|pid, _| parent_of(*pid) != Ok(None));
            // So many more can come before it is looked through again.
            let left = known.len();
            known.reserve(left);
        }
        known.insert(pid, began) != Some(began)
    }

    #[cfg(test)]
    fn known(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// When a process began, in clock ticks; 0 for one that cannot be looked at.
fn began(pid: i32) -> u64 {
    ids_of(pid).ok().flatten().map_or(0, |ids| ids.began)
}

/// Name of a process, at most 15 bytes.
pub(super) fn name_of(tid: i32) -> Option<String> {
    let name = std::fs::read(format!("/proc/{tid}/comm")).ok()?;
    Some(crate::denial::target_text(name.strip_suffix(b"\n").unwrap_or(&name)))
}

/// The umask a new file of this thread gets.
pub(super) fn umask_of(tid: i32) -> Result<u32, Errno> {
    status_field(tid, "Umask:").and_then(|text| u32::from_str_radix(&text, 8).ok()).ok_or(Errno::SRCH)
}

/// The real user of a thread, whom its signals name.
pub(super) fn user_of(tid: i32) -> Result<u32, Errno> {
    let users = status_field(tid, "Uid:").ok_or(Errno::SRCH)?;
    users.split_ascii_whitespace().next().and_then(|user| user.parse().ok()).ok_or(Errno::SRCH)
}

/// The capabilities of a thread: effective, permitted, inheritable.
pub(super) fn capabilities_of(tid: i32) -> Result<[u64; 3], Errno> {
    let status = status_of(tid).ok_or(Errno::SRCH)?;
    let set = |key| field(&status, key).and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or(Errno::SRCH);
    Ok([set("CapEff:")?, set("CapPrm:")?, set("CapInh:")?])
}

fn status_of(tid: i32) -> Option<String> {
    let status = std::fs::read(format!("/proc/{tid}/status")).ok()?;
    // Only the name, the first line, may hold bytes that are not text; it cannot hold a line end.
    Some(String::from_utf8_lossy(&status).into_owned())
}

fn field<'t>(status: &'t str, key: &str) -> Option<&'t str> {
    status.lines().skip(1).find_map(|line| line.strip_prefix(key)).map(str::trim)
}

fn status_field(tid: i32, key: &str) -> Option<String> {
    field(&status_of(tid)?, key).map(str::to_owned)
}

/// Whether a thread's process has a number left for one more descriptor (RLIMIT_NOFILE).
pub(super) fn has_number_left(tid: i32) -> Result<bool, Errno> {
    // Not told of a process of another user: then it is found out when the descriptor is handed over.
    let Some(limit) = process::descriptor_limit_of(tid) else { return Ok(true) };
    let directory = format!("/proc/{tid}/fd");
    // How many there are, since Linux 6.2. Some may have greater numbers than the limit by now.
    let all = stat(&directory)?.st_size;
    if u64::try_from(all).is_ok_and(|all| 0 < all && all < limit) {
        return Ok(true);
    }
    let entries = std::fs::read_dir(directory).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok());
    let taken = numbers.filter(|number| *number < limit).count();
    Ok(u64::try_from(taken).is_ok_and(|taken| taken < limit))
}

/// Where a thread's working directory or descriptor leads, as the kernel names it.
pub(super) fn link_of(tid: i32, descriptor: i32) -> Result<Vec<u8>, Errno> {
    with_own(tid, descriptor, |directory, name| Ok(readlinkat(directory, name, Vec::new())?.into_bytes()))
}

/// The object behind a thread's working directory or descriptor.
pub(super) fn object_of(tid: i32, descriptor: i32) -> Result<OwnedFd, Errno> {
    with_own(tid, descriptor, |directory, name| openat(directory, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()))
}

thread_local! {
    /// `/proc/<tid>` of threads that asked lately. Such a descriptor stays with its thread: once that is gone nothing is found
    /// through it, whoever got the number since.
    static DIRECTORIES: RefCell<HashMap<i32, OwnedFd>> = RefCell::default();
}

/// Hands the `/proc` directory of a thread to `look`, with the name of its working directory or descriptor there. Finding the
/// directory costs more than the look, so it is kept.
pub(super) fn with_own<T>(
    tid: i32,
    descriptor: i32,
    look: impl Fn(BorrowedFd<'_>, &CStr) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let name = match descriptor {
        libc::AT_FDCWD => c"cwd".to_owned(),
        number => CString::new(format!("fd/{number}")).expect("digits hold no NUL"),
    };
    DIRECTORIES
        .with_borrow_mut(|known| {
            if let Some(directory) = known.get(&tid) {
                match look(directory.as_fd(), &name) {
                    // Not there, or the thread is gone: asked anew.
                    Err(Errno::NOENT | Errno::SRCH) => known.remove(&tid),
                    other => return other,
                };
            }
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory = openat(CWD, format!("/proc/{tid}"), flags, Mode::empty())?;
            let found = look(directory.as_fd(), &name);
            if known.len() >= MOST_DIRECTORIES {
                known.clear();
            }
            known.insert(tid, directory);
            found
        })
        .map_err(|errno| if errno == Errno::NOENT { Errno::BADF } else { errno })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ancestor_that_ends_meanwhile_makes_nobody_an_outsider() {
        // 9 is the first process of the tree; 12 ends while its child is looked at, which then has 9 for its parent.
        let ended = std::cell::Cell::new(false);
        let parent_of = |pid| {
            Ok(match pid {
                13 if ended.get() => Some(9),
                13 => Some(12),
                12 => {
                    ended.set(true);
                    None
                }
                9 => Some(8),
                _ => Some(1),
            })
        };
        assert_eq!(Processes::descends(13, 8, parent_of), Ok(true));
        assert_eq!(Processes::descends(13, 7, parent_of), Ok(false));
        assert_eq!(Processes::descends(12, 8, parent_of), Ok(false), "one that has ended itself");
        // What does not come to an end is not known.
        assert_eq!(Processes::descends(13, 8, |pid| Ok(if pid == 13 { Some(12) } else { None })), Err(Errno::AGAIN));
        assert_eq!(Processes::descends(13, 8, |pid| Ok(Some(pid + 1))), Err(Errno::AGAIN));
    }

    #[test]
    fn a_number_given_out_again_is_seen_by_who_looks_anew() {
        let (own, thread) = (rustix::process::getpid(), rustix::thread::gettid().as_raw_nonzero().get());
        let own = own.as_raw_nonzero().get();
        let processes = Processes::new(1);
        processes.remembered.lock().unwrap().insert(thread, 1);
        assert_eq!(processes.recorded_process_of(thread, false), 1);
        assert_eq!(processes.recorded_process_of(thread, true), own);
        assert_eq!(processes.recorded_process_of(thread, false), own);
    }

    #[test]
    fn a_process_is_new_once_and_those_that_ended_are_forgotten() {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let born = Born::with(own);
        assert!(!born.is_new(own, false) && !born.is_new(own, true));
        // Numbers beyond the greatest that Linux gives out (PID_MAX_LIMIT, 4,194,304): nobody has them.
        for number in 0..10_000 {
            assert!(born.is_new(5_000_000 + number, false));
        }
        assert!(born.known() < 2 * MOST_BORN, "{}", born.known());
        assert!(!born.is_new(own, true), "one that is there is not forgotten");
        // Another one of the same number.
        born.0.lock().unwrap().insert(own, 1);
        assert!(!born.is_new(own, false) && born.is_new(own, true));
    }
}
