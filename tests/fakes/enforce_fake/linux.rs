//! The actions on Linux.
#![expect(clippy::unwrap_used, reason = "a test program")]

use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(crate) fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["call", number, rest @ ..] => call(number, rest),
        ["capabilities", version, pid] => capabilities(version, pid),
        ["entry32"] => entry32(),
        ["handle", path] => handle(path),
        ["in-root", directory, path] => in_root(directory, path),
        ["flip", action, allowed, forbidden, milliseconds] => flip(action, allowed, forbidden, milliseconds),
        ["swap-descriptor", allowed, forbidden, milliseconds] => swap_descriptor(allowed, forbidden, milliseconds),
        ["flip-exec", allowed, forbidden, milliseconds] => flip_exec(allowed, forbidden, milliseconds),
        ["race-script", way, allowed, forbidden, milliseconds] => race_script(way, allowed, forbidden, milliseconds),
        ["repeat", path, milliseconds] => repeat(path, milliseconds),
        // Told apart by the name the kernel got, which no other thread can change.
        [] => std::process::exit(if executed_as().ends_with("evil/run") { 42 } else { 0 }),
        ["exec-in-thread", program] => exec_in_thread(program),
        ["exec-in-threads", count, program] => exec_in_threads(count, program),
        ["map-executable", path] => map_executable(path),
        // The flag that forbids to dump a file (chattr +d), and an inode's generation.
        ["set-flags", path] => set_inode(path, 0x4008_6602, 0x40),
        ["set-generation", path] => set_inode(path, 0x4008_7602, 77),
        ["kill-by-memory", form] => kill_by_memory(form),
        ["terminal"] => terminal(),
        ["posix-ipc", action, name] => posix_ipc(action, name),
        ["pidfd-kill", pid, signal] => pidfd_kill(pid, signal),
        ["swap-pidfd", milliseconds] => swap_pidfd(milliseconds),
        ["swap-group", other, milliseconds] => swap_group(other, milliseconds),
        ["own-group"] => own_group(),
        ["group-for-later"] => group_for_later(),
        ["exec-too-big", count] => exec_too_big(count),
        ["repeat-exec", path, milliseconds, words @ ..] => repeat_exec(path, milliseconds, words),
        ["kill-exec", count, program] => kill_exec(count, program),
        ["mode", mode, path] => make(mode, path),
        ["publish", directory, path, form] => publish(directory, path, form),
        ["memfd-exec", program] => memfd_exec(program),
        ["threads", count, path] => threads(count, path),
        ["without-landlock", program, rest @ ..] => without_landlock(program, rest),
        ["net", rest @ ..] => crate::network::main(rest),
        ["enter", profile, trap, action, path] => enter(profile, trap, action, path),
        ["rows"] => super::rows::run(),
        _ => panic!("unknown action {args:?}"),
    }
}

pub(crate) fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// A system call by number; arguments are numbers or strings.
fn call(number: &str, rest: &[&str]) {
    let strings: Vec<CString> = rest.iter().map(|word| CString::new(*word).unwrap()).collect();
    let mut words = [0_i64; 6];
    for (at, word) in rest.iter().enumerate() {
        words[at] = word.parse().unwrap_or(strings[at].as_ptr() as i64);
    }
    let [a, b, c, d, e, f] = words;
    // SAFETY: a test of how calls are answered; string arguments are NUL-terminated and outlive the call.
    let result = unsafe { libc::syscall(number.parse().unwrap(), a, b, c, d, e, f) };
    println!("{result} {}", if result < 0 { errno() } else { 0 });
}

/// What capget(2) answers: its result and errno, the version it names, and the sets.
fn capabilities(version: &str, pid: &str) {
    let mut header = [u32::from_str_radix(version, 16).unwrap(), pid.parse::<i32>().unwrap().cast_unsigned()];
    let mut sets = [u32::MAX; 6];
    // SAFETY: both structures are large enough for every version.
    let result = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) };
    println!("{result} {} {:x} {sets:x?}", if result < 0 { errno() } else { 0 }, header[0]);
}

