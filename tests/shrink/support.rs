//! A place for runs, and what came of a command.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// The command under test.
pub(crate) const RUNTIME: &str = env!("CARGO_BIN_EXE_runtime");
/// The program whose needs are known.
#[cfg(target_os = "linux")]
pub(crate) const FIXTURE: &str = env!("CARGO_BIN_EXE_shrink-fixture");

/// A directory of a test.
pub(crate) struct Place(tempfile::TempDir);

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("shrink-").tempdir_in("/tmp").unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn text_of(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text_of(name)).unwrap()
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn json_lines(&self, name: &str) -> Vec<Value> {
        self.text_of(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A command of the program under test, started here.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(RUNTIME);
        command.args(words).current_dir(self.0.path()).env("LC_ALL", "C").env("HOME", self.path("home"));
        command
    }

    /// Runs a command of the program under test here.
    pub(crate) fn runtime(&self, words: &[&str]) -> Ran {
        ran(&mut self.command(words))
    }

    /// Runs a program under a profile, in `work`; its refusals go to `denials.jsonl`.
    #[cfg(target_os = "linux")]
    pub(crate) fn confined(&self, profile: &str, work: &std::path::Path, words: &[&str]) -> Ran {
        let work_dir = format!("WORK_DIR={}", work.display());
        let home = format!("HOME={}", self.path("home").display());
        let (profile, denials) = (self.path(profile), self.path("denials.jsonl"));
        let (profile, denials) = (profile.to_str().unwrap(), denials.to_str().unwrap());
        let mut all =
            vec!["sandbox", "run", "--profile", profile, "-D", &work_dir, "-D", &home, "--denials", denials, "--"];
        all.extend(words);
        ran(self.command(&all).current_dir(work))
    }

    /// Whether the last confined run was refused this operation on a target that contains `needle`.
    #[cfg(target_os = "linux")]
    pub(crate) fn was_refused(&self, operation: &str, needle: &str) -> bool {
        self.json_lines("denials.jsonl").iter().any(|own| {
            own["operation"] == operation && own["target"].as_str().is_some_and(|target| target.contains(needle))
        })
    }
}

pub(crate) fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { status: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}
