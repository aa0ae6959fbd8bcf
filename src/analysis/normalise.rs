//! Events made again from the documents of a stored bundle.

use std::io;
use std::path::Path;

use serde_json::Value;

use super::SummaryError;
use super::invalid::InvalidBundle;
use super::pull::ReadError;
use super::stored::{ExpectedProbes, MetadataHead, Preflights, normalise_metadata, normalise_results, read_controls};
use crate::base::digest::Sha256Hex;
use crate::bundle::layout::{BASELINE_RESULTS, EXPECTED_MATRIX, RUNTIME_RESULTS, name};
use crate::bundle::{UnverifiedBundle, resolve};
use crate::event::{Controls, EventWriter, Normaliser};
use crate::os::fs::{Dir, FsError, RegularFile, open_regular, replace_with};

/// How many events were written, and how many of them are of rows that could not be read.
pub type Written = (usize, usize);

/// Normalises the rows of the bundle at `bundle` and writes the events to `out`, one at a time: whole, or not at all.
///
/// # Errors
/// The bundle is not valid (unless `allow_unverified`), its results cannot be read, or `out` cannot be written.
pub fn normalise_bundle(
    bundle: &Path,
    out: &Path,
    allow_unverified: bool,
    jobs: usize,
) -> Result<Written, SummaryError> {
    let unverified = UnverifiedBundle::read(resolve(bundle)?);
    let stored = Stored { dir: unverified.run_dir().to_owned() };
    // What rows are judged by is read first; that it is what the index says shows when everything was hashed.
    let (with, failed) = match stored.beside() {
        Ok(beside) => (beside, None),
        // A bundle that is not valid is that first.
        Err(error) => (Beside::default(), Some(error)),
    };
    // The rows' own words first: the manifest of a bundle may have been written by another program.
    let world = with.expected.world_id.clone().or(unverified.manifest().text("world_id").map(str::to_owned));
    let run_id = unverified.run_id().to_owned();
    let normaliser =
        Normaliser { world_id: world.as_deref().unwrap_or("unknown"), run_id: Some(&run_id), controls: &with.controls };
    let results = name(RUNTIME_RESULTS);
    write(out, |sink| {
        let mut taken = None;
        let verification = unverified.verify_while_reading(jobs, &results, |file| {
            let (made, read) =
                normalise_results(&normaliser, &with.expected, &with.preflights, file.file, |event| sink.take(&event));
            taken = Some(made);
            read
        });
        let valid = verification.is_valid();
        if !valid && !allow_unverified {
            return Err(InvalidBundle::of(&verification).into());
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if let Some(verified) = verification.verified().filter(|_| valid) {
            for (constant, digest) in
                with.digests.iter().map(|(name, digest)| (*name, Some(digest))).chain([(RUNTIME_RESULTS, None)])
            {
                let indexed = verified.sha256(&name(constant));
                let Some(indexed) = indexed else {
                    return Err(SummaryError::NotIndexed { bundle: stored.dir.clone(), name: constant });
                };
                if let Some(found) = digest.filter(|digest| *digest != indexed) {
                    let (expected, found) = (indexed.to_string(), found.to_string());
                    return Err(SummaryError::Changed {
                        path: stored.dir.join(constant),
                        by: "the index",
                        expected,
                        found,
                    });
                }
            }
        }
        let made = match taken {
            Some(made) => made,
            // Not an artifact of this bundle as the index says it; what there is was asked for all the same.
            None => {
                let file = stored.open(RUNTIME_RESULTS)?;
                let (made, read) =
                    normalise_results(&normaliser, &with.expected, &with.preflights, file.file, |event| {
                        sink.take(&event)
                    });
                stored.read(RUNTIME_RESULTS, read)?;
                made
            }
        };
        made.map_err(|stop| stop.at(&stored.dir.join(RUNTIME_RESULTS)))
    })
}

/// Normalises the rows of a metadata runner's document at `path` (the earlier tool's second form of results) and writes the events
/// to `out`, one at a time: whole, or not at all.
///
/// # Errors
/// The document cannot be read or is another, or `out` cannot be written.
pub fn normalise_metadata_document(path: &Path, out: &Path) -> Result<Written, SummaryError> {
    let open = || open_regular(path).map_err(|source| SummaryError::Open { path: path.to_owned(), source });
    let document = |source: ReadError| SummaryError::Metadata { path: path.to_owned(), source };
    let (head, first) = MetadataHead::read(open()?.file);
    let (head, first) = (head.map_err(document)?, first.map_err(|error| document(error.into()))?);
    let controls = Controls::default();
    let normaliser = Normaliser { world_id: "unknown", run_id: None, controls: &controls };
    write(out, |sink| {
        let (made, read) = normalise_metadata(&normaliser, &head, open()?.file, |event| sink.take(&event));
        made.map_err(|stop| stop.at(path))?;
        let again = read.map_err(|error| document(error.into()))?;
        if again != first {
            let (expected, found) = (first.0.to_string(), again.0.to_string());
            return Err(SummaryError::Changed { path: path.to_owned(), by: "its first reading", expected, found });
        }
        Ok(())
    })
}

/// The documents in a run's directory.
struct Stored {
    dir: std::path::PathBuf,
}

/// What the rows of a bundle are judged by.
#[derive(Default)]
struct Beside {
    expected: ExpectedProbes,
    controls: Controls,
    preflights: Preflights,
    /// Of the documents that are there.
    digests: Vec<(&'static str, Sha256Hex)>,
}

impl Stored {
    fn open(&self, constant: &'static str) -> Result<RegularFile, SummaryError> {
        let opened = Dir::open(&self.dir).and_then(|dir| dir.open_file(&name(constant)));
        opened.map_err(|source| SummaryError::Open { path: self.dir.join(constant), source })
    }

    fn read<T>(&self, constant: &'static str, read: Result<T, impl Into<ReadError>>) -> Result<T, SummaryError> {
        read.map_err(|source| SummaryError::Document { path: self.dir.join(constant), source: source.into() })
    }

    fn beside(&self) -> Result<Beside, SummaryError> {
        let mut beside = Beside::default();
        if let Some(file) = if_there(self.open(EXPECTED_MATRIX))? {
            let (expected, read) = ExpectedProbes::read(file.file);
            beside.expected = self.read(EXPECTED_MATRIX, expected)?;
            beside.digests.push((EXPECTED_MATRIX, self.read(EXPECTED_MATRIX, read)?.0));
        }
        if let Some(file) = if_there(self.open(BASELINE_RESULTS))? {
            let (controls, read) = read_controls(file.file);
            beside.controls = self.read(BASELINE_RESULTS, controls)?;
            beside.digests.push((BASELINE_RESULTS, self.read(BASELINE_RESULTS, read)?.0));
        }
        let (preflights, read) = Preflights::read(self.open(RUNTIME_RESULTS)?.file);
        self.read(RUNTIME_RESULTS, read)?;
        beside.preflights = self.read(RUNTIME_RESULTS, preflights)?;
        Ok(beside)
    }
}

fn if_there(opened: Result<RegularFile, SummaryError>) -> Result<Option<RegularFile>, SummaryError> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Why no more events are made.
enum Stop {
    Read(ReadError),
    Write(io::Error),
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl Stop {
    fn at(self, document: &Path) -> SummaryError {
        match self {
            Self::Read(source) => SummaryError::Document { path: document.to_owned(), source },
            Self::Write(source) => {
                SummaryError::Write(FsError::Io { action: "write", path: "the events".into(), source })
            }
        }
    }
}

/// Where events go.
struct Sink<'f> {
    writer: EventWriter<&'f mut dyn io::Write>,
    written: Written,
}

impl Sink<'_> {
    fn take(&mut self, event: &Value) -> Result<(), Stop> {
        self.written.0 += 1;
        self.written.1 += usize::from(event["error_kind"] == "malformed_row");
        self.writer.write(event).map_err(Stop::Write)
    }
}

/// Writes the events that `make` hands to the sink to `out`, if that succeeds.
fn write(out: &Path, make: impl FnOnce(&mut Sink<'_>) -> Result<(), SummaryError>) -> Result<Written, SummaryError> {
    let (mut failed, mut written) = (None, (0, 0));
    let done = replace_with(out, |file| {
        let mut sink = Sink { writer: EventWriter::new(file), written: (0, 0) };
        if let Err(error) = make(&mut sink) {
            failed = Some(error);
            return Err(io::Error::other("the events cannot be made"));
        }
        written = sink.written;
        sink.writer.finish().map(|_| ())
    });
    match failed {
        Some(error) => Err(error),
        None => done.map(|()| written).map_err(SummaryError::Write),
    }
}
