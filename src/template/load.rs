//! Finding and reading templates: in the binary, and in a directory of the caller's.

use std::path::Path;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value};

use super::TemplateError;
use super::parameter::{self, Parameter};
use crate::base::error_chain;
use crate::base::json::MAX_DOCUMENT_BYTES;
use crate::base::rel_path::RelPath;
use crate::os::fs::{Dir, EntryKind, FsError};
use crate::registry::check::{self, Field, Kind, Sink, optional, required};
use crate::registry::{Document, DocumentError, Place, Refusal, embedded};
use crate::vocab::{Finding, Severity};

/// Schema tag of a template. v0.1: first form; `parameters`, `files` and `generator` were added later, all optional.
pub const TEMPLATE_TAG: &str = "runtime-tools.plan_template.v0.1";

/// The document's name in the template's folder.
const DOCUMENT: &str = "template.json";

/// Where the shipped templates stand in the project.
const SHIPPED: &str = "plans/templates/";

/// A directory with more entries is not listed.
const MAX_TEMPLATES: usize = 10_000;

/// The longest list of files, and the largest of them: what a profile may have.
const MAX_FILES: usize = 4096;
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Keys that every template may have; a static one also has `plan`, `probes` and `profiles`, a generated one what its
/// generator reads.
pub const TEMPLATE_FIELDS: &[Field] = &[
    required("schema_version", Kind::Text),
    required("template_id", Kind::Id),
    optional("description", Kind::OptionalText),
    optional("world_id", Kind::OptionalText),
    optional("registry_id", Kind::OptionalText),
    optional("parameters", Kind::Object),
    optional("files", Kind::TextList),
    optional("generator", Kind::Word("template-generator", Generator::WORDS)),
];

/// The further keys of a static template.
pub const STATIC_FIELDS: &[Field] =
    &[required("plan", Kind::Object), required("probes", Kind::Object), required("profiles", Kind::Object)];

/// A template, free of errors in what all templates have in common.
#[derive(Debug)]
pub struct PlanTemplate {
    /// Its id; equals the name of its folder.
    pub template_id: String,
    /// What it is for; empty when it does not say.
    pub description: String,
    /// Its parameters by name, in the order of the document.
    pub parameters: IndexMap<String, Parameter>,
    /// Files of its folder that are part of the suite.
    pub files: Vec<RelPath>,
    /// How plan and registry come about.
    pub(super) kind: TemplateKind,
    /// The document it was read from.
    pub document: Document,
    folder: Folder,
}

/// How plan and registry of a suite come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TemplateKind {
    /// The template holds them.
    Static,
    /// They are made by rules.
    Generated(Generator),
}

/// The rules by which a plan is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generator {
    /// Spellings of paths.
    VfsCanonicalization,
    /// System calls on metadata.
    MetadataRunner,
}

impl Generator {
    const WORDS: &[&str] = &["vfs-canonicalization", "metadata-runner"];

    fn of_word(word: &str) -> Option<Self> {
        match word {
            "vfs-canonicalization" => Some(Self::VfsCanonicalization),
            "metadata-runner" => Some(Self::MetadataRunner),
            _ => None,
        }
    }
}

/// What a listing says about one template. A template that cannot be used has its error in place of the description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum TemplateEntry {
    /// A usable template.
    Template {
        /// Its id.
        template_id: String,
        /// What it is for.
        description: String,
        /// Its document; `embedded:…` for one inside the binary.
        path: String,
    },
    /// A folder whose `template.json` is no usable template.
    Broken {
        /// The folder's name.
        template_id: String,
        /// Its document.
        path: String,
        /// Why.
        error: String,
    },
}

/// Where one template lies.
#[derive(Debug)]
enum Folder {
    Disk(Dir),
    Embedded(String),
}

impl Folder {
    fn place(&self, name: &str) -> Place {
        match self {
            Self::Disk(dir) => Place::Disk(dir.path().join(name)),
            Self::Embedded(prefix) => Place::Embedded(format!("{prefix}{name}")),
        }
    }

    /// Reads a file beneath the folder; links are not followed.
    fn read(&self, name: &RelPath, limit_bytes: u64) -> Result<Vec<u8>, FsError> {
        match self {
            Self::Disk(dir) => dir.read(name, limit_bytes),
            Self::Embedded(_) => self.place(name.as_str()).read(limit_bytes),
        }
    }
}

