//! Three-valued matching of one filter against one access.
//!
//! Invariant: a missing attribute makes a filter undecided; a filter that does not fit the operation is false.

use std::fmt;

use super::access::{Access, Endpoint, Fact, ProcessTarget, Target, Transport};
use super::filter::{Filter, NameFilter, NameTest, NetworkFilter, Opaque, Peer, Side, TARGETS, TargetRelation};
use super::holdings;
use super::pattern::Pattern;
use super::vocabulary::{self, FilterSpec};
use crate::vocab::Operation;

/// Kleene's three values, the third with its reason.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Truth<'p> {
    No,
    Yes,
    Unknown(Reason<'p>),
}

/// Why a filter or an import leaves a decision open.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reason<'p> {
    Opaque(&'p Opaque),
    /// The access does not carry this attribute.
    Attribute(&'p str),
    /// The pattern uses a construct without an agreed meaning.
    Pattern(&'p Pattern),
    /// The kernel's answer is not settled for this combination.
    Unsettled(&'static str),
    /// Any rule may stand where an import is not available.
    Import(&'p str),
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opaque(opaque) => {
                let gap = if opaque.arguments.is_empty() { "" } else { " " };
                write!(f, "({}{gap}{}): {}", opaque.name, opaque.arguments, opaque.reason)
            }
            Self::Attribute(name) => write!(f, "the access does not say its {name}"),
            Self::Pattern(pattern) => {
                write!(
                    f,
                    "the expression `{pattern}` uses a letter escape or back-reference without an agreed meaning",
                    pattern = pattern.as_str()
                )
            }
            Self::Unsettled(text) => f.write_str(text),
            Self::Import(text) => f.write_str(text),
        }
    }
}

impl<'p> Truth<'p> {
    fn from(value: bool) -> Self {
        if value { Self::Yes } else { Self::No }
    }

    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Yes => Self::No,
            unknown @ Self::Unknown(_) => unknown,
        }
    }

    fn all(truths: impl Iterator<Item = Self>) -> Self {
        let mut result = Self::Yes;
        for truth in truths {
            match truth {
                Self::No => return Self::No,
                Self::Unknown(_) if matches!(result, Self::Yes) => result = truth,
                _ => {}
            }
        }
        result
    }

    fn any(truths: impl Iterator<Item = Self>) -> Self {
        let mut result = Self::No;
        for truth in truths {
            match truth {
                Self::Yes => return Self::Yes,
                Self::Unknown(_) if matches!(result, Self::No) => result = truth,
                _ => {}
            }
        }
        result
    }
}

/// One access taken apart once, with what its operation says about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    access: &'a Access<'a>,
    target: &'a Target<'a>,
    facts: &'a [Fact<'a>],
    path_fits: bool,
    primary: Option<&'static str>,
}

impl<'a> View<'a> {
    /// Takes an access apart; `path_fits` and `primary` are those of its operation.
    pub(crate) fn new(access: &'a Access<'a>, path_fits: bool, primary: Option<&'static str>) -> Self {
        let (target, facts) = match &access.target {
            Target::Described { target, facts } => (*target, *facts),
            plain => (plain, [].as_slice()),
        };
        Self { access, target, facts, path_fits, primary }
    }

