//! How far each operation is enforced, for the report. What is not enforced is never called so.

use std::collections::{BTreeMap, BTreeSet};

use super::kinds::each_kind;
use crate::sandbox::lower::{LeftAlone, POSIX_IPC};
use crate::sandbox::report::{OperationStatus, Status};
use crate::sbpl::Policy;
use crate::vocab::Operation;

/// Decided one by one, and the decision applied.
const DECIDED: [&str; 22] = [
    "file-link",
    "file-mknod",
    "file-read-data",
    "file-read-xattr",
    "file-test-existence",
    "file-write-create",
    "file-write-data",
    "file-write-flags",
    "file-write-mode",
    "file-write-owner",
    "file-write-setugid",
    "file-write-times",
    "file-write-unlink",
    "file-write-xattr",
    "ipc-sysv-msg",
    "ipc-sysv-sem",
    "ipc-sysv-shm",
    "network-bind",
    "network-outbound",
    "process-exec*",
    "process-exec-interpreter",
    "process-fork",
];

/// Refused whatever the profile says.
const NEVER: [&str; 12] = [
    "file-chroot",
    "file-mount",
    "file-mount-update",
    "file-unmount",
    "system-acct",
    "system-kext-load",
    "system-kext-unload",
    "system-reboot",
    "system-set-time",
    "system-swap",
    "fs-quota-on",
    "fs-quota-off",
];

const RACE: &str = "the exec rules cannot be expressed exactly: a racing thread could run another file of the admitted \
                    trees (d2_roots)";
const SCRIPTS: &str = "an interpreter opens its script by itself: where the program can exchange what the script's path leads to, \
                       another script that may be read is interpreted";
const NO_LANDLOCK: &str = "without Landlock a racing thread can run any file";
const CHDIR: &str = "decided one by one; a race during chdir can tell that a directory exists";
const SOCKETS: &str = "never given: other domains than UNIX, INET, INET6 and NETLINK; raw sockets; MPTCP, SCTP and other \
                       stream protocols than TCP";
const INBOUND: &str = "decided when a socket listens; datagrams that arrive at a bound socket are not asked about";
const SIGNAL: &str = "a signal to a group is refused as a whole when one member is refused, and a group cannot be named for later; \
                      who gets a number given out again is not asked about, nor are signals between threads of one process";
const UNSCOPED: &str = "without landlock_scopes a process that gets a number given out again may be outside";
const IOCTL: &str = "advisory: a racing thread can exchange the descriptor; everyday requests on terminals and descriptors are \
                     not asked about; ioctl-command is the number of this system";
const LOCK: &str = "advisory: a racing thread can exchange the descriptor; releasing by flock is not asked about";
const MAP: &str = "advisory: a racing thread can exchange the descriptor, and a program can read a file and make the memory \
                   executable";
const SCRATCH: &str = "the C library makes a semaphore under a scratch name of six letters or digits first: names of that form \
                       can be made, linked and removed by a program that may make any";
const SYSCTL: &str =
    "decided for the files below /proc/sys, beside the file operation; uname and sysinfo are not asked about";
const PID_INFO: &str = "decided for the files below /proc of other processes inside, beside the file operation, and for \
                        their limits; group, session, priority, scheduling, processor time and capabilities of processes inside \
                        can be asked; what is asked about processes outside, and their files, is refused whatever the \
                        profile says";
const SET_CONTROL: &str = "decided for limits and scheduling of other processes inside; those outside are refused \
                           whatever the profile says";
const READ_ALONE: &str = "opening files for reading and looking at them is left to the kernel, because the profile allows it \
                          everywhere: not decided for what is only read or looked at";
const WRITE_ALONE: &str = "all file operations but opening for writing are left to the kernel, because the profile allows them \
                           everywhere: not decided";

const ABSENT: &str = "this system has no such operation";

/// Operations of files that are expressed here by another member of `file-write*`: access lists by `file-write-mode`, the
/// Finder's attribute by `file-write-xattr`. A rule on the family covers both.
const EXPRESSED: [&str; 2] = ["file-write-acl", "file-write-finderinfo"];

/// As many filters of one operation are named.
const MOST_NAMED: usize = 4;

/// How tightly what a race during exec can run is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExecBound {
    /// To what the profile allows, by the kernel alone.
    Exact,
    /// To what the profile allows: what was executed is judged before its first instruction. With `scripts` the program can
    /// exchange a script between that and its interpreter's look at it.
    Stopped { scripts: bool },
    /// To the trees the profile's rules lie in.
    Superset,
    /// Not at all.
    None,
}

