//! Where the app is and how calls of it are limited; paths as records show them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{JailError, Settings};
use crate::base::time::unix_seconds;
use crate::os::fs;
use crate::os::input::is_file;

/// Where the app is, relative to the root, unless something else is said.
pub const DEFAULT_APP: &str = "book/tools/entitlement/EntitlementJail.app";
/// The variable that says where the app is.
pub const APP_VARIABLE: &str = "EJ_APP";

/// Everything that calls of the app take from their surroundings.
#[derive(Debug, Clone)]
pub struct Client {
    /// The app: an absolute path of a directory.
    pub app: PathBuf,
    /// Whether that is the place where the app is by default.
    pub app_is_default: bool,
    /// What recorded paths are relative to; working directory of every call.
    pub root: PathBuf,
    /// The user's home, for the short form of paths.
    pub home: Option<PathBuf>,
    /// The whole environment of the app.
    pub env: Vec<(OsString, OsString)>,
    /// How logs are captured and observers asked.
    pub settings: Settings,
    /// Time limit of a call; `None`: the default of each.
    pub timeout: Option<Duration>,
    /// Time limit of the observer, when it is asked afterwards.
    pub observer_timeout: Duration,
    /// How long after SIGTERM a process is killed.
    pub kill_after: Duration,
    /// The world this host is.
    pub world_id: String,
    /// Where private directories are made.
    pub temp_dir: PathBuf,
    /// What the observer takes for local time.
    pub time_zone: TimeZone,
    /// The wall clock.
    pub clock: fn() -> SystemTime,
}

impl Client {
    /// The app's command line program.
    ///
    /// # Errors
    /// [`JailError::NoApp`], [`JailError::NotText`].
    pub(super) fn cli(&self) -> Result<String, JailError> {
        let program = self.program("entitlement-jail");
        if is_file(&program) { text(&program) } else { Err(JailError::NoApp { path: program }) }
    }

    /// Where the observer should be.
    ///
    /// # Errors
    /// [`JailError::NotText`].
    pub(super) fn observer(&self) -> Result<String, JailError> {
        text(&self.program("sandbox-log-observer"))
    }

    fn program(&self, name: &str) -> PathBuf {
        self.app.join("Contents/MacOS").join(name)
    }

    /// The programs that stand in for those of the app: it belongs to macOS, and to one place.
    #[must_use]
    pub fn stand_in_tools(&self) -> Vec<String> {
        let replaced = !cfg!(target_os = "macos") || !self.app_is_default;
        replaced.then(|| "EntitlementJail.app".to_owned()).into_iter().collect()
    }

    pub(super) fn now_unix_s(&self) -> f64 {
        unix_seconds((self.clock)())
    }

    /// A path as records show it: relative to the root where it leads beneath it, else absolute; links are followed.
    pub(super) fn shown(&self, path: &Path) -> String {
        let resolved = |path: &Path| fs::resolved(path).unwrap_or_else(|_| path.to_owned());
        let (root, path) = (resolved(&self.root), resolved(path));
        path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned()
    }

    /// An argument vector as records show it: the program and absolute paths in their recorded form, all else as it is.
    pub(super) fn shown_command(&self, argv: &[String]) -> Vec<String> {
        argv.iter().map(|word| if word.starts_with('/') { self.shown(Path::new(word)) } else { word.clone() }).collect()
    }

    /// A path that may lie in the user's home: `$HOME/…` then.
    pub(super) fn hint(&self, path: &Path) -> String {
        match self.home.as_deref().and_then(|home| path.strip_prefix(home).ok()) {
            Some(inside) => format!("$HOME/{}", inside.display()),
            None => path.display().to_string(),
        }
    }

    /// A path that the app named: its own working directory is the root.
    pub(super) fn named_by_app(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A second as the observer takes it: local time, the fraction cut off. `None`: no such time.
    pub(super) fn local(&self, at_unix_s: f64) -> Option<String> {
        let at = Timestamp::from_second(at_unix_s.floor() as i64).ok()?;
        Some(at.to_zoned(self.time_zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string())
    }
}

/// A path as an argument.
pub(super) fn text(path: &Path) -> Result<String, JailError> {
    path.to_str().map(str::to_owned).ok_or_else(|| JailError::NotText { path: path.to_owned() })
}
