//! Mappings of one run, under its `runtime_mappings/`: traces by scenario, scenarios, operations, indexes, and a manifest.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::SummaryError;
use super::op_summary::build_op_runtime_summary;
use super::source::meta;
use crate::base::ids::file_stem;
use crate::base::json as form;
use crate::base::rel_path::RelPath;

/// One document to be written below the run's directory.
#[derive(Debug)]
pub struct MappingDocument {
    /// Where.
    pub path: RelPath,
    /// Its bytes.
    pub text: String,
}

const FOLDER: &str = "runtime_mappings";

/// Makes all mappings of a run from its events. `families`: what the expected matrix calls each profile's family.
///
/// # Errors
/// An event is not what the format says.
pub fn runtime_mappings(
    world_id: &str,
    run_id: &str,
    events: &[Value],
    families: &IndexMap<String, Option<String>>,
) -> Result<Vec<MappingDocument>, SummaryError> {
    let mut traces: IndexMap<&str, String> = IndexMap::new();
    for event in events {
        let scenario = event["scenario_id"].as_str().unwrap_or_default();
        *traces.entry(scenario).or_default() += &(form::to_line_sorted(event) + "\n");
    }
    let about = |notes: &str| {
        let mut meta = meta(world_id, "runtime_bundle", notes);
        meta["run_id"] = json!(run_id);
        meta
    };
    let trace_path = |scenario: &str| format!("{FOLDER}/traces/{}.jsonl", file_stem(scenario));
    let index: Map<String, Value> =
        traces.keys().map(|scenario| ((*scenario).to_owned(), json!([trace_path(scenario)]))).collect();
    let mut by_operation: IndexMap<&str, BTreeSet<&str>> = IndexMap::new();
    for event in events {
        let scenario = event["scenario_id"].as_str().unwrap_or_default();
        by_operation.entry(event["operation"].as_str().unwrap_or_default()).or_default().insert(scenario);
    }
    let mut summary = build_op_runtime_summary(events, world_id)?;
    summary.meta["run_id"] = json!(run_id);
    let ops = summary.document().map_err(SummaryError::Spool)?;
    let pointer = |name: &str| format!("{FOLDER}/{name}.json");
    let documents = [
        ("events_index", json!({"meta": about("Trace files by scenario."), "traces": index})),
        ("scenarios", scenarios(about("Rows by scenario."), world_id, events, families)),
        ("ops", ops),
        (
            "runtime_indexes",
            json!({
                "meta": about("Which operation is in which scenario, which scenario in which trace."),
                "op_to_scenarios": by_operation, "scenario_to_traces": index,
            }),
        ),
        (
            "runtime_manifest",
            json!({
                "meta": about("The mappings of this run."), "events_index": pointer("events_index"),
                "scenarios": pointer("scenarios"), "ops": pointer("ops"), "runtime_indexes": pointer("runtime_indexes"),
            }),
        ),
    ];
    let path = |text: String| RelPath::try_from(text).expect("an encoded id is one plain component");
    let traces = traces.iter().map(|(scenario, text)| (path(trace_path(scenario)), text.clone()));
    let documents = documents.iter().map(|(name, value)| (path(pointer(name)), form::to_pretty(value)));
    Ok(traces.chain(documents).map(|(path, text)| MappingDocument { path, text }).collect())
}

/// Rows of one scenario, counted.
#[derive(Default)]
struct Scenario<'e> {
    profile: &'e str,
    expectations: BTreeSet<&'e str>,
    rows: u64,
    total: u64,
    matches: u64,
    mismatches: u64,
    unobserved: u64,
    blocked: u64,
    listed: Vec<Value>,
}

/// Rows of one family by where they ended.
#[derive(Default)]
struct Histogram {
    total: u64,
    stages: [u64; 4],
    by_kind: IndexMap<String, u64>,
    allow: u64,
    deny: u64,
    mismatches: u64,
    unobserved: u64,
    probe: u64,
}

const STAGES: [&str; 4] = ["apply", "bootstrap", "preflight", "probe"];

fn scenarios(meta: Value, world_id: &str, events: &[Value], families: &IndexMap<String, Option<String>>) -> Value {
    let mut scenarios: IndexMap<&str, Scenario<'_>> = IndexMap::new();
    let mut overall = Histogram::default();
    let mut by_family: IndexMap<String, Histogram> = IndexMap::new();
    for event in events {
        let of = |key: &str| event[key].as_str();
        let profile = of("profile_id").unwrap_or_default();
        let scenario = scenarios.entry(of("scenario_id").unwrap_or_default()).or_default();
        scenario.profile = profile;
        scenario.expectations.extend(of("expectation_id"));
        scenario.add(event);
        let named = families.get(profile).cloned().flatten();
        let family = named.or_else(|| profile.split_once(':').map(|(family, _)| family.to_owned()));
        by_family.entry(family.unwrap_or_else(|| "unknown".to_owned())).or_default().add(event);
        overall.add(event);
    }
    let by_family: Map<String, Value> = by_family.iter().map(|(name, one)| (name.clone(), one.value())).collect();
    let scenarios: Map<String, Value> =
        scenarios.iter().map(|(id, scenario)| ((*id).to_owned(), scenario.value(id, world_id))).collect();
    json!({
        "meta": meta,
        "phase_histograms": {"overall": overall.value(), "by_family": by_family},
        "scenarios": scenarios,
    })
}