/// Becomes `program` on a kernel that answers ENOSYS to landlock_create_ruleset, as one without Landlock does.
fn without_landlock(program: &str, rest: &[&str]) {
    let errno = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();
    let number = u32::try_from(libc::SYS_landlock_create_ruleset).unwrap();
    // Load the call's number (the first field of `seccomp_data`); on the one that is meant, answer; else allow.
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: u16::try_from(code).unwrap(), jt, jf, k };
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, errno),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program_of_filter = libc::sock_fprog { len: u16::try_from(steps.len()).unwrap(), filter: steps.as_mut_ptr() };
    // SAFETY: PR_SET_NO_NEW_PRIVS takes plain numbers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the filter lives until the call returns; the kernel copies it.
    let installed =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, std::ptr::from_ref(&program_of_filter)) };
    assert_eq!(installed, 0, "{}", std::io::Error::last_os_error());
    let words: Vec<CString> = [&[program], rest].concat().iter().map(|word| CString::new(*word).unwrap()).collect();
    let mut argv: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    argv.push(std::ptr::null());
    // SAFETY: the array ends in a null pointer and its strings outlive the call.
    unsafe { libc::execv(words[0].as_ptr(), argv.as_ptr()) };
    panic!("cannot execute {program}: {}", std::io::Error::last_os_error());
}

/// getpid through the 32-bit entry.
#[cfg(target_arch = "x86_64")]
fn entry32() {
    let result: i64;
    // SAFETY: number 20 of the 32-bit table is getpid and takes no arguments.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") 20_i64 => result, out("r8") _, out("r9") _, out("r10") _, out("r11") _)
    };
    println!("{result}");
}

#[cfg(not(target_arch = "x86_64"))]
fn entry32() {
    println!("-38");
}

fn handle(path: &str) {
    let path = CString::new(path).unwrap();
    let mut handle = [0_u32; 40];
    handle[0] = 128;
    let mut mount = 0_i32;
    // SAFETY: the buffer holds the structure with 128 bytes of room, as its first word says.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            path.as_ptr(),
            handle.as_mut_ptr(),
            &raw mut mount,
            0,
        )
    };
    println!("{result} {}", if result < 0 { errno() } else { 0 });
}

fn in_root(directory: &str, path: &str) {
    const IN_ROOT: u64 = 0x10;
    let (directory, path) = (CString::new(directory).unwrap(), CString::new(path).unwrap());
    // SAFETY: NUL-terminated paths and a full `open_how`.
    let result = unsafe {
        let at = libc::open(directory.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY);
        let how = [0_u64, 0, IN_ROOT];
        libc::syscall(libc::SYS_openat2, at, path.as_ptr(), how.as_ptr(), 24)
    };
    println!("{result} {}", if result < 0 { errno() } else { 0 });
}

/// A path string that another thread keeps rewriting between two spellings of the same length.
struct Flipping {
    bytes: Box<[u8]>,
    stop: AtomicBool,
}

fn flipping(allowed: &str, forbidden: &str, work: impl Fn(*const libc::c_char) + Sync, milliseconds: &str) {
    assert_eq!(allowed.len(), forbidden.len(), "spell both with the same length");
    let mut bytes = allowed.as_bytes().to_vec();
    bytes.push(0);
    let state = Flipping { bytes: bytes.into_boxed_slice(), stop: AtomicBool::new(false) };
    let end = Instant::now() + Duration::from_millis(milliseconds.parse().unwrap());
    let at = state.bytes.as_ptr() as usize;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !state.stop.load(Ordering::Relaxed) {
                for text in [forbidden, allowed] {
                    // SAFETY: the buffer outlives the scope and has room for both texts; tearing is the point.
                    unsafe { std::ptr::copy(text.as_ptr(), at as *mut u8, text.len()) };
                }
            }
        });
        while Instant::now() < end {
            work(at as *const libc::c_char);
        }
        state.stop.store(true, Ordering::Relaxed);
    });
}

