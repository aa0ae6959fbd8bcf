//! `list-plans`, `list-registries`, `list-probes`, `list-profiles`

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::lookup::LookupArgs;
use super::{print_line, printable};
use crate::base::json;
use crate::os::input;
use crate::plan::{PlanEntry, list_plans, list_shipped_plans};
use crate::registry::{self, Index, Registry, root_of};
use crate::report;
use crate::vocab::driver::driver_asked_for;
use crate::vocab::{Asked, Driver, Operation, Platform, target, world_platform};

/// How a listing is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// The stable JSON shape
    Json,
    /// Columns for people
    Table,
}

// Arguments of `list-plans`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime list-plans
  runtime list-plans --plans-dir suites --format table

Without --plans-dir, lists plans/ under the root; where there is none, the built-in plans.")]
pub(crate) struct PlansArgs {
    /// Directory to search for files called plan.json
    #[arg(long, value_name = "DIR")]
    pub plans_dir: Option<PathBuf>,
    /// Root that paths are shown relative to [default: nearest ancestor with .git or AGENTS.md]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Output form
    #[arg(long, value_enum, default_value = "json")]
    pub format: Format,
}

// Arguments of `list-registries`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime list-registries
  runtime list-registries --registry-index ci/index.json --format table")]
pub(crate) struct RegistriesArgs {
    #[command(flatten)]
    pub lookup: LookupArgs,
    /// Output form
    #[arg(long, value_enum, default_value = "json")]
    pub format: Format,
}

// Arguments of `list-probes` and `list-profiles`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime list-probes --registry linux-baseline --format table
  runtime list-profiles --registry ./suite")]
pub(crate) struct EntriesArgs {
    /// The registry: an id of the index, a directory, or one of its two files
    #[arg(long, value_name = "ID|DIR|FILE")]
    pub registry: String,
    #[command(flatten)]
    pub lookup: LookupArgs,
    /// Output form
    #[arg(long, value_enum, default_value = "json")]
    pub format: Format,
}

pub(crate) fn plans(args: &PlansArgs, json: bool, context: &Context) -> CliResult {
    let root = args.root.as_ref().map(|path| context.absolute(path));
    let searched = match &args.plans_dir {
        Some(path) => Some(context.absolute(path)).filter(|path| input::is_directory(path)).map_or_else(
            || {
                Err(Failure::from(anyhow::anyhow!(
                    "--plans-dir {} is no directory",
                    printable(&path.to_string_lossy())
                )))
            },
            |path| Ok(Some(path)),
        )?,
        None => Some(root.clone().unwrap_or_else(|| root_of(&context.cwd)).join("plans"))
            .filter(|path| input::is_directory(path)),
    };
    let plans = match searched {
        Some(directory) => list_plans(&directory, root.as_deref()),
        None => list_shipped_plans(),
    };
    let none = || "-".to_owned();
    let rows = plans.iter().map(|plan| match plan {
        PlanEntry::Plan { plan_id, registry_id, profiles, path } => {
            vec![plan_id.clone(), registry_id.clone(), profiles.to_string(), path.clone(), String::new()]
        }
        PlanEntry::Broken { path, error } => vec![none(), none(), none(), path.clone(), error.clone()],
    });
    print(args.format, json, &plans, &["plan", "registry", "profiles", "path", "error"], rows.collect())
}

pub(crate) fn registries(args: &RegistriesArgs, json: bool, context: &Context) -> CliResult {
    let index = Index::read(&args.lookup.resolve(context, &context.cwd))?;
    index.refuse_errors()?;
    let listed = index.list();
    let rows = listed.iter().map(|registry| {
        let description = registry.description.clone().unwrap_or_default();
        vec![registry.id.clone(), registry.probes.clone(), registry.profiles.clone(), description]
    });
    print(args.format, json, &listed, &["registry", "probes", "profiles", "description"], rows.collect())
}

