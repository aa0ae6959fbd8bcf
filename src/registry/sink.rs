//! Where checks put what they find about one file.

use crate::vocab::{Finding, Severity};

/// Collects the findings about one file.
#[derive(Debug)]
pub struct Sink<'a> {
    file: &'a str,
    findings: Vec<Finding>,
}

impl<'a> Sink<'a> {
    /// An empty collection for `file`.
    #[must_use]
    pub fn new(file: &'a str) -> Self {
        Self { file, findings: Vec::new() }
    }

    /// The file that the findings are about.
    #[must_use]
    pub fn file(&self) -> &'a str {
        self.file
    }

    /// Adds an error at `pointer`.
    pub fn error(&mut self, id: &str, pointer: &str, message: impl Into<String>) -> &mut Finding {
        self.add(id, Severity::Error, pointer, message)
    }

    /// Adds a warning at `pointer`.
    pub fn warning(&mut self, id: &str, pointer: &str, message: impl Into<String>) -> &mut Finding {
        self.add(id, Severity::Warning, pointer, message)
    }

    /// Adds a finding of the given severity at `pointer`.
    pub fn add(&mut self, id: &str, severity: Severity, pointer: &str, message: impl Into<String>) -> &mut Finding {
        self.findings.push(Finding::new(id, severity, self.file, message).at(pointer));
        self.findings.last_mut().expect("a finding was just added")
    }

    /// Adds findings made elsewhere.
    pub fn extend<'f>(&mut self, findings: impl IntoIterator<Item = &'f Finding>) {
        self.findings.extend(findings.into_iter().cloned());
    }

    /// How many findings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.findings.len()
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether an error was added after the first `mark` findings.
    #[must_use]
    pub fn has_error_since(&self, mark: usize) -> bool {
        self.findings[mark..].iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The findings, in the order they were added.
    #[must_use]
    pub fn into_findings(self) -> Vec<Finding> {
        self.findings
    }
}
