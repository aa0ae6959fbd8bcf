//! Near misses: rules that would change an answer if one thing were different, and which thing that is.
//!
//! Only rules that could win are named: of the other action and after the deciding rule (any place when a default line
//! or no rule decided); of an unknown answer those that would settle it. Facts about spellings: `SPEC.md`, section
//! "SBPL", paragraph "Paths".

use serde::Serialize;

use super::access::{Access, Endpoint, Target};
use super::filter::Filter;
use super::policy::Policy;
use super::rule::Rule;
use crate::vocab::{Decision, Operation, RuleRef};

/// The most near misses named for one question.
const MAX_MISSES: usize = 8;
/// Directories of the root that are symbolic links into `/private`.
const PRIVATE_LINKS: [&str; 3] = ["/tmp", "/var", "/etc"];
/// Where the data volume is mounted besides its place in the tree.
const DATA_VOLUME: &str = "/System/Volumes/Data";

/// A rule that narrowly does not match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NearMiss {
    /// The rule.
    pub rule: RuleRef,
    /// What keeps it from matching, and what would make it match.
    pub hint: String,
}

/// The near misses of one answered question.
pub(super) fn misses(
    policy: &Policy,
    access: &Access<'_>,
    decision: Option<Decision>,
    decided_by: Option<&RuleRef>,
) -> Vec<NearMiss> {
    let rules = policy.rules();
    let winners: Vec<&Rule> = match decision {
        Some(decision) => {
            let after = decided_by
                .and_then(|reference| rules.iter().rposition(|rule| rule.reference == *reference && !rule.is_default()))
                .map_or(0, |index| index + 1);
            rules[after..].iter().filter(|rule| rule.action != decision).collect()
        }
        None => settling(policy, access),
    };
    winners
        .into_iter()
        .filter_map(|rule| hint(policy, rule, access).map(|hint| NearMiss { rule: rule.reference.clone(), hint }))
        .take(MAX_MISSES)
        .collect()
}

/// The rules that would settle an unknown answer if they matched: none of the other action that may match stands after
/// them, no missing import, and no rule that does match.
fn settling<'p>(policy: &'p Policy, access: &Access<'_>) -> Vec<&'p Rule> {
    let rules = policy.rules();
    let matching = policy.matching(access);
    let last = |found: &[&Rule], action: Option<Decision>| {
        let counts = |own: &&&Rule| action.is_none_or(|action| own.action == action);
        let last = found.iter().rev().find(counts)?;
        rules.iter().position(|rule| std::ptr::eq(rule, *last))
    };
    let gap = policy.missing_imports().iter().map(|import| import.position).max().unwrap_or(0);
    let floor = last(&matching.certain, None).map_or(0, |index| index + 1).max(gap);
    let from = |action| last(&matching.open, Some(action)).map_or(floor, |index| floor.max(index + 1));
    let (allows, denies) = (from(Decision::Deny), from(Decision::Allow));
    let settles = |(index, rule): &(usize, &Rule)| match rule.action {
        Decision::Allow => *index >= allows,
        Decision::Deny => *index >= denies,
    };
    rules.iter().enumerate().filter(settles).map(|(_, rule)| rule).collect()
}

fn hint(policy: &Policy, rule: &Rule, access: &Access<'_>) -> Option<String> {
    let filter = rule.filter.as_ref()?;
    if !rule.covers(access.operation) {
        return other_operation(policy, rule, filter, access);
    }
    if policy.filter_matches(filter, access) != Some(false) {
        return None;
    }
    spelling(policy, filter, access)
        .or_else(|| letter_case(policy, filter, access))
        .or_else(|| below_literal(policy, filter, access))
        .or_else(|| single_condition(policy, filter, access))
}

