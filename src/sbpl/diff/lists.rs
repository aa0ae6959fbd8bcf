//! The rules of both profiles that can decide one operation, and which of them an access can concern.

use std::cell::Cell;
use std::ops::Range;

use super::assignment;
use crate::sbpl::access::Access;
use crate::sbpl::filter::{Filter, Peer};
use crate::sbpl::policy::{Candidate, Policy};
use crate::sbpl::vocabulary;
use crate::vocab::Operation;

/// Tests of conditions in one comparison.
const MAX_TESTS: u64 = 20_000_000;
/// A test by the engine itself takes about so much less than one under assumptions.
const TESTS_PER_JUDGED: u64 = 8;

/// What a comparison may still spend.
pub(super) struct Budget {
    left: Cell<u64>,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { left: Cell::new(MAX_TESTS) }
    }

    /// Takes so many tests; false when there are not as many left, and from then on.
    pub(super) fn spend(&self, tests: u64) -> bool {
        let left = self.left.get().checked_sub(tests);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left.get() == 0
    }
}

/// The rules of one profile in the order of asking.
pub(super) struct List<'p> {
    policy: &'p Policy,
    pub candidates: Vec<Candidate<'p>>,
    /// Conditions of each.
    sizes: Vec<u64>,
    /// Those between the first and the last that differ from the other profile's.
    changed: Range<usize>,
}

/// One thing that may decide an access.
#[derive(Clone, Copy)]
pub(super) struct Possible<'p> {
    pub candidate: Candidate<'p>,
    /// Whether it lies between the first and the last that differ.
    pub changed: bool,
}

impl<'p> List<'p> {
    fn new(policy: &'p Policy, candidates: Vec<Candidate<'p>>, changed: Range<usize>) -> Self {
        let sizes = candidates.iter().map(size).collect();
        Self { policy, candidates, sizes, changed }
    }

    /// What may match an access, or one of the accesses it stands for when those differ in what expressions say.
    pub(super) fn at(&self, access: &Access<'_>, class: bool) -> Vec<Possible<'p>> {
        let possible = |place| Possible { candidate: self.candidates[place], changed: self.changed.contains(&place) };
        self.policy.possible(access, class).into_iter().map(possible).collect()
    }

    /// How many conditions an answer may take.
    fn size_at(&self, access: &Access<'_>) -> u64 {
        self.policy.possible(access, false).into_iter().map(|place| self.sizes[place]).sum()
    }
}

/// The rule lists of both profiles.
pub(super) struct Lists<'p> {
    pub a: List<'p>,
    pub b: List<'p>,
    /// Whether accesses of the operation have a path.
    pub path_fits: bool,
    /// What a bare name means.
    pub primary: Option<&'static str>,
}

impl<'p> Lists<'p> {
    pub(super) fn new(a: &'p Policy, b: &'p Policy, operation: &Operation) -> Self {
        let (of_a, of_b) = (a.candidates(operation), b.candidates(operation));
        let before = of_a.iter().zip(&of_b).take_while(|(one, two)| same(one, two)).count();
        let rest = of_a[before..].iter().rev().zip(of_b[before..].iter().rev());
        let after = rest.take_while(|(one, two)| same(one, two)).count();
        let (end_a, end_b) = (of_a.len() - after, of_b.len() - after);
        Self {
            a: List::new(a, of_a, before..end_a),
            b: List::new(b, of_b, before..end_b),
            path_fits: vocabulary::path_fits(operation),
            primary: vocabulary::primary_attribute(operation),
        }
    }

    /// What it takes to ask both profiles.
    pub(super) fn cost(&self, access: &Access<'_>) -> u64 {
        1 + (self.a.size_at(access) + self.b.size_at(access)) / TESTS_PER_JUDGED
    }
}

/// Whether two candidates say the same.
pub(super) fn same(one: &Candidate<'_>, two: &Candidate<'_>) -> bool {
    match (one, two) {
        (Candidate::Rule(one), Candidate::Rule(two)) => one.action == two.action && one.filter == two.filter,
        (Candidate::Missing(one), Candidate::Missing(two)) => assignment::same_missing(one, two),
        _ => false,
    }
}

fn size(candidate: &Candidate<'_>) -> u64 {
    match candidate {
        Candidate::Rule(rule) => rule.filter.as_ref().map_or(1, conditions),
        Candidate::Missing(_) => 1,
    }
}

fn conditions(filter: &Filter) -> u64 {
    match filter {
        Filter::RequireAll(inner) | Filter::RequireAny(inner) => 1 + inner.iter().map(conditions).sum::<u64>(),
        Filter::RequireNot(inner) => 1 + conditions(inner),
        Filter::Network(network) => match &network.peer {
            Peer::Unix(Some(path)) => 1 + conditions(path),
            _ => 1,
        },
        _ => 1,
    }
}
