//! The binary in a directory of its own, and suites on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The binary under test.
pub(crate) const RUNTIME: &str = env!("CARGO_BIN_EXE_runtime");

/// A directory far from the project, in which commands are called.
pub(crate) struct Elsewhere {
    dir: tempfile::TempDir,
}

impl Elsewhere {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("cwd")).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Runs the binary; the working directory is `cwd` beside what the arguments name as `../…`.
    pub(crate) fn runtime(&self, args: &[&str]) -> Output {
        Command::new(RUNTIME).args(args).current_dir(self.path("cwd")).stdin(Stdio::null()).output().unwrap()
    }

    /// Builds a shipped template in `../suite`.
    #[cfg(target_os = "linux")]
    pub(crate) fn build(&self, template: &str) {
        expect(&self.runtime(&["plan-build", "--template", template, "--out", "../suite"]), 0);
    }
}

/// Both streams, for messages and searching.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Asserts an exit status and shows the streams when it differs.
#[track_caller]
pub(crate) fn expect(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
}

pub(crate) fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

/// Every file beneath `path` by its name, with its bytes.
pub(crate) fn tree(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let walk = walkdir::WalkDir::new(path).into_iter().map(Result::unwrap);
    walk.filter(|entry| !entry.file_type().is_dir())
        .map(|entry| {
            let name = entry.path().strip_prefix(path).unwrap().display().to_string();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}
