//! Where fixtures are and how the binary is run.

use std::path::PathBuf;
use std::process::{Command, Output};

/// A path below `fixtures/sbpl`.
pub(crate) fn fixture(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/sbpl").join(relative)
}

/// Runs the binary with arguments.
#[expect(clippy::disallowed_methods, reason = "a test of the command line runs the command")]
pub(crate) fn runtime(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_runtime")).args(arguments).output().expect("the binary starts")
}

/// The profiles of a fixture directory, by name.
pub(crate) fn profiles(directory: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = std::fs::read_dir(fixture(directory))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sb"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    found.sort();
    found
}

/// A profile of this text in a directory of its own, which lives as long as the first value, and its path.
pub(crate) fn written(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory, "p.sb", text);
    (directory, path)
}

/// Writes a file below a directory.
#[expect(clippy::disallowed_methods, reason = "a test lays out what the command reads")]
pub(crate) fn write(directory: &tempfile::TempDir, name: &str, text: &(impl AsRef<[u8]> + ?Sized)) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
