//! What must stay, read off what was refused while everything else was out. Pure, given an oracle that tells its refusals.
//!
//! Everything is taken out at once. That run fails, and its last refusal of something that the program had used before names what
//! it misses; this is put back, and so on until the program succeeds. For `k` elements that must stay these are `k + 1` runs, however
//! many others there are.
//!
//! A failed run of that kind often shows its element for good: when all that it was refused is refused by the result without that one
//! element too, then the program would get the same answers there, and fail there ([`Required::inferred`]). What it was allowed is
//! allowed there as well, because its profile was narrower. What this does not show is left for the search.

use std::collections::BTreeSet;

use super::search::{Oracle, Plan, Required, Trial};

/// An oracle that tells what it saw.
pub(super) trait Guide: Oracle {
    /// One thing that the program asked for.
    type Access: Clone;

    /// What was refused when this trial failed, in the order of asking, without what the program is known to get along with.
    fn refused(&self, trial: &Trial) -> Vec<Self::Access>;

    /// The elements that decided the access when nothing was out.
    fn deciding(&mut self, access: &Self::Access) -> BTreeSet<usize>;

    /// Whether each of the accesses is refused for certain when these elements are out.
    fn refuses(&mut self, removed: &BTreeSet<usize>, accesses: &[Self::Access]) -> bool;
}

/// What was found out.
#[derive(Debug)]
pub(super) struct Guess<A> {
    /// What can go, all of it together; empty when the refusals led nowhere.
    pub(super) removed: BTreeSet<usize>,
    /// The failed runs, in order.
    missed: Vec<Missed<A>>,
    /// What may have to stay: it was missed at some time, but that run tells nothing about the result.
    pub(super) open: Vec<usize>,
}

/// One failed run.
#[derive(Debug)]
struct Missed<A> {
    /// What it missed.
    elements: BTreeSet<usize>,
    /// What it asked for in vain.
    access: A,
    /// What was not out.
    kept: BTreeSet<usize>,
    /// Everything it was refused.
    refused: Vec<A>,
}

impl<A> Guess<A> {
    /// What was refused when each element was missed.
    pub(super) fn reasons(&self) -> impl Iterator<Item = (usize, &A)> {
        self.missed.iter().flat_map(|run| run.elements.iter().map(|element| (*element, &run.access)))
    }

    /// The elements that the failed runs show to be required when `removed` is out.
    pub(super) fn required<G: Guide<Access = A>>(&self, guide: &mut G, removed: &BTreeSet<usize>) -> Vec<Required> {
        let mut required = Vec::new();
        // A run that was allowed more than the result allows was not given the same answers.
        for run in self.missed.iter().filter(|run| run.kept.is_disjoint(removed)) {
            for &element in run.elements.difference(removed) {
                let mut without = removed.clone();
                without.insert(element);
                if guide.refuses(&without, &run.refused) {
                    required.push(Required { element, at: removed.len(), inferred: true });
                }
            }
        }
        required
    }
}

/// So many elements may be missed in runs that tell nothing about the result before refusals are given up as a guide: some
/// programs ask for everything and say at the end that something was refused.
const MOST_UNCLEAR: usize = 24;

/// Most trials of [`guess`] for so many elements: with more that must stay, trying each by itself is no dearer.
pub(super) const fn most_trials(elements: usize) -> usize {
    elements / 2 + 1
}

/// Looks for what must stay of `pending`.
///
/// # Errors
/// What the oracle answers with.
pub(super) fn guess<G: Guide>(guide: &mut G, pending: &[usize], plan: &Plan<'_>) -> Result<Guess<G::Access>, G::Error> {
    let mut missed: Vec<Missed<G::Access>> = Vec::new();
    let mut open: Vec<usize> = pending.to_vec();
    let mut trials = 0;
    while !open.is_empty() && trials < most_trials(pending.len()) && to_be_tried(guide, &missed) <= MOST_UNCLEAR {
        let trial = Trial {
            removed: open.iter().copied().collect(),
            repeat: plan.repeat_each || open.iter().any(|element| plan.sensitive.contains(element)),
            group: open.clone(),
        };
        trials += 1;
        if guide.test(std::slice::from_ref(&trial))? == [true] {
            return Ok(conclude(guide, trial.removed, missed));
        }
        let refused = guide.refused(&trial);
        let Some((access, elements)) = culprit(guide, &refused, &trial.removed) else { break };
        let kept = pending.iter().copied().filter(|element| !trial.removed.contains(element)).collect();
        open.retain(|element| !elements.contains(element));
        missed.push(Missed { elements, access, kept, refused });
    }
    Ok(Guess { removed: BTreeSet::new(), missed: Vec::new(), open: Vec::new() })
}

