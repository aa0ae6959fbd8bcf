//! What the supervisor has checked is changed before it is used.
//!
//! `opened` and `closed` have names of one length and hold the same entries. A second thread rewrites the one into the
//! other, again and again, while the call is made.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Instant;

use super::help::{CWD, area, contents, descriptor, open, open_at, sys, syscall, text, write_file, zeroed};
use super::{Attack, Run};

pub(crate) const ATTACKS: &[Attack] = &[
    ("flip-open", |run| flip(run, PATH, |path| read(sys!(SYS_open, path, 0)))),
    ("flip-openat", |run| flip(run, PATH, |path| read(sys!(SYS_openat, CWD, path, 0)))),
    ("flip-creat", |run| flip(run, "opened/made", |path| opened(sys!(SYS_creat, path, 0o600)))),
    ("flip-openat2-path", |run| {
        let how = [0_u64; 3];
        flip(run, PATH, |path| read(sys!(SYS_openat2, CWD, path, how.as_ptr(), 24)));
    }),
    ("flip-openat2-how", flip_how),
    ("flip-stat", |run| flip(run, LONG, |path| size(|stat| sys!(SYS_stat, path, stat)))),
    ("flip-newfstatat", |run| flip(run, LONG, |path| size(|stat| sys!(SYS_newfstatat, CWD, path, stat, 0)))),
    ("flip-empty-path", flip_empty_path),
    ("flip-readlink", |run| {
        flip(run, "opened/link", |path| {
            let mut buffer = [0_u8; 200];
            let _ = sys!(SYS_readlink, path, buffer.as_mut_ptr(), buffer.len());
            told(&String::from_utf8_lossy(&buffer).replace('\0', ""))
        })
    }),
    ("flip-getxattr", |run| {
        let name = text("user.secret");
        flip(run, FILE, |path| {
            let mut buffer = [0_u8; 200];
            let _ = sys!(SYS_getxattr, path, name, buffer.as_mut_ptr(), buffer.len());
            told(&String::from_utf8_lossy(&buffer).replace('\0', ""))
        });
    }),
    ("flip-access", |run| {
        flip(run, "opened/busy", |path| {
            // `opened/busy` is not there, `closed/busy` is.
            told(if sys!(SYS_access, path, libc::F_OK).is_ok() { "WON closed/busy exists" } else { "" })
        })
    }),
    ("flip-truncate", |run| flip(run, FILE, |path| quiet(sys!(SYS_truncate, path, 0)))),
    ("flip-unlink", |run| {
        flip(run, FILE, |path| {
            let _ = sys!(SYS_mknod, text("opened/file"), libc::S_IFREG | 0o600, 0);
            quiet(sys!(SYS_unlink, path))
        })
    }),
    ("flip-rmdir", |run| {
        flip(run, "opened/directory", |path| {
            let _ = sys!(SYS_mkdir, text("opened/directory"), 0o755);
            quiet(sys!(SYS_rmdir, path))
        })
    }),
    ("flip-mkdir", |run| {
        flip(run, "opened/made", |path| {
            let done = quiet(sys!(SYS_mkdir, path, 0o755));
            let _ = sys!(SYS_rmdir, text("opened/made"));
            done
        })
    }),
    ("flip-symlink", |run| {
        flip(run, "opened/made", |path| {
            let done = quiet(sys!(SYS_symlink, text("x"), path));
            let _ = sys!(SYS_unlink, text("opened/made"));
            done
        })
    }),
    ("flip-mknod", |run| {
        flip(run, "opened/made", |path| {
            let done = quiet(sys!(SYS_mknod, path, libc::S_IFREG | 0o600, 0));
            let _ = sys!(SYS_unlink, text("opened/made"));
            done
        })
    }),
    ("flip-rename-source", |run| {
        flip(run, FILE, |path| {
            let _ = sys!(SYS_rename, text("opened/other"), text("opened/file"));
            quiet(sys!(SYS_rename, path, text("opened/other")))
        })
    }),
    ("flip-rename-target", |run| {
        flip(run, "opened/made", |path| {
            let _ = sys!(SYS_mknod, text("opened/other"), libc::S_IFREG | 0o600, 0);
            quiet(sys!(SYS_rename, text("opened/other"), path))
        })
    }),
    ("flip-link-source", |run| {
        flip(run, PATH, |path| {
            let _ = sys!(SYS_unlink, text("opened/other"));
            let _ = sys!(SYS_link, path, text("opened/other"));
            read(open_at(CWD, "opened/other", 0).map(i64::from))
        })
    }),
    ("flip-link-target", |run| {
        flip(run, "opened/made", |path| {
            let done = quiet(sys!(SYS_link, text("opened/file"), path));
            let _ = sys!(SYS_unlink, text("opened/made"));
            done
        })
    }),
    ("flip-chmod", |run| flip(run, FILE, |path| quiet(sys!(SYS_chmod, path, 0o640)))),
    ("flip-utimensat", |run| {
        let times = [1_i64, 0, 1, 0];
        flip(run, FILE, |path| quiet(sys!(SYS_utimensat, CWD, path, times.as_ptr(), 0)));
    }),
    ("flip-setxattr", |run| {
        let (name, value) = (text("user.made"), text("x"));
        flip(run, FILE, |path| quiet(sys!(SYS_setxattr, path, name, value, 1, 0)));
    }),
    ("flip-connect-port", |run| {
        flip_port(run, |address| {
            let socket = sys!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0).unwrap_or(-1);
            let _ = sys!(SYS_connect, socket, address, 16);
            answered(socket)
        })
    }),
    ("flip-send-port", |run| {
        flip_port(run, |address| {
            let socket = sys!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap_or(-1);
            let _ = sys!(SYS_sendto, socket, c"x", 1, 0, address, 16);
            answered(socket)
        })
    }),
    ("flip-connect-path", |run| {
        flip_local(run, "opened/socket", |address, size| {
            let socket = sys!(SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0).unwrap_or(-1);
            let _ = sys!(SYS_connect, socket, address, size);
            answered(socket)
        })
    }),
    ("flip-ipv6-only", flip_ipv6_only),
    ("flip-bind-path", |run| {
        flip_local(run, "opened/made", |address, size| {
            let socket = sys!(SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0).unwrap_or(-1);
            let done = quiet(sys!(SYS_bind, socket, address, size));
            let _ = sys!(SYS_close, socket);
            let _ = sys!(SYS_unlink, text("opened/made"));
            done
        })
    }),
    ("fill-while-moving", fill_while_moving),
    ("exchange-while-moving", exchange_while_moving),
    ("open-past-missing", |run| {
        past_missing(run, |path| opened(sys!(SYS_open, path, libc::O_CREAT | libc::O_WRONLY, 0o600)))
    }),
    ("mkdir-past-missing", |run| past_missing(run, |path| quiet(sys!(SYS_mkdir, path, 0o755)))),
    ("symlink-past-missing", |run| past_missing(run, |path| quiet(sys!(SYS_symlink, text("x"), path)))),
    ("mknod-past-missing", |run| past_missing(run, |path| quiet(sys!(SYS_mknod, path, libc::S_IFREG | 0o600, 0)))),
    ("link-past-missing", |run| past_missing(run, |path| quiet(sys!(SYS_link, text("opened/file"), path)))),
    ("rename-past-missing", |run| {
        past_missing(run, |path| {
            let _ = sys!(SYS_mknod, text("opened/other"), libc::S_IFREG | 0o600, 0);
            quiet(sys!(SYS_rename, text("opened/other"), path))
        });
    }),
    ("bind-past-missing", |run| {
        past_missing(run, |_| {
            let address = super::sockets::local(PAST_MISSING);
            let socket = sys!(SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0);
            let done = socket.and_then(|socket| sys!(SYS_bind, socket, &raw const address.0, address.1));
            let _ = sys!(SYS_close, socket.unwrap_or(-1));
            quiet(done)
        });
    }),
    ("flip-chdir", |run| {
        flip_directory(run, "opened/directory", || {
            let mut buffer: libc::stat = zeroed();
            told(if sys!(SYS_stat, text("../secret"), &raw mut buffer).is_err() {
                "WON closed/directory exists"
            } else {
                ""
            })
        })
    }),
    ("flip-chdir-and-name", |run| flip_directory(run, "opened/directory-link", || told(&area()))),
    ("flip-chdir-and-link", |run| {
        flip_directory(run, "opened/directory-link", || {
            let mut buffer = [0_u8; 4096];
            let _ = sys!(SYS_readlink, text("/proc/self/cwd"), buffer.as_mut_ptr(), buffer.len());
            told(&String::from_utf8_lossy(&buffer).replace('\0', ""))
        })
    }),
    ("flip-chdir-and-look", |run| {
        let mut allowed: libc::stat = zeroed();
        let _ = sys!(SYS_stat, text("opened/directory"), &raw mut allowed);
        flip_directory(run, "opened/directory", || {
            let mut seen: libc::stat = zeroed();
            let done = sys!(SYS_newfstatat, CWD, c"", &raw mut seen, libc::AT_EMPTY_PATH);
            let another = done.is_ok() && seen.st_ino != allowed.st_ino;
            told(if another { "WON closed/directory was looked at" } else { "" })
        })
    }),
    ("flip-24-threads", |run| flip_with(run, PATH, 24, |path| read(sys!(SYS_openat, CWD, path, 0)))),
    ("flip-from-other-process", flip_from_other_process),
    ("swap-descriptor", swap_descriptor),
    ("swap-directory", swap_directory),
    ("exchange-link-inside", exchange_link_inside),
    ("exchange-directory-inside", exchange_directory_inside),
    ("exchange-link-outside", |run| repeat(run, || read(sys!(SYS_openat, CWD, text("opened/way/secret"), 0)))),
    ("exchange-link-mkdir", |run| {
        repeat(run, || {
            let done = quiet(sys!(SYS_mkdir, text("opened/way/made"), 0o755));
            let _ = sys!(SYS_rmdir, text("opened/inner/made"));
            done
        })
    }),
    ("exchange-link-unlink", |run| {
        repeat(run, || {
            let _ = sys!(SYS_mknod, text("opened/inner/file"), libc::S_IFREG | 0o600, 0);
            quiet(sys!(SYS_unlink, text("opened/way/file")))
        })
    }),
];

