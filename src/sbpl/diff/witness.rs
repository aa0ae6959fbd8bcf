//! Accesses that stand for all others: one for each combination of tests the rules can tell apart.
//!
//! Literal, subpath, prefix and ancestor tests compare a path's beginning with fixed texts, so the texts themselves and
//! the classes of other paths that begin with one are enough; the same holds for names. A class that expressions can
//! tell apart is walked (`walk`). Endpoints are few.

use std::collections::BTreeSet;

use super::walk::Walk;
use crate::sbpl::filter::{Filter, NameFilter, NameTest, Peer};
use crate::sbpl::pattern::Pattern;
use crate::sbpl::policy::{Candidate, Policy};
use crate::sbpl::query::Query;
use crate::sbpl::roots::ancestors;
use crate::sbpl::vocabulary;
use crate::vocab::Operation;

/// An access and the accesses it stands for.
pub(super) struct Representative {
    pub query: Query,
    /// The beginning that all of them share, where expressions may tell them apart; `None` when none can.
    pub beginning: Option<String>,
    /// Whether the target is one that no rule mentions.
    pub made_up: bool,
}

/// Fixed texts that the rules of one operation compare with.
#[derive(Default)]
struct Texts<'p> {
    /// Whole values.
    points: BTreeSet<String>,
    /// Beginnings.
    beginnings: BTreeSet<String>,
    patterns: Vec<&'p Pattern>,
    names: Vec<&'p NameFilter>,
    ports: BTreeSet<u16>,
    /// Whether a rule asks about an endpoint.
    endpoints: bool,
}

/// Whether something that differs can match an access, or one of those that share a beginning with it.
type Relevant<'r> = &'r dyn Fn(&Query, Option<&str>) -> bool;

/// One access for every combination of tests that something that differs can match.
pub(super) fn representatives(
    a: &Policy,
    b: &Policy,
    operation: &Operation,
    relevant: Relevant<'_>,
) -> Vec<Representative> {
    let texts = texts(a, b, operation);
    let ask = |target: Option<&str>, made_up: bool| {
        let query = Query::new(operation.as_str(), target, &[]).ok()?;
        Some(Representative { query, beginning: None, made_up })
    };
    if vocabulary::path_fits(operation) {
        let prefix = if is_network(operation) { "unix:" } else { "" };
        let query = |path: &str| Query::new(operation.as_str(), Some(&format!("{prefix}{path}")), &[]).ok();
        let (mut points, mut beginnings) = (texts.points.clone(), texts.beginnings.clone());
        points.insert("/".to_owned());
        beginnings.insert("/".to_owned());
        let paths = values(true, &points, &beginnings, &texts.patterns, &query, relevant);
        if is_network(operation) {
            return endpoints(&texts).iter().filter_map(|target| ask(Some(target), false)).chain(paths).collect();
        }
        return paths;
    }
    let relations = ["self", "children", "pgrp", "same-sandbox", "others"];
    if ask(Some("self"), false).is_some() && ask(Some("stranger"), false).is_none() {
        return relations.iter().filter_map(|relation| ask(Some(relation), false)).collect();
    }
    match vocabulary::primary_attribute(operation) {
        Some(primary) => names(&texts, operation, primary, relevant),
        None => ask(None, false).into_iter().collect(),
    }
}

/// The points, and of every class one value for each set of expressions that match together.
fn values(
    paths: bool,
    points: &BTreeSet<String>,
    beginnings: &BTreeSet<String>,
    patterns: &[&Pattern],
    query: &dyn Fn(&str) -> Option<Query>,
    relevant: Relevant<'_>,
) -> Vec<Representative> {
    let fixed: Vec<&String> = points.iter().chain(beginnings).collect();
    let settled: Vec<&Pattern> = patterns.iter().copied().filter(|pattern| pattern.is_settled()).collect();
    let mut walk = None;
    let named = points.iter().filter_map(|point| query(point));
    let mut found: Vec<_> = named.map(|query| Representative { query, beginning: None, made_up: false }).collect();
    for beginning in beginnings {
        let Some(stand_in) = query(&fresh(beginning, &fixed)) else { continue };
        if !relevant(&stand_in, Some(beginning)) {
            continue;
        }
        let walk = walk.get_or_insert_with(|| Walk::new(paths, points, beginnings, &settled));
        let members = walk.members(beginning);
        let member = |query| Representative { query, beginning: None, made_up: true };
        found.extend(members.values.iter().filter_map(|value| query(value)).map(member));
        if !members.complete {
            found.push(Representative { query: stand_in, beginning: Some(beginning.clone()), made_up: true });
        }
    }
    found
}

