//! Documents of a run that belong to no other module: summary, enforcement report, fixtures.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value, json};

use crate::event::{MismatchSummary, ProfileResults};
use crate::host::Host;
use crate::lane::Prepared;
use crate::plan::Lanes;
use crate::sandbox::{EnforcementReport, Layers};
use crate::vocab::Decision;

/// How a run ended, as `summary.json` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatusWord {
    /// Every row matched.
    Ok,
    /// Something did not match, was not observed or is in error, or no expectation was checked.
    Partial,
    /// The run itself failed.
    Failed,
    /// Nothing was executed.
    Dry,
}

/// Rows by outcome; the four add up to the number of scenarios executed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Observed and as expected, effect and decision in agreement.
    pub matches: usize,
    /// Observed and not as expected, or effect and decision contradict each other.
    pub mismatches: usize,
    /// No result: timeout, dead worker, profile not applied.
    pub errors: usize,
    /// The probe ran, but nothing proves what was decided.
    pub not_observed: usize,
    /// Probes of the plan that do not support the scenario lane and were not executed in it.
    pub not_supported: usize,
    /// Probes refused in the baseline lane already (no policy involved).
    pub baseline_refused: usize,
    /// Probes that gave no result in the baseline lane: what the platform alone does with them is not known.
    pub baseline_errors: usize,
}

/// `summary.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// `runtime-tools.summary.v0.1`.
    pub schema_version: &'static str,
    /// World of the host.
    pub world_id: String,
    /// The run.
    pub run_id: String,
    /// How it ended.
    pub status: RunStatusWord,
    /// The plan.
    pub plan_id: String,
    /// Its digest.
    pub plan_digest: String,
    /// Channel really used.
    pub channel: String,
    /// Lanes really run.
    pub lanes: Lanes,
    /// Number of profiles.
    pub profile_count: usize,
    /// Number of probes over all profiles.
    pub scenario_count: usize,
    /// Profile ids in plan order.
    pub expected_profiles: Vec<String>,
    /// Mismatches by type.
    pub mismatch_counts: IndexMap<&'static str, usize>,
    /// Whether nothing was executed.
    pub dry_run: bool,
    /// Rows by outcome.
    pub counts: Counts,
    /// Rows by operation as the plan writes it, in order of first appearance.
    pub op_coverage: IndexMap<String, OpCoverage>,
    /// Whether the plan ran in a world other than its own.
    pub world_rebound: bool,
}

/// How well one operation is covered by rows that count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OpCoverage {
    /// Rows of the operation.
    pub rows: usize,
    /// Rows that matched.
    pub matches: usize,
    /// `ok`: every row matched. `partial`: some did. `brittle`: none did.
    pub status: &'static str,
}

/// Counts rows by operation. A row in error or not observed is a row that did not match: it never makes coverage `ok`.
pub(super) fn op_coverage(
    results: &IndexMap<String, ProfileResults>,
    mismatches: &MismatchSummary,
) -> IndexMap<String, OpCoverage> {
    let mut coverage: IndexMap<String, OpCoverage> = IndexMap::new();
    let listed = |profile: &str, expectation: &str| {
        mismatches.mismatches.iter().any(|m| m.profile_id == profile && m.expectation_id == expectation)
    };
    for (profile_id, profile) in results {
        for row in &profile.probes {
            let entry = coverage.entry(row.operation.clone()).or_default();
            entry.rows += 1;
            entry.matches += usize::from(!listed(profile_id, &row.expectation_id));
        }
    }
    for entry in coverage.values_mut() {
        entry.status = match entry.matches {
            0 => "brittle",
            matches if matches == entry.rows => "ok",
            _ => "partial",
        };
    }
    coverage
}

