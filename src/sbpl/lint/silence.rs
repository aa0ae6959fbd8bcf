//! Reports that a later rule silences in part: shown by an access that both rules match and the later one decides.
//!
//! Asked of the policy itself, so that what stands after the two, what a missing import may hold, and conditions that
//! exclude each other are taken into account. An overlap that no sample shows is not reported.

use std::collections::BTreeSet;

use super::about;
use super::order::{meet, reports};
use crate::sbpl::filter::{Filter, NameTest, Peer};
use crate::sbpl::policy::Policy;
use crate::sbpl::query::Query;
use crate::sbpl::roots::ancestors;
use crate::sbpl::rule::Rule;
use crate::vocab::{Decision, Finding, Operation};

/// Operations and targets tried for one pair of rules.
const MAX_OPERATIONS: usize = 8;
const MAX_TARGETS: usize = 64;

/// A later allow without a report decides for part of what this reporting allow matches. Spends `left`, one for
/// every rule an access is compared with; with none left nothing is found.
pub(super) fn finding(policy: &Policy, index: usize, rule: &Rule, left: &mut usize) -> Option<Finding> {
    // A default line is for what no rule matches, so no rule takes anything from it.
    if rule.action != Decision::Allow || !reports(rule) || rule.is_default() {
        return None;
    }
    let later = policy.rules()[index + 1..].iter();
    let (later, witness) = later
        .filter(|later| later.action == Decision::Allow && !reports(later) && meet(later, rule))
        .find_map(|later| witness(policy, rule, later, left).map(|witness| (later, witness)))?;
    let message = format!(
        "the report is silenced for what the later rule at {} matches, for example {witness}: {}",
        later.reference, later.reference.text
    );
    Some(about("silenced-report", rule, message).help("give the later rule (with report) too"))
}

/// An access that both match and `later` decides, as text.
fn witness(policy: &Policy, rule: &Rule, later: &Rule, left: &mut usize) -> Option<String> {
    let mut samples = BTreeSet::new();
    for filter in [&rule.filter, &later.filter].into_iter().flatten() {
        collect(filter, &mut samples);
    }
    let common = Operation::all()
        .filter(|operation| !operation.is_wildcard() && rule.covers(operation) && later.covers(operation));
    for operation in common.take(MAX_OPERATIONS) {
        for (target, attributes) in [(None, Vec::new())].into_iter().chain(samples.iter().cloned()).take(MAX_TARGETS) {
            *left = left.saturating_sub(policy.rules().len());
            if *left == 0 {
                return None;
            }
            let Ok(query) = Query::new(operation.as_str(), target.as_deref(), &attributes) else { continue };
            let shown = query.with_access(|access| {
                let judgement = policy.judge(access);
                judgement.decision() == Some(Decision::Allow)
                    && judgement.rule().is_some_and(|own| std::ptr::eq(own, &raw const later.reference))
                    && policy.matching(access).certain.iter().any(|own| std::ptr::eq(*own, rule))
            });
            if shown {
                return Some(format!("{operation} {}", query.target_text()).trim_end().to_owned());
            }
        }
    }
    None
}

type Sample = (Option<String>, Vec<(String, String)>);

/// Targets that the leaves of a filter match, each with the attributes that name it.
fn collect(filter: &Filter, samples: &mut BTreeSet<Sample>) {
    let mut plain = |target: String| {
        samples.insert((Some(target), Vec::new()));
    };
    match filter {
        Filter::Literal(path) => plain(path.clone()),
        Filter::Subpath(path) => {
            plain(format!("{}/x", path.trim_end_matches('/')));
            plain(path.clone());
        }
        Filter::Prefix(text) => plain(format!("{text}x")),
        Filter::PathAncestors(path) => ancestors(path).map(str::to_owned).for_each(plain),
        Filter::Regex(pattern) => pattern.sample().into_iter().for_each(plain),
        Filter::Target(_) => {
            ["self", "children", "pgrp", "same-sandbox", "others"].map(str::to_owned).into_iter().for_each(plain)
        }
        Filter::Network(network) => match &network.peer {
            Peer::Unix(path) => {
                let mut inner = BTreeSet::new();
                path.iter().for_each(|path| collect(path, &mut inner));
                inner.into_iter().filter_map(|(path, _)| path).for_each(|path| plain(format!("unix:{path}")));
                plain("unix:/x".to_owned());
            }
            Peer::Ip { port, .. } => {
                for transport in ["tcp", "udp", "ip"] {
                    for host in ["localhost", "[::1]", "192.0.2.1"] {
                        plain(format!("{transport}:{host}:{}", port.unwrap_or(1)));
                    }
                }
            }
        },
        Filter::Name(name) => {
            let value = match &name.test {
                NameTest::Exact(text) => Some(text.clone()),
                NameTest::Prefix(text) => Some(format!("{text}x")),
                NameTest::Regex(pattern) => pattern.sample(),
            };
            if let Some(value) = value {
                samples.insert((Some(value.clone()), vec![(name.attribute.to_owned(), value)]));
            }
        }
        Filter::RequireAll(inner) | Filter::RequireAny(inner) => inner.iter().for_each(|one| collect(one, samples)),
        Filter::RequireNot(inner) => collect(inner, samples),
        Filter::VnodeType(_) | Filter::FileMode(_) | Filter::Opaque(_) => {}
    }
}
