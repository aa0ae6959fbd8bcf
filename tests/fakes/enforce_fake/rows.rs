//! Many calls in one process: each line of stdin is one call, each line of stdout its outcome.
//!
//! A line is `NUMBER, ACTION, ARGUMENT, FORM, PLACE, PATH, SECOND`, separated by tabs; empty fields are none. `FORM` says how
//! the path is given: `path` as it stands, `cd` from the directory `PLACE`, `at` relative to a descriptor of `PLACE`, `fd` as
//! the `/proc/self/fd` name of the opened `PATH`. The answer is `NUMBER, ERRNO, DETAIL`.

#![expect(clippy::unwrap_used, reason = "a test program")]

use std::ffi::{CStr, CString};
use std::io::BufRead as _;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Access, AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;
use rustix::net::{self, SocketAddrAny, SocketAddrUnix, SocketType};
use rustix::process::{Pid, Signal, kill_process};

use super::linux::errno;

type Outcome = Result<String, Errno>;

pub(crate) fn run() {
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let home = rustix::process::getcwd(Vec::new()).unwrap();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let fields: Vec<&str> = line.split('\t').collect();
        let [number, action, argument, form, place, path, second] = fields[..] else { panic!("not a row: {line}") };
        let row = Row { action, argument, second: text(second) };
        let outcome = match form {
            "path" => row.act(CWD, &text(path)),
            "cd" => rustix::process::chdir(place).and_then(|()| {
                let outcome = row.act(CWD, &text(path));
                rustix::process::chdir(&home).unwrap();
                outcome
            }),
            "at" => open(CWD, &text(place), OFlags::RDONLY | OFlags::DIRECTORY)
                .and_then(|at| row.act(at.as_fd(), &text(path))),
            "fd" => open(CWD, &text(path), OFlags::RDONLY)
                .and_then(|fd| row.act(CWD, &text(&format!("/proc/self/fd/{}", fd.as_raw_fd())))),
            _ => panic!("unknown form {form}"),
        };
        match outcome {
            Ok(detail) => println!("{number}\t0\t{}", detail.replace(['\n', '\t'], " ")),
            Err(errno) => println!("{number}\t{}\t", errno.raw_os_error()),
        }
    }
}

struct Row<'r> {
    action: &'r str,
    argument: &'r str,
    second: CString,
}

