//! What can be said about two filters without an access: whether one implies the other, whether both can hold at once.
//!
//! Sound, not complete: `true` is proved, `false` means "not shown". Bounded: a comparison that takes more than a fixed
//! number of steps is given up.

use super::filter::{Filter, NameTest, NetworkFilter, Peer, TargetRelation, resolved_spelling};
use super::matching::is_beneath;
use super::roots::ancestors;

/// Steps one comparison may take.
const MAX_STEPS: u32 = 20_000;

/// Whether every access that `narrow` matches is matched by `wide`. `None` is the condition that always holds.
pub(crate) fn implies(narrow: Option<&Filter>, wide: Option<&Filter>) -> bool {
    let mut prover = Prover { steps: 0 };
    match (narrow, wide) {
        (_, None) => true,
        (None, Some(wide)) => prover.always(wide),
        (Some(narrow), Some(wide)) => prover.implies(narrow, wide),
    }
}

/// Whether no access is matched by both.
pub(crate) fn disjoint(left: Option<&Filter>, right: Option<&Filter>) -> bool {
    let mut prover = Prover { steps: 0 };
    match (left, right) {
        (None, None) => false,
        (None, Some(one)) | (Some(one), None) => prover.never(one),
        (Some(left), Some(right)) => prover.disjoint(left, right),
    }
}

/// Whether no access can match the filter.
pub(crate) fn never(filter: &Filter) -> bool {
    Prover { steps: 0 }.never(filter)
}

struct Prover {
    steps: u32,
}

impl Prover {
    /// Spends a step; false when there are none left.
    fn step(&mut self) -> bool {
        self.steps += 1;
        self.steps <= MAX_STEPS
    }

    fn implies(&mut self, narrow: &Filter, wide: &Filter) -> bool {
        if !self.step() {
            return false;
        }
        if narrow == wide {
            return true;
        }
        match (narrow, wide) {
            (Filter::RequireAny(any), _) => any.iter().all(|one| self.implies(one, wide)),
            (_, Filter::RequireAll(all)) => all.iter().all(|one| self.implies(narrow, one)),
            (_, Filter::RequireNot(not)) if self.disjoint(narrow, not) => true,
            (Filter::RequireNot(narrow), Filter::RequireNot(wide)) => self.implies(wide, narrow),
            (Filter::RequireAll(all), Filter::RequireAny(any)) => {
                all.iter().any(|one| self.implies(one, wide)) || any.iter().any(|one| self.implies(narrow, one))
            }
            (Filter::RequireAll(all), _) => all.iter().any(|one| self.implies(one, wide)) || self.never(narrow),
            (_, Filter::RequireAny(any)) => any.iter().any(|one| self.implies(narrow, one)),
            (Filter::RequireNot(inner), _) => match &**inner {
                Filter::RequireNot(twice) => self.implies(twice, wide),
                _ => false,
            },
            _ => self.leaf_implies(narrow, wide),
        }
    }

    fn leaf_implies(&mut self, narrow: &Filter, wide: &Filter) -> bool {
        match (narrow, wide) {
            (Filter::Literal(path), _) => literal_matches(path, wide),
            (Filter::PathAncestors(path), _) => ancestors(path).all(|above| literal_matches(above, wide)),
            (Filter::Subpath(inner), Filter::Subpath(outer)) => is_beneath(inner.as_bytes(), outer.as_bytes()),
            (Filter::Subpath(inner), Filter::Prefix(text)) => inner.starts_with(text.as_str()),
            (Filter::Prefix(inner), _) => prefix_implies(inner, wide),
            (Filter::Regex(pattern), _) => {
                let (start, whole) = pattern.literal_start();
                match std::str::from_utf8(&start) {
                    Ok(path) if whole => literal_matches(path, wide),
                    Ok(text) if !text.is_empty() => prefix_implies(text, wide),
                    _ => false,
                }
            }
            (Filter::FileMode(inner), Filter::FileMode(outer)) => inner & outer == *outer,
            (Filter::Target(inner), Filter::Target(outer)) => relation_implies(*inner, *outer),
            (Filter::Network(inner), Filter::Network(outer)) => self.network_implies(inner, outer),
            (Filter::Name(inner), Filter::Name(outer)) if inner.attribute == outer.attribute => {
                match (&inner.test, &outer.test) {
                    (NameTest::Exact(name), NameTest::Prefix(text)) => name.starts_with(text.as_str()),
                    (NameTest::Exact(name), NameTest::Regex(pattern)) => {
                        pattern.is_match(name.as_bytes()) == Some(true)
                    }
                    (NameTest::Prefix(inner), NameTest::Prefix(outer)) => inner.starts_with(outer.as_str()),
                    _ => false,
                }
            }
            _ => false,
        }
    }

