//! `plan-lint`

use std::path::PathBuf;

use foldhash::{HashSet, HashSetExt as _};
use serde_json::json;

use super::context::Context;
use super::exit::{CliResult, Failure};
use super::findings::{self, Found, ReportArgs};
use super::lookup::LookupArgs;
use super::shown_path;
use crate::base::digest::Sha256Hex;
use crate::base::text::{counted, printable};
use crate::plan::{Filters, PlanReport, lint_run};
use crate::registry::{Document, Lookup, Place, SharedReadings};
use crate::report;
use crate::vocab::Finding;

// Arguments of `plan-lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime plan-lint --plan plans/linux-baseline/plan.json
  runtime plan-lint --plan a/plan.json --plan b/plan.json --deny warnings --format github
  runtime plan-lint --plan suite/plan.json --format sarif > plan.sarif

Exit status: 0 no errors (warnings allowed), 1 errors found (with --deny warnings: or warnings), 2 usage, 3 a plan cannot \
be read or is not JSON, or not every lint was asked. Every finding has a stable id, documented in docs/lints.md.")]
pub(crate) struct Args {
    /// The plan; several may follow, and the option may be repeated
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub plan: Vec<PathBuf>,
    /// A profile id as `run --only-profile` takes it: every plan must have it; may be given several times
    #[arg(long, value_name = "ID")]
    pub only_profile: Vec<String>,
    /// An expectation id as `run --only-scenario` takes it: every plan must have it; may be given several times
    #[arg(long, value_name = "ID")]
    pub only_scenario: Vec<String>,
    /// Fail unless the plan, and all it leads to, still has this compiled digest (see `describe-plan`); one plan only
    #[arg(long, value_name = "DIGEST", value_parser = Sha256Hex::parse)]
    pub frozen: Option<Sha256Hex>,
    #[command(flatten)]
    pub lookup: LookupArgs,
    #[command(flatten)]
    pub report: ReportArgs,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    if args.frozen.is_some() && args.plan.len() > 1 {
        return Err(Failure::usage("--frozen: give one plan, because a digest is that of one plan"));
    }
    let filters = Filters { profiles: args.only_profile.clone(), scenarios: args.only_scenario.clone() };
    let mut found = Found::new("plan-lint");
    let mut plans = Vec::new();
    let mut registries = Vec::new();
    let shared = SharedReadings::default();
    for plan in &args.plan {
        let path = context.absolute(plan);
        let lookup = args.lookup.resolve(context, path.parent().unwrap_or(&context.cwd));
        let lookup = Lookup { registries: shared.clone(), ..lookup };
        let place = Place::Disk(path);
        let report = match Document::read(&place) {
            Ok(document) => lint_run(document, &filters, args.frozen.as_ref(), &lookup),
            // The other plans are looked at all the same, and every form says which one was not.
            Err(error) => PlanReport {
                findings: vec![error.finding()],
                files: vec![place.clone()],
                incomplete: vec![place],
                registry: None,
                reading: None,
            },
        };
        plans.push(json!({"plan": plan.display().to_string(), "registry": report.registry}));
        registries.extend(
            report
                .registry
                .map(|source| format!("{}: registry: {}\n", shown_path(plan), printable(&source.to_string()))),
        );
        found.add(report.findings, &report.files, &report.incomplete, context);
    }
    // The program ends soon, and the system takes its memory back at once: value by value, a registry of 10,000 probes took
    // 8 ms of some 95 (measured in an unoptimised build, where most of it is the allocator's own time).
    std::mem::forget(shared);
    say_once(&mut found.findings);
    found.more.insert("plans".to_owned(), json!(plans));
    findings::print(found, &args.report, json, context, |found, colour| {
        let count = counted(args.plan.len(), "plan", "plans");
        let summary = report::render_summary(&found.findings);
        findings::human(found, colour) + &registries.concat() + &format!("{count}: {summary}")
    })
}

/// Leaves the first of findings that are alike: what several plans have in common is said once.
fn say_once(findings: &mut Vec<Finding>) {
    let mut said = HashSet::with_capacity(findings.len());
    let first: Vec<bool> = findings.iter().map(|finding| said.insert(finding)).collect();
    let mut first = first.into_iter();
    findings.retain(|_| first.next().unwrap_or(true));
}
