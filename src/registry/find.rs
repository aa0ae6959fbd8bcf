//! Where the registry of a plan, or one that somebody names, lies: beside the plan, in an index, or as given.

use serde::Serialize;

use super::document::{DocumentError, Refusal};
use super::index::{Index, Lookup};
use super::place::{Base, Place, root_of};
use crate::os::input;
use crate::vocab::{Finding, Severity};

/// How a registry was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "kind", content = "path", rename_all = "lowercase")]
pub enum Source {
    /// `registry/` in the plan's suite; the directory, relative to the root.
    Sibling(String),
    /// The index named here, relative to the root.
    Index(String),
    /// The caller named this directory or file.
    Given(String),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sibling(path) => write!(f, "the registry beside the plan ({path})"),
            Self::Index(path) => write!(f, "the index {path}"),
            Self::Given(path) => write!(f, "{path}"),
        }
    }
}

/// Which registry a command used: how it was found, and its two files relative to the root.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Used {
    /// How it was found.
    #[serde(flatten)]
    pub source: Source,
    /// The probe registry.
    pub probes: String,
    /// The profile registry.
    pub profiles: String,
}

impl std::fmt::Display for Used {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.source {
            // Its folder says which files these are.
            Source::Sibling(_) => self.source.fmt(f),
            Source::Index(_) | Source::Given(_) => write!(f, "{} ({}, {})", self.source, self.probes, self.profiles),
        }
    }
}

/// The two files of a registry and how they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The probe registry.
    pub probes: Place,
    /// The profile registry.
    pub profiles: Place,
    /// How they were found.
    pub source: Source,
}

impl Files {
    /// The two files with the links of their directories resolved: the same however they were named.
    #[must_use]
    pub fn canonical(&self) -> [Place; 2] {
        [&self.probes, &self.profiles].map(|place| match place.disk_path() {
            Some(path) => Place::Disk(input::resolved(path)),
            None => place.clone(),
        })
    }

    /// What a command says about them; paths are relative to the root of where the command looked.
    #[must_use]
    pub fn used(&self, lookup: &Lookup) -> Used {
        // Not the root of each file: without a repository that is its own folder, and every registry would be called alike.
        let root = lookup.root.clone().unwrap_or_else(|| root_of(&lookup.start));
        let shown = |place: &Place| Base::of(place, Some(&root)).relative(place);
        Used { source: self.source.clone(), probes: shown(&self.probes), profiles: shown(&self.profiles) }
    }
}

/// Why there is no registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The index cannot be read.
    #[error("cannot use the registry index")]
    Index(#[source] DocumentError),
    /// No usable index entry has this id.
    #[error("unknown registry {id:?} (the index {index} has: {known})")]
    Unknown {
        /// The id asked for.
        id: String,
        /// The index.
        index: Place,
        /// Ids it has, comma-separated.
        known: String,
    },
    /// The entry's paths leave their bound.
    #[error("registry {id:?} of the index {index}")]
    Path {
        /// The id asked for.
        id: String,
        /// The index.
        index: Place,
        /// The cause.
        source: super::place::StoredPathError,
    },
    /// A path that a user gave holds no registry.
    #[error("no registry at {path}: expected {expected}")]
    NotThere {
        /// The path.
        path: String,
        /// What would be one.
        expected: &'static str,
    },
    /// The registry's documents are not acceptable.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl RegistryError {
    /// The same as findings, for lints that report everything; `file` and `pointer` name where the registry was named.
    #[must_use]
    pub fn findings(&self, file: &str, pointer: &str) -> Vec<Finding> {
        let error = |id, text: String| vec![Finding::new(id, Severity::Error, file, text).at(pointer)];
        match self {
            Self::Index(document) => vec![document.finding()],
            Self::Unknown { .. } | Self::NotThere { .. } => error("unknown-registry", self.to_string()),
            Self::Path { source, .. } => error("path-leaves-bound", format!("{self}: {source}")),
            Self::Refused(refusal) => refusal.findings.clone(),
        }
    }
}

/// Finds the files of an indexed registry.
///
/// # Errors
/// [`RegistryError::Unknown`] and [`RegistryError::Path`].
pub fn indexed(index: &Index, id: &str) -> Result<Files, RegistryError> {
    let Some(entry) = index.entry(id) else {
        let known: Vec<&str> = index.entries.iter().map(|entry| entry.id.as_str()).collect();
        return Err(RegistryError::Unknown {
            id: id.to_owned(),
            index: index.place.clone(),
            known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
        });
    };
    let (probes, profiles) = index.places(entry).map_err(|source| RegistryError::Path {
        id: id.to_owned(),
        index: index.place.clone(),
        source,
    })?;
    Ok(Files { probes, profiles, source: Source::Index(index.base.relative(&index.place)) })
}

/// The registry of the suite that the plan at `plan` is part of, see [`Place::registry_of_suite`].
#[must_use]
pub fn sibling(plan: &Place, lookup: &Lookup) -> Option<Files> {
    let (probes, profiles) = plan.registry_of_suite()?;
    let folder = Base::of_plan(plan, lookup.root()).relative(&probes);
    let folder = folder.rsplit_once('/').map_or("registry", |(folder, _)| folder).to_owned();
    Some(Files { probes, profiles, source: Source::Sibling(folder) })
}

/// Finds the registry a plan names: the one beside it wins over the index.
///
/// # Errors
/// See [`RegistryError`].
pub fn for_plan(plan: &Place, registry_id: &str, lookup: &Lookup) -> Result<Files, RegistryError> {
    match sibling(plan, lookup) {
        Some(files) => Ok(files),
        None => {
            let index = Index::read(lookup).map_err(RegistryError::Index)?;
            indexed(&index, registry_id)
        }
    }
}