const PATH: &str = "opened/secret";
const FILE: &str = "opened/file";
const LONG: &str = "opened/long";
const PAST_MISSING: &str = "opened/none/../../closed/made";

/// Whether a call went as the profile allows, was refused, or brought something to light.
enum Outcome {
    Won(String),
    Passed,
    Failed,
}

/// Memory that two threads write and the kernel reads.
struct Torn(UnsafeCell<[u8; 64]>);

// SAFETY: torn reads and writes of plain bytes are what the attack is about; nothing is derived from them in this program.
unsafe impl Sync for Torn {}

impl Torn {
    fn new(start: &[u8]) -> Self {
        let mut bytes = [0; 64];
        bytes[..start.len()].copy_from_slice(start);
        Self(UnsafeCell::new(bytes))
    }

    fn at(&self) -> *mut u8 {
        self.0.get().cast()
    }

    fn set(&self, offset: usize, bytes: &[u8]) {
        // SAFETY: callers stay within the 64 bytes.
        unsafe { std::ptr::copy(bytes.as_ptr(), self.at().add(offset), bytes.len()) };
    }
}

fn read(opened: Result<i64, i32>) -> Outcome {
    let Ok(fd) = opened else { return Outcome::Failed };
    let seen = contents(descriptor(fd));
    let _ = sys!(SYS_close, fd);
    told(&seen)
}

