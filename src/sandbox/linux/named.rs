//! Files that a profile has other words for: shared memory and semaphores, kernel settings, other processes.
//!
//! - Files directly below `/dev/shm` are POSIX shared memory and, with `sem.` before their names, semaphores
//!   (shm_overview(7), sem_overview(7)). They are judged as `ipc-posix-*` by name, **instead of** as files: on macOS neither
//!   has a path. Directories there, and what lies in them, are files.
//! - Files below `/proc/sys` are judged as `sysctl-read` and `sysctl-write` by name, **beside** the file operation.
//! - Files below `/proc/<pid>` of another process of the tree are judged as `process-info-pidinfo`, beside the file
//!   operation. Those of processes outside are refused whatever the profile says (`resolve`).

use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

use super::call::Call;
use super::path;
use super::processes::Processes;
use crate::denial::target_text;
use crate::sandbox::lower::SHARED_MEMORY;
use crate::sbpl::{Target, VnodeType};
use crate::vocab::{Decision, Operation};

const READ: &str = "file-read-data";
const METADATA: &str = "file-read-metadata";
const WRITE: &str = "file-write-data";
const CREATE: &str = "file-write-create";
const UNLINK: &str = "file-write-unlink";
const LINK: &str = "file-link";

const SEM_CREATE: &str = "ipc-posix-sem-create";
const SEM_UNLINK: &str = "ipc-posix-sem-unlink";
const PID_INFO: &str = "process-info-pidinfo";

/// An operation on a named object in place of one on a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    operation: &'static str,
    name: String,
}

impl Call<'_> {
    /// Decides one access on a path and notes the decision. `object` tells type and mode if the profile asks for them.
    pub(super) fn allowed(&mut self, operation: &'static str, path: &[u8], object: Option<BorrowedFd<'_>>) -> bool {
        if !is_special(path) {
            return self.allowed_as_file(operation, path, object);
        }
        let kind = object.and_then(|object| fstat(object).ok()).map(|stat| FileType::from_raw_mode(stat.st_mode));
        if kind.is_none_or(|kind| kind == FileType::RegularFile) {
            if self.is_free_scratch(operation, path) {
                return true;
            }
            if let Some(ipc) = posix_ipc(operation, path) {
                return self.allowed_on(ipc.operation, Target::Name(&ipc.name), ipc.name.clone());
            }
        }
        // Both are decided, so that both leave a record.
        let as_file = self.allowed_as_file(operation, path, object);
        self.allowed_besides(operation, path, kind) && as_file
    }

    /// As [`Call::allowed`] for something whose type is known without looking: a link met on the way, or an entry that is
    /// to be made.
    pub(super) fn allowed_of_type(&mut self, operation: &'static str, path: &[u8], vnode_type: VnodeType) -> bool {
        if !is_special(path) {
            return self.allowed_as_file_of_type(operation, path, vnode_type);
        }
        if vnode_type == VnodeType::RegularFile {
            if self.is_free_scratch(operation, path) {
                return true;
            }
            if let Some(ipc) = posix_ipc(operation, path) {
                return self.allowed_on(ipc.operation, Target::Name(&ipc.name), ipc.name.clone());
            }
        }
        let kind = (vnode_type == VnodeType::Symlink).then_some(FileType::Symlink);
        let as_file = self.allowed_as_file_of_type(operation, path, vnode_type);
        self.allowed_besides(operation, path, kind) && as_file
    }

    /// The C library makes a semaphore under a scratch name that it looks for first, links it to its own, and removes the
    /// first. A program that may make any semaphore may do that with names of that form; the name it is linked to is judged.
    fn is_free_scratch(&self, operation: &str, path: &[u8]) -> bool {
        matches!(operation, METADATA | CREATE | LINK | UNLINK)
            && path.strip_prefix(b"/dev/shm/sem.").is_some_and(is_scratch)
            && self.shared.policy.unconditional(&Operation::new(SEM_CREATE)) != Some(Decision::Deny)
    }

    /// What an access to a file below `/proc` is besides.
    fn allowed_besides(&mut self, operation: &'static str, path: &[u8], kind: Option<FileType>) -> bool {
        if let Some(sysctl) = sysctl(operation, path)
            && kind == Some(FileType::RegularFile)
        {
            return self.allowed_on(sysctl.operation, Target::Name(&sysctl.name), sysctl.name.clone());
        }
        let tells = match operation {
            READ => kind != Some(FileType::Directory),
            METADATA => kind == Some(FileType::Symlink),
            _ => false,
        };
        if !tells {
            return true;
        }
        let Some(thread) = path::proc_pid(path) else { return true };
        let Ok(own) = self.own_process() else { return false };
        let Ok(process) = Processes::process_of(thread) else {
            // One that is gone tells nothing.
            return !std::path::Path::new(&format!("/proc/{thread}")).exists();
        };
        if process == own {
            return true;
        }
        let relation = match self.relation(own, process) {
            Ok(relation) => relation,
            // Gone by now, see above.
            Err(Errno::SRCH) => return true,
            Err(_) => return false,
        };
        // One outside is refused by the look-up, with a record of its own.
        !relation.inside || self.allowed_on_process(PID_INFO, &relation, format!("process {process}"))
    }
}

