//! Enforcement of a profile: what a platform can express, applying it, and what was really enforced.
//!
//! Layer 3. Two entries, both of them one-way: [`enter`] confines this program's own code, [`exec`] a command. Each
//! forks the tree to confine, supervises it until its first process has ended, and ends what remains of it.
//!
//! Parts: [`lower`] (profile to what a kernel can express, pure), [`endpoint`] (socket addresses as profiles and records
//! see them, pure), [`report`] (what was enforced), [`callout`] (questions to `sandbox_check`, pure), `overlay` (the shipped overlay
//! for Linux programs), `linux` (the supervisor), `macos` (Seatbelt), [`sandbox_exec`] (a program of macOS that applies profiles). `SPEC.md`, section "Enforcement", owns the words of the report; `docs/linux-enforcement.md` holds the
//! threat model.
//!
//! Invariants: nothing that is not enforced is reported as enforced; a layer that is missing is named; a verdict that
//! is unknown is applied as deny; when the supervisor dies the tree dies and whatever it still asks for fails.

use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use crate::base::cancel::Cancel;
use crate::denial::DecisionRecord;
use crate::event::{Applied, Callout};
use crate::sbpl::{Params, Policy, Source};

pub mod callout;
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
mod elsewhere;
pub mod endpoint;
#[cfg(target_os = "linux")]
mod linux;
pub mod lower;
#[cfg(target_os = "macos")]
mod macos;
pub mod overlay;
pub mod report;
pub mod sandbox_exec;
// Only Linux has hooks for it.
#[cfg(target_os = "linux")]
pub mod weaken;

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
use elsewhere as platform;
#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(target_os = "macos")]
use macos as platform;

pub use report::{
    AppliedImport, AppliedOverlay, AppliedProfile, CommandReport, EnforcementReport, Layer, Layers, OperationStatus,
    Root, SkippedRoot, Status,
};

/// Which operations are brought before the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trap {
    /// All of them: every decided access leaves a record.
    All,
    /// Only those the profile does not allow everywhere; the others run at native speed. Only refusals leave a record.
    AsNeeded,
}

/// A profile as text: its sources in order, and the values of its parameters.
#[derive(Debug, Clone, Copy)]
pub struct ProfileText<'a> {
    /// Texts in order of evaluation.
    pub sources: &'a [Source],
    /// Values of `(param "KEY")`.
    pub params: &'a Params,
}

/// What to confine and how.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// The policy. `None` is the baseline: the same fork and the same loss of capabilities, and nothing enforced.
    pub policy: Option<&'a Policy>,
    /// The same policy as text, where it is known: what a system that reads profiles by itself applies.
    pub text: Option<ProfileText<'a>>,
    /// Which operations are brought before the supervisor.
    pub trap: Trap,
    /// Refuse nothing and record what would be refused. The Landlock domains are left out.
    pub observe: bool,
    /// Names of layers to leave out on purpose (see [`Layers`]); the report names them as absent.
    pub without_layers: Vec<String>,
    /// Whether it matters what was enforced: without, [`Supervised::report`] may be `None`. Working it out takes a tenth of a
    /// millisecond.
    pub report: bool,
    /// Descriptors the confined process keeps beside 0, 1 and 2; every other one is closed.
    pub keep: &'a [BorrowedFd<'a>],
    /// Whether the profile's text is compiled first and the result applied. Systems that read no profiles by themselves refuse
    /// that.
    pub compiled: bool,
    /// What the process to be confined does just before it enters the policy. Only systems where it enters the policy by its
    /// own call do this; the others refuse the job.
    pub before: Option<Before<'a>>,
}

/// Something done before a policy is entered.
#[derive(Clone, Copy)]
pub struct Before<'a>(pub &'a dyn Fn());

impl std::fmt::Debug for Before<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Before")
    }
}

