//! Which elements of a profile can go, in few runs of the target: adaptive group testing. Pure, given an oracle.
//!
//! Elements are tried in the order they are handed over, class by class, the likely removable ones first. Groups grow and
//! shrink with the share of required elements seen so far; a group whose removal fails is halved. What is known without
//! a run is not run: when the first half of a failed group can go, the rest of it is known to fail. Groups are tried only
//! as long as trying every element that is left by itself would stay within the bound.
//!
//! A failure is about the profile as it was at that moment ([`Required::at`]): it says the same of the result when nothing was
//! taken out afterwards.

use std::collections::{BTreeSet, VecDeque};

/// What is asked of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Elements taken out.
    pub removed: BTreeSet<usize>,
    /// Whether the target is run a second time on what the first run left.
    pub repeat: bool,
    /// The elements that are taken out in this trial beyond those taken out already.
    pub group: Vec<usize>,
}

/// Runs the target under a narrower profile.
pub trait Oracle {
    /// Why there is no answer.
    type Error;

    /// Whether the target succeeds in each of the trials, in their order. They may be run side by side.
    ///
    /// # Errors
    /// The target could not be run, or somebody asked to stop.
    fn test(&mut self, trials: &[Trial]) -> Result<Vec<bool>, Self::Error>;
}

/// How likely an element can go, before anything was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Likelihood {
    /// No access was decided by it: all of these are tried at once.
    Unused,
    /// It decided only accesses that found nothing.
    Vain,
    /// It is not known what it decided.
    Unknown,
    /// It decided accesses that succeeded.
    Used,
}

impl Likelihood {
    /// Required and removable elements as if seen already: sets the size of the first groups.
    fn prior(self) -> (f64, f64) {
        match self {
            Self::Unused => (0.5, 6.0),
            Self::Vain | Self::Unknown => (0.5, 3.0),
            Self::Used => (3.0, 2.0),
        }
    }
}

/// How to search.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Most trials at a time, at least 1.
    pub jobs: usize,
    /// Run every trial twice, not only those about [`Plan::sensitive`] elements.
    pub repeat_each: bool,
    /// Elements that matter only when the target is run again.
    pub sensitive: &'a BTreeSet<usize>,
    /// Most trials; groups are given up for single elements in time.
    pub most_trials: usize,
}

/// An element that must stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Required {
    /// The element.
    pub element: usize,
    /// How many elements were out already when taking this one out as well failed.
    pub at: usize,
    /// Whether that was not run, but follows from another run that was given the same answers.
    pub inferred: bool,
}

/// What came of a search.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// What can go, all of it together.
    pub removed: BTreeSet<usize>,
    /// What must stay, in the order of finding out.
    pub required: Vec<Required>,
    /// Trials asked for.
    pub trials: usize,
}

impl Found {
    /// Required elements whose failure was seen before something else was taken out.
    pub fn carried(&self) -> impl Iterator<Item = usize> + '_ {
        self.required.iter().filter(|own| own.at < self.removed.len()).map(|own| own.element)
    }
}

/// Most trials of a search over `elements` of them: one each, and few more.
#[must_use]
pub fn most_trials(elements: usize) -> usize {
    elements + (elements / 20).max(3)
}

/// Tries to take out `pending` on top of `removed`.
///
/// # Errors
/// What the oracle answers with.
pub fn minimise<O: Oracle>(
    oracle: &mut O,
    removed: BTreeSet<usize>,
    pending: &[(usize, Likelihood)],
    plan: &Plan<'_>,
) -> Result<Found, O::Error> {
    let mut state = State {
        found: Found { removed, ..Found::default() },
        suspects: Vec::new(),
        pending: VecDeque::new(),
        later: pending.len(),
        plan,
    };
    let mut classes: Vec<Likelihood> = pending.iter().map(|(_, class)| *class).collect();
    classes.sort_unstable();
    classes.dedup();
    for class in classes {
        state.pending.extend(pending.iter().filter(|(_, own)| *own == class).map(|(element, _)| *element));
        state.later -= state.pending.len();
        state.class(oracle, class)?;
    }
    Ok(state.found)
}

