//! Do directory, index, status and manifest speak of the same run, in words we know?

use super::super::index::IndexStatus;
use super::super::layout::{
    ARTIFACT_INDEX, ARTIFACT_INDEX_TAG, RUN_MANIFEST, RUN_MANIFEST_LEGACY_TAG, RUN_MANIFEST_TAG, RUN_STATUS,
    RUN_STATUS_TAG,
};
use super::problem::{Kind, Problem};
use super::raw::{Document, UnverifiedBundle, Writer};
use crate::base::error_chain;
use crate::base::tree::Node;

/// Checks the three documents themselves and against each other.
pub(super) fn check(bundle: &UnverifiedBundle, problems: &mut Vec<Problem>) {
    let run_id = bundle.run_id();
    readable(run_id, &bundle.index, ARTIFACT_INDEX, (Kind::IndexMissing, Kind::IndexMalformed), problems);
    readable(run_id, &bundle.status, RUN_STATUS, (Kind::RunStatusMissing, Kind::RunStatusMalformed), problems);
    readable(run_id, &bundle.manifest, RUN_MANIFEST, (Kind::ManifestMissing, Kind::ManifestMalformed), problems);
    life(bundle, problems);
    tags(bundle, problems);
    for (key, kind) in [
        ("run_id", Kind::RunIdMismatch),
        ("world_id", Kind::WorldIdMismatch),
        ("channel", Kind::IdentityMismatch),
        ("plan_id", Kind::IdentityMismatch),
        ("plan_digest", Kind::IdentityMismatch),
    ] {
        agreement(bundle, key, kind, problems);
    }
    index_says(bundle, problems);
}

