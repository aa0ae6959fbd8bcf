//! Checking every claim of an index against the bytes, in parallel, reporting everything.

use std::collections::HashSet;

use indexmap::IndexMap;
use rayon::prelude::*;
use serde_json::Value;

use super::super::layout::{REPAIR_LOG, RUN_MANIFEST, RUN_STATUS, name as known};
use super::entry::{self, Claim};
use super::problem::{Class, Generation, Kind, Problem};
use super::raw::{Document, UnverifiedBundle};
use super::verified::{VerifiedArtifact, VerifiedBundle};
use super::{identity, unindexed};
use crate::base::digest::Sha256Hex;
use crate::os::fs::{Dir, FsError};
use crate::vocab::{Finding, Severity};

/// Files up to this size are read in one piece; larger ones are streamed.
const ONE_PIECE_BYTES: u64 = 64 * 1024;

/// More threads than this never help hashing.
const MAX_JOBS: usize = 256;

/// The answer of a reader: everything found, and the bundle in the state it earned.
#[derive(Debug)]
pub struct Verification {
    /// Everything found: documents first, then artifacts in index order, then files without entry.
    pub findings: Vec<Finding>,
    /// The bundle.
    pub bundle: Checked,
    /// Artifacts the index lists.
    pub artifact_count: usize,
    /// Bytes hashed.
    pub hashed_bytes: u64,
}

/// A bundle after checking.
#[derive(Debug)]
pub enum Checked {
    /// Every indexed byte is the one the index names.
    Verified(VerifiedBundle),
    /// Something is not proven; nothing in it may be believed.
    Refused(UnverifiedBundle),
}

impl Verification {
    /// The verified bundle, if it is one.
    #[must_use]
    pub fn verified(&self) -> Option<&VerifiedBundle> {
        match &self.bundle {
            Checked::Verified(bundle) => Some(bundle),
            Checked::Refused(_) => None,
        }
    }

    /// Whether nothing was found that makes the bundle invalid. Warnings do not.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }
}

impl UnverifiedBundle {
    /// Checks everything: documents, identities, every indexed byte, files without entry. `jobs` threads hash (0: one
    /// per processor; at most 256).
    #[must_use]
    pub fn verify(self, jobs: usize) -> Verification {
        let generation = self.generation();
        let mut problems = Vec::new();
        identity::check(&self, &mut problems);
        let (claims, checked) = self.check_artifacts(jobs, generation, &mut problems);
        self.warn_about_pointer(&mut problems);
        if self.is_repaired() && !self.index.is_absent() {
            let message = "the bundle was repaired after its run: its index was rebuilt over the files then present";
            problems.push(Problem::new(Kind::Repaired, REPAIR_LOG, message));
        }
        let indexed: HashSet<_> = claims.iter().map(|claim| claim.name.clone()).collect();
        if !self.index.is_absent() {
            unindexed::check(&self.resolved.dir, &indexed, &mut problems);
        }
        let refused = problems.iter().any(|problem| problem.kind.class(generation) == Class::Refuse);
        let artifact_count = claims.len();
        let hashed_bytes = checked.iter().flatten().map(|(_, size_bytes)| size_bytes).sum();
        let findings = problems.into_iter().map(|problem| problem.finding(generation)).collect();
        let index_sha256 = self.index.digest().map(|(digest, _)| digest.clone());
        let bundle = match index_sha256 {
            Some(index_sha256) if !refused => {
                let artifacts: IndexMap<_, _> = claims
                    .into_iter()
                    .zip(checked)
                    .filter_map(|(claim, hashed)| hashed.map(|(sha256, size_bytes)| (claim, sha256, size_bytes)))
                    .map(|(claim, sha256, size_bytes)| {
                        let Claim { name, path, .. } = claim;
                        (name, VerifiedArtifact { path, size_bytes, sha256 })
                    })
                    .collect();
                Checked::Verified(VerifiedBundle::new(self, artifacts, index_sha256))
            }
            _ => Checked::Refused(self),
        };
        Verification { findings, bundle, artifact_count, hashed_bytes }
    }

    fn check_artifacts(
        &self,
        jobs: usize,
        generation: Generation,
        problems: &mut Vec<Problem>,
    ) -> (Vec<Claim>, Vec<Option<(Sha256Hex, u64)>>) {
        let Some(index) = self.index.members() else { return (Vec::new(), Vec::new()) };
        let directory = self.resolved.directory_name.as_str();
        let run_ids: Vec<&str> = match (index.get("run_id").and_then(Value::as_str), generation) {
            (Some(run_id), Generation::Own) => vec![run_id],
            (Some(run_id), Generation::Earlier) if run_id != directory => vec![run_id, directory],
            _ => vec![directory],
        };
        // An empty id would make every path look like one of ours.
        let run_ids: Vec<&str> = run_ids.into_iter().filter(|id| !id.is_empty()).collect();
        let claims = entry::claims(index, &run_ids, problems);
        let work = || claims.par_iter().map(|claim| self.check(claim, generation)).collect::<Vec<_>>();
        let results = match rayon::ThreadPoolBuilder::new().num_threads(jobs.min(MAX_JOBS)).build() {
            Ok(pool) => pool.install(work),
            // No threads to be had: the calling thread does it.
            Err(_) => claims.iter().map(|claim| self.check(claim, generation)).collect(),
        };
        let mut checked = Vec::with_capacity(results.len());
        for (hashed, found) in results {
            problems.extend(found);
            checked.push(hashed);
        }
        if !claims.is_empty() {
            self.status_is_indexed(&claims, problems);
        }
        (claims, checked)
    }