    fn network_implies(&mut self, inner: &NetworkFilter, outer: &NetworkFilter) -> bool {
        match (&inner.peer, &outer.peer) {
            (
                Peer::Ip { transport, v6, localhost, port },
                Peer::Ip { transport: any_transport, v6: any_v6, localhost: any_localhost, port: any_port },
            ) => {
                let same_side = inner.side == outer.side || (!any_localhost && any_port.is_none());
                same_side
                    && (any_transport.is_none() || any_transport == transport)
                    && (any_v6.is_none() || any_v6 == v6)
                    && (!any_localhost || *localhost)
                    && (any_port.is_none() || any_port == port)
            }
            (Peer::Unix(_), Peer::Unix(None)) => true,
            (Peer::Unix(Some(inner)), Peer::Unix(Some(outer))) => self.implies(inner, outer),
            _ => false,
        }
    }

    /// Whether the filter matches every access.
    fn always(&mut self, filter: &Filter) -> bool {
        if !self.step() {
            return false;
        }
        match filter {
            Filter::RequireAll(all) => all.iter().all(|one| self.always(one)),
            Filter::RequireAny(any) => any.iter().any(|one| self.always(one)),
            Filter::RequireNot(not) => self.never(not),
            _ => false,
        }
    }

    fn never(&mut self, filter: &Filter) -> bool {
        if !self.step() {
            return false;
        }
        match filter {
            // Canonical paths are absolute, and spelled in one way.
            Filter::Literal(path) | Filter::Subpath(path) => {
                !path.starts_with('/') || resolved_spelling(path, false).is_some()
            }
            Filter::Prefix(text) => {
                !text.is_empty() && (!text.starts_with('/') || resolved_spelling(text, true).is_some())
            }
            Filter::PathAncestors(path) => ancestors(path).next().is_none(),
            Filter::RequireAny(any) => any.iter().all(|one| self.never(one)),
            Filter::RequireAll(all) => {
                all.iter().any(|one| self.never(one))
                    || all.iter().enumerate().any(|(at, one)| all[at + 1..].iter().any(|two| self.disjoint(one, two)))
            }
            Filter::RequireNot(not) => self.always(not),
            Filter::Network(network) => match &network.peer {
                Peer::Unix(Some(path)) => self.never(path),
                _ => false,
            },
            _ => false,
        }
    }

    fn disjoint(&mut self, left: &Filter, right: &Filter) -> bool {
        if !self.step() {
            return false;
        }
        match (left, right) {
            (Filter::RequireAny(any), other) | (other, Filter::RequireAny(any)) => {
                any.iter().all(|one| self.disjoint(one, other))
            }
            (Filter::RequireNot(not), other) | (other, Filter::RequireNot(not)) => self.implies(other, not),
            (Filter::RequireAll(all), other) | (other, Filter::RequireAll(all)) => {
                all.iter().any(|one| self.disjoint(one, other))
            }
            (Filter::Literal(path), other) | (other, Filter::Literal(path)) => literal_misses(path, other),
            (Filter::Subpath(one), Filter::Subpath(two)) => {
                !is_beneath(one.as_bytes(), two.as_bytes()) && !is_beneath(two.as_bytes(), one.as_bytes())
            }
            (Filter::Prefix(one), Filter::Prefix(two)) => {
                !one.starts_with(two.as_str()) && !two.starts_with(one.as_str())
            }
            (Filter::Subpath(tree), Filter::Prefix(text)) | (Filter::Prefix(text), Filter::Subpath(tree)) => {
                !tree.starts_with(text.as_str())
                    && !format!("{tree}/").starts_with(text.as_str())
                    && !is_beneath(text.as_bytes(), tree.as_bytes())
            }
            (Filter::VnodeType(one), Filter::VnodeType(two)) => one != two,
            (Filter::Name(one), Filter::Name(two)) if one.attribute == two.attribute => match (&one.test, &two.test) {
                (NameTest::Exact(one), NameTest::Exact(two)) => definite(one) && definite(two) && one != two,
                (NameTest::Exact(name), NameTest::Prefix(text)) | (NameTest::Prefix(text), NameTest::Exact(name)) => {
                    !name.starts_with(text.as_str())
                }
                (NameTest::Prefix(one), NameTest::Prefix(two)) => {
                    !one.starts_with(two.as_str()) && !two.starts_with(one.as_str())
                }
                _ => false,
            },
            _ => false,
        }
    }
}

