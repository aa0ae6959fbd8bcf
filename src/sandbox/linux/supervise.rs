//! The supervisor's threads: they take trapped calls, one each, and answer them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Pid;

use super::call::{Call, Shared};
use crate::os::linux::process;
use crate::os::linux::seccomp::Listener;
use crate::sandbox::weaken::{Protection, off};

/// Most workers while calls are answered: more than processors only wait for each other.
const MOST_AT_WORK: usize = 8;
/// Most workers in all: each may be stuck in a call that blocks (opening a FIFO, a slow file system). Programs beyond that
/// wait.
const MOST_WORKERS: usize = 256;
/// How long an interrupted worker is given before it is interrupted again.
const INSIST: Duration = Duration::from_millis(2);

/// The pool of one tree.
///
/// It starts with one worker. A second one that waits as well makes every call dearer: the kernel wakes them in turn, so
/// that the caller's processor changes threads three times for a call instead of twice.
#[derive(Debug)]
pub(super) struct Pool<'scope, 'env, 's> {
    scope: &'scope std::thread::Scope<'scope, 'env>,
    state: &'env State,
    /// There from [`Pool::begin`] on.
    shared: &'env OnceLock<Shared<'s>>,
    workers: Vec<std::thread::ScopedJoinHandle<'scope, ()>>,
    answered_before: usize,
    unneeded_before: usize,
    backlog_before: bool,
}

/// What the workers and their keeper know of each other.
#[derive(Debug)]
pub(super) struct State {
    stop: AtomicBool,
    /// Workers that have not ended.
    running: AtomicUsize,
    /// Workers that wait for a call.
    idle: AtomicUsize,
    /// Workers that have a call and have not begun to answer it: those callers wait for certain.
    busy: AtomicUsize,
    answered: AtomicUsize,
    /// Calls taken while another worker waited for one.
    unneeded: AtomicUsize,
    /// Workers that shall end after their next call.
    surplus: AtomicUsize,
    threads: Mutex<Vec<Pid>>,
    keeper: Thread,
}

impl State {
    /// The calling thread is the one that keeps the pool.
    pub(super) fn new() -> Self {
        Self {
            stop: AtomicBool::default(),
            running: AtomicUsize::default(),
            idle: AtomicUsize::default(),
            busy: AtomicUsize::default(),
            answered: AtomicUsize::default(),
            unneeded: AtomicUsize::default(),
            surplus: AtomicUsize::default(),
            threads: Mutex::default(),
            keeper: std::thread::current(),
        }
    }

    /// Whether the asking worker is the one too many. It never is while no other waits for calls: those may all be stuck.
    fn is_surplus(&self) -> bool {
        self.idle.load(Ordering::Relaxed) > 0
            && self.surplus.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |surplus| surplus.checked_sub(1)).is_ok()
    }
}

impl<'scope, 'env, 's> Pool<'scope, 'env, 's> {
    /// Starts the first worker, which waits for [`Pool::begin`].
    pub(super) fn start(
        scope: &'scope std::thread::Scope<'scope, 'env>,
        state: &'env State,
        shared: &'env OnceLock<Shared<'s>>,
    ) -> std::io::Result<Self> {
        let workers = Vec::new();
        let mut pool =
            Self { scope, state, shared, workers, answered_before: 0, unneeded_before: 0, backlog_before: false };
        pool.add()?;
        Ok(pool)
    }

    /// Lets calls be answered.
    pub(super) fn begin(&self, shared: Shared<'s>) {
        let _ = self.shared.set(shared);
        self.workers.iter().for_each(|worker| worker.thread().unpark());
    }

    fn add(&mut self) -> std::io::Result<()> {
        let (state, shared) = (self.state, self.shared);
        state.running.fetch_add(1, Ordering::SeqCst);
        let started = std::thread::Builder::new().name("supervisor".to_owned()).stack_size(1024 * 1024).spawn_scoped(
            self.scope,
            move || {
                work(state, shared);
                state.running.fetch_sub(1, Ordering::SeqCst);
                state.keeper.unpark();
            },
        );
        match started {
            Ok(worker) => {
                self.workers.push(worker);
                Ok(())
            }
            Err(error) => {
                state.running.fetch_sub(1, Ordering::SeqCst);
                Err(error)
            }
        }
    }

