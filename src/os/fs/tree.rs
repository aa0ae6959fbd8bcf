//! Replacing a directory as a whole: built beside it, then put in its place in one step.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawMode, RenameFlags};
use rustix::io::Errno;

use super::fault::{self, Change};
use super::{Dir, FsError};
use crate::base::rel_path::RelPath;

/// A directory with more entries that stay is not replaced.
const MAX_KEPT: usize = 100_000;

/// How the names of directories begin that are being built.
const PREFIX: &str = ".tmp-build-";

/// A directory of such a name that nobody holds, and that has not changed for so long, was left by a build that was killed.
const LEFT_AFTER_S: i64 = 60;

/// How directories of a tree are opened: what was put in their place meanwhile is not followed.
const DIRECTORY: OFlags = super::DIRECTORY.union(OFlags::NOFOLLOW);

/// Makes the directory `target` hold `files`, whole: whoever looks sees it as it was before or with every one of them,
/// even when this process dies. Missing parents are made. What else is in the directory stays: every other file by a
/// second name of the same file, so locks and open descriptors keep their meaning; directories that hold such files are
/// made anew with their mode. Nothing is synced.
///
/// A process that has the old directory as its working directory is left behind in a removed one.
///
/// # Errors
/// The directory cannot be made, or not in one step on this file system; something other than a regular file stands in
/// the place of a file, or other than a directory in that of a directory. `target` is then as it was.
pub fn replace_tree(target: &Path, files: &[(RelPath, Vec<u8>)]) -> Result<(), FsError> {
    // A link that the caller names is followed: the directory it leads to is replaced.
    let target = match target.canonicalize() {
        Ok(path) => path,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => target.to_owned(),
        Err(error) => return Err(FsError::io("open", target, error)),
    };
    let invalid = || FsError::io("replace", &target, std::io::Error::from(std::io::ErrorKind::InvalidInput));
    let name = target.file_name().ok_or_else(invalid)?;
    let parent = Dir::create_all(target.parent().ok_or_else(invalid)?)?;
    sweep(&parent.handle);
    let fresh = Fresh::make(&parent)?;
    for (file, bytes) in files {
        fresh.dir.write(file, bytes)?;
    }
    let old = match Dir::open(&target) {
        Ok(old) => Some(old),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error),
    };
    let Some(old) = old else {
        fault::point("rename", &target)?;
        rustix::fs::renameat(&parent.handle, &fresh.name, &parent.handle, name)
            .map_err(|e| FsError::io("rename", &target, e))?;
        fresh.forget();
        return Ok(());
    };
    // After the exchange it has the temporary name, which others sweep.
    let _ = hold(&old.handle);
    let mut kept = 0;
    keep(&old.handle, &fresh.dir.handle, &target, &mut kept)?;
    copy_mode(&old.handle, &fresh.dir.handle).map_err(|e| FsError::io("set the mode of", &target, e))?;
    fault::point("exchange", &target)?;
    rustix::fs::renameat_with(&parent.handle, &fresh.name, &parent.handle, name, RenameFlags::EXCHANGE)
        .map_err(|e| FsError::io("exchange", &target, e))?;
    // What another process made meanwhile is kept as well; the rest is removed when `fresh`, now the old one, is dropped.
    keep(&old.handle, &fresh.dir.handle, &target, &mut kept)
}

