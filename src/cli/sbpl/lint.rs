//! `sbpl lint`

use std::path::PathBuf;

use serde_json::json;

use super::profile::{SearchPath, key_value, read_source};
use crate::base::json as document;
use crate::cli::context::Context;
use crate::cli::exit::{CliResult, Exit};
use crate::cli::print_line;
use crate::report;
use crate::sbpl::{self, Params, Source};
use crate::vocab::Finding;

/// Arguments of `sbpl lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Profiles to look at
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Value of (param "KEY"); a parameter without one is unknown
    #[arg(short = 'D', value_name = "KEY=VALUE", value_parser = key_value)]
    define: Vec<(String, String)>,
    /// Text appended to each profile; may be given several times
    #[arg(long, value_name = "FILE")]
    overlay: Vec<PathBuf>,
    /// Directory in which (import "name") is looked up; may be given several times
    #[arg(long, value_name = "DIR")]
    import_dir: Vec<PathBuf>,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Make warnings count as errors
    #[arg(long, value_enum, value_name = "WHAT")]
    deny: Option<Deny>,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Text with source lines
    Human,
    /// One JSON object
    Json,
    /// SARIF 2.1.0
    Sarif,
    /// GitHub workflow commands
    Github,
    /// JUnit XML
    Junit,
}

/// What else counts as an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Deny {
    /// Every warning
    Warnings,
}

const HELP: &str = "\
Examples:
  runtime sbpl lint profile.sb
  runtime sbpl lint --deny warnings --format github policies/*.sb
  runtime sbpl lint --import-dir /System/Library/Sandbox/Profiles -D HOME=/Users/me app.sb

Exit status: 0 no errors, 1 errors found (with --deny warnings: or warnings), 2 usage, 3 a profile cannot be read or
evaluated. Every finding has a stable id, documented in docs/lints-sbpl.md.";

/// Lints files; all are looked at before the command ends.
pub(super) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let format = if json { Format::Json } else { args.format };
    let params: Params = args.define.iter().cloned().collect();
    let resolver = SearchPath { directories: &args.import_dir, context };
    let mut texts: Vec<Source> = Vec::new();
    let mut findings: Vec<Finding> = Vec::new();
    let mut complete = true;
    for file in &args.files {
        let mut sources = vec![read_source(file, context)?];
        for overlay in &args.overlay {
            sources.push(read_source(overlay, context)?);
        }
        let report = sbpl::lint(&sources, &params, &resolver);
        findings.extend(report.findings);
        complete &= report.complete;
        texts.extend(sources);
    }
    let deny_warnings = args.deny == Some(Deny::Warnings);
    let refused = if deny_warnings { !findings.is_empty() } else { report::has_errors(&findings) };
    let files: Vec<String> = args.files.iter().map(|file| file.display().to_string()).collect();
    match format {
        Format::Human => {
            for finding in &findings {
                let text = texts.iter().find(|source| source.name == finding.file);
                print_line(&match text {
                    Some(source) => sbpl::render_finding(finding, &source.text, context.colour) + "\n",
                    None => report::render_finding(finding),
                })?;
            }
            print_line(&format!("{} file(s): {}", files.len(), report::render_summary(&findings)))?;
        }
        Format::Json => {
            let object =
                json!({"ok": complete && !refused, "complete": complete, "files": files, "findings": findings});
            print_line(&document::to_pretty(&object))?;
        }
        Format::Sarif => print_line(&document::to_pretty(&report::sarif(env!("CARGO_PKG_VERSION"), &findings)))?,
        Format::Github => print_text(&report::github_annotations(&findings))?,
        Format::Junit => print_line(&report::junit("sbpl lint", &files, &findings, deny_warnings))?,
    }
    Ok(match (complete, refused) {
        (false, _) => Exit::CannotAnswer,
        (true, true) => Exit::No,
        (true, false) => Exit::Yes,
    })
}

/// Prints lines that end already.
fn print_text(text: &str) -> Result<(), crate::cli::exit::Failure> {
    text.lines().try_for_each(print_line)
}
