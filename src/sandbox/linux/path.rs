//! Paths as bytes: joining, splitting, the shapes that matter under `/proc`. Pure.

use std::borrow::Cow;
use std::collections::VecDeque;

/// Longest path handled, in bytes without a terminator (PATH_MAX).
pub(super) const LONGEST: usize = 4095;

/// Components that remain to be walked; empty ones and `.` are gone, `..` stays.
pub(super) fn components(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|c| !c.is_empty() && *c != b".").map(<[u8]>::to_vec).collect()
}

/// Whether a path can only mean a directory: it ends in `/`, `/.` or `/..`, or is one of these.
pub(super) fn means_directory(path: &[u8]) -> bool {
    matches!(path.rsplit(|&byte| byte == b'/').next(), Some(b"" | b"." | b".."))
}

/// Whether walking the path upwards is needed to know where it leads.
pub(super) fn goes_up(path: &[u8]) -> bool {
    places(b'.', path).any(|at| {
        let begins = at == 0 || path[at - 1] == b'/';
        begins && matches!(path[at..], [b'.', b'.'] | [b'.', b'.', b'/', ..])
    })
}

/// Where a byte stands in a path. Not by `memchr`, for the reason that [`crate::os::linux::memory::read_string`] has.
fn places(wanted: u8, path: &[u8]) -> impl Iterator<Item = usize> {
    path.iter().enumerate().filter(move |&(_, &byte)| byte == wanted).map(|(at, _)| at)
}

/// [`lexical`] of a path that does not go up; most are spelt in that way already.
pub(super) fn without_way_up(path: &[u8]) -> Option<Cow<'_, [u8]>> {
    let names = |slash: usize| {
        let rest = path[slash + 1..].strip_prefix(b".").unwrap_or(&path[slash + 1..]);
        !matches!(rest, [] | [b'/', ..] | [b'.', ..])
    };
    if path.first() == Some(&b'/') && places(b'/', path).all(names) {
        return Some(Cow::Borrowed(path));
    }
    (!goes_up(path)).then(|| Cow::Owned(lexical(path)))
}

/// An absolute path from components; the root is `/`.
pub(super) fn lexical(path: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(path.len() + 1);
    for component in path.split(|&byte| byte == b'/') {
        if !component.is_empty() && component != b"." {
            push(&mut whole, component);
        }
    }
    rooted(whole)
}

/// Appends one component to an absolute path in the making (empty means the root).
pub(super) fn push(whole: &mut Vec<u8>, component: &[u8]) {
    if whole.last() != Some(&b'/') {
        whole.push(b'/');
    }
    whole.extend_from_slice(component);
}

/// Removes the last component; the root stays.
pub(super) fn pop(whole: &mut Vec<u8>) {
    let cut = whole.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    whole.truncate(cut);
}

/// The root spelt out.
pub(super) fn rooted(whole: Vec<u8>) -> Vec<u8> {
    if whole.is_empty() { b"/".to_vec() } else { whole }
}

/// `directory` followed by a relative path.
pub(super) fn join(directory: &[u8], relative: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(directory.len() + 1 + relative.len());
    whole.extend_from_slice(directory);
    whole.push(b'/');
    whole.extend_from_slice(relative);
    whole
}

/// Parent and last component; `None` for the root.
pub(super) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = path.iter().rposition(|&byte| byte == b'/')?;
    let name = &path[slash + 1..];
    let parent = if slash == 0 { &path[..1] } else { &path[..slash] };
    (!name.is_empty()).then_some((parent, name))
}

/// Whether `path` is `tree` or lies beneath it.
pub(super) fn within(path: &[u8], tree: &[u8]) -> bool {
    path.strip_prefix(tree).is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || tree == b"/")
}

/// The process a canonical path below `/proc` belongs to.
pub(super) fn proc_pid(path: &[u8]) -> Option<i32> {
    let rest = path.strip_prefix(b"/proc/")?;
    let name = rest.split(|&byte| byte == b'/').next()?;
    std::str::from_utf8(name).ok()?.parse().ok().filter(|pid| *pid > 0)
}

/// Whose descriptor, in words of `/proc`, and which, a path names; `None` when it is not spelt in the one way that programs use.
pub(super) fn own_descriptor(path: &[u8]) -> Option<(&[u8], i32)> {
    let rest = path.strip_prefix(b"/proc/")?;
    let (of, rest) = rest.split_at(rest.iter().position(|&byte| byte == b'/')?);
    let digits = std::str::from_utf8(rest.strip_prefix(b"/fd/")?).ok()?;
    let number: i32 = digits.parse().ok()?;
    (number.to_string() == digits && number >= 0).then_some((of, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart_and_put_together() {
        assert_eq!(lexical(b"//a/./b//"), b"/a/b");
        assert_eq!(lexical(b"/"), b"/");
        assert_eq!(split(b"/a/b"), Some((&b"/a"[..], &b"b"[..])));
        assert_eq!(split(b"/a"), Some((&b"/"[..], &b"a"[..])));
        assert_eq!(split(b"/"), None);
        for (path, directory) in
            [("a", false), ("a/", true), ("a/.", true), ("..", true), (".", true), ("a/..b", false)]
        {
            assert_eq!(means_directory(path.as_bytes()), directory, "{path}");
        }
        assert!(goes_up(b"/a/../b") && !goes_up(b"/a/..b"));
        assert!(within(b"/a/b", b"/a") && within(b"/a", b"/a") && !within(b"/ab", b"/a") && within(b"/x", b"/"));
    }

    #[test]
    fn paths_are_spelt_without_what_means_nothing_unless_they_go_up() {
        // Every text of up to seven of these.
        let letters = b"/.a";
        for length in 0..=7 {
            for number in 0..letters.len().pow(length) {
                let digit = |place: u32| letters[number / letters.len().pow(place) % letters.len()];
                let path: Vec<u8> = (0..length).map(digit).collect();
                let shown = String::from_utf8_lossy(&path);
                let up = path.split(|&byte| byte == b'/').any(|component| component == b"..");
                assert_eq!(goes_up(&path), up, "{shown}");
                let spelt = without_way_up(&path).map(Cow::into_owned);
                assert_eq!(spelt, (!up).then(|| lexical(&path)), "{shown}");
            }
        }
    }

    #[test]
    fn a_descriptor_is_told_by_its_path() {
        assert_eq!(own_descriptor(b"/proc/self/fd/7"), Some((&b"self"[..], 7)));
        assert_eq!(own_descriptor(b"/proc/12/fd/0"), Some((&b"12"[..], 0)));
        for other in [
            "/proc/self/fd/",
            "/proc/self/fd/07",
            "/proc/self/fd/+7",
            "/proc/self/fd/-1",
            "/proc/self/fd/7/",
            "/proc/self/fd",
        ] {
            assert_eq!(own_descriptor(other.as_bytes()), None, "{other}");
        }
        assert_eq!(own_descriptor(b"/dev/fd/7"), None);
    }

    #[test]
    fn the_process_of_a_proc_path_is_known() {
        assert_eq!(proc_pid(b"/proc/12/fd/3"), Some(12));
        assert_eq!(proc_pid(b"/proc/12"), Some(12));
        assert_eq!(proc_pid(b"/proc/meminfo"), None);
        assert_eq!(proc_pid(b"/procx/12"), None);
    }
}
