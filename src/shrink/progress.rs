//! What a long command tells while it works.

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// One iteration of a trace ended.
    Iteration {
        /// From 1.
        number: u32,
        /// Whether nothing was refused.
        observed: bool,
        /// Exit status of the target.
        status: i32,
        /// Different refusals.
        denials: usize,
        /// Rules added.
        new_rules: usize,
    },
    /// A rule stands for names that are made up anew in every run.
    Generalized {
        /// What it allows beyond what was seen.
        adds: String,
        /// The rule.
        rule: String,
    },
    /// Before the search begins.
    Bound {
        /// What can be taken out.
        candidates: usize,
        /// At most this many runs of the target.
        runs: usize,
    },
    /// One trial of the search ended.
    Trial {
        /// Runs so far.
        runs: usize,
        /// Elements taken out so far or in this trial.
        removed: usize,
        /// Elements in this trial.
        group: usize,
        /// Whether the target succeeded.
        success: bool,
    },
    /// The same profile gave different answers.
    Flaky {
        /// What was seen.
        what: String,
    },
    /// Something a reader should know.
    Warning {
        /// The text.
        text: String,
    },
}

/// Whoever wants to know.
pub trait Observer {
    /// One step was made.
    fn event(&mut self, event: &Event);
}

/// Nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _event: &Event) {}
}
