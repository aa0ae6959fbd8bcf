//! Lone files that the caller names by path: links on the way are followed, because the caller chose the path.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::fault::{self, Change};
use super::{Dir, FsError, Prepared, RegularFile, UNTRUSTED, kind_of, regular, widened};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

/// Reads the regular file at `path` whole, at most `limit_bytes`; never blocks on a FIFO or device.
///
/// # Errors
/// As [`Dir::read`], except that links are followed.
pub fn read_bounded(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, FsError> {
    open_regular(path)?.read_whole(path, limit_bytes)
}

/// Opens the regular file at `path` for reading; never blocks on a FIFO or device.
///
/// # Errors
/// The system's answer; something else than a regular file stands there.
pub fn open_regular(path: &Path) -> Result<RegularFile, FsError> {
    let handle = rustix::fs::open(path, UNTRUSTED, Mode::empty()).map_err(|e| FsError::io("open", path, e))?;
    regular(handle.into(), || path.to_owned())
}

/// A file that holds a secret, with what the system says about who may read it.
#[derive(Debug)]
pub struct PrivateFile {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its permission bits, of the very file that was read.
    pub mode: u32,
}

/// Reads the regular file at `path` whole, at most `limit_bytes`. The last component is never followed through a link, so
/// what is read, and whose mode is told, is the file that was named.
///
/// # Errors
/// The path has no file name, [`FsError::Link`], or as [`read_bounded`].
pub fn read_private(path: &Path, limit_bytes: u64) -> Result<PrivateFile, FsError> {
    use std::os::unix::fs::MetadataExt as _;
    let (parent, name) = parent_and_name("read", path)?;
    let parent = Dir::open(parent)?;
    let handle = rustix::fs::openat(&parent.handle, name, UNTRUSTED | OFlags::NOFOLLOW, Mode::empty());
    let opened = regular(handle.map_err(|e| parent.refused(name.as_ref(), e))?.into(), || path.to_owned())?;
    let mode = opened.file.metadata().map_err(|e| FsError::io("inspect", path, e))?.mode() & 0o7777;
    Ok(PrivateFile { bytes: opened.read_whole(path, limit_bytes)?, mode })
}

/// Replaces the file at `path` whole and durably: unique temp beside it, write, sync, rename, sync the directory.
/// Missing directories on the way are made.
///
/// # Errors
/// The path has no file name, or something else than a regular file stands there ([`FsError::Link`],
/// [`FsError::NotRegular`]: a device must not be replaced by a file); a directory, the write, a sync or the rename failed.
/// An older file then still stands.
pub fn write_durable(path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    replace_with(path, |out| out.write_all(bytes))
}

/// Makes a file that is not there yet, durably; `false` when something stands there, which stays as it is. Missing directories on
/// the way are made.
///
/// # Errors
/// The system's answer to making, writing or syncing.
pub fn make_durable(path: &Path, bytes: &[u8]) -> Result<bool, FsError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| FsError::io("make", parent, error))?;
    }
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        made => made.map_err(|error| FsError::io("make", path, error))?,
    };
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| FsError::io("write", path, error))?;
    Ok(true)
}

/// As [`write_durable`], with what `fill` writes, which need not be in memory at once.
///
/// # Errors
/// As [`write_durable`], and what `fill` says.
pub fn replace_with(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), FsError> {
    let (parent, last) = parent_and_name("write", path)?;
    match rustix::fs::lstat(path).map(|there| FileType::from_raw_mode(there.st_mode)) {
        Ok(FileType::Symlink) => return Err(FsError::Link { path: path.to_owned() }),
        Ok(kind) if !kind.is_file() => {
            return Err(FsError::NotRegular { path: path.to_owned(), kind: kind_of(kind) });
        }
        _ => {}
    }
    let parent = Dir::create_all_synced(parent)?;
    let buffered = |file: &mut File| {
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
        fill(&mut out)?;
        out.flush()
    };
    Prepared::filled(&parent.handle, last, path.to_owned(), buffered)?.sync_and_put()
}

