//! Rebuilding the index of a bundle whose files are no longer the ones it names.
//!
//! A repair says what is there now; it never says better than before. Status and missing files are carried forward, what is
//! gone becomes missing, and every repair stands in the index itself (`repairs`, append-only) with the digests before and
//! after, so that one step replaces both. `repair_log.json` says the same for people and for the earlier tool. A repaired
//! bundle can be read and validated; it is never promotable.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::document::Tool;
use super::history::history;
use super::index::{ArtifactEntry, IndexStatus, check_size, schema_version_of};
use super::layout::{self, ARTIFACT_INDEX, REPAIR_LOG, REPAIR_LOG_TAG};
use super::lock::RunLock;
use super::reader::entry::Claim;
use super::reader::problem::{Class, Generation, Kind, Problem};
use super::reader::{Document, Examined, Found, ResolveError, ResolvedBundle, UnverifiedBundle, Verification, resolve};
use super::writer::BundleError;
use crate::base::digest::Sha256Hex;
use crate::base::json as text;
use crate::base::rel_path::RelPath;
use crate::base::time::unix_seconds;
use crate::base::tree::Node;
use crate::os::fs::{Dir, FsError};
use crate::os::lock::LockMode;
use crate::vocab::Finding;

/// What to repair and how.
#[derive(Debug, Clone, Copy)]
pub struct ReindexRequest<'a> {
    /// A bundle root or a run's directory.
    pub bundle: &'a Path,
    /// Threads that hash; 0: one per processor.
    pub jobs: usize,
    /// What to do when the bundle root is locked.
    pub lock_mode: LockMode,
    /// The time that the log gets.
    pub now: SystemTime,
}

/// One artifact whose entry changed. `None`: it had, or has, no entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Name inside the bundle.
    pub name: RelPath,
    /// As the index named it before.
    pub before: Option<Measured>,
    /// As it stands there now.
    pub after: Option<Measured>,
}

/// Size and digest of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// Size in bytes, where it was known.
    pub file_size: Option<u64>,
    /// Digest, where it was known.
    pub sha256: Option<Sha256Hex>,
}

/// What a repair did.
#[derive(Debug)]
pub struct Reindexed {
    /// The run's directory.
    pub run_dir: PathBuf,
    /// The run.
    pub run_id: String,
    /// The entries that changed; empty: there was nothing to repair and nothing was written.
    pub changes: Vec<Change>,
    /// The bundle as readers see it now.
    pub verification: Verification,
}

