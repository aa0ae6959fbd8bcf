//! Lints about single rules.

use super::order::{made_by_forms, place_of};
use super::{about, refuses_by_default};
use crate::base::spelling::did_you_mean;
use crate::sbpl::filter::{Filter, NameFilter, NetworkFilter, Peer};
use crate::sbpl::implies;
use crate::sbpl::policy::Policy;
use crate::sbpl::rule::{DEFAULT, Rule};
use crate::sbpl::vocabulary::{self, FilterSpec};
use crate::vocab::{Decision, Finding, Operation};

/// The symbolic links of the root that rules name in vain.
const LINKS: [&str; 3] = ["/tmp", "/var", "/etc"];
/// The mount point of the data volume, never compared.
const DATA_VOLUME: &str = "/System/Volumes/Data";

/// Findings about each rule on its own.
pub(super) fn findings(policy: &Policy) -> Vec<Finding> {
    let mut found = Vec::new();
    let closed = refuses_by_default(policy);
    let made = made_by_forms(policy.rules());
    for rule in policy.rules() {
        unknown_operation(rule, &mut found);
        unfit_filter(rule, &mut found);
        if let Some(filter) = &rule.filter
            && implies::never(filter)
        {
            let (subject, help) = match made[&place_of(rule)] {
                1 => ("this rule".to_owned(), "remove the rule or correct its filter"),
                several => (format!("one of the {several} rules this form makes"), "correct the value it is made of"),
            };
            found.push(about("unreachable-rule", rule, format!("{subject} can never match: {filter}")).help(help));
        }
        if rule.action == Decision::Allow && closed {
            broad_allow(rule, &mut found);
        }
        if let Some(filter) = &rule.filter {
            path_spelling(rule, filter, &mut found);
            if rule.action == Decision::Allow {
                unanchored(rule, filter, &mut found);
            }
        }
    }
    if !policy.rules().iter().any(Rule::is_default) && policy.missing_imports().is_empty() {
        found.extend(policy.rules().first().map(|rule| {
            about("missing-default", rule, "no `default` line says what happens when nothing matches")
                .help("add (deny default)")
        }));
    }
    found
}

pub(super) fn unknown_operation(rule: &Rule, found: &mut Vec<Finding>) {
    for operation in rule.operations.iter().filter(|operation| !operation.is_known()) {
        let message = format!("`{operation}` is not an operation known from systems or profiles");
        let meant = did_you_mean(operation.as_str(), Operation::names());
        let meant = meant.unwrap_or_else(|| "check the spelling;".to_owned());
        found.push(about("unknown-operation", rule, message).help(format!("{meant} the rule is kept as written")));
    }
}

/// A filter on an attribute that accesses of an operation do not have: it never matches there.
fn unfit_filter(rule: &Rule, found: &mut Vec<Finding>) {
    let Some(filter) = &rule.filter else { return };
    let mut leaves = Vec::new();
    collect_leaves(filter, &mut leaves);
    for operation in rule.operations.iter().filter(|operation| operation.is_known() && operation.as_str() != DEFAULT) {
        if let Some(leaf) = leaves.iter().find(|leaf| !fits(leaf, operation)) {
            let message = format!("{leaf} does not fit {operation}: accesses of that kind have no such attribute");
            found.push(
                about("filter-does-not-fit", rule, message)
                    .help("write a rule of its own for the operation, with a filter that fits it"),
            );
        }
    }
}

fn collect_leaves<'f>(filter: &'f Filter, leaves: &mut Vec<&'f Filter>) {
    match filter {
        Filter::RequireAll(inner) | Filter::RequireAny(inner) => {
            inner.iter().for_each(|filter| collect_leaves(filter, leaves));
        }
        Filter::RequireNot(inner) => collect_leaves(inner, leaves),
        leaf => leaves.push(leaf),
    }
}

fn fits(leaf: &Filter, operation: &Operation) -> bool {
    let name = match leaf {
        Filter::Literal(_) | Filter::Subpath(_) | Filter::Prefix(_) | Filter::Regex(_) => "literal",
        Filter::PathAncestors(_) => "path-ancestors",
        Filter::VnodeType(_) => "vnode-type",
        Filter::FileMode(_) => "file-mode",
        Filter::Target(_) => "target",
        Filter::Network(_) => "local",
        Filter::Name(NameFilter { attribute, .. }) => attribute,
        Filter::Opaque(opaque) => opaque.name.as_str(),
        Filter::RequireAll(_) | Filter::RequireAny(_) | Filter::RequireNot(_) => return true,
    };
    // Opaque filters of the evaluator itself (`if`, `unknown`) have no entry and fit everything.
    FilterSpec::find(name).is_none_or(|spec| spec.fits(operation))
}

