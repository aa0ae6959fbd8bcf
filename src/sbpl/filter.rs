//! Filters of compiled rules: the typed form of `SPEC.md`, section "SBPL", after helpers and parameters are gone.
//!
//! Invariant: whatever an evaluator cannot decide from an [`super::Access`] is [`Filter::Opaque`] with its reason; no
//! variant is ever treated as "false" for want of knowledge.

use std::fmt;

use super::access::{Transport, VnodeType};
use super::form::write_string;
use super::pattern::Pattern;

/// One condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Filter {
    /// Exactly this path (`literal`, `path`, `path-literal`).
    Literal(String),
    /// This path and everything below it.
    Subpath(String),
    /// Every path that begins with this text, without regard to components.
    Prefix(String),
    /// Every path the expression finds a match in.
    Regex(Pattern),
    /// Every proper ancestor of this path.
    PathAncestors(String),
    /// Objects of this type.
    VnodeType(VnodeType),
    /// Objects whose permission bits include this mask (1 to 0o7777).
    FileMode(u32),
    /// Processes in this relation to the asking one.
    Target(TargetRelation),
    /// One side of a network access.
    Network(NetworkFilter),
    /// A named attribute of the object (Mach service, sysctl, notification, …).
    Name(NameFilter),
    /// All of them; an empty list is true.
    RequireAll(Vec<Filter>),
    /// Any of them; an empty list is false.
    RequireAny(Vec<Filter>),
    /// Not this one.
    RequireNot(Box<Filter>),
    /// Depends on something an evaluator cannot see.
    Opaque(Opaque),
}

/// A filter that stays undecided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opaque {
    /// Filter name as written.
    pub name: String,
    /// Its arguments on one line: literals as written, names and calls by their values.
    pub arguments: String,
    /// What it depends on, as a lower-case fragment.
    pub reason: String,
    /// Which evaluation of the arguments this is, where their text does not say what they mean: two with equal texts
    /// may then differ. `None` where equal texts mean the same.
    pub evaluation: Option<String>,
}

/// Relations the `target` filter names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum TargetRelation {
    Itself,
    ProcessGroup,
    Others,
    Children,
    SameSandbox,
}

/// `local` or `remote` with what it asks of that side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFilter {
    /// Which end of the connection.
    pub side: Side,
    /// What is asked of it.
    pub peer: Peer,
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Side {
    Local,
    Remote,
}

/// What a network filter asks of one end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// An IP endpoint.
    Ip {
        /// Transport asked for; `None` for any (`ip`, `ip4`, `ip6`).
        transport: Option<Transport>,
        /// Address family asked for: `Some(true)` IPv6, `Some(false)` IPv4, `None` either.
        v6: Option<bool>,
        /// Whether only loopback addresses match (`localhost`); the other spelling is `*`.
        localhost: bool,
        /// Port asked for; `None` for `*` or no address.
        port: Option<u16>,
    },
    /// A unix socket, with a filter on its path where one is given.
    Unix(Option<Box<Filter>>),
}

/// A test of one named attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFilter {
    /// The attribute: the filter's name without `-prefix` or `-regex`.
    pub attribute: &'static str,
    /// The test of its value.
    pub test: NameTest,
}

/// How a name is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameTest {
    /// The whole name.
    Exact(String),
    /// The beginning of the name.
    Prefix(String),
    /// A match anywhere unless anchored.
    Regex(Pattern),
}

