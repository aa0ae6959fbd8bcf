//! Checking every claim of an index against the bytes, in parallel, reporting everything.

use std::collections::HashSet;
use std::io;

use serde_json::Value;

use super::super::layout::{REPAIR_LOG, RUN_MANIFEST, RUN_STATUS};
use super::entry::{self, Claim, Claims};
use super::problem::{Class, Generation, Kind, Problem};
use super::raw::{UnverifiedBundle, Writer};
use super::verified::{VerifiedArtifact, VerifiedBundle};
use super::{identity, unindexed};
use crate::base::digest::Sha256Hex;
use crate::base::rel_path::RelPath;
use crate::base::tree::Node;
use crate::os::fs::{Dir, FsError, RegularFile};
use crate::os::hash::{HashError, Hashed, hash_files};
use crate::os::thread::beside;
use crate::vocab::{Finding, Severity};

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

/// Reads a whole file and returns digest and number of its bytes.
type Read<'r> = dyn FnMut(RegularFile) -> io::Result<(Sha256Hex, u64)> + 'r;
/// An artifact, and who reads it.
pub(in crate::bundle) type Reading<'r> = (&'r RelPath, &'r mut Read<'r>);

/// Everything found, before it is judged.
pub(in crate::bundle) struct Examined {
    pub(in crate::bundle) problems: Vec<Problem>,
    pub(in crate::bundle) claims: Vec<Claim>,
    /// Digest and size of what was read, by claim; `None` where nothing was.
    pub(in crate::bundle) checked: Vec<Option<(Sha256Hex, u64)>>,
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
        self.verify_with(jobs, None)
    }

    /// Like [`verify`](Self::verify), and hands the open file of the artifact `name` to `read`, which reads and hashes all of
    /// it: so a large file is read once for its digest and for what it says. `read` is not asked when the index does not list
    /// the artifact or it cannot be opened as one of this bundle.
    #[must_use]
    pub fn verify_while_reading(
        self,
        jobs: usize,
        name: &RelPath,
        read: impl FnOnce(RegularFile) -> io::Result<(Sha256Hex, u64)>,
    ) -> Verification {
        let mut read = Some(read);
        let mut once = |file| read.take().expect("an artifact is read once")(file);
        self.verify_with(jobs, Some((name, &mut once)))
    }

    fn verify_with(self, jobs: usize, reading: Option<Reading<'_>>) -> Verification {
        let generation = self.generation();
        let index_sha256 = self.index.digest().map(|(digest, _)| digest.clone());
        let Examined { problems, claims, checked } = self.examine(jobs, reading);
        let refused = problems.iter().any(|problem| problem.kind.class(generation) == Class::Refuse);
        let artifact_count = claims.len();
        let hashed_bytes = checked.iter().flatten().map(|(_, size_bytes)| size_bytes).sum();
        let findings = problems.into_iter().map(|problem| problem.finding(generation)).collect();
        let bundle = match index_sha256 {
            Some(index_sha256) if !refused => {
                let mut artifacts = Vec::with_capacity(claims.len());
                for (Claim { name, path, repeats, .. }, hashed) in claims.into_iter().zip(checked) {
                    if let (Some((sha256, size_bytes)), None) = (hashed, repeats) {
                        artifacts.push(VerifiedArtifact { name, path, size_bytes, sha256 });
                    }
                }
                Checked::Verified(VerifiedBundle::new(self, artifacts, index_sha256))
            }
            _ => Checked::Refused(self),
        };
        Verification { findings, bundle, artifact_count, hashed_bytes }
    }

    /// What stands there, judged by nobody: status and index as read, and which indexed files are missing or have other bytes.
    /// Keys as the earlier tool's unverified read gives them, and `writer`.
    #[must_use]
    pub fn report(&self, jobs: usize) -> Value {
        let Examined { problems, claims, .. } = self.examine(jobs, None);
        let paths = |kinds: &[Kind]| -> Vec<&str> {
            let named: HashSet<&str> =
                problems.iter().filter(|p| kinds.contains(&p.kind)).map(|p| p.about.as_str()).collect();
            claims.iter().filter(|claim| named.contains(claim.name.as_str())).map(|claim| claim.path.as_str()).collect()
        };
        let mut report = serde_json::json!({
            "bundle_dir": self.run_dir().to_string_lossy(),
            "integrity": "unverified",
            "artifact_index_present": !self.index.is_absent(),
            "run_status_present": !self.status.is_absent(),
            "missing": paths(&[Kind::ArtifactMissing]),
            "digest_mismatches": paths(&[Kind::ArtifactDigestMismatch, Kind::ArtifactSizeMismatch]),
            "writer": match self.writer {
                Writer::AtWork => Some("at-work"),
                Writer::Gone => Some("gone"),
                Writer::Unknown => None,
            },
        });
        for (key, document) in [("run_status", &self.status), ("artifact_index", &self.index)] {
            if let Some(object) = document.object() {
                report[key] = object.to_value();
            }
        }
        report
    }

    /// Looks at everything; what it means is for the caller.
    pub(in crate::bundle) fn examine(&self, jobs: usize, reading: Option<Reading<'_>>) -> Examined {
        let mut problems = Vec::new();
        identity::check(self, &mut problems);
        // What stands there is listed while the claims are read, and compared with them while the files are hashed.
        let count = self.index.get("artifacts").and_then(Node::as_array).map_or(0, |artifacts| artifacts.len());
        let list = || (!self.index.is_absent()).then(|| unindexed::list(&self.resolved.dir, count));
        let (listed, claims) = beside(&list, || self.claims(&mut problems));
        let unindexed = || listed.as_ref().map(|listed| listed.unindexed(&claims.places)).unwrap_or_default();
        let (unindexed, checked) = beside(&unindexed, || self.check_artifacts(&claims, jobs, reading, &mut problems));
        self.warn_about_pointer(&mut problems);
        if self.is_repaired() && !self.index.is_absent() {
            let message = match self.index.get("repairs").is_some() {
                true => "the bundle was repaired after its run: its index was rebuilt over the files then present",
                false => {
                    "a log of a repair stands there and the index names none: by the earlier tool, or not brought to its end"
                }
            };
            problems.push(Problem::new(Kind::Repaired, REPAIR_LOG, message));
        }
        problems.extend(unindexed);
        Examined { problems, claims: claims.list, checked }
    }

    fn claims(&self, problems: &mut Vec<Problem>) -> Claims<'_> {
        let Some(index) = self.index.object() else { return Claims::default() };
        let directory = self.resolved.directory_name.as_str();
        let run_ids: Vec<&str> = match (self.index.text("run_id"), self.generation()) {
            (Some(run_id), Generation::Own) => vec![run_id],
            (Some(run_id), Generation::Earlier) if run_id != directory => vec![run_id, directory],
            _ => vec![directory],
        };
        // An empty id would make every path look like one of ours.
        let run_ids: Vec<&str> = run_ids.into_iter().filter(|id| !id.is_empty()).collect();
        entry::claims(index, &run_ids, problems)
    }

    /// Digest and size of what was read, by claim; `None` where nothing was.
    fn check_artifacts(
        &self,
        claims: &Claims<'_>,
        jobs: usize,
        reading: Option<Reading<'_>>,
        problems: &mut Vec<Problem>,
    ) -> Vec<Option<(Sha256Hex, u64)>> {
        let generation = self.generation();
        let parsed = |claim: &Claim| match claim.name.as_str() {
            RUN_STATUS => self.status.digest(),
            RUN_MANIFEST => self.manifest.digest(),
            _ => None,
        };
        // A file that is listed often is read once.
        let callers = reading.as_ref().map(|(name, _)| *name);
        let read_by_caller = |claim: &Claim| callers == Some(&claim.name);
        let is_unread = |claim: &&Claim| claim.repeats.is_none() && parsed(claim).is_none() && !read_by_caller(claim);
        let unread: Vec<&Claim> = claims.list.iter().filter(is_unread).collect();
        let mut hashed = hash_files(unread.len(), jobs, &|at| open(&self.resolved.dir, unread[at], generation));
        let mut read = claims
            .list
            .iter()
            .find(|claim| read_by_caller(claim))
            .zip(reading)
            .map(|(claim, (_, read))| hash_by(&self.resolved.dir, claim, generation, read));
        let mut checked: Vec<Option<(Sha256Hex, u64)>> = Vec::with_capacity(claims.list.len());
        for claim in &claims.list {
            let answer = match (parsed(claim), claim.repeats) {
                // Documents that were parsed are judged by the bytes they were parsed from.
                (Some((sha256, size_bytes)), _) => Some((sha256.clone(), size_bytes)),
                // What is wrong with it was said for the first entry.
                (None, Some(first)) => checked[first].clone(),
                (None, None) => {
                    let answer = if read_by_caller(claim) { read.take() } else { hashed.next() };
                    match answer.expect("one answer for every file") {
                        Ok(answer) => Some(answer),
                        Err(error) => {
                            problems.push(*self.unhashed(claim, error));
                            None
                        }
                    }
                }
            };
            if let Some(answer) = &answer {
                compare(claim, answer, problems);
            }
            checked.push(answer);
        }
        if !claims.list.is_empty() {
            self.status_is_indexed(claims, problems);
        }
        checked
    }

    fn unhashed(&self, claim: &Claim, error: HashError<Box<Problem>>) -> Box<Problem> {
        let name = claim.name.as_str();
        let path = || self.resolved.dir.path().join(name);
        match error {
            HashError::Open(problem) => problem,
            HashError::Read(source) => {
                Box::new(unreadable(name, &FsError::Io { action: "read", path: path(), source }))
            }
            HashError::Changed => Box::new(unreadable(name, &FsError::Changed { path: path() })),
        }
    }

    /// A status or manifest that stands there must be covered by the index: its words decide the verdict.
    fn status_is_indexed(&self, claims: &Claims<'_>, problems: &mut Vec<Problem>) {
        for (constant, document) in [(RUN_STATUS, &self.status), (RUN_MANIFEST, &self.manifest)] {
            if !claims.places.contains_key(constant) && document.object().is_some() {
                let message = format!("{constant} stands there, but the index does not list it");
                problems.push(Problem::new(Kind::IndexInconsistent, constant, message));
            }
        }
    }

    fn warn_about_pointer(&self, problems: &mut Vec<Problem>) {
        if self.manifest.flag("dry_run") == Some(true) && self.resolved.through_pointer {
            let message = format!("LATEST names run {}, a dry run: nothing was executed", self.run_id());
            problems.push(Problem::new(Kind::LatestDryRun, RUN_MANIFEST, message).at("/dry_run"));
        }
    }
}