    /// One artifact: opened once, size and digest of what was read.
    fn check(&self, claim: &Claim, generation: Generation) -> (Option<(Sha256Hex, u64)>, Vec<Problem>) {
        let name = claim.name.as_str();
        let problem = |kind, message: String| Problem::new(kind, name, message);
        // Documents that were parsed are judged by the bytes they were parsed from.
        let parsed = match name {
            RUN_STATUS => self.status.digest(),
            RUN_MANIFEST => self.manifest.digest(),
            _ => None,
        };
        let hashed = match parsed {
            Some((sha256, size_bytes)) => Ok((sha256.clone(), size_bytes)),
            None => hash(&self.resolved.dir, claim, generation),
        };
        let (sha256, size_bytes) = match hashed {
            Ok(hashed) => hashed,
            Err(problem) => return (None, vec![*problem]),
        };
        let mut problems = Vec::new();
        if let Some(expected) = claim.size_bytes.filter(|&expected| expected != size_bytes) {
            let message = format!("{name} has {size_bytes} bytes, the index says {expected}");
            problems.push(problem(Kind::ArtifactSizeMismatch, message));
        }
        if let Some(expected) = claim.sha256.as_ref().filter(|&expected| *expected != sha256) {
            let message = format!("{name} has the digest {sha256}, the index says {expected}");
            problems.push(problem(Kind::ArtifactDigestMismatch, message));
        }
        (Some((sha256, size_bytes)), problems)
    }

    /// A status or manifest that stands there must be covered by the index: its words decide the verdict.
    fn status_is_indexed(&self, claims: &[Claim], problems: &mut Vec<Problem>) {
        for (constant, document) in [(RUN_STATUS, &self.status), (RUN_MANIFEST, &self.manifest)] {
            let listed = claims.iter().any(|claim| claim.name == known(constant));
            if !listed && matches!(document, Document::Object { .. }) {
                let message = format!("{constant} stands there, but the index does not list it");
                problems.push(Problem::new(Kind::IndexInconsistent, constant, message));
            }
        }
    }

    fn warn_about_pointer(&self, problems: &mut Vec<Problem>) {
        let dry = self.manifest.members().and_then(|m| m.get("dry_run")).and_then(Value::as_bool) == Some(true);
        if dry && self.resolved.through_pointer {
            let message = format!("LATEST names run {}, a dry run: nothing was executed", self.run_id());
            problems.push(Problem::new(Kind::LatestDryRun, RUN_MANIFEST, message).at("/dry_run"));
        }
    }
}

/// Opens one artifact beneath the bundle and hashes it, held to the size it had when opened.
fn hash(dir: &Dir, claim: &Claim, generation: Generation) -> Result<(Sha256Hex, u64), Box<Problem>> {
    let name = claim.name.as_str();
    let refuse = |error: FsError| Box::new(unreadable(name, &error));
    let opened = dir.open_file(&claim.name).map_err(refuse)?.sole(|| dir.path().join(name)).map_err(refuse)?;
    let opened_bytes = opened.size_bytes;
    // A wrong size already decides; hashing would let a sparse giant cost minutes.
    if let (Some(expected), Generation::Own) = (claim.size_bytes, generation)
        && expected != opened_bytes
    {
        let message = format!("{name} has {opened_bytes} bytes, the index says {expected}");
        return Err(Box::new(Problem::new(Kind::ArtifactSizeMismatch, name, message)));
    }
    let (sha256, size_bytes) = if opened_bytes <= ONE_PIECE_BYTES {
        let bytes = opened.read_whole(&dir.path().join(name), ONE_PIECE_BYTES).map_err(refuse)?;
        (Sha256Hex::of(&bytes), bytes.len() as u64)
    } else {
        // One byte more than expected is enough to see that the file grew; an endless writer cannot hold us.
        let bounded = std::io::Read::take(opened.file, opened_bytes + 1);
        Sha256Hex::of_reader(bounded)
            .map_err(|source| refuse(FsError::Io { action: "read", path: dir.path().join(name), source }))?
    };
    if size_bytes != opened_bytes {
        return Err(refuse(FsError::Changed { path: dir.path().join(name) }));
    }
    Ok((sha256, size_bytes))
}

fn unreadable(name: &str, error: &FsError) -> Problem {
    let kind = match error {
        error if error.is_not_found() => {
            return Problem::new(Kind::ArtifactMissing, name, format!("{name} is indexed, but not there"));
        }
        FsError::Link { .. } => Kind::ArtifactLink,
        FsError::HardLinked { .. } => Kind::ArtifactHardLinked,
        FsError::NotRegular { .. } => Kind::ArtifactNotRegular,
        FsError::Changed { .. } => Kind::ArtifactChanged,
        FsError::Io { .. } | FsError::TooLarge { .. } => Kind::ArtifactUnreadable,
    };
    let message = match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    Problem::new(kind, name, message)
}