impl<'a> Job<'a> {
    /// A job that enforces `policy` with every layer and traps everything.
    #[must_use]
    pub fn new(policy: Option<&'a Policy>) -> Self {
        Self {
            policy,
            text: None,
            trap: Trap::All,
            observe: false,
            without_layers: Vec::new(),
            report: true,
            keep: &[],
            compiled: false,
            before: None,
        }
    }
}

/// A command for [`exec`].
#[derive(Debug, Clone)]
pub struct Command {
    /// Path of the program, or a name to look up in `PATH` of `env`.
    pub program: OsString,
    /// Arguments, the program's own name first.
    pub argv: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory.
    pub cwd: PathBuf,
    /// Ends the tree when set.
    pub cancel: Cancel,
}

/// How the first process of the tree ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It exited with this status, 0 to 255.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
}

/// How often one record's access was repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tally {
    /// Number of equal accesses, at least 1.
    pub count: u64,
    /// When the last of them was decided, in seconds since 1970-01-01T00:00:00Z.
    pub last_at_unix_s: f64,
}

/// What came of a confined tree.
#[derive(Debug, Clone)]
pub struct Supervised {
    /// How its first process ended.
    pub end: End,
    /// [`exec`] only: errno with which the program could not be started. `end` is then `Exited(126)`, or `Exited(127)`
    /// when the program does not exist.
    pub exec_errno: Option<i32>,
    /// Whether [`Command::cancel`] ended the tree.
    pub cancelled: bool,
    /// Decisions in order of their first occurrence. Equal ones (all but the time) are one record.
    pub records: Vec<DecisionRecord>,
    /// How often each of `records` occurred, in the same order.
    pub tallies: Vec<Tally>,
    /// Decisions that were not kept, because too many different ones had been kept already.
    pub records_dropped: u64,
    /// What was enforced; `None` without a policy.
    pub report: Option<EnforcementReport>,
    /// How the policy was applied, where the system's own interface did it.
    pub applied: Option<Applied>,
}

impl Supervised {
    /// A tree that ended, of which nothing else is known.
    pub(crate) fn ended(end: End) -> Self {
        Self {
            end,
            exec_errno: None,
            cancelled: false,
            records: Vec::new(),
            tallies: Vec::new(),
            records_dropped: 0,
            report: None,
            applied: None,
        }
    }
}

/// Why a tree could not be confined. Nothing of it runs then.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// This system has no enforcement of ours.
    #[error("enforcing a profile is not available on {system}")]
    NotAvailable {
        /// The system's name.
        system: &'static str,
    },
    /// A layer without which nothing can be enforced is missing.
    #[error("cannot enforce the profile here: missing {}", missing.join(", "))]
    MissingLayers {
        /// The layers' names with their details.
        missing: Vec<String>,
    },
    /// The calling process has more than one thread.
    #[error("the calling process has {threads} threads; only a process with one thread can be the supervisor")]
    NotSingleThreaded {
        /// Number of threads found.
        threads: usize,
    },
    /// One step of the set-up failed.
    #[error("cannot {step}")]
    SetUp {
        /// What was attempted, as a verb phrase.
        step: &'static str,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// One step failed inside the process to be confined, before it ran anything.
    #[error("the process to be confined cannot {step}")]
    InsideSetUp {
        /// What was attempted, as a verb phrase.
        step: &'static str,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The system did not apply the profile.
    #[error("{} did not apply the profile (errno {}): {}", .0.api, .0.errno, .0.errbuf.as_deref().unwrap_or("no reason given"))]
    NotApplied(Applied),
    /// The process that keeps the tree died.
    #[error("the process that keeps the confined tree together ended unexpectedly")]
    ReaperDied,
}

/// Runs `body` in a forked process confined by the job's policy; the process exits with what `body` returns.
///
/// The calling process becomes the supervisor, and dies with its own parent: it must have one thread, loses capabilities, enters an outer Landlock
/// domain and is good for nothing else afterwards than handing on the result over descriptors it has already.
///
/// # Errors
/// [`SandboxError`]; nothing of `body` has run then.
pub fn enter(job: &Job<'_>, body: impl FnOnce() -> u8) -> Result<Supervised, SandboxError> {
    can_be_done(job)?;
    platform::enter(job, body)
}

/// Runs a command confined by the job's policy, judged from its first exec on. The calling process becomes the
/// supervisor as for [`enter`].
///
/// # Errors
/// [`SandboxError`]; the command has not been started then. A command that cannot be executed is no error but
/// [`Supervised::exec_errno`].
pub fn exec(job: &Job<'_>, command: &Command) -> Result<Supervised, SandboxError> {
    can_be_done(job)?;
    platform::exec(job, command)
}

/// What only a system that reads profiles by itself can do is refused elsewhere, not left out.
fn can_be_done(job: &Job<'_>) -> Result<(), SandboxError> {
    let step = match (job.compiled, job.before) {
        (true, _) => "apply a compiled profile",
        (_, Some(_)) => "do anything before the policy is entered",
        _ => return Ok(()),
    };
    if cfg!(target_os = "macos") {
        return Ok(());
    }
    Err(SandboxError::SetUp { step, source: std::io::ErrorKind::Unsupported.into() })
}

/// Why no profile can be enforced in an environment that offers `layers`; `None` when profiles can be enforced there.
#[must_use]
pub fn obstacle(layers: &Layers) -> Option<SandboxError> {
    platform::obstacle(layers)
}

/// What the system says about this process being in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfCheck {
    /// The interface that was asked.
    pub source: &'static str,
    /// The answer, or why there is none.
    pub answer: Result<bool, NoSelfCheck>,
}

