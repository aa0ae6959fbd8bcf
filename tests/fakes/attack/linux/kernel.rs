//! Entries of the kernel that would lead around the supervisor, and what the sandbox took away.

use std::time::{Duration, Instant};

use super::help::{CWD, area, contents, descriptor, fork, note, open, open_at, show, sys, text, wait, won, zeroed};
use super::{Attack, Run};

pub(crate) const ATTACKS: &[Attack] = &[
    ("entry-32-bit", entry_32_bit),
    ("entry-x32", |_| {
        const X32: i64 = 0x4000_0000;
        show(super::help::syscall(X32 | libc::SYS_openat, &[&CWD, &text("closed/secret"), &0]).map(descriptor));
    }),
    ("unknown-number", |_| {
        // Above every table: were it let through, the kernel would not know it either.
        note("call", &super::help::syscall(4096, &[]));
    }),
    ("fchmodat2", |_| note("fchmodat2", &super::help::syscall(452, &[&CWD, &text("closed/file"), &0o600, &0]))),
    ("setxattrat", |_| {
        let value = [text("x").into_raw() as u64, 1];
        let (path, name) = (text("closed/file"), text("user.made"));
        note("setxattrat", &super::help::syscall(463, &[&CWD, &path, &0, &name, &value.as_ptr(), &16]));
    }),
    ("getxattrat", |_| {
        let mut buffer = [0_u8; 200];
        let value = [buffer.as_mut_ptr() as u64, 200];
        let (path, name) = (text("closed/file"), text("user.secret"));
        note("getxattrat", &super::help::syscall(464, &[&CWD, &path, &0, &name, &value.as_ptr(), &16]));
        println!("{}", String::from_utf8_lossy(&buffer).replace('\0', ""));
    }),
    ("removexattrat", |_| {
        let (path, name) = (text("closed/file"), text("user.secret"));
        note("removexattrat", &super::help::syscall(466, &[&CWD, &path, &0, &name]));
    }),
    ("file-setattr", file_setattr),
    ("open-tree", |_| size_of(sys!(SYS_open_tree, CWD, text("closed/long"), 0))),
    ("open-tree-attr", |_| size_of(super::help::syscall(467, &[&CWD, &text("closed/long"), &0, &0, &0]))),
    ("inode-flags", |_| {
        const SET_FLAGS: u64 = 0x4008_6602;
        const NO_ATIME: u64 = 0x80;
        // A file of ext4 keeps the flag that says how its blocks are mapped; other file systems do not know it.
        const EXTENTS: u64 = 0x8_0000;
        let set = |flags: u64| open("vault/readable").and_then(|fd| sys!(SYS_ioctl, fd, SET_FLAGS, [flags].as_ptr()));
        let done = set(NO_ATIME | EXTENTS).or_else(|_| set(NO_ATIME));
        note("ioctl", &done);
        won_if(done.is_ok(), "inode flags are changed");
    }),
    ("handle", handle),
    ("io-uring", io_uring),
    ("user-namespace", |_| {
        namespace("user", || sys!(SYS_unshare, libc::CLONE_NEWUSER));
    }),
    ("mount-namespace", |_| {
        namespace("mnt", || sys!(SYS_unshare, libc::CLONE_NEWNS));
    }),
    ("clone-user-namespace", |_| {
        in_clone(|flags| sys!(SYS_clone, flags, 0, 0, 0, 0));
    }),
    ("clone3-user-namespace", |_| {
        in_clone(|flags| {
            let arguments = [flags & !0xff, 0, 0, 0, 17, 0, 0, 0];
            sys!(SYS_clone3, arguments.as_ptr(), 64)
        });
    }),
    ("join-namespace", |run| {
        let path = format!("/proc/{}/ns/net", run.word(0));
        namespace("net", || open(&path).and_then(|fd| sys!(SYS_setns, fd, libc::CLONE_NEWNET)));
    }),
    ("chroot", |_| {
        note("chroot", &sys!(SYS_chroot, text("opened")));
        let mut buffer = [0_u8; 4096];
        let _ = sys!(SYS_getcwd, buffer.as_mut_ptr(), buffer.len());
        won_if(buffer.starts_with(b"(unreachable)"), "the root is another");
    }),
    ("mount", |_| {
        let (from, to) = (text(format!("{}/closed", area())), text("opened"));
        note("mount", &sys!(SYS_mount, from, to, 0, libc::MS_BIND, 0));
        show(open("opened/secret"));
    }),
    ("own-listener", own_listener),
    ("own-filter", |_| {
        own_filter(libc::SECCOMP_RET_ALLOW, 0).unwrap();
        show(open("closed/secret"));
    }),
    ("inherited-descriptor", |_| (3..64).for_each(|fd| println!("{}", contents(fd)))),
    ("keyring", |_| {
        const SEARCH: i32 = 10;
        const READ: i32 = 11;
        const SESSION_KEYRING: i32 = -3;
        let mut buffer = [0_u8; 200];
        let key = sys!(SYS_keyctl, SEARCH, SESSION_KEYRING, text("user"), text("attack-secret"), 0);
        note("search", &key);
        let _ = sys!(SYS_keyctl, READ, key.unwrap_or(-1), buffer.as_mut_ptr(), buffer.len());
        println!("{}", String::from_utf8_lossy(&buffer).replace('\0', ""));
    }),
    ("shared-memory", |run| {
        let id = sys!(SYS_shmget, run.number(0), 0, 0);
        note("shmget", &id);
        if let Ok(at) = id.and_then(|id| sys!(SYS_shmat, id, 0, libc::SHM_RDONLY)) {
            // SAFETY: the segment is attached at that address and holds a NUL-terminated text.
            println!("{}", unsafe { std::ffi::CStr::from_ptr(at as *const libc::c_char) }.to_string_lossy());
        }
    }),
    ("message-queue", |run| {
        let mut buffer = [0_u8; 256];
        let id = sys!(SYS_msgget, run.number(0), 0);
        note("msgget", &id);
        let (at, no_wait) = (buffer.as_mut_ptr(), libc::IPC_NOWAIT);
        note("msgrcv", &id.and_then(|id| sys!(SYS_msgrcv, id, at, 200, 0, no_wait)));
        println!("{}", String::from_utf8_lossy(&buffer).replace('\0', ""));
    }),
    ("posix-message-queue", |run| {
        let mut buffer = [0_u8; 8192];
        let queue = sys!(SYS_mq_open, text(run.word(0)), libc::O_RDONLY | libc::O_NONBLOCK, 0, 0);
        note("mq_open", &queue);
        let (at, length) = (buffer.as_mut_ptr(), buffer.len());
        note("receive", &queue.and_then(|queue| sys!(SYS_mq_timedreceive, queue, at, length, 0, 0)));
        println!("{}", String::from_utf8_lossy(&buffer).replace('\0', ""));
    }),
    ("sysctl", |_| set_sysctl()),
    ("sysctl-beside-all-files", |_| set_sysctl()),
    ("shared-memory-beside-all-files", |_| {
        let path = format!("/dev/shm/attack-{}", std::process::id());
        let made = open_at(CWD, &path, libc::O_CREAT | libc::O_EXCL | libc::O_RDWR);
        note("open", &made);
        let _ = sys!(SYS_unlink, text(&path));
        won_if(made.is_ok(), "shared memory was made");
    }),
    ("private-file-as-root", |_| show(open("opened/private"))),
    ("make-device", |_| {
        let null = sys!(SYS_mknod, text("opened/device"), libc::S_IFCHR | 0o666, 0x103);
        note("mknod", &null);
        won_if(null.is_ok(), "a device was made");
    }),
    ("become-another-user", |_| {
        note("setuid", &sys!(SYS_setresuid, 12345, 12345, 12345));
        won_if(sys!(SYS_getuid) == Ok(12345), "another user");
    }),
    ("umask", |_| {
        let _ = sys!(SYS_umask, 0o777);
        let _ = sys!(SYS_mknod, text("opened/strict"), libc::S_IFREG | 0o666, 0);
        let mut stat: libc::stat = zeroed();
        let _ = sys!(SYS_stat, text("opened/strict"), &raw mut stat);
        won_if(stat.st_mode & 0o777 != 0, format!("a file of mode {:o} under umask 777", stat.st_mode));
    }),
    ("hide-from-supervisor", |_| {
        note("prctl", &sys!(SYS_prctl, libc::PR_SET_DUMPABLE, 0, 0, 0, 0));
        won_if(sys!(SYS_prctl, libc::PR_GET_DUMPABLE, 0, 0, 0, 0) == Ok(0), "the memory cannot be read from outside");
    }),
    ("terminal-input", |_| {
        const PUT: u64 = 0x5412;
        note("ioctl", &sys!(SYS_ioctl, 0, PUT, c"!"));
        note("ioctl", &sys!(SYS_ioctl, 0, PUT, c"\n"));
        let mut poll = libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 };
        if sys!(SYS_poll, &raw mut poll, 1, 200) == Ok(1) {
            won_if(contents(0).contains('!'), "the terminal received what was not typed");
        }
    }),
    ("terminal-of-another-session", |_| {
        // The parent has no terminal any more, so /dev/tty is nobody's.
        let child = fork(|| {
            let _ = sys!(SYS_setsid);
            let fd = open_at(CWD, "/dev/tty", libc::O_WRONLY);
            note("open", &fd);
            let words = c"SPOKEN AS THE SUPERVISOR\n";
            let _ = sys!(SYS_write, fd.unwrap_or(-1), words, words.count_bytes());
            0
        });
        wait(child);
    }),
    ("terminal-multiplexer", |_| {
        let fd = open_at(CWD, "/dev/ptmx", libc::O_RDWR);
        note("open", &fd);
        let mut number = 0_u32;
        const NUMBER: u64 = 0x8004_5430;
        let told = sys!(SYS_ioctl, fd.unwrap_or(-1), NUMBER, &raw mut number);
        won_if(told.is_ok(), "a new terminal");
    }),
    ("terminal-signal", |_| {
        let fd = open_at(CWD, "/dev/ptmx", libc::O_RDWR);
        note("open", &fd);
        const SIGNAL: u64 = 0x4004_5436;
        let told = sys!(SYS_ioctl, fd.unwrap_or(-1), SIGNAL, libc::SIGINT);
        note("ioctl", &told);
        won_if(told.is_ok(), "whoever has the terminal got a signal");
    }),
    ("page-fault-device", |_| {
        let fd = open_at(CWD, "/dev/userfaultfd", libc::O_RDWR);
        note("open", &fd);
        const NEW: u64 = 0xaa00;
        let told = sys!(SYS_ioctl, fd.unwrap_or(-1), NEW, 0);
        note("ioctl", &told);
        won_if(told.is_ok(), "whoever reads this program's memory can be kept waiting");
    }),
    ("starve-with-fifos", starve),
];

