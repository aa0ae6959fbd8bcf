//! `list-templates`

use std::path::PathBuf;

use super::context::Context;
use super::exit::CliResult;
use super::list::{Format, print};
use crate::template::{TemplateEntry, list_plan_templates};

// Arguments of `list-templates`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime list-templates --format table
  runtime list-templates --templates my-templates

A directory of templates holds a folder for each, with template.json. Of two with one id, the one in DIR is used.")]
pub(crate) struct Args {
    /// A directory of templates beside the built-in ones
    #[arg(long, value_name = "DIR")]
    pub templates: Option<PathBuf>,
    /// Output form
    #[arg(long, value_enum, default_value = "json")]
    pub format: Format,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let directory = args.templates.as_ref().map(|path| context.absolute(path));
    let listed = list_plan_templates(directory.as_deref())?;
    let rows = listed.iter().map(|entry| match entry {
        TemplateEntry::Template { template_id, description, path } => {
            vec![template_id.clone(), description.clone(), path.clone()]
        }
        TemplateEntry::Broken { template_id, path, error } => vec![template_id.clone(), error.clone(), path.clone()],
    });
    print(args.format, json, &listed, &["template", "description", "path"], rows.collect())
}
