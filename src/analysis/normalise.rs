//! Events made again from the documents of a stored bundle.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::SummaryError;
use crate::base::json;
use crate::bundle::layout::{BASELINE_RESULTS, EXPECTED_MATRIX, RUNTIME_RESULTS};
use crate::bundle::{Checked, UnverifiedBundle, resolve};
use crate::event::{Controls, EventWriter, Normaliser, normalise_stored};
use crate::os::fs::{read_bounded, replace_with};
use crate::vocab::{Finding, Severity};

/// Normalises the rows of the bundle at `bundle` and writes the events to `out`, one at a time. Returns how many there are, and
/// how many of them are rows that could not be read.
///
/// # Errors
/// The bundle is not valid (unless `allow_unverified`), its results cannot be read, or `out` cannot be written.
pub fn normalise_bundle(
    bundle: &Path,
    out: &Path,
    allow_unverified: bool,
    jobs: usize,
) -> Result<(usize, usize), SummaryError> {
    let verification = UnverifiedBundle::read(resolve(bundle)?).verify(jobs);
    let documents = match &verification.bundle {
        Checked::Verified(bundle) => bundle.documents(),
        Checked::Refused(bundle) => bundle,
    };
    let dir = documents.run_dir();
    if !verification.is_valid() && !allow_unverified {
        let errors = verification.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let findings = errors.map(|Finding { id, message, .. }| format!("{message} [{id}]")).collect();
        return Err(SummaryError::Invalid { bundle: dir.to_owned(), findings });
    }
    let read = |name: &str, needed: bool| read_document(&dir.join(name), needed);
    let results = read(RUNTIME_RESULTS, true)?.unwrap_or_default();
    let matrix = read(EXPECTED_MATRIX, false)?;
    let baseline = read(BASELINE_RESULTS, false)?;
    let rows = baseline.as_ref().and_then(|document| document["results"].as_array()).map(Vec::as_slice);
    let controls = Controls::of(rows.unwrap_or_default());
    let manifest = documents.manifest();
    // The rows' own words first: the manifest of a bundle may have been written by another program.
    let world = matrix.as_ref().and_then(|matrix| matrix["world_id"].as_str()).or(manifest.text("world_id"));
    let run_id = documents.run_id();
    let normaliser = Normaliser { world_id: world.unwrap_or("unknown"), run_id: Some(run_id), controls: &controls };
    let empty = Map::new();
    let (mut events, mut in_error) = (0, 0);
    let fill = |file: &mut dyn std::io::Write| {
        let mut writer = EventWriter::new(file);
        normalise_stored(&normaliser, results.as_object().unwrap_or(&empty), matrix.as_ref(), |event| {
            events += 1;
            in_error += usize::from(event["error_kind"] == "malformed_row");
            writer.write(&event)
        })?;
        writer.finish().map(|_| ())
    };
    replace_with(out, fill).map_err(SummaryError::Write)?;
    Ok((events, in_error))
}

fn read_document(path: &Path, needed: bool) -> Result<Option<Value>, SummaryError> {
    let path: PathBuf = path.to_owned();
    match read_bounded(&path, json::MAX_DOCUMENT_BYTES) {
        Ok(bytes) => json::read(&bytes).map(Some).map_err(|source| SummaryError::Json { path, source }),
        Err(error) if error.is_not_found() && !needed => Ok(None),
        Err(source) => Err(SummaryError::Open { path, source }),
    }
}
