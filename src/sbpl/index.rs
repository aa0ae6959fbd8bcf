//! Which rules can match a path at all: most filters ask how a path begins, so the rules that cannot match are passed over.
//!
//! Invariant: what is left out is false for the path. Asking the rest in their order gives the answer of asking all.

use std::borrow::Cow;
use std::collections::HashMap;

use super::filter::{Filter, NameFilter, NameTest, NetworkFilter, Peer};
use super::matching::is_word;
use super::pattern::{self, Pattern};

/// Fewer rules than this are asked one by one.
pub(super) const WORTHWHILE: usize = 12;
/// Fewer expressions than this are asked one by one: their own cheap signs refuse most paths.
const GATE_WORTHWHILE: usize = 8;
/// The most expressions put into one automaton.
const MAX_GATED: usize = 256;
/// The most lists one path is looked for in; a path that is in more of them is asked of every rule.
const MAX_LISTS: usize = 24;

/// Numbers of rules by the text a path must begin with.
#[derive(Debug)]
pub(super) struct PathIndex {
    /// Texts in ascending order.
    starts: Vec<Start>,
    /// Rules about which the path's beginning says nothing, ascending.
    always: Vec<u32>,
    /// Rules that need a match of their expression anywhere in the path, ascending.
    gated: Vec<u32>,
    /// All their expressions in one.
    gate: Option<regex_automata::meta::Regex>,
}

#[derive(Debug)]
struct Start {
    text: Box<[u8]>,
    /// The longest other text that this one begins with.
    shorter: Option<u32>,
    /// Ascending.
    rules: Vec<u32>,
}

/// Whether a path answers expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expressions {
    Asked,
    LeftOpen,
}

/// What must hold of a path that a filter matches.
enum Need<'p> {
    /// It begins with one of these.
    Starts(Vec<Cow<'p, [u8]>>),
    /// The expression finds a match.
    Match(&'p Pattern),
    /// Nothing is known.
    Nothing,
}

impl PathIndex {
    /// Sorts rules, by their filters in the order of asking; `None` stands for what may always match. With expressions
    /// left open nothing is concluded from them: the index then serves for paths of which only the fixed tests are known.
    pub(super) fn new<'p>(filters: impl Iterator<Item = Option<&'p Filter>>, expressions: Expressions) -> Self {
        let mut pairs: Vec<(Vec<u8>, u32)> = Vec::new();
        let (mut always, mut gated, mut patterns) = (Vec::new(), Vec::new(), Vec::new());
        for (number, filter) in (0..).zip(filters) {
            match filter.map_or(Need::Nothing, |filter| need(filter, expressions)) {
                Need::Starts(texts) => pairs.extend(texts.into_iter().map(|text| (text.into_owned(), number))),
                Need::Match(pattern) if patterns.len() < MAX_GATED => {
                    patterns.push(pattern.tree());
                    gated.push(number);
                }
                Need::Match(_) | Need::Nothing => always.push(number),
            }
        }
        let gate = if patterns.len() < GATE_WORTHWHILE { None } else { pattern::build(&patterns).ok() };
        if gate.is_none() {
            always.append(&mut gated);
            always.sort_unstable();
        }
        Self { starts: starts(pairs), always, gated, gate }
    }

    /// The numbers of the rules that can match a path, ascending; `None` when looking would not pay.
    pub(super) fn candidates(&self, path: &[u8]) -> Option<Candidates<'_>> {
        let mut found = Candidates { lists: [&[]; MAX_LISTS], used: 0 };
        let gated = self.gate.as_ref().is_some_and(|gate| gate.is_match(path));
        found.add(&self.always)?;
        found.add(if gated { &self.gated } else { &[] })?;
        // The texts that a path begins with all lie on one chain: that of the text just before it.
        let before = self.starts.partition_point(|start| *start.text <= *path);
        let mut next = before.checked_sub(1);
        while let Some(at) = next {
            let start = &self.starts[at];
            if path.starts_with(&start.text) {
                found.add(&start.rules)?;
            }
            next = start.shorter.map(|shorter| shorter as usize);
        }
        Some(found)
    }
}