/// Whether a profile may have other words for what is at this path, which may depend on its type.
pub(super) fn is_special(path: &[u8]) -> bool {
    path.starts_with(b"/dev/shm/") || path.starts_with(b"/proc/")
}

/// The shared memory or semaphore that an access to a file is about.
fn posix_ipc(operation: &str, path: &[u8]) -> Option<Named> {
    let entry = path.strip_prefix(SHARED_MEMORY.as_bytes())?.strip_prefix(b"/")?;
    if entry.is_empty() || entry.contains(&b'/') {
        return None;
    }
    let (semaphore, name) = match entry.strip_prefix(b"sem.") {
        Some(name) if !name.is_empty() => (true, name),
        _ => (false, entry),
    };
    let operation = match (operation, semaphore) {
        (READ | WRITE | LINK, true) => "ipc-posix-sem-open",
        (CREATE, true) => SEM_CREATE,
        (UNLINK, true) => SEM_UNLINK,
        (READ, false) => "ipc-posix-shm-read-data",
        // Another name for it is another way to write it.
        (WRITE | LINK, false) => "ipc-posix-shm-write-data",
        (CREATE, false) => "ipc-posix-shm-write-create",
        (UNLINK, false) => "ipc-posix-shm-write-unlink",
        _ => return None,
    };
    Some(Named { operation, name: format!("/{}", target_text(name)) })
}

/// Six letters or digits, which glibc's sem_open(3) fills in for a scratch name.
fn is_scratch(name: &[u8]) -> bool {
    name.len() == 6 && name.iter().all(u8::is_ascii_alphanumeric)
}

/// The kernel setting that an access to a file is about: slashes become dots and dots slashes, as sysctl(8) writes names.
fn sysctl(operation: &str, path: &[u8]) -> Option<Named> {
    let rest = path.strip_prefix(b"/proc/sys/")?;
    let operation = match operation {
        READ => "sysctl-read",
        WRITE => "sysctl-write",
        _ => return None,
    };
    let name = target_text(rest)
        .chars()
        .map(|c| match c {
            '/' => '.',
            '.' => '/',
            other => other,
        })
        .collect();
    Some(Named { operation, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(named: Option<Named>) -> String {
        named.map_or("-".to_owned(), |named| format!("{} {}", named.operation, named.name))
    }

    #[test]
    fn entries_of_the_shared_memory_file_system_are_named_objects() {
        for (operation, path, expected) in [
            (READ, "/dev/shm/a", "ipc-posix-shm-read-data /a"),
            (WRITE, "/dev/shm/a", "ipc-posix-shm-write-data /a"),
            (LINK, "/dev/shm/a", "ipc-posix-shm-write-data /a"),
            (CREATE, "/dev/shm/a", "ipc-posix-shm-write-create /a"),
            (UNLINK, "/dev/shm/a", "ipc-posix-shm-write-unlink /a"),
            (WRITE, "/dev/shm/sem.a", "ipc-posix-sem-open /a"),
            (CREATE, "/dev/shm/sem.a", "ipc-posix-sem-create /a"),
            (UNLINK, "/dev/shm/sem.a", "ipc-posix-sem-unlink /a"),
            (READ, "/dev/shm/sem.", "ipc-posix-shm-read-data /sem."),
            (METADATA, "/dev/shm/a", "-"),
            (READ, "/dev/shm", "-"),
            (READ, "/dev/shm/d/a", "-"),
            (READ, "/dev/shmem", "-"),
        ] {
            assert_eq!(shown(posix_ipc(operation, path.as_bytes())), expected, "{operation} {path}");
        }
        assert!(is_scratch(b"aZ09bc") && !is_scratch(b"aZ09b") && !is_scratch(b"aZ09b.") && !is_scratch(b"aZ09bcd"));
    }

    #[test]
    fn kernel_settings_have_dotted_names() {
        for (operation, path, expected) in [
            (READ, "/proc/sys/kernel/ostype", "sysctl-read kernel.ostype"),
            (WRITE, "/proc/sys/net/ipv4/conf/eth0.1/mtu", "sysctl-write net.ipv4.conf.eth0/1.mtu"),
            (METADATA, "/proc/sys/kernel/ostype", "-"),
            (READ, "/proc/sysvipc/shm", "-"),
        ] {
            assert_eq!(shown(sysctl(operation, path.as_bytes())), expected, "{operation} {path}");
        }
    }
}
