//! Accesses that stand for all others: one for each combination of tests the rules can tell apart.
//!
//! Literal, subpath, prefix and ancestor tests compare a path's beginning with fixed texts, so the texts themselves and
//! one fresh continuation of each are enough; the same holds for names. Endpoints are few. Expressions are left to
//! `assignment`; samples of their matches are added to find concrete differences.

use std::collections::BTreeSet;

use crate::sbpl::filter::{Filter, NameFilter, NameTest, Peer};
use crate::sbpl::policy::{Candidate, Policy};
use crate::sbpl::query::Query;
use crate::sbpl::roots::ancestors;
use crate::sbpl::vocabulary;
use crate::vocab::Operation;

/// Combinations of tree and expression tried at most.
const MAX_SAMPLES: usize = 4_096;

/// An access and the accesses it stands for.
pub(super) struct Representative {
    pub query: Query,
    /// The beginning that all of them share; `None` when it stands for itself only.
    pub beginning: Option<String>,
}

/// Fixed texts that the rules of one operation compare with.
#[derive(Default)]
struct Texts<'p> {
    /// Whole values.
    points: BTreeSet<String>,
    /// Beginnings.
    beginnings: BTreeSet<String>,
    names: Vec<&'p NameFilter>,
    ports: BTreeSet<u16>,
    patterns: Vec<&'p crate::sbpl::pattern::Pattern>,
}

/// One access for every combination of tests.
pub(super) fn representatives(a: &Policy, b: &Policy, operation: &Operation) -> Vec<Representative> {
    let texts = texts(a, b, operation);
    let ask = |target: &str, attributes: &[(String, String)], beginning: Option<String>| {
        let query = Query::new(operation.as_str(), Some(target), attributes).ok()?;
        Some(Representative { query, beginning })
    };
    if is_network(operation) {
        let unix =
            paths(&texts).into_iter().filter_map(|(path, beginning)| ask(&format!("unix:{path}"), &[], beginning));
        return endpoints(&texts).iter().filter_map(|target| ask(target, &[], None)).chain(unix).collect();
    }
    if vocabulary::path_fits(operation) {
        return paths(&texts).into_iter().filter_map(|(path, beginning)| ask(&path, &[], beginning)).collect();
    }
    let relations = ["self", "children", "pgrp", "same-sandbox", "others"];
    if ask("self", &[], None).is_some() && ask("stranger", &[], None).is_none() {
        return relations.iter().filter_map(|relation| ask(relation, &[], None)).collect();
    }
    let Some(primary) = vocabulary::primary_attribute(operation) else {
        let query = Query::new(operation.as_str(), None, &[]).ok();
        return query.map(|query| Representative { query, beginning: None }).into_iter().collect();
    };
    names(&texts, primary)
        .into_iter()
        .filter_map(|(attribute, value, beginning)| {
            let facts = if attribute == primary { Vec::new() } else { vec![(attribute.to_owned(), value.clone())] };
            ask(&value, &facts, beginning)
        })
        .collect()
}

/// Accesses that expressions match, alone and below every tree.
pub(super) fn samples(a: &Policy, b: &Policy, operation: &Operation) -> Vec<Query> {
    let texts = texts(a, b, operation);
    let found: BTreeSet<String> = texts.patterns.iter().filter_map(|pattern| pattern.sample()).collect();
    let mut targets: BTreeSet<String> = found.clone();
    if vocabulary::path_fits(operation) {
        for beginning in texts.beginnings.iter().map(String::as_str).chain(["/"]) {
            for sample in &found {
                if targets.len() >= MAX_SAMPLES {
                    break;
                }
                targets.insert(format!("{beginning}{sample}"));
                targets.insert(format!("{beginning}w{sample}"));
                targets.insert(format!("{}{sample}", beginning.trim_end_matches('/')));
            }
        }
    }
    let prefix = if is_network(operation) { "unix:" } else { "" };
    targets
        .iter()
        .filter_map(|target| Query::new(operation.as_str(), Some(&format!("{prefix}{target}")), &[]).ok())
        .collect()
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
        Filter::Name(name) => {
            texts.names.push(name);
            if let NameTest::Regex(pattern) = &name.test {
                texts.patterns.push(pattern);
            }
        }
        Filter::Network(network) => match &network.peer {
            Peer::Unix(Some(path)) => collect(path, texts),
            Peer::Unix(None) => {}
            Peer::Ip { port, .. } => texts.ports.extend(port),
        },
        Filter::RequireAll(inner) | Filter::RequireAny(inner) => inner.iter().for_each(|filter| collect(filter, texts)),
        Filter::RequireNot(inner) => collect(inner, texts),
        Filter::VnodeType(_) | Filter::FileMode(_) | Filter::Target(_) | Filter::Opaque(_) => {}
    }
}

/// The points, and one fresh continuation of every beginning with that beginning.
fn paths(texts: &Texts<'_>) -> Vec<(String, Option<String>)> {
    let (mut points, mut beginnings) = (texts.points.clone(), texts.beginnings.clone());
    points.insert("/".to_owned());
    beginnings.insert("/".to_owned());
    continued(points, beginnings)
}

fn continued(points: BTreeSet<String>, beginnings: BTreeSet<String>) -> Vec<(String, Option<String>)> {
    let fixed: Vec<&String> = points.iter().chain(&beginnings).collect();
    let more: Vec<_> = beginnings.iter().map(|own| (fresh(own, &fixed), Some(own.clone()))).collect();
    points.into_iter().map(|point| (point, None)).chain(more).collect()
}

/// A continuation that no fixed text shares.
fn fresh(beginning: &str, fixed: &[&String]) -> String {
    let taken = |c: char| {
        let mut continued = beginning.to_owned();
        continued.push(c);
        fixed.iter().any(|text| text.starts_with(&continued))
    };
    let first = ('a'..='z').rev().chain('0'..='9').chain('A'..='Z').find(|c| !taken(*c)).unwrap_or('_');
    format!("{beginning}{first}-witness")
}

/// Values of the named attributes: attribute, value, and the beginning a value stands for.
fn names(texts: &Texts<'_>, primary: &'static str) -> Vec<(&'static str, String, Option<String>)> {
    let mut attributes: BTreeSet<&'static str> = [primary].into();
    attributes.extend(texts.names.iter().map(|name| name.attribute).filter(|own| vocabulary::exclusive(own, primary)));
    let mut found = Vec::new();
    for attribute in attributes {
        let mut points = BTreeSet::new();
        let mut beginnings: BTreeSet<String> = [String::new()].into();
        for name in texts.names.iter().filter(|name| name.attribute == attribute) {
            match &name.test {
                NameTest::Exact(text) => points.insert(text.clone()),
                NameTest::Prefix(text) => points.insert(text.clone()) | beginnings.insert(text.clone()),
                NameTest::Regex(_) => false,
            };
        }
        let values = continued(points, beginnings);
        found.extend(values.into_iter().map(|(value, beginning)| (attribute, value, beginning)));
    }
    found
}

/// Every kind of endpoint on every port that is told apart.
fn endpoints(texts: &Texts<'_>) -> Vec<String> {
    let fresh = (40_000..=u16::MAX).find(|port| !texts.ports.contains(port)).unwrap_or(1);
    let mut targets = vec!["unix:".to_owned()];
    for port in texts.ports.iter().copied().chain([fresh]) {
        for transport in ["tcp", "udp", "ip"] {
            for host in ["localhost", "[::1]", "192.0.2.1", "[2001:db8::1]"] {
                targets.push(format!("{transport}:{host}:{port}"));
            }
        }
    }
    targets
}
