//! Running what may not be run. `closed/tool` and `vault/tool` are this program; asked for `ran` it says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::help::{CWD, area, descriptor, exec_words, note, open, sys, text, write_file};
use super::{Attack, Run};

pub(crate) const ATTACKS: &[Attack] = &[
    ("exec", |_| exec("closed/tool")),
    ("exec-from-thread", |_| std::thread::spawn(|| exec("closed/tool")).join().unwrap()),
    ("exec-link", |_| {
        let _ = sys!(SYS_symlink, text("../closed/tool"), text("opened/way"));
        exec("opened/way");
    }),
    ("exec-dotdot", |_| exec("opened/../closed/tool")),
    ("exec-descriptor", |_| exec_descriptor(open("vault/tool"))),
    ("exec-proc-fd", |_| exec(&format!("/proc/self/fd/{}", open("vault/tool").unwrap_or(-1)))),
    ("exec-interpreter", |_| {
        script("opened/script", "closed/tool ran");
        exec("opened/script");
    }),
    ("exec-interpreter-chain", |_| {
        script("opened/second", "closed/tool ran");
        script("opened/script", "opened/second");
        exec("opened/script");
    }),
    ("exec-loader", |_| exec("opened/other-loader")),
    ("exec-through-loader", |_| {
        let loader = text("/lib64/ld-linux-x86-64.so.2");
        exec_words(&loader, &[text("ld"), text("vault/tool"), text("ran")]);
    }),
    ("exec-memory-file", |_| exec_descriptor(memory_file())),
    ("exec-memory-file-by-path", |_| exec(&format!("/proc/self/fd/{}", memory_file().unwrap_or(-1)))),
    ("exec-set-uid", |_| exec_words(&text("opened/suid"), &[text("suid"), text("private-file-as-root"), text("0")])),
    ("flip-exec", |run| {
        let mut path = *b"opened/tool\0";
        let at = path.as_mut_ptr() as usize;
        let disturb = || {
            for name in ["closed", "opened"] {
                // SAFETY: the buffer lives until the race is over; tearing it is the attack.
                unsafe { std::ptr::copy(name.as_ptr(), at as *mut u8, name.len()) };
            }
        };
        race(run, at, disturb);
    }),
    ("flip-exec-from-threads", flip_exec_from_threads),
    ("flip-exec-to-loader", |run| {
        // The loader is allowed as an interpreter; as a program it runs whatever can be read.
        let mut path = [0_u8; 64];
        let (good, bad) = (c"/usr/../usr/bin/../bin/true", c"/lib64/ld-linux-x86-64.so.2");
        path[..27].copy_from_slice(good.to_bytes());
        let at = path.as_mut_ptr() as usize;
        let disturb = || {
            for name in [bad, good] {
                // SAFETY: as above; both have 27 bytes.
                unsafe { std::ptr::copy(name.as_ptr().cast(), at as *mut u8, 27) };
            }
        };
        race(run, at, disturb);
    }),
    ("exchange-program-link", |run| {
        let _ = sys!(SYS_symlink, text("tool"), text("opened/way"));
        let disturb = || {
            for to in ["../closed/tool", "tool"] {
                let _ = sys!(SYS_symlink, text(to), text("opened/next"));
                let _ = sys!(SYS_rename, text("opened/next"), text("opened/way"));
            }
        };
        let path = text("opened/way");
        race(run, path.as_ptr() as usize, disturb);
    }),
    ("exchange-script", |run| {
        // The interpreter may run, and both scripts may be read.
        for (directory, says) in [("allowed", ":"), ("denied", "echo WON a denied script was interpreted")] {
            let _ = sys!(SYS_mkdir, text(format!("opened/{directory}")), 0o755);
            let path = format!("opened/{directory}/script");
            write_file(&path, &format!("#!/usr/bin/sh\n{says}\n"));
            let _ = sys!(SYS_chmod, text(&path), 0o755);
        }
        let _ = sys!(SYS_symlink, text("allowed"), text("opened/way"));
        let disturb = || {
            for to in ["denied", "allowed"] {
                let _ = sys!(SYS_symlink, text(to), text("opened/next"));
                let _ = sys!(SYS_rename, text("opened/next"), text("opened/way"));
            }
        };
        let path = text("opened/way/script");
        race(run, path.as_ptr() as usize, disturb);
    }),
    ("exchange-interpreter-line", |run| {
        script("opened/script", "opened/tool ran");
        script("opened/other", "closed/tool ran");
        let (from, to) = (text("opened/script"), text("opened/other"));
        let disturb = || {
            let _ = sys!(SYS_renameat2, CWD, from.as_ptr(), CWD, to.as_ptr(), libc::RENAME_EXCHANGE);
        };
        let path = text("opened/script");
        race(run, path.as_ptr() as usize, disturb);
    }),
];