/// Flips a path during a call and reports "attempts forbidden allowed".
fn flip(action: &str, allowed: &str, forbidden: &str, milliseconds: &str) {
    let [attempts, wins, passes] = [const { std::sync::atomic::AtomicU64::new(0) }; 3];
    let count = |counter: &std::sync::atomic::AtomicU64| {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    flipping(
        allowed,
        forbidden,
        |path| {
            count(&attempts);
            let mark = match action {
                "open" => open_and_read(path),
                "stat" => stat_mark(path),
                _ => panic!("unknown action {action}"),
            };
            match mark {
                Some(b'F') => count(&wins),
                Some(b'A') => count(&passes),
                _ => {}
            }
        },
        milliseconds,
    );
    let number = |counter: std::sync::atomic::AtomicU64| counter.into_inner();
    println!("{} {} {}", number(attempts), number(wins), number(passes));
}

/// Opens the same path again and again and reports "attempts forbidden allowed".
fn repeat(path: &str, milliseconds: &str) {
    let path = CString::new(path).unwrap();
    let end = Instant::now() + Duration::from_millis(milliseconds.parse().unwrap());
    let (mut attempts, mut wins, mut passes) = (0_u64, 0_u64, 0_u64);
    while Instant::now() < end {
        attempts += 1;
        match open_and_read(path.as_ptr()) {
            Some(b'F') => wins += 1,
            Some(b'A') => passes += 1,
            _ => {}
        }
    }
    println!("{attempts} {wins} {passes}");
}

/// Executes a program from a thread that is not the first.
fn exec_in_thread(program: &str) {
    use std::os::unix::process::CommandExt;
    let program = program.to_owned();
    #[expect(clippy::disallowed_methods, reason = "a test program executes another directly")]
    let error = std::thread::spawn(move || std::process::Command::new(program).exec()).join().unwrap();
    println!("-1 {}", error.raw_os_error().unwrap());
}

fn executed_as() -> String {
    // SAFETY: the kernel puts a NUL-terminated string there at the start of every program.
    unsafe { std::ffi::CStr::from_ptr(libc::getauxval(libc::AT_EXECFN) as *const libc::c_char) }
        .to_string_lossy()
        .into_owned()
}

/// Executes a program from many threads at once: one of them wins, and the others end.
fn exec_in_threads(count: &str, program: &str) {
    let count: usize = count.parse().unwrap();
    let program = CString::new(program).unwrap();
    let barrier = std::sync::Barrier::new(count);
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                let argv = [program.as_ptr(), std::ptr::null()];
                barrier.wait();
                // SAFETY: valid strings in null-terminated lists.
                unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), argv[1..].as_ptr()) };
                println!("-1 {}", errno());
            });
        }
    });
}

static SIGNALS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Executes with more arguments than the kernel takes, under a hail of signals; tells how often that was the answer and
/// whether signals arrived.
fn exec_too_big(count: &str) {
    extern "C" fn arrived(_signal: libc::c_int) {
        SIGNALS.fetch_add(1, Ordering::Relaxed);
    }
    let huge = CString::new(vec![b'a'; 200_000]).unwrap();
    let argv = [c"true".as_ptr(), huge.as_ptr(), std::ptr::null()];
    // SAFETY: the handler only counts; the child signals and exits; argument lists are null-terminated.
    let answers = unsafe {
        libc::signal(libc::SIGWINCH, arrived as extern "C" fn(libc::c_int) as usize);
        let own = libc::getpid();
        let child = libc::fork();
        if child == 0 {
            while libc::getppid() == own {
                libc::kill(own, libc::SIGWINCH);
            }
            libc::_exit(0);
        }
        let answers = (0..count.parse::<usize>().unwrap())
            .filter(|_| {
                libc::execve(c"/usr/bin/true".as_ptr(), argv.as_ptr(), argv[2..].as_ptr());
                errno() == libc::E2BIG
            })
            .count();
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
        answers
    };
    println!("{answers} {}", SIGNALS.load(Ordering::Relaxed) > 0);
}

/// Maps a file as executable; tells result and errno.
fn map_executable(path: &str) {
    let path = CString::new(path).unwrap();
    // SAFETY: a NUL-terminated path; the mapping stays unused.
    let at = unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_RDONLY);
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE, fd, 0)
    };
    if at == libc::MAP_FAILED { println!("-1 {}", errno()) } else { println!("0 0") }
}

/// Sets an attribute of an inode through a descriptor that can only read; tells result and errno.
fn set_inode(path: &str, request: libc::Ioctl, value: libc::c_int) {
    let path = CString::new(path).unwrap();
    // SAFETY: a NUL-terminated path; the request reads one int.
    let result = unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_RDONLY);
        libc::ioctl(fd, request, &raw const value)
    };
    println!("{result} {}", if result < 0 { errno() } else { 0 });
}

/// Has the kernel kill the parent when a socket can be read: its owner is named in memory, by fcntl or ioctl. Tells result and errno.
fn kill_by_memory(form: &str) {
    const F_SETOWN_EX: libc::c_int = 15;
    const F_SETSIG: libc::c_int = 10;
    const FIOSETOWN: libc::Ioctl = 0x8901;
    // SAFETY: descriptors of this process only; the requests read one or two ints.
    let result = unsafe {
        let mut ends = [0; 2];
        assert_eq!(libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, ends.as_mut_ptr()), 0);
        let parent = libc::getppid();
        let owner = [1, parent];
        let result = match form {
            "fcntl" => libc::fcntl(ends[0], F_SETOWN_EX, owner.as_ptr()),
            _ => libc::ioctl(ends[0], FIOSETOWN, &raw const parent),
        };
        let failed = errno();
        libc::fcntl(ends[0], F_SETSIG, libc::SIGKILL);
        libc::fcntl(ends[0], libc::F_SETFL, libc::O_ASYNC);
        libc::write(ends[1], c"x".as_ptr().cast(), 1);
        std::thread::sleep(Duration::from_millis(50));
        if result < 0 { -failed } else { 0 }
    };
    println!("{result}");
}

