//! Documents that this tool writes: every one is what its schema says, and the schema says no more than what is written.
//!
//! Nobody but this tool writes them, so the schemas are exact: closed, every value typed, no key optional that is always there,
//! no value nullable that is never null. What no run of the tests shows is named in [`UNSEEN`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use runtime::base::position::escape;
use runtime::schema::{self, Validator};
use serde_json::Value;

use crate::mutate::weakened;
use crate::runs::{Everything, Written, everything};

/// Why a schema admits what no run of these tests shows.
const EARLIER: &str = "the earlier tool did not write it";
const MACOS: &str = "a matter of macOS";
const APPLIES: &str = "profiles can be applied here";
const NO_SIGNAL: &str = "no probe of these runs is ended by a signal";
const FEWER: &str = "the rows of these runs that do not match have it; shown where the rows themselves are";
/// None of those is among the documents.
const BY_EARLIER: &str = "rows of the earlier tool may lack it";

/// What the schemas admit and no run of these tests shows: the schema (or `*`), place and what about it, and why.
const UNSEEN: &[(&str, &str, &str)] = &[
    ("results", "items/properties/outer_action is never null", "a message filter stands in a rule"),
    ("results", "items/properties/outer_operation is never null", "a message filter stands in a rule"),
    ("events", "items/properties/outer_action is never null", "a message filter stands in a rule"),
    ("events", "items/properties/outer_operation is never null", "a message filter stands in a rule"),
    ("results", "items/properties/observer is never present", "asked for in tests/evidence/observer.rs only"),
    ("denial", "/properties/capture is never present", "the system's log is read in tests/live_log"),
    ("denial", "is never reached", "the system's log is read in tests/live_log"),
    ("denial", "is never absent", "only the line about the capture lacks it"),
    ("denial", "_at_unix_s is never null", "the system's log is read in tests/live_log"),
    ("shrink-run", "trace/properties/foreign is never absent", EARLIER),
    ("shrink-rules", "first_process is never null", "every process lives long enough to be named"),
    (
        "op-summary",
        "meta/properties/artifact_index_sha256 is never null",
        "null in summaries of bundles without an index",
    ),
    ("op-summary", "meta/properties/run_id is never null", "null in summaries of events at hand, by the library"),
    ("op-summary", "examples/items/properties/expectation_id is never null", BY_EARLIER),
    ("op-summary", "examples/items/properties/expected is never null", BY_EARLIER),
    ("op-summary", "mismatch_details/items/properties/actual is never null", BY_EARLIER),
    ("op-summary", "mismatch_details/items/properties/expectation_id is never null", BY_EARLIER),
    ("op-summary", "mismatch_details/items/properties/expected is never null", BY_EARLIER),
    ("op-summary", "mismatch_details/items/properties/target is never null", BY_EARLIER),
    ("op-summary", "properties/op_id is never null", "a plan with an operation that is none is refused"),
    ("explained-event", "claims/items/properties/record is never null", "only an event that was altered names none"),
    ("run-status", "/properties/tool is never absent", EARLIER),
    ("run-status", "/properties/launchctl_diagnostics is never present", MACOS),
    ("run-manifest", "/properties/clean_start is never present", MACOS),
    ("run-manifest", "clean_start/properties/pid is never reached", MACOS),
    ("run-manifest", "clean_start/properties/parent_pid is never reached", MACOS),
    ("run-manifest", "clean_start/properties/launchd_pid is never reached", MACOS),
    ("run-manifest", "clean_start/properties/service_name is never reached", MACOS),
    ("run-manifest", "clean_start/properties/sandboxed is never reached", MACOS),
    ("run-manifest", "clean_start/properties/sandboxed_source is never reached", MACOS),
    ("run-manifest", "clean_start/properties/descriptors is never reached", MACOS),
    ("run-manifest", "clean_start/properties/variables is never reached", MACOS),
    ("run-manifest", "clean_start/properties/uid is never reached", MACOS),
    ("run-manifest", "/properties/stage_root is always null", MACOS),
    ("run-manifest", "/properties/staged_output_root is always null", MACOS),
    ("run-manifest", "/properties/stand_in_tools is never absent", EARLIER),
    ("run-manifest", "/properties/world_rebound is never absent", EARLIER),
    ("run-manifest", "/properties/compiled_digest is never absent", EARLIER),
    ("artifact-index", "/properties/artifacts/items/properties/name is never absent", EARLIER),
    ("artifact-index", "/properties/tool is never absent", EARLIER),
    ("artifact-index", "/properties/repairs is never present", "no run is repaired; tests/bundle/repair.rs reads it"),
    ("promotion-packet", "/properties/artifact_index is never absent", EARLIER),
    ("promotion-packet", "/properties/artifact_index_sha256 is never absent", EARLIER),
    ("promotion-packet", "/properties/export_digests is never absent", EARLIER),
    ("promotion-packet", "/properties/promotability/properties/details is never absent", EARLIER),
    ("promotion-packet", "/properties/promotability/properties/linux_enforcement is never absent", EARLIER),
    ("promotion-packet", "/properties/run_id is never absent", EARLIER),
    ("promotion-packet", "/properties/world_id is never absent", EARLIER),
    ("promotion-packet", "/properties/impact_map is never present", "nobody put one into a bundle"),
    (
        "promotion-packet",
        "/properties/promotability/properties/gating_inputs/properties/channel is never null",
        "every bundle has a manifest",
    ),
    ("packet-statement", "/properties/impact_map is never present", "nobody put one into a bundle"),
    ("repair-log", "/properties/repairs is never absent", EARLIER),
    ("path-map", "/properties/observed_path is never null", MACOS),
    ("packet-set-verdict", "/properties/details is never absent", EARLIER),
    ("packet-set-verdict", "/properties/linux_enforcement is never absent", EARLIER),
    ("promotion-receipt", "/properties/details is never absent", EARLIER),
    ("promotion-receipt", "/properties/linux_enforcement is never absent", EARLIER),
    ("promotion-receipt", "/$defs/considered/properties/channel is never null", "every bundle has a manifest"),
    ("promotion-receipt", "/$defs/considered/properties/run_id is never null", "every bundle has a manifest"),
    ("promotion-receipt", "/gating_inputs/properties/channel is never null", "every bundle has a manifest"),
    ("mismatch-packet", "/properties/decision_event is never null", "a run makes an event of every row"),
];

