//! Profile to what a kernel can express: pure.
//!
//! Two bounds come out, both supersets of what the profile could ever allow. The outer one (D1) holds for the supervisor,
//! which performs file operations on behalf of the program; the inner one (D2) for the program itself, which needs next to
//! nothing, because every file it opens is opened for it. Neither decides anything: they bound what a mistake can reach.

use std::collections::BTreeMap;

use crate::sbpl::{Policy, Roots};
use crate::vocab::{Decision, Operation};

/// Rights on a tree or file, as far as a bound tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights {
    /// Read files and list directories.
    pub read: bool,
    /// Change, make and remove.
    pub write: bool,
    /// Run programs, which includes reading them.
    pub execute: bool,
}

impl Rights {
    /// Everything.
    pub const ALL: Self = Self { read: true, write: true, execute: true };

    fn or(self, other: Self) -> Self {
        Self { read: self.read || other.read, write: self.write || other.write, execute: self.execute || other.execute }
    }

    /// The rights as words.
    #[must_use]
    pub fn words(self) -> Vec<String> {
        [(self.read, "read"), (self.write, "write"), (self.execute, "execute")]
            .into_iter()
            .filter(|(held, _)| *held)
            .map(|(_, word)| word.to_owned())
            .collect()
    }
}

/// One bound: trees and files with rights.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bound {
    /// By absolute path.
    pub roots: BTreeMap<String, RootRights>,
}

/// Rights of one root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RootRights {
    /// What may be done there, and beneath where `beneath` says so.
    pub rights: Rights,
    /// Whether everything below a directory is meant too.
    pub beneath: bool,
    /// Why the root is there when the profile does not name it.
    pub why: Option<&'static str>,
}

/// Why the parent of a named path is admitted.
const FOR_ENTRIES: &str = "entries are made and removed through their directory";

impl Bound {
    /// Adds rights on a path.
    pub fn add(&mut self, path: &str, beneath: bool, rights: Rights, why: Option<&'static str>) {
        let none = RootRights { rights: Rights::default(), beneath, why };
        let entry = self.roots.entry(path.to_owned()).or_insert(none);
        entry.rights = entry.rights.or(rights);
        entry.beneath |= beneath;
        if why.is_none() {
            entry.why = None;
        }
    }

    fn add_roots(&mut self, roots: &Roots, rights: Rights) {
        match roots {
            Roots::All => self.add("/", true, rights, None),
            Roots::Paths(paths) => paths.iter().for_each(|root| self.add(&root.path, root.beneath, rights, None)),
        }
    }

    /// Directories in which entries named by the roots are made or removed.
    fn add_parents(&mut self, roots: &Roots) {
        let Roots::Paths(paths) = roots else { return };
        for root in paths {
            if let Some((parent, _)) = root.path.rsplit_once('/') {
                let parent = if parent.is_empty() { "/" } else { parent };
                self.add(parent, true, Rights { write: true, ..Rights::default() }, Some(FOR_ENTRIES));
            }
        }
    }
}

/// What the kernel is asked to enforce below the supervisor, and what it is left to do alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lowered {
    /// Bound of the supervisor.
    pub d1: Bound,
    /// Bound of the program.
    pub d2: Bound,
    /// Whether the exec rules are expressed exactly, so that a race cannot run a program the profile denies.
    pub exec_is_exact: bool,
}

/// Operations that change what a path names: their paths' directories are written.
const ENTRY_OPERATIONS: [&str; 3] = ["file-write-create", "file-write-unlink", "file-mknod"];

/// Derives both bounds. `read_alone` and `write_alone` say that reading or every kind of writing is left to the kernel,
/// because the profile allows it everywhere and nobody asks for records.
#[must_use]
pub fn lower(policy: &Policy, read_alone: bool, write_alone: bool) -> Lowered {
    let roots = |name: &str| policy.allow_roots(&Operation::new(name));
    let exec = roots("process-exec*").union(roots("process-exec-interpreter"));
    let execute = Rights { execute: true, ..Rights::default() };
    let mut d2 = Bound::default();
    d2.add_roots(&exec, execute);
    if read_alone {
        d2.add("/", true, Rights { read: true, ..Rights::default() }, None);
    }
    if write_alone {
        d2.add("/", true, Rights { write: true, read: true, ..Rights::default() }, None);
    }
    let mut d1 = d2.clone();
    d1.add_roots(&roots("file-read-data"), Rights { read: true, ..Rights::default() });
    // What is written is also read, renamed and linked: equal rights on all such roots keep the kernel from taking a move
    // between two of them for a way to gain rights.
    d1.add_roots(&roots("file-write-data"), Rights::ALL);
    for name in ENTRY_OPERATIONS {
        d1.add_roots(&roots(name), Rights::ALL);
        d1.add_parents(&roots(name));
    }
    for (path, root) in &mut d1.roots {
        if root.rights.write && path != "/" {
            root.rights = Rights::ALL;
        }
    }
    d1.add("/proc", true, Rights { read: true, ..Rights::default() }, Some("the supervisor looks up its processes"));
    Lowered { d1, d2, exec_is_exact: exec_is_exact(policy) }
}

/// Exact when the same is allowed for programs and interpreters: everything, nothing, or trees and files without a later
/// exception. Decided on the rules: any deny with a filter, or an allow that is not plain paths, makes it a superset.
fn exec_is_exact(policy: &Policy) -> bool {
    ["process-exec*", "process-exec-interpreter"].iter().all(|name| {
        let operation = Operation::new(*name);
        if policy.unconditional(&operation).is_some() {
            return true;
        }
        policy.rules().iter().filter(|rule| rule.covers(&operation)).all(|rule| match (&rule.filter, rule.action) {
            (None, Decision::Deny) => true,
            (Some(filter), Decision::Allow) => is_plain(filter),
            _ => false,
        })
    }) && same_for_both(policy)
}

/// A program allowed only as an interpreter could be run as a program by a race, and the other way round.
fn same_for_both(policy: &Policy) -> bool {
    let roots = |name: &str| policy.allow_roots(&Operation::new(name));
    roots("process-exec*") == roots("process-exec-interpreter")
}

fn is_plain(filter: &crate::sbpl::Filter) -> bool {
    use crate::sbpl::Filter;
    match filter {
        Filter::Literal(_) | Filter::Subpath(_) => true,
        Filter::RequireAny(any) => any.iter().all(is_plain),
        _ => false,
    }
}