/// Hashes one artifact by reading it as the caller does.
fn hash_by(dir: &Dir, claim: &Claim, generation: Generation, read: &mut Read<'_>) -> Hashed<Box<Problem>> {
    let opened = open(dir, claim, generation).map_err(HashError::Open)?;
    let size_bytes = opened.size_bytes;
    match read(opened) {
        Ok((_, bytes)) if bytes != size_bytes => Err(HashError::Changed),
        read => read.map_err(HashError::Read),
    }
}

/// Opens one artifact beneath the bundle. A wrong size already decides about our own: hashing would let a sparse giant cost
/// minutes.
fn open(dir: &Dir, claim: &Claim, generation: Generation) -> Result<RegularFile, Box<Problem>> {
    let name = claim.name.as_str();
    let opened = dir.open_file(&claim.name).and_then(|opened| opened.sole(|| dir.path().join(name)));
    let opened = opened.map_err(|error| Box::new(unreadable(name, &error)))?;
    match claim.size_bytes {
        Some(expected) if generation == Generation::Own && expected != opened.size_bytes => {
            Err(Box::new(wrong_size(name, opened.size_bytes, expected)))
        }
        _ => Ok(opened),
    }
}

fn compare(claim: &Claim, (sha256, size_bytes): &(Sha256Hex, u64), problems: &mut Vec<Problem>) {
    let name = claim.name.as_str();
    if let Some(expected) = claim.size_bytes.filter(|expected| expected != size_bytes) {
        problems.push(wrong_size(name, *size_bytes, expected));
    }
    if let Some(expected) = claim.sha256.as_ref().filter(|&expected| expected != sha256) {
        let message = format!("{name} has the digest {sha256}, the index says {expected}");
        problems.push(Problem::new(Kind::ArtifactDigestMismatch, name, message));
    }
}

fn wrong_size(name: &str, size_bytes: u64, expected: u64) -> Problem {
    let message = format!("{name} has {size_bytes} bytes, the index says {expected}");
    Problem::new(Kind::ArtifactSizeMismatch, name, message)
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