/// Who is missed: the last refusal before the program did something else than under the input, or the last one of all.
fn culprit<G: Guide>(
    guide: &mut G,
    refused: &[G::Access],
    removed: &BTreeSet<usize>,
) -> Option<(G::Access, BTreeSet<usize>)> {
    let elsewhere = refused.iter().position(|access| guide.deciding(access).is_empty()).unwrap_or(refused.len());
    let (before, after) = refused.split_at(elsewhere);
    [before, after].into_iter().flat_map(|part| part.iter().rev()).find_map(|access| {
        let elements: BTreeSet<usize> = guide.deciding(access).intersection(removed).copied().collect();
        (!elements.is_empty()).then(|| (access.clone(), elements))
    })
}

/// How many elements may have to be tried by themselves: their run was refused something that has been put back since.
fn to_be_tried<G: Guide>(guide: &mut G, missed: &[Missed<G::Access>]) -> usize {
    let back: BTreeSet<usize> = missed.iter().flat_map(|own| own.elements.iter().copied()).collect();
    let unclear = missed.iter().filter(|own| {
        own.refused.iter().any(|access| {
            guide.deciding(access).iter().any(|element| back.contains(element) && !own.elements.contains(element))
        })
    });
    unclear.map(|own| own.elements.len()).sum()
}

fn conclude<G: Guide>(guide: &mut G, removed: BTreeSet<usize>, missed: Vec<Missed<G::Access>>) -> Guess<G::Access> {
    let mut found = Guess { removed, missed, open: Vec::new() };
    let required = found.required(guide, &found.removed);
    let missed = found.missed.iter().flat_map(|run| run.elements.iter().copied());
    found.open = missed.filter(|element| !required.iter().any(|own| own.element == *element)).collect();
    found
}

#[cfg(test)]
mod tests {
    use super::super::search::{self, minimise};
    use super::*;

    /// A program that asks for its elements in order and gives up at the first refusal that it cannot do without.
    struct Program {
        asks: Vec<(usize, bool)>,
        runs: usize,
    }

    impl Program {
        fn refused(&self, removed: &BTreeSet<usize>) -> (bool, Vec<usize>) {
            let mut refused = Vec::new();
            for &(element, needed) in &self.asks {
                if removed.contains(&element) {
                    refused.push(element);
                    if needed {
                        return (false, refused);
                    }
                }
            }
            (true, refused)
        }
    }

    impl Oracle for Program {
        type Error = ();
        fn test(&mut self, trials: &[Trial]) -> Result<Vec<bool>, ()> {
            self.runs += trials.len();
            Ok(trials.iter().map(|trial| self.refused(&trial.removed).0).collect())
        }
    }

    impl Guide for Program {
        type Access = usize;
        fn refused(&self, trial: &Trial) -> Vec<usize> {
            Program::refused(self, &trial.removed).1
        }
        fn deciding(&mut self, access: &usize) -> BTreeSet<usize> {
            [*access].into()
        }
        fn refuses(&mut self, removed: &BTreeSet<usize>, accesses: &[usize]) -> bool {
            accesses.iter().all(|access| removed.contains(access))
        }
    }

    fn elements(required: &[Required]) -> Vec<usize> {
        required.iter().map(|own| own.element).collect()
    }