/// Parts of documents that only a run on a Mac writes; tests of `event` make such rows in memory.
const OF_A_MAC: &[&str] = &[
    "/$defs/callout/",
    "/$defs/check_request/",
    "/$defs/effect/properties/code",
    "/$defs/effect/properties/inconclusive ",
    "/runtime_result/properties/sandbox_check_request ",
    "/runtime_result/properties/seatbelt_callouts ",
    "/items/properties/seatbelt_callouts ",
    "/items/properties/sandbox_check_prepass ",
    "/items/properties/service_confounder",
    "/items/properties/tcc_confounder",
    "/properties/observed_path_errno ",
    "/properties/observed_path_nofirmlink ",
    "/properties/observed_path_nofirmlink_errno ",
    "/properties/sandbox_check_self/properties/",
    "/properties/results/items/properties/api ",
    "/properties/results/items/properties/canonicalization ",
    "/properties/results/items/properties/check_type ",
    "/properties/results/items/properties/errno ",
    "/properties/results/items/properties/numbering ",
    "/properties/results/items/properties/rc ",
    "/properties/oracle_check/properties/numbering ",
    "/properties/already_sandboxed is never null",
    "/properties/start_unsandboxed is never null",
];

/// The same, where it depends on the machine, its load and who runs the tests.
const BY_HOST: &[(&str, &str, &str)] = &[
    ("*", "/$defs/apply_report/properties/errbuf is always null", APPLIES),
    ("apply-preflight", "/properties/failure_stage is always null", APPLIES),
    ("apply-preflight", "/properties/exit_code is never null", APPLIES),
    ("results", "/additionalProperties/properties/probes/items/properties/signal is always null", NO_SIGNAL),
    ("*", "/$defs/baseline_row/properties/signal is always null", NO_SIGNAL),
    ("mismatch-packet", "/$defs/listener/properties/host is never null", FEWER),
    ("mismatch-packet", "/$defs/listener/properties/port is never null", FEWER),
    ("mismatch-packet", "/$defs/listener/properties/path is never present", FEWER),
    ("promotion-packet", "/properties/promotability/properties/warnings is never present", "no run began in a sandbox"),
    ("packet-statement", "/properties/promotability/properties/warnings is never present", "no run began in a sandbox"),
    ("promotion-receipt", "/$defs/promotability/properties/warnings is never present", "no run began in a sandbox"),
    ("packet-set-verdict", "/$defs/promotability/properties/warnings is never present", "no run began in a sandbox"),
    ("packet-verdict", "/properties/promotability/properties/warnings is never present", "no run began in a sandbox"),
    ("*", "/$defs/layers/properties/yama_ptrace_scope is always null", "the kernel has no Yama"),
    ("*", "/$defs/layers/properties/yama_ptrace_scope is never null", "the kernel has Yama"),
    ("*", "skipped_roots/items/properties/domain is never reached", "every root can be admitted"),
    ("*", "skipped_roots/items/properties/path is never reached", "every root can be admitted"),
    ("*", "skipped_roots/items/properties/reason is never reached", "every root can be admitted"),
    ("inventory", "skipped/items/properties/path is never reached", "everything can be read"),
    ("inventory", "skipped/items/properties/reason is never reached", "everything can be read"),
    ("lint-report", "/properties/registries/items/properties/id is always null", "the registries are named by folder"),
    ("denial", "/properties/process is never null", "the process lives long enough to be named"),
];

