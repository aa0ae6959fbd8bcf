//! Every assumption about the host, tried on it: what was expected, what was seen, into a small bundle.
//!
//! Layer 6. On Linux the layers of the enforcement; on macOS the interfaces of Seatbelt, both numberings of filters, the domains
//! of launchd and the log, saved and live; on both a few attacks on a profile with their twins, by this program's own `sandbox run`.
//! The channel `launchd_clean` has a job of launchd make them and adds what it measured of its start. `SPEC.md`, section "Selftest",
//! owns the document.

mod attack;
mod clean;
mod macos;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::cancel::Cancel;
use crate::base::digest::Sha256Hex;
use crate::base::ids::RunId;
use crate::base::rel_path::RelPath;
use crate::bundle::layout::{self, name};
use crate::bundle::{BundleError, Identity, OpenBundle, Outcome, RunLock, RunManifest, SealedBundle};
use crate::host::Host;
use crate::os::lock::LockMode;
use crate::os::process::{ToolEnd, run_tool};
use crate::sandbox::Layers;

pub use clean::{InJob, in_job};

/// Schema tag of `selftest.json`. v0.1: first form.
pub const SELFTEST_TAG: &str = "runtime-tools.selftest.v0.1";
/// The document's name in its bundle.
pub const SELFTEST_FILE: &str = "selftest.json";
/// Limit of one program that is called.
const LIMIT: Duration = Duration::from_secs(20);
/// Bytes kept of what it prints.
const KEEP: usize = 4 * 1024 * 1024;

/// Checks made by children of this process.
pub const CHANNEL_DIRECT: &str = "direct";
/// Checks made by a job of launchd.
pub const CHANNEL_LAUNCHD_CLEAN: &str = "launchd_clean";

/// What a check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What was expected was seen.
    Pass,
    /// Something else was seen.
    Fail,
    /// It could not be tried.
    Untried,
}

/// One assumption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Stable name.
    pub id: String,
    /// What should be seen.
    pub expected: String,
    /// What was seen.
    pub observed: String,
    /// What that says.
    pub verdict: Verdict,
}

impl Check {
    /// A check whose observation is compared with what is expected.
    fn compare(id: impl Into<String>, expected: impl Into<String>, observed: impl Into<String>) -> Self {
        let (expected, observed) = (expected.into(), observed.into());
        let verdict = if expected == observed { Verdict::Pass } else { Verdict::Fail };
        Self { id: id.into(), expected, observed, verdict }
    }

    /// A check that could not be made.
    fn untried(id: impl Into<String>, expected: impl Into<String>, why: impl Into<String>) -> Self {
        Self { id: id.into(), expected: expected.into(), observed: why.into(), verdict: Verdict::Untried }
    }
}

/// All checks of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selftest {
    /// [`SELFTEST_TAG`].
    pub schema_version: String,
    /// The host's world.
    pub world_id: String,
    /// The run.
    pub run_id: String,
    /// `linux` or `macos`.
    pub platform: String,
    /// `direct`, or `launchd_clean` where a job of launchd made the checks.
    pub channel: String,
    /// The checks in the order in which they were made.
    pub checks: Vec<Check>,
    /// Number that passed.
    pub passed: usize,
    /// Number that failed.
    pub failed: usize,
    /// Number that could not be tried.
    pub untried: usize,
    /// Programs that were replaced.
    pub stand_in_tools: Vec<String>,
}

/// Makes every check of this host. `work` is an empty directory of the caller's.
#[must_use]
pub fn selftest(host: &Host, layers: &Layers, run_id: &RunId, work: &Path, cancel: &Cancel) -> Selftest {
    let mut checks: Vec<Check> = layers
        .layers
        .iter()
        .map(|(name, layer)| Check {
            verdict: if layer.present { Verdict::Pass } else { Verdict::Fail },
            ..Check::compare(format!("layer.{name}"), "present", layer.detail.clone())
        })
        .collect();
    let inside = match layers.already_sandboxed {
        Some(true) => "inside a sandbox",
        Some(false) => "outside any sandbox",
        None => "the system does not say",
    };
    checks.push(Check::compare("start", "outside any sandbox", inside));
    checks.push(opened_path(work));
    let tool = Caller { host, work, cancel };
    checks.extend(attack::checks(&tool));
    if cfg!(target_os = "macos") || !host.stand_in_tools.is_empty() {
        checks.extend(macos::checks(&tool));
    }
    Selftest::of(checks, host, run_id, CHANNEL_DIRECT)
}

