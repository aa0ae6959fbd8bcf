//! Calls that make sockets and connect, name and open them: decided on a copy of the address, performed on a copy of the
//! descriptor.
//!
//! Invariants: the address is read once, and the kernel gets one encoded from what was judged; the socket asked about is the
//! socket acted on, whatever the program does to its descriptors meanwhile; a path is the object it was found to be.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use super::address::{self, Parsed};
use super::call::{Answer, Answered, Call, REFUSED};
use super::resolve::Last;
use crate::os::linux::{memory, object, process, socket};
use crate::sandbox::endpoint::{SocketAddress, destination};
use crate::sbpl::{Fact, Target, Transport, VnodeType};
use crate::vocab::Operation;

pub(super) const OUTBOUND: &str = "network-outbound";
pub(super) const BIND: &str = "network-bind";
pub(super) const INBOUND: &str = "network-inbound";
pub(super) const SYSTEM_SOCKET: &str = "system-socket";

/// `SOCK_TYPE_MASK` of the kernel (linux/net.h).
pub(super) const TYPE_MASK: i32 = 0xf;

const NEVER_GIVEN: &str = "sockets of this domain, type or protocol are refused whatever the profile says";
const UNKNOWN_PATH: &str =
    "the socket was bound outside the sandbox, or too many were bound since; its path is not known";

/// Paths remembered of bound unix sockets.
const MOST_REMEMBERED: usize = 65_536;

/// A socket of the program, taken over.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) fd: OwnedFd,
    pub(super) domain: i32,
    pub(super) kind: i32,
    protocol: i32,
}

impl Socket {
    fn transport(&self) -> Transport {
        match self.protocol {
            libc::IPPROTO_TCP => Transport::Tcp,
            libc::IPPROTO_UDP => Transport::Udp,
            _ => Transport::Other,
        }
    }

    fn is_ip(&self) -> bool {
        matches!(self.domain, libc::AF_INET | libc::AF_INET6)
    }

    fn ip(&self, address: SocketAddr) -> SocketAddress {
        SocketAddress::ip(self.transport(), address)
    }

    /// Whether binding to `::` takes IPv4 as well. Until it is bound the program can change its mind, and not afterwards
    /// (`IPV6_V6ONLY` of ipv6(7)); a stream's mind is read again then, and when it listens.
    fn takes_ipv4_too(&self, address: SocketAddr) -> bool {
        let only = socket::option(self.fd.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY);
        let settled = self.kind == libc::SOCK_STREAM && only.is_ok_and(|only| only != 0);
        address.is_ipv6() && address.ip().is_unspecified() && !settled
    }
}

/// Name of a socket type in the words of the `socket-type` filter.
fn type_name(kind: i32) -> Option<&'static str> {
    Some(match kind {
        libc::SOCK_STREAM => "SOCK_STREAM",
        libc::SOCK_DGRAM => "SOCK_DGRAM",
        libc::SOCK_RAW => "SOCK_RAW",
        libc::SOCK_RDM => "SOCK_RDM",
        libc::SOCK_SEQPACKET => "SOCK_SEQPACKET",
        _ => return None,
    })
}

/// Name of a domain for `system-socket`. Profiles number the domains of macOS, so names are compared, not numbers; the
/// socket that tells routes and interfaces is `AF_ROUTE` there.
fn domain_name(domain: i32, protocol: i32) -> String {
    match domain {
        libc::AF_NETLINK if protocol == libc::NETLINK_ROUTE => "AF_ROUTE".to_owned(),
        libc::AF_NETLINK => "AF_NETLINK".to_owned(),
        libc::AF_INET => "AF_INET".to_owned(),
        libc::AF_INET6 => "AF_INET6".to_owned(),
        libc::AF_UNIX => "AF_UNIX".to_owned(),
        libc::AF_PACKET => "AF_PACKET".to_owned(),
        libc::AF_ALG => "AF_ALG".to_owned(),
        libc::AF_VSOCK => "AF_VSOCK".to_owned(),
        other => format!("domain {other}"),
    }
}

