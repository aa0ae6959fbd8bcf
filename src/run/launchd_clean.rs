//! A run on the clean channel: the same plan, run by a job of launchd, collected into a bundle of this process's own.
//!
//! The lock of the bundle root is held here for the whole time and the bundle is this process's from its first status to its
//! commit, so a job that never starts leaves a run marked failed, with everything launchd said.

use serde_json::Value;

use crate::base::cancel::Cancel;
use crate::base::ids::RunId;
use crate::base::rel_path::RelPath;
use crate::base::tree::Node;
use crate::bundle::layout::{self, name};
use crate::bundle::{
    BundleError, Identity, OpenBundle, Outcome, RunLock, RunManifest, SealedBundle, UnverifiedBundle, VerifiedBundle,
    resolve,
};
use crate::host::Host;
use crate::launchd::{DIAGNOSTICS_FILE, Executed, Failure, JobPlan, Stage, Step, Watch, execute, reap};

use super::progress::{Observer, Progress};
use super::session::{ALWAYS, Plans, RunError, RunOptions, check_world, sweep};

/// A run of the clean channel that reached its commit.
#[derive(Debug)]
pub struct Collected {
    /// The committed bundle.
    pub sealed: SealedBundle,
    /// Its summary; absent when the job left none.
    pub summary: Option<Value>,
    /// Its mismatches; absent when the job left none.
    pub mismatches: Option<Value>,
    /// Why the job left nothing to collect; the bundle is marked failed then.
    pub failure: Option<Failure>,
    /// What could not be taken away, in words.
    pub left: Vec<String>,
}

/// Hands the steps of a job on as progress of the run.
pub struct Told<'a>(pub &'a dyn Observer);

impl Watch for Told<'_> {
    fn step(&self, step: Step) {
        let text = match step {
            Step::Staged => "stage: ready".to_owned(),
            Step::Domain(domain) => format!("launchd domain: {domain}"),
            Step::Bootstrapped => "launchd has the job".to_owned(),
            Step::Started(pid) => format!("job: process {pid} has begun"),
            Step::Ended(word) => format!("job: {word}"),
            Step::TakenBack => "launchd has let the job go".to_owned(),
        };
        self.0.on(&Progress::Channel(text));
    }

    fn line(&self, line: &str) {
        // A line that is no progress of ours says nothing to anybody here; the job's output is kept whole.
        if let Ok(progress) = serde_json::from_str(line) {
            self.0.on(&progress);
        }
    }
}

/// Runs a plan through a planned job and commits what it left.
///
/// # Errors
/// [`RunError`], as [`super::run_plan`]. A job that fails is no error: it gives a committed bundle that is marked failed.
pub fn run_launchd_clean(
    plans: &Plans<'_>,
    options: &RunOptions,
    host: &Host,
    job: &JobPlan,
    observer: &dyn Observer,
    cancel: &Cancel,
) -> Result<Collected, RunError> {
    let world_rebound = check_world(plans, options, host)?;
    let bundle_error = |source| RunError::Bundle { out: options.out.clone(), source };
    let lock = RunLock::acquire(&options.out, options.lock_mode, &|| cancel.is_set()).map_err(bundle_error)?;
    sweep(&options.out, observer);
    let reaped = reap(job);
    if !(reaped.removed.is_empty() && reaped.kept.is_empty()) {
        observer.on(&Progress::Swept {
            removed: reaped.removed.iter().map(|path| path.display().to_string()).collect(),
            kept: reaped.kept.iter().map(|(path, why)| (path.display().to_string(), why.clone())).collect(),
        });
    }
    let identity = Identity {
        run_id: options.run_id.clone(),
        world_id: host.world_id.clone(),
        channel: options.channel.clone(),
        plan_id: plans.plan.plan_id.clone(),
        plan_digest: plans.plan.digest().to_string(),
    };
    let mut bundle =
        OpenBundle::create(lock, plans.path_root, identity.clone(), (host.clock)()).map_err(bundle_error)?;
    bundle.record_as(&job.job.recorded_dir);
    bundle.set_dry(options.dry);
    bundle.point_at_launchctl_diagnostics(&name(DIAGNOSTICS_FILE));
    let stage = match Stage::build(job) {
        Ok(stage) => stage,
        Err(error) => {
            // Nothing of the run can exist: a readable end is better than a run in progress for ever.
            let failed = failed(crate::base::error_chain(&error));
            bundle.seal(failed, &always(), (host.clock)()).map_err(bundle_error)?;
            return Err(error.into());
        }
    };
    let Executed { mut diagnostics, outcome } = execute(job, &stage, &Told(observer), cancel);
    let staged = outcome.and_then(|_| staged_bundle(job, plans, &identity));
    if matches!(staged, Err(Failure::Interrupted)) {
        // No bundle will tell what stayed, so it is told now.
        if let Err(error) = stage.remove() {
            diagnostics.left.push(crate::base::error_chain(&error));
        }
        return Err(RunError::Cancelled { run_id: options.run_id.clone(), left: diagnostics.left });
    }
    observer.on(&Progress::Sealing);
    let (mut summary, mut mismatches) = (None, None);
    let (outcome, expected, failure) = match staged {
        Ok(staged) => {
            let (outcome, expected) = collect(&mut bundle, &staged, job).map_err(bundle_error)?;
            let read = |constant| staged.read_json(&name(constant)).ok().flatten();
            (summary, mismatches) = (read(layout::SUMMARY_JSON), read(layout::MISMATCH_SUMMARY));
            (outcome, expected, None)
        }
        Err(failure) => {
            let mut manifest = RunManifest::direct(
                bundle.identity(),
                bundle.recorded_dir(),
                &job.job.stage_root.display().to_string(),
            );
            manifest.dry_run = options.dry;
            manifest.stage_used = true;
            manifest.stage_root = Some(job.job.stage_root.display().to_string());
            manifest.staged_output_root = Some(job.job.output_root.display().to_string());
            manifest.world_rebound = Some(world_rebound);
            manifest.stand_in_tools = Some(job.stand_in_tools.keys().cloned().collect());
            manifest.compiled_digest = plans.compiled_digest.digest.as_ref().map(ToString::to_string);
            bundle.write_json(&name(layout::RUN_MANIFEST), &manifest).map_err(bundle_error)?;
            (failed(failure.to_string()), always(), Some(failure))
        }
    };
    if let Err(error) = stage.remove() {
        diagnostics.left.push(crate::base::error_chain(&error));
    }
    for (file, bytes) in diagnostics.files(job) {
        let file = RelPath::try_from(file).expect("names of diagnostics are plain components");
        bundle.write(&file, &bytes).map_err(bundle_error)?;
    }
    let document = diagnostics.document(job, bundle.recorded_dir(), failure.as_ref());
    bundle.write_json(&name(DIAGNOSTICS_FILE), &document).map_err(bundle_error)?;
    let sealed = bundle.seal(outcome, &expected, (host.clock)()).map_err(bundle_error)?;
    Ok(Collected { sealed, summary, mismatches, failure, left: diagnostics.left })
}

