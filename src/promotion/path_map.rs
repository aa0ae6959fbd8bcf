//! The map of canonical paths: which path witnesses of a packet it may stand on.
//!
//! Decisions of the scenario lane count only where the decision stage is open. The baseline lane asks outside any policy how the
//! system names what was opened; that holds whatever the gate says.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::consume::{ConsumeError, PacketContext, resolve_packet_context};
use super::gate::{GateName, Reason};
use crate::base::error_chain;
use crate::base::json;
use crate::bundle::ArtifactError;
use crate::bundle::layout::PATH_WITNESSES;
use crate::vocab::Lane;

/// Tag of the map. v0.1: as the earlier tool writes it, the records cut down to what tells observations apart; added: `packet`,
/// with `acceptance` and `reasons`.
pub const PATH_MAP_TAG: &str = "vfs_canonicalization.path_canonicalization_map.v0.1";

/// The export with the witnesses, as packets name it.
const EXPORT: &str = "path_witnesses";

/// What tells two observations apart, in the order they are sorted by.
const OBSERVED: [&str; 7] = [
    "lane",
    "operation",
    "requested_path",
    "observed_path",
    "observed_path_nofirmlink",
    "observed_path_source",
    "observed_path_nofirmlink_source",
];

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PathMapError {
    /// The packet, or its bundle, cannot be read.
    #[error(transparent)]
    Packet(#[from] ConsumeError),
    /// The witnesses cannot be read any more.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}

/// How much of a packet counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// The witnesses of every lane: the decision stage is open.
    DecisionStage,
    /// Those of the baseline lane only.
    BaselineOnly,
}

impl Acceptance {
    /// The word of documents.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::DecisionStage => "decision_stage",
            Self::BaselineOnly => "baseline_only",
        }
    }
}

/// What a packet gives.
#[derive(Debug)]
pub enum PathSelection {
    /// Observations.
    Used(Box<PathObservations>),
    /// None.
    Rejected {
        /// `packet_not_verified`, `missing_path_witnesses`, or `no_witness_records` and why only one lane was looked at.
        reasons: Vec<&'static str>,
        /// The same in words.
        error: String,
    },
}

/// The observations of a packet that count.
#[derive(Debug)]
pub struct PathObservations {
    context: PacketContext,
    /// How much of it counts.
    pub acceptance: Acceptance,
    /// Why not all: `not_clean_channel`, or `baseline_only` and the reasons against the decision stage.
    pub reasons: Vec<&'static str>,
    /// Each once, sorted: the members of [`OBSERVED`].
    pub observations: Vec<Value>,
    /// Records of the lanes that count in which no path was observed.
    pub dropped: usize,
}

/// Selects from a packet, which is verified against its bundle first. `root` is what its relative paths start from.
///
/// # Errors
/// See [`PathMapError`]; a packet that is not what its bundle gives is rejected, not an error.
pub fn select_path_observations(
    packet: &Path,
    root: Option<&Path>,
    jobs: usize,
) -> Result<PathSelection, PathMapError> {
    let rejected = |reason, error: &dyn std::error::Error| {
        Ok(PathSelection::Rejected { reasons: vec![reason], error: error_chain(error) })
    };
    let context = match resolve_packet_context(packet, &[EXPORT], root, jobs) {
        Ok(context) => context,
        Err(error @ ConsumeError::NotVerified { .. }) => return rejected("packet_not_verified", &error),
        Err(error @ (ConsumeError::NoExport { .. } | ConsumeError::NotIndexed { .. })) => {
            return rejected("missing_path_witnesses", &error);
        }
        Err(error) => return Err(error.into()),
    };
    let bytes = context.read_export(EXPORT)?.unwrap_or_default();
    let records = match records(&bytes, context.run_id()) {
        Ok(records) => records,
        Err(why) => {
            let error = format!("{}: {PATH_WITNESSES}{why}", packet.display());
            return Ok(PathSelection::Rejected { reasons: vec!["missing_path_witnesses"], error });
        }
    };
    let (acceptance, reasons) = acceptance(&context);
    let counts = |record: &&Value| acceptance == Acceptance::DecisionStage || is_baseline(record);
    let selected: Vec<&Value> = records.iter().filter(counts).collect();
    let witnesses: Vec<&Value> = selected.iter().copied().filter(|record| has_path(record)).collect();
    if witnesses.is_empty() {
        let lanes = if acceptance == Acceptance::BaselineOnly { " of the baseline lane" } else { "" };
        let of = format!("{} records, {} that count", records.len(), selected.len());
        let error = format!("{}: no record{lanes} observed a path ({of})", packet.display());
        return Ok(PathSelection::Rejected { reasons: [vec!["no_witness_records"], reasons].concat(), error });
    }
    let dropped = selected.len() - witnesses.len();
    let observations = observations(&witnesses);
    Ok(PathSelection::Used(Box::new(PathObservations { context, acceptance, reasons, observations, dropped })))
}

