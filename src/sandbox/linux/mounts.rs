//! Mounts that matter to look-ups.

use std::fs::File;
use std::io::Seek as _;
use std::sync::{PoisonError, RwLock};

use rustix::event::{PollFd, PollFlags};

use super::path;
use crate::os::linux::read_proc;

/// The calling process's mounts of procfs elsewhere than at `/proc`: never entered, because their per-process files cannot be told
/// apart.
#[derive(Debug)]
pub(super) struct Mounts {
    list: File,
    foreign_proc: RwLock<Vec<Vec<u8>>>,
}

impl Mounts {
    /// Opens the list of mounts; what it says is not known before [`Mounts::look`].
    pub(super) fn open() -> std::io::Result<Self> {
        Ok(Self { list: File::open("/proc/self/mounts")?, foreign_proc: RwLock::default() })
    }

    /// Reads the list.
    pub(super) fn look(&self) -> std::io::Result<()> {
        (&self.list).rewind()?;
        let text = read_proc(&self.list)?;
        *self.foreign_proc.write().unwrap_or_else(PoisonError::into_inner) = parse(&text);
        Ok(())
    }

    /// Ready, once for each change of the list (proc_pid_mounts(5)).
    pub(super) fn changes(&self) -> PollFd<'_> {
        PollFd::new(&self.list, PollFlags::PRI)
    }

    /// Whether something lies in such a mount.
    pub(super) fn hide(&self, at: &[u8]) -> bool {
        let foreign = self.foreign_proc.read().unwrap_or_else(PoisonError::into_inner);
        foreign.iter().any(|tree| path::within(at, tree))
    }
}

/// proc_pid_mounts(5), lines as in fstab(5): source, mount point, type and more. The kernel writes it in half the time that
/// `mountinfo` takes, which every start waits for.
fn parse(mounts: &[u8]) -> Vec<Vec<u8>> {
    mounts
        .split(|&byte| byte == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|&byte| byte == b' ').skip(1);
            let (point, kind) = (fields.next()?, fields.next()?);
            (kind == b"proc" && point != b"/proc" && !point.starts_with(b"/proc/")).then(|| unescape(point))
        })
        .collect()
}

/// Space, tab, line end and backslash stand as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let digits = (*first == b'\\').then(|| tail.get(..3)).flatten().and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &tail[3..];
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_further_mounts_of_procfs_are_named() {
        let text = b"proc /proc proc rw,nosuid 0 0\nmy\\040proc /jail\\040a/proc proc rw 0 0\n\
            sysfs /sys sysfs rw 0 0\np /proc/sys/fs/x proc rw 0 0\nproc /proc2 tmpfs rw 0 0\n";
        assert_eq!(parse(text), vec![b"/jail a/proc".to_vec()]);
    }
}
