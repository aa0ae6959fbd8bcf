//! Which object a probe's target names: the path, address, name or process that a decision record about this very call must
//! carry.
//!
//! The worker's answer is not asked for it: what was intended is worked out outside the sandbox, by the rules of
//! `path_resolution(7)`, just before the probe runs.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::denial::target_text;
use crate::event::{LinkMet, MADE_PROCESS, ProbeFacts, SELF_PROCESS};
use crate::sandbox::endpoint::{SocketAddress, destination};
use crate::sbpl::{Access, Fact, ProcessTarget, Target, Transport};
use crate::vocab::driver::driver_asked_for;
use crate::vocab::target::{self, Endpoint, Relation};
use crate::vocab::{Driver, Operation, Platform};

/// Links followed in one look-up (the kernel's MAXSYMLINKS).
const MOST_LINKS: usize = 40;
/// A link whose text depends on who reads it. It stays as it is; see [`crate::event::classify`].
const OWN_PROCESS: &str = "/proc/self";

/// The object of a probe's call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Intended {
    /// A file, by canonical path; empty for one that leads nowhere.
    Path(Vec<u8>),
    /// A socket address to connect to or to take; a unix socket by canonical path.
    Socket { address: SocketAddress, connects: bool },
    /// A process.
    Process(Relation),
    /// A name that is compared as written.
    Name(String),
}

/// The object of the probe's call; `None` when there is none, or no driver, or the target is not of the driver's form.
///
/// Symbolic links met on the way are added to `links`.
pub(super) fn intended(probe: &ProbeFacts, cwd: &Path, links: &mut Vec<LinkMet>) -> Option<Intended> {
    let operation = Operation::new(probe.operation.as_str());
    let driver = driver_asked_for(&operation, probe.asked(), Platform::of_this_build()?)?;
    let text = probe.resolved_target.as_str();
    if let Some(follow) = driver.follows_final_link() {
        let root_relative = matches!(driver, Driver::Native(native) if native.is_root_relative());
        let cwd = if root_relative { Path::new("/") } else { cwd };
        return Some(Intended::Path(intended_path(text, cwd, follow, links).unwrap_or_default()));
    }
    match driver {
        Driver::Connect | Driver::Bind => {
            let connects = driver == Driver::Connect;
            let address = match target::endpoint(text).ok()? {
                // connect(2) follows a link in the last place, bind(2) does not.
                Endpoint::Unix(path) => {
                    SocketAddress::UnixPath(intended_path(&path, cwd, connects, links).unwrap_or_default())
                }
                Endpoint::Tcp(address) => {
                    // To connect to no address in particular is to connect to this host.
                    let ip = if connects { destination(address.ip()) } else { address.ip() };
                    SocketAddress::ip(Transport::Tcp, SocketAddr::new(ip, address.port()))
                }
            };
            Some(Intended::Socket { address, connects })
        }
        Driver::Signal => target::relation(text).ok().map(Intended::Process),
        // What the others of macOS act on is a name; about a process by number its filters say nothing.
        Driver::SysctlRead | Driver::Native(_) => Some(Intended::Name(text.to_owned())),
        _ => None,
    }
}

impl Intended {
    /// The object as records write it; see [`ProbeFacts::intended_target`].
    pub(super) fn text(&self) -> String {
        match self {
            Self::Path(path) => target_text(path),
            Self::Socket { address, .. } => address.target_text(),
            Self::Process(Relation::Itself) => SELF_PROCESS.to_owned(),
            Self::Process(Relation::Children | Relation::SameSandbox) => MADE_PROCESS.to_owned(),
            Self::Process(Relation::Others) => format!("process {}", std::process::id()),
            Self::Name(name) => name.clone(),
        }
    }

    /// The address a connection is made to.
    pub(super) fn connects_to(&self) -> Option<Endpoint> {
        match self {
            Self::Socket { address: SocketAddress::Ip { address, .. }, connects: true } => {
                Some(Endpoint::Tcp(*address))
            }
            Self::Socket { address: SocketAddress::UnixPath(path), connects: true } => {
                Some(Endpoint::Unix(String::from_utf8_lossy(path).into_owned()))
            }
            _ => None,
        }
    }

