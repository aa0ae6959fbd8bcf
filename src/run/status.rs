//! The status document: what this host is and what can run on it (`SPEC.md`, section "Status").

use std::path::Path;

use indexmap::IndexMap;
use serde::Serialize;

use super::session::{CHANNEL_DIRECT, CHANNEL_LAUNCHD_CLEAN, LAUNCHD_CLEAN_NEEDS};
use crate::host::{WorldFacts, missing};
use crate::launchd::NEEDED;
use crate::os::input;
use crate::sandbox::{self, Layers};

/// Schema tag of the status document. v0.1: as the earlier tool writes it; `host`, `channels` and `enforcement` added.
pub const STATUS_TAG: &str = "runtime-tools.status.v0.1";

/// Where macOS has the program that starts launchd jobs.
const LAUNCHCTL: &str = "/bin/launchctl";

/// The status document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuntimeStatus {
    /// [`STATUS_TAG`].
    pub schema_version: &'static str,
    /// The world of this host, detected.
    pub world_id: String,
    /// The root of repository paths, as the format writes it: `.`.
    pub repo_root: &'static str,
    /// The channel that `SANDBOX_LORE_CHANNEL` names, else `direct`.
    pub channel: String,
    /// Whether `SANDBOX_LORE_LAUNCHD_CLEAN` is `1`.
    pub clean_channel_active: bool,
    /// Whether `SANDBOX_LORE_STAGE_USED` is `1`.
    pub stage_used: bool,
    /// `SANDBOX_LORE_STAGE_ROOT`.
    pub stage_root: Option<String>,
    /// `SANDBOX_LORE_STAGE_OUTPUT_ROOT`.
    pub stage_output_root: Option<String>,
    /// `SANDBOX_LORE_RUN_ID`.
    pub run_id: Option<String>,
    /// What `sandbox_check` says about this process.
    pub sandbox_check_self: SelfCheck,
    /// Programs that channels need.
    pub tools: Tools,
    /// What the world's id was made from.
    pub host: WorldFacts,
    /// Which channels can run here.
    pub channels: IndexMap<&'static str, Channel>,
    /// The layers of enforcement, present and missing.
    pub enforcement: Layers,
}

/// What `sandbox_check` says about this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SelfCheck {
    /// The interface that was asked.
    pub source: &'static str,
    /// Why there is no answer.
    pub error: &'static str,
}

/// Programs that channels need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tools {
    /// `launchctl` of macOS.
    pub launchctl: bool,
    /// Something that runs a probe in a sandbox: this program's own worker.
    pub sandbox_runner: bool,
}

/// Whether a channel can run here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Channel {
    /// Whether a run can be made over it.
    pub available: bool,
    /// Why not, or what its evidence will lack.
    pub note: Option<String>,
}

/// What this host is and what can run on it. `variable` gives the value of an environment variable that is set.
#[must_use]
pub fn runtime_status<'e>(
    host: WorldFacts,
    layers: Layers,
    variable: impl Fn(&str) -> Option<&'e str>,
) -> RuntimeStatus {
    let text = |name: &str| variable(name).map(str::to_owned);
    let flag = |name: &str| variable(name) == Some("1");
    let direct = direct(&layers);
    RuntimeStatus {
        schema_version: STATUS_TAG,
        world_id: host.world_id(),
        repo_root: ".",
        channel: text("SANDBOX_LORE_CHANNEL").unwrap_or_else(|| CHANNEL_DIRECT.to_owned()),
        clean_channel_active: flag("SANDBOX_LORE_LAUNCHD_CLEAN"),
        stage_used: flag("SANDBOX_LORE_STAGE_USED"),
        stage_root: text("SANDBOX_LORE_STAGE_ROOT"),
        stage_output_root: text("SANDBOX_LORE_STAGE_OUTPUT_ROOT"),
        run_id: text("SANDBOX_LORE_RUN_ID"),
        sandbox_check_self: SelfCheck {
            source: "sandbox_check",
            error: if cfg!(target_os = "macos") {
                "its answer stands in the layers of enforcement"
            } else {
                "sandbox_check is an interface of macOS that is not called here"
            },
        },
        tools: Tools { launchctl: input::is_file(Path::new(LAUNCHCTL)), sandbox_runner: direct.available },
        host,
        channels: IndexMap::from([(CHANNEL_DIRECT, direct), (CHANNEL_LAUNCHD_CLEAN, launchd_clean())]),
        enforcement: layers,
    }
}

fn launchd_clean() -> Channel {
    let absent = missing(&NEEDED, &std::collections::BTreeMap::new());
    match (cfg!(target_os = "macos"), absent.is_empty()) {
        (true, true) => Channel { available: true, note: Some("never run on a Mac yet: see docs/macos.md".to_owned()) },
        (true, false) => Channel { available: false, note: Some(format!("not here: {}", absent.join(", "))) },
        (false, _) => Channel { available: false, note: Some(LAUNCHD_CLEAN_NEEDS.to_owned()) },
    }
}

fn direct(layers: &Layers) -> Channel {
    match sandbox::obstacle(layers) {
        Some(obstacle) => Channel { available: false, note: Some(obstacle.to_string()) },
        None if layers.missing.is_empty() => Channel { available: true, note: None },
        None => {
            let note = format!("not promotable: enforcement layers missing: {}", layers.missing.join(", "));
            Channel { available: true, note: Some(note) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::detect_world;

    #[cfg(target_os = "linux")]
    fn status(without: &[&str]) -> RuntimeStatus {
        let names: Vec<String> = without.iter().map(|name| (*name).to_owned()).collect();
        runtime_status(detect_world().unwrap(), sandbox::layers().without(&names), |_| None)
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_channel_that_cannot_run_says_why() {
        let direct = |without: &[&str]| status(without).channels[CHANNEL_DIRECT].clone();
        let blocked = direct(&["seccomp_notify"]);
        assert!(!blocked.available && blocked.note.unwrap().contains("seccomp_notify (left out on purpose)"));
        assert!(!status(&["seccomp_notify"]).tools.sandbox_runner);
        // A layer that can be done without costs the promotion, not the run.
        let weaker = direct(&["landlock"]);
        assert_eq!(weaker.available, direct(&[]).available);
        assert!(weaker.note.unwrap().contains("landlock"));
        assert!(!status(&[]).channels[CHANNEL_LAUNCHD_CLEAN].available);
    }

    #[test]
    fn the_environment_is_said_as_it_is() {
        let known = |name: &str| match name {
            "SANDBOX_LORE_CHANNEL" => Some("launchd_clean"),
            "SANDBOX_LORE_STAGE_USED" => Some("1"),
            "SANDBOX_LORE_LAUNCHD_CLEAN" => Some("yes"),
            "SANDBOX_LORE_STAGE_ROOT" => Some("/stage"),
            _ => None,
        };
        let status = runtime_status(detect_world().unwrap(), sandbox::layers(), known);
        assert_eq!(
            (status.channel.as_str(), status.stage_used, status.clean_channel_active),
            ("launchd_clean", true, false)
        );
        assert_eq!((status.stage_root.as_deref(), status.run_id), (Some("/stage"), None));
        assert_eq!(status.world_id, status.host.world_id());
    }
}