/// Makes a pseudo-terminal, becomes the leader of a session on it in a child, and writes to /dev/tty there; tells what
/// came out at the other end, or the child's errno.
fn terminal() {
    // SAFETY: descriptors of this process only; the name is copied before the next call; the child only opens and writes.
    unsafe {
        let main = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY);
        assert!(main >= 0 && libc::grantpt(main) == 0 && libc::unlockpt(main) == 0, "{}", errno());
        let other = libc::open(libc::ptsname(main), libc::O_RDWR | libc::O_NOCTTY);
        assert!(other >= 0, "{}", errno());
        let child = libc::fork();
        if child == 0 {
            libc::setsid();
            if libc::open(c"/dev/tty".as_ptr(), libc::O_RDWR) >= 0 || errno() != libc::ENXIO {
                libc::_exit(200);
            }
            libc::ioctl(other, libc::TIOCSCTTY, 0);
            let own = libc::open(c"/dev/tty".as_ptr(), libc::O_RDWR);
            if own < 0 || libc::write(own, c"through".as_ptr().cast(), 7) != 7 {
                libc::_exit(errno());
            }
            libc::_exit(0);
        }
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
        let mut text = [0_u8; 16];
        libc::fcntl(main, libc::F_SETFL, libc::O_NONBLOCK);
        let read = libc::read(main, text.as_mut_ptr().cast(), text.len());
        let text = String::from_utf8_lossy(&text[..usize::try_from(read).unwrap_or(0)]).into_owned();
        println!("{text} {}", libc::WEXITSTATUS(status));
    }
}

/// Shared memory and semaphores through the C library; tells result and errno.
fn posix_ipc(action: &str, name: &str) {
    let name = CString::new(name).unwrap();
    let path = name.as_ptr();
    let descriptor = |fd: libc::c_int| if fd < 0 { -1 } else { 0 };
    let semaphore = |sem: *mut libc::sem_t| if sem == libc::SEM_FAILED { -1 } else { 0 };
    // SAFETY: a NUL-terminated name; what is opened stays open until the end.
    let result = unsafe {
        match action {
            "shm-read" => descriptor(libc::shm_open(path, libc::O_RDONLY, 0)),
            "shm-write" => descriptor(libc::shm_open(path, libc::O_RDWR, 0)),
            "shm-create" => descriptor(libc::shm_open(path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o600)),
            "shm-unlink" => libc::shm_unlink(path),
            "sem-create" => semaphore(libc::sem_open(path, libc::O_CREAT | libc::O_EXCL, 0o600, 1)),
            "sem-open" => semaphore(libc::sem_open(path, 0)),
            "sem-unlink" => libc::sem_unlink(path),
            _ => panic!("unknown action {action}"),
        }
    };
    println!("{result} {}", if result < 0 { errno() } else { 0 });
}

fn pidfd_of(pid: i32) -> libc::c_long {
    // SAFETY: takes its arguments by value.
    unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }
}

/// Signals a process by a descriptor; tells result and errno.
fn pidfd_kill(pid: &str, signal: &str) {
    let signal: i32 = signal.parse().unwrap();
    let pidfd = pidfd_of(pid.parse().unwrap());
    // SAFETY: takes its arguments by value.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, signal, 0, 0) };
    println!("{result} {}", if result < 0 { errno() } else { 0 });
}

