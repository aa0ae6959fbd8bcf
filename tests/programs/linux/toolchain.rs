//! A Rust toolchain that the tested user can read.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::support::User;

/// The toolchain in use here, if there is one with cargo.
pub(crate) fn find() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
            let root = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
            root.join("bin/cargo").exists().then_some(root)
        })
        .as_deref()
}

/// The toolchain itself, or for an ordinary user links to its files in a place open to all.
pub(crate) fn readable_by(user: User) -> &'static Path {
    static LINKED: OnceLock<tempfile::TempDir> = OnceLock::new();
    let own = find().unwrap();
    if user == User::Own {
        return own;
    }
    LINKED
        .get_or_init(|| {
            let directory = super::support::open_directory();
            for part in ["bin/cargo", "bin/rustc", "lib"] {
                link(&own.join(part), &directory.path().join(part));
            }
            directory
        })
        .path()
}

/// Hard links where the file system has them, copies elsewhere.
fn link(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    if !from.is_dir() {
        std::fs::hard_link(from, to).or_else(|_| std::fs::copy(from, to).map(drop)).unwrap();
        return;
    }
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        link(&entry.path(), &to.join(entry.file_name()));
    }
}
