//! Where a document lives, and how the paths written inside it are understood.
//!
//! Path rules (`SPEC.md`, section "Paths"): `./...` is relative to the document itself and stays inside its suite; an
//! absolute path stays; anything else is relative to the root and stays beneath it. What must stay beneath a directory is
//! opened beneath it without following links, so that the file, too, is where its path says.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::base::rel_path::RelPath;
use crate::os::fs::{self, Dir, FsError};
use crate::os::input;

/// A file on disk, or one of the shipped files held inside the binary.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// A path on disk, absolute; links are followed.
    Disk(PathBuf),
    /// A path on disk that a document names and that must stay beneath a directory: no link is followed on the way.
    Beneath {
        /// The directory.
        bound: Box<Path>,
        /// The path, absolute; begins with `bound`.
        path: PathBuf,
    },
    /// A shipped file by its path in the project, for instance `plans/linux-baseline/plan.json`.
    Embedded(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(path) | Self::Beneath { path, .. } => write!(f, "{}", path.display()),
            Self::Embedded(path) => write!(f, "embedded:{path}"),
        }
    }
}

impl Place {
    /// Reads the whole file, at most `limit_bytes` long.
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn read(&self, limit_bytes: u64) -> Result<Vec<u8>, FsError> {
        match self {
            Self::Disk(path) => fs::read_bounded(path, limit_bytes),
            Self::Beneath { bound, path } => {
                let name = path.strip_prefix(bound).ok().and_then(Path::to_str).unwrap_or_default();
                let name = RelPath::try_from(name.to_owned()).map_err(|_| FsError::Io {
                    action: "open",
                    path: path.clone(),
                    source: std::io::ErrorKind::InvalidInput.into(),
                })?;
                Dir::open(bound)?.read(&name, limit_bytes)
            }
            Self::Embedded(path) => match super::embedded::file(path) {
                Some(text) => Ok(text.as_bytes().to_vec()),
                None => {
                    Err(FsError::Io { action: "open", path: path.into(), source: std::io::ErrorKind::NotFound.into() })
                }
            },
        }
    }

    /// The symbolic link on the way to a file that must stay beneath a directory: reading it is refused.
    #[must_use]
    pub fn link(&self) -> Option<&Path> {
        let Self::Beneath { bound, path } = self else { return None };
        path.ancestors().take_while(|above| *above != &**bound).filter(|above| input::is_link(above)).last()
    }

    /// Whether there is a regular file here.
    #[must_use]
    pub fn is_file(&self) -> bool {
        match self {
            Self::Disk(path) | Self::Beneath { path, .. } => input::is_file(path),
            Self::Embedded(path) => super::embedded::file(path).is_some(),
        }
    }

    /// How long the file is; 0 when that cannot be told.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Disk(path) | Self::Beneath { path, .. } => input::size_bytes(path),
            Self::Embedded(path) => super::embedded::file(path).map_or(0, |text| text.len() as u64),
        }
    }

    /// The path on disk, where there is one.
    #[must_use]
    pub fn disk_path(&self) -> Option<&Path> {
        match self {
            Self::Disk(path) | Self::Beneath { path, .. } => Some(path),
            Self::Embedded(_) => None,
        }
    }

    /// The place `relative` (plain components) in the directory that holds this file.
    #[must_use]
    pub fn beside(&self, relative: &str) -> Self {
        match self {
            Self::Disk(path) | Self::Beneath { path, .. } => {
                Self::Disk(path.parent().unwrap_or(Path::new("/")).join(relative))
            }
            Self::Embedded(path) => Self::Embedded(match path.rsplit_once('/') {
                Some((directory, _)) => format!("{directory}/{relative}"),
                None => relative.to_owned(),
            }),
        }
    }

    /// The registry of the suite that the plan here is part of, probes and profiles: in the folder `registry` beside it, or
    /// beside its own folder. One of the two files is there.
    #[must_use]
    pub fn registry_of_suite(&self) -> Option<(Self, Self)> {
        let own = self.path().parent()?;
        let files = |folder: &Path| {
            ["probes.json", "profiles.json"].map(|name| self.with_path(folder.join("registry").join(name)))
        };
        let [probes, profiles] =
            [Some(own), own.parent()].into_iter().flatten().map(files).find(|files| files.iter().any(Self::is_file))?;
        Some((probes, profiles))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Disk(path) | Self::Beneath { path, .. } => path,
            Self::Embedded(path) => Path::new(path),
        }
    }

    fn with_path(&self, path: PathBuf) -> Self {
        match self {
            Self::Disk(_) | Self::Beneath { .. } => Self::Disk(path),
            Self::Embedded(_) => Self::Embedded(path.to_string_lossy().into_owned()),
        }
    }
}