impl Selftest {
    /// The document of some checks.
    #[must_use]
    pub fn of(checks: Vec<Check>, host: &Host, run_id: &RunId, channel: &str) -> Self {
        let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
        Self {
            schema_version: SELFTEST_TAG.to_owned(),
            world_id: host.world_id.clone(),
            run_id: run_id.as_str().to_owned(),
            platform: std::env::consts::OS.to_owned(),
            channel: channel.to_owned(),
            passed: count(Verdict::Pass),
            failed: count(Verdict::Fail),
            untried: count(Verdict::Untried),
            stand_in_tools: host.stand_in_tools.keys().cloned().collect(),
            checks,
        }
    }
}

/// Commits the document as a bundle of its own, with `more` files beside it: name inside the run's directory and content.
///
/// # Errors
/// [`BundleError`].
pub fn commit(
    selftest: &Selftest,
    run_id: &RunId,
    out: &Path,
    host: &Host,
    more: &[(RelPath, Vec<u8>)],
) -> Result<SealedBundle, BundleError> {
    let ids: String = selftest.checks.iter().map(|check| format!("{}\n", check.id)).collect();
    let lock = RunLock::acquire(out, LockMode::Fail, &|| false)?;
    let identity = Identity {
        run_id: run_id.clone(),
        world_id: host.world_id.clone(),
        channel: selftest.channel.clone(),
        plan_id: "selftest".to_owned(),
        plan_digest: Sha256Hex::of(ids.as_bytes()).to_string(),
    };
    let mut bundle = OpenBundle::create(lock, out, identity, (host.clock)())?;
    let mut manifest = RunManifest::direct(bundle.identity(), bundle.recorded_dir(), &out.display().to_string());
    manifest.stand_in_tools = Some(selftest.stand_in_tools.clone());
    manifest.stage_used = selftest.channel == CHANNEL_LAUNCHD_CLEAN;
    bundle.write_json(&name(layout::RUN_MANIFEST), &manifest)?;
    bundle.write_json(&name(SELFTEST_FILE), selftest)?;
    let mut expected: Vec<RelPath> = [layout::RUN_STATUS, layout::RUN_MANIFEST, SELFTEST_FILE].map(name).into();
    for (file, bytes) in more {
        bundle.write(file, bytes)?;
        expected.push(file.clone());
    }
    bundle.seal(Outcome::Complete, &expected, (host.clock)())
}

/// What checks call programs with.
struct Caller<'a> {
    host: &'a Host,
    work: &'a Path,
    cancel: &'a Cancel,
}

impl Caller<'_> {
    fn file(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.file(name);
        crate::os::fs::write_durable(&path, text.as_bytes()).map_err(|error| crate::base::error_chain(&error))?;
        Ok(path)
    }

    /// Runs a program to its end.
    fn call(&self, program: &Path, words: &[&str]) -> Result<ToolEnd, String> {
        let words: Vec<std::ffi::OsString> = words.iter().map(Into::into).collect();
        run_tool(program, &words, LIMIT, KEEP, self.cancel).map_err(|error| crate::base::error_chain(&error))
    }

    /// Runs a command under a profile by this program's own `sandbox run`.
    fn confined(&self, profile: &Path, command: &[&str]) -> Result<ToolEnd, String> {
        let profile = profile.display().to_string();
        let words = [&["sandbox", "run", "--profile", &profile, "--"][..], command].concat();
        self.call(&self.host.worker_exe, &words)
    }
}

/// Whether the system names an open file by its real path (`F_GETPATH` on macOS, `/proc` on Linux).
fn opened_path(work: &Path) -> Check {
    const ID: &str = "path_of_an_open_file";
    let target = work.join("opened");
    let look = || {
        crate::os::fs::write_durable(&target, b"x").map_err(|error| error.to_string())?;
        let file = crate::os::fs::open_regular(&target).map_err(|error| error.to_string())?;
        let real = target.canonicalize().map_err(|error| error.to_string())?;
        let found = crate::os::fd::fd_path(std::os::fd::AsFd::as_fd(&file.file)).map_err(|error| error.to_string())?;
        Ok::<_, String>((real.display().to_string(), found.display().to_string()))
    };
    match look() {
        Ok((real, found)) => Check::compare(ID, real, found),
        Err(why) => Check::untried(ID, "the real path", why),
    }
}