/// Whether a name compares by its text: a constant may be another spelling of a number.
fn definite(name: &str) -> bool {
    name.bytes().any(|byte| byte.is_ascii_lowercase() || byte == b'.')
}

/// Whether a filter on paths is known to match this path.
fn literal_matches(path: &str, filter: &Filter) -> bool {
    path_test(path, filter) == Some(true)
}

/// Whether a filter on paths is known not to match this path.
fn literal_misses(path: &str, filter: &Filter) -> bool {
    path_test(path, filter) == Some(false)
}

/// Whether a filter on paths matches a path; `None` for filters that look at something else.
fn path_test(path: &str, filter: &Filter) -> Option<bool> {
    match filter {
        Filter::Literal(own) => Some(own == path),
        Filter::Subpath(tree) => Some(is_beneath(path.as_bytes(), tree.as_bytes())),
        Filter::Prefix(text) => Some(path.starts_with(text.as_str())),
        Filter::Regex(pattern) => pattern.is_match(path.as_bytes()),
        Filter::PathAncestors(below) => Some(ancestors(below).any(|above| above == path)),
        _ => None,
    }
}

fn prefix_implies(prefix: &str, wide: &Filter) -> bool {
    match wide {
        Filter::Prefix(text) => prefix.starts_with(text.as_str()),
        Filter::Subpath(tree) if tree == "/" => prefix.starts_with('/'),
        Filter::Subpath(tree) => prefix.strip_prefix(tree.as_str()).is_some_and(|rest| rest.starts_with('/')),
        _ => false,
    }
}

