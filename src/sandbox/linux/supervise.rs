//! The supervisor's threads: they take trapped calls, one each, and answer them.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Pid;

use super::call::{Call, Shared};
use super::table;
use crate::os::linux::process;
use crate::sandbox::weaken::{Protection, off};

/// Workers at the start: more only help when calls block (one runs while the other waits on the scheduler).
const WORKERS: usize = 2;
/// Most workers: each may be stuck in a call that blocks (opening a FIFO, a slow file system). Programs beyond that wait.
const MOST_WORKERS: usize = 256;
/// How long an interrupted worker is given before it is interrupted again.
const INSIST: Duration = Duration::from_millis(2);

/// The pool of one tree.
#[derive(Debug)]
pub(super) struct Pool<'scope, 'env> {
    scope: &'scope std::thread::Scope<'scope, 'env>,
    state: &'env State,
    shared: &'env Shared<'env>,
    workers: Vec<std::thread::ScopedJoinHandle<'scope, ()>>,
    answered_before: usize,
}

/// What the workers and their keeper know of each other.
#[derive(Debug, Default)]
pub(super) struct State {
    stop: AtomicBool,
    idle: AtomicUsize,
    answered: AtomicUsize,
    names: HashMap<u32, &'static str>,
    threads: Mutex<Vec<Pid>>,
}

impl State {
    pub(super) fn new() -> Self {
        Self { names: table::native().collect(), ..Self::default() }
    }
}

impl<'scope, 'env> Pool<'scope, 'env> {
    /// Starts the workers.
    pub(super) fn start(
        scope: &'scope std::thread::Scope<'scope, 'env>,
        state: &'env State,
        shared: &'env Shared<'env>,
    ) -> std::io::Result<Self> {
        let mut pool = Self { scope, state, shared, workers: Vec::new(), answered_before: 0 };
        pool.add()?;
        for _ in 1..WORKERS {
            // One is enough to go on with, and could not be stopped if this failed as a whole.
            let _ = pool.add();
        }
        Ok(pool)
    }

    fn add(&mut self) -> std::io::Result<()> {
        let (state, shared) = (self.state, self.shared);
        let worker = std::thread::Builder::new()
            .name("supervisor".to_owned())
            .stack_size(1024 * 1024)
            .spawn_scoped(self.scope, move || work(state, shared))?;
        self.workers.push(worker);
        Ok(())
    }

    /// Called regularly: when every worker is stuck and none has answered since the last time, adds one.
    pub(super) fn tend(&mut self) {
        let answered = self.state.answered.load(Ordering::Relaxed);
        let stuck = !off(Protection::MoreWorkers)
            && self.state.idle.load(Ordering::Relaxed) == 0
            && answered == self.answered_before;
        self.answered_before = answered;
        if stuck && self.workers.len() < MOST_WORKERS {
            // Without another thread the programs that wait go on waiting; nothing is let through.
            let _ = self.add();
        }
    }

    /// Ends the workers, waking those that wait or are stuck. The tree is gone by now.
    pub(super) fn stop(self) {
        self.state.stop.store(true, Ordering::SeqCst);
        for worker in self.workers {
            while !worker.is_finished() {
                for thread in self.state.threads.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    process::interrupt(*thread);
                }
                std::thread::sleep(INSIST);
            }
            let _ = worker.join();
        }
    }
}

fn work(state: &State, shared: &Shared<'_>) {
    // A umask of its own: a worker sets the one of the program it makes a file for.
    if process::own_file_context().is_err() {
        return;
    }
    state.threads.lock().unwrap_or_else(PoisonError::into_inner).push(rustix::thread::gettid());
    while !state.stop.load(Ordering::SeqCst) {
        state.idle.fetch_add(1, Ordering::Relaxed);
        let received = shared.listener.receive();
        state.idle.fetch_sub(1, Ordering::Relaxed);
        match received {
            Ok(notification) => {
                let number = notification.number.cast_unsigned();
                let name = state.names.get(&number).copied().unwrap_or("unknown");
                let mut call = Call::new(shared, notification, name);
                // A mistake in a handler costs its caller one call, not the tree.
                let answered = catch_unwind(AssertUnwindSafe(|| call.handle())).unwrap_or(Err(Errno::IO));
                call.finish(answered);
                state.answered.fetch_add(1, Ordering::Relaxed);
            }
            // Its caller died, or nobody is left and the keeper is about to say so.
            Err(Errno::NOENT) => std::thread::sleep(Duration::from_micros(100)),
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
