//! The operations of the macOS sandbox as named on Sonoma 14.4.1 (libsandbox vocabulary), and their hierarchy.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// An SBPL operation name, known or not. Names outside the table are kept as written: a linter warns, nothing fails.
///
/// A name ending in `*` is a wildcard: it covers every name that continues it, and `default` covers all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Operation(Cow<'static, str>);

impl Operation {
    /// How many operations the system's table holds.
    pub const COUNT: usize = OPERATIONS.len();

    /// Every name of the system's table, in its order.
    pub fn names() -> impl Iterator<Item = &'static str> {
        OPERATIONS.iter().copied()
    }

    /// Every operation of the system's table, in its order.
    pub fn all() -> impl Iterator<Item = Self> {
        OPERATIONS.iter().map(|name| Self::named(name))
    }

    /// Wraps a name as written in a profile or plan.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(Cow::Owned(name.into()))
    }

    /// Wraps a name of this program's own.
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The operation's index in the system's table (0 to 195), or `None` for aliases and names outside the table.
    #[must_use]
    pub fn index(&self) -> Option<usize> {
        index_of(&self.0)
    }

    /// The index of the name, or of the table's spelling where the name is an alias of one.
    #[must_use]
    pub fn canonical_index(&self) -> Option<usize> {
        self.index().or_else(|| index_of(self.canonical()))
    }

    /// Whether the name is in the system's table or among the names profiles use besides it.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.index().is_some() || ALIASES.contains(&self.as_str())
    }

    /// Whether the name is a wildcard (`default` counts as one).
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0 == "default" || self.0.ends_with('*')
    }

    /// Whether a rule written for `self` is a rule for `other`.
    ///
    /// `file*` covers `file*`, `file-read*` and `file-read-data`; a plain name covers itself; `default` covers all.
    /// The hierarchy is derived from the names (`SPEC.md`, section SBPL).
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        name_covers(&self.0, other)
    }

    /// The table's spelling of an alias (`process-exec` is `process-exec*`); other names as written.
    #[must_use]
    pub fn canonical(&self) -> &str {
        canonical_name(&self.0)
    }
}

/// [`Operation::covers`] for a rule's operation given by its name.
pub(crate) fn name_covers(own: &str, other: &Operation) -> bool {
    if own == "default" {
        return true;
    }
    // Spellings begin alike, and most names do not. What a star alone covers has no beginning.
    if own.as_bytes().first() != other.0.as_bytes().first() && own != "*" {
        return false;
    }
    let (own, other) = (canonical_name(own), other.canonical());
    if own == other {
        return true;
    }
    match own.strip_suffix('*') {
        Some(stem) => other.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '*'])),
        None => false,
    }
}

fn canonical_name(name: &str) -> &str {
    SPELLINGS.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, canonical)| canonical)
}

fn index_of(name: &str) -> Option<usize> {
    let mut slot = slot_of(name.as_bytes());
    loop {
        match BY_NAME[slot] {
            EMPTY => return None,
            index if OPERATIONS[index as usize] == name => return Some(index as usize),
            _ => slot = (slot + 1) % SLOTS,
        }
    }
}

/// Slots of [`BY_NAME`]: many more than names, so that nearly every look-up ends at the first one.
const SLOTS: usize = 1024;
/// Where no name is.
const EMPTY: u8 = u8::MAX;

/// Table indices by a hash of their names; one that finds its slot taken is in the next free one. A judgement begins with such a
/// look-up, so it has to be quicker than a search among the names in their order.
static BY_NAME: [u8; SLOTS] = by_name();

