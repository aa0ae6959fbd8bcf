//! The programs of macOS that are called, and where they are.
//!
//! A program that is replaced by another one is a stand-in: it is called in the program's place, and every record of the
//! run names it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::os::input::is_file;

/// A program of macOS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// Starts and ends jobs of launchd: launchctl(1).
    Launchctl,
    /// Checks property lists: plutil(1).
    Plutil,
    /// Reads the unified log: log(1).
    Log,
    /// Runs a command in a sandbox: sandbox-exec(1).
    SandboxExec,
    /// Says which system this is: sw_vers(1).
    SwVers,
}

impl Tool {
    /// Every program.
    pub const ALL: [Self; 5] = [Self::Launchctl, Self::Plutil, Self::Log, Self::SandboxExec, Self::SwVers];

    /// The program's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Launchctl => "launchctl",
            Self::Plutil => "plutil",
            Self::Log => "log",
            Self::SandboxExec => "sandbox-exec",
            Self::SwVers => "sw_vers",
        }
    }

    /// Where macOS has it.
    #[must_use]
    pub fn system_path(self) -> &'static str {
        match self {
            Self::Launchctl => "/bin/launchctl",
            Self::Plutil => "/usr/bin/plutil",
            Self::Log => "/usr/bin/log",
            Self::SandboxExec => "/usr/bin/sandbox-exec",
            Self::SwVers => "/usr/bin/sw_vers",
        }
    }

    /// The program with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    /// The program to call: its stand-in, else the system's.
    #[must_use]
    pub fn path(self, stand_ins: &BTreeMap<String, PathBuf>) -> PathBuf {
        stand_ins.get(self.name()).cloned().unwrap_or_else(|| PathBuf::from(self.system_path()))
    }
}

/// Those of `tools` that are neither replaced nor there, by the path where they should be.
#[must_use]
pub fn missing(tools: &[Tool], stand_ins: &BTreeMap<String, PathBuf>) -> Vec<String> {
    let paths = tools.iter().map(|tool| tool.path(stand_ins));
    paths.filter(|path| !is_file(path)).map(|path| path.display().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_called_in_the_place_of_the_program_it_replaces_and_of_no_other() {
        let stand_ins = BTreeMap::from([("log".to_owned(), PathBuf::from("/stand-ins/log"))]);
        let paths = Tool::ALL.map(|tool| tool.path(&stand_ins).display().to_string());
        let expected =
            ["/bin/launchctl", "/usr/bin/plutil", "/stand-ins/log", "/usr/bin/sandbox-exec", "/usr/bin/sw_vers"];
        assert_eq!(paths, expected);
        assert_eq!(missing(&[Tool::Log], &stand_ins), ["/stand-ins/log"]);
        assert!(Tool::ALL.into_iter().all(|tool| Tool::from_name(tool.name()) == Some(tool)));
        assert_eq!(Tool::from_name("git"), None);
    }
}
