//! The entries of an index as claims: which name, which size, which digest.

use std::collections::hash_map::Entry;

use foldhash::{HashMap, HashMapExt as _};

use super::super::layout::ARTIFACT_INDEX;
use super::problem::{Kind, Problem};
use crate::base::digest::Sha256Hex;
use crate::base::rel_path::RelPathRef;
use crate::base::tree::{Node, Place};

/// What an index claims about one artifact. Texts stay in the index: [`super::raw::UnverifiedBundle::name_of`].
#[derive(Debug)]
pub(in crate::bundle) struct Claim {
    /// Where the entry stands in the index.
    pub(in crate::bundle) entry: Place,
    /// Where its path stands; the name is the end of it.
    pub(super) path: Place,
    /// Length of the name.
    pub(super) name_bytes: u32,
    /// The place among the claims of the first one about the same file.
    pub(in crate::bundle) repeats: Option<u32>,
    pub(in crate::bundle) size_bytes: Option<u64>,
    /// `None`: the entry carries no digest (the earlier tool's reader accepts that).
    pub(in crate::bundle) sha256: Option<Sha256Hex>,
}

/// The claims of an index.
#[derive(Debug, Default)]
pub(super) struct Claims<'t> {
    /// In index order.
    pub(super) list: Vec<Claim>,
    /// The name of each.
    pub(super) names: Vec<RelPathRef<'t>>,
    /// Where in the list a name stands first.
    pub(super) places: HashMap<&'t str, u32>,
}

/// Reads `artifacts` of an index into claims; everything wrong goes to `problems`.
pub(super) fn claims<'t>(index: Node<'t>, run_ids: &[&str], problems: &mut Vec<Problem>) -> Claims<'t> {
    let mut bad = |kind, message: &str| problems.push(Problem::new(kind, ARTIFACT_INDEX, message).at("/artifacts"));
    let entries = match index.get("artifacts") {
        None => None,
        Some(artifacts) => match artifacts.as_array() {
            Some(entries) => Some(entries).filter(|entries| entries.len() > 0),
            None => {
                bad(Kind::IndexMalformed, "artifacts is not an array");
                return Claims::default();
            }
        },
    };
    let Some(entries) = entries else {
        bad(Kind::IndexEmpty, "the index lists no artifact");
        return Claims::default();
    };
    let mut list: Vec<Claim> = Vec::with_capacity(entries.len());
    let mut names = Vec::with_capacity(entries.len());
    let mut places = HashMap::with_capacity(entries.len());
    for (at, entry) in entries.enumerate() {
        let pointer = || format!("/artifacts/{at}");
        match claim(entry, run_ids) {
            Ok((mut claim, path, notes)) => {
                let name = path.as_str();
                for (kind, message) in notes {
                    problems.push(Problem::new(kind, name, message).at(pointer()));
                }
                match places.entry(name) {
                    Entry::Occupied(first) => {
                        claim.repeats = Some(*first.get());
                        let message = format!("{name} is listed twice");
                        problems.push(Problem::new(Kind::EntryDuplicate, name, message).at(pointer()));
                    }
                    Entry::Vacant(place) => {
                        place.insert(u32::try_from(list.len()).expect("an index has at most 64 MiB"));
                    }
                }
                // A duplicate is checked as well: two entries that disagree cannot both hold.
                list.push(claim);
                names.push(path);
            }
            Err((kind, message)) => problems.push(Problem::new(kind, ARTIFACT_INDEX, message).at(pointer())),
        }
    }
    Claims { list, names, places }
}

type Fault = (Kind, String);

/// The members of an entry that are looked at, found in one go.
#[derive(Default)]
struct Members<'t> {
    path: Option<Node<'t>>,
    name: Option<Node<'t>>,
    file_size: Option<Node<'t>>,
    sha256: Option<Node<'t>>,
    schema_version: Option<Node<'t>>,
}

impl<'t> Members<'t> {
    fn of(entry: Node<'t>) -> Option<Self> {
        let mut members = Self::default();
        for (key, value) in entry.as_object()? {
            let member = match key {
                "path" => &mut members.path,
                "name" => &mut members.name,
                "file_size" => &mut members.file_size,
                "sha256" => &mut members.sha256,
                "schema_version" => &mut members.schema_version,
                _ => continue,
            };
            *member = Some(value);
        }
        Some(members)
    }
}

