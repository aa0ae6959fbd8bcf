//! The Linux supervisor: seccomp user notification that performs the operation itself, Landlock below.