/// Places where any value is right.
const FREE: &[&str] = &[
    // Of the line about the capture, and of the others: tests/live_log holds both against the schema.
    "/else/",
    "/then/",
    "/properties/apply_preflight/properties/record",
    "/properties/promotability/properties/gating_inputs/properties/apply_ok",
    "/properties/promotability/properties/gating_inputs/properties/sandbox_check_self",
    "/$defs/packet/properties/promotability/properties/gating_inputs/properties/apply_ok",
    "/$defs/packet/properties/promotability/properties/gating_inputs/properties/sandbox_check_self",
    "/$defs/promotability/properties/gating_inputs/properties/apply_ok",
    "/$defs/promotability/properties/gating_inputs/properties/sandbox_check_self",
    "/$defs/effect/properties/details",
    // Whatever a claim says and its record holds.
    "/properties/claims/items/properties/value",
    "/properties/claims/items/properties/found",
    // Members of other documents.
    "/properties/event",
    "/properties/baseline/additionalProperties",
    "/properties/run_context",
    "/properties/repairs/items",
    "/properties/run_status",
    "/properties/artifact_index",
];

/// The runs take a while; every test looks at the same.
pub(crate) fn all() -> &'static Everything {
    static ALL: OnceLock<Everything> = OnceLock::new();
    ALL.get_or_init(everything)
}

/// The schemas of documents that this tool writes, each with the documents.
fn outputs() -> Vec<(&'static schema::Schema, Vec<&'static Written>)> {
    let written = |schema: &schema::Schema| {
        all().written.iter().filter(|written| written.schema == schema.name).collect::<Vec<_>>()
    };
    let pairs = schema::all().iter().map(|schema| (schema, written(schema)));
    pairs.filter(|(_, written)| !written.is_empty()).collect()
}

#[test]
fn every_document_that_is_written_meets_its_schema() {
    for (schema, documents) in outputs() {
        let validator = Validator::of(schema);
        for Written { from, document, .. } in documents {
            let violations = validator.violations(document);
            assert!(violations.is_empty(), "{} from {from}: {violations:#?}", schema.name);
        }
    }
    let judged: BTreeSet<&str> = outputs().iter().map(|(schema, _)| schema.name).collect();
    let by_lint = [
        "plan",
        "probe-registry",
        "profile-registry",
        "registry-index",
        "fixture-set",
        "plan-template",
        "runtime-links",
    ];
    for schema in schema::all() {
        // Their records are made, and held to them, in tests/entitlement_jail, tests/launchd and tests/selftest.rs.
        let elsewhere = by_lint.contains(&schema.name)
            || schema.name.starts_with("entitlement-jail-")
            || schema.name.starts_with("launch")
            || schema.name == "selftest";
        assert!(judged.contains(schema.name) != elsewhere, "nobody judges {}", schema.name);
    }
}

