//! `explain-event`

use std::path::PathBuf;

use serde_json::Value;

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::{print_line, printable};
use crate::analysis::{Certainty, Explanation, explain_event};
use crate::base::json as document;

// Arguments of `explain-event`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime explain-event --bundle out --scenario linux-baseline:attribution:read_by_mode
  runtime explain-event --bundle out --scenario ID --profile PROFILE --json

Exit status: 0 told, 1 the bundle is not valid, 2 usage, 3 there is no such event or no bundle to read.")]
pub(crate) struct Args {
    /// A bundle root (its LATEST is followed) or one run's directory
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// The event's scenario (the expectation id)
    #[arg(long, value_name = "ID")]
    scenario: String,
    /// The profile, where several ran the scenario
    #[arg(long, value_name = "ID")]
    profile: Option<String>,
    /// Threads that hash; 0: one per processor
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let told = explain_event(&context.absolute(&args.bundle), &args.scenario, args.profile.as_deref(), args.jobs)
        .map_err(|error| if error.is_refusal() { Failure::no(error) } else { Failure::from(error) })?;
    if json {
        print_line(&document::to_pretty(&told))?;
        return Ok(Exit::Yes);
    }
    for line in lines(&told) {
        print_line(&printable(&line))?;
    }
    Ok(Exit::Yes)
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn lines(told: &Explanation) -> Vec<String> {
    let event = &told.event;
    let of = |pointer: &str| text(event, pointer).unwrap_or("?").to_owned();
    let mut lines = vec![
        format!("event      {} under {}", of("/scenario_id"), of("/profile_id")),
        format!("asked      {} on {}, expected {}", of("/operation"), of("/target"), of("/expected")),
    ];
    if let Some(path) = text(event, "/observed_path").or(text(event, "/intended_op_proof/target")) {
        lines.push(format!("           which was {path} in this run"));
    }
    lines.push(format!("verdict    {}", verdict(event)));
    lines.push(format!("scenario   {}", scenario(event)));
    if let Some(program) = text(event, "/probe_details/details/program") {
        let pid = event.pointer("/probe_details/details/started_pid").map_or_else(|| "?".to_owned(), Value::to_string);
        lines.push(format!("           done by process {pid}, which the probe forked, after it executed {program}"));
    }
    lines.push(format!("baseline   {}", baseline(&told.baseline)));
    lines.push(format!("oracle     {}", oracle(&told.oracle)));
    lines.push(format!("rule       {}", rule(told)));
    lines.push(format!("decided by {}", decided_by(event)));
    let mut label = "could be  ";
    for confounder in &told.confounders {
        lines.push(format!("{label} {confounder}"));
        label = "          ";
    }
    if told.confounders.is_empty() {
        lines.push("could be   nothing else that was recorded".to_owned());
    }
    let supported = told.claims.iter().filter(|claim| claim.supported).count();
    lines.push(format!(
        "sure       {}; {supported} of {} claims rest on a record of this bundle",
        certainty(&told.certainty),
        told.claims.len()
    ));
    // Why there is no decision stands above already.
    let doubts = told.doubts.iter().filter(|doubt| Some(doubt.as_str()) != text(event, "/outcome_reason"));
    lines.extend(doubts.map(|doubt| format!("           but {doubt}")));
    lines.push(format!("bundle     run {}, artifact_index.json {}", told.run_id, told.artifact_index_sha256));
    lines
}

fn verdict(event: &Value) -> &'static str {
    match (text(event, "/actual"), text(event, "/expected")) {
        (Some(actual), Some(expected)) if actual == expected => "as expected",
        (Some("allow"), Some("deny")) => "not as expected: allowed, and should not be",
        (Some("deny"), Some("allow")) => "not as expected: denied, and should not be",
        (None, _) => "none: no decision was observed",
        (Some(_), _) => "none: nothing was expected",
    }
}

/// Who decided, in the words of the event and in a person's.
fn decided_by(event: &Value) -> String {
    let effective = text(event, "/policy_layers/effective_decision").unwrap_or("unknown");
    let who = text(event, "/policy_layers/attribution").unwrap_or("unknown");
    let platform_known = text(event, "/policy_layers/platform_policy/decision").is_some_and(|said| said != "unknown");
    match (who, text(event, "/actual")) {
        ("process_policy", _) => "process_policy: the policy alone, the same is allowed without it".to_owned(),
        ("platform_policy", _) => "platform_policy: the system refuses the same without any policy".to_owned(),
        ("allow", _) => "nobody refused it: allowed with the policy and without".to_owned(),
        (_, Some(decision)) if !platform_known => {
            format!("unknown: the policy says {decision}, and what the system alone does was not seen")
        }
        _ => format!("{who} (effective decision: {effective})"),
    }
}

fn scenario(event: &Value) -> String {
    let result = match (text(event, "/errno_name"), text(event, "/runtime_status")) {
        (Some(errno), _) => format!("the call returned {errno}"),
        (None, Some("success")) => "the call succeeded".to_owned(),
        (None, status) => format!("status {}", status.unwrap_or("unknown")),
    };
    match (text(event, "/outcome"), text(event, "/actual")) {
        (Some("error"), _) => format!("no result: {}", text(event, "/outcome_reason").unwrap_or("unknown")),
        (_, Some(actual)) => format!("under the policy: {actual}; {result}"),
        _ => format!("nothing observed: {}", text(event, "/outcome_reason").unwrap_or("unknown")),
    }
}

fn baseline(row: &Value) -> String {
    match (text(row, "/status"), text(row, "/errno_name"), text(row, "/error")) {
        _ if row.is_null() => "not run".to_owned(),
        (_, _, Some(error)) => format!("no result: {error}"),
        (Some(status), Some(errno), _) => format!("without a policy: {status}; the call returned {errno}"),
        (Some(status), None, _) => format!("without a policy: {status}; the call succeeded"),
        (None, Some(errno), _) => format!("without a policy: no decision; the call returned {errno}"),
        (None, None, _) => "without a policy: nothing observed".to_owned(),
    }
}

fn oracle(row: &Value) -> String {
    let Some(decision) = text(row, "/decision") else { return "not asked".to_owned() };
    let why = text(row, "/reason").map(|why| format!(" ({why})")).unwrap_or_default();
    format!("asked, nothing ran: {decision}{why}")
}

fn rule(told: &Explanation) -> String {
    match (text(&told.rule, "/file"), told.rule.pointer("/line"), text(&told.rule, "/text")) {
        (Some(file), Some(line), rule) => format!("{file}:{line} {}", rule.unwrap_or_default()),
        _ if text(&told.event, "/actual").is_some() => "none matched: the profile's implicit default".to_owned(),
        _ => "none".to_owned(),
    }
}

fn certainty(certainty: &Certainty) -> &'static str {
    match certainty {
        Certainty::Observed => "observed",
        Certainty::ObservedWithDoubt => "observed, with doubts",
        Certainty::Unsupported => "a claim has no record",
        Certainty::Claimed => "claimed by an earlier program",
        Certainty::NotObserved => "not observed",
        Certainty::Error => "no result",
    }
}
