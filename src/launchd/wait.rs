//! When waiting for a job ends. Pure.
//!
//! Output says nothing about completion: a warning at the start is output, and a worker may be silent to its end. What
//! counts is the record the worker leaves last, and whether the worker still holds its lock.

use std::time::Duration;

use super::job::WaitRule;

/// What is seen of a job at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Whether the worker has said that it began.
    pub started: bool,
    /// Whether the worker holds its lock: it lives. Looked at before the completion record.
    pub alive: bool,
    /// Whether the completion record is there.
    pub finished: bool,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Look again.
    Wait,
    /// The record is there.
    Finished,
    /// The worker is gone and left no record.
    Crashed,
    /// The worker did not begin in time.
    NotStarted,
    /// The time is up.
    NotFinished,
}

/// Decides from what is seen, `elapsed` after the job was handed to launchd.
#[must_use]
pub fn decide(seen: Seen, elapsed: Duration, rule: &WaitRule) -> Verdict {
    let passed = |limit_s: f64| elapsed.as_secs_f64() >= limit_s;
    if seen.finished {
        return Verdict::Finished;
    }
    if seen.started && !seen.alive {
        return Verdict::Crashed;
    }
    if !seen.started && passed(rule.start_limit_s) {
        return Verdict::NotStarted;
    }
    if passed(rule.limit_s) { Verdict::NotFinished } else { Verdict::Wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_of_what_is_seen_has_its_verdict() {
        let rule = WaitRule::example(30.0, 60.0);
        let at = |started, alive, finished, elapsed_s: f64| {
            decide(Seen { started, alive, finished }, Duration::from_secs_f64(elapsed_s), &rule)
        };
        for (started, alive, finished, elapsed_s, expected) in [
            (false, false, false, 0.0, Verdict::Wait),
            (false, false, false, 29.9, Verdict::Wait),
            (false, false, false, 30.0, Verdict::NotStarted),
            (false, false, true, 99.0, Verdict::Finished),
            (true, true, false, 30.0, Verdict::Wait),
            (true, true, false, 59.9, Verdict::Wait),
            (true, true, false, 60.0, Verdict::NotFinished),
            (true, true, true, 60.0, Verdict::Finished),
            (true, false, false, 0.0, Verdict::Crashed),
            (true, false, false, 99.0, Verdict::Crashed),
            (true, false, true, 0.0, Verdict::Finished),
        ] {
            assert_eq!(at(started, alive, finished, elapsed_s), expected, "{started} {alive} {finished} {elapsed_s}");
        }
    }
}