/// Why a path written in a document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoredPathError {
    /// The text has no characters.
    #[error("the path is empty")]
    Empty,
    /// A NUL byte or another control character.
    #[error("the path holds a control character")]
    Control,
    /// A `./` path climbs out of its suite, or a root-relative path out of the root.
    #[error("the path leaves {0}")]
    Leaves(String),
}

/// The directories against which one document's paths are resolved.
#[derive(Debug, Clone)]
pub struct Base {
    document: Place,
    suite: PathBuf,
    root: PathBuf,
}

impl Base {
    /// The base of the plan at `plan`: like [`Base::of`], and the folder that holds its registry is its suite.
    #[must_use]
    pub fn of_plan(plan: &Place, root: Option<&Path>) -> Self {
        let mut base = Self::of(plan, root);
        if let Some((probes, _)) = plan.registry_of_suite()
            && let Some(suite) = probes.path().parent().and_then(Path::parent)
        {
            if base.root == base.suite {
                base.root = suite.to_path_buf();
            }
            base.suite = suite.to_path_buf();
        }
        base
    }

    /// The base of `document`; `root` overrides the search for the nearest ancestor with `.git` or `AGENTS.md`.
    #[must_use]
    pub fn of(document: &Place, root: Option<&Path>) -> Self {
        let directory = document.path().parent().unwrap_or(Path::new("")).to_path_buf();
        // A registry is a folder of its suite, so its documents may name the suite's other folders.
        let in_registry = directory.file_name().is_some_and(|name| name == "registry");
        let suite = if in_registry { directory.parent().map(Path::to_path_buf) } else { None };
        let root = match document {
            Place::Embedded(_) => PathBuf::new(),
            // A suite outside of any project is a root of its own.
            Place::Disk(_) | Place::Beneath { .. } => root
                .map(Path::to_path_buf)
                .or_else(|| marked_root(&directory))
                .unwrap_or_else(|| suite.clone().unwrap_or_else(|| directory.clone())),
        };
        Self { document: document.clone(), suite: suite.unwrap_or(directory), root }
    }

    /// The root that plain relative paths start from.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Finds what a path written in the document names. Nothing is opened.
    ///
    /// # Errors
    /// See [`StoredPathError`].
    pub fn resolve(&self, stored: &str) -> Result<Place, StoredPathError> {
        if stored.is_empty() {
            return Err(StoredPathError::Empty);
        }
        if stored.chars().any(char::is_control) {
            return Err(StoredPathError::Control);
        }
        if stored.starts_with('/') {
            return Ok(Place::Disk(PathBuf::from(stored)));
        }
        let folder = self.document.path().parent().unwrap_or(Path::new(""));
        let (start, bound, name) = if stored.starts_with("./") {
            (folder, self.suite.as_path(), "the suite's directory")
        } else {
            (self.root.as_path(), self.root.as_path(), "the root")
        };
        let leaves = || StoredPathError::Leaves(format!("{name} {}", self.document.with_path(bound.to_path_buf())));
        let path = normalise(&start.join(stored)).ok_or_else(leaves)?;
        let bound = normalise(bound).ok_or_else(leaves)?;
        if !path.starts_with(&bound) || path == bound {
            return Err(leaves());
        }
        if matches!(self.document, Place::Embedded(_)) {
            return Ok(self.document.with_path(path));
        }
        // The document's own folder was chosen by whoever chose the document, links on the way to it included.
        let bound = normalise(folder).filter(|own| stored.starts_with("./") && path.starts_with(own)).unwrap_or(bound);
        Ok(Place::Beneath { bound: bound.into(), path })
    }

    /// How `place` is written in stored output: relative to the root with `/`, or as it is when outside or in the
    /// binary.
    #[must_use]
    pub fn relative(&self, place: &Place) -> String {
        if matches!(place, Place::Embedded(_)) {
            return place.to_string();
        }
        match place.path().strip_prefix(&self.root) {
            Ok(relative) => relative.to_string_lossy().into_owned(),
            Err(_) => place.path().to_string_lossy().into_owned(),
        }
    }
}

/// The nearest ancestor of `directory` (itself included) with `.git` or `AGENTS.md`, else `directory`.
#[must_use]
pub fn root_of(directory: &Path) -> PathBuf {
    marked_root(directory).unwrap_or_else(|| directory.to_path_buf())
}

fn marked_root(directory: &Path) -> Option<PathBuf> {
    let marked = |ancestor: &&Path| fs::exists(&ancestor.join(".git")) || input::is_file(&ancestor.join("AGENTS.md"));
    directory.ancestors().find(marked).map(Path::to_path_buf)
}

