//! Bundles and promotion packets through the real binary and the library's writer.
//!
//! Most bundles here are built by hand (`support::Hand`), byte by byte, so that the reader is not judged by our own writer.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests write files, start the binary directly, and fail by panicking"
)]

mod concurrent;
mod crash;
mod earlier;
mod emit;
mod gates;
mod hostile;
mod injected;
mod lock;
mod random;
mod repair;
mod runs;
mod support;
mod validate;
mod verified;
mod writer;
