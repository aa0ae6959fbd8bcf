//! Values that begin alike, told apart by expressions: one value for every set of expressions that match together.
//!
//! A class is all values with one beginning that are no fixed text and have no longer fixed beginning. Its values are
//! walked shortest first, in step with the automaton of all expressions, so a walk that ends has met every set that a
//! value of the class can have. Bounded: a walk that does not end says so.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::sbpl::language::{Language, State};
use crate::sbpl::pattern::Pattern;

/// Places visited in one class.
const MAX_PLACES_OF_CLASS: usize = 10_000;
/// Places visited for one operation.
const MAX_PLACES: usize = 100_000;

/// What was found of a class.
pub(super) struct Members {
    /// One readable value for each set of expressions.
    pub values: Vec<String>,
    /// Whether every set is among them.
    pub complete: bool,
}

/// The fixed texts and expressions of one operation.
pub(super) struct Walk {
    paths: bool,
    nodes: Vec<Node>,
    /// `None` when the expressions are too large together.
    language: Option<Language>,
    expressions: usize,
    /// One byte of each kind that something tells apart, readable ones first.
    alphabet: Vec<u8>,
    left: usize,
}

/// A beginning of a fixed text.
#[derive(Default)]
struct Node {
    next: BTreeMap<u8, usize>,
    point: bool,
    beginning: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    state: State,
    /// In the tree of fixed texts; `None` when none of them begins so.
    node: Option<usize>,
    shape: Shape,
    text: Text,
}

/// How far a value is a canonical path. Names have no shape: they are always at `Part`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shape {
    Empty,
    Root,
    Slash,
    Dot,
    DotDot,
    Part,
}

impl Shape {
    fn next(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (_, 0) => None,
            (Self::Empty, b'/') => Some(Self::Root),
            (Self::Part, b'/') => Some(Self::Slash),
            (Self::Empty, _) | (_, b'/') => None,
            (Self::Root | Self::Slash, b'.') => Some(Self::Dot),
            (Self::Dot, b'.') => Some(Self::DotDot),
            _ => Some(Self::Part),
        }
    }
}

/// How far a value can be shown: UTF-8 without control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Text {
    Whole,
    /// So many bytes of a character are still to come.
    Within(u8),
    No,
}

impl Text {
    fn next(self, byte: u8) -> Self {
        match (self, Kind::of(byte)) {
            (Self::Whole, Kind::Shown) => Self::Whole,
            (Self::Whole, Kind::Leads(more)) => Self::Within(more),
            (Self::Within(1), Kind::Continues) => Self::Whole,
            (Self::Within(more), Kind::Continues) => Self::Within(more - 1),
            _ => Self::No,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Shown,
    Leads(u8),
    Continues,
    Other,
}

impl Kind {
    fn of(byte: u8) -> Self {
        match byte {
            b' '..=b'~' => Self::Shown,
            0x80..=0xbf => Self::Continues,
            0xc3..=0xdf => Self::Leads(1),
            0xe1..=0xec => Self::Leads(2),
            0xf1..=0xf3 => Self::Leads(3),
            _ => Self::Other,
        }
    }
}

impl Walk {
    /// A walk over paths or names with these fixed values and beginnings, told apart by these expressions.
    pub(super) fn new(
        paths: bool,
        points: &BTreeSet<String>,
        beginnings: &BTreeSet<String>,
        patterns: &[&Pattern],
    ) -> Self {
        let mut nodes = vec![Node::default()];
        for point in points {
            let at = insert(&mut nodes, point);
            nodes[at].point = true;
        }
        for beginning in beginnings {
            let at = insert(&mut nodes, beginning);
            nodes[at].beginning = true;
        }
        let language = Language::new(patterns);
        let fixed: BTreeSet<u8> = nodes.iter().flat_map(|node| node.next.keys().copied()).chain(*b"/.").collect();
        let alphabet = language.as_ref().map_or_else(Vec::new, |language| alphabet(language, &fixed));
        Self { paths, nodes, language, expressions: patterns.len(), alphabet, left: MAX_PLACES }
    }

    /// The values of a class.
    pub(super) fn members(&mut self, beginning: &str) -> Members {
        let mut found = BTreeMap::new();
        let complete = self.search(beginning, &mut found).unwrap_or(false);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control));
        let count = found.len();
        let values: Vec<String> = found.into_values().filter_map(text).collect();
        Members { complete: complete && values.len() == count, values }
    }

