//! Actions on sockets. A peer is `tcp:ADDRESS`, `udp:ADDRESS`, `unix:PATH`, `unix-datagram:PATH`, `abstract:NAME` or
//! `abstract-datagram:NAME`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test program")]

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};
use rustix::net::addr::SocketAddrArg;
use rustix::net::{
    AddressFamily, MMsgHdr, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrAny,
    SocketAddrUnix, SocketFlags, SocketType,
};
use rustix::net::{bind, connect, connect_unspec, getsockname, listen, recv, sendmmsg, sendmsg, sendmsg_addr, sendto};

pub(crate) fn main(words: &[&str]) {
    let outcome = match words {
        ["connect", peer] => reach(peer),
        ["disconnect", peer] => disconnect(peer),
        ["nonblocking", peer] => nonblocking(peer),
        ["backlog", peer, path] => backlog(peer, path),
        ["bind", own] => bind_again(own),
        ["listen", own] => serve(own),
        ["listen-unbound"] => listen_unbound(),
        ["listen-and-connect", own] => listen_and_connect(own),
        ["name", own] => name(own),
        ["sendto", peer] => datagram(peer, Way::Sendto),
        ["sendmsg", peer] => datagram(peer, Way::Sendmsg),
        ["sendmmsg", peer] => datagram(peer, Way::Sendmmsg),
        ["fastopen", peer] => datagram(peer, Way::FastOpen),
        ["rights", peer, path] => rights(peer, path),
        ["long", peer, length] => long(peer, length),
        ["handed", peer] => handed(peer),
        ["gone", peer, how] => gone(peer, how),
        ["linger", peer, count, milliseconds] => linger(peer, count, milliseconds),
        ["option", level, option] => set_option(level, option),
        ["flip", allowed, forbidden, milliseconds] => flip(allowed, forbidden, milliseconds),
        ["swap", allowed, forbidden, to, milliseconds] => swap(allowed, forbidden, to, milliseconds),
        _ => panic!("unknown action {words:?}"),
    };
    match outcome {
        Ok(text) => println!("0 0 {text}"),
        Err(errno) => println!("-1 {}", errno.raw_os_error()),
    }
}

fn make(peer: &str) -> Result<(OwnedFd, SocketAddrAny), Errno> {
    let (kind, rest) = peer.split_once(':').unwrap();
    let unix = |address: SocketAddrUnix| (AddressFamily::UNIX, address.as_any());
    let ip = || {
        let address: SocketAddr = rest.parse().unwrap();
        let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        (family, address.as_any())
    };
    let ((family, address), kind) = match kind {
        "tcp" => (ip(), SocketType::STREAM),
        "udp" => (ip(), SocketType::DGRAM),
        "unix" => (unix(SocketAddrUnix::new(rest)?), SocketType::STREAM),
        "unix-datagram" => (unix(SocketAddrUnix::new(rest)?), SocketType::DGRAM),
        "abstract" => (unix(SocketAddrUnix::new_abstract_name(rest.as_bytes())?), SocketType::STREAM),
        "abstract-datagram" => (unix(SocketAddrUnix::new_abstract_name(rest.as_bytes())?), SocketType::DGRAM),
        _ => panic!("unknown kind {kind}"),
    };
    Ok((rustix::net::socket(family, kind, None)?, address))
}

/// Connects, says something and tells what came back: a stream's first bytes, a datagram's answer.
fn reach(peer: &str) -> Result<String, Errno> {
    let (socket, address) = make(peer)?;
    connect(&socket, &address)?;
    // A server may have answered and gone already.
    let _ = write(&socket, b"q");
    answer(&socket)
}

fn answer(socket: &OwnedFd) -> Result<String, Errno> {
    let limit = Timespec { tv_sec: 2, tv_nsec: 0 };
    if poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&limit))? == 0 {
        return Ok("silence".to_owned());
    }
    let mut buffer = [0; 64];
    let count = read(socket, &mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
}

fn disconnect(peer: &str) -> Result<String, Errno> {
    let (socket, address) = make(peer)?;
    connect(&socket, &address)?;
    connect_unspec(&socket)?;
    // Without a peer there is nobody to send to.
    match write(&socket, b"q") {
        Err(errno) => Ok(format!("{}", errno.raw_os_error())),
        Ok(_) => Ok("still connected".to_owned()),
    }
}

/// Binds, listens, and connects to itself.
fn listen_and_connect(own: &str) -> Result<String, Errno> {
    let (server, address) = make(own)?;
    bind(&server, &address)?;
    listen(&server, 1)?;
    let (client, _) = make(own)?;
    connect(&client, &address)?;
    Ok("connected".to_owned())
}