    fn all(n: usize) -> Plan<'static> {
        static NONE: BTreeSet<usize> = BTreeSet::new();
        Plan { jobs: 1, repeat_each: false, sensitive: &NONE, most_trials: search::most_trials(n) }
    }

    #[test]
    fn one_run_for_each_element_that_must_stay_and_one_more() {
        // 79 elements, every second one asked for, 12 of these needed.
        let needed = |element: usize| element.is_multiple_of(6) && element < 72;
        let asks = (0..79).filter(|element| element % 2 == 0).map(|element| (element, needed(element))).collect();
        let mut program = Program { asks, runs: 0 };
        let found = guess(&mut program, &(0..79).collect::<Vec<_>>(), &all(79)).unwrap();
        let required = found.required(&mut program, &found.removed);
        assert_eq!((program.runs, required.len()), (13, 12));
        assert_eq!((found.removed.len(), found.open.len()), (67, 0));
        assert!(required.iter().all(|own| needed(own.element) && own.inferred && own.at == 67));
    }

    /// The last refusal is about something that the program asks for only because another thing was refused before.
    #[test]
    fn a_misleading_refusal_is_left_for_the_search() {
        struct Complaining(Program);
        impl Oracle for Complaining {
            type Error = ();
            fn test(&mut self, trials: &[Trial]) -> Result<Vec<bool>, ()> {
                self.0.test(trials)
            }
        }
        impl Guide for Complaining {
            type Access = usize;
            fn refused(&self, trial: &Trial) -> Vec<usize> {
                let (fine, mut refused) = self.0.refused(&trial.removed);
                // What it says about the third comes from element 9.
                let complains = !fine && refused.last() == Some(&7);
                refused.extend(Some(9).filter(|message| complains && trial.removed.contains(message)));
                refused
            }
            fn deciding(&mut self, access: &usize) -> BTreeSet<usize> {
                [*access].into()
            }
            fn refuses(&mut self, removed: &BTreeSet<usize>, accesses: &[usize]) -> bool {
                accesses.iter().all(|access| removed.contains(access))
            }
        }
        let mut program = Complaining(Program { asks: vec![(3, true), (5, false), (7, true)], runs: 0 });
        let found = guess(&mut program, &(0..40).collect::<Vec<_>>(), &all(40)).unwrap();
        assert_eq!(elements(&found.required(&mut program, &found.removed)), [3, 7]);
        assert_eq!(found.open, [9]);
        let open: Vec<_> = found.open.iter().map(|&own| (own, super::super::search::Likelihood::Used)).collect();
        let rest = minimise(&mut program, found.removed.clone(), &open, &all(40)).unwrap();
        assert_eq!(rest.removed.len(), 38);
        // The run that missed 7 came when 9 was back already.
        assert_eq!(elements(&found.required(&mut program, &rest.removed)), [3]);
    }

    /// Nothing is inferred from a run that was refused something which the result allows.
    #[test]
    fn a_run_that_was_refused_more_shows_nothing() {
        // Refusals come in the wrong order: the first ask is needed, and the program goes on to ask for the second.
        struct Late;
        impl Oracle for Late {
            type Error = ();
            fn test(&mut self, trials: &[Trial]) -> Result<Vec<bool>, ()> {
                Ok(trials.iter().map(|trial| trial.removed.is_disjoint(&[1, 2].into())).collect())
            }
        }
        impl Guide for Late {
            type Access = usize;
            fn refused(&self, trial: &Trial) -> Vec<usize> {
                [1, 2].into_iter().filter(|access| trial.removed.contains(access)).collect()
            }
            fn deciding(&mut self, access: &usize) -> BTreeSet<usize> {
                [*access].into()
            }
            fn refuses(&mut self, removed: &BTreeSet<usize>, accesses: &[usize]) -> bool {
                accesses.iter().all(|access| removed.contains(access))
            }
        }
        let found = guess(&mut Late, &(0..60).collect::<Vec<_>>(), &all(60)).unwrap();
        assert_eq!(elements(&found.required(&mut Late, &found.removed)), [1]);
        assert_eq!(found.open, [2]);
    }

    #[test]
    fn it_gives_up_where_refusals_tell_nothing() {
        for n in [0, 1, 2, 5, 20, 60] {
            // Everything is needed, and every failure names everything.
            struct Stubborn(usize);
            impl Oracle for Stubborn {
                type Error = ();
                fn test(&mut self, trials: &[Trial]) -> Result<Vec<bool>, ()> {
                    self.0 += trials.len();
                    Ok(trials.iter().map(|trial| trial.removed.is_empty()).collect())
                }
            }
            impl Guide for Stubborn {
                type Access = usize;
                fn refused(&self, trial: &Trial) -> Vec<usize> {
                    trial.removed.iter().copied().collect()
                }
                fn deciding(&mut self, access: &usize) -> BTreeSet<usize> {
                    [*access].into()
                }
                fn refuses(&mut self, _: &BTreeSet<usize>, _: &[usize]) -> bool {
                    false
                }
            }
            let mut stubborn = Stubborn(0);
            let found = guess(&mut stubborn, &(0..n).collect::<Vec<_>>(), &all(n)).unwrap();
            assert!(found.removed.is_empty() && stubborn.0 <= most_trials(n).min(MOST_UNCLEAR + 2), "{n}: {found:?}");
        }
    }
}