/// Makes a child that tells in the page how many signals it got, as long as its parent lives.
///
/// # Safety
/// The page is there as long as the child.
unsafe fn counting_child(page: *const std::sync::atomic::AtomicU64) -> libc::pid_t {
    // SAFETY: the child calls what may be called after a fork.
    unsafe {
        let own = libc::getpid();
        let child = libc::fork();
        if child == 0 {
            while libc::getppid() == own {
                libc::usleep(1000);
                (*page).store(SIGNALS.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            libc::_exit(0);
        }
        child
    }
}

/// Signals itself by a descriptor that another thread keeps exchanging for one of a child; reports "attempts forbidden
/// allowed", where forbidden is what the child got.
fn swap_pidfd(milliseconds: &str) {
    let end = Instant::now() + Duration::from_millis(milliseconds.parse().unwrap());
    // SAFETY: one shared page for the child's count; the handler only counts; descriptors of this process only.
    unsafe {
        let page = count_signals();
        let own = libc::getpid();
        let child = counting_child(page);
        let (good, bad) = (pidfd_of(own), pidfd_of(child));
        assert!(good >= 0 && bad >= 0, "{}", std::io::Error::last_os_error());
        let (good, bad) = (i32::try_from(good).unwrap(), i32::try_from(bad).unwrap());
        let moving = libc::dup(good);
        let stop = AtomicBool::new(false);
        let mut attempts = 0_u64;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    libc::dup2(bad, moving);
                    libc::dup2(good, moving);
                }
            });
            while Instant::now() < end {
                attempts += 1;
                libc::syscall(libc::SYS_pidfd_send_signal, moving, libc::SIGUSR1, 0, 0);
            }
            stop.store(true, Ordering::Relaxed);
        });
        libc::usleep(50_000);
        println!("{attempts} {} {}", (*page).load(Ordering::Relaxed), SIGNALS.load(Ordering::Relaxed));
    }
}

/// Signals its own group while another thread keeps moving it between a group of its own and another one: a child's (`child`), or the
/// one it began in (`first`). Reports "attempts forbidden allowed", where forbidden is what the child got.
fn swap_group(other: &str, milliseconds: &str) {
    let end = Instant::now() + Duration::from_millis(milliseconds.parse().unwrap());
    // SAFETY: one shared page for the child's count; the handler only counts; groups of this session only.
    unsafe {
        let page = count_signals();
        let first = libc::getpgrp();
        let child = counting_child(page);
        assert!(libc::setpgid(child, child) == 0 && libc::setpgid(0, 0) == 0, "{}", std::io::Error::last_os_error());
        let other = if other == "child" { child } else { first };
        let stop = AtomicBool::new(false);
        let mut attempts = 0_u64;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    libc::setpgid(0, other);
                    (0..300).for_each(|_| std::hint::spin_loop());
                    libc::setpgid(0, 0);
                    (0..3000).for_each(|_| std::hint::spin_loop());
                }
            });
            while Instant::now() < end {
                attempts += 1;
                libc::kill(0, libc::SIGUSR1);
            }
            stop.store(true, Ordering::Relaxed);
        });
        libc::usleep(50_000);
        println!("{attempts} {} {}", (*page).load(Ordering::Relaxed), SIGNALS.load(Ordering::Relaxed));
    }
}

/// Counts the signals that arrive in this process, and has its children do so; the page is for what they tell.
fn count_signals() -> *mut std::sync::atomic::AtomicU64 {
    extern "C" fn arrived(_signal: libc::c_int) {
        SIGNALS.fetch_add(1, Ordering::Relaxed);
    }
    let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping; the handler only counts.
    unsafe {
        libc::signal(libc::SIGUSR1, arrived as extern "C" fn(libc::c_int) as usize);
        libc::mmap(std::ptr::null_mut(), 4096, prot, flags, -1, 0).cast()
    }
}

/// Signals a group of its own and a child's; tells the answer, and of both whether the signal names the sender when it is there.
fn own_group() {
    // SAFETY: the signal is blocked before the child is made; sets and information are whole structures.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGUSR1);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        let (sender, user) = (libc::getpid(), libc::getuid());
        let named = |seconds| {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let patience = libc::timespec { tv_sec: seconds, tv_nsec: 0 };
            let got = libc::sigtimedwait(&raw const set, &raw mut info, &raw const patience);
            got == libc::SIGUSR1 && info.si_pid() == sender && info.si_uid() == user
        };
        libc::setpgid(0, 0);
        let child = libc::fork();
        if child == 0 {
            libc::_exit(i32::from(named(2)));
        }
        let answer = libc::kill(0, libc::SIGUSR1);
        // At once: a signal of one's own is there when the call returns.
        let own = named(0);
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
        println!("{answer} {own} {}", libc::WEXITSTATUS(status) == 1);
    }
}

