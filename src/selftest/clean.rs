//! The same checks made by a job of launchd, and what the job measured of its start.

use std::path::Path;

use super::{Check, Selftest};
use crate::base::cancel::Cancel;
use crate::base::error_chain;
use crate::bundle::layout::name;
use crate::bundle::{Checked, UnverifiedBundle, resolve};
use crate::launchd::{Diagnostics, Executed, Failure, Finished, JobPlan, Stage, Watch, execute, reap, verdict};

/// What came of a selftest in a job.
#[derive(Debug)]
pub struct InJob {
    /// The job's own checks with those of its start; one check that says why there are none, when the job failed.
    pub checks: Vec<Check>,
    /// How launchd was dealt with.
    pub diagnostics: Diagnostics,
    /// Why the job left nothing.
    pub failure: Option<Failure>,
}

/// Has a planned job make the checks.
///
/// # Errors
/// The stage cannot be made; nothing was handed to launchd then.
pub fn in_job(job: &JobPlan, watch: &dyn Watch, cancel: &Cancel) -> Result<InJob, crate::launchd::StageError> {
    let mut left: Vec<String> =
        reap(job).kept.into_iter().map(|(path, why)| format!("{}: {why}", path.display())).collect();
    let stage = Stage::build(job)?;
    let Executed { mut diagnostics, outcome } = execute(job, &stage, watch, cancel);
    let found = outcome.and_then(|finished| Ok((collected(&job.collect.from, &job.run_id)?, finished)));
    if let Err(error) = stage.remove() {
        left.push(error_chain(&error));
    }
    diagnostics.left.append(&mut left);
    Ok(match found {
        Ok((mut checks, finished)) => {
            checks.extend(start(&finished, &job.label));
            checks.push(left_behind(&diagnostics));
            InJob { checks, diagnostics, failure: None }
        }
        Err(failure) => {
            let why = format!("{}: {failure}", failure.kind());
            let checks =
                vec![Check::untried("channel.launchd_clean", "a job that finishes", why), left_behind(&diagnostics)];
            InJob { checks, diagnostics, failure: Some(failure) }
        }
    })
}

/// The checks of the bundle that the job left: proven, and of this very run.
fn collected(from: &Path, run_id: &str) -> Result<Vec<Check>, Failure> {
    let refused = |message: String| Failure::Collect { message };
    let resolved = resolve(from).map_err(|error| refused(error_chain(&error)))?;
    let verification = UnverifiedBundle::read(resolved).verify(0);
    let Checked::Verified(staged) = verification.bundle else {
        let first = verification.findings.first().map(|finding| finding.message.clone());
        return Err(refused(first.unwrap_or_else(|| "it is not a bundle".to_owned())));
    };
    if staged.run_id() != run_id {
        return Err(refused("its run_id is not that of this run".to_owned()));
    }
    let document = staged.read_json(&name(super::SELFTEST_FILE)).map_err(|error| refused(error_chain(&error)))?;
    let document = document.ok_or_else(|| refused(format!("it holds no {}", super::SELFTEST_FILE)))?;
    let selftest: Selftest = serde_json::from_value(document).map_err(|error| refused(error.to_string()))?;
    Ok(selftest.checks)
}

/// Whether the job's start was clean, fact by fact.
fn start(finished: &Finished, label: &str) -> Vec<Check> {
    let found = verdict(&finished.start, label);
    let facts =
        ["already_sandboxed", "sandbox_state_unknown", "other_job", "parent_not_launchd", "preloaded_libraries"];
    facts
        .map(|fact| {
            let id = format!("clean.{fact}");
            if fact == "parent_not_launchd" && finished.start.launchd_pid.is_none() {
                return Check::untried(id, "no", "a stand-in takes the place of launchd");
            }
            Check::compare(id, "no", if found.contains(&fact) { "yes" } else { "no" })
        })
        .into()
}

fn left_behind(diagnostics: &Diagnostics) -> Check {
    let left = if diagnostics.left.is_empty() { "nothing".to_owned() } else { diagnostics.left.join(", ") };
    Check::compare("channel.left_behind", "nothing", left)
}
