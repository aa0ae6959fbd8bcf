//! What the app collects in a directory: told where to, taken from there, never from an older place.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::arguments;
use super::call::{Call, call, members};
use super::client::{Client, text};
use super::envelope::{Answer, Response};
use super::session::{Done, Records, Work, name, output_keys, record};
use super::{JailError, Problem, files};
use crate::base::cancel::Cancel;
use crate::base::digest::Sha256Hex;
use crate::base::json as document;
use crate::base::rel_path::RelPath;

/// Tag of the records of [`run_matrix_group`] and [`bundle_evidence`].
const TAG: &str = "runtime-tools.entitlement_jail_collection.v0.1";
/// The time limit of a collection unless another is set.
const TIMEOUT: Duration = Duration::from_secs(300);

/// What is collected.
#[derive(Clone, Copy)]
enum What<'a> {
    Matrix { group: &'a str },
    Evidence,
}

impl What<'_> {
    fn command(self) -> &'static str {
        match self {
            Self::Matrix { .. } => "run-matrix",
            Self::Evidence => "bundle-evidence",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Matrix { .. } => "run_matrix_report",
            Self::Evidence => "bundle_evidence_report",
        }
    }

    /// The folder of the records directory.
    fn folder(self) -> &'static str {
        match self {
            Self::Matrix { .. } => "matrix",
            Self::Evidence => "evidence",
        }
    }
}

/// Runs the snapshot probe under every profile of a group.
///
/// # Errors
/// [`JailError`]. An app that fails, hangs, dies or leaves no output is a record.
pub fn run_matrix_group(
    client: &Client,
    group: &str,
    ack_risk: Option<&str>,
    records: &Records,
    cancel: &Cancel,
) -> Result<Done, JailError> {
    collect(client, What::Matrix { group }, ack_risk, records, cancel)
}

/// Collects the static evidence of the app.
///
/// # Errors
/// As [`run_matrix_group`].
pub fn bundle_evidence(
    client: &Client,
    ack_risk: Option<&str>,
    records: &Records,
    cancel: &Cancel,
) -> Result<Done, JailError> {
    collect(client, What::Evidence, ack_risk, records, cancel)
}

fn collect(
    client: &Client,
    what: What<'_>,
    ack_risk: Option<&str>,
    records: &Records,
    cancel: &Cancel,
) -> Result<Done, JailError> {
    let cli = client.cli()?;
    let mut request = members(json!({"command": what.command(), "ack_risk": ack_risk}));
    if let What::Matrix { group } = what {
        request.insert("group".to_owned(), json!(group));
    }
    let request = Value::Object(request);
    let plan_id = format!("entitlement-jail:{}", what.command());
    record(client, records, cancel, &plan_id, &request, |work| {
        let told_to = work.scratch.join("output");
        let place = text(&told_to)?;
        let argv = match what {
            What::Matrix { group } => arguments::run_matrix(&cli, group, ack_risk, &place),
            What::Evidence => arguments::bundle_evidence(&cli, ack_risk, &place),
        };
        let shown = client.shown_command(&argv);
        let called = call(client, argv, client.timeout.unwrap_or(TIMEOUT), cancel);
        let answer = called.answer();
        let mut problems = called.problems(&answer, what.kind());
        let taken = take(work, what, &called, &answer, &told_to)?;
        if taken.error.is_some() && called.end.is_ok() {
            problems.push(Problem::OutputMissing);
        }
        let runs = runs(what, &answer, ack_risk, &mut problems);
        let mut keys = members(json!({"world_id": client.world_id, "entrypoint": client.shown(Path::new(&cli))}));
        if let What::Matrix { group } = what {
            keys.insert("group".to_owned(), json!(group));
        }
        keys.extend(members(json!({
            "out_dir": work.recorded(&name(what.folder())), "source_out_dir_hint": taken.source,
            "source_candidates": taken.candidates, "copy_error": taken.error, "command": shown,
        })));
        keys.extend(output_keys(&called, false));
        keys.extend(called.more(client));
        keys.extend(work.keep_streams("streams", &called)?);
        keys.extend(members(json!({
            "stdout_json": answer.json(), "stdout_json_error": answer.error(), "files": taken.files, "runs": runs,
        })));
        keys.extend(work.last_keys(TAG, &request, &mut problems));
        Ok((Value::Object(keys), problems))
    })
}

