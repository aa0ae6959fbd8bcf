//! Accesses that stand for all others: one for each combination of tests the rules can tell apart.
//!
//! Literal, subpath, prefix and ancestor tests compare a path's beginning with fixed texts, so the texts themselves and
//! the classes of other paths that begin with one are enough; the same holds for names. A class that expressions can
//! tell apart is walked (`walk`). Endpoints are few.

use std::collections::BTreeSet;

use super::lists::Lists;
use super::walk::{Rest, Walk};
use crate::sbpl::filter::{Filter, NameFilter, NameTest, Peer};
use crate::sbpl::pattern::Pattern;
use crate::sbpl::policy::Candidate;
use crate::sbpl::query::Query;
use crate::sbpl::roots::ancestors;
use crate::sbpl::vocabulary;
use crate::vocab::Operation;

/// Bytes of fixed texts of one operation.
const MAX_TEXT_BYTES: usize = 2 << 20;
/// What to say of a class that was not walked to its end.
const WALK_GIVEN_UP: &str = "the bound on values that expressions tell apart was met";

/// An access and the accesses it stands for.
pub(super) struct Representative {
    pub query: Query,
    /// The beginning that all of them share, where expressions may tell them apart; `None` when none can.
    pub beginning: Option<String>,
    /// The bound that kept those accesses from being looked at one by one, where one did.
    pub bound: Option<&'static str>,
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
    /// Bytes of the two; beyond the bound nothing is added.
    bytes: usize,
    patterns: Vec<&'p Pattern>,
    names: Vec<&'p NameFilter>,
    ports: BTreeSet<u16>,
    /// Whether a rule asks about an endpoint.
    endpoints: bool,
}

/// Whether something that differs can match an access, or one of those that share a beginning with it.
type Relevant<'r> = &'r dyn Fn(&Query, Option<&str>) -> bool;

impl Texts<'_> {
    fn point(&mut self, text: &str) {
        self.bytes += text.len();
        if self.bytes <= MAX_TEXT_BYTES {
            self.points.insert(text.to_owned());
        }
    }

    fn beginning(&mut self, text: String) {
        self.bytes += text.len();
        if self.bytes <= MAX_TEXT_BYTES {
            self.beginnings.insert(text);
        }
    }
}

/// One access for every combination of tests that something that differs can match; `None` when the rules compare with
/// too many fixed texts.
pub(super) fn representatives(
    lists: &Lists<'_>,
    operation: &Operation,
    relevant: Relevant<'_>,
) -> Option<Vec<Representative>> {
    let texts = texts(lists);
    (texts.bytes <= MAX_TEXT_BYTES).then(|| of_texts(&texts, operation, relevant))
}

fn of_texts(texts: &Texts<'_>, operation: &Operation, relevant: Relevant<'_>) -> Vec<Representative> {
    let ask = |target: Option<&str>, made_up: bool| {
        let query = Query::new(operation.as_str(), target, &[]).ok()?;
        Some(Representative { query, beginning: None, bound: None, made_up })
    };
    if vocabulary::path_fits(operation) {
        let prefix = if is_network(operation) { "unix:" } else { "" };
        let query = |path: &str| Query::new(operation.as_str(), Some(&format!("{prefix}{path}")), &[]).ok();
        let (mut points, mut beginnings) = (texts.points.clone(), texts.beginnings.clone());
        points.insert("/".to_owned());
        beginnings.insert("/".to_owned());
        let paths = values(true, &points, &beginnings, &texts.patterns, &query, relevant);
        if is_network(operation) {
            return endpoints(texts).iter().filter_map(|target| ask(Some(target), false)).chain(paths).collect();
        }
        return paths;
    }
    let relations = ["self", "children", "pgrp", "same-sandbox", "others"];
    if ask(Some("self"), false).is_some() && ask(Some("stranger"), false).is_none() {
        return relations.iter().filter_map(|relation| ask(Some(relation), false)).collect();
    }
    match vocabulary::primary_attribute(operation) {
        Some(primary) => names(texts, operation, primary, relevant),
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
    let settled: Vec<&Pattern> = patterns.iter().copied().filter(|pattern| pattern.is_settled()).collect();
    let mut walk = None;
    let named = points.iter().filter_map(|point| query(point));
    let member = |query, made_up| Representative { query, beginning: None, bound: None, made_up };
    let mut found: Vec<_> = named.map(|query| member(query, false)).collect();
    for beginning in beginnings {
        let Some(stand_in) = query(&fresh(beginning, points, beginnings)) else { continue };
        if !relevant(&stand_in, Some(beginning)) {
            continue;
        }
        let walk = walk.get_or_insert_with(|| Walk::new(paths, points, beginnings, &settled));
        let members = walk.members(beginning);
        found.extend(members.values.iter().filter_map(|value| query(value)).map(|query| member(query, true)));
        if members.rest != Rest::Nothing {
            let bound = (members.rest == Rest::BoundMet).then_some(WALK_GIVEN_UP);
            let beginning = Some(beginning.clone());
            found.push(Representative { query: stand_in, beginning, bound, made_up: true });
        }
    }
    found
}

fn is_network(operation: &Operation) -> bool {
    Operation::new("network*").covers(operation)
}

fn texts<'p>(lists: &Lists<'p>) -> Texts<'p> {
    let mut texts = Texts::default();
    for candidate in lists.a.candidates.iter().chain(&lists.b.candidates) {
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
        Filter::Literal(path) => texts.point(path),
        Filter::Subpath(path) => {
            texts.point(path);
            texts.beginning(if path == "/" { path.clone() } else { format!("{path}/") });
        }
        Filter::Prefix(text) => {
            texts.point(text);
            texts.beginning(text.clone());
        }
        Filter::PathAncestors(path) => {
            ancestors(path).for_each(|above| texts.point(above));
            texts.point(path);
        }
        Filter::Regex(pattern) => texts.patterns.push(pattern),
        Filter::Name(name) => {
            if let NameTest::Exact(text) | NameTest::Prefix(text) = &name.test {
                texts.bytes += text.len();
            }
            texts.names.push(name);
        }
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
fn fresh(beginning: &str, points: &BTreeSet<String>, beginnings: &BTreeSet<String>) -> String {
    let taken = |c: char| {
        let mut continued = beginning.to_owned();
        continued.push(c);
        // Texts that begin so come right behind it.
        [points, beginnings]
            .iter()
            .any(|texts| texts.range(continued.clone()..).next().is_some_and(|text| text.starts_with(&continued)))
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
        return query
            .map(|query| Representative { query, beginning: None, bound: None, made_up: false })
            .into_iter()
            .collect();
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