/// The rule names relatives of the operation and matches the target.
fn other_operation(policy: &Policy, rule: &Rule, filter: &Filter, access: &Access<'_>) -> Option<String> {
    let family = |operation: &Operation| operation.as_str().split(['-', '*']).next().map(str::to_owned);
    let asked = family(access.operation);
    let related = rule.operations.iter().any(|own| family(own) == asked);
    if !related || policy.filter_matches(filter, access) != Some(true) {
        return None;
    }
    let names: Vec<&str> = rule.operations.iter().map(Operation::as_str).collect();
    Some(format!("matches the target, but is for {}, not for {}", names.join(" "), access.operation))
}

/// The rule matches another spelling of the same file.
fn spelling(policy: &Policy, filter: &Filter, access: &Access<'_>) -> Option<String> {
    let path = path_of(access)?;
    for (other, why) in spellings(path) {
        if with_path(access, &other, |access| policy.filter_matches(filter, access)) == Some(true) {
            return Some(format!("would match if the target were spelled {other}: {why}"));
        }
    }
    None
}

fn spellings(path: &str) -> Vec<(String, &'static str)> {
    let below = |tree: &str| path.strip_prefix(tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let mut other = Vec::new();
    for link in PRIVATE_LINKS {
        if below(link) {
            other.push((format!("/private{path}"), "the link is resolved before the rules are asked"));
        }
        if below(&format!("/private{link}")) {
            let spelled = path["/private".len()..].to_owned();
            other.push((spelled, "the rule names the link, and the system compares the resolved path"));
        }
    }
    match path.strip_prefix(DATA_VOLUME).filter(|rest| rest.starts_with('/')) {
        Some(rest) => other.push((rest.to_owned(), "the data volume is compared by its place in the tree")),
        None => other.push((
            format!("{DATA_VOLUME}{}", if path == "/" { "" } else { path }),
            "the rule names the data volume's mount point, which the system never compares",
        )),
    }
    other
}

/// The rule matches a path that differs in case only.
fn letter_case(policy: &Policy, filter: &Filter, access: &Access<'_>) -> Option<String> {
    let path = path_of(access)?;
    let mut candidates = Vec::new();
    collect_paths(filter, &mut candidates);
    candidates.into_iter().find_map(|own| {
        let start = path.get(..own.len())?;
        if start == own || !start.eq_ignore_ascii_case(own) {
            return None;
        }
        let other = format!("{own}{}", &path[own.len()..]);
        let matched = with_path(access, &other, |access| policy.filter_matches(filter, access)) == Some(true);
        matched.then(|| format!("would match if the target were spelled {other}: letter case differs"))
    })
}

/// The rule names a directory above the target as a single object.
fn below_literal(policy: &Policy, filter: &Filter, access: &Access<'_>) -> Option<String> {
    let path = path_of(access)?;
    let mut literals = Vec::new();
    collect_literals(filter, &mut literals);
    literals.into_iter().filter(|own| *own != "/").find_map(|own| {
        let rest = path.strip_prefix(own)?;
        if !rest.starts_with('/') {
            return None;
        }
        let matched = with_path(access, own, |access| policy.filter_matches(filter, access)) == Some(true);
        matched
            .then(|| format!("would match if (literal \"{own}\") were (subpath \"{own}\"): the target lies below it"))
    })
}

/// All conditions of a `require-all` but one hold.
fn single_condition(policy: &Policy, filter: &Filter, access: &Access<'_>) -> Option<String> {
    let Filter::RequireAll(all) = filter else { return None };
    let mut failing = None;
    for condition in all {
        match policy.filter_matches(condition, access) {
            Some(true) => {}
            Some(false) if failing.is_none() => failing = Some(condition),
            _ => return None,
        }
    }
    // With a single condition there is nothing that nearly holds.
    let failing = failing.filter(|_| all.len() > 1)?;
    Some(format!("all conditions but one hold: {failing} does not"))
}

fn path_of<'a>(access: &Access<'a>) -> Option<&'a str> {
    let target = match access.target {
        Target::Described { target, .. } => *target,
        plain => plain,
    };
    match target {
        Target::Path { path, .. } | Target::Network(Endpoint::Unix(Some(path))) => std::str::from_utf8(path).ok(),
        _ => None,
    }
}

