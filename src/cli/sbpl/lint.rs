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
use crate::vocab::{Finding, Severity};

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
evaluated. Every finding has a stable id, documented in docs/lints.md.";

/// Lints files; all are looked at before the command ends.
pub(super) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let format = if json { Format::Json } else { args.format };
    let params: Params = args.define.iter().cloned().collect();
    let resolver = SearchPath::new(&args.import_dir, context);
    let mut texts: Vec<Source> = Vec::new();
    let mut findings: Vec<Finding> = Vec::new();
    let mut incomplete: Vec<String> = Vec::new();
    for file in &args.files {
        let mut sources = vec![read_source(file, context)?];
        for overlay in &args.overlay {
            sources.push(read_source(overlay, context)?);
        }
        let report = sbpl::lint(&sources, &params, &resolver);
        findings.extend(report.findings);
        if !report.complete {
            incomplete.push(file.display().to_string());
        }
        texts.extend(sources);
    }
    texts.extend(resolver.into_found());
    if args.deny == Some(Deny::Warnings) {
        findings.iter_mut().for_each(|finding| finding.severity = Severity::Error);
    }
    let files: Vec<String> = args.files.iter().map(|file| file.display().to_string()).collect();
    let refused = report::has_errors(&findings);
    // One text, one write.
    let text = match format {
        Format::Human => human(&files, &findings, &incomplete, &texts, context.colour),
        Format::Json => {
            let complete = incomplete.is_empty();
            let object =
                json!({"ok": complete && !refused, "complete": complete, "files": files, "findings": findings});
            document::to_pretty(&object)
        }
        Format::Sarif => document::to_pretty(&report::sarif(env!("CARGO_PKG_VERSION"), &findings, &incomplete)),
        Format::Github => report::github_annotations(&findings, &incomplete),
        Format::Junit => report::junit("sbpl lint", &files, &findings, &incomplete),
    };
    // GitHub's form is empty when there is nothing to say.
    if !text.is_empty() {
        print_line(text.trim_end_matches('\n'))?;
    }
    Ok(match (incomplete.is_empty(), refused) {
        (false, _) => Exit::CannotAnswer,
        (true, true) => Exit::No,
        (true, false) => Exit::Yes,
    })
}

fn human(files: &[String], findings: &[Finding], incomplete: &[String], texts: &[Source], colour: bool) -> String {
    let mut text = String::new();
    for finding in findings {
        match texts.iter().find(|source| source.name == finding.file) {
            Some(source) => text.push_str(&(sbpl::render_finding(finding, &source.text, colour) + "\n\n")),
            None => text.push_str(&(report::render_finding(finding) + "\n")),
        }
    }
    for file in incomplete {
        text.push_str(&format!("{}\n", report::not_complete(file)));
    }
    text.push_str(&format!("{} file(s): {}", files.len(), report::render_summary(findings)));
    text
}
