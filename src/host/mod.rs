//! The machine a run happens on, and what a run needs from it.
//!
//! Layer 3. `SPEC.md` sections "Worlds" and "Host". The command line builds one [`Host`]; tests build their own.

mod tools;
mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

pub use tools::{Tool, missing};
pub use world::{OsRelease, WorldError, WorldFacts, detect_world};

/// Everything a run takes from its surroundings. The library reads no environment by itself.
#[derive(Debug, Clone)]
pub struct Host {
    /// Executable re-executed for workers; it must understand the hidden worker command.
    pub worker_exe: PathBuf,
    /// Environment handed to workers; nothing else of the caller's environment reaches them.
    pub worker_env: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    /// Directory in which private fixture directories are made.
    pub temp_dir: PathBuf,
    /// The world this host is.
    pub world_id: String,
    /// Time limit of one probe; 10 s unless set.
    pub probe_limit: Duration,
    /// External programs replaced by stand-ins (name to path). Evidence of such a run is never promotable.
    pub stand_in_tools: BTreeMap<String, PathBuf>,
    /// The program that is asked about every probe afterwards; `None`: nobody is asked.
    pub witness_observer: Option<WitnessObserver>,
    /// Whether missing targets of read probes are made before the policy is entered.
    pub file_precreate: bool,
    /// Enforcement layers left out on purpose, by name; recorded as absent.
    pub without_layers: Vec<String>,
    /// The wall clock.
    pub clock: fn() -> SystemTime,
}

/// How the witness observer is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct WitnessObserver {
    /// The program; `None` when it was not found.
    pub program: Option<PathBuf>,
    /// Whether it was switched off again.
    pub disabled: bool,
    /// How far back it looks where the times of a probe are not known, in its own words, for instance `10s`.
    pub last: String,
    /// Seconds before and after a probe that it looks at.
    pub pad_s: f64,
    /// Time limit of one question.
    pub limit: Duration,
}

impl Host {
    /// Seconds since 1970-01-01T00:00:00Z by this host's clock.
    #[must_use]
    pub fn now_unix_s(&self) -> f64 {
        crate::base::time::unix_seconds((self.clock)())
    }
}
