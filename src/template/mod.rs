//! Plan templates: suites as data with declared parameters, and building a suite from one.
//!
//! A template is a folder `<id>/` with `template.json` and the files that it lists. The shipped ones stand inside the
//! binary; others lie in a directory that the caller names. Formats: `SPEC.md`, section "Templates"; of generated
//! templates `docs/templates.md`.
//!
//! Parts: `load` (finding and reading), `parameter` (values for `${NAME}`), `build` (from template to suite), `vfs` and
//! `metadata` (generators of plans that are too regular to be written down), `generator` (what these share).
//!
//! Invariants: a suite is written whole or not at all; the same template and values give the same bytes; nothing of a
//! template is opened outside its folder.

mod build;
mod generator;
mod load;
mod metadata;
mod parameter;
mod vfs;

use crate::registry::check::Field;

pub use build::{BuildOptions, PlanBuildResult, WrittenFile, build_plan_from_template};
pub use generator::HEAD_FIELDS;
pub use load::{
    PlanTemplate, STATIC_FIELDS, TEMPLATE_FIELDS, TEMPLATE_TAG, TemplateEntry, list_plan_templates, load_plan_template,
};
pub use parameter::{PARAMETER_FIELDS, Parameter};

/// The keys that templates of each generator have beside [`HEAD_FIELDS`].
pub const GENERATOR_FIELDS: [(&str, &[Field]); 2] =
    [("vfs-canonicalization", vfs::OWN_FIELDS), ("metadata-runner", metadata::OWN_FIELDS)];

use crate::os::fs::FsError;
use crate::plan::CompileError;
use crate::registry::{DocumentError, Refusal};

/// Why there is no template, or no suite of it.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// There is no such template.
    #[error("unknown template {id:?} (there are: {known})")]
    Unknown {
        /// The id asked for.
        id: String,
        /// The ids there are, comma-separated.
        known: String,
    },
    /// The directory of templates cannot be opened or listed.
    #[error("cannot use the templates directory")]
    Directory(#[source] FsError),
    /// `template.json` cannot be read or is not JSON.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The template, or a document made from it, is not acceptable: every reason.
    #[error("template {template:?} is not usable")]
    Refused {
        /// The template's id.
        template: String,
        /// What is wrong with which document.
        source: Refusal,
    },
    /// A file that the template lists cannot be used.
    #[error("file {file:?} of template {template:?}: {reason}")]
    File {
        /// The template's id.
        template: String,
        /// The file as listed.
        file: String,
        /// Why.
        reason: String,
    },
    /// A parameter is unknown, lacks a value, or has one that is not allowed.
    #[error("parameter {parameter:?} of template {template:?}: {reason}")]
    Parameter {
        /// The template's id.
        template: String,
        /// The parameter's name.
        parameter: String,
        /// Why.
        reason: String,
    },
    /// Plan and registry of the suite do not fit together.
    #[error("the suite of template {template:?} does not fit together")]
    Compile {
        /// The template's id.
        template: String,
        /// How.
        source: CompileError,
    },
    /// Files that the suite would replace, without permission to do so.
    #[error("{out} has files that would be replaced: {}", .files.join(", "))]
    Exists {
        /// The suite's directory.
        out: String,
        /// The files, relative to it.
        files: Vec<String>,
    },
    /// The suite cannot be written; nothing of it is there.
    #[error("cannot write the suite")]
    Write(#[source] FsError),
}
