//! Which world this host is.
//!
//! On Linux `linux-<distribution>-<version>-<kernel release>-<arch>`, from `os-release(5)` and `uname(2)`. A world is a
//! name for comparing evidence, so every part is reduced to `a-z A-Z 0-9 . _ -`.
//!
//! On macOS `<release>-<version>-<build>-<arch>`, from `SystemVersion.plist`. Where that is the beginning of a world baseline that is
//! known ([`BASELINES`]), the host is that world; the rest of the baseline's name (its dyld cache) is taken from it, not measured.

use std::io;
use std::path::Path;

use serde::Serialize;

/// What a world id is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorldFacts {
    /// `linux` or `macos`.
    pub platform: String,
    /// Distribution and its version.
    pub os: OsRelease,
    /// Kernel release as `uname -r` prints it.
    pub kernel_release: String,
    /// Machine as `uname -m` prints it.
    pub arch: String,
}

/// World baselines of macOS.
const BASELINES: [&str; 1] = ["sonoma-14.4.1-23E224-arm64-dyld-2c0602c5"];

/// Where macOS says what it is.
const SYSTEM_VERSION: &str = "/System/Library/CoreServices/SystemVersion.plist";

/// `ID` and `VERSION_ID` of `os-release(5)`; on macOS the release's name, and version and build. `unknown` where the file does
/// not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OsRelease {
    /// Distribution id, such as `debian`.
    pub id: String,
    /// Version, such as `12`; rolling distributions have none.
    pub version: String,
}

/// Why the world cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The release file exists but cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl WorldFacts {
    /// The world id.
    #[must_use]
    pub fn world_id(&self) -> String {
        if self.platform == "macos" {
            let own = [&self.os.id, &self.os.version, &self.arch].map(|part| plain(part)).join("-");
            let known =
                BASELINES.iter().find(|known| known.strip_prefix(&own).is_some_and(|rest| rest.starts_with("-dyld-")));
            return known.map_or(own, |known| (*known).to_owned());
        }
        let parts = [&self.platform, &self.os.id, &self.os.version, &self.kernel_release, &self.arch];
        parts.map(|part| plain(part)).join("-")
    }
}

fn plain(part: &str) -> String {
    let text: String =
        part.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }).collect();
    if text.is_empty() { "unknown".to_owned() } else { text }
}

impl OsRelease {
    /// Reads the keys of macOS's `SystemVersion.plist`.
    #[must_use]
    pub fn of_macos(list: &plist::Value) -> Self {
        let text = |key: &str| list.as_dictionary()?.get(key)?.as_string();
        let (version, build) = (text("ProductVersion"), text("ProductBuildVersion"));
        let id = match version.and_then(|version| version.split('.').next()) {
            Some("13") => "ventura",
            Some("14") => "sonoma",
            Some("15") => "sequoia",
            Some("26") => "tahoe",
            _ => "macos",
        };
        let version = [version, build].map(|part| part.unwrap_or("unknown")).join("-");
        Self { id: id.to_owned(), version }
    }

    /// Reads the two keys from the text of an `os-release` file: `KEY=value`, optionally quoted.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let value = |key: &str| {
            text.lines()
                .filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))
                .map(|v| v.trim_matches(['"', '\'']).to_owned())
                .find(|v| !v.is_empty())
                .unwrap_or_else(|| "unknown".to_owned())
        };
        Self { id: value("ID"), version: value("VERSION_ID") }
    }
}

/// Detects the world of the running system.
///
/// # Errors
/// A release file that exists but cannot be read. A missing one gives `unknown`.
pub fn detect_world() -> Result<WorldFacts, WorldError> {
    let uname = rustix::system::uname();
    let platform = if cfg!(target_os = "macos") { "macos" } else { "linux" };
    Ok(WorldFacts {
        platform: platform.to_owned(),
        os: if cfg!(target_os = "macos") {
            read_system_version(Path::new(SYSTEM_VERSION))?
        } else {
            read_os_release(&[Path::new("/etc/os-release"), Path::new("/usr/lib/os-release")])?
        },
        kernel_release: uname.release().to_string_lossy().into_owned(),
        arch: uname.machine().to_string_lossy().into_owned(),
    })
}

fn read_system_version(path: &Path) -> Result<OsRelease, WorldError> {
    let failed = |source: io::Error| WorldError::Read { path: path.display().to_string(), source };
    let list =
        plist::Value::from_file(path).map_err(|error| failed(error.into_io().unwrap_or_else(io::Error::other)))?;
    Ok(OsRelease::of_macos(&list))
}

fn read_os_release(paths: &[&Path]) -> Result<OsRelease, WorldError> {
    for path in paths {
        match std::fs::read_to_string(path) {
            Ok(text) => return Ok(OsRelease::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(WorldError::Read { path: path.display().to_string(), source }),
        }
    }
    Ok(OsRelease::parse(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_quotes_and_absence() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
        assert_eq!(OsRelease::parse(debian), OsRelease { id: "debian".into(), version: "12".into() });
        assert_eq!(OsRelease::parse("ID=arch\n").version, "unknown");
    }

    #[test]
    fn a_mac_is_named_by_release_version_build_and_machine() {
        let facts = |version: &str, build: &str| {
            let text = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><plist version=\"1.0\"><dict><key>ProductBuildVersion</key>\
                 <string>{build}</string><key>ProductVersion</key><string>{version}</string></dict></plist>"
            );
            let temp = tempfile::NamedTempFile::new().unwrap();
            std::io::Write::write_all(&mut temp.as_file(), text.as_bytes()).unwrap();
            let os = read_system_version(temp.path()).unwrap();
            let (platform, arch) = ("macos".to_owned(), "arm64".to_owned());
            WorldFacts { platform, os, kernel_release: "23.4.0".to_owned(), arch }.world_id()
        };
        assert_eq!(facts("14.4.1", "23E224"), "sonoma-14.4.1-23E224-arm64-dyld-2c0602c5", "the known baseline");
        assert_eq!(facts("14.4.1", "23E22"), "sonoma-14.4.1-23E22-arm64", "another build is another world");
        assert_eq!(facts("14.5", "23F79"), "sonoma-14.5-23F79-arm64");
        assert_eq!(facts("26.1", "25B78"), "tahoe-26.1-25B78-arm64");
        assert_eq!(facts("99.0", "x"), "macos-99.0-x-arm64");
        assert!(read_system_version(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn world_ids_are_plain() {
        let facts = WorldFacts {
            platform: "linux".into(),
            os: OsRelease { id: "a/b".into(), version: String::new() },
            kernel_release: "6.18.44 #1".into(),
            arch: "x86_64".into(),
        };
        assert_eq!(facts.world_id(), "linux-a_b-unknown-6.18.44__1-x86_64");
        assert!(detect_world().unwrap().world_id().split('-').count() >= 5);
    }
}