/// The claim, its name as the entry writes it, and what is wrong without making the entry useless.
fn claim<'t>(entry: Node<'t>, run_ids: &[&str]) -> Result<(Claim, RelPathRef<'t>, Vec<Fault>), Fault> {
    let malformed = |message: &str| (Kind::EntryMalformed, message.to_owned());
    let members = Members::of(entry).ok_or_else(|| malformed("the entry is not an object"))?;
    let path_node = members.path.ok_or_else(|| malformed("the entry has no path"))?;
    let path = path_node.as_str().ok_or_else(|| malformed("path is not text"))?;
    let name = match members.name {
        None => name_in(path, run_ids).ok_or_else(|| outside(path))?,
        Some(name) => {
            let text = name.as_str().ok_or_else(|| malformed("name is not text"))?;
            let name = RelPathRef::try_from(text)
                .map_err(|why| (Kind::EntryOutsideBundle, format!("the name {text:?} {why}")))?;
            if !run_ids.iter().any(|id| ends_in(path, id, name)) {
                let message = format!("the path {path:?} does not end in <run_id>/{name}");
                return Err((Kind::EntryNameMismatch, message));
            }
            name
        }
    };
    if has_parent_step(path) {
        return Err(outside(path));
    }
    if name.as_str() == ARTIFACT_INDEX {
        return Err((Kind::EntryMalformed, "the index cannot list itself".to_owned()));
    }
    let mut notes = Vec::new();
    let sha256 = match members.sha256.filter(|digest| !digest.is_null()).map(Node::as_str) {
        None | Some(Some("")) => None,
        Some(Some(digest)) => {
            Some(Sha256Hex::parse(digest).map_err(|why| (Kind::EntryMalformed, format!("sha256 of {name}: {why}")))?)
        }
        Some(None) => return Err((Kind::EntryMalformed, format!("sha256 of {name} is not text"))),
    };
    if sha256.is_none() {
        notes.push((Kind::EntryDigestMissing, format!("{name} has no digest")));
    }
    let size_bytes = members.file_size.and_then(Node::as_number).and_then(|number| number.as_u64());
    if size_bytes.is_none() {
        notes.push((Kind::EntrySizeMissing, format!("{name} has no size in bytes")));
    }
    if members.schema_version.is_some_and(|version| !version.is_null() && version.as_str().is_none()) {
        return Err((Kind::EntryMalformed, format!("schema_version of {name} is neither text nor null")));
    }
    // Every name is the end of its path.
    let name_bytes = u32::try_from(name.as_str().len()).expect("an index has at most 64 MiB");
    let (entry, path) = (entry.place(), path_node.place());
    Ok((Claim { entry, path, name_bytes, repeats: None, size_bytes, sha256 }, name, notes))
}

fn outside(path: &str) -> Fault {
    (Kind::EntryOutsideBundle, format!("the path {path:?} does not lead into this bundle"))
}

fn has_parent_step(path: &str) -> bool {
    path.as_bytes().split(|&byte| byte == b'/').any(|component| component == b"..")
}

/// The part of `path` after the last component that is one of `run_ids`.
fn name_in<'t>(path: &'t str, run_ids: &[&str]) -> Option<RelPathRef<'t>> {
    run_ids.iter().find_map(|id| {
        let inner = match path.rfind(&format!("/{id}/")) {
            Some(at) => &path[at + id.len() + 2..],
            None => path.strip_prefix(id)?.strip_prefix('/')?,
        };
        RelPathRef::try_from(inner).ok()
    })
}

/// Whether `path` is `<id>/<name>` or ends in `/<id>/<name>`.
fn ends_in(path: &str, id: &str, name: RelPathRef<'_>) -> bool {
    let Some(head) = path.strip_suffix(name.as_str()).and_then(|head| head.strip_suffix('/')) else { return false };
    head == id || head.strip_suffix(id).is_some_and(|head| head.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_follows_the_run_id() {
        for (path, expected) in [
            ("lab/out/r1/run_status.json", Some("run_status.json")),
            ("/tmp/x/r1/sub/a.sb", Some("sub/a.sb")),
            ("r1/a", Some("a")),
            ("r1/r1/a", Some("a")),
            ("lab/xr1/a", None),
            ("lab/r1", None),
            ("lab/r1/", None),
            ("lab/r1/../a", None),
            ("lab/r1//etc/passwd", None),
            ("/etc/passwd", None),
            ("", None),
        ] {
            assert_eq!(name_in(path, &["r1"]).map(RelPathRef::as_str), expected, "{path}");
        }
    }

    #[test]
    fn a_name_must_be_the_end_of_its_path() {
        let name = RelPathRef::try_from("sub/a.sb").unwrap();
        for (path, expected) in [
            ("lab/r1/sub/a.sb", true),
            ("r1/sub/a.sb", true),
            ("lab/r2/sub/a.sb", false),
            ("lab/xr1/sub/a.sb", false),
            ("lab/r1/a.sb", false),
            ("lab/r1/sub/a.sb ", false),
        ] {
            assert_eq!(ends_in(path, "r1", name), expected, "{path}");
        }
    }
}
