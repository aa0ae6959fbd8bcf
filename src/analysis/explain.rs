//! One event told in full: what was asked, what each lane says, which rule decided, what could confound it, and how sure that
//! is.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::invalid::InvalidBundle;
use crate::base::json as form;
use crate::bundle::layout::{BASELINE_RESULTS, ORACLE_RESULTS, RUNTIME_EVENTS, RUNTIME_RESULTS, name};
use crate::bundle::{ArtifactError, ResolveError, UnverifiedBundle, VerifiedBundle, resolve};
use crate::event::{Claim, claims};

/// Why an event cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// There is no bundle.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The bundle is not what its index says.
    #[error(transparent)]
    Invalid(#[from] InvalidBundle),
    /// An artifact cannot be read.
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
    /// Several profiles have the scenario.
    #[error("scenario {scenario:?} ran under several profiles: {}", profiles.join(", "))]
    Several {
        /// The scenario.
        scenario: String,
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
        matches!(self, Self::Invalid(_))
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

/// Tells the event of `scenario` (of `profile`, when several have it) in the bundle at `bundle`, which must be valid.
///
/// # Errors
/// See [`ExplainError`].
pub fn explain_event(
    bundle: &Path,
    scenario: &str,
    profile: Option<&str>,
    jobs: usize,
) -> Result<Explanation, ExplainError> {
    let verification = UnverifiedBundle::read(resolve(bundle)?).verify(jobs);
    let Some(verified) = verification.verified().filter(|_| verification.is_valid()) else {
        return Err(InvalidBundle::of(&verification).into());
    };
    let event = find(verified, scenario, profile)?;
    let mut documents = Documents { bundle: verified, read: HashMap::new(), failed: None };
    let claims = claims(&event, |place| documents.at(place));
    let baseline = documents.row_of(BASELINE_RESULTS, &event);
    let oracle = documents.row_of(ORACLE_RESULTS, &event);
    if let Some(error) = documents.failed {
        return Err(error.into());
    }
    let own = event.pointer("/evidence/own_record").and_then(Value::as_u64).and_then(|own| usize::try_from(own).ok());
    let record = own.and_then(|own| event.pointer("/enforcement/records")?.get(own));
    let doubts = doubts(&event, &claims, &oracle);
    Ok(Explanation {
        run_id: verified.run_id().to_owned(),
        artifact_index_sha256: verified.index_sha256().to_string(),
        rule: record.map_or(Value::Null, |record| record["rule"].clone()),
        confounders: confounders(&event),
        certainty: certainty(&event, &claims, &doubts),
        doubts,
        baseline,
        oracle,
        claims,
        event,
    })
}

fn find(bundle: &VerifiedBundle, scenario: &str, profile: Option<&str>) -> Result<Value, ExplainError> {
    let events = bundle.read_json(&name(RUNTIME_EVENTS))?.unwrap_or_default();
    let all = events.as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let found: Vec<&Value> = all
        .iter()
        .filter(|event| {
            event["scenario_id"] == scenario && profile.is_none_or(|profile| event["profile_id"] == profile)
        })
        .collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let known: Vec<String> = all.iter().map(|event| of(event, "scenario_id")).collect();
            let near = crate::base::spelling::nearest(scenario, known.iter().map(String::as_str)).map(str::to_owned);
            Err(ExplainError::Unknown { scenario: scenario.to_owned(), near })
        }
        several => {
            let profiles = several.iter().map(|event| of(event, "profile_id")).collect();
            Err(ExplainError::Several { scenario: scenario.to_owned(), profiles })
        }
    }
}

/// The bundle's documents, each read when it is asked for.
struct Documents<'b> {
    bundle: &'b VerifiedBundle,
    read: HashMap<String, Value>,
    failed: Option<ArtifactError>,
}

impl Documents<'_> {
    fn document(&mut self, constant: &'static str) -> &Value {
        let (bundle, failed) = (self.bundle, &mut self.failed);
        self.read.entry(constant.to_owned()).or_insert_with(|| match bundle.read_json(&name(constant)) {
            Ok(value) => value.unwrap_or_default(),
            Err(error) => {
                *failed = Some(error);
                Value::Null
            }
        })
    }

    /// The value at `document#pointer`.
    fn at(&mut self, place: &str) -> Option<Value> {
        let (document, pointer) = place.split_once('#')?;
        let constant = [RUNTIME_RESULTS, BASELINE_RESULTS].into_iter().find(|known| *known == document)?;
        self.document(constant).pointer(pointer).cloned()
    }

    /// The row of a lane's document that belongs to the event.
    fn row_of(&mut self, constant: &'static str, event: &Value) -> Value {
        let rows = self.document(constant)["results"].as_array();
        let same = |row: &&Value| {
            let same = |key: &str| row.get(key).is_some() && row.get(key) == event.get(key);
            (same("profile_id") || row.get("profile_id").is_none())
                && (same("expectation_id") || (row.get("expectation_id").is_none() && same("probe_name")))
        };
        rows.into_iter().flatten().find(same).cloned().unwrap_or_default()
    }
}