/// Why a bundle was not repaired; nothing was written then, unless a step of the writing itself failed.
#[derive(Debug, thiserror::Error)]
pub enum ReindexError {
    /// The path leads to no run.
    #[error("no bundle can be repaired")]
    Resolve(#[from] ResolveError),
    /// What is wrong is nothing that a new index could put right.
    #[error("{} cannot be repaired", run_dir.display())]
    NotRepairable {
        /// The run's directory.
        run_dir: PathBuf,
        /// Everything that stands in the way.
        findings: Vec<Finding>,
    },
    /// `LATEST` moved to another run before the lock was obtained.
    #[error("{}/LATEST moved to another run meanwhile", root.display())]
    Moved {
        /// The bundle root.
        root: PathBuf,
    },
    /// The lock or the writing failed.
    #[error("cannot repair {}", run_dir.display())]
    Write {
        /// The run's directory.
        run_dir: PathBuf,
        /// The cause.
        source: BundleError,
    },
}

/// Whether a new index puts a problem of this kind right, or has nothing to do with it.
fn repairable(kind: Kind, generation: Generation) -> bool {
    match kind {
        Kind::ArtifactMissing
        | Kind::ArtifactSizeMismatch
        | Kind::ArtifactDigestMismatch
        | Kind::EntryDigestMissing
        | Kind::EntrySizeMissing => true,
        // The earlier tool's repair commits a directory that has no index; ours were never committed.
        Kind::IndexMissing => generation == Generation::Earlier,
        kind => kind.class(generation) != Class::Refuse,
    }
}

/// Takes the lock of the bundle root and rebuilds the index of a run over the files that it named and that stand there now.
/// `cancelled` ends a wait for the lock.
///
/// # Errors
/// See [`ReindexError`].
pub fn reindex_bundle(request: ReindexRequest<'_>, cancelled: &dyn Fn() -> bool) -> Result<Reindexed, ReindexError> {
    let run_dir = resolve(request.bundle)?.run_dir().to_owned();
    let failed = |source: BundleError| ReindexError::Write { run_dir: run_dir.clone(), source };
    let root = run_dir.parent().unwrap_or(&run_dir);
    let lock = RunLock::acquire(root, request.lock_mode, cancelled).map_err(failed)?;
    let resolved = resolve(request.bundle)?;
    if resolved.run_dir() != run_dir {
        return Err(ReindexError::Moved { root: root.to_owned() });
    }
    let bundle = UnverifiedBundle::read(resolved);
    let generation = bundle.generation();
    let Examined { mut problems, claims, found } = bundle.examine(request.jobs, None);
    problems.retain(|problem| !repairable(problem.kind, generation));
    if bundle.is_nothing() {
        let message = "there is none of a bundle's documents";
        problems.push(Problem::new(Kind::ManifestMissing, layout::RUN_MANIFEST, message));
    }
    let history = history(&bundle);
    if let Err(why) = &history {
        problems.push(Problem::new(Kind::IndexMalformed, REPAIR_LOG, why.clone()));
    }
    let (true, Ok(history)) = (problems.is_empty(), history) else {
        let findings = problems.into_iter().map(|problem| problem.finding(generation)).collect();
        return Err(ReindexError::NotRepairable { run_dir: run_dir.clone(), findings });
    };
    let plan = Plan::of(&bundle, &claims, &found).map_err(|source| failed(source.into()))?;
    if !plan.changes.is_empty() {
        plan.write(&bundle, &lock.root, history, request.now).map_err(|source| failed(source.into()))?;
    }
    let run_id = bundle.run_id().to_owned();
    let changes = plan.changes;
    // What is reported is what readers see, not what was meant.
    let resolved = ResolvedBundle { through_pointer: false, ..bundle.resolved };
    let verification = UnverifiedBundle::read(resolved).verify(request.jobs);
    Ok(Reindexed { run_dir, run_id, changes, verification })
}

/// What the new index will say.
struct Plan {
    artifacts: Vec<Value>,
    names: Vec<RelPath>,
    missing: Vec<Value>,
    status: IndexStatus,
    changes: Vec<Change>,
    recorded_dir: String,
    own: bool,
}

impl Plan {
    fn of(bundle: &UnverifiedBundle, claims: &[Claim], found: &[Found]) -> Result<Self, FsError> {
        let index = &bundle.index;
        let list =
            |key: &str| -> Vec<Node<'_>> { index.get(key).and_then(Node::as_array).into_iter().flatten().collect() };
        let mut plan = Self {
            artifacts: Vec::new(),
            names: Vec::new(),
            missing: list("missing").into_iter().map(Node::to_value).collect(),
            status: IndexStatus::Ok,
            changes: Vec::new(),
            recorded_dir: recorded_dir(bundle, claims),
            own: bundle.is_own(),
        };
        let mut seen = HashSet::new();
        for (claim, found) in claims.iter().zip(found) {
            let name = bundle.rel_path_of(claim).to_owned();
            if !seen.insert(name.clone()) {
                continue;
            }
            let checked = found.of(claim);
            if name.as_str() == REPAIR_LOG {
                // It is written anew from the index's history.
                let before = Measured { file_size: claim.size_bytes, sha256: claim.sha256.clone() };
                let now =
                    checked.map(|(sha256, size)| Measured { file_size: Some(size), sha256: Some(sha256.clone()) });
                if now.as_ref() != Some(&before) {
                    plan.changes.push(Change { name, before: Some(before), after: now });
                }
                continue;
            }
            plan.keep(bundle, claim, checked, name)?;
        }
        for name in layout::REPAIR_ORDER.map(layout::name) {
            let recorded = Value::from(plan.recorded_path(&name));
            if seen.contains(&name) || plan.missing.contains(&recorded) || !bundle.has_file(&name) {
                continue;
            }
            let after = plan.add(&bundle.resolved.dir, &name)?;
            plan.changes.push(Change { name, before: None, after: Some(after) });
        }
        let failed = index.text("status") == Some(IndexStatus::Failed.word()) || bundle.has_failed();
        plan.status = IndexStatus::of(failed, plan.missing.is_empty());
        Ok(plan)
    }

    fn recorded_path(&self, name: &RelPath) -> String {
        format!("{}/{name}", self.recorded_dir)
    }

    /// An artifact that the old index names: its entry as it was when it still holds, a new one, or missing.
    fn keep(
        &mut self,
        bundle: &UnverifiedBundle,
        claim: &Claim,
        checked: Option<(&Sha256Hex, u64)>,
        name: RelPath,
    ) -> Result<(), FsError> {
        let before = Measured { file_size: claim.size_bytes, sha256: claim.sha256.clone() };
        let holds = checked
            .is_some_and(|(sha256, size)| before.sha256.as_ref() == Some(sha256) && before.file_size == Some(size));
        if let (true, Some(entry)) = (holds, bundle.entry_of(claim)) {
            self.artifacts.push(entry.to_value());
            self.names.push(name);
            return Ok(());
        }
        let after = match self.add(&bundle.resolved.dir, &name) {
            Ok(after) => Some(after),
            Err(error) if error.is_not_found() => {
                self.missing.push(bundle.path_of(claim).into());
                None
            }
            Err(error) => return Err(error),
        };
        self.changes.push(Change { name, before: Some(before), after });
        Ok(())
    }

