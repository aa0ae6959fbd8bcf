//! Keeps a thread that opens file after file, and the worker that answers it, on one processor.
//!
//! Handing over a descriptor wakes the caller, which installs it, and then the worker. For both the kernel prefers a processor
//! that is idle; what the listener asks for (wake-ups on the same processor) holds for calls and plain answers only. Where idle
//! processors halt, as they do on virtual machines, coming out of that takes longer than all the rest of an open: 70 us where it
//! is 15 with both on one processor.
//!
//! A pair is made when hand-overs to one thread were slow several times running. It is undone when another thread calls, when
//! the thread makes a thread or process, which would inherit its affinity, when anybody asks for an affinity or sets one, opens
//! a file that tells it, and when nothing was handed over during a tick. For that these calls are brought before the supervisor even where nothing is
//! to be decided. So a program finds the affinity it has chosen, and a thread that computes is bound for at most two ticks.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::thread::{CpuSet, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// A hand-over that takes longer waited for a processor to come out of its sleep: without that it takes about 5 us.
const SLOW: Duration = Duration::from_micros(25);
/// One that takes longer waited for a processor that others keep busy. A pair would have to wait for the same one.
const BUSY: Duration = Duration::from_micros(500);
/// So many slow hand-overs in a row make a pair; as many to a pair show that it is no good.
const IN_A_ROW: u32 = 8;
/// Ticks without pairs after one that was no good: about a second.
const PATIENCE: u32 = 500;

/// At most one pair of a supervisor.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    /// The thread of the pair; 0 without one. Looked at for every call.
    caller: AtomicI32,
    /// Whether something was handed over to the pair since the last tick.
    used: AtomicBool,
    seen: Mutex<Seen>,
}

/// What hand-overs were like, and what came of it.
#[derive(Debug, Default)]
struct Seen {
    /// Who got the last one.
    tid: i32,
    slow_in_a_row: u32,
    /// Ticks until a pair may be made.
    wait: u32,
    pair: Option<Pair>,
}

/// Two threads bound to one processor, with what they may run on otherwise.
#[derive(Debug)]
struct Pair {
    caller: Pid,
    callers: CpuSet,
    worker: Pid,
    workers: CpuSet,
    one: CpuSet,
}

impl Pairing {
    /// Hands something over to thread `tid`, which waits for it.
    pub(super) fn hand_over<T>(&self, tid: i32, hand_over: impl FnOnce() -> T) -> T {
        self.prepare(tid);
        let begun = Instant::now();
        let done = hand_over();
        self.learn(tid, begun.elapsed());
        done
    }

    /// Thread `tid` calls.
    pub(super) fn called(&self, tid: i32) {
        let caller = self.caller.load(Ordering::Relaxed);
        if caller != 0 && caller != tid {
            self.part();
        }
    }

    /// Undoes the pair.
    pub(super) fn part(&self) {
        if self.caller.load(Ordering::Relaxed) != 0 {
            self.undo(&mut self.seen());
        }
    }

