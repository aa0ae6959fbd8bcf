//! The private directory of a job, and what parents that died left of theirs.
//!
//! Whoever makes a stage holds the lock inside it until the stage is removed. A stage whose lock is free belongs to a dead
//! parent: it is removed, and its job is taken from launchd, by the next run that finds it.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::job::JobPlan;
use crate::base::cancel::Cancel;
use crate::host::Tool;
use crate::os::fs::{FsError, read_bounded};
use crate::os::lock::{FileLock, LockError, LockMode};
use crate::os::process::run_tool;
use crate::os::workspace;

/// Tag of `owner.json`. v0.1: first form.
const OWNER_TAG: &str = "runtime-tools.launchd_stage.v0.1";
/// Held while stages are made or removed.
const BASE_LOCK: &str = ".lock";
/// How long is waited for that lock.
const BASE_PATIENCE: Duration = Duration::from_secs(30);
/// How long the worker of a dead parent may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// Why there is no stage.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The directory of all stages is not ours alone to write.
    #[error("{} cannot hold stages: {why}", path.display())]
    NotPrivate {
        /// The directory.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// Somebody else holds a lock.
    #[error("cannot make the stage")]
    Lock(#[from] LockError),
    /// A directory or file cannot be made.
    #[error("cannot make the stage")]
    Fs(#[from] FsError),
}

/// What a stage says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    schema_version: String,
    label: String,
    run_id: String,
    domains: Vec<String>,
}

/// A stage that stands; removed when dropped.
#[derive(Debug)]
pub struct Stage {
    root: PathBuf,
    _lock: FileLock,
}

impl Stage {
    /// Makes the stage of a plan: every directory with mode 0700, every file copied.
    ///
    /// # Errors
    /// [`StageError`]; nothing of it is left then.
    pub fn build(plan: &JobPlan) -> Result<Self, StageError> {
        let root = plan.stage.root.clone();
        let base = root.parent().unwrap_or(Path::new("/"));
        make_base(base)?;
        let wait = LockMode::Wait { timeout: BASE_PATIENCE };
        let base_lock = FileLock::acquire(&base.join(BASE_LOCK), wait, &|| false)?;
        make_directory(&root)?;
        let lock = FileLock::acquire(&root.join("owner.lock"), LockMode::Fail, &|| false);
        let lock = lock.inspect_err(|_| drop(workspace::remove_tree(&root)))?;
        base_lock.release();
        let stage = Self { root, _lock: lock };
        let owner = Owner {
            schema_version: OWNER_TAG.to_owned(),
            label: plan.label.clone(),
            run_id: plan.run_id.clone(),
            domains: plan.domains.iter().map(|domain| domain.domain.clone()).collect(),
        };
        super::record::write(&stage.root.join("owner.json"), &owner)?;
        plan.stage.directories.iter().try_for_each(|directory| make_directory(directory))?;
        for file in &plan.stage.files {
            let mode = u32::from_str_radix(file.mode, 8).expect("modes of a plan are octal");
            workspace::copy_to_new(&file.from, &file.to, mode)?;
        }
        Ok(stage)
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Removes the stage, and says so when it cannot.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn remove(self) -> Result<(), FsError> {
        workspace::remove_tree(&self.root)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Once more after `remove`, which finds nothing; what cannot be removed is the next run's to remove.
        let _ = workspace::remove_tree(&self.root);
    }
}

fn failed(action: &'static str, path: &Path, source: std::io::Error) -> FsError {
    FsError::Io { action, path: path.to_owned(), source }
}

fn make_directory(path: &Path) -> Result<(), FsError> {
    std::fs::DirBuilder::new().mode(0o700).create(path).map_err(|error| failed("create directory", path, error))
}

/// The directory of all stages: made when missing; else it must be this user's, and nobody else's to write.
fn make_base(base: &Path) -> Result<(), StageError> {
    let made = std::fs::DirBuilder::new().mode(0o700).recursive(true).create(base);
    made.map_err(|error| failed("create directory", base, error))?;
    let there = base.symlink_metadata().map_err(|error| failed("look at", base, error))?;
    let refused = |why| StageError::NotPrivate { path: base.to_owned(), why };
    match () {
        () if !there.is_dir() => Err(refused("it is not a directory")),
        () if there.uid() != rustix::process::geteuid().as_raw() => Err(refused("it belongs to another user")),
        () if there.mode() & 0o022 != 0 => Err(refused("others may write into it")),
        () => Ok(()),
    }
}

/// Whether somebody holds the lock on the file at `path`, or it cannot be told; false when there is no such file.
pub(super) fn is_held(path: &Path) -> bool {
    path.exists() && FileLock::acquire(path, LockMode::Fail, &|| false).is_err()
}

/// What became of the stages of dead parents.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Removed, with their jobs.
    pub removed: Vec<PathBuf>,
    /// Left as they are, with the reason.
    pub kept: Vec<(PathBuf, String)>,
}

/// Removes the stages that dead parents left beside the one of `plan`, and takes their jobs from launchd.
#[must_use]
pub fn reap(plan: &JobPlan) -> Reaped {
    let mut reaped = Reaped::default();
    let Some(base) = plan.stage.root.parent().filter(|base| base.is_dir()) else { return reaped };
    let wait = LockMode::Wait { timeout: BASE_PATIENCE };
    let lock = match make_base(base).and_then(|()| Ok(FileLock::acquire(&base.join(BASE_LOCK), wait, &|| false)?)) {
        Ok(lock) => lock,
        Err(error) => {
            reaped.kept.push((base.to_owned(), crate::base::error_chain(&error)));
            return reaped;
        }
    };
    let prefix = plan.label.strip_suffix(&plan.run_id).unwrap_or(&plan.label);
    let entries = std::fs::read_dir(base).into_iter().flatten().flatten();
    let mut stages: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect();
    stages.sort();
    for root in stages {
        match reap_one(&root, plan) {
            Ok(true) => reaped.removed.push(root),
            Ok(false) => {}
            Err(why) => reaped.kept.push((root, why)),
        }
    }
    lock.release();
    reaped
}

/// Whether a stage was a dead parent's and is gone now.
fn reap_one(root: &Path, plan: &JobPlan) -> Result<bool, String> {
    let there = root.symlink_metadata().map_err(|error| error.to_string())?;
    if !there.is_dir() || there.uid() != rustix::process::geteuid().as_raw() {
        return Err("it is not a directory of this user".to_owned());
    }
    let lock = match FileLock::acquire(&root.join("owner.lock"), LockMode::Fail, &|| false) {
        Ok(lock) => lock,
        // Its parent lives.
        Err(LockError::Held { .. }) => return Ok(false),
        Err(error) => return Err(crate::base::error_chain(&error)),
    };
    let owner = match read_bounded(&root.join("owner.json"), 64 * 1024) {
        Ok(bytes) => Some(serde_json::from_slice::<Owner>(&bytes).map_err(|error| format!("owner.json: {error}"))?),
        // Its parent died before it could write a word, so there is no job either.
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(crate::base::error_chain(&error)),
    };
    if let Some(owner) = owner {
        if root.file_name().is_none_or(|name| name.to_string_lossy() != owner.label.as_str()) {
            return Err("owner.json names another job".to_owned());
        }
        take_back(root, &owner, plan)?;
    }
    workspace::remove_tree(root).map_err(|error| crate::base::error_chain(&error))?;
    drop(lock);
    Ok(true)
}

/// Takes a job from whichever domain has it, and waits until its worker is gone.
fn take_back(root: &Path, owner: &Owner, plan: &JobPlan) -> Result<(), String> {
    let launchctl = Tool::Launchctl.path(&plan.stand_in_tools);
    let limit = Duration::from_secs_f64(plan.helper_limit_s);
    for domain in &owner.domains {
        let arguments = ["bootout".into(), format!("{domain}/{}", owner.label).into()];
        // A domain that does not know the job says so, and that is as good.
        let end = run_tool(&launchctl, &arguments, limit, 0, &Cancel::default())
            .map_err(|error| crate::base::error_chain(&error))?;
        if end.timed_out {
            return Err("launchctl did not answer".to_owned());
        }
    }
    let begun = Instant::now();
    while is_held(&root.join("state/worker.lock")) {
        if begun.elapsed() > GONE_WITHIN {
            return Err("its job goes on".to_owned());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
