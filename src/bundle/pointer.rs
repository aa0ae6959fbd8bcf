//! `LATEST`: one line with the run id of the newest committed run.

use super::layout::{LATEST, name};
use crate::base::ids::{NameError, RunId};
use crate::os::fs::{Dir, FsError, Prepared};

/// Longer than any run id with its newline.
const LIMIT_BYTES: u64 = 1024;

/// What a root's pointer says.
#[derive(Debug)]
pub(super) enum Pointer {
    /// There is no pointer, or it is blank.
    Absent,
    /// It names a run.
    Run(RunId),
    /// It is not one plain path component.
    Invalid {
        /// What it says, shortened.
        text: String,
        /// Why that is no run id.
        why: NameError,
    },
    /// It is not UTF-8.
    NotText,
}

/// Reads the pointer of `root` once.
pub(super) fn read(root: &Dir) -> Result<Pointer, FsError> {
    let bytes = match root.read_sole(&name(LATEST), LIMIT_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(Pointer::Absent),
        Err(error) => return Err(error),
    };
    let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(Pointer::NotText) };
    let text = text.trim();
    if text.is_empty() {
        return Ok(Pointer::Absent);
    }
    Ok(match RunId::try_from(text.to_owned()) {
        Ok(run_id) => Pointer::Run(run_id),
        Err(why) => Pointer::Invalid { text: text.chars().take(80).collect(), why },
    })
}

/// Prepares the pointer of `root` to `run_id`.
pub(super) fn prepare<'d>(root: &'d Dir, run_id: &RunId) -> Result<Prepared<'d>, FsError> {
    root.prepare(&name(LATEST), format!("{run_id}\n").as_bytes())
}
