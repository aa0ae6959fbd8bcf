//! The seccomp filter of one profile: table and profile in, classic BPF out. Pure.
//!
//! Shape: architecture, then number (a binary tree of comparisons over ranges), then, for some calls, tests on register
//! values. A foreign architecture and numbers outside the table get `ENOSYS`.

use crate::os::linux::seccomp::Instruction;
use crate::sandbox::weaken::{Protection, lets_through, off};

use super::table::{self, Class, Handler, Registers};

/// What the profile allows everywhere, as far as the filter asks.
pub(super) trait Free {
    /// Whether the call of this handler may run without asking.
    fn handler(&self, handler: Handler) -> bool;
    /// Whether opening for reading may run without asking.
    fn plain_read(&self) -> bool;
    /// Whether the profile allows all these operations on everything.
    fn operations(&self, names: &[&str]) -> bool;
    /// Whether a [`Class::Judge`] call may run without asking.
    fn judge(&self, operation: &str) -> bool;
    /// What of the network may run without asking.
    fn network(&self) -> Network;
    /// Whether the profile allows the operation on everything.
    fn everywhere(&self, operation: &str) -> bool;
}

/// What of the network may run without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    /// Connecting, and sending to any address.
    pub(super) outbound: bool,
    /// Making sockets for IP datagrams; where sending is restricted, each of their addresses is asked about.
    pub(super) ip_datagrams: bool,
    /// The same for unix datagrams.
    pub(super) unix_datagrams: bool,
    /// Sending without an address in a register: no datagram socket can be there, or `outbound` holds.
    pub(super) messages: bool,
    /// Asking for the own address: no unix socket can have been bound to a path on behalf.
    pub(super) names: bool,
    /// Options that choose another way than the address says.
    pub(super) routes: bool,
}

// linux/bpf_common.h
const LD_W_ABS: u16 = 0x20;
const JMP_JA: u16 = 0x05;
const JMP_JEQ_K: u16 = 0x15;
const JMP_JGE_K: u16 = 0x35;
const JMP_JSET_K: u16 = 0x45;
const ALU_AND_K: u16 = 0x54;
const RET_K: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

// linux/audit.h
#[cfg(target_arch = "x86_64")]
const NATIVE_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE_ARCH: u32 = 0xc000_00b7;

/// Set in x32 numbers (asm/unistd.h); above every table elsewhere, so the test is harmless there.
const X32_BIT: u32 = 0x4000_0000;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const EOPNOTSUPP: u32 = libc::SECCOMP_RET_ERRNO | libc::EOPNOTSUPP as u32;
/// Answers 0 without running the call.
const NO_EFFECT: u32 = libc::SECCOMP_RET_ERRNO;

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
const PROT_EXEC: u32 = libc::PROT_EXEC as u32;

/// `FIOSETOWN` and `SIOCSPGRP` (asm/sockios.h): `F_SETOWN` with its argument in memory.
const OWNER_REQUESTS: [u32; 2] = [0x8901, 0x8902];
/// asm-generic/fcntl.h; not in libc for every target.
const F_SETOWN_EX: u32 = 15;
/// `F_SETLK`, `F_SETLKW`, `F_OFD_SETLK`, `F_OFD_SETLKW` (asm-generic/fcntl.h).
pub(super) const LOCK_COMMANDS: [u32; 4] = [6, 7, 37, 38];
/// `FS_IOC_SETFLAGS` in both widths (linux/fs.h): one `int` in memory.
pub(super) const FLAG_REQUESTS: [u32; 2] = [0x4008_6602, 0x4004_6602];
/// `FS_IOC_FSSETXATTR` (linux/fs.h): a `struct fsxattr` in memory.
pub(super) const FLAG_STRUCTURE_REQUEST: u32 = 0x401c_5820;
const INODE_FLAG_REQUESTS: [u32; 3] = [FLAG_REQUESTS[0], FLAG_REQUESTS[1], FLAG_STRUCTURE_REQUEST];

/// The type byte of a request, and btrfs's (linux/btrfs.h); `FICLONE`, `FICLONERANGE`, `FIDEDUPERANGE` share it.
const REQUEST_TYPE: u32 = 0xff00;
const BTRFS_REQUESTS: u32 = 0x9400;
const CLONE_REQUESTS: [u32; 3] = [0x4004_9409, 0x4020_940d, 0xc018_9436];

