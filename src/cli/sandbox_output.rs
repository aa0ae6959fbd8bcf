//! The files that `sandbox run` writes beside what the command does.
//!
//! They are opened before the command begins, because afterwards this process is inside its own outer domain and can make no file.
//! What stands in one stays until there is something to put in its place.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::context::Context;
use crate::base::cancel::Cancel;
use crate::os::{fd, fifo, fs};

/// One file.
#[derive(Debug)]
pub(super) struct Output {
    /// What goes there, as a plural noun or with its article.
    pub(super) what: &'static str,
    /// As the user wrote it.
    pub(super) shown: PathBuf,
    file: File,
    path: PathBuf,
    /// Whether it was not there before.
    made: bool,
    place: Place,
}

/// What a path leads to.
#[derive(Debug)]
enum Place {
    /// A regular file, by the path without links that led to it.
    File(PathBuf),
    /// A descriptor of this process that leads to a regular file. What others write there stays.
    Descriptor,
    /// A device or a pipe.
    Other,
}

impl Output {
    /// Opens the file, and makes it where there is none. A named pipe is waited for until somebody reads it, or `cancel` is set.
    pub(super) fn open(what: &'static str, shown: &Path, context: &Context, cancel: &Cancel) -> anyhow::Result<Self> {
        let path = context.absolute(shown);
        let open = |new: bool| fifo::open_with_reader(&path, new, cancel);
        let (opened, made) = match open(true) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => (open(false), false),
            opened => (opened, true),
        };
        let opened = opened.and_then(|file| Ok((Place::of(&file, &path)?, file)));
        let (place, mut file) = opened.with_context(|| format!("cannot write {}", shown.display()))?;
        if let (Place::Descriptor, Some(number)) = (&place, descriptor(&path)) {
            // Its own position goes along, so that what is written to it afterwards comes behind.
            file = fd::duplicate(number).with_context(|| format!("cannot write {}", shown.display()))?.into();
        }
        Ok(Self { what, shown: shown.to_owned(), file, path, made, place })
    }

    /// Puts `text` in place of what the file holds.
    pub(super) fn write(&mut self, text: &str) -> std::io::Result<()> {
        if matches!(self.place, Place::Descriptor) {
            self.file.seek(SeekFrom::End(0))?;
            return self.file.write_all(text.as_bytes());
        }
        fs::overwrite(&mut self.file, text.as_bytes())?;
        // The program may have been allowed to put another file there, and nobody would read this one.
        if self.stands() { Ok(()) } else { Err(std::io::Error::other(REPLACED)) }
    }

    /// Whether the path still leads to the file, by the way it did.
    fn stands(&self) -> bool {
        let Place::File(place) = &self.place else { return true };
        let there = self.path.canonicalize().ok().filter(|now| now == place);
        let there = there.and_then(|path| identity(&path.symlink_metadata().ok()?));
        there.is_some() && there == self.identity()
    }

    /// There is nothing to tell: a file that was made for it is taken away again where that is still possible.
    pub(super) fn withdraw(&self) {
        let there = self.path.symlink_metadata().ok().and_then(|metadata| identity(&metadata));
        if self.made && there.is_some() && there == self.identity() {
            // An empty file that stays does no harm.
            let _ = fs::remove(&self.path);
        }
    }

    /// As the command line names it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn identity(&self) -> Option<(u64, u64)> {
        identity(&self.file.metadata().ok()?)
    }
}

const REPLACED: &str = "the file was removed or replaced while the command ran";

impl Place {
    fn of(file: &File, path: &Path) -> std::io::Result<Self> {
        Ok(match (file.metadata()?.is_file(), descriptor(path)) {
            (false, _) => Self::Other,
            (true, Some(_)) => Self::Descriptor,
            (true, None) => Self::File(path.canonicalize()?),
        })
    }
}

/// The number of the descriptor that a path names.
fn descriptor(path: &Path) -> Option<i32> {
    match path.to_str()? {
        "/dev/stdin" => Some(0),
        "/dev/stdout" => Some(1),
        "/dev/stderr" => Some(2),
        path => path.strip_prefix("/dev/fd/").or_else(|| path.strip_prefix("/proc/self/fd/"))?.parse().ok(),
    }
}

/// What tells regular files apart.
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    metadata.is_file().then(|| (metadata.dev(), metadata.ino()))
}
