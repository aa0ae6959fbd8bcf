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
mod settle;
mod walk;
mod witness;

use std::collections::BTreeMap;

use serde::Serialize;

use super::policy::{Candidate, Policy};
use super::query::Query;
use super::rule::DEFAULT;
use super::vocabulary;
use crate::vocab::{Decision, Operation, RuleRef};
use assignment::{Difference, Explorer};
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

/// A difference that depends on something unknown.
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
    for group in groups.values() {
        compare(a, b, group, &mut result);
    }
    result.finish()
}

fn same(one: &Candidate<'_>, two: &Candidate<'_>) -> bool {
    match (one, two) {
        (Candidate::Rule(one), Candidate::Rule(two)) => one.action == two.action && one.filter == two.filter,
        (Candidate::Missing(one), Candidate::Missing(two)) => assignment::same_missing(one, two),
        _ => false,
    }
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

/// The name under which the `default` lines are compared.
const ANY_OTHER: &str = "any-other-operation";

/// Every operation an access can have: the table's without wildcards, the names of rules, and one that nobody names.
fn operations(a: &Policy, b: &Policy) -> Vec<Operation> {
    let mut names: Vec<String> =
        Operation::all().filter(|operation| !operation.is_wildcard()).map(|o| o.to_string()).collect();
    names.push("process-exec".to_owned());
    let written = a.rules().iter().chain(b.rules()).flat_map(|rule| &rule.operations);
    for operation in written {
        if !operation.is_wildcard()
            && operation.as_str() != DEFAULT
            && !names.iter().any(|name| name == operation.canonical())
        {
            names.push(operation.to_string());
        }
    }
    names.push(ANY_OTHER.to_owned());
    names.sort();
    names.dedup();
    names.into_iter().map(Operation::new).collect()
}

fn compare(a: &Policy, b: &Policy, group: &[Operation], result: &mut Collector) {
    let operation = &group[0];
    let changed = Changed::new(a, b, operation);
    let relevant = |query: &Query, beginning: Option<&str>| changed.may_decide(query, beginning);
    for own in witness::representatives(a, b, operation, &relevant) {
        let Representative { query, beginning, made_up } = &own;
        if !changed.may_decide(query, beginning.as_deref()) {
            continue;
        }
        ask(a, b, query, *made_up, group, result);
        query.with_access(|access| {
            for difference in Explorer::new(a, b, access, beginning.as_deref()).differences() {
                collect(a, b, &own, difference, group, result);
            }
        });
    }
}

/// Reports a difference that one access shows; whether it does.
fn ask(a: &Policy, b: &Policy, query: &Query, made_up: bool, group: &[Operation], result: &mut Collector) -> bool {
    query.with_access(|access| {
        let (left, right) = (a.judge(access), b.judge(access));
        match (left.decision(), right.decision()) {
            (Some(one), Some(two)) if one != two => {
                result.found(two, group, query, made_up, (left.rule().map(key), right.rule().map(key)));
                true
            }
            _ => false,
        }
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
    let Difference::Under { assumed, decision, a: left, b: right } = difference else {
        let reason = "too many combinations of undecided filters to try".to_owned();
        return result.open(Decision::Allow, group, reason, (None, None));
    };
    // An assumption about an expression is about no access in particular.
    let described = if own.beginning.is_none() { settle::access(&own.query, &assumed) } else { None };
    let shown = described.is_some_and(|query| {
        let made_up = own.made_up || settle::is_made_up(&assumed, &query);
        ask(a, b, &query, made_up, group, result)
    });
    if !shown {
        result.open(decision, group, assignment::words(&assumed), (left.map(key), right.map(key)));
    }
}

/// The rules between the first and the last that differ: where none of them can match, both profiles say the same.
struct Changed<'p> {
    a: &'p Policy,
    b: &'p Policy,
    of_a: Vec<Candidate<'p>>,
    of_b: Vec<Candidate<'p>>,
}

impl<'p> Changed<'p> {
    fn new(a: &'p Policy, b: &'p Policy, operation: &Operation) -> Self {
        let (mut of_a, mut of_b) = (a.candidates(operation), b.candidates(operation));
        let before = of_a.iter().zip(&of_b).take_while(|(one, two)| same(one, two)).count();
        of_a.drain(..before);
        of_b.drain(..before);
        let after = of_a.iter().rev().zip(of_b.iter().rev()).take_while(|(one, two)| same(one, two)).count();
        of_a.truncate(of_a.len() - after);
        of_b.truncate(of_b.len() - after);
        Self { a, b, of_a, of_b }
    }

    /// Whether one of them can match an access, or with a beginning one of those that it stands for.
    fn may_decide(&self, query: &Query, beginning: Option<&str>) -> bool {
        query.with_access(|access| {
            let explorer = Explorer::new(self.a, self.b, access, beginning);
            let may = |policy: &Policy, candidate: &Candidate<'p>| match candidate {
                Candidate::Missing(_) => true,
                Candidate::Rule(rule) => explorer.may_match(policy, rule.filter.as_ref()),
            };
            self.of_a.iter().any(|own| may(self.a, own)) || self.of_b.iter().any(|own| may(self.b, own))
        })
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
    open: BTreeMap<(bool, Pair), (Vec<String>, String)>,
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
        let entry = self.open.entry((decision_of_b == Decision::Allow, pair)).or_insert_with(|| (Vec::new(), reason));
        add(&mut entry.0, group);
    }

    fn finish(self) -> ProfileDiff {
        let mut undecided = Vec::new();
        for ((may_widen, pair), (mut operations, reason)) in self.open {
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
