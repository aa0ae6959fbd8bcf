//! Sending with an address: sendto(2), sendmsg(2), sendmmsg(2), performed from a copy of everything.
//!
//! Only datagram sockets look at the address, but neither its presence nor the kind of socket is in a register that a
//! second thread cannot change the meaning of; so where datagrams are restricted, every such call is performed here.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;

use super::address::{self, Parsed};
use super::call::{Answer, Answered, Call};
use super::network::{Destination, OUTBOUND, Socket};
use super::processes::Processes;
use crate::os::linux::{memory, process, socket};

/// Most data copied at once. A stream is sent piece by piece; no datagram is longer.
const MOST_DATA: usize = 1 << 20;
/// Most control data; more than the kernel takes by default (`net.core.optmem_max`).
const MOST_CONTROL: usize = 1 << 16;
/// Most pieces of data (`UIO_MAXIOV`), and most messages of one call.
const MOST_PIECES: usize = 1024;
/// Most descriptors in one message (`SCM_MAX_FD`).
const MOST_DESCRIPTORS: usize = 253;

const MSG_FASTOPEN: i32 = 0x2000_0000;
const MSG_ZEROCOPY: i32 = 0x400_0000;
/// What programs may ask for; the rest is the kernel's own business.
const FLAGS: i32 = libc::MSG_OOB
    | libc::MSG_DONTROUTE
    | libc::MSG_DONTWAIT
    | libc::MSG_EOR
    | libc::MSG_CONFIRM
    | libc::MSG_MORE
    | libc::MSG_NOSIGNAL;

const CONTROL_REFUSED: &str = "a control message that could choose another way than the address says is not passed on";

/// Bytes of `struct msghdr`, of `struct mmsghdr`, of a piece (`struct iovec`), of a control message's header.
const MESSAGE: usize = 56;
const MESSAGE_AND_LENGTH: usize = 64;
const PIECE: usize = 16;
const HEADER: usize = 16;

/// A `struct msghdr` of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Message {
    name: u64,
    name_length: i32,
    pieces: u64,
    piece_count: u64,
    control: u64,
    control_length: u64,
}

impl Message {
    fn parse(bytes: &[u8; MESSAGE]) -> Self {
        let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let name_length = i32::from_ne_bytes(bytes[8..12].try_into().expect("four bytes"));
        Self {
            name: word(0),
            name_length,
            pieces: word(16),
            piece_count: word(24),
            control: word(32),
            control_length: word(40),
        }
    }
}

/// Data of the program that is still to be sent, in pieces of its memory.
#[derive(Debug)]
struct Data(Vec<(u64, u64)>);

impl Data {
    fn length(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, length)| sum.saturating_add(*length))
    }
}

/// Control data ready for sending, with the descriptors it names.
#[derive(Debug, Default)]
struct Control {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Call<'_> {
    pub(super) fn sendto(&mut self) -> Answered {
        let socket = self.socket_at(0)?;
        let data = Data(vec![(self.word(1), self.word(2))]);
        let name = self.destination_bytes(self.word(4), self.int(5).try_into().map_err(|_| Errno::INVAL)?)?;
        let to = self.outgoing(&socket, name)?;
        self.transmit(&socket, to.as_ref(), data, Control::default(), self.int(3)).map(value)
    }

    pub(super) fn sendmsg(&mut self) -> Answered {
        let socket = self.socket_at(0)?;
        let mut bytes = [0; MESSAGE];
        self.read(1, &mut bytes)?;
        self.send_message(&socket, &Message::parse(&bytes), self.int(2)).map(value)
    }

    pub(super) fn sendmmsg(&mut self) -> Answered {
        let socket = self.socket_at(0)?;
        let count = u64::from(self.unsigned(2)).min(MOST_PIECES as u64);
        for index in 0..count {
            let at = self.word(1).wrapping_add(index * MESSAGE_AND_LENGTH as u64);
            let mut bytes = [0; MESSAGE];
            let sent = self
                .read_at(at, &mut bytes)
                .and_then(|()| self.send_message(&socket, &Message::parse(&bytes), self.int(3)))
                .and_then(|sent| {
                    let length = u32::try_from(sent).map_err(|_| Errno::MSGSIZE)?;
                    self.still_waiting()?;
                    memory::write_exact(self.tid(), at.wrapping_add(MESSAGE as u64), &length.to_ne_bytes())
                });
            match sent {
                Ok(()) => {}
                Err(errno) if index == 0 => return Err(errno),
                // The next call will meet the same error.
                Err(_) => return Ok(Answer::Value(index.cast_signed())),
            }
        }
        Ok(Answer::Value(count.cast_signed()))
    }

