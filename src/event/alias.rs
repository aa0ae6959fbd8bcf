//! Other names of paths, as data: `aliases.json`.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::vocab::{Platform, world_platform};

/// A link that was met on the way to a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkMet {
    /// Where it stands, by canonical path.
    pub link: String,
    /// What it says.
    pub text: String,
}

#[derive(Debug, Deserialize)]
struct Table {
    macos: Vec<Alias>,
    linux: Vec<Alias>,
}

/// One path and the path that it is another name of; both without a slash at the end, the root empty.
#[derive(Debug, Deserialize)]
struct Alias {
    alias: String,
    canonical: String,
}

static TABLE: LazyLock<Table> =
    LazyLock::new(|| serde_json::from_str(include_str!("aliases.json")).expect("the shipped table is valid"));

/// The canonical spelling of `path` in a world, by the first alias it lies at or beneath; `None` when it lies beneath none.
pub(super) fn canonical(world_id: &str, path: &str) -> Option<String> {
    let aliases = match world_platform(world_id) {
        Some(Platform::Linux) => &TABLE.linux,
        // Worlds whose name says nothing are those of the earlier tool, which ran on macOS only.
        _ => &TABLE.macos,
    };
    aliases.iter().find_map(|entry| {
        let rest = path.strip_prefix(entry.alias.as_str())?;
        let beneath = rest.starts_with('/') || (rest.is_empty() && !entry.canonical.is_empty());
        beneath.then(|| format!("{}{rest}", entry.canonical))
    })
}

/// Whether one path is the other under another name that the table knows.
pub(super) fn is_pair(world_id: &str, one: &str, other: &str) -> bool {
    one != other
        && (canonical(world_id, one).as_deref() == Some(other) || canonical(world_id, other).as_deref() == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_end_at_a_slash_and_belong_to_a_system() {
        let mac = "sonoma-14.4.1-23E224-arm64-dyld-2c0602c5";
        for (path, expected) in [
            ("/tmp", Some("/private/tmp")),
            ("/tmp/a", Some("/private/tmp/a")),
            ("/tmpfoo", None),
            ("/var/tmp", Some("/private/var/tmp")),
            ("/etc/hosts", Some("/private/etc/hosts")),
            ("/System/Volumes/Data/Users/a", Some("/Users/a")),
            ("/System/Volumes/Data", None),
            ("/private/tmp", None),
        ] {
            assert_eq!(canonical(mac, path).as_deref(), expected, "{path}");
            assert_eq!(canonical("linux-debian-12-6.18-x86_64", path), None, "{path}");
        }
        assert!(is_pair(mac, "/tmp/a", "/private/tmp/a") && is_pair(mac, "/private/tmp/a", "/tmp/a"));
        assert!(!is_pair(mac, "/tmp/a", "/private/tmp/b") && !is_pair(mac, "/tmp/a", "/tmp/a"));
    }
}