/// Removes `.` and `..` by text; `None` when `..` climbs above the start.
fn normalise(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if !clean.pop() {
                    return None;
                }
            }
            other => clean.push(other),
        }
    }
    Some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_paths_follow_the_path_rules() {
        let base = Base::of(&Place::Disk("/w/s/registry/profiles.json".into()), Some(Path::new("/w")));
        for (stored, expected) in [
            ("./../sb/a.sb", "/w/s/sb/a.sb"),
            ("./a.sb", "/w/s/registry/a.sb"),
            ("s/sb/a.sb", "/w/s/sb/a.sb"),
            ("s/../t/a.sb", "/w/t/a.sb"),
            ("/System/a.sb", "/System/a.sb"),
        ] {
            assert_eq!(base.resolve(stored).unwrap().disk_path(), Some(Path::new(expected)), "{stored}");
        }
        assert_eq!(base.relative(&Place::Disk("/w/s/sb/a.sb".into())), "s/sb/a.sb");
        assert_eq!(base.relative(&Place::Disk("/other/a.sb".into())), "/other/a.sb");
    }

    #[test]
    fn stored_paths_cannot_climb_out() {
        let plan = Base::of(&Place::Disk("/w/s/plan.json".into()), Some(Path::new("/w")));
        for stored in ["./../t/a.sb", "../a.sb", "a/../../b", "./", "./.", "./../../../../../x", "..", "."] {
            assert!(matches!(plan.resolve(stored), Err(StoredPathError::Leaves(_))), "{stored}");
        }
        assert_eq!(plan.resolve(""), Err(StoredPathError::Empty));
        assert_eq!(plan.resolve("a\0b"), Err(StoredPathError::Control));
        let registry = Base::of(&Place::Disk("/w/s/registry/profiles.json".into()), None);
        assert!(registry.resolve("./../../t/a.sb").is_err());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test prepares files")]
    fn what_must_stay_beneath_a_directory_is_not_read_through_a_link() {
        let temp = tempfile::tempdir().unwrap();
        let suite = temp.path().join("s");
        for folder in ["s/registry", "s/sb", "away"] {
            std::fs::create_dir_all(temp.path().join(folder)).unwrap();
        }
        for file in ["s/sb/a.sb", "away/a.sb"] {
            std::fs::write(temp.path().join(file), file).unwrap();
        }
        for (to, link) in
            [("../../away/a.sb", "s/sb/out.sb"), ("a.sb", "s/sb/in.sb"), ("../away", "s/linked"), ("s", "t")]
        {
            std::os::unix::fs::symlink(to, temp.path().join(link)).unwrap();
        }
        let base = |registry: &str| Base::of(&Place::Disk(temp.path().join(registry)), Some(temp.path()));
        let own = base("s/registry/profiles.json");
        for (stored, link) in [
            ("./../sb/out.sb", "sb/out.sb"),
            ("./../sb/in.sb", "sb/in.sb"),
            ("./../linked/a.sb", "linked"),
            ("s/sb/out.sb", "sb/out.sb"),
            ("s/linked/a.sb", "linked"),
        ] {
            let place = own.resolve(stored).unwrap();
            assert_eq!(place.link(), Some(suite.join(link).as_path()), "{stored}");
            assert!(matches!(place.read(10), Err(FsError::Link { .. })), "{stored}");
        }
        // Whoever names a document, or a file by its whole path, may go through links.
        let absolute = suite.join("sb/out.sb");
        for (base, stored, text) in [
            (&own, "./../sb/a.sb", "s/sb/a.sb"),
            (&own, "s/sb/a.sb", "s/sb/a.sb"),
            (&base("t/registry/profiles.json"), "./../sb/a.sb", "s/sb/a.sb"),
            (&base("s/linked/plan.json"), "./a.sb", "away/a.sb"),
            (&own, absolute.to_str().unwrap(), "away/a.sb"),
        ] {
            let place = base.resolve(stored).unwrap();
            assert_eq!((place.link(), place.read(10).unwrap()), (None, text.as_bytes().to_vec()), "{stored}");
        }
    }

    #[test]
    fn embedded_documents_resolve_inside_the_binary() {
        let index = Base::of(&Place::Embedded("plans/registry/index.json".into()), None);
        let probes = index.resolve("./../linux-baseline/registry/probes.json").unwrap();
        assert_eq!(probes, Place::Embedded("plans/linux-baseline/registry/probes.json".into()));
        assert!(index.resolve("./../../Cargo.toml").is_err());
    }
}
