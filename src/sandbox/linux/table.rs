//! What happens to each system call: one table, by name, for every architecture.
//!
//! It is an allow-list. A number that the table does not name does not exist for a confined program (`ENOSYS`), and a test
//! walks the kernel's tables so that no name of them is missing here. "Trap" means: a handler of the supervisor decides,
//! and performs the operation itself; only handlers whose decision rests on register values let the kernel run the call.

use super::network::{BIND, INBOUND, OUTBOUND};
use super::relations::FORK;

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Runs untouched: it takes no path, address or process, or works on descriptors the program holds already.
    Allow,
    /// What a new process or thread calls first, about itself alone: runs untouched, but for telling of a fork
    /// ([`super::filter::Forks::Told`]).
    Begin,
    /// Does not exist: newer twins of calls, or calls that programs fall back from.
    Enosys,
    /// Refused (EPERM) whatever the profile says: it would change the ground the sandbox stands on.
    Deny,
    /// Refused (EPERM) whatever the profile says, with a record of this operation.
    Refuse(&'static str),
    /// Brought before the supervisor.
    Trap(Handler),
    /// A decision without an object, on this operation.
    Judge(&'static str),
    /// Runs when the profile allows the operations everywhere, is refused (EPERM) otherwise: no operation names its object.
    Everywhere(&'static [&'static str]),
    /// As [`Class::Everywhere`] where nothing of Landlock stands in the way, refused (EPERM) otherwise: the kernel asks it only when it
    /// has made the queue, and no rule can name where queues lie.
    Queue(&'static [&'static str]),
    /// Decided by the filter itself on register values.
    Registers(Registers),
}

/// Register tests of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Registers {
    /// Threads pass, namespaces are refused, new processes are judged.
    Clone,
    /// Who gets a descriptor's signals is looked at, and locking, which leases belong to.
    Fcntl,
    /// Releasing a lock passes, taking one is looked at.
    Flock,
    /// Terminal injection is refused, everyday requests pass, inode flags and others are looked at.
    Ioctl,
    /// Mapping a file as executable is looked at.
    Mmap,
    /// Changes of who may look into the process are answered without effect.
    Prctl,
    /// Socket domains, types and protocols.
    Socket,
    /// Local pairs.
    Socketpair,
    /// Options that choose another way than the address says are refused, those that give a socket a name looked at.
    Setsockopt,
    /// Sending to a named address; `MSG_FASTOPEN` would connect.
    Sendto,
    /// Sending to an address in memory; `MSG_FASTOPEN` would connect.
    Sendmsg,
    /// As `Sendmsg`, flags one argument later.
    Sendmmsg,
    /// The first argument names a process: 0 (the caller) passes, others are looked at.
    ProcessFirst,
    /// The first argument is a clock: those of the system, of descriptors and of the caller pass, those of other processes are
    /// looked at.
    Clock,
    /// The process is named in memory; asking for the version alone passes.
    Capget,
    /// A filter of the program's own passes, unless it has a listener.
    Seccomp,
    /// A scheduling call on `(which, who)`: the calling process passes, others are looked at.
    Priority,
}

/// Handlers of the supervisor, named after the call whose arguments they read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Handler {
    Open,
    Openat,
    Openat2,
    Creat,
    Stat,
    Lstat,
    Newfstatat,
    Statx,
    Statfs,
    Access,
    Faccessat,
    Faccessat2,
    Readlink,
    Readlinkat,
    Getxattr,
    Lgetxattr,
    Fgetxattr,
    Listxattr,
    Llistxattr,
    Flistxattr,
    Setxattr,
    Lsetxattr,
    Fsetxattr,
    Removexattr,
    Lremovexattr,
    Fremovexattr,
    Chmod,
    Fchmodat,
    Fchmod,
    Chown,
    Lchown,
    Fchownat,
    Fchown,
    Utime,
    Utimes,
    Futimesat,
    Utimensat,
    Truncate,
    Chdir,
    Getcwd,
    Unlink,
    Rmdir,
    Unlinkat,
    Mkdir,
    Mkdirat,
    Symlink,
    Symlinkat,
    Mknod,
    Mknodat,
    Rename,
    Renameat,
    Renameat2,
    Link,
    Linkat,
    InotifyAddWatch,
    MemfdCreate,
    Execve,
    Execveat,
    Fork,
    Kill,
    Tkill,
    Tgkill,
    RtSigqueueinfo,
    RtTgsigqueueinfo,
    PidfdSendSignal,
    PidfdOpen,
    Connect,
    Bind,
    Listen,
    Getsockname,
}