fn text(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn done<T>(result: Result<T, Errno>) -> Outcome {
    result.map(|_| String::new())
}

/// The result of a call of libc.
fn returned(result: i32) -> Result<i32, Errno> {
    if result < 0 { Err(Errno::from_raw_os_error(errno())) } else { Ok(result) }
}

fn open(at: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    open_mode(at, path, flags | OFlags::NONBLOCK, Mode::from_raw_mode(0o666))
}

fn open_mode(at: BorrowedFd<'_>, path: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(at, path, flags | OFlags::CLOEXEC, mode)
}

fn write(fd: &OwnedFd, bytes: &[u8]) -> Outcome {
    done(rustix::io::write(fd, bytes))
}

fn read(fd: &OwnedFd) -> Outcome {
    let mut buffer = [0_u8; 200];
    let length = rustix::io::read(fd, &mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

impl Row<'_> {
    fn mode(&self, otherwise: u32) -> Mode {
        let bits = if self.argument.is_empty() { otherwise } else { u32::from_str_radix(self.argument, 8).unwrap() };
        Mode::from_raw_mode(bits)
    }

    fn act(&self, at: BorrowedFd<'_>, path: &CStr) -> Outcome {
        use rustix::fs;
        let attribute = text(if self.argument.is_empty() { "user.a" } else { self.argument });
        let second = self.second.as_c_str();
        let mut buffer = [0_u8; 300];
        let five = Timespec { tv_sec: 5, tv_nsec: 0 };
        let times = Timestamps { last_access: five, last_modification: five };
        let own = (Some(rustix::process::getuid()), Some(rustix::process::getgid()));
        let node = |kind, device| done(fs::mknodat(at, path, kind, self.mode(0o644), device));
        let reading = || open(at, path, OFlags::RDONLY);
        let keep = AtFlags::SYMLINK_NOFOLLOW;
        match self.action {
            "read" => read(&reading()?),
            "list" => done(open(at, path, OFlags::RDONLY | OFlags::DIRECTORY)),
            "write" => write(&open(at, path, OFlags::WRONLY | OFlags::TRUNC)?, b"written"),
            "append" => write(&open(at, path, OFlags::WRONLY | OFlags::APPEND)?, b"more"),
            "read-write" => write(&open(at, path, OFlags::RDWR | OFlags::TRUNC)?, b"written"),
            "open-truncate" => done(open(at, path, OFlags::RDONLY | OFlags::TRUNC)),
            "open-path" => done(open(at, path, OFlags::PATH)),
            "open-temporary" => done(open(at, path, OFlags::TMPFILE | OFlags::RDWR)),
            "create" => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
                write(&open_mode(at, path, flags, self.mode(0o644))?, b"made")
            }
            "node" => node(FileType::RegularFile, 0),
            "fifo" => node(FileType::Fifo, 0),
            "socket" => node(FileType::Socket, 0),
            "device" => node(FileType::CharacterDevice, fs::makedev(1, 3)),
            "mkdir" => done(fs::mkdirat(at, path, self.mode(0o755))),
            "symlink" => done(fs::symlinkat("text", at, path)),
            "unlink" => done(fs::unlinkat(at, path, AtFlags::empty())),
            "rmdir" => done(fs::unlinkat(at, path, AtFlags::REMOVEDIR)),
            "rename" => done(fs::renameat(at, path, CWD, second)),
            "exchange" => done(fs::renameat_with(at, path, CWD, second, RenameFlags::EXCHANGE)),
            "link" => done(fs::linkat(at, path, CWD, second, AtFlags::empty())),
            // SAFETY: a NUL-terminated path.
            "truncate" => done(returned(unsafe { libc::truncate(path.as_ptr(), 0) })),
            "chmod" => done(fs::chmodat(at, path, self.mode(0o600), AtFlags::empty())),
            "chmod-open" => done(fs::fchmod(reading()?, self.mode(0o600))),
            "chown" => done(fs::chownat(at, path, own.0, own.1, AtFlags::empty())),
            "chown-link" => done(fs::chownat(at, path, own.0, own.1, keep)),
            "chown-open" => done(fs::fchown(reading()?, own.0, own.1)),
            "times" => done(fs::utimensat(at, path, &times, AtFlags::empty())),
            "times-link" => done(fs::utimensat(at, path, &times, keep)),
            "times-open" => done(fs::futimens(reading()?, &times)),
            "setxattr" => done(fs::setxattr(path, &attribute, b"value", fs::XattrFlags::empty())),
            "removexattr" => done(fs::removexattr(path, &attribute)),
            "getxattr" => done(fs::getxattr(path, &attribute, &mut buffer)),
            "getxattr-open" => done(fs::fgetxattr(reading()?, &attribute, &mut buffer)),
            "listxattr" => done(fs::listxattr(path, &mut buffer)),
            "exists" => done(fs::accessat(at, path, Access::EXISTS, AtFlags::empty())),
            "rights" => done(fs::accessat(at, path, Access::READ_OK, AtFlags::empty())),
            "stat" => fs::statat(at, path, AtFlags::empty()).map(|stat| stat.st_size.to_string()),
            "lstat" => done(fs::statat(at, path, keep)),
            "statx" => done(fs::statx(at, path, AtFlags::empty(), fs::StatxFlags::SIZE)),
            "statfs" => done(fs::statfs(path)),
            "chdir" => {
                let home = rustix::process::getcwd(Vec::new())?;
                rustix::process::chdir(path).and_then(|()| done(rustix::process::chdir(home)))
            }
            "readlink" => {
                fs::readlinkat(at, path, Vec::new()).map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned())
            }
            "watch" => {
                let inotify = fs::inotify::init(fs::inotify::CreateFlags::empty())?;
                done(fs::inotify::add_watch(inotify, path, fs::inotify::WatchFlags::MODIFY))
            }
            "shm-create" => self.shared_memory(OFlags::RDWR | OFlags::CREATE | OFlags::EXCL),
            "shm-read" => self.shared_memory(OFlags::RDONLY),
            "shm-write" => self.shared_memory(OFlags::WRONLY),
            "sem-create" => self.semaphore(OFlags::RDWR | OFlags::CREATE | OFlags::EXCL),
            "sem-open" => self.semaphore(OFlags::RDWR),
            "sem-unlink" => done(fs::unlinkat(CWD, self.semaphore_path(), AtFlags::empty())),
            // Settings are not changed. File modes and a read-only mount come after the decision.
            "set" => match open(at, path, OFlags::WRONLY) {
                Err(Errno::ACCESS | Errno::ROFS) => Ok(String::new()),
                other => done(other),
            },
            "info-file" | "limits" | "set-limits" => self.other_process(),
            "shm-unlink" => done(fs::unlinkat(CWD, format!("/dev/shm{}", self.argument), AtFlags::empty())),
            "lock" => done(fs::flock(reading()?, FlockOperation::NonBlockingLockExclusive)),
            "lock-record" => lock(&reading()?, libc::F_SETLK),
            "lock-open-file" => lock(&reading()?, libc::F_OFD_SETLK),
            "ioctl" => done(fs::ioctl_getflags(reading()?)),
            "flags" => {
                let file = reading()?;
                done(fs::ioctl_setflags(&file, fs::ioctl_getflags(&file)?))
            }
            "map-executable" => map(&reading()?),
            "exec" => execute(path),
            "fork" => done(child(|| 0)),
            "signal" => self.signal(),
            "connect" => self.socket(|kind, address| done(net::connect(&socket(kind, address)?, address))),
            "send" => self.socket(|kind, address| {
                let sent = net::sendto(&socket(kind, address)?, b"sent", net::SendFlags::empty(), address);
                done(sent)
            }),
            "bind" => self.socket(|kind, address| done(net::bind(&socket(kind, address)?, address))),
            "listen" => self.socket(|kind, address| {
                let socket = socket(kind, address)?;
                net::bind(&socket, address)?;
                done(net::listen(&socket, 1))
            }),
            "sysv-shm" => {
                // SAFETY: plain numbers, and a null pointer that the request does not look at.
                done(unsafe {
                    returned(libc::shmget(libc::IPC_PRIVATE, 4096, libc::IPC_CREAT | 0o600))
                        .and_then(|id| returned(libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut())))
                })
            }
            "sysv-sem" => {
                // SAFETY: plain numbers.
                done(unsafe {
                    returned(libc::semget(libc::IPC_PRIVATE, 1, libc::IPC_CREAT | 0o600))
                        .and_then(|id| returned(libc::semctl(id, 0, libc::IPC_RMID)))
                })
            }
            "sysv-msg" => {
                // SAFETY: plain numbers, and a null pointer that the request does not look at.
                done(unsafe {
                    returned(libc::msgget(libc::IPC_PRIVATE, libc::IPC_CREAT | 0o600))
                        .and_then(|id| returned(libc::msgctl(id, libc::IPC_RMID, std::ptr::null_mut())))
                })
            }
            action => panic!("unknown action {action}"),
        }
    }

    /// Does something with the address in the argument, as records spell it.
    fn socket(&self, work: impl Fn(SocketType, &SocketAddrAny) -> Outcome) -> Outcome {
        let (kind, address) = self.argument.split_once(':').unwrap();
        match kind {
            "tcp" => work(SocketType::STREAM, &address.parse::<SocketAddr>().unwrap().into()),
            "udp" => work(SocketType::DGRAM, &address.parse::<SocketAddr>().unwrap().into()),
            "unix" => work(SocketType::STREAM, &SocketAddrUnix::new(address)?.into()),
            other => panic!("unknown kind of address {other}"),
        }
    }

    /// What shm_open(3) does with the name in the argument.
    fn shared_memory(&self, flags: OFlags) -> Outcome {
        done(open_mode(CWD, &text(&format!("/dev/shm{}", self.argument)), flags, Mode::from_raw_mode(0o600)))
    }

    /// The file of a semaphore (sem_overview(7)), without the scratch name that the C library makes first.
    fn semaphore_path(&self) -> String {
        format!("/dev/shm/sem.{}", self.argument.trim_start_matches('/'))
    }

    fn semaphore(&self, flags: OFlags) -> Outcome {
        done(open_mode(CWD, &text(&self.semaphore_path()), flags, Mode::from_raw_mode(0o600)))
    }

    /// Asks about another process, or steers it to where it is. The detail is errno and process.
    fn other_process(&self) -> Outcome {
        let other = match self.argument {
            "child" => Waiting::start(false)?,
            "grandchild" => Waiting::start(true)?,
            other => panic!("unknown process {other}"),
        };
        let pid = other.pid;
        let outcome = match self.action {
            "info-file" => {
                open(CWD, &text(&format!("/proc/{pid}/comm")), OFlags::RDONLY).and_then(|file| read(&file)).map(drop)
            }
            change => {
                let (pid, mut limits) = (pid.as_raw_nonzero().get(), libc::rlimit { rlim_cur: 0, rlim_max: 0 });
                // SAFETY: each address is null or that of an `rlimit`. Without a process it is the own limit.
                done(unsafe {
                    let own = libc::prlimit(0, libc::RLIMIT_CORE, std::ptr::null(), &raw mut limits);
                    assert_eq!(own, 0);
                    let new = if change == "set-limits" { &raw const limits } else { std::ptr::null() };
                    returned(libc::prlimit(pid, libc::RLIMIT_CORE, new, &raw mut limits))
                })
                .map(drop)
            }
        };
        Ok(format!("{} {pid}", outcome.err().map_or(0, Errno::raw_os_error)))
    }

    /// Sends a signal that is ignored by default. The detail is errno and receivers, since a refusal names one.
    fn signal(&self) -> Outcome {
        let told = |outcome: Result<(), Errno>, pids: &[Pid]| {
            let pids: Vec<String> = pids.iter().map(|pid| pid.as_raw_nonzero().to_string()).collect();
            Ok(format!("{} {}", outcome.err().map_or(0, Errno::raw_os_error), pids.join(" ")))
        };
        let send = |pid: Pid| told(kill_process(pid, Signal::URG), &[pid]);
        let own = rustix::process::getpid();
        match self.argument {
            "self" => send(own),
            "parent" => send(rustix::process::getppid().unwrap()),
            "child" => send(Waiting::start(false)?.pid),
            "grandchild" => send(Waiting::start(true)?.pid),
            "group" => told(rustix::process::kill_current_process_group(Signal::URG), &[own]),
            "group-with-child" => {
                let child = Waiting::start(false)?;
                told(rustix::process::kill_current_process_group(Signal::URG), &[own, child.pid])
            }
            other => panic!("unknown receiver {other}"),
        }
    }
}