    /// Fills in one readable value for each set; whether all sets have one, or `None` when a bound is met.
    fn search(&mut self, beginning: &str, found: &mut BTreeMap<Vec<usize>, Vec<u8>>) -> Option<bool> {
        let Some(start) = self.enter(beginning)? else { return Some(true) };
        if let Some(end) = self.follow(start, "example")?
            && let Some(set) = self.set(end)?
        {
            found.insert(set, format!("{beginning}example").into_bytes());
        }
        let mut unreadable = BTreeSet::new();
        // Places with the step that led there.
        let mut met: Vec<(Place, usize, u8)> = vec![(start, 0, 0)];
        let mut seen: HashSet<Place> = [start].into();
        let mut at = 0;
        while at < met.len() {
            // Without expressions all values are alike.
            if self.expressions == 0 && !found.is_empty() {
                break;
            }
            let place = met[at].0;
            if let Some(set) = self.set(place)? {
                if place.text != Text::Whole {
                    unreadable.insert(set);
                } else {
                    found.entry(set).or_insert_with(|| spelled(beginning, &met, at));
                }
            }
            for index in 0..self.alphabet.len() {
                let byte = self.alphabet[index];
                if let Some(next) = self.step(place, byte)?
                    && seen.insert(next)
                {
                    if met.len() >= MAX_PLACES_OF_CLASS || self.left == 0 {
                        return None;
                    }
                    self.left -= 1;
                    met.push((next, at, byte));
                }
            }
            at += 1;
        }
        Some(unreadable.iter().all(|set| found.contains_key(set)))
    }

    /// The place after the beginning of a class, where a value can begin so. The outer `None` means "too large".
    fn enter(&mut self, beginning: &str) -> Option<Option<Place>> {
        let mut place = Place {
            state: self.language.as_mut()?.start()?,
            node: Some(0),
            shape: if self.paths { Shape::Empty } else { Shape::Part },
            text: Text::Whole,
        };
        for &byte in beginning.as_bytes() {
            let Some(next) = self.step_within(place, byte)? else { return Some(None) };
            place = next;
        }
        Some(Some(place))
    }

    fn follow(&mut self, mut place: Place, text: &str) -> Option<Option<Place>> {
        for &byte in text.as_bytes() {
            let Some(next) = self.step(place, byte)? else { return Some(None) };
            place = next;
        }
        Some(Some(place))
    }

    /// One byte on; nothing when that leaves the class.
    fn step(&mut self, place: Place, byte: u8) -> Option<Option<Place>> {
        let next = self.step_within(place, byte)?;
        Some(next.filter(|next| next.node.is_none_or(|node| !self.nodes[node].beginning)))
    }

    fn step_within(&mut self, place: Place, byte: u8) -> Option<Option<Place>> {
        let shape = if self.paths { place.shape.next(byte) } else { Some(place.shape).filter(|_| byte != 0) };
        let Some(shape) = shape else { return Some(None) };
        let node = place.node.and_then(|node| self.nodes[node].next.get(&byte).copied());
        let state = self.language.as_mut()?.next(place.state, byte)?;
        Some(Some(Place { state, node, shape, text: place.text.next(byte) }))
    }

    /// The expressions that match a value which ends here; nothing when none of the class does.
    fn set(&mut self, place: Place) -> Option<Option<Vec<usize>>> {
        let ends =
            matches!(place.shape, Shape::Root | Shape::Part) && place.node.is_none_or(|node| !self.nodes[node].point);
        if !ends {
            return Some(None);
        }
        self.language.as_mut()?.matched(place.state).map(|set| Some(set.to_vec()))
    }
}

