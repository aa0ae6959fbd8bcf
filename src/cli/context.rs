//! What the command line takes from its surroundings, read once.
#![expect(
    clippy::disallowed_methods,
    reason = "the one place that reads environment, working directory and executable path"
)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use super::exit::Failure;

/// Arguments, environment, working directory and executable of this process.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Arguments including the program's name.
    pub args: Vec<OsString>,
    /// Absolute working directory.
    pub cwd: PathBuf,
    /// Environment variables.
    pub env: BTreeMap<OsString, OsString>,
    /// This executable: what workers re-execute.
    pub exe: PathBuf,
    /// Whether stderr is a terminal (progress and colours only then).
    pub stderr_is_terminal: bool,
    /// Whether colours are wanted on stdout: a terminal and no `NO_COLOR`.
    pub colour: bool,
}

impl Context {
    /// Reads the process's surroundings.
    ///
    /// # Errors
    /// The working directory or the executable's path cannot be read.
    pub(crate) fn from_process(args: Vec<OsString>) -> Result<Self, Failure> {
        let env: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        let no_colour = env.get(std::ffi::OsStr::new("NO_COLOR")).is_some_and(|value| !value.is_empty());
        Ok(Self {
            args,
            cwd: std::env::current_dir()
                .map_err(|e| anyhow::Error::new(e).context("cannot read the working directory"))?,
            exe: std::env::current_exe().map_err(|e| anyhow::Error::new(e).context("cannot find this executable"))?,
            stderr_is_terminal: std::io::stderr().is_terminal(),
            colour: std::io::stdout().is_terminal() && !no_colour,
            env,
        })
    }

    /// A command-line path made absolute against the working directory; not resolved.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        self.cwd.join(path)
    }

    /// An environment variable's text, when set, not empty and UTF-8.
    pub(crate) fn env_text(&self, name: &str) -> Option<&str> {
        self.env.get(std::ffi::OsStr::new(name)).and_then(|value| value.to_str()).filter(|value| !value.is_empty())
    }
}
