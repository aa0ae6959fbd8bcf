//! Processes outside the sandbox: their memory, descriptors, files in `/proc`, signals. The words are an outsider's pid and
//! what is known of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::help::{
    CWD, area, contents, descriptor, fork, note, open, open_at, show, show_path, sys, text, wait, won, write_file,
};
use super::kernel::won_if;
use super::{Attack, Run};

pub(crate) const ATTACKS: &[Attack] = &[
    ("outsider-cmdline", |run| show_path(&format!("/proc/{}/cmdline", run.word(0)))),
    ("outsider-environ", |run| {
        let environment = open(&format!("/proc/{}/environ", run.word(0))).map(contents);
        won_if(environment.is_ok_and(|text| text.contains('=')), "its environment was read");
    }),
    ("outsider-comm", |run| {
        let name = open(&format!("/proc/{}/comm", run.word(0))).map(contents);
        won_if(name.is_ok_and(|name| name.contains("attack")), "its name was read");
    }),
    ("outsider-status", |run| {
        let status = open(&format!("/proc/{}/status", run.word(0))).map(contents);
        won_if(status.is_ok_and(|status| status.contains("Name:")), "its status was read");
    }),
    ("outsider-thread-cmdline", |run| show_path(&format!("/proc/{0}/task/{0}/cmdline", run.word(0)))),
    ("outsider-through-root", |run| show_path(&format!("/proc/self/root/proc/{}/cmdline", run.word(0)))),
    ("outsider-cwd", |run| show_path(&format!("/proc/{}/cwd/secret", run.word(0)))),
    ("outsider-cwd-link", |run| {
        let mut buffer = [0_u8; 200];
        let path = text(format!("/proc/{}/cwd", run.word(0)));
        let _ = sys!(SYS_readlink, path, buffer.as_mut_ptr(), buffer.len());
        won_if(buffer[0] == b'/', "its working directory was read");
    }),
    ("outsider-descriptor-file", |run| show_path(&format!("/proc/{}/fd/{}", run.word(0), run.word(1)))),
    ("outsider-mem-file", |run| {
        let fd = open(&format!("/proc/{}/mem", run.word(0)));
        note("open", &fd);
        let _ = sys!(SYS_lseek, fd.unwrap_or(-1), run.number(2), libc::SEEK_SET);
        show(fd);
    }),
    ("supervisor-cmdline", |_| show_path(&format!("/proc/{}/cmdline", supervisor()))),
    ("supervisor-environ", |_| {
        let environment = open(&format!("/proc/{}/environ", supervisor())).map(contents);
        won_if(environment.is_ok_and(|text| text.contains("PATH=")), "the supervisor's environment was read");
    }),
    ("supervisor-descriptors", |_| {
        let listed = open_at(CWD, &format!("/proc/{}/fd", supervisor()), libc::O_RDONLY);
        note("open", &listed);
        let mut buffer = [0_u8; 4096];
        let length = sys!(SYS_getdents64, listed.unwrap_or(-1), buffer.as_mut_ptr(), buffer.len());
        won_if(length.is_ok_and(|length| length > 0), "the supervisor's descriptors were listed");
    }),
    ("supervisor-mem-file", |_| {
        let fd = open_at(CWD, &format!("/proc/{}/mem", supervisor()), libc::O_RDWR);
        won_if(fd.is_ok(), "the supervisor's memory is open for writing");
    }),
    ("outsider-oom-score", |run| set_oom_score(run.number(0))),
    ("supervisor-oom-score", |_| set_oom_score(supervisor())),
    ("process-vm-readv", |run| {
        let mut buffer = [0_u8; 200];
        let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: 64 };
        let remote = libc::iovec { iov_base: run.number(2) as *mut libc::c_void, iov_len: 64 };
        let (local, remote) = (&raw const local, &raw const remote);
        note("readv", &sys!(SYS_process_vm_readv, run.number(0), local, 1, remote, 1, 0));
        println!("{}", String::from_utf8_lossy(&buffer).replace('\0', ""));
    }),
    ("ptrace", ptrace),
    ("traced-child", traced_child),
    ("pidfd-getfd", |run| {
        let fd = sys!(SYS_pidfd_open, run.number(0), 0);
        note("pidfd_open", &fd);
        let taken = fd.and_then(|fd| sys!(SYS_pidfd_getfd, fd, run.number(1), 0)).map(descriptor);
        if let Ok(fd) = taken {
            let _ = sys!(SYS_lseek, fd, 0, libc::SEEK_SET);
        }
        show(taken);
    }),
    ("outsider-limits", |run| {
        let limit = [7_u64, 4096];
        note("prlimit64", &sys!(SYS_prlimit64, run.number(0), 7, limit.as_ptr(), 0));
    }),
    ("outsider-priority", |run| note("setpriority", &sys!(SYS_setpriority, 0, run.number(0), 7))),
    ("outsider-affinity", |run| {
        let first = [1_u64];
        note("setaffinity", &sys!(SYS_sched_setaffinity, run.number(0), 8, first.as_ptr()));
    }),
    ("outsider-existence", |run| {
        let (group, session) = (sys!(SYS_getpgid, run.number(0)), sys!(SYS_getsid, run.number(0)));
        won_if(group.is_ok() || session.is_ok(), format!("it exists, in group {group:?} of session {session:?}"));
    }),
    ("outsider-scheduling", |run| {
        let mut mask = [0_u64; 16];
        let nice = sys!(SYS_getpriority, 0, run.number(0));
        let affinity = sys!(SYS_sched_getaffinity, run.number(0), 128, mask.as_mut_ptr());
        won_if(nice.is_ok() || affinity.is_ok(), format!("its nice value is {nice:?}, its affinity {:x}", mask[0]));
    }),
    ("outsider-clock", |run| {
        let mut time = [0_u64; 2];
        let read = sys!(SYS_clock_gettime, clock_of(run), time.as_mut_ptr());
        won_if(read.is_ok(), format!("it ran for {time:?}"));
    }),
    ("outsider-clock-resolution", |run| {
        let asked = sys!(SYS_clock_getres, clock_of(run), 0);
        won_if(asked.is_ok(), "it exists");
    }),
    ("outsider-clock-sleep", |run| {
        // Until it has run for a nanosecond.
        let time = [0_u64, 1];
        let slept = sys!(SYS_clock_nanosleep, clock_of(run), libc::TIMER_ABSTIME, time.as_ptr(), 0);
        won_if(slept.is_ok(), "slept until it had run for some time");
    }),
    ("outsider-timer", |run| {
        let mut timer = 0_i32;
        let mut event: libc::sigevent = super::help::zeroed();
        event.sigev_notify = libc::SIGEV_NONE;
        let made = sys!(SYS_timer_create, clock_of(run), &raw const event, &raw mut timer);
        won_if(made.is_ok(), "a timer runs by its clock");
    }),
    ("outsider-capabilities", |run| {
        let (header, mut sets) = ([0x2008_0522, run.number(0)].map(|word| word as u32), [0_u32; 6]);
        let asked = sys!(SYS_capget, header.as_ptr(), sets.as_mut_ptr());
        won_if(asked.is_ok(), format!("its capabilities are {sets:x?}"));
    }),
    ("outsider-robust-list", |run| {
        let (mut head, mut length) = (0_u64, 0_u64);
        let mut of = |pid: i64| sys!(SYS_get_robust_list, pid, &raw mut head, &raw mut length);
        let (outsider, nobody) = (of(run.number(0)), of(NOBODY));
        won_if(outsider != nobody, format!("it exists: {outsider:?}, not {nobody:?}"));
    }),
    ("outsider-look", |run| {
        let mut status: libc::stat = super::help::zeroed();
        let process = format!("/proc/{}", run.word(0));
        for path in [process.clone(), format!("{process}/cmdline"), format!("{process}/mem")] {
            let seen = sys!(SYS_newfstatat, CWD, text(&path), &raw mut status, libc::AT_SYMLINK_NOFOLLOW);
            won_if(seen.is_ok(), format!("{path} is there, and belongs to {}", status.st_uid));
        }
    }),
    ("outsider-access", |run| {
        let path = text(format!("/proc/{}/cmdline", run.word(0)));
        won_if(sys!(SYS_faccessat, CWD, path, libc::R_OK).is_ok(), "it exists");
    }),
    ("outsider-directory", |run| {
        let path = text(format!("/proc/{}", run.word(0)));
        won_if(sys!(SYS_chdir, path).is_ok(), "its directory is the working directory");
    }),
    ("outsider-attributes", |run| {
        let path = text(format!("/proc/{}/cmdline", run.word(0)));
        let asked = sys!(SYS_lgetxattr, path, text("user.none"), 0, 0);
        won_if(![Err(libc::EPERM), Err(libc::ENOENT)].contains(&asked), format!("its file answers {asked:?}"));
    }),
    ("child-links", |_| {
        let child = fork(|| {
            std::thread::sleep(Duration::from_secs(1));
            0
        });
        for name in ["exe", "cwd", "root"] {
            let mut buffer = [0_u8; 200];
            let path = text(format!("/proc/{child}/{name}"));
            let read = sys!(SYS_readlink, path, buffer.as_mut_ptr(), buffer.len());
            won_if(read.is_ok(), format!("{name} of another process was read"));
        }
        let _ = sys!(SYS_kill, child, libc::SIGKILL);
        wait(child);
    }),
    ("signal-outsider", |run| note("kill", &sys!(SYS_kill, run.number(0), libc::SIGKILL))),
    ("signal-outsider-thread", |run| {
        note("tgkill", &sys!(SYS_tgkill, run.number(0), run.number(0), libc::SIGKILL));
    }),
    ("signal-outsider-queued", |run| {
        let mut info = [0_u32; 32];
        (info[0], info[2]) = (libc::SIGKILL.cast_unsigned(), u32::MAX);
        note("sigqueue", &sys!(SYS_rt_sigqueueinfo, run.number(0), libc::SIGKILL, info.as_ptr()));
    }),
    ("signal-outsider-by-descriptor", |run| {
        let fd = sys!(SYS_pidfd_open, run.number(0), 0);
        note("pidfd_open", &fd);
        note("signal", &fd.and_then(|fd| sys!(SYS_pidfd_send_signal, fd, libc::SIGKILL, 0, 0)));
    }),
    ("signal-outsider-by-owner", signal_by_owner),
    ("signal-supervisor", |_| note("kill", &sys!(SYS_kill, supervisor(), libc::SIGKILL))),
    ("signal-supervisor-thread", |_| {
        let told = told_of_supervisor();
        for thread in &told[1..] {
            note("tgkill", &sys!(SYS_tgkill, told[0], *thread, libc::SIGKILL));
            note("tkill", &sys!(SYS_tkill, *thread, libc::SIGKILL));
        }
    }),
    ("signal-keeper", |_| {
        note("kill", &sys!(SYS_kill, std::os::unix::process::parent_id(), libc::SIGKILL));
        std::thread::sleep(Duration::from_millis(500));
    }),
    ("signal-group-of-keeper", |_| {
        // The suite starts every run in a group of its own.
        let group = supervisor();
        let _ = sys!(SYS_setpgid, 0, 0);
        note("kill", &sys!(SYS_kill, -group, libc::SIGKILL));
    }),
    ("outlive-first-process", |_| {
        // Detached twice over; counts into a file that was opened while it was allowed.
        let child = fork(|| {
            let _ = sys!(SYS_setsid);
            fork(|| {
                count_into("opened/alive");
                0
            });
            0
        });
        wait(child);
        // The grandchild needs the supervisor for its first open.
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end && open("opened/alive").map_or(true, |fd| contents(fd).is_empty()) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }),
    ("outlive-supervisor", |_| {
        let _ = supervisor();
        count_into("opened/alive");
    }),
    ("hop-past-first-process", |_| hop()),
    ("hop-past-supervisor", |_| {
        let _ = supervisor();
        hop();
        std::thread::sleep(HOPPING);
    }),
    ("work-on-without-supervisor", |_| {
        let supervisor = supervisor();
        write_file("opened/ready", "");
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            // The outsider ends the supervisor now; what is denied must stay denied.
            if let Ok(fd) = open(&format!("{}/closed/secret", area())) {
                won(format!("{} without supervisor {supervisor}", contents(fd)));
            }
        }
    }),
];

