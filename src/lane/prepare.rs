//! From a compiled plan to what the lanes need: profile texts as applied, compiled policies, probe facts.

use serde_json::Value;

use crate::base::digest::Sha256Hex;
use crate::base::json::MAX_DOCUMENT_BYTES;
use crate::event::{AnchorMap, FilterWish, ProbeFacts, choose_filter};
use crate::fixture::FixtureSet;
use crate::plan::{CompiledPlan, CompiledProfile, ProbeRow, resolve_target, target_parameters};
use crate::registry::{LaneSupport, Place, ProfileMode, TextError, applied_sources, read_profile_text};
use crate::sbpl::{Diagnostics, NoImports, Params, Policy, Source};
use crate::vocab::driver::{PROCESS_INHERITANCE, driver_asked_for};
use crate::vocab::target::{self, BadTarget};
use crate::vocab::{Asked, Driver, Platform};

use super::blob_digests::BlobDigests;
use super::static_preflight::{PreflightMode, is_gated, preflight_blob, preflight_text};

/// Everything needed to execute a plan.
#[derive(Debug)]
pub struct Prepared {
    /// Profiles in plan order.
    pub profiles: Vec<PreparedProfile>,
}

/// One profile, ready to be applied.
#[derive(Debug)]
pub struct PreparedProfile {
    /// Profile id.
    pub id: String,
    /// The profile's file.
    pub place: Place,
    /// The profile's path as the registry writes it.
    pub stored_path: String,
    /// What is applied, in order: the file's text, then the registry's appended rules when there are any. None of a compiled
    /// profile, which is never applied here.
    pub sources: Vec<Source>,
    /// Digest of the file.
    pub base_sha256: Sha256Hex,
    /// Digest of all texts in order.
    pub applied_sha256: Sha256Hex,
    /// Whether the text is compiled first and the result applied (macOS only).
    pub compiled: bool,
    /// What the static preflight found; `None` when it was off.
    pub preflight: Option<Value>,
    /// Probes in plan order.
    pub probes: Vec<ProbeFacts>,
    /// Lanes each of them supports, in the same order.
    pub supports: Vec<LaneSupport>,
}

/// What profiles are looked at for before anything runs.
#[derive(Debug, Clone, Copy)]
pub struct StaticPreflight<'a> {
    /// What is done about a profile with a sign that it cannot be applied.
    pub mode: PreflightMode,
    /// World of the host.
    pub world_id: &'a str,
    /// Compiled profiles that are known to be refused.
    pub blobs: &'a BlobDigests,
}

/// Why a plan cannot be executed.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The profile's text cannot be read.
    #[error("cannot use profile {profile}")]
    Text {
        /// Profile id.
        profile: String,
        /// The cause.
        source: TextError,
    },
    /// The profile is not valid SBPL.
    #[error("profile {profile} does not compile: {diagnostics}")]
    Compile {
        /// Profile id.
        profile: String,
        /// Every problem, with its place.
        diagnostics: Box<Diagnostics>,
    },
    /// A compiled profile cannot be applied on this system.
    #[error("profile {profile} has mode blob: only macOS applies one, and only from SBPL text that it compiles itself")]
    Blob {
        /// Profile id.
        profile: String,
    },
    /// A target uses a parameter that a run does not define.
    #[error("probe {probe} of profile {profile}: target {target:?} uses an unknown parameter (known: {known})")]
    UnknownParameter {
        /// Profile id.
        profile: String,
        /// Expectation id of the probe.
        probe: String,
        /// The target as written.
        target: String,
        /// What it may use.
        known: String,
    },
    /// A probe starts a program, and the plan's fixtures have none that it could be.
    #[error(
        "probe {probe} of profile {profile} asks for the driver {PROCESS_INHERITANCE}, and the plan's fixtures have no \
         entry of kind open_program for it to start"
    )]
    NoProgram {
        /// Profile id.
        profile: String,
        /// Expectation id of the probe.
        probe: String,
    },
    /// A target is not what its operation acts on.
    #[error("probe {probe} of profile {profile}: {target:?} is no target of {operation}")]
    Target {
        /// Profile id.
        profile: String,
        /// Expectation id of the probe.
        probe: String,
        /// The operation.
        operation: String,
        /// The target as written.
        target: String,
        /// The cause.
        source: BadTarget,
    },
}

/// Reads and compiles every profile and checks every target; nothing is executed.
///
/// # Errors
/// The first profile or probe that cannot be used; see [`PrepareError`].
pub fn prepare(
    plan: &CompiledPlan,
    fixtures: &FixtureSet,
    anchors: &AnchorMap,
    preflight: StaticPreflight<'_>,
) -> Result<Prepared, PrepareError> {
    // What the parameters will hold is not known yet; any values show whether texts and targets can be used.
    let params = fixtures.sample_parameters();
    let profiles = plan
        .profiles
        .iter()
        .map(|profile| prepare_profile(profile, (&params, fixtures), anchors, preflight))
        .collect::<Result<_, _>>()?;
    Ok(Prepared { profiles })
}

