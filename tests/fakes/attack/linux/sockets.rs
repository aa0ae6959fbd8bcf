//! Reaching somebody outside: whoever is reached answers with the secret. The word is a port or a socket's name.

use std::mem::size_of;

use super::help::{contents, descriptor, note, sys, text, won, zeroed};
use super::kernel::won_if;
use super::{Attack, Run};

pub(crate) const ATTACKS: &[Attack] = &[
    ("connect-tcp", |run| connect_tcp(run, libc::IPPROTO_TCP)),
    ("connect-any-address", |run| {
        let (socket, mut address) = (inet(libc::SOCK_STREAM, 0), loopback(run));
        address.sin_addr.s_addr = 0;
        note("connect", &sys!(SYS_connect, socket, &raw const address, INET_SIZE));
        answer(socket);
    }),
    ("connect-mapped-address", |run| {
        let mut address: libc::sockaddr_in6 = zeroed();
        address.sin6_family = libc::AF_INET6 as libc::sa_family_t;
        address.sin6_port = run.word(0).parse::<u16>().unwrap().to_be();
        address.sin6_addr.s6_addr = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1];
        let socket = sys!(SYS_socket, libc::AF_INET6, libc::SOCK_STREAM, 0).map_or(-1, descriptor);
        note("connect", &sys!(SYS_connect, socket, &raw const address, 28));
        answer(socket);
    }),
    ("connect-mptcp", |run| connect_tcp(run, 262)),
    ("connect-fastopen", |run| {
        let (socket, address) = (inet(libc::SOCK_STREAM, 0), loopback(run));
        let done = sys!(SYS_sendto, socket, c"x", 1, FASTOPEN, &raw const address, INET_SIZE);
        note("sendto", &done);
        answer(socket);
    }),
    ("connect-fastopen-message", |run| {
        let (socket, mut address) = (inet(libc::SOCK_STREAM, 0), loopback(run));
        note("sendmsg", &message(socket, (&raw mut address).cast(), INET_SIZE, FASTOPEN));
        answer(socket);
    }),
    ("udp-to-address", |run| {
        let (socket, address) = (inet(libc::SOCK_DGRAM, 0), loopback(run));
        note("sendto", &sys!(SYS_sendto, socket, c"x", 1, 0, &raw const address, INET_SIZE));
        answer(socket);
    }),
    ("udp-message", |run| {
        let (socket, mut address) = (inet(libc::SOCK_DGRAM, 0), loopback(run));
        note("sendmsg", &message(socket, (&raw mut address).cast(), INET_SIZE, 0));
        answer(socket);
    }),
    ("udp-connected", |run| {
        let (socket, address) = (inet(libc::SOCK_DGRAM, 0), loopback(run));
        note("connect", &sys!(SYS_connect, socket, &raw const address, INET_SIZE));
        let _ = sys!(SYS_write, socket, c"x", 1);
        answer(socket);
    }),
    ("listen-without-bind", |_| {
        let socket = inet(libc::SOCK_STREAM, 0);
        note("listen", &sys!(SYS_listen, socket, 1));
        let mut address: libc::sockaddr_in = zeroed();
        let mut size = INET_SIZE;
        let _ = sys!(SYS_getsockname, socket, &raw mut address, &raw mut size);
        let mut listens = 0_i32;
        let mut length = 4_u32;
        let _ = sys!(SYS_getsockopt, socket, libc::SOL_SOCKET, libc::SO_ACCEPTCONN, &raw mut listens, &raw mut length);
        won_if(listens == 1 && address.sin_port != 0, format!("listening at {}", u16::from_be(address.sin_port)));
    }),
    ("bind-tcp", |_| {
        let (socket, mut address) = (inet(libc::SOCK_STREAM, 0), at_port(0));
        let mut size = INET_SIZE;
        note("bind", &sys!(SYS_bind, socket, &raw const address, size));
        let _ = sys!(SYS_getsockname, socket, &raw mut address, &raw mut size);
        won_if(address.sin_port != 0, format!("bound to {}", u16::from_be(address.sin_port)));
    }),
    ("bind-local", |_| {
        let (address, size) = local("closed/made");
        note("bind", &sys!(SYS_bind, unix(libc::SOCK_STREAM), &raw const address, size));
    }),
    ("connect-local", |run| connect_local(run.word(0))),
    ("connect-local-through-link", |run| {
        let _ = sys!(SYS_symlink, text(run.word(0)), text("opened/way"));
        connect_local("opened/way");
    }),
    ("connect-abstract", |run| connect_local(&format!("\0{}", run.word(0)))),
    ("datagram-local", |run| {
        let (address, size) = local(run.word(0));
        let socket = unix(libc::SOCK_DGRAM);
        note("sendto", &sys!(SYS_sendto, socket, c"SENT FROM INSIDE", 16, 0, &raw const address, size));
    }),
    ("datagram-from-pair", |run| {
        let mut pair = [0_i32; 2];
        note("pair", &sys!(SYS_socketpair, libc::AF_UNIX, libc::SOCK_DGRAM, 0, pair.as_mut_ptr()));
        let (address, size) = local(run.word(0));
        note("sendto", &sys!(SYS_sendto, pair[0], c"SENT FROM INSIDE", 16, 0, &raw const address, size));
    }),
    ("receive-descriptor", |run| {
        let (address, size) = local(run.word(0));
        let socket = unix(libc::SOCK_STREAM);
        note("connect", &sys!(SYS_connect, socket, &raw const address, size));
        let taken = received(socket);
        note("received", &taken);
        if let Ok(fd) = taken {
            println!("{}", contents(fd));
        }
    }),
    ("receive-datagram-socket", |run| {
        // Somebody outside connects and hands over a socket for datagrams.
        let (address, size) = local("opened/meeting");
        let socket = unix(libc::SOCK_STREAM);
        note("bind", &sys!(SYS_bind, socket, &raw const address, size));
        note("listen", &sys!(SYS_listen, socket, 1));
        let taken = sys!(SYS_accept, socket, 0, 0).map(descriptor).and_then(received);
        note("received", &taken);
        let (taken, mut to) = (taken.unwrap_or(-1), loopback(run));
        note("sendmsg", &message(taken, (&raw mut to).cast(), INET_SIZE, 0));
        answer(taken);
    }),
    ("bind-by-credentials", |_| bind_by_option(libc::SO_PASSCRED)),
    ("bind-by-process-descriptor", |_| bind_by_option(SO_PASSPIDFD)),
    ("choose-interface", |_| {
        // Any number is taken until something is sent.
        let socket = sys!(SYS_socket, libc::AF_INET6, libc::SOCK_DGRAM, 0).map_or(-1, descriptor);
        let information = [0_u32, 0, 0, 0, 2];
        let (level, name) = (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO);
        let done = sys!(SYS_setsockopt, socket, level, name, information.as_ptr(), size_of::<[u32; 5]>());
        note("setsockopt", &done);
        won_if(done.is_ok(), "datagrams leave by an interface of one's choice");
    }),
    ("socket-netlink", |_| special(libc::AF_NETLINK, libc::SOCK_RAW, 0)),
    ("socket-packet", |_| special(libc::AF_PACKET, libc::SOCK_RAW, 0x300)),
    ("socket-raw", |_| special(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)),
    ("socket-vsock", |_| special(libc::AF_VSOCK, libc::SOCK_STREAM, 0)),
];

