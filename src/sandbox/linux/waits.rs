//! Calls that may block for long on behalf of a program that may die meanwhile.

use std::sync::{Mutex, PoisonError};

use rustix::process::Pid;

use crate::os::linux::process;
use crate::os::linux::seccomp::Listener;

/// Workers that may be blocked, with the call each of them is blocked for.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<Vec<(u64, Pid)>>);

impl Waits {
    /// Runs a call that may block; it fails with EINTR once nobody waits for it any more.
    pub(super) fn during<T>(&self, id: u64, call: impl FnOnce() -> T) -> T {
        let own = rustix::thread::gettid();
        self.list().push((id, own));
        let _end = End(self, own);
        call()
    }

    /// Called regularly: wakes workers whose callers are gone, so that neither worker nor socket stays behind.
    pub(super) fn wake_abandoned(&self, listener: &Listener) {
        // Holding the list keeps a worker that is woken from going on to other calls meanwhile.
        self.list()
            .iter()
            .filter(|(id, _)| !listener.is_waiting(*id))
            .for_each(|(_, worker)| process::interrupt(*worker));
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Pid)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a worker off the list, even if its call panics.
struct End<'w>(&'w Waits, Pid);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.list().retain(|(_, worker)| *worker != self.1);
    }
}
