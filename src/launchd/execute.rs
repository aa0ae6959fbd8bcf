//! The sequence: domain, property list, bootstrap, wait, bootout. One failure ends it; the job is taken back in any case.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use super::diagnostics::{Diagnostics, Ran};
use super::job::{DomainPlan, JobPlan};
use super::record::{self, Finished, RecordError, Worker};
use super::stage::{Stage, is_held};
use super::wait::{Seen, Verdict, decide};
use crate::base::cancel::Cancel;
use crate::base::error_chain;
use crate::os::fs::{FsError, read_bounded, write_durable};
use crate::os::process::run_tool;

/// Most bytes kept of one command's output, and of each of the job's streams.
const OUTPUT_BYTES: usize = 1024 * 1024;
/// How long a worker that was taken back may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// Why a job left nothing that could be collected.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The plan says something else than its own givens lead to.
    #[error("the plan of the job contradicts itself at {}", places.join(", "))]
    Contradiction {
        /// The places, as JSON pointers.
        places: Vec<String>,
    },
    /// The property list or the job's document could not be written.
    #[error("cannot prepare the job")]
    Prepare(#[from] FsError),
    /// launchctl gave no answer about the graphical session, so there is no domain to choose.
    #[error("launchctl did not say which domain there is: {why}")]
    NoDomain {
        /// The reason.
        why: String,
    },
    /// launchd did not take the job.
    #[error("launchd did not take the job ({classification}): launchctl bootstrap {}", Rc(*.rc))]
    Bootstrap {
        /// `plist_invalid`, `domain_session_mismatch`, `plist_unreadable` or `bootstrap_failed`.
        classification: &'static str,
        /// The command's exit status.
        rc: Option<i32>,
        /// What it said.
        said: String,
    },
    /// launchd took the job, and the worker never began.
    #[error("the job did not begin within {limit_s} s")]
    NotStarted {
        /// The limit.
        limit_s: f64,
    },
    /// The worker did not finish in time, and was ended.
    #[error("the job did not finish within {limit_s} s and was ended")]
    NotFinished {
        /// The limit.
        limit_s: f64,
    },
    /// The worker died without a word.
    #[error("the job's process {pid} ended without a completion record")]
    Crashed {
        /// The process.
        pid: u32,
    },
    /// The worker found its own start unclean and ran nothing.
    #[error("the job did not start clean: {}", reasons.join(", "))]
    NotClean {
        /// The reasons.
        reasons: Vec<String>,
    },
    /// The worker could not run its command.
    #[error("the job could not run: {message}")]
    Worker {
        /// Its words.
        message: String,
    },
    /// A record of the job cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The worker would not end, so nothing it wrote can be trusted.
    #[error("the job was taken back, and its process goes on")]
    GoesOn,
    /// What the job left is not a bundle of this run.
    #[error("what the job left cannot be collected: {message}")]
    Collect {
        /// Why not.
        message: String,
    },
    /// Somebody asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// An exit status as messages show it.
struct Rc(Option<i32>);

impl std::fmt::Display for Rc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(rc) => write!(f, "ended with {rc}"),
            None => f.write_str("did not end by itself"),
        }
    }
}

