//! The exit codes, in one place, and how a failure is shown.

use std::process::ExitCode;

use serde_json::json;

use crate::base::json as document;

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

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
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
}

impl Failure {
    /// A clear refusal: exit 1.
    pub(crate) fn no(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::No, error: error.into(), hint: None }
    }

    /// Wrong usage that clap cannot see: exit 2.
    pub(crate) fn usage(message: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Usage, error: anyhow::anyhow!("{message}"), hint: None }
    }

    /// The same failure with advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Shows the failure: cause chain and hint on stderr, or the same as one object on stdout.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        let causes: Vec<String> = self.error.chain().skip(1).map(ToString::to_string).collect();
        if json {
            let object = json!({"error": {
                "message": self.error.to_string(), "causes": causes, "hint": self.hint, "exit_code": self.exit.code(),
            }});
            let _ = super::print_line(&document::to_pretty(&object));
        } else {
            super::note_line(&format!("error: {}", self.error));
            for cause in causes {
                super::note_line(&format!("  caused by: {cause}"));
            }
            if let Some(hint) = &self.hint {
                super::note_line(&format!("  hint: {hint}"));
            }
        }
        self.exit.into()
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    /// Everything unforeseen means "could not answer": exit 3.
    fn from(error: E) -> Self {
        Self { exit: Exit::CannotAnswer, error: error.into(), hint: None }
    }
}
