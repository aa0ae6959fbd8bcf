//! What the filter does with each call, by its class.

use super::assemble::{Block, Step};
use super::{ALLOW, EBUSY, ENOSYS, EOPNOTSUPP, EPERM, Forks, Free, NO_EFFECT, NOTIFY, Network};
use crate::sandbox::linux::network::BIND;
use crate::sandbox::linux::table::{Class, Handler, Registers};
use crate::sandbox::weaken::lets_through;

/// Flags of clone(2) that make namespaces.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP) as u32;

/// Terminal requests that put words into the mouth of whoever holds the terminal, or load line disciplines.
const TERMINAL_REQUESTS: [u32; 3] = [0x5412, 0x541c, 0x5423];
/// What every program with a terminal or a non-blocking descriptor asks for (asm-generic/ioctls.h): `TCGETS`, `TCSETS`,
/// `TCSETSW`, `TCSETSF`, `TCSBRK`, `TCXONC`, `TCFLSH`, `TIOCSCTTY`, `TIOCGPGRP`, `TIOCSPGRP`, `TIOCOUTQ`, `TIOCGWINSZ`,
/// `TIOCSWINSZ`, `FIONREAD`, `FIONBIO`, `TIOCNOTTY`, `TIOCGSID`, `TCGETS2`, `TCSETS2`, `TCSETSW2`, `TCSETSF2`, `TIOCGPTN`,
/// `TIOCSPTLCK`, `FIONCLEX`, `FIOCLEX`, `FIOASYNC`.
const EVERYDAY_REQUESTS: [u32; 26] = [
    0x5401,
    0x5402,
    0x5403,
    0x5404,
    0x5409,
    0x540a,
    0x540b,
    0x540e,
    0x540f,
    0x5410,
    0x5411,
    0x5413,
    0x5414,
    0x541b,
    0x5421,
    0x5422,
    0x5429,
    0x802c_542a,
    0x402c_542b,
    0x402c_542c,
    0x402c_542d,
    0x8004_5430,
    0x4004_5431,
    0x5450,
    0x5451,
    0x5452,
];
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER` (linux/seccomp.h).
const NEW_LISTENER: u32 = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32;
const PROT_EXEC: u32 = libc::PROT_EXEC as u32;

/// `FIOSETOWN` and `SIOCSPGRP` (asm/sockios.h): `F_SETOWN` with its argument in memory. `TIOCSIG` (asm-generic/ioctls.h): a signal to
/// those who have a pseudo-terminal of the program's.
pub(in crate::sandbox::linux) const SIGNAL_REQUESTS: [u32; 3] = [0x8901, 0x8902, 0x4004_5436];
/// `USERFAULTFD_IOC_NEW` (linux/userfaultfd.h): userfaultfd(2) by a device. With it a program could keep whoever reads its memory
/// waiting.
const PAGE_FAULT_REQUEST: u32 = 0xaa00;
/// asm-generic/fcntl.h; not in libc for every target.
pub(in crate::sandbox::linux) const F_SETOWN_EX: u32 = 15;
/// `F_SETLK`, `F_SETLKW`, `F_OFD_SETLK`, `F_OFD_SETLKW` (asm-generic/fcntl.h), and what holds others up as a lock does:
/// `F_SETLEASE`, `F_SETDELEG` (linux/fcntl.h).
pub(in crate::sandbox::linux) const LOCK_COMMANDS: [u32; 6] = [6, 7, 37, 38, 1024, 1040];
/// Those of them that belong to an open file, not to a process.
const OF_OPEN_FILE: [u32; 4] = [37, 38, 1024, 1040];
/// `FS_IOC_SETFLAGS`, and `FS_IOC_SETVERSION` for an inode's generation, both in both widths (linux/fs.h), and the names that ext4 has
/// for the latter (fs/ext4/ext4.h): one `int` in memory.
pub(in crate::sandbox::linux) const FLAG_REQUESTS: [u32; 6] =
    [0x4008_6602, 0x4004_6602, 0x4008_7602, 0x4004_7602, 0x4008_6604, 0x4004_6604];
/// `FS_IOC_FSSETXATTR` (linux/fs.h): a `struct fsxattr` in memory.
pub(in crate::sandbox::linux) const FLAG_STRUCTURE_REQUEST: u32 = 0x401c_5820;
/// What else changes a file through a descriptor that can only read it, and cannot be performed on one's behalf by a number:
/// `FS_IOC_ENABLE_VERITY` (linux/fsverity.h), `FS_IOC_SET_ENCRYPTION_POLICY` (linux/fscrypt.h), `EXT4_IOC_MIGRATE` (fs/ext4/ext4.h).
const INODE_REQUESTS: [u32; 3] = [0x4080_6685, 0x800c_6613, 0x6609];

/// The type byte of a request, and btrfs's (linux/btrfs.h); `FICLONE`, `FICLONERANGE`, `FIDEDUPERANGE` share it.
const REQUEST_TYPE: u32 = 0xff00;
const BTRFS_REQUESTS: u32 = 0x9400;
/// Requests on a pidfd (linux/pidfd.h, `PIDFS_IOCTL_MAGIC`): they tell about its process and give its namespaces, and a connection
/// gives the pidfd of a peer outside (`SO_PEERPIDFD`).
const PROCESS_REQUESTS: u32 = 0xff00;
const CLONE_REQUESTS: [u32; 3] = [0x4004_9409, 0x4020_940d, 0xc018_9436];

/// Open flags that ask for more than reading an existing object.
const NOT_PLAIN_READ: u32 =
    (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u32;

pub(super) const MSG_FASTOPEN: u32 = 0x2000_0000;

/// Socket options with which packets to an allowed address take a way over another one, or `localhost` leaves this host:
/// source routes, routing headers (also those that a flow label or remembered options stand for), a choice of interface
/// (linux/in.h, linux/in6.h, asm-generic/socket.h).
const ROUTE_OPTIONS: [(i32, &[i32]); 3] = [
    (libc::IPPROTO_IP, &[libc::IP_OPTIONS, 50]),
    (libc::IPPROTO_IPV6, &[libc::IPV6_RTHDR, libc::IPV6_PKTINFO, 6, 32, 76]),
    (libc::SOL_SOCKET, &[libc::SO_BINDTODEVICE, 62]),
];

/// Options of `SOL_SOCKET` for the other side's credentials (asm-generic/socket.h): a unix socket that has one of them and no
/// name is given an abstract one when it connects or sends. `SO_PASSCRED`, `SO_PASSPIDFD`.
const NAMING_OPTIONS: [i32; 2] = [libc::SO_PASSCRED, 76];

/// Set in the numbers of clocks that belong to a process, a thread or a descriptor; their low bits say which of them, the others
/// are its number, inverted (linux/posix-timers.h: `CPUCLOCK_PID`, `CPUCLOCK_CLOCK_MASK` with `CPUCLOCK_PERTHREAD_MASK`, `CLOCKFD`).
const PROCESS_CLOCK: u32 = 1 << 31;
const CLOCK_KIND: u32 = 7;
const DESCRIPTOR_CLOCK: u32 = 3;

/// What happens to one call.
pub(super) fn treatment(class: Class, name: &str, free: &dyn Free) -> Block {
    if lets_through(name) {
        return Block::new(ALLOW);
    }
    match class {
        Class::Allow => Block::new(ALLOW),
        Class::Begin => Block::new(if free.forks() == Forks::Told { NOTIFY } else { ALLOW }),
        Class::Enosys => Block::new(ENOSYS),
        Class::Deny => Block::new(EPERM),
        Class::Refuse(_) => Block::new(NOTIFY),
        Class::Trap(handler) if free.handler(handler) => Block::new(ALLOW),
        Class::Trap(Handler::Fork) => Block::new(fork(free)),
        Class::Trap(Handler::Getsockname) if free.network().names => Block::new(ALLOW),
        Class::Trap(Handler::Open) if free.plain_read() => plain_read(1),
        Class::Trap(Handler::Openat) if free.plain_read() => plain_read(2),
        Class::Trap(_) => Block::new(NOTIFY),
        Class::Judge(operation) => Block::new(if free.judge(operation) { ALLOW } else { NOTIFY }),
        Class::Queue(_) if free.bounded() => Block::new(EPERM),
        Class::Everywhere(operations) | Class::Queue(operations) => {
            Block::new(if free.operations(operations) { ALLOW } else { EPERM })
        }
        Class::Registers(test) => registers(test, name, free),
    }
}

/// Calls that name in memory who shall get a signal: a racing thread could rewrite that, so nothing can be decided.
fn by_memory(free: &dyn Free) -> u32 {
    if free.everywhere("signal") { ALLOW } else { NOTIFY }
}

fn fork(free: &dyn Free) -> u32 {
    match free.forks() {
        Forks::Free | Forks::Told => ALLOW,
        Forks::Judged => NOTIFY,
    }
}

fn plain_read(flags: usize) -> Block {
    Block::of([Step::Load(low(flags)), Step::AnyBit(NOT_PLAIN_READ, NOTIFY)], ALLOW)
}

fn registers(test: Registers, name: &str, free: &dyn Free) -> Block {
    match test {
        Registers::Clone => {
            let (thread, directory) = (libc::CLONE_THREAD.cast_unsigned(), libc::CLONE_FS.cast_unsigned());
            // A process that shared another's working directory could be led elsewhere between the judgement of what it
            // executes by a relative name and its interpreter's look at it.
            let steps = [
                Step::Load(low(0)),
                Step::AnyBit(NAMESPACES, EPERM),
                Step::AnyBit(thread, ALLOW),
                Step::AnyBit(directory, EPERM),
            ];
            Block::of(steps, fork(free))
        }
        Registers::Fcntl => {
            let owner = if free.handler(Handler::Kill) { ALLOW } else { NOTIFY };
            let mut steps = vec![
                Step::Load(low(1)),
                Step::Equal(libc::F_SETOWN.cast_unsigned(), owner),
                Step::Equal(F_SETOWN_EX, by_memory(free)),
            ];
            let asked: &[u32] = match (free.judge("file-lock"), free.plain_read()) {
                (false, _) => &LOCK_COMMANDS,
                (true, false) => &OF_OPEN_FILE,
                (true, true) => &[],
            };
            steps.extend(asked.iter().map(|command| Step::Equal(*command, NOTIFY)));
            Block::of(steps, ALLOW)
        }
        // Where the supervisor opens files for the program, a lock waits for the copies that it has of them.
        Registers::Flock if free.judge("file-lock") && free.plain_read() => Block::new(ALLOW),
        Registers::Flock => {
            let unlocks = [libc::LOCK_UN, libc::LOCK_UN | libc::LOCK_NB];
            let steps = unlocks.map(|operation| Step::Equal(operation.cast_unsigned(), ALLOW));
            Block::of([vec![Step::Load(low(1))], steps.into()].concat(), NOTIFY)
        }
        Registers::Ioctl => ioctl(free),
        Registers::Mmap if free.everywhere("file-map-executable") => Block::new(ALLOW),
        Registers::Mmap => Block::of(
            [
                Step::Load(low(2)),
                Step::NoBit(PROT_EXEC, ALLOW),
                Step::Load(low(3)),
                Step::AnyBit(libc::MAP_ANONYMOUS.cast_unsigned(), ALLOW),
            ],
            NOTIFY,
        ),
        Registers::Prctl => Block::of(
            [
                Step::Load(low(0)),
                Step::Equal(libc::PR_SET_DUMPABLE.cast_unsigned(), NO_EFFECT),
                Step::Equal(libc::PR_SET_PTRACER.cast_unsigned(), NO_EFFECT),
                Step::Equal(libc::PR_SET_MM.cast_unsigned(), EPERM),
            ],
            ALLOW,
        ),
        Registers::Socket => socket(free.network(), free.judge("system-socket")),
        Registers::Socketpair => {
            // A pair of datagram sockets can still send to other names.
            let mut steps = vec![Step::Load(low(0)), Step::Unless(libc::AF_UNIX.cast_unsigned(), NOTIFY)];
            steps.extend(unix_types(free.network()));
            Block::of(steps, ALLOW)
        }
        Registers::Setsockopt => socket_options(free),
        Registers::Sendto if free.network().outbound => Block::new(ALLOW),
        Registers::Sendto => Block::of(
            [
                Step::Load(low(3)),
                Step::AnyBit(MSG_FASTOPEN, EOPNOTSUPP),
                Step::Load(low(4)),
                Step::Unless(0, NOTIFY),
                Step::Load(high(4)),
                Step::Unless(0, NOTIFY),
            ],
            ALLOW,
        ),
        Registers::Sendmsg | Registers::Sendmmsg if free.network().outbound => Block::new(ALLOW),
        Registers::Sendmsg => messages(2, free.network()),
        Registers::Sendmmsg => messages(3, free.network()),
        Registers::ProcessFirst => Block::of([Step::Load(low(0)), Step::Unless(0, NOTIFY)], ALLOW),
        Registers::Clock => Block::of(
            [
                Step::Load(low(0)),
                Step::NoBit(PROCESS_CLOCK, ALLOW),
                Step::And(CLOCK_KIND),
                Step::Equal(DESCRIPTOR_CLOCK, ALLOW),
                Step::Load(low(0)),
                Step::And(!CLOCK_KIND),
                // Process 0, inverted: the caller's own.
                Step::Equal(!CLOCK_KIND, ALLOW),
            ],
            NOTIFY,
        ),
        // Without a place for the answer the kernel does not look which process is meant.
        Registers::Capget => Block::of(
            [Step::Load(low(1)), Step::Unless(0, NOTIFY), Step::Load(high(1)), Step::Unless(0, NOTIFY)],
            ALLOW,
        ),
        // As the kernel says it while the supervisor listens. Once that is dead the program could answer its own calls.
        Registers::Seccomp => Block::of([Step::Load(low(1)), Step::AnyBit(NEW_LISTENER, EBUSY)], ALLOW),
        Registers::Priority => {
            // `PRIO_PROCESS` is 0 and `IOPRIO_WHO_PROCESS` is 1; who 0 is the caller.
            let process = u32::from(name.starts_with("ioprio"));
            let own = [Step::Load(low(0)), Step::Unless(process, NOTIFY), Step::Load(low(1)), Step::Unless(0, NOTIFY)];
            Block::of(own, ALLOW)
        }
    }
}

/// Which requests pass, are refused, or are looked at.
fn ioctl(free: &dyn Free) -> Block {
    let mut steps = vec![Step::Load(low(1))];
    let mut all = |requests: &[u32], action: u32| steps.extend(requests.iter().map(|k| Step::Equal(*k, action)));
    all(&TERMINAL_REQUESTS, EPERM);
    all(&SIGNAL_REQUESTS, by_memory(free));
    all(&[PAGE_FAULT_REQUEST], EPERM);
    if !free.judge("file-write-flags") {
        all(&FLAG_REQUESTS, NOTIFY);
        all(&[FLAG_STRUCTURE_REQUEST], NOTIFY);
        all(&INODE_REQUESTS, EPERM);
    }
    all(&EVERYDAY_REQUESTS, ALLOW);
    // Requests of btrfs make and remove subvolumes by name, past every path call; cloning works on open files only.
    all(&CLONE_REQUESTS, ALLOW);
    steps.extend([Step::And(REQUEST_TYPE), Step::Equal(BTRFS_REQUESTS, EPERM), Step::Equal(PROCESS_REQUESTS, EPERM)]);
    Block::of(steps, if free.everywhere("file-ioctl") { ALLOW } else { NOTIFY })
}

fn socket_options(free: &dyn Free) -> Block {
    let mut steps = vec![Step::Load(low(1))];
    for (level, routes) in ROUTE_OPTIONS {
        let mut options = Vec::new();
        if !free.network().routes {
            options.extend(routes.iter().map(|name| Step::Equal(name.cast_unsigned(), EPERM)));
        }
        if level == libc::SOL_SOCKET && !free.judge(BIND) {
            options.extend(NAMING_OPTIONS.map(|name| Step::Equal(name.cast_unsigned(), NOTIFY)));
        }
        if !options.is_empty() {
            options.insert(0, Step::Load(low(2)));
            steps.push(Step::Branch(level.cast_unsigned(), Block::of(options, ALLOW)));
        }
    }
    Block::of(if steps.len() > 1 { steps } else { Vec::new() }, ALLOW)
}

/// `SOCK_TYPE_MASK` of the kernel (linux/net.h).
const SOCKET_TYPE_MASK: u32 = 0xf;

/// Sockets that are made without asking: streams of IP and unix, which cannot reach anything without connect(2), and
/// datagrams where their addresses are asked about or free. Everything else is brought before the supervisor, which gives
/// some of it and records the rest.
fn socket(network: Network, system: bool) -> Block {
    let stream = Step::Branch(libc::SOCK_STREAM.cast_unsigned(), protocols(libc::IPPROTO_TCP));
    let mut ip = vec![Step::Load(low(1)), Step::And(SOCKET_TYPE_MASK), stream];
    if network.ip_datagrams {
        ip.push(Step::Branch(libc::SOCK_DGRAM.cast_unsigned(), protocols(libc::IPPROTO_UDP)));
    }
    let ip = Block::of(ip, NOTIFY);
    let mut steps = vec![
        Step::Load(low(0)),
        Step::Branch(libc::AF_UNIX.cast_unsigned(), Block::of(unix_types(network), ALLOW)),
        Step::Branch(libc::AF_INET.cast_unsigned(), ip.clone()),
        Step::Branch(libc::AF_INET6.cast_unsigned(), ip),
    ];
    if system {
        steps.push(Step::Equal(libc::AF_NETLINK.cast_unsigned(), ALLOW));
    }
    Block::of(steps, NOTIFY)
}

/// The default protocol and this one, which is the same.
fn protocols(named: i32) -> Block {
    let known = [Step::Load(low(2)), Step::Equal(0, ALLOW), Step::Equal(named.cast_unsigned(), ALLOW)];
    Block::of(known, NOTIFY)
}

/// Ends for the types of unix sockets that are not made without asking.
fn unix_types(network: Network) -> Vec<Step> {
    let mut steps = vec![Step::Load(low(1)), Step::And(SOCKET_TYPE_MASK)];
    if !network.unix_datagrams {
        // Raw is another name of the same type.
        steps.extend([libc::SOCK_DGRAM, libc::SOCK_RAW].map(|kind| Step::Equal(kind.cast_unsigned(), NOTIFY)));
    }
    steps
}

fn messages(flags: usize, network: Network) -> Block {
    let fast_open = [Step::Load(low(flags)), Step::AnyBit(MSG_FASTOPEN, EOPNOTSUPP)];
    Block::of(fast_open, if network.messages { ALLOW } else { NOTIFY })
}

/// Offset of the low half of an argument; all supported architectures are little-endian.
fn low(argument: usize) -> u32 {
    16 + 8 * u32::try_from(argument).expect("a system call has six arguments")
}

fn high(argument: usize) -> u32 {
    low(argument) + 4
}
