//! What the shipped suite for Linux has to cover.

/// Operations of which it has a probe that is allowed and one that is denied.
pub(crate) const OPERATIONS: [&str; 17] = [
    "file-read-data",
    "file-read-metadata",
    "file-write-create",
    "file-write-data",
    "file-write-unlink",
    "process-exec",
    "process-fork",
    "sysctl-read",
    "file-test-existence",
    "file-read-xattr",
    "file-write-mode",
    "file-write-times",
    "file-link",
    "signal",
    "ipc-sysv-shm",
    "network-outbound",
    "network-bind",
];
