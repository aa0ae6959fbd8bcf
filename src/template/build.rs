//! From template to suite: plan, registry and files in memory, checked, then written as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::load::{Generator, PlanTemplate, TemplateKind, load_plan_template, refuse};
use super::parameter::{self, UnknownName};
use super::{TemplateError, metadata, vfs};
use crate::base::digest::Sha256Hex;
use crate::base::json;
use crate::base::rel_path::RelPath;
use crate::os::fs;
use crate::plan::{self, CompiledPlan, Filters, Plan, compile};
use crate::registry::check::Sink;
use crate::registry::{self, Document, Lookup, Place, Registry, Source};
use crate::vocab::worlds_agree;

/// What a build writes beside the template's files.
const PLAN: &str = "plan.json";
const PROBES: &str = "registry/probes.json";
const PROFILES: &str = "registry/profiles.json";
const MATRIX: &str = "out/expected_matrix.json";

/// Larger suites are not built, in bytes.
const MAX_SUITE_BYTES: usize = 256 * 1024 * 1024;

/// How a suite is built.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// A directory of templates beside those in the binary.
    pub templates: Option<PathBuf>,
    /// Values of the template's parameters by name.
    pub parameters: BTreeMap<String, String>,
    /// Whether files that are there already are replaced.
    pub overwrite: bool,
    /// Whether `out/expected_matrix.json` is written too.
    pub write_expected_matrix: bool,
    /// Whether nothing is written.
    pub dry: bool,
    /// Whether the suite's directory, which is there, stays the directory it is, because somebody works in it: nothing of the
    /// suite may be there yet.
    pub stay: bool,
    /// The root for root-relative paths; else the nearest ancestor of the suite with `.git` or `AGENTS.md`.
    pub root: Option<PathBuf>,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            templates: None,
            parameters: BTreeMap::new(),
            overwrite: false,
            write_expected_matrix: true,
            dry: false,
            stay: false,
            root: None,
        }
    }
}

/// A suite that was built, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanBuildResult {
    /// The template's id.
    pub template_id: String,
    /// The template's document.
    pub template_path: String,
    /// Values of its parameters, defaults included.
    pub parameters: BTreeMap<String, String>,
    /// The suite's directory, absolute, links resolved.
    #[serde(serialize_with = "json::shown_path")]
    pub out: PathBuf,
    /// The plan's id.
    pub plan_id: String,
    /// The registry's id.
    pub registry_id: String,
    /// The plan's digest.
    pub plan_digest: Sha256Hex,
    /// Profiles of the plan.
    pub profiles: usize,
    /// Expectations: rows over all profiles of the plan.
    pub expectations: usize,
    /// The files in the order of the formats: plan, probes, profiles, then the template's, then the matrix.
    pub files: Vec<WrittenFile>,
    /// Whether nothing was written.
    pub dry: bool,
}

/// One file of a suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenFile {
    /// Absolute path.
    #[serde(serialize_with = "json::shown_path")]
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: usize,
    /// Digest of the bytes.
    pub sha256: Sha256Hex,
}

/// Plan and registry as a template or a generator gives them.
pub(super) struct Suite {
    /// The plan document.
    pub plan: Value,
    /// The probe registry.
    pub probes: Value,
    /// The profile registry.
    pub profiles: Value,
}

