//! What readers of the code refuse, schemas refuse: about documents that this tool writes and reads again.

use runtime::base::digest::Sha256Hex;
use runtime::bundle::{ArtifactIndex, IndexStatus, RunManifest, RunState, RunStatus, UnverifiedBundle, resolve};
use runtime::denial::DecisionRecord;
use runtime::event::Effect;
use runtime::schema::{self, Validator};
use runtime::vocab::{Decision, FailureKind, FailureStage, Severity};
use runtime::{promotion, sandbox};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::mutate::mutants;
use crate::outputs::all;

fn validator(name: &str) -> Validator {
    Validator::of(schema::by_name(name).unwrap())
}

/// A schema that stands in another, for instance of one member.
fn part(name: &str, definition: &str) -> Validator {
    let whole = schema::by_name(name).unwrap().value();
    let mut schema = whole["$defs"][definition].clone();
    schema["$defs"] = whole["$defs"].clone();
    schema["type"] = json!("object");
    Validator::compile(schema).unwrap()
}

fn first(schema: &str, from: &str) -> Value {
    let found = all().written.iter().find(|written| written.schema == schema && written.from.starts_with(from));
    found.unwrap_or_else(|| panic!("no {schema} from {from}")).document.clone()
}

/// Whatever `T` cannot hold, the schema refuses; and enough is refused at all.
fn holds<T: DeserializeOwned>(validator: &Validator, document: &Value) {
    assert!(serde_json::from_value::<T>(document.clone()).is_ok() && validator.accepts(document));
    let mut refused = 0;
    for mutant in mutants(document) {
        let read = serde_json::from_value::<T>(mutant.document.clone());
        let accepted = validator.accepts(&mutant.document);
        assert!(
            read.is_ok() || !accepted,
            "{}: {}",
            mutant.what,
            read.err().map(|e| e.to_string()).unwrap_or_default()
        );
        refused += usize::from(read.is_err());
    }
    assert!(refused > 20, "{refused}");
}

/// Leaves two of every kind of thing that a report of a profile lists.
fn thin(report: &mut Value) {
    for list in ["d1_roots", "d2_roots"] {
        report[list].as_array_mut().unwrap().truncate(2);
    }
    for map in ["/operations", "/layers/layers"] {
        let map = report.pointer_mut(map).unwrap().as_object_mut().unwrap();
        *map = map.clone().into_iter().take(2).collect();
    }
}

#[test]
fn what_a_type_cannot_hold_its_schema_refuses() {
    holds::<RunStatus>(&validator("run-status"), &first("run-status", "edge"));
    holds::<RunManifest>(&validator("run-manifest"), &first("run-manifest", "edge"));
    holds::<ArtifactIndex>(&validator("artifact-index"), &first("artifact-index", "dry"));
    let mut profile = first("sandbox-report", "sandbox run 0");
    thin(&mut profile);
    holds::<sandbox::CommandReport>(&validator("sandbox-report"), &profile);
    let mut report = first("enforcement-report", "met");
    report["profiles"].as_object_mut().unwrap().values_mut().for_each(thin);
    holds::<promotion::EnforcementReport>(&validator("enforcement-report"), &report);
    let row = first("results", "met")["met:a"]["probes"][0].clone();
    holds::<DecisionRecord>(&part("results", "decision_record"), &row["decision_records"][0]);
    holds::<Effect>(&part("results", "effect"), &row["probe_details"]);
}

/// The words a type knows: what it says when it is given another.
fn words<T: DeserializeOwned>() -> Vec<String> {
    let Err(error) = serde_json::from_value::<T>(json!("?")) else { panic!("\"?\" is a word") };
    error.to_string().split('`').skip(1).step_by(2).filter(|word| *word != "?").map(str::to_owned).collect()
}

