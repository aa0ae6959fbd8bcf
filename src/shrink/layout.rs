//! Where the files of a run lie, and how they are written.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::base::json as document;
use crate::os::fs::{Dir, FsError, write_durable, write_whole};
use crate::os::workspace;

use super::target::Place;

/// Largest file read back.
pub(super) const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// The two halves of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Trace,
    Shrink,
}

impl Phase {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Shrink => "shrink",
        }
    }
}

/// The directory of a run. Paths inside documents are relative to the root.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    out: PathBuf,
    root: PathBuf,
}

impl Layout {
    /// The layout of `out`, which is there. `root` is what stored paths are relative to; where `out` lies elsewhere that is its
    /// parent.
    pub(super) fn of(out: &Path, root: &Path) -> Result<Self, FsError> {
        let resolved = |path: &Path| path.canonicalize().map_err(|e| unresolved(path, e));
        let (out, mut root) = (resolved(out)?, resolved(root)?);
        if !out.starts_with(&root) {
            root = out.parent().unwrap_or(Path::new("/")).to_owned();
        }
        Ok(Self { out, root })
    }

    /// Makes the directories of both phases where they are missing.
    pub(super) fn make_directories(&self) -> Result<(), FsError> {
        for directory in ["profiles", "phases/trace/logs", "phases/trace/issues", "phases/trace/validation"] {
            Dir::create_all(&self.path(directory))?;
        }
        for directory in ["phases/shrink/validation", "artifacts/bin"] {
            Dir::create_all(&self.path(directory))?;
        }
        Ok(())
    }

    pub(super) fn out(&self) -> &Path {
        &self.out
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    pub(super) fn phase(&self, phase: Phase, name: &str) -> PathBuf {
        self.out.join("phases").join(phase.word()).join(name)
    }

    pub(super) fn trace_profile(&self) -> PathBuf {
        self.path("profiles/trace.sb")
    }

    pub(super) fn shrunk_profile(&self) -> PathBuf {
        self.path("profiles/shrunk.sb")
    }

    pub(super) fn rules(&self) -> PathBuf {
        self.path("rules.json")
    }

    /// How a document spells a path.
    pub(super) fn stored(&self, path: &Path) -> String {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        match path.strip_prefix(&self.root) {
            Ok(relative) => relative.display().to_string(),
            // Never absolute: what lies elsewhere is named by its last part.
            Err(_) => path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        }
    }

    /// The place for runs of one job; the first one is the workspace of the run.
    pub(super) fn place(&self, phase: Phase, job: usize) -> Result<Place, FsError> {
        let (work, files) = match job {
            0 => (self.path("out"), self.path("phases").join(phase.word())),
            _ => (self.path(&format!("jobs/{job}/out")), self.path(&format!("jobs/{job}"))),
        };
        Dir::create_all(&work)?;
        Dir::create_all(&files)?;
        Ok(Place {
            work: work.canonicalize().map_err(|e| unresolved(&work, e))?,
            leave_out: self.out.clone(),
            stdout: files.join("stdout.txt"),
            stderr: files.join("stderr.txt"),
        })
    }

    /// Takes away what only lives as long as the phase.
    pub(super) fn remove_jobs(&self) -> Result<(), FsError> {
        workspace::remove_tree(&self.path("jobs"))
    }
}

fn unresolved(path: &Path, source: std::io::Error) -> FsError {
    FsError::Io { action: "resolve", path: path.to_owned(), source }
}

/// Writes a file of a run whole; it appears under its name at once, but is not synced.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    write_whole(path, bytes)
}

/// Writes a document with sorted keys, two-space indent and a line end.
pub(super) fn write_sorted(path: &Path, value: &impl Serialize) -> Result<(), FsError> {
    write(path, (document::to_pretty_sorted(value) + "\n").as_bytes())
}

/// The same, durably: what a reader looks for first.
pub(super) fn write_record(path: &Path, value: &Value) -> Result<(), FsError> {
    write_durable(path, (document::to_pretty_sorted(value) + "\n").as_bytes())
}

/// Number of line ends of a file; `None` when it cannot be read.
pub(super) fn lines_of(path: &Path) -> Option<usize> {
    let bytes = crate::os::fs::read_bounded(path, MAX_BYTES).ok()?;
    Some(bytes.iter().filter(|&&byte| byte == b'\n').count())
}

/// Reads a document of a run.
pub(super) fn read_document(path: &Path) -> Option<Value> {
    document::read(&crate::os::fs::read_bounded(path, MAX_BYTES).ok()?).ok()
}
