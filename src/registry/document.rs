//! One JSON document with its place and text, and what can be wrong before its content is looked at.

use std::sync::OnceLock;

use serde_json::Value;

use super::place::Place;
use crate::base::json::{JsonError, MAX_DOCUMENT_BYTES};
use crate::base::tree::{Node, Tree};
use crate::base::{error_chain, position};
use crate::os::fs::FsError;
use crate::vocab::{Finding, Severity};

/// A parsed document. The text is kept so that findings can name line and column.
#[derive(Debug, Clone)]
pub struct Document {
    /// Where it was read from.
    pub place: Place,
    tree: Tree,
    value: OnceLock<Value>,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The file cannot be read, or is too large.
    #[error("cannot read {place}")]
    Read {
        /// The file.
        place: Place,
        /// The cause.
        source: FsError,
    },
    /// The text is not an acceptable JSON document.
    #[error("{place} is not a JSON document")]
    Json {
        /// The file.
        place: Place,
        /// The cause, with its position.
        source: JsonError,
    },
}

impl Document {
    /// Reads and parses the file at `place`, at most [`MAX_DOCUMENT_BYTES`] long.
    ///
    /// # Errors
    /// See [`DocumentError`].
    pub fn read(place: &Place) -> Result<Self, DocumentError> {
        let bytes =
            place.read(MAX_DOCUMENT_BYTES).map_err(|source| DocumentError::Read { place: place.clone(), source })?;
        Self::parse(place, bytes)
    }

    /// Parses bytes that stand for the file at `place`.
    ///
    /// # Errors
    /// [`DocumentError::Json`].
    pub fn parse(place: &Place, bytes: Vec<u8>) -> Result<Self, DocumentError> {
        let tree = Tree::parse(bytes).map_err(|source| DocumentError::Json { place: place.clone(), source })?;
        Ok(Self { place: place.clone(), tree, value: OnceLock::new() })
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.tree.text()
    }

    /// The parsed document, keys in file order: how large documents are looked at.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        self.tree.root()
    }

    /// The same on its own, made at the first call: takes some ten times the text's memory.
    #[must_use]
    pub fn value(&self) -> &Value {
        self.value.get_or_init(|| self.tree.root().to_value())
    }

    /// Adds line and column to those findings about this document that have a pointer and no position yet.
    pub fn add_positions<'f>(&self, findings: impl IntoIterator<Item = &'f mut Finding>) {
        let name = self.place.to_string();
        let mut open: Vec<&mut Finding> =
            findings.into_iter().filter(|f| f.line.is_none() && f.pointer.is_some() && f.file == name).collect();
        if open.is_empty() {
            return;
        }
        let found = position::locate(self.text(), open.iter().filter_map(|finding| finding.pointer.as_deref()));
        for finding in &mut open {
            if let Some((line, column)) = finding.pointer.as_ref().and_then(|pointer| found.get(pointer)) {
                finding.line = Some(*line);
                finding.column = Some(*column);
            }
        }
    }
}

impl DocumentError {
    /// The same as a finding, for lints that go on with other documents.
    #[must_use]
    pub fn finding(&self) -> Finding {
        match self {
            Self::Read { place, source } => Finding::new(
                if matches!(source, FsError::Link { .. }) { "path-leaves-bound" } else { "unreadable-file" },
                Severity::Error,
                &place.to_string(),
                format!("cannot be read: {}", error_chain(source)),
            ),
            Self::Json { place, source } => {
                let finding =
                    Finding::new("not-json", Severity::Error, &place.to_string(), format!("is not JSON: {source}"));
                match source.position() {
                    Some((line, column)) => finding.at_position(line, column.max(1)),
                    None => finding,
                }
            }
        }
    }
}

/// A document that was read but is not acceptable: every reason, at least one of them an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", first_of(findings))]
pub struct Refusal {
    /// What was found, in document order.
    pub findings: Vec<Finding>,
}

impl Refusal {
    /// `Err` when `findings` hold an error, else the warnings that remain.
    pub(crate) fn unless_clean(findings: Vec<Finding>) -> Result<Vec<Finding>, Self> {
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            Err(Self { findings })
        } else {
            Ok(findings)
        }
    }
}

fn first_of(findings: &[Finding]) -> String {
    let mut errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let Some(first) = errors.next() else { return "refused".to_owned() };
    let mut text = first.file.clone();
    if let (Some(line), Some(column)) = (first.line, first.column) {
        text.push_str(&format!(":{line}:{column}"));
    }
    if let Some(pointer) = first.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
        text.push_str(&format!(": at {pointer}"));
    }
    text.push_str(&format!(": {}", first.message));
    match errors.count() {
        0 => text,
        more => format!("{text} (and {more} more)"),
    }
}
