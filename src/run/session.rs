//! The write order of one run.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::analysis::{MappingDocument, runtime_mappings};
use crate::base::cancel::Cancel;
use crate::base::digest::Sha256Hex;
use crate::base::error_chain;
use crate::base::ids::{RunId, file_stem};
use crate::base::json;
use crate::base::rel_path::RelPath;
use crate::bundle::layout::{self, name};
use crate::bundle::{ApplyPreflight, BundleError, Identity, OpenBundle, Outcome, RunLock, RunManifest, SealedBundle};
use crate::event::{
    AnchorMap, BASELINE_SCHEMA, BaselineDocument, MismatchSummary, ORACLE_SCHEMA, OracleDocument, OracleRow,
    ProfileResults, RESULTS_SCHEMA, ResultRow, RunnerInfo, WitnessDocument, control, fixture_records,
    meets_expectation, mismatch_packets, mismatch_summary, path_witnesses, settle,
};
use crate::fixture::{self, FixtureDir, FixtureError, FixtureField, FixtureSet};
use crate::host::Host;
use crate::lane::{
    BlobDigests, PreflightMode, PrepareError, Prepared, PreparedProfile, StaticPreflight, apply_preflight, oracle_rows,
    prepare, system_oracle_rows,
};
use crate::launchd::StageError;
use crate::os::lock::{LockError, LockMode};
use crate::plan::{CompiledDigest, CompiledPlan, Lanes, Plan};
use crate::registry::{Place, read_profile_text};
use crate::sandbox::Layers;
use crate::vocab::{Platform, world_matches};

use super::documents::{self, Counts, RunStatusWord, Summary};
use super::events;
use super::lanes::{Executed, Task, execute_lanes, execution_count};
use super::progress::{Observer, Progress};

/// Workers are children of this process.
pub const CHANNEL_DIRECT: &str = "direct";
/// What every run leaves, whatever its lanes and its channel.
pub(super) const ALWAYS: [&str; 8] = [
    layout::RUN_STATUS,
    layout::RUN_MANIFEST,
    layout::MISMATCH_SUMMARY,
    layout::MISMATCH_PACKETS,
    layout::SUMMARY_JSON,
    layout::SUMMARY_MD,
    layout::EXPECTED_MATRIX_GENERATED,
    layout::EXPECTED_MATRIX,
];

/// A launchd job outside any sandbox (macOS).
pub const CHANNEL_LAUNCHD_CLEAN: &str = "launchd_clean";

/// What [`CHANNEL_LAUNCHD_CLEAN`] needs and this system does not have.
pub(super) const LAUNCHD_CLEAN_NEEDS: &str =
    "it needs launchd (/bin/launchctl) and sandbox_init of macOS, and there is no fallback";

/// What to run.
#[derive(Debug)]
pub struct Plans<'a> {
    /// The plan document.
    pub plan: &'a Plan,
    /// The plan compiled against its registry, filters applied.
    pub compiled: &'a CompiledPlan,
    /// Digest of the plan with all it leads to, the files behind it included.
    pub compiled_digest: &'a CompiledDigest,
    /// The files its probes work on.
    pub fixtures: &'a FixtureSet,
    /// Which filters a text can be an argument of.
    pub anchors: &'a AnchorMap,
    /// Compiled profiles that are known to be refused.
    pub blob_digests: &'a BlobDigests,
    /// What stored paths are relative to.
    pub path_root: &'a Path,
    /// World the registry is bound to.
    pub registry_world: &'a str,
    /// The profile the plan wants applied once before the run: its file, and its path as the plan writes it.
    pub apply_preflight: Option<(Place, String)>,
}

/// How to run it.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Bundle root.
    pub out: PathBuf,
    /// Identity of the run; its directory must not exist yet.
    pub run_id: RunId,
    /// Channel name as asked for.
    pub channel: String,
    /// Execute nothing, but leave a bundle of the documents that need no execution.
    pub dry: bool,
    /// Run a plan of another world, marked as such.
    pub rebind_world: bool,
    /// What to do when the bundle root is locked.
    pub lock_mode: LockMode,
    /// What is done about profiles with a sign that they cannot be applied.
    pub preflight: PreflightMode,
    /// Executions at the same time, at least 1.
    pub jobs: usize,
    /// Of a run inside a job of the clean channel: the job.
    pub staged: Option<Staged>,
}

