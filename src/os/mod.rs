//! The only door to the machine: files, locks, processes, and the calls of probes that one system has.
//!
//! Layer 1. FFI and `unsafe` live here (and in `sandbox`), each block with its reason.

pub mod errno;
pub mod fd;
pub mod fifo;
pub mod fs;
pub mod hash;
pub mod input;
#[cfg(target_os = "linux")]
pub mod linux;
pub mod lock;
#[cfg(target_os = "macos")]
pub mod macos;
pub mod mount;
pub mod process;
pub mod signal;
pub mod socket;
pub mod sysv;
pub mod thread;
pub mod tree;
pub mod workspace;
