//! Files in a run's directory that no index speaks for.

use foldhash::HashMap;

use super::super::layout::{ARTIFACT_INDEX, REPAIR_LOG};
use super::problem::{Kind, Problem};
use crate::base::error_chain;
use crate::base::rel_path::RelPath;
use crate::os::fs::{Dir, EntryKind};

/// How many entries that no index names are looked at, and how many findings are made of them, before we say "and more".
const LOOKED_AT: usize = 100_000;
const REPORTED: usize = 100;
/// How deep sub-directories are looked into.
const DEPTH: usize = 16;

/// Reports every file, link and special file beneath `dir` whose name is not a key of `indexed`.
pub(super) fn check(dir: &Dir, indexed: &HashMap<&str, usize>) -> Vec<Problem> {
    let mut walk = Walk { indexed, found: Vec::new(), left: LOOKED_AT.saturating_add(indexed.len()), cut: false };
    walk.visit(dir, "", 0);
    let more = walk.found.len().saturating_sub(REPORTED);
    let mut problems = walk.found;
    problems.truncate(REPORTED);
    if more > 0 || walk.cut {
        let message = match (more, walk.cut) {
            (0, _) => "not every file was looked at".to_owned(),
            (_, true) => format!("at least {more} further unindexed files are not listed"),
            (_, false) => format!("{more} further unindexed files are not listed"),
        };
        problems.push(Problem::new(Kind::UnindexedFile, ".", message));
    }
    problems
}

struct Walk<'a> {
    indexed: &'a HashMap<&'a str, usize>,
    found: Vec<Problem>,
    left: usize,
    cut: bool,
}

impl Walk<'_> {
    fn visit(&mut self, dir: &Dir, prefix: &str, depth: usize) {
        let entries = match dir.list(self.left) {
            Ok((entries, cut)) => {
                self.cut |= cut;
                self.left -= entries.len();
                entries
            }
            Err(error) => {
                let about = if prefix.is_empty() { "." } else { prefix.trim_end_matches('/') };
                self.found.push(Problem::new(Kind::UnindexedFile, about, error_chain(&error)));
                return;
            }
        };
        let mut path = prefix.to_owned();
        for entry in entries {
            path.truncate(prefix.len());
            path.push_str(&entry.name);
            if entry.kind == EntryKind::Directory {
                match RelPath::try_from(entry.name.as_str()).ok().and_then(|name| dir.open_dir(&name).ok()) {
                    Some(inner) if depth < DEPTH => self.visit(&inner, &format!("{path}/"), depth + 1),
                    _ => self.report(&path, format!("the directory {path} cannot be looked into")),
                }
                continue;
            }
            // A repair is reported by itself.
            if path == ARTIFACT_INDEX || path == REPAIR_LOG || self.indexed.contains_key(path.as_str()) {
                continue;
            }
            let what = match entry.kind {
                EntryKind::Link => "a symbolic link",
                EntryKind::Special => "a special file",
                EntryKind::File | EntryKind::Directory => "a file",
            };
            self.report(&path, format!("{path} is {what} that no index entry speaks for"));
        }
    }

    fn report(&mut self, path: &str, message: String) {
        self.found.push(Problem::new(Kind::UnindexedFile, path, message));
    }
}