fn opened(opened: Result<i64, i32>) -> Outcome {
    if let Ok(fd) = opened {
        let _ = sys!(SYS_close, fd);
    }
    quiet(opened)
}

fn told(seen: &str) -> Outcome {
    if seen.contains("SECRET") || seen.contains("WON") { Outcome::Won(seen.to_owned()) } else { Outcome::Passed }
}

/// Success shows in `closed` afterwards.
fn quiet(done: Result<i64, i32>) -> Outcome {
    if done.is_ok() { Outcome::Passed } else { Outcome::Failed }
}

fn size(stat: impl Fn(*mut libc::stat) -> Result<i64, i32>) -> Outcome {
    let mut buffer: libc::stat = zeroed();
    match stat(&raw mut buffer) {
        Ok(_) if buffer.st_size > 100 => Outcome::Won(format!("size={}", buffer.st_size)),
        Ok(_) => Outcome::Passed,
        Err(_) => Outcome::Failed,
    }
}

/// Counts the attempts of one or more threads.
#[derive(Default)]
struct Tally {
    attempts: AtomicU64,
    won: AtomicU64,
    passed: AtomicU64,
}

impl Tally {
    fn count(&self, outcome: Outcome) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Outcome::Won(what) => {
                if self.won.fetch_add(1, Ordering::Relaxed) == 0 {
                    println!("{what}");
                }
            }
            Outcome::Passed => {
                self.passed.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Failed => {}
        }
    }

    fn tell(&self) {
        let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        println!("attempts={} won={} passed={}", number(&self.attempts), number(&self.won), number(&self.passed));
    }
}