/// A datagram socket without a name gets one when it sends, once it asks for the other side's credentials.
fn bind_by_option(option: i32) {
    let socket = unix(libc::SOCK_DGRAM);
    let on = 1_i32;
    note("setsockopt", &sys!(SYS_setsockopt, socket, libc::SOL_SOCKET, option, &raw const on, 4));
    let (nobody, size) = local("\0nobody has this name");
    note("sendto", &sys!(SYS_sendto, socket, c"x", 1, 0, &raw const nobody, size));
    let mut name: libc::sockaddr_un = zeroed();
    let mut length = u32::try_from(size_of::<libc::sockaddr_un>()).unwrap();
    let _ = sys!(SYS_getsockname, socket, &raw mut name, &raw mut length);
    won_if(length > 2, format!("the socket has a name of {length} bytes"));
}

/// asm-generic/socket.h; not in libc for every target.
const SO_PASSPIDFD: i32 = 76;
const FASTOPEN: i32 = 0x2000_0000;
const INET_SIZE: u32 = size_of::<libc::sockaddr_in>() as u32;

fn inet(kind: i32, protocol: i32) -> i32 {
    let socket = sys!(SYS_socket, libc::AF_INET, kind, protocol);
    note("socket", &socket);
    socket.map_or(-1, descriptor)
}

