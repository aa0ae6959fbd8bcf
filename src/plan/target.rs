//! What is wrong with a probe's target: its parameters, its form, and what the fixtures hold of it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashSet, HashSetExt as _};

use super::fixtures::{FIXTURES_VARIABLE, Legible};
use crate::base::position::escape;
use crate::base::rel_path::RelPath;
use crate::fixture::{FixtureEntry, FixtureKind, FixtureSet};
use crate::registry::Probe;
use crate::registry::check::{Lazy, Sink};
use crate::vocab::target::{self, Endpoint};
use crate::vocab::{Driver, Platform};

/// The fixtures targets are checked against.
pub(super) struct Ground<'f> {
    kind: Kind,
    /// What targets may name, with values that stand for those of a run.
    params: BTreeMap<String, String>,
    /// Every path the fixtures hold, directories on the way included.
    held: HashSet<&'f str>,
    /// The paths of entries with errors, an empty one for any: what stands there, above or below is not known.
    unsure: &'f [String],
    /// Whether every port is known.
    all_ports: bool,
    /// Links and mounts among the fixtures.
    links: Vec<&'f FixtureEntry>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The plan names none.
    None,
    /// The plan names a set that cannot be read.
    Unreadable,
    /// The plan's set, as far as it can be read.
    Known,
}

impl<'f> Ground<'f> {
    /// The ground of a plan that names the set `read`, or one that cannot be read, or none.
    pub(super) fn new(read: Option<&'f Legible>, named: bool) -> Self {
        let set = read.map(|read| &read.set);
        let kind = match set {
            Some(_) => Kind::Known,
            None if named => Kind::Unreadable,
            None => Kind::None,
        };
        let entries = set.map_or(&[][..], |set| &set.entries);
        let mut held = HashSet::with_capacity(entries.len());
        let mut parent = "";
        for entry in entries {
            let path = entry.path.as_str();
            let own = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            // Entries of one directory mostly follow each other.
            if own == parent {
                held.insert(path);
            } else {
                held.extend(with_parents(path));
                parent = own;
            }
        }
        let leads = |entry: &&FixtureEntry| matches!(entry.kind, FixtureKind::BindMount | FixtureKind::Symlink);
        let links = entries.iter().filter(leads).collect();
        let params = set.map_or_else(|| FixtureSet::empty().sample_parameters(), FixtureSet::sample_parameters);
        let unsure = read.map_or(&[][..], |read| &read.unsure);
        let all_ports = kind != Kind::Unreadable && read.is_none_or(|read| read.all_ports);
        Self { kind, params, held, unsure, all_ports, links }
    }
}

/// Names written as `${NAME}` in a target; what has no end counts as one, so that it is refused and not taken as it stands.
#[must_use]
pub fn target_parameters(target: &str) -> BTreeSet<&str> {
    target.split("${").skip(1).map(|rest| rest.split_once('}').map_or(rest, |(name, _)| name)).collect()
}

/// Replaces `${KEY}` by its value; an unknown key stays as written.
#[must_use]
pub fn resolve_target(text: &str, params: &BTreeMap<String, String>) -> String {
    let mut parts = text.split("${");
    let mut result = String::with_capacity(text.len());
    result.push_str(parts.next().unwrap_or_default());
    for part in parts {
        match part.split_once('}').and_then(|(key, rest)| Some((params.get(key)?, rest))) {
            Some((value, rest)) => result.extend([value.as_str(), rest]),
            None => result.extend(["${", part]),
        }
    }
    result
}

/// The call of macOS that opens a path relative to the root directory, opened before: its target lacks the leading slash.
const ROOT_RELATIVE: &str = "openat_rootrel";

/// Checks the target of `probe`, which `driver` is to act on where `platform` is not another.
pub(super) fn check(
    probe: &Probe,
    (driver, platform): (Option<Driver>, Option<Platform>),
    ground: &Ground<'_>,
    sink: &mut Sink<'_>,
) {
    let id = &probe.probe_id;
    let at = || format!("/probes/{}/target", escape(id));
    let inside = probe.target.strip_prefix(FIXTURES_VARIABLE);
    if inside.is_some() && ground.kind == Kind::None {
        let message = format!("target of probe {id:?} names {FIXTURES_VARIABLE}, but the plan has no fixtures");
        sink.error("fixtures-undeclared", &at(), message);
        return;
    }
    let params = &ground.params;
    let used = target_parameters(inside.unwrap_or(&probe.target));
    let unknown = |name: &&&str| !params.contains_key(**name) || **name == "FIXTURES";
    if let Some(name) = used.iter().find(unknown)
        && ground.all_ports
    {
        let ports = params.keys().filter(|key| *key != "FIXTURES").map(|key| format!(", ${{{key}}}"));
        let known: String = [format!("a leading {FIXTURES_VARIABLE}")].into_iter().chain(ports).collect();
        let message = format!("target of probe {id:?} holds the unknown variable {name:?}; there is {known}");
        sink.error("unknown-variable", &at(), message);
        return;
    }
    let Some(driver) = driver else { return };
    let resolved = resolve_target(&probe.target, params);
    if resolved.contains("${") {
        return; // what an unreadable set would give is not known
    }
    let root_relative = probe.syscall.as_deref() == Some(ROOT_RELATIVE) && platform == Some(Platform::MacOs);
    let absolute = if root_relative { format!("/{resolved}") } else { resolved.clone() };
    if let Err(error) = target::check(driver, &absolute) {
        let message =
            format!("{:?} of probe {id:?} is no target of {:?}: {error}", probe.target, probe.operation.as_str());
        sink.error("unusable-target", &at(), message);
        return;
    }
    let tcp = driver == Driver::Connect && matches!(target::endpoint(&resolved), Ok(Endpoint::Tcp(_)));
    if tcp && used.is_empty() {
        let message =
            format!("probe {id:?} connects to {:?}, and nobody knows whether anyone listens there", probe.target);
        sink.warning("listener-unknown", &at(), message).help =
            Some("declare a port of kind tcp_listener in the fixtures, and name it as ${PORT_<name>}".to_owned());
    }
    if let (Kind::Known, Some(path)) = (ground.kind, inside.and_then(|inside| inside.strip_prefix('/'))) {
        check_fixture(probe, driver, ground, path, &at, sink);
    }
}

