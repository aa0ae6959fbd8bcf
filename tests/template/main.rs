//! Templates through the real binary: what is built from them, where it is refused, and what the Linux ones show when run.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests start the binary, prepare files and may panic"
)]

mod building;
mod killed;
#[cfg(target_os = "linux")]
mod linux;
mod own;
mod support;