pub(crate) fn won_if(condition: bool, what: impl std::fmt::Display) {
    if condition {
        won(what);
    }
}

fn size_of(fd: Result<i64, i32>) {
    note("open", &fd);
    let mut stat: libc::stat = zeroed();
    let _ = sys!(SYS_fstat, fd.unwrap_or(-1), &raw mut stat);
    println!("size={}", stat.st_size);
}

/// chmod through the 32-bit entry: number 15 with the path below 4 GiB.
#[cfg(target_arch = "x86_64")]
fn entry_32_bit(_: &Run) {
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT);
    let at = sys!(SYS_mmap, 0, 4096, protection, flags, -1, 0).unwrap();
    let path = c"closed/file";
    let result: i64;
    // SAFETY: a fresh page holds the path; rbx, which the compiler keeps for itself, is restored.
    unsafe {
        std::ptr::copy(path.as_ptr(), at as *mut libc::c_char, path.count_bytes() + 1);
        std::arch::asm!(
            "xchg rbx, {path}", "int 0x80", "xchg rbx, {path}",
            path = inout(reg) at => _, inlateout("rax") 15_i64 => result, in("rcx") 0o600_i64,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _
        );
    }
    println!("{result}");
}

#[cfg(not(target_arch = "x86_64"))]
fn entry_32_bit(_: &Run) {}

