//! Checking every claim of an index against the bytes, in parallel, reporting everything.

use std::collections::HashSet;
use std::io;
use std::sync::{Mutex, OnceLock, mpsc};

use serde_json::Value;

use super::super::layout::{REPAIR_LOG, RUN_MANIFEST, RUN_STATUS};
use super::entry::{self, Claim, Claims};
use super::identity;
use super::problem::{Class, Generation, Kind, Problem};
use super::raw::{UnverifiedBundle, Writer};
use super::unindexed::{self, Listed};
use super::verified::VerifiedBundle;
use crate::base::digest::Sha256Hex;
use crate::base::rel_path::{RelPath, RelPathRef};
use crate::base::tree::Node;
use crate::os::fs::{FsError, RegularFile};
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
    /// What was read, by claim.
    pub(in crate::bundle) found: Vec<Found>,
}

/// What was read of the file that a claim is about.
#[derive(Debug)]
pub(in crate::bundle) enum Found {
    /// Nothing; a problem says why.
    Nothing,
    /// Digest and size are the claimed ones.
    AsClaimed,
    /// This digest and size, one of which is not claimed.
    Otherwise(Box<(Sha256Hex, u64)>),
}

impl Found {
    fn new(claim: &Claim, sha256: Sha256Hex, size_bytes: u64) -> Self {
        if claim.sha256.as_ref() == Some(&sha256) && claim.size_bytes == Some(size_bytes) {
            Self::AsClaimed
        } else {
            Self::Otherwise(Box::new((sha256, size_bytes)))
        }
    }