fn prepare_profile(
    profile: &CompiledProfile,
    (params, fixtures): (&Params, &FixtureSet),
    anchors: &AnchorMap,
    preflight: StaticPreflight<'_>,
) -> Result<PreparedProfile, PrepareError> {
    let refused = |source| PrepareError::Text { profile: profile.id.clone(), source };
    let stored = &profile.stored_path;
    // macOS compiles a text and applies the result; a file that is compiled already says nothing that could be compared.
    let compiled = profile.mode == ProfileMode::Blob && cfg!(target_os = "macos") && !stored.ends_with(".bin");
    let (sources, base_sha256, applied_sha256, record) = if profile.mode == ProfileMode::Blob && !compiled {
        let read = profile.path.read(MAX_DOCUMENT_BYTES);
        let bytes = read.map_err(|source| refused(TextError::Read { place: profile.path.clone(), source }))?;
        let digest = Sha256Hex::of(&bytes);
        let record = preflight_blob(&digest, stored, preflight.world_id, preflight.blobs);
        (Vec::new(), digest.clone(), digest, record)
    } else {
        let (text, base_sha256) = read_profile_text(&profile.path).map_err(refused)?;
        let sources = applied_sources(stored, text, &profile.key_specific_rules);
        let all: String = sources.iter().map(|source| source.text.as_str()).collect();
        let record = preflight_text(&sources, stored, preflight.world_id);
        (sources, base_sha256, Sha256Hex::of(all.as_bytes()), record)
    };
    let prepared = PreparedProfile {
        id: profile.id.clone(),
        place: profile.path.clone(),
        stored_path: profile.stored_path.clone(),
        base_sha256,
        applied_sha256,
        preflight: (preflight.mode != PreflightMode::Off).then_some(record),
        compiled,
        supports: profile.rows.iter().map(|row| row.supports_lanes).collect(),
        probes: profile
            .rows
            .iter()
            .map(|row| facts(profile, row, (params, fixtures), anchors))
            .collect::<Result<_, _>>()?,
        sources,
    };
    // One that is not applied anyway need not be one that could be.
    if !(prepared.is_blob() && prepared.gate(preflight.mode).is_some()) {
        prepared.policy(params)?;
    }
    Ok(prepared)
}

impl PreparedProfile {
    /// Whether it is a compiled profile.
    #[must_use]
    pub fn is_blob(&self) -> bool {
        self.sources.is_empty()
    }

    /// The sign for which the profile must not be applied.
    #[must_use]
    pub fn gate(&self, mode: PreflightMode) -> Option<&str> {
        let record = self.preflight.as_ref().filter(|record| mode == PreflightMode::Enforce && is_gated(record))?;
        record["signature"].as_str()
    }

    /// Compiles the profile with the given parameter values.
    ///
    /// # Errors
    /// [`PrepareError::Compile`]; [`PrepareError::Blob`], of which there is no text.
    pub fn policy(&self, params: &Params) -> Result<Policy, PrepareError> {
        if self.is_blob() {
            return Err(PrepareError::Blob { profile: self.id.clone() });
        }
        Policy::compile(&self.sources, params, &NoImports).map_err(|diagnostics| PrepareError::Compile {
            profile: self.id.clone(),
            diagnostics: Box::new(diagnostics),
        })
    }
}

fn facts(
    profile: &CompiledProfile,
    row: &ProbeRow,
    (params, fixtures): (&Params, &FixtureSet),
    anchors: &AnchorMap,
) -> Result<ProbeFacts, PrepareError> {
    let (name, probe, target) = (profile.id.clone(), row.expectation_id.clone(), row.target.clone());
    if target_parameters(&row.target).iter().any(|name| !params.contains_key(*name)) {
        let known = params.keys().map(|key| format!("${{{key}}}")).collect::<Vec<_>>().join(", ");
        return Err(PrepareError::UnknownParameter { profile: name, probe, target, known });
    }
    let operation = &row.operation;
    let asked =
        Asked { driver: row.driver.as_deref(), syscall: row.syscall.as_deref(), payload: row.attr_payload.as_deref() };
    let driver = Platform::of_this_build().and_then(|platform| driver_asked_for(operation, asked, platform));
    if driver == Some(Driver::InheritedRead) && fixtures.program_to_start().is_none() {
        return Err(PrepareError::NoProgram { profile: name, probe });
    }
    if let Some(driver) = driver.filter(|driver| !driver.takes_path())
        && let Err(source) = target::check(driver, &resolve_target(&row.target, params))
    {
        return Err(PrepareError::Target { profile: name, probe, operation: operation.to_string(), target, source });
    }
    let wish = FilterWish { number: row.filter_type, name: row.filter_name.as_deref(), driver: row.driver.as_deref() };
    Ok(ProbeFacts {
        profile_id: profile.id.clone(),
        name: row.name.clone(),
        expectation_id: row.expectation_id.clone(),
        operation: row.operation.as_str().to_owned(),
        driver: row.driver.clone(),
        syscall: row.syscall.clone(),
        attr_payload: row.attr_payload.clone(),
        performed: driver.map(|driver| driver.performs().to_owned()),
        target: row.target.clone(),
        resolved_target: row.target.clone(),
        intended_target: None,
        expected: row.expected,
        anchor_ctx_id: row.anchor_ctx_id.clone(),
        links_met: Vec::new(),
        filter: choose_filter(operation.as_str(), &row.target, wish, anchors),
    })
}
