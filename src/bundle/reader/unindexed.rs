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

/// Everything that stands beneath a run's directory. Paths of tens of thousands of files are held in one text.
pub(super) struct Listed {
    paths: String,
    /// Where each path ends, and what it is; directories that were looked into are not listed.
    entries: Vec<(usize, What)>,
    /// Entries that may still be looked at.
    left: usize,
    /// Whether there were more.
    cut: bool,
    /// Directories that could not be read, and why.
    unread: Vec<(String, String)>,
}

/// What a path leads to.
#[derive(Clone, Copy)]
enum What {
    Leaf(EntryKind),
    /// A directory that cannot be opened, or is too deep.
    Closed,
}

/// Lists what stands beneath `dir`, whose index names `indexed` artifacts.
pub(super) fn list(dir: &Dir, indexed: usize) -> Listed {
    let left = LOOKED_AT.saturating_add(indexed);
    let mut listed = Listed { paths: String::new(), entries: Vec::new(), left, cut: false, unread: Vec::new() };
    listed.visit(dir, "", 0);
    listed
}

impl Listed {
    fn visit(&mut self, dir: &Dir, prefix: &str, depth: usize) {
        let mut directories = Vec::new();
        let all = dir.visit(&mut |name, kind| {
            if self.left == 0 {
                return false;
            }
            self.left -= 1;
            match kind {
                EntryKind::Directory => directories.push(name.to_owned()),
                kind => self.push(prefix, name, What::Leaf(kind)),
            }
            true
        });
        match all {
            Ok(all) => self.cut |= !all,
            Err(error) => {
                let about = if prefix.is_empty() { "." } else { prefix.trim_end_matches('/') };
                self.unread.push((about.to_owned(), error_chain(&error)));
            }
        }
        for name in directories {
            match RelPath::try_from(name.as_str()).ok().and_then(|name| dir.open_dir(&name).ok()) {
                Some(inner) if depth < DEPTH => self.visit(&inner, &format!("{prefix}{name}/"), depth + 1),
                _ => self.push(prefix, &name, What::Closed),
            }
        }
    }

    fn push(&mut self, prefix: &str, name: &str, what: What) {
        self.paths.push_str(prefix);
        self.paths.push_str(name);
        self.entries.push((self.paths.len(), what));
    }

    /// Reports every file, link and special file whose path is not a key of `indexed`, sorted by path.
    pub(super) fn unindexed(&self, indexed: &HashMap<&str, u32>) -> Vec<Problem> {
        let mut start = 0;
        let mut found: Vec<(&str, What)> = Vec::new();
        for &(end, what) in &self.entries {
            let path = &self.paths[start..end];
            start = end;
            // A repair is reported by itself.
            let is_known = path == ARTIFACT_INDEX || path == REPAIR_LOG || indexed.contains_key(path);
            if matches!(what, What::Closed) || !is_known {
                found.push((path, what));
            }
        }
        found.sort_unstable_by_key(|(path, _)| *path);
        let more = (self.unread.len() + found.len()).saturating_sub(REPORTED);
        let unread = self.unread.iter().map(|(about, why)| Problem::new(Kind::UnindexedFile, about, why));
        let found = found.into_iter().map(|(path, what)| {
            let what = match what {
                What::Closed => return closed(path),
                What::Leaf(EntryKind::Link) => "a symbolic link",
                What::Leaf(EntryKind::Special) => "a special file",
                What::Leaf(EntryKind::File | EntryKind::Directory) => "a file",
            };
            Problem::new(Kind::UnindexedFile, path, format!("{path} is {what} that no index entry speaks for"))
        });
        let mut problems: Vec<Problem> = unread.chain(found).take(REPORTED).collect();
        if more > 0 || self.cut {
            let message = match (more, self.cut) {
                (0, _) => "not every file was looked at".to_owned(),
                (_, true) => format!("at least {more} further unindexed files are not listed"),
                (_, false) => format!("{more} further unindexed files are not listed"),
            };
            problems.push(Problem::new(Kind::UnindexedFile, ".", message));
        }
        problems
    }
}

fn closed(path: &str) -> Problem {
    Problem::new(Kind::UnindexedFile, path, format!("the directory {path} cannot be looked into"))
}
