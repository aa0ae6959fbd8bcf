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
  runtime explain-event --bundle out --scenario linux-baseline:deny_default_reader:read_private
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
    let expected =
        text(event, "/expected").map_or_else(|| "nothing expected".to_owned(), |word| format!("expected {word}"));
    let mut lines = vec![
        format!("event      {} under {}", of("/scenario_id"), of("/profile_id")),
        format!("asked      {} on {}, {expected}", of("/operation"), of("/target")),
    ];
    let reached = text(event, "/observed_path").or(text(event, "/intended_op_proof/target"));
    if let Some(object) = reached.filter(|object| !object.is_empty()) {
        lines.push(format!("           which was {object} in this run"));
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
    let mut label = "confounder";
    for confounder in &told.confounders {
        lines.push(format!("{label} {confounder}"));
        label = "          ";
    }
    if told.confounders.is_empty() {
        lines.push("confounder none that was recorded".to_owned());
    }
    lines.push(format!("sure       {}; {}", certainty(&told.certainty), support(told)));
    // Why there is no decision stands above already.
    let doubts = told.doubts.iter().filter(|doubt| Some(doubt.as_str()) != text(event, "/outcome_reason"));
    lines.extend(doubts.map(|doubt| format!("           but {doubt}")));
    lines.push(format!("bundle     run {}, artifact_index.json {}", told.run_id, told.artifact_index_sha256));
    lines
}

fn support(told: &Explanation) -> String {
    let supported = told.claims.iter().filter(|claim| claim.supported).count();
    match told.claims.len() {
        0 => "the event names no record".to_owned(),
        all => format!("{supported} of {all} claims rest on a record of this bundle"),
    }
}

fn verdict(event: &Value) -> &'static str {
    match (text(event, "/actual"), text(event, "/expected")) {
        (Some("allow"), Some("allow")) => "as expected: the policy allowed it",
        (Some("deny"), Some("deny")) => "as expected: the policy denied it",
        (Some("allow"), Some("deny")) => "not as expected: the policy allowed what it should deny",
        (Some("deny"), Some("allow")) => "not as expected: the policy denied what it should allow",
        (None, _) => "none: no decision was observed",
        (Some(_), _) => "none: nothing was expected",
    }
}

/// Who decided, in the words of the event and in a person's.
fn decided_by(event: &Value) -> String {
    let platform = |key: &str| text(event, &format!("/policy_layers/platform_policy/{key}"));
    let who = text(event, "/policy_layers/attribution").unwrap_or("unknown");
    match (who, text(event, "/actual")) {
        ("process_policy", _) => "process_policy: the policy alone, the same is allowed without it".to_owned(),
        ("platform_policy", Some("deny")) => {
            "platform_policy: the policy refused it, and the system refuses the same without any policy".to_owned()
        }
        ("platform_policy", _) => "platform_policy: the system refuses the same without any policy".to_owned(),
        ("allow", _) => "nobody refused it: allowed with the policy and without".to_owned(),
        (_, None) if text(event, "/undecided").is_some() => {
            "nobody: what cannot be evaluated is refused, which is no decision of the profile".to_owned()
        }
        (_, None) if refusal(event).is_some() => {
            "nobody: something else was refused, so that this was not decided or not done".to_owned()
        }
        (_, None) => "nobody that is known: no decision was observed".to_owned(),
        (_, Some(decision)) => {
            let without = match (platform("source"), platform("errno_name")) {
                (Some("baseline_missing"), _) => "nothing was run without it".to_owned(),
                (_, Some(errno)) => format!("without it the call fails for another reason ({errno})"),
                _ => "what the system does without it was not seen".to_owned(),
            };
            format!("{who}: the policy says {decision}; {without}")
        }
    }
}

/// What the call of a row or event returned; nothing where it was not made.
fn returned(told: &Value) -> Option<String> {
    let call = text(told, "/probe_details/call").unwrap_or("the call");
    let code = told.pointer("/probe_details/code");
    let code = code.and_then(|code| text(code, "/name").map(str::to_owned).or(Some(code.get("number")?.to_string())));
    match text(told, "/errno_name").map(str::to_owned).or(code) {
        Some(error) => Some(format!("{call} returned {error}")),
        None if text(told, "/runtime_status") == Some("success") || text(told, "/status") == Some("allow") => {
            Some(format!("{call} succeeded"))
        }
        None => None,
    }
}

fn scenario(event: &Value) -> String {
    let reason = || text(event, "/outcome_reason").unwrap_or("the reason is not known");
    let mut parts = vec![match (text(event, "/outcome"), text(event, "/actual")) {
        (Some("error"), _) => format!("no result: {}", reason()),
        (Some("not_observed"), _) | (_, None) => format!("nothing observed: {}", reason()),
        (_, Some(actual)) => format!("under the policy: {actual}"),
    }];
    parts.extend(returned(event));
    parts.extend(event["effect_seen"].as_bool().map(|seen| {
        let what = if seen { "it" } else { "nothing" };
        format!("whom it was for saw {what}")
    }));
    parts.join("; ")
}

fn baseline(row: &Value) -> String {
    if row.is_null() {
        return "not run".to_owned();
    }
    if let Some(error) = text(row, "/error") {
        return format!("no result: {error}");
    }
    let returned = returned(row);
    match (text(row, "/status"), &returned) {
        (None, None) if row["performed_operation"].is_null() => {
            return "not performed: no driver does it here".to_owned();
        }
        (None, None) => return "without a policy: nothing observed".to_owned(),
        _ => {}
    }
    let decision = text(row, "/status").unwrap_or("no decision");
    [Some(format!("without a policy: {decision}")), returned].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn oracle(row: &Value) -> String {
    let Some(decision) = text(row, "/decision") else { return "not asked".to_owned() };
    let why = text(row, "/reason").map(|why| format!(", {why}")).unwrap_or_default();
    match text(row, "/source") {
        Some("sbpl_evaluator") => format!("the profile's text, evaluated while nothing ran: {decision}{why}"),
        source => format!("{} was asked before the call: {decision}{why}", source.unwrap_or("the system")),
    }
}

/// The last refusal in the same execution.
fn refusal(event: &Value) -> Option<&Value> {
    let records = event.pointer("/enforcement/records").and_then(Value::as_array);
    records.into_iter().flatten().rfind(|record| record["decision"] == "deny")
}

fn rule(told: &Explanation) -> String {
    let named = |rule: &Value| {
        Some(format!("{}:{} {}", text(rule, "/file")?, rule.get("line")?, text(rule, "/text").unwrap_or_default()))
    };
    let decided = text(&told.event, "/actual").is_some();
    if let Some(rule) = named(&told.rule) {
        return match text(&told.event, "/undecided") {
            Some(why) if !decided => format!("{rule}, which could not be evaluated: {why}"),
            _ => rule,
        };
    }
    if decided {
        let recorded = told.event.pointer("/evidence/own_record").is_some_and(Value::is_u64);
        return if recorded {
            "none matched: the profile's implicit default"
        } else {
            "not recorded by whoever decided"
        }
        .to_owned();
    }
    match refusal(&told.event).and_then(|record| named(&record["rule"])) {
        Some(rule) => format!("none about this call; what was refused earlier, was by {rule}"),
        None => "none".to_owned(),
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