impl Failure {
    /// The stable word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Contradiction { .. } => "plan_contradicts_itself",
            Self::Prepare(_) => "prepare_failed",
            Self::NoDomain { .. } => "domain_unknown",
            Self::Bootstrap { classification, .. } => classification,
            Self::NotStarted { .. } => "worker_not_started",
            Self::NotFinished { .. } => "worker_not_finished",
            Self::Crashed { .. } => "worker_crashed",
            Self::NotClean { .. } => "start_not_clean",
            Self::Worker { .. } => "worker_failed",
            Self::Record(_) => "record_unusable",
            Self::GoesOn => "bootout_failed",
            Self::Collect { .. } => "collect_failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self.kind() {
            "plan_contradicts_itself" => "nothing was handed to launchd; the paths must be absolute and UTF-8",
            "prepare_failed" => "the staging directory must be writable: choose another one with --staging-base",
            "plist_invalid" => {
                "plutil refused the property list; its words are in the bundle, launchctl/*.plutil_lint.*"
            }
            "domain_unknown" => "launchctl must answer within --launchd-helper-seconds; try `launchctl print` by hand",
            "domain_session_mismatch" => {
                "there is no graphical session; log in at the screen, or run from a login session"
            }
            "plist_unreadable" => {
                "launchd cannot read the stage; choose a directory outside Desktop and Documents with \
                                   --staging-base"
            }
            "bootstrap_failed" => {
                "launchctl's words and the log are in the bundle, launchctl/*.bootstrap.* and \
                                   launchctl/*.launchd_logshow.*"
            }
            "worker_not_started" => "launchd holds the job back; `launchctl print` of its label is in the bundle",
            "worker_not_finished" => "--launchd-timeout-seconds sets the limit; the job's output is in the bundle",
            "worker_crashed" => "what it printed is in the bundle, launchctl/*.stderr.txt",
            "start_not_clean" => "start the run from an ordinary login session, outside any sandbox",
            "worker_failed" => "the same plan with --channel direct shows whether the plan is at fault",
            "record_unusable" => "something else than the job wrote into its stage",
            "bootout_failed" => "launchctl bootout with the label named in the bundle ends it",
            "collect_failed" => "the job's own output is in the bundle, launchctl/*.stderr.txt",
            _ => "nothing of it is left",
        }
    }
}

/// One step of a job, in order of occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The stage stands.
    Staged,
    /// launchd's domain was chosen.
    Domain(String),
    /// launchd took the job.
    Bootstrapped,
    /// The worker has begun.
    Started(u32),
    /// The worker has ended, in this way.
    Ended(&'static str),
    /// The job is no longer launchd's.
    TakenBack,
}

/// Receives what goes on.
pub trait Watch {
    /// One step has happened.
    fn step(&self, step: Step);
    /// The worker wrote a line of progress.
    fn line(&self, line: &str);
}

/// What came of a job.
#[derive(Debug)]
pub struct Executed {
    /// What was done.
    pub diagnostics: Diagnostics,
    /// The worker's record, or why there is nothing to collect.
    pub outcome: Result<Finished, Failure>,
}

/// Executes a planned job on a stage that stands.
#[must_use]
pub fn execute(plan: &JobPlan, stage: &Stage, watch: &dyn Watch, cancel: &Cancel) -> Executed {
    watch.step(Step::Staged);
    let mut diagnostics = Diagnostics::default();
    let outcome = sequence(plan, &mut diagnostics, watch, cancel);
    for (kept, path) in diagnostics.output.iter_mut().zip(&plan.output) {
        *kept = output(path);
    }
    debug_assert_eq!(stage.root(), plan.stage.root);
    Executed { diagnostics, outcome }
}

