//! Which texts several expressions match together: one lazily built automaton for all of them.
//!
//! A state reached by a text knows exactly the expressions that match the text. Bounded in memory: every step may answer
//! `None`, "too large", after which nothing is known.

use std::collections::HashMap;

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, MatchKind};

use super::pattern::{self, Pattern};

/// The largest automaton before states are built, in bytes.
const MAX_NFA_BYTES: usize = 4 << 20;
/// The most memory for states, in bytes.
const MAX_STATE_BYTES: usize = 8 << 20;

/// Where a text leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    at: LazyStateID,
    /// The expressions that found a match so far: a place in `Language::sets`.
    found: usize,
}

/// The automaton of several expressions.
pub(crate) struct Language {
    automaton: DFA,
    cache: Cache,
    /// Ascending numbers of expressions; the first set is empty.
    sets: Vec<Vec<usize>>,
    places: HashMap<Vec<usize>, usize>,
    /// Sets with what a state adds to them.
    unions: HashMap<(usize, LazyStateID), usize>,
}

impl Language {
    /// The automaton of expressions; numbers are positions in the list. `None` when one has no agreed meaning, or
    /// together they are too large.
    pub(crate) fn new(patterns: &[&Pattern]) -> Option<Self> {
        if patterns.iter().any(|pattern| !pattern.is_settled()) {
            return None;
        }
        let texts: Vec<String> = patterns.iter().map(|own| pattern::engine_text(own.tree())).collect();
        let automaton = DFA::builder()
            .configure(
                DFA::config()
                    .match_kind(MatchKind::All)
                    .cache_capacity(MAX_STATE_BYTES)
                    // States stay valid: when the memory is used up, steps fail.
                    .minimum_cache_clear_count(Some(0)),
            )
            .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(MAX_NFA_BYTES)))
            .syntax(syntax::Config::new().unicode(false).utf8(false).nest_limit(500))
            .build_many(&texts)
            .ok()?;
        let cache = automaton.create_cache();
        let empty = Vec::new();
        Some(Self { automaton, cache, places: [(empty.clone(), 0)].into(), sets: vec![empty], unions: HashMap::new() })
    }

    /// The state of the empty text.
    pub(crate) fn start(&mut self) -> Option<State> {
        let from = start::Config::new().anchored(Anchored::No);
        let at = self.automaton.start_state(&mut self.cache, &from).ok()?;
        Some(State { at, found: self.with_matches(0, at) })
    }

    /// The state after one more byte.
    pub(crate) fn next(&mut self, state: State, byte: u8) -> Option<State> {
        let at = self.automaton.next_state(&mut self.cache, state.at, byte).ok()?;
        Some(State { at, found: self.with_matches(state.found, at) })
    }

    /// The expressions that match the text which leads to this state, ascending.
    pub(crate) fn matched(&mut self, state: State) -> Option<&[usize]> {
        let end = self.automaton.next_eoi_state(&mut self.cache, state.at).ok()?;
        let set = self.with_matches(state.found, end);
        self.sets.get(set).map(Vec::as_slice)
    }

    /// Bytes of the same class are the same to every expression.
    pub(crate) fn class(&self, byte: u8) -> u8 {
        self.automaton.byte_classes().get(byte)
    }

    /// A set with the expressions whose match ends just before this state.
    fn with_matches(&mut self, found: usize, at: LazyStateID) -> usize {
        if !at.is_match() {
            return found;
        }
        if let Some(known) = self.unions.get(&(found, at)) {
            return *known;
        }
        let count = self.automaton.match_len(&self.cache, at);
        let mut all = self.sets[found].clone();
        all.extend((0..count).map(|index| self.automaton.match_pattern(&self.cache, at, index).as_usize()));
        all.sort_unstable();
        all.dedup();
        let fresh = self.sets.len();
        let set = *self.places.entry(all.clone()).or_insert(fresh);
        if set == fresh {
            self.sets.push(all);
        }
        self.unions.insert((found, at), set);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_knows_what_matches() {
        let patterns: Vec<Pattern> =
            ["^/a", "b", r"\.pem$", "^$", "^/a$|c", "x{2,}"].map(|t| Pattern::new(t).unwrap()).into();
        let all: Vec<&Pattern> = patterns.iter().collect();
        let mut language = Language::new(&all).unwrap();
        for text in ["", "/", "/a", "/ab", "b", "/x.pem", "/a.pemb", "/a/b.pem", "/c", "axxb", "/xx\u{e9}"] {
            let mut state = language.start().unwrap();
            for byte in text.bytes() {
                state = language.next(state, byte).unwrap();
            }
            let expected: Vec<usize> =
                (0..all.len()).filter(|&at| all[at].is_match(text.as_bytes()) == Some(true)).collect();
            assert_eq!(language.matched(state).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn no_expressions_match_nothing() {
        let mut language = Language::new(&[]).unwrap();
        let start = language.start().unwrap();
        let next = language.next(start, b'a').unwrap();
        assert_eq!(language.matched(next), Some([].as_slice()));
        assert!(Language::new(&[&Pattern::new(r"\d").unwrap()]).is_none());
    }
}
