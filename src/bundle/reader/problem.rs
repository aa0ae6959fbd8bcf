//! What can be wrong with a bundle, and what each problem means for each generation of bundles.

use crate::vocab::{Finding, Severity};

/// Who wrote the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bundle) enum Generation {
    /// This tool: the documents carry `tool`.
    Own,
    /// The earlier Python tool, or unknown.
    Earlier,
}

/// What a problem means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bundle) enum Class {
    /// The bytes are not proven: no verified bundle.
    Refuse,
    /// The bytes are proven, and what they say makes the bundle invalid.
    Invalid,
    /// Worth knowing.
    Note,
}

/// A kind of problem. The text of [`Kind::id`] is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bundle) enum Kind {
    RunInProgress,
    RunAbandoned,
    RunStatusMissing,
    RunStatusMalformed,
    RunStatusUnknownState,
    IndexMissing,
    IndexMalformed,
    IndexEmpty,
    IndexStatusUnknown,
    IndexInconsistent,
    ExpectedMissing,
    RunFailed,
    ManifestMissing,
    ManifestMalformed,
    SchemaUnknown,
    RunIdMismatch,
    WorldIdMismatch,
    IdentityMismatch,
    EntryMalformed,
    EntryOutsideBundle,
    EntryNameMismatch,
    EntryDuplicate,
    EntryDigestMissing,
    EntrySizeMissing,
    ArtifactMissing,
    ArtifactLink,
    ArtifactHardLinked,
    ArtifactNotRegular,
    ArtifactUnreadable,
    ArtifactChanged,
    ArtifactSizeMismatch,
    ArtifactDigestMismatch,
    UnindexedFile,
    Repaired,
    LatestDryRun,
}

impl Kind {
    /// The stable id of a finding of this kind.
    pub(in crate::bundle) fn id(self) -> &'static str {
        match self {
            Self::RunInProgress => "run-in-progress",
            Self::RunAbandoned => "run-abandoned",
            Self::RunStatusMissing => "run-status-missing",
            Self::RunStatusMalformed => "run-status-malformed",
            Self::RunStatusUnknownState => "run-status-unknown-state",
            Self::IndexMissing => "index-missing",
            Self::IndexMalformed => "index-malformed",
            Self::IndexEmpty => "index-empty",
            Self::IndexStatusUnknown => "index-status-unknown",
            Self::IndexInconsistent => "index-inconsistent",
            Self::ExpectedMissing => "expected-missing",
            Self::RunFailed => "run-failed",
            Self::ManifestMissing => "manifest-missing",
            Self::ManifestMalformed => "manifest-malformed",
            Self::SchemaUnknown => "schema-unknown",
            Self::RunIdMismatch => "run-id-mismatch",
            Self::WorldIdMismatch => "world-id-mismatch",
            Self::IdentityMismatch => "identity-mismatch",
            Self::EntryMalformed => "entry-malformed",
            Self::EntryOutsideBundle => "entry-outside-bundle",
            Self::EntryNameMismatch => "entry-name-mismatch",
            Self::EntryDuplicate => "entry-duplicate",
            Self::EntryDigestMissing => "entry-digest-missing",
            Self::EntrySizeMissing => "entry-size-missing",
            Self::ArtifactMissing => "artifact-missing",
            Self::ArtifactLink => "artifact-link",
            Self::ArtifactHardLinked => "artifact-hard-linked",
            Self::ArtifactNotRegular => "artifact-not-regular",
            Self::ArtifactUnreadable => "artifact-unreadable",
            Self::ArtifactChanged => "artifact-changed",
            Self::ArtifactSizeMismatch => "artifact-size-mismatch",
            Self::ArtifactDigestMismatch => "artifact-digest-mismatch",
            Self::UnindexedFile => "unindexed-file",
            Self::Repaired => "repaired",
            Self::LatestDryRun => "latest-dry-run",
        }
    }

    /// What a problem of this kind means for a bundle of `generation`.
    ///
    /// The second column is what the earlier tool's own reader did (it refused, reported, or did not look).
    pub(in crate::bundle) fn class(self, generation: Generation) -> Class {
        use Class::{Invalid, Note, Refuse};
        let (own, earlier) = match self {
            Self::RunInProgress
            | Self::RunAbandoned
            | Self::RunStatusMalformed
            | Self::IndexMissing
            | Self::IndexMalformed
            | Self::EntryMalformed
            | Self::EntryOutsideBundle
            | Self::EntryNameMismatch
            | Self::ArtifactMissing
            | Self::ArtifactLink
            | Self::ArtifactHardLinked
            | Self::ArtifactNotRegular
            | Self::ArtifactUnreadable
            | Self::ArtifactChanged
            | Self::ArtifactDigestMismatch => (Refuse, Refuse),
            Self::RunStatusMissing
            | Self::RunStatusUnknownState
            | Self::IndexEmpty
            | Self::IndexInconsistent
            | Self::ManifestMalformed
            | Self::SchemaUnknown
            | Self::RunIdMismatch
            | Self::WorldIdMismatch
            | Self::IdentityMismatch
            | Self::EntryDuplicate
            | Self::EntryDigestMissing
            | Self::EntrySizeMissing
            | Self::ArtifactSizeMismatch => (Refuse, Note),
            Self::IndexStatusUnknown => (Refuse, Invalid),
            Self::ExpectedMissing => (Invalid, Invalid),
            Self::RunFailed => (Invalid, Note),
            Self::ManifestMissing | Self::UnindexedFile | Self::Repaired | Self::LatestDryRun => (Note, Note),
        };
        match generation {
            Generation::Own => own,
            Generation::Earlier => earlier,
        }
    }
}

/// One problem found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bundle) struct Problem {
    pub(in crate::bundle) kind: Kind,
    /// The artifact or document it is about.
    pub(in crate::bundle) about: String,
    /// JSON pointer into that document, where there is one.
    pub(in crate::bundle) pointer: Option<String>,
    pub(in crate::bundle) message: String,
}

impl Problem {
    pub(in crate::bundle) fn new(kind: Kind, about: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, about: about.into(), pointer: None, message: message.into() }
    }

    pub(in crate::bundle) fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    /// The problem as a finding about a bundle of `generation`.
    pub(in crate::bundle) fn finding(self, generation: Generation) -> Finding {
        let severity = match self.kind.class(generation) {
            Class::Refuse | Class::Invalid => Severity::Error,
            Class::Note => Severity::Warning,
        };
        let mut finding = Finding::new(self.kind.id(), severity, &self.about, self.message);
        finding.pointer = self.pointer;
        finding
    }
}
