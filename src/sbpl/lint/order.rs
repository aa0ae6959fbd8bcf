//! Lints about rules beside each other: the last match decides, so later rules can take an earlier one's place entirely.
//!
//! Only what is proved is reported: a rule counts as covered when each of its parts (one operation with one of the
//! alternatives of its filter) lies within a single later rule. What only a union covers, such as a tree by all its
//! branches, is not found.

use std::collections::BTreeMap;

use super::{about, at};
use crate::sbpl::filter::Filter;
use crate::sbpl::implies::{disjoint, implies, never};
use crate::sbpl::policy::Policy;
use crate::sbpl::rule::{DEFAULT, Rule};
use crate::vocab::{Decision, Finding, Operation, RuleRef, Severity};

/// Rules of a profile whose pairs are compared at most: five million pairs. `docs/lints.md` states it.
const MAX_RULES: usize = 3_162;
/// Comparisons of a part of a rule with a later rule, and of a sample access with a rule, at most, for all rules together.
/// `docs/lints.md` states it.
const MAX_COMPARISONS: usize = 5_000_000;
/// Covering rules that a message names.
const MAX_NAMED: usize = 3;

/// What was found about the order of rules.
pub(super) struct Found {
    pub findings: Vec<Finding>,
    /// Whether everything was compared.
    pub complete: bool,
}

/// Findings about rules beside each other.
pub(super) fn findings(policy: &Policy) -> Found {
    findings_within(policy, MAX_COMPARISONS)
}

fn findings_within(policy: &Policy, comparisons: usize) -> Found {
    let rules = policy.rules();
    if let Some(first_beyond) = rules.get(MAX_RULES) {
        let message = format!(
            "the profile has {} rules, and pairs are compared of at most {MAX_RULES}: shadowed, subsumed and duplicate \
             rules and silenced reports were not looked for",
            rules.len()
        );
        return Found { findings: vec![not_compared(first_beyond, message)], complete: false };
    }
    let gaps: Vec<usize> = policy.missing_imports().iter().map(|import| import.position).collect();
    let made = made_by_forms(rules);
    let (mut parts, mut accesses) = (comparisons, comparisons);
    let mut covered: Vec<Covered<'_>> = Vec::new();
    let mut found = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        if rule.filter.as_ref().is_some_and(never) {
            // Reported as unreachable.
            continue;
        }
        let own = by_one_later(rules, index, rule)
            .or_else(|| by_several_later(rules, index, rule, &mut parts))
            .or_else(|| by_one_earlier(rules, &gaps, index, rule));
        match own {
            Some(own) => merge(&mut covered, own),
            None => found.extend(super::silence::finding(policy, index, rule, &mut accesses)),
        }
    }
    found.extend(covered.iter().map(|own| own.finding(made[&place_of(own.rule)])));
    let (several, reports) = ("rules that several later ones cover together", "silenced reports");
    let given_up: Vec<&str> =
        [(parts, several), (accesses, reports)].iter().filter(|(left, _)| *left == 0).map(|(_, what)| *what).collect();
    if let (false, Some(first)) = (given_up.is_empty(), rules.first()) {
        let message = format!("not all were looked for within {comparisons} comparisons: {}", given_up.join(", "));
        found.push(not_compared(first, message));
    }
    Found { findings: found, complete: given_up.is_empty() }
}

fn not_compared(place: &Rule, message: String) -> Finding {
    about("rules-not-compared", place, message).help("write rules that differ in one value as one rule")
}

/// Where a form stands: source, first and last byte.
type Place = (u32, u32, u32);

pub(super) fn place_of(rule: &Rule) -> Place {
    (rule.span.source, rule.span.start, rule.span.end)
}

/// How many rules each form makes: more than one in a loop, or in a helper that is called more than once.
pub(super) fn made_by_forms(rules: &[Rule]) -> BTreeMap<Place, usize> {
    let mut made = BTreeMap::new();
    for rule in rules {
        *made.entry(place_of(rule)).or_insert(0) += 1;
    }
    made
}

/// A rule without effect.
struct Covered<'p> {
    rule: &'p Rule,
    how: How,
    /// The rules that make it so.
    by: Vec<&'p Rule>,
    /// Rules of the same form of which the same is true, this one included.
    count: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// A later rule is the same.
    Repeated,
    /// Later rules of the same action match all it matches.
    Subsumed,
    /// An earlier rule of the same action matches all it matches.
    AddsNothing,
    /// Later rules match all it matches, some of them of the other action.
    Shadowed,
    /// It reports, and later rules of the same action without a report match all it matches.
    Silenced,
}

/// Adds one; rules of one form that the same rules cover are one finding.
fn merge<'p>(covered: &mut Vec<Covered<'p>>, own: Covered<'p>) {
    let same = |other: &&mut Covered<'p>| {
        other.how == own.how
            && place_of(other.rule) == place_of(own.rule)
            && other.by.iter().map(|by| &by.reference).eq(own.by.iter().map(|by| &by.reference))
    };
    match covered.iter_mut().find(same) {
        Some(other) => other.count += 1,
        None => covered.push(own),
    }
}

