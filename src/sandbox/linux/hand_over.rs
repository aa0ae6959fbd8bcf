//! Giving a caller the descriptor that was opened for it.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FileType, SeekFrom, fstat, ftruncate, seek, statat, unlinkat};
use rustix::io::Errno;

use super::call::Shared;
use crate::os::linux::seccomp::Notification;

/// A descriptor for the caller.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) fd: OwnedFd,
    pub(super) close_on_exec: bool,
    /// Whether the supervisor closes it before the caller goes on.
    pub(super) closes_first: bool,
    /// Whether the file is to be emptied.
    pub(super) empties: bool,
    /// Where the file lies that was made for this.
    pub(super) made: Option<(OwnedFd, CString)>,
}

/// Gives the caller a copy of a descriptor.
///
/// One that can write is closed here before the caller goes on: it may execute the file as soon as it has closed its own copy, and
/// the kernel executes nothing that is open for writing (ETXTBSY). So is one that has no position: closing the last descriptor of
/// a FIFO or terminal is seen at its other end. Locks wait until the copies of all others are closed ([`Copies`]). A
/// caller that is held is released before it goes on.
///
/// The caller may have no number left (EMFILE). Then the file is as it was: it is emptied afterwards, and one that was made is
/// removed.
pub(super) fn hand_over(shared: &Shared<'_>, notification: &Notification, opened: Opened) -> Result<(), Errno> {
    let Opened { fd, close_on_exec, closes_first, empties, made } = opened;
    let (listener, id, tid) = (&shared.listener, notification.id, notification.tid);
    let held = shared.holds.hold(tid);
    if !closes_first && held.is_none() && seek(&fd, SeekFrom::Current(0)).is_ok() {
        let _copy = shared.copies.one();
        let answer = || listener.answer_with_descriptor(id, fd.as_fd(), close_on_exec);
        let answered = shared.holds.timed(tid, answer).map(drop);
        drop(fd);
        return answered;
    }
    let number = shared.holds.timed(tid, || listener.add_descriptor(id, fd.as_fd(), close_on_exec));
    if let (Err(_), Some((parent, name))) = (&number, &made) {
        remove_same(&fd, parent, name);
    }
    let emptied = if empties && number.is_ok() { empty(&fd) } else { Ok(()) };
    drop((held, fd));
    listener.answer(id, Ok(emptied.and(number)?.into()))
}

/// What `O_TRUNC` does: files have a length, and nothing else that can be opened.
fn empty(fd: &OwnedFd) -> Result<(), Errno> {
    match FileType::from_raw_mode(fstat(fd)?.st_mode) {
        FileType::RegularFile => ftruncate(fd, 0),
        _ => Ok(()),
    }
}

/// Removes an entry as long as it is the file that is open. That it cannot be removed changes nothing for the caller.
fn remove_same(fd: &OwnedFd, parent: &OwnedFd, name: &CStr) {
    let there = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    if let (Ok(open), Ok(there)) = (fstat(fd), there)
        && (open.st_dev, open.st_ino) == (there.st_dev, there.st_ino)
    {
        let _ = unlinkat(parent, name, AtFlags::empty());
    }
}

/// Copies of descriptors that are closed only after their programs have gone on: a lock on a file belongs to all its copies, and
/// ends with the last one.
#[derive(Debug, Default)]
pub(super) struct Copies(AtomicUsize);

/// Longest wait for copies of other programs, of which there can always be some.
const MOST_WAIT: Duration = Duration::from_millis(10);

impl Copies {
    /// Counts one until the answer is dropped.
    fn one(&self) -> impl Drop + '_ {
        struct One<'c>(&'c AtomicUsize);
        impl Drop for One<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.0.fetch_add(1, Ordering::SeqCst);
        One(&self.0)
    }

    /// Waits until there is none.
    pub(super) fn wait_for_close(&self) {
        let begun = Instant::now();
        while self.0.load(Ordering::SeqCst) > 0 && begun.elapsed() < MOST_WAIT {
            std::thread::yield_now();
        }
    }
}