/// Open flags that ask for more than reading an existing object.
const NOT_PLAIN_READ: u32 =
    (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u32;

const MSG_FASTOPEN: u32 = 0x2000_0000;

/// Socket options with which packets to an allowed address take a way over another one, or `localhost` leaves this host:
/// source routes, routing headers (also those that a flow label or remembered options stand for), a choice of interface
/// (linux/in.h, linux/in6.h, asm-generic/socket.h).
const ROUTE_OPTIONS: [(i32, &[i32]); 3] = [
    (libc::IPPROTO_IP, &[libc::IP_OPTIONS, 50]),
    (libc::IPPROTO_IPV6, &[libc::IPV6_RTHDR, 6, 32, 76]),
    (libc::SOL_SOCKET, &[libc::SO_BINDTODEVICE, 62]),
];

type Block = Vec<Instruction>;

/// Builds the filter.
pub(super) fn program(free: &dyn Free) -> Block {
    let mut block = vec![
        load(ARCH),
        Instruction { code: JMP_JEQ_K, jt: 1, jf: 0, k: NATIVE_ARCH },
        ret(if off(Protection::Architecture) { ALLOW } else { ENOSYS }),
        load(NUMBER),
        Instruction { code: JMP_JSET_K, jt: 0, jf: 1, k: X32_BIT },
        ret(ENOSYS),
    ];
    let ranges = ranges(free);
    block.extend(tree(&ranges));
    block
}

/// One run of consecutive numbers with the same treatment.
struct Range {
    first: u32,
    treatment: Block,
}

fn ranges(free: &dyn Free) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    let mut next = 0;
    let mut push = |first: u32, treatment: Block| {
        if ranges.last().is_none_or(|last| last.treatment != treatment) {
            ranges.push(Range { first, treatment });
        }
    };
    for (number, name) in table::native() {
        if number > next {
            push(next, vec![ret(ENOSYS)]);
        }
        push(number, treatment(table::class_of(name).unwrap_or(Class::Enosys), name, free));
        next = number + 1;
    }
    push(next, vec![ret(ENOSYS)]);
    ranges
}

fn treatment(class: Class, name: &str, free: &dyn Free) -> Block {
    if lets_through(name) {
        return vec![ret(ALLOW)];
    }
    match class {
        Class::Allow => vec![ret(ALLOW)],
        Class::Enosys => vec![ret(ENOSYS)],
        Class::Deny => vec![ret(EPERM)],
        Class::Refuse(_) => vec![ret(NOTIFY)],
        Class::Trap(handler) if free.handler(handler) => vec![ret(ALLOW)],
        Class::Trap(Handler::Getsockname) if free.network().names => vec![ret(ALLOW)],
        Class::Trap(Handler::Open) if free.plain_read() => plain_read(1),
        Class::Trap(Handler::Openat) if free.plain_read() => plain_read(2),
        Class::Trap(_) => vec![ret(NOTIFY)],
        Class::Judge(operation) => vec![ret(if free.judge(operation) { ALLOW } else { NOTIFY })],
        Class::Everywhere(operations) => vec![ret(if free.operations(operations) { ALLOW } else { EPERM })],
        Class::Registers(test) => registers(test, name, free),
    }
}

fn plain_read(flags: usize) -> Block {
    vec![load(low(flags)), Instruction { code: JMP_JSET_K, jt: 0, jf: 1, k: NOT_PLAIN_READ }, ret(NOTIFY), ret(ALLOW)]
}

