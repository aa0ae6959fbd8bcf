//! The unified log of macOS while a command runs: `log stream` between two refusals that are provoked on purpose.
//!
//! Layer 4. A live stream says neither from when on it is attached nor when everything has arrived. So both are asked with
//! sentinels: `sandbox-exec` runs a reader under a profile that denies it one file with a name nobody else knows, until that
//! very refusal is in the stream. Between the two sentinels the log is whole, unless a [`Gap`] says otherwise. Contract:
//! `SPEC.md`, section "Live log".
//!
//! Parts: `interval` (which lines count, and what speaks against having all of them; pure), `capture` (the stream and its
//! sentinels), `members` (whose refusals a command's are; pure).
//!
//! Invariants: no command begins before the first sentinel was seen; no sentinel within its limit, a stream that ends, a notice of
//! lost messages and a line that cannot be read are all states of their own; none of them is "nothing was refused".

mod capture;
mod interval;
mod members;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::denial::log::Logged;
use crate::host::Tool;

pub use capture::Capture;
pub use interval::Interval;
pub use members::{Mine, denial_lines, members};

/// The programs without which there is no live log.
pub const NEEDED: [Tool; 2] = [Tool::Log, Tool::SandboxExec];

/// How a log is captured.
#[derive(Debug, Clone)]
pub struct Capturing {
    /// Programs that are replaced.
    pub stand_in_tools: BTreeMap<String, PathBuf>,
    /// An existing private directory of the caller's, canonical: the sentinels' files are made in it.
    pub directory: PathBuf,
    /// Limit for each of the two sentinels to be seen.
    pub limit: Duration,
}

impl Capturing {
    /// The program to call.
    #[must_use]
    pub fn tool(&self, tool: Tool) -> PathBuf {
        tool.path(&self.stand_in_tools)
    }

    /// The names of the programs that are replaced, sorted.
    #[must_use]
    pub fn stand_ins(&self) -> Vec<String> {
        self.stand_in_tools.keys().cloned().collect()
    }
}

/// Which end of the interval a sentinel stands at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// Before the command begins.
    Start,
    /// After it has ended.
    End,
}

impl std::fmt::Display for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::End => "end",
        })
    }
}

/// Something for which a captured log may lack a refusal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Gap {
    /// The log tool could not be started.
    #[error("the log tool could not be started: {why}")]
    NotStarted {
        /// The reason.
        why: String,
    },
    /// A sentinel could not be provoked.
    #[error("no refusal could be provoked as a sentinel at the {edge}: {why}")]
    NoSentinel {
        /// Which one.
        edge: Edge,
        /// The reason.
        why: String,
    },
    /// A sentinel was provoked and not seen in time.
    #[error("the sentinel at the {edge} was not seen within {limit_s} s")]
    SentinelMissing {
        /// Which one.
        edge: Edge,
        /// The limit in seconds.
        limit_s: f64,
    },
    /// The log tool ended by itself.
    #[error("the log tool ended by itself ({})", status.map_or_else(|| "by a signal".to_owned(), |status| format!("exit status {status}")))]
    StreamEnded {
        /// Its exit status, unless a signal ended it.
        status: Option<i32>,
    },
    /// The log tool says that it lost messages.
    #[error("the log tool says: {notice}")]
    Dropped {
        /// Its words.
        notice: String,
    },
    /// Lines that are none of the log tool's.
    #[error("{lines} lines of the log could not be read")]
    Garbage {
        /// How many.
        lines: u64,
    },
    /// Lines beyond the limit were left out.
    #[error("{lines} lines of the log were longer than {limit_bytes} bytes")]
    TooLong {
        /// How many.
        lines: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// The log grew beyond the limit.
    #[error("the log grew beyond {limit_bytes} bytes")]
    TooMuch {
        /// The limit.
        limit_bytes: u64,
    },
    /// Messages about refusals in a shape that is not known.
    #[error("{messages} messages about refusals have a shape that is not known")]
    UnknownShape {
        /// How many.
        messages: u64,
    },
    /// Somebody asked to stop while a sentinel was waited for.
    #[error("interrupted while the sentinel at the {edge} was waited for")]
    Interrupted {
        /// Which one.
        edge: Edge,
    },
}

/// What was logged between the sentinels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Captured {
    /// Refusals and reported permissions, the sentinels' own left out.
    pub entries: Vec<Logged>,
    /// Processes that `sandbox-exec` put into a sandbox, by their own notices.
    pub applied: Vec<i32>,
    /// Why something may be missing; none: the log is whole.
    pub gaps: Vec<Gap>,
    /// The lines as they came.
    pub text: String,
}

/// What the log tool is called with.
#[must_use]
pub fn stream_arguments() -> Vec<String> {
    let words = ["stream", "--style", "ndjson", "--level", "debug", "--predicate", crate::denial::log::PREDICATE];
    words.map(str::to_owned).into()
}

/// What `sandbox-exec` is called with to provoke a sentinel: a reader is refused the data of `file`.
#[must_use]
pub fn sentinel_arguments(file: &Path) -> Vec<String> {
    let path = file.display().to_string();
    let quoted = path.replace('\\', "\\\\").replace('"', "\\\"");
    let profile = format!("(version 1)(allow default)(deny file-read-data (literal \"{quoted}\"))");
    ["-p", &profile, "/bin/cat", &path].map(str::to_owned).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_end_the_sentinels_rule() {
        let words = sentinel_arguments(Path::new("/tmp/a\"b\\c"));
        assert_eq!(words[1], "(version 1)(allow default)(deny file-read-data (literal \"/tmp/a\\\"b\\\\c\"))");
        assert_eq!(words[3], "/tmp/a\"b\\c");
    }

    #[test]
    fn a_gap_is_a_word_with_its_facts() {
        let gap = Gap::SentinelMissing { edge: Edge::End, limit_s: 2.5 };
        let document = serde_json::json!({"kind": "sentinel_missing", "edge": "end", "limit_s": 2.5});
        assert_eq!(serde_json::to_value(&gap).unwrap(), document);
        assert_eq!(gap.to_string(), "the sentinel at the end was not seen within 2.5 s");
    }
}
