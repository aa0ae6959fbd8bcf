//! Lints about pairs of rules: the last match decides, so a later rule can take an earlier one's place entirely.
//!
//! Only what is proved is reported: a rule counts as covered when a single later rule matches everything it matches.

use super::{about, at};
use crate::sbpl::implies::{disjoint, implies, never};
use crate::sbpl::policy::Policy;
use crate::sbpl::rule::{DEFAULT, Rule};
use crate::vocab::{Decision, Finding, Operation, Severity};

/// Rules of a profile whose pairs are compared at most: five million pairs. `docs/lints-sbpl.md` states it.
const MAX_RULES: usize = 3_162;

/// Findings about pairs of rules.
pub(super) fn findings(policy: &Policy) -> Vec<Finding> {
    let rules = policy.rules();
    if let Some(first_beyond) = rules.get(MAX_RULES) {
        return vec![not_compared(rules.len(), first_beyond)];
    }
    let gaps: Vec<usize> = policy.missing_imports().iter().map(|import| import.position).collect();
    let mut found = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        if rule.filter.as_ref().is_some_and(never) {
            // Reported as unreachable.
            continue;
        }
        found.extend(covered_by_later(rules, index, rule).or_else(|| covered_by_earlier(rules, &gaps, index, rule)));
        found.extend(silenced(rules, index, rule));
    }
    found
}

/// The lints of this module were not asked. Stands at the first rule that is too many.
fn not_compared(count: usize, first_beyond: &Rule) -> Finding {
    let message = format!(
        "the profile has {count} rules, and pairs are compared of at most {MAX_RULES}: shadowed, subsumed and duplicate \
         rules and silenced reports were not looked for"
    );
    about("rules-not-compared", first_beyond, message).help("write rules that differ in one value as one rule")
}

/// A later rule matches everything this one matches: this one never decides.
fn covered_by_later(rules: &[Rule], index: usize, rule: &Rule) -> Option<Finding> {
    let later = rules[index + 1..].iter().find(|later| later.span != rule.span && covers(later, rule))?;
    let place = &later.reference;
    if later.action == rule.action {
        if same(later, rule) {
            return Some(duplicate(later, rule));
        }
        let message =
            format!("this rule is subsumed by the one at {place}, which matches all it matches: {}", place.text);
        return Some(about("subsumed-rule", rule, message).help("remove this rule"));
    }
    // A refusal that never takes effect is a hole; an allowance that never does is clutter.
    let severity = if rule.action == Decision::Deny { Severity::Error } else { Severity::Warning };
    let message = format!(
        "this {} never takes effect: the rule at {place} comes later and matches all it matches: {}",
        rule.action, place.text
    );
    let help = format!("move it below line {}, or remove it", place.line);
    Some(at("shadowed-rule", severity, &rule.reference.file, rule.span, message).help(help))
}

/// An earlier rule of the same action matches everything this one matches, and none of the other action stands between
/// that could match some of it: this one changes nothing.
fn covered_by_earlier(rules: &[Rule], gaps: &[usize], index: usize, rule: &Rule) -> Option<Finding> {
    if rule.is_default() {
        return None;
    }
    for (at, earlier) in rules[..index].iter().enumerate().rev() {
        if earlier.span == rule.span {
            continue;
        }
        if earlier.action != rule.action {
            if meet(earlier, rule) {
                return None;
            }
            continue;
        }
        // Modifiers make a later rule more than a repetition.
        if earlier.modifiers == rule.modifiers && covers(earlier, rule) && !same(earlier, rule) {
            // What a missing import may have put between the two is not known.
            if gaps.iter().any(|gap| (at + 1..=index).contains(gap)) {
                return None;
            }
            let place = &earlier.reference;
            let message = format!("this rule adds nothing to the one at {place}: {}", place.text);
            return Some(about("subsumed-rule", rule, message).help("remove this rule"));
        }
    }
    None
}

fn duplicate(later: &Rule, rule: &Rule) -> Finding {
    let message = format!("this rule is repeated at {}", later.reference);
    about("duplicate-rule", rule, message).help("keep one of the two")
}

/// A later allow without modifiers silences the report of this one.
fn silenced(rules: &[Rule], index: usize, rule: &Rule) -> Option<Finding> {
    let reports = |rule: &Rule| rule.modifiers.iter().any(|modifier| modifier.name == "report");
    if rule.action != Decision::Allow || !reports(rule) {
        return None;
    }
    let later = rules[index + 1..].iter().find(|later| {
        later.action == Decision::Allow && !reports(later) && !covers(later, rule) && meet(later, rule)
    })?;
    let message = format!(
        "the report is silenced for what the later rule at {} matches: {}",
        later.reference, later.reference.text
    );
    Some(about("silenced-report", rule, message).help("give the later rule (with report) too"))
}

/// Whether `wide` matches everything that `narrow` matches.
fn covers(wide: &Rule, narrow: &Rule) -> bool {
    narrow.operations.iter().all(|operation| wide.operations.iter().any(|own| names(own, operation)))
        && implies(narrow.filter.as_ref(), wide.filter.as_ref())
}

/// Whether some access may be matched by both.
fn meet(one: &Rule, two: &Rule) -> bool {
    let operations =
        one.operations.iter().any(|left| two.operations.iter().any(|right| names(left, right) || names(right, left)));
    operations && !disjoint(one.filter.as_ref(), two.filter.as_ref())
}

/// Whether a rule for `own` is one for `other`; `default` stands beside the operations, not above them.
fn names(own: &Operation, other: &Operation) -> bool {
    (own.as_str() == DEFAULT) == (other.as_str() == DEFAULT) && own.covers(other)
}

fn same(one: &Rule, two: &Rule) -> bool {
    one.action == two.action
        && one.operations == two.operations
        && one.filter == two.filter
        && one.modifiers == two.modifiers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbpl::{NoImports, Params, Source};

    fn ids_of_repeated(rules: usize) -> Vec<String> {
        let text = format!("(version 1)\n{}", "(allow sysctl-read)\n".repeat(rules));
        let policy = Policy::compile(&[Source::new("p.sb", text)], &Params::new(), &NoImports).unwrap();
        assert_eq!(policy.rules().len(), rules);
        findings(&policy).into_iter().map(|finding| finding.id).collect()
    }

    #[test]
    fn one_rule_too_many_ends_the_comparison_and_says_so() {
        assert_eq!(ids_of_repeated(MAX_RULES), vec!["duplicate-rule"; MAX_RULES - 1]);
        assert_eq!(ids_of_repeated(MAX_RULES + 1), ["rules-not-compared"]);
    }
}