/// What was taken from the app's output.
struct Taken {
    source: String,
    candidates: Vec<String>,
    error: Option<String>,
    files: Vec<Value>,
}

/// Takes the output from where the app says it is. Of a matrix that must be where it was told to put it, or hold what it printed; a
/// bundle of evidence holds no answer to compare, so there only files that are newer than the call count.
fn take(
    work: &mut Work<'_>,
    what: What<'_>,
    called: &Call,
    answer: &Answer,
    told_to: &Path,
) -> Result<Taken, JailError> {
    let client = work.client;
    let reported = Response(answer.json()).data_text("output_dir").map(|path| client.named_by_app(path));
    let same = |path: &Path| path.canonicalize().ok().is_some_and(|real| told_to.canonicalize().ok() == Some(real));
    let elsewhere: Option<PathBuf> = reported.filter(|path| path != told_to && !same(path));
    let source = elsewhere.clone().unwrap_or_else(|| told_to.to_owned());
    let candidates = elsewhere.iter().map(PathBuf::as_path).chain([told_to]).map(|path| client.hint(path)).collect();
    let since = called.end.as_ref().map_or(SystemTime::UNIX_EPOCH, |end| end.started_at);
    let found = match &called.end {
        Err(_) => Err("not_started".to_owned()),
        Ok(_) => files::fresh_tree(&source, since),
    };
    let found = found.and_then(|files| match (elsewhere, what) {
        (Some(_), What::Matrix { .. }) if !holds_answer(&files, answer) => Err(format!("stale: {}", source.display())),
        _ => Ok(files),
    });
    let mut taken = Taken { source: client.hint(&source), candidates, error: None, files: Vec::new() };
    match found {
        Err(why) => taken.error = Some(why),
        Ok(files) => {
            for (inside, bytes) in files {
                let place = RelPath::try_from(format!("{}/{inside}", what.folder()));
                let place = place.expect("both parts are plain relative paths");
                let path = work.keep(&place, &bytes)?;
                taken.files.push(json!({"path": path, "sha256": Sha256Hex::of(&bytes), "size_bytes": bytes.len()}));
            }
        }
    }
    Ok(taken)
}

/// Whether the report among the files is the one that was printed.
fn holds_answer(files: &[(RelPath, Vec<u8>)], answer: &Answer) -> bool {
    let report = files.iter().find(|(name, _)| name.as_str() == "run-matrix.json");
    report.and_then(|(_, bytes)| document::read(bytes).ok()).as_ref() == answer.json()
}

/// Counts the runs of a matrix. The app's exit status is 0 even when every one failed.
fn runs(what: What<'_>, answer: &Answer, ack_risk: Option<&str>, problems: &mut Vec<Problem>) -> Value {
    let response = Response(answer.json());
    let list = |key: &str| response.data(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let skipped = match what {
        What::Matrix { .. } => list("skipped"),
        What::Evidence => list("profiles_skipped"),
    };
    if let Some(ack) = ack_risk {
        let names = |entry: &Value| -> BTreeSet<String> {
            let named = ["profile_id", "bundle_id"].iter().filter_map(|key| entry.get(*key)?.as_str());
            named.chain(entry.as_str()).map(str::to_owned).collect()
        };
        let swallowed = list("probe_argv").iter().any(|word| word == "--ack-risk");
        if swallowed || skipped.iter().any(|entry| names(entry).contains(ack)) {
            problems.push(Problem::AckRiskNotTaken);
        }
    }
    if answer.json().is_none() || matches!(what, What::Evidence) {
        return Value::Null;
    }
    let all = list("runs");
    let answered = |run: &&Value| {
        let has = |key: &str| run.get(key).is_some_and(|value| !value.is_null());
        has("rc") && !has("parse_error")
    };
    let count = |of: &dyn Fn(&&Value) -> bool| all.iter().filter(|run| of(run)).count();
    let (answered, ok) = (count(&answered), count(&|run| run.get("rc").and_then(Value::as_i64) == Some(0)));
    if answered < all.len() || all.is_empty() {
        problems.push(Problem::RunsUnanswered);
    }
    let counts: Map<String, Value> = members(json!({
        "total": all.len(), "answered": answered, "rc_zero": ok, "skipped": skipped.len(),
    }));
    Value::Object(counts)
}
