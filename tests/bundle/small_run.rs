//! The smallest run there is, by the real binary: one profile, one probe, in a suite of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::suite::{Probe, RUNTIME, Suite};
use crate::support::validate;

pub(crate) struct SmallRun {
    /// Where everything lies: the suite's own directory is one of those that vanish with it.
    scratch: tempfile::TempDir,
    plan: PathBuf,
    _suite: Suite,
}

/// A directory in memory where there is one.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

impl SmallRun {
    pub(crate) fn new() -> Self {
        let probe = Probe::new("read", "file-read-data", "/etc/hostname", "deny");
        let suite = Suite::new().profile("small", "(version 1)\n(deny default)\n", vec![probe]);
        let plan = suite.write();
        Self { scratch: scratch(), plan, _suite: suite }
    }

    pub(crate) fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// The plan, in the suite's directory.
    pub(crate) fn plan(&self) -> &Path {
        &self.plan
    }

    /// The program and its arguments for a run into `root`; `dry` executes nothing.
    pub(crate) fn command_line(&self, root: &Path, dry: bool) -> Vec<String> {
        let words = [RUNTIME, "run", "--jobs", "1", "--plan"].map(str::to_owned);
        let mut words = words.to_vec();
        words.push(self.plan.display().to_string());
        words.extend(["--out".to_owned(), root.display().to_string()]);
        words.extend(dry.then(|| "--dry".to_owned()));
        words
    }

    /// The same as a command; what it leaves in its temporary directory goes with the scratch.
    pub(crate) fn command(&self, before: &[String], root: &Path, dry: bool) -> Command {
        let words = [before, &self.command_line(root, dry)].concat();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env("TMPDIR", self.path()).stdin(std::process::Stdio::null());
        command
    }

    /// A root with one committed run; returns its id.
    pub(crate) fn commit(&self, root: &Path) -> String {
        let output = self.command(&[], root, true).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        latest(root)
    }
}

/// The run that `LATEST` names.
pub(crate) fn latest(root: &Path) -> String {
    std::fs::read_to_string(root.join("LATEST")).unwrap().trim().to_owned()
}

/// The runs of a root but `known`.
pub(crate) fn others(root: &Path, known: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap());
    let names = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let names = names.map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| name != known && !name.starts_with('.')).collect()
}

/// What readers say of a root after something happened to a run in it that followed `before`: `absent`, `valid` or `refused`.
///
/// # Errors
/// A state that must not be, in words.
pub(crate) fn state(root: &Path, before: &str) -> Result<&'static str, String> {
    let (exit, document) = validate(&root.join(before));
    if exit != 0 {
        return Err(format!("the run before was harmed: {document}"));
    }
    let (exit, document) = validate(root);
    if exit != 0 {
        return Err(format!("LATEST leads to no valid run: {document}"));
    }
    let mut state = "absent";
    for run in others(root, before) {
        let (exit, document) = validate(&root.join(&run));
        let named = document["errors"].as_array().is_some_and(|errors| !errors.is_empty());
        match (exit, named) {
            (0, false) => state = "valid",
            (1, true) if latest(root) != run => state = "refused",
            _ => return Err(format!("{run} is neither valid nor refused by name: {document}")),
        }
    }
    Ok(state)
}

/// A call of the process that strace followed.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// Which of its name it is, from 1.
    pub(crate) number: usize,
    pub(crate) line: String,
}

/// The calls in `trace` (of `strace -y`), from the first that names `root` on.
pub(crate) fn calls(trace: &str, root: &Path) -> Vec<Call> {
    let root = root.to_str().unwrap();
    let mut counts = std::collections::HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((name, _)) = line.split_once('(') else { continue };
        let number = counts.entry(name).and_modify(|count| *count += 1).or_insert(1_usize);
        if !calls.is_empty() || line.contains(root) {
            calls.push(Call { name: name.to_owned(), number: *number, line: line.to_owned() });
        }
    }
    calls
}

impl Call {
    /// Whether it changes what stands in `root`, other than the lock and what a run cleans up behind itself.
    pub(crate) fn changes(&self, root: &Path) -> bool {
        let change = match self.name.as_str() {
            "openat" => self.line.contains("O_CREAT"),
            "mkdirat" | "write" | "fsync" | "renameat" => true,
            _ => false,
        };
        let own =
            [".runtime.fixtures", "/.tmp"].iter().any(|name| self.line.contains(&format!("{}{name}", root.display())));
        change && self.line.contains(root.to_str().unwrap()) && (!own || self.line.contains("/.tmp-"))
    }
}