fn documents(bundle: &UnverifiedBundle) -> [(&'static str, &Document); 3] {
    [(ARTIFACT_INDEX, &bundle.index), (RUN_STATUS, &bundle.status), (RUN_MANIFEST, &bundle.manifest)]
}

fn readable(
    run_id: &str,
    document: &Document,
    name: &str,
    (missing, malformed): (Kind, Kind),
    problems: &mut Vec<Problem>,
) {
    match document {
        Document::Absent => {
            let message = match missing {
                Kind::IndexMissing => format!("run {run_id} was never committed: there is no {name}"),
                _ => format!("there is no {name}"),
            };
            problems.push(Problem::new(missing, name, message));
        }
        Document::Unreadable(error) => problems.push(Problem::new(malformed, name, error_chain(error))),
        Document::Malformed { why, .. } => problems.push(Problem::new(malformed, name, format!("{name}: {why}"))),
        Document::Object(_) => {}
    }
}

fn life(bundle: &UnverifiedBundle, problems: &mut Vec<Problem>) {
    let status = &bundle.status;
    if status.object().is_none() {
        return;
    }
    let run_id = bundle.run_id();
    if bundle.in_progress() {
        let writer = match status.get("writer_pid").and_then(Node::as_number).and_then(|number| number.as_u64()) {
            Some(pid) => format!(" (writer: process {pid})"),
            None => String::new(),
        };
        let (kind, what) = match bundle.writer {
            Writer::AtWork => (Kind::RunInProgress, "is in progress"),
            Writer::Gone => (Kind::RunAbandoned, "was never committed and its writer is gone"),
            Writer::Unknown => (Kind::RunInProgress, "is in progress or its writer died before committing it"),
        };
        let message = format!("run {run_id} {what}{writer}");
        problems.push(Problem::new(kind, RUN_STATUS, message).at("/state"));
        return;
    }
    match status.text("state").map(str::trim) {
        Some("complete") => {}
        Some("failed") => {
            let error = status.text("error").unwrap_or("no error was recorded");
            let message = format!("run {run_id} failed: {error}");
            problems.push(Problem::new(Kind::RunFailed, RUN_STATUS, message).at("/state"));
        }
        Some(other) => {
            let message = format!("the state {other:?} is none of in_progress, complete, failed");
            problems.push(Problem::new(Kind::RunStatusUnknownState, RUN_STATUS, message).at("/state"));
        }
        None => {
            let message = "there is no state that is text";
            problems.push(Problem::new(Kind::RunStatusUnknownState, RUN_STATUS, message).at("/state"));
        }
    }
}

fn tags(bundle: &UnverifiedBundle, problems: &mut Vec<Problem>) {
    let known: [&[&str]; 3] = [&[ARTIFACT_INDEX_TAG], &[RUN_STATUS_TAG], &[RUN_MANIFEST_TAG, RUN_MANIFEST_LEGACY_TAG]];
    for ((name, document), known) in documents(bundle).into_iter().zip(known) {
        let Some(object) = document.object() else { continue };
        let message = match object.get("schema_version").map(Node::as_str) {
            Some(Some(tag)) if known.contains(&tag) => continue,
            Some(Some(tag)) => format!("{name} has the schema version {tag:?}; known: {}", known.join(", ")),
            Some(None) => format!("the schema version of {name} is not text"),
            None => format!("{name} has no schema version; expected {}", known.join(" or ")),
        };
        problems.push(Problem::new(Kind::SchemaUnknown, name, message).at("/schema_version"));
    }
}

/// Every document that should carry `key` carries it as text, and all say the same.
fn agreement(bundle: &UnverifiedBundle, key: &str, kind: Kind, problems: &mut Vec<Problem>) {
    let mut said: Option<(&str, &str)> =
        (key == "run_id").then_some(("the directory", bundle.resolved.directory_name.as_str()));
    for (name, document) in documents(bundle) {
        let carries = name != ARTIFACT_INDEX || matches!(key, "run_id" | "world_id");
        if !carries || document.object().is_none() {
            continue;
        }
        let problem = match (document.text(key), said) {
            (None | Some(""), _) => format!("{name} has no {key} that is text"),
            (Some(value), Some((who, first))) if value != first => {
                format!("{name} says {key} {value:?}, {who} says {first:?}")
            }
            (Some(value), _) => {
                said.get_or_insert((name, value));
                continue;
            }
        };
        problems.push(Problem::new(kind, name, problem).at(format!("/{key}")));
    }
}

/// The index's own verdict: `status` and `missing`.
fn index_says(bundle: &UnverifiedBundle, problems: &mut Vec<Problem>) {
    let Some(index) = bundle.index.object() else { return };
    let mut found = |kind, pointer: &str, message: String| {
        problems.push(Problem::new(kind, ARTIFACT_INDEX, message).at(pointer));
    };
    let missing: Vec<String> = match index.get("missing").filter(|missing| !missing.is_null()) {
        Some(missing) => match missing.as_array() {
            Some(missing) => {
                missing.map(|m| m.as_str().map_or_else(|| m.to_value().to_string(), str::to_owned)).collect()
            }
            None => {
                found(Kind::IndexMalformed, "/missing", "missing is not an array".to_owned());
                Vec::new()
            }
        },
        None => {
            found(Kind::IndexInconsistent, "/missing", "the index has no list of missing files".to_owned());
            Vec::new()
        }
    };
    if !missing.is_empty() {
        found(Kind::ExpectedMissing, "/missing", format!("expected files are missing: {}", missing.join(", ")));
    }
    if index.get("repairs").is_some_and(|repairs| repairs.as_array().is_none()) {
        found(Kind::IndexMalformed, "/repairs", "repairs is not an array".to_owned());
    }
    match index.get("status").and_then(Node::as_str) {
        Some(status @ ("ok" | "partial" | "failed")) => {
            let expected = IndexStatus::of(bundle.has_failed(), missing.is_empty()).word();
            if status != expected && !bundle.in_progress() {
                let message =
                    format!("the index says {status:?}, but its run and its missing files make it {expected:?}");
                found(Kind::IndexInconsistent, "/status", message);
            }
        }
        Some(other) => {
            let message = format!("the index status {other:?} is none of ok, partial, failed");
            found(Kind::IndexStatusUnknown, "/status", message);
        }
        None => found(Kind::IndexStatusUnknown, "/status", "the index has no status that is text".to_owned()),
    }
}