fn failed(error: String) -> Outcome {
    Outcome::Failed { error, failure_stage: "exception".to_owned() }
}

/// What every run of this channel leaves.
fn always() -> Vec<RelPath> {
    ALWAYS.into_iter().chain([DIAGNOSTICS_FILE]).map(name).collect()
}

/// The bundle that the job left: proven, and of this very run.
fn staged_bundle(job: &JobPlan, plans: &Plans<'_>, identity: &Identity) -> Result<VerifiedBundle, Failure> {
    let refused = |message: String| Failure::Collect { message };
    let resolved = resolve(&job.collect.from).map_err(|error| refused(crate::base::error_chain(&error)))?;
    let verification = UnverifiedBundle::read(resolved).verify(0);
    let crate::bundle::Checked::Verified(staged) = verification.bundle else {
        let first = verification.findings.first().map(|finding| finding.message.clone());
        return Err(refused(first.unwrap_or_else(|| "it is not a bundle".to_owned())));
    };
    let manifest = staged.documents().manifest();
    let digest = plans.compiled_digest.digest.as_ref().map(ToString::to_string);
    let same = [
        ("run_id", RunId::try_from(staged.run_id().to_owned()).ok().as_ref() == Some(&identity.run_id)),
        ("world_id", manifest.text("world_id") == Some(&identity.world_id)),
        ("channel", manifest.text("channel") == Some(&identity.channel)),
        ("plan_digest", manifest.text("plan_digest") == Some(&identity.plan_digest)),
        ("compiled_digest", manifest.text("compiled_digest") == digest.as_deref()),
    ];
    match same.iter().find(|(_, same)| !same) {
        Some((fact, _)) => Err(refused(format!("its {fact} is not that of this run"))),
        None => Ok(staged),
    }
}

/// Copies what the job's index names; the status is this process's own. Returns how the run ended and what it should have left.
fn collect(
    bundle: &mut OpenBundle,
    staged: &VerifiedBundle,
    job: &JobPlan,
) -> Result<(Outcome, Vec<RelPath>), BundleError> {
    let mut expected = vec![name(layout::RUN_STATUS), name(DIAGNOSTICS_FILE)];
    for artifact in staged.names().filter(|artifact| artifact.as_str() != layout::RUN_STATUS) {
        // Verified a moment ago: what cannot be read now stays expected, and the index lists it as missing.
        if let Ok(Some(bytes)) = staged.read(&artifact) {
            bundle.write(&artifact, &bytes)?;
        }
        expected.push(artifact);
    }
    let prefix = format!("{}/", job.job.recorded_dir);
    let missing = staged.index().get("missing").and_then(Node::as_array).into_iter().flatten();
    expected.extend(missing.filter_map(|path| RelPath::try_from(path.as_str()?.strip_prefix(&prefix)?).ok()));
    let status = staged.documents().status();
    let outcome = match status.text("state") {
        Some("complete") => Outcome::Complete,
        _ => failed(status.text("error").unwrap_or("no reason was recorded").to_owned()),
    };
    Ok((outcome, expected))
}
