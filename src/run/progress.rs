//! What a run tells while it works.

use serde::{Deserialize, Serialize};

use crate::vocab::Lane;

/// One step of a run, in order of occurrence; probes of different profiles may interleave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// What an earlier run, which was killed, had left of its fixtures was looked at before anything else.
    Swept {
        /// Directories that were removed.
        removed: Vec<String>,
        /// Those that were not, with the reason.
        kept: Vec<(String, String)>,
    },
    /// A step of the clean channel, in words.
    Channel(String),
    /// The bundle is open and the lanes are about to start.
    Started {
        /// The run.
        run_id: String,
        /// Number of profiles.
        profiles: usize,
        /// Number of executions over all lanes.
        executions: usize,
    },
    /// One execution has ended.
    Executed {
        /// Lane.
        lane: Lane,
        /// Profile.
        profile_id: String,
        /// Probe name.
        probe: String,
    },
    /// All executions of a profile in both lanes have ended.
    ProfileDone {
        /// Profile.
        profile_id: String,
        /// Number of its probes.
        probes: usize,
        /// Of those, how many matched their expectation.
        matches: usize,
    },
    /// All lanes have ended; documents are being written and made durable.
    Sealing,
}

/// Receives progress; called from worker threads.
pub trait Observer: Sync {
    /// One step has happened.
    fn on(&self, progress: &Progress);
}

/// Ignores all progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _progress: &Progress) {}
}
