//! What a job and whoever waits for it tell each other, as files of the stage.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::clean::Start;
use crate::base::json;
use crate::os::fs::{FsError, read_bounded, write_durable};

/// More than any record holds.
const LIMIT_BYTES: u64 = 4 * 1024 * 1024;

/// The worker has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// The run it works for.
    pub run_id: String,
    /// Its process id.
    pub pid: u32,
}

/// How the worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its command ran to an exit status; what it left says the rest.
    Finished,
    /// Its start was not clean, so nothing was run.
    NotClean,
    /// It could not run its command.
    Failed,
}

/// The completion record: the last thing a worker writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// `runtime-tools.launchd_completion.v0.1`.
    pub schema_version: String,
    /// The run it worked for.
    pub run_id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Exit status of its command.
    pub exit_code: Option<u8>,
    /// What went wrong, with its causes.
    pub error: Option<String>,
    /// How it found itself when it began.
    pub start: Start,
    /// Why the start was not clean; empty: it was.
    pub not_clean: Vec<String>,
    /// Seconds since 1970-01-01T00:00:00Z when it began.
    pub started_at_unix_s: f64,
    /// The same when it ended.
    pub finished_at_unix_s: f64,
}

impl Finished {
    /// The schema tag. v0.1: first form.
    pub const TAG: &str = "runtime-tools.launchd_completion.v0.1";
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is there and cannot be read.
    #[error("cannot read the job's record")]
    Read(#[from] FsError),
    /// It is not what a worker writes.
    #[error("{path} is not a record of this job")]
    Malformed {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It speaks of another run.
    #[error("{path} is about run {found:?}")]
    OtherRun {
        /// The file.
        path: String,
        /// The run it names.
        found: String,
    },
}

impl Worker {
    /// Reads the record, when it is there.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn read(path: &Path, run_id: &str) -> Result<Option<Self>, RecordError> {
        read::<Self>(path, run_id, |record| &record.run_id)
    }
}

impl Finished {
    /// Reads the record, when it is there.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn read(path: &Path, run_id: &str) -> Result<Option<Self>, RecordError> {
        read::<Self>(path, run_id, |record| &record.run_id)
    }
}

fn read<T: for<'de> Deserialize<'de>>(
    path: &Path,
    run_id: &str,
    named: impl Fn(&T) -> &String,
) -> Result<Option<T>, RecordError> {
    let bytes = match read_bounded(path, LIMIT_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let shown = path.display().to_string();
    let record: T =
        serde_json::from_slice(&bytes).map_err(|source| RecordError::Malformed { path: shown.clone(), source })?;
    match named(&record) == run_id {
        true => Ok(Some(record)),
        false => Err(RecordError::OtherRun { path: shown, found: named(&record).clone() }),
    }
}

/// Writes a record whole: whoever reads it reads all of it or nothing.
///
/// # Errors
/// [`FsError`].
pub(super) fn write(path: &Path, record: &impl Serialize) -> Result<(), FsError> {
    write_durable(path, json::to_pretty(record).as_bytes())
}

impl Worker {
    /// Leaves the record at `path`.
    ///
    /// # Errors
    /// [`FsError`].
    pub fn write(&self, path: &Path) -> Result<(), FsError> {
        write(path, self)
    }
}

impl Finished {
    /// Leaves the record at `path`.
    ///
    /// # Errors
    /// [`FsError`].
    pub fn write(&self, path: &Path) -> Result<(), FsError> {
        write(path, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_another_run_or_of_no_kind_is_refused_by_name() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("started.json");
        assert_eq!(Worker::read(&path, "a").unwrap(), None);
        Worker { run_id: "a".to_owned(), pid: 4 }.write(&path).unwrap();
        assert_eq!(Worker::read(&path, "a").unwrap().map(|worker| worker.pid), Some(4));
        let other = Worker::read(&path, "b").unwrap_err();
        assert!(matches!(other, RecordError::OtherRun { ref found, .. } if found == "a"), "{other}");
        write_durable(&path, b"{\"run_id\":\"a\"}").unwrap();
        assert!(Worker::read(&path, "a").unwrap_err().to_string().ends_with("is not a record of this job"));
    }
}
