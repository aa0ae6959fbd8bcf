//! open, openat, openat2, creat: the supervisor opens and hands a copy of the descriptor over.
//!
//! Which operations an open is:
//! - reading: `file-read-data` (also for directories); writing, or truncating what exists: `file-write-data`; both for
//!   read-write;
//! - a file that the open makes: `file-write-create` only. As on macOS the right to make a file covers what the making
//!   descriptor writes into it;
//! - `O_TMPFILE`: `file-write-create` on the directory;
//! - a mode with set-id bits for a file that is made: `file-write-setugid` besides;
//! - `O_PATH`: `file-read-metadata`, and `file-read-data` too, because the kernel hands over no `O_PATH` descriptors and one
//!   for reading takes its place.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use super::call::{Answer, Answered, Call, REFUSED};
use super::entries::Entry;
use super::hand_over::Opened;
use super::resolve::{Last, Located, open_path, open_proven};
use super::{named, path, processes, sticky};
use crate::os::linux::{memory, object, process};
use crate::sandbox::weaken::{Protection, off};
use crate::sbpl::VnodeType;

const READ: &str = "file-read-data";
const WRITE: &str = "file-write-data";
const CREATE: &str = "file-write-create";
const METADATA: &str = "file-read-metadata";

/// The opener's own terminal.
const TERMINAL: &[u8] = b"/dev/tty";

/// Attempts when a file appears and disappears between looking and making.
const MOST_ATTEMPTS: usize = 16;
/// `O_LARGEFILE` of the kernel; libc calls it 0 where it is implied.
#[cfg(target_arch = "x86_64")]
const LARGEFILE: u32 = 0o100_000;
#[cfg(target_arch = "aarch64")]
const LARGEFILE: u32 = 0o400_000;

/// What openat2(2) takes in memory (`struct open_how`).
const OPEN_HOW_SIZE: usize = 24;
/// The most that a later one can be: a page, of the smallest size.
const OPEN_HOW_MOST: usize = 4096;
/// Flags that openat2(2) knows.
const OPEN_FLAGS: i32 = libc::O_ACCMODE
    | libc::O_APPEND
    | libc::O_ASYNC
    | libc::O_CLOEXEC
    | libc::O_CREAT
    | libc::O_DIRECT
    | libc::O_DIRECTORY
    | libc::O_EXCL
    | libc::O_NOATIME
    | libc::O_NOCTTY
    | libc::O_NOFOLLOW
    | libc::O_NONBLOCK
    | libc::O_PATH
    | libc::O_SYNC
    | libc::O_TMPFILE
    | libc::O_TRUNC;
/// Those that go with `O_PATH`.
const OPEN_PATH_FLAGS: i32 = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;

/// One open as asked for.
#[derive(Debug, Clone, Copy)]
struct Request {
    flags: OFlags,
    mode: u32,
}

impl Request {
    /// Open flags as open(2) takes them: unknown bits are ignored, as the kernel does.
    fn new(flags: u32, mode: u32) -> Self {
        Self { flags: OFlags::from_bits_truncate(flags & !LARGEFILE), mode: mode & 0o7777 }
    }

    fn has(self, flag: OFlags) -> bool {
        self.flags.contains(flag)
    }

    fn access(self) -> OFlags {
        self.flags & OFlags::RWMODE
    }

    fn reads(self) -> bool {
        self.access() != OFlags::WRONLY
    }

    /// Access mode 3 is for control requests and checked like reading and writing.
    fn writes(self) -> bool {
        self.access() != OFlags::RDONLY || self.has(OFlags::TRUNC)
    }

    fn close_on_exec(self) -> bool {
        self.has(OFlags::CLOEXEC)
    }

    /// The flags that an existing file is opened with.
    fn flags_of_existing(self) -> OFlags {
        let exclusive = if self.has(OFlags::CREATE) { OFlags::EXCL } else { OFlags::empty() };
        self.flags - OFlags::CREATE - exclusive - OFlags::NOFOLLOW
    }

    fn answer(self, fd: OwnedFd) -> Answer {
        // More than reading what exists: all that is brought here where the profile allows reading everywhere. Then locks are not.
        let more = OFlags::RWMODE | OFlags::CREATE | OFlags::TRUNC | (OFlags::TMPFILE - OFlags::DIRECTORY);
        let closes_first = !self.has(OFlags::PATH) && self.flags.intersects(more);
        Answer::Descriptor(Opened { fd, close_on_exec: self.close_on_exec(), closes_first })
    }