/// Adds `files` to the directory `target`, which stays the directory that it is, also for processes that work in it. Each
/// entry of `target` that they need is moved in whole, that of the first file last: until it is there, the others are parts
/// of nothing. An entry that is there already is not touched.
///
/// # Errors
/// A file cannot be written, or an entry is there already. What was moved in is then taken out again, unless this process
/// dies.
pub fn add_tree(target: &Path, files: &[(RelPath, Vec<u8>)]) -> Result<(), FsError> {
    let target = Dir::open(target)?;
    sweep(&target.handle);
    let fresh = Fresh::make(&target)?;
    let mut entries: Vec<&str> = Vec::new();
    for (file, bytes) in files {
        fresh.dir.write(file, bytes)?;
        let entry = file.components().next().unwrap_or_default();
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    let place = |name: &str| {
        let path = target.path().join(name);
        fault::point("rename", &path)?;
        rustix::fs::renameat_with(&fresh.dir.handle, name, &target.handle, name, RenameFlags::NOREPLACE)
            .map_err(|e| FsError::io("rename", &path, e))
    };
    for (number, name) in entries.iter().rev().enumerate() {
        if let Err(error) = place(name) {
            for moved in entries.iter().rev().take(number) {
                // Best effort: the first error is the one to report.
                let _ = rustix::fs::renameat(&target.handle, *moved, &fresh.dir.handle, *moved);
            }
            return Err(error);
        }
    }
    Ok(())
}

/// The directory under its temporary name. Dropping removes what has that name, with all in it.
struct Fresh<'p> {
    parent: &'p Dir,
    name: String,
    dir: Dir,
}

impl<'p> Fresh<'p> {
    fn make(parent: &'p Dir) -> Result<Self, FsError> {
        let name = format!("{PREFIX}{}", uuid::Uuid::new_v4().simple());
        let path = RelPath::try_from(name.as_str()).expect("a plain file name");
        let dir = parent.create_dir(&path)?;
        // Best effort: without the lock another build could take this one for dead after a minute.
        let _ = hold(&dir.handle);
        Ok(Self { parent, name, dir })
    }

    /// Nothing has the temporary name any more.
    fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        let path = self.parent.path().join(&self.name);
        // Best effort: the name is ours alone, and the first error is the one to report.
        if fault::point("remove the temporary directory", &path).is_ok()
            && let Ok(name) = CString::new(self.name.as_str())
        {
            let _ = remove(&self.parent.handle, &name);
        }
    }
}

/// Says that the directory is in use, until it is closed or this process ends.
fn hold(directory: &File) -> Result<(), Errno> {
    rustix::fs::flock(directory, rustix::fs::FlockOperation::NonBlockingLockExclusive)
}

/// Removes what builds that were killed left in `parent`. Best effort.
fn sweep(parent: &File) {
    let now = now_unix_s();
    let names = names(parent).unwrap_or_default();
    for name in names.iter().filter(|name| name.to_bytes().starts_with(PREFIX.as_bytes())) {
        let Ok(directory) = open(parent, name) else { continue };
        let Ok(stat) = rustix::fs::fstat(&directory) else { continue };
        let ours = stat.st_uid == rustix::process::geteuid().as_raw();
        if ours && now - stat.st_mtime > LEFT_AFTER_S && hold(&directory).is_ok() {
            let _ = remove(parent, name);
        }
    }
}

/// Gives everything in `old` that `new` does not have a place in `new`. `path` is for messages.
fn keep(old: &File, new: &File, path: &Path, kept: &mut usize) -> Result<(), FsError> {
    let fail = |action, path: &Path, errno: Errno| FsError::io(action, path, errno);
    for name in names(old).map_err(|e| fail("list", path, e))? {
        let at = path.join(name.to_string_lossy().as_ref());
        let look = |directory: &File| object(directory, &name).map_err(|e| fail("look up", &at, e));
        let Some((there, there_id)) = look(old)? else { continue };
        match look(new)? {
            Some((_, id)) if id == there_id => continue,
            Some((here, _)) if here == there && matches!(here, FileType::RegularFile | FileType::Directory) => {}
            Some(_) => return Err(FsError::NotRegular { path: at, kind: name_of(there) }),
            None => {
                *kept += 1;
                if *kept > MAX_KEPT {
                    let error = std::io::Error::other(format!("more than {MAX_KEPT} files would have to be kept"));
                    return Err(FsError::io("replace", path, error));
                }
                fault::point("keep", &at)?;
                if there != FileType::Directory {
                    rustix::fs::linkat(old, &name, new, &name, AtFlags::empty()).map_err(|e| fail("keep", &at, e))?;
                    continue;
                }
                rustix::fs::mkdirat(new, &name, Mode::from_raw_mode(0o700)).map_err(|e| fail("keep", &at, e))?;
            }
        }
        if there == FileType::Directory {
            let from = open(old, &name).map_err(|e| fail("open", &at, e))?;
            let to = open(new, &name).map_err(|e| fail("open", &at, e))?;
            keep(&from, &to, &at, kept)?;
            copy_mode(&from, &to).map_err(|e| fail("set the mode of", &at, e))?;
        }
    }
    Ok(())
}

