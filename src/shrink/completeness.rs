//! Whether everything the target was refused has been seen.

use serde::Serialize;

/// The verdict with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Completeness {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is not `complete`; why it is, otherwise.
    pub reasons: Vec<String>,
}

/// Words of the verdict, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every refusal was seen and the target succeeded under the profile.
    Complete,
    /// Nothing says that something was lost, and nothing that it was not.
    Unknown,
    /// Something was lost.
    Lossy,
}

impl Verdict {
    /// The word of documents.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Unknown => "unknown",
            Self::Lossy => "lossy",
        }
    }
}

impl Completeness {
    /// As long as nothing speaks against it, an observation by `source` is complete.
    #[must_use]
    pub fn observed(source: &str) -> Self {
        let reason = format!("every decision of the tree was taken by the {source}, which told all of them");
        Self { verdict: Verdict::Complete, reasons: vec![reason] }
    }

    /// Complete for another reason, as long as nothing speaks against it.
    #[must_use]
    pub fn whole(reason: &str) -> Self {
        Self { verdict: Verdict::Complete, reasons: vec![reason.to_owned()] }
    }

    /// Nothing is known but what `reason` says.
    #[must_use]
    pub fn unknown(reason: &str) -> Self {
        Self { verdict: Verdict::Unknown, reasons: vec![reason.to_owned()] }
    }

    /// Something was lost.
    pub fn lossy(&mut self, reason: &str) {
        self.worsen(Verdict::Lossy, reason);
    }

    /// It cannot be said to be complete any more.
    pub fn lower(&mut self, reason: &str) {
        self.worsen(Verdict::Unknown, reason);
    }

    fn worsen(&mut self, verdict: Verdict, reason: &str) {
        if self.verdict == Verdict::Complete {
            self.reasons.clear();
        }
        self.verdict = self.verdict.max(verdict);
        if !self.reasons.iter().any(|own| own == reason) {
            self.reasons.push(reason.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_only_gets_worse() {
        let mut verdict = Completeness::observed("supervisor");
        assert_eq!(verdict.verdict, Verdict::Complete);
        verdict.lossy("a");
        verdict.lower("b");
        verdict.lower("b");
        assert_eq!((verdict.verdict, verdict.reasons), (Verdict::Lossy, vec!["a".to_owned(), "b".to_owned()]));
    }
}
