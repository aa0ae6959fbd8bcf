//! From assumptions to an access: attributes under which undecided filters have the assumed values.
//!
//! What is made here is a proposal; whoever uses it asks both profiles about it. Assumptions that exclude each other are
//! recognised where that can be proved.

use super::assignment::Assumption;
use crate::sbpl::filter::{Filter, NameFilter, NameTest, VNODE_TYPES};
use crate::sbpl::holdings;
use crate::sbpl::implies::{disjoint, implies};
use crate::sbpl::query::Query;

/// Whether a further assumption excludes one that was made before.
pub(super) fn contradicts(before: &[Assumption<'_>], new: &Assumption<'_>) -> bool {
    let Some(leaf) = new.filter() else { return false };
    before.iter().filter_map(|own| own.filter().map(|other| (other, own.value))).any(|(other, value)| {
        match (value, new.value) {
            (true, true) => disjoint(Some(other), Some(leaf)),
            (true, false) => implies(Some(other), Some(leaf)),
            (false, true) => implies(Some(leaf), Some(other)),
            (false, false) => false,
        }
    })
}

/// The access with attributes that may give every filter its assumed value; `None` when a filter has no such attribute.
pub(super) fn access(query: &Query, assumed: &[Assumption<'_>]) -> Option<Query> {
    let mut attributes = Vec::new();
    let mut names: Vec<&'static str> = Vec::new();
    let (mut types, mut modes) = (false, false);
    for own in assumed {
        let new = match own.filter()? {
            Filter::Opaque(opaque) => {
                let attribute = holdings::asked(opaque)?.attribute;
                if once(&mut names, attribute) { held(attribute, assumed) } else { Vec::new() }
            }
            Filter::VnodeType(_) if !std::mem::replace(&mut types, true) => vec![vnode_type(assumed)?],
            Filter::FileMode(_) if !std::mem::replace(&mut modes, true) => vec![file_mode(assumed)?],
            Filter::VnodeType(_) | Filter::FileMode(_) => Vec::new(),
            Filter::Name(name) if once(&mut names, name.attribute) => {
                vec![(name.attribute.to_owned(), value(name.attribute, assumed)?)]
            }
            Filter::Name(_) => Vec::new(),
            _ => return None,
        };
        attributes.extend(new);
    }
    query.clone().described(&attributes).ok()
}

/// Whether the access has the value of a name that no assumption asks for.
pub(super) fn is_made_up(assumed: &[Assumption<'_>], query: &Query) -> bool {
    assumed.iter().any(|own| match own.filter() {
        Some(Filter::Name(name)) => !assumed.iter().any(|other| match other.filter() {
            Some(Filter::Name(NameFilter { attribute, test: NameTest::Exact(text) })) => {
                other.value && *attribute == name.attribute && query.has(attribute, text)
            }
            _ => false,
        }),
        _ => false,
    })
}

fn once(known: &mut Vec<&'static str>, name: &'static str) -> bool {
    let new = !known.contains(&name);
    if new {
        known.push(name);
    }
    new
}

/// What the process holds of one kind.
fn held(attribute: &'static str, assumed: &[Assumption<'_>]) -> Vec<(String, String)> {
    let named = |value: bool| -> Vec<String> {
        let filters = assumed.iter().filter(|own| own.value == value).filter_map(|own| match own.filter() {
            Some(Filter::Opaque(opaque)) => holdings::asked(opaque),
            _ => None,
        });
        filters.filter(|asked| asked.attribute == attribute).filter_map(|asked| asked.names).flatten().collect()
    };
    let refused = named(false);
    let mut names: Vec<String> = named(true).into_iter().filter(|name| !refused.contains(name)).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        names.push(holdings::NONE.to_owned());
    }
    names.into_iter().map(|name| (attribute.to_owned(), name)).collect()
}

fn vnode_type(assumed: &[Assumption<'_>]) -> Option<(String, String)> {
    let of = |value: bool| {
        move |own: &Assumption<'_>| match own.filter() {
            Some(Filter::VnodeType(own_type)) if own.value == value => Some(*own_type),
            _ => None,
        }
    };
    let refused: Vec<_> = assumed.iter().filter_map(of(false)).collect();
    let wanted = assumed.iter().find_map(of(true));
    let (name, _) = VNODE_TYPES.iter().find(|(_, own)| match wanted {
        Some(wanted) => *own == wanted,
        None => !refused.contains(own),
    })?;
    Some(("vnode-type".to_owned(), (*name).to_owned()))
}

fn file_mode(assumed: &[Assumption<'_>]) -> Option<(String, String)> {
    let masks = |value: bool| {
        assumed.iter().filter(move |own| own.value == value).fold(0, |all, own| match own.filter() {
            Some(Filter::FileMode(mask)) => all | mask,
            _ => all,
        })
    };
    let (set, clear) = (masks(true), masks(false));
    let mode = [0o644, 0o600, 0].map(|usual| usual | set).into_iter().find(|mode| mode & clear == 0)?;
    Some(("file-mode".to_owned(), format!("{mode:04o}")))
}

/// A value of a named attribute: one that a filter asks for, or one that no filter mentions.
fn value(attribute: &str, assumed: &[Assumption<'_>]) -> Option<String> {
    let tests = |value: bool| {
        assumed.iter().filter(move |own| own.value == value).filter_map(|own| match own.filter() {
            Some(Filter::Name(NameFilter { attribute: own_attribute, test })) if *own_attribute == attribute => {
                Some(test)
            }
            _ => None,
        })
    };
    let exact = tests(true).find_map(|test| match test {
        NameTest::Exact(name) => Some(name.clone()),
        _ => None,
    });
    let wanted = tests(true).next();
    match (exact, wanted) {
        (Some(name), _) => Some(name),
        (None, Some(NameTest::Prefix(text))) => Some(format!("{text}example")),
        (None, Some(NameTest::Regex(pattern))) => pattern.sample(),
        (None, Some(NameTest::Exact(_))) => None,
        // Numbers are compared with numbers.
        (None, None) => {
            let refused: Vec<&str> = tests(false)
                .filter_map(|test| match test {
                    NameTest::Exact(name) => Some(name.as_str()),
                    _ => None,
                })
                .collect();
            let numbers = refused.iter().any(|name| name.parse::<i64>().is_ok());
            if !numbers {
                return Some("example".to_owned());
            }
            (500..).map(|number: u32| number.to_string()).find(|number| !refused.contains(&number.as_str()))
        }
    }
}