#[test]
fn the_words_of_schemas_are_those_of_the_code() {
    fn same<T: DeserializeOwned>(schema: &str, pointer: &str) {
        let value = schema::by_name(schema).unwrap().value();
        let listed = value.pointer(pointer).unwrap_or_else(|| panic!("{schema} has no {pointer}"));
        let mut listed: Vec<String> =
            listed.as_array().unwrap().iter().filter_map(|word| word.as_str().map(str::to_owned)).collect();
        let mut known = words::<T>();
        listed.sort();
        known.sort();
        assert_eq!(listed, known, "{schema} {pointer}");
    }
    let row = "/additionalProperties/properties/probes/items/properties";
    same::<RunState>("run-status", "/properties/state/enum");
    same::<IndexStatus>("artifact-index", "/properties/status/enum");
    same::<Decision>("results", &format!("{row}/expected/enum"));
    same::<Decision>("results", &format!("{row}/actual/enum"));
    same::<FailureStage>("results", &format!("{row}/runtime_result/properties/failure_stage/enum"));
    same::<FailureKind>("results", &format!("{row}/runtime_result/properties/failure_kind/enum"));
    same::<FailureKind>("events", "/items/properties/failure_kind/enum");
    same::<sandbox::Status>("sandbox-report", "/properties/operations/additionalProperties/properties/status/enum");
    same::<Severity>("lint-report", "/$defs/finding/properties/severity/enum");
}

/// Problems that compare documents or look at files, which a schema cannot.
const BEYOND: &[&str] = &[
    "artifact-digest-mismatch",
    "artifact-hard-linked",
    "artifact-missing",
    "artifact-not-regular",
    "artifact-size-mismatch",
    "artifact-unreadable",
    "entry-duplicate",
    "entry-name-mismatch",
    "entry-outside-bundle",
    "expected-missing",
    "identity-mismatch",
    "index-inconsistent",
    "run-abandoned",
    "run-failed",
    "run-id-mismatch",
    "run-in-progress",
    "world-id-mismatch",
];

/// A committed run with one of its documents changed, and the index made to fit.
#[test]
fn what_a_bundles_reader_refuses_a_schema_refuses() {
    let original = all().run_dir("dry");
    let temp = tempfile::tempdir().unwrap();
    let run = temp.path().join(original.file_name().unwrap());
    std::fs::create_dir(&run).unwrap();
    let index: Value = serde_json::from_slice(&std::fs::read(original.join("artifact_index.json")).unwrap()).unwrap();
    for entry in index["artifacts"].as_array().unwrap() {
        let name = entry["name"].as_str().unwrap();
        std::fs::create_dir_all(run.join(name).parent().unwrap()).unwrap();
        std::fs::copy(original.join(name), run.join(name)).unwrap();
    }
    let errors = |documents: &[(&str, &Value)]| -> Vec<String> {
        for (name, value) in documents {
            std::fs::write(run.join(name), value.to_string()).unwrap();
        }
        let verification = UnverifiedBundle::read(resolve(&run).unwrap()).verify(1);
        let errors = verification.findings.into_iter().filter(|finding| finding.severity == Severity::Error);
        errors.map(|finding| finding.id).collect()
    };
    assert_eq!(errors(&[("artifact_index.json", &index)]), [""; 0]);
    let mut refused = 0;
    for (name, schema) in [
        ("run_status.json", "run-status"),
        ("run_manifest.json", "run-manifest"),
        ("artifact_index.json", "artifact-index"),
    ] {
        let validator = validator(schema);
        let document: Value = serde_json::from_slice(&std::fs::read(original.join(name)).unwrap()).unwrap();
        for mutant in mutants(&document).into_iter().step_by(5) {
            let found = if name == "artifact_index.json" {
                errors(&[(name, &mutant.document)])
            } else {
                let mut index = index.clone();
                let bytes = mutant.document.to_string();
                let entries = index["artifacts"].as_array_mut().unwrap();
                let entry = entries.iter_mut().find(|entry| entry["name"] == name).unwrap();
                entry["file_size"] = json!(bytes.len());
                entry["sha256"] = json!(Sha256Hex::of(bytes.as_bytes()));
                entry["schema_version"] = mutant.document.get("schema_version").cloned().unwrap_or(Value::Null);
                errors(&[(name, &mutant.document), ("artifact_index.json", &index)])
            };
            let shape: Vec<&String> = found.iter().filter(|id| !BEYOND.contains(&id.as_str())).collect();
            refused += usize::from(!shape.is_empty());
            assert!(shape.is_empty() || !validator.accepts(&mutant.document), "{name} {}: {shape:?}", mutant.what);
        }
        std::fs::write(run.join(name), document.to_string()).unwrap();
        std::fs::copy(original.join(name), run.join(name)).unwrap();
    }
    assert!(refused > 50, "{refused}");
}