/// What the fixtures hold at `path` beneath their directory, and what the driver needs there.
fn check_fixture(probe: &Probe, driver: Driver, ground: &Ground<'_>, path: &str, at: Lazy<'_>, sink: &mut Sink<'_>) {
    if RelPath::try_from(path).is_err() {
        return; // a spelling with `..` or doubled slashes is a probe of path handling, not of one fixture
    }
    let id = &probe.probe_id;
    let led = through_links(&ground.links, path);
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| outer.is_empty() || rest.is_empty() || rest.starts_with('/'))
    };
    // What an entry with errors holds has findings of its own.
    if ground.unsure.iter().any(|own| within(own, led.as_ref()) || within(led.as_ref(), own)) {
        return;
    }
    let declared = ground.held.contains(led.as_ref());
    if driver.makes_target() && declared {
        let message = format!("probe {id:?} creates {path:?}, which the fixtures already hold");
        sink.warning("fixture-exists", &at(), message);
    } else if !driver.makes_target() && !declared {
        let message = format!("probe {id:?} acts on {path:?}, which the fixtures do not hold");
        sink.warning("fixture-missing", &at(), message);
    }
}

/// The longest chain of links that is followed, as Linux has it (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Where `path` leads through the links and mounts that lie on the way to its last component, judged by text.
fn through_links<'p>(links: &[&FixtureEntry], path: &'p str) -> Cow<'p, str> {
    let mut path = Cow::Borrowed(path);
    for _ in 0..MAX_LINKS {
        let crossed = links.iter().find_map(|entry| {
            let rest = path.strip_prefix(entry.path.as_str())?.strip_prefix('/')?;
            let target = entry.target.as_ref()?;
            let led = match entry.kind {
                FixtureKind::BindMount => target.clone(),
                FixtureKind::Symlink => joined(entry.path.as_str(), target)?,
                _ => return None,
            };
            Some(if led.is_empty() { rest.to_owned() } else { format!("{led}/{rest}") })
        });
        match crossed {
            Some(led) => path = Cow::Owned(led),
            None => break,
        }
    }
    path
}

/// What the text of a link at `link` names, beneath the fixtures; `None` when it leaves them.
fn joined(link: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// A path and every directory above it: what exists once the path has been made.
fn with_parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end]).chain([path])
}

#[cfg(test)]
mod tests {
    use super::{FixtureSet, target_parameters, through_links};

    #[test]
    fn links_and_mounts_on_the_way_are_followed() {
        let set: FixtureSet = serde_json::from_value(serde_json::json!({"schema_version": "x", "entries": [
            {"path": "a/b/c", "kind": "file"}, {"path": "l", "kind": "symlink", "target": "a/./b"},
            {"path": "a/up", "kind": "symlink", "target": "../l"}, {"path": "m", "kind": "bind_mount", "target": "a"},
            {"path": "round", "kind": "symlink", "target": "round"}]}))
        .unwrap();
        let links: Vec<_> = set.entries.iter().collect();
        for (path, led) in [
            ("a/b/c", "a/b/c"),
            ("l", "l"),
            ("l/c", "a/b/c"),
            ("a/up/c", "a/b/c"),
            ("m/b/c", "a/b/c"),
            ("m/up/c", "a/b/c"),
            ("l/none", "a/b/none"),
            ("round/x", "round/x"),
        ] {
            assert_eq!(through_links(&links, path), led, "{path}");
        }
    }

    #[test]
    fn known_parameters_are_replaced_and_others_stay() {
        let params = [("A", "x"), ("LONG", "y")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        for (text, resolved) in [
            ("/a", "/a"),
            ("${A}/b${A}", "x/bx"),
            ("${B}${A}${LONG}", "${B}xy"),
            ("${${A}}", "${x}"),
            ("${A", "${A"),
            ("é${A}${", "éx${"),
        ] {
            assert_eq!(super::resolve_target(text, &params), resolved);
        }
    }

    #[test]
    fn every_parameter_of_a_target_is_seen() {
        assert_eq!(target_parameters("${FIXTURES}/a${B}").into_iter().collect::<Vec<_>>(), ["B", "FIXTURES"]);
        assert_eq!(target_parameters("${FIXTURES/a").into_iter().collect::<Vec<_>>(), ["FIXTURES/a"]);
        assert!(target_parameters("/a$b{c}").is_empty());
    }
}