    /// Hands a function the access of `operation` on this object.
    pub(super) fn access<T>(&self, operation: &Operation, use_access: impl FnOnce(&Access<'_>) -> T) -> T {
        let target = match self {
            Self::Socket { address, .. } => return address.access(operation, Some("SOCK_STREAM"), use_access),
            Self::Path(path) => Target::Path { path, vnode_type: None, mode: None },
            Self::Process(relation) => {
                let (strongest, held) = relations(*relation);
                let facts: Vec<Fact<'_>> = held.iter().map(|value| Fact { filter: "target", value }).collect();
                let target = Target::Described { target: &Target::Process(strongest), facts: &facts };
                return use_access(&Access { operation, target });
            }
            Self::Name(name) => Target::Name(name),
        };
        use_access(&Access { operation, target })
    }
}

/// The strongest relation to a process that a probe signals, and all that hold: a child stays in its maker's group.
fn relations(relation: Relation) -> (ProcessTarget, &'static [&'static str]) {
    match relation {
        Relation::Itself => (ProcessTarget::Itself, &["self", "pgrp", "same-sandbox"]),
        Relation::Children => (ProcessTarget::Children, &["children", "pgrp", "same-sandbox", "others"]),
        Relation::SameSandbox => (ProcessTarget::SameSandbox, &["same-sandbox", "others"]),
        Relation::Others => (ProcessTarget::Others, &["others"]),
    }
}

/// The canonical path that `target`, relative to `cwd`, leads to; components that cannot be looked at stay as written.
///
/// `None` for a target that leads nowhere: an empty text, or too many links.
fn intended_path(target: &str, cwd: &Path, follow: bool, met: &mut Vec<LinkMet>) -> Option<Vec<u8>> {
    if target.is_empty() {
        return None;
    }
    let whole = cwd.join(target);
    let follow = follow || [b"/".as_slice(), b"/.", b"/.."].iter().any(|end| target.as_bytes().ends_with(end));
    let mut rest = components(whole.as_os_str());
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(component) = rest.pop_front() {
        if component == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&component);
        let looked_through = follow || !rest.is_empty();
        match std::fs::read_link(&next) {
            Ok(text) if looked_through && next != Path::new(OWN_PROCESS) => {
                links += 1;
                if links > MOST_LINKS {
                    return None;
                }
                met.push(LinkMet {
                    link: target_text(next.as_os_str().as_bytes()),
                    text: target_text(text.as_os_str().as_bytes()),
                });
                if text.is_absolute() {
                    at = PathBuf::from("/");
                }
                let mut expanded = components(text.as_os_str());
                expanded.append(&mut rest);
                rest = expanded;
            }
            _ => at = next,
        }
    }
    Some(at.into_os_string().into_vec())
}

/// The components of a path without empty ones and `.`.
fn components(path: &OsStr) -> VecDeque<OsString> {
    let parts = path.as_bytes().split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.map(|part| OsStr::from_bytes(part).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test prepares files")]
    fn links_and_dots_are_resolved_as_the_kernel_does() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("real/sub")).unwrap();
        std::fs::write(root.join("real/x"), "").unwrap();
        for (name, text) in
            [("ld", "real"), ("fl", "ld/x"), ("deep", "real/sub"), ("dangling", "real/none"), ("o", "o")]
        {
            std::os::unix::fs::symlink(text, root.join(name)).unwrap();
        }
        for (target, follow, expected) in [
            ("real/x", true, Some("real/x")),
            ("ld/x", false, Some("real/x")),
            ("fl", true, Some("real/x")),
            ("fl", false, Some("fl")),
            ("ld/", false, Some("real")),
            // `..` after a link leaves the directory it leads to, not the one it stands in.
            ("deep/../x", false, Some("real/x")),
            ("dangling", true, Some("real/none")),
            ("missing/a//./b", true, Some("missing/a/b")),
            ("o", true, None),
            ("", true, None),
        ] {
            let path = intended_path(target, &root, follow, &mut Vec::new());
            assert_eq!(path, expected.map(|text| root.join(text).into_os_string().into_vec()), "{target}");
        }
        assert_eq!(intended_path("/proc/self/status", &root, true, &mut Vec::new()).unwrap(), b"/proc/self/status");
    }
}