    /// Whether the filter matches.
    pub(crate) fn matches<'p>(&self, filter: &'p Filter) -> Truth<'p> {
        match filter {
            Filter::Literal(path) => self.path_test(|own| own == path.as_bytes()),
            Filter::Subpath(path) => self.path_test(|own| is_beneath(own, path.as_bytes())),
            Filter::Prefix(text) => self.path_test(|own| own.starts_with(text.as_bytes())),
            Filter::Regex(pattern) => match self.path() {
                Known::No => Truth::No,
                Known::Unknown => Truth::Unknown(Reason::Attribute("path")),
                Known::Yes(path) => {
                    pattern.is_match(path).map_or(Truth::Unknown(Reason::Pattern(pattern)), Truth::from)
                }
            },
            Filter::PathAncestors(path) => {
                self.path_test(|own| own.len() < path.len() && is_beneath(path.as_bytes(), own))
            }
            Filter::VnodeType(_) if !self.fits("vnode-type") => Truth::No,
            Filter::FileMode(_) if !self.fits("file-mode") => Truth::No,
            Filter::VnodeType(wanted) => match self.file() {
                Known::No => Truth::No,
                Known::Yes((Some(own), _)) => Truth::from(own == *wanted),
                _ => Truth::Unknown(Reason::Attribute("vnode type")),
            },
            Filter::FileMode(mask) => match self.file() {
                Known::No => Truth::No,
                Known::Yes((_, Some(mode))) if mode & mask == *mask => Truth::Yes,
                Known::Yes((_, Some(mode))) if mode & mask == 0 => Truth::No,
                Known::Yes((_, Some(_))) => Truth::Unknown(Reason::Unsettled(
                    "only some of the bits of a file-mode filter are set, and whether that matches is not settled",
                )),
                _ => Truth::Unknown(Reason::Attribute("file mode")),
            },
            Filter::Target(relation) => match self.target {
                Target::Process(own) => self.related(*own, *relation),
                // Some operations on processes are asked about by another name (`process-codesigning`).
                Target::None | Target::Name(_) if vocabulary::target_fits(self.access.operation) => {
                    Truth::Unknown(Reason::Attribute("target process"))
                }
                _ => Truth::No,
            },
            Filter::Network(network) => self.network(network),
            Filter::Name(name) => self.name(name),
            Filter::RequireAll(all) => Truth::all(all.iter().map(|inner| self.matches(inner))),
            Filter::RequireAny(any) => Truth::any(any.iter().map(|inner| self.matches(inner))),
            Filter::RequireNot(inner) => self.matches(inner).not(),
            Filter::Opaque(opaque) => {
                holdings::truth(opaque, self.facts).map_or(Truth::Unknown(Reason::Opaque(opaque)), Truth::from)
            }
        }
    }

    /// The parts of a filter that stay unknown for every access like this one, whatever its values are.
    pub(crate) fn left_open<'p>(&self, filter: &'p Filter) -> Vec<&'p Filter> {
        match filter {
            Filter::RequireAll(_) if self.never(filter) => Vec::new(),
            Filter::RequireAll(inner) | Filter::RequireAny(inner) => {
                inner.iter().flat_map(|own| self.left_open(own)).collect()
            }
            Filter::RequireNot(inner) => self.left_open(inner),
            Filter::Network(NetworkFilter { peer: Peer::Unix(Some(inner)), .. }) if self.known_path().is_some() => {
                self.left_open(inner)
            }
            single => match self.matches(single) {
                Truth::Unknown(_) => vec![single],
                Truth::No | Truth::Yes => Vec::new(),
            },
        }
    }

    /// Whether accesses like this one do not have what the filter asks for, so that it never matches them.
    pub(crate) fn never(&self, filter: &Filter) -> bool {
        match filter {
            Filter::RequireAll(all) => all.iter().any(|inner| self.never(inner)),
            Filter::RequireAny(any) => any.iter().all(|inner| self.never(inner)),
            Filter::Name(name) => !vocabulary::attribute_fits(name.attribute, self.access.operation),
            Filter::VnodeType(_) => !self.fits("vnode-type"),
            Filter::FileMode(_) => !self.fits("file-mode"),
            _ => false,
        }
    }

    /// Whether accesses of this operation have what a filter asks for.
    fn fits(&self, filter: &str) -> bool {
        FilterSpec::find(filter).is_some_and(|spec| spec.fits_exactly(self.access.operation))
    }

    /// Listed relations are all that hold; otherwise what the strongest one says.
    fn related<'p>(&self, own: ProcessTarget, wanted: TargetRelation) -> Truth<'p> {
        let mut listed = self.facts.iter().filter(|fact| fact.filter == "target").peekable();
        if listed.peek().is_none() {
            return related(own, wanted);
        }
        let name = TARGETS.iter().find(|(_, known)| *known == wanted).map(|(name, _)| *name);
        Truth::from(listed.any(|fact| Some(fact.value) == name))
    }

    /// The path the access is about, where it has one.
    pub(crate) fn known_path(&self) -> Option<&'a [u8]> {
        match self.path() {
            Known::Yes(path) => Some(path),
            Known::No | Known::Unknown => None,
        }
    }

    /// The value of a named attribute, where it is known and not a number or a constant's name.
    pub(crate) fn known_word(&self, attribute: &str) -> Option<&'a str> {
        match self.attribute(attribute) {
            Known::Yes(value) if is_word(value) => Some(value),
            _ => None,
        }
    }

    fn path_test<'p>(&self, test: impl FnOnce(&[u8]) -> bool) -> Truth<'p> {
        match self.path() {
            Known::Yes(path) => Truth::from(test(path)),
            Known::No => Truth::No,
            Known::Unknown => Truth::Unknown(Reason::Attribute("path")),
        }
    }

    fn path(&self) -> Known<&'a [u8]> {
        match self.target {
            Target::Path { path, .. } => Known::Yes(path),
            Target::Network(Endpoint::Unix(Some(path))) => Known::Yes(path),
            Target::None if self.path_fits => Known::Unknown,
            _ => Known::No,
        }
    }

    fn file(&self) -> Known<(Option<super::access::VnodeType>, Option<u32>)> {
        match self.target {
            Target::Path { vnode_type, mode, .. } => Known::Yes((*vnode_type, *mode)),
            Target::Network(Endpoint::Unix(Some(_))) | Target::None if self.path_fits => Known::Unknown,
            _ => Known::No,
        }
    }

    fn network<'p>(&self, filter: &'p NetworkFilter) -> Truth<'p> {
        let endpoint = match self.target {
            Target::Network(endpoint) => *endpoint,
            Target::Path { path, .. } => Endpoint::Unix(Some(path)),
            Target::None => return Truth::Unknown(Reason::Attribute("endpoint")),
            _ => return Truth::No,
        };
        match (&filter.peer, endpoint) {
            (Peer::Unix(None), Endpoint::Unix(_)) => Truth::Yes,
            (Peer::Unix(Some(_)), Endpoint::Unix(None)) => Truth::No,
            (Peer::Unix(Some(inner)), Endpoint::Unix(Some(_))) => self.matches(inner),
            (
                Peer::Ip { transport, v6, localhost, port },
                Endpoint::Ip { transport: own, v6: own_v6, loopback, port: own_port },
            ) => {
                if transport.is_some_and(|wanted| wanted != own) || v6.is_some_and(|wanted| wanted != own_v6) {
                    return Truth::No;
                }
                if !*localhost && port.is_none() {
                    return Truth::Yes;
                }
                if filter.side != self.side() {
                    return Truth::Unknown(Reason::Attribute("address at the other end"));
                }
                if *localhost && !loopback {
                    return Truth::No;
                }
                match port {
                    None => Truth::Yes,
                    Some(_) if own_port == 0 => Truth::Unknown(Reason::Attribute("port")),
                    Some(wanted) => Truth::from(*wanted == own_port),
                }
            }
            (Peer::Unix(_), Endpoint::Ip { .. }) | (Peer::Ip { .. }, Endpoint::Unix(_)) => Truth::No,
        }
    }

    fn side(&self) -> Side {
        named_side(self.access.operation)
    }

    fn name<'p>(&self, filter: &'p NameFilter) -> Truth<'p> {
        if !vocabulary::attribute_fits(filter.attribute, self.access.operation) {
            return Truth::No;
        }
        match self.attribute(filter.attribute) {
            Known::No => Truth::No,
            Known::Unknown => Truth::Unknown(Reason::Attribute(filter.attribute)),
            Known::Yes(value) => match &filter.test {
                NameTest::Exact(wanted) => Truth::from(constant(value) == constant(wanted)),
                NameTest::Prefix(wanted) => Truth::from(value.starts_with(wanted.as_str())),
                NameTest::Regex(pattern) => {
                    pattern.is_match(value.as_bytes()).map_or(Truth::Unknown(Reason::Pattern(pattern)), Truth::from)
                }
            },
        }
    }

    fn attribute(&self, attribute: &str) -> Known<&'a str> {
        if let Some(fact) = self.facts.iter().find(|fact| fact.filter == attribute) {
            return Known::Yes(fact.value);
        }
        if self.facts.iter().any(|fact| vocabulary::exclusive(fact.filter, attribute)) {
            return Known::No;
        }
        match (self.target, self.primary) {
            (Target::Name(name), Some(primary)) if primary == attribute => Known::Yes(name),
            (Target::Name(_), Some(primary)) if vocabulary::exclusive(primary, attribute) => Known::No,
            (Target::Network(endpoint), _) => derived(*endpoint, attribute),
            _ => Known::Unknown,
        }
    }
}

