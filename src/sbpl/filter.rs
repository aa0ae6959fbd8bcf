//! Filters of compiled rules: the typed form of `SPEC.md`, section "SBPL", after helpers and parameters are gone.
//!
//! Invariant: whatever an evaluator cannot decide from an [`super::Access`] is [`Filter::Opaque`] with its reason; no
//! variant is ever treated as "false" for want of knowledge.

use super::access::{Transport, VnodeType};
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
    /// Its arguments as written, on one line.
    pub arguments: String,
    /// What it depends on, as a lower-case fragment.
    pub reason: String,
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