/// Where datagrams go or a connection is made to.
#[derive(Debug)]
pub(super) struct Destination {
    /// In the kernel's layout.
    pub(super) bytes: Vec<u8>,
    /// The socket a path led to; the address names this descriptor.
    _object: Option<OwnedFd>,
}

impl Destination {
    fn plain(bytes: Vec<u8>) -> Self {
        Self { bytes, _object: None }
    }
}

/// Unix sockets that were bound to paths here, by the kernel's cookie, which is never given to another socket.
#[derive(Debug, Default)]
pub(super) struct BoundPaths(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    paths: HashMap<u64, BoundPath>,
    oldest_first: VecDeque<u64>,
}

#[derive(Debug, Clone)]
struct BoundPath {
    /// As the program wrote it.
    spelt: Vec<u8>,
    canonical: Vec<u8>,
}

impl BoundPaths {
    fn remember(&self, socket: BorrowedFd<'_>, path: BoundPath) {
        let Ok(cookie) = rustix::net::sockopt::socket_cookie(socket) else { return };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.oldest_first.len() >= MOST_REMEMBERED
            && let Some(oldest) = all.oldest_first.pop_front()
        {
            all.paths.remove(&oldest);
        }
        all.oldest_first.push_back(cookie);
        all.paths.insert(cookie, path);
    }

    fn of(&self, socket: BorrowedFd<'_>) -> Option<BoundPath> {
        let cookie = rustix::net::sockopt::socket_cookie(socket).ok()?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).paths.get(&cookie).cloned()
    }
}

