//! A directory that is renamed takes along what lies in it.
//!
//! For every entry below, the call is what it would be for that entry alone: `file-write-unlink` on the old path and
//! `file-write-create` on the new one. Otherwise a file would move out from under the rule about it, or to where the rules
//! let nobody make it. Where the rules cannot tell the entries apart nobody looks at them. What lies in a directory stays
//! as it was judged until the directory has moved: other calls that make or move entries wait ([`Moves`]). They wait for that
//! judgement and the call, never for the look-up of somebody else's path.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::fs::{Dir, Mode, OFlags, openat};
use rustix::io::Errno;

use super::call::{Call, REFUSED};
use super::entries::{CREATE, UNLINK, kind_of};
use super::path;
use super::resolve::open_proven;
use crate::sandbox::weaken::{Protection, off};
use crate::sbpl::VnodeType;
use crate::vocab::Operation;

const UNSEEN: &str = "what lies in the directory cannot be looked at, so it could not be judged under its new path";

/// Keeps calls that move entries apart from each other and from those that make some.
#[derive(Debug, Default)]
pub(super) struct Moves(RwLock<()>);

/// The part of one call, until it is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held, not looked at")]
pub(super) enum Part<'m> {
    Makes(RwLockReadGuard<'m, ()>),
    Moves(RwLockWriteGuard<'m, ()>),
}

impl Moves {
    /// The part of a call that makes an entry: taken before the directory is opened that the entry is made in.
    pub(super) fn making(&self) -> Option<Part<'_>> {
        (!off(Protection::StillEntries)).then(|| Part::Makes(self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The part of a call that moves an entry: taken before what is there is judged.
    pub(super) fn moving(&self) -> Option<Part<'_>> {
        (!off(Protection::StillEntries)).then(|| Part::Moves(self.0.write().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Call<'_> {
    /// Judges what lies below a directory that is about to move. A refusal is recorded for the first entry, by name, that
    /// may not.
    pub(super) fn judge_moved(&mut self, from: &[u8], to: &[u8]) -> Result<(), Errno> {
        if off(Protection::MovedEntries) || (self.is_whole(UNLINK, from) && self.is_whole(CREATE, to)) {
            return Ok(());
        }
        let mark = self.mark();
        let judged = self.judge_entries(from, to);
        self.forget_permitted_since(mark);
        judged.map_err(|errno| match errno {
            // By the profile, or nobody waits for it any more.
            REFUSED | Errno::INTR => errno,
            _ => self.turn_down(UNLINK, from, UNSEEN),
        })
    }

    /// Whether an operation is allowed on a whole tree.
    fn is_whole(&self, operation: &str, tree: &[u8]) -> bool {
        std::str::from_utf8(tree).is_ok_and(|tree| self.shared.policy.allows_beneath(&Operation::new(operation), tree))
    }

    /// Names wait in a list instead of callers on the stack, and one directory is open at a time: a tree can be deeper than either
    /// holds.
    fn judge_entries(&mut self, from: &[u8], to: &[u8]) -> Result<(), Errno> {
        let (mut old, mut new) = (from.to_vec(), to.to_vec());
        // The directory looked at, known by its path's length: what lies in it is done before another one of that length is met.
        let mut open = list(from)?.map(|directory| (from.len(), directory));
        // The entries left, the next one last, each with the length of its directory's path.
        let mut left = Vec::new();
        if let Some((_, directory)) = &open {
            self.add_names(directory, from.len(), &mut left)?;
        }
        let mut judged = 0;
        while let Some((length, name)) = left.pop() {
            judged += 1;
            self.now_and_then(judged)?;
            old.truncate(length);
            new.truncate(length - from.len() + to.len());
            if open.as_ref().is_none_or(|(at, _)| *at != length) {
                open = list(&old)?.map(|directory| (length, directory));
            }
            // Removed meanwhile, the directory or the entry.
            let Some((_, directory)) = &open else { continue };
            let object =
                match openat(directory, &name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
                    Err(Errno::NOENT) => continue,
                    object => object?,
                };
            path::push(&mut old, name.to_bytes());
            path::push(&mut new, name.to_bytes());
            for (operation, path) in [(UNLINK, &old), (CREATE, &new)] {
                if !self.allowed(operation, path, Some(object.as_fd())) {
                    return Err(REFUSED);
                }
            }
            if kind_of(&object) == Some(VnodeType::Directory)
                && let Some(directory) = list(&old)?
            {
                self.add_names(&directory, old.len(), &mut left)?;
                open = Some((old.len(), directory));
            }
        }
        Ok(())
    }

    /// Adds what lies in a directory, so that the first by name is taken first.
    fn add_names(&self, directory: &OwnedFd, length: usize, left: &mut Vec<(usize, CString)>) -> Result<(), Errno> {
        let known = left.len();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                left.push((length, entry.file_name().to_owned()));
                self.now_and_then(left.len())?;
            }
        }
        left[known..].sort_unstable_by(|one, other| other.cmp(one));
        Ok(())
    }
}

/// Opens a directory by its canonical path, to see what lies in it; `None` when it was removed meanwhile.
fn list(directory: &[u8]) -> Result<Option<OwnedFd>, Errno> {
    match open_proven(directory, OFlags::RDONLY | OFlags::DIRECTORY) {
        Err(Errno::NOENT) => Ok(None),
        directory => directory.map(Some),
    }
}