/// Numbers of rules by the whole name of the object.
#[derive(Debug)]
pub(super) struct NameIndex {
    /// Ascending numbers.
    names: HashMap<Box<str>, Vec<u32>>,
    /// Rules that ask for more or something else than a name, ascending.
    always: Vec<u32>,
}

impl NameIndex {
    /// Sorts rules, by their filters in the order of asking; `primary` is the attribute that is the object's name.
    pub(super) fn new<'p>(filters: impl Iterator<Item = Option<&'p Filter>>, primary: &str) -> Self {
        let mut index = Self { names: HashMap::new(), always: Vec::new() };
        for (number, filter) in (0..).zip(filters) {
            match filter.and_then(|filter| needed_names(filter, primary)) {
                Some(names) => {
                    names.into_iter().for_each(|name| index.names.entry(name.into()).or_default().push(number));
                }
                None => index.always.push(number),
            }
        }
        index
    }

    /// The numbers of the rules that can match a name which equals only its own text, ascending.
    pub(super) fn candidates(&self, name: &str) -> Option<Candidates<'_>> {
        let mut found = Candidates { lists: [&[]; MAX_LISTS], used: 0 };
        found.add(&self.always)?;
        found.add(self.names.get(name).map_or(&[], Vec::as_slice))?;
        Some(found)
    }
}

/// The names of which a filter needs one to be true or undecided; `None` when that is not known.
fn needed_names<'p>(filter: &'p Filter, primary: &str) -> Option<Vec<&'p str>> {
    match filter {
        Filter::Name(NameFilter { attribute, test: NameTest::Exact(name) })
            if *attribute == primary && is_word(name) =>
        {
            Some(vec![name.as_str()])
        }
        Filter::RequireAll(all) => all.iter().find_map(|own| needed_names(own, primary)),
        Filter::RequireAny(any) => {
            let names: Option<Vec<_>> = any.iter().map(|own| needed_names(own, primary)).collect();
            names.map(|names| names.into_iter().flatten().collect())
        }
        _ => None,
    }
}

/// Brings texts into order and finds of each the longest that it begins with.
fn starts(mut pairs: Vec<(Vec<u8>, u32)>) -> Vec<Start> {
    pairs.sort_unstable();
    pairs.dedup();
    let mut starts: Vec<Start> = Vec::new();
    for (text, number) in pairs {
        match starts.last_mut() {
            Some(last) if *last.text == *text => last.rules.push(number),
            _ => {
                let mut shorter = starts.len().checked_sub(1);
                while let Some(at) = shorter.filter(|&at| !text.starts_with(&starts[at].text)) {
                    shorter = starts[at].shorter.map(|shorter| shorter as usize);
                }
                let shorter = shorter.and_then(|at| u32::try_from(at).ok());
                starts.push(Start { text: text.into_boxed_slice(), shorter, rules: vec![number] });
            }
        }
    }
    starts
}

/// What a filter asks of a path it is true or undecided for.
fn need(filter: &Filter, expressions: Expressions) -> Need<'_> {
    match filter {
        Filter::Literal(text) | Filter::Subpath(text) | Filter::Prefix(text) => {
            Need::Starts(vec![text.as_bytes().into()])
        }
        // What has a path has no other endpoint.
        Filter::Network(NetworkFilter { peer: Peer::Unix(Some(path)), .. }) => need(path, expressions),
        Filter::Regex(_) if expressions == Expressions::LeftOpen => Need::Nothing,
        Filter::Regex(pattern) if pattern.is_settled() => match pattern.literal_start() {
            (text, _) if text.is_empty() => Need::Match(pattern),
            (text, _) => Need::Starts(vec![text.into()]),
        },
        // One condition that fails is enough; a beginning is the cheapest to test.
        Filter::RequireAll(all) => {
            let mut best = Need::Nothing;
            for need in all.iter().map(|own| need(own, expressions)) {
                match (&best, &need) {
                    (_, Need::Starts(_)) => return need,
                    (Need::Nothing, Need::Match(_)) => best = need,
                    _ => {}
                }
            }
            best
        }
        Filter::RequireAny(any) => {
            let mut texts = Vec::new();
            for need in any.iter().map(|own| need(own, expressions)) {
                match need {
                    Need::Starts(more) => texts.extend(more),
                    Need::Match(_) | Need::Nothing => return Need::Nothing,
                }
            }
            Need::Starts(texts)
        }
        _ => Need::Nothing,
    }
}

