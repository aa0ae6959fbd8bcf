//! The filter as the kernel runs it, call by call.

use std::collections::BTreeSet;

use super::assemble::{ALU_AND_K, JMP_JA, JMP_JEQ_K, JMP_JGE_K, JMP_JSET_K, LD_W_ABS, RET_K};
use super::calls::MSG_FASTOPEN;
use super::*;

/// What a profile allows everywhere, by operation name.
struct Names(BTreeSet<&'static str>, bool);

impl Free for Names {
    fn handler(&self, handler: Handler) -> bool {
        self.1
            && !handler.operations().is_empty()
            && handler.operations().iter().all(|name| self.0.contains(name))
            && (!handler.looks() || self.plain_read())
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
    fn bounded(&self) -> bool {
        self.0.contains("bounded")
    }
    fn forks(&self) -> Forks {
        match self.0.contains("process-fork") {
            true if self.1 => Forks::Free,
            true => Forks::Told,
            false => Forks::Judged,
        }
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
    table::native().find(|(_, known, _)| *known == name).map(|(number, ..)| number).unwrap()
}

fn act(free: &dyn Free, name: &str, args: [u64; 6]) -> u32 {
    run(&program(free), NATIVE_ARCH, number(name), args)
}

#[test]
fn every_number_gets_the_treatment_of_its_class() {
    let program = program(&nothing());
    assert!(program.len() < 4096, "{} instructions", program.len());
    for (number, name, class) in table::native() {
        let action = run(&program, NATIVE_ARCH, number, [0; 6]);
        let expected = match class {
            Class::Allow | Class::Begin => ALLOW,
            Class::Enosys => ENOSYS,
            Class::Deny | Class::Everywhere(_) | Class::Queue(_) => EPERM,
            Class::Trap(_) | Class::Judge(_) | Class::Refuse(_) => NOTIFY,
            Class::Registers(_) => continue,
        };
        assert_eq!(action, expected, "{name}");
    }
}

#[test]
fn message_queues_are_opened_where_no_domain_stands_in_the_way() {
    let mut allowed = names(&[
        "ipc-posix-shm-read-data",
        "ipc-posix-shm-write-create",
        "ipc-posix-shm-write-data",
        "ipc-posix-shm-write-unlink",
    ]);
    assert_eq!(act(&nothing(), "mq_open", [0; 6]), EPERM);
    assert_eq!(act(&allowed, "mq_open", [0; 6]), ALLOW);
    allowed.0.insert("bounded");
    assert_eq!(act(&allowed, "mq_open", [0; 6]), EPERM);
    assert_eq!(act(&allowed, "mq_unlink", [0; 6]), ALLOW);
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
    assert_eq!(act(&names(&["process-fork"]), "set_robust_list", [0; 6]), ALLOW);
    // Told of only: the kernel forks, and what the new process calls first is brought before the supervisor.
    let told = Names(names(&["process-fork"]).0, false);
    assert_eq!(act(&told, "clone", flags(libc::SIGCHLD)), ALLOW);
    assert_eq!(act(&told, "set_robust_list", [0; 6]), NOTIFY);
    for namespace in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWCGROUP, libc::CLONE_NEWPID] {
        assert_eq!(act(&names(&["process-fork"]), "clone", flags(namespace | libc::SIGCHLD)), EPERM);
        assert_eq!(act(&nothing(), "clone", flags(namespace | thread)), EPERM);
    }
    // Only threads share a working directory.
    assert_eq!(act(&nothing(), "clone", flags(libc::CLONE_FS | thread)), ALLOW);
    for with in [0, libc::CLONE_VM, libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES] {
        assert_eq!(act(&names(&["process-fork"]), "clone", flags(libc::CLONE_FS | with | libc::SIGCHLD)), EPERM);
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
    // PIDFD_GET_INFO, PIDFD_GET_USER_NAMESPACE
    for request in [0xc040_ff0b_u64, 0xff09] {
        assert_eq!(act(&names(&["file-ioctl"]), "ioctl", [0, request, 0, 0, 0, 0]), EPERM);
    }
    assert_eq!(act(&nothing(), "ioctl", [0, 0x5401, 0, 0, 0, 0]), ALLOW);
    for (request, expected) in [
        (0x4008_6602_u64, NOTIFY),
        (0x4004_6602, NOTIFY),
        (0x401c_5820, NOTIFY),
        (0x4008_7602, NOTIFY),
        (0x4008_6604, NOTIFY),
        (0x4080_6685, EPERM),
        (0x800c_6613, EPERM),
        (0x6609, EPERM),
    ] {
        assert_eq!(act(&nothing(), "ioctl", [0, request, 0, 0, 0, 0]), expected);
        let free = names(&["file-write-flags", "file-ioctl"]);
        assert_eq!(act(&free, "ioctl", [0, request, 0, 0, 0, 0]), ALLOW);
        assert_eq!(act(&names(&["file-ioctl"]), "ioctl", [0, request, 0, 0, 0, 0]), expected);
    }
    assert_eq!(act(&nothing(), "ioctl", [0, 0x8008_6601, 0, 0, 0, 0]), NOTIFY);
    assert_eq!(act(&names(&["file-ioctl"]), "ioctl", [0, 0x8008_6601, 0, 0, 0, 0]), ALLOW);
    for request in [0x8901_u64, 0x8902, 0x4004_5436] {
        assert_eq!(act(&nothing(), "ioctl", [0, request, 0, 0, 0, 0]), NOTIFY);
        assert_eq!(act(&names(&["signal", "file-ioctl"]), "ioctl", [0, request, 0, 0, 0, 0]), ALLOW);
    }
    for (command, expected) in [(8, NOTIFY), (15, NOTIFY), (3, ALLOW)] {
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
    for (level, option) in [(0, 4), (0, 50), (41, 57), (41, 6), (41, 32), (41, 50), (41, 76), (1, 25), (1, 62)] {
        assert_eq!(act(&nothing(), "setsockopt", [0, level, option, 0, 0, 0]), EPERM, "{level} {option}");
        assert_eq!(act(&open, "setsockopt", [0, level, option, 0, 0, 0]), ALLOW, "{level} {option}");
    }
    for (level, option) in [(1, 2), (6, 1), (0, 1), (41, 26), (6, 25), (1, 57)] {
        assert_eq!(act(&nothing(), "setsockopt", [0, level, option, 0, 0, 0]), ALLOW, "{level} {option}");
    }
}

#[test]
fn options_that_give_a_socket_a_name_are_looked_at() {
    for option in [16, 76] {
        let to = [0, 1, option, 0, 0, 0];
        assert_eq!(act(&nothing(), "setsockopt", to), NOTIFY, "{option}");
        assert_eq!(act(&names(&["network-outbound"]), "setsockopt", to), NOTIFY, "{option}");
        assert_eq!(act(&names(&["network-bind"]), "setsockopt", to), ALLOW, "{option}");
        assert_eq!(act(&Names(["network-bind"].into(), false), "setsockopt", to), NOTIFY, "{option}");
    }
    // The same numbers of other levels are other options.
    assert_eq!(act(&nothing(), "setsockopt", [0, 6, 16, 0, 0, 0]), ALLOW);
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
fn looking_everywhere_without_reading_leaves_nothing_alone() {
    let all =
        ["file-read-metadata", "file-read-xattr", "file-test-existence", "process-exec*", "process-exec-interpreter"];
    let looking = names(&all);
    let reading = names(&[&all[..], &["file-read-data"]].concat());
    for name in [
        "newfstatat",
        "statx",
        "statfs",
        "readlinkat",
        "faccessat",
        "chdir",
        "inotify_add_watch",
        "lgetxattr",
        "execve",
    ] {
        assert_eq!(act(&looking, name, [0; 6]), NOTIFY, "{name}");
        assert_eq!(act(&reading, name, [0; 6]), ALLOW, "{name}");
    }
}

#[test]
fn taking_a_lock_is_looked_at_and_releasing_one_is_not() {
    let command = |command: i32| [0, u64::from(command.cast_unsigned()), 0, 0, 0, 0];
    let locks = names(&["file-lock"]);
    let everything = names(&["file-lock", "file-read-data", "file-read-metadata"]);
    for (name, argument) in [
        ("flock", libc::LOCK_SH),
        ("flock", libc::LOCK_EX | libc::LOCK_NB),
        ("fcntl", libc::F_SETLK),
        ("fcntl", libc::F_SETLKW),
        ("fcntl", libc::F_OFD_SETLK),
        ("fcntl", libc::F_OFD_SETLKW),
        ("fcntl", libc::F_SETLEASE),
        ("fcntl", 1040),
    ] {
        assert_eq!(act(&nothing(), name, command(argument)), NOTIFY, "{name} {argument}");
        // A lock of an open file ends when the last copy of its descriptor is closed; the supervisor has copies for a while.
        let of_process = matches!(argument, libc::F_SETLK | libc::F_SETLKW) && name == "fcntl";
        assert_eq!(act(&locks, name, command(argument)), if of_process { ALLOW } else { NOTIFY }, "{name} {argument}");
        assert_eq!(act(&everything, name, command(argument)), ALLOW, "{name} {argument}");
    }
    for (name, argument) in [
        ("flock", libc::LOCK_UN),
        ("flock", libc::LOCK_UN | libc::LOCK_NB),
        ("fcntl", libc::F_GETLK),
        ("fcntl", libc::F_DUPFD),
    ] {
        assert_eq!(act(&nothing(), name, command(argument)), ALLOW, "{name} {argument}");
    }
}

#[test]
fn opening_for_writing_is_never_left_alone() {
    let free = names(&["file-read-data", "file-read-metadata", "file-write-data", "file-write-create"]);
    for (name, flags) in
        [("open", [0, 1, 0, 0, 0, 0]), ("openat", [0, 0, 1, 0, 0, 0]), ("openat2", [0; 6]), ("creat", [0; 6])]
    {
        assert_eq!(act(&free, name, flags), NOTIFY, "{name}");
    }
    assert_eq!(act(&free, "open", [0; 6]), ALLOW);
    assert_eq!(act(&free, "truncate", [0; 6]), ALLOW);
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

#[test]
fn clocks_of_other_processes_are_looked_at_and_no_others() {
    let clock = |process: i32, kind: i32| [u64::from(((!process << 3) | kind).cast_unsigned()), 0, 0, 0, 0, 0];
    for name in ["clock_gettime", "clock_getres", "clock_nanosleep", "timer_create"] {
        for system in 0..12 {
            assert_eq!(act(&nothing(), name, [system, 0, 0, 0, 0, 0]), ALLOW, "{name} {system}");
        }
        for kind in [0, 1, 2, 4, 5, 6, 7] {
            assert_eq!(act(&nothing(), name, clock(0, kind)), ALLOW, "{name} {kind}");
            for process in [1, 2, 1234, 4_194_304] {
                assert_eq!(act(&nothing(), name, clock(process, kind)), NOTIFY, "{name} {process} {kind}");
            }
        }
        for descriptor in [0, 3, 1023] {
            assert_eq!(act(&nothing(), name, clock(descriptor, 3)), ALLOW, "{name} {descriptor}");
        }
        // The kernel looks at the low half only.
        let [number, ..] = clock(7, 2);
        assert_eq!(act(&nothing(), name, [number | u64::MAX << 32, 0, 0, 0, 0, 0]), NOTIFY, "{name}");
        assert_eq!(act(&nothing(), name, [1 | u64::MAX << 32, 0, 0, 0, 0, 0]), ALLOW, "{name}");
    }
}

#[test]
fn capabilities_are_looked_at_where_they_are_told() {
    assert_eq!(act(&nothing(), "capget", [1, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(act(&nothing(), "capget", [1, 8, 0, 0, 0, 0]), NOTIFY);
    assert_eq!(act(&nothing(), "capget", [1, 1 << 40, 0, 0, 0, 0]), NOTIFY);
    assert_eq!(act(&nothing(), "get_robust_list", [0; 6]), ALLOW);
    assert_eq!(act(&nothing(), "get_robust_list", [7, 0, 0, 0, 0, 0]), NOTIFY);
}
