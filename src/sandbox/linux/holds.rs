//! Holds a caller on its worker's processor while a descriptor is handed over to it.
//!
//! Handing over wakes the caller, which installs the descriptor, and then the worker. For both the kernel prefers a processor that
//! is idle; what the listener asks for (wake-ups on the same processor) holds for calls and plain answers only. Where idle
//! processors halt, as they do on virtual machines, coming out of that takes longer than all the rest of an open.
//!
//! So when hand-overs to one thread were slow several times running, the worker binds itself to its processor, and the caller
//! too for each hand-over. The caller waits in its call from before it is bound until it is released: it cannot make a thread or
//! process meanwhile, which would inherit its affinity, nor ask what its affinity is. The worker is released when another thread
//! calls, and when nothing was handed over during a tick.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::thread::{CpuSet, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// A hand-over that takes longer waited for a processor to come out of its sleep: without that it takes about 5 us.
const SLOW: Duration = Duration::from_micros(25);
/// One that takes longer waited for a processor that others keep busy, which no holding makes quicker.
const BUSY: Duration = Duration::from_micros(500);
/// So many slow hand-overs in a row make callers be held; as many while they are held show that it is no good.
const IN_A_ROW: u32 = 8;
/// Ticks until it is tried again: about a second.
const PATIENCE: u32 = 500;

/// Which caller is held.
#[derive(Debug, Default)]
pub(super) struct Holds {
    /// The thread that is held at each hand-over; 0 for none. Looked at for every call.
    caller: AtomicI32,
    /// Whether something was handed over to it since the last tick.
    used: AtomicBool,
    seen: Mutex<Seen>,
}

/// What hand-overs were like, and what came of it.
#[derive(Debug, Default)]
struct Seen {
    /// Who got the last one.
    tid: i32,
    slow_in_a_row: u32,
    /// Ticks until a caller may be held.
    wait: u32,
    worker: Option<Bound>,
}

/// A thread that is bound to one processor until this is dropped.
#[derive(Debug)]
pub(super) struct Bound {
    thread: Pid,
    before: CpuSet,
    one: CpuSet,
}

impl Holds {
    /// Binds thread `tid` to the processor of the calling one, where that is of use, until the answer is dropped. The thread must
    /// wait as long as that.
    pub(super) fn hold(&self, tid: i32) -> Option<Bound> {
        if self.caller.load(Ordering::Relaxed) != tid && !self.begin(tid) {
            return None;
        }
        self.used.store(true, Ordering::Relaxed);
        Bound::here(Pid::from_raw(tid)?)
    }

    /// Hands something over to thread `tid`.
    pub(super) fn timed<T>(&self, tid: i32, hand_over: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = hand_over();
        self.learn(tid, begun.elapsed());
        done
    }

    /// Thread `tid` calls.
    pub(super) fn called(&self, tid: i32) {
        let caller = self.caller.load(Ordering::Relaxed);
        if caller != 0 && caller != tid {
            self.end(&mut self.seen());
        }
    }

    /// Called regularly.
    pub(super) fn tick(&self) {
        let mut seen = self.seen();
        seen.wait = seen.wait.saturating_sub(1);
        if !self.used.swap(false, Ordering::Relaxed) {
            self.end(&mut seen);
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the thread is held from now on.
    fn begin(&self, tid: i32) -> bool {
        let mut seen = self.seen();
        if seen.tid != tid || seen.slow_in_a_row < IN_A_ROW || seen.wait > 0 || seen.worker.is_some() {
            return false;
        }
        seen.slow_in_a_row = 0;
        seen.worker = Bound::here(gettid());
        if seen.worker.is_some() {
            self.caller.store(tid, Ordering::Relaxed);
        }
        seen.worker.is_some()
    }

    fn learn(&self, tid: i32, took: Duration) {
        let mut seen = self.seen();
        let slow = took >= SLOW && (took < BUSY || seen.worker.is_some());
        if !slow || seen.tid != tid {
            seen.slow_in_a_row = 0;
        }
        seen.tid = tid;
        seen.slow_in_a_row += u32::from(slow);
        if seen.slow_in_a_row >= IN_A_ROW && seen.worker.is_some() {
            self.end(&mut seen);
            seen.wait = PATIENCE;
        }
    }

    fn end(&self, seen: &mut Seen) {
        if seen.worker.take().is_some() {
            seen.slow_in_a_row = 0;
            self.caller.store(0, Ordering::Relaxed);
        }
    }
}

impl Bound {
    /// Binds a thread to the processor that the calling one runs on; `None` where that cannot be, or would mean nothing.
    fn here(thread: Pid) -> Option<Self> {
        let before = sched_getaffinity(Some(thread)).ok()?;
        let here = sched_getcpu();
        if here >= CpuSet::MAX_CPU || !before.is_set(here) || before.count() < 2 {
            return None;
        }
        let mut one = CpuSet::new();
        one.set(here);
        sched_setaffinity(Some(thread), &one).ok()?;
        Some(Self { thread, before, one })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // It may be gone by now; and what somebody else has chosen meanwhile stays.
        if sched_getaffinity(Some(self.thread)).is_ok_and(|now| now == self.one) {
            let _ = sched_setaffinity(Some(self.thread), &self.before);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const SLOWLY: Duration = Duration::from_micros(60);

    fn number(thread: Pid) -> i32 {
        thread.as_raw_nonzero().get()
    }

    fn processors_of(thread: Pid) -> CpuSet {
        sched_getaffinity(Some(thread)).unwrap()
    }

    /// Hands over `count` times in the middle of what counts as slow, whatever the machine does meanwhile.
    fn slowly(holds: &Holds, thread: Pid, count: u32) {
        for _ in 0..count {
            let held = holds.hold(number(thread));
            holds.learn(number(thread), SLOWLY);
            drop(held);
        }
    }

    /// Runs `test` with another thread, which waits meanwhile.
    fn beside(test: impl FnOnce(Pid)) {
        let (tell, told) = channel();
        let (end, ended) = channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                tell.send(gettid()).unwrap();
                let _ = ended.recv();
            });
            test(told.recv().unwrap());
            drop(end);
        });
    }