pub(crate) fn probes(args: &EntriesArgs, json: bool, context: &Context) -> CliResult {
    let columns = ["probe_id", "operation", "driver", "expected", "target form", "target"];
    entries(args, json, context, 0, &columns, |registry, probe| {
        let Performed { driver, form } = performed(registry, probe);
        let of = |key| cell(probe, key);
        vec![of("probe_id"), of("operation"), driver, of("expected"), form, of("target")]
    })
}

pub(crate) fn profiles(args: &EntriesArgs, json: bool, context: &Context) -> CliResult {
    let columns = ["profile_id", "mode", "probes", "semantic_group", "profile_path"];
    entries(args, json, context, 1, &columns, |_, profile| {
        let probes = profile.get("probe_refs").and_then(Value::as_array).map_or(0, Vec::len);
        let of = |key| cell(profile, key);
        vec![of("profile_id"), of("mode"), probes.to_string(), of("semantic_group"), of("profile_path")]
    })
}

/// Prints the descriptors of one of a registry's two documents, exactly as they stand there.
fn entries(
    args: &EntriesArgs,
    json: bool,
    context: &Context,
    document: usize,
    columns: &[&str],
    row: impl Fn(&Registry, &Value) -> Vec<String>,
) -> CliResult {
    let registry = open(&args.registry, &args.lookup, context)?;
    let key = ["probes", "profiles"][document];
    let map = registry.documents[document].value().get(key).and_then(Value::as_object);
    let listed: Vec<&Value> = map.into_iter().flat_map(|map| map.values()).collect();
    let rows = listed.iter().map(|entry| row(&registry, entry)).collect();
    note_registry(&registry, args.format, json);
    print(args.format, json, &listed, columns, rows)
}

/// The registry that a user names, as far as it is usable.
pub(super) fn open(text: &str, lookup: &LookupArgs, context: &Context) -> Result<Registry, Failure> {
    let lookup = lookup.resolve(context, &context.cwd);
    let (id, files) = registry::select(text, &lookup)?;
    Ok(registry::read(id.as_deref(), files, &lookup)?.registry)
}

/// Says beside a table which registry it is about; the JSON forms have no place for it.
pub(super) fn note_registry(registry: &Registry, format: Format, json: bool) {
    if format == Format::Table && !json {
        super::note_line(&format!("registry: {}", super::printable(&registry.used.to_string())));
    }
}

/// How a probe is performed and on what.
pub(super) struct Performed {
    /// The driver: the probe's own where it names one, else the one for its operation in the registry's world.
    pub driver: String,
    /// What its target is.
    pub form: String,
}

/// How the probe `descriptor` is performed; `-` where nothing is known.
pub(super) fn performed(registry: &Registry, descriptor: &Value) -> Performed {
    let text = |key: &str| descriptor.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let operation = text("operation").unwrap_or_default();
    let platform = world_platform(&registry.world_id).or_else(Platform::of_this_build);
    let asked = Asked { driver: text("driver"), syscall: text("syscall"), payload: text("attr_payload") };
    let found = platform.and_then(|platform| driver_asked_for(&Operation::new(operation), asked, platform));
    let name = text("driver").or_else(|| found.map(Driver::name));
    Performed { driver: name.unwrap_or("-").to_owned(), form: target::form(operation).unwrap_or("-").to_owned() }
}

/// One member of a descriptor as a cell.
fn cell(entry: &Value, key: &str) -> String {
    match entry.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => json::to_line(other),
    }
}

/// Prints a listing in the form that was asked for.
pub(super) fn print(
    format: Format,
    json: bool,
    listed: &impl Serialize,
    columns: &[&str],
    rows: Vec<Vec<String>>,
) -> CliResult {
    if format == Format::Json || json {
        print_line(&json::to_pretty(listed))?;
    } else {
        print_line(report::render_table(columns, &rows).trim_end())?;
    }
    Ok(Exit::Yes)
}
