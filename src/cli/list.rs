//! `list-plans`, `list-registries`, `list-probes`, `list-profiles`

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::context::Context;
use super::exit::{CliResult, Exit};
use super::lookup::LookupArgs;
use super::print_line;
use crate::base::json;
use crate::os::input;
use crate::plan::{PlanEntry, list_plans, list_shipped_plans};
use crate::registry::{self, Index, root_of};
use crate::report;

/// How a listing is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// The stable JSON shape
    Json,
    /// Columns for people
    Table,
}

/// Arguments of `list-plans`.
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

/// Arguments of `list-registries`.
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

/// Arguments of `list-probes` and `list-profiles`.
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

pub(crate) fn plans(args: &PlansArgs, context: &Context) -> CliResult {
    let root = args.root.as_ref().map(|path| context.absolute(path));
    let searched = match &args.plans_dir {
        Some(path) => Some(context.absolute(path)),
        None => Some(root.clone().unwrap_or_else(|| root_of(&context.cwd)).join("plans"))
            .filter(|path| input::is_directory(path)),
    };
    let plans = match searched {
        Some(directory) => list_plans(&directory, root.as_deref()),
        None => list_shipped_plans(),
    };
    let rows = plans.iter().map(|plan| match plan {
        PlanEntry::Plan { plan_id, registry_id, profiles, path } => {
            vec![plan_id.clone(), registry_id.clone(), profiles.to_string(), path.clone()]
        }
        PlanEntry::Broken { path, error } => vec!["-".to_owned(), "-".to_owned(), error.clone(), path.clone()],
    });
    print(args.format, &plans, &["plan", "registry", "profiles", "path"], rows.collect())
}

pub(crate) fn registries(args: &RegistriesArgs, context: &Context) -> CliResult {
    let index = Index::read(&args.lookup.resolve(context, &context.cwd))?;
    index.refuse_errors()?;
    let listed = index.list();
    let rows = listed.iter().map(|registry| {
        let description = registry.description.clone().unwrap_or_default();
        vec![registry.id.clone(), registry.probes.clone(), registry.profiles.clone(), description]
    });
    print(args.format, &listed, &["registry", "probes", "profiles", "description"], rows.collect())
}

pub(crate) fn probes(args: &EntriesArgs, context: &Context) -> CliResult {
    entries(args, context, 0, &["probe_id", "operation", "expected", "target"])
}

pub(crate) fn profiles(args: &EntriesArgs, context: &Context) -> CliResult {
    entries(args, context, 1, &["profile_id", "mode", "semantic_group", "profile_path"])
}

/// Prints the descriptors of one of a registry's two documents, exactly as they stand there.
fn entries(args: &EntriesArgs, context: &Context, document: usize, columns: &[&str]) -> CliResult {
    let lookup = args.lookup.resolve(context, &context.cwd);
    let (id, files) = registry::select(&args.registry, &lookup)?;
    let registry = registry::read(id.as_deref(), files, &lookup)?.registry;
    let key = ["probes", "profiles"][document];
    let map = registry.documents[document].value.get(key).and_then(Value::as_object);
    let listed: Vec<&Value> = map.into_iter().flat_map(|map| map.values()).collect();
    let cell = |entry: &Value, column: &str| match entry.get(column) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => json::to_line(other),
    };
    let rows = listed.iter().map(|entry| columns.iter().map(|column| cell(entry, column)).collect()).collect();
    print(args.format, &listed, columns, rows)
}

/// Prints a listing in the form that was asked for.
pub(super) fn print(format: Format, listed: &impl Serialize, columns: &[&str], rows: Vec<Vec<String>>) -> CliResult {
    match format {
        Format::Json => print_line(&json::to_pretty(listed))?,
        Format::Table => print_line(report::render_table(columns, &rows).trim_end())?,
    }
    Ok(Exit::Yes)
}
