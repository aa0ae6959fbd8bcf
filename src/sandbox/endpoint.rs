//! Socket addresses as profiles and records see them: pure.
//!
//! One place for three facts about an address: which [`Endpoint`] filters are asked about, what else is known of the socket
//! ([`SocketAddress::access`]), and how records spell it ([`SocketAddress::target_text`], the spelling `sbpl explain` reads).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::denial::target_text;
use crate::sbpl::{Access, Endpoint, Fact, Target, Transport, VnodeType};
use crate::vocab::Operation;

/// An address of a socket, its own or its peer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketAddress {
    /// An IP address and port; port 0 stands for one the system chooses.
    Ip {
        /// Transport protocol of the socket.
        transport: Transport,
        /// Address and port; an IPv4 address that is written as an IPv6 one (`::ffff:a.b.c.d`) is an IPv4 address.
        address: SocketAddr,
    },
    /// A unix socket by canonical absolute path.
    UnixPath(Vec<u8>),
    /// A unix socket by name in Linux's abstract namespace, without the leading NUL.
    UnixAbstract(Vec<u8>),
    /// A unix socket without a name, or one whose name the system chooses.
    UnixUnnamed,
}

impl SocketAddress {
    /// An IP address; one written as IPv6 that means IPv4 becomes the latter.
    #[must_use]
    pub fn ip(transport: Transport, address: SocketAddr) -> Self {
        Self::Ip { transport, address: SocketAddr::new(address.ip().to_canonical(), address.port()) }
    }

    /// The address as filters see it.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint<'_> {
        match self {
            Self::Ip { transport, address } => Endpoint::Ip {
                transport: *transport,
                v6: address.is_ipv6(),
                loopback: address.ip().is_loopback(),
                port: address.port(),
            },
            Self::UnixPath(path) => Endpoint::Unix(Some(path)),
            Self::UnixAbstract(_) | Self::UnixUnnamed => Endpoint::Unix(None),
        }
    }

    /// Hands a function the access of `operation` on this address. `socket_type` is the socket's type in the words of the
    /// `socket-type` filter, where known.
    pub fn access<T>(
        &self,
        operation: &Operation,
        socket_type: Option<&str>,
        use_access: impl FnOnce(&Access<'_>) -> T,
    ) -> T {
        let target = match self {
            // Filters on unix sockets take a path for one; this way `vnode-type` is known too.
            Self::UnixPath(path) => Target::Path { path, vnode_type: Some(VnodeType::Socket), mode: None },
            other => Target::Network(other.endpoint()),
        };
        let domain = match self.endpoint() {
            Endpoint::Unix(_) => "AF_UNIX",
            Endpoint::Ip { v6: false, .. } => "AF_INET",
            Endpoint::Ip { v6: true, .. } => "AF_INET6",
        };
        let mut facts = vec![Fact { filter: "socket-domain", value: domain }];
        facts.extend(socket_type.map(|value| Fact { filter: "socket-type", value }));
        use_access(&Access { operation, target: Target::Described { target: &target, facts: &facts } })
    }

    /// The address as records spell it: `tcp:127.0.0.1:80`, `udp:[::1]:53`, `ip:…` for other protocols, `unix:/run/x`,
    /// `unix:@name` for an abstract one, `unix:` without a name. Bytes as in [`target_text`].
    #[must_use]
    pub fn target_text(&self) -> String {
        match self {
            Self::Ip { transport, address } => {
                let kind = match transport {
                    Transport::Tcp => "tcp",
                    Transport::Udp => "udp",
                    Transport::Other => "ip",
                };
                match address {
                    // Without the scope: a filter cannot ask for it.
                    SocketAddr::V6(v6) => format!("{kind}:[{}]:{}", v6.ip(), v6.port()),
                    SocketAddr::V4(v4) => format!("{kind}:{v4}"),
                }
            }
            Self::UnixPath(path) => format!("unix:{}", target_text(path)),
            Self::UnixAbstract(name) => format!("unix:@{}", target_text(name)),
            Self::UnixUnnamed => "unix:".to_owned(),
        }
    }
}

/// Where a packet to this address goes: the unspecified address means this host (ip(7), ipv6(7)).
#[must_use]
pub fn destination(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.to_ipv4_mapped() == Some(Ipv4Addr::UNSPECIFIED) => {
            Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbpl::{NoImports, Params, Policy, Query, Source};
    use crate::vocab::Decision;

    fn tcp(text: &str) -> SocketAddress {
        SocketAddress::ip(Transport::Tcp, text.parse().unwrap())
    }

    #[test]
    fn records_spell_what_explain_reads() {
        let udp = SocketAddress::ip(Transport::Udp, "[::1]:53".parse().unwrap());
        let path = SocketAddress::UnixPath(b"/run/x\n".to_vec());
        for (address, text) in [
            (tcp("127.0.0.1:80"), "tcp:127.0.0.1:80"),
            (tcp("[::ffff:10.0.0.1]:80"), "tcp:10.0.0.1:80"),
            (tcp("[fe80::1%3]:80"), "tcp:[fe80::1]:80"),
            (udp, "udp:[::1]:53"),
            (path, "unix:/run/x\\x0a"),
            (SocketAddress::UnixAbstract(b"a".to_vec()), "unix:@a"),
            (SocketAddress::UnixUnnamed, "unix:"),
        ] {
            assert_eq!(address.target_text(), text);
            let query = Query::new("network-outbound", Some(text), &[]).unwrap();
            let policy = policy("(deny network*)(allow network-outbound (remote tcp4 \"localhost:80\"))");
            let read = query.with_access(|access| policy.judge(access).decision());
            let own = address.access(&Operation::new("network-outbound"), None, |own| policy.judge(own).decision());
            assert_eq!(read, own, "{text}");
        }
    }

    #[test]
    fn filters_on_the_socket_itself_are_decided() {
        let policy = policy(
            "(allow network-outbound (require-all (subpath \"/run\") (vnode-type SOCKET) (socket-type SOCK_STREAM)))",
        );
        let operation = Operation::new("network-outbound");
        let judged = |path: &str, kind: &str| {
            let address = SocketAddress::UnixPath(path.as_bytes().to_vec());
            address.access(&operation, Some(kind), |access| policy.judge(access).decision())
        };
        assert_eq!(judged("/run/x", "SOCK_STREAM"), Some(Decision::Allow));
        assert_eq!(judged("/run/x", "SOCK_DGRAM"), Some(Decision::Deny));
        assert_eq!(judged("/srv/x", "SOCK_STREAM"), Some(Decision::Deny));
    }

    #[test]
    fn the_unspecified_address_is_this_host() {
        for (written, meant) in
            [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("::ffff:0.0.0.0", "::ffff:127.0.0.1"), ("10.0.0.1", "10.0.0.1")]
        {
            assert_eq!(destination(written.parse().unwrap()), meant.parse::<IpAddr>().unwrap());
        }
    }

    fn policy(rules: &str) -> Policy {
        let text = format!("(version 1)\n(deny default)\n{rules}");
        Policy::compile(&[Source::new("p.sb", text)], &Params::new(), &NoImports).unwrap()
    }
}