fn confounders(event: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or("?").to_owned();
    if event.get("file_confounder").is_some() {
        let (class, errno) = (text("/file_confounder/classification"), text("/file_confounder/errno_name"));
        found.push(match class.as_str() {
            "unix_permissions" => format!("{errno}: file modes refuse this by themselves"),
            "sandbox_or_mac" => {
                format!("{errno}: what a policy returns, here attributed to {}", text("/file_confounder/attribution"))
            }
            _ => format!("{errno}: no refusal, the object is not as the probe needs it"),
        });
    }
    if event.get("endpoint_confounder").is_some() {
        found.push(format!(
            "nobody answers at the address, with and without the policy ({})",
            text("/endpoint_confounder/baseline_errno_name")
        ));
    } else if event.get("network_confounder").is_some() {
        found.push(format!("without any policy it fails too ({})", text("/network_confounder/errno_name")));
    }
    if event.get("service_confounder").is_some() {
        found.push("the service is missing, with and without the policy".to_owned());
    }
    if event.get("tcc_confounder").is_some() {
        found.push(format!("privacy protections guard this: {}", text("/tcc_confounder/attribution")));
    }
    if event.pointer("/resource_hygiene/preopen_detected") == Some(&Value::Bool(true)) {
        let handed =
            event.pointer("/resource_hygiene/pass_fds").and_then(Value::as_array).is_some_and(|fds| !fds.is_empty());
        if handed {
            found.push("the process had descriptors that were open before the policy".to_owned());
        }
        let hints = event.pointer("/resource_hygiene/preopen_hints").and_then(Value::as_array);
        if hints.is_some_and(|hints| hints.contains(&json!("file_precreate"))) {
            found.push(
                "missing files were made before the policy: whether the target was there shows nothing".to_owned(),
            );
        }
    }
    if event.pointer("/resource_hygiene/preexisting_sandbox_suspected") == Some(&Value::Bool(true)) {
        found.push("the run itself was in a sandbox before it began".to_owned());
    }
    for link in event["links_met"].as_array().into_iter().flatten() {
        found.push(format!(
            "the target is reached through the symbolic link {} (to {})",
            link["link"].as_str().unwrap_or("?"),
            link["text"].as_str().unwrap_or("?")
        ));
    }
    found
}

fn doubts(event: &Value, claims: &[Claim], oracle: &Value) -> Vec<String> {
    let mut doubts: Vec<String> = claims
        .iter()
        .filter(|claim| !claim.supported)
        .map(|claim| {
            let said = form::to_line(&claim.found);
            format!("{} says {}, its record {}", claim.claim, form::to_line(&claim.value), said)
        })
        .collect();
    if let Some(why) = event["outcome_reason"].as_str() {
        doubts.push(why.to_owned());
    }
    let (actual, errno) = (event["actual"].as_str(), event.get("errno"));
    if actual == Some("deny") && errno.is_none() && event["runtime_status"] == "success" {
        doubts.push("the call was denied, and succeeded".to_owned());
    }
    if actual == Some("deny") && event["effect_seen"] == json!(true) {
        doubts.push("the call was denied, and whom it was for saw it".to_owned());
    }
    if actual == Some("allow") && event["effect_seen"] == json!(false) && errno.is_none() {
        doubts.push("the call succeeded, and whom it was for saw nothing".to_owned());
    }
    if let (Some(answer @ ("allow" | "deny")), Some(actual)) = (oracle["decision"].as_str(), actual)
        && answer != actual
    {
        doubts.push(format!("asked without running anything, the policy says {answer}"));
    }
    if event.pointer("/policy_layers/platform_policy/source") == Some(&json!("baseline_missing")) {
        doubts.push("there is no run without the policy to compare with".to_owned());
    }
    if event.pointer("/policy_layers/attribution") == Some(&json!("platform_policy")) {
        doubts.push(match actual {
            Some("allow") => {
                "the platform refuses this without any policy: that the policy allows it changes nothing".to_owned()
            }
            _ => "the platform refuses this without any policy: the refusal does not show the policy's".to_owned(),
        });
    }
    doubts
}

fn certainty(event: &Value, claims: &[Claim], doubts: &[String]) -> Certainty {
    match event["outcome"].as_str() {
        Some("error") => return Certainty::Error,
        Some("not_observed") => return Certainty::NotObserved,
        _ => {}
    }
    if event.get("evidence").is_none() {
        return if event.get("actual").is_some() { Certainty::Claimed } else { Certainty::NotObserved };
    }
    if claims.iter().any(|claim| !claim.supported) {
        Certainty::Unsupported
    } else if doubts.is_empty() {
        Certainty::Observed
    } else {
        Certainty::ObservedWithDoubt
    }
}
