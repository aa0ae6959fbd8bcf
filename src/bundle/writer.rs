//! Writing a bundle: [`OpenBundle`] collects artifacts, [`OpenBundle::seal`] commits them.
//!
//! Nothing is synced while a run goes on; sealing makes everything durable in one batch before the index exists, so a
//! committed index never names bytes that a power loss could take away.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use indexmap::IndexMap;
use serde::Serialize;

use super::document::{Identity, Tool};
use super::index::{ArtifactEntry, ArtifactIndex, IndexStatus, check_size, schema_version_of};
use super::layout::{self, ARTIFACT_INDEX, ARTIFACT_INDEX_TAG, RUN_STATUS};
use super::lock::RunLock;
use super::pointer::{self, Pointer};
use super::reader::{ResolvedBundle, UnverifiedBundle};
use super::root::is_run;
use super::status::{RunState, RunStatus};
use crate::base::digest::Sha256Hex;
use crate::base::ids::RunId;
use crate::base::json;
use crate::base::rel_path::RelPath;
use crate::base::time::unix_seconds;
use crate::os::fs::{Dir, FsError, Prepared};
use crate::os::lock::LockError;

/// Why a bundle could not be written.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The bundle root is locked by somebody else, or cannot be locked.
    #[error("cannot lock the bundle root")]
    Lock(#[from] LockError),
    /// A run of this id exists already.
    #[error("run {run_id} exists already under {}", root.display())]
    RunExists {
        /// The id.
        run_id: RunId,
        /// The bundle root.
        root: PathBuf,
    },
    /// The name belongs to the bundle itself.
    #[error("{0} is written by the bundle itself")]
    ReservedName(RelPath),
    /// An artifact that was written is not there any more, or has another size.
    #[error("artifact {0} was changed behind the writer's back")]
    ArtifactChanged(RelPath),
    /// The run is committed and loadable by its directory, but `LATEST` could not be moved to it.
    #[error("run {run_id} is committed, but LATEST could not be moved to it durably")]
    Pointer {
        /// The committed run.
        run_id: RunId,
        /// What refused the pointer.
        source: FsError,
    },
    /// There is neither a run nor what a writer of runs leaves.
    #[error("{} is no bundle root: it holds no LATEST, no .runtime.lock and no run", path.display())]
    NoRoot {
        /// The directory.
        path: PathBuf,
    },
    /// Which run must stay in any case cannot be told.
    #[error("{}/LATEST {why}; nothing is removed", root.display())]
    PointerUnusable {
        /// The bundle root.
        root: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A step on the file system failed.
    #[error("the bundle cannot be read or written")]
    Fs(#[from] FsError),
}

/// How a run ended; decides the final `run_status.json` and the index's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The run came to its end (dry runs too), whatever its rows say.
    Complete,
    /// An error ended the run early.
    Failed {
        /// What went wrong.
        error: String,
        /// Where, for instance `exception`.
        failure_stage: String,
    },
}

/// A bundle in the making. Dropped without [`OpenBundle::seal`] it stays in progress, and every reader refuses it.
#[derive(Debug)]
pub struct OpenBundle {
    lock: RunLock,
    dir: Dir,
    recorded_dir: String,
    status: RunStatus,
    identity: Identity,
    /// Whether nothing is executed.
    dry: bool,
    written: IndexMap<RelPath, Written>,
}

#[derive(Debug)]
struct Written {
    size_bytes: u64,
    sha256: Sha256Hex,
    schema_version: Option<String>,
}

/// A committed bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBundle {
    /// The run's directory.
    pub run_dir: PathBuf,
    /// The run.
    pub run_id: RunId,
    /// The run that `LATEST` names all the same: this one is dry, and that one was executed.
    pub latest_stays: Option<RunId>,
    /// What the index says about the files.
    pub status: IndexStatus,
    /// Number of artifacts in the index.
    pub artifact_count: usize,
    /// Expected files that were not written, as the index records them.
    pub missing: Vec<String>,
    /// Digest of `artifact_index.json`: names the whole bundle.
    pub index_sha256: Sha256Hex,
}