/// Has the kernel kill a group when a pipe can be read, and then forks a child into that group; tells the result and errno of naming
/// the group, and how the child ended: 0, or the signal.
fn group_for_later() {
    const F_SETSIG: libc::c_int = 10;
    // SAFETY: descriptors and groups of this process only; the children only wait.
    unsafe {
        let mut ends = [0; 2];
        libc::setpgid(0, 0);
        let named = libc::pipe(ends.as_mut_ptr()) + libc::fcntl(ends[0], libc::F_SETOWN, -libc::getpgrp());
        let failed = if named < 0 { errno() } else { 0 };
        libc::fcntl(ends[0], F_SETSIG, libc::SIGKILL);
        let wait = |milliseconds| match libc::fork() {
            0 => {
                libc::usleep(milliseconds);
                libc::_exit(0)
            }
            child => child,
        };
        let (victim, refuge) = (wait(300_000), wait(300_000));
        // Out of the group that is to be killed.
        libc::setpgid(refuge, refuge);
        assert_eq!(libc::setpgid(0, refuge), 0, "{}", std::io::Error::last_os_error());
        libc::fcntl(ends[0], libc::F_SETFL, libc::O_ASYNC);
        libc::write(ends[1], c"x".as_ptr().cast(), 1);
        let mut status = 0;
        libc::waitpid(victim, &raw mut status, 0);
        println!("{named} {failed} {}", if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { 0 });
    }
}

/// Executes the same path again and again and reports "attempts forbidden allowed": the programs exit with 1 and 0.
fn repeat_exec(path: &str, milliseconds: &str, words: &[&str]) {
    let words: Vec<CString> = words.iter().map(|word| CString::new(*word).unwrap()).collect();
    let program = CString::new(path).unwrap();
    let end = Instant::now() + Duration::from_millis(milliseconds.parse().unwrap());
    let (mut attempts, mut wins, mut passes) = (0_u64, 0_u64, 0_u64);
    while Instant::now() < end {
        attempts += 1;
        match run_and_wait(program.as_ptr(), &words) {
            1 => wins += 1,
            0 => passes += 1,
            _ => {}
        }
    }
    println!("{attempts} {wins} {passes}");
}

/// Has children execute a program, and kills each of them at some time within the first three milliseconds.
fn kill_exec(count: &str, program: &str) {
    let program = CString::new(program).unwrap();
    let argv = [program.as_ptr(), c"3".as_ptr(), std::ptr::null()];
    let env = [std::ptr::null::<libc::c_char>()];
    let mut killed = 0;
    for number in 0..count.parse::<u32>().unwrap() {
        let mut status = 0;
        // SAFETY: this is the only thread; the child only executes or exits, and the parent ends and collects it.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr());
                libc::_exit(7);
            }
            // Steps that a prime spreads evenly.
            libc::usleep(number * 1_009 % 3_000);
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, &raw mut status, 0);
        }
        killed += u32::from(libc::WIFSIGNALED(status));
    }
    println!("{killed}");
}

/// Exit status of a program run by a child that shares this process's memory; 7 when it could not be executed.
fn run_and_wait(path: *const libc::c_char, words: &[CString]) -> i32 {
    let words = words.iter().map(|word| word.as_ptr());
    let argv: Vec<_> = std::iter::once(path).chain(words).chain([std::ptr::null()]).collect();
    let env = [std::ptr::null::<libc::c_char>()];
    let mut status = 0;
    // SAFETY: a vfork child shares the memory that another thread may flip; it only executes or exits.
    unsafe {
        #[expect(deprecated, reason = "sharing memory with the child is what is attacked")]
        let child = libc::vfork();
        if child == 0 {
            libc::execve(path, argv.as_ptr(), env.as_ptr());
            libc::_exit(7);
        }
        libc::waitpid(child, &raw mut status, 0);
    }
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
}

/// First byte of the file: `A` or `F`.
fn open_and_read(path: *const libc::c_char) -> Option<u8> {
    let mut byte = 0_u8;
    // SAFETY: the path is NUL-terminated; the descriptor is closed again.
    unsafe {
        let fd = libc::open(path, libc::O_RDONLY);
        if fd < 0 {
            return None;
        }
        let read = libc::read(fd, (&raw mut byte).cast(), 1);
        libc::close(fd);
        (read == 1).then_some(byte)
    }
}

/// The forbidden file is longer than one byte, the allowed one is not.
fn stat_mark(path: *const libc::c_char) -> Option<u8> {
    // SAFETY: all-zero bytes are a valid `stat`; the path is NUL-terminated.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        (libc::stat(path, &raw mut stat) == 0).then_some(if stat.st_size > 1 { b'F' } else { b'A' })
    }
}