fn insert(nodes: &mut Vec<Node>, text: &str) -> usize {
    let mut at = 0;
    for &byte in text.as_bytes() {
        let fresh = nodes.len();
        at = *nodes[at].next.entry(byte).or_insert(fresh);
        if at == fresh {
            nodes.push(Node::default());
        }
    }
    at
}

fn spelled(beginning: &str, met: &[(Place, usize, u8)], mut at: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while at != 0 {
        let (_, before, byte) = met[at];
        bytes.push(byte);
        at = before;
    }
    bytes.extend(beginning.bytes().rev());
    bytes.reverse();
    bytes
}

/// One byte for each class of the expressions, and every byte of a fixed text.
fn alphabet(language: &Language, fixed: &BTreeSet<u8>) -> Vec<u8> {
    let mut bytes: Vec<u8> = (1..=u8::MAX).collect();
    bytes.sort_by_key(|&byte| (rank(byte), byte));
    let mut shown: BTreeSet<u8> = BTreeSet::new();
    let mut kinds = HashSet::new();
    bytes.retain(|&byte| {
        let (class, kind) = (language.class(byte), Kind::of(byte));
        if fixed.contains(&byte) {
            return true;
        }
        // A readable byte stands for all of its class.
        if kind == Kind::Shown {
            return shown.insert(class);
        }
        !shown.contains(&class) && kinds.insert((class, kind))
    });
    bytes
}

/// Readable bytes come first.
fn rank(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => 0,
        b'0'..=b'9' => 1,
        b'A'..=b'Z' => 2,
        b'/' => 4,
        b'!'..=b'~' => 3,
        b' ' => 5,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(beginning: &str, points: &[&str], beginnings: &[&str], patterns: &[&str]) -> (Vec<String>, bool) {
        let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>();
        let patterns: Vec<Pattern> = patterns.iter().map(|text| Pattern::new(text).unwrap()).collect();
        let mut walk = Walk::new(true, &set(points), &set(beginnings), &patterns.iter().collect::<Vec<_>>());
        let found = walk.members(beginning);
        (found.values, found.complete)
    }

    #[test]
    fn every_set_of_expressions_gets_a_value_of_the_class() {
        for (beginning, points, beginnings, patterns, expected) in [
            ("/a/", vec!["/a"], vec!["/", "/a/"], vec![], vec!["/a/example"]),
            ("/a/", vec![], vec!["/a/"], vec![r"\.pem$"], vec!["/a/.pem", "/a/example"]),
            ("/a/", vec![], vec!["/a/"], vec!["^/etc/"], vec!["/a/example"]),
            ("/", vec![], vec!["/", "/a/"], vec!["^/a/b$"], vec!["/example"]),
            ("/", vec!["/q"], vec!["/"], vec!["^/q$"], vec!["/example"]),
            ("/us", vec![], vec!["/us", "/usr/"], vec!["^/usr", "^/usr."], vec!["/usexample", "/usr", "/usra"]),
            // A canonical path has no empty part and no `..`.
            ("/a/", vec![], vec!["/a/"], vec!["//", r"/\.\.$", "/$"], vec!["/a/example"]),
            ("a/", vec![], vec!["a/"], vec!["x"], vec![]),
            ("/", vec![], vec!["/"], vec!["b", "[bc]"], vec!["/b", "/c", "/example"]),
        ] {
            let (mut values, complete) = members(beginning, &points, &beginnings, &patterns);
            values.sort();
            assert!(complete, "{beginning} {patterns:?}");
            assert_eq!(values, expected, "{beginning} {patterns:?}");
        }
    }

    #[test]
    fn a_set_that_no_readable_value_has_is_not_passed_over() {
        assert!(!members("/", &[], &["/"], &["\u{7}"]).1);
        assert_eq!(members("/", &[], &["/"], &["é"]), (vec!["/é".to_owned(), "/example".to_owned()], true));
        assert!(!members("/", &[], &["/"], &[r"\d"]).1);
        // So many sets that the bound is met.
        let many: Vec<String> = (b'a'..=b'v').map(|letter| (letter as char).to_string()).collect();
        assert!(!members("/", &[], &["/"], &many.iter().map(String::as_str).collect::<Vec<_>>()).1);
    }
}
