//! Opening beneath a directory component by component, each with `O_NOFOLLOW`.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::base::rel_path::RelPathRef;

/// Opens `name` beneath `directory`: every directory on the way and the last component without following links.
pub(super) fn open(directory: &File, name: RelPathRef<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
    let step = super::DIRECTORY | OFlags::NOFOLLOW;
    let (parents, last) = match name.as_str().rsplit_once('/') {
        Some((parents, last)) => (Some(parents), last),
        None => (None, name.as_str()),
    };
    let mut held: Option<OwnedFd> = None;
    for component in parents.into_iter().flat_map(|p| p.split('/')) {
        let next = match &held {
            Some(parent) => rustix::fs::openat(parent, component, step, Mode::empty()),
            None => rustix::fs::openat(directory, component, step, Mode::empty()),
        };
        // ENOTDIR here can only mean a link or a file in the place of a directory; both are named by the caller.
        held = Some(next?);
    }
    match &held {
        Some(parent) => rustix::fs::openat(parent, last, flags | OFlags::NOFOLLOW, Mode::empty()),
        None => rustix::fs::openat(directory, last, flags | OFlags::NOFOLLOW, Mode::empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DIRECTORY, Dir, FsError, UNTRUSTED, beneath};
    use super::*;
    use crate::base::rel_path::RelPath;

    /// Both ways of opening must give the same answer for everything a hostile directory can hold.
    #[test]
    fn the_portable_way_and_the_systems_own_way_agree() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        std::fs::create_dir_all(at("dir/inner")).unwrap();
        std::os::unix::fs::symlink("dir", at("dirlink")).unwrap();
        std::os::unix::fs::symlink("dir/file", at("filelink")).unwrap();
        std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", at("dir/outside")).unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        for file in ["file", "dir/file", "dir/inner/file"] {
            dir.write(&RelPath::try_from(file).unwrap(), b"x").unwrap();
        }
        for (name, opens) in [
            ("file", true),
            ("dir/file", true),
            ("dir/inner/file", true),
            ("dir", true),
            ("dirlink", false),
            ("dirlink/file", false),
            ("filelink", false),
            ("dangling", false),
            ("dir/outside", false),
            ("absent", false),
            ("absent/file", false),
            ("file/inner", false),
        ] {
            let name = RelPathRef::try_from(name).unwrap();
            let own = beneath::open(&dir.handle, name, UNTRUSTED);
            let portable = open(&dir.handle, name, UNTRUSTED);
            assert_eq!((own.is_ok(), portable.is_ok()), (opens, opens), "{name}: {own:?} {portable:?}");
            let as_directory = open(&dir.handle, name, DIRECTORY);
            assert_eq!(as_directory.is_ok(), name.as_str() == "dir", "{name}");
        }
    }

    #[test]
    fn refusals_name_their_cause() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let name = |text: &str| RelPath::try_from(text).unwrap();
        std::os::unix::fs::symlink("/etc", temp.path().join("link")).unwrap();
        dir.write(&name("file"), b"12345").unwrap();
        assert!(matches!(dir.read(&name("link"), 10), Err(FsError::Link { .. })));
        assert!(matches!(dir.read(&name("link/hostname"), 10), Err(FsError::Link { .. })));
        assert!(matches!(dir.open_dir(&name("link")), Err(FsError::Link { .. })));
        assert!(matches!(dir.read(&name("file"), 4), Err(FsError::TooLarge { size_bytes: 5, limit_bytes: 4, .. })));
        assert!(dir.read(&name("absent"), 4).unwrap_err().is_not_found());
        dir.create_dir(&name("sub")).unwrap();
        assert!(matches!(dir.read(&name("sub"), 4), Err(FsError::NotRegular { kind: "a directory", .. })));
        assert!(dir.create_dir(&name("sub")).is_err());
    }
}
