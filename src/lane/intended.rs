//! Which object a probe's target names: the canonical path that a decision record about this very call must carry.
//!
//! The worker's answer is not asked for it: what was intended is worked out outside the sandbox, by the rules of
//! `path_resolution(7)`, just before the probe runs.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// Links followed in one look-up (the kernel's MAXSYMLINKS).
const MOST_LINKS: usize = 40;
/// A link whose text depends on who reads it. It stays as it is; see [`crate::event::classify`].
const OWN_PROCESS: &str = "/proc/self";

/// The canonical path that `target`, relative to `cwd`, leads to; components that cannot be looked at stay as written.
///
/// `None` for a target that leads nowhere: an empty text, or too many links.
pub(super) fn intended_path(target: &str, cwd: &Path, follow: bool) -> Option<Vec<u8>> {
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
            let path = intended_path(target, &root, follow);
            assert_eq!(path, expected.map(|text| root.join(text).into_os_string().into_vec()), "{target}");
        }
        assert_eq!(intended_path("/proc/self/status", &root, true).unwrap(), b"/proc/self/status");
    }
}