/// The job that a run of the clean channel happens in.
#[derive(Debug, Clone)]
pub struct Staged {
    /// The private directory the run works in.
    pub root: PathBuf,
    /// The run's directory as documents record it: that of the bundle which is made of this one.
    pub recorded_dir: String,
    /// What the job measured of its own start.
    pub start: Value,
}

/// A run that reached its commit.
#[derive(Debug, Clone)]
pub struct RunBundle {
    /// The committed bundle.
    pub sealed: SealedBundle,
    /// The summary it holds.
    pub summary: Summary,
    /// The mismatches it holds.
    pub mismatches: MismatchSummary,
}

/// Why a run did not reach its commit, or never began.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The channel exists, but not on this system.
    #[error("channel {channel} is not available on this system: {missing}")]
    ChannelNotAvailable {
        /// The channel.
        channel: String,
        /// What is missing.
        missing: String,
    },
    /// There is no channel of this name.
    #[error("unknown channel {0:?} (known: direct, launchd_clean)")]
    UnknownChannel(String),
    /// The plan or its registry belongs to another world.
    #[error("the {document} is bound to world {bound:?}, this host is {host:?}")]
    OtherWorld {
        /// `plan` or `registry`.
        document: &'static str,
        /// What it is bound to.
        bound: String,
        /// What the host is.
        host: String,
    },
    /// A profile or a probe cannot be used.
    #[error("the plan cannot be executed")]
    Prepare(#[from] PrepareError),
    /// A file is not what it was when the compiled digest was made a moment before.
    #[error("{0} changed while the plan was being read")]
    Changed(String),
    /// The worker's executable cannot be read.
    #[error("cannot read the worker executable {exe}")]
    Worker {
        /// Its path.
        exe: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The bundle cannot be written.
    #[error("cannot write the bundle under {}", out.display())]
    Bundle {
        /// The bundle root.
        out: PathBuf,
        /// The cause.
        #[source]
        source: BundleError,
    },
    /// The job of the clean channel has no stage to work in.
    #[error("cannot make the job's stage")]
    Stage(#[from] StageError),
    /// Somebody asked to stop.
    #[error("interrupted; run {run_id} was not committed and readers refuse it{}", left_behind(left))]
    Cancelled {
        /// The run that stays in progress.
        run_id: RunId,
        /// What could not be taken away, in words.
        left: Vec<String>,
    },
}

fn left_behind(left: &[String]) -> String {
    if left.is_empty() { String::new() } else { format!("; left behind: {}", left.join(", ")) }
}

impl RunError {
    /// Whether the answer is "no" rather than "could not answer".
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::ChannelNotAvailable { .. } | Self::OtherWorld { .. } | Self::Cancelled { .. } => true,
            Self::Bundle { source: BundleError::Lock(error), .. } => !matches!(error, LockError::Io { .. }),
            Self::Bundle { source, .. } => matches!(source, BundleError::RunExists { .. }),
            Self::UnknownChannel(_) | Self::Prepare(_) | Self::Changed(_) | Self::Worker { .. } | Self::Stage(_) => {
                false
            }
        }
    }
}

