//! Threads for work of some milliseconds.
//!
//! A new thread begins on the processor of the one that starts it. Some kernels leave both there for milliseconds although
//! another processor has nothing to do (3 ms per start on a virtual machine whose scheduler packs its tasks), which is as long as
//! such work takes. So these threads step aside first.

use std::thread::{Builder, Scope, ScopedJoinHandle};

/// Does `side` on a thread of its own and `main` on this one; one after the other when there is no further thread.
pub fn beside<S: Send, M>(side: &(dyn Fn() -> S + Sync), main: impl FnOnce() -> M) -> (S, M) {
    std::thread::scope(|scope| {
        let started = start(scope, side);
        let main = main();
        let side = match started {
            Some(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            None => side(),
        };
        (side, main)
    })
}

/// Starts `work` on a thread of its own, on another processor than this one's where there is one; `None`: the system has no
/// further thread.
pub(in crate::os) fn start<'scope, 'env, T: Send + 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Option<ScopedJoinHandle<'scope, T>> {
    let here = processor::current();
    let work = move || {
        processor::leave(here);
        work()
    };
    let started = Builder::new().spawn_scoped(scope, work).ok();
    // It can step aside once it runs, and it may have to wait for this processor until then.
    std::thread::yield_now();
    started
}

#[cfg(target_os = "linux")]
mod processor {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

    pub(super) fn current() -> usize {
        sched_getcpu()
    }

    /// Moves the calling thread off `processor`. It may come back later: what it is allowed to use stays what it was. A system
    /// that refuses (sched_setaffinity(2): EINVAL when no other may be used) leaves it where it is.
    pub(super) fn leave(processor: usize) {
        if processor >= CpuSet::MAX_CPU || sched_getcpu() != processor {
            return;
        }
        let Ok(allowed) = sched_getaffinity(None) else { return };
        let mut others = allowed;
        others.unset(processor);
        if others.count() > 0 && sched_setaffinity(None, &others).is_ok() {
            let _ = sched_setaffinity(None, &allowed);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod processor {
    /// It has no name here.
    #[derive(Clone, Copy)]
    pub(super) struct Unknown;

    pub(super) fn current() -> Unknown {
        Unknown
    }

    /// There is no such request on this system.
    pub(super) fn leave(_: Unknown) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_done_and_a_panic_of_the_side_arrives() {
        assert_eq!(beside(&|| 1, || 2), (1, 2));
        let panicked = std::panic::catch_unwind(|| beside(&|| -> () { panic!("side") }, || ()));
        assert!(panicked.is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_stepped_aside_may_use_what_it_could_before() {
        use rustix::thread::sched_getaffinity;
        let allowed = sched_getaffinity(None).unwrap();
        for _ in 0..20 {
            let (of_thread, ()) = beside(&|| sched_getaffinity(None).unwrap(), || ());
            assert_eq!(of_thread, allowed);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_leaves_the_processor_where_another_may_be_used() {
        use rustix::thread::{sched_getaffinity, sched_getcpu};
        let several = sched_getaffinity(None).unwrap().count() > 1;
        // The scheduler may bring it back between the two, but not every time.
        let moved = (0..50).any(|_| {
            let here = sched_getcpu();
            processor::leave(here);
            sched_getcpu() != here
        });
        assert_eq!(moved, several);
    }
}