/// The templates inside the binary and those in `directory`, sorted by id. Of two with one id the one in `directory` is
/// listed, as it is the one that is built.
///
/// # Errors
/// [`TemplateError::Directory`]. What is wrong with one template stands in its entry.
pub fn list_plan_templates(directory: Option<&Path>) -> Result<Vec<TemplateEntry>, TemplateError> {
    let mut ids = shipped_ids();
    if let Some(directory) = directory {
        ids.extend(ids_in(&Dir::open(directory).map_err(TemplateError::Directory)?)?);
    }
    ids.sort_unstable();
    ids.dedup();
    let listed = ids.into_iter().map(|id| match load_plan_template(&id, directory) {
        Ok(template) => TemplateEntry::Template {
            template_id: template.template_id,
            description: template.description,
            path: template.document.place.to_string(),
        },
        Err(error) => {
            let folder = find(&id, directory).ok().flatten().map(|folder| folder.place(DOCUMENT).to_string());
            TemplateEntry::Broken { template_id: id, path: folder.unwrap_or_default(), error: error_chain(&error) }
        }
    });
    Ok(listed.collect())
}

/// Reads the template `id`: the one in `directory` wins over the one inside the binary.
///
/// # Errors
/// See [`TemplateError`].
pub fn load_plan_template(id: &str, directory: Option<&Path>) -> Result<PlanTemplate, TemplateError> {
    let Some(folder) = find(id, directory)? else {
        let mut known = shipped_ids();
        if let Some(directory) = directory {
            known.extend(ids_in(&Dir::open(directory).map_err(TemplateError::Directory)?)?);
        }
        known.sort_unstable();
        known.dedup();
        return Err(TemplateError::Unknown { id: id.to_owned(), known: known.join(", ") });
    };
    let place = folder.place(DOCUMENT);
    let bytes = folder
        .read(&document_name(), MAX_DOCUMENT_BYTES)
        .map_err(|source| DocumentError::Read { place: place.clone(), source })?;
    read(id, Document::parse(&place, bytes)?, folder)
}

fn shipped_ids() -> Vec<String> {
    let documents = embedded::FILES.iter().filter_map(|(path, _)| path.strip_prefix(SHIPPED));
    documents.filter_map(|path| path.strip_suffix("/template.json")).map(str::to_owned).collect()
}

/// The folders of a directory that hold a template.
fn ids_in(directory: &Dir) -> Result<Vec<String>, TemplateError> {
    let (entries, more) = directory.list(MAX_TEMPLATES).map_err(TemplateError::Directory)?;
    if more {
        let source = std::io::Error::other(format!("it has more than {MAX_TEMPLATES} entries"));
        let path = directory.path().to_owned();
        return Err(TemplateError::Directory(FsError::Io { action: "list", path, source }));
    }
    let folders = entries.into_iter().filter(|entry| entry.kind == EntryKind::Directory).map(|entry| entry.name);
    let holds = |id: &String| {
        let document = RelPath::try_from(format!("{id}/{DOCUMENT}"));
        document.is_ok_and(|document| directory.contains(&document).unwrap_or(false))
    };
    Ok(folders.filter(holds).collect())
}

fn holds_document(folder: &Dir) -> Result<bool, TemplateError> {
    folder.contains(&document_name()).map_err(TemplateError::Directory)
}

fn document_name() -> RelPath {
    RelPath::try_from(DOCUMENT).expect("a plain file name")
}

fn find(id: &str, directory: Option<&Path>) -> Result<Option<Folder>, TemplateError> {
    let Some(name) = RelPath::try_from(id).ok().filter(|name| name.components().count() == 1) else { return Ok(None) };
    if let Some(directory) = directory {
        let directory = Dir::open(directory).map_err(TemplateError::Directory)?;
        match directory.open_dir(&name) {
            Ok(folder) if holds_document(&folder)? => return Ok(Some(Folder::Disk(folder))),
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(TemplateError::Directory(error)),
        }
    }
    let prefix = format!("{SHIPPED}{id}/");
    Ok(embedded::file(&format!("{prefix}{DOCUMENT}")).map(|_| Folder::Embedded(prefix)))
}

fn read(id: &str, document: Document, folder: Folder) -> Result<PlanTemplate, TemplateError> {
    let file = document.place.to_string();
    let mut sink = Sink::new(&file);
    let parts = check_document(id, document.value(), &mut sink);
    let mut findings = sink.into_findings();
    document.add_positions(&mut findings);
    refuse(id, findings)?;
    let Some((kind, parameters, files)) = parts else {
        unreachable!("a document without findings has every part");
    };
    let description = document.value().get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(PlanTemplate { template_id: id.to_owned(), description, parameters, files, kind, document, folder })
}

