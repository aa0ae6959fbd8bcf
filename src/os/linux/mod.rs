//! Linux system calls that no maintained crate wraps safely: seccomp notification, process memory, capabilities.
