//! The oracle lane on Linux: the evaluator is asked what the profile says. Nothing runs, nothing is observed.

use std::collections::BTreeMap;

use crate::base::error_chain;
use crate::event::{OracleRow, ProbeFacts};
use crate::sbpl::{Access, Decide, Policy, ProcessTarget, Target, Verdict};
use crate::vocab::{CompiledFilter, Operation, Verdict3};

use super::execute::resolve;
use super::prepare::PreparedProfile;

/// Asks the evaluator about every probe of `profile`, with the given parameter values.
///
/// A profile that does not compile with these values answers every question with `error` and the reason.
#[must_use]
pub fn oracle_rows(
    profile: &PreparedProfile,
    params: &BTreeMap<String, String>,
    world_id: &str,
    run_id: &str,
) -> Vec<OracleRow> {
    let policy = profile.policy(params).map_err(|error| error_chain(&error));
    profile
        .probes
        .iter()
        .zip(&profile.supports)
        .filter(|(_, supports)| supports.oracle)
        .map(|(probe, _)| ask(policy.as_ref(), probe, params, world_id, run_id))
        .collect()
}

fn ask(
    policy: Result<&Policy, &String>,
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
    let (decision, rule, reason) = match policy.map(|policy| policy.decide(&Access { operation: &operation, target })) {
        Ok(Verdict { decision: Verdict3::Allow, rule }) => ("allow", rule, None),
        Ok(Verdict { decision: Verdict3::Deny, rule }) => ("deny", rule, None),
        Ok(Verdict { decision: Verdict3::Unknown(reason), rule }) => ("error", rule, Some(reason)),
        Err(why) => ("error", None, Some(why.clone())),
    };
    OracleRow {
        world_id: world_id.to_owned(),
        run_id: run_id.to_owned(),
        expectation_id: probe.expectation_id.clone(),
        operation: operation.as_str().to_owned(),
        filter_type: has_path.then(|| CompiledFilter::PATH.number()),
        filter_type_name: has_path.then(|| CompiledFilter::PATH.name()),
        argument,
        decision,
        stage: "evaluator",
        source: "sbpl_evaluator",
        profile_id: probe.profile_id.clone(),
        rule,
        reason,
    }
}
