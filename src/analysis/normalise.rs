//! Events made again from the documents of a stored bundle.

use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use super::SummaryError;
use super::invalid::{InvalidBundle, documents};
use super::source::read_json;
use crate::bundle::layout::{BASELINE_RESULTS, EXPECTED_MATRIX, RUNTIME_RESULTS};
use crate::bundle::{UnverifiedBundle, resolve};
use crate::event::{Controls, EventWriter, Normaliser, NotMetadata, normalise_metadata, normalise_stored};
use crate::os::fs::replace_with;

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
    let documents = documents(&verification);
    if !verification.is_valid() && !allow_unverified {
        return Err(InvalidBundle::of(&verification).into());
    }
    let dir = documents.run_dir();
    let (results, _) = read_json(&dir.join(RUNTIME_RESULTS))?;
    let matrix = if_there(&dir.join(EXPECTED_MATRIX))?;
    let baseline = if_there(&dir.join(BASELINE_RESULTS))?;
    let rows = baseline.as_ref().and_then(|document| document["results"].as_array()).map(Vec::as_slice);
    let controls = Controls::of(rows.unwrap_or_default());
    let manifest = documents.manifest();
    // The rows' own words first: the manifest of a bundle may have been written by another program.
    let world = matrix.as_ref().and_then(|matrix| matrix["world_id"].as_str()).or(manifest.text("world_id"));
    let run_id = documents.run_id();
    let normaliser = Normaliser { world_id: world.unwrap_or("unknown"), run_id: Some(run_id), controls: &controls };
    let empty = Map::new();
    write(out, |take| {
        normalise_stored(&normaliser, results.as_object().unwrap_or(&empty), matrix.as_ref(), |event| take(&event))
    })
}

/// Normalises the rows of a metadata runner's document at `path` (the earlier tool's second form of results) and writes the
/// events to `out`. Returns the same numbers.
///
/// # Errors
/// The document cannot be read or is another, or `out` cannot be written.
pub fn normalise_metadata_document(path: &Path, out: &Path) -> Result<(usize, usize), SummaryError> {
    enum Stop {
        Not(NotMetadata),
        Write(io::Error),
    }
    impl From<NotMetadata> for Stop {
        fn from(why: NotMetadata) -> Self {
            Self::Not(why)
        }
    }
    let (document, _) = read_json(path)?;
    let controls = Controls::of(&[]);
    let normaliser = Normaliser { world_id: "unknown", run_id: None, controls: &controls };
    // Looked at before anything is written.
    let nothing = |_| Ok::<_, NotMetadata>(());
    normalise_metadata(&normaliser, &document, nothing)
        .map_err(|why| SummaryError::Metadata { path: path.to_owned(), why })?;
    write(out, |take| {
        normalise_metadata(&normaliser, &document, |event| take(&event).map_err(Stop::Write)).map_err(|stop| match stop
        {
            Stop::Not(why) => io::Error::other(why),
            Stop::Write(error) => error,
        })
    })
}

/// Takes one event to be written.
type Take<'t> = dyn FnMut(&Value) -> io::Result<()> + 't;

/// Writes the events that `each` hands out to `out`; how many there are, and how many of rows that could not be read.
fn write(out: &Path, each: impl Fn(&mut Take<'_>) -> io::Result<()>) -> Result<(usize, usize), SummaryError> {
    let (mut events, mut in_error) = (0, 0);
    let fill = |file: &mut dyn io::Write| {
        let mut writer = EventWriter::new(file);
        each(&mut |event| {
            events += 1;
            in_error += usize::from(event["error_kind"] == "malformed_row");
            writer.write(event)
        })?;
        writer.finish().map(|_| ())
    };
    replace_with(out, fill).map_err(SummaryError::Write)?;
    Ok((events, in_error))
}

fn if_there(path: &Path) -> Result<Option<Value>, SummaryError> {
    match read_json(path) {
        Ok((value, _)) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
