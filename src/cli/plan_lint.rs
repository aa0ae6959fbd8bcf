//! `plan-lint`

use std::path::PathBuf;

use serde_json::json;

use super::context::Context;
use super::exit::{CliResult, Exit};
use super::lookup::{LookupArgs, name_from_working_directory};
use super::print_line;
use crate::base::digest::Sha256Hex;
use crate::base::json;
use crate::plan::lint_plan_frozen;
use crate::registry::{Document, Place};
use crate::report;

/// Arguments of `plan-lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime plan-lint --plan plans/linux-baseline/plan.json
  runtime plan-lint --plan suite/plan.json --json

Exit status: 0 no errors (warnings allowed), 1 errors found, 3 the plan cannot be read or is not JSON.
Every finding has a stable id, documented in docs/lints.md.")]
pub(crate) struct Args {
    /// The plan
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,
    /// Fail unless the plan, and all it leads to, still has this compiled digest (see `describe-plan`)
    #[arg(long, value_name = "DIGEST", value_parser = Sha256Hex::parse)]
    pub frozen: Option<Sha256Hex>,
    #[command(flatten)]
    pub lookup: LookupArgs,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let path = context.absolute(&args.plan);
    let lookup = args.lookup.resolve(context, path.parent().unwrap_or(&context.cwd));
    let mut found = lint_plan_frozen(Document::read(&Place::Disk(path))?, &lookup, args.frozen.as_ref());
    name_from_working_directory(&mut found.findings, context);
    let ok = !report::has_errors(&found.findings);
    if json {
        let object = json!({"ok": ok, "registry": found.registry, "findings": found.findings});
        print_line(&json::to_pretty(&object))?;
    } else {
        for finding in &found.findings {
            print_line(&report::render_finding(finding))?;
        }
        if let Some(source) = &found.registry {
            print_line(&format!("registry: {source}"))?;
        }
        print_line(&format!("{}: {}", args.plan.display(), report::render_summary(&found.findings)))?;
    }
    Ok(if ok { Exit::Yes } else { Exit::No })
}
