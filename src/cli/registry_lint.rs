//! `registry-lint`

use serde_json::json;

use super::context::Context;
use super::exit::{CliResult, Exit};
use super::lookup::{LookupArgs, name_from_working_directory};
use super::print_line;
use crate::base::json;
use crate::registry::{Index, Selected, indexed, lint_files, select};
use crate::report;

/// Arguments of `registry-lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime registry-lint
  runtime registry-lint --registry linux-baseline
  runtime registry-lint --registry ./suite --registry ./other/registry/probes.json --json

Exit status: 0 no errors (warnings allowed), 1 errors found, 3 the index or a named registry cannot be read.
Every finding has a stable id, documented in docs/lints.md.")]
pub(crate) struct Args {
    /// A registry: an id of the index, a directory, or one of its two files; may be repeated [default: the whole index]
    #[arg(long, value_name = "ID|DIR|FILE")]
    pub registry: Vec<String>,
    #[command(flatten)]
    pub lookup: LookupArgs,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let lookup = args.lookup.resolve(context, &context.cwd);
    let mut findings = Vec::new();
    let mut linted = Vec::new();
    let mut lint = |(id, files): Selected| {
        linted.push(json!({"id": id, "source": files.used(&lookup)}));
        lint_files(id.as_deref(), files, &lookup)
    };
    if args.registry.is_empty() {
        let index = Index::read(&lookup)?;
        findings.extend(index.findings.iter().cloned());
        for entry in &index.entries {
            // A path that leaves its bound is already a finding about the index.
            if let Ok(files) = indexed(&index, &entry.id) {
                findings.extend(lint((Some(entry.id.clone()), files)));
            }
        }
    }
    for text in &args.registry {
        findings.extend(lint(select(text, &lookup)?));
    }
    name_from_working_directory(&mut findings, context);
    let ok = !report::has_errors(&findings);
    if json {
        print_line(&json::to_pretty(&json!({"ok": ok, "registries": linted, "findings": findings})))?;
    } else {
        for finding in &findings {
            print_line(&report::render_finding(finding))?;
        }
        let count = linted.len();
        let noun = if count == 1 { "registry" } else { "registries" };
        print_line(&format!("{count} {noun}: {}", report::render_summary(&findings)))?;
    }
    Ok(if ok { Exit::Yes } else { Exit::No })
}