fn is_network(operation: &Operation) -> bool {
    Operation::new("network*").covers(operation)
}

fn texts<'p>(a: &'p Policy, b: &'p Policy, operation: &Operation) -> Texts<'p> {
    let mut texts = Texts::default();
    for candidate in a.candidates(operation).into_iter().chain(b.candidates(operation)) {
        if let Candidate::Rule(rule) = candidate
            && let Some(filter) = &rule.filter
        {
            collect(filter, &mut texts);
        }
    }
    texts
}

fn collect<'p>(filter: &'p Filter, texts: &mut Texts<'p>) {
    match filter {
        Filter::Literal(path) => {
            texts.points.insert(path.clone());
        }
        Filter::Subpath(path) => {
            texts.points.insert(path.clone());
            texts.beginnings.insert(if path == "/" { path.clone() } else { format!("{path}/") });
        }
        Filter::Prefix(text) => {
            texts.points.insert(text.clone());
            texts.beginnings.insert(text.clone());
        }
        Filter::PathAncestors(path) => {
            texts.points.extend(ancestors(path).map(str::to_owned));
            texts.points.insert(path.clone());
        }
        Filter::Regex(pattern) => texts.patterns.push(pattern),
        Filter::Name(name) => texts.names.push(name),
        Filter::Network(network) => {
            texts.endpoints = true;
            match &network.peer {
                Peer::Unix(Some(path)) => collect(path, texts),
                Peer::Unix(None) => {}
                Peer::Ip { port, .. } => texts.ports.extend(port),
            }
        }
        Filter::RequireAll(inner) | Filter::RequireAny(inner) => inner.iter().for_each(|filter| collect(filter, texts)),
        Filter::RequireNot(inner) => collect(inner, texts),
        Filter::VnodeType(_) | Filter::FileMode(_) | Filter::Target(_) | Filter::Opaque(_) => {}
    }
}

/// A continuation that no fixed text shares.
fn fresh(beginning: &str, fixed: &[&String]) -> String {
    let taken = |c: char| {
        let mut continued = beginning.to_owned();
        continued.push(c);
        fixed.iter().any(|text| text.starts_with(&continued))
    };
    let first = ('a'..='z').chain('0'..='9').chain('A'..='Z').chain('\u{a1}'..='\u{9fff}').find(|c| !taken(*c));
    format!("{beginning}{}-example", first.unwrap_or('_'))
}

/// Accesses by the values of the attributes that an object is named by.
fn names(
    texts: &Texts<'_>,
    operation: &Operation,
    primary: &'static str,
    relevant: Relevant<'_>,
) -> Vec<Representative> {
    let mut attributes: BTreeSet<&'static str> = [primary].into();
    attributes.extend(texts.names.iter().map(|name| name.attribute).filter(|own| vocabulary::exclusive(own, primary)));
    if !texts.endpoints && !texts.names.iter().any(|name| attributes.contains(name.attribute)) {
        // No rule asks for the name.
        let query = Query::new(operation.as_str(), None, &[]).ok();
        return query.map(|query| Representative { query, beginning: None, made_up: false }).into_iter().collect();
    }
    let mut found = Vec::new();
    for attribute in attributes {
        let mut points = BTreeSet::new();
        let mut beginnings: BTreeSet<String> = [String::new()].into();
        let mut patterns = Vec::new();
        for name in texts.names.iter().filter(|name| name.attribute == attribute) {
            match &name.test {
                NameTest::Exact(text) => {
                    points.insert(text.clone());
                }
                NameTest::Prefix(text) => {
                    points.insert(text.clone());
                    beginnings.insert(text.clone());
                }
                NameTest::Regex(pattern) => patterns.push(pattern),
            }
        }
        let query = |value: &str| {
            let facts = if attribute == primary { Vec::new() } else { vec![(attribute.to_owned(), value.to_owned())] };
            Query::new(operation.as_str(), Some(value), &facts).ok()
        };
        found.extend(values(false, &points, &beginnings, &patterns, &query, relevant));
    }
    found
}

/// Every kind of endpoint on every port that is told apart.
fn endpoints(texts: &Texts<'_>) -> Vec<String> {
    let fresh = (40_000..=u16::MAX).find(|port| !texts.ports.contains(port)).unwrap_or(1);
    let mut targets = Vec::new();
    for port in texts.ports.iter().copied().chain([fresh]) {
        for transport in ["tcp", "udp", "ip"] {
            for host in ["localhost", "[::1]", "192.0.2.1", "[2001:db8::1]"] {
                targets.push(format!("{transport}:{host}:{port}"));
            }
        }
    }
    targets.push("unix:".to_owned());
    targets
}
