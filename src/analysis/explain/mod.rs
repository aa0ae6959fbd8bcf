//! One event told in full: what was asked, what each lane says, which rule decided, what could confound it, and how sure that
//! is.

mod find;
mod judge;

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use self::find::Events;
use super::invalid::InvalidBundle;
use super::pull::ReadError;
use crate::base::digest::Sha256Hex;
use crate::base::position::unescape;
use crate::bundle::layout::{BASELINE_RESULTS, ORACLE_RESULTS, RUNTIME_EVENTS, RUNTIME_RESULTS, name};
use crate::bundle::{ArtifactError, ResolveError, UnverifiedBundle, VerifiedBundle, resolve};
use crate::event::{Claim, claims};
use crate::os::fs::{Dir, FsError};

/// Why an event cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// There is no bundle.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The bundle is not what its index says.
    #[error(transparent)]
    Invalid(#[from] InvalidBundle),
    /// The bundle's index does not name the events.
    #[error("the bundle {} has no indexed {RUNTIME_EVENTS}", bundle.display())]
    NoEvents {
        /// Its directory.
        bundle: PathBuf,
    },
    /// An artifact cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// Its path.
        path: PathBuf,
        /// What refused it.
        source: FsError,
    },
    /// An artifact is not what the format says.
    #[error("{} cannot be read", path.display())]
    Document {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// An artifact was changed meanwhile.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// No event of this scenario.
    #[error("no event of scenario {scenario:?}{}", nearest(.near.as_deref()))]
    Unknown {
        /// The scenario.
        scenario: String,
        /// One that is there and spelled nearly alike.
        near: Option<String>,
    },
    /// Several events have the scenario.
    #[error("scenario {scenario:?} has {number} events, under {}", profiles.join(", "))]
    Several {
        /// The scenario.
        scenario: String,
        /// How many.
        number: u64,
        /// The profiles.
        profiles: Vec<String>,
    },
}

fn nearest(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"))
}

impl ExplainError {
    /// Whether the answer is "no" rather than "could not answer".
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Resolve(error) => error.is_refusal(),
            other => matches!(other, Self::Invalid(_)),
        }
    }
}

/// How sure an event is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// A record decided this very call, and every claim is supported by what the bundle holds.
    Observed,
    /// Observed, but something says that the decision and what happened do not fit, or that it shows less than it seems.
    ObservedWithDoubt,
    /// The event claims something that no record supports.
    Unsupported,
    /// A decision of the earlier tool, taken from what a program printed or returned.
    Claimed,
    /// Nothing proves what was decided.
    NotObserved,
    /// The probe gave no result.
    Error,
}

/// One event with all that belongs to it.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The run.
    pub run_id: String,
    /// Digest of the index that names every byte this rests on.
    pub artifact_index_sha256: String,
    /// The event.
    pub event: Value,
    /// The same probe without a policy; null when that lane did not run.
    pub baseline: Value,
    /// What the evaluator answered when asked; null when nobody asked. Never evidence.
    pub oracle: Value,
    /// The rule that decided, as its record names it; null when none did.
    pub rule: Value,
    /// What could have made the event look as it does without the policy.
    pub confounders: Vec<String>,
    /// Every claim with the record behind it.
    pub claims: Vec<Claim>,
    /// How sure it is.
    pub certainty: Certainty,
    /// Why it is not surer.
    pub doubts: Vec<String>,
}