impl SelfCheck {
    /// The answer; `None` where there is none, which is not "no".
    #[must_use]
    pub fn sandboxed(&self) -> Option<bool> {
        self.answer.clone().ok()
    }
}

/// Why it is not known whether this process is in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSelfCheck {
    /// The system has no interface that says it.
    #[error("{0} is not exported by this system")]
    Absent(&'static str),
    /// The interface gave neither of its two answers.
    #[error("it returned {0}, which is neither yes nor no")]
    Unclear(i32),
}

/// What the return value of the call for a whole process says; `None`: there is no such call.
///
/// # Errors
/// It says neither yes nor no.
pub fn process_answer(rc: Option<i32>) -> Result<bool, NoSelfCheck> {
    match rc {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(other) => Err(NoSelfCheck::Unclear(other)),
        None => Err(NoSelfCheck::Absent("sandbox_check")),
    }
}

/// Asks the running system what it would decide for this process.
///
/// # Errors
/// The question cannot be put; everywhere but on macOS none can.
pub fn ask(question: &callout::Question<'_>) -> Result<Callout, callout::NotAsked> {
    #[cfg(target_os = "macos")]
    {
        macos::ask(question)
    }
    #[cfg(not(target_os = "macos"))]
    {
        let _ = question;
        Err(callout::NotAsked::OtherSystem)
    }
}

/// Asks the system whether this process is in a sandbox already.
#[must_use]
pub fn self_check() -> SelfCheck {
    platform::self_check()
}

/// Finds out which layers of enforcement this environment offers. Reads and probes, changes nothing.
#[must_use]
pub fn layers() -> Layers {
    platform::probe()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_missing_is_not_the_answer_no() {
        assert_eq!(process_answer(Some(0)), Ok(false));
        assert_eq!(process_answer(Some(1)), Ok(true));
        assert_eq!(process_answer(Some(-1)), Err(NoSelfCheck::Unclear(-1)));
        assert_eq!(process_answer(None), Err(NoSelfCheck::Absent("sandbox_check")));
        let check = SelfCheck { source: "sandbox_check", answer: process_answer(None) };
        assert_eq!(check.sandboxed(), None);
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn what_only_seatbelt_can_do_is_refused_elsewhere() {
        let nothing = || {};
        for job in [Job { compiled: true, ..Job::new(None) }, Job { before: Some(Before(&nothing)), ..Job::new(None) }]
        {
            assert!(matches!(enter(&job, || 0), Err(SandboxError::SetUp { .. })), "{job:?}");
        }
    }
}
