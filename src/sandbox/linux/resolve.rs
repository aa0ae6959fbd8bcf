//! Where a path of a confined program leads: its canonical form and the object there, as that program sees it.
//!
//! Invariants: every string is read once, by the caller, and only the copy is used. The object is opened by its canonical
//! path with `RESOLVE_NO_SYMLINKS`, so the kernel itself proves that the path judged is the path opened; what a racing
//! process changes in between can change which path is judged, never which of two objects is acted on. Links of
//! `/proc/<pid>` are steps of their own whose target is judged again. Per-process files of processes outside the tree are
//! refused whatever the profile says.
//!
//! A look-up takes time in proportion to the components it looks at, which are bounded, and ends when its caller is gone.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat};
use rustix::io::Errno;

use super::call::{Call, REFUSED};
use super::path;
use super::processes::{self, Processes};
use super::sticky;
use crate::sandbox::weaken::{Protection, off};
use crate::sbpl::VnodeType;

/// Links followed in one look-up (the kernel's MAXSYMLINKS).
const MOST_LINKS: usize = 40;
/// Components looked at in one look-up, with those of links and of further attempts: the longest path has 2,048.
const MOST_STEPS: usize = 16_384;
/// Steps of long work between two questions whether the caller still waits.
const STEPS_BETWEEN: usize = 256;
/// Attempts when other processes change the tree during the look-up.
const MOST_ATTEMPTS: usize = 8;

const OUTSIDER: &str = "per-process files of a process outside the sandbox are refused whatever the profile says";
const FOREIGN_PROC: &str = "a second mount of procfs is refused whatever the profile says";

/// What a path leads to.
#[derive(Debug)]
pub(super) struct Located {
    /// Canonical absolute path.
    pub(super) path: Vec<u8>,
    /// The object (`O_PATH`), or why there is none.
    pub(super) object: Result<OwnedFd, Errno>,
    /// Whether the path, or a link followed in its last place, was spelt so that it can only mean a directory.
    pub(super) must_be_directory: bool,
    /// Whether the way there leads through the directory of another process in `/proc`, whose links that process exchanges as it
    /// likes.
    pub(super) by_another: bool,
}

impl Located {
    /// The object, if there is one.
    pub(super) fn object(&self) -> Option<BorrowedFd<'_>> {
        self.object.as_ref().ok().map(AsFd::as_fd)
    }

    /// The object or the reason why there is none.
    pub(super) fn found(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.object.as_ref().map(AsFd::as_fd).map_err(|errno| *errno)
    }

    /// Looks again at what stands at the path, following nothing; `false` when it leads through a link by now.
    pub(super) fn look_again(&mut self) -> bool {
        self.object = open_path(&self.path, false);
        !matches!(self.object, Err(Errno::LOOP))
    }
}

/// Whether a link in the last place is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Follow,
    Keep,
}

/// Where walking the components ended.
enum Walked {
    /// At this path; every component but perhaps the last was seen and is no link.
    At(Vec<u8>),
    /// At a link of `/proc/<pid>` to something that has no path.
    Pathless(Vec<u8>),
    /// Nothing is there: the path as far as it can be spelt, and why.
    Nowhere(Vec<u8>, Errno),
    /// Nowhere yet: what was seen was exchanged meanwhile.
    Changed,
}

/// How far one look-up has come.
struct Steps {
    taken: usize,
    /// Whether its end is worth asking for: a program that is stopped at its exec does not wait for an answer.
    asks: bool,
    /// Whether a link followed in the last place is spelt so that it can only mean a directory.
    means_directory: bool,
    /// Whether the directory of another process in `/proc` was on the way.
    by_another: bool,
}