const METADATA: &str = "file-read-metadata";
const EXISTENCE: &str = "file-test-existence";
const CREATE: &str = "file-write-create";
const SETUGID: &str = "file-write-setugid";
const WRITE: &str = "file-write-data";
const UNLINK: &str = "file-write-unlink";

impl Handler {
    /// The operations it may judge. When the profile allows all of them everywhere there is nothing to decide, but for what
    /// [`Handler::looks`] and [`Handler::writes`] say.
    pub(super) fn operations(self) -> &'static [&'static str] {
        match self {
            // Never left to the kernel alone: files of processes outside are refused whatever the profile says, and opening is
            // how they are written. What is opened for reading only the filter can let pass.
            Self::Open | Self::Openat | Self::Openat2 | Self::Creat => &[],
            Self::Stat | Self::Lstat | Self::Newfstatat | Self::Statx | Self::Statfs => &[METADATA],
            Self::Readlink | Self::Readlinkat | Self::InotifyAddWatch => &[METADATA],
            Self::Chdir | Self::Getcwd => &[METADATA],
            Self::Access | Self::Faccessat | Self::Faccessat2 => &[METADATA, EXISTENCE],
            Self::Getxattr | Self::Lgetxattr | Self::Fgetxattr => &["file-read-xattr", METADATA],
            Self::Listxattr | Self::Llistxattr | Self::Flistxattr => &["file-read-xattr", METADATA],
            Self::Setxattr | Self::Lsetxattr | Self::Fsetxattr => &["file-write-xattr", "file-write-mode", METADATA],
            Self::Removexattr | Self::Lremovexattr | Self::Fremovexattr => {
                &["file-write-xattr", "file-write-mode", METADATA]
            }
            Self::Chmod | Self::Fchmodat | Self::Fchmod => &["file-write-mode", SETUGID, METADATA],
            Self::Chown | Self::Lchown | Self::Fchownat | Self::Fchown => &["file-write-owner", METADATA],
            Self::Utime | Self::Utimes | Self::Futimesat | Self::Utimensat => &["file-write-times", METADATA],
            Self::Truncate => &[WRITE, METADATA],
            Self::Unlink | Self::Rmdir | Self::Unlinkat => &[UNLINK, METADATA],
            Self::Mkdir | Self::Mkdirat | Self::Symlink | Self::Symlinkat => &[CREATE, METADATA],
            Self::Mknod | Self::Mknodat => &[CREATE, "file-mknod", SETUGID, METADATA],
            Self::Rename | Self::Renameat | Self::Renameat2 => &[UNLINK, CREATE, METADATA],
            Self::Link | Self::Linkat => &["file-link", CREATE, METADATA],
            Self::MemfdCreate => &["process-exec*"],
            Self::Execve | Self::Execveat => &["process-exec*", "process-exec-interpreter", METADATA],
            Self::Fork => &[FORK],
            Self::Kill | Self::Tkill | Self::Tgkill | Self::RtSigqueueinfo | Self::RtTgsigqueueinfo => &["signal"],
            Self::PidfdSendSignal => &["signal"],
            // Never left to the kernel alone: processes outside the sandbox are refused whatever the profile says.
            Self::PidfdOpen => &[],
            Self::Connect => &[OUTBOUND],
            Self::Listen => &[INBOUND, BIND],
            // What was bound here has to be known when it listens, and when its name is asked for.
            Self::Bind | Self::Getsockname => &[BIND, INBOUND, CREATE, METADATA],
        }
    }

    /// Whether the call follows a path. Below `/proc` that leads to processes, outside and inside, which more than its own
    /// operations decide about: it is left to the kernel only where reading files is, and the report says so.
    pub(super) fn looks(self) -> bool {
        self.operations().contains(&METADATA)
    }

    /// Whether the call changes files, so that leaving it to the kernel needs write rights in the inner domain.
    pub(super) fn writes(self) -> bool {
        self.operations().iter().any(|operation| operation.starts_with("file-write") || *operation == "file-link")
    }
}