const fn by_name() -> [u8; SLOTS] {
    let mut slots = [EMPTY; SLOTS];
    let mut index = 0;
    while index < EMPTY && (index as usize) < OPERATIONS.len() {
        let mut slot = slot_of(OPERATIONS[index as usize].as_bytes());
        while slots[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = index;
        index += 1;
    }
    slots
}

const _: () = assert!(OPERATIONS.len() <= EMPTY as usize);

/// The slot in which a name is looked for first: FNV-1a.
const fn slot_of(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ hash >> 16) as usize % SLOTS
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Operation {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// The system's table on Sonoma 14.4.1; the position is the kernel's index.
pub(crate) const OPERATIONS: [&str; 196] = [
    "default",
    "appleevent-send",
    "authorization-right-obtain",
    "boot-arg-set",
    "device*",
    "device-camera",
    "device-microphone",
    "darwin-notification-post",
    "distributed-notification-post",
    "dynamic-code-generation",
    "file*",
    "file-chroot",
    "file-clone",
    "file-ioctl",
    "file-issue-extension",
    "file-link",
    "file-lock",
    "file-map-executable",
    "file-mknod",
    "file-mount",
    "file-mount-update",
    "file-read*",
    "file-read-data",
    "file-read-metadata",
    "file-read-xattr",
    "file-revoke",
    "file-search",
    "file-test-existence",
    "file-unmount",
    "file-write*",
    "file-write-acl",
    "file-write-create",
    "file-write-data",
    "file-write-finderinfo",
    "file-write-flags",
    "file-write-mode",
    "file-write-owner",
    "file-write-setugid",
    "file-write-times",
    "file-write-unlink",
    "file-write-xattr",
    "fs-quota*",
    "fs-quota-get",
    "fs-quota-on",
    "fs-quota-off",
    "fs-quota-set*",
    "fs-quota-set-limits",
    "fs-quota-set-usage",
    "fs-quota-stat",
    "fs-quota-sync",
    "fs-rename",
    "fs-snapshot*",
    "fs-snapshot-create",
    "fs-snapshot-delete",
    "fs-snapshot-mount",
    "fs-snapshot-revert",
    "generic-issue-extension",
    "qtn-user",
    "hid-control",
    "iokit*",
    "iokit-get-properties",
    "iokit-issue-extension",
    "iokit-open*",
    "iokit-open-user-client",
    "iokit-open-service",
    "iokit-set-properties",
    "ipc*",
    "ipc-posix*",
    "ipc-posix-issue-extension",
    "ipc-posix-sem*",
    "ipc-posix-sem-create",
    "ipc-posix-sem-open",
    "ipc-posix-sem-post",
    "ipc-posix-sem-unlink",
    "ipc-posix-sem-wait",
    "ipc-posix-shm*",
    "ipc-posix-shm-read-data",
    "ipc-posix-shm-write*",
    "ipc-posix-shm-write-create",
    "ipc-posix-shm-write-data",
    "ipc-posix-shm-write-unlink",
    "ipc-sysv*",
    "ipc-sysv-msg",
    "ipc-sysv-sem",
    "ipc-sysv-shm",
    "job-creation",
    "lsopen",
    "mach*",
    "mach-bootstrap",
    "mach-cross-domain-lookup",
    "mach-derive-port",
    "mach-host*",
    "mach-host-exception-port-set",
    "mach-host-special-port-set",
    "mach-issue-extension",
    "mach-kernel-endpoint",
    "mach-lookup",
    "mach-priv*",
    "mach-priv-host-port",
    "mach-priv-task-port",
    "mach-register",
    "mach-task*",
    "mach-task-inspect",
    "mach-task-name",
    "mach-task-read",
    "mach-task-special-port*",
    "mach-task-special-port-get",
    "mach-task-special-port-set",
    "necp-client-open",
    "network*",
    "network-inbound",
    "network-bind",
    "network-outbound",
    "nvram*",
    "nvram-delete",
    "nvram-get",
    "nvram-set",
    "opendirectory-user-modify",
    "process*",
    "process-codesigning",
    "process-exec*",
    "process-exec-interpreter",
    "process-fork",
    "process-info*",
    "process-info-codesignature",
    "process-info-dirtycontrol",
    "process-info-ledger",
    "process-info-listpids",
    "process-info-rusage",
    "process-info-pidinfo",
    "process-info-pidfdinfo",
    "process-info-pidfileportinfo",
    "process-info-setcontrol",
    "process-legacy-codesigning*",
    "process-legacy-codesigning-blob-get",
    "process-legacy-codesigning-cdhash-get",
    "process-legacy-codesigning-entitlements-blob-get",
    "process-legacy-codesigning-entitlements-der-blob-get",
    "process-legacy-codesigning-identity-get",
    "process-legacy-codesigning-status*",
    "process-legacy-codesigning-status-get",
    "process-legacy-codesigning-status-set",
    "process-legacy-codesigning-teamid-get",
    "process-legacy-codesigning-text-offset-get",
    "pseudo-tty",
    "signal",
    "socket-ioctl",
    "socket-option*",
    "socket-option-get",
    "socket-option-set",
    "syscall*",
    "syscall-unix",
    "syscall-mach",
    "syscall-mig",
    "sysctl*",
    "sysctl-read",
    "sysctl-write",
    "system*",
    "system-acct",
    "system-audit",
    "system-automount",
    "system-debug",
    "system-fcntl",
    "system-fsctl",
    "system-info",
    "system-kas-info",
    "system-kext*",
    "system-kext-load",
    "system-kext-unload",
    "system-kext-query",
    "system-mac*",
    "system-mac-label",
    "system-mac-syscall",
    "system-memorystatus-control",
    "system-necp-client-action",
    "system-nfssvc",
    "system-package-check",
    "system-privilege",
    "system-reboot",
    "system-sched",
    "system-set-time",
    "system-socket",
    "system-suspend-resume",
    "system-swap",
    "user-preference*",
    "user-preference-read",
    "managed-preference-read",
    "user-preference-write",
    "storage-class-map",
    "process-exec-update-label",
    "default-message-filter",
    "iokit-async-external-method",
    "iokit-external-method",
    "iokit-external-trap",
    "mach-message-send",
    "xpc-message-send",
];

/// Names that profiles use although the table does not hold them: aliases, older names, names of newer systems.
pub(crate) const ALIASES: &[&str] = &[
    "process-exec",
    "iokit-open",
    "ipc-posix-sem",
    "ipc-posix-shm",
    "ipc-posix-shm-read*",
    "ipc-posix-shm-read-metadata",
    "file-issue-extension*",
    "file-unlink",
    "mach-per-user-lookup",
    "process-codesigning-blob-get",
    "process-codesigning-cdhash-get",
    "process-codesigning-entitlements-blob-get",
    "process-codesigning-identity-get",
    "process-codesigning-status*",
    "process-codesigning-status-get",
    "process-codesigning-status-set",
    "process-codesigning-teamid-get",
    "process-codesigning-text-offset-get",
];

/// Aliases that only spell a name of the table differently; other aliases stand for themselves.
const SPELLINGS: &[(&str, &str)] = &[
    ("process-exec", "process-exec*"),
    ("iokit-open", "iokit-open*"),
    ("ipc-posix-sem", "ipc-posix-sem*"),
    ("ipc-posix-shm", "ipc-posix-shm*"),
    ("ipc-posix-shm-read*", "ipc-posix-shm-read-data"),
    ("file-issue-extension*", "file-issue-extension"),
    ("file-unlink", "file-write-unlink"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_196_distinct_names_34_of_them_wildcards() {
        let distinct: std::collections::BTreeSet<_> = OPERATIONS.iter().collect();
        assert_eq!(distinct.len(), 196);
        assert_eq!(OPERATIONS.iter().filter(|name| name.ends_with('*')).count(), 34);
        assert_eq!(Operation::new("file-write-unlink").index(), Some(39));
    }

    #[test]
    fn every_name_is_found_at_its_place_and_no_other_is() {
        for (index, name) in OPERATIONS.iter().enumerate() {
            assert_eq!(Operation::named(name).index(), Some(index), "{name}");
            for other in [format!("{name}x"), name[1..].to_owned(), name.to_uppercase()] {
                let known = OPERATIONS.iter().position(|name| *name == other);
                assert_eq!(Operation::new(&*other).index(), known, "{other}");
            }
        }
        assert_eq!(Operation::named("").index(), None);
    }

    #[test]
    fn an_alias_has_the_index_of_its_canonical_name() {
        for (alias, name) in SPELLINGS {
            let (alias, name) = (Operation::new(*alias), Operation::new(*name));
            assert!(alias.index().is_none() && name.index().is_some(), "{alias} {name}");
            assert_eq!(alias.canonical_index(), name.index(), "{alias}");
            assert_eq!(alias.as_str()[..1], name.as_str()[..1], "looked at before the spelling");
        }
        assert_eq!(Operation::new("file-write-unlink").canonical_index(), Some(39));
        assert_eq!(Operation::new("mach-per-user-lookup").canonical_index(), None);
    }

    #[test]
    fn wildcards_cover_what_continues_them() {
        for (rule, access, covered) in [
            ("file*", "file-read-data", true),
            ("file*", "file-read*", true),
            ("file-read*", "file-read-data", true),
            ("file-read*", "file-write-data", false),
            ("file-read-data", "file-read*", false),
            ("process-exec*", "process-exec", true),
            ("process-exec*", "process-exec-interpreter", true),
            ("process*", "process-fork", true),
            ("process-exec", "process-exec*", true),
            ("process-exec", "process-exec-interpreter", true),
            ("process-exec-interpreter", "process-exec", false),
            ("file-write*", "file-unlink", true),
            ("*", "-x", true),
            ("default", "signal", true),
            ("fs-quota*", "file-read-data", false),
            ("mach*", "machtrap", false),
        ] {
            assert_eq!(Operation::new(rule).covers(&Operation::new(access)), covered, "{rule} {access}");
        }
    }
}