impl Call<'_> {
    /// Finds what `raw`, taken relative to `descriptor`, leads to for the calling program.
    pub(super) fn locate(&mut self, descriptor: i32, raw: &[u8], last: Last) -> Result<Located, Errno> {
        if raw.is_empty() {
            return Err(Errno::NOENT);
        }
        let whole = self.whole(descriptor, raw)?;
        let must_be_directory = path::means_directory(raw);
        let follow = last == Last::Follow || must_be_directory;
        if off(Protection::CanonicalPaths) {
            let flags = OFlags::PATH | OFlags::CLOEXEC | if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
            let object = openat(CWD, &*whole, flags, Mode::empty());
            return Ok(Located { path: whole.into_owned(), object, must_be_directory, by_another: false });
        }
        if let Some(plain) = plain(&whole)
            && let Some(object) = prove(&plain, follow)?
        {
            let path = plain.into_owned();
            return self.guarded(Located { path, object, must_be_directory, by_another: false });
        }
        let mut steps = self.no_steps();
        for _ in 0..MOST_ATTEMPTS {
            if let Some(located) = self.walk_and_prove(&whole, follow, must_be_directory, &mut steps)? {
                return self.guarded(located);
            }
        }
        Err(Errno::LOOP)
    }

    /// `raw` taken relative to `descriptor`, as an absolute path that still holds links.
    fn whole<'r>(&self, descriptor: i32, raw: &'r [u8]) -> Result<Cow<'r, [u8]>, Errno> {
        let whole =
            if raw[0] == b'/' { Cow::Borrowed(raw) } else { Cow::Owned(path::join(&self.base(descriptor)?, raw)) };
        if whole.len() > path::LONGEST { Err(Errno::NAMETOOLONG) } else { Ok(whole) }
    }

    /// The path that `raw` spells, where looking at the text is enough to know it: canonical if the kernel opens it with
    /// [`open_proven`]. `None` where the long way of [`Call::locate`] has to be gone.
    pub(super) fn spelt(&mut self, descriptor: i32, raw: &[u8]) -> Option<Vec<u8>> {
        if raw.is_empty() {
            return None;
        }
        let whole = self.whole(descriptor, raw).ok()?;
        let plain = plain(&whole)?;
        (!self.shared.mounts.hide(&plain)).then(|| plain.into_owned())
    }

    /// Where a path that [`Call::spelt`] gave leads when its links are followed; `None` for what [`Call::locate`] has to find out.
    pub(super) fn walked(&mut self, spelt: &[u8]) -> Option<Vec<u8>> {
        let mut steps = self.no_steps();
        let Ok(Walked::At(path)) = self.walk(spelt, true, &mut steps) else { return None };
        (!steps.means_directory && !path::within(&path, b"/proc") && !self.shared.mounts.hide(&path)).then_some(path)
    }

    /// As [`Call::locate`]; an empty path with `AT_EMPTY_PATH` means the descriptor's own object.
    pub(super) fn locate_or_own(
        &mut self,
        descriptor: i32,
        raw: &[u8],
        last: Last,
        flags: i32,
    ) -> Result<Located, Errno> {
        if raw.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
            return self.own(descriptor);
        }
        self.locate(descriptor, raw, last)
    }

    /// The object behind a descriptor of the calling program, under the name the kernel has for it.
    pub(super) fn own(&mut self, descriptor: i32) -> Result<Located, Errno> {
        let object = processes::object_of(self.tid(), descriptor)?;
        let path = name_of_object(object.as_fd())?;
        Ok(Located { path, object: Ok(object), must_be_directory: false, by_another: false })
    }

    /// The object that `raw` names by the caller's own link to one of its descriptors, where it has no name of its own: a file made
    /// with `O_TMPFILE`, which linkat(2) says to give a name in this way. Whether it may get one is the kernel's to say: it keeps a
    /// file whose last name was removed from getting another.
    pub(super) fn own_without_name(&self, raw: &[u8]) -> Option<Located> {
        let (of, descriptor) = path::own_descriptor(raw)?;
        let process = Processes::process_of(self.tid()).ok()?;
        let holder = match of {
            b"self" => process,
            b"thread-self" => self.tid(),
            number => Some(process).filter(|process| process.to_string().as_bytes() == number)?,
        };
        let object = processes::object_of(holder, descriptor).ok()?;
        if fstat(&object).ok()?.st_nlink > 0 {
            return None;
        }
        let path = name_of_object(object.as_fd()).ok()?;
        Some(Located { path, object: Ok(object), must_be_directory: false, by_another: false })
    }

    /// The directory that relative paths start from.
    fn base(&self, descriptor: i32) -> Result<Vec<u8>, Errno> {
        if off(Protection::CallersDirectory) {
            return Ok(rustix::process::getcwd(Vec::new())?.into_bytes());
        }
        let text = processes::link_of(self.tid(), descriptor)?;
        match text.first() {
            Some(b'/') => Ok(text),
            // `(unreachable)`: a working directory outside the root.
            Some(b'(') => Err(Errno::NOENT),
            _ => Err(Errno::NOTDIR),
        }
    }

    fn walk_and_prove(
        &mut self,
        whole: &[u8],
        follow: bool,
        must_be_directory: bool,
        steps: &mut Steps,
    ) -> Result<Option<Located>, Errno> {
        let mark = self.mark();
        let walked = self.walk(whole, follow, steps)?;
        let must_be_directory = must_be_directory || steps.means_directory;
        let by_another = steps.by_another;
        let located = match walked {
            Walked::Changed => {
                self.forget_since(mark);
                return Ok(None);
            }
            Walked::Nowhere(path, errno) => Located { path, object: Err(errno), must_be_directory, by_another },
            Walked::Pathless(path) => {
                let object = pathless(&path);
                Located { path, object, must_be_directory, by_another }
            }
            Walked::At(path) => match open_proven(&path, last_flags(follow)) {
                // A link took the place of what was seen there: look again.
                Err(Errno::LOOP) => {
                    self.forget_since(mark);
                    return Ok(None);
                }
                object => Located { path, object, must_be_directory, by_another },
            },
        };
        Ok(Some(located))
    }

    fn no_steps(&self) -> Steps {
        let asks = self.shared.listener.is_waiting(self.notification.id);
        Steps { taken: 0, means_directory: false, by_another: false, asks }
    }

    fn step(&self, steps: &mut Steps) -> Result<(), Errno> {
        steps.taken += 1;
        if steps.taken > MOST_STEPS {
            return Err(Errno::LOOP);
        }
        if steps.asks { self.now_and_then(steps.taken) } else { Ok(()) }
    }

    /// Ends long work, of which this many steps are done, when its caller is gone.
    pub(super) fn now_and_then(&self, steps: usize) -> Result<(), Errno> {
        if steps.is_multiple_of(STEPS_BETWEEN) { self.still_waiting() } else { Ok(()) }
    }

    /// Walks component by component, expanding links; each link met needs `file-read-metadata` on itself.
    ///
    /// It goes from directory to directory, upwards as the kernel does. Where somebody moves these meanwhile it can come to
    /// another one than the path it has put together says. That wins nothing: a link is read, and the object is opened in the end,
    /// by that path alone.
    fn walk(&mut self, whole: &[u8], follow: bool, steps: &mut Steps) -> Result<Walked, Errno> {
        let mut rest = path::components(whole);
        let mut at: Vec<u8> = Vec::new();
        let mut here = beneath(CWD, b"/")?;
        let mut links = 0;
        (steps.means_directory, steps.by_another) = (false, false);
        while let Some(component) = rest.pop_front() {
            self.step(steps)?;
            if component == b".." {
                here = beneath(here.as_fd(), b"..")?;
                path::pop(&mut at);
                continue;
            }
            path::push(&mut at, &component);
            if at.len() > path::LONGEST {
                return Err(Errno::NAMETOOLONG);
            }
            steps.by_another = steps.by_another || self.is_anothers(&at)?;
            let is_last = rest.is_empty();
            if is_last && !follow {
                return Ok(Walked::At(at));
            }
            match self.look(here.as_fd(), &component, &at)? {
                Seen::Object(object) => here = object,
                Seen::Nothing(errno) => {
                    rest.iter().for_each(|component| path::push(&mut at, component));
                    return Ok(Walked::Nowhere(path::lexical(&at), errno));
                }
                Seen::Changed => return Ok(Walked::Changed),
                Seen::Pathless if is_last => return Ok(Walked::Pathless(at)),
                Seen::Pathless => return Err(Errno::NOTDIR),
                Seen::Link { owner, .. } if is_last && sticky::forbids_link(owner, || fstat(&here).ok()) => {
                    return Err(Errno::ACCESS);
                }
                Seen::Link { text, .. } => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::LOOP);
                    }
                    steps.means_directory |= is_last && path::means_directory(&text);
                    path::pop(&mut at);
                    if text.first() == Some(&b'/') {
                        at.clear();
                        here = beneath(CWD, b"/")?;
                    }
                    let mut expanded: VecDeque<Vec<u8>> = path::components(&text);
                    expanded.extend(rest);
                    rest = expanded;
                }
            }
        }
        Ok(Walked::At(path::rooted(at)))
    }

    /// Whether a path is the directory of another process in `/proc`. A thread's is one: that number does not outlive an exec.
    fn is_anothers(&self, at: &[u8]) -> Result<bool, Errno> {
        match (path::split(at), path::proc_pid(at)) {
            (Some((b"/proc", _)), Some(pid)) => Ok(pid != Processes::process_of(self.tid())?),
            _ => Ok(false),
        }
    }

    /// What `name` is in the directory `here`; `at` is its path.
    fn look(&mut self, here: BorrowedFd<'_>, name: &[u8], at: &[u8]) -> Result<Seen, Errno> {
        // The caller's own entries, not the supervisor's. They tell a program nothing it does not know.
        if at == b"/proc/self" {
            return Ok(own_link(Processes::process_of(self.tid())?.to_string()));
        }
        if at == b"/proc/thread-self" {
            let process = Processes::process_of(self.tid())?;
            return Ok(own_link(format!("{process}/task/{}", self.tid())));
        }
        let found = beneath(here, name).and_then(|object| Ok((fstat(&object)?, object)));
        self.guard(at)?;
        match found {
            Ok((stat, _)) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                self.read_link(at, stat.st_uid)
            }
            Ok((_, object)) => Ok(Seen::Object(object)),
            Err(errno) if is_shortage(errno) => Err(Errno::NFILE),
            Err(errno) => Ok(Seen::Nothing(errno)),
        }
    }

    /// Reads a link in the directory that its path leads to, which is the one it is judged by.
    fn read_link(&mut self, at: &[u8], owner: u32) -> Result<Seen, Errno> {
        let (parent, name) = path::split(at).ok_or(Errno::NOENT)?;
        let text = match open_path(parent, true).and_then(|parent| readlinkat(parent, name, Vec::new())) {
            Ok(text) => text.into_bytes(),
            // No link any more, or another one on the way.
            Err(Errno::INVAL | Errno::LOOP | Errno::AGAIN) => return Ok(Seen::Changed),
            Err(errno) if is_shortage(errno) => return Err(Errno::NFILE),
            Err(errno) => return Ok(Seen::Nothing(errno)),
        };
        let mark = self.mark();
        if !self.allowed_of_type("file-read-metadata", at, VnodeType::Symlink) {
            return Err(REFUSED);
        }
        self.forget_permitted_since(mark);
        if path::proc_pid(at).is_some() && is_pathless(&text) {
            return Ok(Seen::Pathless);
        }
        Ok(Seen::Link { text, owner })
    }

    fn guarded(&mut self, located: Located) -> Result<Located, Errno> {
        self.guard(&located.path)?;
        Ok(located)
    }

    /// Refuses per-process files of processes that are not of this tree. Asked after the object was opened: a descriptor
    /// of such a file stays with its process, so a number given out again meanwhile cannot make it another's.
    fn guard(&mut self, at: &[u8]) -> Result<(), Errno> {
        if off(Protection::OutsiderFiles) {
            return Ok(());
        }
        if let Some(pid) = path::proc_pid(at)
            && !self.shared.processes.is_inside(pid)?
            && std::path::Path::new(&format!("/proc/{pid}")).exists()
        {
            return Err(self.turn_down("file-read-metadata", at, OUTSIDER));
        }
        if self.shared.mounts.hide(at) {
            return Err(self.turn_down("file-read-metadata", at, FOREIGN_PROC));
        }
        Ok(())
    }
}