/// How a path is spelled that the system has resolved, where it is spelled otherwise: absolute paths have no `.`, `..` and
/// empty components then, and only such paths are compared. Of a `prefix` the last component may go on in the path. `..` is
/// taken by the text, as if no link were on the way.
pub(crate) fn resolved_spelling(path: &str, is_prefix: bool) -> Option<String> {
    let inner = path.strip_prefix('/')?;
    let (whole, last) = match inner.rsplit_once('/') {
        Some((whole, last)) if is_prefix => (whole, Some(last)),
        None if is_prefix => return None,
        _ => (inner.trim_end_matches('/'), None),
    };
    if whole.is_empty() && last.is_none() {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.iter().copied().eq(whole.split('/')) {
        return None;
    }
    parts.extend(last);
    Some(format!("/{}", parts.join("/")))
}

/// Spellings of the `vnode-type` filter.
pub(crate) const VNODE_TYPES: [(&str, VnodeType); 8] = [
    ("REGULAR-FILE", VnodeType::RegularFile),
    ("DIRECTORY", VnodeType::Directory),
    ("BLOCK-DEVICE", VnodeType::BlockDevice),
    ("CHARACTER-DEVICE", VnodeType::CharacterDevice),
    ("SYMLINK", VnodeType::Symlink),
    ("SOCKET", VnodeType::Socket),
    ("FIFO", VnodeType::Fifo),
    ("TTY", VnodeType::Tty),
];

/// Spellings of the `target` filter.
pub(crate) const TARGETS: [(&str, TargetRelation); 5] = [
    ("self", TargetRelation::Itself),
    ("pgrp", TargetRelation::ProcessGroup),
    ("others", TargetRelation::Others),
    ("children", TargetRelation::Children),
    ("same-sandbox", TargetRelation::SameSandbox),
];

/// Protocol names of `local` and `remote`: transport and address family (true: IPv6), where one is asked for.
pub(crate) const PROTOCOLS: [(&str, Option<Transport>, Option<bool>); 9] = [
    ("ip", None, None),
    ("ip4", None, Some(false)),
    ("ip6", None, Some(true)),
    ("tcp", Some(Transport::Tcp), None),
    ("tcp4", Some(Transport::Tcp), Some(false)),
    ("tcp6", Some(Transport::Tcp), Some(true)),
    ("udp", Some(Transport::Udp), None),
    ("udp4", Some(Transport::Udp), Some(false)),
    ("udp6", Some(Transport::Udp), Some(true)),
];

fn spelling<T: PartialEq>(known: &[(&'static str, T)], value: &T) -> &'static str {
    known.iter().find(|(_, own)| own == value).map_or("?", |(name, _)| name)
}

impl fmt::Display for Filter {
    /// The filter as a profile spells it, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = |f: &mut fmt::Formatter<'_>, name: &str, text: &str| {
            write!(f, "({name} ")?;
            write_string(text, f)?;
            f.write_str(")")
        };
        let all = |f: &mut fmt::Formatter<'_>, name: &str, inner: &[Filter]| {
            write!(f, "({name}")?;
            inner.iter().try_for_each(|filter| write!(f, " {filter}"))?;
            f.write_str(")")
        };
        match self {
            Self::Literal(path) => call(f, "literal", path),
            Self::Subpath(path) => call(f, "subpath", path),
            Self::Prefix(text) => call(f, "prefix", text),
            Self::PathAncestors(path) => call(f, "path-ancestors", path),
            Self::Regex(pattern) => write!(f, "(regex {pattern})"),
            Self::VnodeType(own) => write!(f, "(vnode-type {})", spelling(&VNODE_TYPES, own)),
            Self::FileMode(mask) => write!(f, "(file-mode #o{mask:04o})"),
            Self::Target(relation) => write!(f, "(target {})", spelling(&TARGETS, relation)),
            Self::Network(network) => write!(f, "{network}"),
            Self::Name(name) => write!(f, "{name}"),
            Self::RequireAll(inner) => all(f, "require-all", inner),
            Self::RequireAny(inner) => all(f, "require-any", inner),
            Self::RequireNot(inner) => write!(f, "(require-not {inner})"),
            Self::Opaque(opaque) => {
                let gap = if opaque.arguments.is_empty() { "" } else { " " };
                write!(f, "({}{gap}{})", opaque.name, opaque.arguments)
            }
        }
    }
}

impl fmt::Display for NetworkFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.side {
            Side::Local => "(local ",
            Side::Remote => "(remote ",
        })?;
        match &self.peer {
            Peer::Unix(None) => f.write_str("unix-socket)"),
            Peer::Unix(Some(path)) => write!(f, "unix-socket {path})"),
            Peer::Ip { transport, v6, localhost, port } => {
                let protocol = PROTOCOLS.iter().find(|(_, own, family)| own == transport && family == v6);
                f.write_str(protocol.map_or("?", |(name, _, _)| name))?;
                let host = if *localhost { "localhost" } else { "*" };
                match port {
                    None => write!(f, " \"{host}:*\")"),
                    Some(port) => write!(f, " \"{host}:{port}\")"),
                }
            }
        }
    }
}

impl fmt::Display for NameFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.test {
            NameTest::Exact(text) => {
                write!(f, "({} ", self.attribute)?;
                write_string(text, f)?;
                f.write_str(")")
            }
            NameTest::Prefix(text) => {
                write!(f, "({}-prefix ", self.attribute)?;
                write_string(text, f)?;
                f.write_str(")")
            }
            NameTest::Regex(pattern) => write!(f, "({}-regex {pattern})", self.attribute),
        }
    }
}
