//! Calls that change directory entries: they run on the parent's descriptor and the last component.
//!
//! The parent is opened by its canonical path without following links, so the entry changed is the entry judged.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, RenameFlags, linkat, mkdirat, mknodat, renameat_with, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::call::{Answer, Answered, Call, REFUSED};
use super::moved::Part;
use super::path;
use super::resolve::{Last, Located, open_path, refuse_way_up};
use crate::os::linux::object;
use crate::sbpl::{Access, Target, VnodeType};
use crate::vocab::{Decision, Operation};

pub(super) const CREATE: &str = "file-write-create";
pub(super) const UNLINK: &str = "file-write-unlink";
const LINK: &str = "file-link";
const MKNOD: &str = "file-mknod";
/// What lets a program learn whether something is there.
const SEEING: [&str; 2] = ["file-test-existence", "file-read-metadata"];

const MOST_ATTEMPTS: usize = 16;

/// An entry of a directory, there or not.
#[derive(Debug)]
pub(super) struct Entry<'m> {
    /// The directory (`O_PATH`).
    pub(super) parent: OwnedFd,
    /// The name in it.
    pub(super) name: CString,
    /// One that is made keeps directories from moving until it is there.
    _part: Option<Part<'m>>,
}

impl<'m> Entry<'m> {
    /// The entry a canonical path names.
    pub(super) fn of(at: &[u8]) -> Result<Self, Errno> {
        refuse_way_up(at)?;
        let (parent, name) = path::split(at).ok_or(Errno::BUSY)?;
        let parent = open_path(parent, true)?;
        Ok(Self { parent, name: CString::new(name).map_err(|_| Errno::INVAL)?, _part: None })
    }

    fn with(self, part: Option<Part<'m>>) -> Self {
        Self { _part: part, ..self }
    }
}

/// The last component as spelt; `.` and `..` are never entries that can be made or removed.
fn last_spelt(raw: &[u8]) -> &[u8] {
    let trimmed = raw.iter().rposition(|&byte| byte != b'/').map_or(&raw[..0], |end| &raw[..=end]);
    trimmed.rsplit(|&byte| byte == b'/').next().unwrap_or(b"")
}

impl<'s> Call<'s> {
    /// Locates an entry without following a link in its place, however the path ends.
    pub(super) fn locate_entry(&mut self, descriptor: i32, raw: &[u8]) -> Result<Located, Errno> {
        let end = raw.iter().rposition(|&byte| byte != b'/').map_or(raw.len().min(1), |at| at + 1);
        let mut located = self.locate(descriptor, &raw[..end], Last::Keep)?;
        located.must_be_directory = end < raw.len();
        Ok(located)
    }

    /// Whether the program may know if something is there. Then the kernel's own answer about that comes before any decision:
    /// making parents (`mkdir -p`) and looking a program up in `PATH` go on after EEXIST and ENOENT, and stop at EPERM.
    pub(super) fn may_see(&self, at: &[u8]) -> bool {
        let target = Target::Path { path: at, vnode_type: None, mode: None };
        SEEING.iter().any(|name| {
            let operation = Operation::new(*name);
            self.shared.policy.judge(&Access { operation: &operation, target }).decision() == Some(Decision::Allow)
        })
    }

    pub(super) fn unlink(&mut self, descriptor: i32, path_at: usize, flags: i32) -> Answered {
        let raw = self.path(path_at)?;
        let directory = flags & libc::AT_REMOVEDIR != 0;
        match last_spelt(&raw) {
            b"." if directory => return Err(Errno::INVAL),
            b".." if directory => return Err(Errno::NOTEMPTY),
            b"." | b".." => return Err(Errno::ISDIR),
            _ => {}
        }
        let located = self.locate_entry(descriptor, &raw)?;
        if !self.allowed(UNLINK, &located.path, located.object()) {
            return Err(REFUSED);
        }
        located.found()?;
        if located.must_be_directory && !directory {
            return Err(if is_directory(&located) { Errno::ISDIR } else { Errno::NOTDIR });
        }
        let entry = Entry::of(&located.path)?;
        let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        self.still_waiting()?;
        unlinkat(&entry.parent, &entry.name, flags)?;
        Ok(Answer::DONE)
    }

