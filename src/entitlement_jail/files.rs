//! Files that the app wrote and names: taken only when they were written during the call.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::base::error_chain;
use crate::base::rel_path::RelPath;
use crate::os::fs::{Dir, EntryKind, FsError, open_regular};

/// The largest file that is taken.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// The most bytes of a directory that are taken.
const MAX_TREE_BYTES: u64 = 256 * 1024 * 1024;
/// The most entries of a directory that are looked at.
const MAX_ENTRIES: usize = 10_000;
/// How deep a directory is looked into.
const MAX_DEPTH: usize = 16;
/// How much earlier than the call a file's time may be: file systems keep coarser times than clocks.
const SLACK: Duration = Duration::from_secs(1);

/// Reads a file that was written since `since`.
///
/// # Errors
/// Words for a record: `source_missing: PATH`, `stale: PATH`, or what the system says.
pub(super) fn fresh(path: &Path, since: SystemTime) -> Result<Vec<u8>, String> {
    let missing = |error: FsError| match error.is_not_found() {
        true => format!("source_missing: {}", path.display()),
        false => error_chain(&error),
    };
    let opened = open_regular(path).map_err(missing)?;
    let modified = opened.file.metadata().and_then(|metadata| metadata.modified()).map_err(|e| e.to_string())?;
    if modified + SLACK < since {
        return Err(format!("stale: {}", path.display()));
    }
    opened.read_whole(path, MAX_FILE_BYTES).map_err(|error| error_chain(&error))
}

/// Reads every file beneath `path`, each written since `since`, sorted by name. Links and special files are refused.
///
/// # Errors
/// As [`fresh`]; something that is not a plain file; too much.
pub(super) fn fresh_tree(path: &Path, since: SystemTime) -> Result<Vec<(RelPath, Vec<u8>)>, String> {
    let dir = match Dir::open(path) {
        Ok(dir) => dir,
        Err(error) if error.is_not_found() => return Err(format!("source_missing: {}", path.display())),
        Err(error) => return Err(error_chain(&error)),
    };
    let mut tree = Tree { files: Vec::new(), bytes: 0, entries: 0, since };
    tree.visit(&dir, "", 0)?;
    if tree.files.is_empty() {
        return Err(format!("empty: {}", path.display()));
    }
    Ok(tree.files)
}

struct Tree {
    files: Vec<(RelPath, Vec<u8>)>,
    bytes: u64,
    entries: usize,
    since: SystemTime,
}

impl Tree {
    fn visit(&mut self, dir: &Dir, prefix: &str, depth: usize) -> Result<(), String> {
        let (entries, more) = dir.list(MAX_ENTRIES - self.entries).map_err(|error| error_chain(&error))?;
        self.entries += entries.len();
        if more || depth > MAX_DEPTH {
            return Err(format!("too_large: {} has more than can be kept", dir.path().display()));
        }
        for entry in entries {
            let path = dir.path().join(&entry.name);
            let odd = |what: &str| format!("{what}: {}", path.display());
            let inside = RelPath::try_from(entry.name.as_str()).map_err(|error| odd(&format!("name {error}")))?;
            let name = format!("{prefix}{inside}");
            match entry.kind {
                EntryKind::Directory => {
                    let inner = dir.open_dir(&inside).map_err(|error| error_chain(&error))?;
                    self.visit(&inner, &format!("{name}/"), depth + 1)?;
                }
                EntryKind::File => {
                    let bytes = fresh(&path, self.since)?;
                    self.bytes += bytes.len() as u64;
                    if self.bytes > MAX_TREE_BYTES {
                        return Err(odd("too_large"));
                    }
                    let name = RelPath::try_from(name).map_err(|error| odd(&format!("name {error}")))?;
                    self.files.push((name, bytes));
                }
                EntryKind::Link => return Err(odd("link")),
                EntryKind::Special => return Err(odd("not_a_file")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fs::write_durable;

    #[test]
    fn only_plain_files_of_this_call_are_taken() {
        let temp = tempfile::tempdir().unwrap();
        let (start, dir) = (SystemTime::now(), temp.path().join("d"));
        assert_eq!(fresh_tree(&dir, start).unwrap_err(), format!("source_missing: {}", dir.display()));
        std::fs::create_dir(&dir).unwrap();
        assert!(fresh_tree(&dir, start).unwrap_err().starts_with("empty: "));
        write_durable(&dir.join("b/c"), b"1").unwrap();
        write_durable(&dir.join("a"), b"2").unwrap();
        let taken = fresh_tree(&dir, start).unwrap();
        let names: Vec<&str> = taken.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b/c"]);
        let later = start + Duration::from_secs(3600);
        assert!(fresh_tree(&dir, later).unwrap_err().starts_with("stale: "));
        std::os::unix::fs::symlink("a", dir.join("z")).unwrap();
        assert!(fresh_tree(&dir, start).unwrap_err().starts_with("link: "));
    }
}
