//! Writing beneath a directory: unique temp in the same directory, write, rename; durability in one batch.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{Dir, FsError, batch, beneath, fault};
use crate::base::rel_path::RelPath;

/// How often a fresh temporary name is tried; names are random, so a second try is already rare.
const NAME_ATTEMPTS: usize = 8;

impl Dir {
    /// Replaces the file `name` whole: unique temp beside it, write, rename. Missing directories on the way are made.
    /// Nothing is synced.
    ///
    /// # Errors
    /// A directory, the temporary file or the rename failed; the temporary file is removed again.
    pub fn write(&self, name: &RelPath, bytes: &[u8]) -> Result<(), FsError> {
        self.replace(name, bytes, false)
    }

    /// As [`Dir::write`], with the file synced before the rename and its directory after it.
    ///
    /// # Errors
    /// As [`Dir::write`]; a sync failed.
    pub fn write_synced(&self, name: &RelPath, bytes: &[u8]) -> Result<(), FsError> {
        self.replace(name, bytes, true)
    }

    /// Removes the file `name` (one component or more).
    ///
    /// # Errors
    /// The system's answer.
    pub fn remove_file(&self, name: &RelPath) -> Result<(), FsError> {
        let (parent, last) = self.parent_of(name)?;
        let path = self.path().join(name.as_str());
        fault::point("remove", &path)?;
        rustix::fs::unlinkat(parent.as_ref().unwrap_or(&self.handle), last, AtFlags::empty())
            .map_err(|e| FsError::io("remove", path, e))
    }

    /// Makes this directory's own entries durable.
    ///
    /// # Errors
    /// The system's answer.
    pub fn sync(&self) -> Result<(), FsError> {
        fault::point("sync directory", self.path())?;
        sync_handle(&self.handle, self.path())
    }

    /// Makes `names` beneath this directory durable, with every directory on the way, this one, and its entry in
    /// `parent`: one `syncfs(2)` where the system has it (a fresh directory is on its parent's file system), else file
    /// by file. One flush of the device costs less, and varies less, than one per file.
    ///
    /// # Errors
    /// A file cannot be opened or synced.
    pub fn sync_batch(&self, names: &[RelPath], parent: &Dir) -> Result<(), FsError> {
        fault::point("sync batch in", self.path())?;
        if batch::sync_filesystem(&self.handle).map_err(|e| FsError::io("sync", self.path(), e))? {
            return Ok(());
        }
        self.sync_each(names)?;
        parent.sync()
    }

    /// Syncs `names` file by file, then every directory on the way, the deepest first, then this one.
    fn sync_each(&self, names: &[RelPath]) -> Result<(), FsError> {
        let mut directories = std::collections::BTreeSet::new();
        for name in names {
            let opened = self.open_file(name)?;
            sync_handle(&opened.file, &self.path().join(name.as_str()))?;
            let mut parent = name.as_str();
            while let Some((head, _)) = parent.rsplit_once('/') {
                directories.insert(RelPath::try_from(head).expect("the head of a valid relative path is one"));
                parent = head;
            }
        }
        for directory in directories.iter().rev() {
            self.open_dir(directory)?.sync()?;
        }
        self.sync()
    }

    fn replace(&self, name: &RelPath, bytes: &[u8], synced: bool) -> Result<(), FsError> {
        let (parent, last) = self.parent_of(name)?;
        let parent = parent.as_ref().unwrap_or(&self.handle);
        let target = self.path().join(name.as_str());
        replace_in(parent, last, bytes, synced, &target)
    }

