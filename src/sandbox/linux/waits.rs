//! Calls that may block for long on behalf of a program that may die meanwhile.
//!
//! A worker is known here as long as it is busy with a call, not only in what is expected to block: closing the last copy of a
//! socket waits for what was sent to arrive, as long as the program chose (`SO_LINGER`), and a copy can be let go of anywhere.

use std::cell::OnceCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::Pid;

use crate::os::linux::process;
use crate::os::linux::seccomp::Listener;

/// Workers, with the call that each of them may be blocked for.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<Vec<Arc<Worker>>>);

#[derive(Debug)]
struct Worker {
    thread: Pid,
    call: Mutex<Option<u64>>,
}

thread_local! {
    /// The calling thread among the workers. It serves one supervisor, and is known there as long as it lives.
    static OWN: OnceCell<Arc<Worker>> = const { OnceCell::new() };
}

impl Waits {
    /// Runs what is done for a call; what blocks in it ends with EINTR once nobody waits for it any more. Cheap enough for what mostly
    /// does not block.
    pub(super) fn during<T>(&self, id: u64, call: impl FnOnce() -> T) -> T {
        OWN.with(|own| {
            let own = own.get_or_init(|| self.join());
            let before = own.call().replace(id);
            let _end = End { own, before };
            call()
        })
    }

    fn join(&self) -> Arc<Worker> {
        let worker = Arc::new(Worker { thread: rustix::thread::gettid(), call: Mutex::default() });
        self.list().push(Arc::clone(&worker));
        worker
    }

    /// Called regularly: wakes workers whose callers are gone, so that neither worker nor socket stays behind.
    pub(super) fn wake_abandoned(&self, listener: &Listener) {
        let mut workers = self.list();
        workers.retain(|worker| Arc::strong_count(worker) > 1);
        for worker in workers.iter() {
            // Holding the call keeps a worker that is woken from going on to another one meanwhile.
            let call = worker.call();
            if call.is_some_and(|id| !listener.is_waiting(id)) {
                process::interrupt(worker.thread);
            }
        }
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Worker>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    fn call(&self) -> MutexGuard<'_, Option<u64>> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a worker's call off it, even if that panics. Inside of what is done for it already it stays.
struct End<'w> {
    own: &'w Worker,
    before: Option<u64>,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        *self.own.call() = self.before;
    }
}
