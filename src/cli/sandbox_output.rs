//! The files that `sandbox run` writes beside what the command does.
//!
//! They are opened before the command begins, because afterwards this process is inside its own outer domain and can make no file.
//! What stands in one stays until there is something to put in its place.

use std::fs::{File, Metadata, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::context::Context;
use super::exit::Failure;
use crate::os::fs;

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
}

impl Output {
    /// Opens the file, and makes it where there is none.
    pub(super) fn open(what: &'static str, shown: &Path, context: &Context) -> anyhow::Result<Self> {
        let path = context.absolute(shown);
        let open = |new: bool| OpenOptions::new().write(true).create(!new).create_new(new).truncate(false).open(&path);
        let (opened, made) = match open(true) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => (open(false), false),
            opened => (opened, true),
        };
        let file = opened.with_context(|| format!("cannot write {}", shown.display()))?;
        Ok(Self { what, shown: shown.to_owned(), file, path, made })
    }

    /// Puts `text` in place of what the file holds.
    pub(super) fn write(&mut self, text: &str) -> std::io::Result<()> {
        fs::overwrite(&mut self.file, text.as_bytes())
    }

    /// There is nothing to tell: a file that was made for it is taken away again where that is still possible.
    pub(super) fn withdraw(&self) {
        let there = self.path.symlink_metadata().ok().and_then(|metadata| identity(&metadata));
        if self.made && there.is_some() && there == self.identity() {
            // An empty file that stays does no harm.
            let _ = fs::remove(&self.path);
        }
    }

    fn identity(&self) -> Option<(u64, u64)> {
        identity(&self.file.metadata().ok()?)
    }
}

/// What tells regular files apart; devices and pipes may be written twice.
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    metadata.is_file().then(|| (metadata.dev(), metadata.ino()))
}

/// Nothing that is read is written over, and no two outputs go to one file.
pub(super) fn refuse_overwriting(outputs: &[&Output], inputs: &[PathBuf]) -> Result<(), Failure> {
    // A file that was made a moment ago is none of those that were there.
    if outputs.iter().all(|output| output.made) {
        return Ok(());
    }
    let mut taken: Vec<(u64, u64)> = inputs.iter().filter_map(|path| identity(&path.metadata().ok()?)).collect();
    for output in outputs {
        let Some(own) = output.identity() else { continue };
        if taken.contains(&own) {
            return Err(Failure::usage(format!("{} is read or written already", output.shown.display())));
        }
        taken.push(own);
    }
    Ok(())
}
