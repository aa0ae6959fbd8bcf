//! Listing a directory without following links.

use rustix::fs::FileType;

use super::{Dir, FsError};

/// What kind of thing a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A FIFO, socket or device.
    Special,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name; bytes that are not UTF-8 are shown as U+FFFD and such an entry can only be reported, not opened.
    pub name: String,
    /// Its kind.
    pub kind: EntryKind,
}

impl Dir {
    /// The entries, without `.` and `..`, sorted by name; at most `limit` are returned, the flag says if there are more.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self, limit: usize) -> Result<(Vec<Entry>, bool), FsError> {
        let mut entries = Vec::new();
        let all = self.visit(&mut |name, kind| {
            let wanted = entries.len() < limit;
            if wanted {
                entries.push(Entry { name: name.to_owned(), kind });
            }
            wanted
        })?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((entries, !all))
    }

    /// Shows every entry without `.` and `..`, in the order of the file system, until `visit` answers `false`; whether it
    /// never did. A name is shown as in [`Entry::name`].
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn visit(&self, visit: &mut dyn FnMut(&str, EntryKind) -> bool) -> Result<bool, FsError> {
        let fail = |e: rustix::io::Errno| FsError::io("list", self.path(), e);
        let mut entries = rustix::fs::Dir::read_from(&self.handle).map_err(fail)?;
        while let Some(entry) = entries.read() {
            let entry = entry.map_err(fail)?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => self.kind_of(entry.file_name()).map_err(fail)?,
                known => known,
            };
            if !visit(&entry.file_name().to_string_lossy(), entry_kind(kind)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Some file systems leave the type out of the listing.
    fn kind_of(&self, name: &std::ffi::CStr) -> Result<FileType, rustix::io::Errno> {
        let stat = rustix::fs::statat(&self.handle, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }
}

fn entry_kind(kind: FileType) -> EntryKind {
    match kind {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Link,
        _ => EntryKind::Special,
    }
}