    fn send_message(&mut self, socket: &Socket, message: &Message, flags: i32) -> Result<usize, Errno> {
        let length = usize::try_from(message.name_length).map_err(|_| Errno::INVAL)?;
        let name = self.destination_bytes(message.name, length.min(socket::LONGEST_ADDRESS))?;
        let count = usize::try_from(message.piece_count).map_err(|_| Errno::MSGSIZE)?;
        if count > MOST_PIECES {
            return Err(Errno::MSGSIZE);
        }
        let mut pieces = vec![0; count * PIECE];
        self.read_at(message.pieces, &mut pieces)?;
        let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().expect("eight bytes"));
        let data = Data(pieces.chunks_exact(PIECE).map(|piece| (word(&piece[..8]), word(&piece[8..]))).collect());
        let to = self.outgoing(socket, name)?;
        let control = self.control(message.control, message.control_length)?;
        self.transmit(socket, to.as_ref(), data, control, flags)
    }

    /// The bytes of a destination, read once; `None` when there is none.
    fn destination_bytes(&self, at: u64, length: usize) -> Result<Option<Vec<u8>>, Errno> {
        if length > socket::LONGEST_ADDRESS {
            return Err(Errno::INVAL);
        }
        if at == 0 || length == 0 {
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        self.read_at(at, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// Judges the destination of a datagram. Streams have only one.
    fn outgoing(&mut self, socket: &Socket, name: Option<Vec<u8>>) -> Result<Option<Destination>, Errno> {
        let Some(name) = name else { return Ok(None) };
        match (socket.domain, socket.kind) {
            (libc::AF_UNIX, libc::SOCK_STREAM) => {
                let connected = matches!(rustix::net::getpeername(&socket.fd), Ok(Some(_)));
                return Err(if connected { Errno::ISCONN } else { Errno::OPNOTSUPP });
            }
            (_, libc::SOCK_STREAM | libc::SOCK_SEQPACKET) => return Ok(None),
            _ => {}
        }
        let parsed = match (socket.domain, address::parse(&name)?) {
            // Unlike connect(2), sending takes this family for IPv4 on sockets of IPv4, and for no address on the others.
            (libc::AF_INET, Parsed::Unspecified) => Parsed::Ip(address::inet(&name)?.into()),
            (libc::AF_INET6, Parsed::Unspecified) => return Ok(None),
            (_, parsed) => parsed,
        };
        self.destination(socket, parsed).map(Some)
    }

    /// Sends; a stream piece by piece, as far as the socket takes it.
    fn transmit(
        &mut self,
        socket: &Socket,
        to: Option<&Destination>,
        mut data: Data,
        mut control: Control,
        flags: i32,
    ) -> Result<usize, Errno> {
        if flags & MSG_FASTOPEN != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        // The kernel would read the copy after it is gone. Programs take this for a shortage and send plainly.
        if flags & MSG_ZEROCOPY != 0 {
            return Err(Errno::NOBUFS);
        }
        let stream = socket.kind == libc::SOCK_STREAM;
        if !stream && data.length() > MOST_DATA as u64 {
            return Err(Errno::MSGSIZE);
        }
        let mut sent = 0;
        loop {
            let outcome = self.take(&mut data).and_then(|piece| {
                self.still_waiting()?;
                let address = to.map(|to| to.bytes.as_slice());
                let count =
                    self.blocking(|| socket::send(socket.fd.as_fd(), address, &piece, &control.bytes, flags & FLAGS))?;
                Ok((count, piece.len()))
            });
            match outcome {
                Ok((count, whole)) => {
                    sent += count;
                    if !stream || count < whole || data.length() == 0 {
                        return Ok(sent);
                    }
                    control = Control::default();
                }
                Err(_) if sent > 0 => return Ok(sent),
                Err(errno) => {
                    let signals = errno == Errno::PIPE && stream && flags & libc::MSG_NOSIGNAL == 0;
                    if signals && self.still_waiting().is_ok() {
                        process::raise_pipe_signal(self.tid());
                    }
                    return Err(errno);
                }
            }
        }
    }

    /// Copies the next data out of the program.
    fn take(&self, data: &mut Data) -> Result<Vec<u8>, Errno> {
        let mut copy = Vec::new();
        for (at, length) in &mut data.0 {
            let want = usize::try_from(*length).unwrap_or(usize::MAX).min(MOST_DATA - copy.len());
            if want == 0 {
                continue;
            }
            let start = copy.len();
            copy.resize(start + want, 0);
            self.read_at(*at, &mut copy[start..])?;
            *at = at.wrapping_add(want as u64);
            *length -= want as u64;
        }
        Ok(copy)
    }

    /// Control data for the supervisor's own sending: descriptors become its own copies, the sender's process id its own.
    fn control(&mut self, at: u64, length: u64) -> Result<Control, Errno> {
        let mut control = Control::default();
        if at == 0 || length == 0 {
            return Ok(control);
        }
        let length = usize::try_from(length).ok().filter(|length| *length <= MOST_CONTROL).ok_or(Errno::NOBUFS)?;
        let mut bytes = vec![0; length];
        self.read_at(at, &mut bytes)?;
        let mut rest = bytes.as_slice();
        while rest.len() >= HEADER {
            let size = u64::from_ne_bytes(rest[..8].try_into().expect("eight bytes"));
            let size = usize::try_from(size).ok().filter(|size| (HEADER..=rest.len()).contains(size));
            let size = size.ok_or(Errno::INVAL)?;
            let word = |at: usize| i32::from_ne_bytes(rest[at..at + 4].try_into().expect("four bytes"));
            let (level, kind) = (word(8), word(12));
            let mut body = rest[HEADER..size].to_vec();
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => self.take_over(&mut body, &mut control.descriptors)?,
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => self.as_own_process(&mut body)?,
                _ if passes(level, kind, &body) => {}
                _ => return Err(self.turn_down(OUTBOUND, b"", CONTROL_REFUSED)),
            }
            control.bytes.extend_from_slice(&rest[..HEADER]);
            control.bytes.extend(body);
            control.bytes.resize(control.bytes.len().next_multiple_of(8), 0);
            rest = &rest[size.next_multiple_of(8).min(rest.len())..];
        }
        Ok(control)
    }

    /// Replaces the program's descriptor numbers by those of copies.
    fn take_over(&self, body: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> Result<(), Errno> {
        for number in body.chunks_exact_mut(4) {
            if descriptors.len() >= MOST_DESCRIPTORS {
                return Err(Errno::INVAL);
            }
            let theirs = i32::from_ne_bytes((&*number).try_into().expect("four bytes"));
            let copy = process::take_descriptor_of_thread(self.tid(), theirs)?;
            number.copy_from_slice(&copy.as_raw_fd().to_ne_bytes());
            descriptors.push(copy);
        }
        Ok(())
    }

    /// The kernel lets a sender name only its own process.
    fn as_own_process(&self, body: &mut [u8]) -> Result<(), Errno> {
        let pid = body.first_chunk_mut::<4>().ok_or(Errno::INVAL)?;
        if i32::from_ne_bytes(*pid) != Processes::process_of(self.tid())? {
            return Err(Errno::PERM);
        }
        *pid = std::process::id().cast_signed().to_ne_bytes();
        Ok(())
    }
}

/// Control messages without influence on where a datagram goes. Options and routing headers name further hops
/// (`IP_RETOPTS`, `IPV6_RTHDR`), a flow label can stand for one, and an interface can lead `localhost` out of this host.
fn passes(level: i32, kind: i32, body: &[u8]) -> bool {
    const SOL_UDP: i32 = 17;
    const UDP_SEGMENT: i32 = 103;
    const SO_TXTIME: i32 = 61;
    let zero = |range: std::ops::Range<usize>| body.get(range).is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0));
    match (level, kind) {
        (libc::SOL_SOCKET, libc::SO_TIMESTAMPING | SO_TXTIME) | (SOL_UDP, UDP_SEGMENT) => true,
        (libc::IPPROTO_IP, libc::IP_TTL | libc::IP_TOS) => true,
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => zero(0..4),
        (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT | libc::IPV6_TCLASS | libc::IPV6_DONTFRAG) => true,
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => zero(16..20),
        _ => false,
    }
}