/// The same access on another path.
fn with_path<T>(access: &Access<'_>, path: &str, ask: impl FnOnce(&Access<'_>) -> T) -> T {
    let (inner, facts) = match access.target {
        Target::Described { target, facts } => (*target, facts),
        plain => (plain, [].as_slice()),
    };
    let moved = match inner {
        Target::Path { vnode_type, mode, .. } => Target::Path { path: path.as_bytes(), vnode_type, mode },
        _ => Target::Network(Endpoint::Unix(Some(path.as_bytes()))),
    };
    let target = if facts.is_empty() { moved } else { Target::Described { target: &moved, facts } };
    ask(&Access { operation: access.operation, target })
}

fn collect_paths<'f>(filter: &'f Filter, found: &mut Vec<&'f str>) {
    match filter {
        Filter::Literal(path) | Filter::Subpath(path) | Filter::Prefix(path) => found.push(path),
        Filter::RequireAll(inner) | Filter::RequireAny(inner) => {
            inner.iter().for_each(|filter| collect_paths(filter, found));
        }
        _ => {}
    }
}

fn collect_literals<'f>(filter: &'f Filter, found: &mut Vec<&'f str>) {
    match filter {
        Filter::Literal(path) => found.push(path),
        Filter::RequireAll(inner) | Filter::RequireAny(inner) => {
            inner.iter().for_each(|filter| collect_literals(filter, found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::sbpl::{NoImports, Params, Policy, Query, Source};

    #[test]
    fn hints_name_what_is_different() {
        let rows = [
            ("(allow file-read* (literal \"/private/tmp/x\"))", "file-read-data", "/tmp/x", "spelled /private/tmp/x"),
            ("(allow file-read* (subpath \"/var/x\"))", "file-read-data", "/private/var/x/y", "names the link"),
            (
                "(allow file-read* (subpath \"/Users\"))",
                "file-read-data",
                "/System/Volumes/Data/Users/a",
                "spelled /Users/a",
            ),
            ("(allow file-read* (subpath \"/System/Volumes/Data/a\"))", "file-read-data", "/a/b", "never compares"),
            ("(allow file-read* (subpath \"/Users/Me\"))", "file-read-data", "/users/me/x", "letter case"),
            ("(allow file-read* (literal \"/a\"))", "file-read-data", "/a/b", "(subpath \"/a\")"),
            ("(allow file-read-metadata (literal \"/a\"))", "file-read-data", "/a", "is for file-read-metadata"),
            (
                "(allow file-read* (require-all (subpath \"/a\") (require-not (regex #\"x$\"))))",
                "file-read-data",
                "/a/x",
                "(require-not (regex #\"x$\")) does not",
            ),
        ];
        for (rule, operation, target, hint) in rows {
            let text = format!("(version 1)\n(deny default)\n{rule}");
            let policy = Policy::compile(&[Source::new("t.sb", text)], &Params::new(), &NoImports).unwrap();
            let answer = Query::new(operation, Some(target), &[]).unwrap().ask(&policy);
            assert_eq!(answer.decision, "deny", "{rule}");
            assert_eq!(answer.near_misses.len(), 1, "{rule} {target}: {:?}", answer.near_misses);
            assert!(answer.near_misses[0].hint.contains(hint), "{:?}", answer.near_misses);
        }
    }

    #[test]
    fn rules_that_could_not_win_are_not_named() {
        for text in [
            "(version 1)\n(allow file-read* (literal \"/private/tmp/x\"))\n(deny file-read* (literal \"/tmp/x\"))",
            "(version 1)\n(deny default)\n(deny file-read* (literal \"/private/tmp/x\"))",
            "(version 1)\n(deny default)\n(allow file-read* (literal \"/elsewhere\"))",
        ] {
            let policy = Policy::compile(&[Source::new("t.sb", text)], &Params::new(), &NoImports).unwrap();
            let answer = Query::new("file-read-data", Some("/tmp/x"), &[]).unwrap().ask(&policy);
            assert_eq!(answer.near_misses, [], "{text}");
        }
    }
}
