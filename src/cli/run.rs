//! `run`: a plan under its policies, into a committed bundle.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::base::digest::Sha256Hex;
use crate::base::error_chain;
use crate::base::ids::RunId;
use crate::base::json as document;
use crate::base::position;
use crate::base::text::counted;
use crate::bundle::{BundleError, SealedBundle};
use crate::event::AnchorMap;
use crate::fixture::FixtureSet;
use crate::lane::{BlobDigests, PreflightMode, PrepareError};
use crate::os::fs::read_bounded;
use crate::os::input::is_file;
use crate::plan::{self, CompileError, Filters};
use crate::registry::{self, Place, Used};
use crate::run::{
    CHANNEL_LAUNCHD_CLEAN, Counts, Observer, Plans, RunBundle, RunError, RunOptions, RunStatusWord, Staged, run_plan,
};
use crate::sandbox::{self, Layers};

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::lock_args::seconds;
use super::print_line;
use super::run_progress::RunProgress;

// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime run --plan plans/linux-baseline/plan.json --channel direct --out out
  runtime run --plan plan.json --only-profile demo:reader --fail-on-mismatch --json
  runtime run --plan plan.json --dry
  runtime run --plan plan.json --channel launchd_clean --print-job

Exit status: 0 the run is committed (with --fail-on-mismatch only when every row matched), 1 the run failed, was refused \
or interrupted, 2 usage, 3 the plan or what it needs cannot be read.")]
pub(crate) struct Args {
    /// Plan to run
    #[arg(long, value_name = "FILE")]
    pub(super) plan: PathBuf,
    /// Bundle root [default: `out` beside the plan]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Where the run happens
    #[arg(long, default_value = "direct", value_parser = ["direct", "launchd_clean"])]
    pub(super) channel: String,
    /// Execute nothing; commit a bundle of the documents that need no execution. LATEST goes on naming a run that was executed
    #[arg(long, conflicts_with = "fail_on_mismatch")]
    pub(super) dry: bool,
    /// Run only this profile (repeatable)
    #[arg(long, value_name = "ID")]
    pub(super) only_profile: Vec<String>,
    /// Run only this scenario, by expectation id (repeatable)
    #[arg(long, value_name = "ID")]
    pub(super) only_scenario: Vec<String>,
    #[command(flatten)]
    lock: super::lock_args::LockArgs,
    /// Probes executed at the same time [default: number of processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) jobs: Option<u16>,
    /// Time limit of one probe
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    pub(super) probe_timeout_seconds: f64,
    /// Exit with 1 unless every row was observed and matched
    #[arg(long)]
    pub(super) fail_on_mismatch: bool,
    /// Run a plan of another world; the evidence says so and is never promotable
    #[arg(long)]
    pub(super) rebind_world: bool,
    /// Leave an enforcement layer out, to see what it is good for; the evidence says so and is never promotable
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(super) without_layer: Vec<String>,
    /// Profiles with a sign that macOS refuses to apply them: do not look, do not apply them, or apply them all the same
    /// [default: enforce; SANDBOX_LORE_PREFLIGHT=0 means off, SANDBOX_LORE_PREFLIGHT_FORCE=1 force]
    #[arg(long, value_parser = ["off", "enforce", "force"])]
    pub(super) preflight: Option<String>,
    /// Which filters a text can be an argument of, for the oracle [default: the map that is part of the program]
    #[arg(long, value_name = "FILE")]
    pub(super) anchor_map: Option<PathBuf>,
    /// Compiled profiles that a world is known to refuse, by digest [default: the list that is part of the program]
    #[arg(long, value_name = "FILE")]
    pub(super) blob_digests: Option<PathBuf>,
    #[command(flatten)]
    pub(super) launchd: super::launchd::LaunchdArgs,
    #[command(flatten)]
    pub(super) lookup: super::lookup::LookupArgs,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    if let Some(out) = &args.out {
        super::outputs::outside_bundles(&context.absolute(out))?;
    }
    run_as(args, json, context, None)
}