fn repeat(run: &Run, attempt: impl Fn() -> Outcome) {
    let (tally, end) = (Tally::default(), Instant::now() + run.time);
    while Instant::now() < end {
        tally.count(attempt());
    }
    tally.tell();
}

/// Runs `attempt` in threads while another one does `disturb`.
fn race(run: &Run, threads: usize, disturb: impl Fn() + Sync, attempt: impl Fn() -> Outcome + Sync) {
    let (tally, stop, end) = (Tally::default(), AtomicBool::new(false), Instant::now() + run.time);
    std::thread::scope(|scope| {
        let disturber = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                disturb();
            }
        });
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    while Instant::now() < end {
                        tally.count(attempt());
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        stop.store(true, Ordering::Relaxed);
        disturber.join().unwrap();
    });
    tally.tell();
}

/// Rewrites the first component between `opened` and `closed` while `attempt` uses the path.
fn flip(run: &Run, path: &str, attempt: impl Fn(*const u8) -> Outcome + Sync) {
    flip_with(run, path, 1, attempt);
}

fn flip_with(run: &Run, path: &str, threads: usize, attempt: impl Fn(*const u8) -> Outcome + Sync) {
    let torn = Torn::new(path.as_bytes());
    let disturb = || {
        torn.set(0, b"closed");
        torn.set(0, b"opened");
    };
    race(run, threads, disturb, || attempt(torn.at().cast_const()));
}

/// Makes something by a path that goes up from a directory which is there now and then.
fn past_missing(run: &Run, make: impl Fn(*const libc::c_char) -> Outcome + Sync) {
    let disturb = || {
        let _ = sys!(SYS_mkdir, text("opened/none"), 0o755);
        let _ = sys!(SYS_rmdir, text("opened/none"));
    };
    let path = text(PAST_MISSING);
    race(run, 1, disturb, || make(path.as_ptr()));
}

/// Goes to a directory that flips to one of `closed`, looks around, and comes back.
fn flip_directory(run: &Run, path: &str, look: impl Fn() -> Outcome + Sync) {
    let _ = sys!(SYS_symlink, text("directory"), text("opened/directory-link"));
    let home = open(".").unwrap();
    flip(run, path, |path| {
        if sys!(SYS_chdir, path).is_err() {
            return Outcome::Failed;
        }
        let outcome = look();
        let _ = sys!(SYS_fchdir, home);
        outcome
    });
}

/// Binds to `::` while the socket says, now and then, that it means IPv6 only, and listens whatever the answer was.
fn flip_ipv6_only(run: &Run) {
    let socket = AtomicI32::new(-1);
    let say = |only: i32| {
        let level = libc::IPPROTO_IPV6;
        let _ = sys!(SYS_setsockopt, socket.load(Ordering::Relaxed), level, libc::IPV6_V6ONLY, &raw const only, 4);
    };
    let disturb = || {
        say(1);
        say(0);
    };
    race(run, 1, disturb, || {
        let mut address: libc::sockaddr_in6 = zeroed();
        address.sin6_family = libc::AF_INET6 as libc::sa_family_t;
        let own = descriptor(sys!(SYS_socket, libc::AF_INET6, libc::SOCK_STREAM, 0).unwrap());
        socket.store(own, Ordering::Relaxed);
        let _ = sys!(SYS_bind, own, &raw const address, 28);
        let listens = sys!(SYS_listen, own, 1).is_ok();
        let (mut only, mut length) = (1_i32, 4_u32);
        let _ = sys!(SYS_getsockopt, own, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &raw mut only, &raw mut length);
        let _ = sys!(SYS_close, own);
        match (listens, only) {
            (true, 0) => Outcome::Won("WON listening on IPv4".to_owned()),
            (true, _) => Outcome::Passed,
            (false, _) => Outcome::Failed,
        }
    });
}

