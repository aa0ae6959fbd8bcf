//! Writing beneath a directory: unique temp in the same directory, write, rename; durability in one batch.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::fault::{self, Change, HandedOut};
use super::{Dir, FsError, beneath};
use crate::base::rel_path::RelPath;

/// How often a fresh temporary name is tried; names are random, so a second try is already rare.
const NAME_ATTEMPTS: usize = 8;

/// Threads that sync the files of a batch. 100 files on ext4: 1 thread 70 ms, 4 40 ms, 16 23 ms, 32 10 ms; `syncfs` 13 ms.
const SYNC_THREADS: usize = 32;

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
        fault::attempt(Change::new("remove", &path), || {
            rustix::fs::unlinkat(parent.as_ref().unwrap_or(&self.handle), last, AtFlags::empty())
        })
    }

    /// Makes this directory's own entries durable.
    ///
    /// # Errors
    /// The system's answer.
    pub fn sync(&self) -> Result<(), FsError> {
        sync_handle(&self.handle, Change::new("sync directory", self.path()))
    }

    /// Makes `names` beneath this directory durable, with every directory on the way, this one, and its entry in
    /// `parent`.
    ///
    /// Files are synced by many threads at once: the file system then writes its journal once for many of them. That is as
    /// fast as `syncfs(2)`, which would wait for everybody else's data too, and which some file systems do not implement
    /// (FUSE) and old kernels let fail in silence.
    ///
    /// # Errors
    /// A file cannot be opened or synced; the first by name.
    pub fn sync_batch(&self, names: &[RelPath], parent: &Dir) -> Result<(), FsError> {
        self.sync_files(names)?;
        let mut directories = std::collections::BTreeSet::new();
        for name in names {
            let mut parent = name.as_str();
            while let Some((head, _)) = parent.rsplit_once('/') {
                directories.insert(RelPath::try_from(head).expect("the head of a valid relative path is one"));
                parent = head;
            }
        }
        // The deepest first.
        for directory in directories.iter().rev() {
            self.open_dir(directory)?.sync()?;
        }
        self.sync()?;
        parent.sync()
    }

    fn sync_files(&self, names: &[RelPath]) -> Result<(), FsError> {
        let path = |name: &RelPath| self.path().join(name.as_str());
        let handed_out: Vec<HandedOut> =
            names.iter().map(|name| fault::hand_out(Change::new("sync", &path(name)))).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut failed: Option<(usize, FsError)> = None;
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((name, change)) = names.get(at).zip(handed_out.get(at)) else { return failed };
                let path = path(name);
                let synced = self
                    .open_file(name)
                    .and_then(|opened| change.attempt(Change::new("sync", &path), || sync(&opened.file)));
                if let Err(error) = synced {
                    failed.get_or_insert((at, error));
                }
            }
        };
        let failed = std::thread::scope(|scope| {
            let helpers = SYNC_THREADS.min(names.len()).saturating_sub(1);
            // Fewer threads than wanted are no reason to fail: this one does what is left.
            let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
            let helpers: Vec<_> = (0..helpers).map_while(spawn).collect();
            let own = work();
            let theirs = helpers.into_iter().filter_map(|helper| helper.join().expect("syncing does not panic"));
            own.into_iter().chain(theirs).min_by_key(|(at, _)| *at)
        });
        failed.map_or(Ok(()), |(_, error)| Err(error))
    }

    fn replace(&self, name: &RelPath, bytes: &[u8], synced: bool) -> Result<(), FsError> {
        let (parent, last) = self.parent_of(name)?;
        let parent = parent.as_ref().unwrap_or(&self.handle);
        let target = self.path().join(name.as_str());
        replace_in(parent, last.as_ref(), bytes, synced, &target)
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
    fault::attempt(Change::new("create directory", path), || {
        match rustix::fs::mkdirat(parent, name.as_str(), Mode::from_raw_mode(0o777)) {
            Err(Errno::EXIST) => Ok(()),
            answer => answer,
        }
    })?;
    let handle = beneath::open(parent, name.into(), super::DIRECTORY).map_err(|e| match e {
        Errno::LOOP | Errno::NOTDIR => FsError::Link { path: path.to_owned() },
        errno => FsError::io("open", path, errno),
    })?;
    Ok(handle.into())
}

/// Unique temp in `parent`, write, (sync,) rename over `last`, (sync the directory). `target` is for messages.
pub(super) fn replace_in(
    parent: &File,
    last: &OsStr,
    bytes: &[u8],
    synced: bool,
    target: &Path,
) -> Result<(), FsError> {
    fill_and_replace(parent, last, |temp| temp.write_all(bytes), bytes, synced, target)
}