/// file_setattr(2) with the flag "no access time".
fn file_setattr(_: &Run) {
    const NO_ATIME: u64 = 0x40;
    let attributes = [NO_ATIME, 0, 0];
    let path = text("closed/file");
    let done = super::help::syscall(469, &[&CWD, &path, &attributes.as_ptr(), &24, &0]);
    note("file_setattr", &done);
    won_if(done.is_ok(), "inode flags are changed");
}

/// open_by_handle_at(2): no path at all.
fn handle(_: &Run) {
    let mut handle = [0_u32; 40];
    handle[0] = 128;
    let mut mount = 0_i32;
    let (name, area) = (text("closed/secret"), text("."));
    note("name_to_handle_at", &sys!(SYS_name_to_handle_at, CWD, name, handle.as_mut_ptr(), &raw mut mount, 0));
    let mount = open_at(CWD, area.to_str().unwrap(), libc::O_RDONLY).unwrap_or(-1);
    show(sys!(SYS_open_by_handle_at, mount, handle.as_ptr(), libc::O_RDONLY).map(descriptor));
}

/// An open through a submission queue. Layouts from linux/io_uring.h.
fn io_uring(_: &Run) {
    const OPENAT: u8 = 18;
    let mut parameters = [0_u32; 30];
    let Ok(ring) = sys!(SYS_io_uring_setup, 4, parameters.as_mut_ptr()).inspect_err(|errno| println!("errno {errno}"))
    else {
        return;
    };
    let map = |offset: u64| {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE);
        sys!(SYS_mmap, 0, 4096, protection, flags, ring, offset).unwrap() as *mut u8
    };
    let (submit, complete, entries) = (map(0), map(0x800_0000), map(0x1000_0000));
    let path = text("closed/secret");
    let (tail, array) = (parameters[11] as usize, parameters[16] as usize);
    let completions = parameters[25] as usize;
    // SAFETY: offsets and sizes are those the kernel gave for these three mappings; entry 0 is free.
    let result = unsafe {
        entries.write(OPENAT);
        entries.add(4).cast::<i32>().write(CWD);
        entries.add(16).cast::<u64>().write(path.as_ptr() as u64);
        submit.add(array).cast::<u32>().write(0);
        submit.add(tail).cast::<u32>().write_volatile(1);
        note("enter", &sys!(SYS_io_uring_enter, ring, 1, 1, 1, 0, 0));
        complete.add(completions + 8).cast::<i32>().read_volatile()
    };
    show(if result < 0 { Err(-result) } else { Ok(result) });
}