/// An allow that opens a whole family.
fn broad_allow(rule: &Rule, found: &mut Vec<Finding>) {
    let wide = |operation: &Operation| {
        matches!(
            operation.as_str(),
            "file*" | "file-read*" | "file-write*" | "file-read-data" | "file-write-data" | "network*"
        ) || (operation.is_wildcard() && operation.as_str().starts_with("file-"))
    };
    match &rule.filter {
        None => {
            for operation in rule.operations.iter().filter(|operation| wide(operation)) {
                let message = format!("{operation} is allowed without a filter");
                found.push(about("broad-allow", rule, message).help("name the paths or addresses that are needed"));
            }
        }
        Some(filter) if opens_root(filter) && rule.operations.iter().any(vocabulary::path_fits) => {
            let message = "this rule allows every path: its filter matches everything below `/`";
            found.push(about("subpath-root", rule, message).help("the directory alone is (literal \"/\")"));
        }
        Some(_) => {}
    }
}

fn opens_root(filter: &Filter) -> bool {
    match filter {
        Filter::Subpath(path) => path == "/",
        Filter::Prefix(text) => matches!(text.as_str(), "" | "/"),
        Filter::RequireAny(any) => any.iter().any(opens_root),
        Filter::RequireAll(all) => all.iter().all(opens_root),
        _ => false,
    }
}

/// Paths spelled in a way the system never compares.
fn path_spelling(rule: &Rule, filter: &Filter, found: &mut Vec<Finding>) {
    let mut leaves = Vec::new();
    collect_leaves(filter, &mut leaves);
    for leaf in leaves {
        let Some(path) = path_of(leaf) else { continue };
        let below = |tree: &str| path.strip_prefix(tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // The link itself is a fair target: reading its metadata is what resolving it needs.
        let names_link = matches!(leaf, Filter::Literal(own) if LINKS.contains(&own.as_str()));
        if LINKS.iter().any(|link| below(link)) && !names_link {
            let message = format!("{leaf} names a path through a symbolic link; macOS compares the resolved path");
            let help = format!("write /private{path}; this is about macOS, `sbpl lint --system linux` leaves it out");
            found.push(about("link-in-path", rule, message).help(help));
        }
        if below(DATA_VOLUME) {
            let message = format!("{leaf} names the data volume's mount point, which macOS never compares");
            let rest = &path[DATA_VOLUME.len()..];
            found.push(
                about("data-volume-path", rule, message)
                    .help(format!("write {}", if rest.is_empty() { "/" } else { rest })),
            );
        }
    }
}

/// The path a leaf begins with.
fn path_of(leaf: &Filter) -> Option<String> {
    match leaf {
        Filter::Literal(path) | Filter::Subpath(path) | Filter::Prefix(path) | Filter::PathAncestors(path) => {
            Some(path.clone())
        }
        Filter::Regex(pattern) => String::from_utf8(pattern.literal_start().0).ok(),
        Filter::Network(NetworkFilter { peer: Peer::Unix(Some(path)), .. }) => path_of(path),
        _ => None,
    }
}

/// An allowing expression that matches anywhere in a path, with nothing beside it that bounds the path.
fn unanchored(rule: &Rule, filter: &Filter, found: &mut Vec<Finding>) {
    match filter {
        Filter::Regex(pattern) if !pattern.as_str().starts_with('^') && !pattern.as_str().starts_with("(^") => {
            let message = format!("{filter} is not anchored: it matches below every directory");
            found.push(about("unanchored-regex", rule, message).help("begin the expression with ^"));
        }
        Filter::RequireAny(any) => any.iter().for_each(|filter| unanchored(rule, filter, found)),
        Filter::RequireAll(all)
            if all.iter().all(|filter| matches!(filter, Filter::Regex(_) | Filter::RequireNot(_))) =>
        {
            all.iter().for_each(|filter| unanchored(rule, filter, found));
        }
        _ => {}
    }
}