/// The run itself. Inside a job of the clean channel, `job` is that job and what it measured of its start, and its observer.
pub(super) fn run_as(args: &Args, json: bool, context: &Context, job: Option<InJob<'_>>) -> CliResult {
    let stand_ins = args.launchd.stand_ins()?;
    let clean = args.channel == CHANNEL_LAUNCHD_CLEAN;
    if !clean && args.launchd.print_job {
        return Err(Failure::usage("--print-job prints the job of --channel launchd_clean; no other channel has one"));
    }
    let plan_path = context.absolute(&args.plan);
    let lookup = args.lookup.resolve(context, plan_path.parent().unwrap_or(&context.cwd));
    let place = Place::Disk(plan_path.clone());
    let plan = plan::load_plan(&place)?;
    let files = registry::for_plan(&place, &plan.registry_id, &lookup);
    let files = files.map_err(|error| in_plan(&plan, "/registry_id", error))?;
    let registry = registry::load(Some(&plan.registry_id), files, &lookup)?;
    let filters = Filters { profiles: args.only_profile.clone(), scenarios: args.only_scenario.clone() };
    let compiled = plan::compile(&plan, &registry, &filters).map_err(|error| {
        let pointer = match error {
            CompileError::UnknownProfiles { .. }
            | CompileError::DuplicateProfiles(_)
            | CompileError::NothingToRun(_) => "/profiles",
            _ => "",
        };
        in_plan(&plan, pointer, error)
    })?;
    let base = plan.base(lookup.root());
    let fixtures = match &plan.fixtures {
        Some(stored) => plan::load_fixtures(&base.resolve(stored)?)?,
        None => FixtureSet::empty(),
    };
    let needed: Vec<String> = compiled.profiles.iter().map(|profile| profile.id.clone()).collect();
    let (digest, missing) = plan::narrowed_digest(&plan, &registry, &fixtures, &base, &needed)?;
    if let Some(error) = missing {
        let why = error_chain(&error);
        super::note_line(&format!("note: the bundle records no compiled digest, because of what is not run: {why}"));
    }
    let mut options = options(args, context, &plan_path)?;
    let layers = sandbox::layers();
    let mut host = super::host::host(context)?;
    host.stand_in_tools.extend(stand_ins);
    host.probe_limit = seconds("--probe-timeout-seconds", args.probe_timeout_seconds)?;
    host.without_layers = known_layers(&args.without_layer, &layers)?;
    let anchors = match &args.anchor_map {
        Some(path) => table(path, "anchor map", context, AnchorMap::read)?,
        None => AnchorMap::shipped(),
    };
    let blob_digests = match &args.blob_digests {
        Some(path) => table(path, "list of digests", context, BlobDigests::read)?,
        None => BlobDigests::shipped(),
    };
    let plans = Plans {
        plan: &plan,
        compiled: &compiled,
        compiled_digest: &digest,
        fixtures: &fixtures,
        anchors: &anchors,
        blob_digests: &blob_digests,
        path_root: base.root(),
        registry_world: &registry.world_id,
        apply_preflight: match &plan.apply_preflight_profile {
            Some(stored) => Some((base.resolve(stored)?, stored.clone())),
            None => None,
        },
    };
    if clean && job.is_none() {
        let inputs = inputs(&plans, &place, &registry, &compiled_whole(&plan, &registry)?, args, context, &lookup);
        return super::launchd::run(args, json, context, &plans, &options, &host, inputs?);
    }
    if let Some(obstacle) = sandbox::obstacle(&layers).filter(|_| !options.dry) {
        super::note_line(&format!("warning: {obstacle}: no row can be decided (`runtime status` says more)"));
    }
    let cancel = super::host::cancel_on_signals()?;
    if let Some(job) = job {
        CHANNEL_LAUNCHD_CLEAN.clone_into(&mut options.channel);
        options.staged = Some(job.staged);
        host.stand_in_tools.extend(job.stand_in_tools);
        let bundle = run_plan(&plans, &options, &host, &layers, job.observer, &cancel);
        return Ok(exit(&bundle.map_err(|error| failure(error, args))?, args.fail_on_mismatch));
    }
    let progress = RunProgress::new(context.stderr_is_terminal, json);
    let result = run_plan(&plans, &options, &host, &layers, &progress, &cancel);
    progress.finish();
    let bundle = result.map_err(|error| failure(error, args))?;
    let typed = args.out.as_ref().unwrap_or(&options.out);
    show(&bundle, &registry.used, digest.digest.as_ref(), typed, json)?;
    Ok(exit(&bundle, args.fail_on_mismatch))
}

