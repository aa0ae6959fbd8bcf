//! A suite with stand-ins beside it, and what must be gone after every run.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::suite::{Probe, RUNTIME, Suite, text};

pub(crate) struct Bench {
    pub(crate) suite: Suite,
    tools: tempfile::TempDir,
}

impl Bench {
    /// One profile with an allowed and a refused read.
    pub(crate) fn new() -> Self {
        let suite = Suite::new()
            .fixtures(json!([
                {"path": "a", "kind": "file", "content": "a"},
                {"path": "b", "kind": "file", "content": "b"},
                {"path": "pipe", "kind": "fifo"},
            ]))
            .lanes(json!({"scenario": true, "baseline": true, "oracle": true}))
            .profile(
                "demo:reads",
                "(version 1)\n(allow default)\n(deny file-read-data (literal (string-append (param \"FIXTURES\") \"/b\")))\n",
                vec![
                    Probe::new("may", "file-read-data", "${FIXTURES}/a", "allow"),
                    Probe::new("may-not", "file-read-data", "${FIXTURES}/b", "deny"),
                ],
            );
        Self::of(suite)
    }

    /// A first profile whose probe ends at once, and a second one whose probe waits for nobody until its limit.
    pub(crate) fn waiting() -> Self {
        let probe = |name: &str, target: &str| vec![Probe::new(name, "file-read-data", target, "allow")];
        let suite = Suite::new()
            .fixtures(json!([
                {"path": "a", "kind": "file", "content": "a"},
                {"path": "pipe", "kind": "fifo"},
            ]))
            .lanes(json!({"scenario": true, "baseline": false, "oracle": false}))
            .profile("demo:quick", "(version 1)\n(allow default)\n", probe("quick", "${FIXTURES}/a"))
            .profile("demo:pipe", "(version 1)\n(allow default)\n", probe("waits", "${FIXTURES}/pipe"));
        Self::of(suite)
    }

    fn of(suite: Suite) -> Self {
        let tools = tempfile::tempdir().unwrap();
        for name in ["launchctl", "plutil", "log"] {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_stand-in"), tools.path().join(name)).unwrap();
        }
        std::fs::create_dir(tools.path().join("faults")).unwrap();
        let bench = Self { suite, tools };
        std::fs::write(bench.tools.path().join("staging_base"), bench.base().display().to_string()).unwrap();
        bench
    }

    pub(crate) fn base(&self) -> PathBuf {
        self.tools.path().join("stages")
    }

    pub(crate) fn tool(&self, name: &str) -> PathBuf {
        self.tools.path().join(name)
    }

    /// Switches a fault of the stand-ins on.
    pub(crate) fn fault(self, name: &str) -> Self {
        std::fs::write(self.tools.path().join("faults").join(name), "").unwrap();
        self
    }

    fn command(&self, more: &[&str]) -> Command {
        self.command_at(&self.base(), more)
    }

    /// A run whose stage is made beside those of another bench.
    pub(crate) fn run_at(&self, base: &Path, more: &[&str]) -> Output {
        self.command_at(base, more).output().unwrap()
    }

    fn command_at(&self, base: &Path, more: &[&str]) -> Command {
        self.command_to(&self.suite.out(), base, more)
    }

    /// A run whose bundle root is spelled like this.
    pub(crate) fn run_to(&self, out: &Path, more: &[&str]) -> Output {
        self.command_to(out, &self.base(), more).output().unwrap()
    }

    fn command_to(&self, out: &Path, base: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(RUNTIME);
        command.args(["run", "--channel", "launchd_clean", "--plan"]).arg(self.suite.write());
        command.arg("--out").arg(out).arg("--staging-base").arg(base);
        for name in ["launchctl", "plutil", "log"] {
            command.arg("--stand-in").arg(format!("{name}={}", self.tool(name).display()));
        }
        command.args(more).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, more: &[&str]) -> Output {
        self.command(more).output().unwrap()
    }

    pub(crate) fn run_with(&self, variables: &[(&str, &str)], more: &[&str]) -> Output {
        self.command(more).envs(variables.iter().copied()).output().unwrap()
    }

    pub(crate) fn start(&self, more: &[&str]) -> Child {
        self.command(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// What `--json` printed.
    pub(crate) fn answer(output: &Output) -> Value {
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
    }

    pub(crate) fn diagnostics(&self) -> Value {
        self.suite.document("launchctl/launchctl_diagnostics.json")
    }

    /// Every call of the stand-ins, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.tools.path().join("calls.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Which verbs of launchctl were used, in order.
    pub(crate) fn verbs(&self) -> Vec<String> {
        self.calls().iter().filter_map(|call| call.split(' ').take(2).last().map(str::to_owned)).collect()
    }

    pub(crate) fn jobs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.tools.path().join("jobs")).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    pub(crate) fn stages(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.base()).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.file_name().is_some_and(|name| name != ".lock")).collect()
    }

    /// Processes whose command line names this bench's directories.
    pub(crate) fn processes(&self) -> Vec<String> {
        let mine = [self.tools.path(), self.suite.path()].map(|path| path.display().to_string());
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = entries.filter_map(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            Some(String::from_utf8_lossy(&line).replace('\0', " "))
        });
        lines.filter(|line| mine.iter().any(|path| line.contains(path))).collect()
    }

    /// No stage, no job, no process.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        assert_eq!(self.stages(), Vec::<PathBuf>::new(), "stages");
        assert_eq!(self.jobs(), Vec::<String>::new(), "jobs");
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.processes().is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(self.processes(), Vec::<String>::new(), "processes");
        let strays: Vec<PathBuf> = strays(&self.suite.out());
        assert_eq!(strays, Vec::<PathBuf>::new(), "files");
    }

    /// Exit status of `validate-bundle` on the newest run.
    pub(crate) fn validity(&self) -> Output {
        crate::suite::runtime(&["validate-bundle", "--bundle", self.suite.out().to_str().unwrap()])
    }
}

/// Temporary files that nobody renamed.
fn strays(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(strays(&entry.path()));
        } else if entry.file_name().to_string_lossy().contains(".tmp") {
            found.push(entry.path());
        }
    }
    found
}
