//! The history of a bundle's repairs.

use serde_json::Value;

use super::layout::{self, REPAIR_LOG};
use super::reader::UnverifiedBundle;
use crate::base::error_chain;
use crate::base::json as text;
use crate::base::tree::Node;

/// Largest `repair_log.json` of the earlier tool that is carried over, in bytes.
const LOG_BYTES: u64 = 16 * 1024 * 1024;

/// The repairs so far: as the index holds them, else those that a log tells of.
pub(super) fn history(bundle: &UnverifiedBundle) -> Result<Vec<Value>, String> {
    if let Some(repairs) = bundle.index.get("repairs") {
        let repairs = repairs.as_array().ok_or("the index's history of repairs is not an array")?;
        return Ok(repairs.map(Node::to_value).collect());
    }
    let lost = |why: String| format!("the history of repairs cannot be carried over: {why}");
    let bytes = match bundle.resolved.dir.read_sole(&layout::name(REPAIR_LOG), LOG_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(lost(error_chain(&error))),
    };
    let mut log = match text::read(&bytes) {
        Ok(Value::Object(log)) => log,
        Ok(_) => return Err(lost(format!("{REPAIR_LOG} is not a JSON object"))),
        Err(error) => return Err(lost(format!("{REPAIR_LOG}: {}", error_chain(&error)))),
    };
    match log.remove("repairs") {
        Some(Value::Array(mut repairs)) => {
            let index = bundle.index.digest().map(|(sha256, _)| sha256.to_string());
            repairs.pop_if(|last| !was_committed(last, index.as_deref()));
            Ok(repairs)
        }
        Some(_) => Err(lost(format!("{REPAIR_LOG}#/repairs is not an array"))),
        // One of the earlier tool, which wrote it after its index.
        None => {
            let kept = ["repaired_at_unix", "before", "after"];
            let kept = kept.map(|key| (key.to_owned(), log.get(key).cloned().unwrap_or(Value::Null)));
            Ok(vec![Value::Object(kept.into_iter().collect())])
        }
    }
}

/// Whether the repair that wrote this entry of a log replaced the index it was about. A repair that was killed between its log
/// and its index leaves an entry about the very index that still stands there, `index` by its digest.
fn was_committed(entry: &Value, index: Option<&str>) -> bool {
    entry.get("artifact_index_sha256").and_then(Value::as_str) != index
}
