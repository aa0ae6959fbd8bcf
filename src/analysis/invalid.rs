//! A bundle that is not what its index says: nothing is told of it.

use std::path::PathBuf;

use crate::bundle::{Checked, UnverifiedBundle, Verification};
use crate::vocab::{Finding, Severity};

/// Why the content of a bundle is not used.
#[derive(Debug, thiserror::Error)]
#[error("the bundle {} is not valid: {}", bundle.display(), findings.join("; "))]
pub struct InvalidBundle {
    /// Its directory.
    pub bundle: PathBuf,
    /// Every problem.
    pub findings: Vec<String>,
}

impl InvalidBundle {
    /// What `verification` found.
    pub(super) fn of(verification: &Verification) -> Self {
        let errors = verification.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let findings = errors.map(|Finding { id, message, .. }| format!("{message} [{id}]")).collect();
        Self { bundle: documents(verification).run_dir().to_owned(), findings }
    }
}

/// The documents that were looked at, whatever was found.
pub(super) fn documents(verification: &Verification) -> &UnverifiedBundle {
    match &verification.bundle {
        Checked::Verified(bundle) => bundle.documents(),
        Checked::Refused(bundle) => bundle,
    }
}
