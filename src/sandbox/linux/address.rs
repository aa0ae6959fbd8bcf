//! Socket addresses in the kernel's layout: taken apart and put together again. Pure.
//!
//! Nothing a program wrote is handed to the kernel as it stands: an address is parsed, judged, and encoded anew from what
//! was judged. So flow labels go (they can carry a route), and the unspecified destination becomes the one it means.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use rustix::io::Errno;

/// Bytes of `struct sockaddr_in`.
const INET_SIZE: usize = 16;
/// Bytes of `struct sockaddr_in6` without its scope, with which the kernel is content too.
const INET6_SHORT_SIZE: usize = 24;
const INET6_SIZE: usize = 28;
/// Bytes of `struct sockaddr_un`.
const UNIX_SIZE: usize = 110;
/// Bytes of the family.
const FAMILY_SIZE: usize = 2;
/// Bytes of `struct sockaddr_nl`.
const NETLINK_SIZE: usize = 12;

/// What the bytes of an address say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parsed {
    /// `AF_UNSPEC`.
    Unspecified,
    /// As written: IPv4 in the form of IPv6 stays in that form.
    Ip(SocketAddr),
    /// A path as written, without the terminator.
    UnixPath(Vec<u8>),
    /// A name without the leading NUL.
    UnixAbstract(Vec<u8>),
    UnixUnnamed,
    Netlink(Vec<u8>),
    /// Another family.
    Other,
}

/// Takes an address of a program's apart.
///
/// # Errors
/// EINVAL when it is too short or too long for its family, as the kernel answers.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Errno> {
    parse_up_to(UNIX_SIZE, bytes)
}

/// Takes a name that the kernel gave apart: of a path that fills its structure it tells the terminator too, which lies behind
/// that (unix(7)).
///
/// # Errors
/// As [`parse`].
pub(super) fn parse_given(bytes: &[u8]) -> Result<Parsed, Errno> {
    parse_up_to(UNIX_SIZE + 1, bytes)
}

fn parse_up_to(longest_unix: usize, bytes: &[u8]) -> Result<Parsed, Errno> {
    let family = bytes.first_chunk::<FAMILY_SIZE>().map(|family| i32::from(u16::from_ne_bytes(*family)));
    match family.ok_or(Errno::INVAL)? {
        libc::AF_UNSPEC => Ok(Parsed::Unspecified),
        libc::AF_INET => inet(bytes).map(|v4| Parsed::Ip(v4.into())),
        libc::AF_INET6 if bytes.len() >= INET6_SHORT_SIZE => {
            let address: [u8; 16] = array(&bytes[8..]);
            let scope = bytes.get(INET6_SHORT_SIZE..INET6_SIZE).map_or(0, |scope| u32::from_ne_bytes(array(scope)));
            Ok(Parsed::Ip(SocketAddrV6::new(Ipv6Addr::from(address), port(bytes), 0, scope).into()))
        }
        libc::AF_UNIX => match &bytes[FAMILY_SIZE..] {
            [] => Ok(Parsed::UnixUnnamed),
            _ if bytes.len() > longest_unix => Err(Errno::INVAL),
            [0, name @ ..] => Ok(Parsed::UnixAbstract(name.to_vec())),
            path => Ok(Parsed::UnixPath(path.split(|&byte| byte == 0).next().unwrap_or_default().to_vec())),
        },
        libc::AF_NETLINK if bytes.len() >= NETLINK_SIZE => Ok(Parsed::Netlink(bytes[..NETLINK_SIZE].to_vec())),
        libc::AF_INET6 | libc::AF_NETLINK => Err(Errno::INVAL),
        _ => Ok(Parsed::Other),
    }
}

/// The address that IPv4 sockets see in these bytes, whatever family they say: `AF_UNSPEC` is taken for IPv4 there.
///
/// # Errors
/// EINVAL when it is too short.
pub(super) fn inet(bytes: &[u8]) -> Result<SocketAddrV4, Errno> {
    if bytes.len() < INET_SIZE {
        return Err(Errno::INVAL);
    }
    let address: [u8; 4] = array(&bytes[4..]);
    Ok(SocketAddrV4::new(Ipv4Addr::from(address), port(bytes)))
}

fn port(bytes: &[u8]) -> u16 {
    u16::from_be_bytes(array(&bytes[2..]))
}