fn registers(test: Registers, name: &str, free: &dyn Free) -> Block {
    match test {
        Registers::Clone => {
            let fork = if free.handler(Handler::Fork) { ALLOW } else { NOTIFY };
            let thread = libc::CLONE_THREAD.cast_unsigned();
            let mut block = vec![load(low(0))];
            block.extend(any_bit(NAMESPACES, EPERM));
            block.extend(any_bit(thread, ALLOW));
            block.push(ret(fork));
            block
        }
        Registers::Fcntl => {
            // The other form takes its owner from memory, which a racing thread could rewrite.
            let owner = if free.handler(Handler::Kill) { ALLOW } else { NOTIFY };
            let by_memory = if free.operations(&["signal"]) { ALLOW } else { EPERM };
            let mut block = vec![load(low(1))];
            block.extend(equal(libc::F_SETOWN.cast_unsigned(), owner));
            block.extend(equal(F_SETOWN_EX, by_memory));
            if !free.judge("file-lock") {
                LOCK_COMMANDS.iter().for_each(|command| block.extend(equal(*command, NOTIFY)));
            }
            block.push(ret(ALLOW));
            block
        }
        Registers::Flock if free.judge("file-lock") => vec![ret(ALLOW)],
        Registers::Flock => {
            let mut block = vec![load(low(1))];
            block.extend(equal(libc::LOCK_UN.cast_unsigned(), ALLOW));
            block.push(ret(NOTIFY));
            block
        }
        Registers::Ioctl => ioctl(free),
        Registers::Mmap if free.everywhere("file-map-executable") => vec![ret(ALLOW)],
        Registers::Mmap => {
            let mut block =
                vec![load(low(2)), Instruction { code: JMP_JSET_K, jt: 1, jf: 0, k: PROT_EXEC }, ret(ALLOW)];
            block.push(load(low(3)));
            block.extend(any_bit(libc::MAP_ANONYMOUS.cast_unsigned(), ALLOW));
            block.push(ret(NOTIFY));
            block
        }
        Registers::Prctl => {
            let mut block = vec![load(low(0))];
            block.extend(equal(libc::PR_SET_DUMPABLE.cast_unsigned(), NO_EFFECT));
            block.extend(equal(libc::PR_SET_PTRACER.cast_unsigned(), NO_EFFECT));
            block.extend(equal(libc::PR_SET_MM.cast_unsigned(), EPERM));
            block.push(ret(ALLOW));
            block
        }
        Registers::Socket => socket(free.network(), free.judge("system-socket")),
        Registers::Socketpair => {
            // A pair of datagram sockets can still send to other names.
            let mut block = vec![load(low(0)), skip_next_if_equal(libc::AF_UNIX.cast_unsigned()), ret(NOTIFY)];
            block.extend(unix_types(free.network()));
            block
        }
        Registers::Setsockopt if free.network().routes => vec![ret(ALLOW)],
        Registers::Setsockopt => {
            let mut block = vec![load(low(1))];
            for (level, names) in ROUTE_OPTIONS {
                let mut options = vec![load(low(2))];
                names.iter().for_each(|name| options.extend(equal(name.cast_unsigned(), EPERM)));
                options.push(ret(ALLOW));
                block.extend(branch(level.cast_unsigned(), options));
            }
            block.push(ret(ALLOW));
            block
        }
        Registers::Sendto if free.network().outbound => vec![ret(ALLOW)],
        Registers::Sendto => vec![
            load(low(3)),
            Instruction { code: JMP_JSET_K, jt: 0, jf: 1, k: MSG_FASTOPEN },
            ret(EOPNOTSUPP),
            load(low(4)),
            skip_next_if_equal(0),
            ret(NOTIFY),
            load(high(4)),
            skip_next_if_equal(0),
            ret(NOTIFY),
            ret(ALLOW),
        ],
        Registers::Sendmsg | Registers::Sendmmsg if free.network().outbound => vec![ret(ALLOW)],
        Registers::Sendmsg => messages(2, free.network()),
        Registers::Sendmmsg => messages(3, free.network()),
        Registers::ProcessFirst => {
            vec![load(low(0)), skip_next_if_equal(0), ret(NOTIFY), ret(ALLOW)]
        }
        Registers::Priority => {
            // `PRIO_PROCESS` is 0 and `IOPRIO_WHO_PROCESS` is 1; who 0 is the caller.
            let process = u32::from(name.starts_with("ioprio"));
            vec![
                load(low(0)),
                skip_next_if_equal(process),
                ret(NOTIFY),
                load(low(1)),
                skip_next_if_equal(0),
                ret(NOTIFY),
                ret(ALLOW),
            ]
        }
    }
}

/// Which requests pass, are refused, or are looked at.
fn ioctl(free: &dyn Free) -> Block {
    let mut block = vec![load(low(1))];
    TERMINAL_REQUESTS.iter().for_each(|request| block.extend(equal(*request, EPERM)));
    if !free.operations(&["signal"]) {
        OWNER_REQUESTS.iter().for_each(|request| block.extend(equal(*request, EPERM)));
    }
    if !free.judge("file-write-flags") {
        INODE_FLAG_REQUESTS.iter().for_each(|request| block.extend(equal(*request, NOTIFY)));
    }
    EVERYDAY_REQUESTS.iter().for_each(|request| block.extend(equal(*request, ALLOW)));
    // Requests of btrfs make and remove subvolumes by name, past every path call; cloning works on open files only.
    CLONE_REQUESTS.iter().for_each(|request| block.extend(equal(*request, ALLOW)));
    block.push(and(REQUEST_TYPE));
    block.extend(equal(BTRFS_REQUESTS, EPERM));
    block.push(ret(if free.everywhere("file-ioctl") { ALLOW } else { NOTIFY }));
    block
}