impl OpenBundle {
    /// Creates `<root>/<run_id>/`, which must not exist, and marks the run as in progress.
    ///
    /// `path_root` is what recorded paths are relative to (the plan's root); a bundle outside it records absolute paths.
    ///
    /// # Errors
    /// [`BundleError::RunExists`], [`BundleError::Fs`].
    pub fn create(lock: RunLock, path_root: &Path, identity: Identity, now: SystemTime) -> Result<Self, BundleError> {
        let name = RelPath::try_from(identity.run_id.as_str()).expect("a run id is one plain component");
        let dir = match lock.root.create_dir(&name) {
            Ok(dir) => dir,
            Err(_) if lock.root.contains(&name)? => {
                return Err(BundleError::RunExists { run_id: identity.run_id, root: lock.root.path().to_owned() });
            }
            Err(error) => return Err(error.into()),
        };
        let mut status = RunStatus::in_progress(&identity, lock.lock.pid(), unix_seconds(now));
        // How readers tell a run that goes on from one whose writer died.
        status.writer_lock = dir.lock().then_some(true);
        let recorded_dir = recorded_path(path_root, dir.path());
        let mut bundle = Self { lock, dir, recorded_dir, status, identity, dry: false, written: IndexMap::new() };
        bundle.write_status()?;
        Ok(bundle)
    }

    /// Writes the artifact `name` (directories on the way are made), replacing an earlier one of that name.
    ///
    /// # Errors
    /// [`BundleError::ReservedName`], [`BundleError::Fs`].
    pub fn write(&mut self, name: &RelPath, bytes: &[u8]) -> Result<(), BundleError> {
        if layout::RESERVED.contains(&name.as_str()) {
            return Err(BundleError::ReservedName(name.clone()));
        }
        self.put(name, bytes)
    }

    /// Writes the artifact `name` as an indented JSON document ([`json::to_pretty`]).
    ///
    /// # Errors
    /// As [`OpenBundle::write`].
    pub fn write_json(&mut self, name: &RelPath, document: &impl Serialize) -> Result<(), BundleError> {
        self.write(name, json::to_pretty(document).as_bytes())
    }

    /// Names the run's directory in documents as `recorded_dir`: a staged run writes for the place it is collected to.
    pub fn record_as(&mut self, recorded_dir: &str) {
        recorded_dir.clone_into(&mut self.recorded_dir);
    }

    /// Says that nothing is executed: `LATEST` then stays where it names a run in which something was ([`OpenBundle::seal`]).
    pub fn set_dry(&mut self, dry: bool) {
        self.dry = dry;
    }

    /// Names the clean channel's diagnostics in `run_status.json`, from the next time that is written.
    pub fn point_at_launchctl_diagnostics(&mut self, name: &RelPath) {
        self.status.launchctl_diagnostics = Some(self.recorded_path(name));
    }