fn socket(kind: SocketType, address: &SocketAddrAny) -> Result<OwnedFd, Errno> {
    net::socket_with(address.address_family(), kind, net::SocketFlags::CLOEXEC, None)
}

/// A lock for reading on the whole file.
fn lock(file: &OwnedFd, command: i32) -> Outcome {
    // SAFETY: all-zero bytes are a valid `flock`.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = i16::try_from(libc::F_RDLCK).unwrap();
    // SAFETY: these commands take a pointer to a `flock`.
    done(returned(unsafe { libc::fcntl(file.as_raw_fd(), command, &raw const lock) }))
}

fn map(file: &OwnedFd) -> Outcome {
    let protection = libc::PROT_READ | libc::PROT_EXEC;
    // SAFETY: a new mapping at an address of the kernel's choice, which nothing looks at.
    let map = unsafe { libc::mmap(std::ptr::null_mut(), 1, protection, libc::MAP_PRIVATE, file.as_raw_fd(), 0) };
    done(returned(if map == libc::MAP_FAILED { -1 } else { 0 }))
}

/// Runs `body` in a child and waits for its status, as wait(2) gives it.
fn child(body: impl FnOnce() -> i32) -> Result<i32, Errno> {
    // SAFETY: this process has one thread; the child runs `body` and ends without unwinding.
    match returned(unsafe { libc::fork() })? {
        0 => {
            let status = body();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(status) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: a valid place for the status.
            returned(unsafe { libc::waitpid(pid, &raw mut status, 0) })?;
            Ok(status)
        }
    }
}