impl Covered<'_> {
    /// `made`: how many rules the form of this one makes.
    fn finding(&self, made: usize) -> Finding {
        let rule = self.rule;
        let whole = self.count == made;
        let (by, texts) = named(&self.by);
        let several = self.by.len() > 1;
        let noun = if several { "rules" } else { "rule" };
        let matching = if several { "match together" } else { "matches" };
        let verb = if several { "come" } else { "comes" };
        // Subject, and the word of its verb.
        let (subject, many) = match (made, whole) {
            (1, _) if self.how == How::Shadowed => (format!("this {}", rule.action), false),
            (1, _) => ("this rule".to_owned(), false),
            (_, true) => (format!("each of the {made} rules this form makes"), false),
            (_, false) => (format!("{} of the {made} rules this form makes", self.count), self.count > 1),
        };
        // Which one is meant, where the text of the form does not say it.
        let which = match (whole, self.count) {
            (true, _) => String::new(),
            (false, 1) => format!(" ({})", expanded(rule)),
            (false, _) => format!(" (the first is {})", expanded(rule)),
        };
        let is = if many { "are" } else { "is" };
        let (id, severity, message) = match self.how {
            How::Repeated => ("duplicate-rule", Severity::Warning, format!("{subject}{which} {is} repeated at {by}")),
            How::Subsumed => {
                let it = if many { "they match" } else { "it matches" };
                let message =
                    format!("{subject}{which} {is} subsumed by the {noun} at {by}, which {matching} all {it}: {texts}");
                ("subsumed-rule", Severity::Warning, message)
            }
            How::AddsNothing => {
                let adds = if many { "add" } else { "adds" };
                (
                    "subsumed-rule",
                    Severity::Warning,
                    format!("{subject}{which} {adds} nothing to the one at {by}: {texts}"),
                )
            }
            How::Shadowed => {
                // A refusal that never takes effect is a hole; an allowance that never does is clutter.
                let severity = if rule.action == Decision::Deny { Severity::Error } else { Severity::Warning };
                let (never, it) = if many { ("never take", "they match") } else { ("never takes", "it matches") };
                let message = format!(
                    "{subject}{which} {never} effect: the {noun} at {by} {verb} later and {matching} all {it}: {texts}"
                );
                ("shadowed-rule", severity, message)
            }
            How::Silenced => {
                let (never, it) = if many { ("never report", "they match") } else { ("never reports", "it matches") };
                let message = format!(
                    "{subject}{which} {never}: the {noun} at {by} without a report {verb} later and {matching} all {it}: \
                     {texts}"
                );
                ("silenced-report", Severity::Warning, message)
            }
        };
        at(id, severity, &rule.reference.file, rule.span, message).help(self.help(made, whole))
    }

    fn help(&self, made: usize, whole: bool) -> String {
        let object = if made == 1 { "this rule" } else { "this form" };
        if !whole {
            let rest = made - self.count;
            let them = if self.count == 1 { "it" } else { "them" };
            let others = if rest == 1 { "its other rule is" } else { "its other rules are" };
            return format!("let the form leave {them} out; {others} not meant");
        }
        let later = if self.by.len() > 1 { "those rules" } else { "that rule" };
        match self.how {
            How::Repeated if made == 1 => "keep one of the two".to_owned(),
            How::Repeated | How::Subsumed | How::AddsNothing => format!("remove {object}"),
            How::Shadowed => format!("let {object} come after {later}, or remove it"),
            How::Silenced => format!("give {later} (with report) too, or remove {object}"),
        }
    }
}

/// Places and texts of covering rules, the first few.
fn named(by: &[&Rule]) -> (String, String) {
    let mut places: Vec<&RuleRef> = by.iter().map(|rule| &rule.reference).collect();
    places.dedup();
    let more = places.len().saturating_sub(MAX_NAMED);
    let mut shown: Vec<String> = places.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    let texts: Vec<&str> = places.iter().take(MAX_NAMED).map(|place| place.text.as_str()).collect();
    (shown.join(", "), texts.join(" "))
}

/// A rule with its values in place of the names its form uses.
fn expanded(rule: &Rule) -> String {
    let operations: Vec<&str> = rule.operations.iter().map(Operation::as_str).collect();
    let filter = rule.filter.as_ref().map_or_else(String::new, |filter| format!(" {filter}"));
    format!("({} {}{filter})", rule.action, operations.join(" "))
}

/// Whether a rule logs what it allows.
pub(super) fn reports(rule: &Rule) -> bool {
    rule.modifiers.iter().any(|modifier| modifier.name == "report")
}

