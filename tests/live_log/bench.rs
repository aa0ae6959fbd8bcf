//! Stand-ins of the programs of the log in a directory of their own, and what must be gone afterwards.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const RUNTIME: &str = env!("CARGO_BIN_EXE_runtime");

pub(crate) struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self { directory: tempfile::Builder::new().prefix("live-log-").tempdir_in("/tmp").unwrap() };
        std::fs::create_dir_all(bench.path("tools/faults")).unwrap();
        std::fs::create_dir_all(bench.path("tmp")).unwrap();
        for name in ["log", "sandbox-exec"] {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_stand-in"), bench.path(&format!("tools/{name}"))).unwrap();
        }
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    /// Switches a fault of the stand-ins on.
    pub(crate) fn fault(self, name: &str) -> Self {
        std::fs::write(self.path("tools/faults").join(name), "").unwrap();
        self
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub(crate) fn stand_ins(&self) -> Vec<String> {
        ["log", "sandbox-exec"]
            .map(|name| format!("--stand-in={name}={}", self.path(&format!("tools/{name}")).display()))
            .into()
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(RUNTIME);
        command.args(words).current_dir(self.path("")).env("TMPDIR", self.path("tmp")).env("LC_ALL", "C");
        command
    }

    pub(crate) fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Processes whose command line names this bench's directory.
    fn processes(&self) -> Vec<String> {
        let mine = self.path("").display().to_string();
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = entries.filter_map(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            Some(String::from_utf8_lossy(&line).replace('\0', " "))
        });
        lines.filter(|line| line.contains(&mine)).collect()
    }

    /// No process, no temporary file.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.processes().is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(self.processes(), Vec::<String>::new(), "processes");
        let left: Vec<_> = std::fs::read_dir(self.path("tmp")).unwrap().flatten().map(|entry| entry.path()).collect();
        assert_eq!(left, Vec::<PathBuf>::new(), "files");
    }
}

pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
pub(crate) fn expect(output: &Output, status: i32) {
    assert_eq!(output.status.code(), Some(status), "{}", text(output));
}