    fn last(self) -> Last {
        if self.has(OFlags::NOFOLLOW) || self.has(OFlags::CREATE | OFlags::EXCL) { Last::Keep } else { Last::Follow }
    }
}

/// What came of opening a path at once.
enum Tried {
    Answered(Answered),
    /// The path is not canonical.
    Linked,
    /// It has to be looked at first.
    Other,
}

impl Call<'_> {
    /// `flags` and `mode` follow the path argument.
    pub(super) fn open(&mut self, descriptor: i32, path_at: usize) -> Answered {
        let request = Request::new(self.unsigned(path_at + 1), self.unsigned(path_at + 2));
        let raw = self.path(path_at)?;
        self.open_path_as(descriptor, &raw, request)
    }

    pub(super) fn creat(&mut self) -> Answered {
        let flags = (OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC).bits();
        let request = Request::new(flags, self.unsigned(1));
        let raw = self.path(0)?;
        self.open_path_as(libc::AT_FDCWD, &raw, request)
    }

    pub(super) fn openat2(&mut self) -> Answered {
        let size = usize::try_from(self.word(3)).unwrap_or(usize::MAX);
        if size < OPEN_HOW_SIZE {
            return Err(Errno::INVAL);
        }
        if size > OPEN_HOW_MOST {
            return Err(Errno::TOOBIG);
        }
        let mut how = vec![0_u8; size];
        self.read(2, &mut how)?;
        // A later structure asks for more only where it is not zero.
        if how[OPEN_HOW_SIZE..].iter().any(|byte| *byte != 0) {
            return Err(Errno::TOOBIG);
        }
        let field = |at: usize| u64::from_le_bytes(how[at..at + 8].try_into().expect("eight bytes"));
        let (flags, mode, resolve) = (field(0), field(8), field(16));
        // Restricted look-ups are not offered: programs fall back to walking by themselves.
        if resolve != 0 {
            return Err(Errno::NOSYS);
        }
        let (flags, mode) = known(flags, mode).ok_or(Errno::INVAL)?;
        let raw = self.path(1)?;
        self.open_path_as(self.int(0), &raw, Request::new(flags, mode))
    }

    fn open_path_as(&mut self, descriptor: i32, raw: &[u8], request: Request) -> Answered {
        if request.has(OFlags::PATH) {
            return self.open_for_path(descriptor, raw, request);
        }
        if request.has(OFlags::CREATE | OFlags::DIRECTORY) {
            return Err(Errno::INVAL);
        }
        if request.has(OFlags::TMPFILE) {
            return self.open_temporary(descriptor, raw, request);
        }
        // The kernel takes the one bit only with the other one. It must not see it where a directory is asked for besides.
        if request.flags.intersects(OFlags::TMPFILE - OFlags::DIRECTORY) {
            return Err(Errno::INVAL);
        }
        if request.has(OFlags::CREATE) && path::means_directory(raw) {
            return Err(Errno::ISDIR);
        }
        if let Some(answered) = self.open_by_path(descriptor, raw, request) {
            return answered;
        }
        let mark = self.mark();
        for _ in 0..MOST_ATTEMPTS {
            self.forget_since(mark);
            let located = self.locate(descriptor, raw, request.last())?;
            // By a link on the way, which the program may read.
            if request.has(OFlags::CREATE) && located.must_be_directory {
                return Err(Errno::ISDIR);
            }
            let makes = request.has(OFlags::CREATE)
                && match &located.object {
                    Err(errno) => *errno == Errno::NOENT,
                    Ok(_) => request.has(OFlags::EXCL),
                };
            if !makes {
                return self.open_existing(&located, request);
            }
            match self.open_new(&located, request) {
                // Somebody else made it first: now it is an existing file.
                Err(Errno::EXIST) if !request.has(OFlags::EXCL) => {}
                done => return done,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Opens what is there without looking at it first: the path is judged, and opened with what was asked for in a way that
    /// fails unless it is canonical. `None`, with nothing done and noted, when something is to be made, or the profile does
    /// not allow it or asks for more than the path.
    fn open_by_path(&mut self, descriptor: i32, raw: &[u8], request: Request) -> Option<Answered> {
        let creates = request.has(OFlags::CREATE);
        let looks_first = request.has(OFlags::EXCL) || !request.writes() || sticky::may_forbid_opening();
        if self.shared.observe || (creates && looks_first) {
            return None;
        }
        let mark = self.mark();
        let mut path = self.spelt(descriptor, raw)?;
        for _ in 0..2 {
            match self.open_at_once(&path, path::means_directory(raw), request) {
                Tried::Answered(answered) => return Some(answered),
                Tried::Linked if request.has(OFlags::NOFOLLOW) => break,
                Tried::Linked => self.forget_since(mark),
                Tried::Other => break,
            }
            match self.walked(&path) {
                Some(walked) => path = walked,
                None => break,
            }
        }
        self.forget_since(mark);
        None
    }

    fn open_at_once(&mut self, path: &[u8], directory: bool, request: Request) -> Tried {
        if path == TERMINAL
            || named::is_special(path)
            || (request.reads() && !self.allowed(READ, path, None))
            || (request.writes() && !self.allowed(WRITE, path, None))
        {
            return Tried::Other;
        }
        // Opening for reading changes nothing, and a descriptor is handed only to a caller that still waits.
        if request.writes()
            && let Err(gone) = self.still_waiting()
        {
            return Tried::Answered(Err(gone));
        }
        let mut flags = request.flags_of_existing() | OFlags::NOCTTY;
        flags.set(OFlags::DIRECTORY, directory || request.has(OFlags::DIRECTORY));
        // A FIFO keeps its opener waiting.
        match self.emptying(request, || self.shared.waits.during(self.notification.id, || open_proven(path, flags))) {
            Ok(fd) => Tried::Answered(Ok(request.answer(fd))),
            Err(Errno::LOOP) => Tried::Linked,
            Err(Errno::INTR) => Tried::Answered(Err(Errno::INTR)),
            // About a component that no link comes before.
            Err(errno @ (Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::ISDIR))
                if !request.has(OFlags::CREATE) =>
            {
                Tried::Answered(Err(errno))
            }
            Err(_) => Tried::Other,
        }
    }

    fn open_existing(&mut self, located: &Located, request: Request) -> Answered {
        let object = located.object();
        if request.reads() && !self.allowed(READ, &located.path, object) {
            return Err(REFUSED);
        }
        if request.writes() && !self.allowed(WRITE, &located.path, object) {
            return Err(REFUSED);
        }
        let object = located.found()?;
        let kind = FileType::from_raw_mode(fstat(object)?.st_mode);
        if kind == FileType::Symlink {
            return Err(Errno::LOOP);
        }
        if located.must_be_directory && kind != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        if request.has(OFlags::CREATE) && kind == FileType::Directory {
            return Err(Errno::ISDIR);
        }
        if request.has(OFlags::CREATE) {
            demand_own_where_shared(object, &located.path)?;
        }
        let terminal = self.own_terminal(&located.path)?;
        self.still_waiting()?;
        let object = terminal.as_ref().map_or(object, AsFd::as_fd);
        let fd = self.emptying(request, || self.reopen(object, request.flags_of_existing()))?;
        Ok(request.answer(fd))
    }

    /// Opens what may be emptied by that: for a caller that has a number left for the descriptor, and who, unless capable of keeping
    /// them (`CAP_FSETID`), takes set-id bits off the file.
    fn emptying<T>(&self, request: Request, open: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
        if !request.has(OFlags::TRUNC) {
            return open();
        }
        self.demand_number()?;
        self.as_capable(open)
    }

    /// EMFILE when the caller has no number left for a descriptor. Asked before a file is made or emptied: once it is handed over there
    /// is no way back.
    fn demand_number(&self) -> Result<(), Errno> {
        if processes::has_number_left(self.tid())? { Ok(()) } else { Err(Errno::MFILE) }
    }

    /// Opens the object itself, whatever its path leads to by now.
    fn reopen(&self, object: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = (flags - OFlags::NOFOLLOW) | OFlags::NOCTTY | OFlags::CLOEXEC;
        self.shared.waits.during(self.notification.id, || openat(CWD, object::link(object), flags, Mode::empty()))
    }

    fn open_new(&mut self, located: &Located, request: Request) -> Answered {
        if !self.allowed_of_type(CREATE, &located.path, VnodeType::RegularFile) {
            return Err(REFUSED);
        }
        self.demand_ids(request.mode, located)?;
        self.demand_number()?;
        let _part = self.shared.moves.making();
        let entry = Entry::of(&located.path)?;
        let flags = request.flags | OFlags::CREATE | OFlags::EXCL;
        let fd = self.with_umask(|| {
            openat(&entry.parent, &entry.name, flags | OFlags::NOCTTY | OFlags::CLOEXEC, request_mode(request))
        })?;
        Ok(request.answer(fd))
    }

    fn open_temporary(&mut self, descriptor: i32, raw: &[u8], request: Request) -> Answered {
        let located = self.locate(descriptor, raw, Last::Follow)?;
        if !self.allowed(CREATE, &located.path, located.object()) {
            return Err(REFUSED);
        }
        self.demand_ids(request.mode, &located)?;
        let directory = located.found()?;
        let fd = self.with_umask(|| {
            let flags = request.flags | OFlags::NOCTTY | OFlags::CLOEXEC;
            openat(CWD, object::link(directory), flags - OFlags::NOFOLLOW, request_mode(request))
        })?;
        Ok(request.answer(fd))
    }

    /// A descriptor for reading stands in for an `O_PATH` one, for directories and regular files.
    fn open_for_path(&mut self, descriptor: i32, raw: &[u8], request: Request) -> Answered {
        let last = if request.has(OFlags::NOFOLLOW) { Last::Keep } else { Last::Follow };
        let located = self.locate(descriptor, raw, last)?;
        if !self.allowed(METADATA, &located.path, located.object()) {
            return Err(REFUSED);
        }
        let object = located.found()?;
        let kind = FileType::from_raw_mode(fstat(object)?.st_mode);
        if (located.must_be_directory || request.has(OFlags::DIRECTORY)) && kind != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        if kind != FileType::Directory && kind != FileType::RegularFile {
            // Not a refusal of the profile's: the C library changes modes through such descriptors, and unpacking programs go on
            // when a link's cannot be changed.
            self.turn_down(METADATA, &located.path, "O_PATH descriptors of this type cannot be handed over");
            return Err(Errno::OPNOTSUPP);
        }
        if !self.allowed(READ, &located.path, Some(object)) {
            return Err(REFUSED);
        }
        self.still_waiting()?;
        let fd = self.reopen(object, OFlags::RDONLY)?;
        Ok(request.answer(fd))
    }

    /// Runs `make` with the calling program's umask and capabilities, if the program still waits. Workers have a umask of their own.
    pub(super) fn with_umask<T>(&self, make: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
        let umask = processes::umask_of(self.tid())?;
        self.as_capable(|| {
            if !off(Protection::CallersUmask) {
                rustix::process::umask(Mode::from_bits_truncate(umask));
            }
            make()
        })
    }

    /// `/dev/tty` means the opener's terminal. A program of the supervisor's session has the same one; for one of another
    /// session this is the terminal it has by now, where that is a pseudo-terminal.
    fn own_terminal(&self, at: &[u8]) -> Result<Option<OwnedFd>, Errno> {
        if at != TERMINAL || off(Protection::OwnTerminal) {
            return Ok(None);
        }
        // Where the supervisor's session began outside its PID namespace both are 0: a session that a program makes has a number.
        if process::session_of(Some(self.tid()))? == process::session_of(None)? {
            return Ok(None);
        }
        let device = process::ids_of(self.tid())?.ok_or(Errno::SRCH)?.terminal;
        let number = pseudo_terminal(device).ok_or(Errno::NXIO)?;
        let terminal = open_path(format!("/dev/pts/{number}").as_bytes(), false).map_err(|_| Errno::NXIO)?;
        let found = fstat(&terminal)?.st_rdev;
        if (rustix::fs::major(found), rustix::fs::minor(found)) == split_device(device) {
            Ok(Some(terminal))
        } else {
            Err(Errno::NXIO)
        }
    }
}

/// EACCES for what [`sticky`] says of opening with `O_CREAT`.
fn demand_own_where_shared(object: BorrowedFd<'_>, at: &[u8]) -> Result<(), Errno> {
    let directory = || fstat(open_path(path::split(at)?.0, true).ok()?).ok();
    if sticky::forbids_opening(&fstat(object)?, directory) { Err(Errno::ACCESS) } else { Ok(()) }
}

/// Major and minor of a device as `/proc` writes it (linux/kdev_t.h, `new_encode_dev`).
fn split_device(device: u32) -> (u32, u32) {
    (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00)
}

/// Name below `/dev/pts`: majors 136 to 143 are pseudo-terminals (admin-guide/devices.txt).
fn pseudo_terminal(device: u32) -> Option<u32> {
    let (major, minor) = split_device(device);
    (136..=143).contains(&major).then(|| (major - 136) * 256 + minor)
}

/// Flags and mode that openat2(2) takes: it has an error for what open(2) ignores.
fn known(flags: u64, mode: u64) -> Option<(u32, u32)> {
    let (flags, mode) = (u32::try_from(flags).ok()?, u32::try_from(mode).ok()?);
    let has = |flag: i32| flags & flag.cast_unsigned() == flag.cast_unsigned();
    let known =
        if has(libc::O_PATH) { OPEN_PATH_FLAGS.cast_unsigned() } else { OPEN_FLAGS.cast_unsigned() | LARGEFILE };
    let modes = if has(libc::O_CREAT) || has(libc::O_TMPFILE) { 0o7777 } else { 0 };
    (flags & !known == 0 && mode & !modes == 0).then_some((flags, mode))
}

fn request_mode(request: Request) -> Mode {
    Mode::from_bits_truncate(request.mode)
}

const _: () = assert!(memory::PATH_MAX > path::LONGEST);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_told_by_their_device() {
        assert_eq!(pseudo_terminal(136 << 8 | 7), Some(7));
        assert_eq!(pseudo_terminal(137 << 8 | 1), Some(257));
        assert_eq!(pseudo_terminal(136 << 8 | 0x2c | 1 << 20), Some(300));
        assert_eq!(pseudo_terminal(4 << 8 | 1), None);
        assert_eq!(pseudo_terminal(0), None);
    }

    #[test]
    fn flags_say_what_is_asked_for() {
        let request = |flags: i32| Request::new(flags.cast_unsigned(), 0o10_644);
        for (flags, reads, writes) in [
            (libc::O_RDONLY, true, false),
            (libc::O_WRONLY, false, true),
            (libc::O_RDWR, true, true),
            (libc::O_ACCMODE, true, true),
            (libc::O_RDONLY | libc::O_TRUNC, true, true),
            (libc::O_WRONLY | libc::O_CREAT, false, true),
        ] {
            assert_eq!((request(flags).reads(), request(flags).writes()), (reads, writes), "{flags:#o}");
        }
        assert_eq!(request(0).mode, 0o644);
        assert!(!request(libc::O_DIRECTORY).has(OFlags::TMPFILE));
        assert!(request(libc::O_TMPFILE | libc::O_RDWR).has(OFlags::TMPFILE));
        assert_eq!(request(libc::O_CREAT | libc::O_EXCL).last(), Last::Keep);
        assert_eq!(request(libc::O_CREAT).last(), Last::Follow);
    }

    #[test]
    fn openat2_has_errors_for_what_open_ignores() {
        let is_known = |flags: i32, mode: u64| known(u64::from(flags.cast_unsigned()), mode).is_some();
        for (flags, mode, right) in [
            (libc::O_RDWR | libc::O_APPEND | libc::O_CLOEXEC, 0, true),
            (libc::O_RDONLY, 0o644, false),
            (libc::O_CREAT, 0o644, true),
            (libc::O_TMPFILE | libc::O_RDWR, 0o4755, true),
            (libc::O_DIRECTORY, 0o644, false),
            (libc::O_CREAT, 0o10_644, false),
            (libc::O_CREAT, 1 << 40, false),
            (libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC, 0, true),
            (libc::O_PATH | libc::O_RDWR, 0, false),
            (0x1000_0000, 0, false),
        ] {
            assert_eq!(is_known(flags, mode), right, "{flags:#o} {mode:#o}");
        }
        assert!(known(1 << 40, 0).is_none() && known(LARGEFILE.into(), 0).is_some());
    }
}
