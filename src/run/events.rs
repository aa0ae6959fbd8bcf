//! The events of a run, from its rows.

use indexmap::IndexMap;
use serde_json::Value;

use crate::base::json;
use crate::event::{BaselineRow, Controls, EventWriter, Normaliser, ProfileResults, RowPlace};

/// Normalises all rows in plan order; returns the events and the document that holds them.
///
/// The rows are normalised in the form in which they are stored, one at a time, so whoever normalises the stored documents gets
/// the same bytes.
pub(super) fn normalised(
    world_id: &str,
    run_id: &str,
    results: &IndexMap<String, ProfileResults>,
    baseline: &[BaselineRow],
) -> (Vec<Value>, Vec<u8>) {
    let controls: Vec<Value> = baseline.iter().map(json::to_value).collect();
    let controls = Controls::of(&controls);
    let normaliser = Normaliser { world_id, run_id: Some(run_id), controls: &controls };
    let mut writer = EventWriter::new(Vec::new());
    let mut events = Vec::new();
    for (profile_id, profile) in results {
        let preflight = json::to_value(&profile.preflight);
        for (position, row) in profile.probes.iter().enumerate() {
            let place = RowPlace { profile_id, preflight: &preflight, position, matrix: None };
            let event = normaliser.event(place, &json::to_value(row));
            writer.write(&event).expect("writing to memory cannot fail");
            events.push(event);
        }
    }
    let text = writer.finish().expect("writing to memory cannot fail");
    (events, text)
}
