//! The oracle lane: what is said about the probes beside what they did.
//!
//! On Linux the evaluator is asked what the profile says; nothing runs, nothing is observed. On macOS the system itself was asked
//! by each probe's process during the scenario lane, and this lane hands on its answers.

use std::path::Path;

use crate::base::error_chain;
use crate::event::{
    Fault, FilterChoice, Observation, OracleRow, ProbeFacts, ResultRow, RunnerInfo, classify, system_rows,
};
use crate::fixture::FixtureDir;
use crate::plan::resolve_target;
use crate::sbpl::{Access, Decide, Policy, Target, Verdict};
use crate::vocab::{CompiledFilter, FailureStage, Operation, Verdict3};

use super::intended::{Intended, intended};
use super::prepare::PreparedProfile;

/// Asks the evaluator about every probe of `profile`, with the parameters of the fixtures in `fixture_dir`, on the object
/// that the probe's target leads to there.
///
/// A profile that does not compile with these values, and fixtures that could not be made, answer every question with
/// `error` and the reason.
#[must_use]
pub fn oracle_rows(
    profile: &PreparedProfile,
    fixture_dir: Result<&FixtureDir, &String>,
    world_id: &str,
    run_id: &str,
) -> Vec<OracleRow> {
    let params = fixture_dir.map(FixtureDir::parameters).unwrap_or_default();
    let cwd = fixture_dir.map_or(Path::new("/"), FixtureDir::path);
    let policy = match fixture_dir {
        Ok(_) => profile.policy(&params).map_err(|error| error_chain(&error)),
        Err(why) => Err(why.clone()),
    };
    profile
        .probes
        .iter()
        .zip(&profile.supports)
        .filter(|(_, supports)| supports.oracle)
        .map(|(probe, _)| {
            let probe = ProbeFacts { resolved_target: resolve_target(&probe.target, &params), ..probe.clone() };
            ask(policy.as_ref(), &probe, cwd, world_id, run_id)
        })
        .collect()
}

/// What the system answered about every probe of `profile`, from the `rows` of the scenario lane. A probe without a row, as when
/// that lane does not run, was not asked about, and its row here says so.
#[must_use]
pub fn system_oracle_rows(
    profile: &PreparedProfile,
    rows: &[ResultRow],
    runner: &RunnerInfo,
    world_id: &str,
    run_id: &str,
) -> Vec<OracleRow> {
    let wanted = profile.probes.iter().zip(&profile.supports).filter(|(_, supports)| supports.oracle);
    let of = |(probe, _): (&ProbeFacts, _)| {
        let row = rows.iter().find(|row| row.expectation_id == probe.expectation_id);
        match row {
            Some(row) => system_rows(world_id, run_id, &profile.id, row),
            None => system_rows(world_id, run_id, &profile.id, &classify(probe, not_executed(), runner)),
        }
    };
    wanted.flat_map(of).collect()
}

/// A probe of which no process was there to ask.
fn not_executed() -> Observation {
    let fault = Fault {
        stage: FailureStage::Probe,
        kind: None,
        word: "unsupported".to_owned(),
        message: "the probe was not executed in the scenario lane, so nothing was asked".to_owned(),
    };
    Observation { fault: Some(fault), ..Observation::default() }
}

fn ask(policy: Result<&Policy, &String>, probe: &ProbeFacts, cwd: &Path, world_id: &str, run_id: &str) -> OracleRow {
    let operation = Operation::new(probe.performed.as_deref().unwrap_or(&probe.operation));
    let object = intended(probe, cwd, &mut Vec::new());
    let ask = |policy: &Policy| match &object {
        Some(object) => object.access(&operation, |access| policy.decide(access)),
        // Without a driver the target's form is not known; a name is what most other operations take.
        None if probe.performed.is_none() => {
            policy.decide(&Access { operation: &operation, target: Target::Name(&probe.resolved_target) })
        }
        None => policy.decide(&Access { operation: &operation, target: Target::None }),
    };
    let (decision, rule, reason) = match policy.map(ask) {
        Ok(Verdict { decision: Verdict3::Allow, rule }) => ("allow", rule, None),
        Ok(Verdict { decision: Verdict3::Deny, rule }) => ("deny", rule, None),
        Ok(Verdict { decision: Verdict3::Unknown(reason), rule }) => ("error", rule, Some(reason)),
        Err(why) => ("error", None, Some(why.clone())),
    };
    // What the object is settles it where the driver knows; else what the probe, the anchor map or the operation says.
    let path = matches!(object, Some(Intended::Path(_)))
        .then_some(FilterChoice { filter: CompiledFilter::PATH, source: "operation" });
    let choice = path.or(probe.filter);
    OracleRow {
        world_id: world_id.to_owned(),
        run_id: run_id.to_owned(),
        expectation_id: probe.expectation_id.clone(),
        operation: operation.as_str().to_owned(),
        filter_type: choice.map(|choice| choice.filter.number()),
        filter_type_name: choice.map(|choice| choice.filter.name()),
        filter_source: choice.map(|choice| choice.source),
        system: None,
        argument: match &object {
            Some(Intended::Process(_)) | None => probe.resolved_target.clone(),
            Some(object) => object.text(),
        },
        decision,
        stage: "evaluator",
        source: "sbpl_evaluator",
        profile_id: probe.profile_id.clone(),
        rule,
        reason,
    }
}