/// As [`write_durable`], of a file that somebody else made: the new one has the mode, the owner and the group of the one that stood
/// there, which stays where that cannot be.
///
/// # Errors
/// As [`write_durable`]; [`FsError::HardLinked`]; the system does not let this process give the file to its owner.
pub fn rewrite_durable(path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    let (parent, last) = parent_and_name("write", path)?;
    let parent = Dir::open(parent)?;
    let old = match rustix::fs::statat(&parent.handle, last, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return write_durable(path, bytes),
        old => old.map_err(|error| FsError::io("inspect", path, error))?,
    };
    let kind = FileType::from_raw_mode(old.st_mode);
    if kind.is_symlink() {
        return Err(FsError::Link { path: path.to_owned() });
    }
    if !kind.is_file() {
        return Err(FsError::NotRegular { path: path.to_owned(), kind: kind_of(kind) });
    }
    let names = widened(old.st_nlink);
    if names > 1 {
        return Err(FsError::HardLinked { path: path.to_owned(), names });
    }
    let owned = |file: &File| -> Result<(), Errno> {
        let new = rustix::fs::fstat(file)?;
        if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid) {
            rustix::fs::fchown(file, Some(Uid::from_raw(old.st_uid)), Some(Gid::from_raw(old.st_gid)))?;
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(old.st_mode & 0o7777))
    };
    let mut refused = None;
    // Before anything is in it: what only its owner may read is never readable by others.
    let filled = Prepared::filled(&parent.handle, last, path.to_owned(), |file: &mut File| {
        owned(file).map_err(|error| {
            refused = Some(error);
            io::Error::from(error)
        })?;
        file.write_all(bytes)
    });
    match refused {
        Some(source) => Err(FsError::io("keep the owner and mode of", path, source)),
        None => filled?.sync_and_put(),
    }
}

/// Replaces the file at `path` whole: it appears under its name at once, but nothing is synced. Missing directories on the way
/// are made; a link in its place is replaced.
///
/// # Errors
/// The path has no file name; a directory, the write or the rename failed. An older file then still stands.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    let (parent, name) = parent_and_name("write", path)?;
    Prepared::of_bytes(&Dir::create_all(parent)?.handle, name, path.to_owned(), bytes)?.rename()
}

/// Puts `bytes` in place of what an open file holds, at its start; a device or a pipe is written to as it is. Where the file system
/// can say beforehand that there is no room for them, what the file held stays.
///
/// # Errors
/// The system's answer. When writing itself fails, the file holds a part.
pub fn overwrite(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let metadata = file.metadata()?;
    if metadata.is_file() {
        reserve(file, metadata.len(), bytes.len() as u64)?;
        file.rewind()?;
        file.write_all(bytes)?;
        return file.set_len(bytes.len() as u64);
    }
    file.write_all(bytes)
}

/// Makes a file of `old` bytes one with room for `new`, or leaves it as it is.
#[cfg(target_os = "linux")]
fn reserve(file: &File, old: u64, new: u64) -> io::Result<()> {
    use rustix::io::Errno;
    if new <= old {
        return Ok(());
    }
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, new) {
        // Not every file system can.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => {
            file.set_len(old)?;
            Err(error.into())
        }
    }
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
fn reserve(_file: &File, _old: u64, _new: u64) -> io::Result<()> {
    Ok(())
}

/// Removes the file at `path`.
///
/// # Errors
/// The path has no file name, its directory cannot be opened, or the system's answer.
pub fn remove(path: &Path) -> Result<(), FsError> {
    let (parent, name) = parent_and_name("remove", path)?;
    let parent = Dir::open(parent)?;
    fault::attempt(Change::new("remove", path), || rustix::fs::unlinkat(&parent.handle, name, AtFlags::empty()))
}