/// Replaces the directory behind a descriptor while another thread opens relative to it.
fn swap_descriptor(allowed: &str, forbidden: &str, milliseconds: &str) {
    let open = |path: &str| {
        let path = CString::new(path).unwrap();
        // SAFETY: a NUL-terminated path.
        unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY) }
    };
    let (good, bad) = (open(allowed), open(forbidden));
    assert!(good >= 0 && bad >= 0, "both directories must be listable");
    // SAFETY: descriptors of this process only.
    let moving = unsafe { libc::dup(good) };
    let stop = AtomicBool::new(false);
    let end = Instant::now() + Duration::from_millis(milliseconds.parse().unwrap());
    let (mut attempts, mut wins, mut passes) = (0_u64, 0_u64, 0_u64);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // SAFETY: as above.
                unsafe {
                    libc::dup2(bad, moving);
                    libc::dup2(good, moving);
                }
            }
        });
        while Instant::now() < end {
            attempts += 1;
            let mut byte = 0_u8;
            // SAFETY: a NUL-terminated name; the descriptor is closed again.
            unsafe {
                let fd = libc::openat(moving, c"file".as_ptr(), libc::O_RDONLY);
                if fd >= 0 {
                    libc::read(fd, (&raw mut byte).cast(), 1);
                    libc::close(fd);
                }
            }
            wins += u64::from(byte == b'F');
            passes += u64::from(byte == b'A');
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("{attempts} {wins} {passes}");
}

/// Flips a program's path during exec. The programs exit with 0 (allowed) and 42 (forbidden).
fn flip_exec(allowed: &str, forbidden: &str, milliseconds: &str) {
    let [attempts, wins, passes] = [const { std::sync::atomic::AtomicU64::new(0) }; 3];
    flipping(
        allowed,
        forbidden,
        |path| {
            attempts.fetch_add(1, Ordering::Relaxed);
            match run_and_wait(path, &[]) {
                42 => wins.fetch_add(1, Ordering::Relaxed),
                0 => passes.fetch_add(1, Ordering::Relaxed),
                _ => 0,
            };
        },
        milliseconds,
    );
    println!("{} {} {}", attempts.into_inner(), wins.into_inner(), passes.into_inner());
}

/// Has children execute a script by a name that a thread of theirs leads from one directory's `run` to the other's and back: the
/// name in the working directory, or that of a descriptor. The scripts exit with 0 (allowed) and 42 (forbidden).
fn race_script(way: &str, allowed: &str, forbidden: &str, milliseconds: &str) {
    let end = Instant::now() + Duration::from_millis(milliseconds.parse().unwrap());
    let (mut attempts, mut wins, mut passes) = (0_u64, 0_u64, 0_u64);
    while Instant::now() < end {
        attempts += 1;
        let mut status = 0;
        // SAFETY: this is the only thread, so the child can do everything; the parent collects it.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                execute_raced(way, [allowed, forbidden]);
            }
            libc::waitpid(child, &raw mut status, 0);
        }
        wins += u64::from(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 42);
        passes += u64::from(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
    }
    println!("{attempts} {wins} {passes}");
}

fn execute_raced(way: &str, directories: [&str; 2]) -> ! {
    const NUMBER: libc::c_int = 50;
    let names = directories.map(|name| CString::new(name).unwrap());
    let in_directory = way == "directory";
    let (argv, env) = ([c"run".as_ptr(), std::ptr::null()], [std::ptr::null::<libc::c_char>()]);
    // SAFETY: NUL-terminated names in null-terminated lists; descriptors of this process only.
    unsafe {
        let open = |name: &CString| {
            let run = CString::new(format!("{}/run", name.to_str().unwrap())).unwrap();
            libc::open(run.as_ptr(), libc::O_RDONLY)
        };
        let scripts = if in_directory { [-1; 2] } else { [open(&names[0]), open(&names[1])] };
        let lead = move |to: usize| {
            if in_directory {
                libc::chdir(names[to].as_ptr())
            } else {
                libc::dup2(scripts[to], NUMBER)
            };
        };
        lead(0);
        let moves = std::sync::Arc::new(AtomicBool::new(false));
        let told = std::sync::Arc::clone(&moves);
        std::thread::spawn(move || {
            for to in [1, 0].into_iter().cycle() {
                lead(to);
                told.store(true, Ordering::Relaxed);
                (0..1_000).for_each(|_| std::hint::spin_loop());
            }
        });
        while !moves.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        if in_directory {
            libc::execve(c"./run".as_ptr(), argv.as_ptr(), env.as_ptr());
        } else {
            let (argv, env) = (argv.as_ptr(), env.as_ptr());
            libc::syscall(libc::SYS_execveat, NUMBER, c"".as_ptr(), argv, env, libc::AT_EMPTY_PATH);
        }
        libc::_exit(7)
    }
}

