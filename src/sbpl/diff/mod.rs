//! What one profile allows that another does not, as rules and as accesses that show it.
//!
//! For each operation the two rule lists are compared on representatives: one access for every combination of path,
//! name and endpoint tests that the rules can tell apart (`witness`), expressions among them (`walk`). What a
//! representative cannot settle (attributes, state, expressions that are too large together) is a free truth value, and
//! every assignment that matters is tried (`assignment`). An assignment that attributes of the access can bring about
//! becomes an access (`settle`). A difference is reported as found only with an access on which both answers are known;
//! one that exists only under assumptions is reported as undecided. No difference under any assignment is proof of
//! equality.

mod assignment;
mod lists;
mod settle;
mod walk;
mod witness;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::policy::{Candidate, Policy};
use super::query::Query;
use super::rule::DEFAULT;
use super::vocabulary;
use crate::vocab::{Decision, Operation, RuleRef};
use assignment::{Difference, Explorer, TOO_MANY_TESTS};
use lists::{Budget, Lists, same};
use witness::Representative;

/// The comparison of two profiles, from the first to the second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProfileDiff {
    /// What the second allows and the first denies.
    pub wider: Vec<Change>,
    /// What the first allows and the second denies.
    pub narrower: Vec<Change>,
    /// Where the two may differ, depending on something the texts do not say.
    pub undecided: Vec<OpenChange>,
}

/// One pair of deciding rules with the operations it concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Operations on which the pair decides differently.
    pub operations: Vec<String>,
    /// An access that shows it, for the first of the operations: the target with its attributes as `NAME=VALUE`, as
    /// `sbpl explain` takes them.
    pub witness: String,
    /// Whether the witness has a target or an attribute that no rule mentions.
    pub made_up: bool,
    /// The first profile's deciding rule; null when no rule matches.
    pub a: Option<RuleRef>,
    /// The second profile's deciding rule; null when no rule matches.
    pub b: Option<RuleRef>,
    /// The witness as a question.
    #[serde(skip)]
    pub query: Query,
}

/// A difference that depends on something unknown. Without any rule: what lies beyond a bound, in either direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenChange {
    /// Operations it concerns.
    pub operations: Vec<String>,
    /// What it depends on.
    pub reason: String,
    /// Whether the second profile may allow more.
    pub may_widen: bool,
    /// The first profile's rule under the assumption.
    pub a: Option<RuleRef>,
    /// The second profile's rule under the assumption.
    pub b: Option<RuleRef>,
}

impl ProfileDiff {
    /// Whether the profiles are proved to allow the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wider.is_empty() && self.narrower.is_empty() && self.undecided.is_empty()
    }

    /// Whether the second profile may allow more, although no access shows it.
    #[must_use]
    pub fn may_widen(&self) -> bool {
        self.undecided.iter().any(|open| open.may_widen)
    }
}

type Pair = (Option<RuleRefKey>, Option<RuleRefKey>);

/// Whether the second profile may allow more, the rules and, where none are known, the reason.
type OpenKey = (bool, Pair, Option<String>);

/// A rule reference that can be sorted.
type RuleRefKey = (String, u32, String);

/// Compares two profiles.
#[must_use]
pub fn diff(a: &Policy, b: &Policy) -> ProfileDiff {
    let mut groups: BTreeMap<Signature, Vec<Operation>> = BTreeMap::new();
    for operation in operations(a, b) {
        let (one, two) = (a.candidates(&operation), b.candidates(&operation));
        // Rule lists that say the same need no access to show it.
        if one.len() != two.len() || !one.iter().zip(&two).all(|(one, two)| same(one, two)) {
            groups.entry(Signature::of(&operation, &one, &two)).or_default().push(operation);
        }
    }
    let mut result = Collector::default();
    let budget = Budget::new();
    // In an order of its own: what a bound cuts off is then the same every time.
    let mut groups: Vec<Vec<Operation>> = groups.into_values().collect();
    groups.sort_by(|one, two| one[0].as_str().cmp(two[0].as_str()));
    for group in &groups {
        compare(a, b, group, &budget, &mut result);
    }
    result.finish()
}