/// Numbers out of several ascending lists, ascending. A number may come twice.
pub(super) struct Candidates<'i> {
    lists: [&'i [u32]; MAX_LISTS],
    used: usize,
}

impl<'i> Candidates<'i> {
    /// Adds a list; `None` when there is no room.
    fn add(&mut self, list: &'i [u32]) -> Option<()> {
        if !list.is_empty() {
            *self.lists.get_mut(self.used)? = list;
            self.used += 1;
        }
        Some(())
    }
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let lists = &mut self.lists[..self.used];
        let list = lists.iter_mut().filter(|list| !list.is_empty()).min_by_key(|list| list[0])?;
        let (first, rest) = list.split_first()?;
        *list = rest;
        Some(*first as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::WORTHWHILE;
    use crate::sbpl::{NoImports, Params, Policy, Query, Source};

    fn policy(rules: &str) -> Policy {
        let text = format!("(version 1)\n{rules}");
        Policy::compile(&[Source::new("t.sb", text)], &Params::new(), &NoImports).unwrap()
    }

    #[test]
    fn looking_up_by_name_gives_what_asking_every_rule_gives() {
        let filters = [
            r#"(sysctl-name "a")"#,
            r#"(sysctl-name "b" "c")"#,
            r#"(sysctl-name "07")"#,
            r#"(sysctl-name "AF_INET")"#,
            r#"(sysctl-name-prefix "d")"#,
            r#"(sysctl-name-regex #"^e")"#,
            r#"(require-not (sysctl-name "f"))"#,
            r#"(require-any (sysctl-name "g") (sysctl-name "h"))"#,
            r#"(require-any (sysctl-name "i") (sysctl-name-prefix "j"))"#,
            r#"(require-all (sysctl-name "k") (extension "x"))"#,
            r#"(require-all (sysctl-name "l") (sysctl-name-prefix "m"))"#,
        ];
        for filter in filters {
            let rule = format!("(allow sysctl-read {filter})");
            // As many others that match none of the names.
            let others: String =
                (0..WORTHWHILE).map(|at| format!("(allow sysctl-read (sysctl-name \"other{at}\"))")).collect();
            let (alone, among) = (policy(&rule), policy(&format!("{rule}{others}")));
            for name in ["a", "b", "c", "7", "07", "2", "AF_INET", "d", "dd", "e", "f", "g", "h", "i", "jj", "k", "l"] {
                let query = Query::new("sysctl-read", Some(name), &[]).unwrap();
                assert_eq!(query.decide(&alone).decision, query.decide(&among).decision, "{filter} {name}");
            }
            // Without a name every rule is asked.
            let query = Query::new("sysctl-read", None, &[]).unwrap();
            assert_eq!(query.decide(&among).decision, "unknown", "{filter}");
        }
    }

    #[test]
    fn looking_up_by_the_path_of_a_socket_gives_what_asking_every_rule_gives() {
        for filter in [
            r#"(remote unix-socket (path-literal "/a"))"#,
            r#"(local unix-socket (subpath "/a"))"#,
            r#"(remote unix-socket (regex #"b$"))"#,
            "(remote unix-socket)",
            r#"(require-not (remote unix-socket (subpath "/a")))"#,
            r#"(remote tcp "*:80")"#,
        ] {
            let rule = format!("(allow network-outbound {filter})");
            let others: String = (0..WORTHWHILE)
                .map(|at| format!("(allow network-outbound (remote unix-socket (path-literal \"/other{at}\")))"))
                .collect();
            let (alone, among) = (policy(&rule), policy(&format!("{rule}{others}")));
            for target in ["unix:/a", "unix:/a/b", "unix:/b", "unix:", "tcp:localhost:80", "tcp:localhost:81"] {
                let query = Query::new("network-outbound", Some(target), &[]).unwrap();
                assert_eq!(query.decide(&alone).decision, query.decide(&among).decision, "{filter} {target}");
            }
        }
    }
}