/// The first bytes of a slice that is long enough.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk::<N>().expect("callers checked the length")
}

/// An IP address in the kernel's layout.
pub(super) fn ip(address: SocketAddr) -> Vec<u8> {
    match address {
        SocketAddr::V4(v4) => {
            let mut bytes = family(libc::AF_INET);
            bytes.extend(v4.port().to_be_bytes());
            bytes.extend(v4.ip().octets());
            bytes.resize(INET_SIZE, 0);
            bytes
        }
        SocketAddr::V6(v6) => {
            let mut bytes = family(libc::AF_INET6);
            bytes.extend(v6.port().to_be_bytes());
            bytes.extend([0; 4]);
            bytes.extend(v6.ip().octets());
            bytes.extend(v6.scope_id().to_ne_bytes());
            bytes
        }
    }
}

/// The address that ends a connection.
pub(super) fn unspecified() -> Vec<u8> {
    let mut bytes = family(libc::AF_UNSPEC);
    bytes.resize(INET_SIZE, 0);
    bytes
}

/// A unix socket's address with this path, terminated as the kernel reports it.
pub(super) fn unix_path(path: &[u8]) -> Vec<u8> {
    [family(libc::AF_UNIX).as_slice(), path, &[0]].concat()
}

pub(super) fn unix_abstract(name: &[u8]) -> Vec<u8> {
    [family(libc::AF_UNIX).as_slice(), &[0], name].concat()
}

/// Asks the system to choose an abstract name.
pub(super) fn unix_unnamed() -> Vec<u8> {
    family(libc::AF_UNIX)
}

fn family(family: i32) -> Vec<u8> {
    u16::try_from(family).expect("families are small").to_ne_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_a_round_trip_without_what_is_not_judged() {
        for text in ["10.1.2.3:80", "0.0.0.0:0", "[::1]:443", "[fe80::1%7]:9", "[::ffff:127.0.0.1]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(parse(&ip(address)), Ok(Parsed::Ip(address)), "{text}");
        }
        let mut labelled = ip("[::1]:443".parse().unwrap());
        labelled[4..8].copy_from_slice(&[0, 1, 2, 3]);
        let Ok(Parsed::Ip(SocketAddr::V6(v6))) = parse(&labelled) else { panic!("no IPv6") };
        assert_eq!(v6.flowinfo(), 0);
        assert_eq!(parse(&unix_path(b"/run/x")), Ok(Parsed::UnixPath(b"/run/x".to_vec())));
        assert_eq!(parse(&unix_abstract(b"a\0b")), Ok(Parsed::UnixAbstract(b"a\0b".to_vec())));
        assert_eq!(parse(&unix_unnamed()), Ok(Parsed::UnixUnnamed));
        assert_eq!(parse(&unspecified()), Ok(Parsed::Unspecified));
    }

    #[test]
    fn what_is_too_short_or_too_long_is_refused() {
        let v4 = ip("10.1.2.3:80".parse().unwrap());
        let v6 = ip("[::1]:80".parse().unwrap());
        assert_eq!(parse(&[]), Err(Errno::INVAL));
        assert_eq!(parse(&[2]), Err(Errno::INVAL));
        assert_eq!(parse(&v4[..15]), Err(Errno::INVAL));
        assert_eq!(parse(&v6[..23]), Err(Errno::INVAL));
        assert_eq!(parse(&v6[..24]), Ok(Parsed::Ip("[::1]:80".parse().unwrap())));
        assert_eq!(parse(&[&[1, 0][..], &[b'x'; 108]].concat()), Ok(Parsed::UnixPath(vec![b'x'; 108])));
        assert_eq!(parse(&[&[1, 0][..], &[b'x'; 109]].concat()), Err(Errno::INVAL));
        let full = unix_path(&[b'x'; 108]);
        assert_eq!(parse(&full), Err(Errno::INVAL));
        assert_eq!(parse_given(&full), Ok(Parsed::UnixPath(vec![b'x'; 108])));
        assert_eq!(parse_given(&unix_path(&[b'x'; 109])), Err(Errno::INVAL));
        assert_eq!(parse(&[40, 0, 1, 2]), Ok(Parsed::Other));
        assert_eq!(inet(&[0; 15]), Err(Errno::INVAL));
    }
}
