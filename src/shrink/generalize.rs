//! Names that programs make up anew in every run, as one rule each: proposed from two observations, never below protected
//! directories. Pure.

use std::collections::BTreeSet;
use std::path::Path;

use super::rule::{HOME, WORK_DIR, escaped, filter, list, regex, string, symbol};
use crate::sbpl::Form;

/// Shortest part of a name that may count as made up.
const SHORTEST: usize = 4;

/// Directories in which no name stands for others, with everything below them.
const PROTECTED_TREES: [&str; 13] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/private/etc",
    "/proc",
    "/sbin",
    "/sys",
    "/usr",
    "/System",
    "/Library",
];

/// Directories in which no name stands for others; what lies deeper may.
const PROTECTED: [&str; 8] = ["/", "/home", "/root", "/run", "/var", "/opt", "/Users", "/private"];

/// Directories of everybody: a made-up name needs a beginning of its own there.
const SHARED: [&str; 4] = ["/tmp", "/var/tmp", "/private/tmp", "/dev/shm"];

/// Below the home directory.
const PRIVATE: [&str; 7] = [".ssh", ".gnupg", ".aws", ".kube", ".docker", ".config", "Library"];

/// One access with its object.
pub(super) type Access = (String, String);

/// One rule for many names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) operation: String,
    /// The whole rule on one line.
    pub(super) rule: String,
    /// What it allows beyond what was seen.
    pub(super) adds: String,
    /// Names it was made of.
    pub(super) examples: Vec<String>,
    components: Vec<Component>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Component {
    Fixed(String),
    MadeUp { before: String, after: String, spread: bool },
}

impl Component {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Fixed(own) => own == name,
            Self::MadeUp { before, after, .. } => {
                name.len() > before.len() + after.len()
                    && name.starts_with(before.as_str())
                    && name.ends_with(after.as_str())
            }
        }
    }
}

impl Proposal {
    /// Whether the rule covers an access.
    pub(super) fn covers(&self, (operation, path): &Access) -> bool {
        let names: Vec<&str> = path.split('/').skip(1).collect();
        *operation == self.operation
            && names.len() == self.components.len()
            && self.components.iter().zip(names).all(|(component, name)| component.matches(name))
    }
}

/// Where protected places lie and which prefix a parameter stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) work: &'a Path,
    pub(super) home: Option<&'a Path>,
}

/// Compares what two runs of the same target accessed.
pub(super) fn propose(first: &BTreeSet<Access>, second: &BTreeSet<Access>, ground: Ground<'_>) -> Vec<Proposal> {
    let mut proposals: Vec<Proposal> = Vec::new();
    let others: Vec<&Access> = second.difference(first).collect();
    for one in first.difference(second) {
        if proposals.iter().any(|own| own.covers(one)) {
            continue;
        }
        // The most alike first: names of one kind are made up in one way.
        let pair = others
            .iter()
            .filter_map(|two| Some((two, template(one, two, ground)?)))
            .max_by_key(|(two, components)| (fixed_bytes(components), std::cmp::Reverse(&two.1)));
        if let Some((two, components)) = pair {
            let examples = vec![one.1.clone(), two.1.clone()];
            proposals.push(proposal(&one.0, components, examples, ground));
        }
    }
    proposals
}

/// How much of a path is not made up.
fn fixed_bytes(components: &[Component]) -> usize {
    let fixed = |component: &Component| match component {
        Component::Fixed(name) => name.len() + 1,
        Component::MadeUp { before, after, .. } => before.len() + after.len(),
    };
    components.iter().map(fixed).sum()
}

/// What two paths have in common, when they differ in made-up parts of at most two names.
fn template(one: &Access, two: &Access, ground: Ground<'_>) -> Option<Vec<Component>> {
    if one.0 != two.0 {
        return None;
    }
    let (left, right): (Vec<&str>, Vec<&str>) =
        (one.1.split('/').skip(1).collect(), two.1.split('/').skip(1).collect());
    if left.len() != right.len() {
        return None;
    }
    let mut components = Vec::new();
    let mut parent = String::new();
    let mut made_up = 0;
    for (a, b) in left.iter().zip(&right) {
        if a == b {
            components.push(Component::Fixed((*a).to_owned()));
        } else {
            let component = made_up_name(a, b)?;
            if made_up == 0 && is_protected(&parent, &component, ground) {
                return None;
            }
            made_up += 1;
            components.push(component);
        }
        parent.push('/');
        parent.push_str(a);
    }
    // Directories that files are spread over say nothing by themselves.
    let name = |own: &Component| matches!(own, Component::MadeUp { spread: false, .. });
    ((1..=2).contains(&made_up) && components.iter().any(name)).then_some(components)
}

