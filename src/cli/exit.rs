//! The exit codes, in one place, and how a failure is shown.

use serde_json::json;

use crate::base::json as document;
use crate::base::text::printable;

/// What a command's exit status means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done, or the answer is yes.
    Yes,
    /// 1: the answer is no: findings, failed run, lock held, channel not available, invalid bundle, not promotable.
    No,
    /// 2: usage error.
    Usage,
    /// 3: could not answer: unreadable or malformed input, target missing, I/O error.
    CannotAnswer,
    /// `sandbox run` only: 125 own set-up failed or a record is lost, 126 not executable or denied at start, 127 not found,
    /// otherwise the command's status or 128 plus its signal.
    OfCommand(u8),
}

impl Exit {
    /// The number given to the system.
    #[must_use]
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::CannotAnswer => 3,
            Self::OfCommand(code) => code,
        }
    }
}

/// What every command function returns: an answer, or the reason there is none.
pub(crate) type CliResult = Result<Exit, Failure>;

/// A command that could not answer, or whose answer is no for a reason worth a message.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Exit status to end with.
    pub exit: Exit,
    /// What happened, with its causes.
    pub error: anyhow::Error,
    /// What the user can do.
    pub hint: Option<String>,
    /// Lines for people that show more of it, such as the places in a profile.
    pub excerpt: Option<String>,
}

impl Failure {
    /// A clear refusal: exit 1.
    pub(crate) fn no(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::No, error: error.into(), hint: None, excerpt: None }
    }

    /// Wrong usage that clap cannot see: exit 2.
    pub(crate) fn usage(message: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Usage, error: anyhow::anyhow!("{message}"), hint: None, excerpt: None }
    }

    /// The same failure with advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Shows the failure: cause chain and hint on stderr, or the same as one object on stdout. What stdout itself did not take
    /// is told on stderr. Returns the status to end with.
    pub(crate) fn report(&self, json: bool) -> u8 {
        if json && !self.error.is::<StdoutError>() {
            if let Err(unsaid) = super::print_line(&document::to_pretty(&self.document())) {
                self.note();
                unsaid.note();
            }
        } else {
            self.note();
        }
        self.exit.code()
    }

    fn causes(&self) -> impl Iterator<Item = String> {
        self.error.chain().skip(1).map(ToString::to_string)
    }

    fn document(&self) -> serde_json::Value {
        let causes: Vec<String> = self.causes().collect();
        json!({"error": {
            "message": self.error.to_string(), "causes": causes, "hint": self.hint, "exit_code": self.exit.code(),
        }})
    }

    fn note(&self) {
        super::note_line(&format!("error: {}", printable(&self.error.to_string())));
        for cause in self.causes() {
            super::note_line(&format!("  caused by: {}", printable(&cause)));
        }
        if let Some(hint) = &self.hint {
            super::note_line(&format!("  hint: {}", printable(hint)));
        }
        if let Some(excerpt) = &self.excerpt {
            super::note_line(excerpt);
        }
    }
}

/// Standard output did not take what was printed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub(crate) struct StdoutError(#[source] pub(crate) std::io::Error);

impl<E: Into<anyhow::Error>> From<E> for Failure {
    /// Everything unforeseen means "could not answer": exit 3.
    fn from(error: E) -> Self {
        Self { exit: Exit::CannotAnswer, error: error.into(), hint: None, excerpt: None }
    }
}