/// What the documents show about one property of a schema.
#[derive(Debug, Default)]
struct Seen {
    absent: usize,
    null: usize,
    value: usize,
}

/// Notes what `instance` shows about the properties of `schema`, which stands at `at` in `root`.
fn look(root: &Value, schema: &Value, at: &str, instance: &Value, seen: &mut BTreeMap<String, Seen>) {
    if let Some(to) = schema.get("$ref").and_then(Value::as_str) {
        let at = to.trim_start_matches('#');
        look(root, root.pointer(at).unwrap(), at, instance, seen);
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    if let (Some(properties), Some(object)) = (properties, instance.as_object()) {
        for (key, inner) in properties {
            let at = format!("{at}/properties/{}", escape(key));
            let entry = seen.entry(at.clone()).or_default();
            match object.get(key) {
                None => entry.absent += 1,
                Some(Value::Null) => entry.null += 1,
                Some(_) => entry.value += 1,
            }
            if let Some(value) = object.get(key) {
                look(root, inner, &at, value, seen);
            }
        }
    }
    if let Some(items) = schema.get("items") {
        let members = instance.as_array().into_iter().flatten();
        members.for_each(|member| look(root, items, &format!("{at}/items"), member, seen));
    }
    if let Some(rest) = schema.get("additionalProperties").filter(|rest| rest.is_object()) {
        let members = instance.as_object().into_iter().flatten();
        for (_, member) in members.filter(|(key, _)| properties.is_none_or(|known| !known.contains_key(*key))) {
            look(root, rest, &format!("{at}/additionalProperties"), member, seen);
        }
    }
}

/// Calls `visit` with every schema in `schema` and its place.
fn walk(schema: &Value, at: &str, visit: &mut dyn FnMut(&str, &Value)) {
    visit(at, schema);
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        let here = format!("{at}/{keyword}");
        match keyword.as_str() {
            "properties" | "$defs" => {
                let members = value.as_object().unwrap();
                members.iter().for_each(|(key, inner)| walk(inner, &format!("{here}/{}", escape(key)), visit));
            }
            "items" => walk(value, &here, visit),
            "additionalProperties" if value.is_object() => walk(value, &here, visit),
            _ => {}
        }
    }
}

/// Whether null is among the values a schema admits, and whether anything else is.
fn admits(schema: &Value) -> (bool, bool) {
    let words = ["type", "enum"].iter().filter_map(|keyword| schema.get(*keyword));
    let words: Vec<&Value> =
        words.flat_map(|word| word.as_array().map_or_else(|| vec![word], |all| all.iter().collect())).collect();
    let is_null = |word: &&Value| word.is_null() || *word == "null";
    (words.iter().any(&is_null), words.is_empty() || words.iter().any(|word| !is_null(word)))
}

/// Everything that a schema leaves open and the documents do not need.
fn slack(root: &Value, documents: &[&Written]) -> BTreeSet<String> {
    let mut seen = BTreeMap::new();
    documents.iter().for_each(|written| look(root, root, "", &written.document, &mut seen));
    let mut slack = BTreeSet::new();
    // Keywords of objects do nothing where the type is not named: by the schema itself, or by whoever refers to it.
    let typed = |schema: &Value| {
        let names = |schema: &Value| ["type", "enum", "const"].iter().any(|keyword| schema.get(*keyword).is_some());
        let to = schema.get("$ref").and_then(Value::as_str).and_then(|to| root.pointer(to.trim_start_matches('#')));
        names(schema) || to.is_some_and(names)
    };
    walk(root, "", &mut |at, schema| {
        let mut note = |what: &str| {
            slack.insert(format!("{at} {what}"));
        };
        let is_definition = at.strip_prefix("/$defs/").is_some_and(|name| !name.contains('/'));
        if FREE.contains(&at) {
            return;
        }
        if !is_definition && !typed(schema) {
            note("has no type");
        }
        let is = |kind: &str| {
            schema["type"] == kind || schema["type"].as_array().is_some_and(|all| all.contains(&kind.into()))
        };
        if (is("object") || schema.get("properties").is_some())
            && schema.get("$ref").is_none()
            && schema.get("additionalProperties").is_none()
        {
            note("is open");
        }
        if is("array") && schema.get("items").is_none() {
            note("has any members");
        }
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (key, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let at = format!("{at}/properties/{}", escape(key));
            let mut note = |what: &str| {
                slack.insert(format!("{at} {what}"));
            };
            let Some(shown) = seen.get(&at) else {
                note("is never reached");
                continue;
            };
            let (null, value) = admits(inner);
            if shown.null + shown.value == 0 {
                note("is never present");
            } else {
                if null && shown.null == 0 {
                    note("is never null");
                }
                if null && value && shown.value == 0 {
                    note("is always null");
                }
            }
            if shown.absent == 0 && !required.contains(&key.as_str()) {
                note("is never absent");
            }
        }
    });
    slack
}