/// Runs a plan and commits its bundle.
///
/// Rows that fail, time out or are not observed are part of the bundle; an error that ends the lanes early is recorded
/// in a bundle marked failed.
///
/// # Errors
/// See [`RunError`]: before the lock is taken nothing has been written; afterwards the run stays in progress and readers
/// refuse it.
pub fn run_plan(
    plans: &Plans<'_>,
    options: &RunOptions,
    host: &Host,
    layers: &Layers,
    observer: &dyn Observer,
    cancel: &Cancel,
) -> Result<RunBundle, RunError> {
    check_channel(options)?;
    let world_rebound = check_world(plans, options, host)?;
    let preflight = StaticPreflight { mode: options.preflight, world_id: &host.world_id, blobs: plans.blob_digests };
    let prepared = prepare(plans.compiled, plans.fixtures, plans.anchors, preflight)?;
    let preflight_text = preflight_text(plans, options)?;
    check_profile_files(plans.compiled_digest, &prepared)?;
    let runner = runner_info(host, layers)?;
    let lanes = if options.dry { Lanes::NONE } else { plans.plan.lanes };

    let bundle_error = |source| RunError::Bundle { out: options.out.clone(), source };
    let lock = RunLock::acquire(&options.out, options.lock_mode, &|| cancel.is_set()).map_err(bundle_error)?;
    let identity = Identity {
        run_id: options.run_id.clone(),
        world_id: host.world_id.clone(),
        channel: options.channel.clone(),
        plan_id: plans.plan.plan_id.clone(),
        plan_digest: plans.plan.digest().to_string(),
    };
    sweep(&options.out, observer);
    let mut bundle = OpenBundle::create(lock, plans.path_root, identity, (host.clock)()).map_err(bundle_error)?;
    if let Some(staged) = &options.staged {
        bundle.record_as(&staged.recorded_dir);
    }
    let mut session = Session { plans, options, host, layers, lanes, prepared, bundle, world_rebound };

    let field = FixtureField::create(&host.temp_dir, &options.out);
    let field = field.as_ref();
    let preflight = preflight_text.map(|text| session.apply_preflight(&text, field, cancel));
    session.begin(preflight).map_err(bundle_error)?;
    observer.on(&Progress::Started {
        run_id: options.run_id.to_string(),
        profiles: session.prepared.profiles.len(),
        executions: execution_count(&session.prepared, lanes),
    });
    let executed = field.map_err(|error| error_chain(error)).and_then(|field| {
        let task = Task {
            prepared: &session.prepared,
            fixtures: plans.fixtures,
            field,
            lanes,
            preflight: options.preflight,
            plan_id: &plans.plan.plan_id,
            jobs: options.jobs,
            host,
            runner: &runner,
            observer,
            cancel,
        };
        let mut executed = execute_lanes(&task).map_err(|error| error_chain(&error))?;
        for (id, rows) in &mut executed.scenario {
            settle(id, rows, &executed.baseline);
        }
        if lanes.oracle && !cancel.is_set() {
            executed.oracle = match Platform::of_this_build() {
                Some(Platform::MacOs) => session.system_oracle(&executed.scenario, &runner),
                _ => session.ask_oracle(field),
            };
        }
        Ok(executed)
    });
    if cancel.is_set() {
        // Dropping the open bundle leaves it in progress.
        return Err(RunError::Cancelled { run_id: options.run_id.clone(), left: Vec::new() });
    }
    observer.on(&Progress::Sealing);
    session.finish(executed).map_err(bundle_error)
}

/// The text of the preflight profile, when there is one to apply.
fn preflight_text(plans: &Plans<'_>, options: &RunOptions) -> Result<Option<String>, RunError> {
    let Some((place, stored)) = plans.apply_preflight.as_ref().filter(|_| !options.dry) else { return Ok(None) };
    let refused = |source| PrepareError::Text { profile: stored.clone(), source };
    let (text, digest) = read_profile_text(place).map_err(refused)?;
    if plans.compiled_digest.apply_preflight.as_ref() != Some(&digest) {
        return Err(RunError::Changed(place.to_string()));
    }
    Ok(Some(text))
}

/// The digest that the bundle records is about the very bytes that are applied, or there is no run.
fn check_profile_files(digest: &CompiledDigest, prepared: &Prepared) -> Result<(), RunError> {
    let changed =
        prepared.profiles.iter().find(|profile| digest.profile_files.get(&profile.id) != Some(&profile.base_sha256));
    match changed {
        Some(profile) => Err(RunError::Changed(profile.place.to_string())),
        None => Ok(()),
    }
}

/// Removes what killed runs of this bundle root left behind, and says so.
pub(super) fn sweep(out: &Path, observer: &dyn Observer) {
    let fixture::Swept { removed, kept } = fixture::sweep(out);
    if !(removed.is_empty() && kept.is_empty()) {
        let text = |path: PathBuf| path.display().to_string();
        observer.on(&Progress::Swept {
            removed: removed.into_iter().map(text).collect(),
            kept: kept.into_iter().map(|(path, why)| (text(path), why)).collect(),
        });
    }
}

