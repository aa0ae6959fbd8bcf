//! What came of a call: every problem by its word, and the one word that follows.

use serde::Serialize;

/// What came of a call. `completed` says that the app answered, that the answer is of this call, and that it says yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The app answered yes.
    Completed,
    /// The app answered no, or what it says contradicts itself, or its output is not there.
    Failed,
    /// The answer is of another call.
    WrongAnswer,
    /// There is no usable answer.
    NoAnswer,
    /// The app refused the call (exit status 2, nothing on stdout).
    Refused,
    /// A wait could not be triggered.
    NotTriggered,
    /// The app died of a signal.
    EndedBySignal,
    /// The time limit passed.
    TimedOut,
    /// Somebody asked to stop.
    Cancelled,
    /// The app could not be started.
    NotStarted,
}

/// One thing that is wrong with a call, most decisive first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// The program could not be started.
    NotStarted,
    /// Somebody asked to stop.
    Cancelled,
    /// The time limit passed.
    TimedOut,
    /// A signal that was not ours ended the program.
    EndedBySignal,
    /// The program never said that it waits, and where is not known.
    WaitNotReady,
    /// The wait could not be triggered.
    TriggerFailed,
    /// Exit status 2 and nothing on stdout.
    Refused,
    /// Nothing on stdout.
    StdoutEmpty,
    /// More on stdout than is kept.
    StdoutTruncated,
    /// Stdout is not UTF-8.
    StdoutNotUtf8,
    /// Stdout is not one JSON document.
    StdoutNotJson,
    /// The document is of another kind.
    WrongKind,
    /// The answer carries other ids than were sent.
    IdsDiffer,
    /// The exit status is not the one that the answer leads to.
    ExitContradictsResult,
    /// `result.ok` is not true.
    ResultNotOk,
    /// The exit status is not 0.
    ExitNonzero,
    /// The output directory of the app was not found, or is not of this call.
    OutputMissing,
    /// Probes of a matrix gave no answer.
    RunsUnanswered,
    /// The leave that was given was not used: a profile was still skipped.
    AckRiskNotTaken,
    /// The log that was asked for is not there.
    LogMissing,
    /// No source could say whether something was refused, although one was asked.
    NoDenyEvidence,
    /// The answer names no process id that is one.
    PidMissing,
}

impl Problem {
    /// What follows; `None` when the call completed all the same.
    fn outcome(self) -> Option<Outcome> {
        Some(match self {
            Self::NotStarted => Outcome::NotStarted,
            Self::Cancelled => Outcome::Cancelled,
            Self::TimedOut => Outcome::TimedOut,
            Self::EndedBySignal => Outcome::EndedBySignal,
            Self::WaitNotReady | Self::TriggerFailed => Outcome::NotTriggered,
            Self::Refused => Outcome::Refused,
            Self::StdoutEmpty | Self::StdoutTruncated | Self::StdoutNotUtf8 | Self::StdoutNotJson | Self::WrongKind => {
                Outcome::NoAnswer
            }
            Self::IdsDiffer => Outcome::WrongAnswer,
            Self::ExitContradictsResult
            | Self::ResultNotOk
            | Self::ExitNonzero
            | Self::OutputMissing
            | Self::RunsUnanswered
            | Self::AckRiskNotTaken => Outcome::Failed,
            Self::LogMissing | Self::NoDenyEvidence | Self::PidMissing => return None,
        })
    }
}

impl Outcome {
    /// The outcome that `problems` lead to, which are put in order.
    pub(super) fn of(problems: &mut Vec<Problem>) -> Self {
        problems.sort_unstable();
        problems.dedup();
        problems.iter().find_map(|problem| problem.outcome()).unwrap_or(Self::Completed)
    }

    /// The word for it.
    #[must_use]
    pub fn word(self) -> String {
        crate::base::json::to_value(&self).as_str().unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_decisive_problem_decides() {
        let mut problems = vec![Problem::PidMissing, Problem::StdoutEmpty, Problem::TimedOut, Problem::StdoutEmpty];
        assert_eq!(Outcome::of(&mut problems), Outcome::TimedOut);
        assert_eq!(problems, [Problem::TimedOut, Problem::StdoutEmpty, Problem::PidMissing]);
        assert_eq!(Outcome::of(&mut vec![Problem::PidMissing]), Outcome::Completed);
        assert_eq!(Outcome::of(&mut vec![Problem::ExitNonzero, Problem::WrongKind]), Outcome::NoAnswer);
        assert_eq!(Outcome::EndedBySignal.word(), "ended_by_signal");
    }
}