fn value(sent: usize) -> Answer {
    Answer::Value(i64::try_from(sent).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_the_kernel_lays_it_out() {
        assert_eq!((size_of::<libc::msghdr>(), size_of::<libc::mmsghdr>()), (MESSAGE, MESSAGE_AND_LENGTH));
        let at = |offset: usize, value: u64, bytes: &mut [u8; MESSAGE]| {
            bytes[offset..offset + 8].copy_from_slice(&value.to_ne_bytes());
        };
        let mut bytes = [0; MESSAGE];
        at(std::mem::offset_of!(libc::msghdr, msg_name), 1, &mut bytes);
        at(std::mem::offset_of!(libc::msghdr, msg_namelen), 2, &mut bytes);
        at(std::mem::offset_of!(libc::msghdr, msg_iov), 3, &mut bytes);
        at(std::mem::offset_of!(libc::msghdr, msg_iovlen), 4, &mut bytes);
        at(std::mem::offset_of!(libc::msghdr, msg_control), 5, &mut bytes);
        at(std::mem::offset_of!(libc::msghdr, msg_controllen), 6, &mut bytes);
        let expected = Message { name: 1, name_length: 2, pieces: 3, piece_count: 4, control: 5, control_length: 6 };
        assert_eq!(Message::parse(&bytes), expected);
    }

    #[test]
    fn control_messages_that_choose_a_way_do_not_pass() {
        assert!(passes(libc::IPPROTO_IP, libc::IP_TOS, &[1]));
        assert!(passes(libc::IPPROTO_IP, libc::IP_PKTINFO, &[0, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0]));
        assert!(!passes(libc::IPPROTO_IP, libc::IP_PKTINFO, &[1, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0]));
        assert!(!passes(libc::IPPROTO_IP, libc::IP_RETOPTS, &[]));
        assert!(!passes(libc::IPPROTO_IPV6, libc::IPV6_RTHDR, &[]));
        assert!(!passes(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &[0; 3]));
    }
}
