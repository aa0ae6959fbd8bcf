//! How much the tables cover.

use std::collections::BTreeMap;

use runtime::vocab::Decision;

use super::{TABLES, table};

/// As many as docs/linux-enforcement.md tells of.
const LEAST: usize = 800;

/// Calls that must be answered both ways.
const ACTIONS: &[&str] = &[
    "read",
    "list",
    "write",
    "append",
    "truncate",
    "read-write",
    "open-truncate",
    "open-temporary",
    "create",
    "node",
    "fifo",
    "socket",
    "device",
    "mkdir",
    "symlink",
    "unlink",
    "rmdir",
    "rename",
    "exchange",
    "link",
    "chmod",
    "chmod-open",
    "chown",
    "chown-link",
    "chown-open",
    "times",
    "times-link",
    "times-open",
    "setxattr",
    "removexattr",
    "getxattr",
    "getxattr-open",
    "listxattr",
    "exists",
    "rights",
    "stat",
    "lstat",
    "statx",
    "statfs",
    "readlink",
    "watch",
    "chdir",
    "lock",
    "lock-record",
    "lock-open-file",
    "exec",
    "fork",
    "signal",
    "ioctl",
    "map-executable",
    "flags",
    "shm-create",
    "shm-read",
    "shm-write",
    "shm-unlink",
    "sem-create",
    "sem-open",
    "sem-unlink",
    "set",
    "info-file",
    "limits",
    "set-limits",
    "sysv-shm",
    "sysv-sem",
    "sysv-msg",
];

/// Words that some section's rules must hold: filters and every wildcard above the operations.
const WORDS: &[&str] = &[
    "(literal ",
    "(path ",
    "(subpath ",
    "(prefix ",
    "(regex ",
    "(path-ancestors ",
    "(vnode-type ",
    "(file-mode ",
    "(require-any",
    "(require-all",
    "(require-not",
    "(with-filter",
    "(param ",
    "(string-append ",
    "(target ",
    "(xattr ",
    "(xattr-prefix ",
    "(xattr-regex ",
    "(allow default)",
    "(allow file* ",
    "(deny file* ",
    "(allow file-read* ",
    "(deny file-read* ",
    "(allow file-write* ",
    "(deny file-write* ",
    "(allow process*",
    "(allow process-exec*",
    "(deny process-exec*",
    "(allow ipc*",
    "(allow network*",
    "(deny network*",
    "(remote tcp ",
    "(remote udp ",
    "(remote ip ",
    "(remote unix-socket",
    "(local tcp ",
    "(local unix-socket",
    "(allow ipc-sysv*",
];

#[test]
fn every_table_is_run() {
    assert_eq!(table::names(), TABLES);
}

#[test]
fn there_are_enough_rows_for_every_call_both_ways() {
    let sections: Vec<_> = TABLES.iter().flat_map(|name| table::read(name)).collect();
    let rows: Vec<_> = sections.iter().flat_map(|section| &section.rows).collect();
    let mut answers: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for row in &rows {
        answers.entry(&row.action).or_default()[usize::from(row.expected == Decision::Deny)] += 1;
    }
    println!(
        "{} rows in {} sections of {} tables; call [allow, deny]: {answers:?}",
        rows.len(),
        sections.len(),
        TABLES.len()
    );
    assert!(rows.len() >= LEAST, "{} rows", rows.len());
    for action in ACTIONS {
        let [allowed, denied] = answers.get(action).copied().unwrap_or_default();
        assert!(allowed > 0 && denied > 0, "{action}: {allowed} allowed, {denied} denied");
    }
    let rules: String = sections.iter().map(|section| section.rules.as_str()).collect();
    for word in WORDS {
        assert!(rules.contains(word), "no section has {word}");
    }
}