fn made_up_name(a: &str, b: &str) -> Option<Component> {
    let before: String = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    let (rest_a, rest_b) = (&a[before.len()..], &b[before.len()..]);
    let after: String =
        rest_a.chars().rev().zip(rest_b.chars().rev()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    let after: String = after.chars().rev().collect();
    let middle = |rest: &str| rest.len().saturating_sub(after.len());
    let hex = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    // Two hexadecimal digits: the directories that content-addressed stores spread their files over.
    let spread = hex(a) && hex(b);
    if spread {
        return Some(Component::MadeUp { before: String::new(), after: String::new(), spread: true });
    }
    (middle(rest_a) >= SHORTEST && middle(rest_b) >= SHORTEST).then_some(Component::MadeUp {
        before,
        after,
        spread: false,
    })
}

fn is_protected(parent: &str, component: &Component, ground: Ground<'_>) -> bool {
    let parent = if parent.is_empty() { "/" } else { parent };
    let path = Path::new(parent);
    if path.starts_with(ground.work) {
        return false;
    }
    let anonymous = matches!(component, Component::MadeUp { before, .. } if before.is_empty());
    if SHARED.contains(&parent) {
        return anonymous;
    }
    PROTECTED.contains(&parent)
        || PROTECTED_TREES.iter().any(|tree| path.starts_with(tree))
        || ground.home.is_some_and(|home| path == home || PRIVATE.iter().any(|name| path.starts_with(home.join(name))))
}

fn proposal(operation: &str, components: Vec<Component>, examples: Vec<String>, ground: Ground<'_>) -> Proposal {
    let mut pattern = String::new();
    let mut shown = String::new();
    for component in &components {
        pattern.push('/');
        shown.push('/');
        match component {
            Component::Fixed(name) => {
                pattern.push_str(&escaped(name));
                shown.push_str(name);
            }
            Component::MadeUp { before, after, .. } => {
                pattern.push_str(&format!("{}[^/]+{}", escaped(before), escaped(after)));
                shown.push_str(&format!("{before}*{after}"));
            }
        }
    }
    let expression = expression(&pattern, ground);
    let rule = list(vec![symbol("allow"), symbol(operation), filter("regex", vec![expression])]).to_string();
    let adds = format!("{operation} on every {shown}");
    Proposal { operation: operation.to_owned(), rule, adds, examples, components }
}

/// The expression, with the parameter in place of the directory it stands for.
fn expression(pattern: &str, ground: Ground<'_>) -> Form {
    let named = [(WORK_DIR, Some(ground.work)), (HOME, ground.home)];
    for (name, path) in named {
        let Some(path) = path.and_then(Path::to_str).filter(|path| path.len() > 1) else { continue };
        if let Some(rest) = pattern.strip_prefix(&escaped(path)).filter(|rest| rest.starts_with('/')) {
            let quoted = list(vec![symbol("regex-quote"), list(vec![symbol("param"), string(name)])]);
            return list(vec![symbol("string-append"), string("^"), quoted, string(&format!("{rest}$"))]);
        }
    }
    regex(format!("^{pattern}$"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbpl::{NoImports, Policy, Query, Source};

    fn set(accesses: &[(&str, &str)]) -> BTreeSet<Access> {
        accesses.iter().map(|(operation, path)| ((*operation).to_owned(), (*path).to_owned())).collect()
    }

    fn ground() -> Ground<'static> {
        Ground { work: Path::new("/w/out"), home: Some(Path::new("/home/u")) }
    }

    #[test]
    fn made_up_names_become_one_rule_that_compiles() {
        let first =
            set(&[("file-write-create", "/w/out/.git/objects/tmp_obj_AbCdEf"), ("file-read-data", "/w/out/fixed")]);
        let second =
            set(&[("file-write-create", "/w/out/.git/objects/tmp_obj_ZyXwVu"), ("file-read-data", "/w/out/fixed")]);
        let proposals = propose(&first, &second, ground());
        assert_eq!(proposals.len(), 1);
        let own = &proposals[0];
        assert_eq!(own.adds, "file-write-create on every /w/out/.git/objects/tmp_obj_*");
        let text = format!("(version 1)(deny default){}", own.rule);
        let params = [("WORK_DIR".to_owned(), "/w/out".to_owned())].into();
        let policy = Policy::compile(&[Source::new("t", text)], &params, &NoImports).unwrap();
        for (path, decision) in [
            ("/w/out/.git/objects/tmp_obj_new", "allow"),
            ("/w/out/.git/objects/tmp_obj_", "deny"),
            ("/w/out/.git/objects/tmp_obj_a/b", "deny"),
            ("/w/out/.git/objects/other", "deny"),
        ] {
            let query = Query::new("file-write-create", Some(path), &[]).unwrap();
            assert_eq!(query.decide(&policy).decision, decision, "{path}");
            assert_eq!(own.covers(&("file-write-create".to_owned(), path.to_owned())), decision == "allow", "{path}");
        }
    }

    #[test]
    fn protected_places_are_never_widened() {
        for (one, two, widened) in [
            ("/etc/abcdef", "/etc/uvwxyz", false),
            ("/etc/ssl/abcdef", "/etc/ssl/uvwxyz", false),
            ("/home/u/.ssh/id_aaaa", "/home/u/.ssh/id_bbbb", false),
            ("/home/u/note_aaaa", "/home/u/note_bbbb", false),
            ("/home/alice", "/home/robin", false),
            ("/tmp/abcdef", "/tmp/uvwxyz", false),
            ("/tmp/cc-abcdef", "/tmp/cc-uvwxyz", true),
            ("/home/u/cache/abcdef", "/home/u/cache/uvwxyz", true),
            ("/srv/a1", "/srv/a2", false),
        ] {
            let proposals = propose(&set(&[("file-read-data", one)]), &set(&[("file-read-data", two)]), ground());
            assert_eq!(proposals.len(), usize::from(widened), "{one}");
        }
    }
}