/// As [`replace_in`], with what `fill` writes.
pub(super) fn replace_in_with(
    parent: &File,
    last: &OsStr,
    fill: impl FnOnce(&mut File) -> std::io::Result<()>,
    synced: bool,
    target: &Path,
) -> Result<(), FsError> {
    fill_and_replace(parent, last, fill, &[], synced, target)
}

/// `recorded` is what tests are told that `fill` writes.
fn fill_and_replace(
    parent: &File,
    last: &OsStr,
    fill: impl FnOnce(&mut File) -> std::io::Result<()>,
    recorded: &[u8],
    synced: bool,
    target: &Path,
) -> Result<(), FsError> {
    let (temp_name, mut temp) = create_temp(parent, target)?;
    let temp_path = target.with_file_name(&temp_name);
    let change = |action| Change::new(action, target).temp(&temp_path);
    let written = fault::attempt(change("write").bytes(recorded), || Ok(()))
        .and_then(|()| fill(&mut temp).map_err(|e| FsError::io("write", target, e)))
        .and_then(|()| if synced { sync_handle(&temp, change("sync")) } else { Ok(()) })
        .and_then(|()| fault::attempt(change("rename"), || rustix::fs::renameat(parent, &temp_name, parent, last)));
    if let Err(error) = written {
        // Best effort: the name is ours alone, and the first error is the one to report.
        let remove = change("remove the temporary file of");
        let _ = fault::attempt(remove, || rustix::fs::unlinkat(parent, &temp_name, AtFlags::empty()));
        return Err(error);
    }
    if synced {
        sync_handle(parent, Change::new("sync directory", target.parent().unwrap_or(target)))?;
    }
    Ok(())
}

fn create_temp(parent: &File, target: &Path) -> Result<(String, File), FsError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut attempts = 0;
    fault::attempt(Change::new("create a temporary file beside", target), || {
        loop {
            let name = format!("{TEMP_PREFIX}{}", uuid::Uuid::new_v4().simple());
            attempts += 1;
            match rustix::fs::openat(parent, &name, flags, Mode::from_raw_mode(0o666)) {
                Err(Errno::EXIST) if attempts < NAME_ATTEMPTS => {}
                answer => return answer.map(|handle| (name, OwnedFd::into(handle))),
            }
        }
    })
}

/// What the names of temporary files begin with; a killed writer may leave one behind.
pub(super) const TEMP_PREFIX: &str = ".tmp-";

/// Syncs one file or directory.
fn sync_handle(handle: &File, change: Change<'_>) -> Result<(), FsError> {
    fault::attempt(change, || sync(handle))
}

/// As the standard library does: `fsync`, on macOS `F_FULLFSYNC`; a signal that arrives meanwhile does not end it.
fn sync(handle: &File) -> Result<(), Errno> {
    handle.sync_all().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
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
    fn a_batch_syncs_every_file_then_the_directories_from_the_deepest_up() {
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::open(temp.path()).unwrap();
        let dir = root.create_dir(&name("run")).unwrap();
        let names = [name("x"), name("a/b/c"), name("a/d")];
        for name in &names {
            dir.write(name, b"1").unwrap();
        }
        fault::stop_after(usize::MAX);
        dir.sync_batch(&names, &root).unwrap();
        let synced = fault::resume();
        let root_name = format!("sync directory {}", temp.path().file_name().unwrap().to_str().unwrap());
        let expected = ["sync x", "sync c", "sync d", "sync directory b", "sync directory a", "sync directory run"];
        assert_eq!(synced[..6], expected);
        assert_eq!(synced[6..], [root_name]);
        // Every one of a hundred can fail, in whichever thread, and is the one that is named; a signal is no failure.
        let full: Vec<RelPath> = (0..100).map(|at| name(&format!("full/{at:02}"))).collect();
        for name in &full {
            dir.write(name, b"1").unwrap();
        }
        for (at, file) in full.iter().enumerate() {
            for errno in [Errno::IO, Errno::NOSPC] {
                fault::fail_after(at, errno);
                let error = dir.sync_batch(&full, &root).unwrap_err().to_string();
                assert!(error.starts_with("cannot sync ") && error.ends_with(file.as_str()), "{at}: {error}");
                assert_eq!(fault::made().len(), full.len() - 1);
            }
            fault::fail_after(at, Errno::INTR);
            dir.sync_batch(&full, &root).unwrap();
            assert_eq!(fault::made().len(), full.len() + 3);
        }
        let many: Vec<RelPath> = (0..100).map(|at| name(&format!("absent{at:02}"))).collect();
        let error = dir.sync_batch(&many, &root).unwrap_err();
        assert!(error.is_not_found() && error.to_string().ends_with("absent00"), "{error}");
    }
}
