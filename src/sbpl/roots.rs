//! What a profile could at most allow, as literal paths: the input of a coarse back-stop that knows only trees.
//!
//! Invariant: the answer is a superset. Whatever cannot be bounded by a path widens it to everything.

use std::collections::BTreeSet;

use super::filter::{Filter, Peer};
use super::matching::is_beneath;
use super::policy::{Candidate, Policy};
use crate::vocab::{Decision, Operation};

/// Upper bound of the paths an operation may be allowed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// No bound: any path may be allowed.
    All,
    /// Nothing outside these; sorted, none beneath another. Empty when the operation is never allowed on a path.
    Paths(Vec<PathRoot>),
}

/// One bound.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathRoot {
    /// Absolute path without trailing slash (the root is `/`).
    pub path: String,
    /// Whether everything below the path is meant too.
    pub beneath: bool,
}

impl Roots {
    /// The bound that holds nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::Paths(Vec::new())
    }

    fn one(path: &str, beneath: bool) -> Self {
        let trimmed = path.trim_end_matches('/');
        let path = if trimmed.is_empty() { "/" } else { trimmed };
        if beneath && path == "/" {
            return Self::All;
        }
        if !path.starts_with('/') {
            // A relative path matches no canonical path.
            return Self::none();
        }
        Self::Paths(vec![PathRoot { path: path.to_owned(), beneath }])
    }

    /// The bound of an access that either bound admits.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self::of_any([self, other])
    }

    /// The bound of an access that any of the bounds admits.
    pub(crate) fn of_any(bounds: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Vec::new();
        for bound in bounds {
            match bound {
                Self::All => return Self::All,
                Self::Paths(paths) => all.extend(paths),
            }
        }
        Self::Paths(reduced(all))
    }

    /// The bound of what a filter could match.
    pub(crate) fn of_filter(filter: &Filter) -> Self {
        match filter {
            Filter::Literal(path) => Self::one(path, false),
            Filter::Subpath(path) => Self::one(path, true),
            Filter::Prefix(text) => Self::of_prefix(text),
            // A bound must not depend on what an escape without an agreed meaning matches.
            Filter::Regex(pattern) if !pattern.is_settled() => Self::All,
            Filter::Regex(pattern) => {
                let (start, whole) = pattern.literal_start();
                match std::str::from_utf8(&start) {
                    Ok(path) if whole => Self::one(path, false),
                    Ok(path) => Self::of_prefix(path),
                    Err(_) => Self::All,
                }
            }
            Filter::PathAncestors(path) => Self::of_any(ancestors(path).map(|path| Self::one(path, false))),
            Filter::RequireAny(any) => Self::of_any(any.iter().map(Self::of_filter)),
            Filter::RequireAll(all) => all.iter().map(Self::of_filter).reduce(Self::narrower).unwrap_or(Self::All),
            Filter::Network(network) => match &network.peer {
                Peer::Unix(Some(path)) => Self::of_filter(path),
                Peer::Unix(None) => Self::All,
                Peer::Ip { .. } => Self::none(),
            },
            Filter::VnodeType(_)
            | Filter::FileMode(_)
            | Filter::Target(_)
            | Filter::Name(_)
            | Filter::RequireNot(_)
            | Filter::Opaque(_) => Self::All,
        }
    }

    /// Whether the bound holds something of a tree.
    fn reach(&self, tree: &str) -> bool {
        match self {
            Self::All => true,
            Self::Paths(paths) => paths.iter().any(|root| {
                let (root_path, tree) = (root.path.as_bytes(), tree.as_bytes());
                is_beneath(root_path, tree) || root.beneath && is_beneath(tree, root_path)
            }),
        }
    }

    /// Everything that begins with a text lies beneath the text's last whole directory.
    fn of_prefix(text: &str) -> Self {
        match text.rfind('/') {
            Some(slash) if text.starts_with('/') => Self::one(&text[..slash.max(1)], true),
            _ => Self::All,
        }
    }

    /// Of two bounds that both hold, one of the two; the one that looks smaller.
    fn narrower(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::All, _) => other,
            (_, Self::All) => self,
            (Self::Paths(left), Self::Paths(right)) => {
                if left.is_empty() || (!right.is_empty() && weight(left) <= weight(right)) { self } else { other }
            }
        }
    }
}

impl Policy {
    /// Whether the operation is allowed on a path and on everything beneath it, whatever that is. `false` is no answer: the
    /// rules may tell apart what lies there.
    #[must_use]
    pub fn allows_beneath(&self, operation: &Operation, tree: &str) -> bool {
        for candidate in self.candidates(operation) {
            let Candidate::Rule(rule) = candidate else { return false };
            match (rule.action, &rule.filter) {
                (Decision::Allow, None) => return true,
                (Decision::Allow, Some(filter)) if covers(filter, tree) => return true,
                (Decision::Allow, Some(_)) => {}
                (Decision::Deny, None) => return false,
                (Decision::Deny, Some(filter)) if Roots::of_filter(filter).reach(tree) => return false,
                (Decision::Deny, Some(_)) => {}
            }
        }
        false
    }
}

/// Whether a filter surely matches a path and everything beneath it.
fn covers(filter: &Filter, tree: &str) -> bool {
    match filter {
        Filter::Subpath(path) => is_beneath(tree.as_bytes(), path.as_bytes()),
        Filter::Prefix(text) => tree.starts_with(text.as_str()),
        Filter::RequireAny(any) => any.iter().any(|own| covers(own, tree)),
        Filter::RequireAll(all) => all.iter().all(|own| covers(own, tree)),
        _ => false,
    }
}