/// A group that cannot go as a whole, and how many elements were out when that was seen.
#[derive(Debug)]
struct Suspect {
    group: Vec<usize>,
    at: usize,
}

struct State<'p> {
    found: Found,
    suspects: Vec<Suspect>,
    pending: VecDeque<usize>,
    /// Elements of later classes.
    later: usize,
    plan: &'p Plan<'p>,
}

impl State<'_> {
    fn class<O: Oracle>(&mut self, oracle: &mut O, class: Likelihood) -> Result<(), O::Error> {
        let (mut required, mut removable) = class.prior();
        // What nothing used goes all at once, or not.
        let mut size = if class == Likelihood::Unused { self.pending.len() } else { 0 };
        loop {
            let before = (self.found.required.len(), self.found.removed.len());
            if size == 0 {
                size = group_size(required / (required + removable));
            }
            if let Some(suspect) = self.suspects.pop() {
                self.halve(oracle, suspect)?;
            } else if self.pending.is_empty() {
                return Ok(());
            } else {
                self.try_groups(oracle, size)?;
            }
            size = 0;
            self.settle();
            required += count(self.found.required.len() - before.0);
            removable += count(self.found.removed.len() - before.1);
        }
    }

    /// Looks into a group of two or more that cannot go as a whole.
    fn halve<O: Oracle>(&mut self, oracle: &mut O, suspect: Suspect) -> Result<(), O::Error> {
        let mut first = suspect.group;
        let second = first.split_off(first.len().div_ceil(2));
        // Two elements take no more trials halved than one by one.
        if first.len() + second.len() > 2 && !self.has_room(first.len() + second.len()) {
            second.into_iter().rev().for_each(|element| self.pending.push_front(element));
            first.into_iter().rev().for_each(|element| self.pending.push_front(element));
            return Ok(());
        }
        let at = self.found.removed.len();
        if self.plan.jobs < 2 {
            if self.test(oracle, std::slice::from_ref(&first))? == [true] {
                self.found.removed.extend(first);
                // Without both halves it failed: exactly this was tried, unless something else went meanwhile.
                let after = if suspect.at == at { self.found.removed.len() } else { suspect.at };
                self.suspects.push(Suspect { group: second, at: after });
            } else {
                self.suspects.push(Suspect { group: first, at });
                second.into_iter().rev().for_each(|element| self.pending.push_front(element));
            }
            return Ok(());
        }
        let groups = [first, second];
        let outcomes = self.test(oracle, &groups)?;
        let [first, second] = groups;
        // The whole group was seen to fail when `suspect.at` elements were out; with one half out, that says the same of the other
        // half only when nothing else went meanwhile.
        let after = |found: &Found| if suspect.at == at { found.removed.len() } else { suspect.at };
        match outcomes[..] {
            [true, _] => {
                self.found.removed.extend(first);
                self.suspects.push(Suspect { group: second, at: after(&self.found) });
            }
            [false, true] => {
                self.found.removed.extend(second);
                self.suspects.push(Suspect { group: first, at: after(&self.found) });
            }
            _ => {
                self.suspects.push(Suspect { group: second, at });
                self.suspects.push(Suspect { group: first, at });
            }
        }
        Ok(())
    }

    /// Tries as many groups as there are jobs. Those that can go one by one are then tried together.
    fn try_groups<O: Oracle>(&mut self, oracle: &mut O, size: usize) -> Result<(), O::Error> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        while groups.len() < self.plan.jobs.max(1) && !self.pending.is_empty() {
            let taken = groups.iter().map(Vec::len).sum();
            let size = if self.has_room(taken) { size.clamp(1, self.pending.len()) } else { 1 };
            groups.push(self.pending.drain(..size).collect());
        }
        loop {
            let outcomes = self.test(oracle, &groups)?;
            let at = self.found.removed.len();
            let mut apart = Vec::new();
            for (group, passed) in groups.into_iter().zip(outcomes) {
                match passed {
                    true if self.found.removed.len() == at => self.found.removed.extend(group),
                    true => apart.extend(group),
                    false => self.suspects.push(Suspect { group, at }),
                }
            }
            if apart.is_empty() {
                return Ok(());
            }
            groups = vec![apart];
        }
    }

    /// Whether one more trial leaves enough of them to try everything that is open one by one.
    fn has_room(&self, taken: usize) -> bool {
        let open = self.pending.len() + self.later + self.suspects.iter().map(|own| own.group.len()).sum::<usize>();
        self.found.trials + 1 + taken + open <= self.plan.most_trials
    }

    fn test<O: Oracle>(&mut self, oracle: &mut O, groups: &[Vec<usize>]) -> Result<Vec<bool>, O::Error> {
        let trials: Vec<Trial> = groups
            .iter()
            .map(|group| Trial {
                removed: self.found.removed.iter().chain(group).copied().collect(),
                repeat: self.plan.repeat_each || group.iter().any(|element| self.plan.sensitive.contains(element)),
                group: group.clone(),
            })
            .collect();
        self.found.trials += trials.len();
        oracle.test(&trials)
    }

    /// A group of one that cannot go is a required element.
    fn settle(&mut self) {
        let found = &mut self.found;
        self.suspects.retain(|suspect| {
            if let [element] = suspect.group[..] {
                found.required.push(Required { element, at: suspect.at, inferred: false });
            }
            suspect.group.len() > 1
        });
    }
}