const POSIX_IPC: &[&str] = &[
    "ipc-posix-shm-read-data",
    "ipc-posix-shm-write-create",
    "ipc-posix-shm-write-data",
    "ipc-posix-shm-write-unlink",
];

#[rustfmt::skip]
const TABLE: &[(Class, &[&str])] = &[
    // Own memory, time, waiting, identity, own signals, open descriptors.
    (Class::Allow, &[
        "accept", "accept4", "alarm", "arch_prctl", "brk", "cachestat", "capset", "clock_adjtime",
        "close", "close_range", "copy_file_range", "dup", "dup2", "dup3",
        "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd", "eventfd2",
        "exit", "exit_group", "adjtimex", "fadvise64", "fallocate", "fchdir", "fdatasync", "fstat",
        "fstatfs", "fsync", "ftruncate", "futex", "futex_requeue", "futex_wait", "futex_waitv", "futex_wake",
        "get_mempolicy", "get_thread_area", "getcpu", "getdents", "getdents64", "getegid",
        "geteuid", "getgid", "getgroups", "getitimer", "getpeername", "getpgrp", "getpid", "getppid",
        "getrandom", "getresgid", "getresuid", "getrlimit", "getrusage",
        "getsockopt", "gettid", "gettimeofday", "getuid", "inotify_init", "inotify_init1", "inotify_rm_watch",
        "io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_setup", "io_submit", "lseek",
        "madvise", "map_shadow_stack", "mbind", "membarrier", "memfd_secret", "mincore", "mlock",
        "mlock2", "mlockall", "modify_ldt", "mprotect", "mq_getsetattr", "mq_notify", "mq_timedreceive",
        "mq_timedsend", "mremap", "mseal", "msync", "munlock", "munlockall", "munmap", "nanosleep", "pause",
        "personality", "pipe", "pipe2", "pkey_alloc", "pkey_free", "pkey_mprotect", "poll", "ppoll", "pread64", "preadv",
        "preadv2", "pselect6", "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readv", "recvfrom", "recvmmsg",
        "recvmsg", "remap_file_pages", "restart_syscall", "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
        "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "sched_get_priority_max", "sched_get_priority_min",
        "sched_yield", "select", "sendfile", "set_mempolicy", "set_mempolicy_home_node",
        "set_thread_area", "setfsgid", "setfsuid", "setgid", "setgroups", "setitimer", "setpgid",
        "setregid", "setresgid", "setresuid", "setreuid", "setrlimit", "setsid", "setuid", "shutdown",
        "sigaltstack", "signalfd", "signalfd4", "splice", "sync", "sync_file_range", "syncfs", "sysinfo", "tee", "time",
        "timer_delete", "timer_getoverrun", "timer_gettime", "timer_settime", "timerfd_create",
        "timerfd_gettime", "timerfd_settime", "times", "umask", "uname", "uprobe", "uretprobe", "vmsplice", "wait4",
        "waitid", "write", "writev",
    ]),
    // The C libraries' first calls in the child of fork: glibc's and musl's.
    (Class::Begin, &["set_robust_list", "set_tid_address"]),
    // Twins with flags in memory, calls the kernel dropped, calls of 32-bit tables, and confinement of one's own: file
    // rights a program took from itself would not bind the supervisor that opens files for it.
    (Class::Enosys, &[
        "_sysctl", "afs_syscall", "clock_adjtime64", "clock_getres_time64", "clock_gettime64", "clock_nanosleep_time64",
        "clock_settime64", "clone3", "create_module", "epoll_ctl_old", "epoll_wait_old", "fchmodat2", "file_getattr",
        "file_setattr", "futex_time64", "get_kernel_syms", "getpmsg", "getxattrat", "io_pgetevents_time64",
        "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "listmount", "listxattrat",
        "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "mq_timedreceive_time64", "mq_timedsend_time64",
        "nfsservctl", "ppoll_time64", "pselect6_time64", "putpmsg", "query_module", "recvmmsg_time64",
        "removexattrat", "rt_sigtimedwait_time64", "sched_rr_get_interval_time64", "security", "semtimedop_time64",
        "setxattrat", "statmount", "sysfs", "timer_gettime64", "timer_settime64", "timerfd_gettime64",
        "timerfd_settime64", "tuxcall", "ustat", "utimensat_time64", "vserver",
    ]),
    // The kernel, mounts, namespaces, other processes' memory and descriptors, access by handle, submission queues.
    (Class::Deny, &[
        "add_key", "bpf", "fanotify_init", "fanotify_mark", "io_uring_enter", "io_uring_register", "io_uring_setup",
        "ioperm", "iopl", "kcmp", "keyctl", "lookup_dcookie", "migrate_pages", "move_pages", "name_to_handle_at",
        "open_by_handle_at", "perf_event_open", "pidfd_getfd", "process_madvise", "process_mrelease",
        "process_vm_readv", "process_vm_writev", "ptrace", "quotactl", "quotactl_fd", "request_key", "setns", "syslog",
        "unshare", "uselib", "userfaultfd", "vhangup",
    ]),
    // Capabilities are gone, so the kernel would refuse most of these too; a record says that it was tried.
    (Class::Refuse("file-chroot"), &["chroot", "pivot_root"]),
    (Class::Refuse("file-mount"), &[
        "fsconfig", "fsmount", "fsopen", "fspick", "mount", "move_mount", "open_tree", "open_tree_attr",
    ]),
    (Class::Refuse("file-mount-update"), &["mount_setattr"]),
    (Class::Refuse("file-unmount"), &["umount2"]),
    (Class::Refuse("sysctl-write"), &["setdomainname", "sethostname"]),
    (Class::Refuse("system-acct"), &["acct"]),
    (Class::Refuse("system-kext-load"), &["finit_module", "init_module"]),
    (Class::Refuse("system-kext-unload"), &["delete_module"]),
    (Class::Refuse("system-reboot"), &["kexec_file_load", "kexec_load", "reboot"]),
    (Class::Refuse("system-set-time"), &["clock_settime", "settimeofday"]),
    (Class::Refuse("system-swap"), &["swapoff", "swapon"]),
    (Class::Trap(Handler::Open), &["open"]),
    (Class::Trap(Handler::Openat), &["openat"]),
    (Class::Trap(Handler::Openat2), &["openat2"]),
    (Class::Trap(Handler::Creat), &["creat"]),
    (Class::Trap(Handler::Stat), &["stat"]),
    (Class::Trap(Handler::Lstat), &["lstat"]),
    (Class::Trap(Handler::Newfstatat), &["newfstatat", "fstatat"]),
    (Class::Trap(Handler::Statx), &["statx"]),
    (Class::Trap(Handler::Statfs), &["statfs"]),
    (Class::Trap(Handler::Access), &["access"]),
    (Class::Trap(Handler::Faccessat), &["faccessat"]),
    (Class::Trap(Handler::Faccessat2), &["faccessat2"]),
    (Class::Trap(Handler::Readlink), &["readlink"]),
    (Class::Trap(Handler::Readlinkat), &["readlinkat"]),
    (Class::Trap(Handler::Getxattr), &["getxattr"]),
    (Class::Trap(Handler::Lgetxattr), &["lgetxattr"]),
    (Class::Trap(Handler::Fgetxattr), &["fgetxattr"]),
    (Class::Trap(Handler::Listxattr), &["listxattr"]),
    (Class::Trap(Handler::Llistxattr), &["llistxattr"]),
    (Class::Trap(Handler::Flistxattr), &["flistxattr"]),
    (Class::Trap(Handler::Setxattr), &["setxattr"]),
    (Class::Trap(Handler::Lsetxattr), &["lsetxattr"]),
    (Class::Trap(Handler::Fsetxattr), &["fsetxattr"]),
    (Class::Trap(Handler::Removexattr), &["removexattr"]),
    (Class::Trap(Handler::Lremovexattr), &["lremovexattr"]),
    (Class::Trap(Handler::Fremovexattr), &["fremovexattr"]),
    (Class::Trap(Handler::Chmod), &["chmod"]),
    (Class::Trap(Handler::Fchmodat), &["fchmodat"]),
    (Class::Trap(Handler::Fchmod), &["fchmod"]),
    (Class::Trap(Handler::Chown), &["chown"]),
    (Class::Trap(Handler::Lchown), &["lchown"]),
    (Class::Trap(Handler::Fchownat), &["fchownat"]),
    (Class::Trap(Handler::Fchown), &["fchown"]),
    (Class::Trap(Handler::Utime), &["utime"]),
    (Class::Trap(Handler::Utimes), &["utimes"]),
    (Class::Trap(Handler::Futimesat), &["futimesat"]),
    (Class::Trap(Handler::Utimensat), &["utimensat"]),
    (Class::Trap(Handler::Truncate), &["truncate"]),
    (Class::Trap(Handler::Chdir), &["chdir"]),
    (Class::Trap(Handler::Getcwd), &["getcwd"]),
    (Class::Trap(Handler::Unlink), &["unlink"]),
    (Class::Trap(Handler::Rmdir), &["rmdir"]),
    (Class::Trap(Handler::Unlinkat), &["unlinkat"]),
    (Class::Trap(Handler::Mkdir), &["mkdir"]),
    (Class::Trap(Handler::Mkdirat), &["mkdirat"]),
    (Class::Trap(Handler::Symlink), &["symlink"]),
    (Class::Trap(Handler::Symlinkat), &["symlinkat"]),
    (Class::Trap(Handler::Mknod), &["mknod"]),
    (Class::Trap(Handler::Mknodat), &["mknodat"]),
    (Class::Trap(Handler::Rename), &["rename"]),
    (Class::Trap(Handler::Renameat), &["renameat"]),
    (Class::Trap(Handler::Renameat2), &["renameat2"]),
    (Class::Trap(Handler::Link), &["link"]),
    (Class::Trap(Handler::Linkat), &["linkat"]),
    (Class::Trap(Handler::InotifyAddWatch), &["inotify_add_watch"]),
    (Class::Trap(Handler::MemfdCreate), &["memfd_create"]),
    (Class::Trap(Handler::Execve), &["execve"]),
    (Class::Trap(Handler::Execveat), &["execveat"]),
    (Class::Trap(Handler::Fork), &["fork", "vfork"]),
    (Class::Registers(Registers::Clone), &["clone"]),
    (Class::Trap(Handler::Kill), &["kill"]),
    (Class::Trap(Handler::Tkill), &["tkill"]),
    (Class::Trap(Handler::Tgkill), &["tgkill"]),
    (Class::Trap(Handler::RtSigqueueinfo), &["rt_sigqueueinfo"]),
    (Class::Trap(Handler::RtTgsigqueueinfo), &["rt_tgsigqueueinfo"]),
    (Class::Trap(Handler::PidfdSendSignal), &["pidfd_send_signal"]),
    (Class::Trap(Handler::PidfdOpen), &["pidfd_open"]),
    // Reading counts too: it tells that a process exists.
    (Class::Registers(Registers::ProcessFirst), &[
        "get_robust_list", "getpgid", "getsid", "prlimit64", "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler",
        "sched_rr_get_interval", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler",
    ]),
    (Class::Registers(Registers::Priority), &["getpriority", "setpriority", "ioprio_get", "ioprio_set"]),
    (Class::Registers(Registers::Clock), &["clock_getres", "clock_gettime", "clock_nanosleep", "timer_create"]),
    (Class::Registers(Registers::Capget), &["capget"]),
    (Class::Registers(Registers::Seccomp), &["seccomp"]),
    (Class::Registers(Registers::Fcntl), &["fcntl"]),
    (Class::Registers(Registers::Flock), &["flock"]),
    (Class::Registers(Registers::Ioctl), &["ioctl"]),
    (Class::Registers(Registers::Mmap), &["mmap"]),
    (Class::Registers(Registers::Prctl), &["prctl"]),
    (Class::Registers(Registers::Socket), &["socket"]),
    (Class::Registers(Registers::Socketpair), &["socketpair"]),
    (Class::Registers(Registers::Sendto), &["sendto"]),
    (Class::Registers(Registers::Sendmsg), &["sendmsg"]),
    (Class::Registers(Registers::Sendmmsg), &["sendmmsg"]),
    (Class::Registers(Registers::Setsockopt), &["setsockopt"]),
    (Class::Trap(Handler::Connect), &["connect"]),
    (Class::Trap(Handler::Bind), &["bind"]),
    (Class::Trap(Handler::Listen), &["listen"]),
    (Class::Trap(Handler::Getsockname), &["getsockname"]),
    (Class::Queue(POSIX_IPC), &["mq_open"]),
    (Class::Everywhere(POSIX_IPC), &["mq_unlink"]),
    (Class::Judge("ipc-sysv-shm"), &["shmat", "shmctl", "shmdt", "shmget"]),
    (Class::Judge("ipc-sysv-sem"), &["semctl", "semget", "semop", "semtimedop"]),
    (Class::Judge("ipc-sysv-msg"), &["msgctl", "msgget", "msgrcv", "msgsnd"]),
];