    /// The run's directory.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        self.dir.path()
    }

    /// The run's directory as documents record it: relative to the path root, or absolute outside it.
    #[must_use]
    pub fn recorded_dir(&self) -> &str {
        &self.recorded_dir
    }

    /// The path of an artifact as documents record it.
    #[must_use]
    pub fn recorded_path(&self, name: &RelPath) -> String {
        format!("{}/{name}", self.recorded_dir)
    }

    /// Whose bundle this is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Commits: final status, everything durable in one batch, index (the commit), pointer. Releases the lock.
    ///
    /// `expected` names what a run of this shape should have left; what was not written is listed as missing. `LATEST`
    /// moves to every committed run, failed ones too: it names the newest commit, so that whoever gates on the root after a
    /// failed run is told about the failure instead of being handed the evidence of an earlier run. Only a dry run, which
    /// says nothing about the policy, does not take the place of one that was executed.
    ///
    /// # Errors
    /// Before the commit: the run stays refused by readers. [`BundleError::Pointer`]: committed, but `LATEST` is old.
    pub fn seal(
        mut self,
        outcome: Outcome,
        expected: &[RelPath],
        now: SystemTime,
    ) -> Result<SealedBundle, BundleError> {
        self.status.updated_at_unix = unix_seconds(now);
        self.status.writer_lock = None;
        let failed = match outcome {
            Outcome::Complete => {
                self.status.state = RunState::Complete;
                false
            }
            Outcome::Failed { error, failure_stage } => {
                self.status.state = RunState::Failed;
                self.status.error = Some(error);
                self.status.failure_stage = Some(failure_stage);
                true
            }
        };
        self.write_status()?;
        let index = self.index(failed, expected);
        let text = json::to_pretty(&index);
        check_size(self.dir.path(), &text)?;
        // What the index will name must be what stands there: sizes are compared while the files are opened anyway.
        self.check_written()?;
        let names: Vec<RelPath> = self.written.keys().cloned().collect();
        let run_id = self.identity.run_id;
        // Both are synced with the rest, and then only named: each sync that has to wait for another one costs milliseconds.
        let prepared = self.dir.prepare(&layout::name(ARTIFACT_INDEX), text.as_bytes())?;
        let latest_stays = if self.dry { executed_run(&self.lock.root) } else { None };
        let pointer = latest_stays.is_none().then(|| pointer::prepare(&self.lock.root, &run_id));
        let written: Vec<&Prepared<'_>> = std::iter::once(&prepared).chain(pointer.iter().flatten()).collect();
        self.dir.sync_batch(&names, &written, &self.lock.root)?;
        prepared.put()?;
        if let Some(pointer) = pointer {
            let moved = pointer.and_then(Prepared::put);
            moved.map_err(|source| BundleError::Pointer { run_id: run_id.clone(), source })?;
        }
        Ok(SealedBundle {
            run_dir: self.dir.path().to_owned(),
            run_id,
            latest_stays,
            status: index.status,
            artifact_count: index.artifacts.len(),
            missing: index.missing,
            index_sha256: Sha256Hex::of(text.as_bytes()),
        })
    }

    fn write_status(&mut self) -> Result<(), BundleError> {
        let text = json::to_pretty(&self.status);
        self.put(&layout::name(RUN_STATUS), text.as_bytes())
    }

    fn put(&mut self, name: &RelPath, bytes: &[u8]) -> Result<(), BundleError> {
        self.dir.write(name, bytes)?;
        let written = Written {
            size_bytes: bytes.len() as u64,
            sha256: Sha256Hex::of(bytes),
            schema_version: schema_version_of(name, bytes),
        };
        self.written.insert(name.clone(), written);
        Ok(())
    }

    fn index(&self, failed: bool, expected: &[RelPath]) -> ArtifactIndex {
        let known = layout::COMMIT_ORDER.iter().filter_map(|name| self.written.get_key_value(&layout::name(name)));
        let others = self.written.iter().filter(|(name, _)| !layout::COMMIT_ORDER.contains(&name.as_str()));
        let artifacts = known.chain(others).map(|(name, written)| ArtifactEntry {
            path: self.recorded_path(name),
            file_size: written.size_bytes,
            sha256: written.sha256.clone(),
            schema_version: written.schema_version.clone(),
            name: Some(name.clone()),
        });
        let missing: Vec<String> =
            expected.iter().filter(|name| !self.written.contains_key(*name)).map(|n| self.recorded_path(n)).collect();
        let status = IndexStatus::of(failed, missing.is_empty());
        ArtifactIndex {
            schema_version: ARTIFACT_INDEX_TAG.to_owned(),
            run_id: self.identity.run_id.as_str().to_owned(),
            world_id: self.identity.world_id.clone(),
            artifacts: artifacts.collect(),
            missing,
            status,
            tool: Some(Tool::this()),
        }
    }

    fn check_written(&self) -> Result<(), BundleError> {
        for (name, written) in &self.written {
            match self.dir.open_file(name) {
                Ok(opened) if opened.size_bytes == written.size_bytes => {}
                Err(FsError::Io { source, .. }) if source.kind() != std::io::ErrorKind::NotFound => {
                    let path = self.dir.path().join(name.as_str());
                    return Err(FsError::Io { action: "open", path, source }.into());
                }
                _ => return Err(BundleError::ArtifactChanged(name.clone())),
            }
        }
        Ok(())
    }
}

/// The run that `LATEST` names, when it is there and not known to be dry.
fn executed_run(root: &Dir) -> Option<RunId> {
    let Ok(Pointer::Run(run_id)) = pointer::read(root) else { return None };
    let dir = root.open_dir(&RelPath::try_from(run_id.as_str()).ok()?).ok()?;
    let is_there = is_run(&dir);
    let resolved = ResolvedBundle { dir, directory_name: run_id.to_string(), through_pointer: true };
    let is_dry = UnverifiedBundle::read(resolved).manifest().flag("dry_run") == Some(true);
    (is_there && !is_dry).then_some(run_id)
}

/// `path` as documents record it: relative to `root` when inside it, else absolute. Links are resolved on both sides.
#[must_use]
pub(super) fn recorded_path(root: &Path, path: &Path) -> String {
    let real = |p: &Path| p.canonicalize().unwrap_or_else(|_| p.to_owned());
    let (root, path) = (real(root), real(path));
    path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned()
}