fn is_blocked(event: &Value) -> bool {
    matches!(event["failure_stage"].as_str(), Some("apply" | "bootstrap" | "preflight"))
}

impl<'e> Scenario<'e> {
    fn add(&mut self, event: &'e Value) {
        self.rows += 1;
        if is_blocked(event) {
            self.blocked += 1;
        } else if event["intended_op_witnessed"] == json!(false) {
            self.unobserved += 1;
        } else {
            self.total += 1;
            self.matches += u64::from(event["match"] == json!(true));
            self.mismatches += u64::from(event["match"] == json!(false));
        }
        if event["match"] == json!(false) {
            let of = |key: &str| event.get(key).cloned().unwrap_or(Value::Null);
            self.listed.push(json!({
                "expectation_id": of("expectation_id"), "operation": of("operation"), "target": of("target"),
                "expected": of("expected"), "actual": of("actual"), "mismatch_type": mismatch_type(event),
            }));
        }
    }

    fn status(&self) -> &'static str {
        match self {
            Self { total: 0, blocked: 1.., .. } => "blocked",
            Self { total: 0, .. } => "brittle",
            // A row without a result is counted and matches nothing.
            Self { mismatches: 0, .. } if self.matches == self.rows => "ok",
            Self { matches: 1.., .. } => "partial",
            _ => "brittle",
        }
    }

    fn value(&self, id: &str, world_id: &str) -> Value {
        json!({
            "world_id": world_id,
            "profile_id": self.profile,
            "expectations": self.expectations,
            "results": {
                "total": self.total, "matches": self.matches, "mismatches": self.mismatches,
                "unobserved": self.unobserved, "total_including_blocked": self.rows, "blocked": self.blocked,
                "status": self.status(),
            },
            "mismatches": self.listed,
            "impact": null,
            "scenario_id": id,
        })
    }
}

fn mismatch_type(event: &Value) -> &'static str {
    match (event["failure_stage"].as_str(), event["failure_kind"].as_str()) {
        (Some("apply"), _) => "apply_gate",
        (Some("preflight"), _) => "preflight_blocked",
        (Some("bootstrap"), Some("bootstrap_deny_process_exec")) => "bootstrap_deny_process_exec",
        (Some("bootstrap"), _) => "bootstrap_failed",
        _ => match (event["expected"].as_str(), event["actual"].as_str()) {
            (Some("allow"), Some("deny")) => "unexpected_deny",
            (Some("deny"), Some("allow")) => "unexpected_allow",
            _ => "filter_diff",
        },
    }
}

impl Histogram {
    fn add(&mut self, event: &Value) {
        self.total += 1;
        let stage = event["failure_stage"].as_str();
        if let Some(at) = STAGES.iter().position(|known| Some(*known) == stage) {
            self.stages[at] += 1;
        }
        if is_blocked(event) {
            if let Some(kind) = event["failure_kind"].as_str() {
                *self.by_kind.entry(kind.to_owned()).or_default() += 1;
            }
            return;
        }
        self.probe += 1;
        self.allow += u64::from(event["actual"] == "allow");
        self.deny += u64::from(event["actual"] == "deny");
        self.mismatches += u64::from(event["match"] == json!(false));
        self.unobserved += u64::from(event["intended_op_witnessed"] == json!(false));
    }

    fn value(&self) -> Value {
        let stages: Map<String, Value> =
            STAGES.iter().zip(self.stages).map(|(stage, number)| ((*stage).to_owned(), json!(number))).collect();
        let blocked: Map<String, Value> = STAGES[..3]
            .iter()
            .zip(self.stages)
            .filter(|(_, n)| *n > 0)
            .map(|(s, n)| ((*s).to_owned(), json!(n)))
            .collect();
        json!({
            "total": self.total,
            "stages": stages,
            "blocked": {
                "total": self.stages[..3].iter().sum::<u64>(), "by_stage": blocked, "by_kind": self.by_kind,
            },
            "probe": {
                "total": self.probe, "allow": self.allow, "deny": self.deny, "mismatches": self.mismatches,
                "unobserved": self.unobserved,
            },
        })
    }
}