/// Connects without waiting: the immediate answer, then how it ended.
fn nonblocking(peer: &str) -> Result<String, Errno> {
    let address: SocketAddr = peer.parse().unwrap();
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
    match connect(&socket, &address) {
        Err(Errno::INPROGRESS) => {}
        Err(errno) => return Err(errno),
        Ok(()) => return Ok("at once".to_owned()),
    }
    poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&Timespec { tv_sec: 2, tv_nsec: 0 }))?;
    rustix::net::sockopt::socket_error(&socket)??;
    Ok("connected".to_owned())
}

/// Four threads connect to a listener that takes nobody, while this one opens a file again and again: how often it could.
fn backlog(peer: &str, path: &str) -> Result<String, Errno> {
    let peer = peer.to_owned();
    for _ in 0..4 {
        let peer = peer.clone();
        std::thread::spawn(move || {
            let sockets: Vec<_> = (0..8).map_while(|_| make(&peer).ok()).collect();
            sockets.iter().for_each(|(socket, address)| {
                let _ = connect(socket, address);
            });
            std::thread::sleep(Duration::from_secs(60));
        });
    }
    std::thread::sleep(Duration::from_millis(300));
    let opened = (0..200).filter(|_| std::fs::read(path).is_ok()).count();
    Ok(opened.to_string())
}

/// Binds, also to a port that was used a moment ago.
fn bind_again(own: &str) -> Result<String, Errno> {
    let (socket, address) = make(own)?;
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    Ok(String::new())
}

/// Listens, tells the own address, takes one connection and answers it.
fn serve(own: &str) -> Result<String, Errno> {
    let (socket, address) = make(own)?;
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, 4)?;
    let limit = Timespec { tv_sec: 5, tv_nsec: 0 };
    if poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&limit))? == 0 {
        return Ok("nobody".to_owned());
    }
    let taken = rustix::net::accept(&socket)?;
    write(&taken, b"served")?;
    Ok("served".to_owned())
}

fn listen_unbound() -> Result<String, Errno> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    listen(&socket, 1)?;
    Ok(String::new())
}

/// Binds and tells the name that the system gives for it.
fn name(own: &str) -> Result<String, Errno> {
    let (socket, address) = make(own)?;
    bind(&socket, &address)?;
    let name = getsockname(&socket)?;
    if let Ok(unix) = SocketAddrUnix::try_from(name.clone()) {
        return Ok(format!("{:?}", unix.path().unwrap_or_default()));
    }
    Ok(SocketAddr::try_from(name).map(|address| address.to_string()).unwrap_or_default())
}

enum Way {
    Sendto,
    Sendmsg,
    Sendmmsg,
    FastOpen,
}

fn datagram(peer: &str, way: Way) -> Result<String, Errno> {
    let (socket, address) = make(peer)?;
    let fast = SendFlags::from_bits_retain(0x2000_0000);
    let parts = [IoSlice::new(b"q"), IoSlice::new(b"r")];
    let sent = match way {
        Way::Sendto => sendto(&socket, b"qr", SendFlags::empty(), &address)?,
        Way::Sendmsg => {
            sendmsg_addr(&socket, &address, &parts, &mut SendAncillaryBuffer::default(), SendFlags::empty())?
        }
        Way::Sendmmsg => {
            let (mut first, mut second) = (SendAncillaryBuffer::default(), SendAncillaryBuffer::default());
            let one = MMsgHdr::new_with_addr(&address, &parts, &mut first);
            let two = MMsgHdr::new_with_addr(&address, &parts, &mut second);
            let mut messages = [one, two];
            let count = sendmmsg(&socket, &mut messages, SendFlags::empty())?;
            assert_eq!(messages.iter().map(MMsgHdr::bytes_sent).collect::<Vec<_>>(), [2, 2]);
            count
        }
        Way::FastOpen => sendto(&socket, b"qr", fast, &address)?,
    };
    Ok(format!("{sent} {}", if peer.starts_with("udp") { answer(&socket)? } else { String::new() }))
}

/// Sends through the socket that is the standard input.
fn handed(peer: &str) -> Result<String, Errno> {
    let (address, parts) = (peer.strip_prefix("udp:").unwrap().parse::<SocketAddr>().unwrap(), [IoSlice::new(b"q")]);
    let mut control = SendAncillaryBuffer::default();
    sendmsg_addr(std::io::stdin(), &address, &parts, &mut control, SendFlags::empty())?;
    Ok(String::new())
}

/// Hands an open file to the peer, which tells its content.
fn rights(peer: &str, path: &str) -> Result<String, Errno> {
    let file = std::fs::File::open(path).unwrap();
    let (socket, address) = make(peer)?;
    connect(&socket, &address)?;
    let descriptors = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    sendmsg(&socket, &[IoSlice::new(b"f")], &mut control, SendFlags::empty())?;
    answer(&socket)
}

