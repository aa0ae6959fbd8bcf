//! What could have confounded an event, what speaks against it, and how sure it is.

use serde_json::{Value, json};

use super::Certainty;
use crate::base::json as form;
use crate::event::Claim;

fn text<'e>(event: &'e Value, pointer: &str) -> Option<&'e str> {
    event.pointer(pointer).and_then(Value::as_str)
}

/// The errno of a control that failed without having been refused: it says nothing about who may.
fn fails_anyway(event: &Value) -> Option<&str> {
    let platform = event.pointer("/policy_layers/platform_policy")?;
    text(platform, "/errno_name").filter(|_| platform["status"].is_null())
}

/// What could have made the event look as it does without the policy.
pub(super) fn confounders(event: &Value) -> Vec<String> {
    let said = |pointer: &str| text(event, pointer).unwrap_or("?");
    let mut found = Vec::new();
    let anyway = fails_anyway(event);
    let mut told_of_control = false;
    match text(event, "/file_confounder/classification") {
        Some("unix_permissions") => {
            found.push(format!("{}: file modes refuse this by themselves", said("/file_confounder/errno_name")));
        }
        Some("sandbox_or_mac") if !refused_by_record(event) => found.push(format!(
            "{}: returned by policies and by other protections of the system, and no record says by which",
            said("/file_confounder/errno_name")
        )),
        Some("other_errno") => {
            let errno = said("/file_confounder/errno_name");
            told_of_control = anyway == Some(errno);
            let both = if told_of_control { " with the policy and without" } else { "" };
            found.push(format!("{errno}{both}: no refusal, the object is not as the probe needs it"));
        }
        _ => {}
    }
    if event.get("endpoint_confounder").is_some() {
        let errno = said("/endpoint_confounder/baseline_errno_name");
        found.push(format!("nobody answers at the address, with and without the policy ({errno})"));
    } else if let Some(errno) = anyway.filter(|_| !told_of_control) {
        found.push(format!("without any policy it fails too ({errno})"));
    }
    if let (Some("error"), Some(error)) = (text(event, "/outcome"), text(event, "/policy_layers/platform_policy/error"))
    {
        found.push(format!("without any policy it gives no result either ({error})"));
    }
    if event.get("service_confounder").is_some() {
        found.push("the service is missing, with and without the policy".to_owned());
    }
    if event.get("tcc_confounder").is_some() {
        found.push(format!("privacy protections guard this: {}", said("/tcc_confounder/attribution")));
    }
    hygiene(event, &mut found);
    for link in event["links_met"].as_array().into_iter().flatten() {
        found.push(format!(
            "the target is reached through the symbolic link {} (to {})",
            link["link"].as_str().unwrap_or("?"),
            link["text"].as_str().unwrap_or("?")
        ));
    }
    found
}

/// What was there before the policy.
fn hygiene(event: &Value, found: &mut Vec<String>) {
    let list = |pointer: &str| event.pointer(pointer).and_then(Value::as_array);
    if list("/resource_hygiene/pass_fds").is_some_and(|descriptors| !descriptors.is_empty()) {
        found.push("the process had descriptors that were open before the policy".to_owned());
    }
    if list("/resource_hygiene/preopen_hints").is_some_and(|hints| hints.contains(&json!("file_precreate"))) {
        found.push("missing files were made before the policy: whether the target was there shows nothing".to_owned());
    }
    if event.pointer("/resource_hygiene/preexisting_sandbox_suspected") == Some(&json!(true)) {
        found.push("the run itself was in a sandbox before it began".to_owned());
    }
}

/// Whether a decision record accounts for the refusal: the errno is then the policy's own.
fn refused_by_record(event: &Value) -> bool {
    let records = event.pointer("/enforcement/records").and_then(Value::as_array);
    records.is_some_and(|records| {
        records.iter().any(|record| record["decision"] == "deny" && record["errno"] == event["errno"])
    })
}

/// What speaks against the event, or makes it show less than it seems.
pub(super) fn doubts(event: &Value, claims: &[Claim], oracle: &Value) -> Vec<String> {
    let mut doubts: Vec<String> = claims
        .iter()
        .filter(|claim| !claim.supported)
        .map(|claim| {
            let said = form::to_line(&claim.found);
            format!("{} says {}, its record {}", claim.claim, form::to_line(&claim.value), said)
        })
        .collect();
    doubts.extend(text(event, "/outcome_reason").map(str::to_owned));
    let (actual, errno) = (text(event, "/actual"), event.get("errno"));
    if actual == Some("deny") && errno.is_none() && event["runtime_status"] == "success" {
        doubts.push("the call was denied, and succeeded".to_owned());
    }
    if actual == Some("deny") && event["effect_seen"] == json!(true) {
        doubts.push("the call was denied, and whom it was for saw it".to_owned());
    }
    if actual == Some("allow") && event["effect_seen"] == json!(false) && errno.is_none() {
        doubts.push("the call succeeded, and whom it was for saw nothing".to_owned());
    }
    if let (Some(answer @ ("allow" | "deny")), Some(actual)) = (text(oracle, "/decision"), actual)
        && answer != actual
    {
        doubts.push(format!("asked without running anything, the policy says {answer}"));
    }
    let platform = |key: &str| text(event, &format!("/policy_layers/platform_policy/{key}"));
    if platform("source") == Some("baseline_missing") {
        doubts.push("there is no run without the policy to compare with".to_owned());
    }
    if let (Some(error), Some(_)) = (platform("error"), actual) {
        doubts.push(format!("the run without the policy gave no result: {error}"));
    }
    let by_platform = text(event, "/policy_layers/attribution") == Some("platform_policy");
    match (actual, by_platform, text(event, "/errno_name"), fails_anyway(event)) {
        (Some("allow"), true, ..) => doubts
            .push("the platform refuses this without any policy: that the policy allows it changes nothing".to_owned()),
        (_, true, ..) => doubts.push(
            "the platform refuses this without any policy too: that the policy is what prevents it is not shown"
                .to_owned(),
        ),
        (Some("allow"), _, Some(errno), _) => {
            doubts.push(format!("the call failed all the same ({errno}): that it can be done is not shown"));
        }
        (Some("deny"), .., Some(errno)) => doubts.push(format!(
            "it fails without any policy too ({errno}): that the policy is what prevents it is not shown"
        )),
        _ => {}
    }
    doubts
}

pub(super) fn certainty(event: &Value, claims: &[Claim], doubts: &[String]) -> Certainty {
    match text(event, "/outcome") {
        Some("error") => return Certainty::Error,
        Some("not_observed") => return Certainty::NotObserved,
        _ => {}
    }
    if event.get("evidence").is_none() {
        return if event.get("actual").is_some() { Certainty::Claimed } else { Certainty::NotObserved };
    }
    if claims.iter().any(|claim| !claim.supported) {
        Certainty::Unsupported
    } else if doubts.is_empty() {
        Certainty::Observed
    } else {
        Certainty::ObservedWithDoubt
    }
}