/// Makes a file under an own umask and tells its mode.
fn make(mode: &str, path: &str) {
    let name = CString::new(path).unwrap();
    // SAFETY: a NUL-terminated path.
    let fd = unsafe {
        libc::umask(0o027);
        libc::open(name.as_ptr(), libc::O_CREAT | libc::O_WRONLY, libc::c_uint::from_str_radix(mode, 8).unwrap())
    };
    if fd < 0 {
        println!("-1 {}", errno());
    } else {
        println!("{:o}", std::fs::metadata(path).unwrap().mode() & 0o7777);
    }
}

/// Makes a file without a name and gives it one, by its descriptor or by the link to that.
fn publish(directory: &str, path: &str, form: &str) {
    let (directory, path) = (CString::new(directory).unwrap(), CString::new(path).unwrap());
    // SAFETY: NUL-terminated paths.
    let result = unsafe {
        let fd = libc::open(directory.as_ptr(), libc::O_TMPFILE | libc::O_RDWR, 0o600);
        assert!(fd >= 0, "errno {}", errno());
        let link = CString::new(format!("/proc/self/fd/{fd}")).unwrap();
        if form == "link" {
            libc::linkat(libc::AT_FDCWD, link.as_ptr(), libc::AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_FOLLOW)
        } else {
            libc::linkat(fd, c"".as_ptr(), libc::AT_FDCWD, path.as_ptr(), libc::AT_EMPTY_PATH)
        }
    };
    println!("{result} {}", if result < 0 { errno() } else { 0 });
}

/// Copies a program into memory and executes that.
fn memfd_exec(program: &str) {
    let bytes = std::fs::read(program).unwrap();
    // SAFETY: valid strings and a buffer of the stated length; argv and env end in null.
    unsafe {
        let fd = libc::memfd_create(c"image".as_ptr(), 0);
        libc::write(fd, bytes.as_ptr().cast(), bytes.len());
        let argv = [c"image".as_ptr(), std::ptr::null()];
        let env = [std::ptr::null::<libc::c_char>()];
        libc::syscall(libc::SYS_execveat, fd, c"".as_ptr(), argv.as_ptr(), env.as_ptr(), libc::AT_EMPTY_PATH);
    }
    println!("-1 {}", errno());
}

/// Reads the same file in many threads; tells how many could.
fn threads(count: &str, path: &str) {
    let workers: Vec<_> = (0..count.parse::<usize>().unwrap())
        .map(|_| {
            let path = path.to_owned();
            std::thread::spawn(move || (0..50).filter(|_| std::fs::read(&path).is_ok()).count())
        })
        .collect();
    println!("{}", workers.into_iter().map(|worker| worker.join().unwrap()).sum::<usize>());
}

/// Enters a sandbox of our own and performs one action in it; tells its errno, then the records as JSON.
fn enter(profile: &str, trap: &str, action: &str, path: &str) {
    use runtime::sandbox::{self, Job, Trap};
    use runtime::sbpl::{NoImports, Params, Policy, Source};
    let policy = (profile != "none").then(|| {
        let source = Source::new("p.sb", std::fs::read_to_string(profile).unwrap());
        Policy::compile(&[source], &Params::new(), &NoImports).unwrap()
    });
    let trap = if trap == "all" { Trap::All } else { Trap::AsNeeded };
    let job = Job { trap, ..Job::new(policy.as_ref()) };
    let (path, action) = (CString::new(path).unwrap(), action.to_owned());
    let supervised = sandbox::enter(&job, || {
        // SAFETY: a NUL-terminated path.
        let result = unsafe {
            match action.as_str() {
                "read" => libc::open(path.as_ptr(), libc::O_RDONLY),
                "write" => libc::open(path.as_ptr(), libc::O_WRONLY),
                "create" => libc::open(path.as_ptr(), libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY, 0o644),
                "unlink" => libc::unlink(path.as_ptr()),
                "stat" => {
                    let mut stat: libc::stat = std::mem::zeroed();
                    libc::stat(path.as_ptr(), &raw mut stat)
                }
                "fork" => match libc::fork() {
                    0 => libc::_exit(0),
                    child => child,
                },
                "crash" => libc::raise(libc::SIGKILL),
                _ => 255,
            }
        };
        if result < 0 { u8::try_from(errno()).unwrap_or(255) } else { 0 }
    })
    .unwrap();
    println!("{:?}", supervised.end);
    println!("{}", serde_json::to_string(&supervised.records).unwrap());
    println!("{}", serde_json::to_string(&supervised.report).unwrap());
}