    /// Called regularly: adds a worker when a second program waits and none is answered, or when that keeps happening; lets
    /// one go when most calls could have been taken by another. Says whether calls were answered since the last time.
    pub(super) fn tend(&mut self) -> bool {
        let Some(shared) = self.shared.get() else { return true };
        shared.waits.wake_abandoned(&shared.listener);
        shared.holds.tick();
        self.workers.retain(|worker| !worker.is_finished());
        let answered = self.state.answered.load(Ordering::Relaxed);
        let taken = answered.wrapping_sub(self.answered_before);
        self.answered_before = answered;
        let unneeded = self.state.unneeded.load(Ordering::Relaxed);
        let could_rest = unneeded.wrapping_sub(self.unneeded_before);
        self.unneeded_before = unneeded;
        let stuck = taken == 0;
        let backlog = self.has_backlog(&shared.listener, stuck);
        let most = if stuck { MOST_WORKERS } else { MOST_AT_WORK.min(processors()) };
        if backlog && (stuck || self.backlog_before) && self.workers.len() < most && !off(Protection::MoreWorkers) {
            // Without another thread the programs that wait go on waiting; nothing is let through.
            let _ = self.add();
        }
        self.backlog_before = backlog;
        if 2 * could_rest > taken {
            self.state.surplus.store(1, Ordering::Relaxed);
        }
        taken > 0
    }

    /// Whether a call waits and no worker is there to take it. Unless all are stuck, it must not be the next call of a program
    /// just answered: that one is taken as soon as the worker comes back.
    fn has_backlog(&self, listener: &Listener, stuck: bool) -> bool {
        let answered = self.state.answered.load(Ordering::Relaxed);
        let another = stuck || self.state.busy.load(Ordering::Relaxed) > 0;
        self.state.idle.load(Ordering::Relaxed) == 0
            && another
            && listener.has_waiting()
            && self.state.answered.load(Ordering::Relaxed) == answered
    }

    /// Ends the workers, waking those that wait or are stuck. The tree is gone by now.
    pub(super) fn stop(self) {
        self.state.stop.store(true, Ordering::SeqCst);
        self.workers.iter().for_each(|worker| worker.thread().unpark());
        while self.state.running.load(Ordering::SeqCst) > 0 {
            for thread in self.state.threads.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                process::interrupt(*thread);
            }
            std::thread::park_timeout(INSIST);
        }
        for worker in self.workers {
            let _ = worker.join();
        }
    }
}

/// Processors this process may run on.
fn processors() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| usize::try_from(set.count()).unwrap_or(1))
}

fn work(state: &State, shared: &OnceLock<Shared<'_>>) {
    // A umask of its own: a worker sets the one of the program it makes a file for.
    if process::own_file_context().is_err() {
        return;
    }
    let own = rustix::thread::gettid();
    state.threads.lock().unwrap_or_else(PoisonError::into_inner).push(own);
    while !state.stop.load(Ordering::SeqCst) {
        if let Some(shared) = shared.get() {
            answer_calls(state, shared);
            break;
        }
        std::thread::park();
    }
    state.threads.lock().unwrap_or_else(PoisonError::into_inner).retain(|thread| *thread != own);
}

fn answer_calls(state: &State, shared: &Shared<'_>) {
    while !state.stop.load(Ordering::SeqCst) {
        state.idle.fetch_add(1, Ordering::Relaxed);
        let received = shared.listener.receive();
        let others_wait = state.idle.fetch_sub(1, Ordering::Relaxed) > 1;
        match received {
            Ok(notification) => {
                if others_wait {
                    state.unneeded.fetch_add(1, Ordering::Relaxed);
                }
                state.busy.fetch_add(1, Ordering::Relaxed);
                shared.holds.called(notification.tid);
                let id = notification.id;
                let mut call = Call::new(shared, notification);
                // A mistake in a handler costs its caller one call, not the tree. What it took from the caller it lets go of before it
                // returns; whatever that waits for ends with the caller.
                let handle = || catch_unwind(AssertUnwindSafe(|| call.handle())).unwrap_or(Err(Errno::IO));
                let answered = shared.waits.during(id, handle);
                state.busy.fetch_sub(1, Ordering::Relaxed);
                call.finish(answered);
                state.answered.fetch_add(1, Ordering::Relaxed);
                if state.is_surplus() {
                    return;
                }
            }
            // Its caller died, or all did.
            Err(Errno::NOENT) if shared.listener.is_abandoned() => return,
            Err(Errno::NOENT) => {}
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
