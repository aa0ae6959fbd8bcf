//! One access as a profile sees it: the question an evaluator answers.

use crate::vocab::{Operation, RuleRef, Verdict3};

/// An operation on a target, with what is known about the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access<'a> {
    /// What is attempted. Never a wildcard in an observed access; a question about a wildcard is answered like the
    /// kernel's rule for that name.
    pub operation: &'a Operation,
    /// What it is attempted on.
    pub target: Target<'a>,
}

/// What an access is aimed at. Attributes that are not known make filters on them undecided, never false.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target<'a> {
    /// Operations without an object (`process-fork`).
    None,
    /// A file, by canonical absolute path (bytes; not necessarily UTF-8).
    Path {
        /// Canonical absolute path without trailing slash (the root is `/`).
        path: &'a [u8],
        /// Type of the object where known.
        vnode_type: Option<VnodeType>,
        /// Permission bits (0 to 0o7777) where known.
        mode: Option<u32>,
    },
    /// A named object: sysctl, Mach service, shared memory, notification, preference domain.
    Name(&'a str),
    /// Another process. Where more is known than the strongest relation, [`Fact`]s named `target` list every relation that
    /// holds.
    Process(ProcessTarget),
    /// A network endpoint or socket path; see [`Endpoint`].
    Network(Endpoint<'a>),
    /// Another target with further attributes, for filters that look at more than the object itself.
    Described {
        /// The object.
        target: &'a Target<'a>,
        /// What else is known. A filter on an attribute that is not listed stays undecided.
        facts: &'a [Fact<'a>],
    },
}

/// One known attribute of an access, named like the filter that asks for it (`xattr`, `socket-domain`,
/// `xpc-service-name`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact<'a> {
    /// Filter name without its `-prefix` or `-regex` ending.
    pub filter: &'a str,
    /// The attribute's value as a profile would spell it.
    pub value: &'a str,
}

/// Object types of the `vnode-type` filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum VnodeType {
    RegularFile,
    Directory,
    BlockDevice,
    CharacterDevice,
    Symlink,
    Socket,
    Fifo,
    Tty,
}

/// Relation of a target process to the asking one (`target` filter): the first that holds, in the order of the variants
/// `Itself`, `Children`, `ProcessGroup`, `SameSandbox`, `Others`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum ProcessTarget {
    Itself,
    ProcessGroup,
    Children,
    SameSandbox,
    Others,
}

/// One side of a network access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint<'a> {
    /// TCP, UDP or another IP protocol.
    Ip {
        /// Transport protocol.
        transport: Transport,
        /// Whether the address is IPv6.
        v6: bool,
        /// Whether the address is a loopback address of this host.
        loopback: bool,
        /// Port, 1 to 65535; 0 for "any".
        port: u16,
    },
    /// A unix socket by path; `None` for an unnamed or abstract socket.
    Unix(Option<&'a [u8]>),
}

/// Transport protocols the `local` and `remote` filters tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Transport {
    Tcp,
    Udp,
    Other,
}

/// The answer: what is decided, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The three-valued decision.
    pub decision: Verdict3,
    /// The deciding rule as a reader finds it; `None` when no rule matched and no default line exists (deny).
    pub rule: Option<RuleRef>,
}

/// Anything that can answer accesses: a compiled profile, or a table in a test.
pub trait Decide: Send + Sync {
    /// Answers one access; total and bounded.
    fn decide(&self, access: &Access<'_>) -> Verdict;
}
