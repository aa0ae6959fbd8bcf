//! Decisions under assumptions: filters that a representative cannot settle are free truth values.
//!
//! Equal filters get equal values, and none that contradict each other. Values are chosen only when a decision needs
//! them, so filters that other conditions rule out cost nothing. Bounded in the number of assignments tried.

use std::fmt;

use super::settle;
use crate::sbpl::access::Access;
use crate::sbpl::filter::{Filter, NameFilter, NameTest, NetworkFilter, Peer};
use crate::sbpl::policy::{Candidate, Policy};
use crate::sbpl::rule::MissingImport;
use crate::vocab::{Decision, RuleRef};

/// Assignments tried for one representative.
const MAX_ASSIGNMENTS: usize = 4_000;
/// Values assumed at once.
const MAX_ASSUMED: usize = 64;
/// Differences reported for one representative.
const MAX_DIFFERENCES: usize = 64;
/// Differences between the same two rules reported for one representative.
const MAX_OF_PAIR: usize = 4;

/// A difference that was met.
pub(super) enum Difference<'p> {
    /// The two differ when these assumptions hold.
    Under { assumed: Vec<Assumption<'p>>, decision: Decision, a: Option<&'p RuleRef>, b: Option<&'p RuleRef> },
    /// Not all assignments were tried.
    GaveUp,
}

/// Something a representative cannot settle.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'p> {
    Filter(&'p Filter),
    /// Rules that are not available: whether one of them decides so.
    Missing(&'p MissingImport, Decision),
}

impl Subject<'_> {
    /// Whether both have the same value whatever it is.
    fn same(&self, other: &Subject<'_>) -> bool {
        match (self, other) {
            (Self::Filter(one), Subject::Filter(two)) => one == two,
            (Self::Missing(one, decides), Subject::Missing(two, other)) => decides == other && same_missing(one, two),
            _ => false,
        }
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(filter) => write!(f, "{filter}"),
            Self::Missing(missing, Decision::Allow) => write!(f, "{} (allows)", missing.reason),
            Self::Missing(missing, Decision::Deny) => write!(f, "{} (denies)", missing.reason),
        }
    }
}

/// Whether two places hold the same rules, whatever they are.
pub(super) fn same_missing(one: &MissingImport, two: &MissingImport) -> bool {
    one.reason == two.reason && one.reference.text == two.reference.text && one.evaluation == two.evaluation
}

/// A value chosen for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assumption<'p> {
    pub subject: Subject<'p>,
    pub value: bool,
}

impl<'p> Assumption<'p> {
    /// The filter it is about.
    pub(super) fn filter(&self) -> Option<&'p Filter> {
        match self.subject {
            Subject::Filter(filter) => Some(filter),
            Subject::Missing(..) => None,
        }
    }
}