    /// Called regularly.
    pub(super) fn tick(&self) {
        let mut seen = self.seen();
        seen.wait = seen.wait.saturating_sub(1);
        if !self.used.swap(false, Ordering::Relaxed) {
            self.undo(&mut seen);
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepare(&self, tid: i32) {
        if self.caller.load(Ordering::Relaxed) == tid {
            self.used.store(true, Ordering::Relaxed);
            return;
        }
        let mut seen = self.seen();
        if seen.tid == tid && seen.slow_in_a_row >= IN_A_ROW && seen.wait == 0 && seen.pair.is_none() {
            seen.slow_in_a_row = 0;
            seen.pair = Pair::of(tid);
            if seen.pair.is_some() {
                self.caller.store(tid, Ordering::Relaxed);
                self.used.store(true, Ordering::Relaxed);
            }
        }
    }

    fn learn(&self, tid: i32, took: Duration) {
        let slow = (SLOW..BUSY).contains(&took);
        let mut seen = self.seen();
        if !slow || seen.tid != tid {
            seen.slow_in_a_row = 0;
        }
        seen.tid = tid;
        seen.slow_in_a_row += u32::from(slow);
        if seen.slow_in_a_row >= IN_A_ROW && seen.pair.is_some() {
            self.undo(&mut seen);
            seen.wait = PATIENCE;
        }
    }

    fn undo(&self, seen: &mut Seen) {
        self.caller.store(0, Ordering::Relaxed);
        if let Some(pair) = seen.pair.take() {
            seen.slow_in_a_row = 0;
            pair.undo();
        }
    }
}

impl Pair {
    /// Binds thread `tid` and the calling one; `None`, and nothing changed, where that cannot be or would mean nothing.
    fn of(tid: i32) -> Option<Self> {
        let (caller, worker) = (Pid::from_raw(tid)?, gettid());
        let callers = sched_getaffinity(Some(caller)).ok()?;
        let workers = sched_getaffinity(Some(worker)).ok()?;
        let mut one = CpuSet::new();
        let here = sched_getcpu();
        if here >= CpuSet::MAX_CPU || !callers.is_set(here) || callers.count() < 2 {
            return None;
        }
        one.set(here);
        sched_setaffinity(Some(caller), &one).ok()?;
        let pair = Self { caller, callers, worker, workers, one };
        if sched_setaffinity(Some(worker), &one).is_err() {
            pair.undo();
            return None;
        }
        Some(pair)
    }

    /// Either may be gone by now; and what somebody else has set meanwhile stays.
    fn undo(&self) {
        for (thread, before) in [(self.caller, &self.callers), (self.worker, &self.workers)] {
            if sched_getaffinity(Some(thread)).is_ok_and(|now| now == self.one) {
                let _ = sched_setaffinity(Some(thread), before);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const SLOWLY: Duration = Duration::from_micros(60);

    fn may_run_on(tid: Pid) -> u32 {
        sched_getaffinity(Some(tid)).unwrap().count()
    }

    /// Hands over `count` times in the middle of what counts as slow, whatever the machine does meanwhile.
    fn slowly(pairing: &Pairing, tid: Pid, count: u32) {
        for _ in 0..count {
            pairing.prepare(tid.as_raw_nonzero().get());
            pairing.learn(tid.as_raw_nonzero().get(), SLOWLY);
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
    fn a_pair_is_made_after_slow_hand_overs_and_undone_without_a_trace() {
        beside(|caller| {
            let (own, all) = (gettid(), sched_getaffinity(None).unwrap());
            if all.count() < 2 {
                assert!(Pair::of(caller.as_raw_nonzero().get()).is_none(), "nothing to be bound to");
                return;
            }
            let stranger = own.as_raw_nonzero().get();
            let undo: [(&str, &dyn Fn(&Pairing)); 3] = [
                ("another thread calls", &|pairing| pairing.called(stranger)),
                ("it makes a thread", &Pairing::part),
                ("it opens nothing", &|pairing| (0..2).for_each(|_| pairing.tick())),
            ];
            for (why, undo) in undo {
                let pairing = Pairing::default();
                slowly(&pairing, caller, IN_A_ROW);
                assert_eq!((may_run_on(caller), may_run_on(own)), (all.count(), all.count()), "{why}: not yet");
                // The one that is waited for goes over to the pair already.
                pairing.hand_over(caller.as_raw_nonzero().get(), || {
                    assert_eq!((may_run_on(caller), may_run_on(own)), (1, 1), "{why}");
                });
                pairing.called(caller.as_raw_nonzero().get());
                pairing.tick();
                assert_eq!(may_run_on(caller), 1, "{why}: it goes on opening");
                undo(&pairing);
                assert_eq!(
                    (sched_getaffinity(Some(caller)).unwrap(), sched_getaffinity(None).unwrap()),
                    (all, all),
                    "{why}"
                );
            }
        });
    }

    #[test]
    fn nothing_is_bound_where_it_would_not_help() {
        beside(|caller| {
            let all = sched_getaffinity(None).unwrap();
            let tid = caller.as_raw_nonzero().get();
            let pairing = Pairing::default();
            for took in [Duration::from_micros(5), BUSY, Duration::from_millis(3)] {
                for _ in 0..3 * IN_A_ROW {
                    pairing.prepare(tid);
                    pairing.learn(tid, took);
                }
                assert_eq!(sched_getaffinity(Some(caller)).unwrap(), all, "{took:?}");
            }
            // Two threads in turn.
            for _ in 0..3 * IN_A_ROW {
                slowly(&pairing, caller, IN_A_ROW / 2);
                slowly(&pairing, gettid(), 1);
            }
            assert_eq!(sched_getaffinity(Some(caller)).unwrap(), all);
            // A pair that is as slow is undone, and none is made for a while.
            slowly(&pairing, caller, 2 * IN_A_ROW + 2);
            assert_eq!(sched_getaffinity(Some(caller)).unwrap(), all);
            slowly(&pairing, caller, 2 * IN_A_ROW - 1);
            assert!(pairing.seen().pair.is_none());
            (0..PATIENCE).for_each(|_| pairing.tick());
            slowly(&pairing, caller, 1);
            assert_eq!(pairing.seen().pair.is_some(), all.count() > 1);
            pairing.part();
        });
    }

    #[test]
    fn an_affinity_that_somebody_else_set_meanwhile_stays() {
        beside(|caller| {
            let all = sched_getaffinity(None).unwrap();
            let pairing = Pairing::default();
            slowly(&pairing, caller, IN_A_ROW + 1);
            let Some(one) = pairing.seen().pair.as_ref().map(|pair| pair.one) else {
                assert_eq!(all.count(), 1);
                return;
            };
            let mut other = all;
            (0..CpuSet::MAX_CPU).filter(|at| one.is_set(*at)).for_each(|at| other.unset(at));
            sched_setaffinity(Some(caller), &other).unwrap();
            pairing.part();
            assert_eq!(sched_getaffinity(Some(caller)).unwrap(), other);
            assert_eq!(sched_getaffinity(None).unwrap(), all);
        });
    }
}
