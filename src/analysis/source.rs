//! Where the events of a summary come from, what is checked of it, and what the summary says about that.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::event_row::EventRow;
use super::invalid::{InvalidBundle, documents};
use super::op_summary::{Counting, Generation, OpRuntimeSummary};
use super::pull::ReadError;
use super::stream::fold_events;
use crate::base::digest::Sha256Hex;
use crate::bundle::layout::{RUN_MANIFEST, RUNTIME_EVENTS, name};
use crate::bundle::{ResolveError, UnverifiedBundle, resolve};
use crate::os::fs::{Dir, FsError, open_regular};
use crate::promotion::{PacketError, object};
use crate::registry::{Base, Place};

/// Tag of mappings made from observations. v0.1: as the earlier tool writes it; `run_id`, `artifact_index_sha256` and
/// `integrity` added.
pub(super) const MAPPING_TAG: &str = "runtime-mapping.v0.1";

/// What a summary may be made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct SummaryOptions {
    /// Also of a bundle that is not what its index says. The summary says so.
    pub allow_unverified: bool,
    /// Also of a packet whose bundle is not promotable.
    pub allow_nonpromotable: bool,
    /// Threads that hash; 0: one per processor.
    pub jobs: usize,
}

/// Why there is no summary.
#[derive(Debug, thiserror::Error)]
pub enum SummaryError {
    /// There is no bundle.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The bundle is not what its index says.
    #[error(transparent)]
    Invalid(#[from] InvalidBundle),
    /// The bundle's index does not name a document that is needed.
    #[error("the bundle {} has no indexed {name}", bundle.display())]
    NotIndexed {
        /// Its directory.
        bundle: PathBuf,
        /// The document.
        name: &'static str,
    },
    /// A file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// Its path.
        path: PathBuf,
        /// What refused it.
        source: FsError,
    },
    /// The packet or the manifest that it names cannot be read, or is something else.
    #[error(transparent)]
    File(#[from] PacketError),
    /// Events are not what the format says.
    #[error("{} cannot be summarised", path.display())]
    Events {
        /// Their path.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// Events at hand are not what the format says.
    #[error("the events cannot be summarised")]
    Read(#[from] ReadError),
    /// The events are not the ones that the index or packet names.
    #[error("{} was changed: its digest is {found}, {by} says {expected}", path.display())]
    Changed {
        /// Their path.
        path: PathBuf,
        /// Who names them.
        by: &'static str,
        /// The digest there.
        expected: String,
        /// The digest of what was read.
        found: String,
    },
    /// A document of rows is not one.
    #[error("{} cannot be normalised", path.display())]
    Document {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// The document is no metadata runner's.
    #[error("{} is not a document of a metadata runner", path.display())]
    Metadata {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// The packet lacks something or names what cannot be found.
    #[error("the packet {} {why}", path.display())]
    Packet {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The packet's bundle is not promotable.
    #[error("the packet {} is not promotable: {why}", path.display())]
    NotPromotable {
        /// Its path.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The list of mismatches cannot be kept.
    #[error("cannot keep the list of mismatches in a temporary file")]
    Spool(#[source] io::Error),
    /// What was made of them cannot be written.
    #[error("the output cannot be written")]
    Write(#[source] FsError),
}

impl SummaryError {
    /// Whether there is no such file.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Open { source, .. } if source.is_not_found())
    }

    /// Whether the answer is "no" rather than "could not answer".
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Resolve(error) => error.is_refusal(),
            other => matches!(other, Self::Invalid(_) | Self::NotPromotable { .. } | Self::Changed { .. }),
        }
    }
}

/// What the envelope of every mapping says.
pub(super) fn meta(world_id: &str, source_job: &str, notes: &str) -> Value {
    json!({
        "world_id": world_id,
        "schema_version": MAPPING_TAG,
        "runtime_log_schema": "runtime_log_schema.v0.1.json",
        "status": "partial",
        "tier": "mapped",
        "source_jobs": [source_job],
        "notes": notes,
    })
}

fn with_inputs(mut meta: Value, inputs: &[(String, Sha256Hex)]) -> Value {
    meta["inputs"] = json!(inputs.iter().map(|(path, _)| path).collect::<Vec<_>>());
    meta["input_hashes"] = Value::Object(inputs.iter().map(|(path, digest)| (path.clone(), json!(digest))).collect());
    meta
}

/// Summarises the events of the bundle at `bundle` (a root or one run's directory).
///
/// # Errors
/// See [`SummaryError`].
pub fn summarize_ops_from_bundle(bundle: &Path, options: SummaryOptions) -> Result<OpRuntimeSummary, SummaryError> {
    let unverified = UnverifiedBundle::read(resolve(bundle)?);
    let dir = unverified.run_dir().to_owned();
    let generation = if unverified.is_own() { Generation::Own } else { Generation::Earlier };
    let world = unverified.manifest().text("world_id").or(unverified.index().text("world_id"));
    let world = world.unwrap_or("unknown").to_owned();
    let (events_name, path) = (name(RUNTIME_EVENTS), dir.join(RUNTIME_EVENTS));
    // The bytes that are counted are the bytes that are hashed.
    let mut taken = None;
    let verification = unverified.verify_while_reading(options.jobs, &events_name, |file| {
        let (counted, read) = take_all(file.file, &path, Counting::new(&world, generation));
        taken = read.as_ref().ok().map(|(digest, _)| (counted, digest.clone()));
        read
    });
    let documents = documents(&verification);
    let valid = verification.is_valid();
    if !valid && !options.allow_unverified {
        return Err(InvalidBundle::of(&verification).into());
    }
    let verified = verification.verified().filter(|_| valid);
    if verified.is_some_and(|bundle| bundle.sha256(&events_name).is_none()) {
        return Err(SummaryError::NotIndexed { bundle: dir, name: RUNTIME_EVENTS });
    }
    let (counted, digest) = match taken {
        Some(taken) => taken,
        // Not an artifact of this bundle as the index says it; what there is was asked for all the same.
        None => {
            let open = || Dir::open(&dir).and_then(|dir| dir.open_file(&events_name));
            let file = open().map_err(|source| SummaryError::Open { path: path.clone(), source })?;
            let (counted, read) = take_all(file.file, &path, Counting::new(&world, generation));
            let (digest, _) =
                read.map_err(|error| SummaryError::Events { path: path.clone(), source: error.into() })?;
            (counted, digest)
        }
    };
    let mut summary = counted?;
    let recorded = |constant: &'static str| {
        let recorded = verified.and_then(|bundle| bundle.recorded_path(&name(constant)));
        recorded.map_or_else(|| dir.join(constant).to_string_lossy().into_owned(), str::to_owned)
    };
    let mut inputs = vec![(recorded(RUNTIME_EVENTS), digest)];
    if let Some((digest, _)) = documents.manifest().digest() {
        inputs.push((recorded(RUN_MANIFEST), digest.clone()));
    }
    let notes = "Events of one run, summarised by operation.";
    let mut meta = with_inputs(meta(&world, "runtime_bundle", notes), &inputs);
    meta["run_id"] = json!(documents.run_id());
    meta["artifact_index_sha256"] = json!(documents.index().digest().map(|(digest, _)| digest));
    meta["integrity"] = json!(if verified.is_some() { "verified" } else { "unverified" });
    summary.meta = meta;
    Ok(summary)
}

/// Summarises every event of a document, without saying yet where they come from; and digest and size of what was read.
fn take_all(
    file: std::fs::File,
    path: &Path,
    counting: Counting,
) -> (Result<OpRuntimeSummary, SummaryError>, io::Result<(Sha256Hex, u64)>) {
    enum Stop {
        Read(ReadError),
        Spool(io::Error),
    }
    impl From<ReadError> for Stop {
        fn from(error: ReadError) -> Self {
            Self::Read(error)
        }
    }
    let take = |counting: &mut Counting, event: &EventRow<'_>| counting.add(event).map_err(Stop::Spool);
    let (counted, read) = fold_events(file, counting, take, |counting| counting.finish().map_err(Stop::Spool));
    let counted = counted.map_err(|stop| match stop {
        Stop::Read(source) => SummaryError::Events { path: path.to_owned(), source },
        Stop::Spool(error) => SummaryError::Spool(error),
    });
    (counted, read)
}

/// Summarises the events that the packet at `packet` points to; its paths are relative to `root`, else to the packet's own.
///
/// # Errors
/// See [`SummaryError`].
pub fn summarize_ops_from_packet(
    packet: &Path,
    root: Option<&Path>,
    options: SummaryOptions,
) -> Result<OpRuntimeSummary, SummaryError> {
    let (members, packet_digest) = object(packet, "promotion packet")?;
    let document = Value::Object(members);
    let wrong = |why: String| SummaryError::Packet { path: packet.to_owned(), why };
    let base = Base::of(&Place::Disk(packet.to_owned()), root);
    let pointer = |key: &str| {
        let stored = document[key].as_str().ok_or_else(|| wrong(format!("has no {key}")))?;
        let place = base.resolve(stored).map_err(|error| wrong(format!("has the {key} {stored:?}: {error}")))?;
        match place.disk_path() {
            Some(path) => Ok((stored.to_owned(), path.to_owned())),
            None => Err(wrong(format!("points to {place} for {key}"))),
        }
    };
    let (_, manifest_path) = pointer("run_manifest")?;
    let (events_stored, events_path) = pointer("runtime_events")?;
    let (manifest, _) = object(&manifest_path, "run manifest")?;
    let manifest = Value::Object(manifest);
    // Packets of this tool name the run and digests; those of the earlier one hold nothing but pointers.
    let own = document.get("run_id").is_some() || document.get("export_digests").is_some();
    if !options.allow_nonpromotable {
        let refused = |why: String| SummaryError::NotPromotable { path: packet.to_owned(), why };
        let answer = &document["promotability"]["promotable_decision_stage"];
        // Packets of the earlier tool from before promotability was recorded have no answer.
        if *answer == json!(false) || (own && *answer != json!(true)) {
            let reasons = &document["promotability"]["reasons"];
            return Err(refused(format!("its promotable_decision_stage is false, for {reasons}")));
        }
        if manifest["channel"] != json!("launchd_clean") {
            return Err(refused(format!("its run's channel is {}, not \"launchd_clean\"", manifest["channel"])));
        }
    }
    let world = manifest["world_id"].as_str().unwrap_or("unknown");
    let counting = Counting::new(world, if own { Generation::Own } else { Generation::Earlier });
    let file = open_regular(&events_path).map_err(|source| SummaryError::Open { path: events_path.clone(), source })?;
    let (counted, read) = take_all(file.file, &events_path, counting);
    let (digest, _) = read.map_err(|error| SummaryError::Events { path: events_path.clone(), source: error.into() })?;
    let vouched = document["export_digests"]["runtime_events"].as_str();
    if let Some(expected) = vouched.filter(|expected| **expected != digest.to_string()) {
        let (expected, found) = (expected.to_owned(), digest.to_string());
        return Err(SummaryError::Changed { path: events_path, by: "the packet", expected, found });
    }
    if vouched.is_none() && own && !options.allow_unverified {
        return Err(wrong("gives no digest for its events; --allow-unverified takes them all the same".to_owned()));
    }
    let mut summary = counted?;
    let packet_stored = packet.to_string_lossy().into_owned();
    let notes = "Events that a promotion packet points to, summarised by operation.";
    let inputs = [(packet_stored, packet_digest), (events_stored, digest)];
    let mut meta = with_inputs(meta(world, "promotion_packet", notes), &inputs);
    meta["run_id"] = manifest.get("run_id").cloned().unwrap_or(Value::Null);
    meta["artifact_index_sha256"] = document.get("artifact_index_sha256").cloned().unwrap_or(Value::Null);
    meta["integrity"] = json!(if vouched.is_some() { "verified" } else { "unverified" });
    summary.meta = meta;
    Ok(summary)
}