    /// A new entry over the bytes that stand there now.
    fn add(&mut self, dir: &Dir, name: &RelPath) -> Result<Measured, FsError> {
        let path = || dir.path().join(name.as_str());
        let opened = dir.open_file(name)?.sole(path)?;
        let (size_bytes, sha256, schema_version) = if opened.size_bytes <= text::MAX_DOCUMENT_BYTES {
            let bytes = opened.read_whole(&path(), text::MAX_DOCUMENT_BYTES)?;
            (bytes.len() as u64, Sha256Hex::of(&bytes), schema_version_of(name, &bytes))
        } else {
            let (sha256, size_bytes) = Sha256Hex::of_reader(opened.file).map_err(|source| FsError::Io {
                action: "read",
                path: path(),
                source,
            })?;
            (size_bytes, sha256, None)
        };
        self.artifacts.push(text::to_value(&ArtifactEntry {
            path: self.recorded_path(name),
            file_size: size_bytes,
            sha256: sha256.clone(),
            schema_version,
            name: self.own.then(|| name.clone()),
        }));
        self.names.push(name.clone());
        Ok(Measured { file_size: Some(size_bytes), sha256: Some(sha256) })
    }

    /// Log first, everything durable, then the index in one step: a repair that dies leaves the old index.
    fn write(
        &self,
        bundle: &UnverifiedBundle,
        root: &Dir,
        mut history: Vec<Value>,
        now: SystemTime,
    ) -> Result<(), FsError> {
        let dir = &bundle.resolved.dir;
        let old = &bundle.index;
        let differs = |change: &&Change| change.before.is_some() && change.after.is_some();
        let gone = |change: &&Change| change.after.is_none();
        let paths = |keep: &dyn Fn(&&Change) -> bool| -> Vec<String> {
            self.changes.iter().filter(keep).map(|change| self.recorded_path(&change.name)).collect()
        };
        let before = json!({"missing": paths(&gone), "digest_mismatches": paths(&differs)});
        let after = json!({"missing": [], "digest_mismatches": []});
        let at = unix_seconds(now);
        history.push(json!({
            "repaired_at_unix": at, "before": before, "after": after, "tool": Tool::this(),
            "artifact_index_sha256": match &bundle.index {
                index @ Document::Object(_) => index.digest().map(|(sha256, _)| sha256),
                _ => None,
            },
            "status": old.get("status").map(Node::to_value), "changes": self.changes,
        }));
        let log = text::to_pretty(&json!({
            "schema_version": REPAIR_LOG_TAG, "bundle_dir": self.recorded_dir, "repaired_at_unix": at,
            "before": before, "after": after, "repairs": history,
        }));
        let log_name = layout::name(REPAIR_LOG);
        let mut artifacts = self.artifacts.clone();
        artifacts.push(text::to_value(&ArtifactEntry {
            path: self.recorded_path(&log_name),
            file_size: log.len() as u64,
            sha256: Sha256Hex::of(log.as_bytes()),
            schema_version: Some(REPAIR_LOG_TAG.to_owned()),
            name: self.own.then(|| log_name.clone()),
        }));
        let mut index = Map::new();
        let said = |key: &str| old.get(key).or(bundle.manifest.get(key)).map(Node::to_value);
        index.insert("schema_version".to_owned(), layout::ARTIFACT_INDEX_TAG.into());
        for key in ["run_id", "world_id"] {
            index.insert(key.to_owned(), said(key).unwrap_or(Value::Null));
        }
        index.insert("artifacts".to_owned(), artifacts.into());
        index.insert("missing".to_owned(), self.missing.clone().into());
        index.insert("status".to_owned(), self.status.word().into());
        // Further keys stay; `tool` decides how strictly the bundle is read, so it is neither added nor lost.
        for (key, value) in old.object().and_then(Node::as_object).into_iter().flatten() {
            if !index.contains_key(key) {
                index.insert(key.to_owned(), value.to_value());
            }
        }
        index.insert("repairs".to_owned(), history.into());
        let index = text::to_pretty(&index);
        check_size(dir.path(), &index)?;
        dir.write(&log_name, log.as_bytes())?;
        let mut names = self.names.clone();
        names.push(log_name);
        let prepared = dir.prepare(&layout::name(ARTIFACT_INDEX), index.as_bytes())?;
        dir.sync_batch(&names, &[&prepared], root)?;
        prepared.put()
    }
}

/// The run's directory as its documents record it.
fn recorded_dir(bundle: &UnverifiedBundle, claims: &[Claim]) -> String {
    let of_claim = |claim: &Claim| {
        let head = bundle.path_of(claim).strip_suffix(bundle.name_of(claim))?.strip_suffix('/')?;
        (!head.is_empty()).then(|| head.to_owned())
    };
    claims
        .iter()
        .find_map(of_claim)
        .or_else(|| bundle.manifest.text("output_root").map(str::to_owned))
        .unwrap_or_else(|| bundle.run_dir().to_string_lossy().into_owned())
}