/// `SOCK_TYPE_MASK` of the kernel (linux/net.h).
const SOCKET_TYPE_MASK: u32 = 0xf;

/// Sockets that are made without asking: streams of IP and unix, which cannot reach anything without connect(2), and
/// datagrams where their addresses are asked about or free. Everything else is brought before the supervisor, which gives
/// some of it and records the rest.
fn socket(network: Network, system: bool) -> Block {
    let (unix, inet, inet6) =
        (libc::AF_UNIX.cast_unsigned(), libc::AF_INET.cast_unsigned(), libc::AF_INET6.cast_unsigned());
    let mut ip = vec![load(low(1)), and(SOCKET_TYPE_MASK)];
    ip.extend(branch(libc::SOCK_STREAM.cast_unsigned(), protocols(libc::IPPROTO_TCP)));
    if network.ip_datagrams {
        ip.extend(branch(libc::SOCK_DGRAM.cast_unsigned(), protocols(libc::IPPROTO_UDP)));
    }
    ip.push(ret(NOTIFY));
    let mut block = vec![load(low(0))];
    block.extend(branch(unix, unix_types(network)));
    block.extend(branch(inet, ip.clone()));
    block.extend(branch(inet6, ip));
    if system {
        block.extend(equal(libc::AF_NETLINK.cast_unsigned(), ALLOW));
    }
    block.push(ret(NOTIFY));
    block
}

/// The default protocol and this one, which is the same.
fn protocols(named: i32) -> Block {
    let mut block = vec![load(low(2))];
    block.extend(equal(0, ALLOW));
    block.extend(equal(named.cast_unsigned(), ALLOW));
    block.push(ret(NOTIFY));
    block
}

fn unix_types(network: Network) -> Block {
    let mut block = vec![load(low(1)), and(SOCKET_TYPE_MASK)];
    if !network.unix_datagrams {
        block.extend(equal(libc::SOCK_DGRAM.cast_unsigned(), NOTIFY));
        // Another name of the same type.
        block.extend(equal(libc::SOCK_RAW.cast_unsigned(), NOTIFY));
    }
    block.push(ret(ALLOW));
    block
}

fn messages(flags: usize, network: Network) -> Block {
    let mut block = vec![load(low(flags))];
    block.extend(any_bit(MSG_FASTOPEN, EOPNOTSUPP));
    block.push(ret(if network.messages { ALLOW } else { NOTIFY }));
    block
}

/// A comparison tree over the ranges; the accumulator holds the number.
fn tree(ranges: &[Range]) -> Block {
    match ranges {
        [] => vec![ret(ENOSYS)],
        [one] => one.treatment.clone(),
        _ => {
            let middle = ranges.len() / 2;
            let (left, right) = (tree(&ranges[..middle]), tree(&ranges[middle..]));
            let first = ranges[middle].first;
            let mut block = match u8::try_from(left.len()) {
                Ok(skip) => vec![Instruction { code: JMP_JGE_K, jt: skip, jf: 0, k: first }],
                Err(_) => vec![Instruction { code: JMP_JGE_K, jt: 0, jf: 1, k: first }, jump(left.len())],
            };
            block.extend(left);
            block.extend(right);
            block
        }
    }
}

fn jump(instructions: usize) -> Instruction {
    let k = u32::try_from(instructions).expect("a filter has at most 4096 instructions");
    Instruction { code: JMP_JA, jt: 0, jf: 0, k }
}

fn load(offset: u32) -> Instruction {
    Instruction { code: LD_W_ABS, jt: 0, jf: 0, k: offset }
}

fn and(mask: u32) -> Instruction {
    Instruction { code: ALU_AND_K, jt: 0, jf: 0, k: mask }
}

fn ret(action: u32) -> Instruction {
    Instruction { code: RET_K, jt: 0, jf: 0, k: action }
}

/// Offset of the low half of an argument; all supported architectures are little-endian.
fn low(argument: usize) -> u32 {
    16 + 8 * u32::try_from(argument).expect("a system call has six arguments")
}

fn high(argument: usize) -> u32 {
    low(argument) + 4
}

fn equal(value: u32, action: u32) -> [Instruction; 2] {
    [Instruction { code: JMP_JEQ_K, jt: 0, jf: 1, k: value }, ret(action)]
}