fn unix(kind: i32) -> i32 {
    let socket = sys!(SYS_socket, libc::AF_UNIX, kind, 0);
    note("socket", &socket);
    socket.map_or(-1, descriptor)
}

fn at_port(port: u16) -> libc::sockaddr_in {
    let mut address: libc::sockaddr_in = zeroed();
    address.sin_family = libc::AF_INET as libc::sa_family_t;
    address.sin_port = port.to_be();
    address.sin_addr.s_addr = u32::from_be(0x7f00_0001);
    address
}

fn loopback(run: &Run) -> libc::sockaddr_in {
    at_port(run.word(0).parse().unwrap())
}

/// A local address; a leading NUL makes it abstract.
pub(crate) fn local(path: &str) -> (libc::sockaddr_un, u32) {
    let mut address: libc::sockaddr_un = zeroed();
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (place, byte) in address.sun_path.iter_mut().zip(path.bytes()) {
        *place = byte.cast_signed();
    }
    (address, u32::try_from(2 + path.len() + usize::from(!path.starts_with('\0'))).unwrap())
}

fn connect_tcp(run: &Run, protocol: i32) {
    let (socket, address) = (inet(libc::SOCK_STREAM, protocol), loopback(run));
    note("connect", &sys!(SYS_connect, socket, &raw const address, INET_SIZE));
    answer(socket);
}

fn connect_local(path: &str) {
    let (address, size) = local(path);
    let socket = unix(libc::SOCK_STREAM);
    note("connect", &sys!(SYS_connect, socket, &raw const address, size));
    answer(socket);
}

/// What the other side says within half a second.
fn answer(socket: i32) {
    let mut poll = libc::pollfd { fd: socket, events: libc::POLLIN, revents: 0 };
    if sys!(SYS_poll, &raw mut poll, 1, 500) == Ok(1) {
        println!("{}", contents(socket));
    }
}

fn message(socket: i32, name: *mut libc::c_void, size: u32, flags: i32) -> Result<i64, i32> {
    let mut byte = [b'x'];
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut header: libc::msghdr = zeroed();
    (header.msg_name, header.msg_namelen) = (name, size);
    (header.msg_iov, header.msg_iovlen) = (&raw mut vector, 1);
    sys!(SYS_sendmsg, socket, &raw const header, flags)
}

/// A descriptor that comes with a message.
fn received(socket: i32) -> Result<i32, i32> {
    let mut byte = [0_u8];
    let mut control = [0_u64; 8];
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut header: libc::msghdr = zeroed();
    (header.msg_iov, header.msg_iovlen) = (&raw mut vector, 1);
    (header.msg_control, header.msg_controllen) = (control.as_mut_ptr().cast(), 64);
    sys!(SYS_recvmsg, socket, &raw mut header, 0)?;
    // One `cmsghdr` of 16 bytes, then the number.
    let fd = i32::from_ne_bytes(control[2].to_ne_bytes()[..4].try_into().unwrap());
    if header.msg_controllen >= 20 { Ok(fd) } else { Err(libc::ENODATA) }
}

fn special(domain: i32, kind: i32, protocol: i32) {
    let socket = sys!(SYS_socket, domain, kind, protocol);
    note("socket", &socket);
    if socket.is_ok() {
        won(format!("a socket of domain {domain}"));
    }
}