/// The class of a system call by name; `None` for a name the table does not hold.
const fn class_of(name: &str) -> Option<Class> {
    let mut group = 0;
    while group < TABLE.len() {
        let (class, names) = TABLE[group];
        let mut at = 0;
        while at < names.len() {
            if is_same(names[at].as_bytes(), name.as_bytes()) {
                return Some(class);
            }
            at += 1;
        }
        group += 1;
    }
    None
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

const NUMBERS: usize = syscalls::Sysno::last().id().unsigned_abs() as usize + 1;

/// Name and class by number, found when this is compiled: filter and supervisor ask for them all the time.
static NATIVE: [Option<(&str, Class)>; NUMBERS] = by_number();

const fn by_number() -> [Option<(&'static str, Class)>; NUMBERS] {
    let mut all = [None; NUMBERS];
    let mut number = 0;
    while number < NUMBERS {
        if let Some(call) = syscalls::Sysno::new(number) {
            // A test holds that every name has a class; what has none would not exist.
            all[number] = match class_of(call.name()) {
                Some(class) => Some((call.name(), class)),
                None => Some((call.name(), Class::Enosys)),
            };
        }
        number += 1;
    }
    all
}

/// Name and class of a system call by its number in the native table.
pub(super) fn call(number: i32) -> Option<(&'static str, Class)> {
    *usize::try_from(number).ok().and_then(|number| NATIVE.get(number))?
}

/// The native table: number, name and class of every system call of the architecture this is built for.
pub(super) fn native() -> impl Iterator<Item = (u32, &'static str, Class)> {
    (0..).zip(&NATIVE).filter_map(|(number, call)| call.map(|(name, class)| (number, name, class)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, HashMap};

    fn names_of_both_architectures() -> BTreeSet<&'static str> {
        let x86 = (0..1024).filter_map(syscalls::x86_64::Sysno::new).map(|call| call.name());
        let arm = (0..1024).filter_map(syscalls::aarch64::Sysno::new).map(|call| call.name());
        x86.chain(arm).collect()
    }

    #[test]
    fn every_number_of_both_tables_has_a_class() {
        let names = names_of_both_architectures();
        assert!(names.len() > 380, "the walk itself is broken: {}", names.len());
        for known in ["file_setattr", "open_tree_attr", "mseal", "execveat"] {
            assert!(names.contains(known), "{known} is not walked");
        }
        let missing: Vec<_> = names.iter().filter(|name| class_of(name).is_none()).collect();
        assert!(missing.is_empty(), "unclassified: {missing:?}");
    }

    #[test]
    fn every_entry_names_a_call_once() {
        let names = names_of_both_architectures();
        let mut seen = BTreeSet::new();
        for name in TABLE.iter().flat_map(|(_, names)| names.iter()) {
            assert!(names.contains(name), "{name} is no system call");
            assert!(seen.insert(*name), "{name} is classified twice");
        }
    }

    #[test]
    fn an_unknown_name_has_no_class() {
        assert_eq!(class_of("openat3"), None);
    }

    #[test]
    fn the_native_table_agrees_with_the_headers() {
        use linux_raw_sys::general as headers;
        let by_name: HashMap<&str, u32> = native().map(|(number, name, _)| (name, number)).collect();
        for (name, number) in [
            ("openat", headers::__NR_openat),
            ("execve", headers::__NR_execve),
            ("clone3", headers::__NR_clone3),
            ("statx", headers::__NR_statx),
            ("io_uring_setup", headers::__NR_io_uring_setup),
            ("file_setattr", headers::__NR_file_setattr),
        ] {
            assert_eq!(by_name.get(name), Some(&number), "{name}");
        }
    }
}
