//! Profile to what a kernel can express: pure.
//!
//! Two bounds come out, both supersets of what the profile could ever allow. The outer one (D1) holds for the supervisor,
//! which performs file operations on behalf of the program; the inner one (D2) for the program itself, which needs next to
//! nothing, because every file it opens is opened for it. Neither decides anything: they bound what a mistake can reach.

use std::collections::BTreeMap;

use crate::sbpl::{Policy, Ports, Roots};
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
    /// Whether entries directly below `/` would have to be made or removed. The kernel knows no right on one directory alone,
    /// so that would admit writing everywhere; it is left out instead.
    pub leaves_out_root_entries: bool,
    /// Whether writing includes opening for it. Otherwise it is making, removing and cutting short.
    pub opens_for_writing: bool,
    /// TCP ports that connections may be made to.
    pub connect: Ports,
    /// TCP ports that sockets may be bound to.
    pub bind: Ports,
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
                if parent.is_empty() {
                    self.leaves_out_root_entries = true;
                } else {
                    self.add(parent, true, Rights { write: true, ..Rights::default() }, Some(FOR_ENTRIES));
                }
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
    /// Whether any program may run, or none: then a race has nothing to win.
    pub exec_is_unconditional: bool,
    /// Whether something may be an interpreter and entries may be made or removed somewhere. An interpreter opens its script by
    /// itself, so what the script's path leads to can be exchanged in between.
    pub scripts_can_be_exchanged: bool,
}

const EXEC_OPERATIONS: [&str; 2] = ["process-exec*", "process-exec-interpreter"];

/// Where POSIX shared memory and semaphores lie.
pub(super) const SHARED_MEMORY: &str = "/dev/shm";

/// Operations on POSIX shared memory and semaphores that open, make or remove one.
pub(super) const POSIX_IPC: [&str; 7] = [
    "ipc-posix-sem-create",
    "ipc-posix-sem-open",
    "ipc-posix-sem-unlink",
    "ipc-posix-shm-read-data",
    "ipc-posix-shm-write-create",
    "ipc-posix-shm-write-data",
    "ipc-posix-shm-write-unlink",
];

/// Operations that change what a path names: their paths' directories are written.
const ENTRY_OPERATIONS: [&str; 3] = ["file-write-create", "file-write-unlink", "file-mknod"];

/// What is left to the kernel, because the profile allows it everywhere and nobody asks for records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeftAlone {
    /// Reading.
    pub read: bool,
    /// Every kind of changing files but opening them for writing: what is below `/proc` is no file to the profile alone.
    pub write: bool,
    /// Connecting.
    pub connect: bool,
    /// Binding.
    pub bind: bool,
}

/// Derives both bounds.
#[must_use]
pub fn lower(policy: &Policy, alone: LeftAlone) -> Lowered {
    let roots = |name: &str| policy.allow_roots(&Operation::new(name));
    let exec = roots("process-exec*").union(roots("process-exec-interpreter"));
    let execute = Rights { execute: true, ..Rights::default() };
    let mut d2 = Bound::default();
    d2.add_roots(&exec, execute);
    if alone.read {
        d2.add("/", true, Rights { read: true, ..Rights::default() }, None);
    }
    if alone.write {
        d2.add("/", true, Rights { write: true, read: true, ..Rights::default() }, None);
    }
    let mut d1 = d2.clone();
    let ports = |name: &str| policy.allow_reach(&Operation::new(name)).tcp;
    d1.opens_for_writing = true;
    (d1.connect, d1.bind) = (ports("network-outbound"), ports("network-bind"));
    // The program connects and binds nothing itself, unless it is left alone with it.
    (d2.connect, d2.bind) = (Ports::none(), Ports::none());
    if alone.connect {
        d2.connect = Ports::All;
    }
    if alone.bind {
        d2.bind = Ports::All;
    }
    d1.add_roots(&roots("file-read-data"), Rights { read: true, ..Rights::default() });
    // What is written is also read, renamed and linked: equal rights on all such roots keep the kernel from taking a move
    // between two of them for a way to gain rights.
    d1.add_roots(&roots("file-write-data"), Rights::ALL);
    for name in ENTRY_OPERATIONS {
        d1.add_roots(&roots(name), Rights::ALL);
        d1.add_parents(&roots(name));
    }
    if POSIX_IPC.iter().any(|name| policy.unconditional(&Operation::new(*name)) != Some(Decision::Deny)) {
        d1.add(SHARED_MEMORY, true, Rights::ALL, Some("POSIX shared memory and semaphores lie there"));
    }
    if d1.roots.contains_key("/dev/tty") {
        d1.add(
            "/dev/pts",
            true,
            Rights { read: true, write: true, execute: false },
            Some("/dev/tty can be any of these"),
        );
    }
    for (path, root) in &mut d1.roots {
        if root.rights.write && path != "/" {
            root.rights = Rights::ALL;
        }
    }
    d1.add("/proc", true, Rights { read: true, ..Rights::default() }, Some("the supervisor looks up its processes"));
    Lowered {
        d1,
        d2,
        exec_is_exact: exec_is_exact(policy),
        exec_is_unconditional: exec_is_unconditional(policy),
        scripts_can_be_exchanged: scripts_can_be_exchanged(policy),
    }
}