/// What a component of a path is.
enum Seen {
    /// No link.
    Object(OwnedFd),
    /// A link with this text, and whose it is.
    Link {
        text: Vec<u8>,
        owner: u32,
    },
    /// A link of `/proc/<pid>` to something that has no path.
    Pathless,
    Nothing(Errno),
    /// It was exchanged while it was looked at.
    Changed,
}

/// A link of the caller's own in `/proc`.
fn own_link(text: String) -> Seen {
    Seen::Link { text: text.into_bytes(), owner: rustix::process::geteuid().as_raw() }
}

/// The path without what text alone can resolve; `None` when it goes up, which links make ambiguous, or leads below `/proc`,
/// where links mean another thing to every process.
fn plain(whole: &[u8]) -> Option<Cow<'_, [u8]>> {
    path::without_way_up(whole).filter(|plain| !path::within(plain, b"/proc"))
}

/// Whether the kernel's name for an object is not a path.
fn is_pathless(text: &[u8]) -> bool {
    text.first() != Some(&b'/') || text.ends_with(b" (deleted)")
}

/// Opens `at`; `None` when some component is a link and has to be walked. The kernel goes from left to right, so any other
/// error says that no component before the one it is about is a link.
fn prove(at: &[u8], follow: bool) -> Result<Option<Result<OwnedFd, Errno>>, Errno> {
    match open_proven(at, last_flags(follow)) {
        Err(Errno::LOOP) => Ok(None),
        Err(errno) if is_shortage(errno) || errno == Errno::AGAIN => Err(Errno::NFILE),
        other => Ok(Some(other)),
    }
}

