//! The three documents that say what a bundle is, read once and bounded; nothing is believed yet.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::super::layout::{ARTIFACT_INDEX, REPAIR_LOG, RUN_MANIFEST, RUN_STATUS, name};
use super::entry::Claim;
use super::problem::Generation;
use super::resolve::ResolvedBundle;
use crate::base::digest::Sha256Hex;
use crate::base::json::{self as text, JsonError};
use crate::base::rel_path::{RelPath, RelPathRef};
use crate::base::tree::{Node, Place, Tree};
use crate::os::fs::{Dir, FsError};
use crate::os::hash::HashStream;

/// Largest `run_status.json` or `run_manifest.json` read, in bytes.
const SMALL_DOCUMENT_BYTES: u64 = 4 * 1024 * 1024;

/// One document of a bundle as it was found.
#[derive(Debug)]
pub enum Document {
    /// There is none.
    Absent,
    /// It cannot be read: not a regular file, a link, too large, or the system refused.
    Unreadable(FsError),
    /// It is not one JSON object; the text says why, with its position.
    Malformed {
        /// What is wrong.
        why: String,
        /// Digest of the bytes.
        sha256: Sha256Hex,
        /// Number of bytes.
        size_bytes: u64,
    },
    /// A JSON object.
    Object(Object),
}

/// A JSON object with the very bytes it was parsed from.
#[derive(Debug)]
pub struct Object {
    tree: Tree,
    /// Digest of the bytes, once somebody asked.
    sha256: OnceLock<Sha256Hex>,
}

impl Document {
    fn read(dir: &Dir, constant: &'static str, limit_bytes: u64) -> Self {
        let bytes = match dir.read_sole(&name(constant), limit_bytes) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Self::Absent,
            Err(error) => return Self::Unreadable(error),
        };
        let malformed = |why: String, bytes: &[u8]| Self::Malformed {
            why,
            sha256: Sha256Hex::of(bytes),
            size_bytes: bytes.len() as u64,
        };
        let text = match String::from_utf8(bytes) {
            Ok(text) => Arc::new(text),
            Err(error) => return malformed(JsonError::from_utf8(&error).to_string(), error.as_bytes()),
        };
        match Tree::parse_shared(Arc::clone(&text)) {
            Ok(tree) if tree.root().as_object().is_some() => Self::Object(Object { tree, sha256: OnceLock::new() }),
            Ok(_) => malformed("it is not a JSON object".to_owned(), text.as_bytes()),
            Err(error) => malformed(error.to_string(), text.as_bytes()),
        }
    }

    /// The object, if it is one.
    #[must_use]
    pub fn object(&self) -> Option<Node<'_>> {
        match self {
            Self::Object(object) => Some(object.tree.root()),
            _ => None,
        }
    }

    /// A member of the object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Node<'_>> {
        self.object()?.get(key)
    }

    /// The value that stands at `place` of the object.
    fn at(&self, place: Place) -> Option<Node<'_>> {
        match self {
            Self::Object(object) => Some(object.tree.at(place)),
            _ => None,
        }
    }

    /// A member that is text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// A member that is true or false.
    #[must_use]
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.get(key)?.as_bool()
    }

    /// Whether no such file was found.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Digest and size of the bytes, where they could be read.
    #[must_use]
    pub fn digest(&self) -> Option<(&Sha256Hex, u64)> {
        match self {
            Self::Absent | Self::Unreadable(_) => None,
            Self::Malformed { sha256, size_bytes, .. } => Some((sha256, *size_bytes)),
            Self::Object(Object { tree, sha256 }) => {
                let bytes = tree.text().as_bytes();
                Some((sha256.get_or_init(|| digest(bytes)), bytes.len() as u64))
            }
        }
    }
}

/// The digest of an index, which may be large.
fn digest(bytes: &[u8]) -> Sha256Hex {
    let mut stream = HashStream::default();
    stream.update(bytes);
    stream.finish().0
}

/// Whether somebody still writes an uncommitted run. Known by the lock that the writer holds on the run's directory, which
/// ends with the process however that dies; a pid alone could belong to another process by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// It holds its lock.
    AtWork,
    /// Nobody holds the lock that it took.
    Gone,
    /// The run is not in progress, or its writer took no lock (the earlier tool; file systems without locks).
    Unknown,
}

/// A bundle whose bytes nobody has checked.
#[derive(Debug)]
pub struct UnverifiedBundle {
    pub(in crate::bundle) resolved: ResolvedBundle,
    pub(in crate::bundle) status: Document,
    pub(in crate::bundle) index: Document,
    pub(in crate::bundle) manifest: Document,
    pub(super) writer: Writer,
}

/// How often a run is read again that was committed while it was read.
const READINGS: usize = 4;

