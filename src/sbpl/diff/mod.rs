//! What one profile allows that another does not, as rules and as accesses that show it.
//!
//! For each operation the two rule lists are compared on representatives: one access for every combination of path,
//! name and endpoint tests that the rules can tell apart (`witness`). What a representative cannot settle (expressions,
//! attributes, state) is a free truth value, and every assignment that matters is tried (`assignment`). A difference is
//! reported as found only with a concrete access on which both answers are known; a difference that exists only under
//! assumptions is reported as undecided. No difference under any assignment is proof of equality.

mod assignment;
mod witness;

use std::collections::BTreeMap;

use serde::Serialize;

use super::policy::{Candidate, Policy};
use super::rule::DEFAULT;
use super::vocabulary;
use crate::vocab::{Decision, Operation, RuleRef};
use assignment::{Difference, Explorer};

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
    /// An access that shows it, for the first of the operations.
    pub witness: String,
    /// The first profile's deciding rule; null when no rule matches.
    pub a: Option<RuleRef>,
    /// The second profile's deciding rule; null when no rule matches.
    pub b: Option<RuleRef>,
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
        (Candidate::Missing(one), Candidate::Missing(two)) => one.reason == two.reason,
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
    let representatives = witness::representatives(a, b, operation);
    // Concrete differences first: they settle what would otherwise stay open.
    let samples = witness::samples(a, b, operation);
    for query in representatives.iter().map(|own| &own.query).chain(&samples) {
        query.with_access(|access| {
            let (left, right) = (a.judge(access), b.judge(access));
            match (left.decision(), right.decision()) {
                (Some(one), Some(two)) if one != two => {
                    let pair = (left.rule().map(key), right.rule().map(key));
                    result.found(two, group, &query.target_text(), pair);
                }
                _ => {}
            }
        });
    }
    for own in &representatives {
        own.query.with_access(|access| {
            let explorer = Explorer::new(a, b, access, own.beginning.as_deref());
            collect(explorer, group, result);
        });
    }
}

fn collect(explorer: Explorer<'_, '_>, group: &[Operation], result: &mut Collector) {
    for difference in explorer.differences() {
        match difference {
            Difference::Under { assumptions, decision, a, b } => {
                let pair = (a.map(key), b.map(key));
                result.open(decision, group, assumptions, pair);
            }
            Difference::GaveUp => {
                let reason = "too many combinations of undecided filters to try".to_owned();
                result.open(Decision::Allow, group, reason, (None, None));
            }
        }
    }
}

fn key(rule: &RuleRef) -> RuleRefKey {
    (rule.file.clone(), rule.line, rule.text.clone())
}

fn rule(key: Option<RuleRefKey>) -> Option<RuleRef> {
    key.map(|(file, line, text)| RuleRef { file, line, text })
}

/// Differences by pair of rules.
#[derive(Default)]
struct Collector {
    wider: BTreeMap<Pair, (Vec<String>, String)>,
    narrower: BTreeMap<Pair, (Vec<String>, String)>,
    open: BTreeMap<(bool, Pair), (Vec<String>, String)>,
}

impl Collector {
    fn found(&mut self, decision_of_b: Decision, group: &[Operation], witness: &str, pair: Pair) {
        let changes = match decision_of_b {
            Decision::Allow => &mut self.wider,
            Decision::Deny => &mut self.narrower,
        };
        let shown = if witness.is_empty() { group[0].to_string() } else { format!("{} {witness}", group[0]) };
        let entry = changes.entry(pair).or_insert_with(|| (Vec::new(), shown));
        add(&mut entry.0, group);
    }

    fn open(&mut self, decision_of_b: Decision, group: &[Operation], reason: String, pair: Pair) {
        let widens = decision_of_b == Decision::Allow;
        let known = if widens { &self.wider } else { &self.narrower };
        if known.get(&pair).is_some_and(|(operations, _)| operations.iter().any(|name| name == group[0].as_str())) {
            return;
        }
        let entry = self.open.entry((widens, pair)).or_insert_with(|| (Vec::new(), reason));
        add(&mut entry.0, group);
    }

    fn finish(self) -> ProfileDiff {
        let changes = |map: BTreeMap<Pair, (Vec<String>, String)>| {
            map.into_iter()
                .map(|((a, b), (operations, witness))| Change { operations, witness, a: rule(a), b: rule(b) })
                .collect()
        };
        let undecided = self
            .open
            .into_iter()
            .map(|((may_widen, (a, b)), (operations, reason))| OpenChange {
                operations,
                reason,
                may_widen,
                a: rule(a),
                b: rule(b),
            })
            .collect();
        ProfileDiff { wider: changes(self.wider), narrower: changes(self.narrower), undecided }
    }
}

fn add(operations: &mut Vec<String>, group: &[Operation]) {
    if !operations.iter().any(|known| known == group[0].as_str()) {
        operations.extend(group.iter().map(ToString::to_string));
    }
}