/// Whether an error is a shortage of the supervisor's, which says nothing about the path.
fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM)
}

/// An entry of a directory, following nothing.
fn beneath(directory: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Flags for holding an object. A last link that is to be followed is refused as those before it are; one that is not is
/// the object.
fn last_flags(follow: bool) -> OFlags {
    if follow { OFlags::PATH } else { OFlags::PATH | OFlags::NOFOLLOW }
}

/// Opens a canonical path without following any link; a link in the last place is opened itself.
pub(super) fn open_path(at: &[u8], directory: bool) -> Result<OwnedFd, Errno> {
    let mut flags = last_flags(false);
    flags.set(OFlags::DIRECTORY, directory);
    open_proven(at, flags)
}

/// openat2(2) of an absolute path; ELOOP when a component is a link, so that success proves the path to be canonical.
pub(super) fn open_proven(at: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    refuse_way_up(at)?;
    let (mut flags, mut resolve) = (flags, ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS);
    if off(Protection::NoLinkProof) {
        (flags, resolve) = (flags - OFlags::NOFOLLOW, ResolveFlags::empty());
    }
    for _ in 0..MOST_ATTEMPTS {
        match openat2(CWD, at, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // The kernel could not make sure that nothing was renamed meanwhile.
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// A path that was looked up has `..` only behind something that was missing. The kernel would go up there once it is made, out of
/// what was judged.
pub(super) fn refuse_way_up(at: &[u8]) -> Result<(), Errno> {
    if path::goes_up(at) && !off(Protection::MissingWayUp) { Err(Errno::NOENT) } else { Ok(()) }
}

/// The kernel's name of an open object.
pub(super) fn name_of_object(object: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    Ok(readlinkat(CWD, crate::os::linux::object::link(object), Vec::new())?.into_bytes())
}

/// Opens what a link of `/proc/<pid>` leads to when that is a pipe or another object without a path. Whatever turns out to
/// have a path is not handed on: it would have to be judged by that path.
fn pathless(at: &[u8]) -> Result<OwnedFd, Errno> {
    let object = openat(CWD, at, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let name = name_of_object(object.as_fd())?;
    if name.first() == Some(&b'/') { Err(Errno::NOENT) } else { Ok(object) }
}
