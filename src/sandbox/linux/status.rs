//! How far each operation is enforced, for the report. What is not enforced is never called so.

use std::collections::BTreeMap;

use crate::sandbox::report::{OperationStatus, Status};
use crate::sbpl::Policy;
use crate::vocab::{Decision, Operation};

/// Decided one by one, and the decision applied.
const DECIDED: [&str; 21] = [
    "file-link",
    "file-mknod",
    "file-read-data",
    "file-read-metadata",
    "file-read-xattr",
    "file-test-existence",
    "file-write-create",
    "file-write-data",
    "file-write-mode",
    "file-write-owner",
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

/// Run when the profile allows them everywhere, refused otherwise.
const ALL_OR_NOTHING: [&str; 5] = [
    "file-write-flags",
    "ipc-posix-shm-read-data",
    "ipc-posix-shm-write-create",
    "ipc-posix-shm-write-data",
    "ipc-posix-shm-write-unlink",
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
const NO_LANDLOCK: &str = "without Landlock a racing thread can run any file";
const SOCKETS: &str = "never given: other domains than UNIX, INET, INET6 and NETLINK; raw sockets; MPTCP, SCTP and other \
                       stream protocols than TCP";
const INBOUND: &str = "decided when a socket listens; datagrams that arrive at a bound socket are not asked about";
const SIGNAL: &str = "a signal to a group is refused as a whole when one member is refused; who joins the group meanwhile, or \
                      gets a number given out again, is not asked about; nor are signals between threads of one process";
const UNSCOPED: &str = "without landlock_scopes a process that gets a number given out again may be outside";

/// How tightly what a race during exec can run is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExecBound {
    /// To what the profile allows, by the kernel alone.
    Exact,
    /// To what the profile allows: what was executed is judged before its first instruction.
    Stopped,
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
) -> BTreeMap<String, OperationStatus> {
    let mut all = BTreeMap::new();
    let mut note = |name: &str, status: Status, reason: Option<&str>| {
        all.insert(name.to_owned(), OperationStatus { status, reason: reason.map(str::to_owned) });
    };
    for name in DECIDED {
        match name {
            "process-exec*" | "process-exec-interpreter" => match exec_bound {
                ExecBound::Exact | ExecBound::Stopped => note(name, Status::Enforced, None),
                ExecBound::Superset => note(name, Status::Partly, Some(RACE)),
                ExecBound::None => note(name, Status::Partly, Some(NO_LANDLOCK)),
            },
            _ => note(name, Status::Enforced, None),
        }
    }
    for name in ALL_OR_NOTHING {
        match policy.unconditional(&Operation::new(name)) {
            Some(Decision::Allow) => note(name, Status::Enforced, Some("allowed everywhere: runs, without records")),
            Some(Decision::Deny) => note(name, Status::Enforced, Some("denied everywhere: refused, without records")),
            None => note(name, Status::NotEnforceable, Some("not enforceable yet: refused")),
        }
    }
    for name in NEVER {
        note(name, Status::Partly, Some("refused whatever the profile says"));
    }
    let signal = if signals_are_scoped { SIGNAL.to_owned() } else { format!("{SIGNAL}; {UNSCOPED}") };
    note("signal", Status::Partly, Some(&signal));
    note("system-socket", Status::Partly, Some(SOCKETS));
    note("network-inbound", Status::Partly, Some(INBOUND));
    for name in ["file-ioctl", "file-lock", "file-map-executable"] {
        note(name, Status::NotEnforceable, Some("not decided: works on descriptors the program holds, and runs"));
    }
    for name in ["sysctl-read", "sysctl-write", "process-info-pidinfo"] {
        note(name, Status::NotEnforceable, Some("decided as file operations on the files below /proc"));
    }
    for rule in policy.rules().iter().filter(|rule| !rule.is_default()) {
        for name in rule.operations.iter().map(Operation::canonical) {
            if !name.ends_with('*') && !all.contains_key(name) {
                let reason = Some("this system has no such operation".to_owned());
                all.insert(name.to_owned(), OperationStatus { status: Status::NotEnforceable, reason });
            }
        }
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
