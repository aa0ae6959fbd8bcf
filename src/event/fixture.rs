//! Records of `fixtures.json`: what the run's own listeners saw of each network probe, in both lanes.

use indexmap::IndexMap;
use serde::Serialize;

use crate::vocab::Lane;

use super::baseline::BaselineRow;
use super::observation::ListenerRecord;
use super::row::ProfileResults;

/// Schema tag of a record. v0.1: first form.
const RECORD_SCHEMA: &str = "runtime-tools.fixture_marker.v0.1";
/// The operation whose probes talk to listeners.
const OUTBOUND: &str = "network-outbound";

/// What one execution had to talk to.
#[derive(Debug, Clone, Serialize)]
pub struct FixtureRecord {
    /// `runtime-tools.fixture_marker.v0.1`.
    pub schema_version: &'static str,
    /// `loopback_listener`, or `unix_listener`.
    pub fixture_id: &'static str,
    /// Lane of the execution.
    pub lane: Lane,
    /// Profile.
    pub profile_id: String,
    /// Probe name.
    pub probe_name: String,
    /// Scenario; in the baseline lane the row's name.
    pub scenario_id: String,
    /// Operation as the plan writes it.
    pub operation: String,
    /// Target as the plan writes it.
    pub target: String,
    /// What it saw; null when the target is none of the run's own.
    pub listener: Option<ListenerRecord>,
}

/// One record per row of a network probe: the baseline lane's, then the scenario lane's, each in plan order.
#[must_use]
pub fn fixture_records(results: &IndexMap<String, ProfileResults>, baseline: &[BaselineRow]) -> Vec<FixtureRecord> {
    let unix = |listener: &Option<ListenerRecord>| listener.as_ref().is_some_and(|record| record.path.is_some());
    let id = |listener| if unix(listener) { "unix_listener" } else { "loopback_listener" };
    let control = baseline.iter().filter(|row| row.operation == OUTBOUND).map(|row| FixtureRecord {
        schema_version: RECORD_SCHEMA,
        fixture_id: id(&row.listener),
        lane: Lane::Baseline,
        profile_id: row.profile_id.clone(),
        probe_name: row.probe_name.clone(),
        scenario_id: row.name.clone(),
        operation: row.operation.clone(),
        target: row.target.clone(),
        listener: row.listener.clone(),
    });
    let rows = results.iter().flat_map(|(id, profile)| profile.probes.iter().map(move |row| (id, row)));
    let scenario = rows.filter(|(_, row)| row.operation == OUTBOUND).map(|(profile_id, row)| FixtureRecord {
        schema_version: RECORD_SCHEMA,
        fixture_id: id(&row.listener),
        lane: Lane::Scenario,
        profile_id: profile_id.clone(),
        probe_name: row.name.clone(),
        scenario_id: row.expectation_id.clone(),
        operation: row.operation.clone(),
        target: row.path.clone(),
        listener: row.listener.clone(),
    });
    control.chain(scenario).collect()
}
