//! Giving up privilege: capabilities (capabilities(7)) and `no_new_privs` (prctl(2)), for good or for one call.

use std::marker::PhantomData;

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Capabilities that stay with a tree started by root: none of them reaches past file modes or another process.
const KEPT: &[CapabilitySet] = &[CapabilitySet::CHOWN, CapabilitySet::FSETID, CapabilitySet::NET_BIND_SERVICE];

/// Gives up every capability but a harmless few, in all five sets, and sets `no_new_privs`. Returns the names of the
/// capabilities the caller held and lost.
///
/// What goes with them: DAC_OVERRIDE and DAC_READ_SEARCH (file modes apply to root too), SETUID and SETGID (the tree's
/// identity cannot change, so the supervisor always acts with the same one), SYS_ADMIN, SYS_PTRACE and the rest.
///
/// # Errors
/// The system's answer when a set cannot be reduced.
pub fn drop_capabilities() -> Result<Vec<String>, Errno> {
    let kept = KEPT.iter().fold(CapabilitySet::empty(), |all, one| all | *one);
    let held = rustix::thread::capabilities(None)?;
    let before = held.effective | held.permitted;
    rustix::thread::clear_ambient_capability_set()?;
    // Without SETPCAP the bounding set stays; `no_new_privs` keeps an exec from gaining anything out of it.
    if held.effective.contains(CapabilitySet::SETPCAP) {
        for capability in CapabilitySet::all().iter().filter(|one| !kept.contains(*one)) {
            match rustix::thread::remove_capability_from_bounding_set(capability) {
                // A capability that this kernel does not know.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    let left = CapabilitySets {
        effective: held.effective & kept,
        permitted: held.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, left)?;
    rustix::thread::set_no_new_privs(true)?;
    let lost = before & !kept;
    Ok(lost.iter_names().map(|(name, _)| format!("CAP_{name}")).collect())
}

/// The calling thread with fewer effective capabilities, until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Lowered {
    before: CapabilitySets,
    /// It stays with the thread whose capabilities these are.
    _of_this_thread: PhantomData<*const ()>,
}

impl Lowered {
    /// Takes from the calling thread what another thread does not have in effect. `None`: nothing had to be taken, the other one
    /// unasked where this one has none.
    ///
    /// # Errors
    /// The system's answer: ESRCH when the other one is gone. The calling thread has what it had then, and must not act.
    pub fn to_those_of(tid: i32) -> Result<Option<Self>, Errno> {
        let before = rustix::thread::capabilities(None)?;
        if before.effective.is_empty() {
            return Ok(None);
        }
        let theirs = rustix::thread::capabilities(Some(Pid::from_raw(tid).ok_or(Errno::SRCH)?))?.effective;
        if theirs.contains(before.effective) {
            return Ok(None);
        }
        // What is permitted stays, so that it can be taken up again.
        let effective = before.effective & theirs;
        rustix::thread::set_capabilities(None, CapabilitySets { effective, ..before })?;
        Ok(Some(Self { before, _of_this_thread: PhantomData }))
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        // Nothing keeps a thread from what it is permitted; should it fail all the same, the thread goes on with less.
        let _ = rustix::thread::set_capabilities(None, self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_thread_lacks_is_lowered_and_comes_back() {
        let own = || rustix::thread::capabilities(None).unwrap();
        let before = own();
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let none = CapabilitySets { effective: CapabilitySet::empty(), ..own() };
                rustix::thread::set_capabilities(None, none).unwrap();
                tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
                let _ = ended.recv();
            });
            let other = told.recv().unwrap();
            let lowered = Lowered::to_those_of(other).unwrap();
            assert_eq!(lowered.is_some(), !before.effective.is_empty());
            assert_eq!((own().effective, own().permitted), (CapabilitySet::empty(), before.permitted));
            drop(lowered);
            assert_eq!(own().effective, before.effective);
            let panicked = std::panic::catch_unwind(|| {
                let _lowered = Lowered::to_those_of(other).unwrap();
                panic!("while lowered");
            });
            assert!(panicked.is_err() && own().effective == before.effective);
            drop(end);
        });
        let same = rustix::thread::gettid().as_raw_nonzero().get();
        assert!(Lowered::to_those_of(same).unwrap().is_none());
        let nobody = Lowered::to_those_of(i32::MAX);
        assert_eq!(nobody.is_err(), !before.effective.is_empty());
    }
}