fn by_later<'p>(rule: &'p Rule, by: Vec<&'p Rule>) -> Covered<'p> {
    let how = if by.iter().any(|later| later.action != rule.action) {
        How::Shadowed
    } else if rule.action == Decision::Allow && reports(rule) && by.iter().any(|later| !reports(later)) {
        How::Silenced
    } else if let [later] = by.as_slice()
        && same(later, rule)
    {
        How::Repeated
    } else {
        How::Subsumed
    };
    Covered { rule, how, by, count: 1 }
}

/// A later rule matches everything this one matches: this one never decides.
fn by_one_later<'p>(rules: &'p [Rule], index: usize, rule: &'p Rule) -> Option<Covered<'p>> {
    let later = rules[index + 1..].iter().find(|later| later.span != rule.span && covers(later, rule))?;
    Some(by_later(rule, vec![later]))
}

/// Later rules match everything this one matches, each some of its parts.
fn by_several_later<'p>(rules: &'p [Rule], index: usize, rule: &'p Rule, left: &mut usize) -> Option<Covered<'p>> {
    let alternatives: Vec<Option<&Filter>> = match &rule.filter {
        Some(Filter::RequireAny(any)) => any.iter().map(Some).collect(),
        other => vec![other.as_ref()],
    };
    if alternatives.len() * rule.operations.len() < 2 {
        return None;
    }
    let mut by: Vec<&Rule> = Vec::new();
    for operation in &rule.operations {
        for alternative in &alternatives {
            let coverer = rules[index + 1..].iter().find(|later| {
                *left = left.saturating_sub(1);
                *left > 0
                    && later.span != rule.span
                    && later.operations.iter().any(|own| names(own, operation))
                    && implies(*alternative, later.filter.as_ref())
            })?;
            if !by.iter().any(|known| std::ptr::eq(*known, coverer)) {
                by.push(coverer);
            }
        }
    }
    by.sort_by_key(|later| rules.iter().position(|own| std::ptr::eq(own, *later)));
    Some(by_later(rule, by))
}

/// An earlier rule of the same action matches everything this one matches, and none of the other action stands between
/// that could match some of it: this one changes nothing.
fn by_one_earlier<'p>(rules: &'p [Rule], gaps: &[usize], index: usize, rule: &'p Rule) -> Option<Covered<'p>> {
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
        // Modifiers make a later rule more than a repetition. Of two that cover each other the earlier one is reported.
        if earlier.modifiers == rule.modifiers && covers(earlier, rule) && !covers(rule, earlier) {
            // What a missing import may have put between the two is not known.
            if gaps.iter().any(|gap| (at + 1..=index).contains(gap)) {
                return None;
            }
            return Some(Covered { rule, how: How::AddsNothing, by: vec![earlier], count: 1 });
        }
    }
    None
}

/// Whether `wide` matches everything that `narrow` matches.
fn covers(wide: &Rule, narrow: &Rule) -> bool {
    narrow.operations.iter().all(|operation| wide.operations.iter().any(|own| names(own, operation)))
        && implies(narrow.filter.as_ref(), wide.filter.as_ref())
}

/// Whether some access may be matched by both.
pub(super) fn meet(one: &Rule, two: &Rule) -> bool {
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

    fn of_repeated(rules: usize) -> (Vec<String>, bool) {
        let text = format!("(version 1)\n{}", "(allow sysctl-read)\n".repeat(rules));
        let policy = Policy::compile(&[Source::new("p.sb", text)], &Params::new(), &NoImports).unwrap();
        assert_eq!(policy.rules().len(), rules);
        let found = findings(&policy);
        (found.findings.into_iter().map(|finding| finding.id).collect(), found.complete)
    }

    #[test]
    fn a_search_that_is_given_up_is_said_so() {
        let several = "(allow sysctl-read (sysctl-name \"a\" \"b\"))\n(allow sysctl-read (sysctl-name \"a\"))\n";
        let reports = "(allow file-read* (require-all (subpath \"/a\") (extension \"e\")) (with report))\n\
                       (allow file-read* (extension \"f\"))\n";
        for (text, needle) in [(several, "several later ones cover together"), (reports, "silenced reports")] {
            let sources = [Source::new("p.sb", format!("(version 1)\n{text}"))];
            let policy = Policy::compile(&sources, &Params::new(), &NoImports).unwrap();
            let not_compared = |found: &Found| {
                found.findings.iter().find(|own| own.id == "rules-not-compared").map(|own| own.message.clone())
            };
            let enough = findings_within(&policy, 1_000);
            assert_eq!((enough.complete, not_compared(&enough)), (true, None));
            let short = findings_within(&policy, 2);
            assert!(!short.complete && not_compared(&short).unwrap().contains(needle), "{text}");
        }
    }

    #[test]
    fn one_rule_too_many_ends_the_comparison_and_says_so() {
        assert_eq!(of_repeated(MAX_RULES), (vec!["duplicate-rule".to_owned(); MAX_RULES - 1], true));
        assert_eq!(of_repeated(MAX_RULES + 1), (vec!["rules-not-compared".to_owned()], false));
    }
}