/// `Err` when there is an error among `findings`.
pub(super) fn refuse(template: &str, findings: Vec<Finding>) -> Result<(), TemplateError> {
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(TemplateError::Refused { template: template.to_owned(), source: Refusal { findings } });
    }
    Ok(())
}

type Parts = (TemplateKind, IndexMap<String, Parameter>, Vec<RelPath>);

fn check_document(id: &str, value: &Value, sink: &mut Sink<'_>) -> Option<Parts> {
    if !check::has_tag(value, TEMPLATE_TAG, sink) {
        return None;
    }
    let map = value.as_object()?;
    let kind = kind(id, map);
    match kind {
        Some(TemplateKind::Static) => {
            let fields: Vec<Field> = TEMPLATE_FIELDS.iter().chain(STATIC_FIELDS).copied().collect();
            check::object(value, &fields, Severity::Error, "the template", "", sink);
        }
        // What else stands in it is its generator's to check.
        Some(TemplateKind::Generated(_)) => {
            let own: Map<String, Value> = map.clone().into_iter().filter(|(key, _)| is_common(key)).collect();
            check::object(&Value::Object(own), TEMPLATE_FIELDS, Severity::Error, "the template", "", sink);
        }
        None => {
            check::object(value, &[TEMPLATE_FIELDS, STATIC_FIELDS].concat(), Severity::Error, "the template", "", sink);
        }
    }
    if let Some(inner) = map.get("template_id").and_then(Value::as_str).filter(|inner| *inner != id) {
        let message = format!("template_id is {inner:?}, but the template's folder is {id:?}");
        sink.error("id-mismatch", "/template_id", message);
    }
    let parameters = parameter::declared(map.get("parameters"), sink);
    let files = files(map.get("files"), sink);
    Some((kind?, parameters, files))
}

fn is_common(key: &str) -> bool {
    TEMPLATE_FIELDS.iter().any(|field| field.key == key)
}

/// `None` for a template that holds no suite and names no generator.
fn kind(id: &str, map: &Map<String, Value>) -> Option<TemplateKind> {
    if STATIC_FIELDS.iter().all(|field| map.get(field.key).is_some_and(Value::is_object)) {
        return Some(TemplateKind::Static);
    }
    let word = map.get("generator").and_then(Value::as_str).unwrap_or(id);
    Generator::of_word(word).map(TemplateKind::Generated)
}

/// What a build writes by itself, or leaves to runs.
const RESERVED: &[&str] = &["plan.json", "registry/probes.json", "registry/profiles.json"];

fn files(value: Option<&Value>, sink: &mut Sink<'_>) -> Vec<RelPath> {
    let listed = value.and_then(Value::as_array).into_iter().flatten();
    let mut files: Vec<RelPath> = Vec::new();
    for (number, text) in listed.filter_map(Value::as_str).enumerate() {
        let at = format!("/files/{number}");
        match RelPath::try_from(text) {
            Err(error) => {
                sink.error("template-file", &at, format!("the path {text:?} {error}"));
            }
            Ok(path) if RESERVED.contains(&text) || path.components().next() == Some("out") => {
                sink.error("template-file", &at, format!("{text:?} is made by building or running the suite"));
            }
            Ok(path) if files.contains(&path) => {
                sink.error("template-file", &at, format!("{text:?} is listed twice"));
            }
            Ok(_) if number >= MAX_FILES => {
                sink.error("template-file", &at, format!("more than {MAX_FILES} files are listed"));
                break;
            }
            Ok(path) => files.push(path),
        }
    }
    files
}

impl PlanTemplate {
    /// Reads one of the template's files as it stands in its folder, at most 16 MiB.
    ///
    /// # Errors
    /// [`TemplateError::File`].
    pub(super) fn read_file(&self, file: &RelPath) -> Result<Vec<u8>, TemplateError> {
        self.folder.read(file, MAX_FILE_BYTES).map_err(|error| self.file_error(file, error_chain(&error)))
    }

    pub(super) fn file_error(&self, file: &RelPath, reason: String) -> TemplateError {
        TemplateError::File { template: self.template_id.clone(), file: file.to_string(), reason }
    }
}