fn any_bit(mask: u32, action: u32) -> [Instruction; 2] {
    [Instruction { code: JMP_JSET_K, jt: 0, jf: 1, k: mask }, ret(action)]
}

fn skip_next_if_equal(value: u32) -> Instruction {
    Instruction { code: JMP_JEQ_K, jt: 1, jf: 0, k: value }
}

/// `block` for an equal accumulator; the block must end every path itself.
fn branch(value: u32, block: Block) -> Block {
    let skip = u8::try_from(block.len()).expect("a branch is short");
    let mut whole = vec![Instruction { code: JMP_JEQ_K, jt: 0, jf: skip, k: value }];
    whole.extend(block);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// What a profile allows everywhere, by operation name.
    struct Names(BTreeSet<&'static str>, bool);

    impl Free for Names {
        fn handler(&self, handler: Handler) -> bool {
            self.1 && !handler.operations().is_empty() && handler.operations().iter().all(|name| self.0.contains(name))
        }
        fn plain_read(&self) -> bool {
            self.1 && self.0.contains("file-read-data") && self.0.contains("file-read-metadata")
        }
        fn operations(&self, names: &[&str]) -> bool {
            names.iter().all(|name| self.0.contains(name))
        }
        fn judge(&self, operation: &str) -> bool {
            self.1 && self.0.contains(operation)
        }
        fn everywhere(&self, operation: &str) -> bool {
            self.0.contains(operation)
        }
        fn network(&self) -> Network {
            let outbound = self.0.contains("network-outbound");
            let free = self.1 && outbound;
            let names = self.0.contains("no paths");
            let (ip_datagrams, unix_datagrams) = (free || self.0.contains("udp"), free || self.0.contains("unix"));
            let messages = free || !ip_datagrams && !unix_datagrams;
            Network { outbound: free, ip_datagrams, unix_datagrams, messages, names, routes: outbound }
        }
    }

    fn nothing() -> Names {
        Names(BTreeSet::new(), true)
    }

    fn names(list: &[&'static str]) -> Names {
        Names(list.iter().copied().collect(), true)
    }

    /// Runs a program as the kernel does; panics on what the kernel's checker would refuse.
    fn run(program: &[Instruction], arch: u32, number: u32, args: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_le_bytes());
        data.extend(arch.to_le_bytes());
        data.extend(0_u64.to_le_bytes());
        args.iter().for_each(|arg| data.extend(arg.to_le_bytes()));
        let (mut at, mut accumulator) = (0_usize, 0_u32);
        loop {
            let i = program[at];
            at += 1;
            match i.code {
                LD_W_ABS => {
                    let offset = i.k as usize;
                    assert!(offset.is_multiple_of(4));
                    accumulator = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
                }
                JMP_JA => at += i.k as usize,
                JMP_JEQ_K => at += usize::from(if accumulator == i.k { i.jt } else { i.jf }),
                JMP_JGE_K => at += usize::from(if accumulator >= i.k { i.jt } else { i.jf }),
                JMP_JSET_K => at += usize::from(if accumulator & i.k != 0 { i.jt } else { i.jf }),
                ALU_AND_K => accumulator &= i.k,
                RET_K => return i.k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    fn number(name: &str) -> u32 {
        table::native().find(|(_, known)| *known == name).map(|(number, _)| number).unwrap()
    }

    fn act(free: &dyn Free, name: &str, args: [u64; 6]) -> u32 {
        run(&program(free), NATIVE_ARCH, number(name), args)
    }

    #[test]
    fn every_number_gets_the_treatment_of_its_class() {
        let program = program(&nothing());
        assert!(program.len() < 4096, "{} instructions", program.len());
        for (number, name) in table::native() {
            let action = run(&program, NATIVE_ARCH, number, [0; 6]);
            let expected = match table::class_of(name).unwrap() {
                Class::Allow => ALLOW,
                Class::Enosys => ENOSYS,
                Class::Deny | Class::Everywhere(_) => EPERM,
                Class::Trap(_) | Class::Judge(_) | Class::Refuse(_) => NOTIFY,
                Class::Registers(_) => continue,
            };
            assert_eq!(action, expected, "{name}");
        }
    }

    #[test]
    fn foreign_architectures_and_unknown_numbers_do_not_exist() {
        let program = program(&nothing());
        for arch in [0x4000_0003, 0x4000_0028, 0xc000_003e ^ 0xc000_00b7 ^ NATIVE_ARCH, 0] {
            assert_eq!(run(&program, arch, number("read"), [0; 6]), ENOSYS);
        }
        for number in [470, 471, 512, 547, 1023, X32_BIT, X32_BIT | 1, X32_BIT | 520, 0x7fff_ffff, u32::MAX] {
            assert_eq!(run(&program, NATIVE_ARCH, number, [0; 6]), ENOSYS, "{number:#x}");
        }
    }

    #[test]
    fn clone_judges_processes_and_refuses_namespaces() {
        let flags = |flags: i32| [u64::from(flags.cast_unsigned()), 0, 0, 0, 0, 0];
        let thread = libc::CLONE_THREAD | libc::CLONE_VM | libc::CLONE_SIGHAND;
        assert_eq!(act(&nothing(), "clone", flags(thread)), ALLOW);
        assert_eq!(act(&nothing(), "clone", flags(libc::SIGCHLD)), NOTIFY);
        assert_eq!(act(&names(&["process-fork"]), "clone", flags(libc::SIGCHLD)), ALLOW);
        for namespace in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWCGROUP, libc::CLONE_NEWPID] {
            assert_eq!(act(&names(&["process-fork"]), "clone", flags(namespace | libc::SIGCHLD)), EPERM);
            assert_eq!(act(&nothing(), "clone", flags(namespace | thread)), EPERM);
        }
        assert_eq!(act(&nothing(), "clone3", [0; 6]), ENOSYS);
    }

    #[test]
    fn requests_that_reach_past_the_descriptor_are_refused() {
        for request in [0x5412_u64, 0x541c, 0x5423] {
            assert_eq!(act(&nothing(), "ioctl", [0, request, 0, 0, 0, 0]), EPERM);
            // The kernel looks at the low half only.
            assert_eq!(act(&nothing(), "ioctl", [0, request | 1 << 32, 0, 0, 0, 0]), EPERM);
        }
        assert_eq!(act(&nothing(), "ioctl", [0, 0x5000_940e, 0, 0, 0, 0]), EPERM);
        assert_eq!(act(&nothing(), "ioctl", [0, 0x4004_9409, 0, 0, 0, 0]), ALLOW);
        assert_eq!(act(&nothing(), "ioctl", [0, 0x5401, 0, 0, 0, 0]), ALLOW);
        for request in [0x4008_6602_u64, 0x4004_6602, 0x401c_5820] {
            assert_eq!(act(&nothing(), "ioctl", [0, request, 0, 0, 0, 0]), NOTIFY);
            let free = names(&["file-write-flags", "file-ioctl"]);
            assert_eq!(act(&free, "ioctl", [0, request, 0, 0, 0, 0]), ALLOW);
            assert_eq!(act(&names(&["file-ioctl"]), "ioctl", [0, request, 0, 0, 0, 0]), NOTIFY);
        }
        assert_eq!(act(&nothing(), "ioctl", [0, 0x8008_6601, 0, 0, 0, 0]), NOTIFY);
        assert_eq!(act(&names(&["file-ioctl"]), "ioctl", [0, 0x8008_6601, 0, 0, 0, 0]), ALLOW);
        for request in [0x8901_u64, 0x8902] {
            assert_eq!(act(&nothing(), "ioctl", [0, request, 0, 0, 0, 0]), EPERM);
            assert_eq!(act(&names(&["signal", "file-ioctl"]), "ioctl", [0, request, 0, 0, 0, 0]), ALLOW);
        }
        for (command, expected) in [(8, NOTIFY), (15, EPERM), (3, ALLOW)] {
            assert_eq!(act(&nothing(), "fcntl", [0, command, 7, 0, 0, 0]), expected);
            assert_eq!(act(&names(&["signal"]), "fcntl", [0, command, 7, 0, 0, 0]), ALLOW);
        }
        assert_eq!(act(&nothing(), "prctl", [4, 0, 0, 0, 0, 0]), NO_EFFECT);
        assert_eq!(act(&nothing(), "prctl", [0x5961_6d61, 1, 0, 0, 0, 0]), NO_EFFECT);
        assert_eq!(act(&nothing(), "prctl", [15, 0, 0, 0, 0, 0]), ALLOW);
    }

    #[test]
    fn mapping_a_file_as_executable_is_looked_at() {
        let map =
            |prot: i32, flags: i32| [0, 4096, u64::from(prot.cast_unsigned()), u64::from(flags.cast_unsigned()), 3, 0];
        let (read, run, file, memory) = (libc::PROT_READ, libc::PROT_EXEC, libc::MAP_PRIVATE, libc::MAP_ANONYMOUS);
        for (prot, flags, expected) in
            [(read, file, ALLOW), (read | run, file, NOTIFY), (run, file, NOTIFY), (read | run, file | memory, ALLOW)]
        {
            assert_eq!(act(&nothing(), "mmap", map(prot, flags)), expected);
            assert_eq!(act(&names(&["file-map-executable"]), "mmap", map(prot, flags)), ALLOW);
        }
    }

    #[test]
    fn sockets_are_made_unasked_where_every_address_they_reach_is_asked_about() {
        let (inet, unix, stream, dgram) = (2, 1, 1, 2);
        let cloexec = u64::from(libc::SOCK_CLOEXEC.cast_unsigned());
        let (open, udp, local) = (names(&["network-outbound"]), names(&["udp"]), names(&["unix"]));
        for (free, domain, kind, protocol, expected) in [
            (&nothing(), inet, stream | cloexec, 0, ALLOW),
            (&nothing(), inet, stream, 6, ALLOW),
            (&nothing(), inet, stream, 262, NOTIFY),
            (&nothing(), inet, dgram, 0, NOTIFY),
            (&nothing(), inet, 3, 0, NOTIFY),
            (&nothing(), 10, dgram | cloexec, 17, NOTIFY),
            (&nothing(), unix, stream, 0, ALLOW),
            (&nothing(), unix, 5, 0, ALLOW),
            (&nothing(), unix, dgram, 0, NOTIFY),
            (&nothing(), unix, 3, 0, NOTIFY),
            (&nothing(), 16, 3, 0, NOTIFY),
            (&nothing(), 40, stream, 0, NOTIFY),
            (&udp, inet, dgram, 0, ALLOW),
            (&udp, 10, dgram | cloexec, 17, ALLOW),
            (&udp, inet, dgram, 136, NOTIFY),
            (&udp, unix, dgram, 0, NOTIFY),
            (&local, unix, dgram, 0, ALLOW),
            (&local, inet, dgram, 0, NOTIFY),
            (&open, inet, dgram, 0, ALLOW),
            (&open, inet, 3, 0, NOTIFY),
            (&open, inet, stream, 262, NOTIFY),
            (&open, unix, dgram, 0, ALLOW),
            (&open, 40, stream, 0, NOTIFY),
            (&names(&["system-socket"]), 16, 3, 0, ALLOW),
            (&names(&["system-socket"]), 40, stream, 0, NOTIFY),
        ] {
            assert_eq!(act(free, "socket", [domain, kind, protocol, 0, 0, 0]), expected, "{domain} {kind} {protocol}");
        }
        assert_eq!(act(&nothing(), "socketpair", [1, stream, 0, 0, 0, 0]), ALLOW);
        assert_eq!(act(&nothing(), "socketpair", [1, dgram, 0, 0, 0, 0]), NOTIFY);
        assert_eq!(act(&local, "socketpair", [1, dgram, 0, 0, 0, 0]), ALLOW);
        assert_eq!(act(&local, "socketpair", [30, dgram, 0, 0, 0, 0]), NOTIFY);
        assert_eq!(act(&nothing(), "connect", [0; 6]), NOTIFY);
        assert_eq!(act(&open, "connect", [0; 6]), ALLOW);
        assert_eq!(act(&nothing(), "getsockname", [0; 6]), NOTIFY);
        assert_eq!(act(&names(&["no paths"]), "getsockname", [0; 6]), ALLOW);
    }

    #[test]
    fn addresses_of_datagrams_are_asked_about_and_fast_open_is_not_there() {
        let (open, udp) = (names(&["network-outbound"]), names(&["udp"]));
        let fast = u64::from(MSG_FASTOPEN);
        for free in [&nothing(), &udp] {
            assert_eq!(act(free, "sendto", [0; 6]), ALLOW);
            assert_eq!(act(free, "sendto", [0, 0, 0, 0, 1, 16]), NOTIFY);
            assert_eq!(act(free, "sendto", [0, 0, 0, 0, 1 << 40, 16]), NOTIFY);
            assert_eq!(act(free, "sendto", [0, 0, 0, fast, 0, 0]), EOPNOTSUPP);
            assert_eq!(act(free, "sendmsg", [0, 0, fast, 0, 0, 0]), EOPNOTSUPP);
            assert_eq!(act(free, "sendmmsg", [0, 0, 0, fast, 0, 0]), EOPNOTSUPP);
        }
        for name in ["sendmsg", "sendmmsg"] {
            assert_eq!(act(&nothing(), name, [0; 6]), ALLOW, "no datagram socket can be there");
            assert_eq!(act(&udp, name, [0; 6]), NOTIFY);
            assert_eq!(act(&open, name, [0; 6]), ALLOW);
            assert_eq!(act(&Names(["network-outbound"].into(), false), name, [0; 6]), ALLOW);
        }
        assert_eq!(act(&open, "sendto", [0, 0, 0, fast, 1, 16]), ALLOW);
    }

    #[test]
    fn options_that_choose_another_way_need_outbound_everywhere() {
        let open = names(&["network-outbound"]);
        for (level, option) in [(0, 4), (0, 50), (41, 57), (41, 6), (41, 32), (41, 76), (1, 25), (1, 62)] {
            assert_eq!(act(&nothing(), "setsockopt", [0, level, option, 0, 0, 0]), EPERM, "{level} {option}");
            assert_eq!(act(&open, "setsockopt", [0, level, option, 0, 0, 0]), ALLOW, "{level} {option}");
        }
        for (level, option) in [(1, 2), (6, 1), (0, 1), (41, 26), (6, 25), (1, 57)] {
            assert_eq!(act(&nothing(), "setsockopt", [0, level, option, 0, 0, 0]), ALLOW, "{level} {option}");
        }
    }

    #[test]
    fn reading_everywhere_leaves_plain_opens_alone_and_nothing_else() {
        let free = names(&["file-read-data", "file-read-metadata"]);
        let flags = |flags: i32| [0, 0, u64::from(flags.cast_unsigned()), 0, 0, 0];
        assert_eq!(act(&free, "openat", flags(libc::O_RDONLY | libc::O_CLOEXEC | libc::O_DIRECTORY)), ALLOW);
        for more in [libc::O_WRONLY, libc::O_RDWR, libc::O_ACCMODE, libc::O_CREAT, libc::O_TRUNC, libc::O_TMPFILE] {
            assert_eq!(act(&free, "openat", flags(more)), NOTIFY, "{more:#o}");
        }
        assert_eq!(act(&free, "newfstatat", [0; 6]), ALLOW);
        assert_eq!(act(&free, "openat2", [0; 6]), NOTIFY);
        assert_eq!(act(&free, "unlinkat", [0; 6]), NOTIFY);
        // With everything trapped the same profile leaves nothing alone.
        let trapped = Names(free.0, false);
        assert_eq!(act(&trapped, "openat", flags(libc::O_RDONLY)), NOTIFY);
        assert_eq!(act(&trapped, "newfstatat", [0; 6]), NOTIFY);
    }

    #[test]
    fn taking_a_lock_is_looked_at_and_releasing_one_is_not() {
        let command = |command: i32| [0, u64::from(command.cast_unsigned()), 0, 0, 0, 0];
        let locks = names(&["file-lock"]);
        for (name, argument) in [
            ("flock", libc::LOCK_SH),
            ("flock", libc::LOCK_EX | libc::LOCK_NB),
            ("fcntl", libc::F_SETLK),
            ("fcntl", libc::F_SETLKW),
            ("fcntl", libc::F_OFD_SETLK),
            ("fcntl", libc::F_OFD_SETLKW),
        ] {
            assert_eq!(act(&nothing(), name, command(argument)), NOTIFY, "{name} {argument}");
            assert_eq!(act(&locks, name, command(argument)), ALLOW, "{name} {argument}");
        }
        for (name, argument) in [("flock", libc::LOCK_UN), ("fcntl", libc::F_GETLK), ("fcntl", libc::F_DUPFD)] {
            assert_eq!(act(&nothing(), name, command(argument)), ALLOW, "{name} {argument}");
        }
    }

    #[test]
    fn calls_on_other_processes_are_looked_at() {
        assert_eq!(act(&nothing(), "prlimit64", [0; 6]), ALLOW);
        assert_eq!(act(&nothing(), "prlimit64", [1, 0, 0, 0, 0, 0]), NOTIFY);
        assert_eq!(act(&nothing(), "setpriority", [0, 0, 5, 0, 0, 0]), ALLOW);
        assert_eq!(act(&nothing(), "setpriority", [2, 0, 5, 0, 0, 0]), NOTIFY);
        assert_eq!(act(&nothing(), "ioprio_set", [1, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(act(&nothing(), "ioprio_set", [1, 7, 0, 0, 0, 0]), NOTIFY);
    }
}