/// Why a plan cannot be run, with the plan's file and the place in it that `pointer` names.
fn in_plan(plan: &plan::Plan, pointer: &str, error: impl Into<anyhow::Error>) -> Failure {
    let mut place = plan.place().to_string();
    if let Some((line, column)) = position::locate(plan.document.text(), [pointer]).get(pointer) {
        place.push_str(&format!(":{line}:{column}"));
    }
    let at = if pointer.is_empty() { String::new() } else { format!(" at {pointer}:") };
    error.into().context(format!("{place}:{at} the plan cannot be run")).into()
}

/// The job of the clean channel that a run happens in.
pub(super) struct InJob<'a> {
    pub(super) staged: Staged,
    pub(super) stand_in_tools: BTreeMap<String, PathBuf>,
    pub(super) observer: &'a dyn Observer,
}

/// The files of every profile of the plan: the compiled digest is made over all of them, whatever is run.
fn compiled_whole(plan: &plan::Plan, registry: &registry::Registry) -> Result<Vec<Place>, Failure> {
    let whole = plan::compile(plan, registry, &Filters::default())?;
    Ok(whole.profiles.into_iter().map(|profile| profile.path).collect())
}

/// Every file on disk that the run reads.
fn inputs(
    plans: &Plans<'_>,
    place: &Place,
    registry: &registry::Registry,
    profiles: &[Place],
    args: &Args,
    context: &Context,
    lookup: &registry::Lookup,
) -> Result<Vec<PathBuf>, Failure> {
    let base = plans.plan.base(lookup.root());
    let fixtures = plans.plan.fixtures.as_ref().map(|stored| base.resolve(stored)).transpose()?;
    let named = [Some(place), fixtures.as_ref(), plans.apply_preflight.as_ref().map(|(place, _)| place)];
    let documents = registry.documents.iter().map(|document| &document.place);
    let places = named.into_iter().flatten().chain(documents).chain(profiles);
    let index = args
        .lookup
        .registry_index
        .as_ref()
        .map_or_else(|| plans.path_root.join(registry::INDEX_PATH), |path| context.absolute(path));
    let tables = [&args.anchor_map, &args.blob_digests].map(|path| path.as_ref().map(|path| context.absolute(path)));
    let more = std::iter::once(Some(index)).chain(tables);
    // What is reached through a link is refused when it is read, and a copy would not tell.
    let places = places.filter(|place| place.link().is_none());
    let files = places.filter_map(|place| place.disk_path().map(Path::to_path_buf)).chain(more.flatten());
    Ok(files.filter(|path| is_file(path)).collect())
}

/// A table that was named in place of the one that is part of the program. One that cannot be used ends the run.
fn table<T, E: std::error::Error + Send + Sync + 'static>(
    path: &Path,
    what: &str,
    context: &Context,
    read: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<T, Failure> {
    let about = |error: anyhow::Error| error.context(format!("cannot use the {what} {}", path.display()));
    let bytes =
        read_bounded(&context.absolute(path), document::MAX_DOCUMENT_BYTES).map_err(|error| about(error.into()))?;
    read(&bytes).map_err(|error| about(error.into()).into())
}

