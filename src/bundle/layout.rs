//! Names inside a bundle and the schema tags of its documents. `SPEC.md` section "Bundles".

use crate::base::rel_path::RelPath;

/// The pointer to the newest committed run (no dry one while it names one that was executed), directly under the bundle root.
pub const LATEST: &str = "LATEST";
/// The lock file, directly under the bundle root.
pub const LOCK_FILE: &str = ".runtime.lock";
/// Life-cycle marker of a run.
pub const RUN_STATUS: &str = "run_status.json";
/// What ran, where and under which channel.
pub const RUN_MANIFEST: &str = "run_manifest.json";
/// The commit barrier.
pub const ARTIFACT_INDEX: &str = "artifact_index.json";
/// History of repairs; only after a repair.
pub const REPAIR_LOG: &str = "repair_log.json";
/// Result of applying the preflight profile.
pub const APPLY_PREFLIGHT: &str = "apply_preflight.json";
/// Expectations as generated from the plan.
pub const EXPECTED_MATRIX_GENERATED: &str = "expected_matrix.generated.json";
/// Byte copy of the generated expectations.
pub const EXPECTED_MATRIX: &str = "expected_matrix.json";
/// Raw rows of the scenario lane.
pub const RUNTIME_RESULTS: &str = "runtime_results.json";
/// Normalised rows of the scenario lane.
pub const RUNTIME_EVENTS: &str = "runtime_events.normalized.json";
/// Rows of the baseline lane.
pub const BASELINE_RESULTS: &str = "baseline_results.json";
/// Rows of the oracle lane.
pub const ORACLE_RESULTS: &str = "oracle_results.json";
/// Paths as requested, observed and normalised.
pub const PATH_WITNESSES: &str = "path_witnesses.json";
/// What probes were given to talk to.
pub const FIXTURES: &str = "fixtures.json";
/// Mismatches by type.
pub const MISMATCH_SUMMARY: &str = "mismatch_summary.json";
/// One record per mismatch.
pub const MISMATCH_PACKETS: &str = "mismatch_packets.jsonl";
/// Totals of the run.
pub const SUMMARY_JSON: &str = "summary.json";
/// The same for people.
pub const SUMMARY_MD: &str = "summary.md";
/// What was enforced, by which layers, measured on this host (our own addition).
pub const ENFORCEMENT_REPORT: &str = "enforcement_report.json";
/// Impact map; read by packets when somebody put one there.
pub const IMPACT_MAP: &str = "impact_map.json";

/// Tag of `run_status.json`.
pub const RUN_STATUS_TAG: &str = "runtime-tools.run_status.v0.1";
/// Tag of `run_manifest.json`.
pub const RUN_MANIFEST_TAG: &str = "runtime-tools.run_manifest.v0.1";
/// Tag of `run_manifest.json` in bundles from before the rename; accepted when reading.
pub const RUN_MANIFEST_LEGACY_TAG: &str = "hardened-runtime.run_manifest.v0.2";
/// Tag of `artifact_index.json`.
pub const ARTIFACT_INDEX_TAG: &str = "runtime-tools.artifact_index.v0.1";
/// Tag of `repair_log.json`.
pub const REPAIR_LOG_TAG: &str = "runtime-tools.repair_log.v0.1";

/// The order of known names in the index at commit; other names follow in the order they were written.
pub const COMMIT_ORDER: [&str; 15] = [
    RUN_STATUS,
    RUN_MANIFEST,
    MISMATCH_SUMMARY,
    MISMATCH_PACKETS,
    SUMMARY_JSON,
    SUMMARY_MD,
    EXPECTED_MATRIX_GENERATED,
    EXPECTED_MATRIX,
    RUNTIME_RESULTS,
    RUNTIME_EVENTS,
    APPLY_PREFLIGHT,
    BASELINE_RESULTS,
    PATH_WITNESSES,
    FIXTURES,
    ORACLE_RESULTS,
];

/// The files that a repair gives an entry when they stand there and have none, in the order of the earlier tool's repair.
pub(super) const REPAIR_ORDER: [&str; 15] = [
    RUN_STATUS,
    RUN_MANIFEST,
    APPLY_PREFLIGHT,
    BASELINE_RESULTS,
    PATH_WITNESSES,
    FIXTURES,
    EXPECTED_MATRIX_GENERATED,
    EXPECTED_MATRIX,
    RUNTIME_RESULTS,
    RUNTIME_EVENTS,
    MISMATCH_SUMMARY,
    MISMATCH_PACKETS,
    ORACLE_RESULTS,
    SUMMARY_JSON,
    SUMMARY_MD,
];

/// Names a writer's caller may not write: the bundle keeps them itself.
pub(super) const RESERVED: [&str; 5] = [RUN_STATUS, ARTIFACT_INDEX, REPAIR_LOG, LATEST, LOCK_FILE];

/// One of the constants above as a path.
#[must_use]
pub fn name(constant: &'static str) -> RelPath {
    RelPath::try_from(constant).expect("the layout's names are plain components")
}
