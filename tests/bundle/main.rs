//! Bundles and promotion packets through the real binary and the library's writer.
//!
//! Most bundles here are built by hand (`support::Hand`), byte by byte, so that the reader is not judged by our own writer.
#![expect(clippy::disallowed_methods, reason = "tests write files and start the binary directly")]

mod earlier;
mod emit;
mod gates;
mod support;
mod validate;