/// The given names, when each is a layer that this system's probe knows.
fn known_layers(names: &[String], layers: &Layers) -> Result<Vec<String>, Failure> {
    match names.iter().find(|name| !layers.layers.contains_key(*name)) {
        None => Ok(names.to_vec()),
        Some(unknown) => {
            let known: Vec<&str> = layers.layers.keys().map(String::as_str).collect();
            Err(Failure::usage(format_args!("--without-layer {unknown}: no such layer (known: {})", known.join(", "))))
        }
    }
}

fn options(args: &Args, context: &Context, plan_path: &Path) -> Result<RunOptions, Failure> {
    let beside = || plan_path.parent().unwrap_or(&context.cwd).join("out");
    let run_id = match context.env.get(OsStr::new("SANDBOX_LORE_RUN_ID")).filter(|value| !value.is_empty()) {
        // An id that was asked for is taken or refused, never replaced.
        Some(value) => RunId::try_from(value.to_string_lossy().into_owned())
            .map_err(|error| Failure::usage(format_args!("SANDBOX_LORE_RUN_ID {value:?} {error}")))?,
        None => RunId::random(),
    };
    let lock_mode = args.lock.mode()?;
    let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(RunOptions {
        out: args.out.as_ref().map_or_else(beside, |out| context.absolute(out)),
        run_id,
        channel: args.channel.clone(),
        dry: args.dry,
        rebind_world: args.rebind_world,
        lock_mode,
        preflight: preflight_mode(args, context),
        jobs: args.jobs.map_or_else(processors, usize::from),
        staged: None,
    })
}

/// What was asked for, else what the environment says.
fn preflight_mode(args: &Args, context: &Context) -> PreflightMode {
    let by_environment = || match context.env_text("SANDBOX_LORE_PREFLIGHT") {
        Some("0") => "off",
        _ if context.env_text("SANDBOX_LORE_PREFLIGHT_FORCE") == Some("1") => "force",
        _ => "enforce",
    };
    match args.preflight.as_deref().unwrap_or_else(by_environment) {
        "off" => PreflightMode::Off,
        "force" => PreflightMode::Force,
        _ => PreflightMode::Enforce,
    }
}

