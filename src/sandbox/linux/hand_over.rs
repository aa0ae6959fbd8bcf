//! Giving a caller the descriptor that was opened for it.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{SeekFrom, seek};
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
}

/// Gives the caller a copy of a descriptor.
///
/// One that can write is closed here before the caller goes on: it may execute the file as soon as it has closed its own copy, and
/// the kernel executes nothing that is open for writing (ETXTBSY). So is one that has no position: closing the last descriptor of
/// a FIFO or terminal is seen at its other end. Locks wait until the copies of all others are closed ([`Copies`]). A
/// caller that is held is released before it goes on.
pub(super) fn hand_over(shared: &Shared<'_>, notification: &Notification, opened: Opened) -> Result<(), Errno> {
    let Opened { fd, close_on_exec, closes_first } = opened;
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
    drop((held, fd));
    listener.answer(id, Ok(number?.into()))
}

/// Copies of descriptors that are closed only after their programs have gone on: a lock on a file belongs to all its copies, and
/// ends with the last one.
///
/// Who waits wants those closed that were there before, and there are always new ones: they are counted by turns, and whoever waits
/// begins the other turn first.
#[derive(Debug, Default)]
pub(super) struct Copies {
    open: [AtomicUsize; 2],
    turn: AtomicUsize,
    waiting: Mutex<()>,
}

/// Longest wait for a worker to go on, which busy processors keep from it.
const MOST_WAIT: Duration = Duration::from_millis(500);

impl Copies {
    /// Counts one until the answer is dropped.
    fn one(&self) -> impl Drop + '_ {
        struct One<'c>(&'c AtomicUsize);
        impl Drop for One<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let open = &self.open[self.turn.load(Ordering::SeqCst) & 1];
        open.fetch_add(1, Ordering::SeqCst);
        One(open)
    }

    /// Waits until those are closed that are open now.
    pub(super) fn wait_for_close(&self) {
        let _alone = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let open = &self.open[self.turn.fetch_add(1, Ordering::SeqCst) & 1];
        let begun = Instant::now();
        while open.load(Ordering::SeqCst) > 0 && begun.elapsed() < MOST_WAIT {
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_before_are_waited_for_and_later_ones_are_not() {
        let copies = Copies::default();
        let (tell, told) = std::sync::mpsc::channel();
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let before = copies.one();
            scope.spawn(|| {
                copies.wait_for_close();
                tell.send(()).unwrap();
            });
            while copies.turn.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            let _later = copies.one();
            assert!(told.try_recv().is_err(), "it waited for nothing");
            drop(before);
            told.recv().unwrap();
            assert!(begun.elapsed() < MOST_WAIT, "it waited for the later one");
        });
    }
}