fn sequence(
    plan: &JobPlan,
    diagnostics: &mut Diagnostics,
    watch: &dyn Watch,
    cancel: &Cancel,
) -> Result<Finished, Failure> {
    let document = serde_json::to_value(plan).expect("a plan is made of text and numbers");
    let found = super::check::contradictions(&document);
    if !found.is_empty() {
        return Err(Failure::Contradiction { places: found });
    }
    let asked = run("launchctl_print", &plan.choose_domain, plan, cancel);
    // A command that was ended, or could not be started, has not said that there is no session.
    let no_answer = asked.rc.is_none().then(|| asked.error.clone().unwrap_or_else(|| "it gave no answer".to_owned()));
    let domain = &plan.domains[usize::from(asked.rc != Some(0))];
    let name = format!("launchctl_print.{}", plan.domains[0].domain.replace('/', "_"));
    // It lists the session's services and environment, which may hold secrets: only how much there was is kept.
    let stdout = format!("({} bytes, not kept)\n", asked.stdout.len()).into_bytes();
    diagnostics.commands.push(Ran { name, stdout, ..asked });
    if cancel.is_set() {
        return Err(Failure::Interrupted);
    }
    if let Some(why) = no_answer {
        return Err(Failure::NoDomain { why });
    }
    diagnostics.domain = Some(domain.clone());
    watch.step(Step::Domain(domain.domain.clone()));

    record::write(&plan.job_path, &plan.job)?;
    diagnostics.plist = xml(domain);
    write_durable(&plan.plist_path, &diagnostics.plist)?;
    let lint = run("plutil_lint", &plan.lint, plan, cancel);
    // A tool that did not answer has said nothing about the list.
    let lint_passed = lint.rc.is_none_or(|rc| rc == 0);
    diagnostics.commands.push(lint);
    if cancel.is_set() {
        return Err(Failure::Interrupted);
    }

    let bootstrap = run("bootstrap", &domain.bootstrap, plan, cancel);
    let (rc, said) = (bootstrap.rc, String::from_utf8_lossy(&bootstrap.stderr).trim().to_owned());
    diagnostics.commands.push(bootstrap);
    if rc != Some(0) {
        // A command that was ended may have handed the job over all the same.
        if rc.is_none() {
            take_back(plan, domain, diagnostics);
        }
        if cancel.is_set() {
            return Err(Failure::Interrupted);
        }
        diagnostics.log_show = Some(run("launchd_logshow", &plan.log_show, plan, cancel));
        return Err(Failure::Bootstrap { classification: classify(lint_passed, domain, &plan.plist_path), rc, said });
    }
    watch.step(Step::Bootstrapped);

    let waited = wait(plan, diagnostics, watch, cancel);
    if matches!(waited, Err(Failure::NotStarted { .. } | Failure::Crashed { .. })) {
        diagnostics.commands.push(run("launchctl_print.job", &domain.print_job, plan, cancel));
    }
    let gone = take_back(plan, domain, diagnostics);
    watch.step(Step::TakenBack);
    if let Ok(finished) = &waited {
        diagnostics.completion = Some(finished.clone());
    }
    // Whatever else went wrong: a worker that goes on is not said to have been ended.
    if !gone {
        return Err(Failure::GoesOn);
    }
    let finished = waited?;
    match finished.outcome {
        record::Outcome::Finished => Ok(finished),
        record::Outcome::NotClean => Err(Failure::NotClean { reasons: finished.not_clean }),
        record::Outcome::Failed => {
            Err(Failure::Worker { message: finished.error.unwrap_or_else(|| "no reason was given".to_owned()) })
        }
    }
}

/// Why launchd refused: the first that applies.
fn classify(lint_passed: bool, domain: &DomainPlan, plist: &Path) -> &'static str {
    if !lint_passed {
        "plist_invalid"
    } else if domain.session_types.is_some() {
        "domain_session_mismatch"
    } else if read_bounded(plist, OUTPUT_BYTES as u64).is_err() {
        "plist_unreadable"
    } else {
        "bootstrap_failed"
    }
}

fn xml(domain: &DomainPlan) -> Vec<u8> {
    let mut bytes = Vec::new();
    domain.plist.to_writer_xml(&mut bytes).expect("strings, arrays and dictionaries can be written to memory");
    bytes
}

/// Runs one command to its end or to its limit.
fn run(name: &str, argv: &[String], plan: &JobPlan, cancel: &Cancel) -> Ran {
    let (program, arguments) = argv.split_first().expect("every planned command names its program");
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let limit = Duration::from_secs_f64(plan.helper_limit_s);
    let (name, argv) = (name.to_owned(), argv.to_vec());
    match run_tool(Path::new(program), &arguments, limit, OUTPUT_BYTES, cancel) {
        Ok(end) => Ran {
            name,
            argv,
            rc: end.exit_status.filter(|_| !end.timed_out),
            timed_out: end.timed_out,
            error: None,
            stdout: end.stdout,
            stderr: end.stderr,
        },
        Err(error) => Ran {
            name,
            argv,
            rc: None,
            timed_out: false,
            error: Some(error_chain(&error)),
            stdout: Vec::new(),
            stderr: Vec::new(),
        },
    }
}