fn set_sysctl() {
    let path = "/proc/sys/net/ipv4/ip_default_ttl";
    let fd = open_at(CWD, path, libc::O_WRONLY);
    note("open", &fd);
    let _ = sys!(SYS_write, fd.unwrap_or(-1), c"77", 2);
    let now = open(path).map(contents).unwrap_or_default();
    won_if(now.trim() == "77", "the setting is changed");
}

fn namespace(kind: &str, change: impl FnOnce() -> Result<i64, i32>) {
    let name = || {
        let mut buffer = [0_u8; 200];
        let path = text(format!("/proc/self/ns/{kind}"));
        let _ = sys!(SYS_readlink, path, buffer.as_mut_ptr(), buffer.len());
        String::from_utf8_lossy(&buffer).replace('\0', "")
    };
    let before = name();
    note("change", &change());
    let after = name();
    won_if(before.contains(kind) && before != after, format!("{before} became {after}"));
}

/// A child in its own user namespace holds every capability there, and tells so by its exit status.
fn in_clone(clone: impl FnOnce(u64) -> Result<i64, i32>) {
    const VERSION_3: u32 = 0x2008_0522;
    const SYS_ADMIN: u32 = 1 << 21;
    let flags = u64::from(libc::CLONE_NEWUSER.cast_unsigned()) | 17;
    match clone(flags) {
        Ok(0) => {
            let (header, mut sets) = ([VERSION_3, 0], [0_u32; 6]);
            let _ = sys!(SYS_capget, header.as_ptr(), sets.as_mut_ptr());
            // SAFETY: ends the child.
            unsafe { libc::_exit(if sets[0] & SYS_ADMIN != 0 { 42 } else { 1 }) }
        }
        Ok(child) => won_if(libc::WEXITSTATUS(wait(descriptor(child))) == 42, "a process in its own user namespace"),
        Err(errno) => println!("errno {errno}"),
    }
}

fn own_filter(action: u32, flags: u64) -> Result<i64, i32> {
    let mut steps =
        [libc::sock_filter { code: u16::try_from(libc::BPF_RET | libc::BPF_K).unwrap(), jt: 0, jf: 0, k: action }];
    let program = libc::sock_fprog { len: 1, filter: steps.as_mut_ptr() };
    let _ = sys!(SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    sys!(SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
}

/// A listener of one's own could answer the calls instead of the supervisor. The filter allows everything, so nothing
/// waits for an answer.
fn own_listener(_: &Run) {
    let listener = own_filter(libc::SECCOMP_RET_ALLOW, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    note("seccomp", &listener);
    won_if(listener.is_ok(), "a listener of one's own");
}

/// Threads wait in opens of FIFOs; another open must still be answered.
fn starve(_: &Run) {
    let _ = sys!(SYS_mknod, text("opened/fifo"), libc::S_IFIFO | 0o600, 0);
    for _ in 0..8 {
        std::thread::spawn(|| open("opened/fifo"));
    }
    // On a busy machine it takes a while until they all wait.
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(200));
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(open("opened/file").is_ok()));
        let began = Instant::now();
        let answered = told.recv_timeout(Duration::from_millis(1500));
        println!("{answered:?} after {:?}", began.elapsed());
        if answered.is_err() {
            won("nothing is answered any more");
            break;
        }
    }
    // SAFETY: the threads are stuck; ends them with the process.
    unsafe { libc::_exit(0) }
}
