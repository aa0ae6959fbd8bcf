//! All path expressions of a policy as one automaton: a path is read once, however many rules have expressions.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use regex_automata::{Input, PatternSet, meta};

use super::filter::{Filter, Peer};
use super::pattern::{self, Pattern};

/// From this many expressions on one automaton is worth its memory.
const MIN_EXPRESSIONS: usize = 3;

/// The expressions, or nothing when there are few or one automaton would be too large.
#[derive(Debug)]
pub(super) struct ExpressionSet {
    automaton: Option<meta::Regex>,
    /// Position of each expression by its number.
    positions: HashMap<u32, u32>,
}

/// Which expressions match one path, found when first asked.
pub(super) type Matches = OnceCell<PatternSet>;

impl ExpressionSet {
    /// The set of all numbered path expressions in filters.
    pub(super) fn of<'f>(filters: impl Iterator<Item = &'f Filter>) -> Self {
        let mut found = Vec::new();
        filters.for_each(|filter| collect(filter, &mut found));
        let mut positions = HashMap::new();
        let mut trees = Vec::new();
        for own in found {
            if let Some(number) = own.number().filter(|_| own.is_settled())
                && let Entry::Vacant(slot) = positions.entry(number)
            {
                slot.insert(u32::try_from(trees.len()).unwrap_or(u32::MAX));
                trees.push(own.tree());
            }
        }
        let automaton = if trees.len() < MIN_EXPRESSIONS { None } else { pattern::build(&trees).ok() };
        Self { automaton, positions }
    }

    /// Whether an expression matches the path whose matches are collected in `matches`; `None` when the set does not
    /// hold it.
    pub(super) fn is_match(&self, own: &Pattern, path: &[u8], matches: &Matches) -> Option<bool> {
        let automaton = self.automaton.as_ref()?;
        let position = *self.positions.get(&own.number()?)?;
        let set = matches.get_or_init(|| {
            let mut set = PatternSet::new(automaton.pattern_len());
            automaton.which_overlapping_matches(&Input::new(path), &mut set);
            set
        });
        Some(set.contains(regex_automata::PatternID::new(position as usize).ok()?))
    }
}

fn collect<'f>(filter: &'f Filter, found: &mut Vec<&'f Pattern>) {
    match filter {
        Filter::Regex(own) => found.push(own),
        Filter::RequireAll(inner) | Filter::RequireAny(inner) => inner.iter().for_each(|filter| collect(filter, found)),
        Filter::RequireNot(inner) => collect(inner, found),
        Filter::Network(network) => {
            if let Peer::Unix(Some(path)) = &network.peer {
                collect(path, found);
            }
        }
        _ => {}
    }
}
