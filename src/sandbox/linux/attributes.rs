//! Calls that change an object's attributes: mode, owner, times, length, extended attributes.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

use super::call::{Answer, Answered, Call, REFUSED};
use super::metadata::{At, Subject, XATTR_NAME_MAX, XATTR_SIZE_MAX, long_name};
use super::resolve::Located;
use crate::os::linux::privilege::Lowered;
use crate::os::linux::{memory, object, process};

const MODE: &str = "file-write-mode";
const OWNER: &str = "file-write-owner";
const TIMES: &str = "file-write-times";
const DATA: &str = "file-write-data";
const SETUGID: &str = "file-write-setugid";
const XATTR: &str = "file-write-xattr";

/// Set-user-id and set-group-id (inode(7)).
const SET_IDS: u32 = libc::S_ISUID | libc::S_ISGID;

/// One time as two 64-bit words, seconds and a fraction.
const TIME_SIZE: usize = 16;

impl Call<'_> {
    /// Performs what a capability may decide, with no more of those than the caller has in effect, if the caller still waits: the
    /// supervisor keeps some that a program can give up.
    pub(super) fn as_capable<T>(&self, perform: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
        let _lowered = Lowered::to_those_of(self.tid()).map_err(|_| Errno::PERM)?;
        // Only then were they the caller's.
        self.still_waiting()?;
        perform()
    }

    pub(super) fn chmod(&mut self, subject: Subject, mode_at: usize) -> Answered {
        let located = self.subject(subject, MODE)?;
        let mode = self.unsigned(mode_at) & 0o7777;
        self.demand_ids(mode, &located)?;
        self.as_capable(|| object::chmod(located.found()?, mode))?;
        Ok(Answer::DONE)
    }

    /// Decides on set-user-id and set-group-id in a mode that is about to be set.
    pub(super) fn demand_ids(&mut self, mode: u32, located: &Located) -> Result<(), Errno> {
        let without = mode & SET_IDS == 0 || self.allowed(SETUGID, &located.path, located.object());
        if without { Ok(()) } else { Err(REFUSED) }
    }

    /// What the kernel keeps as attributes of its own namespace are access rights (acl(5)), which the mode follows.
    fn demand_mode_of(&mut self, attribute: &CStr, located: &Located) -> Result<(), Errno> {
        let other = !attribute.to_bytes().starts_with(b"system.");
        if other || self.allowed(MODE, &located.path, located.object()) { Ok(()) } else { Err(REFUSED) }
    }

    pub(super) fn chown(&mut self, subject: Subject, uid_at: usize) -> Answered {
        let located = self.subject(subject, OWNER)?;
        self.as_capable(|| object::chown(located.found()?, self.unsigned(uid_at), self.unsigned(uid_at + 1)))?;
        Ok(Answer::DONE)
    }

    pub(super) fn truncate(&mut self) -> Answered {
        let located = self.judged(At::path(0), DATA)?;
        let (object, length) = (located.found()?, self.word(1).cast_signed());
        self.demand_length(object, length)?;
        self.as_capable(|| object::truncate(object, length))?;
        Ok(Answer::DONE)
    }

    /// Holds the caller to its limit on the length of files, as the kernel would (`inode_newsize_ok`): a file that may be written
    /// and would grow past it. The supervisor's own limit is another.
    fn demand_length(&self, object: BorrowedFd<'_>, length: i64) -> Result<(), Errno> {
        let Some(most) = process::length_limit(self.tid())? else { return Ok(()) };
        let stat = fstat(object)?;
        let grows = u64::try_from(length).is_ok_and(|wanted| wanted > most) && length > stat.st_size;
        if !grows || FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        // Who may not write is told that, and gets no signal.
        object::access(object, libc::W_OK, libc::AT_EACCESS)?;
        self.still_waiting()?;
        process::raise_length_signal(self.tid());
        Err(Errno::FBIG)
    }

    /// utimensat(2); a null path means the descriptor itself, which no flag goes with.
    pub(super) fn set_times_at(&mut self) -> Answered {
        let times = self.times(2, 1)?;
        // Nothing is changed then, and the kernel looks at nothing, not even at the flags.
        if times.is_some_and(|times| times.iter().all(|time| time.tv_nsec == libc::UTIME_OMIT)) {
            return Ok(Answer::DONE);
        }
        let descriptor = self.int(0);
        let subject = if self.word(1) == 0 && descriptor != libc::AT_FDCWD {
            self.flags(3, 0)?;
            Subject::Descriptor
        } else {
            Subject::Path(At::of(descriptor, 1, self.flags(3, libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH)?))
        };
        self.set_times(subject, times)
    }

    /// utimes(2) and futimesat(2): microseconds.
    pub(super) fn set_times_us(&mut self, at: At, times_at: usize) -> Answered {
        let times = self.times(times_at, 1000)?;
        self.set_times(Subject::Path(at), times)
    }

    /// utime(2): whole seconds.
    pub(super) fn set_times_s(&mut self) -> Answered {
        let times = if self.word(1) == 0 {
            None
        } else {
            let mut raw = [0; TIME_SIZE];
            self.read(1, &mut raw)?;
            let whole = |at: usize| libc::timespec { tv_sec: number(&raw, at), tv_nsec: 0 };
            Some([whole(0), whole(8)])
        };
        self.set_times(Subject::Path(At::path(0)), times)
    }

    fn set_times(&mut self, subject: Subject, times: Option<[libc::timespec; 2]>) -> Answered {
        let located = self.subject(subject, TIMES)?;
        self.still_waiting()?;
        object::set_times(located.found()?, times)?;
        Ok(Answer::DONE)
    }

    /// Two times from the caller's memory, their fractions multiplied to nanoseconds.
    fn times(&self, index: usize, nanoseconds_per_unit: i64) -> Result<Option<[libc::timespec; 2]>, Errno> {
        if self.word(index) == 0 {
            return Ok(None);
        }
        let mut raw = [0; 2 * TIME_SIZE];
        self.read(index, &mut raw)?;
        let time = |at: usize| {
            let fraction = number(&raw, at + 8);
            if nanoseconds_per_unit != 1 && !(0..1_000_000).contains(&fraction) {
                return Err(Errno::INVAL);
            }
            Ok(libc::timespec { tv_sec: number(&raw, at), tv_nsec: fraction * nanoseconds_per_unit })
        };
        Ok(Some([time(0)?, time(TIME_SIZE)?]))
    }

    pub(super) fn set_xattr(&mut self, subject: Subject) -> Answered {
        let name = self.string(1, XATTR_NAME_MAX).map_err(long_name)?;
        let size = usize::try_from(self.word(3)).unwrap_or(usize::MAX);
        if size > XATTR_SIZE_MAX {
            return Err(Errno::TOOBIG);
        }
        let mut value = vec![0; size];
        memory::read_exact(self.tid(), self.word(2), &mut value)?;
        self.about_attribute(&name);
        let located = self.subject(subject, XATTR)?;
        self.demand_mode_of(&name, &located)?;
        self.as_capable(|| object::set_xattr(located.found()?, &name, &value, self.int(4)))?;
        Ok(Answer::DONE)
    }

    pub(super) fn remove_xattr(&mut self, subject: Subject) -> Answered {
        let name = self.string(1, XATTR_NAME_MAX).map_err(long_name)?;
        self.about_attribute(&name);
        let located = self.subject(subject, XATTR)?;
        self.demand_mode_of(&name, &located)?;
        self.still_waiting()?;
        object::remove_xattr(located.found()?, &name)?;
        Ok(Answer::DONE)
    }
}

fn number(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes of a fixed buffer"))
}
