//! `links list`, `links show`: what a document of runtime links holds.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::context::Context;
use super::describe::rows_of;
use super::exit::{CliResult, Exit, Failure};
use super::{note_line, print_line};
use crate::base::json as document;
use crate::links::{
    LINKS_PATH, LinkKind, RuntimeLinks, default_place, list_linked_expectations, list_linked_profiles,
    load_runtime_links,
};
use crate::registry::{Place, root_of};
use crate::report;

/// `links`
#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// List the profiles and expectations that have links
    List(ListArgs),
    /// Print the link of one profile or expectation
    Show(ShowArgs),
}

// Which document is read.
#[derive(Debug, clap::Args)]
pub(crate) struct FileArgs {
    /// The document [default: book/evidence/graph/mappings/runtime/runtime_links.json under the root]
    #[arg(long, value_name = "FILE")]
    links: Option<PathBuf>,
    /// Root of the default [default: nearest ancestor with .git or AGENTS.md]
    #[arg(long, value_name = "DIR", conflicts_with = "links")]
    root: Option<PathBuf>,
}

// Arguments of `links list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime links list --links runtime_links.json
  runtime links list --links runtime_links.json --json")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    file: FileArgs,
}

// Arguments of `links show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime links show hardened-runtime:mach --links runtime_links.json
  runtime links show adv:file_mode:deny-world --links runtime_links.json --json

Exit status: 0 found, 3 no such id, or the document cannot be read.")]
pub(crate) struct ShowArgs {
    /// A profile's or an expectation's id; a profile wins where both have it
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    file: FileArgs,
}

/// More findings than this have one cause, and would bury what was asked for.
const MAX_TOLD: usize = 20;

pub(crate) fn run(command: &Command, json: bool, context: &Context) -> CliResult {
    match command {
        Command::List(args) => list(&load(&args.file, json, context)?, json),
        Command::Show(args) => show(&load(&args.file, json, context)?, &args.id, json),
    }
}

fn load(args: &FileArgs, json: bool, context: &Context) -> Result<RuntimeLinks, Failure> {
    let place = match (&args.links, &args.root) {
        (Some(path), _) => Place::Disk(context.absolute(path)),
        (None, Some(root)) => default_place(&context.absolute(root)),
        (None, None) => default_place(&root_of(&context.cwd)),
    };
    let links = load_runtime_links(&place).map_err(|error| {
        let failure = Failure::from(error);
        if args.links.is_some() || place.is_file() {
            failure
        } else {
            failure.hint(format!("--links FILE names another document than {LINKS_PATH} under the root"))
        }
    })?;
    // With --json they are part of the object.
    if !json {
        for finding in links.warnings.iter().take(MAX_TOLD) {
            note_line(report::render_finding(finding).trim_end());
        }
        if let Some(more) = links.warnings.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
            note_line(&format!("{more} more findings, which --json shows"));
        }
    }
    Ok(links)
}

fn list(links: &RuntimeLinks, json: bool) -> CliResult {
    let (profiles, expectations) = (list_linked_profiles(links), list_linked_expectations(links));
    if json {
        print_line(&document::to_pretty(&json!({
            "links": links.place().to_string(), "world_id": links.meta("world_id"), "status": links.meta("status"),
            "profiles": profiles, "expectations": expectations, "findings": links.warnings,
        })))?;
        return Ok(Exit::Yes);
    }
    let row = |kind, id: &&str, columns: [&str; 2]| {
        let link = links.resolve(kind, id);
        let of = |key: &str| text(link.and_then(|link| link.get(key)));
        let word = if kind == LinkKind::Profile { "profile" } else { "expectation" };
        vec![word.to_owned(), (*id).to_owned(), of(columns[0]), of(columns[1])]
    };
    let profiles = profiles.iter().map(|id| row(LinkKind::Profile, id, ["observed_ops", "profile_path"]));
    let expectations = expectations.iter().map(|id| row(LinkKind::Expectation, id, ["operation", "profile_id"]));
    let rows: Vec<Vec<String>> = profiles.chain(expectations).collect();
    print_line(report::render_table(&["kind", "id", "operations", "belongs to"], &rows).trim_end())?;
    Ok(Exit::Yes)
}

fn show(links: &RuntimeLinks, id: &str, json: bool) -> CliResult {
    let kinds = [LinkKind::Profile, LinkKind::Expectation];
    let found = kinds.into_iter().find_map(|kind| Some((kind, links.resolve(kind, id)?)));
    let (kind, link) = found.ok_or_else(|| {
        Failure::from(anyhow::anyhow!("{} has no profile and no expectation {id:?}", links.place()))
            .hint("`runtime links list` shows the ids")
    })?;
    if json {
        let object = json!({
            "links": links.place().to_string(), "kind": kind, "id": id, "link": link, "findings": links.warnings,
        });
        print_line(&document::to_pretty(&object))?;
    } else {
        print_line(report::render_table(&["key", "value"], &rows_of(link)).trim_end())?;
    }
    Ok(Exit::Yes)
}

/// A text as it is, several as a list, anything else as JSON.
fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
        Some(other) => document::to_line(other),
    }
}
