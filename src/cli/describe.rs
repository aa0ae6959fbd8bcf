//! `describe-plan`, `describe-probe`, `describe-profile`

use std::path::PathBuf;

use serde_json::{Value, json};

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::list::Format;
use super::lookup::LookupArgs;
use super::print_line;
use crate::base::json;
use crate::plan::load_plan;
use crate::registry::{self, Place, Registry};
use crate::report;

/// Arguments of `describe-plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime describe-plan --plan plans/linux-baseline/plan.json
  runtime describe-plan --plan suite/plan.json --format table")]
pub(crate) struct PlanArgs {
    /// The plan
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,
    #[command(flatten)]
    pub lookup: LookupArgs,
    /// Output form
    #[arg(long, value_enum, default_value = "json")]
    pub format: Format,
}

/// Arguments of `describe-probe`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  runtime describe-probe --registry linux-baseline --probe linux-baseline:reader:read_public")]
pub(crate) struct ProbeArgs {
    /// The registry: an id of the index, a directory, or one of its two files
    #[arg(long, value_name = "ID|DIR|FILE")]
    pub registry: String,
    /// The probe's id
    #[arg(long, value_name = "ID")]
    pub probe: String,
    #[command(flatten)]
    pub lookup: LookupArgs,
    /// Output form
    #[arg(long, value_enum, default_value = "json")]
    pub format: Format,
}

/// Arguments of `describe-profile`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  runtime describe-profile --registry linux-baseline --profile linux-baseline:reader")]
pub(crate) struct ProfileArgs {
    /// The registry: an id of the index, a directory, or one of its two files
    #[arg(long, value_name = "ID|DIR|FILE")]
    pub registry: String,
    /// The profile's id
    #[arg(long, value_name = "ID")]
    pub profile: String,
    #[command(flatten)]
    pub lookup: LookupArgs,
    /// Output form
    #[arg(long, value_enum, default_value = "json")]
    pub format: Format,
}

pub(crate) fn plan(args: &PlanArgs, context: &Context) -> CliResult {
    let path = context.absolute(&args.plan);
    let lookup = args.lookup.resolve(context, path.parent().unwrap_or(&context.cwd));
    let plan = load_plan(&Place::Disk(path))?;
    let base = plan.base(lookup.root());
    let mut object = json!({
        "plan": plan.document.value, "path": base.relative(plan.place()), "plan_digest": plan.digest(),
    });
    // The digest covers the plan alone, so a registry that cannot be found takes nothing away from the answer.
    match registry::for_plan(plan.place(), &plan.registry_id, &lookup) {
        Ok(files) => object["registry"] = json!(files.source),
        Err(error) => {
            object["registry"] = Value::Null;
            object["registry_error"] = json!(format!("{:#}", anyhow::Error::new(error)));
        }
    }
    print(args.format, &object)
}

pub(crate) fn probe(args: &ProbeArgs, context: &Context) -> CliResult {
    let registry = open(&args.registry, &args.lookup, context)?;
    let found = registry.raw_probe(&args.probe);
    print(args.format, found.ok_or_else(|| unknown("probe", &args.probe, &registry, "list-probes"))?)
}

pub(crate) fn profile(args: &ProfileArgs, context: &Context) -> CliResult {
    let registry = open(&args.registry, &args.lookup, context)?;
    let found = registry.raw_profile(&args.profile);
    print(args.format, found.ok_or_else(|| unknown("profile", &args.profile, &registry, "list-profiles"))?)
}

fn open(text: &str, lookup: &LookupArgs, context: &Context) -> Result<Registry, Failure> {
    let lookup = lookup.resolve(context, &context.cwd);
    let (id, files) = registry::select(text, &lookup)?;
    Ok(registry::read(id.as_deref(), files, &lookup)?.registry)
}

fn unknown(noun: &str, id: &str, registry: &Registry, command: &str) -> Failure {
    Failure::from(anyhow::anyhow!("registry {:?} ({}) has no {noun} {id:?}", registry.id, registry.source))
        .hint(format!("`runtime {command} --registry ... --format table` lists them"))
}

fn print(format: Format, object: &Value) -> CliResult {
    match format {
        Format::Json => print_line(&json::to_pretty(object))?,
        Format::Table => {
            let rows: Vec<Vec<String>> = object.as_object().into_iter().flatten().flat_map(row_of_member).collect();
            print_line(report::render_table(&["key", "value"], &rows).trim_end())?;
        }
    }
    Ok(Exit::Yes)
}

/// One row for a member, and one per member of an object inside.
fn row_of_member((key, value): (&String, &Value)) -> Vec<Vec<String>> {
    let text = |value: &Value| value.as_str().map_or_else(|| json::to_line(value), str::to_owned);
    match value {
        Value::Object(map) => map.iter().map(|(inner, value)| vec![format!("{key}.{inner}"), text(value)]).collect(),
        other => vec![vec![key.clone(), text(other)]],
    }
}
