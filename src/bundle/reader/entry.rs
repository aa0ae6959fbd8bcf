//! The entries of an index as claims: which name, which size, which digest.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::super::layout::ARTIFACT_INDEX;
use super::problem::{Kind, Problem};
use crate::base::digest::Sha256Hex;
use crate::base::rel_path::RelPath;

/// What an index claims about one artifact.
#[derive(Debug, Clone)]
pub(in crate::bundle) struct Claim {
    /// Its place in the index's list.
    pub(in crate::bundle) at: usize,
    pub(in crate::bundle) name: RelPath,
    pub(in crate::bundle) path: String,
    pub(in crate::bundle) size_bytes: Option<u64>,
    /// `None`: the entry carries no digest (the earlier tool's reader accepts that).
    pub(in crate::bundle) sha256: Option<Sha256Hex>,
}

/// Reads `artifacts` of an index into claims, each name once; everything wrong goes to `problems`.
pub(super) fn claims(index: &Map<String, Value>, run_ids: &[&str], problems: &mut Vec<Problem>) -> Vec<Claim> {
    let mut bad = |kind, pointer: String, message: String| {
        problems.push(Problem::new(kind, ARTIFACT_INDEX, message).at(pointer));
    };
    let entries = match index.get("artifacts") {
        Some(Value::Array(entries)) if !entries.is_empty() => entries.as_slice(),
        Some(Value::Array(_)) | None => {
            bad(Kind::IndexEmpty, "/artifacts".to_owned(), "the index lists no artifact".to_owned());
            &[]
        }
        Some(_) => {
            bad(Kind::IndexMalformed, "/artifacts".to_owned(), "artifacts is not an array".to_owned());
            &[]
        }
    };
    let mut claims: Vec<Claim> = Vec::with_capacity(entries.len());
    let mut seen = HashSet::new();
    for (at, entry) in entries.iter().enumerate() {
        let pointer = format!("/artifacts/{at}");
        match claim(at, entry, run_ids) {
            Ok((claim, notes)) => {
                for (kind, message) in notes {
                    problems.push(Problem::new(kind, claim.name.as_str(), message).at(&pointer));
                }
                if !seen.insert(claim.name.clone()) {
                    let message = format!("{} is listed twice", claim.name);
                    problems.push(Problem::new(Kind::EntryDuplicate, claim.name.as_str(), message).at(&pointer));
                }
                // A duplicate is checked as well: two entries that disagree cannot both hold.
                claims.push(claim);
            }
            Err((kind, message)) => problems.push(Problem::new(kind, ARTIFACT_INDEX, message).at(&pointer)),
        }
    }
    claims
}

type Fault = (Kind, String);

fn claim(at: usize, entry: &Value, run_ids: &[&str]) -> Result<(Claim, Vec<Fault>), Fault> {
    let malformed = |message: &str| (Kind::EntryMalformed, message.to_owned());
    let entry = entry.as_object().ok_or_else(|| malformed("the entry is not an object"))?;
    let path = match entry.get("path") {
        Some(Value::String(path)) => path,
        Some(_) => return Err(malformed("path is not text")),
        None => return Err(malformed("the entry has no path")),
    };
    let name = match entry.get("name") {
        None => name_in(path, run_ids).ok_or_else(|| outside(path))?,
        Some(name) => {
            let text = name.as_str().ok_or_else(|| malformed("name is not text"))?;
            let name = RelPath::try_from(text)
                .map_err(|why| (Kind::EntryOutsideBundle, format!("the name {text:?} {why}")))?;
            if !run_ids.iter().any(|id| ends_in(path, id, &name)) {
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
    let sha256 = match entry.get("sha256") {
        None | Some(Value::Null) => None,
        Some(Value::String(digest)) if digest.is_empty() => None,
        Some(Value::String(digest)) => Some(
            Sha256Hex::try_from(digest.clone())
                .map_err(|why| (Kind::EntryMalformed, format!("sha256 of {name}: {why}")))?,
        ),
        Some(_) => return Err((Kind::EntryMalformed, format!("sha256 of {name} is not text"))),
    };
    if sha256.is_none() {
        notes.push((Kind::EntryDigestMissing, format!("{name} has no digest")));
    }
    let size_bytes = entry.get("file_size").and_then(Value::as_u64);
    if size_bytes.is_none() {
        notes.push((Kind::EntrySizeMissing, format!("{name} has no size in bytes")));
    }
    if !matches!(entry.get("schema_version"), None | Some(Value::Null | Value::String(_))) {
        return Err((Kind::EntryMalformed, format!("schema_version of {name} is neither text nor null")));
    }
    Ok((Claim { at, name, path: path.clone(), size_bytes, sha256 }, notes))
}

fn outside(path: &str) -> Fault {
    (Kind::EntryOutsideBundle, format!("the path {path:?} does not lead into this bundle"))
}

fn has_parent_step(path: &str) -> bool {
    path.split('/').any(|component| component == "..")
}

/// The part of `path` after the last component that is one of `run_ids`.
fn name_in(path: &str, run_ids: &[&str]) -> Option<RelPath> {
    run_ids.iter().find_map(|id| {
        let inner = match path.rfind(&format!("/{id}/")) {
            Some(at) => &path[at + id.len() + 2..],
            None => path.strip_prefix(id)?.strip_prefix('/')?,
        };
        RelPath::try_from(inner).ok()
    })
}

/// Whether `path` is `<id>/<name>` or ends in `/<id>/<name>`.
fn ends_in(path: &str, id: &str, name: &RelPath) -> bool {
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
            assert_eq!(name_in(path, &["r1"]).as_ref().map(RelPath::as_str), expected, "{path}");
        }
    }

    #[test]
    fn a_name_must_be_the_end_of_its_path() {
        let name = RelPath::try_from("sub/a.sb").unwrap();
        for (path, expected) in [
            ("lab/r1/sub/a.sb", true),
            ("r1/sub/a.sb", true),
            ("lab/r2/sub/a.sb", false),
            ("lab/xr1/sub/a.sb", false),
            ("lab/r1/a.sb", false),
            ("lab/r1/sub/a.sb ", false),
        ] {
            assert_eq!(ends_in(path, "r1", &name), expected, "{path}");
        }
    }
}
