//! What is wrong with a probe's target: its parameters, its form, and what the fixtures hold of it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::fixtures::FIXTURES_VARIABLE;
use crate::base::position::escape;
use crate::base::rel_path::RelPath;
use crate::fixture::FixtureSet;
use crate::registry::Probe;
use crate::registry::check::{Lazy, Sink};
use crate::vocab::Driver;
use crate::vocab::target::{self, Endpoint};

/// The fixtures targets are checked against.
pub(super) struct Ground {
    kind: Kind,
    /// What targets may name, with values that stand for those of a run.
    params: BTreeMap<String, String>,
    /// Every path the fixtures hold, directories on the way included.
    held: HashSet<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The plan names none.
    None,
    /// The plan names a set that cannot be read.
    Unreadable,
    /// The plan's set.
    Known,
}

impl Ground {
    /// The ground of a plan that names `set`, or one that cannot be read, or none.
    pub(super) fn new(set: Option<&FixtureSet>, named: bool) -> Self {
        let kind = match set {
            Some(_) => Kind::Known,
            None if named => Kind::Unreadable,
            None => Kind::None,
        };
        let empty = FixtureSet::empty();
        let set = set.unwrap_or(&empty);
        let held = set.entries.iter().flat_map(|entry| with_parents(entry.path.as_str())).map(str::to_owned).collect();
        Self { kind, params: set.sample_parameters(), held }
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
    let mut result = text.to_owned();
    for (key, value) in params {
        result = result.replace(&format!("${{{key}}}"), value);
    }
    result
}

/// Checks the target of `probe`, which `driver` is to act on.
pub(super) fn check(probe: &Probe, driver: Option<Driver>, ground: &Ground, sink: &mut Sink<'_>) {
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
        && ground.kind != Kind::Unreadable
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
    if let Err(error) = target::check(driver, &resolved) {
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
fn check_fixture(probe: &Probe, driver: Driver, ground: &Ground, path: &str, at: Lazy<'_>, sink: &mut Sink<'_>) {
    if RelPath::try_from(path).is_err() {
        return; // a spelling with `..` or doubled slashes is a probe of path handling, not of one fixture
    }
    let id = &probe.probe_id;
    let declared = ground.held.contains(path);
    if driver.makes_target() && declared {
        let message = format!("probe {id:?} creates {path:?}, which the fixtures already hold");
        sink.warning("fixture-exists", &at(), message);
    } else if !driver.makes_target() && !declared {
        let message = format!("probe {id:?} acts on {path:?}, which the fixtures do not hold");
        sink.warning("fixture-missing", &at(), message);
    }
}

/// A path and every directory above it: what exists once the path has been made.
fn with_parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end]).chain([path])
}

#[cfg(test)]
mod tests {
    use super::target_parameters;

    #[test]
    fn every_parameter_of_a_target_is_seen() {
        assert_eq!(target_parameters("${FIXTURES}/a${B}").into_iter().collect::<Vec<_>>(), ["B", "FIXTURES"]);
        assert_eq!(target_parameters("${FIXTURES/a").into_iter().collect::<Vec<_>>(), ["FIXTURES/a"]);
        assert!(target_parameters("/a$b{c}").is_empty());
    }
}
