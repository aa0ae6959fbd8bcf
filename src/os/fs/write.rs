//! Writing beneath a directory: unique temp in the same directory, write, rename; durability in one batch.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
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
        let (parent, last) = self.parent_of(name)?;
        let parent = parent.as_ref().unwrap_or(&self.handle);
        Prepared::of_bytes(parent, last.as_ref(), self.path().join(name.as_str()), bytes)?.rename()
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

    /// Writes `bytes` to a temporary file beside `name` (one component). It is synced with a batch ([`Dir::sync_batch`]) and
    /// put in its place after that ([`Prepared::put`]).
    ///
    /// # Errors
    /// The temporary file cannot be made or written; it is removed again.
    pub fn prepare(&self, name: &RelPath, bytes: &[u8]) -> Result<Prepared<'_>, FsError> {
        Prepared::of_bytes(&self.handle, name.as_str().as_ref(), self.path().join(name.as_str()), bytes)
    }

    /// Makes `names` beneath this directory durable, with every directory on the way, this one, its entry in `parent`, and
    /// the contents of `prepared` files.
    ///
    /// All are synced by many threads at once: the file system then writes its journal once for many of them. That is as
    /// fast as `syncfs(2)`, which would wait for everybody else's data too, and which some file systems do not implement
    /// (FUSE) and old kernels let fail in silence. In which order they reach the disk does not matter: nothing refers to them
    /// before all have.
    ///
    /// # Errors
    /// A file or directory cannot be opened or synced; the first by name.
    pub fn sync_batch(&self, names: &[RelPath], prepared: &[&Prepared<'_>], parent: &Dir) -> Result<(), FsError> {
        let mut directories = BTreeSet::new();
        for name in names {
            let mut parent = name.as_str();
            while let Some((head, _)) = parent.rsplit_once('/') {
                directories.insert(RelPath::try_from(head).expect("the head of a valid relative path is one"));
                parent = head;
            }
        }
        let beneath = |name: &RelPath| self.path().join(name.as_str());
        let files = names.iter().map(|name| (Synced::File(self, name), beneath(name)));
        let prepared = prepared.iter().map(|one| (Synced::Prepared(one), one.target.clone()));
        let within = directories.iter().map(|name| (Synced::Directory(self, name), beneath(name)));
        let around = [self, parent].map(|dir| (Synced::Held(dir), dir.path().to_owned()));
        sync_all(&files.chain(prepared).chain(within).chain(around).collect::<Vec<_>>())
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

/// Something that a batch makes durable.
enum Synced<'a> {
    File(&'a Dir, &'a RelPath),
    Prepared(&'a Prepared<'a>),
    Directory(&'a Dir, &'a RelPath),
    Held(&'a Dir),
}

impl Synced<'_> {
    fn change<'p>(&'p self, path: &'p Path) -> Change<'p> {
        match self {
            Self::File(..) => Change::new("sync", path),
            Self::Prepared(prepared) => prepared.change("sync"),
            Self::Directory(..) | Self::Held(_) => Change::new("sync directory", path),
        }
    }

    fn sync(&self, path: &Path, handed_out: &HandedOut) -> Result<(), FsError> {
        let through = |handle: &File| handed_out.attempt(self.change(path), || sync(handle));
        match self {
            Self::File(dir, name) => through(&dir.open_file(*name)?.file),
            Self::Prepared(prepared) => through(&prepared.temp),
            Self::Directory(dir, name) => through(&dir.open_dir(name)?.handle),
            Self::Held(dir) => through(&dir.handle),
        }
    }
}

/// Syncs all, by many threads; the first by its place that failed is the one reported.
fn sync_all(all: &[(Synced<'_>, PathBuf)]) -> Result<(), FsError> {
    let handed_out: Vec<HandedOut> = all.iter().map(|(one, path)| fault::hand_out(one.change(path))).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failed: Option<(usize, FsError)> = None;
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(((one, path), handed_out)) = all.get(at).zip(handed_out.get(at)) else { return failed };
            if let Err(error) = one.sync(path, handed_out) {
                failed.get_or_insert((at, error));
            }
        }
    };
    let failed = std::thread::scope(|scope| {
        let helpers = SYNC_THREADS.min(all.len()).saturating_sub(1);
        // Fewer threads than wanted are no reason to fail: this one does what is left.
        let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
        let helpers: Vec<_> = (0..helpers).map_while(spawn).collect();
        let own = work();
        let theirs = helpers.into_iter().filter_map(|helper| helper.join().expect("syncing does not panic"));
        own.into_iter().chain(theirs).min_by_key(|(at, _)| *at)
    });
    failed.map_or(Ok(()), |(_, error)| Err(error))
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

/// A file that is written and not in its place yet. Dropped before that, it is removed.
#[derive(Debug)]
pub struct Prepared<'d> {
    parent: &'d File,
    last: OsString,
    temp: File,
    temp_path: PathBuf,
    target: PathBuf,
    in_place: bool,
}

impl<'d> Prepared<'d> {
    /// A unique temporary file in `parent` that holds `bytes`; `target`, whose last component is `last`, is for messages.
    pub(super) fn of_bytes(parent: &'d File, last: &OsStr, target: PathBuf, bytes: &[u8]) -> Result<Self, FsError> {
        Self::create(parent, last, target, |temp| temp.write_all(bytes), bytes)
    }

    /// As [`Prepared::of_bytes`], with what `fill` writes.
    pub(super) fn filled(
        parent: &'d File,
        last: &OsStr,
        target: PathBuf,
        fill: impl FnOnce(&mut File) -> std::io::Result<()>,
    ) -> Result<Self, FsError> {
        Self::create(parent, last, target, fill, &[])
    }

    /// `recorded` is what tests are told that `fill` writes.
    fn create(
        parent: &'d File,
        last: &OsStr,
        target: PathBuf,
        fill: impl FnOnce(&mut File) -> std::io::Result<()>,
        recorded: &[u8],
    ) -> Result<Self, FsError> {
        let (temp_name, temp) = create_temp(parent, &target)?;
        let temp_path = target.with_file_name(&temp_name);
        let mut prepared = Self { parent, last: last.to_owned(), temp, temp_path, target, in_place: false };
        fault::attempt(prepared.change("write").bytes(recorded), || Ok(()))?;
        fill(&mut prepared.temp).map_err(|error| FsError::io("write", &prepared.target, error))?;
        Ok(prepared)
    }

    /// Makes what the file holds durable, then as [`Prepared::put`].
    pub(super) fn sync_and_put(self) -> Result<(), FsError> {
        sync_handle(&self.temp, self.change("sync"))?;
        self.put()
    }

    /// Puts the file in its place, whatever stood there, and makes that durable. What it holds is durable already when a batch
    /// synced it.
    ///
    /// # Errors
    /// The rename failed, and the temporary file is removed; the directory cannot be synced.
    pub fn put(mut self) -> Result<(), FsError> {
        self.rename()?;
        sync_handle(self.parent, Change::new("sync directory", self.target.parent().unwrap_or(&self.target)))
    }

    /// As [`Prepared::put`], and nothing is made durable.
    pub(super) fn rename(&mut self) -> Result<(), FsError> {
        let rename = || rustix::fs::renameat(self.parent, self.temp_name(), self.parent, &self.last);
        fault::attempt(self.change("rename"), rename)?;
        self.in_place = true;
        Ok(())
    }

    fn temp_name(&self) -> &OsStr {
        self.temp_path.file_name().expect("a temporary file has a name")
    }

    fn change(&self, action: &'static str) -> Change<'_> {
        Change::new(action, &self.target).temp(&self.temp_path)
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        if !self.in_place {
            // Best effort: the name is ours alone, and the error that leads here is the one to report.
            let remove = self.change("remove the temporary file of");
            let _ = fault::attempt(remove, || rustix::fs::unlinkat(self.parent, self.temp_name(), AtFlags::empty()));
        }
    }
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
        dir.write(&name("a/b/c"), b"two").unwrap();
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
    fn a_prepared_file_is_put_in_place_or_removed() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        dir.write(&name("index"), b"old").unwrap();
        drop(dir.prepare(&name("index"), b"dropped").unwrap());
        assert_eq!(listing(&dir), ["index"]);
        let prepared = dir.prepare(&name("index"), b"new").unwrap();
        assert_eq!(dir.read(&name("index"), 10).unwrap(), b"old");
        prepared.put().unwrap();
        assert_eq!(dir.read(&name("index"), 10).unwrap(), b"new");
        assert_eq!(listing(&dir), ["index"]);
        // It cannot be put where a directory stands: nothing is left of it.
        std::fs::create_dir(temp.path().join("taken")).unwrap();
        let error = dir.prepare(&name("taken"), b"x").unwrap().put().unwrap_err();
        assert!(error.to_string().starts_with("cannot rename "), "{error}");
        assert_eq!(listing(&dir), ["index", "taken"]);
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
    fn a_batch_syncs_every_file_and_every_directory() {
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::open(temp.path()).unwrap();
        let dir = root.create_dir(&name("run")).unwrap();
        let names = [name("x"), name("a/b/c"), name("a/d")];
        for name in &names {
            dir.write(name, b"1").unwrap();
        }
        fault::stop_after(usize::MAX);
        let prepared = dir.prepare(&name("index"), b"2").unwrap();
        let earlier = fault::resume();
        fault::stop_after(usize::MAX);
        dir.sync_batch(&names, &[&prepared], &root).unwrap();
        let synced = fault::resume();
        let root_name = format!("sync directory {}", temp.path().file_name().unwrap().to_str().unwrap());
        let files = ["sync x", "sync c", "sync d", "sync index"];
        let directories = ["sync directory a", "sync directory b", "sync directory run", &root_name];
        assert_eq!(earlier, ["create a temporary file beside index", "write index"]);
        assert_eq!(synced, [files, directories].concat());
        // Every one of a hundred can fail, in whichever thread, and is the one that is named; a signal is no failure.
        let full: Vec<RelPath> = (0..100).map(|at| name(&format!("full/{at:02}"))).collect();
        for name in &full {
            dir.write(name, b"1").unwrap();
        }
        for (at, file) in full.iter().enumerate() {
            for errno in [Errno::IO, Errno::NOSPC] {
                fault::fail_after(at, errno);
                let error = dir.sync_batch(&full, &[], &root).unwrap_err().to_string();
                assert!(error.starts_with("cannot sync ") && error.ends_with(file.as_str()), "{at}: {error}");
                assert_eq!(fault::made().len(), full.len() + 2);
            }
            fault::fail_after(at, Errno::INTR);
            dir.sync_batch(&full, &[], &root).unwrap();
            assert_eq!(fault::made().len(), full.len() + 3);
        }
        let many: Vec<RelPath> = (0..100).map(|at| name(&format!("absent{at:02}"))).collect();
        let error = dir.sync_batch(&many, &[], &root).unwrap_err();
        assert!(error.is_not_found() && error.to_string().ends_with("absent00"), "{error}");
    }
}