/// Exact when the same is allowed for programs and interpreters: everything, nothing, or trees and files without a later
/// exception. Decided on the rules: any deny with a filter, or an allow that is not plain paths, makes it a superset.
fn exec_is_exact(policy: &Policy) -> bool {
    EXEC_OPERATIONS.iter().all(|name| {
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

fn exec_is_unconditional(policy: &Policy) -> bool {
    match EXEC_OPERATIONS.map(|name| policy.unconditional(&Operation::new(name))) {
        [Some(Decision::Deny), _] => true,
        [program, interpreter] => program.is_some() && program == interpreter,
    }
}

fn scripts_can_be_exchanged(policy: &Policy) -> bool {
    let some = |name: &'static str| policy.unconditional(&Operation::named(name)) != Some(Decision::Deny);
    some("process-exec-interpreter") && ENTRY_OPERATIONS.into_iter().any(some)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbpl::{NoImports, Params, Source};

    #[test]
    fn exec_is_unconditional_when_any_program_may_run_or_none() {
        for (rules, unconditional) in [
            ("", true),
            ("(allow process-exec*)", true),
            ("(allow process-exec-interpreter (literal \"/l\"))", true),
            ("(allow process-exec* (literal \"/c\"))", false),
            ("(allow process-exec*)(deny process-exec-interpreter)", false),
            ("(allow process-exec*)(deny process-exec-interpreter (literal \"/l\"))", false),
        ] {
            assert_eq!(lowered(rules).exec_is_unconditional, unconditional, "{rules}");
        }
    }

    fn lowered(rules: &str) -> Lowered {
        let text = format!("(version 1)\n(deny default)\n{rules}");
        let policy = Policy::compile(&[Source::new("p.sb", text)], &Params::new(), &NoImports).unwrap();
        lower(&policy, LeftAlone::default())
    }

    fn shown(bound: &Bound) -> Vec<String> {
        let text = |(path, root): (&String, &RootRights)| {
            format!("{path}{} {}", if root.beneath { "/**" } else { "" }, root.rights.words().join("+"))
        };
        bound.roots.iter().filter(|(path, _)| *path != "/proc").map(text).collect()
    }

    #[test]
    fn scripts_can_be_exchanged_where_some_may_run_and_something_may_be_made() {
        for (rules, exchanged) in [
            ("", false),
            ("(allow process-exec* (literal \"/c\"))", false),
            ("(allow process-exec-interpreter (literal \"/l\"))", false),
            ("(allow file-write* (subpath \"/w\"))", false),
            ("(allow process-exec-interpreter (literal \"/l\"))(allow file-write-data (subpath \"/w\"))", false),
            ("(allow process-exec-interpreter (literal \"/l\"))(allow file-write-unlink (subpath \"/w\"))", true),
            ("(allow process-exec-interpreter (literal \"/l\"))(allow file-write* (subpath \"/w\"))", true),
        ] {
            assert_eq!(lowered(rules).scripts_can_be_exchanged, exchanged, "{rules}");
        }
    }

    #[test]
    fn the_program_itself_gets_its_programs_and_nothing_else() {
        let lowered = lowered("(allow process-exec* (subpath \"/b\"))(allow file* (subpath \"/w\"))");
        assert_eq!(shown(&lowered.d2), ["/b/** execute"]);
        assert_eq!(shown(&lowered.d1), ["/b/** execute", "/w/** read+write+execute"]);
        assert!(lowered.d1.leaves_out_root_entries);
    }

    #[test]
    fn entries_are_made_in_the_directory_above() {
        let lowered = lowered("(allow file-write-create (literal \"/a/b/c\"))");
        assert_eq!(shown(&lowered.d1), ["/a/b/** read+write+execute", "/a/b/c read+write+execute"]);
        assert!(!lowered.d1.leaves_out_root_entries);
    }

    #[test]
    fn a_deny_never_widens_and_an_allow_never_escapes_the_bound() {
        let lowered = lowered(
            "(allow file-read-data (subpath \"/a\"))(deny file-read-data (subpath \"/a/b\"))\
             (allow file-read-data (literal \"/c/d\"))(allow file-read-metadata)",
        );
        assert_eq!(shown(&lowered.d1), ["/a/** read", "/c/d read"]);
        assert_eq!(shown(&lowered.d2), Vec::<String>::new());
        assert_eq!(shown(&super::tests::lowered("(allow file-read-data)").d1), ["//** read"]);
    }

    #[test]
    fn ports_bound_the_supervisor_and_the_program_has_none() {
        let lowered = lowered("(allow network-outbound (remote tcp \"*:80\"))(allow network-bind (local ip \"*:*\"))");
        assert_eq!(lowered.d1.connect, Ports::Only([80].into()));
        assert_eq!(lowered.d1.bind, Ports::All);
        assert_eq!((lowered.d2.connect, lowered.d2.bind), (Ports::none(), Ports::none()));
    }

    #[test]
    fn what_changes_files_alone_does_not_open_them() {
        let text = "(version 1)(allow default)";
        let policy = Policy::compile(&[Source::new("p.sb", text)], &Params::new(), &NoImports).unwrap();
        let alone = LeftAlone { read: true, write: true, ..LeftAlone::default() };
        let lowered = lower(&policy, alone);
        assert_eq!(shown(&lowered.d2), ["//** read+write+execute"]);
        assert!(lowered.d1.opens_for_writing && !lowered.d2.opens_for_writing);
    }

    #[test]
    fn exec_rules_are_exact_only_as_plain_paths_for_programs_and_interpreters_alike() {
        for (rules, exact) in [
            ("", true),
            ("(allow process-exec*)", true),
            ("(allow process-exec* (subpath \"/b\") (literal \"/c\"))", true),
            ("(allow process-exec-interpreter (literal \"/l\"))(allow process-exec* (literal \"/c\"))", false),
            ("(allow process-exec* (subpath \"/b\"))(deny process-exec* (literal \"/b/x\"))", false),
            ("(allow process-exec* (regex #\"^/b/x\"))", false),
            ("(allow process-exec* (require-all (subpath \"/b\") (vnode-type REGULAR-FILE)))", false),
        ] {
            assert_eq!(lowered(rules).exec_is_exact, exact, "{rules}");
        }
    }
}
