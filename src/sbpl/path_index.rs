//! Which rules of one operation can match a path at all, found by the path's ancestors instead of rule by rule.
//!
//! Invariant: a rule that is left out for a path is false on it. The bounds come from [`Roots`], which are supersets.

use std::collections::HashMap;

use super::filter::Filter;
use super::roots::Roots;

/// Positions in the order of asking.
type Positions = Vec<u32>;

/// The index of one operation.
#[derive(Debug, Default)]
pub(super) struct PathIndex {
    /// Entries that may match any path, ascending.
    unbounded: Positions,
    by_path: HashMap<Box<[u8]>, Bounded>,
}

/// Entries bounded by one path.
#[derive(Debug, Default)]
struct Bounded {
    /// May match this path only.
    here: Positions,
    /// May match this path and everything below it.
    beneath: Positions,
}

impl PathIndex {
    /// Adds the entry at `position`, which must be above all positions added before. `None` is an entry without a
    /// filter, or one whose filter is not known.
    pub(super) fn add(&mut self, position: usize, filter: Option<&Filter>) {
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        let Some(Roots::Paths(roots)) = filter.map(Roots::of_filter) else {
            self.unbounded.push(position);
            return;
        };
        for root in roots {
            let bounded = self.by_path.entry(root.path.into_bytes().into()).or_default();
            if root.beneath { bounded.beneath.push(position) } else { bounded.here.push(position) }
        }
    }

    /// The entries that may match an absolute path, ascending.
    pub(super) fn candidates(&self, path: &[u8]) -> Positions {
        let mut bounded = Positions::new();
        let ends = (1..path.len()).filter(|&at| path[at] == b'/').chain([path.len()]);
        for end in ends {
            if let Some(found) = self.by_path.get(&path[..end]) {
                bounded.extend(&found.beneath);
                if end == path.len() {
                    bounded.extend(&found.here);
                }
            }
        }
        bounded.sort_unstable();
        bounded.dedup();
        merge(&self.unbounded, &bounded)
    }
}

/// Two ascending lists as one.
fn merge(one: &[u32], two: &[u32]) -> Positions {
    let mut merged = Positions::with_capacity(one.len() + two.len());
    let (mut left, mut right) = (one.iter().peekable(), two.iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        merged.extend(if a < b { left.next() } else { right.next() });
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_those_whose_bound_holds_the_path() {
        let mut index = PathIndex::default();
        let filters = [
            Some(Filter::Literal("/a".into())),
            Some(Filter::Subpath("/a".into())),
            None,
            Some(Filter::Subpath("/a/b".into())),
            Some(Filter::Prefix("/a/bc".into())),
            Some(Filter::Literal("/".into())),
            Some(Filter::RequireNot(Box::new(Filter::Subpath("/a".into())))),
        ];
        for (position, filter) in filters.iter().enumerate() {
            index.add(position, filter.as_ref());
        }
        for (path, expected) in [
            ("/", &[2, 5, 6][..]),
            ("/a", &[0, 1, 2, 4, 6]),
            ("/a/b", &[1, 2, 3, 4, 6]),
            ("/a/b/c", &[1, 2, 3, 4, 6]),
            ("/ab", &[2, 6]),
        ] {
            assert_eq!(index.candidates(path.as_bytes()), expected, "{path}");
        }
    }
}
