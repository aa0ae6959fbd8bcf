//! What one execution of one probe gave, before anybody judges it.

use serde::{Deserialize, Serialize};

use super::callout::{Applied, SeatbeltAnswers};
use crate::denial::DecisionRecord;
use crate::vocab::{CodeKind, FailureKind, FailureStage, Meaning, ResultCode};

/// Everything one lane knows about one execution of one probe.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observation {
    /// What the operation itself returned; `None` when the worker never got to say.
    pub effect: Option<Effect>,
    /// Why there is no usable result. Set exactly when the row is an error.
    pub fault: Option<Fault>,
    /// Decisions of the enforcement layer during this execution, in order. Empty in the baseline lane.
    pub records: Vec<DecisionRecord>,
    /// Records that were not kept because there were too many.
    pub records_dropped: u64,
    /// What the listener that the probe's target names saw meanwhile; `None` when it names none of the run's.
    pub listener: Option<ListenerRecord>,
    /// Exit status of the probe's process, when it exited by itself.
    pub exit_status: Option<i32>,
    /// Signal that ended the probe's process.
    pub signal: Option<i32>,
    /// Whether the time limit passed.
    pub timed_out: bool,
    /// Descriptors of whoever started the run that the probe's process still had; `None` when that was not seen.
    pub inherited_fds: Option<Vec<i32>>,
    /// What the system was asked under a policy that it enforces itself (macOS); `None` elsewhere and in the baseline lane.
    pub seatbelt: Option<SeatbeltAnswers>,
    /// How the policy was applied, where the system's own interface did it.
    pub applied: Option<Applied>,
    /// Whether missing targets of read probes were made before the policy was entered.
    pub precreate: bool,
    /// Command line of the worker.
    pub command: Vec<String>,
    /// What the worker wrote to stderr (bounded); diagnosis only.
    pub stderr: String,
    /// Start, seconds since 1970-01-01T00:00:00Z.
    pub started_at_unix_s: f64,
    /// End, seconds since 1970-01-01T00:00:00Z.
    pub finished_at_unix_s: f64,
    /// Duration in seconds by the monotonic clock.
    pub duration_s: f64,
}

impl Observation {
    /// Whether somebody beside the caller saw the effect: the listener a connection, the process a signal. `None` where
    /// nobody looks.
    #[must_use]
    pub fn effect_seen(&self) -> Option<bool> {
        let reached = || self.effect.as_ref()?.details.get(REACHED)?.as_bool();
        match &self.listener {
            Some(listener) => Some(listener.accept_count > 0),
            None => reached(),
        }
    }
}

/// Detail of a signal probe's result: the process it signalled.
pub const SIGNALLED: &str = "signalled_pid";
/// Detail of a signal probe's result: whether the signal reached that process.
pub const REACHED: &str = "reached";

/// Detail of an inheritance probe's result: the process that was started to do the work.
pub const STARTED_PID: &str = "started_pid";

/// Detail of a file probe's result: the path of what was opened, or null when the system did not say.
pub const OPENED_PATH: &str = "opened_path";
/// Detail of a file probe on macOS: the errno with which `F_GETPATH` failed.
pub const OPENED_PATH_ERRNO: &str = "opened_path_errno";
/// Detail of a file probe on macOS: the path without firmlinks (`F_GETPATH_NOFIRMLINK`), or null.
pub const OPENED_PATH_NOFIRMLINK: &str = "opened_path_nofirmlink";
/// Detail of a file probe on macOS: the errno with which that failed.
pub const OPENED_PATH_NOFIRMLINK_ERRNO: &str = "opened_path_nofirmlink_errno";

/// What one of the run's own listeners saw during one execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListenerRecord {
    /// Address it listens on; null for a unix socket.
    pub host: Option<String>,
    /// Port it listens on; null for a unix socket.
    pub port: Option<u16>,
    /// `ok`, or `closed` for a port that is held without listening.
    pub status: &'static str,
    /// Always null: a listener that cannot be made is the row's error.
    pub error: Option<String>,
    /// No connection of our own is made first: the baseline lane is the control.
    pub precheck: Precheck,
    /// Connections that arrived.
    pub accept_count: usize,
    /// Path of the unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Addresses they came from; empty for a unix socket.
    pub accepted_from: Vec<String>,
}

/// The connection made before a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Precheck {
    /// `skipped`.
    pub status: &'static str,
    /// Always null.
    pub error: Option<String>,
}

/// The operation's own result inside the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// System call or library call that was performed.
    pub call: String,
    /// 0 on success, otherwise the errno (numbering of the system it ran on).
    pub errno: i32,
    /// Name of that errno on the system it ran on; null on success.
    pub errno_name: Option<String>,
    /// The result of a call that returns no errno; `errno` is 0 then and says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ResultCode>,
    /// Why success of this call does not show that it was allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inconclusive: Option<String>,
    /// Anything else the driver saw (bytes moved, child status).
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub details: serde_json::Map<String, serde_json::Value>,
}

impl Effect {
    /// A call that succeeded.
    #[must_use]
    pub fn done(call: &str, details: serde_json::Map<String, serde_json::Value>) -> Self {
        Self { call: call.to_owned(), errno: 0, errno_name: None, code: None, inconclusive: None, details }
    }

    /// Whether the call failed, in whatever numbering.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.meaning() != Meaning::Done
    }

    /// What the result says about a refusal; an errno as macOS numbers it.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        match &self.code {
            Some(code) => code.meaning(),
            None => CodeKind::Errno.meaning(self.errno.into()),
        }
    }
}

/// Why an execution gave no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Where it stopped.
    pub stage: FailureStage,
    /// The format's word for it, where there is one.
    pub kind: Option<FailureKind>,
    /// Short stable word: `spawn`, `timeout`, `worker_died`, `probe_died`, `apply`, `unsupported`, `protocol`, `fixture`,
    /// `unavailable` (an interface of the system, or what the call needs, is not there).
    pub word: String,
    /// What happened, for people.
    pub message: String,
}
