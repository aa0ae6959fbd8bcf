//! What the kernel does not do for programs in directories that everybody may write in, such as `/tmp`: follow a link, or open a
//! file or FIFO with `O_CREAT`, that somebody else put there (proc_sys_fs(5)). It knows of neither here: the supervisor follows
//! links step by step, and opens what exists without `O_CREAT`.

use std::sync::OnceLock;

use rustix::fs::{FileType, Stat};
use rustix::process::geteuid;

const STICKY: u32 = libc::S_ISVTX;
const EVERYBODY_WRITES: u32 = libc::S_IWOTH;
const GROUP_WRITES: u32 = libc::S_IWGRP;

/// The settings of this system; each is 0 where the kernel does not protect.
#[derive(Debug, Clone, Copy)]
struct Settings {
    links: u8,
    files: u8,
    fifos: u8,
}

impl Settings {
    /// As they are when they are first needed. One that cannot be read counts as 1, which is what most systems have.
    fn get() -> Self {
        static FOUND: OnceLock<Settings> = OnceLock::new();
        let read = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/fs/protected_{name}"));
            text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1)
        };
        *FOUND.get_or_init(|| Self { links: read("symlinks"), files: read("regular"), fifos: read("fifos") })
    }

    fn forbid_link(self, owner: u32, directory: &Stat, follower: u32) -> bool {
        const BOTH: u32 = STICKY | EVERYBODY_WRITES;
        self.links > 0 && owner != follower && directory.st_mode & BOTH == BOTH && owner != directory.st_uid
    }

    fn forbid_opening(self, object: &Stat, directory: &Stat, opener: u32) -> bool {
        let setting = match FileType::from_raw_mode(object.st_mode) {
            FileType::RegularFile => self.files,
            FileType::Fifo => self.fifos,
            _ => return false,
        };
        let theirs = object.st_uid != opener && object.st_uid != directory.st_uid;
        let shared = if setting > 1 { EVERYBODY_WRITES | GROUP_WRITES } else { EVERYBODY_WRITES };
        setting > 0 && theirs && directory.st_mode & STICKY != 0 && directory.st_mode & shared != 0
    }
}

/// Whether a link of `owner` in a directory may not be followed as the last part of a path. Programs have the supervisor's user
/// throughout: they have no capability to change it. The directory is looked at for links of others only.
pub(super) fn forbids_link(owner: u32, directory: impl FnOnce() -> Option<Stat>) -> bool {
    let follower = geteuid().as_raw();
    owner != follower
        && Settings::get().links > 0
        && directory().is_some_and(|directory| Settings::get().forbid_link(owner, &directory, follower))
}

/// Whether there is anything at all that may not be opened with `O_CREAT` because of where it lies.
pub(super) fn may_forbid_opening() -> bool {
    let Settings { files, fifos, .. } = Settings::get();
    files > 0 || fifos > 0
}

/// Whether something that exists may not be opened with `O_CREAT` in its directory.
pub(super) fn forbids_opening(object: &Stat, directory: impl FnOnce() -> Option<Stat>) -> bool {
    let opener = geteuid().as_raw();
    object.st_uid != opener
        && directory().is_some_and(|directory| Settings::get().forbid_opening(object, &directory, opener))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: u32 = 0;
    const OWN: u32 = 1000;
    const OTHER: u32 = 1001;

    fn stat(mode: u32, owner: u32) -> Stat {
        let mut stat = rustix::fs::stat("/").unwrap();
        (stat.st_mode, stat.st_uid) = (mode, owner);
        stat
    }

    #[test]
    fn links_of_others_are_not_followed_where_everybody_writes() {
        let on = Settings { links: 1, files: 0, fifos: 0 };
        let (shared, own_sticky, open) = (stat(0o41777, ROOT), stat(0o41775, ROOT), stat(0o40777, ROOT));
        assert!(on.forbid_link(OTHER, &shared, OWN));
        // One's own, the directory's owner's, and where nobody else writes or entries are not kept apart.
        assert!(!on.forbid_link(OWN, &shared, OWN));
        assert!(!on.forbid_link(ROOT, &shared, OWN));
        assert!(!on.forbid_link(OTHER, &own_sticky, OWN));
        assert!(!on.forbid_link(OTHER, &open, OWN));
        // Root too is kept from it.
        assert!(on.forbid_link(OTHER, &shared, ROOT));
        assert!(!Settings { links: 0, ..on }.forbid_link(OTHER, &shared, OWN));
    }

    #[test]
    fn files_of_others_are_not_opened_as_if_made_where_everybody_writes() {
        let one = Settings { links: 0, files: 1, fifos: 0 };
        let (file, fifo) = (libc::S_IFREG | 0o666, libc::S_IFIFO | 0o666);
        let (shared, group) = (stat(0o41777, ROOT), stat(0o41770, ROOT));
        assert!(one.forbid_opening(&stat(file, OTHER), &shared, OWN));
        assert!(!one.forbid_opening(&stat(file, OWN), &shared, OWN));
        assert!(!one.forbid_opening(&stat(file, ROOT), &shared, OWN));
        assert!(!one.forbid_opening(&stat(file, OTHER), &stat(0o40777, ROOT), OWN));
        assert!(!one.forbid_opening(&stat(fifo, OTHER), &shared, OWN));
        assert!(!one.forbid_opening(&stat(libc::S_IFCHR | 0o666, OTHER), &shared, OWN));
        // 2: also where a group writes.
        assert!(!one.forbid_opening(&stat(file, OTHER), &group, OWN));
        let two = Settings { files: 2, fifos: 2, ..one };
        assert!(two.forbid_opening(&stat(file, OTHER), &group, OWN));
        assert!(two.forbid_opening(&stat(fifo, OTHER), &group, OWN));
    }
}