#[test]
fn schemas_say_no_more_than_what_is_written() {
    let mut missed: BTreeSet<(&str, &str)> = UNSEEN.iter().map(|(schema, what, _)| (*schema, *what)).collect();
    let mut unmet: BTreeSet<&str> = OF_A_MAC.iter().copied().collect();
    let mut surprising = Vec::new();
    for (schema, documents) in outputs() {
        for what in slack(&schema.value(), &documents) {
            if let Some(part) = OF_A_MAC.iter().find(|part| what.contains(**part)) {
                unmet.remove(part);
                continue;
            }
            let known = |list: &'static [(&str, &str, &str)]| {
                let same = |name: &str, end: &str| (name == "*" || name == schema.name) && what.ends_with(end);
                list.iter().find(|(name, end, _)| same(name, end)).map(|(name, end, _)| (*name, *end))
            };
            match known(UNSEEN) {
                Some(entry) => {
                    missed.remove(&entry);
                }
                None if known(BY_HOST).is_some() => {}
                None => surprising.push(format!("{}: {what}", schema.name)),
            }
        }
    }
    assert!(surprising.is_empty(), "{surprising:#?}");
    assert!(missed.is_empty() && unmet.is_empty(), "seen after all: {missed:#?} {unmet:#?}");
}

/// The twin: a schema that asks for less is seen. `pattern`, `minimum` and the like only narrow what has a type already.
#[test]
fn a_schema_that_asks_for_less_is_seen() {
    const ASKS: &[&str] = &["additionalProperties", "type", "enum", "const", "$ref", "items"];
    let mut count = 0;
    for (schema, mut documents) in outputs() {
        // The first ones are the richest, and enough.
        documents.truncate(2);
        let schema_value = schema.value();
        let before = slack(&schema_value, &documents);
        let unused: Vec<String> =
            before.iter().filter_map(|what| what.strip_suffix(" is never reached").map(str::to_owned)).collect();
        for weaker in weakened(&schema_value) {
            let at = weaker.what.trim_start_matches("without ");
            let keyword = at.rsplit('/').next().unwrap_or_default();
            let about = weaker.what.contains("/required without ") || ASKS.contains(&keyword);
            let place = at
                .split(" without ")
                .next()
                .unwrap_or_default()
                .trim_end_matches(keyword)
                .trim_end_matches("/required");
            // Nothing shows what an object that no run wrote needs; it is named as unseen.
            let hidden = unused.iter().any(|at| at.starts_with(place.trim_end_matches('/')));
            // Made from the tables of written documents, and tested with those.
            let made = at.starts_with("/$defs/fixture_");
            // Keys of a map; each word of theirs is checked where rows have it.
            let made = made || at.contains("/propertyNames/");
            let free = FREE.iter().any(|free| at.starts_with(free));
            if !about || hidden || free || made {
                continue;
            }
            count += 1;
            let more = slack(&weaker.document, &documents);
            // Compiling a schema is most of the work, and needed where nothing else shows the difference.
            let refuses_one = || {
                let validator = Validator::compile(weaker.document.clone()).unwrap();
                documents.iter().any(|written| !validator.accepts(&written.document))
            };
            let seen = more.iter().any(|what| !before.contains(what)) || refuses_one();
            assert!(seen, "{}: {}", schema.name, weaker.what);
        }
    }
    assert!(count > 500, "{count}");
}
