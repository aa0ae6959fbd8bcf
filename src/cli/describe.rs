//! `describe-plan`, `describe-probe`, `describe-profile`

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::list::{Format, Performed, note_registry, open, performed};
use super::lookup::LookupArgs;
use super::print_line;
use crate::base::digest::Sha256Hex;
use crate::base::json;
use crate::fixture::FixtureSet;
use crate::plan::{Plan, compiled_digest, load_fixtures, load_plan};
use crate::registry::{self, Base, Files, Lookup, Place, Registry};
use crate::report;

// Arguments of `describe-plan`.
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

// Arguments of `describe-probe`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  runtime describe-probe --registry linux-baseline --probe linux-baseline:deny_default_reader:read_public")]
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

// Arguments of `describe-profile`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  runtime describe-profile --registry linux-baseline --profile linux-baseline:deny_default_reader")]
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

pub(crate) fn plan(args: &PlanArgs, json: bool, context: &Context) -> CliResult {
    let path = context.absolute(&args.plan);
    let lookup = args.lookup.resolve(context, path.parent().unwrap_or(&context.cwd));
    let plan = load_plan(&Place::Disk(path))?;
    let base = plan.base(lookup.root());
    let mut object = json!({
        "plan": plan.document.value(), "path": base.relative(plan.place()), "plan_digest": plan.digest(),
    });
    // The plan digest covers the plan alone, so a registry that cannot be found takes nothing away from it.
    match registry::for_plan(plan.place(), &plan.registry_id, &lookup) {
        Ok(files) => {
            object["registry"] = json!(files.used(&lookup));
            match digest(&plan, files, &base, &lookup) {
                Ok(digest) => object["compiled_digest"] = json!(digest),
                Err(error) => {
                    object["compiled_digest"] = Value::Null;
                    object["compiled_digest_error"] = json!(format!("{error:#}"));
                }
            }
        }
        Err(error) => {
            object["registry"] = Value::Null;
            object["registry_error"] = json!(format!("{:#}", anyhow::Error::new(error)));
            object["compiled_digest"] = Value::Null;
            object["compiled_digest_error"] = json!("the registry cannot be found");
        }
    }
    print(args.format, json, &object, &[])
}

/// The plan's compiled digest.
fn digest(plan: &Plan, files: Files, base: &Base, lookup: &Lookup) -> Result<Option<Sha256Hex>, anyhow::Error> {
    let registry = registry::read(Some(&plan.registry_id), files, lookup)?.registry;
    let fixtures = match &plan.fixtures {
        Some(stored) => load_fixtures(&base.resolve(stored).context("fixtures")?).context("fixtures")?,
        None => FixtureSet::empty(),
    };
    Ok(compiled_digest(plan, &registry, &fixtures, base)?.digest)
}

pub(crate) fn probe(args: &ProbeArgs, json: bool, context: &Context) -> CliResult {
    let registry = open(&args.registry, &args.lookup, context)?;
    let found = registry.raw_probe(&args.probe);
    let probe = found.ok_or_else(|| unknown("probe", &args.probe, &registry, "list-probes"))?;
    note_registry(&registry, args.format, json);
    let Performed { driver, form } = performed(&registry, &probe);
    let beside = [("driver used", driver), ("target form", form)];
    print(args.format, json, &probe, &beside.map(|(key, value)| vec![key.to_owned(), value]))
}

pub(crate) fn profile(args: &ProfileArgs, json: bool, context: &Context) -> CliResult {
    let registry = open(&args.registry, &args.lookup, context)?;
    let found = registry.raw_profile(&args.profile);
    let profile = found.ok_or_else(|| unknown("profile", &args.profile, &registry, "list-profiles"))?;
    note_registry(&registry, args.format, json);
    print(args.format, json, &profile, &[])
}

fn unknown(noun: &str, id: &str, registry: &Registry, command: &str) -> Failure {
    Failure::from(anyhow::anyhow!("registry {:?} ({}) has no {noun} {id:?}", registry.id, registry.used))
        .hint(format!("`runtime {command} --registry ... --format table` lists them"))
}

/// Prints an object; `beside` are rows that only the table has.
fn print(format: Format, json: bool, object: &Value, beside: &[Vec<String>]) -> CliResult {
    if format == Format::Json || json {
        print_line(&json::to_pretty(object))?;
    } else {
        let mut rows = object.as_object().map(rows_of).unwrap_or_default();
        rows.extend_from_slice(beside);
        print_line(report::render_table(&["key", "value"], &rows).trim_end())?;
    }
    Ok(Exit::Yes)
}

/// The members of an object as rows of a table with the columns key and value.
pub(super) fn rows_of(object: &Map<String, Value>) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (key, value) in object {
        add_rows(key, value, &mut rows);
    }
    rows
}

/// One row for a plain value, and one for each plain value inside an object or an array.
fn add_rows(key: &str, value: &Value, rows: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (inner, value) in map {
                add_rows(&format!("{key}.{inner}"), value, rows);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (number, value) in items.iter().enumerate() {
                add_rows(&format!("{key}[{number}]"), value, rows);
            }
        }
        Value::String(text) => rows.push(vec![key.to_owned(), text.clone()]),
        other => rows.push(vec![key.to_owned(), json::to_line(other)]),
    }
}