/// How much a bound may hold: first the number of trees, then how near the root the nearest one is.
fn weight(roots: &[PathRoot]) -> (usize, std::cmp::Reverse<usize>) {
    let trees = roots.iter().filter(|root| root.beneath).count();
    let nearest = roots.iter().map(|root| root.path.len()).min().unwrap_or(usize::MAX);
    (trees, std::cmp::Reverse(nearest))
}

fn reduced(roots: Vec<PathRoot>) -> Vec<PathRoot> {
    let distinct: BTreeSet<PathRoot> = roots.into_iter().collect();
    let trees: BTreeSet<&str> = distinct.iter().filter(|root| root.beneath).map(|root| root.path.as_str()).collect();
    distinct
        .iter()
        .filter(|root| {
            let inside_another = ancestors(&root.path).any(|above| trees.contains(above));
            let same_as_tree = !root.beneath && trees.contains(root.path.as_str());
            !inside_another && !same_as_tree
        })
        .cloned()
        .collect()
}

/// The proper ancestors of an absolute path, `/` first.
pub(crate) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let absolute = path.starts_with('/');
    let above_root = (absolute && path.len() > 1).then_some("/");
    let inner = path.match_indices('/').skip(1).map(move |(at, _)| &path[..at]).filter(move |_| absolute);
    above_root.into_iter().chain(inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbpl::pattern::Pattern;

    fn regex(text: &str) -> Filter {
        Filter::Regex(Pattern::new(text).unwrap())
    }

    fn text(roots: &Roots) -> String {
        match roots {
            Roots::All => "all".to_owned(),
            Roots::Paths(paths) => paths
                .iter()
                .map(|r| format!("{}{}", r.path, if r.beneath { "/**" } else { "" }))
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    #[test]
    fn roots_are_the_longest_literal_paths() {
        let literal = |p: &str| Filter::Literal(p.into());
        let subpath = |p: &str| Filter::Subpath(p.into());
        for (filter, expected) in [
            (literal("/a/b"), "/a/b"),
            (subpath("/a/b"), "/a/b/**"),
            (subpath("/"), "all"),
            (literal("/"), "/"),
            (Filter::Prefix("/a/b".into()), "/a/**"),
            (Filter::Prefix("/a/".into()), "/a/**"),
            (Filter::Prefix("/a".into()), "all"),
            (regex("^/a/b/c[0-9]"), "/a/b/**"),
            (regex("^/a/b$"), "/a/b"),
            (regex("/a/b"), "all"),
            (regex("^/a/b/\\d"), "all"),
            (regex("^(/a|/b)"), "all"),
            (Filter::PathAncestors("/a/b/c".into()), "/ /a /a/b"),
            (Filter::RequireAny(vec![literal("/a/x"), subpath("/a"), subpath("/ab")]), "/a/** /ab/**"),
            (Filter::RequireAll(vec![subpath("/a"), regex("x$")]), "/a/**"),
            (Filter::RequireAll(vec![subpath("/a"), subpath("/a/b")]), "/a/b/**"),
            (Filter::RequireAll(vec![subpath("/a"), literal("/a/b")]), "/a/b"),
            (Filter::RequireAll(vec![]), "all"),
            (Filter::RequireNot(Box::new(subpath("/a"))), "all"),
        ] {
            assert_eq!(text(&Roots::of_filter(&filter)), expected, "{filter:?}");
        }
    }

    #[test]
    fn a_whole_tree_is_allowed_where_no_rule_can_tell_its_entries_apart() {
        use crate::sbpl::{NoImports, Params, Source};
        for (rules, whole) in [
            ("", false),
            ("(allow file-write-unlink)", true),
            ("(allow file-write* (subpath \"/w\"))", true),
            ("(allow file-write* (subpath \"/w/d\"))", true),
            ("(allow file-write* (prefix \"/w/\"))", true),
            ("(allow file-write* (literal \"/x\") (subpath \"/w\"))", true),
            ("(allow file-write* (subpath \"/w/d/e\"))", false),
            ("(allow file-write* (subpath \"/w/dd\"))", false),
            ("(allow file-write* (literal \"/w/d\"))", false),
            ("(allow file-write* (regex #\"^/w\"))", false),
            ("(allow file-write* (require-all (subpath \"/w\") (vnode-type DIRECTORY)))", false),
            // A deny in the tree, of the tree, above it, beside it.
            ("(allow file* (subpath \"/w\"))(deny file* (literal \"/w/d/secret\"))", false),
            ("(allow file* (subpath \"/w\"))(deny file* (literal \"/w/d\"))", false),
            ("(allow file* (subpath \"/w\"))(deny file* (literal \"/w\"))", true),
            ("(allow file* (subpath \"/w\"))(deny file* (subpath \"/w/e\"))", true),
            ("(allow file* (subpath \"/w\"))(deny file* (regex #\"secret$\"))", false),
            ("(allow file* (subpath \"/w\"))(deny file-read* (literal \"/w/d/secret\"))", true),
            ("(deny file* (literal \"/w/d/secret\"))(allow file* (subpath \"/w\"))", true),
            ("(allow default)", true),
            ("(allow default)(deny file* (literal \"/w/d/x\"))", false),
        ] {
            let text = format!("(version 1)\n(deny default)\n{rules}");
            let policy = Policy::compile(&[Source::new("p.sb", text)], &Params::new(), &NoImports).unwrap();
            assert_eq!(policy.allows_beneath(&Operation::new("file-write-unlink"), "/w/d"), whole, "{rules}");
        }
    }
}