/// What makes two operations interchangeable: the same rules, and targets of the same kind.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Signature {
    /// Places of the rules in memory.
    candidates: (Vec<usize>, Vec<usize>),
    path_fits: bool,
    primary: Option<&'static str>,
    /// Operations whose targets are not files or plain names are compared one by one.
    own: Option<String>,
}

impl Signature {
    fn of(operation: &Operation, one: &[Candidate<'_>], two: &[Candidate<'_>]) -> Self {
        let places = |candidates: &[Candidate<'_>]| {
            let place = |candidate: &Candidate<'_>| match candidate {
                Candidate::Rule(rule) => std::ptr::from_ref(*rule) as usize,
                Candidate::Missing(missing) => std::ptr::from_ref(*missing) as usize,
            };
            candidates.iter().map(place).collect()
        };
        // Extended attributes exist on two of the file operations only.
        let interchangeable = Operation::new("file*").covers(operation) && !operation.as_str().ends_with("-xattr");
        Self {
            candidates: (places(one), places(two)),
            path_fits: vocabulary::path_fits(operation),
            primary: vocabulary::primary_attribute(operation),
            own: (!interchangeable && operation.is_known()).then(|| operation.to_string()),
        }
    }
}

/// Beyond this bound an operation is not compared.
const TOO_MANY_TEXTS: &str = "an access tells them apart; none was looked at: the bound on texts in rules was met";

/// The name under which the `default` lines are compared.
const ANY_OTHER: &str = "any-other-operation";

/// Every operation an access can have: the table's without wildcards, the names of rules, and one that nobody names.
fn operations(a: &Policy, b: &Policy) -> Vec<Operation> {
    let mut names: BTreeSet<String> =
        Operation::all().filter(|operation| !operation.is_wildcard()).map(|o| o.to_string()).collect();
    names.insert("process-exec".to_owned());
    let written = a.rules().iter().chain(b.rules()).flat_map(|rule| &rule.operations);
    for operation in written {
        if !operation.is_wildcard() && operation.as_str() != DEFAULT && !names.contains(operation.canonical()) {
            names.insert(operation.to_string());
        }
    }
    names.insert(ANY_OTHER.to_owned());
    names.into_iter().map(Operation::new).collect()
}

fn compare(a: &Policy, b: &Policy, group: &[Operation], budget: &Budget, result: &mut Collector) {
    let operation = &group[0];
    let lists = Lists::new(a, b, operation);
    let relevant = |query: &Query, beginning: Option<&str>| {
        query.with_access(|access| Explorer::new(&lists, access, beginning, budget).may_decide())
    };
    let Some(representatives) = witness::representatives(&lists, operation, &relevant) else {
        return result.bound_met(group, TOO_MANY_TEXTS);
    };
    for own in representatives {
        own.query.with_access(|access| {
            if !budget.spend(lists.cost(access)) {
                return;
            }
            let differ = ask(a, b, &own.query, own.made_up, group, result);
            // A decision that is known is the same under every assumption.
            if differ == Some(false) && own.beginning.is_none() {
                return;
            }
            let explorer = Explorer::new(&lists, access, own.beginning.as_deref(), budget);
            if differ == Some(true) || explorer.may_decide() {
                for difference in explorer.differences() {
                    collect(a, b, &own, difference, group, result);
                }
            }
        });
        if budget.is_spent() {
            return result.bound_met(group, TOO_MANY_TESTS);
        }
    }
}

/// Reports a difference that one access shows. Whether the answers differ; `None` when one of them is not known.
fn ask(
    a: &Policy,
    b: &Policy,
    query: &Query,
    made_up: bool,
    group: &[Operation],
    result: &mut Collector,
) -> Option<bool> {
    query.with_access(|access| {
        let (left, right) = (a.judge(access), b.judge(access));
        let (one, two) = (left.decision()?, right.decision()?);
        if one != two {
            result.found(two, group, query, made_up, (left.rule().map(key), right.rule().map(key)));
        }
        Some(one != two)
    })
}

