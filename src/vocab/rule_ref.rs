//! Places in profile text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A stretch of one source text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// Index of the source in the list handed to the parser.
    pub source: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// Line of the first byte, from 1.
    pub line: u32,
    /// Column of the first byte in characters, from 1.
    pub column: u32,
}

/// The rule that decided, as a reader finds it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RuleRef {
    /// Name of the profile file as given.
    pub file: String,
    /// Line of the rule's opening parenthesis, from 1.
    pub line: u32,
    /// The rule's text on one line.
    pub text: String,
}

impl fmt::Display for RuleRef {
    /// `file:line`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
