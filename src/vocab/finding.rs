//! One lint finding: a verdict about a document, not an error of the tool.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// How bad a finding is. Errors make a lint say no; warnings only with `--deny warnings`; notes never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing, and nothing to do about: no fault of the document, or one that its author accepts.
    Note,
    /// Likely not what was meant.
    Warning,
    /// The document is refused.
    Error,
}

/// One thing a lint found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Finding {
    /// Stable id, `kebab-case`; documented in `docs/lints.md`.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// The file it is about, as given by the caller.
    pub file: String,
    /// JSON pointer into the document, where it is about one place of a JSON document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Line, from 1, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column, from 1, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The bytes of the file it is about, where known; for showing them, not part of any document.
    #[serde(skip)]
    pub bytes: Option<Range<usize>>,
    /// What is wrong, naming the ids involved.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Finding {
    /// A finding without position or help.
    #[must_use]
    pub fn new(id: &str, severity: Severity, file: &str, message: impl Into<String>) -> Self {
        Self {
            id: id.to_owned(),
            severity,
            file: file.to_owned(),
            pointer: None,
            line: None,
            column: None,
            bytes: None,
            message: message.into(),
            help: None,
        }
    }

    /// The same finding at a JSON pointer.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    /// The same finding at a line and column (both from 1).
    #[must_use]
    pub fn at_position(mut self, line: usize, column: usize) -> Self {
        self.line = Some(line);
        self.column = Some(column);
        self
    }

    /// The same finding about these bytes of the file.
    #[must_use]
    pub fn at_bytes(mut self, bytes: Range<usize>) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// The same finding with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
