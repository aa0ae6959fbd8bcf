//! Enforcement on Linux from the outside: foreign programs and attacking ones under real profiles.
//!
//! Every refusal has a twin in which the policy allows the same access, and every test looks at what the disk says and at
//! the record. Each runs as an ordinary user and, when the tests run as root, as root too.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "tests start programs and look at files directly")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod attacks;
mod command_line;
mod descriptors;
mod directory;
mod exec_stop;
mod files;
mod hardening;
mod ipc;
mod lifetime;
mod network;
mod paths;
mod processes;
mod records;
mod same;
mod signals;
mod support;
mod sysctl;