/// Sends so much in one message that no buffer holds it.
fn long(peer: &str, length: &str) -> Result<String, Errno> {
    let (socket, address) = make(peer)?;
    connect(&socket, &address)?;
    let data = vec![b'x'; length.parse().unwrap()];
    let sent = sendmsg(&socket, &[IoSlice::new(&data)], &mut SendAncillaryBuffer::default(), SendFlags::empty())?;
    rustix::net::shutdown(&socket, rustix::net::Shutdown::Write)?;
    Ok(format!("{sent} {}", answer(&socket)?))
}

/// Sends messages to a peer that has gone, with the signal for that ignored or not.
fn gone(peer: &str, how: &str) -> Result<String, Errno> {
    if how == "default" {
        // SAFETY: the default action installs no code.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    }
    let (socket, address) = make(peer)?;
    connect(&socket, &address)?;
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(10));
        sendmsg(&socket, &[IoSlice::new(b"q")], &mut SendAncillaryBuffer::default(), SendFlags::empty())?;
    }
    Ok("nobody minded".to_owned())
}

/// Sends on so many connections that linger, to a peer that takes nothing, and ends while all of them wait.
fn linger(peer: &str, count: &str, milliseconds: &str) -> ! {
    for _ in 0..count.parse().unwrap() {
        let (socket, address) = make(peer).unwrap();
        std::thread::spawn(move || {
            rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::from_secs(3_000)))?;
            rustix::net::sockopt::set_socket_send_buffer_size(&socket, 4_096)?;
            connect(&socket, &address)?;
            // With an address, so that the supervisor sends.
            sendto(&socket, &[0; 256 * 1024], SendFlags::empty(), &address)
        });
    }
    std::thread::sleep(Duration::from_millis(milliseconds.parse().unwrap()));
    std::process::exit(0)
}

fn set_option(level: &str, option: &str) -> Result<String, Errno> {
    let family = if level == "41" { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    let (level, option) = (level.parse().unwrap(), option.parse().unwrap());
    // SAFETY: without a value there is nothing to read.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, std::ptr::null(), 0) };
    if result == 0 { Ok(String::new()) } else { Err(Errno::from_raw_os_error(super::linux::errno())) }
}

/// One connection and its answer: `A` or `F`.
fn mark(address: *const libc::sockaddr, length: libc::socklen_t) -> Option<u8> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).ok()?;
    // SAFETY: the address lies in memory that outlives the call; that another thread writes it is what is tested.
    if unsafe { libc::connect(socket.as_raw_fd(), address, length) } != 0 {
        return None;
    }
    let mut buffer = [0; 1];
    let (count, _) = recv(&socket, &mut buffer, RecvFlags::empty()).ok()?;
    (count == 1).then_some(buffer[0])
}

/// Connects while another thread keeps exchanging the port in the address: "attempts forbidden allowed".
fn flip(allowed: &str, forbidden: &str, milliseconds: &str) -> Result<String, Errno> {
    let port = |text: &str| u64::from(text.parse::<u16>().unwrap().to_be());
    // `struct sockaddr_in`: family and port, then the address; both halves are written at once.
    let word = |port: u64| AtomicU64::new(2 | port << 16 | u64::from(u32::from_ne_bytes([127, 0, 0, 1])) << 32);
    let bytes = [word(port(allowed)), AtomicU64::new(0)];
    let (good, bad) = (word(port(allowed)).into_inner(), word(port(forbidden)).into_inner());
    let stop = AtomicBool::new(false);
    let end = Instant::now() + Duration::from_millis(milliseconds.parse().unwrap());
    let (mut attempts, mut wins, mut passes) = (0, 0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for value in [bad, good] {
                    bytes[0].store(value, Ordering::Relaxed);
                }
            }
        });
        while Instant::now() < end {
            attempts += 1;
            match mark(bytes.as_ptr().cast(), 16) {
                Some(b'F') => wins += 1,
                Some(b'A') => passes += 1,
                _ => {}
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("{attempts} {wins} {passes}");
    Ok(String::new())
}

/// Sends to one address while another thread keeps exchanging the socket under the number: a stream, to which the address
/// means nothing, and a datagram socket.
fn swap(stream: &str, datagram: &str, to: &str, milliseconds: &str) -> Result<String, Errno> {
    let (one, address) = make(stream)?;
    connect(&one, &address)?;
    let (two, _) = make(datagram)?;
    let (_, to) = make(to)?;
    let moving = rustix::io::dup(&one)?;
    let number = moving.as_raw_fd();
    let stop = AtomicBool::new(false);
    let end = Instant::now() + Duration::from_millis(milliseconds.parse().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // SAFETY: numbers of descriptors that are open until the scope ends.
                unsafe {
                    libc::dup2(two.as_raw_fd(), number);
                    libc::dup2(one.as_raw_fd(), number);
                }
            }
        });
        while Instant::now() < end {
            let parts = [IoSlice::new(b"q")];
            let _ = sendmsg_addr(&moving, &to, &parts, &mut SendAncillaryBuffer::default(), SendFlags::DONTWAIT);
        }
        stop.store(true, Ordering::Relaxed);
    });
    Ok(String::new())
}