/// What stands in the way, with its article.
fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file in the place of a directory",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        _ => "a FIFO, socket or device",
    }
}

fn names(directory: &File) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// What has the name `name`: its kind and its number.
fn object(directory: &File, name: &CStr) -> Result<Option<(FileType, u64)>, Errno> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some((FileType::from_raw_mode(stat.st_mode), stat.st_ino))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn open(directory: &File, name: &CStr) -> Result<File, Errno> {
    rustix::fs::openat(directory, name, DIRECTORY, Mode::empty()).map(File::from)
}

fn copy_mode(from: &File, to: &File) -> Result<(), Errno> {
    let mode = rustix::fs::fstat(from.as_fd())?.st_mode;
    rustix::fs::fchmod(to, Mode::from_raw_mode((mode & 0o7777) as RawMode))
}

/// Removes the directory `name` with all in it; never follows links.
fn remove(parent: &File, name: &CStr) -> Result<(), Errno> {
    let directory = open(parent, name)?;
    for entry in names(&directory)? {
        match object(&directory, &entry)? {
            Some((FileType::Directory, _)) => remove(&directory, &entry)?,
            Some(_) => rustix::fs::unlinkat(&directory, &entry, AtFlags::empty())?,
            None => {}
        }
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// How the names of directories begin that are being removed.
const REMOVED_PREFIX: &str = ".tmp-removed-";

impl Dir {
    /// Removes the directory `name` (one component) with all in it, never following links. It loses its name in one step
    /// and durably; whoever is killed after that leaves a `.tmp-removed-…` directory ([`Dir::sweep_removed`]).
    ///
    /// # Errors
    /// It cannot be renamed, or something in it cannot be removed.
    pub fn remove_dir(&self, name: &RelPath) -> Result<(), FsError> {
        let path = self.path.join(name.as_str());
        let gone = format!("{REMOVED_PREFIX}{}", uuid::Uuid::new_v4().simple());
        let gone_path = self.path.join(&gone);
        fault::attempt(Change::new("take away", &path).temp(&gone_path), || {
            rustix::fs::renameat(&self.handle, name.as_str(), &self.handle, &gone)
        })?;
        self.sync()?;
        let gone = CString::new(gone).expect("a plain file name has no NUL");
        fault::attempt(Change::new("remove", &path).temp(&gone_path), || remove(&self.handle, &gone))
    }

    /// Removes what killed removals and writers left here: `.tmp-removed-…` directories, and temporary files of this user
    /// that nobody has written to for a minute. Returns how many; what cannot be removed stays.
    pub fn sweep_removed(&self) -> usize {
        let now = now_unix_s();
        let is_old_file = |name: &CStr| {
            name.to_bytes().starts_with(super::write::TEMP_PREFIX.as_bytes())
                && rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
                    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                        && stat.st_uid == rustix::process::geteuid().as_raw()
                        && now - stat.st_mtime > LEFT_AFTER_S
                })
        };
        let removed = |name: &&CString| {
            if name.to_bytes().starts_with(REMOVED_PREFIX.as_bytes()) {
                remove(&self.handle, name).is_ok()
            } else {
                is_old_file(name) && rustix::fs::unlinkat(&self.handle, *name, AtFlags::empty()).is_ok()
            }
        };
        names(&self.handle).unwrap_or_default().iter().filter(removed).count()
    }
}

fn now_unix_s() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(0)
}

