//! Which file of a tree holds which keyword.

use std::ffi::OsStr;
use std::path::Path;

use aho_corasick::AhoCorasick;
use rayon::prelude::*;
use serde::Serialize;

use super::InventoryError;
use super::items::Items;
use crate::base::error_chain;
use crate::base::rel_path::RelPath;
use crate::os::fs::{Dir, FsError};
use crate::os::{input, tree};

/// Larger files are not looked into: 16 MiB.
pub const MAX_SCANNED_BYTES: u64 = 16 * 1024 * 1024;

/// Directories of this name hold what runs wrote, wherever they stand.
const OUTPUT_DIRECTORY: &str = "out";

/// A file with keywords.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// The file, relative to the root.
    pub path: String,
    /// The keywords it holds, in the order of the document.
    pub keywords: Vec<String>,
}

/// Something that was not looked into.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Skipped {
    /// Its path relative to the root, as far as it can be shown.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What a scan found, sorted by path.
pub(super) struct Scanned {
    pub hits: Vec<Hit>,
    pub skipped: Vec<Skipped>,
}

/// Looks for the keywords in every file of the tree. A file with a NUL byte is binary and holds none.
pub(super) fn scan(root: &Path, items: &Items, output: Option<&Path>) -> Result<Scanned, InventoryError> {
    let search = AhoCorasick::new(&items.keywords).map_err(InventoryError::Keywords)?;
    let excluded: Vec<String> = items.excluded.iter().map(|path| path.as_str().to_owned()).collect();
    let output = output.map(input::resolved);
    let own_root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let output = output.and_then(|path| path.strip_prefix(&own_root).ok().map(Path::to_path_buf));
    let found = tree::files(root, move |path, directory| {
        directory && path.file_name() == Some(OsStr::new(OUTPUT_DIRECTORY))
            || excluded.iter().any(|excluded| path == Path::new(excluded))
            || output.as_deref() == Some(path)
    });
    let mut skipped: Vec<Skipped> = found.skipped.into_iter().map(|(path, reason)| Skipped { path, reason }).collect();
    let dir = Dir::open(root).map_err(|_| InventoryError::NoTree(root.to_owned()))?;
    let looked: Vec<(RelPath, Result<Vec<usize>, FsError>)> = found
        .files
        .into_par_iter()
        .map(|path| {
            let held = dir.read(&path, MAX_SCANNED_BYTES).map(|bytes| held(&search, items.keywords.len(), &bytes));
            (path, held)
        })
        .collect();
    let mut hits = Vec::new();
    for (path, held) in looked {
        match held {
            Ok(held) if held.is_empty() => {}
            Ok(held) => {
                let keywords = held.into_iter().map(|number| items.keywords[number].clone()).collect();
                hits.push(Hit { path: path.into(), keywords });
            }
            Err(error) => skipped.push(Skipped { reason: reason(&error), path: path.into() }),
        }
    }
    skipped.sort();
    Ok(Scanned { hits, skipped })
}

/// Why a file was not looked into, without its path.
fn reason(error: &FsError) -> String {
    match error {
        FsError::TooLarge { size_bytes, limit_bytes, .. } => {
            format!("it has {size_bytes} bytes; at most {limit_bytes} are read")
        }
        FsError::NotRegular { kind, .. } => format!("it is {kind}"),
        FsError::Link { .. } => "it became a symbolic link while the tree was read".to_owned(),
        FsError::Changed { .. } => "it changed while it was read".to_owned(),
        // No hard link is refused here.
        FsError::HardLinked { .. } => "it has further names".to_owned(),
        FsError::Io { action, source, .. } => format!("cannot {action}: {}", error_chain(source)),
    }
}

/// The numbers of the keywords that `bytes` hold, ascending; none when they are binary.
fn held(search: &AhoCorasick, keywords: usize, bytes: &[u8]) -> Vec<usize> {
    let mut held = vec![false; keywords];
    let mut missing = keywords;
    // Overlapping, because one keyword may be part of another one.
    for found in search.find_overlapping_iter(bytes) {
        if !std::mem::replace(&mut held[found.pattern().as_usize()], true) {
            missing -= 1;
            if missing == 0 {
                break;
            }
        }
    }
    if missing == keywords || bytes.contains(&0) {
        return Vec::new();
    }
    held.iter().enumerate().filter(|(_, held)| **held).map(|(number, _)| number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_keywords_hold_their_parts_and_binaries_hold_nothing() {
        let search = AhoCorasick::new(["sandbox_init", "sandbox_init_with", "SBPL"]).unwrap();
        let held = |text: &[u8]| held(&search, 3, text);
        assert_eq!(held(b"x sandbox_init_with y"), [0, 1]);
        assert_eq!(held(b"SBPL, sandbox_init"), [0, 2]);
        assert_eq!(held(b"sbpl sandbox_ini"), [0; 0]);
        assert_eq!(held(b"SBPL\0"), [0; 0]);
        assert_eq!(held(b"\xff\xfeSBPL"), [2]);
    }
}
