//! Opening beneath a directory where the system has no single call for it.

pub(super) use super::portable::open;