/// What a peer says within a moment.
fn answered(socket: i64) -> Outcome {
    let mut poll = libc::pollfd { fd: descriptor(socket), events: libc::POLLIN, revents: 0 };
    let said = sys!(SYS_poll, &raw mut poll, 1, 20) == Ok(1);
    let seen = if said { contents(descriptor(socket)) } else { String::new() };
    let _ = sys!(SYS_close, socket);
    if seen.is_empty() { Outcome::Failed } else { told(&seen) }
}

/// The words are the denied port and the allowed one; the address flips between them.
fn flip_port(run: &Run, attempt: impl Fn(*const u8) -> Outcome + Sync) {
    let port = |at: usize| run.word(at).parse::<u16>().unwrap().to_be_bytes();
    let mut address = [2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    address[2..4].copy_from_slice(&port(1));
    let torn = Torn::new(&address);
    let disturb = || {
        torn.set(2, &port(0));
        torn.set(2, &port(1));
    };
    race(run, 1, disturb, || attempt(torn.at().cast_const()));
}

/// A local address whose path flips between `opened` and `closed`.
fn flip_local(run: &Run, path: &str, attempt: impl Fn(*const u8, usize) -> Outcome + Sync) {
    let torn = Torn::new(&[&[1, 0], path.as_bytes()].concat());
    let disturb = || {
        torn.set(2, b"closed");
        torn.set(2, b"opened");
    };
    race(run, 1, disturb, || attempt(torn.at().cast_const(), 2 + path.len() + 1));
}

/// `vault/readable` may be read, not written; the flags lie in memory.
fn flip_how(run: &Run) {
    let path = text("vault/readable");
    let torn = Torn::new(&[0; 24]);
    let disturb = || {
        torn.set(0, &[u8::try_from(libc::O_RDWR).unwrap()]);
        torn.set(0, &[0]);
    };
    race(run, 1, disturb, || match sys!(SYS_openat2, CWD, path, torn.at(), 24) {
        Ok(fd) => {
            let wrote = sys!(SYS_write, fd, c"changed", 7);
            let _ = sys!(SYS_close, fd);
            if wrote.is_ok() { Outcome::Won("WON a writable descriptor".to_owned()) } else { Outcome::Passed }
        }
        Err(_) => Outcome::Failed,
    });
}

/// An empty path is about the descriptor; one byte makes it a path.
fn flip_empty_path(run: &Run) {
    let torn = Torn::new(b"closed/long");
    let disturb = || {
        torn.set(0, b"\0");
        torn.set(0, b"c");
    };
    let directory = open_at(CWD, ".", libc::O_RDONLY).unwrap();
    race(run, 1, disturb, || {
        let mut stat: libc::stat = zeroed();
        let done = sys!(SYS_newfstatat, directory, torn.at(), &raw mut stat, libc::AT_EMPTY_PATH);
        match done {
            Ok(_) if stat.st_mode & libc::S_IFMT == libc::S_IFREG => Outcome::Won(format!("size={}", stat.st_size)),
            Ok(_) => Outcome::Passed,
            Err(_) => Outcome::Failed,
        }
    });
}

/// The path lies in memory shared with another process.
fn flip_from_other_process(run: &Run) {
    let at = super::help::shared_page();
    // SAFETY: a fresh page of 4096 bytes.
    unsafe { std::ptr::copy(PATH.as_ptr(), at, PATH.len()) };
    let other = super::help::flipping(at, Instant::now() + run.time);
    repeat(run, || read(sys!(SYS_openat, CWD, at, 0)));
    super::help::wait(other);
}

/// The directory behind a descriptor is replaced. `vault` may be listed, `vault/secret` may not be read.
fn swap_descriptor(run: &Run) {
    let (good, bad) = (open_at(CWD, "opened", 0).unwrap(), open_at(CWD, "vault", 0).unwrap());
    let moving = sys!(SYS_dup, good).map(descriptor).unwrap();
    let name = text("secret");
    let disturb = || {
        let _ = sys!(SYS_dup2, bad, moving);
        let _ = sys!(SYS_dup2, good, moving);
    };
    race(run, 1, disturb, || read(sys!(SYS_openat, moving, name, 0)));
}

/// The working directory is replaced while another thread opens relative to it.
fn swap_directory(run: &Run) {
    let (good, bad) = (open_at(CWD, "opened", 0).unwrap(), open_at(CWD, "vault", 0).unwrap());
    let name = text("secret");
    let disturb = || {
        let _ = sys!(SYS_fchdir, bad);
        let _ = sys!(SYS_fchdir, good);
    };
    race(run, 1, disturb, || read(sys!(SYS_openat, CWD, name, 0)));
}

/// `new` is made and removed in a directory that moves to where nobody may make it.
fn fill_while_moving(run: &Run) {
    let _ = sys!(SYS_mkdir, text("opened/still"), 0o755);
    let (still, moved) = (text("opened/still"), text("opened/moved"));
    let (name, other) = (text("opened/still/new"), text("opened/still/other"));
    let disturb = || {
        let _ = sys!(SYS_mknod, name, libc::S_IFREG | 0o600, 0);
        let _ = sys!(SYS_unlink, name);
        let made = sys!(SYS_openat, CWD, name, libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY, 0o600);
        let _ = sys!(SYS_close, made.unwrap_or(-1));
        let _ = sys!(SYS_unlink, name);
    };
    // Something to look at takes time.
    let _ = sys!(SYS_mknod, other, libc::S_IFREG | 0o600, 0);
    race(run, 1, disturb, || {
        if sys!(SYS_rename, still, moved).is_err() {
            return Outcome::Failed;
        }
        let planted = sys!(SYS_access, text("opened/moved/new"), libc::F_OK).is_ok();
        let _ = sys!(SYS_unlink, text("opened/moved/new"));
        let _ = sys!(SYS_rename, moved, still);
        told(if planted { "WON opened/moved/new is there" } else { "" })
    });
}

/// A file that is to be moved changes places with a directory, in which lies what may not be where the file goes.
fn exchange_while_moving(run: &Run) {
    let (still, moved, full) = (text("opened/still"), text("opened/moved"), text("opened/full"));
    let _ = sys!(SYS_mknod, still, libc::S_IFREG | 0o600, 0);
    let _ = sys!(SYS_mkdir, full, 0o755);
    let _ = sys!(SYS_mknod, text("opened/full/new"), libc::S_IFREG | 0o600, 0);
    let disturb = || {
        let _ = syscall(libc::SYS_renameat2, &[&CWD, &still, &CWD, &full, &libc::RENAME_EXCHANGE]);
    };
    race(run, 1, disturb, || {
        if sys!(SYS_rename, still, moved).is_err() {
            return Outcome::Failed;
        }
        let planted = sys!(SYS_access, text("opened/moved/new"), libc::F_OK).is_ok();
        let _ = sys!(SYS_rename, moved, still);
        told(if planted { "WON opened/moved/new is there" } else { "" })
    });
}

/// A link in one's own directory is replaced: `opened/way` leads to `opened/inner` or to `closed`.
fn exchange_link_inside(run: &Run) {
    let disturb = || {
        for to in ["../closed", "inner"] {
            let _ = sys!(SYS_symlink, text(to), text("opened/next"));
            let _ = sys!(SYS_rename, text("opened/next"), text("opened/way"));
        }
    };
    let path = text("opened/way/secret");
    race(run, 1, disturb, || read(sys!(SYS_openat, CWD, path, 0)));
}

/// A directory and a link change places: what was a directory when it was looked at leads to `closed`.
fn exchange_directory_inside(run: &Run) {
    let _ = sys!(SYS_symlink, text("../closed"), text("opened/other"));
    let _ = sys!(SYS_mkdir, text("opened/way"), 0o755);
    write_file("opened/way/secret", "nothing");
    let disturb = || {
        let (from, to) = (text("opened/way"), text("opened/other"));
        let _ = syscall(libc::SYS_renameat2, &[&CWD, &from, &CWD, &to, &libc::RENAME_EXCHANGE]);
    };
    let path = text("opened/way/secret");
    race(run, 1, disturb, || read(sys!(SYS_openat, CWD, path, 0)));
}