/// The records of a document of this run; the text says where and why it has none.
fn records(bytes: &[u8], run_id: &str) -> Result<Vec<Value>, String> {
    let mut document =
        json::read(bytes).map_err(|error| format!(" is not acceptable JSON: {}", error_chain(&error)))?;
    if let Some(said) = document.get("run_id").filter(|said| *said != run_id) {
        return Err(format!("#/run_id is {said}, the run is {run_id}"));
    }
    match document.get_mut("records").map(Value::take) {
        Some(Value::Array(records)) => match records.iter().position(|record| !record.is_object()) {
            Some(at) => Err(format!("#/records/{at} is not an object")),
            None => Ok(records),
        },
        _ => Err("#/records is not an array".to_owned()),
    }
}

/// By the bundle as it is now, and by the packet's own word, which one from before promotability was recorded does not give.
fn acceptance(context: &PacketContext) -> (Acceptance, Vec<&'static str>) {
    let verification = context.verification();
    let gate = verification.promotability.gate(GateName::DecisionStage);
    let said =
        verification.packet.members().get("promotability").and_then(|said| said.get("promotable_decision_stage"));
    if gate.has(Reason::NotCleanChannel) {
        (Acceptance::BaselineOnly, vec![Reason::NotCleanChannel.word()])
    } else if gate.promotable() && said == Some(&Value::Bool(true)) {
        (Acceptance::DecisionStage, Vec::new())
    } else {
        (Acceptance::BaselineOnly, [vec![Acceptance::BaselineOnly.word()], gate.reasons()].concat())
    }
}

fn is_baseline(record: &Value) -> bool {
    record["lane"] == json!(Lane::Baseline)
}

fn has_path(record: &Value) -> bool {
    ["observed_path", "observed_path_nofirmlink"]
        .iter()
        .any(|key| record[*key].as_str().is_some_and(|path| !path.is_empty()))
}

/// Each observation once, sorted by its members.
fn observations(records: &[&Value]) -> Vec<Value> {
    let mut each = BTreeMap::new();
    for record in records {
        let members = OBSERVED.map(|key| (key.to_owned(), record[key].clone()));
        let sorted_by = OBSERVED.map(|key| record[key].as_str());
        each.entry(sorted_by).or_insert_with(|| Value::Object(members.into_iter().collect()));
    }
    each.into_values().collect()
}

impl PathObservations {
    /// The map, to be written with its keys sorted. `packet` is the packet as documents name it.
    #[must_use]
    pub fn document(&self, packet: &str) -> Value {
        let verification = self.context.verification();
        let mut about = Map::from_iter([
            ("acceptance".to_owned(), json!(self.acceptance.word())),
            ("reasons".to_owned(), json!(self.reasons)),
        ]);
        if let Value::Object(provenance) = self.context.provenance(packet, None) {
            about.extend(provenance.into_iter().filter(|(key, _)| key != "consumption_receipt"));
        }
        json!({
            "schema_version": PATH_MAP_TAG,
            "world_id": verification.bundle.verified().and_then(|bundle| bundle.world_id()),
            "metadata": {
                "generated_by": "runtime promotion paths",
                "inputs": {packet: verification.packet.file_sha256()},
                "dropped_non_witness_records": self.dropped,
            },
            "packet": about,
            "observations": self.observations,
        })
    }
}