/// A run of the clean channel happens in a job; whoever asks for one without is told what is missing, whatever the environment
/// says.
fn check_channel(options: &RunOptions) -> Result<(), RunError> {
    match options.channel.as_str() {
        CHANNEL_DIRECT => Ok(()),
        CHANNEL_LAUNCHD_CLEAN if options.staged.is_some() => Ok(()),
        CHANNEL_LAUNCHD_CLEAN => Err(RunError::ChannelNotAvailable {
            channel: options.channel.clone(),
            missing: LAUNCHD_CLEAN_NEEDS.to_owned(),
        }),
        other => Err(RunError::UnknownChannel(other.to_owned())),
    }
}

/// Compares the worlds of plan and registry with the host's; returns whether the plan is rebound.
pub(super) fn check_world(plans: &Plans<'_>, options: &RunOptions, host: &Host) -> Result<bool, RunError> {
    let bound = [("plan", plans.plan.world_id.as_deref()), ("registry", Some(plans.registry_world))];
    for (document, world) in bound {
        let Some(world) = world.filter(|world| !world_matches(world, &host.world_id)) else { continue };
        if !options.rebind_world {
            let (bound, host) = (world.to_owned(), host.world_id.clone());
            return Err(RunError::OtherWorld { document, bound, host });
        }
        return Ok(true);
    }
    Ok(false)
}

fn runner_info(host: &Host, layers: &Layers) -> Result<RunnerInfo, RunError> {
    let exe = host.worker_exe.display().to_string();
    let digest = std::fs::File::open(&host.worker_exe)
        .and_then(Sha256Hex::of_reader)
        .map_err(|source| RunError::Worker { exe: exe.clone(), source })?
        .0;
    Ok(RunnerInfo {
        entrypoint: "runtime_worker",
        apply_model: "self_apply",
        apply_timing: "pre_syscall",
        preexisting_sandbox_suspected: layers.already_sandboxed != Some(false),
        entrypoint_path: exe,
        entrypoint_sha256: digest.to_string(),
        tool_build_id: digest.to_string(),
    })
}

struct Session<'a> {
    plans: &'a Plans<'a>,
    options: &'a RunOptions,
    host: &'a Host,
    layers: &'a Layers,
    lanes: Lanes,
    prepared: Prepared,
    bundle: OpenBundle,
    world_rebound: bool,
}