    /// Digest and size of what was read for `claim`.
    pub(in crate::bundle) fn of<'c>(&'c self, claim: &'c Claim) -> Option<(&'c Sha256Hex, u64)> {
        match self {
            Self::Nothing => None,
            Self::AsClaimed => claim.sha256.as_ref().zip(claim.size_bytes),
            Self::Otherwise(read) => Some((&read.0, read.1)),
        }
    }
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
        let Examined { problems, claims, found } = self.examine(jobs, reading);
        let index_sha256 = self.index.digest().map(|(digest, _)| digest.clone());
        let refused = problems.iter().any(|problem| problem.kind.class(generation) == Class::Refuse);
        let artifact_count = claims.len();
        let read = claims.iter().zip(&found).filter_map(|(claim, found)| found.of(claim));
        let hashed_bytes = read.map(|(_, size_bytes)| size_bytes).sum();
        let findings = problems.into_iter().map(|problem| problem.finding(generation)).collect();
        let bundle = match index_sha256 {
            Some(index_sha256) if !refused => Checked::Verified(VerifiedBundle::new(self, claims, found, index_sha256)),
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
            claims.iter().filter(|claim| named.contains(self.name_of(claim))).map(|claim| self.path_of(claim)).collect()
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
        // While the claims are read and the files are hashed, the index is hashed, and what stands there is listed and, as soon as
        // they are known, compared with the claims.
        let known = OnceLock::new();
        let (known_now, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let aside = || {
            let _ = self.index.digest();
            let listed = self.list()?;
            // Nothing is sent: this ends when the other end is gone, after a panic as well.
            let _ = wait.lock().ok()?.recv();
            let claims: &Claims<'_> = known.get()?;
            Some(listed.unindexed(&claims.places))
        };
        let (unindexed, found) = beside(&aside, || {
            let claims = known.get_or_init(|| self.claims(&mut problems));
            drop(known_now);
            self.check_artifacts(claims, jobs, reading, &mut problems)
        });
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
        problems.extend(unindexed.unwrap_or_default());
        let claims = known.into_inner().unwrap_or_default().list;
        Examined { problems, claims, found }
    }

    /// What stands in the run's directory, when there is an index that could speak for it.
    fn list(&self) -> Option<Listed> {
        let count = self.index.get("artifacts").and_then(Node::as_array).map_or(0, |artifacts| artifacts.len());
        (!self.index.is_absent()).then(|| unindexed::list(&self.resolved.dir, count))
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

    /// What was read, by claim.
    fn check_artifacts(
        &self,
        claims: &Claims<'_>,
        jobs: usize,
        reading: Option<Reading<'_>>,
        problems: &mut Vec<Problem>,
    ) -> Vec<Found> {
        let generation = self.generation();
        let place_of = |name: &str| claims.places.get(name).copied();
        let (status, manifest) = (place_of(RUN_STATUS), place_of(RUN_MANIFEST));
        let parsed = |at: u32| match Some(at) {
            place if place == status => self.status.digest(),
            place if place == manifest => self.manifest.digest(),
            _ => None,
        };
        // A file that is listed often is read once.
        let callers = reading.as_ref().and_then(|(name, _)| place_of(name.as_str()));
        let is_unread =
            |&(at, claim): &(u32, &Claim)| claim.repeats.is_none() && parsed(at).is_none() && callers != Some(at);
        let unread: Vec<u32> = (0..).zip(&claims.list).filter(is_unread).map(|(at, _)| at).collect();
        let open = |at: u32| self.open(&claims.list[at as usize], claims.names[at as usize], generation);
        let judge = |at: u32, hashed: Hashed<Box<Problem>>| match hashed {
            Ok((sha256, size_bytes)) => Ok(Found::new(&claims.list[at as usize], sha256, size_bytes)),
            Err(error) => Err(self.unhashed(claims.names[at as usize].as_str(), error)),
        };
        let mut hashed =
            hash_files(unread.len(), jobs, &|at| open(unread[at]), &|at, hashed| judge(unread[at], hashed));
        let mut read = callers.zip(reading).map(|(at, (_, read))| {
            judge(at, open(at).map_err(HashError::Open).and_then(|opened| hash_by(opened, read)))
        });
        let mut all: Vec<Found> = Vec::with_capacity(claims.list.len());
        for (at, claim) in (0..).zip(&claims.list) {
            let found = match (parsed(claim.repeats.unwrap_or(at)), claim.repeats) {
                // Documents that were parsed are judged by the bytes they were parsed from.
                (Some((sha256, size_bytes)), _) => Found::new(claim, sha256.clone(), size_bytes),
                // What is wrong with it was said for the first entry.
                (None, Some(first)) => {
                    let first = first as usize;
                    let read = all[first].of(&claims.list[first]);
                    read.map_or(Found::Nothing, |(sha256, size_bytes)| Found::new(claim, sha256.clone(), size_bytes))
                }
                (None, None) => {
                    let answer = if callers == Some(at) { read.take() } else { hashed.next() };
                    answer.expect("one answer for every file").unwrap_or_else(|problem| {
                        problems.push(*problem);
                        Found::Nothing
                    })
                }
            };
            if let Found::Otherwise(read) = &found {
                compare(claims.names[at as usize].as_str(), claim, read, problems);
            }
            all.push(found);
        }
        if !claims.list.is_empty() {
            self.status_is_indexed(claims, problems);
        }
        all
    }

    /// Opens one artifact beneath the bundle. A wrong size already decides about our own: hashing would let a sparse giant cost
    /// minutes.
    fn open(&self, claim: &Claim, name: RelPathRef<'_>, generation: Generation) -> Result<RegularFile, Box<Problem>> {
        let dir = &self.resolved.dir;
        let opened = dir.open_file(name).and_then(|opened| opened.sole(|| dir.path().join(name.as_str())));
        let opened = opened.map_err(|error| Box::new(unreadable(name.as_str(), &error)))?;
        match claim.size_bytes {
            Some(expected) if generation == Generation::Own && expected != opened.size_bytes => {
                Err(Box::new(wrong_size(name.as_str(), opened.size_bytes, expected)))
            }
            _ => Ok(opened),
        }
    }

    fn unhashed(&self, name: &str, error: HashError<Box<Problem>>) -> Box<Problem> {
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

/// Hashes an artifact by reading it as the caller does.
fn hash_by(opened: RegularFile, read: &mut Read<'_>) -> Hashed<Box<Problem>> {
    let size_bytes = opened.size_bytes;
    match read(opened) {
        Ok((_, bytes)) if bytes != size_bytes => Err(HashError::Changed),
        read => read.map_err(HashError::Read),
    }
}

fn compare(name: &str, claim: &Claim, (sha256, size_bytes): &(Sha256Hex, u64), problems: &mut Vec<Problem>) {
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
