//! The files of a source tree, without those that its ignore files leave out.

use std::ffi::OsStr;
use std::path::Path;

use ignore::WalkBuilder;

use crate::base::rel_path::RelPath;

/// The files of a tree, sorted by path.
#[derive(Debug, Default)]
pub struct Tree {
    /// Regular files.
    pub files: Vec<RelPath>,
    /// What could not be looked at: its path as far as it can be shown, and why.
    pub skipped: Vec<(String, String)>,
}

/// Lists the regular files beneath `root`. Left out: hidden names, what `.gitignore`, `.ignore`, `.rgignore` and
/// `.git/info/exclude` beneath `root` name, symbolic links, and everything for which `leave_out` holds (path relative to
/// `root`, whether it is a directory). Ignore files outside `root`, a user's own included, play no part: the answer depends
/// on the tree alone, and not on whether it is a git repository.
pub fn files(root: &Path, leave_out: impl Fn(&Path, bool) -> bool + Send + Sync + 'static) -> Tree {
    let own_root = root.to_path_buf();
    let walk = WalkBuilder::new(root)
        .follow_links(false)
        .parents(false)
        .git_global(false)
        .require_git(false)
        .add_custom_ignore_filename(".rgignore")
        .filter_entry(move |entry| {
            let directory = entry.file_type().is_some_and(|kind| kind.is_dir());
            entry
                .path()
                .strip_prefix(&own_root)
                .map_or(true, |path| path == Path::new("") || !leave_out(path, directory))
        })
        .build();
    let mut tree = Tree::default();
    for entry in walk {
        match entry {
            Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
                match relative.to_str().map(str::to_owned).map(RelPath::try_from) {
                    Some(Ok(path)) => tree.files.push(path),
                    Some(Err(error)) => tree.skipped.push((shown(relative.as_os_str()), format!("its path {error}"))),
                    None => tree.skipped.push((shown(relative.as_os_str()), "its path is not UTF-8".to_owned())),
                }
            }
            Ok(_) => {}
            Err(error) => tree.skipped.push(fault(root, &error)),
        }
    }
    tree.files.sort();
    tree.skipped.sort();
    tree
}

fn shown(path: &OsStr) -> String {
    path.to_string_lossy().into_owned()
}

/// The path an error is about, relative to `root`, and what the system said.
fn fault(root: &Path, error: &ignore::Error) -> (String, String) {
    let mut path = String::new();
    let mut inner = error;
    loop {
        match inner {
            ignore::Error::WithPath { path: found, err } => {
                path = shown(found.strip_prefix(root).unwrap_or(found).as_os_str());
                inner = err;
            }
            ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => inner = err,
            other => return (path, other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fs::Dir;

    #[test]
    fn ignore_files_of_the_tree_count_and_links_do_not() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let write = |name: &str, text: &str| dir.write(&RelPath::try_from(name).unwrap(), text.as_bytes()).unwrap();
        for name in ["a.txt", "b/c.txt", "b/ignored.log", "b/kept.log", ".hidden/x", "z/by-rg.txt", "z/by-ignore.txt"] {
            write(name, "x");
        }
        write(".gitignore", "*.log\n");
        write("b/.gitignore", "!kept.log\n");
        write("z/.rgignore", "by-rg.txt\n");
        write("z/.ignore", "by-ignore.txt\n");
        write("left/out.txt", "x");
        std::os::unix::fs::symlink(temp.path().join("a.txt"), temp.path().join("link.txt")).unwrap();
        std::os::unix::fs::symlink(temp.path().join("b"), temp.path().join("link")).unwrap();
        let tree = files(temp.path(), |path, directory| directory && path == Path::new("left"));
        let names: Vec<&str> = tree.files.iter().map(RelPath::as_str).collect();
        assert_eq!(names, ["a.txt", "b/c.txt", "b/kept.log"]);
        assert_eq!(tree.skipped, []);
        let absent = files(&temp.path().join("absent"), |_, _| false);
        assert!(absent.files.is_empty() && absent.skipped.len() == 1);
    }
}