fn collect(
    a: &Policy,
    b: &Policy,
    own: &Representative,
    difference: Difference<'_>,
    group: &[Operation],
    result: &mut Collector,
) {
    let (assumed, decision, left, right) = match difference {
        Difference::Under { assumed, decision, a, b } => (assumed, decision, a, b),
        Difference::GaveUp(reason) => return result.bound_met(group, reason),
    };
    // An assumption about an expression is about no access in particular.
    let described = if own.beginning.is_none() { settle::access(&own.query, &assumed) } else { None };
    let shown = described.is_some_and(|query| {
        let made_up = own.made_up || settle::is_made_up(&assumed, &query);
        ask(a, b, &query, made_up, group, result) == Some(true)
    });
    if !shown {
        let words = assignment::words(&assumed);
        let reason = own.bound.map_or_else(|| words.clone(), |bound| format!("{words} ({bound})"));
        result.open(decision, group, reason, (left.map(key), right.map(key)));
    }
}

fn key(rule: &RuleRef) -> RuleRefKey {
    (rule.file.clone(), rule.line, rule.text.clone())
}

fn rule(key: Option<RuleRefKey>) -> Option<RuleRef> {
    key.map(|(file, line, text)| RuleRef { file, line, text })
}

/// An access that shows a difference.
struct Shown {
    operations: Vec<String>,
    query: Query,
    made_up: bool,
}

/// Differences by pair of rules.
#[derive(Default)]
struct Collector {
    wider: BTreeMap<Pair, Shown>,
    narrower: BTreeMap<Pair, Shown>,
    open: BTreeMap<OpenKey, (Vec<String>, String)>,
}

impl Collector {
    fn found(&mut self, decision_of_b: Decision, group: &[Operation], query: &Query, made_up: bool, pair: Pair) {
        let changes = match decision_of_b {
            Decision::Allow => &mut self.wider,
            Decision::Deny => &mut self.narrower,
        };
        let entry =
            changes.entry(pair).or_insert_with(|| Shown { operations: Vec::new(), query: query.clone(), made_up });
        // The plainest access is shown, for the first operation listed.
        let first = entry.operations.first().is_none_or(|first| *first == group[0].as_str());
        let plain = |query: &Query, made_up| (query.attributes(), made_up);
        if first && plain(query, made_up) < plain(&entry.query, entry.made_up) {
            (entry.query, entry.made_up) = (query.clone(), made_up);
        }
        add(&mut entry.operations, group);
    }

    fn open(&mut self, decision_of_b: Decision, group: &[Operation], reason: String, pair: Pair) {
        let bound = (pair == (None, None)).then(|| reason.clone());
        let key = (decision_of_b == Decision::Allow, pair, bound);
        let entry = self.open.entry(key).or_insert_with(|| (Vec::new(), reason));
        add(&mut entry.0, group);
    }

    /// Leaves open what lies beyond a bound, to the side that matters more.
    fn bound_met(&mut self, group: &[Operation], reason: &str) {
        self.open(Decision::Allow, group, reason.to_owned(), (None, None));
    }

    fn finish(self) -> ProfileDiff {
        let mut undecided = Vec::new();
        for ((may_widen, pair, _), (mut operations, reason)) in self.open {
            // What an access shows is not open.
            if let Some(shown) = if may_widen { &self.wider } else { &self.narrower }.get(&pair) {
                operations.retain(|name| !shown.operations.contains(name));
            }
            if !operations.is_empty() {
                undecided.push(OpenChange { operations, reason, may_widen, a: rule(pair.0), b: rule(pair.1) });
            }
        }
        let changes = |map: BTreeMap<Pair, Shown>| {
            let change = |((a, b), Shown { operations, query, made_up }): (Pair, Shown)| {
                let witness = format!("{} {}", query.operation(), query.target_text()).trim_end().to_owned();
                Change { operations, witness, made_up, a: rule(a), b: rule(b), query }
            };
            map.into_iter().map(change).collect()
        };
        ProfileDiff { wider: changes(self.wider), narrower: changes(self.narrower), undecided }
    }
}

fn add(operations: &mut Vec<String>, group: &[Operation]) {
    if !operations.iter().any(|known| known == group[0].as_str()) {
        operations.extend(group.iter().map(ToString::to_string));
    }
}