impl Session<'_> {
    fn world(&self) -> &str {
        &self.host.world_id
    }

    fn run_id(&self) -> &str {
        self.options.run_id.as_str()
    }

    fn plan_id(&self) -> &str {
        &self.plans.plan.plan_id
    }

    fn apply_preflight(&self, text: &str, field: Result<&FixtureField, &FixtureError>, cancel: &Cancel) -> Value {
        let stored = self.plans.apply_preflight.as_ref().map_or("", |(_, stored)| stored);
        let dir = field.map_err(|error| error_chain(error));
        let dir = dir.and_then(|field| FixtureDir::create(field.path()).map_err(|error| error_chain(&error)));
        apply_preflight(text, stored, self.run_id(), self.layers.already_sandboxed, dir, self.host, cancel)
    }

    /// What the system answered while the probes ran.
    fn system_oracle(&self, scenario: &IndexMap<String, Vec<ResultRow>>, runner: &RunnerInfo) -> Vec<OracleRow> {
        let of = |profile: &PreparedProfile| {
            let rows = scenario.get(&profile.id).map_or([].as_slice(), Vec::as_slice);
            system_oracle_rows(profile, rows, runner, self.world(), self.run_id())
        };
        self.prepared.profiles.iter().flat_map(of).collect()
    }

    /// Asks about the objects that the targets lead to in a tree of its own, for which no probe is run.
    fn ask_oracle(&self, field: &FixtureField) -> Vec<OracleRow> {
        let dir = FixtureDir::create(field.path()).and_then(|dir| dir.rebuild(self.plans.fixtures).map(|()| dir));
        let dir = dir.map_err(|error| error_chain(&error));
        let ask = |profile| oracle_rows(profile, dir.as_ref(), self.world(), self.run_id());
        self.prepared.profiles.iter().flat_map(ask).collect()
    }

    /// Everything that is known before the lanes: preflight record, manifest, expected matrices, profiles as applied.
    fn begin(&mut self, preflight: Option<Value>) -> Result<(), BundleError> {
        let apply_preflight = match preflight {
            None => None,
            Some(record) => {
                self.bundle.write_json(&name(layout::APPLY_PREFLIGHT), &record)?;
                Some(ApplyPreflight { path: layout::APPLY_PREFLIGHT.to_owned(), record })
            }
        };
        let context = self.plans.path_root.display().to_string();
        let mut manifest = RunManifest::direct(self.bundle.identity(), self.bundle.recorded_dir(), &context);
        manifest.dry_run = self.options.dry;
        self.bundle.set_dry(self.options.dry);
        manifest.apply_preflight = apply_preflight;
        manifest.world_rebound = Some(self.world_rebound);
        manifest.compiled_digest = self.plans.compiled_digest.digest.as_ref().map(ToString::to_string);
        manifest.stand_in_tools = Some(self.host.stand_in_tools.keys().cloned().collect());
        if let Some(staged) = &self.options.staged {
            manifest.stage_used = true;
            manifest.stage_root = Some(staged.root.display().to_string());
            manifest.staged_output_root = Some(self.options.out.display().to_string());
            manifest.clean_start = Some(staged.start.clone());
        }
        self.bundle.write_json(&name(layout::RUN_MANIFEST), &manifest)?;
        let matrix = self.plans.compiled.expected_matrix(self.world());
        self.bundle.write_json(&name(layout::EXPECTED_MATRIX_GENERATED), &matrix)?;
        self.bundle.write_json(&name(layout::EXPECTED_MATRIX), &matrix)?;
        self.write_applied_profiles()
    }

    /// Everything after the lanes: documents in the order of the format, then the commit.
    fn finish(mut self, executed: Result<Executed, String>) -> Result<RunBundle, BundleError> {
        let (mut executed, error) = match executed {
            Ok(executed) => (executed, None),
            Err(error) => (Executed::default(), Some(error)),
        };
        let results = self.profile_results(std::mem::take(&mut executed.scenario), &executed.baseline);
        if self.lanes.scenario && error.is_none() {
            self.bundle.write_json(&name(layout::RUNTIME_RESULTS), &results)?;
        }
        if self.lanes.baseline && error.is_none() {
            let document = BaselineDocument {
                schema_version: BASELINE_SCHEMA,
                world_id: self.world().to_owned(),
                run_id: self.run_id().to_owned(),
                results: executed.baseline,
            };
            self.bundle.write_json(&name(layout::BASELINE_RESULTS), &document)?;
            executed.baseline = document.results;
        }
        self.finish_lanes(&results, &executed, error)
    }

    fn finish_lanes(
        mut self,
        results: &IndexMap<String, ProfileResults>,
        executed: &Executed,
        error: Option<String>,
    ) -> Result<RunBundle, BundleError> {
        let Executed { baseline, oracle, reports, .. } = executed;
        let (events, text) = events::normalised(self.world(), self.run_id(), results, baseline);
        let witnesses = path_witnesses(self.world(), self.run_id(), self.plan_id(), results, baseline);
        if error.is_none() {
            self.write_event_documents(results, &text, &witnesses, executed)?;
        }
        if error.is_none() && self.lanes.scenario {
            self.write_mappings(&events)?;
            for (path, text) in &executed.observed {
                let path = RelPath::try_from(path.as_str()).expect("an encoded label is one plain component");
                self.bundle.write(&path, text)?;
            }
        }
        let mut mismatches = mismatch_summary(self.world(), results, baseline);
        mismatches.error.clone_from(&error);
        let packets = mismatch_packets(&mismatches, &events, baseline, oracle, &witnesses.records, &self.run_context());
        let mut lines: String = packets.iter().map(|packet| json::to_line_sorted(packet) + "\n").collect();
        if lines.is_empty() && self.lanes.scenario {
            // The format's way of saying "looked, and found none".
            lines.push('\n');
        }
        self.bundle.write(&name(layout::MISMATCH_PACKETS), lines.as_bytes())?;
        self.bundle.write_json(&name(layout::MISMATCH_SUMMARY), &mismatches)?;
        let (host, layers) = (self.host, self.layers);
        let report =
            documents::enforcement_report(self.world(), self.run_id(), host, layers, self.world_rebound, reports);
        self.bundle.write_json(&name(layout::ENFORCEMENT_REPORT), &report)?;
        let mut counts = documents::count(results, &mismatches);
        counts.not_supported = self.not_supported();
        (counts.baseline_refused, counts.baseline_errors) = documents::baseline_counts(baseline);
        let summary = self.summary(results, &mismatches, counts, error.is_some());
        self.bundle.write_json(&name(layout::SUMMARY_JSON), &summary)?;
        self.bundle.write(&name(layout::SUMMARY_MD), documents::summary_markdown(&summary).as_bytes())?;
        let outcome = match error {
            None => Outcome::Complete,
            Some(error) => Outcome::Failed { error, failure_stage: "exception".to_owned() },
        };
        let expected = self.expected_artifacts();
        let sealed = self.bundle.seal(outcome, &expected, (self.host.clock)())?;
        Ok(RunBundle { sealed, summary, mismatches })
    }

    fn write_applied_profiles(&mut self) -> Result<(), BundleError> {
        let texts = (0..self.prepared.profiles.len()).filter(|index| !self.prepared.profiles[*index].is_blob());
        for index in texts.collect::<Vec<_>>() {
            let text = documents::applied_text(&self.prepared, index);
            let path = applied_name(&self.prepared.profiles[index].id);
            self.bundle.write(&path, text.as_bytes())?;
        }
        Ok(())
    }

    fn profile_results(
        &self,
        rows: IndexMap<String, Vec<crate::event::ResultRow>>,
        baseline: &[crate::event::BaselineRow],
    ) -> IndexMap<String, ProfileResults> {
        let mut results = IndexMap::new();
        for (id, probes) in rows {
            let Some(profile) = self.prepared.profiles.iter().find(|profile| profile.id == id) else { continue };
            let blocked = probes.iter().any(|row| row.error.is_some());
            let met =
                |row: &crate::event::ResultRow| meets_expectation(row, control(baseline, &id, &row.expectation_id));
            let status = match (blocked, probes.iter().all(met)) {
                (true, _) => "blocked",
                (false, true) => "ok",
                (false, false) => "partial",
            };
            let entry = ProfileResults {
                status,
                profile_path: match profile.is_blob() {
                    true => profile.stored_path.clone(),
                    false => self.bundle.recorded_path(&applied_name(&id)),
                },
                base_profile_path: profile.stored_path.clone(),
                preflight: profile.preflight.clone(),
                notes: (status != "ok")
                    .then(|| "at least one probe has no result or another decision than expected".into()),
                schema_version: RESULTS_SCHEMA,
                run_id: self.run_id().to_owned(),
                base_profile_sha256: profile.base_sha256.to_string(),
                applied_profile_sha256: profile.applied_sha256.to_string(),
                overlays: Vec::new(),
                probes,
            };
            results.insert(id, entry);
        }
        results
    }

    /// Events, oracle, witnesses and fixtures, as far as their lanes ran.
    fn write_event_documents(
        &mut self,
        results: &IndexMap<String, ProfileResults>,
        events: &[u8],
        witnesses: &WitnessDocument,
        executed: &Executed,
    ) -> Result<(), BundleError> {
        if self.lanes.scenario {
            self.bundle.write(&name(layout::RUNTIME_EVENTS), events)?;
        }
        if self.lanes.oracle {
            let document = OracleDocument {
                schema_version: ORACLE_SCHEMA,
                world_id: self.world().to_owned(),
                run_id: self.run_id().to_owned(),
                results: executed.oracle.clone(),
            };
            self.bundle.write_json(&name(layout::ORACLE_RESULTS), &document)?;
        }
        if self.lanes.scenario || self.lanes.baseline {
            self.bundle.write_json(&name(layout::PATH_WITNESSES), witnesses)?;
            let records = fixture_records(results, &executed.baseline);
            let set = self.plans.fixtures;
            let fixtures = documents::fixtures_document(self.world(), self.run_id(), self.plan_id(), &records, set);
            self.bundle.write_json(&name(layout::FIXTURES), &fixtures)?;
        }
        Ok(())
    }

    /// What follows from the events, for readers who look for scenarios or operations.
    fn write_mappings(&mut self, events: &[Value]) -> Result<(), BundleError> {
        let profiles = &self.plans.compiled.profiles;
        let families = profiles.iter().map(|profile| (profile.id.clone(), profile.family.clone())).collect();
        let documents = runtime_mappings(self.world(), self.run_id(), events, &families)
            .expect("events that were just made are what the format says");
        for MappingDocument { path, text } in documents {
            self.bundle.write(&path, text.as_bytes())?;
        }
        Ok(())
    }

    fn run_context(&self) -> serde_json::Value {
        json!({
            "run_id": self.run_id(), "channel": self.options.channel, "world_id": self.world(),
            "repo_root_context": self.plans.path_root.display().to_string(),
            "run_manifest": self.bundle.recorded_path(&name(layout::RUN_MANIFEST)),
        })
    }

    /// Probes that the scenario lane would have executed, had they supported it.
    fn not_supported(&self) -> usize {
        let unsupported = |profile: &PreparedProfile| profile.supports.iter().filter(|lanes| !lanes.scenario).count();
        if self.lanes.scenario { self.prepared.profiles.iter().map(unsupported).sum() } else { 0 }
    }

    fn summary(
        &self,
        results: &IndexMap<String, ProfileResults>,
        mismatches: &MismatchSummary,
        counts: Counts,
        failed: bool,
    ) -> Summary {
        // Without the scenario lane no row could have met an expectation.
        let met = mismatches.mismatches.is_empty()
            && self.lanes.scenario
            && counts.not_supported == 0
            && counts.baseline_errors == 0;
        let status = match (failed, self.options.dry, met) {
            (true, ..) => RunStatusWord::Failed,
            (_, true, _) => RunStatusWord::Dry,
            (.., true) => RunStatusWord::Ok,
            (.., false) => RunStatusWord::Partial,
        };
        Summary {
            schema_version: "runtime-tools.summary.v0.1",
            world_id: self.world().to_owned(),
            run_id: self.run_id().to_owned(),
            status,
            plan_id: self.plan_id().to_owned(),
            plan_digest: self.bundle.identity().plan_digest.clone(),
            channel: self.options.channel.clone(),
            lanes: self.lanes,
            profile_count: self.prepared.profiles.len(),
            scenario_count: self.prepared.profiles.iter().map(|profile| profile.probes.len()).sum(),
            expected_profiles: self.prepared.profiles.iter().map(|profile| profile.id.clone()).collect(),
            mismatch_counts: mismatches.counts.clone(),
            dry_run: self.options.dry,
            counts,
            op_coverage: documents::op_coverage(results, mismatches),
            world_rebound: self.world_rebound,
        }
    }

    fn expected_artifacts(&self) -> Vec<RelPath> {
        let mut expected: Vec<&str> = ALWAYS.into();
        expected.push(layout::ENFORCEMENT_REPORT);
        if self.lanes.scenario {
            expected.extend([layout::RUNTIME_RESULTS, layout::RUNTIME_EVENTS]);
        }
        if self.lanes.baseline {
            expected.push(layout::BASELINE_RESULTS);
        }
        if self.lanes.scenario || self.lanes.baseline {
            expected.extend([layout::PATH_WITNESSES, layout::FIXTURES]);
        }
        if self.plans.apply_preflight.is_some() && !self.options.dry {
            expected.push(layout::APPLY_PREFLIGHT);
        }
        if self.lanes.oracle {
            expected.push(layout::ORACLE_RESULTS);
        }
        // Of a compiled profile nothing is applied.
        let texts = self.prepared.profiles.iter().filter(|profile| !profile.is_blob());
        let profiles = texts.map(|profile| applied_name(&profile.id));
        expected.into_iter().map(name).chain(profiles).collect()
    }
}

/// Where a profile's applied text stands inside the bundle; the id is encoded, never used as a path.
fn applied_name(profile_id: &str) -> RelPath {
    RelPath::try_from(format!("runtime_profiles/{}.runtime.sb", file_stem(profile_id)))
        .expect("an encoded id is one plain component")
}