/// The clock of an outsider's processor time (linux/posix-timers.h).
fn clock_of(run: &Run) -> i64 {
    const SCHEDULED: i64 = 2;
    (!run.number(0) << 3) | SCHEDULED
}

/// No process has this number: it is above the highest one.
const NOBODY: i64 = 5_000_000;

fn set_oom_score(process: i64) {
    let path = format!("/proc/{process}/oom_score_adj");
    let fd = open_at(CWD, &path, libc::O_WRONLY);
    note("open", &fd);
    note("write", &sys!(SYS_write, fd.unwrap_or(-1), c"777", 3));
    let now = open(&path).map(contents).unwrap_or_default();
    won_if(now.trim() == "777", format!("{path} is changed"));
}

fn supervisor() -> i64 {
    told_of_supervisor()[0]
}

/// The supervisor's pid and its threads, which somebody outside writes down when it has started them.
fn told_of_supervisor() -> Vec<i64> {
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        if let Ok(fd) = open("opened/supervisor") {
            return contents(fd).split_whitespace().map(|number| number.parse().unwrap()).collect();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("nobody told the supervisor's pid");
}

/// How long lineages go on: past the look at them, on a busy machine too.
const HOPPING: Duration = Duration::from_secs(5);

/// Lineages whose processes fork and end at once: whoever looks for one finds it gone. Each begins another one anew that has
/// not been heard of. They count into a file.
fn hop() {
    const LINEAGES: usize = 8;
    const SILENCE_MICROS: u64 = 50_000;
    let fd = open_at(CWD, "opened/alive", libc::O_CREAT | libc::O_WRONLY | libc::O_APPEND).unwrap_or(-1);
    let size = LINEAGES * size_of::<AtomicU64>();
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a fresh mapping, large and aligned enough for the counters, zero, and never unmapped; it is shared with the
    // processes forked from here, which use it as atomics too.
    let heard: &[AtomicU64] = unsafe {
        let at = libc::mmap(std::ptr::null_mut(), size, access, flags, -1, 0);
        assert_ne!(at, libc::MAP_FAILED);
        std::slice::from_raw_parts(at.cast(), LINEAGES)
    };
    let begin = Instant::now();
    let now = || begin.elapsed().as_micros() as u64 + 1;
    for own in 0..LINEAGES {
        fork(|| {
            let (mut own, mut other) = (own, own);
            while begin.elapsed() < HOPPING {
                heard[own].store(now(), Ordering::SeqCst);
                let _ = sys!(SYS_write, fd, c"x", 1);
                other = (other + 1) % LINEAGES;
                let silent = now().saturating_sub(heard[other].load(Ordering::SeqCst)) > SILENCE_MICROS;
                if silent {
                    heard[other].store(now(), Ordering::SeqCst);
                }
                // SAFETY: a process without threads.
                match unsafe { libc::fork() } {
                    0 if silent => own = other,
                    0 => {}
                    _ if silent => {}
                    // SAFETY: ends the process without running anything else; so does a fork that fails.
                    _ => unsafe { libc::_exit(0) },
                }
            }
            won("a lineage was there to the end");
            0
        });
    }
}

fn count_into(path: &str) {
    let fd = open_at(CWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_APPEND).unwrap_or(-1);
    let end = Instant::now() + Duration::from_secs(4);
    while Instant::now() < end {
        let _ = sys!(SYS_write, fd, c"x", 1);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ptrace(run: &Run) {
    const ATTACH: i32 = 16;
    const PEEK: i32 = 1;
    const DETACH: i32 = 17;
    let pid = run.number(0);
    let attached = sys!(SYS_ptrace, ATTACH, pid, 0, 0);
    note("attach", &attached);
    if attached.is_err() {
        return;
    }
    wait(i32::try_from(pid).unwrap());
    let mut seen = Vec::new();
    for offset in (0..64).step_by(8) {
        let mut word = 0_i64;
        let _ = sys!(SYS_ptrace, PEEK, pid, run.number(2) + offset, &raw mut word);
        seen.extend(word.to_ne_bytes());
    }
    println!("{}", String::from_utf8_lossy(&seen).replace('\0', ""));
    let _ = sys!(SYS_ptrace, DETACH, pid, 0, 0);
}

/// A child stops at a harmless call; its tracer makes it an open of the secret.
fn traced_child(_: &Run) {
    const TRACEME: i32 = 0;
    const SYSCALL: i32 = 24;
    let path = text("closed/secret");
    let child = fork(|| {
        if sys!(SYS_ptrace, TRACEME, 0, 0, 0).is_err() {
            return 1;
        }
        let _ = sys!(SYS_kill, std::process::id(), libc::SIGSTOP);
        let fd = sys!(SYS_getppid, 0, path, 0, 0);
        show(fd.map(|fd| i32::try_from(fd).unwrap_or(-1)));
        0
    });
    wait(child);
    #[cfg(target_arch = "x86_64")]
    for _ in 0..40 {
        let mut registers: libc::user_regs_struct = super::help::zeroed();
        if sys!(SYS_ptrace, SYSCALL, child, 0, 0).is_err() || libc::WIFEXITED(wait(child)) {
            break;
        }
        let _ = sys!(SYS_ptrace, libc::PTRACE_GETREGS, child, 0, &raw mut registers);
        if registers.orig_rax == libc::SYS_getppid.cast_unsigned() {
            (registers.orig_rax, registers.rdi) = (257, (-100_i64).cast_unsigned());
            let _ = sys!(SYS_ptrace, libc::PTRACE_SETREGS, child, 0, &raw const registers);
        }
    }
}

/// The kernel itself signals the owner of a descriptor.
fn signal_by_owner(run: &Run) {
    let mut ends = [0_i32; 2];
    let _ = sys!(SYS_pipe, ends.as_mut_ptr());
    note("owner", &sys!(SYS_fcntl, ends[0], libc::F_SETOWN, run.number(0)));
    note("signal", &sys!(SYS_fcntl, ends[0], 10, libc::SIGKILL));
    note("async", &sys!(SYS_fcntl, ends[0], libc::F_SETFL, libc::O_ASYNC));
    let _ = sys!(SYS_write, ends[1], c"x", 1);
    std::thread::sleep(Duration::from_millis(100));
}