/// Builds the suite of `template_id` in the directory `out` (absolute): all of it, or nothing.
///
/// # Errors
/// See [`TemplateError`]; `out` is then as it was.
pub fn build_plan_from_template(
    template_id: &str,
    out: &Path,
    options: &BuildOptions,
) -> Result<PlanBuildResult, TemplateError> {
    let out = &fs::resolved(out).map_err(TemplateError::Write)?;
    let template = load_plan_template(template_id, options.templates.as_deref())?;
    let parameters = parameter::values(template_id, &template.parameters, &options.parameters)?;
    let suite = suite(&template, &parameters)?;
    let mut files: Vec<(RelPath, Vec<u8>)> =
        [(PLAN, &suite.plan), (PROBES, &suite.probes), (PROFILES, &suite.profiles)]
            .into_iter()
            .map(|(name, value)| (name_of(name), json::to_pretty(value).into_bytes()))
            .collect();
    let lookup = Lookup { root: options.root.clone(), start: out.clone(), ..Lookup::default() };
    let checked = check(&template, &files, out, &lookup)?;
    let mut size: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    for file in &template.files {
        let bytes = text_of(&template, file, &parameters)?;
        size += bytes.len();
        if size > MAX_SUITE_BYTES {
            return Err(template.file_error(file, format!("the suite has more than {MAX_SUITE_BYTES} bytes")));
        }
        files.push((file.clone(), bytes));
    }
    named_files_are_there(&template, &checked, &files, out)?;
    if options.write_expected_matrix {
        let world = checked.plan.world_id.as_deref().unwrap_or(&checked.registry.world_id);
        files.push((name_of(MATRIX), json::to_pretty(&checked.compiled.expected_matrix(world)).into_bytes()));
    }
    let names: Vec<RelPath> = files.iter().map(|(name, _)| name.clone()).collect();
    let taken = fs::taken(out, &names).map_err(TemplateError::Write)?;
    if !options.overwrite && !taken.is_empty() {
        return Err(TemplateError::Exists { out: out.display().to_string(), files: taken });
    }
    if !options.dry {
        let write = if options.stay { fs::add_tree } else { fs::replace_tree };
        write(out, &files).map_err(TemplateError::Write)?;
    }
    Ok(PlanBuildResult {
        template_id: template_id.to_owned(),
        template_path: template.document.place.to_string(),
        parameters,
        out: out.clone(),
        plan_id: checked.plan.plan_id.clone(),
        registry_id: checked.plan.registry_id.clone(),
        plan_digest: checked.plan.digest(),
        profiles: checked.compiled.profiles.len(),
        expectations: checked.compiled.profiles.iter().map(|profile| profile.rows.len()).sum(),
        files: files
            .iter()
            .map(|(name, bytes)| WrittenFile {
                path: out.join(name.as_str()),
                bytes: bytes.len(),
                sha256: Sha256Hex::of(bytes),
            })
            .collect(),
        dry: options.dry,
    })
}

fn name_of(text: &str) -> RelPath {
    RelPath::try_from(text).expect("a plain relative path")
}

/// Plan and registry with every parameter replaced.
fn suite(template: &PlanTemplate, values: &BTreeMap<String, String>) -> Result<Suite, TemplateError> {
    let file = template.document.place.to_string();
    let mut sink = Sink::new(&file);
    let mut map: Map<String, Value> = template.document.value().as_object().cloned().unwrap_or_default();
    // What describes the template is not part of the suite.
    for key in ["description", "parameters", "files"] {
        map.shift_remove(key);
    }
    let replaced = parameter::substitute_in(Value::Object(map), values, "", &mut sink);
    let map = replaced.as_object().cloned().unwrap_or_default();
    let suite = match template.kind {
        _ if !sink.is_empty() => None,
        TemplateKind::Static => Some(written_down(&map)),
        TemplateKind::Generated(Generator::VfsCanonicalization) => vfs::generate(&map, &mut sink),
        TemplateKind::Generated(Generator::MetadataRunner) => metadata::generate(&map, &mut sink),
    };
    if let Some(suite) = &suite {
        check_agreement(&map, suite, &mut sink);
    }
    let mut findings = sink.into_findings();
    template.document.add_positions(&mut findings);
    refuse(&template.template_id, findings)?;
    Ok(suite.unwrap_or_else(|| unreachable!("a generator that makes nothing says why")))
}

fn written_down(map: &Map<String, Value>) -> Suite {
    let part = |key: &str| map.get(key).cloned().unwrap_or_default();
    Suite { plan: part("plan"), probes: part("probes"), profiles: part("profiles") }
}

/// The three documents are about one registry, and about the world that the template names.
fn check_agreement(map: &Map<String, Value>, suite: &Suite, sink: &mut Sink<'_>) {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let own = |key: &str| map.get(key).and_then(Value::as_str);
    let parts = [("plan", &suite.plan), ("probes", &suite.probes), ("profiles", &suite.profiles)];
    let registry = own("registry_id").map(str::to_owned).or_else(|| text(&suite.plan, "registry_id"));
    let Some(registry) = registry.filter(|id| !id.is_empty()) else {
        sink.error("missing-key", "", "neither the template nor its plan has a registry_id");
        return;
    };
    for (name, part) in parts {
        if let Some(found) = text(part, "registry_id").filter(|found| *found != registry) {
            let message = format!("registry_id of {name} is {found:?}, but the template is about {registry:?}");
            sink.error("registry-id-mismatch", &format!("/{name}/registry_id"), message);
        }
        let worlds = own("world_id").zip(text(part, "world_id"));
        if let Some((world, found)) = worlds.filter(|(world, found)| !worlds_agree(world, found)) {
            let message = format!("world_id of {name} is {found:?}, but the template is bound to {world:?}");
            sink.error("world-mismatch", &format!("/{name}/world_id"), message);
        }
    }
}

