//! `plan-build`

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::print_line;
use crate::base::json;
use crate::template::{BuildOptions, TemplateError, build_plan_from_template};

// Arguments of `plan-build`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime plan-build --template linux-hardened --out suite
  runtime plan-build --template mine --templates my-templates --param SERVICE=com.example.x --out suite --overwrite

The suite (plan, registry beside it, profiles, fixtures) is written whole or not at all. Files of DIR that are not part \
of it stay; with --overwrite those that are part of it are replaced.

Exit status: 0 built, 1 files are in the way, 2 usage or a parameter's value, 3 unknown or unusable template, I/O error.")]
pub(crate) struct Args {
    /// The template's id
    #[arg(long, value_name = "ID")]
    pub template: String,
    /// The suite's directory
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// A directory of templates beside the built-in ones
    #[arg(long, value_name = "DIR")]
    pub templates: Option<PathBuf>,
    /// A value for a parameter of the template
    #[arg(long = "param", value_name = "KEY=VALUE")]
    pub parameters: Vec<String>,
    /// Replace files that are there already
    #[arg(long)]
    pub overwrite: bool,
    /// Write out/expected_matrix.json as well
    #[arg(long)]
    pub write_expected_matrix: bool,
    /// Undo an earlier --write-expected-matrix (kept for older scripts)
    #[arg(long, hide = true, overrides_with = "write_expected_matrix")]
    pub skip_expected_matrix: bool,
    /// Check everything and say what would be written
    #[arg(long)]
    pub dry: bool,
    /// Root for root-relative paths in documents [default: nearest ancestor with .git or AGENTS.md]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let out = context.absolute(&args.out);
    super::outputs::outside_bundles(&out)?;
    // A suite that is there is replaced as a whole directory, which would leave the caller's shell in one that is gone.
    let stay = out.canonicalize().is_ok_and(|out| context.cwd.starts_with(out));
    if stay && args.overwrite {
        let message =
            format!("{} holds the working directory, and --overwrite replaces a suite's directory", args.out.display());
        return Err(Failure::usage(message).hint("call the command from outside of it, with its path"));
    }
    let options = BuildOptions {
        templates: args.templates.as_ref().map(|path| context.absolute(path)),
        parameters: parameters(&args.parameters)?,
        overwrite: args.overwrite,
        write_expected_matrix: args.write_expected_matrix,
        dry: args.dry,
        stay,
        root: args.root.as_ref().map(|path| context.absolute(path)),
    };
    let built = build_plan_from_template(&args.template, &out, &options).map_err(failure)?;
    if json {
        print_line(&json::to_pretty(&built))?;
    } else {
        let done = if built.dry { "[ ] would write" } else { "[+] wrote" };
        for file in &built.files {
            print_line(&format!("{done} {}", super::shown_path(&file.path)))?;
        }
    }
    Ok(Exit::Yes)
}

fn parameters(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut parameters = BTreeMap::new();
    for text in given {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Failure::usage(format!("--param {text:?} has no '='")).hint("write --param KEY=VALUE"));
        };
        if parameters.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(Failure::usage(format!("--param gives {name:?} two values")));
        }
    }
    Ok(parameters)
}

fn failure(error: TemplateError) -> Failure {
    match error {
        TemplateError::Exists { .. } => Failure::no(error).hint("--overwrite replaces them"),
        TemplateError::Parameter { .. } => Failure { exit: Exit::Usage, ..Failure::from(error) },
        TemplateError::Unknown { .. } => Failure::from(error).hint("list-templates shows them"),
        error => error.into(),
    }
}