pub(super) fn failure(error: RunError, args: &Args) -> Failure {
    let refusal = error.is_refusal();
    let hint = match &error {
        RunError::OtherWorld { .. } => Some("--rebind-world runs it all the same; such evidence is never promotable"),
        RunError::ChannelNotAvailable { .. } => Some("on this system use --channel direct"),
        RunError::Bundle { source: BundleError::Lock(_), .. } if refusal && !args.lock.waits() => {
            Some("--lock-mode wait waits for the other run to end")
        }
        _ => None,
    };
    let excerpt = match &error {
        RunError::Prepare(PrepareError::Compile { diagnostics, .. }) => Some(diagnostics.render(false)),
        _ => None,
    };
    let failure = Failure { excerpt, ..if refusal { Failure::no(error) } else { Failure::from(error) } };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn show(
    bundle: &RunBundle,
    registry: &Used,
    digest: Option<&Sha256Hex>,
    out: &Path,
    json: bool,
) -> Result<(), Failure> {
    if json {
        return print_line(&document::to_pretty(&json!({
            "status": bundle.summary.status,
            "run_id": bundle.summary.run_id,
            "bundle_dir": bundle.sealed.run_dir.display().to_string(),
            "artifact_index_sha256": bundle.sealed.index_sha256,
            "latest": latest(&bundle.sealed),
            "registry": registry.source.to_string(),
            "registry_files": {"probes": registry.probes, "profiles": registry.profiles},
            "compiled_digest": digest,
            "summary": bundle.summary,
            "mismatches": bundle.mismatches.mismatches,
            "error": bundle.mismatches.error,
        })));
    }
    let summary = &bundle.summary;
    print_line(&format!("plan      {} in world {}", summary.plan_id, summary.world_id))?;
    print_line(&format!("registry  {registry}"))?;
    print_line(&counts_line(summary.profile_count, summary.scenario_count, &summary.counts))?;
    for mismatch in &bundle.mismatches.mismatches {
        let text = super::printable;
        // Most ids begin with the profile's.
        let under = match mismatch.expectation_id.strip_prefix(&mismatch.profile_id) {
            Some(rest) if rest.starts_with(':') => String::new(),
            _ => format!(" under {}", mismatch.profile_id),
        };
        let actual = mismatch.actual.map_or_else(|| "not observed".to_owned(), |actual| actual.to_string());
        print_line(&format!(
            "  {}  {}{}  {} {}: expected {}, {actual} ({})",
            mismatch.mismatch_type,
            text(&mismatch.expectation_id),
            text(&under),
            text(&mismatch.operation),
            text(&mismatch.path),
            mismatch.expected,
            text(&mismatch.notes)
        ))?;
    }
    let what = match (summary.status, &bundle.mismatches.error) {
        (RunStatusWord::Ok, _) => "all expectations met".to_owned(),
        (RunStatusWord::Partial, _) if !summary.lanes.scenario => {
            "no expectation was checked: the plan's scenario lane is off".to_owned()
        }
        (RunStatusWord::Partial, _) if summary.counts.not_supported > 0 => {
            let probes = counted(summary.counts.not_supported, "probe does", "probes do");
            format!("not all expectations checked: {probes} not support the scenario lane")
        }
        (RunStatusWord::Partial, _) if bundle.mismatches.mismatches.is_empty() => {
            let probes = counted(summary.counts.baseline_errors, "probe", "probes");
            format!("all expectations met, but {probes} gave no result in the baseline lane")
        }
        (RunStatusWord::Partial, _) => "not all expectations met".to_owned(),
        (RunStatusWord::Failed, error) => {
            format!("the run failed: {}", super::printable(error.as_deref().unwrap_or("no reason was recorded")))
        }
        (RunStatusWord::Dry, _) => "nothing was executed (--dry)".to_owned(),
    };
    print_line(&format!("result    {what}"))?;
    if !bundle.mismatches.mismatches.is_empty() {
        let root = super::shown_path(out);
        print_line(&format!("one told  runtime explain-event --bundle {root} --scenario ID"))?;
    }
    print_line(&format!("[+] wrote {}", super::shown_path(out.join(&summary.run_id))))?;
    show_latest(&bundle.sealed, out)
}

/// The run that `LATEST` names after a run.
pub(super) fn latest(sealed: &SealedBundle) -> &str {
    sealed.latest_stays.as_ref().unwrap_or(&sealed.run_id).as_str()
}

/// What became of `LATEST`.
pub(super) fn show_latest(sealed: &SealedBundle, out: &Path) -> Result<(), Failure> {
    let pointer = super::shown_path(out.join("LATEST"));
    match &sealed.latest_stays {
        None => print_line(&format!("[+] updated {pointer}")),
        Some(run_id) => print_line(&format!(
            "[~] {pointer} still names run {run_id}: a dry run does not take the place of one that was executed"
        )),
    }
}

fn counts_line(profiles: usize, scenarios: usize, counts: &Counts) -> String {
    let lost = match counts.baseline_errors {
        0 => String::new(),
        number => format!(", {number} without a result"),
    };
    format!(
        "rows      profiles {profiles}, scenarios {scenarios}: {} match, {} mismatch, {} error, {} not observed; \
         baseline refused {}{lost}",
        counts.matches, counts.mismatches, counts.errors, counts.not_observed, counts.baseline_refused
    )
}

fn exit(bundle: &RunBundle, fail_on_mismatch: bool) -> Exit {
    match bundle.summary.status {
        RunStatusWord::Failed => Exit::No,
        RunStatusWord::Partial if fail_on_mismatch => Exit::No,
        RunStatusWord::Ok | RunStatusWord::Partial | RunStatusWord::Dry => Exit::Yes,
    }
}