/// Rows by outcome, from the rows themselves.
pub(super) fn count(results: &IndexMap<String, ProfileResults>, mismatches: &MismatchSummary) -> Counts {
    let mut counts = Counts::default();
    for row in results.values().flat_map(|profile| &profile.probes) {
        match (&row.error, row.actual) {
            (Some(_), _) => counts.errors += 1,
            (None, None) => counts.not_observed += 1,
            (None, Some(_)) => counts.matches += 1,
        }
    }
    counts.mismatches = mismatches
        .mismatches
        .iter()
        .filter(|m| matches!(m.mismatch_type, "unexpected_allow" | "unexpected_deny" | "effect_disagreement"))
        .count();
    counts.matches -= counts.mismatches;
    counts
}

/// Counts the probes that the system refused without any policy, and those that gave no result without one.
pub(super) fn baseline_counts(baseline: &[crate::event::BaselineRow]) -> (usize, usize) {
    let refused = baseline.iter().filter(|row| row.status == Some(Decision::Deny)).count();
    (refused, baseline.iter().filter(|row| row.error.is_some()).count())
}

/// `summary.md`: the same for people.
pub(super) fn summary_markdown(summary: &Summary) -> String {
    let counts = &summary.counts;
    let mut text = format!(
        "# Run {}\n\n- Status: {}\n- Plan: {} ({})\n- World: {}\n- Channel: {}\n- Profiles: {}\n- Scenarios: {}\n",
        summary.run_id,
        serde_json::to_value(summary.status).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default(),
        summary.plan_id,
        summary.plan_digest,
        summary.world_id,
        summary.channel,
        summary.profile_count,
        summary.scenario_count,
    );
    text.push_str(&format!(
        "- Matches: {}, mismatches: {}, errors: {}, not observed: {}\n",
        counts.matches, counts.mismatches, counts.errors, counts.not_observed
    ));
    text.push_str(&format!(
        "- Baseline: {} refused, {} without a result\n",
        counts.baseline_refused, counts.baseline_errors
    ));
    match summary.mismatch_counts.is_empty() {
        true => text.push_str("- Mismatches: none\n"),
        false => {
            for (kind, number) in &summary.mismatch_counts {
                text.push_str(&format!("- {kind}: {number}\n"));
            }
        }
    }
    text
}

/// `enforcement_report.json`: the measured facts that the Linux gate uses.
pub(super) fn enforcement_report(
    world_id: &str,
    run_id: &str,
    host: &Host,
    layers: &Layers,
    world_rebound: bool,
    reports: &IndexMap<String, EnforcementReport>,
) -> Value {
    // What the workers found counts as well: they applied the policies.
    let by_workers = reports.values().flat_map(|report| &report.layers.missing);
    let mut missing: Vec<&String> = layers.missing.iter().chain(&host.without_layers).chain(by_workers).collect();
    missing.sort();
    missing.dedup();
    json!({
        "schema_version": "runtime-tools.enforcement_report.v0.1",
        "world_id": world_id,
        "run_id": run_id,
        "platform": std::env::consts::OS,
        "kernel_release": layers.kernel_release,
        "landlock_abi": layers.landlock_abi,
        "uid": layers.uid,
        "layers": layers.layers,
        "missing_layers": missing,
        "start_unsandboxed": layers.already_sandboxed.map(|already| !already),
        "world_rebound": world_rebound,
        "stand_in_tools": host.stand_in_tools.keys().collect::<Vec<_>>(),
        "profiles": reports,
    })
}

/// `fixtures.json` of the format: what the run's own listeners saw, with the set the probes worked on beside it.
pub(super) fn fixtures_document(
    world_id: &str,
    run_id: &str,
    plan_id: &str,
    records: &[crate::event::FixtureRecord],
    set: &crate::fixture::FixtureSet,
) -> Value {
    json!({
        "schema_version": "runtime-tools.fixtures.v0.1",
        "world_id": world_id,
        "run_id": run_id,
        "plan_id": plan_id,
        "records": records,
        "fixture_set": set,
    })
}

/// The text that was applied under a profile: every source in order, each behind a comment that names it.
pub(super) fn applied_text(prepared: &Prepared, index: usize) -> String {
    prepared.profiles[index].sources.iter().map(|source| source.text.as_str()).collect()
}
