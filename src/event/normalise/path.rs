//! Which path an operation reached: as asked for, as observed, and how the two hang together.

use serde_json::{Map, Value, json};

use super::super::alias;
use super::super::baseline::Fgetpath;
use super::super::observation::OPENED_PATH;
use super::text;

/// The four path members of an event, absent for operations that are not on files, for which no path is requested.
pub(super) fn paths(
    world_id: &str,
    row: &Map<String, Value>,
    requested: Option<&str>,
    rest: &str,
) -> [(&'static str, Value); 4] {
    const NAMES: [&str; 4] = ["observed_path", "observed_path_source", "normalized_path", "normalized_path_source"];
    let Some(requested) = requested else { return NAMES.map(|name| (name, Value::Null)) };
    let (observed, source) = match row.get("decision_records") {
        Some(_) => own(row),
        None => earlier(row, rest),
    };
    let (normalised, how) = match &observed {
        Some(path) => (path.clone(), "observed_path"),
        None => match alias::canonical(world_id, requested) {
            Some(path) => (path, "alias_map"),
            None => (requested.to_owned(), "requested_path"),
        },
    };
    [(NAMES[0], json!(observed)), (NAMES[1], json!(source)), (NAMES[2], json!(normalised)), (NAMES[3], json!(how))]
}

/// Rows of this tool: the path that the supervisor resolved and decided on, or what macOS says of the descriptor.
fn own(row: &Map<String, Value>) -> (Option<String>, String) {
    let details = row.get("probe_details");
    if details.is_some_and(|details| Fgetpath::of_stored(details).is_some()) {
        let path = details.and_then(|details| details.get("details")?.get(OPENED_PATH)?.as_str()).map(str::to_owned);
        let source = if path.is_some() { "fd_path" } else { "error" };
        return (path, source.to_owned());
    }
    let target = own_record(row).and_then(|record| record.get("target")?.as_str());
    let source = if target.is_some() { "supervisor_resolution" } else { "not_attempted" };
    (target.map(str::to_owned), source.to_owned())
}

/// The decision record about a row's own call.
pub(super) fn own_record(row: &Map<String, Value>) -> Option<&Value> {
    let at = usize::try_from(row.get("own_record")?.as_u64()?).ok()?;
    row.get("decision_records")?.get(at)
}

/// Rows of the earlier tool: what its programs printed about the descriptor, else what the harness saw itself.
fn earlier(row: &Map<String, Value>, rest: &str) -> (Option<String>, String) {
    let said = rest.lines().find_map(|line| {
        if let Some(path) = line.strip_prefix("F_GETPATH:") {
            Some((Some(path.trim().to_owned()).filter(|path| !path.is_empty()), "fd_path"))
        } else if line.starts_with("F_GETPATH_ERROR:") {
            Some((None, "error"))
        } else if line.starts_with("F_GETPATH_UNAVAILABLE") {
            Some((None, "unavailable"))
        } else {
            None
        }
    });
    if let Some((Some(path), source)) = said {
        return (Some(path), source.to_owned());
    }
    let seen = row.get("path_observation").and_then(Value::as_object);
    let of = |key: &str| seen.and_then(|seen| text(seen, key)).map(str::to_owned);
    match (of("observed_path"), of("observed_path_source")) {
        (None, None) => (None, said.map_or("not_attempted", |(_, source)| source).to_owned()),
        (path, source) => (path, source.unwrap_or_else(|| "not_attempted".to_owned())),
    }
}