/// Waits for the worker's record, and tells how that ended.
fn wait(
    plan: &JobPlan,
    diagnostics: &mut Diagnostics,
    watch: &dyn Watch,
    cancel: &Cancel,
) -> Result<Finished, Failure> {
    let begun = Instant::now();
    let mut worker: Option<Worker> = None;
    let mut told = 0;
    let (word, result) = loop {
        if worker.is_none() {
            worker = Worker::read(&plan.wait.started, &plan.run_id)?;
            if let Some(worker) = &worker {
                watch.step(Step::Started(worker.pid));
            }
        }
        // In this order: a worker that has gone has left its record before, or never will.
        let alive = worker.is_some() && is_held(&plan.wait.lock);
        let finished = Finished::read(&plan.wait.finished, &plan.run_id)?;
        tell_progress(&plan.wait.progress, &mut told, watch);
        let seen = Seen { started: worker.is_some(), alive, finished: finished.is_some() };
        let (start_limit_s, limit_s) = (plan.wait.start_limit_s, plan.wait.limit_s);
        match (decide(seen, begun.elapsed(), &plan.wait), finished) {
            (Verdict::Finished, Some(finished)) => break ("finished", Ok(finished)),
            (Verdict::Crashed, _) => {
                let pid = worker.map_or(0, |worker| worker.pid);
                break ("crashed", Err(Failure::Crashed { pid }));
            }
            (Verdict::NotStarted, _) => break ("not_started", Err(Failure::NotStarted { limit_s: start_limit_s })),
            (Verdict::NotFinished, _) => break ("not_finished", Err(Failure::NotFinished { limit_s })),
            (Verdict::Wait | Verdict::Finished, _) => {}
        }
        if cancel.is_set() {
            break ("interrupted", Err(Failure::Interrupted));
        }
        std::thread::sleep(Duration::from_millis(plan.wait.poll_ms));
    };
    diagnostics.waited = Some((begun.elapsed().as_secs_f64(), word));
    watch.step(Step::Ended(word));
    result
}

/// Hands on the whole lines that were added since the last look.
fn tell_progress(path: &Path, told: &mut usize, watch: &dyn Watch) {
    let Ok(bytes) = read_bounded(path, 16 * OUTPUT_BYTES as u64) else { return };
    let fresh = bytes.get(*told..).unwrap_or_default();
    let Some(end) = fresh.iter().rposition(|&byte| byte == b'\n') else { return };
    *told += end + 1;
    String::from_utf8_lossy(&fresh[..end]).lines().for_each(|line| watch.line(line));
}

/// Takes the job back from launchd and waits until its worker is gone; whether it is. Nobody's wish to stop stops this.
fn take_back(plan: &JobPlan, domain: &DomainPlan, diagnostics: &mut Diagnostics) -> bool {
    let never = Cancel::default();
    let first = run("bootout", &domain.bootout, plan, &never);
    let mut back = first.rc == Some(0);
    diagnostics.commands.push(first);
    if !back {
        let second = run("bootout_by_label", &domain.bootout_by_label, plan, &never);
        back = second.rc == Some(0);
        diagnostics.commands.push(second);
    }
    if !back {
        diagnostics.left.push(format!("{}/{}", domain.domain, plan.label));
    }
    let begun = Instant::now();
    while is_held(&plan.wait.lock) {
        if begun.elapsed() > GONE_WITHIN {
            return false;
        }
        std::thread::sleep(Duration::from_millis(plan.wait.poll_ms));
    }
    true
}

/// What the job wrote, as much as is kept.
fn output(path: &Path) -> Vec<u8> {
    match read_bounded(path, OUTPUT_BYTES as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => Vec::new(),
        Err(error) => format!("({error})\n").into_bytes(),
    }
}