    #[test]
    fn a_caller_is_held_for_a_hand_over_and_its_worker_as_long_as_that_goes_on() {
        beside(|caller| {
            let (own, all) = (gettid(), processors_of(gettid()));
            if all.count() < 2 {
                assert!(Bound::here(caller).is_none(), "nothing to be bound to");
                return;
            }
            for why in ["another thread calls", "nothing is handed over"] {
                let holds = Holds::default();
                slowly(&holds, caller, IN_A_ROW);
                assert_eq!((processors_of(caller), processors_of(own)), (all, all), "{why}: not yet");
                let held = holds.hold(number(caller)).expect(why);
                assert_eq!((processors_of(caller).count(), processors_of(own).count()), (1, 1), "{why}");
                assert_eq!(processors_of(caller), processors_of(own), "{why}");
                drop(held);
                holds.called(number(caller));
                holds.tick();
                assert_eq!((processors_of(caller), processors_of(own).count()), (all, 1), "{why}: it goes on");
                match why {
                    "another thread calls" => holds.called(number(own)),
                    _ => (0..2).for_each(|_| holds.tick()),
                }
                assert_eq!((processors_of(caller), processors_of(own)), (all, all), "{why}");
                assert!(holds.hold(number(caller)).is_none(), "{why}");
            }
        });
    }

    #[test]
    fn nobody_is_held_where_it_would_not_help() {
        beside(|caller| {
            let all = processors_of(caller);
            let holds = Holds::default();
            for took in [Duration::from_micros(5), BUSY, Duration::from_millis(3)] {
                for _ in 0..3 * IN_A_ROW {
                    assert!(holds.hold(number(caller)).is_none(), "{took:?}");
                    holds.learn(number(caller), took);
                }
            }
            // Two threads in turn.
            for _ in 0..3 * IN_A_ROW {
                slowly(&holds, caller, IN_A_ROW / 2);
                slowly(&holds, gettid(), 1);
            }
            assert!(holds.seen().worker.is_none());
            // Slow or waiting for others all the same: not again for a while.
            for took in [SLOWLY, BUSY] {
                slowly(&holds, caller, IN_A_ROW + 1);
                for _ in 0..IN_A_ROW {
                    let held = holds.hold(number(caller));
                    assert_eq!(held.is_some(), all.count() > 1 && holds.seen().wait == 0, "{took:?}");
                    holds.learn(number(caller), took);
                }
                slowly(&holds, caller, 2 * IN_A_ROW);
                assert!(holds.seen().worker.is_none(), "{took:?}");
                (0..PATIENCE).for_each(|_| holds.tick());
                slowly(&holds, gettid(), 1);
            }
            assert_eq!((processors_of(caller), processors_of(gettid())), (all, all));
        });
    }

    #[test]
    fn an_affinity_that_somebody_else_chose_meanwhile_stays() {
        beside(|caller| {
            let all = processors_of(caller);
            let Some(bound) = Bound::here(caller) else {
                assert_eq!(all.count(), 1);
                return;
            };
            let mut other = all;
            (0..CpuSet::MAX_CPU).filter(|at| bound.one.is_set(*at)).for_each(|at| other.unset(at));
            sched_setaffinity(Some(caller), &other).unwrap();
            drop(bound);
            assert_eq!(processors_of(caller), other);
        });
    }
}