impl UnverifiedBundle {
    /// Reads status, index and manifest, each once. What is wrong with them is kept, not raised.
    #[must_use]
    pub fn read(resolved: ResolvedBundle) -> Self {
        let mut bundle = Self::read_once(resolved);
        for _ in 1..READINGS {
            if !(bundle.in_progress() && bundle.status.flag("writer_lock") == Some(true)) {
                return bundle;
            }
            if bundle.resolved.dir.is_locked() != Some(false) {
                bundle.writer = Writer::AtWork;
                return bundle;
            }
            // The lock is free: the writer ended, which it does after its commit or by dying.
            let before = bundle.status.digest().map(|(digest, _)| digest.clone());
            bundle = Self::read_once(bundle.resolved);
            if bundle.status.digest().map(|(digest, _)| digest) == before.as_ref() {
                bundle.writer = Writer::Gone;
                return bundle;
            }
        }
        bundle
    }

    fn read_once(resolved: ResolvedBundle) -> Self {
        let dir = &resolved.dir;
        // The index first: a commit that lands while we read is then seen as not yet there, never as half there.
        let index = Document::read(dir, ARTIFACT_INDEX, text::MAX_DOCUMENT_BYTES);
        let status = Document::read(dir, RUN_STATUS, SMALL_DOCUMENT_BYTES);
        let manifest = Document::read(dir, RUN_MANIFEST, SMALL_DOCUMENT_BYTES);
        Self { resolved, status, index, manifest, writer: Writer::Unknown }
    }

    /// Whether somebody still writes this run.
    #[must_use]
    pub fn writer(&self) -> Writer {
        self.writer
    }

    /// Whether its index was rebuilt after its run, as far as anybody can tell: the index says so, or a log of repairs stands
    /// there, as the earlier tool leaves it. A repair that was killed may leave one too; then nothing is taken for untouched.
    #[must_use]
    pub fn is_repaired(&self) -> bool {
        self.index.get("repairs").is_some() || self.has_file(&name(REPAIR_LOG))
    }

    /// The run's directory.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        self.resolved.run_dir()
    }

    /// The run id the index gives, else the status, else the directory's name.
    #[must_use]
    pub fn run_id(&self) -> &str {
        let documents = [&self.index, &self.status, &self.manifest];
        documents.into_iter().find_map(|d| d.text("run_id")).unwrap_or(&self.resolved.directory_name)
    }

    /// `run_status.json` as found.
    #[must_use]
    pub fn status(&self) -> &Document {
        &self.status
    }

    /// `artifact_index.json` as found.
    #[must_use]
    pub fn index(&self) -> &Document {
        &self.index
    }

    /// `run_manifest.json` as found.
    #[must_use]
    pub fn manifest(&self) -> &Document {
        &self.manifest
    }

    /// Whether the directory holds none of the three documents: no bundle was ever begun here.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.status.is_absent() && self.index.is_absent() && self.manifest.is_absent()
    }

    /// Whether a file (or anything else) of this name stands in the run's directory.
    #[must_use]
    pub fn has_file(&self, name: &RelPath) -> bool {
        self.resolved.dir.contains(name).unwrap_or(false)
    }

    /// Whether this tool wrote it, so that the stricter verdict applies.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.generation() == Generation::Own
    }

    /// The path of an artifact as the index records it. `claim` is one of this index.
    pub(in crate::bundle) fn path_of(&self, claim: &Claim) -> &str {
        self.index.at(claim.path).and_then(Node::as_str).expect("a claim is made of text in its index")
    }

    /// The name of an artifact as text.
    pub(in crate::bundle) fn name_of(&self, claim: &Claim) -> &str {
        let path = self.path_of(claim);
        &path[path.len() - claim.name_bytes as usize..]
    }

    /// The name of an artifact as a path.
    pub(in crate::bundle) fn rel_path_of(&self, claim: &Claim) -> RelPathRef<'_> {
        RelPathRef::try_from(self.name_of(claim)).expect("a claim is made for such names only")
    }

    /// The entry of the index that makes the claim.
    pub(in crate::bundle) fn entry_of(&self, claim: &Claim) -> Option<Node<'_>> {
        self.index.at(claim.entry)
    }

    pub(in crate::bundle) fn generation(&self) -> Generation {
        let has_tool = |document: &Document| document.get("tool").is_some();
        if has_tool(&self.index) || has_tool(&self.status) { Generation::Own } else { Generation::Earlier }
    }

    pub(in crate::bundle) fn in_progress(&self) -> bool {
        self.status.text("state").is_some_and(|state| state.trim() == "in_progress")
    }

    pub(in crate::bundle) fn has_failed(&self) -> bool {
        self.status.text("state").is_some_and(|state| state.trim() == "failed")
    }
}
