//! The JSON Schemas (2020-12) of every document this tool reads or writes, held in the binary.
//!
//! Parts: [`Schema`] (one of them, [`all`], [`by_name`], [`by_tag`]) and `check` ([`Validator`], [`Violation`]). Layer 1, pure.
//! The files lie in `schemas/`; `docs/schemas.md` lists them.
//!
//! Invariants: every schema stands alone (no reference leaves its file); a schema is parsed and compiled only when somebody
//! asks for it. The schemas of documents that people write are made from the tables that the readers check with; what the
//! schemas and the readers say is held together by `tests/schema`.

mod check;

pub use check::{BadSchema, Validator, Violation};

use serde_json::Value;

/// One schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// What `schema show` and `--as` call it; the file is `schemas/<name>.schema.json`.
    pub name: &'static str,
    /// The name that such a document usually has; empty where there is none.
    pub document: &'static str,
    /// Whether a document is a sequence of such objects, one a line.
    pub lines: bool,
    /// The schema itself, as in its file.
    pub text: &'static str,
}

macro_rules! schema {
    ($name:literal, $document:literal) => {
        schema!($name, $document, false)
    };
    ($name:literal, $document:literal, lines) => {
        schema!($name, $document, true)
    };
    ($name:literal, $document:literal, $lines:literal) => {
        Schema {
            name: $name,
            document: $document,
            lines: $lines,
            text: include_str!(concat!("../../schemas/", $name, ".schema.json")),
        }
    };
}

/// Documents that people write come first, then those of a run, then what is derived from them and what commands print.
const ALL: &[Schema] = &[
    schema!("plan", "plan.json"),
    schema!("probe-registry", "probes.json"),
    schema!("profile-registry", "profiles.json"),
    schema!("registry-index", "index.json"),
    schema!("fixture-set", "fixtures.json"),
    schema!("plan-template", "template.json"),
    schema!("run-status", "run_status.json"),
    schema!("run-manifest", "run_manifest.json"),
    schema!("apply-preflight", "apply_preflight.json"),
    schema!("expected-matrix", "expected_matrix.json"),
    schema!("results", "runtime_results.json"),
    schema!("events", "runtime_events.normalized.json"),
    schema!("baseline", "baseline_results.json"),
    schema!("oracle", "oracle_results.json"),
    schema!("path-witnesses", "path_witnesses.json"),
    schema!("fixture-records", "fixtures.json"),
    schema!("mismatch-summary", "mismatch_summary.json"),
    schema!("mismatch-packet", "mismatch_packets.jsonl", lines),
    schema!("enforcement-report", "enforcement_report.json"),
    schema!("summary", "summary.json"),
    schema!("artifact-index", "artifact_index.json"),
    schema!("repair-log", "repair_log.json"),
    schema!("op-summary", "ops.json"),
    schema!("event-traces", "events_index.json"),
    schema!("scenario-mapping", "scenarios.json"),
    schema!("mapping-indexes", "runtime_indexes.json"),
    schema!("mapping-manifest", "runtime_manifest.json"),
    schema!("promotion-packet", "promotion_packet.json"),
    schema!("packet-statement", ""),
    schema!("summary-statement", ""),
    schema!("envelope", ""),
    schema!("packet-set", "packet_set.json"),
    schema!("promotion-receipt", "promotion_receipt.json"),
    schema!("path-map", "path_canonicalization_map.json"),
    schema!("runtime-links", "runtime_links.json"),
    schema!("inventory", "other_runtime_inventory.json"),
    schema!("shrink-run", "run.json"),
    schema!("shrink-trace-status", "status.json"),
    schema!("shrink-status", "status.json"),
    schema!("shrink-rules", "rules.json"),
    schema!("shrink-decisions", "decisions.json"),
    schema!("shrink-matrix", "summary.json"),
    schema!("explained-event", ""),
    schema!("sandbox-report", ""),
    schema!("denial", "", lines),
    schema!("bundle-verdict", ""),
    schema!("bundle-verdicts", ""),
    schema!("bundle-report", ""),
    schema!("bundle-runs", ""),
    schema!("pruned-runs", ""),
    schema!("packet-verdict", ""),
    schema!("packet-set-verdict", ""),
    schema!("status", ""),
    schema!("selftest", "selftest.json"),
    schema!("launchd-job", ""),
    schema!("launchd-completion", "finished.json"),
    schema!("launchctl-diagnostics", "launchctl_diagnostics.json"),
    schema!("entitlement-jail-run", "entitlement_jail.json"),
    schema!("entitlement-jail-wait", "entitlement_jail.json"),
    schema!("entitlement-jail-collection", "entitlement_jail.json"),
    schema!("entitlement-jail-observation", "entitlement_jail.json"),
    schema!("lint-report", ""),
];

/// Every schema.
#[must_use]
pub fn all() -> &'static [Schema] {
    ALL
}

/// The schema called `name`.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Schema> {
    ALL.iter().find(|schema| schema.name == name)
}

/// The schema of `document`, which carries `tag`. Where several have that tag: the one with most required members of those whose
/// required members are all there, else the first.
#[must_use]
pub fn by_tag(tag: &str, document: &Value) -> Option<&'static Schema> {
    // Only a text that holds the tag can be its schema; the others are not worth parsing.
    let may_be = |schema: &&Schema| schema.text.contains(tag);
    let tagged: Vec<_> =
        ALL.iter().filter(may_be).filter(|schema| schema.tags().iter().any(|known| known == tag)).collect();
    let fits = |schema: &&&Schema| schema.required().iter().all(|key| document.get(key).is_some());
    let best = tagged.iter().filter(fits).max_by_key(|schema| schema.required().len());
    best.or(tagged.first()).copied()
}

/// The places where documents carry their tag, as JSON pointers.
const TAG_PLACES: [&str; 2] = ["/schema_version", "/meta/schema_version"];

/// The tag that `document` carries.
#[must_use]
pub fn tag_of(document: &Value) -> Option<&str> {
    TAG_PLACES.iter().find_map(|place| document.pointer(place)?.as_str())
}

impl Schema {
    /// The schema as a value.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(self.text).expect("a test parses every schema")
    }

    /// The tags of the documents it describes; none when they carry none.
    #[must_use]
    pub fn tags(&self) -> Vec<String> {
        let value = self.value();
        let places = TAG_PLACES.map(|place| place.replace('/', "/properties/"));
        let Some(tag) = places.iter().find_map(|place| value.pointer(place)) else { return Vec::new() };
        let words = tag.get("enum").and_then(Value::as_array).into_iter().flatten();
        words.chain(tag.get("const")).filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Members that every document has.
    fn required(&self) -> Vec<String> {
        let value = self.value();
        let words = value.get("required").and_then(Value::as_array).into_iter().flatten();
        words.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// What the documents are, in one sentence.
    #[must_use]
    pub fn description(&self) -> String {
        self.value().get("description").and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}
