//! Calls that look at an object without opening it: stat, access, readlink, extended attributes read, inotify.
//!
//! The object is held by an `O_PATH` descriptor, the result is computed from it and written into the caller's memory.

use std::os::fd::AsFd;

use rustix::io::Errno;

use super::call::{Answer, Answered, Call, REFUSED};
use super::processes::{self, Processes};
use super::resolve::{Last, Located};
use crate::os::linux::{object, process};

pub(super) const METADATA: &str = "file-read-metadata";
const EXISTENCE: &str = "file-test-existence";
const READ_XATTR: &str = "file-read-xattr";

/// Longest attribute name with its NUL, value and list (linux/limits.h).
pub(super) const XATTR_NAME_MAX: usize = 256;
pub(super) const XATTR_SIZE_MAX: usize = 65_536;

/// Flags of statx(2), which newfstatat(2) takes as well. All are older than what this runs on.
const STAT_FLAGS: i32 =
    libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_EMPTY_PATH | libc::AT_STATX_SYNC_TYPE;
/// Of the mask of statx(2); for a structure that is longer one day.
const STATX_RESERVED: u32 = 0x8000_0000;

/// The kernel takes at most this much for a link's text.
const LINK_MAX: usize = 4096;

/// How a path argument is given: the descriptor it starts from, the argument's index, and what becomes of a last link.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) descriptor: i32,
    pub(super) path_at: usize,
    pub(super) last: Last,
    /// `AT_*` flags; only `AT_EMPTY_PATH` matters to a look-up.
    pub(super) flags: i32,
}

impl At {
    /// A path relative to the working directory, following links.
    pub(super) fn path(path_at: usize) -> Self {
        Self { descriptor: libc::AT_FDCWD, path_at, last: Last::Follow, flags: 0 }
    }

    /// The same without following a last link.
    pub(super) fn keeping_link(self) -> Self {
        Self { last: Last::Keep, ..self }
    }

    /// A path relative to a descriptor with `AT_*` flags.
    pub(super) fn of(descriptor: i32, path_at: usize, flags: i32) -> Self {
        let last = if flags & libc::AT_SYMLINK_NOFOLLOW != 0 { Last::Keep } else { Last::Follow };
        Self { descriptor, path_at, last, flags }
    }
}