    /// The open directory that holds the last component (`None`: this one), made on the way where missing.
    fn parent_of<'n>(&self, name: &'n RelPath) -> Result<(Option<File>, &'n str), FsError> {
        let Some((parents, last)) = name.as_str().rsplit_once('/') else {
            return Ok((None, name.as_str()));
        };
        let parents = RelPath::try_from(parents).expect("the head of a valid relative path is one");
        match self.open_dir(&parents) {
            Ok(directory) => return Ok((Some(directory.handle), last)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        let mut held: Option<File> = None;
        let mut walked = self.path().to_owned();
        for component in parents.components() {
            let name = RelPath::try_from(component).expect("a component of a valid relative path is one");
            walked.push(component);
            let next = make_and_open(held.as_ref().unwrap_or(&self.handle), &name, &walked)?;
            held = Some(next);
        }
        Ok((held, last))
    }
}

fn make_and_open(parent: &File, name: &RelPath, path: &Path) -> Result<File, FsError> {
    fault::point("create directory", path)?;
    match rustix::fs::mkdirat(parent, name.as_str(), Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(FsError::io("create directory", path, error)),
    }
    let handle = beneath::open(parent, name, super::DIRECTORY).map_err(|e| match e {
        Errno::LOOP | Errno::NOTDIR => FsError::Link { path: path.to_owned() },
        errno => FsError::io("open", path, errno),
    })?;
    Ok(handle.into())
}

/// Unique temp in `parent`, write, (sync,) rename over `last`, (sync the directory). `target` is for messages.
pub(super) fn replace_in(parent: &File, last: &str, bytes: &[u8], synced: bool, target: &Path) -> Result<(), FsError> {
    replace_in_with(parent, last, |temp| temp.write_all(bytes), synced, target)
}

/// As [`replace_in`], with what `fill` writes.
pub(super) fn replace_in_with(
    parent: &File,
    last: &str,
    fill: impl FnOnce(&mut File) -> std::io::Result<()>,
    synced: bool,
    target: &Path,
) -> Result<(), FsError> {
    fault::point("write", target)?;
    let (temp_name, mut temp) = create_temp(parent, target)?;
    let written = fill(&mut temp)
        .map_err(|e| FsError::io("write", target, e))
        .and_then(|()| {
            if !synced {
                return Ok(());
            }
            fault::point("sync", target)?;
            sync_handle(&temp, target)
        })
        .and_then(|()| {
            fault::point("rename", target)?;
            rustix::fs::renameat(parent, &temp_name, parent, last).map_err(|e| FsError::io("rename", target, e))
        });
    if let Err(error) = written {
        // Best effort: the name is ours alone, and the first error is the one to report.
        if fault::point("remove the temporary file of", target).is_ok() {
            let _ = rustix::fs::unlinkat(parent, &temp_name, AtFlags::empty());
        }
        return Err(error);
    }
    if synced {
        fault::point("sync directory", target)?;
        sync_handle(parent, target.parent().unwrap_or(target))?;
    }
    Ok(())
}

fn create_temp(parent: &File, target: &Path) -> Result<(String, File), FsError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut last = Errno::EXIST;
    for _ in 0..NAME_ATTEMPTS {
        let name = format!("{TEMP_PREFIX}{}", uuid::Uuid::new_v4().simple());
        match rustix::fs::openat(parent, &name, flags, Mode::from_raw_mode(0o666)) {
            Ok(handle) => return Ok((name, OwnedFd::into(handle))),
            Err(Errno::EXIST) => last = Errno::EXIST,
            Err(error) => return Err(FsError::io("create a temporary file beside", target, error)),
        }
    }
    Err(FsError::io("create a temporary file beside", target, last))
}

/// What the names of temporary files begin with; a killed writer may leave one behind.
pub(super) const TEMP_PREFIX: &str = ".tmp-";

/// Syncs one file or directory (macOS: `F_FULLFSYNC`, as the standard library does).
fn sync_handle(handle: &File, path: &Path) -> Result<(), FsError> {
    handle.sync_all().map_err(|e| FsError::io("sync", PathBuf::from(path), e))
}

#[cfg(test)]
mod tests {
    use super::super::fault_testing as fault;
    use super::*;

    fn name(text: &str) -> RelPath {
        RelPath::try_from(text).unwrap()
    }

    fn listing(dir: &Dir) -> Vec<String> {
        dir.list(100).unwrap().0.into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn a_write_replaces_whole_files_and_leaves_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        dir.write(&name("a/b/c"), b"one").unwrap();
        dir.write_synced(&name("a/b/c"), b"two").unwrap();
        assert_eq!(dir.read(&name("a/b/c"), 10).unwrap(), b"two");
        assert_eq!(listing(&dir.open_dir(&name("a/b")).unwrap()), ["c"]);
    }

    #[test]
    fn a_failed_write_keeps_the_old_file_and_removes_its_temporary_one() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        // A file cannot replace a directory: the rename fails after the temporary file was written.
        std::fs::create_dir(temp.path().join("taken")).unwrap();
        let error = dir.write(&name("taken"), b"x").unwrap_err();
        assert!(error.to_string().starts_with("cannot rename "), "{error}");
        assert_eq!(listing(&dir), ["taken"]);
    }

    #[test]
    fn links_are_not_written_through() {
        let temp = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        std::os::unix::fs::symlink(outside.path(), temp.path().join("sub")).unwrap();
        assert!(matches!(dir.write(&name("sub/file"), b"x"), Err(FsError::Link { .. })));
        assert!(matches!(dir.write(&name("sub/deeper/file"), b"x"), Err(FsError::Link { .. })));
        assert!(std::fs::read_dir(outside.path()).unwrap().next().is_none());
        // A link in the place of the file itself is replaced, not followed.
        let target = outside.path().join("target");
        dir.write(&name("plain"), b"x").unwrap();
        std::os::unix::fs::symlink(&target, temp.path().join("link")).unwrap();
        dir.write(&name("link"), b"y").unwrap();
        assert!(!target.exists());
        assert_eq!(dir.read(&name("link"), 10).unwrap(), b"y");
    }

    #[test]
    fn a_batch_is_synced_file_by_file_where_there_is_no_better_way() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let names = [name("x"), name("a/b/c"), name("a/d")];
        for name in &names {
            dir.write(name, b"1").unwrap();
        }
        dir.sync_batch(&names, &Dir::open(temp.path().parent().unwrap()).unwrap()).unwrap();
        fault::stop_after(usize::MAX);
        dir.sync_each(&names).unwrap();
        let synced = fault::resume();
        let root = format!("sync directory {}", temp.path().file_name().unwrap().to_str().unwrap());
        assert_eq!(synced, ["sync directory b", "sync directory a", root.as_str()]);
        assert!(dir.sync_each(&[name("absent")]).unwrap_err().is_not_found());
    }
}