    pub(super) fn mkdir(&mut self, descriptor: i32, path_at: usize) -> Answered {
        let mode = Mode::from_bits_truncate(self.unsigned(path_at + 1) & 0o7777);
        let raw = self.path(path_at)?;
        let entry = self.new_entry(descriptor, &raw, VnodeType::Directory, true)?;
        self.with_umask(|| mkdirat(&entry.parent, &entry.name, mode))?;
        Ok(Answer::DONE)
    }

    /// The link's text is not judged: it is looked at when somebody follows it.
    pub(super) fn symlink(&mut self, descriptor: i32, path_at: usize) -> Answered {
        let text = self.path(0)?;
        if text.is_empty() {
            return Err(Errno::NOENT);
        }
        let raw = self.path(path_at)?;
        let entry = self.new_entry(descriptor, &raw, VnodeType::Symlink, false)?;
        self.still_waiting()?;
        symlinkat(text, &entry.parent, &entry.name)?;
        Ok(Answer::DONE)
    }

    pub(super) fn mknod(&mut self, descriptor: i32, path_at: usize) -> Answered {
        let bits = self.unsigned(path_at + 1);
        let device = self.word(path_at + 2);
        let (kind, vnode_type) = match bits & libc::S_IFMT {
            0 | libc::S_IFREG => (FileType::RegularFile, VnodeType::RegularFile),
            libc::S_IFIFO => (FileType::Fifo, VnodeType::Fifo),
            libc::S_IFSOCK => (FileType::Socket, VnodeType::Socket),
            libc::S_IFCHR => (FileType::CharacterDevice, VnodeType::CharacterDevice),
            libc::S_IFBLK => (FileType::BlockDevice, VnodeType::BlockDevice),
            libc::S_IFDIR => return Err(Errno::PERM),
            _ => return Err(Errno::INVAL),
        };
        let raw = self.path(path_at)?;
        let located = self.locate_entry(descriptor, &raw)?;
        if matches!(vnode_type, VnodeType::CharacterDevice | VnodeType::BlockDevice)
            && !self.allowed_of_type(MKNOD, &located.path, vnode_type)
        {
            return Err(REFUSED);
        }
        let entry = self.new_entry_at(&located, &raw, vnode_type, false)?;
        self.demand_ids(bits & 0o7777, &located)?;
        let mode = Mode::from_bits_truncate(bits & 0o7777);
        self.with_umask(|| mknodat(&entry.parent, &entry.name, kind, mode, device))?;
        Ok(Answer::DONE)
    }