/// Executes a program in a child; the detail is its exit status.
fn execute(path: &CStr) -> Outcome {
    let (reading, writing) = pipe()?;
    let status = child(|| {
        let argv = [path.as_ptr(), std::ptr::null()];
        // SAFETY: the array ends in a null pointer and its strings outlive the call.
        unsafe { libc::execv(path.as_ptr(), argv.as_ptr()) };
        let _ = write(&writing, errno().to_string().as_bytes());
        99
    })?;
    drop(writing);
    match read(&reading)?.parse() {
        Ok(errno) => Err(Errno::from_raw_os_error(errno)),
        Err(_) => Ok(libc::WEXITSTATUS(status).to_string()),
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
}

/// A process that waits until this value is dropped.
struct Waiting {
    pid: Pid,
    child: i32,
    end: Option<OwnedFd>,
}

impl Waiting {
    /// A child, or a child's child in a group of its own.
    fn start(grandchild: bool) -> Result<Self, Errno> {
        let (reading, writing) = pipe()?;
        let (answer, telling) = pipe()?;
        // SAFETY: as in `child`.
        match returned(unsafe { libc::fork() })? {
            0 => {
                drop(writing);
                let wait = || {
                    let _ = write(&telling, rustix::process::getpid().to_string().as_bytes());
                    let _ = read(&reading);
                    0
                };
                let status = if grandchild {
                    child(|| {
                        let _ = rustix::process::setpgid(None, None);
                        wait()
                    })
                    .unwrap_or(1)
                } else {
                    wait()
                };
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(status) }
            }
            child => {
                drop(telling);
                let pid = Pid::from_raw(read(&answer)?.parse().unwrap()).unwrap();
                Ok(Self { pid, child, end: Some(writing) })
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.end.take());
        // SAFETY: no place for a status is asked for.
        unsafe { libc::waitpid(self.child, std::ptr::null_mut(), 0) };
    }
}
