//! Switching single protections off, so that a test sees what each of them holds back.
//!
//! An attack that fails says little as long as it would fail anyway. `tests/attacks` runs every attack a second time with
//! the protection it is aimed at switched off, and there it must succeed. That needs a switch in the enforcement itself. It
//! exists under the feature `test-fakes` only, which nothing but this crate's own tests turns on: in every other build
//! [`off`] and [`lets_through`] are the constant `false`, and the command line does not know the flag.
//!
//! The switch is one per process and set once, before anything is confined; forked processes inherit it.

/// Something that a hook can leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "test-fakes", derive(serde::Deserialize))]
#[cfg_attr(feature = "test-fakes", serde(rename_all = "snake_case"))]
pub(super) enum Protection {
    /// The supervisor performs a call itself. Off: the kernel runs every call the profile does not refuse.
    Emulation,
    /// A path is judged by its canonical form. Off: as it is spelt.
    CanonicalPaths,
    /// The kernel proves that the path opened holds no link. Off: it follows them.
    NoLinkProof,
    /// What goes up from an entry that is missing leads nowhere. Off: the kernel decides, when the entry may be there.
    MissingWayUp,
    /// Relative paths start where the caller is. Off: where the supervisor is.
    CallersDirectory,
    /// What lies in a directory that is renamed is judged. Off: the directory only.
    MovedEntries,
    /// Nothing is made in a directory between that judgement and its move. Off: entries are made meanwhile.
    StillEntries,
    /// Per-process files of processes outside the tree are refused. Off: the profile decides.
    OutsiderFiles,
    /// The outer Landlock domain.
    OuterDomain,
    /// The inner Landlock domain.
    InnerDomain,
    /// System calls of a foreign architecture do not exist. Off: they run.
    Architecture,
    /// Files in memory cannot be executed. Off: they can.
    MemoryFilesNotExecutable,
    /// A program without a path needs exec allowed everywhere. Off: the profile decides by the name the kernel has.
    ProgramsWithoutPath,
    /// Interpreters are judged. Off: programs only.
    Interpreters,
    /// What was executed is judged again before its first instruction.
    ExecStop,
    /// What is left of the tree is ended with its first process, and with the supervisor.
    EndOfTree,
    /// Files are made under the caller's umask. Off: under the worker's.
    CallersUmask,
    /// Workers are added while all are stuck.
    MoreWorkers,
    /// `/dev/tty` is the caller's terminal. Off: the supervisor's.
    OwnTerminal,
    /// Descriptors that the program was not given are closed.
    ClosedDescriptors,
    /// `no_new_privs`. Off: set-uid programs run with their owner's rights.
    NoNewPrivs,
}

/// Whether a protection has been switched off.
pub(super) fn off(protection: Protection) -> bool {
    switch::off(protection)
}

/// Whether the filter was told to let this system call through.
pub(super) fn lets_through(call: &str) -> bool {
    switch::lets_through(call)
}

#[cfg(not(feature = "test-fakes"))]
mod switch {
    pub(super) const fn off(_: super::Protection) -> bool {
        false
    }

    pub(super) const fn lets_through(_: &str) -> bool {
        false
    }
}

#[cfg(feature = "test-fakes")]
pub use switch::{UnknownProtection, names, switch_off};

#[cfg(feature = "test-fakes")]
mod switch {
    use std::sync::OnceLock;

    use serde::Deserialize as _;
    use serde::de::IntoDeserializer as _;
    use serde::de::value::{Error, StrDeserializer};

    use super::Protection;

    #[derive(Debug)]
    struct Off {
        names: Vec<String>,
        protections: Vec<Protection>,
        calls: Vec<String>,
    }

    static OFF: OnceLock<Off> = OnceLock::new();

    /// A name that is no protection's.
    #[derive(Debug, thiserror::Error)]
    #[error("no protection is called {0:?}")]
    pub struct UnknownProtection(String);

    /// Switches protections off by name for the rest of this process's life: `snake_case` names of the protections, and
    /// `call:NAME` for a system call that the filter shall let through. Only the first call has an effect.
    ///
    /// # Errors
    /// [`UnknownProtection`]; nothing is switched off then.
    pub fn switch_off(names: &[String]) -> Result<(), UnknownProtection> {
        let mut off = Off { names: names.to_vec(), protections: Vec::new(), calls: Vec::new() };
        for name in names {
            match name.strip_prefix("call:") {
                Some(call) => off.calls.push(call.to_owned()),
                None => off.protections.push(protection(name).ok_or_else(|| UnknownProtection(name.clone()))?),
            }
        }
        let _ = OFF.set(off);
        Ok(())
    }

    fn protection(name: &str) -> Option<Protection> {
        let name: StrDeserializer<'_, Error> = name.into_deserializer();
        Protection::deserialize(name).ok()
    }

    /// What has been switched off, for the report.
    #[must_use]
    pub fn names() -> Vec<String> {
        OFF.get().map(|off| off.names.clone()).unwrap_or_default()
    }

    pub(super) fn off(protection: Protection) -> bool {
        OFF.get().is_some_and(|off| off.protections.contains(&protection))
    }

    pub(super) fn lets_through(call: &str) -> bool {
        OFF.get().is_some_and(|off| off.calls.iter().any(|name| name == call))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn protections_have_names_and_nothing_is_off_by_itself() {
            assert_eq!(protection("emulation"), Some(Protection::Emulation));
            assert_eq!(protection("no_new_privs"), Some(Protection::NoNewPrivs));
            assert!(switch_off(&["emulatoin".to_owned()]).is_err());
            assert!(!off(Protection::Emulation) && !lets_through("ptrace") && names().is_empty());
        }
    }
}