/// Tells the event of `scenario` (of `profile`, when several have it) in the bundle at `bundle`, which must be valid. Its documents may
/// have any size.
///
/// # Errors
/// See [`ExplainError`].
pub fn explain_event(
    bundle: &Path,
    scenario: &str,
    profile: Option<&str>,
    jobs: usize,
) -> Result<Explanation, ExplainError> {
    let unverified = UnverifiedBundle::read(resolve(bundle)?);
    // What is looked at are the bytes that are hashed.
    let mut looked = None;
    let verification = unverified.verify_while_reading(jobs, &name(RUNTIME_EVENTS), |file| {
        let (found, read) = Events::find(file.file, scenario, profile);
        looked = Some(found);
        read
    });
    let Some(verified) = verification.verified().filter(|_| verification.is_valid()) else {
        return Err(InvalidBundle::of(&verification).into());
    };
    let documents = Documents(verified);
    let Some(found) = looked else { return Err(ExplainError::NoEvents { bundle: verified.run_dir().to_owned() }) };
    let found = found.map_err(|source| documents.unreadable(RUNTIME_EVENTS, source))?;
    let event = match (found.first, found.number) {
        (Some(event), 1) => event,
        (Some(_), number) => {
            let profiles = found.profiles.into_iter().collect();
            return Err(ExplainError::Several { scenario: scenario.to_owned(), number, profiles });
        }
        (None, _) => {
            let near = documents.look(RUNTIME_EVENTS, |file| Events::near(file, scenario))?.flatten();
            return Err(ExplainError::Unknown { scenario: scenario.to_owned(), near });
        }
    };
    let row = documents.named_by(&event, "/evidence/row")?;
    let control = documents.named_by(&event, "/evidence/baseline")?;
    let within = |named: &Option<(String, Value)>, place: &str| {
        let (base, value) = named.as_ref()?;
        value.pointer(place.strip_prefix(base.as_str())?).cloned()
    };
    let claims = match event.get("evidence") {
        Some(_) => claims(&event, |place| within(&row, place).or_else(|| within(&control, place))),
        // Events of the earlier tool do not say where their records stand.
        None => Vec::new(),
    };
    let of_lane = |constant| documents.look(constant, |file| find::row_of(file, &event)).map(Option::flatten);
    let baseline = match control {
        Some((_, control)) => control,
        None if event.get("evidence").is_some() => Value::Null,
        None => of_lane(BASELINE_RESULTS)?.unwrap_or_default(),
    };
    let oracle = of_lane(ORACLE_RESULTS)?.unwrap_or_default();
    let own = event.pointer("/evidence/own_record").and_then(Value::as_u64).and_then(|own| usize::try_from(own).ok());
    let record = own.and_then(|own| event.pointer("/enforcement/records")?.get(own));
    let doubts = judge::doubts(&event, &claims, &oracle);
    Ok(Explanation {
        run_id: verified.run_id().to_owned(),
        artifact_index_sha256: verified.index_sha256().to_string(),
        rule: record.map_or(Value::Null, |record| record["rule"].clone()),
        confounders: judge::confounders(&event),
        certainty: judge::certainty(&event, &claims, &doubts),
        doubts,
        baseline,
        oracle,
        claims,
        event,
    })
}

/// The documents of a bundle that was verified.
struct Documents<'b>(&'b VerifiedBundle);

impl Documents<'_> {
    fn unreadable(&self, constant: &str, source: ReadError) -> ExplainError {
        ExplainError::Document { path: self.0.run_dir().join(constant), source }
    }

    /// What `look` finds in an artifact, if its bytes are still the ones that were verified; `None` when it is not indexed.
    fn look<T>(
        &self,
        constant: &'static str,
        look: impl FnOnce(std::fs::File) -> (Result<T, ReadError>, io::Result<(Sha256Hex, u64)>),
    ) -> Result<Option<T>, ExplainError> {
        let name = name(constant);
        let Some(verified) = self.0.sha256(&name) else { return Ok(None) };
        let path = || self.0.run_dir().join(constant);
        let opened = Dir::open(self.0.run_dir()).and_then(|dir| dir.open_file(&name));
        let file = opened.map_err(|source| ExplainError::Open { path: path(), source })?;
        let (found, read) = look(file.file);
        let (digest, _) = read.map_err(|error| self.unreadable(constant, error.into()))?;
        if digest != *verified {
            return Err(ArtifactError::Changed { path: path() }.into());
        }
        found.map(Some).map_err(|source| self.unreadable(constant, source))
    }

    /// The place that a member of the event names, and what stands there; `None` where it names none or nothing is there.
    fn named_by(&self, event: &Value, member: &str) -> Result<Option<(String, Value)>, ExplainError> {
        let Some(place) = event.pointer(member).and_then(Value::as_str) else { return Ok(None) };
        let Some((document, pointer)) = place.split_once("#/") else { return Ok(None) };
        let known = [RUNTIME_RESULTS, BASELINE_RESULTS].into_iter().find(|known| *known == document);
        let Some(constant) = known else { return Ok(None) };
        let words: Vec<String> = pointer.split('/').map(unescape).collect();
        let found = self.look(constant, |file| find::value_at(file, &words))?.flatten();
        Ok(found.map(|value| (place.to_owned(), value)))
    }
}