    fn new_entry(
        &mut self,
        descriptor: i32,
        raw: &[u8],
        vnode_type: VnodeType,
        directory: bool,
    ) -> Result<Entry<'s>, Errno> {
        let located = self.locate_entry(descriptor, raw)?;
        self.new_entry_at(&located, raw, vnode_type, directory)
    }

    pub(super) fn new_entry_at(
        &mut self,
        located: &Located,
        raw: &[u8],
        vnode_type: VnodeType,
        directory: bool,
    ) -> Result<Entry<'s>, Errno> {
        if located.object.is_ok() && self.may_see(&located.path) {
            return Err(Errno::EXIST);
        }
        if !self.allowed_of_type(CREATE, &located.path, vnode_type) {
            return Err(REFUSED);
        }
        match located.object {
            Ok(_) => return Err(Errno::EXIST),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
        if located.must_be_directory && !directory || matches!(last_spelt(raw), b"." | b"..") {
            return Err(Errno::NOENT);
        }
        let part = self.shared.moves.making();
        Ok(Entry::of(&located.path)?.with(part))
    }

    pub(super) fn link(&mut self, from: (i32, usize), to: (i32, usize), flags: i32) -> Answered {
        if flags & !(libc::AT_SYMLINK_FOLLOW | libc::AT_EMPTY_PATH) != 0 {
            return Err(Errno::INVAL);
        }
        let (source_raw, target_raw) = (self.path(from.1)?, self.path(to.1)?);
        let last = if flags & libc::AT_SYMLINK_FOLLOW != 0 { Last::Follow } else { Last::Keep };
        let own = if last == Last::Follow { self.own_without_name(&source_raw) } else { None };
        let source = match own {
            Some(own) => own,
            None => self.locate_or_own(from.0, &source_raw, last, flags)?,
        };
        if !self.allowed(LINK, &source.path, source.object()) {
            return Err(REFUSED);
        }
        let object = source.found()?;
        if source.must_be_directory && !is_directory(&source) {
            return Err(Errno::NOTDIR);
        }
        let entry = self.new_entry(to.0, &target_raw, VnodeType::RegularFile, false)?;
        self.still_waiting()?;
        linkat(CWD, object::link(object), &entry.parent, &entry.name, AtFlags::SYMLINK_FOLLOW)?;
        Ok(Answer::DONE)
    }

    /// Taking the source away, making the target, and taking away a target that is there; an exchange is all of it both ways. A
    /// directory takes along what lies in it.
    pub(super) fn rename(&mut self, from: (i32, usize), to: (i32, usize), flags: u32) -> Answered {
        let flags = RenameFlags::from_bits_retain(flags);
        // One at most, and no other: RENAME_WHITEOUT would make another entry, of a type of its own.
        if !flags.is_empty() && flags != RenameFlags::EXCHANGE && flags != RenameFlags::NOREPLACE {
            return Err(Errno::INVAL);
        }
        let (source_raw, target_raw) = (self.path(from.1)?, self.path(to.1)?);
        if [&source_raw, &target_raw].iter().any(|raw| matches!(last_spelt(raw), b"." | b"..")) {
            return Err(Errno::BUSY);
        }
        let mark = self.mark();
        for _ in 0..MOST_ATTEMPTS {
            self.forget_since(mark);
            let mut source = self.locate_entry(from.0, &source_raw)?;
            let mut target = self.locate_entry(to.0, &target_raw)?;
            // Others wait from here on, not while paths are looked up, which can take long. Meanwhile both entries can have become
            // others: what is judged is what stands there now.
            let _part = self.shared.moves.moving();
            if !(source.look_again() && target.look_again()) {
                continue;
            }
            match self.rename_once(&source, &target, flags) {
                // The target appeared after it was judged as absent: judge again, now as one that is replaced.
                Err(Errno::EXIST) if !flags.contains(RenameFlags::NOREPLACE) && target.object.is_err() => {}
                done => return done,
            }
        }
        Err(Errno::BUSY)
    }

    fn rename_once(&mut self, source: &Located, target: &Located, flags: RenameFlags) -> Answered {
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        let kind = source.object().and_then(kind_of).unwrap_or(VnodeType::RegularFile);
        if !self.allowed(UNLINK, &source.path, source.object()) {
            return Err(REFUSED);
        }
        if !self.allowed_of_type(CREATE, &target.path, kind) {
            return Err(REFUSED);
        }
        if target.object.is_ok() && !self.allowed(UNLINK, &target.path, target.object()) {
            return Err(REFUSED);
        }
        if exchange && !self.allowed(CREATE, &source.path, target.object()) {
            return Err(REFUSED);
        }
        source.found()?;
        if flags.contains(RenameFlags::NOREPLACE) && target.object.is_ok() {
            return Err(Errno::EXIST);
        }
        if exchange {
            target.found()?;
        }
        // A slash behind the target demands that what is moved there be a directory; in an exchange, that what stands there be one.
        let demanded = if exchange { target } else { source };
        if source.must_be_directory && !is_directory(source) || target.must_be_directory && !is_directory(demanded) {
            return Err(Errno::NOTDIR);
        }
        // The root never moves. It is said before everything in it is looked at.
        if path::split(&source.path).is_none() || path::split(&target.path).is_none() {
            return Err(Errno::BUSY);
        }
        if is_directory(source) {
            self.judge_moved(&source.path, &target.path)?;
        }
        if exchange && is_directory(target) {
            self.judge_moved(&target.path, &source.path)?;
        }
        let (old, new) = (Entry::of(&source.path)?, Entry::of(&target.path)?);
        let careful = if target.object.is_err() && !exchange { flags | RenameFlags::NOREPLACE } else { flags };
        self.still_waiting()?;
        renameat_with(&old.parent, &old.name, &new.parent, &new.name, careful)?;
        Ok(Answer::DONE)
    }
}

fn is_directory(located: &Located) -> bool {
    located.object().and_then(kind_of) == Some(VnodeType::Directory)
}

pub(super) fn kind_of(object: impl AsFd) -> Option<VnodeType> {
    super::call::vnode_type(&rustix::fs::fstat(object).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_component_is_taken_as_spelt() {
        for (raw, last) in [("a/b", "b"), ("a/b//", "b"), ("a/.", "."), ("a/..//", ".."), ("/", ""), ("x", "x")] {
            assert_eq!(last_spelt(raw.as_bytes()), last.as_bytes(), "{raw}");
        }
    }
}
