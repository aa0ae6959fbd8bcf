//! The calls of macOS on systems that have none of them: each says so.

use super::{NotDone, Performed, Setting};
use crate::vocab::Native;

/// Nothing is made ready here.
#[derive(Debug, Default)]
pub(in crate::probe) struct Preparation(());

pub(super) fn is_prepared(_native: Native) -> bool {
    false
}

pub(super) fn prepare(_native: Native, _target: &str) -> Preparation {
    Preparation(())
}

pub(super) fn perform(native: Native, _target: &str, setting: &Setting<'_>) -> Performed {
    let Preparation(()) = setting.prepared;
    Err(NotDone::Unavailable(format!("{} is an interface of macOS", native.call())))
}