/// The status of every operation this system knows, and of every further one the profile names.
pub(super) fn operations(
    policy: &Policy,
    observe: bool,
    supervised: bool,
    exec_bound: ExecBound,
    signals_are_scoped: bool,
    alone: LeftAlone,
) -> BTreeMap<String, OperationStatus> {
    let mut all = BTreeMap::new();
    let left_alone = match alone {
        LeftAlone { write: true, .. } => Some(WRITE_ALONE),
        LeftAlone { read: true, .. } => Some(READ_ALONE),
        _ => None,
    };
    let mut note = |name: &str, status: Status, reason: Option<&str>| {
        all.insert(name.to_owned(), OperationStatus { status, reason: reason.map(str::to_owned) });
    };
    for name in DECIDED {
        match name {
            "process-exec*" | "process-exec-interpreter" => match exec_bound {
                ExecBound::Stopped { scripts: true } if name == "process-exec*" => {
                    note(name, Status::Partly, Some(SCRIPTS));
                }
                ExecBound::Exact | ExecBound::Stopped { .. } => note(name, Status::Enforced, None),
                ExecBound::Superset => note(name, Status::Partly, Some(RACE)),
                ExecBound::None => note(name, Status::Partly, Some(NO_LANDLOCK)),
            },
            _ => note(name, Status::Enforced, None),
        }
    }
    for name in NEVER {
        let recorded = if name.starts_with("fs-quota") { "without a record" } else { "with a record" };
        note(name, Status::Partly, Some(&format!("refused whatever the profile says, {recorded}")));
    }
    let signal = if signals_are_scoped { SIGNAL.to_owned() } else { format!("{SIGNAL}; {UNSCOPED}") };
    note("signal", Status::Partly, Some(&signal));
    note("system-socket", Status::Partly, Some(SOCKETS));
    note("network-inbound", Status::Partly, Some(INBOUND));
    note("file-lock", Status::Partly, Some(LOCK));
    if policy.unconditional(&Operation::new("file-read-metadata")).is_some() {
        note("file-read-metadata", Status::Enforced, None);
    } else {
        note("file-read-metadata", Status::Partly, Some(CHDIR));
    }
    note("file-ioctl", Status::Partly, Some(IOCTL));
    note("file-map-executable", Status::Partly, Some(MAP));
    for name in POSIX_IPC {
        match left_alone {
            None if matches!(name, "ipc-posix-sem-create" | "ipc-posix-sem-unlink") => {
                note(name, Status::Partly, Some(SCRATCH))
            }
            None => note(name, Status::Enforced, None),
            reason => note(name, Status::Partly, reason),
        }
    }
    for name in ["ipc-posix-sem-post", "ipc-posix-sem-wait"] {
        note(name, Status::NotEnforceable, Some("not decided: works on memory the program has mapped"));
    }
    for (name, reason) in [("sysctl-read", SYSCTL), ("sysctl-write", SYSCTL), ("process-info-pidinfo", PID_INFO)] {
        note(name, Status::Partly, Some(left_alone.unwrap_or(reason)));
    }
    note("process-info-setcontrol", Status::Partly, Some(SET_CONTROL));
    for (name, status) in &mut all {
        let applied =
            !NEVER.contains(&name.as_str()) && (left_alone.is_none() || status.reason.as_deref() != left_alone);
        if status.status != Status::NotEnforceable
            && applied
            && let Some(gap) = left_open(policy, name)
        {
            status.status = Status::Partly;
            status.reason = Some(status.reason.take().map_or(gap.clone(), |reason| format!("{reason}; {gap}")));
        }
    }
    for name in absent(policy, &all) {
        let status = OperationStatus { status: Status::NotEnforceable, reason: Some(ABSENT.to_owned()) };
        all.insert(name, status);
    }
    for status in all.values_mut() {
        if observe || !supervised {
            let reason =
                if observe { "observed only: nothing is refused" } else { "no supervisor: seccomp_notify is left out" };
            *status = OperationStatus { status: Status::NotEnforceable, reason: Some(reason.to_owned()) };
        }
    }
    all
}

/// What accesses of an operation can depend on that they never say here; `None` when there is nothing of the kind.
fn left_open(policy: &Policy, operation: &str) -> Option<String> {
    let operation = Operation::new(operation);
    let mut open = BTreeSet::new();
    each_kind(&operation, &mut |access| open.extend(policy.left_open(access)));
    let named: Vec<&str> = open.iter().take(MOST_NAMED).map(String::as_str).collect();
    let more = match open.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!open.is_empty()).then(|| format!("undecided, and refused, where this leaves it open: {}{more}", named.join(", ")))
}

/// The operations and families in the rules that nothing here is: a family by its name where it has no member in `known`, else
/// those of its members that are not.
fn absent(policy: &Policy, known: &BTreeMap<String, OperationStatus>) -> BTreeSet<String> {
    let named: BTreeSet<&str> =
        policy.rules().iter().flat_map(|rule| &rule.operations).map(Operation::canonical).collect();
    let mut absent = BTreeSet::new();
    for name in named.into_iter().filter(|name| *name != "default" && !known.contains_key(*name)) {
        let family = Operation::new(name);
        let has_known = known.keys().any(|member| family.covers(&Operation::new(member.as_str())));
        if !has_known {
            absent.insert(name.to_owned());
            continue;
        }
        let members = Operation::all().filter(|member| !member.is_wildcard() && family.covers(member));
        let strange = members.map(|member| member.as_str().to_owned());
        absent.extend(strange.filter(|member| !known.contains_key(member) && !EXPRESSED.contains(&member.as_str())));
    }
    absent
}
