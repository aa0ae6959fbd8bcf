//! From a compiled plan to what the lanes need: profile texts as applied, compiled policies, probe facts.

use std::collections::BTreeSet;

use crate::base::digest::Sha256Hex;
use crate::event::ProbeFacts;
use crate::plan::{CompiledPlan, CompiledProfile, ProbeRow};
use crate::registry::{LaneSupport, Place, ProfileMode, TextError, applied_sources, read_profile_text};
use crate::sbpl::{Diagnostics, NoImports, Params, Policy, Source};
use crate::vocab::Platform;
use crate::vocab::driver::driver;

use super::execute::params;

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
    /// What is applied, in order: the file's text, then the registry's appended rules when there are any.
    pub sources: Vec<Source>,
    /// Digest of the file.
    pub base_sha256: Sha256Hex,
    /// Digest of all texts in order.
    pub applied_sha256: Sha256Hex,
    /// Probes in plan order.
    pub probes: Vec<ProbeFacts>,
    /// Lanes each of them supports, in the same order.
    pub supports: Vec<LaneSupport>,
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
    #[error("profile {profile} does not compile\n{}", diagnostics.render(false))]
    Compile {
        /// Profile id.
        profile: String,
        /// Every problem, with its place.
        diagnostics: Box<Diagnostics>,
    },
    /// A compiled blob cannot be applied on this system.
    #[error("profile {profile} is a compiled blob; only SBPL text can be applied on this system")]
    Blob {
        /// Profile id.
        profile: String,
    },
    /// A target uses a parameter that a run does not define.
    #[error("probe {probe} of profile {profile}: target {target:?} uses an unknown parameter (known: ${{FIXTURES}})")]
    UnknownParameter {
        /// Profile id.
        profile: String,
        /// Expectation id of the probe.
        probe: String,
        /// The target as written.
        target: String,
    },
}

/// Reads and compiles every profile and checks every target; nothing is executed.
///
/// # Errors
/// The first profile or probe that cannot be used; see [`PrepareError`].
pub fn prepare(plan: &CompiledPlan) -> Result<Prepared, PrepareError> {
    let profiles = plan.profiles.iter().map(prepare_profile).collect::<Result<_, _>>()?;
    Ok(Prepared { profiles })
}

fn prepare_profile(profile: &CompiledProfile) -> Result<PreparedProfile, PrepareError> {
    let name = || profile.id.clone();
    if profile.mode == ProfileMode::Blob {
        return Err(PrepareError::Blob { profile: name() });
    }
    let (text, base_sha256) =
        read_profile_text(&profile.path).map_err(|source| PrepareError::Text { profile: name(), source })?;
    let sources = applied_sources(&profile.stored_path, text, &profile.key_specific_rules);
    let all: String = sources.iter().map(|source| source.text.as_str()).collect();
    let prepared = PreparedProfile {
        id: profile.id.clone(),
        place: profile.path.clone(),
        stored_path: profile.stored_path.clone(),
        base_sha256,
        applied_sha256: Sha256Hex::of(all.as_bytes()),
        supports: profile.rows.iter().map(|row| row.supports_lanes).collect(),
        probes: profile.rows.iter().map(|row| facts(profile, row)).collect::<Result<_, _>>()?,
        sources,
    };
    // The fixture directory does not exist yet; any absolute path shows whether the text compiles.
    prepared.policy(&params(std::path::Path::new("/fixtures")))?;
    Ok(prepared)
}

impl PreparedProfile {
    /// Compiles the profile with the given parameter values.
    ///
    /// # Errors
    /// [`PrepareError::Compile`].
    pub fn policy(&self, params: &Params) -> Result<Policy, PrepareError> {
        Policy::compile(&self.sources, params, &NoImports).map_err(|diagnostics| PrepareError::Compile {
            profile: self.id.clone(),
            diagnostics: Box::new(diagnostics),
        })
    }
}

fn facts(profile: &CompiledProfile, row: &ProbeRow) -> Result<ProbeFacts, PrepareError> {
    let unknown = parameters(&row.target).iter().any(|name| *name != "FIXTURES");
    if unknown {
        return Err(PrepareError::UnknownParameter {
            profile: profile.id.clone(),
            probe: row.expectation_id.clone(),
            target: row.target.clone(),
        });
    }
    let operation = &row.operation;
    let performed = Platform::of_this_build().and_then(|platform| driver(operation, platform));
    Ok(ProbeFacts {
        profile_id: profile.id.clone(),
        name: row.name.clone(),
        expectation_id: row.expectation_id.clone(),
        operation: row.operation.as_str().to_owned(),
        performed: performed.map(|driver| driver.performs().to_owned()),
        target: row.target.clone(),
        resolved_target: row.target.clone(),
        intended_target: None,
        expected: row.expected,
        anchor_ctx_id: row.anchor_ctx_id.clone(),
    })
}

/// Names written as `${NAME}` in a target; what has no end counts as one, so that it is refused and not taken as it stands.
fn parameters(target: &str) -> BTreeSet<&str> {
    target.split("${").skip(1).map(|rest| rest.split_once('}').map_or(rest, |(name, _)| name)).collect()
}

#[cfg(test)]
mod tests {
    use super::parameters;

    #[test]
    fn every_parameter_of_a_target_is_seen() {
        assert_eq!(parameters("${FIXTURES}/a${B}").into_iter().collect::<Vec<_>>(), ["B", "FIXTURES"]);
        assert_eq!(parameters("${FIXTURES/a").into_iter().collect::<Vec<_>>(), ["FIXTURES/a"]);
        assert!(parameters("/a$b{c}").is_empty());
    }
}
