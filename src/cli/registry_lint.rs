//! `registry-lint`

use std::collections::HashSet;

use serde_json::json;

use super::context::Context;
use super::exit::CliResult;
use super::findings::{self, Found, ReportArgs};
use super::lookup::LookupArgs;
use crate::base::text::counted;
use crate::registry::{Index, Selected, indexed, lint_files, select};
use crate::report;

// Arguments of `registry-lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime registry-lint
  runtime registry-lint --registry linux-baseline --deny warnings
  runtime registry-lint --registry ./suite --registry ./other/registry/probes.json --format junit

Exit status: 0 no errors (warnings allowed), 1 errors found (with --deny warnings: or warnings), 2 usage, 3 the index or a \
named registry cannot be read, or not every lint was asked. Every finding has a stable id, documented in docs/lints.md.")]
pub(crate) struct Args {
    /// A registry: an id of the index, a directory, or one of its two files; several may follow [default: the
    /// whole index]
    #[arg(long, value_name = "ID|DIR|FILE", num_args = 1..)]
    pub registry: Vec<String>,
    #[command(flatten)]
    pub lookup: LookupArgs,
    #[command(flatten)]
    pub report: ReportArgs,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let lookup = args.lookup.resolve(context, &context.cwd);
    let mut found = Found::new("registry-lint");
    let mut linted = Vec::new();
    let mut lint = |(id, files): Selected, found: &mut Found| {
        linted.push(json!({"id": id, "source": files.used(&lookup)}));
        let report = lint_files(id.as_deref(), files, &lookup);
        found.add(report.findings, &report.files, &report.incomplete, context);
    };
    if args.registry.is_empty() {
        match Index::read(&lookup) {
            Ok(index) => {
                found.add(index.findings.clone(), std::slice::from_ref(&index.place), &[], context);
                for entry in &index.entries {
                    // A path that leaves its bound is already a finding about the index.
                    if let Ok(files) = indexed(&index, &entry.id) {
                        lint((Some(entry.id.clone()), files), &mut found);
                    }
                }
            }
            Err(error) => {
                let place = [lookup.index_place()];
                found.add(vec![error.finding()], &place, &place, context);
            }
        }
    }
    let mut seen = HashSet::new();
    for text in &args.registry {
        match select(text, &lookup) {
            // Both files of one registry, or its directory and a file, are one registry.
            Ok((id, files)) => {
                if seen.insert((id.clone(), files.canonical())) {
                    lint((id, files), &mut found);
                }
            }
            // The others are looked at all the same, and every form says which one was not.
            Err(error) => found.cannot(text, error.findings(text, ""), context),
        }
    }
    let count = linted.len();
    found.more.insert("registries".to_owned(), json!(linted));
    findings::print(found, &args.report, json, context, |found, colour| {
        let count = counted(count, "registry", "registries");
        findings::human(found, colour) + &format!("{count}: {}", report::render_summary(&found.findings))
    })
}
