//! Giving up privilege for good: capabilities (capabilities(7)) and `no_new_privs` (prctl(2)).

use rustix::io::Errno;
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
