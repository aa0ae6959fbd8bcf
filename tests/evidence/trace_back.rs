//! Tracing back: what an event claims is found in the records of its bundle, by this test's own reading of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::real::{document, events, run};
use crate::suite::runtime;

const PLANS: [&str; 3] = ["linux-baseline", "linux-hardened", "linux-edge"];

/// The documents that records stand in.
struct Records {
    results: Value,
    baseline: Value,
}

impl Records {
    fn of(plan: &'static str) -> Self {
        let run = run(plan);
        Self { results: document(run, "runtime_results.json"), baseline: document(run, "baseline_results.json") }
    }

    fn at(&self, place: Option<&Value>) -> &Value {
        let Some((document, pointer)) = place.and_then(Value::as_str).and_then(|place| place.split_once('#')) else {
            return &Value::Null;
        };
        let document = match document {
            "runtime_results.json" => &self.results,
            "baseline_results.json" => &self.baseline,
            _ => return &Value::Null,
        };
        document.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Every claim of an event that no record supports, and how many were looked at.
    fn unsupported(&self, event: &Value) -> (Vec<String>, usize) {
        let evidence = &event["evidence"];
        let (row, control) = (self.at(evidence.get("row")), self.at(evidence.get("baseline")));
        let record = evidence["own_record"].as_u64().map_or(&Value::Null, |own| &row["decision_records"][own as usize]);
        let effect = &row["probe_details"];
        let mut missing = Vec::new();
        let mut looked = 0;
        let mut claim = |name: &str, said: &Value, found: &Value| {
            looked += 1;
            if said != found {
                missing.push(format!("{name}: says {said}, the record {found}"));
            }
        };
        claim("expectation", &event["expectation_id"], &row["expectation_id"]);
        claim("expected", &event["expected"], &row["expected"]);
        if let Some(actual) = event.get("actual") {
            claim("actual", actual, &record["decision"]);
            claim("outcome", &event["outcome"], &record["decision"]);
            claim("match", &event["match"], &json!(record["decision"] == event["expected"]));
            claim("witness", &event["intended_op_witnessed"], &json!(record["operation"].is_string()));
            claim("proof", &event["intended_op_proof"]["target"], &record["target"]);
        }
        if let Some(path) = event.get("observed_path") {
            claim("observed_path", path, &record["target"]);
        }
        if let Some(errno) = event.get("errno") {
            claim("errno", errno, &effect["errno"]);
            claim("errno_name", &event["errno_name"], &effect["errno_name"]);
        }
        let platform = &event["policy_layers"]["platform_policy"];
        if platform["decision"] != "unknown" {
            let returned = control["probe_details"]["errno"].as_i64();
            let decided = match returned {
                Some(0) => "allow",
                Some(1 | 13) => "deny",
                _ => "nothing",
            };
            claim("platform", &platform["decision"], &json!(decided));
        }
        if event["policy_layers"]["process_policy"]["decision"] != "unknown" {
            claim("process", &event["policy_layers"]["process_policy"]["decision"], &record["decision"]);
        }
        let layers = &event["policy_layers"];
        let without_a_policy = match control["probe_details"]["errno"].as_i64() {
            Some(0) => "allow",
            Some(1 | 13) => "deny",
            _ => "unknown",
        };
        if layers["attribution"] != "unknown" {
            let who = match (without_a_policy, record["decision"].as_str()) {
                ("deny", _) => "platform_policy",
                ("allow", Some("deny")) => "process_policy",
                ("allow", Some("allow")) => "allow",
                _ => "nobody",
            };
            claim("attribution", &layers["attribution"], &json!(who));
        }
        if layers["effective_decision"] != "unknown" {
            let decided = if without_a_policy == "deny" { &json!("deny") } else { &record["decision"] };
            claim("effective_decision", &layers["effective_decision"], decided);
        }
        if let Some(confounder) = event.get("file_confounder") {
            claim("file_confounder", &confounder["errno"], &effect["errno"]);
        }
        if let Some(confounder) = event.get("endpoint_confounder") {
            claim("endpoint scenario", &confounder["scenario_errno_name"], &effect["errno_name"]);
            claim("endpoint baseline", &confounder["baseline_errno_name"], &control["probe_details"]["errno_name"]);
        }
        if let Some(confounder) = event.get("network_confounder") {
            claim("network", &confounder["errno"], &control["probe_details"]["errno"]);
        }
        if let Some(seen) = event.get("effect_seen") {
            let found = match row["listener"]["accept_count"].as_u64() {
                Some(count) => json!(count > 0),
                None => effect["details"]["reached"].clone(),
            };
            claim("effect_seen", seen, &found);
        }
        if event["outcome"] == "error" {
            claim("error", &event["error"], &row["error"]);
            claim("error is set", &json!(true), &json!(row["error"].is_string()));
        }
        if let Some(first) = event.get("first_denial_op") {
            let records = row["decision_records"].as_array().into_iter().flatten();
            let denied = records.into_iter().find(|record| record["decision"] == "deny").unwrap_or(&Value::Null);
            claim("first_denial_op", first, &denied["operation"]);
        }
        (missing, looked)
    }
}

/// Members that make no claim of their own: names, copies of the plan, and where to look.
const NO_CLAIM: &[&str] = &[
    "world_id",
    "profile_id",
    "scenario_id",
    "run_id",
    "operation",
    "target",
    "probe_name",
    "requested_path",
    "normalized_path",
    "normalized_path_source",
    "observed_path_source",
    "errno_source",
    "outcome_reason",
    "notes",
    "command",
    "harness",
    "evidence",
    "enforcement",
    "probe_details",
    "listener",
    "runtime_status",
    "resource_hygiene",
    "runner_info",
    "apply_report",
    "failure_stage",
    "failure_kind",
    "error_kind",
    "undecided",
    "violation_summary",
    "preflight",
    "links_met",
    "stdout",
    "stderr",
];
/// Members that [`Records::unsupported`] looks at.
const CLAIMS: &[&str] = &[
    "expectation_id",
    "expected",
    "actual",
    "outcome",
    "match",
    "intended_op_witnessed",
    "intended_op_proof",
    "observed_path",
    "errno",
    "errno_name",
    "policy_layers",
    "file_confounder",
    "endpoint_confounder",
    "network_confounder",
    "effect_seen",
    "error",
    "first_denial_op",
];

/// 50 events over all plans, at equal distances.
fn sample() -> Vec<(&'static str, Value)> {
    let all: Vec<(&'static str, Value)> =
        PLANS.into_iter().flat_map(|plan| events(plan).into_iter().map(move |event| (plan, event))).collect();
    let step = all.len() / 50;
    assert!(step >= 1);
    all.into_iter().step_by(step).take(50).collect()
}

#[test]
fn every_claim_of_fifty_events_has_its_record() {
    let records: Vec<(&str, Records)> = PLANS.into_iter().map(|plan| (plan, Records::of(plan))).collect();
    let sample = sample();
    assert_eq!(sample.len(), 50);
    let mut looked = 0;
    for (plan, event) in &sample {
        let (_, records) = records.iter().find(|(known, _)| known == plan).unwrap();
        for member in event.as_object().unwrap().keys() {
            assert!(
                NO_CLAIM.contains(&member.as_str()) || CLAIMS.contains(&member.as_str()),
                "{member} is not looked at"
            );
        }
        let (missing, number) = records.unsupported(event);
        assert!(missing.is_empty(), "{plan} {}: {missing:#?}", event["scenario_id"]);
        looked += number;
    }
    println!("{looked} claims of {} events", sample.len());
    assert!(looked >= 500, "{looked}");
}

/// The twin: without its record a claim is not supported, whichever record is taken away.
#[test]
fn a_claim_without_its_record_is_found() {
    let records = Records::of("linux-edge");
    let event =
        events("linux-edge").into_iter().find(|event| event["actual"] == "deny" && event["outcome"] == "deny").unwrap();
    assert_eq!(records.unsupported(&event).0, Vec::<String>::new());
    let (document, row) = event["evidence"]["row"].as_str().unwrap().split_once('#').unwrap();
    assert_eq!(document, "runtime_results.json");
    let control = event["evidence"]["baseline"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
    let mut lost = BTreeSet::new();
    for (place, in_results) in [("/decision_records", true), ("/probe_details", true), ("/probe_details", false)] {
        let mut without = Records::of("linux-edge");
        let (document, base) =
            if in_results { (&mut without.results, row) } else { (&mut without.baseline, control.as_str()) };
        *document.pointer_mut(&format!("{base}{place}")).unwrap() = Value::Null;
        let missing = without.unsupported(&event).0;
        assert!(!missing.is_empty(), "{place} {in_results}");
        lost.insert(missing);
    }
    assert_eq!(lost.len(), 3, "each record carries claims of its own");
}

/// The twin for what follows from both layers: a wrong word is found, and so is a right one whose record says something else.
#[test]
fn an_attribution_that_the_records_do_not_bear_is_found() {
    let all = events("linux-edge");
    let with = |word: &str| all.iter().find(|event| event["policy_layers"]["attribution"] == word).unwrap();
    for (word, other) in
        [("process_policy", "platform_policy"), ("platform_policy", "allow"), ("allow", "process_policy")]
    {
        let event = with(word);
        let records = Records::of("linux-edge");
        let unsupported = |event: &Value, records: &Records| {
            let fetch = |place: &str| Some(records.at(Some(&json!(place))).clone()).filter(|found| !found.is_null());
            let claims = runtime::event::claims(event, fetch);
            let program: Vec<&str> = claims.iter().filter(|claim| !claim.supported).map(|claim| claim.claim).collect();
            let own: Vec<String> = records.unsupported(event).0;
            let own = |name: &str| own.iter().any(|missing| missing.starts_with(name));
            let layer = |member: &str| program.contains(&format!("/policy_layers/{member}").as_str());
            assert_eq!(own("attribution"), layer("attribution"), "{program:?}");
            assert_eq!(own("effective_decision"), layer("effective_decision"), "{program:?}");
            (layer("attribution"), layer("effective_decision"))
        };
        assert_eq!(unsupported(event, &records), (false, false), "{event:#}");
        let mut wrong = event.clone();
        wrong["policy_layers"]["attribution"] = json!(other);
        let decided = &event["policy_layers"]["effective_decision"];
        wrong["policy_layers"]["effective_decision"] = json!(if decided == "deny" { "allow" } else { "deny" });
        assert_eq!(unsupported(&wrong, &records), (true, true), "{word} said to be {other}");
        // The control without its answer: nobody can say any more whether the platform had refused.
        let mut without = Records::of("linux-edge");
        let control = event["evidence"]["baseline"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
        without.baseline.pointer_mut(&control).unwrap()["status"] = Value::Null;
        without.baseline.pointer_mut(&control).unwrap()["probe_details"] = Value::Null;
        assert!(unsupported(event, &without).0, "{word}");
    }
}

/// What the program itself says of its claims, and that it sees a missing record too.
#[test]
fn the_program_follows_claims_as_well() {
    for (plan, event) in sample().iter().step_by(10) {
        let (run, scenario) = (run(plan).to_str().unwrap(), event["scenario_id"].as_str().unwrap());
        let told = runtime(&["explain-event", "--json", "--bundle", run, "--scenario", scenario]);
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        assert!(told["claims"].as_array().unwrap().iter().all(|claim| claim["supported"] == true), "{told:#}");
    }
    let event = events("linux-edge").into_iter().find(|event| event["actual"] == "deny").unwrap();
    let mut results = document(run("linux-edge"), "runtime_results.json");
    let place = event["evidence"]["row"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
    *results.pointer_mut(&format!("{place}/decision_records")).unwrap() = json!([]);
    let fetch = |place: &str| results.pointer(place.split_once('#')?.1).cloned();
    let claims = runtime::event::claims(&event, fetch);
    let lost: Vec<&str> = claims.iter().filter(|claim| !claim.supported).map(|claim| claim.claim).collect();
    assert!(lost.contains(&"/actual") && lost.contains(&"/intended_op_witnessed"), "{lost:?}");
}