fn exec(path: &str) {
    exec_words(&text(path), &[text("tool"), text("ran")]);
}

fn exec_descriptor(fd: Result<i32, i32>) {
    note("open", &fd);
    let argv = [c"tool".as_ptr(), c"ran".as_ptr(), std::ptr::null()];
    let env = [std::ptr::null::<libc::c_char>()];
    let fd = fd.unwrap_or(-1);
    note("exec", &sys!(SYS_execveat, fd, c"", argv.as_ptr(), env.as_ptr(), libc::AT_EMPTY_PATH));
}

fn script(path: &str, interpreter: &str) {
    write_file(path, &format!("#!{}/{interpreter}\n", area()));
    let _ = sys!(SYS_chmod, text(path), 0o755);
}

/// `vault/tool` copied into memory.
fn memory_file() -> Result<i32, i32> {
    let bytes = std::fs::read("vault/tool").unwrap();
    let fd = sys!(SYS_memfd_create, c"image", 0).map(descriptor)?;
    let mut written = 0;
    while written < bytes.len() {
        let more = sys!(SYS_write, fd, bytes[written..].as_ptr(), bytes.len() - written)?;
        written += usize::try_from(more).unwrap();
    }
    Ok(fd)
}

/// Executes the path at `at` again and again in children that share memory, while `disturb` changes what it is or leads to.
fn race(run: &Run, at: usize, disturb: impl Fn() + Sync) {
    let (stop, end) = (AtomicBool::new(false), Instant::now() + run.time);
    // Whatever runs is asked to run the denied tool, should it be the loader; the allowed one does nothing.
    let own = text("vault/tool");
    let argv = [c"tool".as_ptr(), own.as_ptr(), c"ran".as_ptr(), std::ptr::null()];
    let env = [std::ptr::null::<libc::c_char>()];
    let mut attempts = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                disturb();
            }
        });
        while Instant::now() < end {
            attempts += 1;
            // SAFETY: a vfork child shares the memory that is changed; it only executes or exits.
            unsafe {
                #[expect(deprecated, reason = "sharing memory with the child is what is attacked")]
                let child = libc::vfork();
                if child == 0 {
                    libc::execve(at as *const libc::c_char, argv.as_ptr(), env.as_ptr());
                    libc::_exit(7);
                }
                let mut status = 0;
                libc::waitpid(child, &raw mut status, 0);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("attempts={attempts}");
}

/// Threads of one process execute at once, while another process flips the path in memory shared with them.
fn flip_exec_from_threads(run: &Run) {
    let path = c"opened/tool";
    let at = super::help::shared_page();
    // SAFETY: a fresh page of 4096 bytes.
    unsafe { std::ptr::copy(path.as_ptr(), at.cast(), path.count_bytes() + 1) };
    let end = Instant::now() + run.time;
    let flipping = super::help::flipping(at, end);
    let at = at as usize;
    let mut attempts = 0;
    while Instant::now() < end {
        attempts += 1;
        let child = super::help::fork(move || {
            let exec = move || {
                let argv = [c"tool".as_ptr(), c"ran".as_ptr(), std::ptr::null()];
                let env = [std::ptr::null::<libc::c_char>()];
                let _ = sys!(SYS_execve, at, argv.as_ptr(), env.as_ptr());
            };
            // No thread starts any more while the first of them is in its exec.
            let others: Vec<_> = (0..2).filter_map(|_| std::thread::Builder::new().spawn(exec).ok()).collect();
            exec();
            others.into_iter().for_each(|other| drop(other.join()));
            7
        });
        super::help::wait(child);
    }
    super::help::wait(flipping);
    println!("attempts={attempts}");
}