/// The end that an access of this operation names: the peer of an outgoing connection, otherwise the own end.
pub(crate) fn named_side(operation: &Operation) -> Side {
    match operation.as_str() {
        "network-bind" | "network-inbound" => Side::Local,
        _ => Side::Remote,
    }
}

enum Known<T> {
    Yes(T),
    No,
    Unknown,
}

/// Socket attributes that an endpoint implies.
fn derived(endpoint: Endpoint<'_>, attribute: &str) -> Known<&'static str> {
    match (attribute, endpoint) {
        ("socket-domain", Endpoint::Unix(_)) => Known::Yes("AF_UNIX"),
        ("socket-domain", Endpoint::Ip { v6: false, .. }) => Known::Yes("AF_INET"),
        ("socket-domain", Endpoint::Ip { v6: true, .. }) => Known::Yes("AF_INET6"),
        ("socket-type", Endpoint::Ip { transport: Transport::Tcp, .. }) => Known::Yes("SOCK_STREAM"),
        ("socket-type", Endpoint::Ip { transport: Transport::Udp, .. }) => Known::Yes("SOCK_DGRAM"),
        ("control-name", _) => Known::No,
        _ => Known::Unknown,
    }
}

/// Whether `path` is `tree` or lies below it.
pub(crate) fn is_beneath(path: &[u8], tree: &[u8]) -> bool {
    // One byte refuses nearly every path, before whole texts are compared.
    match path.get(tree.len()) {
        None => path == tree,
        Some(b'/') => path.starts_with(tree),
        Some(_) => tree == b"/" && path.starts_with(tree),
    }
}

/// What is known about a `target` filter from the strongest relation that holds.
fn related<'p>(own: ProcessTarget, wanted: TargetRelation) -> Truth<'p> {
    use ProcessTarget as Own;
    use TargetRelation as Wanted;
    match (own, wanted) {
        (Own::Itself, Wanted::Itself | Wanted::ProcessGroup | Wanted::SameSandbox)
        | (Own::Children, Wanted::Children | Wanted::Others | Wanted::SameSandbox)
        | (Own::ProcessGroup, Wanted::ProcessGroup | Wanted::Others)
        | (Own::SameSandbox, Wanted::SameSandbox | Wanted::Others)
        | (Own::Others, Wanted::Others) => Truth::Yes,
        (Own::Children, Wanted::ProcessGroup) => Truth::Unknown(Reason::Attribute("process group")),
        (Own::ProcessGroup, Wanted::SameSandbox) => Truth::Unknown(Reason::Attribute("sandbox of the target")),
        _ => Truth::No,
    }
}

/// Numbers of the socket constants that profiles name (`sys/socket.h` of macOS).
const CONSTANTS: &[(&str, i64)] = &[
    ("AF_UNSPEC", 0),
    ("AF_UNIX", 1),
    ("AF_LOCAL", 1),
    ("AF_INET", 2),
    ("AF_ROUTE", 17),
    ("AF_NDRV", 27),
    ("AF_INET6", 30),
    ("AF_SYSTEM", 32),
    ("AF_UTUN", 38),
    ("SOCK_STREAM", 1),
    ("SOCK_DGRAM", 2),
    ("SOCK_RAW", 3),
    ("SOCK_RDM", 4),
    ("SOCK_SEQPACKET", 5),
];

/// Whether a name equals only its own text.
pub(super) fn is_word(text: &str) -> bool {
    matches!(constant(text), Constant::Text(_))
}

#[derive(PartialEq, Eq)]
enum Constant<'a> {
    Number(i64),
    Text(&'a str),
}

fn constant(text: &str) -> Constant<'_> {
    let known = CONSTANTS.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    match known.or_else(|| text.parse().ok()) {
        Some(number) => Constant::Number(number),
        None => Constant::Text(text),
    }
}