impl Call<'_> {
    /// The socket behind a descriptor argument.
    pub(super) fn socket_at(&self, index: usize) -> Result<Socket, Errno> {
        let fd = process::take_descriptor_of_thread(self.tid(), self.int(index))?;
        let option = |name: i32| socket::option(fd.as_fd(), libc::SOL_SOCKET, name);
        let (domain, kind) = (option(libc::SO_DOMAIN)?, option(libc::SO_TYPE)?);
        let protocol = option(libc::SO_PROTOCOL)?;
        Ok(Socket { fd, domain, kind, protocol })
    }

    /// An address argument, read once.
    fn address(&self, index: usize, length: i32) -> Result<Vec<u8>, Errno> {
        let length = usize::try_from(length).map_err(|_| Errno::INVAL)?;
        if length > socket::LONGEST_ADDRESS {
            return Err(Errno::INVAL);
        }
        let mut bytes = vec![0; length];
        self.read(index, &mut bytes)?;
        Ok(bytes)
    }

    /// Decides a network operation on an address.
    fn reaches(&mut self, operation: &'static str, address: &SocketAddress, kind: i32) -> bool {
        let shown = address.target_text();
        address.access(&Operation::new(operation), type_name(kind), |access| {
            self.allowed_on(operation, access.target, shown)
        })
    }

    fn demand(&mut self, operation: &'static str, address: &SocketAddress, kind: i32) -> Result<(), Errno> {
        if self.reaches(operation, address, kind) { Ok(()) } else { Err(REFUSED) }
    }

    fn never_given(&mut self, operation: &'static str, shown: &str) -> Errno {
        self.turn_down(operation, shown.as_bytes(), NEVER_GIVEN)
    }

    /// socket(2) and socketpair(2), where the registers alone do not settle it.
    pub(super) fn new_socket(&mut self) -> Answered {
        let (domain, kind, protocol) = (self.int(0), self.int(1) & TYPE_MASK, self.int(2));
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        match (domain, kind, protocol) {
            (libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => {
                self.demand(OUTBOUND, &SocketAddress::ip(Transport::Udp, any), kind)?;
            }
            (
                libc::AF_INET | libc::AF_INET6,
                libc::SOCK_DGRAM,
                libc::IPPROTO_ICMP | libc::IPPROTO_ICMPV6 | libc::IPPROTO_UDPLITE,
            ) => self.demand(OUTBOUND, &SocketAddress::ip(Transport::Other, any), kind)?,
            (libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_RAW, _) => {
                self.demand(OUTBOUND, &SocketAddress::UnixUnnamed, libc::SOCK_DGRAM)?;
            }
            (libc::AF_NETLINK, ..) => {
                let (domain, number) = (domain_name(domain, protocol), protocol.to_string());
                let mut facts = vec![
                    Fact { filter: "socket-domain", value: &domain },
                    Fact { filter: "socket-protocol", value: &number },
                ];
                facts.extend(type_name(kind).map(|value| Fact { filter: "socket-type", value }));
                let target = Target::Described { target: &Target::Name(&domain), facts: &facts };
                if !self.allowed_on(SYSTEM_SOCKET, target, domain.clone()) {
                    return Err(REFUSED);
                }
            }
            _ => return Err(self.never_given(SYSTEM_SOCKET, &domain_name(domain, protocol))),
        }
        Ok(Answer::Run)
    }

    pub(super) fn connect(&mut self) -> Answered {
        let socket = self.socket_at(0)?;
        let bytes = self.address(1, self.int(2))?;
        let to = match address::parse(&bytes)? {
            Parsed::Unspecified if socket.is_ip() || socket.kind == libc::SOCK_DGRAM => {
                Destination::plain(address::unspecified())
            }
            parsed => self.destination(&socket, parsed)?,
        };
        self.still_waiting()?;
        self.blocking(|| socket::connect(socket.fd.as_fd(), &to.bytes))?;
        Ok(Answer::DONE)
    }

    /// Judges where a connection or datagram goes.
    pub(super) fn destination(&mut self, socket: &Socket, parsed: Parsed) -> Result<Destination, Errno> {
        match (socket.domain, parsed) {
            (libc::AF_INET | libc::AF_INET6, Parsed::Ip(mut to)) => {
                to.set_ip(destination(to.ip()));
                self.demand(OUTBOUND, &socket.ip(to), socket.kind)?;
                Ok(Destination::plain(address::ip(to)))
            }
            (libc::AF_INET | libc::AF_INET6, _) => Err(Errno::AFNOSUPPORT),
            (libc::AF_UNIX, Parsed::UnixPath(path)) => {
                let located = self.locate(libc::AT_FDCWD, &path, Last::Follow)?;
                self.demand(OUTBOUND, &SocketAddress::UnixPath(located.path.clone()), socket.kind)?;
                located.found()?;
                let found = located.object?;
                let bytes = address::unix_path(object::link(found.as_fd()).to_bytes());
                Ok(Destination { bytes, _object: Some(found) })
            }
            (libc::AF_UNIX, Parsed::UnixAbstract(name)) => {
                let bytes = address::unix_abstract(&name);
                self.demand(OUTBOUND, &SocketAddress::UnixAbstract(name), socket.kind)?;
                Ok(Destination::plain(bytes))
            }
            (libc::AF_UNIX, _) => Err(Errno::INVAL),
            // Judged when the socket was made; the peer is the kernel.
            (libc::AF_NETLINK, Parsed::Netlink(bytes)) => Ok(Destination::plain(bytes)),
            (libc::AF_NETLINK, Parsed::Unspecified) => Ok(Destination::plain(address::unspecified())),
            (libc::AF_NETLINK, _) => Err(Errno::INVAL),
            (domain, _) => Err(self.never_given(OUTBOUND, &domain_name(domain, 0))),
        }
    }

    pub(super) fn bind(&mut self) -> Answered {
        let socket = self.socket_at(0)?;
        let bytes = self.address(1, self.int(2))?;
        match (socket.domain, address::parse(&bytes)?) {
            (libc::AF_INET, Parsed::Unspecified) => {
                let any = address::inet(&bytes)?;
                if !any.ip().is_unspecified() {
                    return Err(Errno::AFNOSUPPORT);
                }
                self.bind_ip(&socket, any.into())
            }
            (libc::AF_INET | libc::AF_INET6, Parsed::Ip(own)) => self.bind_ip(&socket, own),
            (libc::AF_INET | libc::AF_INET6, _) => Err(Errno::AFNOSUPPORT),
            (libc::AF_UNIX, Parsed::UnixPath(path)) => self.bind_path(&socket, path),
            (libc::AF_UNIX, Parsed::UnixAbstract(name)) => {
                let bytes = address::unix_abstract(&name);
                self.demand(BIND, &SocketAddress::UnixAbstract(name), socket.kind)?;
                self.bind_to(&socket, &bytes)
            }
            (libc::AF_UNIX, Parsed::UnixUnnamed) => {
                self.demand(BIND, &SocketAddress::UnixUnnamed, socket.kind)?;
                self.bind_to(&socket, &address::unix_unnamed())
            }
            (libc::AF_NETLINK, Parsed::Netlink(bytes)) => self.bind_to(&socket, &bytes),
            (libc::AF_UNIX | libc::AF_NETLINK, _) => Err(Errno::INVAL),
            (domain, _) => Err(self.never_given(BIND, &domain_name(domain, 0))),
        }
    }

    fn bind_to(&mut self, socket: &Socket, bytes: &[u8]) -> Answered {
        self.as_capable(|| socket::bind(socket.fd.as_fd(), bytes))?;
        Ok(Answer::DONE)
    }

    /// A socket that took IPv4 against its word stays bound, as the kernel unbinds none; it is refused when it listens.
    fn bind_ip(&mut self, socket: &Socket, own: SocketAddr) -> Answered {
        self.demand(BIND, &socket.ip(own), socket.kind)?;
        let judged = socket.takes_ipv4_too(own);
        if judged {
            self.demand_ipv4(BIND, socket, own)?;
        }
        let answer = self.bind_to(socket, &address::ip(own))?;
        if !judged && socket.takes_ipv4_too(own) {
            self.demand_ipv4(BIND, socket, own)?;
        }
        Ok(answer)
    }

    /// Decides on an own address, and on the IPv4 one that comes with it.
    fn demand_own(&mut self, operation: &'static str, socket: &Socket, own: SocketAddr) -> Result<(), Errno> {
        self.demand(operation, &socket.ip(own), socket.kind)?;
        if socket.takes_ipv4_too(own) { self.demand_ipv4(operation, socket, own) } else { Ok(()) }
    }

    /// Decides on the IPv4 address that comes with `::`.
    fn demand_ipv4(&mut self, operation: &'static str, socket: &Socket, own: SocketAddr) -> Result<(), Errno> {
        let too = SocketAddr::from((Ipv4Addr::UNSPECIFIED, own.port()));
        self.demand(operation, &socket.ip(too), socket.kind)
    }

    /// setsockopt(2) for the other side's credentials: a unix socket without a name then gets one when it connects or sends.
    pub(super) fn ask_for_credentials(&mut self) -> Answered {
        let socket = self.socket_at(0)?;
        if self.int(4) < 4 {
            return Err(Errno::INVAL);
        }
        let mut value = [0; 4];
        self.read(3, &mut value)?;
        let value = i32::from_ne_bytes(value);
        if value != 0 && socket.domain == libc::AF_UNIX {
            let unnamed = address::parse_given(&socket::name(socket.fd.as_fd())?)? == Parsed::UnixUnnamed;
            // A stream sends without a name, and connects once.
            let done = socket.kind == libc::SOCK_STREAM && rustix::net::getpeername(&socket.fd).is_ok();
            if unnamed && !done {
                self.demand(BIND, &SocketAddress::UnixUnnamed, socket.kind)?;
            }
        }
        self.still_waiting()?;
        socket::set_option(socket.fd.as_fd(), self.int(1), self.int(2), value)?;
        Ok(Answer::DONE)
    }

    /// The entry is made in the directory that was judged. The kernel remembers the name it was given, which is the last
    /// component only; what the program wrote is remembered here.
    fn bind_path(&mut self, socket: &Socket, spelt: Vec<u8>) -> Answered {
        let located = self.locate_entry(libc::AT_FDCWD, &spelt)?;
        self.demand(BIND, &SocketAddress::UnixPath(located.path.clone()), socket.kind)?;
        let entry = match self.new_entry_at(&located, &spelt, VnodeType::Socket, false) {
            Err(Errno::EXIST) => return Err(Errno::ADDRINUSE),
            entry => entry?,
        };
        self.with_umask(|| socket::bind_in(entry.parent.as_fd(), &entry.name, socket.fd.as_fd()))?;
        self.shared.bound.remember(socket.fd.as_fd(), BoundPath { spelt, canonical: located.path });
        Ok(Answer::DONE)
    }

    /// Listening on an unbound socket binds it to a port of the system's choice.
    pub(super) fn listen(&mut self) -> Answered {
        let socket = self.socket_at(0)?;
        let before = socket::name(socket.fd.as_fd())?;
        self.demand_listening(&socket, &before)?;
        self.still_waiting()?;
        rustix::net::listen(&socket.fd, self.int(1))?;
        let after = socket::name(socket.fd.as_fd())?;
        // Bound while it was judged, or just now.
        if after != before
            && let Err(refused) = self.demand_listening(&socket, &after)
        {
            let _ = rustix::net::shutdown(&socket.fd, rustix::net::Shutdown::Both);
            return Err(refused);
        }
        Ok(Answer::DONE)
    }

    fn demand_listening(&mut self, socket: &Socket, name: &[u8]) -> Result<(), Errno> {
        match (socket.domain, address::parse_given(name)?) {
            (libc::AF_INET | libc::AF_INET6, Parsed::Ip(own)) => {
                if own.port() == 0 {
                    self.demand_own(BIND, socket, own)?;
                } else if socket.takes_ipv4_too(own) {
                    // It may have come by IPv4 while it was bound.
                    self.demand_ipv4(BIND, socket, own)?;
                }
                self.demand_own(INBOUND, socket, own)
            }
            (libc::AF_UNIX, Parsed::UnixPath(kernels)) => match self.shared.bound.of(socket.fd.as_fd()) {
                Some(path) => self.demand(INBOUND, &SocketAddress::UnixPath(path.canonical), socket.kind),
                None => {
                    let shown = SocketAddress::UnixPath(kernels).target_text();
                    Err(self.turn_down(INBOUND, shown.as_bytes(), UNKNOWN_PATH))
                }
            },
            (libc::AF_UNIX, Parsed::UnixAbstract(name)) => {
                self.demand(INBOUND, &SocketAddress::UnixAbstract(name), socket.kind)
            }
            (libc::AF_UNIX, _) => self.demand(INBOUND, &SocketAddress::UnixUnnamed, socket.kind),
            (domain, _) => Err(self.never_given(INBOUND, &domain_name(domain, 0))),
        }
    }

    /// A socket's own address, a path as the program wrote it.
    pub(super) fn getsockname(&mut self) -> Answered {
        let socket = self.socket_at(0)?;
        let mut room = [0; 4];
        self.read(2, &mut room)?;
        let room = usize::try_from(i32::from_ne_bytes(room)).map_err(|_| Errno::INVAL)?;
        let name = match self.shared.bound.of(socket.fd.as_fd()) {
            Some(path) if socket.domain == libc::AF_UNIX => address::unix_path(&path.spelt),
            _ => socket::name(socket.fd.as_fd())?,
        };
        self.write(1, &name[..name.len().min(room)])?;
        let length = u32::try_from(name.len()).map_err(|_| Errno::INVAL)?;
        self.write(2, &length.to_ne_bytes())?;
        Ok(Answer::DONE)
    }

    /// Runs a call that may block until somebody else acts; ends it when the caller is gone.
    pub(super) fn blocking<T>(&self, call: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
        self.shared.waits.during(self.notification.id, call)
    }

    /// Reads memory that an argument's memory points to.
    pub(super) fn read_at(&self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        memory::read_exact(self.tid(), address, buffer)
    }
}