/// Which of `names` stand in `directory` already, or would have to stand below something that is no directory.
///
/// # Errors
/// The directory exists and cannot be looked at.
pub fn taken(directory: &Path, names: &[RelPath]) -> Result<Vec<String>, FsError> {
    let dir = match Dir::open(directory) {
        Ok(dir) => dir,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut taken = Vec::new();
    for name in names {
        let parents = name.as_str().match_indices('/').map(|(end, _)| &name.as_str()[..end]);
        let mut blocked = None;
        for parent in parents {
            let path = RelPath::try_from(parent).expect("the head of a valid relative path is one");
            match dir.open_dir(&path) {
                Ok(_) => {}
                Err(error) if error.is_not_found() => break,
                Err(_) => {
                    blocked = Some(parent.to_owned());
                    break;
                }
            }
        }
        match blocked {
            Some(parent) if taken.contains(&parent) => {}
            Some(parent) => taken.push(parent),
            None if dir.contains(name)? => taken.push(name.to_string()),
            None => {}
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::super::fault_testing as fault;
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    fn files(version: &str) -> Vec<(RelPath, Vec<u8>)> {
        ["plan.json", "registry/probes.json", "sb/a.sb"]
            .iter()
            .map(|name| (RelPath::try_from(*name).unwrap(), version.as_bytes().to_vec()))
            .collect()
    }

    /// Every file beneath `path` with its text, sorted.
    fn tree(path: &Path) -> Vec<(String, String)> {
        let walk = walkdir::WalkDir::new(path).sort_by_file_name().into_iter().map(Result::unwrap);
        walk.filter(|entry| entry.file_type().is_file())
            .map(|entry| {
                let name = entry.path().strip_prefix(path).unwrap().display().to_string();
                (name, std::fs::read_to_string(entry.path()).unwrap())
            })
            .collect()
    }

    fn suite(version: &str) -> Vec<(String, String)> {
        let pairs = files(version).into_iter();
        pairs.map(|(name, bytes)| (name.to_string(), String::from_utf8(bytes).unwrap())).collect()
    }

    #[test]
    fn a_directory_is_made_and_made_again_and_nothing_else_is_left() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("a/b");
        for version in ["one", "two"] {
            replace_tree(&target, &files(version)).unwrap();
            assert_eq!(tree(&target), suite(version));
            assert_eq!(std::fs::read_dir(temp.path().join("a")).unwrap().count(), 1);
        }
    }

    #[test]
    fn files_are_added_to_a_directory_that_stays_or_none_is() {
        let temp = tempfile::tempdir().unwrap();
        let inode = || std::fs::metadata(temp.path()).unwrap().ino();
        let before = inode();
        std::fs::create_dir(temp.path().join("sb")).unwrap();
        let error = add_tree(temp.path(), &files("one")).unwrap_err().to_string();
        assert!(error.contains("cannot rename") && error.contains("sb"), "{error}");
        assert_eq!(tree(temp.path()), []);
        std::fs::remove_dir(temp.path().join("sb")).unwrap();
        add_tree(temp.path(), &files("one")).unwrap();
        assert_eq!((tree(temp.path()), inode()), (suite("one"), before));
        assert!(add_tree(temp.path(), &files("two")).is_err());
        assert_eq!(tree(temp.path()), suite("one"));
        assert!(
            std::fs::read_dir(temp.path())
                .unwrap()
                .all(|entry| { !entry.unwrap().file_name().to_string_lossy().starts_with(PREFIX) })
        );
    }

    #[test]
    fn what_is_not_replaced_stays_the_same_file() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("t");
        replace_tree(&target, &files("one")).unwrap();
        std::fs::create_dir_all(target.join("out/run")).unwrap();
        std::fs::create_dir(target.join("sb/more")).unwrap();
        std::fs::set_permissions(target.join("out"), std::fs::Permissions::from_mode(0o750)).unwrap();
        let dir = Dir::open(&target).unwrap();
        for name in ["out/.runtime.lock", "out/run/x", "sb/more/mine.sb", "notes"] {
            dir.write(&RelPath::try_from(name).unwrap(), b"mine").unwrap();
        }
        std::os::unix::fs::symlink("nowhere", target.join("link")).unwrap();
        let inode = |name: &str| std::fs::metadata(target.join(name)).unwrap().ino();
        let lock = inode("out/.runtime.lock");
        replace_tree(&target, &files("two")).unwrap();
        assert_eq!(inode("out/.runtime.lock"), lock);
        assert_eq!(std::fs::metadata(target.join("out")).unwrap().permissions().mode() & 0o777, 0o750);
        assert_eq!(std::fs::read_link(target.join("link")).unwrap(), Path::new("nowhere"));
        let mine: Vec<String> =
            tree(&target).into_iter().filter(|(_, text)| text == "mine").map(|(name, _)| name).collect();
        assert_eq!(mine, ["notes", "out/.runtime.lock", "out/run/x", "sb/more/mine.sb"]);
        assert_eq!(tree(&target).iter().filter(|(_, text)| text == "two").count(), 3);
    }

    #[test]
    fn what_killed_builds_left_is_removed_and_what_lives_is_not() {
        use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
        let temp = tempfile::tempdir().unwrap();
        let aged = Timespec { tv_sec: 1_000_000, tv_nsec: 0 };
        let times = Timestamps { last_access: aged, last_modification: aged };
        for (name, age) in [("dead", true), ("held", true), ("young", false)] {
            let path = temp.path().join(format!("{PREFIX}{name}"));
            std::fs::create_dir_all(path.join("sb")).unwrap();
            if age {
                utimensat(CWD, &path, &times, AtFlags::empty()).unwrap();
            }
        }
        let held = File::open(temp.path().join(format!("{PREFIX}held"))).unwrap();
        hold(&held).unwrap();
        replace_tree(&temp.path().join("t"), &files("one")).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".tmp-build-held", ".tmp-build-young", "t"]);
    }

    #[test]
    fn stopped_at_any_step_the_directory_is_as_before_or_complete() {
        for exists in [false, true] {
            let mut steps = 0;
            loop {
                let temp = tempfile::tempdir().unwrap();
                let target = temp.path().join("t");
                let before = if exists {
                    replace_tree(&target, &files("old")).unwrap();
                    Dir::open(&target).unwrap().write(&RelPath::try_from("out/x").unwrap(), b"mine").unwrap();
                    tree(&target)
                } else {
                    Vec::new()
                };
                fault::stop_after(steps);
                let result = replace_tree(&target, &files("new"));
                let passed = fault::resume();
                let after = if target.exists() { tree(&target) } else { Vec::new() };
                if after != before {
                    let new: Vec<_> = after.iter().filter(|(_, text)| text == "new").cloned().collect();
                    assert_eq!(new, suite("new"), "{passed:?}");
                    assert_eq!(after.len(), 3 + usize::from(exists), "{passed:?}");
                } else {
                    assert!(result.is_err(), "{passed:?}");
                }
                if result.is_ok() && passed.len() < steps {
                    break;
                }
                steps += 1;
            }
            assert!(steps > 8, "{steps}");
        }
    }

    #[test]
    fn what_is_in_the_way_is_named_and_stays() {
        let temp = tempfile::tempdir().unwrap();
        let (target, outside) = (temp.path().join("t"), temp.path().join("outside"));
        std::fs::create_dir_all(target.join("plan.json")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, target.join("sb")).unwrap();
        let names: Vec<RelPath> = files("x").into_iter().map(|(name, _)| name).collect();
        assert_eq!(taken(&target, &names).unwrap(), ["plan.json", "sb"]);
        assert_eq!(taken(&temp.path().join("absent"), &names).unwrap(), [""; 0]);
        assert!(matches!(replace_tree(&target, &files("x")), Err(FsError::NotRegular { .. })));
        assert!(target.join("plan.json").is_dir() && target.join("sb").is_symlink());
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 2);
        let file = temp.path().join("file");
        super::super::write_durable(&file, b"x").unwrap();
        assert!(replace_tree(&file, &files("x")).is_err());
        assert_eq!(std::fs::read(&file).unwrap(), b"x");
    }
}