/// The directory that holds `path`, and its name there: any bytes.
fn parent_and_name<'p>(action: &'static str, path: &'p Path) -> Result<(&'p Path, &'p OsStr), FsError> {
    let none = || FsError::io(action, path, io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name"));
    let name = path.file_name().ok_or_else(none)?;
    Ok((path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")), name))
}

/// Whether anything stands at `path` (a dangling link counts).
#[must_use]
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Where `path` (absolute) leads: links and `..` resolved as far as it exists, the rest as written.
///
/// # Errors
/// What exists of it cannot be resolved, or `..` stands in what does not exist.
pub fn resolved(path: &Path) -> Result<PathBuf, FsError> {
    let mut rest = Vec::new();
    let mut there = path;
    loop {
        match there.canonicalize() {
            Ok(start) => return Ok(rest.iter().rev().fold(start, |path, name| path.join(name))),
            // A dangling link exists, and leads nowhere that could be written down.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound || exists(there) => {
                return Err(FsError::io("resolve", path, error));
            }
            Err(error) => match (there.file_name(), there.parent()) {
                (Some(name), Some(parent)) => {
                    rest.push(name);
                    there = parent;
                }
                _ => return Err(FsError::io("resolve", path, error)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rel_path::RelPath;

    #[test]
    fn a_path_is_resolved_as_far_as_it_exists() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::os::unix::fs::symlink("a/b", root.join("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("dangling")).unwrap();
        for (path, expected) in [
            ("a/b", Some("a/b")),
            ("a/../a/new/er", Some("a/new/er")),
            ("link/../new", Some("a/new")),
            ("new/..", None),
            ("new/../a", None),
            ("dangling", None),
            ("dangling/x", None),
        ] {
            let found = resolved(&root.join(path)).ok();
            assert_eq!(found, expected.map(|expected| root.join(expected)), "{path}");
        }
    }

    #[test]
    fn reading_is_bounded_and_takes_regular_files_only() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("new/file");
        write_durable(&path, b"12345").unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap(), b"12345");
        assert!(matches!(read_bounded(&path, 4), Err(FsError::TooLarge { size_bytes: 5, .. })));
        assert!(matches!(read_bounded(temp.path(), 5), Err(FsError::NotRegular { .. })));
        assert!(matches!(read_bounded(Path::new("/dev/zero"), 5), Err(FsError::NotRegular { kind: "a device", .. })));
        let parent = std::fs::File::open(temp.path()).unwrap();
        crate::os::fifo::make_at(std::os::fd::AsFd::as_fd(&parent), "fifo", 0o600).unwrap();
        assert!(matches!(read_bounded(&temp.path().join("fifo"), 5), Err(FsError::NotRegular { .. })));
        // Refused by its size alone: nothing of it is read.
        let sparse = tempfile::NamedTempFile::new_in(temp.path()).unwrap();
        sparse.as_file().set_len(200 * 1024 * 1024).unwrap();
        assert!(matches!(read_bounded(sparse.path(), 1024), Err(FsError::TooLarge { size_bytes: 209_715_200, .. })));
        assert!(read_bounded(&temp.path().join("absent"), 5).unwrap_err().is_not_found());
        // The caller's own path may lead through links.
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read_bounded(&link, 5).unwrap(), b"12345");
    }

    #[test]
    fn a_private_file_is_never_reached_through_a_link() {
        use std::os::unix::fs::PermissionsExt as _;
        let temp = tempfile::tempdir().unwrap();
        let (file, link) = (temp.path().join("key"), temp.path().join("link"));
        write_durable(&file, b"12345").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let read = read_private(&file, 5).unwrap();
        assert_eq!((read.bytes.as_slice(), read.mode), (&b"12345"[..], 0o640));
        assert!(matches!(read_private(&file, 4), Err(FsError::TooLarge { .. })));
        assert!(matches!(read_private(&link, 5), Err(FsError::Link { .. })));
        assert!(matches!(read_private(temp.path(), 5), Err(FsError::NotRegular { .. })));
        assert!(read_private(&temp.path().join("absent"), 5).unwrap_err().is_not_found());
        assert!(read_private(Path::new("/"), 5).is_err());
    }

    #[test]
    fn only_regular_files_are_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let (file, link) = (temp.path().join("file"), temp.path().join("link"));
        write_durable(&file, b"older").unwrap();
        write_durable(&file, b"newer").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(matches!(write_durable(&link, b"x"), Err(FsError::Link { .. })));
        assert!(matches!(write_durable(temp.path(), b"x"), Err(FsError::NotRegular { .. })));
        assert!(write_durable(&temp.path().join(".."), b"x").is_err());
        assert_eq!(read_bounded(&file, 10).unwrap(), b"newer");
        assert!(exists(&link) && !exists(&temp.path().join("absent")));
        remove(&file).unwrap();
        assert!(!exists(&file) && remove(&file).unwrap_err().is_not_found());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_name_is_any_bytes() {
        use std::os::unix::ffi::OsStrExt as _;
        let temp = tempfile::tempdir().unwrap();
        for name in [&b"t\xff"[..], b"line\nend", b" "] {
            let path = temp.path().join("new").join(OsStr::from_bytes(name));
            write_durable(&path, b"one").unwrap();
            write_whole(&path, b"two").unwrap();
            assert_eq!(read_private(&path, 5).unwrap().bytes, b"two");
            remove(&path).unwrap();
            assert!(!exists(&path));
            std::os::unix::fs::symlink("elsewhere", &path).unwrap();
            assert!(matches!(read_private(&path, 5), Err(FsError::Link { .. })));
        }
        for nameless in ["/", "..", "a/.."] {
            let error = crate::base::error_chain(&write_durable(Path::new(nameless), b"x").unwrap_err());
            assert!(error.ends_with("the path has no file name"), "{error}");
        }
    }

    #[test]
    fn removal_is_by_name_beneath_the_directory() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let name = RelPath::try_from("a/b").unwrap();
        dir.write(&name, b"x").unwrap();
        dir.remove_file(&name).unwrap();
        assert!(dir.read(&name, 1).unwrap_err().is_not_found());
        assert!(dir.remove_file(&name).unwrap_err().is_not_found());
    }
}
