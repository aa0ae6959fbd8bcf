//! Operations on stream sockets. Making the socket is not the operation, so a refusal of that is no decision about it.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrAny, SocketAddrUnix, bind as bind_to, connect as connect_to, getsockname, sockopt,
};
use serde_json::{Map, Value, json};

use super::{NotDone, Performed, details};
use crate::vocab::target::{Endpoint, endpoint};

pub(super) fn connect(target: &str) -> Performed {
    let (socket, address) = prepare(target)?;
    match connect_to(&socket, &address) {
        Ok(()) => Ok(own_address(&socket)),
        Err(errno) => Err(NotDone::Errno { errno, details: Map::new() }),
    }
}

/// The address may be one that the run keeps free by a socket of its own, which is not listening.
pub(super) fn bind(target: &str) -> Performed {
    let (socket, address) = prepare(target)?;
    if !matches!(address.address_family(), AddressFamily::UNIX) {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind_to(&socket, &address)?;
    Ok(own_address(&socket))
}

fn prepare(target: &str) -> Result<(OwnedFd, SocketAddrAny), Errno> {
    let (family, address): (_, SocketAddrAny) = match endpoint(target).map_err(|_| Errno::INVAL)? {
        Endpoint::Tcp(address) if address.is_ipv6() => (AddressFamily::INET6, address.into()),
        Endpoint::Tcp(address) => (AddressFamily::INET, address.into()),
        Endpoint::Unix(path) => (AddressFamily::UNIX, SocketAddrUnix::new(path.as_str())?.into()),
    };
    let socket = crate::os::socket::stream(family)?;
    Ok((socket, address))
}

/// The socket's own address, by which whoever was connected to can tell it from others.
fn own_address(socket: &OwnedFd) -> Map<String, Value> {
    let own = getsockname(socket).ok().and_then(|address| std::net::SocketAddr::try_from(address).ok());
    own.map_or_else(Map::new, |address| details([("local_address", json!(address.to_string()))]))
}
