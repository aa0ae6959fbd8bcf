//! What a profile could at most allow of the network, as ports and kinds of socket: the input of coarse back-stops.
//!
//! Invariant: the answer is a superset. Whatever cannot be bounded widens it to everything.

use std::collections::BTreeSet;

use super::access::Transport;
use super::filter::{Filter, NetworkFilter, Peer, Side};

/// Upper bound of the endpoints a network operation may be allowed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// TCP ports.
    pub tcp: Ports,
    /// Whether any UDP endpoint, or one of another IP protocol.
    pub datagrams: bool,
    /// Whether any unix socket.
    pub unix: bool,
}

/// Upper bound of TCP ports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Ports {
    /// No bound.
    #[default]
    All,
    /// Nothing but these.
    Only(BTreeSet<u16>),
}

impl Ports {
    /// No port at all.
    #[must_use]
    pub fn none() -> Self {
        Self::Only(BTreeSet::new())
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(mut left), Self::Only(right)) => {
                left.extend(right);
                Self::Only(left)
            }
            _ => Self::All,
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(left), Self::Only(right)) => Self::Only(left.intersection(&right).copied().collect()),
            (Self::All, bound) | (bound, Self::All) => bound,
        }
    }
}

impl Reach {
    pub(crate) const ALL: Self = Self { tcp: Ports::All, datagrams: true, unix: true };

    pub(crate) fn none() -> Self {
        Self { tcp: Ports::none(), datagrams: false, unix: false }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            tcp: self.tcp.or(other.tcp),
            datagrams: self.datagrams || other.datagrams,
            unix: self.unix || other.unix,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            tcp: self.tcp.and(other.tcp),
            datagrams: self.datagrams && other.datagrams,
            unix: self.unix && other.unix,
        }
    }

    /// The bound of what a filter could match of an operation that names this side.
    pub(crate) fn of_filter(filter: &Filter, side: Side) -> Self {
        match filter {
            Filter::Literal(_)
            | Filter::Subpath(_)
            | Filter::Prefix(_)
            | Filter::Regex(_)
            | Filter::PathAncestors(_) => Self { unix: true, ..Self::none() },
            Filter::Network(network) => Self::of_network(network, side),
            Filter::RequireAny(any) => any.iter().map(|own| Self::of_filter(own, side)).fold(Self::none(), Self::or),
            Filter::RequireAll(all) => all.iter().map(|own| Self::of_filter(own, side)).fold(Self::ALL, Self::and),
            Filter::VnodeType(_)
            | Filter::FileMode(_)
            | Filter::Target(_)
            | Filter::Name(_)
            | Filter::RequireNot(_)
            | Filter::Opaque(_) => Self::ALL,
        }
    }

    fn of_network(network: &NetworkFilter, side: Side) -> Self {
        match &network.peer {
            Peer::Unix(_) => Self { unix: true, ..Self::none() },
            Peer::Ip { transport, port, .. } => {
                let ports = match port {
                    Some(port) if network.side == side => Ports::Only(BTreeSet::from([*port])),
                    _ => Ports::All,
                };
                let tcp = matches!(transport, None | Some(Transport::Tcp));
                Self {
                    tcp: if tcp { ports } else { Ports::none() },
                    datagrams: *transport != Some(Transport::Tcp),
                    unix: false,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::sbpl::{NoImports, Params, Policy, Ports, Source};
    use crate::vocab::Operation;

    fn reach(rules: &str) -> String {
        let text = format!("(version 1)\n(deny default)\n{rules}");
        let policy = Policy::compile(&[Source::new("p.sb", text)], &Params::new(), &NoImports).unwrap();
        let reach = policy.allow_reach(&Operation::new("network-outbound"));
        let ports = match reach.tcp {
            Ports::All => "all".to_owned(),
            Ports::Only(ports) => format!("{ports:?}"),
        };
        format!("{ports}{}{}", if reach.datagrams { " datagrams" } else { "" }, if reach.unix { " unix" } else { "" })
    }

    #[test]
    fn the_bound_holds_whatever_could_match_and_little_else() {
        for (rules, expected) in [
            ("", "{}"),
            ("(allow network-outbound)", "all datagrams unix"),
            ("(allow network*)(deny network*)", "{}"),
            ("(allow network-outbound (remote tcp \"localhost:80\") (remote tcp6 \"*:443\"))", "{80, 443}"),
            ("(allow network-outbound (remote ip \"*:53\"))", "{53} datagrams"),
            ("(allow network-outbound (remote udp \"*:53\"))", "{} datagrams"),
            ("(allow network-outbound (remote tcp \"*:*\"))", "all"),
            // The own end does not bound the port of the other.
            ("(allow network-outbound (local tcp \"*:80\"))", "all"),
            ("(allow network-outbound (subpath \"/run\"))", "{} unix"),
            ("(allow network-outbound (remote unix-socket))", "{} unix"),
            ("(allow network-outbound (require-not (remote tcp \"*:80\")))", "all datagrams unix"),
            ("(allow network-outbound (require-all (remote tcp \"*:80\") (socket-type SOCK_STREAM)))", "{80}"),
            ("(allow network-outbound)(deny network-outbound (remote ip))", "all datagrams unix"),
        ] {
            assert_eq!(reach(rules), expected, "{rules}");
        }
    }
}
