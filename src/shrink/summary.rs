//! What a run or a matrix came to, for people.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::layout;
use crate::base::json::{self, JsonError};
use crate::os::fs::{FsError, exists, read_bounded};

/// A run or a matrix as it lies on the disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The directory that was asked about.
    pub directory: PathBuf,
    /// `run.json`, or the matrix summary.
    pub record: Value,
    /// Whether it is a matrix.
    pub is_matrix: bool,
}

/// Why there is no summary.
#[derive(Debug, thiserror::Error)]
pub enum SummaryError {
    /// There is no run there.
    #[error("{} holds neither run.json nor matrix/summary.json", .0.display())]
    NoRun(PathBuf),
    /// The record cannot be read.
    #[error(transparent)]
    Files(#[from] FsError),
    /// The record is no document.
    #[error("{} is not a record of a run", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: JsonError,
    },
}

/// Reads what lies in `directory`.
///
/// # Errors
/// [`SummaryError`].
pub fn summary(directory: &Path) -> Result<Summary, SummaryError> {
    let places = [("run.json", false), ("matrix/summary.json", true), ("summary.json", true)];
    let Some((path, is_matrix)) =
        places.iter().map(|(name, is_matrix)| (directory.join(name), *is_matrix)).find(|(path, _)| exists(path))
    else {
        return Err(SummaryError::NoRun(directory.to_owned()));
    };
    let record = json::read(&read_bounded(&path, layout::MAX_BYTES)?)
        .map_err(|source| SummaryError::Malformed { path, source })?;
    Ok(Summary { directory: directory.to_owned(), record, is_matrix })
}

impl Summary {
    /// A value of the record, or `-`.
    fn show(value: &Value) -> String {
        match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.chars().filter(|c| !c.is_control()).collect(),
            other => other.to_string(),
        }
    }

    /// Whether everything that was asked for succeeded, as far as the record says.
    #[must_use]
    pub fn success(&self) -> bool {
        if self.is_matrix {
            let runs = self.record["runs"].as_array().map_or(&[][..], Vec::as_slice);
            return runs.iter().all(|row| (row["shrink_status"] == "success") != (row["meant_to_fail"] == true));
        }
        self.record["success"] == true
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> String {
        if self.is_matrix { self.matrix_text() } else { self.run_text() }
    }

    fn run_text(&self) -> String {
        let at = |pointer: &str| Self::show(self.record.pointer(pointer).unwrap_or(&Value::Null));
        let mut lines = vec![
            ("run dir", self.directory.display().to_string()),
            ("world", at("/world_id")),
            ("fixture", at("/knobs/fixture")),
            ("trace status", at("/trace/status")),
            ("iterations", at("/trace/iterations")),
            ("profile lines", at("/trace/profile_lines")),
            ("bad rules", at("/trace/bad_rules")),
            ("completeness", at("/trace/completeness/verdict")),
            ("shrink status", at("/shrink/status")),
            ("removed", at("/shrink/removed")),
            ("kept", at("/shrink/kept")),
            ("shrunk lines", at("/shrink/profile_lines")),
            ("post-shrink fresh", at("/shrink/post_shrink_fresh_rc")),
            ("post-shrink repeat", at("/shrink/post_shrink_repeat_rc")),
            ("one-minimal", at("/shrink/one_minimal")),
            ("runs", format!("{} (bound {})", at("/shrink/runs"), at("/shrink/bound"))),
            ("seconds", at("/timing/duration_s")),
        ];
        for (name, pointer) in
            [("why", "/trace/why"), ("reason", "/shrink/reason"), ("shrink why", "/shrink/why"), ("error", "/error")]
        {
            let value = at(pointer);
            if value != "-" && value != "success" {
                lines.push((name, value));
            }
        }
        for flaky in self.record.pointer("/shrink/flaky").and_then(Value::as_array).into_iter().flatten() {
            lines.push(("flaky", Self::show(flaky)));
        }
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        lines.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
    }

    fn matrix_text(&self) -> String {
        let columns = [
            ("label", "label"),
            ("trace", "trace_status"),
            ("iter", "trace_iterations"),
            ("lines", "trace_lines"),
            ("shrunk", "shrunk_lines"),
            ("removed", "shrink_removed"),
            ("kept", "shrink_kept"),
            ("bad", "bad_rules"),
            ("fresh", "post_shrink_fresh_rc"),
            ("repeat", "post_shrink_repeat_rc"),
            ("runs", "runs"),
        ];
        let mut rows: Vec<Vec<String>> = vec![columns.iter().map(|(name, _)| (*name).to_owned()).collect()];
        for run in self.record["runs"].as_array().into_iter().flatten() {
            rows.push(columns.iter().map(|(_, key)| Self::show(&run[*key])).collect());
        }
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            format!("{}\n", cells.join("  ").trim_end())
        };
        rows.iter().map(line).collect()
    }
}