fn relation_implies(inner: TargetRelation, outer: TargetRelation) -> bool {
    matches!(
        (inner, outer),
        (TargetRelation::Itself, TargetRelation::ProcessGroup | TargetRelation::SameSandbox)
            | (TargetRelation::Children, TargetRelation::Others)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbpl::{AbsentParams, NoImports, Params, Policy, Source};

    fn filter(text: &str) -> Filter {
        let text = format!("(version 1)\n(allow file-read* network-outbound mach-lookup {text})");
        let policy = Policy::compile(&[Source::new("t.sb", text)], &Params::new(), &NoImports).unwrap();
        policy.rules()[0].filter.clone().unwrap()
    }

    #[test]
    fn implication_is_proved_where_it_holds() {
        for (narrow, wide, expected) in [
            ("(literal \"/a/b\")", "(subpath \"/a\")", true),
            ("(subpath \"/a\")", "(literal \"/a\")", false),
            ("(subpath \"/a/b\")", "(subpath \"/a\")", true),
            ("(subpath \"/ab\")", "(subpath \"/a\")", false),
            ("(prefix \"/a/b\")", "(subpath \"/a\")", true),
            ("(prefix \"/a\")", "(subpath \"/a\")", false),
            ("(subpath \"/a/b\")", "(prefix \"/a/\")", true),
            ("(literal \"/x.pem\")", "(regex #\"\\.pem$\")", true),
            ("(regex #\"^/a/b/[0-9]\")", "(subpath \"/a/b\")", true),
            ("(regex #\"^/a$\")", "(literal \"/a\")", true),
            ("(path-ancestors \"/a/b/c\")", "(path-ancestors \"/a/b/c/d\")", true),
            ("(literal \"/a\") (literal \"/b\")", "(subpath \"/\")", true),
            ("(literal \"/a\") (literal \"/b\")", "(literal \"/b\") (literal \"/c\")", false),
            ("(require-all (subpath \"/a\") (vnode-type SYMLINK))", "(subpath \"/a\")", true),
            ("(subpath \"/a\")", "(require-all (subpath \"/a\") (vnode-type SYMLINK))", false),
            ("(literal \"/a\")", "(require-not (subpath \"/b\"))", true),
            ("(require-not (subpath \"/a\"))", "(require-not (literal \"/a/x\"))", true),
            ("(require-not (literal \"/a/x\"))", "(require-not (subpath \"/a\"))", false),
            ("(remote tcp \"localhost:80\")", "(remote ip \"*:*\")", true),
            ("(remote ip \"*:80\")", "(remote tcp \"*:80\")", false),
            ("(remote unix-socket (literal \"/a\"))", "(remote unix-socket)", true),
            ("(global-name \"com.a.b\")", "(global-name-prefix \"com.a.\")", true),
            ("(extension \"x\")", "(extension \"x\")", true),
            ("(extension \"x\")", "(extension \"y\")", false),
            ("(file-mode #o0006)", "(file-mode #o0004)", true),
        ] {
            assert_eq!(implies(Some(&filter(narrow)), Some(&filter(wide))), expected, "{narrow} => {wide}");
        }
        assert!(implies(Some(&filter("(uid 1)")), None));
        assert!(!implies(None, Some(&filter("(uid 1)"))));
    }

    #[test]
    fn undecided_conditions_are_the_same_only_when_their_texts_say_all() {
        let last_two = |text: &str| {
            let text = format!("(version 1)\n{text}");
            let params = Params::new();
            let sources = [Source::new("t.sb", text)];
            let policy = Policy::compile_with(&sources, &params, AbsentParams::Unknown, &NoImports).unwrap();
            let rules = policy.rules();
            let [one, two] = rules.last_chunk().unwrap();
            implies(one.filter.as_ref(), two.filter.as_ref())
        };
        for (text, expected) in [
            ("(if (param \"A\") (allow signal))(if (param \"A\") (allow signal))", true),
            ("(if (param \"A\") (allow signal))(if (param \"B\") (allow signal))", false),
            ("(allow signal (literal (param \"A\")))(allow signal (literal (param \"A\")))", true),
            // One text, two values.
            ("(define (f k) (allow file-read* (literal (string-append (param \"A\") k))))(f \"/1\")(f \"/2\")", false),
            ("(define (f k) (if (string=? (param \"A\") k) (allow signal)))(f \"1\")(f \"2\")", false),
            ("(define (f k) (with-filter (literal k) (allow file-read*)))(f (param \"A\"))(f (param \"B\"))", false),
            ("(define (f k) (allow file-read* (require-not (subpath k))))(f (param \"A\"))(f (param \"B\"))", false),
            (
                "(define x (param \"A\"))(allow file-read* (literal x))(set! x (param \"B\"))(allow file-read* (literal x))",
                false,
            ),
            // One text, one value each time.
            ("(for-each (lambda (k) (allow file-read* (extension k))) '(\"a\" \"b\"))", false),
            ("(for-each (lambda (k) (allow file-read* (extension k))) '(\"a\" \"a\"))", true),
        ] {
            assert_eq!(last_two(text), expected, "{text}");
        }
    }

    #[test]
    fn disjointness_and_emptiness_are_proved_where_they_hold() {
        for (left, right, expected) in [
            ("(subpath \"/a\")", "(subpath \"/b\")", true),
            ("(subpath \"/a\")", "(subpath \"/a/b\")", false),
            ("(literal \"/a\")", "(regex #\"b\")", true),
            ("(subpath \"/a\")", "(prefix \"/ab\")", true),
            ("(subpath \"/a\")", "(prefix \"/a/b\")", false),
            ("(vnode-type SYMLINK)", "(vnode-type FIFO)", true),
            ("(require-not (subpath \"/a\"))", "(literal \"/a/b\")", true),
            ("(global-name \"a.b\")", "(global-name \"a.c\")", true),
        ] {
            assert_eq!(disjoint(Some(&filter(left)), Some(&filter(right))), expected, "{left} {right}");
        }
        assert!(never(&filter("(require-all (literal \"/a\") (literal \"/b\"))")));
        assert!(never(&filter("(require-all (subpath \"/a\") (require-not (subpath \"/\")))")));
        assert!(!never(&filter("(require-all (subpath \"/a\") (uid 1))")));
    }
}
