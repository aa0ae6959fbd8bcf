//! The oracle lane on Linux: the evaluator is asked what the profile says. Nothing runs, nothing is observed.

use std::collections::BTreeMap;

use crate::event::{OracleRow, ProbeFacts};
use crate::sbpl::{Access, Decide, ProcessTarget, Target};
use crate::vocab::{Operation, Verdict3};

use super::execute::resolve;
use super::prepare::{PrepareError, PreparedProfile};

/// Asks the evaluator about every probe of `profile`, with the given parameter values.
///
/// # Errors
/// The profile does not compile with these values.
pub fn oracle_rows(
    profile: &PreparedProfile,
    params: &BTreeMap<String, String>,
    world_id: &str,
    run_id: &str,
) -> Result<Vec<OracleRow>, PrepareError> {
    let policy = profile.policy(params)?;
    Ok(profile.probes.iter().map(|probe| ask(&policy, probe, params, world_id, run_id)).collect())
}

fn ask(
    policy: &dyn Decide,
    probe: &ProbeFacts,
    params: &BTreeMap<String, String>,
    world_id: &str,
    run_id: &str,
) -> OracleRow {
    let operation = Operation::new(probe.performed.as_deref().unwrap_or(&probe.operation));
    let argument = resolve(&probe.target, params);
    let has_path = operation.as_str().starts_with("file-") || operation.as_str().starts_with("process-exec");
    let target = match (has_path, argument.as_str()) {
        (true, path) => Target::Path { path: path.as_bytes(), vnode_type: None, mode: None },
        (false, "self") => Target::Process(ProcessTarget::Itself),
        (false, name) => Target::Name(name),
    };
    let verdict = policy.decide(&Access { operation: &operation, target });
    let (decision, reason) = match verdict.decision {
        Verdict3::Allow => ("allow", None),
        Verdict3::Deny => ("deny", None),
        Verdict3::Unknown(reason) => ("error", Some(reason)),
    };
    OracleRow {
        world_id: world_id.to_owned(),
        run_id: run_id.to_owned(),
        expectation_id: probe.expectation_id.clone(),
        operation: operation.as_str().to_owned(),
        filter_type: has_path.then_some(0),
        filter_type_name: has_path.then_some("path"),
        argument,
        decision,
        stage: "evaluator",
        source: "sbpl_evaluator",
        profile_id: probe.profile_id.clone(),
        rule: verdict.rule,
        reason,
    }
}
