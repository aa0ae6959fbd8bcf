//! `sbpl lint`

use std::path::PathBuf;

use super::profile::{SearchPath, SystemArgs, key_value, params, read_overlay, read_source, shipped_names};
use crate::base::text::counted;
use crate::cli::context::Context;
use crate::cli::exit::CliResult;
use crate::cli::findings::{self, Found, ReportArgs};
use crate::report;
use crate::sbpl::{self, Source};
use crate::vocab::Finding;

// Arguments of `sbpl lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Profiles to look at
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Value of (param "KEY"); a parameter without one is unknown
    #[arg(short = 'D', value_name = "KEY=VALUE", value_parser = key_value)]
    define: Vec<(String, String)>,
    /// Text appended to each profile; may be given several times. A bare name of a shipped overlay means that one
    #[arg(long, value_name = "FILE")]
    overlay: Vec<PathBuf>,
    /// Directory in which (import "name") is looked up; may be given several times
    #[arg(long, value_name = "DIR")]
    import_dir: Vec<PathBuf>,
    #[command(flatten)]
    system: SystemArgs,
    #[command(flatten)]
    report: ReportArgs,
}

const HELP: &str = "\
Examples:
  runtime sbpl lint profile.sb
  runtime sbpl lint --deny warnings --format github policies/*.sb
  runtime sbpl lint --system linux --overlay linux-base.sb git.sb
  runtime sbpl lint --import-dir /System/Library/Sandbox/Profiles -D HOME=/Users/me app.sb

Exit status: 0 no errors, 1 errors found (with --deny warnings: or warnings), 2 usage, 3 a profile cannot be read or \
evaluated; the others are looked at all the same. Every finding has a stable id, documented in docs/lints.md.";

/// Lints files; all are looked at before the command ends.
pub(super) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let params = params(&args.define)?;
    let resolver = SearchPath::new(&args.import_dir, context);
    let mut texts: Vec<Source> = Vec::new();
    let mut findings: Vec<Finding> = Vec::new();
    let mut incomplete: Vec<String> = Vec::new();
    let mut overlays: Vec<Source> = Vec::new();
    for overlay in &args.overlay {
        match read_overlay(overlay, context) {
            Ok(overlay) => overlays.push(overlay),
            Err(error) => findings.push(error.finding().help(shipped_names())),
        }
    }
    let all_read = overlays.len() == args.overlay.len();
    for file in &args.files {
        // The other profiles are looked at all the same, and every form says which one was not.
        let complete = match read_source(file, context) {
            Ok(source) if all_read => {
                let sources: Vec<Source> = std::iter::once(source).chain(overlays.iter().cloned()).collect();
                let report = sbpl::lint(&sources, &params, &resolver, args.system.platform());
                findings.extend(report.findings);
                texts.extend(sources);
                report.complete
            }
            // Without a text that is appended to it, another profile would be judged than the one that is meant.
            Ok(_) => false,
            Err(error) => {
                findings.push(error.finding());
                false
            }
        };
        if !complete {
            incomplete.push(file.display().to_string());
        }
    }
    texts.extend(resolver.into_found().into_iter().map(|(_, source)| source));
    let mut found = Found::new("sbpl lint");
    found.files = args.files.iter().map(|file| file.display().to_string()).collect();
    found.incomplete = incomplete.into_iter().collect();
    found.findings = findings;
    findings::print(found, &args.report, json, context, |found, colour| human(found, &texts, colour))
}

fn human(found: &Found, texts: &[Source], colour: bool) -> String {
    let mut text = String::new();
    for finding in &found.findings {
        match texts.iter().find(|source| source.name == finding.file) {
            Some(source) => text.push_str(&(sbpl::render_finding(finding, &source.text, colour) + "\n\n")),
            None => {
                report::push_finding(&mut text, finding, colour);
                text.push('\n');
            }
        }
    }
    for file in &found.incomplete {
        text.push_str(&format!("{}\n", report::not_complete(file)));
    }
    text + &format!("{}: {}", counted(found.files.len(), "file", "files"), report::render_summary(&found.findings))
}