impl Call<'_> {
    /// Locates an argument and judges one operation on it.
    pub(super) fn judged(&mut self, at: At, operation: &'static str) -> Result<Located, Errno> {
        let raw = self.path(at.path_at)?;
        let located = self.locate_or_own(at.descriptor, &raw, at.last, at.flags)?;
        self.judge_located(located, operation)
    }

    pub(super) fn judge_located(&mut self, located: Located, operation: &'static str) -> Result<Located, Errno> {
        if !self.allowed(operation, &located.path, located.object()) {
            return Err(REFUSED);
        }
        let object = located.found()?;
        if located.must_be_directory && !is_directory(object) {
            return Err(Errno::NOTDIR);
        }
        Ok(located)
    }

    /// The object of one of the caller's own descriptors, judged by the name the kernel has for it.
    pub(super) fn judged_own(&mut self, descriptor: i32, operation: &'static str) -> Result<Located, Errno> {
        if descriptor < 0 {
            return Err(Errno::BADF);
        }
        let located = self.own(descriptor)?;
        self.judge_located(located, operation)
    }

    /// What stat(2) is asked about. A descriptor the caller holds is not judged: libc spells fstat(2) that way. The working
    /// directory is: a race during chdir can lead it to where the program may not look.
    fn stat_target(&mut self, at: At) -> Result<Option<Located>, Errno> {
        // A null path means an empty one (Linux 6.11).
        let by_descriptor = at.flags & libc::AT_EMPTY_PATH != 0;
        // Where the object of a descriptor is meant the kernel does not look at the others.
        let known = at.flags & !STAT_FLAGS == 0;
        if !(known || by_descriptor && at.descriptor >= 0) {
            return Err(Errno::INVAL);
        }
        let raw = if by_descriptor && self.word(at.path_at) == 0 { Vec::new() } else { self.path(at.path_at)? };
        if by_descriptor && raw.is_empty() {
            return match at.descriptor {
                libc::AT_FDCWD => {
                    let located = self.own(libc::AT_FDCWD)?;
                    let given = located.path == self.shared.home;
                    if given { Ok(located) } else { self.judge_located(located, METADATA) }.map(Some)
                }
                ..0 => Err(Errno::BADF),
                _ => Ok(None),
            };
        }
        if !known {
            return Err(Errno::INVAL);
        }
        let located = self.locate(at.descriptor, &raw, at.last)?;
        self.judge_located(located, METADATA).map(Some)
    }

    pub(super) fn stat(&mut self, at: At, buffer_at: usize) -> Answered {
        let bytes = match self.stat_target(at)? {
            Some(located) => object::stat(located.found()?)?,
            None => processes::with_own(self.tid(), at.descriptor, object::stat_at)?,
        };
        self.write(buffer_at, &bytes)?;
        Ok(Answer::DONE)
    }

    pub(super) fn statx(&mut self) -> Answered {
        let (flags, mask) = (self.int(2), self.unsigned(3));
        if mask & STATX_RESERVED != 0 || flags & libc::AT_STATX_SYNC_TYPE == libc::AT_STATX_SYNC_TYPE {
            return Err(Errno::INVAL);
        }
        let at = At::of(self.int(0), 1, flags);
        let bytes = match self.stat_target(at)? {
            Some(located) => object::statx(located.found()?, flags, mask)?,
            None => processes::with_own(self.tid(), at.descriptor, |directory, name| {
                object::statx_at(directory, name, flags, mask)
            })?,
        };
        self.write(4, &bytes)?;
        Ok(Answer::DONE)
    }

    pub(super) fn statfs(&mut self) -> Answered {
        let located = self.judged(At::path(0), METADATA)?;
        let bytes = object::statfs(located.found()?)?;
        self.write(1, &bytes)?;
        Ok(Answer::DONE)
    }

    /// Asking whether something exists is `file-test-existence`, asking for rights is `file-read-metadata`. The answer is
    /// the one of file modes; the profile speaks when the access happens.
    pub(super) fn access(&mut self, at: At, mode: i32, flags: i32) -> Answered {
        if mode & !(libc::R_OK | libc::W_OK | libc::X_OK) != 0 {
            return Err(Errno::INVAL);
        }
        let located = self.judged(at, if mode == libc::F_OK { EXISTENCE } else { METADATA })?;
        object::access(located.found()?, mode, flags)?;
        Ok(Answer::DONE)
    }

    pub(super) fn readlink(&mut self, descriptor: i32, path_at: usize) -> Answered {
        let room = self.int(path_at + 2);
        let room = usize::try_from(room).ok().filter(|room| *room > 0).ok_or(Errno::INVAL)?;
        let at = At { descriptor, path_at, last: Last::Keep, flags: 0 };
        let located = self.judged(at, METADATA)?;
        let mut text = match located.path.as_slice() {
            // These are the caller's, not the supervisor's.
            b"/proc/self" => Processes::process_of(self.tid())?.to_string().into_bytes(),
            b"/proc/thread-self" => format!("{}/task/{}", Processes::process_of(self.tid())?, self.tid()).into_bytes(),
            _ => rustix::fs::readlinkat(located.found()?, c"", Vec::with_capacity(LINK_MAX))
                .map_err(|errno| if errno == Errno::NOENT { Errno::INVAL } else { errno })?
                .into_bytes(),
        };
        if !self.may_tell_directory(&located.path, &text) {
            return Err(REFUSED);
        }
        text.truncate(room);
        self.write(path_at + 1, &text)?;
        Ok(Answer::Value(i64::try_from(text.len()).unwrap_or(0)))
    }

    pub(super) fn get_xattr(&mut self, at: Subject) -> Answered {
        let name = self.string(1, XATTR_NAME_MAX).map_err(long_name)?;
        self.about_attribute(&name);
        let located = self.subject(at, READ_XATTR)?;
        let limit = self.room(3);
        let (size, value) = object::get_xattr(located.found()?, &name, limit)?;
        self.deliver(2, limit, size, &value)
    }

    pub(super) fn list_xattr(&mut self, at: Subject) -> Answered {
        let located = self.subject(at, READ_XATTR)?;
        let limit = self.room(2);
        let (size, names) = object::list_xattr(located.found()?, limit)?;
        self.deliver(1, limit, size, &names)
    }

    fn room(&self, index: usize) -> usize {
        usize::try_from(self.word(index)).unwrap_or(usize::MAX).min(XATTR_SIZE_MAX)
    }

    fn deliver(&self, index: usize, limit: usize, size: usize, bytes: &[u8]) -> Answered {
        if limit > 0 {
            self.write(index, bytes)?;
        }
        Ok(Answer::Value(i64::try_from(size).unwrap_or(0)))
    }

    /// The subject of a call that has a path form, a form for links and a descriptor form.
    pub(super) fn subject(&mut self, subject: Subject, operation: &'static str) -> Result<Located, Errno> {
        match subject {
            Subject::Path(at) => self.judged(at, operation),
            Subject::Descriptor => self.judged_own(self.int(0), operation),
        }
    }

    pub(super) fn watch(&mut self) -> Answered {
        let mask = self.unsigned(2);
        let mut at = At::path(1);
        if mask & libc::IN_DONT_FOLLOW != 0 {
            at = at.keeping_link();
        }
        let located = self.judged(at, METADATA)?;
        let is_directory = is_directory(located.found()?);
        if mask & libc::IN_ONLYDIR != 0 && !is_directory {
            return Err(Errno::NOTDIR);
        }
        // It tells the names of what others make there. The kernel asks for the right to read, too.
        if is_directory && !self.allowed("file-read-data", &located.path, located.object()) {
            return Err(REFUSED);
        }
        let inotify = process::take_descriptor_of_thread(self.tid(), self.int(0))?;
        self.still_waiting()?;
        let watch = object::watch(inotify.as_fd(), located.found()?, mask & !libc::IN_DONT_FOLLOW)?;
        Ok(Answer::Value(watch.into()))
    }
}

/// What a call with several forms is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject {
    Path(At),
    /// The descriptor in the first argument.
    Descriptor,
}

/// An attribute name that is too long is a range error for these calls.
pub(super) fn long_name(errno: Errno) -> Errno {
    if errno == Errno::NAMETOOLONG { Errno::RANGE } else { errno }
}

pub(super) fn is_directory(object: impl AsFd) -> bool {
    rustix::fs::fstat(object)
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory)
}