/// The suite's documents, free of errors and joined.
struct Checked {
    plan: Plan,
    registry: Registry,
    compiled: CompiledPlan,
}

/// Reads the documents as if they stood in `out` already, and joins them.
fn check(
    template: &PlanTemplate,
    files: &[(RelPath, Vec<u8>)],
    out: &Path,
    lookup: &Lookup,
) -> Result<Checked, TemplateError> {
    let id = &template.template_id;
    let document = |at: usize| {
        let (name, bytes) = &files[at];
        Document::parse(&Place::Disk(out.join(name.as_str())), bytes.clone())
    };
    let (plan, findings) = plan::read(document(0)?);
    refuse(id, findings)?;
    let plan = plan.expect("a plan without errors is usable");
    let source = Source::Sibling("registry".to_owned());
    let reading = registry::of_documents(Some(&plan.registry_id), [document(1)?, document(2)?], source, lookup)
        .map_err(|source| TemplateError::Refused { template: id.clone(), source })?;
    let mut findings = reading.findings;
    findings.extend(reading.probe_findings.into_values().flatten());
    findings.extend(reading.profile_findings.into_values().flatten());
    refuse(id, findings)?;
    let registry = reading.registry;
    let compiled = compile(&plan, &registry, &Filters::default())
        .map_err(|source| TemplateError::Compile { template: id.clone(), source })?;
    Ok(Checked { plan, registry, compiled })
}

/// A file of the template with every parameter replaced. Only texts have parameters: profiles and JSON documents.
fn text_of(
    template: &PlanTemplate,
    file: &RelPath,
    values: &BTreeMap<String, String>,
) -> Result<Vec<u8>, TemplateError> {
    let bytes = template.read_file(file)?;
    if !file.as_str().ends_with(".sb") && !file.as_str().ends_with(".json") {
        return Ok(bytes);
    }
    let text = String::from_utf8(bytes).map_err(|_| template.file_error(file, "it is not UTF-8".to_owned()))?;
    match parameter::substitute(&text, values) {
        Ok(replaced) => Ok(replaced.into_owned().into_bytes()),
        Err(UnknownName(name)) => {
            Err(template.file_error(file, format!("it names {name:?}, which the template does not declare")))
        }
    }
}

/// What the documents name by `./` is part of the suite.
fn named_files_are_there(
    template: &PlanTemplate,
    checked: &Checked,
    files: &[(RelPath, Vec<u8>)],
    out: &Path,
) -> Result<(), TemplateError> {
    let has = |place: &Place| files.iter().any(|(name, _)| place.disk_path() == Some(&out.join(name.as_str())));
    let mut sink = Sink::new(PROFILES);
    for profile in checked.registry.profiles.values().filter(|profile| profile.profile_path.starts_with("./")) {
        let place = checked.registry.base.resolve(&profile.profile_path);
        if !place.is_ok_and(|place| has(&place)) {
            let (id, path) = (&profile.profile_id, &profile.profile_path);
            let message = format!("profile_path {path:?} of profile {id:?} is no file of the template");
            sink.error("profile-file-missing", "", message).help = Some("list it in the template's files".to_owned());
        }
    }
    let plan = &checked.plan;
    let base = plan.base(None);
    let own = [("fixtures", &plan.fixtures), ("apply_preflight_profile", &plan.apply_preflight_profile)];
    for (key, path) in own.into_iter().filter_map(|(key, path)| Some((key, path.as_ref()?))) {
        if path.starts_with("./") && !base.resolve(path).is_ok_and(|place| has(&place)) {
            let message = format!("{key} {path:?} of the plan is no file of the template");
            sink.error("template-file", "", message).help = Some("list it in the template's files".to_owned());
        }
    }
    refuse(&template.template_id, sink.into_findings())
}