/// The largest group that can go as a whole at least every other time.
fn group_size(share_required: f64) -> usize {
    let size = 0.5_f64.ln() / (1.0 - share_required).ln();
    if size < 2.0 { 1 } else { size as usize }
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Succeeds exactly when nothing of `required` is out.
    struct Table {
        required: BTreeSet<usize>,
        runs: usize,
    }

    impl Oracle for Table {
        type Error = ();
        fn test(&mut self, trials: &[Trial]) -> Result<Vec<bool>, ()> {
            self.runs += trials.len();
            Ok(trials.iter().map(|trial| trial.removed.is_disjoint(&self.required)).collect())
        }
    }

    fn run(n: usize, required: impl IntoIterator<Item = usize>, class: Likelihood, jobs: usize) -> (Found, usize) {
        let mut table = Table { required: required.into_iter().collect(), runs: 0 };
        let pending: Vec<(usize, Likelihood)> = (0..n).map(|element| (element, class)).collect();
        let plan = Plan { jobs, repeat_each: false, sensitive: &BTreeSet::new(), most_trials: most_trials(n) };
        let found = minimise(&mut table, BTreeSet::new(), &pending, &plan).unwrap();
        assert_eq!(found.trials, table.runs);
        let kept: BTreeSet<usize> = found.required.iter().map(|own| own.element).collect();
        assert_eq!(kept, table.required);
        assert_eq!(found.removed.len() + kept.len(), n);
        (found, table.runs)
    }

    #[test]
    fn exactly_the_required_elements_stay_within_the_bound() {
        for n in [0, 1, 2, 3, 7, 40, 79, 200] {
            for share in [0, 1, 2, 3, 5, 7, 10] {
                for class in [Likelihood::Unused, Likelihood::Vain, Likelihood::Unknown, Likelihood::Used] {
                    for jobs in [1, 2, 4] {
                        let required = (0..n).filter(|element| (element * 7919) % 10 < share);
                        let (_, runs) = run(n, required, class, jobs);
                        // Side by side some trials are made for nothing.
                        assert!(jobs > 1 || runs <= most_trials(n), "{n} {share} {class:?}: {runs}");
                    }
                }
            }
        }
    }

    #[test]
    fn few_required_elements_are_found_in_few_runs() {
        for n in [79, 200, 500] {
            let (_, runs) = run(n, (0..n).filter(|element| element % 10 == 3), Likelihood::Unknown, 1);
            assert!(runs * 10 <= n * 7, "{n}: {runs}");
        }
        assert_eq!(run(500, [], Likelihood::Unused, 1).1, 1);
    }

    #[test]
    fn a_failure_is_exact_when_nothing_was_taken_out_later() {
        let (found, _) = run(3, [0], Likelihood::Used, 1);
        assert_eq!(found.carried().collect::<Vec<_>>(), [0]);
        let (found, _) = run(3, [2], Likelihood::Used, 1);
        assert_eq!(found.carried().count(), 0);
    }
}