/// The assumptions in words.
pub(super) fn words(assumed: &[Assumption<'_>]) -> String {
    let holds: Vec<String> = assumed.iter().filter(|own| own.value).map(|own| own.subject.to_string()).collect();
    if holds.is_empty() { "none of the undecided filters holds".to_owned() } else { holds.join(" and ") }
}

/// Tries assignments on one access.
pub(super) struct Explorer<'p, 'a> {
    a: &'p Policy,
    b: &'p Policy,
    access: &'a Access<'a>,
    /// The beginning that the accesses share for which this one stands; `None` when it stands for itself.
    beginning: Option<&'a str>,
    assumed: Vec<Assumption<'p>>,
    tried: usize,
    gave_up: bool,
    found: Vec<Difference<'p>>,
}

enum Answer<'p> {
    Decided(Decision, Option<&'p RuleRef>),
    /// The decision needs the value of this.
    Needs(Subject<'p>),
}

enum Truth<'p> {
    Yes,
    No,
    Needs(&'p Filter),
}

impl<'p, 'a> Explorer<'p, 'a> {
    pub(super) fn new(a: &'p Policy, b: &'p Policy, access: &'a Access<'a>, beginning: Option<&'a str>) -> Self {
        Self { a, b, access, beginning, assumed: Vec::new(), tried: 0, gave_up: false, found: Vec::new() }
    }

    /// Every difference met over all assignments that matter.
    pub(super) fn differences(mut self) -> Vec<Difference<'p>> {
        self.explore();
        if self.gave_up {
            self.found.push(Difference::GaveUp);
        }
        self.found
    }

    fn explore(&mut self) {
        self.tried += 1;
        if self.tried > MAX_ASSIGNMENTS || self.assumed.len() > MAX_ASSUMED || self.found.len() >= MAX_DIFFERENCES {
            self.gave_up = true;
            return;
        }
        let subject = match (self.answer(self.a), self.answer(self.b)) {
            (Answer::Needs(subject), _) | (_, Answer::Needs(subject)) => subject,
            (Answer::Decided(one, a), Answer::Decided(two, b)) => {
                // Without assumptions a difference has been found as a concrete access already.
                if one != two && !self.assumed.is_empty() && self.known(two, a, b) < MAX_OF_PAIR {
                    self.found.push(Difference::Under { assumed: self.assumed.clone(), decision: two, a, b });
                }
                return;
            }
        };
        for value in [false, true] {
            let assumption = Assumption { subject, value };
            if !settle::contradicts(&self.assumed, &assumption) {
                self.assumed.push(assumption);
                self.explore();
                self.assumed.pop();
            }
        }
    }

    /// How often this difference was found under other assumptions.
    fn known(&self, decision: Decision, a: Option<&RuleRef>, b: Option<&RuleRef>) -> usize {
        let same = |own: &&Difference<'_>| match own {
            Difference::Under { decision: other, a: left, b: right, .. } => {
                *other == decision && *left == a && *right == b
            }
            Difference::GaveUp => false,
        };
        self.found.iter().filter(same).count()
    }

    /// Whether a condition can hold of an access that the representative stands for.
    pub(super) fn may_match(&self, policy: &Policy, filter: Option<&'p Filter>) -> bool {
        filter.is_none_or(|filter| !matches!(self.truth(policy, filter), Truth::No))
    }

    fn answer(&self, policy: &'p Policy) -> Answer<'p> {
        for candidate in policy.candidates(self.access.operation) {
            match candidate {
                Candidate::Missing(missing) => {
                    for decision in [Decision::Allow, Decision::Deny] {
                        let subject = Subject::Missing(missing, decision);
                        match self.value(&subject) {
                            Some(true) => return Answer::Decided(decision, Some(&missing.reference)),
                            Some(false) => {}
                            None => return Answer::Needs(subject),
                        }
                    }
                }
                Candidate::Rule(rule) => {
                    let truth = rule.filter.as_ref().map_or(Truth::Yes, |filter| self.truth(policy, filter));
                    match truth {
                        Truth::Yes => return Answer::Decided(rule.action, Some(&rule.reference)),
                        Truth::No => {}
                        Truth::Needs(leaf) => return Answer::Needs(Subject::Filter(leaf)),
                    }
                }
            }
        }
        Answer::Decided(Decision::Deny, None)
    }

    fn value(&self, subject: &Subject<'_>) -> Option<bool> {
        self.assumed.iter().find(|own| own.subject.same(subject)).map(|own| own.value)
    }

    fn truth(&self, policy: &Policy, filter: &'p Filter) -> Truth<'p> {
        match filter {
            Filter::RequireAll(all) => self.combine(policy, all, false),
            Filter::RequireAny(any) => self.combine(policy, any, true),
            Filter::RequireNot(inner) => match self.truth(policy, inner) {
                Truth::Yes => Truth::No,
                Truth::No => Truth::Yes,
                needs @ Truth::Needs(_) => needs,
            },
            leaf => {
                let shared = self.beginning.is_some() && is_open(leaf);
                let settled = if shared { self.ruled_out(leaf) } else { policy.filter_matches(leaf, self.access) };
                match settled {
                    Some(true) => Truth::Yes,
                    Some(false) => Truth::No,
                    None => match self.value(&Subject::Filter(leaf)) {
                        Some(true) => Truth::Yes,
                        Some(false) => Truth::No,
                        None => Truth::Needs(leaf),
                    },
                }
            }
        }
    }

    /// `RequireAll` (stops at false) or `RequireAny` (stops at true).
    fn combine(&self, policy: &Policy, filters: &'p [Filter], stop_at: bool) -> Truth<'p> {
        let mut needs = None;
        for filter in filters {
            match self.truth(policy, filter) {
                Truth::Yes if stop_at => return Truth::Yes,
                Truth::No if !stop_at => return Truth::No,
                Truth::Needs(leaf) if needs.is_none() => needs = Some(leaf),
                _ => {}
            }
        }
        match (needs, stop_at) {
            (Some(leaf), _) => Truth::Needs(leaf),
            (None, true) => Truth::No,
            (None, false) => Truth::Yes,
        }
    }

    /// An expression matches some members of a representative's class and not others; it is false for all of them when
    /// it must begin differently, or when such accesses have no value it could match.
    fn ruled_out(&self, leaf: &Filter) -> Option<bool> {
        let pattern = match leaf {
            Filter::Regex(pattern) => Some(pattern),
            Filter::Name(NameFilter { test: NameTest::Regex(pattern), .. }) => Some(pattern),
            _ => None,
        };
        if let (Some(pattern), Some(beginning)) = (pattern, self.beginning) {
            let (start, _) = pattern.literal_start();
            let beginning = beginning.as_bytes();
            if !start.starts_with(beginning) && !beginning.starts_with(&start) {
                return Some(false);
            }
        }
        match self.a.filter_matches(&any_of_its_kind(leaf), self.access) {
            Some(false) => Some(false),
            _ => None,
        }
    }
}

/// Whether a leaf distinguishes accesses that share a representative.
fn is_open(leaf: &Filter) -> bool {
    match leaf {
        Filter::Regex(_) => true,
        Filter::Name(name) => matches!(name.test, NameTest::Regex(_)),
        Filter::Network(network) => match &network.peer {
            Peer::Unix(Some(path)) => contains_open(path),
            _ => false,
        },
        _ => false,
    }
}

fn contains_open(filter: &Filter) -> bool {
    match filter {
        Filter::RequireAll(inner) | Filter::RequireAny(inner) => inner.iter().any(contains_open),
        Filter::RequireNot(inner) => contains_open(inner),
        leaf => is_open(leaf),
    }
}

/// The filter that matches every value of the attribute a leaf looks at.
fn any_of_its_kind(leaf: &Filter) -> Filter {
    match leaf {
        Filter::Name(name) => {
            Filter::Name(NameFilter { attribute: name.attribute, test: NameTest::Prefix(String::new()) })
        }
        Filter::Network(network) => Filter::Network(NetworkFilter { side: network.side, peer: Peer::Unix(None) }),
        _ => Filter::Prefix(String::new()),
    }
}
